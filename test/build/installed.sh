# shellcheck shell=bash
#
# Sourced by tests of what make install leaves: an installation of this build below $root, in $work, which goes at exit.

set -eu

if [ -n "$HZ3_SANITIZER" ]; then
	echo "SKIP: programs outside the build do not link the sanitizer's library"
	exit 77
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/hz3-install.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root

unset MAKEFLAGS MFLAGS LD_PRELOAD

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

# A target of make with DESTDIR below $root.
make_in_root() {
	"$MAKE" -C "$HZ3_BUILDDIR" -s "$1" DESTDIR="$root" >"$work/$1.log" 2>&1 || {
		cat "$work/$1.log"
		fail "make $1"
	}
}

# The one installed file whose path ends so.
find_one() {
	local found
	found=$(find "$root" -path "*$1" -print -quit)
	[ -n "$found" ] || fail "make install did not install $1"
	echo "$found"
}

make_in_root install
