#!/bin/bash
# hz3 builds for aarch64, and its API and stress tests pass there under qemu, with pages of 4, 16 and 64 KiB.

for program in aarch64-linux-gnu-gcc qemu-aarch64; do
	command -v $program >/dev/null || {
		echo "SKIP: there is no $program"
		exit 77
	}
done
root=/usr/aarch64-linux-gnu
[ -e $root/lib/ld-linux-aarch64.so.1 ] || {
	echo "SKIP: there is no C library for aarch64 in $root"
	exit 77
}
# shellcheck source=test/build/other_system.sh
. "$(dirname "${BASH_SOURCE[0]}")/other_system.sh"

build_for --host=aarch64-linux-gnu CC=aarch64-linux-gnu-gcc CXX=false

# The emulator has to have pages of the size that is asked for, or nothing is tested.
emulator() {
	echo "qemu-aarch64 -p $1 -L $root"
}
cat >"$work/page.c" <<'PROGRAM'
#include <unistd.h>
int main(int argc, char **argv) { return sysconf(_SC_PAGESIZE) >> 12 != argv[argc - 1][0] - '0'; }
PROGRAM
aarch64-linux-gnu-gcc -o "$work/page" "$work/page.c"

for size in 4096 16384 65536; do
	# 1, 4 and 16 units: '0' + 16 is '@'.
	case $size in
	4096) sign=1 ;;
	16384) sign=4 ;;
	65536) sign=@ ;;
	esac
	$(emulator $size) "$work/page" $sign || {
		echo "not tried: $(emulator $size) does not have such pages"
		[ $size != 4096 ] || failed=1
		continue
	}
	if is_long; then
		run_tests "$all" HZ3_EMULATOR="$(emulator $size)"
	elif [ $size = 4096 ]; then
		run_tests "$(with api control family semantics usable_size; with stress core_storm)" HZ3_EMULATOR="$(emulator $size)"
	else
		run_tests "$(with api control semantics; with stress huge_realloc)" HZ3_EMULATOR="$(emulator $size)"
	fi
done
exit $failed
