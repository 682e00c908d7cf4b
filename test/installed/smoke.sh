#!/bin/bash
# What make install left, by itself: nothing of the source or the build is used.
#
#   make installcheck                   after make install (with the same DESTDIR, if there was one)
#   bash smoke.sh BINDIR [ROOT]         any installation: the directory of hz3run and, where it lies below one, its root
#
# Each step is what a user would do; the tools that it wants and does not find are named at the end.  Status 77: nothing to test.

set -eu
bindir=$1
root=${2:-}
work=$(mktemp -d "${TMPDIR:-/tmp}/hz3-smoke.XXXXXX")
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || :; rm -rf "$work"' EXIT
cd "$work"
unset LD_PRELOAD HZ3_CONF MAKEFLAGS MFLAGS
missing=()

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

wanted() {
	command -v "$1" >/dev/null && return
	missing+=("$1")
	return 1
}

config=$bindir/hz3-config
hz3run=$bindir/hz3run
[ -x "$config" ] && [ -x "$hz3run" ] || fail "no hz3-config and hz3run in $bindir"
version=$("$config" --version)
where=("$config" ${root:+--root="$root"})
libdir=$("${where[@]}" --libdir)
docdir=$("${where[@]}" --docdir)
mandir=$("${where[@]}" --mandir)
if [ ! -e "$libdir/libhz3.so" ] || [ -n "$("$config" --malloc-prefix)" ]; then
	echo "SKIP: this installation has no library to preload"
	exit 77
fi

# ---- A program runs on it, and it is the library of this installation ----

"$hz3run" -c banner:true -- cat /proc/self/maps >maps 2>banner
grep -qF "$libdir/libhz3.so" maps || fail "hz3run preloads another library: $(grep -m 1 hz3 maps)"
grep -q "version $version, $libdir" banner || fail "another version runs: $(cat banner)"
"$hz3run" --verify true 2>err || fail "hz3run --verify: $(cat err)"

# ---- The manual ----

for page in man3/hz3.3 man1/hz3run.1 man1/hz3-config.1 man1/hz3-report.1 man1/hz3top.1; do
	[ -n "$(find "$mandir/${page%/*}" -name "${page#*/}*" -size +0)" ] || fail "no manual page $page"
done

# ---- Whose memory is freed by whom: the logger of the examples ----

cc=${CC:-cc}
if wanted "$cc"; then
	example=$docdir/examples/c/logger.c
	[ -e "$example" ] || { gunzip -c "$example.gz" >logger.c && example=logger.c; }
	"$cc" -g -O2 -pthread -o logger "$example"
	"$hz3run" --stats -- ./logger >/dev/null 2>text || fail "the logger under hz3run --stats: status $?"
	grep -q '`logger` frees [0-9.]* % of the .* byte blocks of `worker' text || fail "no advice on the logger: $(grep -A 20 -i advice text)"
	"$hz3run" --stats=json:run.json -- ./logger >/dev/null
	[ -s run.json ] || fail "no JSON of the run"
	[ -e "$docdir/stats.schema.json" ] || [ -e "$docdir/stats.schema.json.gz" ] || fail "no schema of the JSON"
	"$hz3run" -c "metrics_file:$work/run.prom" -- ./logger >/dev/null
	[ -s run.prom ] || fail "no metrics file"
	if wanted promtool; then
		promtool check metrics <run.prom || fail "promtool has something against the metrics"
	fi
	"$hz3run" -c "prof:true,lg_prof_sample:14,prof_file:$work/run.pb.gz" -- ./logger >/dev/null
	[ -s run.pb.gz ] || fail "no profile"
	gunzip -t <run.pb.gz || fail "the profile is no gzip file"
	if wanted go; then
		go tool pprof -sample_index=alloc_space -top ./logger run.pb.gz 2>err >top || fail "pprof: $(cat err)"
		awk 'NR <= 12' top | grep -q 'work\|main\|start_thread' || fail "pprof does not name the program's functions: $(cat top)"
	fi
	if wanted python3 && python3 -c 'import argparse, html, json' 2>/dev/null; then
		python3 "$bindir/hz3-report" run.json >name || fail "hz3-report: status $?"
		grep -q '<svg' run.html || fail "the page has no picture"
	fi

	# And a program of one's own, linked.
	printf '%s\n' '#include <hz3/hz3.h>' '#include <string.h>' \
		'int main(void) { hz3_free(hz3_malloc(1)); return strcmp(hz3_version(), HZ3_VERSION) != 0; }' >own.c
	# shellcheck disable=SC2046
	"$cc" -o own own.c $("${where[@]}" --cflags --libs)
	LD_LIBRARY_PATH=$libdir ./own || fail "a program of one's own is not linked to this version"
fi

# ---- A look at a process that runs ----

"$hz3run" -c top:true -- sleep 60 &
server=$!
for _ in $(seq 100); do
	! "$bindir/hz3top" --once --json "$server" >top.json 2>err || break
	sleep 0.1
done
grep -q "\"pid\": *$server" top.json || fail "hz3top does not show the process: $(cat err top.json)"
kill "$server"
wait "$server" 2>/dev/null || :
server=

# ---- Both sinks, all settings as they are, nothing printed ----

for sink in page central auto; do
	out=$("$hz3run" --sink=$sink -- sort --parallel=2 /dev/null 2>&1) && [ -z "$out" ] || fail "sort with sink $sink: $out"
done
[ ${#missing[@]} = 0 ] || echo "(without ${missing[*]})"
echo "hz3 $version in $bindir works"
