#!/bin/bash
# hz3-config, the CMake package and the examples in C++ and Rust, with what make install left.

# shellcheck source=test/build/installed.sh
. "$(dirname "${BASH_SOURCE[0]}")/installed.sh"

config=$(find_one /bin/hz3-config)
version=$("$config" --version)
libdir=$("$config" --root="$root" --libdir)
[ -e "$libdir/libhz3.so" ] || {
	echo "SKIP: this build has no shared library"
	exit 77
}
examples=$(dirname "$(dirname "$(find_one /examples/cxx/pipeline.cc)")")

# The output of an example that ran on hz3: checked PROGRAM...
checked() {
	local out
	out=$(env LD_LIBRARY_PATH="$libdir" "$@") || fail "$1: status $?: $out"
	echo "$out"
	[[ $out == "hz3 $version: "* ]] || fail "$1: not hz3 $version"
	grep -q '^#define HZ3_STATS 0' "$HZ3_BUILDDIR/config.h" || [[ $out =~ \ ([0-9]+)\ remote\ frees ]] ||
		fail "$1: counts no remote frees"
	if ! grep -q '^#define HZ3_STATS 0' "$HZ3_BUILDDIR/config.h" && [ "${BASH_REMATCH[1]}" -lt 10000 ]; then
		fail "$1: the frees of its other thread were not hz3's"
	fi
}

# ---- hz3-config ----

expect() {
	local out
	out=$("$config" "${@:2}") || fail "hz3-config ${*:2}: status $?"
	[ "$out" = "$1" ] || fail "hz3-config ${*:2}: \"$out\" instead of \"$1\""
}

expect "$(sed -n 's/^#define HZ3_VERSION "\(.*\)"$/\1/p' "$HZ3_SRCDIR/include/hz3/hz3.h")" --version
expect "$HZ3_MALLOC_PREFIX" --malloc-prefix
[ "$("$config" --config | tr -d \')" = "$("$HZ3_BUILDDIR/config.status" --config | tr -d \')" ] || fail "hz3-config --config"
status=0
"$config" --no-such-option >/dev/null 2>"$work/err" || status=$?
[ $status = 2 ] && grep -q '^hz3-config: there is no option --no-such-option' "$work/err" || fail "hz3-config takes any option"

cat >"$work/version.c" <<'PROGRAM'
#include <hz3/hz3.h>
#include <string.h>

int
main(void)
{
	hz3_free(hz3_malloc(1));
	return strcmp(hz3_version(), HZ3_VERSION) != 0;
}
PROGRAM
read -ra cflags < <("$config" --root="$root" --cflags)
read -ra libs < <("$config" --root="$root" --libs)
$CC "${cflags[@]}" -o "$work/version" "$work/version.c" "${libs[@]}"
LD_LIBRARY_PATH=$libdir "$work/version" || fail "a program by hz3-config does not run"
if [ -e "$libdir/libhz3.a" ]; then
	read -ra libs < <("$config" --root="$root" --static --libs)
	$CC "${cflags[@]}" -o "$work/version" "$work/version.c" "${libs[@]}"
	"$work/version" || fail "a static program by hz3-config does not run"
fi
echo "hz3-config: programs compile and run"

# ---- C ----

read -ra libs < <("$config" --root="$root" --libs)
$CC -O2 "${cflags[@]}" -o "$work/requests" "$examples/c/requests.c" "${libs[@]}"
for how in "" huge "$work/memory"; do
	out=$(LD_LIBRARY_PATH=$libdir "$work/requests" ${how:+"$how"}) || fail "requests $how: status $?: $out"
	[[ $out == "1000 requests of 600 blocks in "* ]] || fail "requests $how: $out"
done
[ -s "$work/memory" ] || fail "requests: the file was not used"
echo "requests: three kinds of memory"

# ---- C++, by CMake where there is one ----

cxx=${CXX:-c++}
if [ -n "$HZ3_MALLOC_PREFIX" ]; then
	echo "(with a prefix the example frees few of hz3's blocks in another thread)"
elif command -v cmake >/dev/null && command -v "$cxx" >/dev/null; then
	# Nothing of hz3 that may be installed on this machine must stand in for ours.
	cmake -S "$examples/cxx" -B "$work/cxx" -DCMAKE_CXX_COMPILER="$cxx" \
		-Dhz3_DIR="$libdir/cmake/hz3" >"$work/log" 2>&1 && cmake --build "$work/cxx" >>"$work/log" 2>&1 || {
		cat "$work/log"
		fail "cmake"
	}
	checked "$work/cxx/pipeline"
	ldd "$work/cxx/pipeline" | grep -q libhz3.so || fail "hz3::hz3 is not the shared library"
	if [ -e "$libdir/libhz3.a" ]; then
		checked "$work/cxx/pipeline-static"
		! ldd "$work/cxx/pipeline-static" | grep -q libhz3.so || fail "hz3::static is not static"
	fi
	cat >"$work/cxx/CMakeLists.txt" <<-'CMAKE'
		cmake_minimum_required(VERSION 3.13)
		project(wrong C)
		find_package(hz3 99 REQUIRED)
	CMAKE
	! cmake -S "$work/cxx" -B "$work/wrong" -Dhz3_DIR="$libdir/cmake/hz3" >"$work/log" 2>&1 ||
		fail "CMake finds a version that is not there"
	grep -q 'requested version "99"' "$work/log" || fail "CMake complains of something else: $(cat "$work/log")"
elif command -v "$cxx" >/dev/null; then
	read -ra libs < <("$config" --root="$root" --libs)
	"$cxx" -std=c++17 -O2 "${cflags[@]}" -o "$work/pipeline" "$examples/cxx/pipeline.cc" "${libs[@]}" -pthread
	checked "$work/pipeline"
else
	echo "(there is no C++ compiler)"
fi

# ---- Rust: cargo where it can be used without a network, else its compiler ----

if ! command -v rustc >/dev/null || ! rustc --version >/dev/null 2>&1; then
	echo "(there is no rustc)"
elif command -v cargo >/dev/null && cargo --version >/dev/null 2>&1; then
	for static in 0 1; do
		[ $static = 0 ] || [ -e "$libdir/libhz3.a" ] || continue
		cp -a "$examples/rust" "$work/rust$static"
		(cd "$work/rust$static" && HZ3_CONFIG="$config --root=$root" HZ3_STATIC=$static \
			cargo build --offline --quiet) >"$work/log" 2>&1 || {
			cat "$work/log"
			fail "cargo build"
		}
		[ ! -s "$work/log" ] || { cat "$work/log"; fail "rustc warns"; }
		checked "$work/rust$static/target/debug/pipeline"
	done
else
	rustc --edition 2021 -O -L native="$libdir" -l dylib=hz3 --crate-type rlib --crate-name hz3 \
		-o "$work/libhz3.rlib" "$examples/rust/src/lib.rs"
	rustc --edition 2021 -O --extern hz3="$work/libhz3.rlib" -L native="$libdir" -o "$work/pipeline" \
		"$examples/rust/src/main.rs"
	checked "$work/pipeline"
fi
