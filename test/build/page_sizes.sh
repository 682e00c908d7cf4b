#!/bin/bash
# With a system page of 16 and of 64 KiB, pretended by test/pages/pages.c, hz3 passes its tests, and hands no address or
# length to the system that such a system would refuse.
#
#   HZ3_SYSTEMS=long   all unit, API and stress tests
#   HZ3_STRESS=long    the stress tests in their long forms

set -u
[ -z "$HZ3_SANITIZER$HZ3_MALLOC_PREFIX" ] || {
	echo "SKIP: hz3 can't be preloaded in this build"
	exit 77
}
echo '#include <features.h>' | ${CC} -E -dM -x c - 2>/dev/null | grep -q '#define __GLIBC__' || {
	echo "SKIP: only on glibc"
	exit 77
}
cd "$HZ3_BUILDDIR" || exit 1

if [ "${HZ3_SYSTEMS:-}" = long ]; then
	tests=(test/unit/check_* test/api/* test/stress/*)
else
	tests=(test/unit/check_{arena,heap,large,os,page_map,thread} test/api/{control,misuse,realloc,semantics,usable_size}
		test/stress/{core_storm,huge_realloc})
fi

failed=0
ran=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for HZ3_TEST_PAGE_SIZE in 16384 65536; do
	export HZ3_TEST_PAGE_SIZE
	for test in "${tests[@]}"; do
		[ -f "$test" ] && [ -x "$test" ] || continue
		# It compares with what the kernel counts in pages, which are its own.
		[ "$test" != test/unit/check_waterfall ] || continue
		sh "$HZ3_SRCDIR/test/runner" "$test" >"$log" 2>&1
		status=$?
		echo "status $status: $test with pages of $HZ3_TEST_PAGE_SIZE bytes"
		case $status in
		0) ran=$((ran + 1)) ;;
		77) ;;
		*)
			failed=1
			tail -n 20 "$log"
			;;
		esac
	done
done
[ $ran -ge 10 ] || {
	echo "FAIL: only $ran tests could be run"
	failed=1
}
exit $failed
