#!/bin/bash
# The manual names every option of options.def, every control name, every public function and every JSON key.

set -u
manual=$HZ3_SRCDIR/doc/hz3.3
failed=0

[ -r "$manual" ] || {
	echo "there is no $manual"
	exit 1
}

# LINES: each a name that the manual must have.
expect() { # WHAT
	local name
	local count=0
	while read -r name; do
		count=$((count + 1))
		grep -qF -- "$name" "$manual" || {
			echo "doc/hz3.3 does not mention the $1 $name"
			failed=1
		}
	done
	[ "$count" -gt 0 ] || {
		echo "no $1 was found to look for"
		failed=1
	}
}

expect option < <(sed -n 's/^OPTION(\([a-z0-9_]*\),.*/\1/p' "$HZ3_SRCDIR/src/options.def")
expect function < <(grep -v '^ \*' "$HZ3_SRCDIR/include/hz3/hz3.h" | grep -o '\bhz3_[a-z0-9_]*(' | tr -d '(' | sort -u)
expect "control name" < <(grep -o '\.name = "[^"]*"' "$HZ3_SRCDIR/src/control.c" | sed 's/.*"\(.*\)"/\1/' |
	grep -v '\.$')
expect "control name" < <(sed -n 's/^\tSTAT("\([^"]*\)".*/\1/p' "$HZ3_SRCDIR/src/control.c")
expect statistic < <(sed -n 's/^\tjson_[a-z]*(o, "\([a-z_]*\)".*/\1/p' "$HZ3_SRCDIR/src/report.c" | sort -u)

# And the defaults that it gives are those of the table.
while read -r name value; do
	grep -A1 "^\.It Cm $name" "$manual" | grep -qF "$value" || {
		echo "doc/hz3.3 does not give the default of $name as $value"
		failed=1
	}
done < <(sed -n 's/^OPTION(\([a-z0-9_]*\), [A-Z]*, \([-0-9]*\), .*/\1 \2/p' "$HZ3_SRCDIR/src/options.def" | sed 's/$//')

exit $failed
