#!/bin/bash
# hz3 itself runs without an error under valgrind's memcheck: API tests with it preloaded, which valgrind is told to leave
# alone (otherwise it puts its own malloc in the place of any), and unit tests, whose malloc valgrind knows.
#
#   HZ3_VALGRIND=long    all of them (make check-valgrind), each with a limit of HZ3_VALGRIND_LIMIT seconds (600)
#
# Not helgrind and drd: they don't know C11's atomic operations and take each for a race.  Races are ThreadSanitizer's.

set -u
command -v valgrind >/dev/null || {
	echo "SKIP: there is no valgrind"
	exit 77
}
[ -z "$HZ3_SANITIZER$HZ3_MALLOC_PREFIX" ] || {
	echo "SKIP: not with a sanitizer or a prefix"
	exit 77
}
cd "$HZ3_BUILDDIR" || exit 1
limit=${HZ3_VALGRIND_LIMIT:-600}
work=$(mktemp -d "${TMPDIR:-/tmp}/hz3-valgrind.XXXXXX")
trap 'rm -rf "$work"' EXIT
unset HZ3_CONF

# What check_os, and libunwind, ask the system on purpose: whether memory is accessible.
cat >"$work/suppressions" <<'SUPPRESSIONS'
{
   readable?
   Memcheck:Param
   write(buf)
   ...
   fun:can_read
}
{
   writable?
   Memcheck:Param
   read(buf)
   ...
   fun:can_write
}
{
   unwinding
   Memcheck:Param
   write(buf)
   ...
   obj:*/libunwind*
}
SUPPRESSIONS

# Threads take fair turns: else one that spins keeps all others waiting.  Origins cost half of the time.
origins=no
memcheck() {
	timeout -k 5 "$limit" valgrind -q --tool=memcheck --error-exitcode=99 --leak-check=no --track-origins=$origins --vgdb=no \
		--fair-sched=try --trace-children=yes --num-callers=20 --suppressions="$work/suppressions" --log-file="$work/%p.log" "$@"
}
preloaded() {
	# The variable is for the program: valgrind, which is a program too, hands it on.
	LD_PRELOAD=$HZ3_LIB memcheck --soname-synonyms=somalloc=nouserintercepts "$@"
}

# Under valgrind the program must really have hz3, or nothing is tested.
cat >"$work/probe.c" <<'PROGRAM'
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* Status 0: malloc is hz3's.  With an argument, a value that depends on what nobody wrote: status 99 by memcheck. */
int
main(int argc, char **argv)
{
	volatile char unwritten[16];
	size_t (*usable)(const void *) = (size_t(*)(const void *))dlsym(RTLD_DEFAULT, "hz3_malloc_usable_size");
	void *p = malloc(100);

	if (argc > 1 && unwritten[argc] == 77)
		return 3;
	return usable == NULL || usable(p) < 100 || argv[0] == NULL;
}
PROGRAM
$CC -O0 -w -o "$work/probe" "$work/probe.c" -ldl || exit 1
preloaded "$work/probe" || {
	echo "FAIL: under valgrind malloc is not hz3's: status $?"
	cat "$work"/*.log
	exit 1
}
preloaded "$work/probe" wrong
[ $? = 99 ] || {
	echo "FAIL: memcheck does not see a read of what nobody wrote"
	exit 1
}

if [ "${HZ3_VALGRIND:-}" = long ]; then
	tests=(test/api/* test/unit/check_*)
else
	tests=(test/api/{control,semantics})
fi

# Why a test is of no use here; nothing: it is.
why_not() {
	case $1 in
	*/new_delete | */replaced_operators | */late_runtime) echo "valgrind puts its own operator new everywhere, whatever it is told" ;;
	*/check_waterfall) echo "it adds up to the resident memory, of which most is valgrind's own" ;;
	*/misuse) echo "memcheck stops or reports what hz3 is to stop" ;;
	esac
}

run() {
	rm -f "$work"/*.log
	case $1 in
	test/api/*) HZ3_EMULATOR=valgrind preloaded "$1" >"$work/out" 2>&1 ;;
	*) CK_DEFAULT_TIMEOUT=$limit memcheck "$1" >"$work/out" 2>&1 ;;
	esac
}

has_errors() {
	cat "$work"/*.log >"$work/errors" 2>/dev/null
	grep -qE '^==[0-9]+== (Conditional jump|Use of uninit|Invalid|Syscall param|Source and dest|Jump to the)' "$work/errors"
}

failed=0
ran=0
for test in "${tests[@]}"; do
	[ -f "$test" ] && [ -x "$test" ] || continue
	why=$(why_not "$test")
	[ -z "$why" ] || {
		echo "not tried: $test: $why"
		continue
	}
	started=$SECONDS
	run "$test"
	status=$?
	echo "status $status: $test, $((SECONDS - started)) s"
	case $status in
	77) tail -n 1 "$work/out" ;;
	0) ran=$((ran + 1)) ;;
	*)
		failed=1
		[ $status != 124 ] || echo "FAIL: $test takes more than $limit s"
		tail -n 15 "$work/out"
		;;
	esac
	if has_errors; then
		echo "FAIL: $test: memcheck says"
		origins=yes
		run "$test"
		origins=no
		has_errors || echo "the second time, with origins, nothing; the first time something"
		head -n 40 "$work/errors"
		failed=1
	fi
done
[ $ran != 0 ] || {
	echo "FAIL: no test could be run"
	failed=1
}
echo "$ran tests without an error"
exit $failed
