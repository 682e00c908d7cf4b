#!/bin/bash
# The shadow oracle notices a malloc that is broken, says in one line what is wrong, and complains of none that works.
#
# libbroken.so (test/bench/broken.c) hands out live blocks again, damages them, forgets to zero, and so on.  What the
# oracle says must fit, and the command that it prints must show the same again.

set -u

lib=${BROKEN_LIB:-$HZ3_BUILDDIR/test/bench/.libs/libbroken.so}
seed=${HZ3_FUZZ_SEED:-$RANDOM}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
unset HZ3_CONF HZ3_FUZZ_SECONDS

# run TARGET FAULT: the output is left in $work/out.
run() {
	timeout 110 env BROKEN="$2" LD_PRELOAD="$lib" "$HZ3_BUILDDIR/test/fuzz/$1" -t "$3" -s "$seed" >"$work/out" 2>&1
}

fail() {
	echo "FAIL: $*"
	cat "$work/out"
	failed=1
}

# notices TARGET FAULT PATTERN: status 1 and one line with the pattern
notices() {
	local status=0
	run "$1" "$2" 20 || status=$?
	if [ "$status" != 1 ] || [ "$(wc -l <"$work/out")" != 1 ] || ! grep -qE "^$1: .*$3.*; to repeat: " "$work/out"; then
		fail "$1 with BROKEN=$2, seed $seed: status $status"
		return
	fi
	echo "ok: BROKEN=$2: $(cut -c1-100 "$work/out")"
}

# Again by the command in the line, which ops promises; then smaller, and again from the file.
repeats() {
	local line again
	line=$(cat "$work/out")
	again=$(timeout 110 bash -c "${line#*; to repeat: }" 2>&1)
	[ "${again%%;*}" = "${line%%;*}" ] || fail "what is said to repeat it gives: $again"
	timeout 100 bash -c "${line#*; to repeat: } -m $work/small" >"$work/minimized" 2>&1
	grep -q "records are left" "$work/minimized" || fail "it was not made smaller: $(cat "$work/minimized")"
	again=$(timeout 110 bash -c "${line#*; to repeat: } $work/small" 2>&1)
	[[ $again == ops:* ]] || fail "what is left does not fail: $again"
	echo "ok: repeated, and $(tail -n 1 "$work/minimized" | grep -o '[0-9]* of [0-9]* records')"
}

for target in ops threads; do
	run $target none 1 || fail "$target with BROKEN=none, seed $seed: status $?"
	notices $target overlap 'overlap|, not |usable'
	notices $target shift 'overlap|, not |not aligned'
	notices $target lose ', not '
	notices $target misalign 'not aligned|aligned to [0-9]+ gives'
	notices $target small 'usable'
	notices $target cut ', not '
	notices $target dirty 'calloc: block '
	notices $target refuse 'NULL, and errno|no memory'
	notices $target errno 'free.* errno'
	[ $target = threads ] || repeats
done
exit $failed
