# Four threads at once, each with an interpreter of its own; what each does depends on its number only.
use strict;
use warnings;
use threads;

sub fib { my $n = shift; return $n < 2 ? $n : fib($n - 1) + fib($n - 2) }

sub work {
    my $number = shift;
    my (%count, $sum);
    for my $i (1 .. 2000) {
        my $word = 'k' . (($i * 7919 * $number) % 301);
        $count{$word}++;
        $sum += fib(3) if $count{$word} == 1;
    }
    my $words = join ',', sort keys %count;
    $words =~ s/k(\d)/$1x/g;
    return length($words) + $sum;
}

my @threads = map { threads->create(\&work, $_) } 1 .. 4;
print $_->join(), "\n" for @threads;
