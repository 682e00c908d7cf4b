#!/bin/bash
# sort with four threads: in memory, with files of runs to merge, by several keys.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need sort awk

awk 'BEGIN {
	seed = 1
	for (i = 0; i < 250000; i++) {
		seed = (seed * 16807) % 2147483647
		print seed % 100000, "word" seed % 7919, substr("abcdefghijklmnopqrstuvwxyz", seed % 26 + 1), i
	}
}' >"$work/lines"

compare in-memory sort --parallel=4 -S 100M "$work/lines"
compare by-keys sort --parallel=4 -S 100M -s -k2,2 -k1,1nr "$work/lines"
compare merged sort --parallel=4 -S 2M -T . --batch-size=4 -u -k1,1n "$work/lines"
compare versions sort --parallel=4 -V -o sorted "$work/lines"
input=$work/lines
compare piped sort --parallel=4 -r
