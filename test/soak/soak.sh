#!/bin/bash
# Programs on hz3 for a while, all at once: RSS does not grow, and stays within a bound of what is live (soak.py says which).
# A program that leaks and one that hoards must be found out.
#
#   HZ3_SOAK_SECONDS=N      how long: 20; of make check-soak, 7200
#   HZ3_SOAK_RESULTS=DIR    keep samples, report and plot there

set -u
command -v python3 >/dev/null 2>&1 && python3 -c 'import argparse, dataclasses, socket, statistics' 2>/dev/null || {
	echo "SKIP: there is no python3 with its library"
	exit 77
}
grep -q '^#define HZ3_STATS 1' "$HZ3_BUILDDIR/config.h" || {
	echo "SKIP: nothing is known of live bytes in a build without statistics"
	exit 77
}
seconds=${HZ3_SOAK_SECONDS:-20}
work=$(mktemp -d "${TMPDIR:-/tmp}/hz3-soak.XXXXXX")
trap 'rm -rf "$work"' EXIT
results=${HZ3_SOAK_RESULTS:-$work/results}
rm -rf "$results"

status=0
python3 -B "$HZ3_SRCDIR/test/soak/soak.py" -c -t "$seconds" -o "$results" >"$work/report" 2>&1 || status=1
cat "$work/report"
[ ! -d "$results" ] || cp "$work/report" "$results/report.txt"
exit $status
