#!/bin/bash
# Programs that were linked with hz3 go on to run: what abi.txt lists is still exported with the same version and kind,
# the library has the same soname, and the types of the header are those of abi.c.
#
# A new function is added to abi.c by hand and to abi.txt by:  HZ3_TEST_UPDATE=yes make check TESTS=test/build/abi.sh
# (lines are only ever added).  If something has to go or to change: a new soname, see configure.ac.

set -eu
list=$HZ3_SRCDIR/test/build/abi.txt
types=$HZ3_SRCDIR/test/build/abi.c
status=0

work=$(mktemp -d "${TMPDIR:-/tmp}/hz3-abi.XXXXXX")
trap 'rm -rf "$work"' EXIT

wrong() {
	echo "FAIL: $*"
	status=1
}

$CC -std=c11 -fsyntax-only -Werror "-I$HZ3_SRCDIR/include" "$types" || wrong "the header has changed"
for function in $(sed -n 's/^\t\(hz3_[a-z0-9_]*\);$/\1/p' "$HZ3_SRCDIR/src/hz3.map"); do
	grep -qE "[ *]$function\(" "$types" || wrong "abi.c has no declaration of $function"
done

if [ -n "$HZ3_SANITIZER$HZ3_MALLOC_PREFIX" ] || [ ! -e "$HZ3_LIB" ] || ! command -v readelf >/dev/null; then
	echo "(header only: the exported names need readelf and a usual build)"
	exit $status
fi

# "soname NAME", and "KIND NAME[@@VERSION]" for every exported name but dlopen, which programs have from libc where it is not ours.
interface() {
	readelf -dW "$HZ3_LIB" | sed -n 's/.*(SONAME).*\[\(.*\)\].*/soname \1/p'
	readelf --dyn-syms -W "$HZ3_LIB" | awk '$5 ~ /GLOBAL|WEAK/ && $7 != "UND" && $7 != "ABS" && $8 != "dlopen" { print tolower($4), $8 }'
}

export LC_ALL=C
interface | sort >"$work/now"
if [ "${HZ3_TEST_UPDATE:-}" = yes ]; then
	sort -u "$work/now" "$list" -o "$list"
fi
while read -r line; do
	wrong "$line was there and is not any more"
done < <(comm -13 "$work/now" "$list")
while read -r line; do
	wrong "$line is not in abi.txt; HZ3_TEST_UPDATE=yes adds it"
done < <(comm -23 "$work/now" "$list")
names=$(grep -vc '^soname ' "$list")
grep -q "| test/build/abi.sh | $names names |" "$HZ3_SRCDIR/doc/promises.md" || wrong "doc/promises.md does not say \"$names names\""
echo "$(wc -l <"$list") lines of interface"
exit $status
