#!/bin/bash
# The documents speak of settings, control names, functions and values that exist: doc/from-jemalloc.md, doc/tuning.md.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../programs/common.sh"

"$HZ3_BUILDDIR/tools/hz3run" --settings | cut -f1 >"$work/settings"
checked=0

# Whether hz3 takes a setting with that value.
takes() {
	"$HZ3_BUILDDIR/tools/hz3run" --print --conf "$1:$2" >/dev/null 2>"$work/err" || fail "$3: $(cat "$work/err")"
	checked=$((checked + 1))
}

is_setting() {
	grep -qxF -- "$1" "$work/settings" || fail "$2: there is no setting $1"
	checked=$((checked + 1))
}

# A control name is known, and one that isn't is not: asked of the library itself.
cat >"$work/ask.c" <<'PROGRAM'
#include <hz3/hz3.h>
#include <errno.h>
#include <stdio.h>

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		size_t bytes = 0;

		if (hz3_control(argv[i], NULL, &bytes, NULL, 0) == ENOENT)
			puts(argv[i]);
	}
	return 0;
}
PROGRAM
$CC "-I$HZ3_SRCDIR/include" -o "$work/ask" "$work/ask.c" "$HZ3_LIB" "-Wl,-rpath,$(dirname "$HZ3_LIB")"
[ "$("$work/ask" version no.such.name)" = no.such.name ] || fail "the question itself does not work"

# ---- doc/tuning.md: every `name:value` is taken ----

while IFS=: read -r name value; do
	is_setting "$name" tuning.md
	[[ $value =~ ^(N|\.\.\.)$ ]] || takes "$name" "$value" tuning.md
done < <(grep -oE '`[a-z_]+:[-A-Za-z0-9.]+`' "$HZ3_SRCDIR/doc/tuning.md" | tr -d '`' | grep -v '^hz3:$')
while read -r name; do
	is_setting "$name" tuning.md
done < <(grep -oE '`(remote|dirty|empty|huge|background|stats)_[a-z_]+`' "$HZ3_SRCDIR/doc/tuning.md" | tr -d '`')

# ---- doc/from-jemalloc.md: the column of hz3 ----

# The second cells of the table below a heading.
column() {
	awk -F ' \\| ' -v heading="## $1" '
		/^## / { inside = $0 == heading }
		inside && /^\|/ && NF == 2 && !/^\|---/ { sub(/ \|$/, "", $2); print $2 }' "$HZ3_SRCDIR/doc/from-jemalloc.md"
}

while read -r name; do
	is_setting "${name%%:*}" from-jemalloc.md
done < <(column Options | grep -oE '`[a-z_]+(:[a-zA-Z]+)?`' | tr -d '`' | grep -vE '^(malloc|calloc|sbrk|resident)$')
names=$(column 'Names of `mallctl`' | grep -oE '`[a-z_.<>]+`' | tr -d '`' | grep -vE '^(pthread_setname_np|hz3_control)$' |
	sed 's/<i>/0/')
[ "$(wc -l <<<"$names")" -gt 35 ] || fail "the table of names has not been read"
# shellcheck disable=SC2086
unknown=$("$work/ask" $names)
[ -z "$unknown" ] || fail "from-jemalloc.md: there are no control names $unknown"
for function in $(column Functions | grep -oE 'hz3_[a-z_]+'); do
	grep -qE "[ *]$function\(" "$HZ3_SRCDIR/include/hz3/hz3.h" || fail "from-jemalloc.md: there is no function $function"
	checked=$((checked + 1))
done
[ $checked -gt 60 ] || fail "only $checked words were found"
echo "$checked words and $(wc -l <<<"$names") names exist"
