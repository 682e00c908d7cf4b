#!/bin/bash
# Every workload runs on the C library's malloc and on hz3, ends in time, and prints one line of results that says it all.

set -u

if [ -n "$HZ3_SANITIZER$HZ3_MALLOC_PREFIX" ]; then
	echo "SKIP: this library cannot be preloaded"
	exit 77
fi
cd "$HZ3_BUILDDIR/bench" || exit 1
failed=0
fail() {
	echo "FAIL: $*"
	failed=1
}

# What a run has to take at the most, and what its line has to have, in this order.
pattern='^NAME (workers=[0-9]+ )?(size=[^ ]+ )?seed=7 ops=[1-9][0-9]* seconds=[0-9.]+ ops_per_second=[1-9][0-9]*'
pattern+=' cpu_seconds=[0-9.]+ remote_percent=[0-9.]+ rss_peak_kib=[1-9][0-9]* rss_end_kib=[1-9][0-9]*'
pattern+=' rss_idle_kib=[1-9][0-9]* harness_kib=[0-9]+( latency_p99_ns=[0-9]+ latency_p9999_ns=[0-9]+ latency_max_ns=[0-9]+)?'
pattern+='( [a-z_]+=[^ ]+)* errors=0 version=[^ ]+ lib=.+$'

# One run: the library to preload, or "", the workload, its arguments.
check() {
	local lib=$1 name=$2 line wanted=${1:-/libc}
	shift 2
	line=$(LD_PRELOAD=$lib timeout 60 "./$name" -t 0.03 -i 0.01 -S 7 "$@" 2>&1) || fail "$name $* under ${lib:-libc}: $line"
	[[ $line =~ ${pattern/NAME/$name} ]] || fail "$name $* under ${lib:-libc} printed: $line"
	[[ $line == *lib=*"$wanted"* ]] || fail "$name $* did not run on ${lib:-libc}: $line"
}

# The share of frees that were remote has to be this, give or take.  Of fewer than 20000 it is too much a matter of chance: on a busy
# machine it takes longer to do as many.
check_remote() {
	local want=$1 line percent ops seconds
	shift
	for seconds in 0.1 1 10; do
		line=$(LD_PRELOAD=$HZ3_LIB timeout 60 "./$1" -t $seconds -i 0 "${@:2}")
		ops=${line#*ops=}
		ops=${ops%% *}
		[ "${ops:-0}" -lt 20000 ] || break
	done
	percent=${line#*remote_percent=}
	percent=${percent%%[. ]*}
	[ "$percent" -ge $((want - 2)) ] && [ "$percent" -le $((want + 2)) ] || fail "$*: $percent % remote, not $want: $line"
}

for lib in "" "$HZ3_LIB"; do
	for name in allremote churn fanin fanout freeonly frag mixed msgpass pipeline server xmalloc; do
		check "$lib" "$name"
	done
	check "$lib" msgpass -p ring -w 3
	check "$lib" msgpass -w 40
	check "$lib" xmalloc -s mixed -w 2 -r
	check "$lib" burst -m 8
	check "$lib" burst -m 8 -x 1 -r -l
	check "$lib" idleowner -m 2
	for pattern_of_local in pairs lifo fifo random realloc calloc aligned buffers large; do
		check "$lib" local -p $pattern_of_local -w 2
	done
	check "$lib" local -p random -s mixed -l
done

for name in xmalloc msgpass pipeline fanin fanout allremote freeonly; do
	check_remote 100 $name
done
check_remote 0 mixed -w 4 -r 0
check_remote 50 mixed -w 4 -r 50
check_remote 90 mixed -w 4 -r 90
check_remote 0 local -p random

# Bad options: the usage, and status 2.
for bad in "-w 0" "-w x" "-s 7" "-s 100-8" "-t -1" "-t nan" "-i x" "-S -1" "-Z" "word"; do
	# shellcheck disable=SC2086 # some are two words
	output=$(./xmalloc $bad 2>&1)
	[ $? = 2 ] && [[ $output == *"usage: xmalloc"* ]] || fail "xmalloc $bad: $output"
done
output=$(./local -t 0.01 -i 0 2>&1 >/dev/full)
[ $? = 2 ] && [[ $output == *"cannot write the results: No space left on device"* ]] || fail "a full disk: $output"

[ $failed = 1 ] || echo "all workloads run"
exit $failed
