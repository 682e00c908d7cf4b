#!/bin/bash
# Under qemu-user, which has its own idea of mmap, madvise and membarrier: blocks are whole, calloc gives zeroes.

set -eu
emulator=qemu-$(uname -m)

skip() {
	echo "SKIP: $*"
	exit 77
}

command -v "$emulator" >/dev/null || skip "there is no $emulator (package qemu-user)"

# emulated PROGRAM: with hz3 preloaded, by the dynamic linker that is emulated as well.
emulated() {
	local program=$HZ3_BUILDDIR/$1
	# libtool may have put a script there.
	[ ! -x "$HZ3_BUILDDIR/${1%/*}/.libs/${1##*/}" ] || program=$HZ3_BUILDDIR/${1%/*}/.libs/${1##*/}
	env -u LD_PRELOAD "$emulator" -E LD_PRELOAD="$HZ3_LIB" "$program"
	echo "$1: the same"
}

emulated test/api/calloc
[ "${HZ3_STRESS:-}" != long ] || emulated test/api/semantics
HZ3_FAULT_CASE=stale emulated test/faults/stale
