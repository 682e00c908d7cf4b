#!/bin/bash
# perl: hashes, regular expressions, sorting, closures, fork, and interpreter threads if it has them.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need perl
export PERL_HASH_SEED=0 PERL_PERTURB_KEYS=0

cat >"$work/program.pl" <<'PERL'
use strict;
use warnings;
use Config;

my $seed = 1;
sub rnd { $seed = $seed * 16807 % 2147483647; return $seed % $_[0]; }

my (%count, @lines);
for my $i (1 .. 12000) {
	my $w = chr(97 + rnd(26)) x rnd(60) . rnd(3000);
	$count{$w}++;
	push @lines, "$w:$i:" . ("x" x ($i % 80));
}
print scalar(keys %count), " words\n";
my @sorted = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
print "@sorted[0 .. 9]\n";
my $text = join("\n", @lines);
my $n = () = $text =~ /(\w)\1{3,}\d+:/g;
(my $changed = $text) =~ s/(\d+):(\d+)/$2 . "-" . $1/ge;
print "$n matches, ", length($changed), " ", unpack("%32C*", $changed), "\n";

my %tree;
for my $l (@lines) {
	my @part = split /:/, $l, -1;
	push @{$tree{substr($part[0], 0, 1)}{length $part[0]}}, { number => $part[1], text => $part[2] };
}
my $total = 0;
for my $letter (sort keys %tree) {
	for my $length (sort { $a <=> $b } keys %{$tree{$letter}}) {
		$total += $_->{number} * length($_->{text}) for @{$tree{$letter}{$length}};
		delete $tree{$letter}{$length} if $length % 3 == 0;
	}
}
print "tree $total\n";
my @closures = map { my $k = $_; sub { return $k * $_[0] } } 1 .. 5000;
my $sum = 0;
$sum += $_->(3) for @closures;
print "closures $sum\n";
my $growing = "";
$growing .= pack("N", $_) for 1 .. 200000;
print length($growing), " ", unpack("%32C*", $growing), "\n";

$| = 1;
for my $i (1 .. 10) {
	pipe(my $r, my $w) or die;
	my $pid = fork() // die;
	if (!$pid) {
		my $t = join ",", map { $_ x $i } @sorted[0 .. 500];
		print $w length($t);
		close $w;
		exit $i;
	}
	close $w;
	my $answer = <$r>;
	waitpid $pid, 0;
	print "child $i: $answer, ", $? >> 8, "\n";
}
if ($Config{useithreads} && eval { require threads; require Thread::Queue; 1 }) {
	my $queue = Thread::Queue->new;
	my @threads = map { my $k = $_; threads->create(sub {
		my $s = 0;
		while (defined(my $item = $queue->dequeue)) { $s += length $item; }
		return $s;
	}) } 1 .. 3;
	$queue->enqueue("item $_ " . ("y" x ($_ % 300))) for 1 .. 3000;
	$queue->end;
	my $s = 0;
	$s += $_->join for @threads;
	print "threads $s\n";
}
print "the end\n";
die "with a message\n";
PERL

compare perl perl "$work/program.pl"
grep -q '^the end' "$work/perl/glibc/out" || fail "the script did not run to its end: $(cat "$work/perl/glibc/err")"
