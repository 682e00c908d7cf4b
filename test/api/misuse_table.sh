#!/bin/bash
# doc/misuse.md has the table that test/api/misuse checks in the build at hand, word for word.
#
# After a change that is meant:  make misuse-table

set -eu
page=$HZ3_SRCDIR/doc/misuse.md
program=$HZ3_BUILDDIR/test/api/misuse

[ -x "$program" ] || {
	echo "SKIP: needs $program"
	exit 77
}
before=$(sed '/^| misuse |/,$d' "$page")
made=$("$program" --table)
[ "$(wc -l <<<"$made")" -gt 40 ] || {
	echo "FAIL: $program --table has hardly any rows"
	exit 1
}
if [ "${HZ3_TEST_UPDATE:-}" = yes ]; then
	printf '%s\n\n%s\n' "$before" "$made" >"$page"
fi
diff <(sed -n '/^| misuse |/,$p' "$page") - <<<"$made" || {
	echo "FAIL: < is doc/misuse.md, > is what the test says; if that is meant: make misuse-table"
	exit 1
}
kinds=$(($(wc -l <<<"$made") - 2))
grep -q "misuse_table.sh | $kinds kinds |" "$HZ3_SRCDIR/doc/promises.md" || {
	echo "FAIL: doc/promises.md does not say \"$kinds kinds\""
	exit 1
}
