#!/bin/bash
# Every source, test and benchmark in the tree is in a list of Makefile.am: what is not would neither be run nor shipped.

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
exit $missing
