#!/bin/bash
# The protocols between threads, as they stand in the headers of src/, in all orders of their steps and on weak memory.
#
# HZ3_STRESS=long: also the large programs in all orders, and more random runs.  HZ3_STRESS_SEED=N: the first seed of those.

set -u
. "$HZ3_SRCDIR/test/interleave/common.sh"

options=(-r 2000 -s "${HZ3_STRESS_SEED:-1}")
[ "${HZ3_STRESS:-}" != long ] || options=(-l -r 100000 -s "${HZ3_STRESS_SEED:-1}")

can_build
build_interleaver || exit 1
failed=0
copy_sources "$work/sources" || exit 1
for program in stash queue handover exit borrow mutex seqlock; do
	build "$program" "$work/sources" -O1 -Wall -Wextra || exit 1
	"$work/$program" "${options[@]}" || failed=1
done
exit $failed
