# perl: subroutines, arrays of arrays, numbers: shortest ways through a random graph.
my ($rounds, $state, $sum) = ($ARGV[0], 99, 0);
sub draw { my ($n) = @_; $state = ($state * 69069 + 1) & 0xffffffff; return ($state >> 10) % $n }

sub push_heap {
    my ($heap, $item) = @_;
    push @$heap, $item;
    my $at = $#$heap;
    while ($at > 0) {
        my $up = ($at - 1) >> 1;
        last if $heap->[$up][0] <= $heap->[$at][0];
        @$heap[$up, $at] = @$heap[$at, $up];
        $at = $up;
    }
}

sub pop_heap {
    my ($heap) = @_;
    my $top = $heap->[0];
    my $last = pop @$heap;
    return $top unless @$heap;
    $heap->[0] = $last;
    my $at = 0;
    while ((my $down = 2 * $at + 1) < @$heap) {
        $down++ if $down + 1 < @$heap && $heap->[$down + 1][0] < $heap->[$down][0];
        last if $heap->[$at][0] <= $heap->[$down][0];
        @$heap[$at, $down] = @$heap[$down, $at];
        $at = $down;
    }
    return $top;
}

for my $round (1 .. $rounds) {
    my @edges;
    for my $from (0 .. 199) {
        push @{ $edges[$from] }, [draw(200), 1 + draw(90)] for 1 .. 5;
    }
    my @far = (undef) x 200;
    my @heap = ([0, 0]);
    while (@heap) {
        my ($way, $node) = @{ pop_heap(\@heap) };
        next if defined $far[$node];
        $far[$node] = $way;
        for my $edge (@{ $edges[$node] }) {
            push_heap(\@heap, [$way + $edge->[1], $edge->[0]]) unless defined $far[$edge->[0]];
        }
    }
    my $mean = 0.0;
    for my $way (grep { defined } @far) { $mean += $way / 200.0; $sum = ($sum * 31 + $way) % 1000003 }
    $sum += int($mean * 8);
}
print "graph $sum\n";
