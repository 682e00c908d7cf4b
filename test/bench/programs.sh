#!/bin/bash
# bench/programs: each real program that is installed runs its job with hz3 in it, and gives the results it should.
#
# By hand: HZ3_SRCDIR=... HZ3_BUILDDIR=... HZ3_LIB=... [HZ3_BENCH_DIR=...] [BROKEN_LIB=...] bash programs.sh

set -u

programs=$HZ3_SRCDIR/bench/programs
export HZ3_BENCH_DIR=${HZ3_BENCH_DIR:-$HZ3_BUILDDIR/bench}
broken=${BROKEN_LIB:-$HZ3_BUILDDIR/test/bench/.libs/libbroken.so}
unset LD_PRELOAD BENCH_PRELOAD HZ3_CONF

command -v python3 >/dev/null 2>&1 || {
	echo "SKIP: there is no python3"
	exit 77
}
python=$(python3 -c 'import sys; print(sys.executable)')
work=$(mktemp -d "${TMPDIR:-/tmp}/hz3-programs-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
export BENCH_DATA=$work/data
failed=0

fail() {
	echo "FAIL: $*"
	cat "$work/out" "$work/err" 2>/dev/null
	failed=1
}

# run STATUS ARGUMENT...
run() {
	local want=$1 status=0
	shift
	"$programs" "$@" >"$work/out" 2>"$work/err" || status=$?
	[ $status = "$want" ] || fail "programs $*: status $status, not $want"
	grep -q Traceback "$work/err" && fail "programs $* shows a traceback"
	return 0
}

shows() {
	grep -qE -e "$1" "$work/out" || fail "the line of results has no $1"
}

version=$(LD_PRELOAD=$HZ3_LIB "$HZ3_BENCH_DIR/local" -t 0.001 -i 0 | sed -n 's/.* version=\([^ ]*\) .*/\1/p')
for name in redis sqlite lua python cc1 sort xz zstd; do
	BENCH_PRELOAD=$HZ3_LIB HZ3_CONF=stats_file:$work/$name.json run 0 "$name" -t 0.05
	shows "^programs program=$name ops=1 seconds=[0-9.]+ cpu_seconds=[0-9.]+ rss_peak_kib=[1-9][0-9]* errors=0 "
	shows " version=$version lib="
	lib=$(sed -n 's/.* lib=//p' "$work/out")
	[ "$(readlink -f "$lib")" = "$(readlink -f "$HZ3_LIB")" ] || fail "$name ran with $lib"
	grep -q '"blocks_allocated": [1-9]' "$work/$name.json" || fail "$name has no statistics of hz3"
done
[ -z "$(find "$BENCH_DATA" -name 'redis.*')" ] || fail "redis leaves files behind"

# Without a preload, and with what is wrong: in the call, the installation, the library, the output.
run 0 lua -t 0.05
shows ' lib=/.*/(libc|ld-musl)[^/]*$'
run 2 bogus
PATH=$work "$python" "$programs" redis >"$work/out" 2>"$work/err"
grep -qx "programs: unavailable: redis-[a-z]* is not installed" "$work/err" || fail "a missing program is not told of"
BENCH_PRELOAD=/x/lib.so run 2 lua -t 0.05
grep -q "did not load /x/lib.so" "$work/err" || fail "a missing library is not told of"
BROKEN=crash BENCH_PRELOAD=$broken run 134 python -t 0.05
echo "another checksum" >"$BENCH_DATA/lua-0.05/expected"
run 1 lua -t 0.05
shows ' errors=1 '

# As bench/compare has it.
BROKEN=crash "$HZ3_SRCDIR/bench/compare" --quick --seconds 0.02 --only glibc --alloc "broken=$broken" python \
	>"$work/out" 2>"$work/err"
shows '^broken .* CRASH in 1 of 1 \(SIGABRT'
PATH=$work "$python" "$HZ3_SRCDIR/bench/compare" --seconds 0.02 --rounds 1 --only glibc redis \
	>"$work/out" 2>"$work/err" || fail "a program that is not installed is no failure"
shows '^not run: .* is not installed'
[ $failed != 0 ] || echo "ok: bench/programs"
exit $failed
