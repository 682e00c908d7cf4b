# shellcheck shell=bash
#
# Sourced by the scripts that build hz3 for another machine or libc and test it there: build_for CONFIGURE-ARGUMENTS, then
# run_tests "TESTS" MAKE-ARGUMENTS.  Everything is in $work, which goes at exit.
#
#   HZ3_SYSTEMS=long   $all instead of what shows most in little time
#   HZ3_STRESS=long    the stress tests in their long forms, which take hours under an emulator

set -eu
[ -z "$HZ3_SANITIZER" ] || {
	echo "SKIP: nothing new with a sanitizer, which other systems may not have"
	exit 77
}
[ ! -e "$HZ3_SRCDIR/config.status" ] || {
	echo "SKIP: the source directory is configured, so that nothing can be built beside it"
	exit 77
}
make=$MAKE
unset MAKEFLAGS MFLAGS MAKELEVEL MAKE CC CXX CFLAGS CXXFLAGS CPPFLAGS LDFLAGS HZ3_CONF
work=$(mktemp -d "${TMPDIR:-/tmp}/hz3-system.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0

api="calloc control family main_exits misuse realloc semantics usable_size"
stress="core_storm exit_pending fork_storm free_only huge_realloc remote_storm switch_sink thread_churn"
with() {
	local directory=$1 name
	shift
	for name; do
		printf 'test/%s/%s ' "$directory" "$name"
	done
}
# shellcheck disable=SC2086,SC2034
all=$(with api alignment $api; with stress $stress)
is_long() {
	[ "${HZ3_SYSTEMS:-}" = long ]
}

build_for() {
	if ! (cd "$work" && "$HZ3_SRCDIR/configure" --disable-static --enable-werror --enable-s121 -q "$@" &&
		"$make" -s -j2 libhz3.la) >"$work/log" 2>&1; then
		tail -n 30 "$work/log"
		echo "FAIL: hz3 does not build with $*"
		exit 1
	fi
	echo "hz3 builds with $*"
}

# Prints what each test said of itself; $failed is 1 afterwards if one failed.
run_tests() {
	local tests=$1 test result
	shift
	# Without the lists of programs, make builds only those that it runs.
	"$make" -C "$work" -s -k check-TESTS check_PROGRAMS= check_LTLIBRARIES= TESTS="$tests" "$@" \
		>"$work/log" 2>&1 || failed=1
	for test in $tests; do
		result=$(sed -n 's/^:test-result: //p' "$work/$test.trs" 2>/dev/null || :)
		echo "${result:-not built}: $test $*"
		case $result in
		PASS) ;;
		SKIP) head -n 1 "$work/$test.log" ;;
		*)
			failed=1
			tail -n 30 "$work/$test.log" 2>/dev/null || tail -n 30 "$work/log"
			;;
		esac
		rm -f "$work/$test.trs"
	done
}
