# perl: regular expressions, hashes, sorting, string building.
my ($rounds, $state, $sum) = ($ARGV[0], 12345, 0);
sub draw { $state = ($state * 1103515245 + 12345) & 0x7fffffff; return ($state >> 8) % $_[0] }
my @words = qw(hart page trap fence load store branch vector timer reset atomic decode issue retire);
for my $round (1 .. $rounds) {
    my @lines;
    for my $i (1 .. 150) {
        push @lines, sprintf "%04d-%02d-%02d %s[%d]: %s %s=%d", 2000 + draw(30), 1 + draw(12), 1 + draw(28),
            $words[draw(14)], draw(5000), join(" ", map { $words[draw(14)] } 1 .. 6), $words[draw(14)], draw(1000);
    }
    my (%by_word, %by_year, %pairs);
    for my $line (@lines) {
        if ($line =~ /^(\d{4})-(\d\d)-(\d\d) (\w+)\[(\d+)\]: (.*?) (\w+)=(\d+)$/) {
            $by_year{$1} += $8;
            push @{ $by_word{$4} }, $5;
            my @rest = split / /, $6;
            $pairs{"$rest[$_] $rest[$_ + 1]"}++ for 0 .. $#rest - 1;
        }
        (my $copy = $line) =~ s/([aeiou])([a-z])/\u$2$1/g;
        $copy =~ tr/a-z/b-za/;
        $sum += length($copy) + ($copy =~ /[A-Z].*?[0-9]/ ? ord substr($copy, $round % 40, 1) : 0);
    }
    my @order = sort { $pairs{$b} <=> $pairs{$a} || $a cmp $b } keys %pairs;
    $sum += $pairs{$order[0]} * length $order[0];
    for my $word (sort keys %by_word) {
        my @list = sort { $a <=> $b } @{ $by_word{$word} };
        $sum += $list[@list / 2] * scalar(@list);
    }
    $sum = ($sum + $by_year{$_} * $_) % 1000003 for sort keys %by_year;
}
print "text $sum\n";
