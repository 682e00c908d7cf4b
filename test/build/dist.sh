#!/bin/bash
# What make dist packs builds, runs and installs where there are none of autoconf's tools.  Long form only: it is a whole build.

set -eu

[ "${HZ3_STRESS:-}" = long ] || {
	echo "SKIP: HZ3_STRESS=long builds what make dist packs"
	exit 77
}
[ -z "$HZ3_SANITIZER" ] || {
	echo "SKIP: a sanitizer has nothing to do with it"
	exit 77
}

work=$(mktemp -d "${TMPDIR:-/tmp}/hz3-dist.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
unset MAKEFLAGS MFLAGS CONFIG_SITE LD_PRELOAD

fail() {
	echo "FAIL: $*"
	exit 1
}

quietly() {
	"$@" >"$work/log" 2>&1 || {
		tail -n 30 "$work/log"
		fail "$*"
	}
}

# They come first in PATH, and whoever calls them is found out.
mkdir "$work/bin"
for tool in autoconf autoheader autom4te automake aclocal autoreconf libtoolize m4 git; do
	printf '#!/bin/sh\necho "%s $*" >>"%s"\nexit 99\n' $tool "$work/called" >"$work/bin/$tool"
	chmod +x "$work/bin/$tool"
done

quietly "$MAKE" -C "$HZ3_BUILDDIR" distdir distdir="$work/hz3"
# As from a tar file that somebody else has unpacked.
chmod -R a-w "$work/hz3"
chmod u+w "$work/hz3"
mkdir "$work/build"
cd "$work/build"
export PATH="$work/bin:$PATH"
quietly ../hz3/configure --prefix="$work/usr" --enable-werror CC="$CC"
quietly "$MAKE"
quietly "$MAKE" install
[ ! -e "$work/called" ] || fail "the build calls $(cat "$work/called")"
"$work/usr/bin/hz3run" --verify cat /proc/self/maps >"$work/maps" || fail "what was installed does not run"
grep -qF "$work/usr/lib" "$work/maps" || fail "what was installed is not what runs"
quietly "$MAKE" check TESTS="test/build/lists.sh test/build/symbols.sh test/build/abi.sh test/api/semantics test/unit/check_options"
! grep -E '^# (FAIL|ERROR|SKIP): *[1-9]' "$work/log" || fail "tests fail in what make dist packs"
grep '^# PASS' "$work/log"
