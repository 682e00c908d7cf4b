#!/bin/bash
# The Debian packages build from what make dist packs, lintian has nothing against them, they install beside jemalloc, and
# what they install runs.  Long form only: it is a whole build.

set -eu -o pipefail

skip() {
	echo "SKIP: $1"
	exit 77
}

fail() {
	echo "FAIL: $*"
	exit 1
}

[ "${HZ3_STRESS:-}" = long ] || skip "HZ3_STRESS=long builds the Debian packages"
[ -z "$HZ3_SANITIZER$HZ3_MALLOC_PREFIX" ] || skip "the packages have their own configuration"
for tool in dpkg-buildpackage dh lintian; do
	command -v $tool >/dev/null || skip "there is no $tool (script/setup packaging)"
done
dpkg-architecture -q DEB_HOST_ARCH | grep -xE 'amd64|arm64' >/dev/null || skip "the packages are for other processors"

work=$(mktemp -d "${TMPDIR:-/tmp}/hz3-debian.XXXXXX")
trap 'rm -rf "$work"' EXIT
unset MAKEFLAGS MFLAGS CONFIG_SITE LD_PRELOAD HZ3_CONF
export LC_ALL=C.UTF-8

quietly() {
	"$@" >"$work/log" 2>&1 || {
		tail -n 40 "$work/log"
		fail "$*"
	}
}

version=$(sed -n 's/^#define HZ3_VERSION "\(.*\)"$/\1/p' "$HZ3_SRCDIR/include/hz3/hz3.h")
[ "$(sed -n '1s/^hz3 (\([0-9.]*\)).*/\1/p' "$HZ3_SRCDIR/debian/changelog")" = "$version" ] ||
	fail "debian/changelog is not of version $version"

# ---- Building; the tests of hz3 have their own turn ----

quietly "$MAKE" -C "$HZ3_BUILDDIR" distdir distdir="$work/hz3-$version"
cd "$work/hz3-$version"
DEB_BUILD_OPTIONS="nocheck parallel=2" quietly dpkg-buildpackage -us -uc -b -d
! grep -E 'dpkg-gensymbols: warning|dh_missing: warning' "$work/log" || fail "the build warns (above)"
cd "$work"
ls ./*.deb

# ---- lintian: errors and warnings ----

as_user=()
[ "$(id -u)" != 0 ] || as_user=(--allow-root)
lintian "${as_user[@]}" --fail-on error,warning --tag-display-limit 0 ./*.changes >lintian.log 2>&1 || {
	cat lintian.log
	fail "lintian"
}
! grep -E '^[EW]: ' lintian.log || fail "lintian finds errors or warnings"
echo "lintian: $(grep -c '^I: ' lintian.log || :) remarks, no warnings"

# ---- What is in which package ----

# has PACKAGE PATH
has() {
	dpkg-deb --fsys-tarfile "$1"_*.deb | tar t | grep -xE -- "\./$2" >/dev/null || fail "$1 has no $2"
}

has libhz3-0 'usr/lib/[^/]*/libhz3\.so\.0'
has libhz3-dev 'usr/lib/[^/]*/libhz3\.so'
has libhz3-dev 'usr/include/hz3/hz3\.h'
has libhz3-dev 'usr/lib/[^/]*/cmake/hz3/hz3-config\.cmake'
has libhz3-dev 'usr/share/man/man3/hz3\.3\.gz'
has hz3-tools usr/bin/hz3run
has hz3-tools 'usr/share/man/man1/hz3run\.1\.gz'
has hz3-tools usr/bin/hz3-report
has hz3-tools usr/bin/hz3top
has hz3-tools 'usr/share/man/man1/hz3top\.1\.gz'
has hz3-bench usr/libexec/hz3/bench/compare

# ---- Beside jemalloc, and beside each other: no file twice ----

for package in *.deb; do
	case $package in
	*-dbgsym_*) ;;
	*) dpkg-deb --fsys-tarfile "$package" | tar t | grep -v '/$' ;;
	esac
done | sed 's/^\.//' | sort >files
[ -z "$(uniq -d files)" ] || fail "in two packages: $(uniq -d files)"
mkdir jemalloc
(cd jemalloc && apt-get download -q libjemalloc2 libjemalloc-dev >/dev/null 2>&1) || :
if [ -n "$(ls jemalloc)" ]; then
	for package in jemalloc/*.deb; do
		dpkg-deb --fsys-tarfile "$package" | tar t | grep -v '/$' | sed 's/^\.//'
	done | sort >theirs
	echo "beside $(ls jemalloc | tr '\n' ' ')"
elif dpkg -L libjemalloc2 >installed 2>/dev/null; then
	while read -r file; do
		[ -d "$file" ] || echo "$file"
	done <installed | sort >theirs
else
	skip "jemalloc's package can't be had to compare (all else is well)"
fi
[ -s theirs ] || fail "jemalloc's package has no files"
[ -z "$(comm -12 files theirs)" ] || fail "also jemalloc's: $(comm -12 files theirs)"

# ---- Installed by dpkg into a tree of its own (as root: dpkg wants to set owners) ----

if [ "$(id -u)" = 0 ]; then
	mkdir -p root/var/lib/dpkg/{info,updates,triggers} root/tmp
	: >root/var/lib/dpkg/status
	quietly dpkg --root="$work/root" --force-depends --force-script-chrootless --no-triggers --unpack \
		libhz3-0_*.deb libhz3-dev_*.deb hz3-tools_*.deb hz3-bench_*.deb $(ls jemalloc/*.deb)
	[ "$(dpkg-query --admindir=root/var/lib/dpkg -W -f '${db:Status-Status}\n' | sort -u)" = unpacked ] ||
		fail "not all packages are unpacked"
	root/usr/bin/hz3run --verify cat /proc/self/maps | grep -F "$work/root/usr/lib" >/dev/null || fail "the installed hz3run does not work"
	root/usr/libexec/hz3/bench/local -t 0.1 -i 0 >"$work/local" 2>&1 || fail "an installed workload does not run: $(cat "$work/local")"
	quietly dpkg --root="$work/root" --force-depends --force-script-chrootless --no-triggers --purge \
		libhz3-0 libhz3-dev hz3-tools hz3-bench
	left=$(find root/usr -iname '*hz3*')
	[ -z "$left" ] || fail "purged, but there: $left"
	echo "dpkg unpacks and purges them"
fi
