#!/bin/bash
# configure refuses 32-bit systems, x32 included, and says why.

set -eu
command -v "${CC%% *}" >/dev/null || {
	echo "SKIP: there is no ${CC%% *}"
	exit 77
}
[ ! -e "$HZ3_SRCDIR/config.status" ] || {
	echo "SKIP: the source directory is configured"
	exit 77
}
work=$(mktemp -d "${TMPDIR:-/tmp}/hz3-refused.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
compiler=$CC
unset CC CXX CFLAGS MAKEFLAGS MFLAGS

tried=0
# refused HOST FLAG: a compiler that compiles for the other system, and links for this one, so that no libraries are needed.
refused() {
	local host=$1 flag=$2
	printf '#!/bin/sh\ncase " $* " in *" -c "*) exec %s %s "$@" ;; esac\nexec %s "$@"\n' "$compiler" "$flag" "$compiler" >cc
	chmod +x cc
	echo 'int i;' >probe.c
	if ! ./cc -c probe.c 2>/dev/null; then
		echo "not tried: $compiler knows no $flag"
		return
	fi
	tried=$((tried + 1))
	if "$HZ3_SRCDIR/configure" CC="$work/cc" ${host:+--host=$host} -q >out 2>&1; then
		echo "FAIL: configure accepts $flag"
		exit 1
	fi
	grep -E "^configure: error: hz3 needs a 64-bit system: pointers and long must have 64 bits" out || {
		echo "FAIL: configure with $flag does not say that hz3 needs a 64-bit system:"
		cat out
		exit 1
	}
}

refused "" -m32
refused x86_64-linux-gnux32 -mx32
refused "" -mabi=ilp32
[ $tried != 0 ] || {
	echo "SKIP: $compiler compiles for no 32-bit system"
	exit 77
}
