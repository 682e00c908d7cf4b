#!/bin/bash
# A file of src/ includes only files of its own level or below.  The levels are those of the table in doc/architecture.md, which has
# to have all files: by name, or as "name_*".  Not looked at: config.h, and what atomic.h includes in a build with --enable-chaos.

set -eu
cd "$HZ3_SRCDIR"

# A line for each name in the table: level, name.
levels() {
	sed -n 's/^| \([0-9]\) | \([^|]*\) |.*/\1 \2/p' doc/architecture.md | tr -d '`' |
		awk '{ for (i = 2; i <= NF; i++) print $1, $i }'
}

# A line for each include: the file, what it includes.
includes() {
	grep -o '^#include "[a-z0-9_]*\.h"' src/*.[ch] | tr -d '"' | sed 's/:#include / /;s/\.h$//'
}

awk '
	function level_of(name, stem) {
		if (name in level)
			return level[name]
		stem = name
		sub(/_.*/, "_*", stem)
		return stem in level ? level[stem] : -1
	}
	NR == FNR { level[$2] = $1; next }
	$2 == "config" || ($1 == "src/atomic.h" && $2 == "chaos") { next }
	{
		name = $1
		gsub(/src\/|\.[ch]$/, "", name)
		seen++
		if (level_of(name) < 0) {
			print "FAIL: " $1 " is not in the table of doc/architecture.md"
			failed = 1
		} else if (level_of($2) > level_of(name)) {
			print "FAIL: " $1 ", of level " level_of(name) ", includes " $2 ".h, of level " level_of($2)
			failed = 1
		}
	}
	END {
		if (seen < 100) {
			print "FAIL: only " seen + 0 " includes were found"
			failed = 1
		}
		exit failed
	}' <(levels) <(includes)
