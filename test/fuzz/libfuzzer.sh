#!/bin/bash
# The fuzz targets under clang's libFuzzer, which learns from the code that a case reaches, with its address sanitizer.
#
#   test/fuzz/libfuzzer.sh          build, then each for HZ3_FUZZ_SECONDS (60), the operations a third of that per sink
#   test/fuzz/libfuzzer.sh build    build only (make fuzzers): test/fuzz/libfuzzer-TARGET in the build directory
#
# What it has learned stays in test/fuzz/corpus/ for the next time.  A case that fails is in a file whose name is printed;
# libfuzzer-TARGET FILE runs it again.  CLANG names the compiler.

set -u
cd "$HZ3_BUILDDIR" || exit 1
seconds=${HZ3_FUZZ_SECONDS:-60}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

skip() {
	echo "SKIP: $*"
	exit 77
}

# One that has libFuzzer, which comes in a package of its own.
find_clang() {
	local clang
	echo 'int LLVMFuzzerTestOneInput(const char *data, unsigned long size) { return data == 0 && size == 0; }' >"$work/try.c"
	for clang in ${CLANG:-clang clang-{22..14}}; do
		command -v "$clang" >/dev/null || continue
		"$clang" -fsanitize=fuzzer,address,undefined "$work/try.c" -o "$work/try" 2>/dev/null && echo "$clang" && return
	done
	return 1
}

build() {
	local sources=("$HZ3_SRCDIR"/src/[!o]*.c "$HZ3_SRCDIR"/src/o[!v]*.c)	# all but override.c
	mkdir -p test/fuzz
	"$clang" -std=gnu11 -g -O1 -pthread -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		-DFUZZ_LIBFUZZER -DSTRESS_CORE -I. -I"$HZ3_SRCDIR/src" -I"$HZ3_SRCDIR/include" -Wno-everything \
		"${sources[@]}" "$HZ3_SRCDIR/test/fuzz/$1.c" -o "test/fuzz/libfuzzer-$1" || exit 1
	echo "built test/fuzz/libfuzzer-$1"
}

# run TARGET BYTES SECONDS [OPTION]
run() {
	local target=$1 bytes=$2 time=$3
	shift 3
	mkdir -p "test/fuzz/corpus/$target"
	"test/fuzz/libfuzzer-$target" -max_total_time="$time" -max_len="$bytes" -timeout=60 -rss_limit_mb=8192 -detect_leaks=0 \
		-artifact_prefix="test/fuzz/$target-" "$@" "test/fuzz/corpus/$target" >"$work/log" 2>&1 || {
		echo "FAIL: $target, HZ3_CONF=${HZ3_CONF:-}"
		tail -n 60 "$work/log"
		exit 1
	}
	echo "ok: $target, HZ3_CONF=${HZ3_CONF:-}: $(tail -n 1 "$work/log")"
}

clang=$(find_clang) || skip "no clang with libFuzzer (in Debian: clang and libclang-rt-14-dev)"
for target in ops control options; do
	build $target
done
[ "${1:-}" != build ] || exit 0

sed -n 's/^OPTION(\([a-z0-9_]*\),.*/"\1:"/p' "$HZ3_SRCDIR/src/options.def" >"$work/options"
run options 2048 "$seconds" -dict="$work/options"
run control 6400 "$seconds"
for sink in central page auto; do
	HZ3_CONF=sink:$sink run ops 24000 $((seconds / 3 + 1))
done
