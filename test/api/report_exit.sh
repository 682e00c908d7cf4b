#!/bin/bash
# The reports at exit: stats_print, stats_file with %p, banner; and that a program which closes standard error itself,
# as coreutils do, still gets its report.

set -u
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

fail() {
	echo "report_exit.sh: $1"
	failed=1
}

with_hz3() { # CONF COMMAND...
	local conf=$1
	shift
	HZ3_CONF=$conf LD_PRELOAD=$HZ3_LIB "$@"
}

check_json() { # FILE
	if command -v python3 >/dev/null; then
		python3 - "$1" <<-'PYTHON' || fail "$1 is not the JSON that it should be"
			import json, sys
			d = json.load(open(sys.argv[1]))
			assert d["hz3_stats_version"] == 1
			keys = """version library config allocated active resident mapped metadata dirty
			          blocks_allocated blocks_freed blocks_live remote classes options"""
			remote = """sink blocks chains flushes drains page_drains drained_blocks rmw_push rmw_drain
			            cas_retries held_bytes held_bytes_peak handover_pages handover_blocks flush_causes
			            sinks"""
			assert not set(keys.split()) - set(d), set(keys.split()) - set(d)
			assert not set(remote.split()) - set(d["remote"]), set(remote.split()) - set(d["remote"])
			if d["config"]["stats"]:
			    assert d["blocks_allocated"] == d["blocks_freed"] + d["blocks_live"]
			assert d["library"].endswith(".so") or ".so." in d["library"], d["library"]
		PYTHON
	else
		grep -q '"hz3_stats_version": 1,' "$1" || fail "$1 has no version"
	fi
}

# ls closes standard error in an atexit handler, before the library's destructors run.
with_hz3 stats_print:true ls / >/dev/null 2>"$dir/text" || fail "ls failed"
grep -q '^Memory' "$dir/text" || fail "no report at exit: $(cat "$dir/text")"
grep -q '^Remote frees\|--disable-stats' "$dir/text" || fail "no remote section: $(cat "$dir/text")"
[ "$(grep -c '^Memory' "$dir/text")" = 1 ] || fail "more than one report"

# The descriptor that is kept for it must not leak into programs that are started.
with_hz3 stats_print:true bash -c 'unset LD_PRELOAD; exec ls -l /proc/self/fd' >"$dir/fds" 2>"$dir/text"
grep -q ' 1[0-9][0-9] -> ' "$dir/fds" && fail "a descriptor leaks: $(cat "$dir/fds")"

with_hz3 "stats_file:$dir/one.json" ls / >/dev/null 2>"$dir/text" || fail "ls failed"
[ -s "$dir/text" ] && fail "stats_file printed something: $(cat "$dir/text")"
check_json "$dir/one.json"

with_hz3 "stats_file:$dir/many-%p.json" bash -c 'ls / & ls /tmp & wait' >/dev/null 2>"$dir/text"
files=$(find "$dir" -name 'many-[0-9]*.json' | wc -l)
[ "$files" -ge 3 ] || fail "3 processes wrote $files files: $(ls "$dir")"
for file in "$dir"/many-*.json; do
	check_json "$file"
done

with_hz3 "stats_file:/no/such/directory/file" bash -c : 2>"$dir/text" || fail "an unwritable file ended bash"
[ "$(wc -l <"$dir/text")" = 1 ] || fail "an unwritable file gives one line, not: $(cat "$dir/text")"

with_hz3 "stats_file:/no/such/directory/file" ls / >/dev/null 2>"$dir/text" || fail "an unwritable file ended ls"
[ "$(cat "$dir/text")" = "hz3: cannot write stats_file /no/such/directory/file" ] ||
	fail "of an unwritable file nothing is said when the program has closed standard error: $(cat "$dir/text")"

with_hz3 "stats_file:/dev/full" ls / >/dev/null 2>"$dir/text" || fail "a full device ended ls"
[ "$(cat "$dir/text")" = "hz3: cannot write stats_file /dev/full" ] || fail "of a full device it is said: $(cat "$dir/text")"

# A pipe that nobody reads is no place to wait at; and who waits for the end of a program's standard error does not wait for its daemon.
mkfifo "$dir/fifo"
with_hz3 "stats_file:$dir/fifo" timeout -s KILL 20 ls / >/dev/null 2>"$dir/text" || fail "a pipe that nobody reads ended ls"
grep -q "^hz3: cannot write stats_file $dir/fifo$" "$dir/text" || fail "of a pipe that nobody reads it is said: $(cat "$dir/text")"
start=$SECONDS
# shellcheck disable=SC2016
with_hz3 "stats_file:$dir/daemon.json" bash -c '(read -r -t 15 _ <>"$0") >/dev/null 2>&1 &' "$dir/fifo" 2>&1 | cat >/dev/null
[ $((SECONDS - start)) -lt 10 ] || fail "whoever waits for standard error to be closed waits for a daemon"

with_hz3 banner:true /bin/true 2>"$dir/text"
grep -q '^hz3: version .*libhz3' "$dir/text" || fail "no banner: $(cat "$dir/text")"

with_hz3 "" ls / >/dev/null 2>"$dir/text"
[ -s "$dir/text" ] && fail "without options something is printed: $(cat "$dir/text")"

exit $failed
