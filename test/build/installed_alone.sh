#!/bin/bash
# The installed tree passes the smoke test by itself: with the source and the build out of sight, where the system lets us hide
# them.  And the smoke test can fail: it does for an installation that lacks something.

# shellcheck source=test/build/installed.sh
. "$(dirname "${BASH_SOURCE[0]}")/installed.sh"

if grep -q '^#define HZ3_STATS 0' "$HZ3_BUILDDIR/config.h"; then
	echo "SKIP: the smoke test wants statistics"
	exit 77
fi
bindir=$(dirname "$(find_one /bin/hz3run)")
cp "$HZ3_SRCDIR/test/installed/smoke.sh" "$work/smoke.sh"

# hidden DIRECTORY... -- COMMAND...: run it where these directories are empty.
hidden() {
	unshare --mount "$([ "$(id -u)" = 0 ] && echo --fork || echo --map-root-user)" bash -euc '
		while [ "$1" != -- ]; do [ ! -d "$1" ] || mount -t tmpfs none "$1"; shift; done; shift; cd /; "$@"' bash "$@"
}

smoke=(bash "$work/smoke.sh" "$bindir" "$root")
if hidden "$HZ3_SRCDIR" -- test -e "$work/smoke.sh" 2>/dev/null; then
	smoke=(hidden "$HZ3_SRCDIR" "$HZ3_BUILDDIR" -- "${smoke[@]}")
else
	echo "(the source is not hidden: there are no mount namespaces, or the installation lies in it)"
fi

status=0
"${smoke[@]}" || status=$?
[ $status = 0 ] || [ $status = 77 ] || fail "the smoke test"
[ $status = 0 ] || exit 77

# Each of these makes it fail.
for lost in bin/hz3-config man1/hz3run.1 examples/c/logger.c; do
	file=$(find_one "/$lost")
	mv "$file" "$work/lost"
	status=0
	"${smoke[@]}" >"$work/log" 2>&1 || status=$?
	[ $status = 1 ] || fail "the smoke test does without $lost"
	mv "$work/lost" "$file"
done
echo "without one of its files it fails"
