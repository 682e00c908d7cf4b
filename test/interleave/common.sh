# What protocols.sh and negative.sh share: how a test of the interleaver is built.  Sourced, with the environment of test/runner.

here=$HZ3_SRCDIR/test/interleave
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The compiler alone, without a wrapper's flags for sanitizers: plain accesses are watched by the interleaver itself.
compile() {
	# shellcheck disable=SC2086
	${CC:-cc} -std=gnu11 -g -D_GNU_SOURCE "$@"
}

# The scheduler, once.
build_interleaver() {
	compile -O2 -Wall -Wextra -I"$here" -c "$here/interleave.c" -o "$work/interleave.o"
}

# What may be broken, copied to a directory.  A lock that spins for long has too many orders.
copy_sources() {
	mkdir "$1" && cp "$here"/*.[ch] "$HZ3_SRCDIR"/src/{atomic,block,page_remote,owner,heap,lock,seqlock}.h "$1" &&
		sed 's/^#define SPINS 100$/#define SPINS 1/' "$HZ3_SRCDIR/src/lock.c" >"$1/lock.c" &&
		! cmp -s "$HZ3_SRCDIR/src/lock.c" "$1/lock.c"
}

# build PROGRAM DIRECTORY FLAGS...: $work/PROGRAM, of the sources in that directory before those of the tree.
build() {
	local program=$1 sources=$2
	shift 2
	compile "$@" -fsanitize=thread '-DHZ3_ATOMIC_HOOKS="hooks.h"' -I"$sources" -I"$HZ3_SRCDIR/src" -I"$HZ3_SRCDIR/include" \
		-I"$here" -I"$HZ3_BUILDDIR" -c "$sources/$program.c" -o "$work/$program.o" &&
		compile "$work/$program.o" "$work/interleave.o" -o "$work/$program"
}

# Fibers that jump need the C library's plain longjmp; accesses to plain memory need the compiler's instrumentation.
can_build() {
	echo 'int x; int main(void) { return x; }' >"$work/try.c"
	compile -fsanitize=thread -c "$work/try.c" -o "$work/try.o" 2>/dev/null || {
		echo "SKIP: $CC has no -fsanitize=thread"
		exit 77
	}
}
