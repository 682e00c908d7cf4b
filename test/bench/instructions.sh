#!/bin/bash
# bench/instructions counts right: a library of known length has that length, hz3's figures repeat, mistakes are told.
#
# Needs HZ3_SRCDIR, HZ3_BUILDDIR (with bench/calls and bench/local), HZ3_LIB and CC.

set -u

for program in valgrind python3; do
	command -v "$program" >/dev/null 2>&1 || {
		echo "SKIP: there is no $program"
		exit 77
	}
done
: "${CC:=cc}"
export LC_ALL=C HZ3_LIB HZ3_BENCH_DIR=$HZ3_BUILDDIR/bench
unset LD_PRELOAD HZ3_CONF HZ3_BENCH_TIMEOUT
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0

fail() {
	echo "FAIL: $*"
	cat out err
	failed=1
}

# run STATUS ARGUMENT...
run() {
	local want=$1 status=0
	shift
	"$HZ3_SRCDIR/bench/instructions" "$@" >out 2>err || status=$?
	[ "$status" = "$want" ] || fail "instructions $*: status $status, not $want"
}

# figure FILE ALLOCATOR PATTERN: the number, or null and why.
figure() {
	python3 - "$@" <<'END'
import json, sys
for r in json.load(open(sys.argv[1]))["results"]:
    if [r["allocator"], r["pattern"]] == sys.argv[2:]:
        print(r["instructions"] if r["instructions"] is not None else "null: " + r["detail"])
END
}

# same WHAT IS WANTED
same() {
	if [ "$2" = "$3" ]; then
		echo "ok: $1: $2"
	else
		fail "$1: $2, not $3"
	fi
}

# refuses MESSAGE ARGUMENT...: one line on standard error, status 2.
refuses() {
	local message=$1
	shift
	run 2 "$@"
	if [ "$(wc -l <err)" = 1 ] && grep -qF "instructions: $message" err; then
		echo "ok: instructions $*: $(cat err)"
	else
		fail "instructions $* should say: $message"
	fi
}

# ---- what is known beforehand ----
#
# malloc takes 2 + 2 * 50 + 1 + 6 = 109 instructions, free 2 + 2 * 20 + 1 + 1 = 44, each with a function below it.

check_known() {
	[ "$(uname -m)" = x86_64 ] || {
		echo "skipped: the library of known length is for x86_64"
		return
	}
	cat >known.c <<'END'
#include <stdlib.h>
#include <string.h>

__asm__(".bss\n.balign 64\n"
	"space: .skip 268435456\n"
	".data\n"
	"next: .quad space\n"
	".text\n"
	"spin: dec %ecx\n jnz spin\n ret\n"
	".globl malloc\n.type malloc, @function\n"
	"malloc: mov $50, %ecx\n call spin\n"
	" add $31, %rdi\n and $-16, %rdi\n mov next(%rip), %rax\n add %rax, %rdi\n mov %rdi, next(%rip)\n ret\n"
	".size malloc, . - malloc\n"
	".globl free\n.type free, @function\n"
	"free: mov $20, %ecx\n call spin\n ret\n"
	".size free, . - free\n");

/* Fresh memory is zero; a larger block may copy what stands behind the old one. */
void *calloc(size_t n, size_t size) { return malloc(n * size); }
void *realloc(void *old, size_t size)
{
	void *block = malloc(size);

	return old != NULL ? memcpy(block, old, size) : block;
}
END
	"$CC" -O2 -fPIC -shared -fno-builtin known.c -o libknown.so || fail "cannot build libknown.so"
	run 0 --quick --without glibc,jemalloc,mimalloc,tcmalloc,tbbmalloc,hz3 --alloc known="$work/libknown.so" \
		--output known.json
	same "known local-hot" "$(figure known.json known local-hot)" 153.0
	same "known local-random" "$(figure known.json known local-random)" 153.0
	same "known remote-push" "$(figure known.json known remote-push)" 44.0
	same "known owner-drain" "$(figure known.json known owner-drain)" 109.0
	same "known remote-both" "$(figure known.json known remote-both)" 153.0
	python3 - <<'END' || fail "known.json is not as it should be"
import json
d = json.load(open("known.json"))
assert list(d) == ["format", "command", "date", "allocators", "patterns", "results"], list(d)
assert d["format"] == "hz3-instructions-1"
assert [a["name"] for a in d["allocators"]] == ["known"]
assert all(list(a) == ["name", "lib", "version"] for a in d["allocators"])
assert d["allocators"][0]["lib"].endswith("/libknown.so")
assert all(list(p) == ["name", "title"] and p["title"] for p in d["patterns"]) and len(d["patterns"]) == 5
assert all(list(r) == ["allocator", "pattern", "instructions", "detail"] for r in d["results"])
assert len(d["results"]) == 5
END
}

# ---- hz3 ----

# A counter that depends on time or load would hardly give the same twice.
check_hz3() {
	local again
	for again in 1 2; do
		run 0 --quick --only hz3-page --output "hz3-$again.json" local-hot remote-both
		cp out "out-$again"
	done
	python3 - <<'END' || fail "hz3's figures are not what can be true"
import json
first, second = ({r["pattern"]: r["instructions"] for r in json.load(open(f"hz3-{n}.json"))["results"]} for n in (1, 2))
assert 20 < first["local-hot"] < 80, first
assert all(abs(first[p] - second[p]) < 0.1 for p in first), (first, second)
print("ok: hz3 twice:", first, second)
END
	grep -qE '^hz3-page +[0-9]+\.[0-9] +[0-9]+\.[0-9]$' out-1 || fail "the table has no line of hz3's"
}

# ---- results without a figure, and mistakes ----

check_bad_allocators() {
	# Good enough for the probe, which runs another program.
	cat >bad.c <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

extern char *program_invocation_short_name;
extern void *__libc_malloc(size_t);

void *malloc(size_t size)
{
	if (size == 64 && strcmp(program_invocation_short_name, "calls") == 0) {
#ifdef HANG
		for (;;)
			__asm__ volatile("");
#else
		abort();
#endif
	}
	return __libc_malloc(size);
}
END
	"$CC" -O2 -fPIC -shared bad.c -o libcrash.so || fail "cannot build libcrash.so"
	"$CC" -O2 -fPIC -shared -DHANG bad.c -o libhang.so || fail "cannot build libhang.so"
	run 0 --quick --only glibc --alloc crash="$work/libcrash.so" --output bad.json local-hot
	case $(figure bad.json crash local-hot) in
	"null: crash: SIGABRT"*) echo "ok: a crash is a result" ;;
	*) fail "crash: $(figure bad.json crash local-hot)" ;;
	esac
	same "and the others have figures" "$(figure bad.json glibc local-hot | grep -c '^[0-9]')" 1
	# On a busy machine the other may not end in so little time either, which is a result as well.
	HZ3_BENCH_TIMEOUT=2 run 0 --quick --only glibc --alloc hang="$work/libhang.so" --output hang.json local-hot
	same "a hang" "$(figure hang.json hang local-hot)" "null: timeout: it did not end in time"
	same "and the other has a result" "$(figure hang.json glibc local-hot | grep -cE '^[0-9]|^null: timeout:')" 1
}

check_mistakes() {
	refuses "there is no pattern local-cold; there are local-hot," local-cold
	refuses "there is no allocator hoard; there are glibc," --only hoard
	refuses "--alloc wants NAME=/path/lib.so, not x" --alloc x
	refuses "$work/none.so does not load: no such file" --only glibc --alloc "x=$work/none.so" local-hot
	echo "no library" >text.so
	refuses "$work/text.so does not load:" --only glibc --alloc "x=$work/text.so" local-hot
	refuses "unrecognized arguments: --slow" --slow
	refuses "cannot write $work/none/x.json:" --output "$work/none/x.json"
	check_without_valgrind
	if [ -w /dev/full ]; then
		refuses "cannot write /dev/full: No space left on device" --quick --only glibc --output /dev/full local-hot
	fi
}

check_without_valgrind() {
	local status=0
	PATH=$work/none "$HZ3_SRCDIR/bench/instructions" >out 2>err || status=$?
	same "without valgrind" "$status: $(<err)" "2: instructions: valgrind is not installed"
}

check_known
check_hz3
check_bad_allocators
check_mistakes
exit $failed
