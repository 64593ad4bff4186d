# perl: regular expressions, hashes, closures, sorting, pack, formats, modules, files, fork.
cat > program.pl <<'END'
use strict; use warnings; use List::Util qw(sum max first shuffle); use Data::Dumper; use POSIX qw(floor strftime);
use Digest::SHA qw(sha256_hex); use MIME::Base64; use Time::Local; use Storable qw(dclone);
my %h; $h{length $_}++ for qw(a bb cc ddd ee f); print join(",", map { "$_=$h{$_}" } sort keys %h), "\n";
my $text = "The year 1999 and the year 2024"; my @years = $text =~ /\b(\d{4})\b/g; print sum(@years), " ", max(@years), "\n";
(my $t = $text) =~ s/(\w+)/\u\L$1/g; print "$t\n"; print "named $+{y}\n" if $text =~ /(?<y>\d+)/;
my @sorted = sort { $b <=> $a } map { $_ * 7919 % 101 } 1 .. 20; print "@sorted[0..4]\n";
my $counter = do { my $n = 0; sub { ++$n } }; $counter->() for 1 .. 5; print $counter->(), "\n";
print unpack("H*", pack("NnC a3 w", 0xdeadbeef, 4660, 7, "xy", 300)), "\n";
printf "%.6f %s %08b %s\n", atan2(1, 1) * 4, floor(-2.5), 37, scalar reverse "hypervisor";
print sha256_hex("abc"), "\n", encode_base64("RISC-V" x 5, ""), "\n"; print strftime("%F", gmtime(86400 * 365)), "\n";
local $Data::Dumper::Sortkeys = 1; local $Data::Dumper::Indent = 1; print Dumper(dclone({ a => [1, 2, { b => undef }], c => \"ref" }));
open my $f, ">", "out" or die; print $f "$_\n" for 1 .. 1000; close $f; open $f, "<", "out"; my $n = () = <$f>; print "$n lines\n";
my $pid = fork; if (!$pid) { exit 42 } waitpid $pid, 0; print "child ", $? >> 8, "\n"; print `echo from the shell`;
my ($p, $c) = (0, 1); ($p, $c) = ($c, $p + $c) for 1 .. 80; print "$p\n"; my %seen; my @u = grep { !$seen{$_ % 13}++ } 1 .. 100; print scalar(@u), "\n";
eval { die { code => 5 } }; print "died $@->{code}\n"; local $SIG{ALRM} = sub { print "alarm\n" }; kill ALRM => $$; sleep 0;
sub collatz { my $n = shift; my $s = 0; while ($n != 1) { $n = $n & 1 ? 3 * $n + 1 : $n / 2; $s++ } $s } print max(map { collatz($_) } 1 .. 1500), "\n";
exit 9;
END
perl program.pl
