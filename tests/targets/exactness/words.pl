# Counts words, sorts, substitutes, recurses, dies and is caught; usage: words.pl TEXT. Ends with exit code 3.
use strict;
use warnings;

open my $text, '<', $ARGV[0] or die $!;
my %count;
while (<$text>) {
    chomp;
    $count{ lc $_ }++ for split /\W+/;
}
for my $word (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count) {
    printf "%s %d\n", $word, $count{$word} if $count{$word} > 20;
}

sub fib { my $n = shift; return $n < 2 ? $n : fib($n - 1) + fib($n - 2) }
print fib(15), "\n";

my $digits = join ',', map { sprintf '%x', $_ * 7 } 1 .. 500;
$digits =~ s/(\w)(\w)/$2$1/g;
print "$digits\n";

for my $round (1 .. 50) {
    eval { fib(3); die "round $round\n" };
    print $@;
}
print join(' ', sort { $a <=> $b } map { ($_ * 7919) % 1009 } 1 .. 200), "\n";
print STDERR "done\n";
exit 3;
