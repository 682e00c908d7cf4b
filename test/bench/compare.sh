#!/bin/bash
# bench/compare: what it shows of allocators good and bad, what it writes, and one clear line for every mistake.
#
# By hand: HZ3_SRCDIR=... HZ3_BUILDDIR=... HZ3_LIB=... [HZ3_BENCH_DIR=...] [BROKEN_LIB=...] bash compare.sh

set -u

compare=$HZ3_SRCDIR/bench/compare
export HZ3_BENCH_DIR=${HZ3_BENCH_DIR:-$HZ3_BUILDDIR/bench}
broken=${BROKEN_LIB:-$HZ3_BUILDDIR/test/bench/.libs/libbroken.so}
unset HZ3_BENCH_TIMEOUT LD_PRELOAD

command -v python3 >/dev/null 2>&1 || {
	echo "SKIP: there is no python3"
	exit 77
}
work=$(mktemp -d "${TMPDIR:-/tmp}/hz3-compare-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
	echo "FAIL: $*"
	cat "$work/out" "$work/err" 2>/dev/null
	failed=1
}

# expect STATUS OPTION...: run compare.
expect() {
	local want=$1 status=0
	shift
	"$compare" "$@" >"$work/out" 2>"$work/err" || status=$?
	[ $status = "$want" ] || fail "compare $*: status $status, not $want"
	grep -q Traceback "$work/err" && fail "compare $* shows a traceback"
	return 0
}

# refused TEXT OPTION...: status 2 and this text in the one line on standard error.
refused() {
	local text=$1
	shift
	expect 2 "$@"
	if [ "$(wc -l <"$work/err")" != 1 ] || ! grep -qF -e "$text" "$work/err"; then
		fail "compare $*: not one line with: $text"
	fi
	[ ! -s "$work/out" ] || fail "compare $* says something on standard output"
}

shows() {
	grep -qE "$1" "$work/out" || fail "the report does not show: $1"
}

# The shortest comparison: 3 rounds.
small=(--quick --seconds 0.02 --only glibc local-pairs-64)

echo "not a library" >"$work/text.so"
refused "there is no workload bogus; there are remote, local" bogus
refused "there is no allocator bogus; there are glibc, jemalloc" --only bogus
refused "there is no allocator bogus; there are glibc, jemalloc" --without glibc,bogus
refused "the reference bogus is not among the allocators: glibc" --reference bogus "${small[@]}"
refused "no allocator is left to run" --only glibc --without glibc
refused "unrecognized arguments: --bogus" --bogus
refused "wants a number from 1 to 1000, not 0" --rounds 0
refused "--alloc wants NAME=/path/lib.so, not x" --alloc x
refused "glibc is the name of another allocator" --alloc glibc=/x/lib.so
refused "/x/lib.so does not load: no such file" --alloc x=/x/lib.so "${small[@]}"
refused "$work/text.so does not load: file too short" --alloc "x=$work/text.so" "${small[@]}"
refused "libm.so.6 does not load: malloc is still that of" --alloc x=libm.so.6 "${small[@]}"
refused "--output wants a file that ends in .json or .tsv" --output "$work/results.txt"
refused "/x is not there or not to be written to" --output /x/results.json
HZ3_BENCH_DIR=$work refused "there is no program $work/xmalloc" xmalloc-64-2
HZ3_BENCH_TIMEOUT=never refused "HZ3_BENCH_TIMEOUT wants a number of seconds" "${small[@]}"
HZ3_LIB=/x/libhz3.so refused "/x/libhz3.so does not load: no such file" --only hz3 local-pairs-64

# Full disks: of the results, and of the report.
expect 2 --output /dev/full "${small[@]}"
grep -qx "compare: cannot write /dev/full: No space left on device" "$work/err" || fail "nothing on a full /dev/full"
"$compare" "${small[@]}" >/dev/full 2>"$work/err"
[ $? = 2 ] || fail "the status is not 2 with a full standard output"
tail -n 1 "$work/err" | grep -qx "compare: cannot write to standard output: No space left on device" ||
	fail "nothing on a full standard output"

# The system's allocator, hz3 and Debian's jemalloc, if it is there, by path: plain lines of progress, a report,
# and results with all their keys.
twin=()
jemalloc=$(LD_PRELOAD=libjemalloc.so.2 "$HZ3_BENCH_DIR/local" -t 0.001 -i 0 2>/dev/null |
	sed -n 's/.* lib=\(.*libjemalloc.*\)/\1/p')
[ -z "$jemalloc" ] || twin=(--alloc "twin=$jemalloc")
expect 0 --quick --seconds 0.02 --only glibc,hz3 "${twin[@]}" --output "$work/results.json" \
	xmalloc-64-2 local-pairs-64
[ "$(grep -c '^round [1-3] of 3: ' "$work/err")" = 6 ] || fail "no line for each round and variant"
grep -q $'[\r\033]' "$work/err" && fail "progress is not plain lines when piped"
shows '^xmalloc-64-2: '
shows '^glibc .* reference '
[ -z "$jemalloc" ] || shows '^twin +jemalloc-[0-9.]+ +/'
python3 - "$work/results.json" <<'PYTHON' || fail "the JSON is not as promised"
import json, sys
d = json.load(open(sys.argv[1]))
assert list(d) == ["format", "command", "date", "host", "quick", "rounds", "seconds", "reference", "allocators", "variants",
                   "runs"], list(d)
assert d["format"] == "hz3-bench-1" and d["quick"] is True and d["rounds"] == 3 and d["seconds"] == 0.02
assert list(d["host"]) == ["cpus", "model", "kernel", "memory_kib", "system"]
assert all(list(a) == ["name", "lib", "version", "conf"] and a["lib"].startswith("/") for a in d["allocators"])
assert [v["name"] for v in d["variants"]] == ["xmalloc-64-2", "local-pairs-64"]
assert all(list(v) == ["name", "workload", "args", "group", "title", "unit", "series", "x"] for v in d["variants"])
assert d["variants"][0]["series"] == "xmalloc-64" and d["variants"][0]["x"] == 2
for r in d["runs"]:
    assert list(r) == ["variant", "allocator", "round", "status", "detail", "values", "hz3"], list(r)
    assert r["status"] == "ok" and r["values"]["ops_per_second"] >= 0, r
    assert ("rss_idle_kib" in r["values"]) == (r["round"] == 1), r
    assert (r["hz3"] is not None) == r["allocator"].startswith("hz3"), r
    if r["allocator"] == "hz3-page-unbatched":
        assert r["variant"] == "xmalloc-64-2" and r["hz3"]["batch"] is False and r["hz3"]["blocks"] > 0, r
assert sum(r["values"]["ops"] for r in d["runs"]) > 0
first = [next(r["allocator"] for r in d["runs"] if r["round"] == n) for n in (1, 2, 3)]
assert len({a["name"] for a in d["allocators"]}) < 3 or len(set(first)) == 3, first
PYTHON

expect 0 --output "$work/results.tsv" "${small[@]}"
head -n 1 "$work/results.tsv" | grep -q $'^variant\tallocator\tround\tstatus\tdetail\t.*\tops_per_second\t' ||
	fail "the TSV has no headings"
awk -F '\t' 'NR == 1 { n = NF } NF != n || (NR > 1 && $4 != "ok") { bad = 1 } END { exit bad || NR != 4 }' \
	"$work/results.tsv" || fail "the TSV is not a line for each run"

# shows_broken FAULT PATTERN STATUS: a fault is a result, and others have theirs.
shows_broken() {
	BROKEN=$1 expect 1 --quick --only glibc --alloc "broken=$broken" --rounds 1 --output "$work/broken.json" xmalloc-64-2
	shows "^broken .* $2"
	shows '^glibc .* reference '
	grep -q '"status": "'"$3"'"' "$work/broken.json" || fail "status $3 is not in the results"
}

if [ -e "$broken" ]; then
	shows_broken crash 'CRASH in 1 of 1 \(SIGABRT' crash
	shows_broken overlap 'WRONG in 1 of 1 \([0-9]+ errors\)' wrong
	shows_broken lose 'WRONG in 1 of 1 \([0-9]+ errors\)' wrong
	# On a busy machine the other may not end in so little time either, which is a result as well.
	HZ3_BENCH_TIMEOUT=0.8 shows_broken hang 'TIMEOUT in 1 of 1' timeout
else
	fail "there is no $broken"
fi

# An interrupted comparison shows what it has and leaves nothing behind.  (Job control: else SIGINT is ignored.)
set -m
"$compare" --quick --seconds 30 --only glibc xmalloc-64-2 --output "$work/part.json" >"$work/out" 2>"$work/err" &
job=$!
set +m
for ((i = 0; i < 600; i++)); do
	children=$(pgrep -P $job -x xmalloc) && break
	sleep 0.1
done
kill -INT $job
wait $job
[ $? = 130 ] || fail "the status of an interrupted comparison is not 130"
shows '^Where malloc came from'
[ -n "$children" ] || fail "compare has run nothing"
kill -0 "$children" 2>/dev/null && fail "an interrupted comparison leaves a process running"
grep -q '"runs": \[\]' "$work/part.json" || fail "an interrupted comparison writes no results"

# Without HZ3_BENCH_DIR and HZ3_LIB: a build tree that links to the script, and an installed copy.
mkdir -p "$work/build/bench" "$work/build/.libs" "$work/prefix/libexec/hz3/bench" "$work/prefix/lib"
ln -s "$compare" "$work/build/bench/compare"
cp -R "$HZ3_SRCDIR/bench/compare" "$HZ3_SRCDIR/bench/lab" "$work/prefix/libexec/hz3/bench"

# finds_its_own BINARIES LIBRARIES
finds_its_own() {
	cp "$HZ3_BENCH_DIR/local" "$work/$1"
	cp "$HZ3_LIB" "$work/$2/libhz3.so"
	(
		compare=$work/$1/compare
		unset HZ3_BENCH_DIR HZ3_LIB
		expect 0 --quick --seconds 0.02 --rounds 1 --only hz3-page local-pairs-64
		shows "^hz3-page +hz3-[0-9.]+ +$work/$2/libhz3.so "
		exit $failed
	) || failed=1
}
finds_its_own build/bench build/.libs
finds_its_own prefix/libexec/hz3/bench prefix/lib

find "$HZ3_SRCDIR/bench" "$work" -name __pycache__ | grep . && fail "a __pycache__ is left in the tree"

# Medians, pairs and ties.
python3 -B - "$HZ3_SRCDIR/bench" <<'PYTHON' || fail "the figures are wrong"
import sys
sys.path.insert(0, sys.argv[1])
from lab import figures
from lab.figures import Spread, ratios, verdict

assert Spread.of([3, 1, 2]) == Spread(2, 1, 3) and Spread.of([4, 1]).median == 2.5 and Spread.of([]) is None
assert ratios({1: 2.0, 2: 6.0, 4: 5.0}, {1: 1.0, 2: 2.0, 3: 9.0}, False) == [2.0, 3.0]
assert ratios({1: 2.0}, {1: 1.0}, True) == [0.5]
assert verdict([1.2, 1.1, 1.3]) == "faster" and verdict([0.9, 0.8, 0.99]) == "slower"
assert verdict([0.99, 1.2, 1.3]) == "tie" and verdict([1.0, 1.0, 1.0]) == "tie" and verdict([1.0, 2.0, 2.0]) == "tie"
assert verdict([1.2, 1.3]) == "-" and verdict([]) == "-"
assert abs(figures.geometric_mean([1, 4]) - 2) < 1e-9 and figures.geometric_mean([]) is None
PYTHON
[ $failed != 0 ] || echo "ok: bench/compare"
exit $failed
