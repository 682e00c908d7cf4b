# shellcheck shell=bash
#
# Sourced by the scripts of this directory: run a real program with glibc's malloc and with hz3, and compare.
#
# One script a program.  It names what it needs (need), then compares commands (compare) or servers (start_server).
# Everything lives in $work, which goes at exit, as do servers that still run.  test/runner sets the time limit.

set -eu -o pipefail

# The names of what is compared must not depend on the user.
export LC_ALL=C TZ=UTC0
unset LD_PRELOAD MAKEFLAGS MFLAGS BASH_ENV ENV

# By hand: HZ3_LIB=.../build/.libs/libhz3.so bash test/programs/x.sh
if [ ! -e "${HZ3_LIB:-}" ]; then
	echo "FAIL: HZ3_LIB has to be the libhz3.so to test" >&2
	exit 1
fi
: "${CC:=cc}"

conf=${HZ3_CONF:-}
unset HZ3_CONF

# Each sink has its turn where a program has threads; the build's own choice is enough elsewhere.
sinks="page central"

work=$(mktemp -d "${TMPDIR:-/tmp}/hz3-programs.XXXXXX")
servers=()

clean_up() {
	local pid
	for pid in "${servers[@]}"; do
		kill -KILL "$pid" 2>/dev/null || :
	done
	wait || :
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

skip() {
	echo "SKIP: $*"
	exit 77
}

fail() {
	echo "FAIL: $*"
	exit 1
}

# Programs that the script can't do without.
need() {
	local program
	for program; do
		command -v "$program" >/dev/null || skip "there is no $program"
	done
}

# Poll: wait_until SECONDS COMMAND...
wait_until() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.05
	done
}

# ---- Under hz3 ----

# HZ3_CONF for a sink ("default": the build's choice): what the user set, the sink, and what else is given.
conf_for() {
	local sink=$1 all=$conf
	shift
	[ "$sink" = default ] || all=$all,sink:$sink
	for item; do
		all=$all,$item
	done
	echo "${all#,}"
}

# Run a command under hz3: under SINK COMMAND...
under() {
	local sink=$1
	shift
	env LD_PRELOAD="$HZ3_LIB" HZ3_CONF="$(conf_for "$sink")" "$@"
}

# The same, and every program that is started says so on standard error.
under_banner() {
	local sink=$1
	shift
	env LD_PRELOAD="$HZ3_LIB" HZ3_CONF="$(conf_for "$sink" banner:true)" "$@"
}

# (git passes on what its processes at the other end print.)
is_banner() {
	[[ ${1#remote: } =~ ^hz3:\ version\ [0-9.]+,\ (.*[^ ])\ *$ && ${BASH_REMATCH[1]} == "$HZ3_LIB" ]]
}

# Takes the banners out of a file; fails if there is none, for then hz3 was not loaded.
remove_banners() {
	local file=$1 line banners=0
	while IFS= read -r line || [ -n "$line" ]; do
		if is_banner "$line"; then
			banners=$((banners + 1))
		else
			printf '%s\n' "$line"
		fi
	done <"$file" >"$file.rest"
	mv "$file.rest" "$file"
	[ "$banners" != 0 ]
}

# A file in which no program may have left a line of hz3.
expect_quiet() {
	if grep -n '^hz3:' "$1"; then
		fail "hz3 complains (above)"
	fi
}

# ---- Commands ----

# record DIRECTORY COMMAND...: the command's output, status and files.  Standard input is $input; the working directory
# has the same name in every run, since some programs store it.
input=/dev/null
record() {
	local dir=$1 status=0
	shift
	mkdir -p "$dir" "$work/files"
	(cd "$work/files" && "$@" <"$input" >"$dir/out" 2>"$dir/err") || status=$?
	echo "$status" >"$dir/status"
	mv "$work/files" "$dir/files"
}

# The command with glibc's malloc and with hz3, one run a sink: the same output, standard error, exit status and files
# in the working directory, which is empty at first.  compare NAME COMMAND...
compare() {
	local name=$1 dir=$work/$1 sink started=$SECONDS
	shift
	record "$dir/glibc" "$@"
	for sink in $sinks; do
		record "$dir/$sink" under_banner "$sink" "$@"
		if ! remove_banners "$dir/$sink/err"; then
			tail -n 20 "$dir/$sink/err"
			fail "$name: hz3 was not loaded"
		fi
		if ! diff -r --no-dereference "$dir/glibc" "$dir/$sink" >"$work/difference" 2>&1; then
			head -c 4000 "$work/difference"
			fail "$name: < with glibc and > with hz3 ($sink) differ"
		fi
		rm -rf "${dir:?}/$sink"
	done
	echo "$name: the same ($sinks), status $(cat "$dir/glibc/status"), $((SECONDS - started)) s"
}

# What compare left of the run with glibc, for checks that the run did what it should: its status is 0.
expect_success() {
	[ "$(cat "$work/$1/glibc/status")" = 0 ] && return
	cat "$work/$1/glibc/err"
	fail "$1: fails with glibc too"
}

# ---- Servers ----

# A port that is probably free.  Below the ports that the kernel gives out by itself.
random_port() {
	echo $((10000 + (RANDOM * 32768 + RANDOM) % 20000))
}

# start_server LOG COMMAND...: in the background, as process $server.
start_server() {
	local log=$1
	shift
	"$@" </dev/null >"$log" 2>&1 &
	server=$!
	servers+=("$server")
}

# With hz3 mapped as it should be, and only then?  expect_loaded yes|no PID
expect_loaded() {
	local answer=no
	if grep -qF -- "$(readlink -f "$HZ3_LIB")" "/proc/$2/maps"; then
		answer=yes
	fi
	[ "$answer" = "$1" ] || fail "process $2: is hz3 loaded? $answer"
}

# Signal "none" waits only.  The exit status has to be 0 and the log without a word of hz3: stop_server SIGNAL LOG
stop_server() {
	local status=0
	[ "$1" = none ] || kill -s "$1" "$server"
	wait "$server" || status=$?
	servers=()
	expect_quiet "$2"
	if [ "$status" != 0 ]; then
		tail -n 30 "$2"
		fail "the server ends with status $status"
	fi
}

# "client N ARGUMENT..." for N from 1 to COUNT, all at once; what each says goes to DIRECTORY/client.N: run_clients COUNT DIRECTORY ARGUMENT...
run_clients() {
	local count=$1 dir=$2 n clients=()
	shift 2
	for ((n = 1; n <= count; n++)); do
		client "$n" "$@" >"$dir/client.$n" &
		clients+=($!)
	done
	for n in "${clients[@]}"; do
		wait "$n" || fail "a client fails"
	done
}

# As compare, for servers: run_server_test NAME FUNCTION calls "FUNCTION DIRECTORY LAUNCHER..." for glibc and for each
# sink; LAUNCHER... is what goes before the server's command, and the files that FUNCTION leaves in DIRECTORY are compared.
compare_server() {
	local name=$1 body=$2 dir=$work/$1 sink started=$SECONDS
	mkdir -p "$dir/glibc"
	"$body" "$dir/glibc" no env
	for sink in $sinks; do
		mkdir -p "$dir/$sink"
		"$body" "$dir/$sink" yes env LD_PRELOAD="$HZ3_LIB" HZ3_CONF="$(conf_for "$sink")"
		if ! diff -r "$dir/glibc" "$dir/$sink" >"$work/difference" 2>&1; then
			head -c 4000 "$work/difference"
			fail "$name: < with glibc and > with hz3 ($sink) differ"
		fi
	done
	echo "$name: the same ($sinks), $((SECONDS - started)) s"
}
