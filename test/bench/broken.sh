#!/bin/bash
# Every workload of bench/ notices a malloc that is broken, and complains of none that works.
#
# libbroken.so (broken.c) hands out live blocks again, or blocks that overlap others, or damages live blocks.  Then a
# workload has to end with status 1 and say how many errors it found.  By hand:
#
#     HZ3_BUILDDIR=.../build [BROKEN_LIB=.../libbroken.so] bash test/bench/broken.sh

set -u

lib=${BROKEN_LIB:-$HZ3_BUILDDIR/test/bench/.libs/libbroken.so}
[ -e "$lib" ] || {
	echo "FAIL: there is no $lib"
	exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
	echo "FAIL: $*"
	cat "$work/out" "$work/err"
	failed=1
}

# run FAULT STATUS ERRORS WORKLOAD OPTION...: ERRORS is a pattern.  Every hundredth block is bad: who did hardly anything in the time, on
# a busy machine, gets more.
run() {
	local fault=$1 want=$2 errors=$3 name=$4 status seconds
	shift 4
	for seconds in 0.1 1 10; do
		status=0
		timeout 60 env BROKEN="$fault" LD_PRELOAD="$lib" "$HZ3_BUILDDIR/bench/$name" -t "$seconds" -i 0 "$@" \
			>"$work/out" 2>"$work/err" || status=$?
		[ "$status" = 0 ] && [ "$want" != 0 ] && ! grep -qE ' ops=[0-9]{6}' "$work/out" || break
	done
	if ! grep -qF "lib=$lib" "$work/out"; then
		fail "$name $* with BROKEN=$fault: status $status, and no results with $lib"
	elif [ "$status" != "$want" ] || ! grep -qE " errors=$errors " "$work/out"; then
		fail "$name $* with BROKEN=$fault: status $status, not $want"
	else
		echo "ok: $name $* with BROKEN=$fault:$(grep -oE ' errors=[0-9]+' "$work/out")"
	fi
}

# check WORKLOAD OPTION...
check() {
	local fault
	run none 0 0 "$@"
	for fault in overlap shift lose; do
		run "$fault" 1 '[1-9][0-9]*' "$@"
	done
}

for name in xmalloc msgpass pipeline fanin fanout allremote mixed server churn freeonly; do
	check "$name" -w 2
done
check idleowner -m 4
check burst -m 8
check frag -m 8
for pattern in random realloc calloc aligned; do
	check local -p "$pattern"
done
exit $failed
