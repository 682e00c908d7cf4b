#!/bin/bash
# The manual names every option with its default, every public function, control name and statistic, and is well formed.

set -u
manual=$HZ3_SRCDIR/doc/hz3.3
source=$HZ3_SRCDIR/src
failed=0

fail() {
	echo "doc/hz3.3 $1"
	failed=1
}

[ -r "$manual" ] || {
	fail "is missing"
	exit 1
}

# Standard input: names that the manual must have, a line each.
expect() { # WHAT
	local name count=0
	while read -r name; do
		count=$((count + 1))
		grep -qF -- "$name" "$manual" || fail "does not mention the $1 $name"
	done
	[ "$count" -gt 0 ] || fail "was not checked: no $1 was found"
}

# name and default of each option, the default as it is written in HZ3_CONF.
options() {
	sed -n 's/^OPTION(\([a-z0-9_]*\), \([A-Z]*\), \([^,]*\),.*/\1|\2|\3/p' "$source/options.def" |
		sed 's/|BOOL|1$/|true/; s/|BOOL|0$/|false/; s/|SINK|.*/|as configured/; s/|THP|.*/|default/; s/|SIGNAL|.*/|none/; s/|PATH|.*/|empty/' |
		sed 's/|[A-Z]*|/|/; s/ \* \([KMG]\)IB/\1/'
}

controls() {
	grep -oh '\.name = "[^"]*"' "$source"/control_*.c | sed 's/[^"]*"\(.*\)"/\1/' | grep -v '\.$'
	sed -n 's/^\tSTAT("\([^"]*\)".*/\1/p' "$source"/control_*.c | grep -v '\.$'
	sed -n 's/^\tSINK_STAT(\(.*\)),/stats.remote.\1/p' "$source"/control_*.c
	sed -n 's/^\t\(BUILT\|OF_ARENA\)("\([^"]*\)".*/\2/p' "$source"/control_*.c
	sed -n 's/^\tHZ3_CONTROL_SIZE_OPTION("\([^"]*\)".*/\1/p' "$source"/control_*.c
	sed -n 's/^\tBIN_STAT(\(.*\)),/stats.bins.<i>.\1/p' "$source"/control_*.c
}

while IFS='|' read -r name value; do
	grep -A1 "^\.It Cm $name :" "$manual" | grep -q "^Default: ${value}[,;.]" ||
		fail "does not list the option $name with \"Default: $value\""
done < <(options)
expect option < <(options | cut -d'|' -f1)
expect function < <(grep -v '^ \*' "$HZ3_SRCDIR/include/hz3/hz3.h" | grep -o '\bhz3_[a-z0-9_]*(' | tr -d '(' | sort -u)
expect "control name" < <(controls)
# Keys stand in calls of their own, or in formats of lines with several.
expect statistic < <({
	cat "$source/report_json.c" "$source/report_flows.c" | grep -oE '(json_[a-z]*|put_string)\(o, "[a-z_]*"' | sed 's/.*"\(.*\)"/\1/'
	grep -oE '\\"[a-z_]+\\": ' "$source/report_flows.c" | tr -cd 'a-z_\n'
} | sort -u)
# What is in "config": in the line that says so.
while read -r name; do
	grep -A1 '^\.Cm config$' "$manual" | grep -w -- "$name" >/dev/null || fail "does not list $name in config"
done < <(sed -n '/json_open(o, "config"/,/json_close/s/.*json_\(string\|bool\)(o, "\([a-z_]*\)".*/\2/p' "$source/report_json.c")
expect "rule of advice" < <(grep -oE '(say\(out|^\t*say\(out), "[a-z_]*"' "$source/advice.c" | sed 's/.*"\(.*\)"/\1/' | sort -u)

# An option that is no more, or was misspelt.
while read -r name; do
	options | grep -q "^$name|" || fail "describes an option $name that is not there"
done < <(sed -n '/^\.Sh SETTINGS/,/^\.Sh STATISTICS/s/^\.It Cm \([a-z0-9_]*\) : .*/\1/p' "$manual")

if command -v mandoc >/dev/null; then
	mandoc -Tlint -Wwarning "$manual" || fail "has mistakes in its markup"
fi

exit $failed
