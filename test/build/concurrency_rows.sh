#!/bin/bash
# Every word of src/ that is declared _Atomic has a row in doc/concurrency.md: its name is in the first column of the table
# "Shared words", as often as there are words of that name.  Parameters and local variables are no words of their own.

set -eu
cd "$HZ3_SRCDIR"
page=doc/concurrency.md

# A line for each declared word: the file, the name; or the file, "?" and a line that could not be read.
declared() {
	awk '
		{
			line = $0
			gsub(/\/\*([^*]|\*[^\/])*\*\//, "", line)
			sub(/\/\*.*/, "", line)
		}
		# In a comment, a macro; another name of a type; what is defined elsewhere.
		line ~ /^ \*/ || line ~ /^#/ || line ~ /^(typedef|extern) / { next }
		# A pointer in a function.
		line ~ /^\t+(const )?_Atomic.*=/ { next }
		{
			sub(/=.*/, ";", line)
			gsub(/\[[^]]*\]/, "", line)
			gsub(/_Atomic\([^)]*\)/, "_Atomic type", line)
			gsub(/HZ3_ALIGNED\([^)]*\)/, "", line)
		}
		line !~ /(^|[^A-Za-z0-9_])_Atomic([^A-Za-z0-9_]|$)/ { next }
		# A function, or its parameters.
		line ~ /\(|\)/ { next }
		line !~ /;/ { print FILENAME, "?", $0; next }
		{
			sub(/;.*/, "", line)
			n = split(line, part, ",")
			for (i = 1; i <= n; i++) {
				gsub(/^[ \t]+|[ \t]+$/, "", part[i])
				sub(/.*[^A-Za-z0-9_]/, "", part[i])
				print FILENAME, part[i]
			}
		}' src/*.[ch]
}

# The names in the first column, a line for each: the last part of every `name`, without what is in brackets.
listed() {
	# shellcheck disable=SC2016 # names in backquotes
	sed -n '/^## Shared words/,/^## [^S]/s/^| \([^|]*\) |.*/\1/p' "$page" | grep -o '`[^`]*`' |
		sed 's/`//g; s/\[[^]]*\]//g; s/.*\.//'
}

awk '
	NR == FNR { rows[$1]++; next }
	$2 == "?" { print "FAIL: " $1 ": what does this declare?" substr($0, length($1) + 3); failed = 1; next }
	{
		words++
		count[$2]++
		where[$2] = where[$2] " " $1
	}
	END {
		for (name in count)
			if (rows[name] == 0) {
				print "FAIL: " name " (" substr(where[name], 2) ") is in no row of '"$page"'"
				failed = 1
			} else if (rows[name] < count[name]) {
				print "FAIL: " count[name] " words are called " name " (" substr(where[name], 2) "), '"$page"' has " rows[name]
				failed = 1
			}
		if (words < 80) {
			print "FAIL: only " words + 0 " shared words were found"
			failed = 1
		}
		exit failed
	}' <(listed) <(declared)
