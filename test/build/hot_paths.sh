#!/bin/bash
# malloc and free, when nothing special happens, are the instructions of hot_paths.txt: no frame, no call, no locked instruction.
# The same compiler must give the same listing; another one may need a few instructions more.
#
# After a change that is meant:  HZ3_TEST_UPDATE=yes make check TESTS=test/build/hot_paths.sh

set -eu
listing=$HZ3_SRCDIR/test/build/hot_paths.txt
spare=4

skip() {
	echo "SKIP: $1"
	exit 77
}

command -v objdump >/dev/null || skip "needs objdump"
[ "$(uname -m)" = x86_64 ] || skip "the listing is of x86-64"
[ -z "$HZ3_SANITIZER$HZ3_MALLOC_PREFIX" ] || skip "a sanitizer or a prefix changes the paths"
grep -q '^#define HZ3_DEBUG 0' "$HZ3_BUILDDIR/config.h" || skip "debug builds check more"
grep -q '^#define HZ3_CHAOS 0' "$HZ3_BUILDDIR/config.h" || skip "chaos builds do more"
grep -q '^#define HZ3_STATS_SHARED 0' "$HZ3_BUILDDIR/config.h" || skip "shared statistics count more"
grep -qE '^CFLAGS =.*-O2' "$HZ3_BUILDDIR/Makefile" || skip "not built with -O2"
grep -qE -- '-ftls-model=initial-exec' "$HZ3_BUILDDIR/Makefile" || skip "not built with initial-exec TLS"
[ -e "$HZ3_LIB" ] || skip "needs $HZ3_LIB"

# From the entry of a function to its first return, addresses and padding left out.
hot_path() {
	objdump -d --no-show-raw-insn "$HZ3_LIB" | awk -v name="<$1>:" '
		$2 == name { inside = 1; next }
		inside && NF > 1 {
			sub(/^[^\t]*\t/, ""); sub(/ *[#<].*/, ""); sub(/ +$/, "")
			if ($1 ~ /^j/) $2 = "..."
			sub(/0x[0-9a-f]+\(%rip\)/, "...(%rip)")
			gsub(/ +/, " ")
			print
			if ($1 ~ /^ret/) exit
		}'
}

compiler() {
	"${CC%% *}" --version | head -n 1
}

all() {
	echo "# $(compiler)"
	for function in malloc free; do
		echo "$function:"
		hot_path $function
	done
}

if [ "${HZ3_TEST_UPDATE:-}" = yes ]; then
	all >"$listing"
fi

status=0
if [ "$(all | head -n 1)" = "$(head -n 1 "$listing")" ]; then
	diff "$listing" <(all) || status=1
fi
for function in malloc free; do
	path=$(hot_path $function)
	count=$(wc -l <<<"$path")
	known=$(awk -v name="$function:" '/:$/ { inside = $0 == name; next } inside { n++ } END { print n }' "$listing")
	echo "$function: $count instructions, $known in the listing"
	if ((count == 0 || count > known + spare)); then
		echo "FAIL: $function has $count instructions on its hot path"
		status=1
	fi
	if grep -E '^(call|push|pop|lock|xchg|mfence)|rsp' <<<"$path"; then
		echo "FAIL: $function has a frame, a call or a locked instruction on its hot path"
		status=1
	fi
done
[ $status = 0 ] || echo "FAIL: < is the listing, > is $HZ3_LIB; if that is meant: HZ3_TEST_UPDATE=yes"
exit $status
