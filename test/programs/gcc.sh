#!/bin/bash
# The C compiler makes the same object files of hz3's own sources, and the same complaints about bad ones.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
read -ra cc <<<"$CC"
need "${cc[0]}"
sinks=default

flags=(-std=gnu11 -pthread -fPIC -I"$HZ3_SRCDIR/include" -I"$HZ3_SRCDIR/src" -I"$HZ3_BUILDDIR" -DHAVE_CONFIG_H)
sources=()
for name in base size_class sink_page large heap; do
	sources+=("$HZ3_SRCDIR/src/$name.c")
done

compare objects "${cc[@]}" "${flags[@]}" -g -O2 -c "${sources[@]}"
expect_success objects
[ "$(find "$work/objects/glibc/files" -name '*.o' | wc -l)" = ${#sources[@]} ] || fail "there are no object files"
compare preprocessed "${cc[@]}" "${flags[@]}" -E -dD -o all.i "$HZ3_SRCDIR/src/override.c"
expect_success preprocessed

cat >"$work/bad.c" <<'BAD'
#include <stdio.h>
int main(void) { int x = "text"; return undeclared + printf("%s", 1); }
struct incomplete y;
BAD
compare complaints "${cc[@]}" -Wall -Wextra -c "$work/bad.c"
grep -q undeclared "$work/complaints/glibc/err" || fail "no error for a bad program"

cat >"$work/good.c" <<'GOOD'
#include <stdio.h>
int main(void) { return printf("linked\n") != 7; }
GOOD
# -Wl,--build-id=none: the linker may put a random number there.
compare link "${cc[@]}" -O1 -Wl,--build-id=none -o good "$work/good.c"
expect_success link
