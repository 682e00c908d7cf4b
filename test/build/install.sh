#!/bin/bash
# make install puts everything in its place, programs can be built against it, and make uninstall takes it all away.

# shellcheck source=test/build/installed.sh
. "$(dirname "${BASH_SOURCE[0]}")/installed.sh"

header=$(find_one /hz3/hz3.h)
pc=$(find_one /pkgconfig/hz3.pc)
for page in man3/hz3.3 man1/hz3run.1 man1/hz3-config.1 man1/hz3-report.1 man1/hz3top.1; do
	find_one "/$page" >/dev/null
done
for tool in hz3run hz3-config hz3-report hz3top; do
	find_one "/bin/$tool" >/dev/null
	find_one "/bash-completion/completions/$tool" >/dev/null
done
for file in README.md LICENSE NEWS architecture.md concurrency.md experiments.md; do
	find_one "/$file" >/dev/null
done

version=$(sed -n 's/^Version: //p' "$pc")
grep -q "^#define HZ3_VERSION \"$version\"\$" "$header"
numbers=$(sed -n 's/^#define HZ3_VERSION_\(MAJOR\|MINOR\|PATCH\) //p' "$header" | paste -sd.)
[ "$numbers" = "$version" ] || fail "HZ3_VERSION_MAJOR, MINOR and PATCH in hz3.h say $numbers, HZ3_VERSION says $version"

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
[ -n "$shared$static" ] || fail "make install installed no library"
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

# The preloader finds the library beside itself, wherever the tree was put.
if [ -n "$shared" ] && [ -z "$HZ3_MALLOC_PREFIX" ]; then
	hz3run=$(find_one /bin/hz3run)
	"$hz3run" cat /proc/self/maps | grep -F -- "$root" >/dev/null || fail "the installed hz3run does not preload the installed library"
	mkdir "$work/elsewhere"
	cp -a "$root/." "$work/elsewhere/"
	"$work/elsewhere/${hz3run#"$root"}" cat /proc/self/maps | grep -F -- "$work/elsewhere" >/dev/null ||
		fail "a copied hz3run does not preload the library of the copy"
	mv "$shared" "$shared.away"
	"$hz3run" --verify true 2>"$work/log" || fail "hz3run needs the link that only linkers need: $(cat "$work/log")"
	mv "$shared.away" "$shared"
	echo "hz3run preloads what was installed with it"
fi

# It finds its modules there, too.
if python3 -c 'import argparse, html, json' 2>/dev/null; then
	echo '{"hz3_stats_version": 1}' >"$work/run.json"
	python3 "$(find_one /bin/hz3-report)" "$work/run.json" >/dev/null && [ -s "$work/run.html" ] || fail "the installed hz3-report"
fi

# No file, and below the prefix no directory that is nobody else's.  (Shared ones, such as bin, may not be ours to take away.)
prefix=$(dirname "$(dirname "$(find_one /bin/hz3run)")")
make_in_root uninstall
left=$(find "$root" ! -type d && find "$prefix" -mindepth 1 -type d -iname '*hz3*')
[ -z "$left" ] || fail "make uninstall leaves $left"
echo "make uninstall leaves nothing"
