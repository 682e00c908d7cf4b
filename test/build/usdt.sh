#!/bin/bash
# The static probes are in the library, with their providers, names and numbers of arguments.

set -eu
command -v readelf >/dev/null || {
	echo "SKIP: there is no readelf"
	exit 77
}
grep -q '^#define HAVE_SYS_SDT_H 1' "$HZ3_BUILDDIR/config.h" || {
	echo "SKIP: built without sys/sdt.h (Debian: systemtap-sdt-dev)"
	exit 77
}
[ -e "$HZ3_LIB" ] || {
	echo "SKIP: there is no $HZ3_LIB in this build"
	exit 77
}

# provider:name arguments
readelf -n "$HZ3_LIB" | awk '
	/Provider:/ { provider = $2 }
	/Name:/ { name = $2 }
	/Arguments:/ { print provider ":" name, NF - 1 }' | sort -u >/tmp/usdt.$$
trap 'rm -f /tmp/usdt.$$' EXIT
diff - /tmp/usdt.$$ <<-'LIST' || { echo "FAIL: < is missing, > is not in src/usdt.h"; exit 1; }
	hz3:drain 2
	hz3:flush 2
	hz3:purge 2
	otel_memory:alloc 3
	otel_memory:free 1
LIST
