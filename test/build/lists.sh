#!/bin/bash
# Every source, test and benchmark in the tree is in a list of Makefile.am: what is not would neither be run nor shipped.

set -eu
cd "$HZ3_SRCDIR"

missing=0
# By kind of file: the tree may be built in place.
for file in src/*.{c,h,def,map} bench/*.{c,h} test/*/*.{c,cc,h,sh} script/* doc/*.{md,3} doc/*/*.pml; do
	[ -f "$file" ] || continue
	case $file in
	test/*.c | test/*.cc) name=${file%.*} ;;
	*) name=$file ;;
	esac
	if ! grep -qE "(^|[[:space:]])${name//./\\.}([[:space:]]|\$)" Makefile.am; then
		echo "FAIL: $file is in no list of Makefile.am"
		missing=1
	fi
done
exit $missing
