#!/bin/bash
# make install puts everything in its place, and programs can be built against what it installed.

set -eu

if [ -n "$HZ3_SANITIZER" ]; then
	echo "SKIP: programs outside the build do not link the sanitizer's library"
	exit 77
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/hz3-install.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root

unset MAKEFLAGS MFLAGS
"$MAKE" -C "$HZ3_BUILDDIR" -s install DESTDIR="$root" >"$work/install.log" 2>&1 || {
	cat "$work/install.log"
	exit 1
}

find_one() {
	local found
	found=$(find "$root" -path "*$1" -print -quit)
	if [ -z "$found" ]; then
		echo "FAIL: make install did not install $1" >&2
		exit 1
	fi
	echo "$found"
}

header=$(find_one /hz3/hz3.h)
pc=$(find_one /pkgconfig/hz3.pc)
find_one /man3/hz3.3 >/dev/null
for file in README.md LICENSE NEWS architecture.md concurrency.md experiments.md; do
	find_one "/$file" >/dev/null
done

version=$(sed -n 's/^Version: //p' "$pc")
grep -q "^#define HZ3_VERSION \"$version\"\$" "$header"
numbers=$(sed -n 's/^#define HZ3_VERSION_\(MAJOR\|MINOR\|PATCH\) //p' "$header" | paste -sd.)
if [ "$numbers" != "$version" ]; then
	echo "FAIL: HZ3_VERSION_MAJOR, MINOR and PATCH in hz3.h say $numbers, HZ3_VERSION says $version"
	exit 1
fi

cat >"$work/program.c" <<'PROGRAM'
#include <hz3/hz3.h>
#include <stdlib.h>
#include <string.h>

/* Exit status 0 if the library is of the header's version, and free knows a block of hz3_malloc or has a prefix. */
int
main(void)
{
	void *p = hz3_malloc(100);

	if (p == NULL || strcmp(hz3_version(), HZ3_VERSION) != 0)
		return 1;
#ifdef OVERRIDES
	free(p);
	p = malloc(1000);
	if (p == NULL || hz3_malloc_usable_size(p) != hz3_good_size(1000))
		return 2;
#endif
	hz3_free(p);
	return 0;
}
PROGRAM

# hz3.pc is put to the test only when pkg-config is there.
flags=("-I$(dirname "$(dirname "$header")")")
libs=()
if command -v pkg-config >/dev/null; then
	export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
	PKG_CONFIG_PATH=$(dirname "$pc")
	PKG_CONFIG_SYSROOT_DIR=$root
	read -ra flags < <(pkg-config --cflags hz3)
	read -ra libs < <(pkg-config --libs hz3)
fi
if [ -z "$HZ3_MALLOC_PREFIX" ]; then
	flags+=(-DOVERRIDES -fno-builtin)
fi

shared=$(find "$root" -name libhz3.so -print -quit)
static=$(find "$root" -name libhz3.a -print -quit)
if [ -z "$shared$static" ]; then
	echo "FAIL: make install installed no library"
	exit 1
fi
if [ -n "$shared" ]; then
	$CC -o "$work/with-shared" "$work/program.c" "${flags[@]}" "${libs[@]:-$shared}"
	LD_LIBRARY_PATH=$(dirname "$shared") "$work/with-shared"
	echo "a program with libhz3.so runs"
fi
if [ -n "$static" ]; then
	$CC -o "$work/with-static" "$work/program.c" "${flags[@]}" -pthread "$static" -ldl
	"$work/with-static"
	echo "a program with libhz3.a runs"
	# The objects are position independent: they can become part of another shared library.
	$CC -shared -o "$work/with-static.so" -Wl,--whole-archive "$static" -Wl,--no-whole-archive -pthread -ldl
	echo "a shared library with libhz3.a links"
fi
