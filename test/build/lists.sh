#!/bin/bash
# Every source, test and benchmark in the tree is in a list of Makefile.am: what is not would neither be run nor shipped.
# And what no script may do: under pipefail, end a pipe in a command that stops reading.  The writer then sometimes dies of SIGPIPE.

set -eu
cd "$HZ3_SRCDIR"

# The lab's scripts: what begins with #! and is not built.
tools() {
	grep -lE '^#!' bench/* 2>/dev/null
}

missing=0
# By kind of file: the tree may be built in place.
for file in src/*.{c,h,def,map} tools/*.{c,h,in,bash} bench/*.{c,h} $(tools) bench/lab/*.py test/*/*.{c,cc,h,py,sh} script/* doc/*.{md,1,3} doc/*/*.pml \
	examples/*/* examples/*/src/* debian/*.{install,symbols} debian/source/*; do
	[ -f "$file" ] || continue
	case $file in
	*.in) name=${file%.in} ;;
	test/bench/*.c | test/build/*.c | test/faults/shim.c | test/pages/*.c | test/interleave/*.c | test/soak/*.c) name=$file ;;
	test/*.c | test/*.cc | bench/*.c) name=${file%.*} ;;
	*) name=$file ;;
	esac
	if ! grep -qE "(^|[[:space:]])${name//./\\.}([[:space:]]|\$)" Makefile.am; then
		echo "FAIL: $file is in no list of Makefile.am"
		missing=1
	fi
done

# leaves_early FILE...: the lines with such a pipe.
leaves_early() {
	grep -nHE "\| *(grep (-[a-zA-Z]*[qlm]|--quiet|--max-count)|awk .*\<exit\>.*'|sed [^|]*[0-9/;]q)" "$@"
}
scripts=$(grep -lE 'pipefail|/common\.sh"$' test/*/*.sh script/* .ci/run 2>/dev/null | grep -vx test/build/lists.sh)
# shellcheck disable=SC2086 # names without spaces
if leaves_early $scripts; then
	echo "FAIL: the lines above end a pipe in a command that stops reading, under pipefail"
	missing=1
fi
# That the pattern finds one.
printf '%s\n' "x=\$(ldconfig -p | awk '/a|b/ { print; exit }')" | leaves_early - >/dev/null || {
	echo "FAIL: the pattern finds no such pipe"
	missing=1
}
exit $missing
