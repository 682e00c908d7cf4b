#!/bin/bash
# PostgreSQL: a new cluster, loads, sorts, indexes and parallel scans by several clients at once, a restart, and a dump.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
for directory in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do
	PATH=$PATH:$directory
done
need initdb postgres psql pg_dump

# It does not run as root; and whoever it runs as has to reach the library.
as_user=()
if [ "$(id -u)" = 0 ]; then
	need setpriv
	as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$work")
fi
cp "$HZ3_LIB" "$work/libhz3.so"
HZ3_LIB=$work/libhz3.so
chmod 755 "$work" "$HZ3_LIB"

server_options=(-c listen_addresses= -c fsync=off -c max_parallel_workers_per_gather=2 -c min_parallel_table_scan_size=0
	-c parallel_setup_cost=0 -c parallel_tuple_cost=0 -c work_mem=1MB -c log_min_messages=warning)

is_up() {
	query postgres 'select 1' >/dev/null 2>&1
}

query() {
	"${as_user[@]}" psql -h "$data" -U tester -X -q -A -t -v ON_ERROR_STOP=1 -c "$2" "$1"
}

start() {
	start_server "$data.log" "${as_user[@]}" "$@" postgres -D "$data" -k "$data" "${server_options[@]}"
	wait_until 60 is_up || fail "postgres does not start: $(tail -n 5 "$data.log")"
}

client() {
	local i
	for i in 1 2 3; do
		query test "begin; update t set n = n + $i where id % 8 = $1; select count(*), sum(n) from t where id % 8 = $1; commit"
		query test "select md5(string_agg(word, ',' order by word)) from (select word || $1 as word from t where id % 8 = $1) as words"
	done
}

serve() {
	local dir=$1 loaded=$2
	shift 2
	data=$work/data.$loaded.$RANDOM
	mkdir "$data"
	[ "${#as_user[@]}" = 0 ] || chown 65534:65534 "$data"
	"${as_user[@]}" "$@" initdb -D "$data" -U tester -A trust -N --locale=C >"$work/initdb.log" 2>&1 ||
		fail "initdb: $(tail -n 5 "$work/initdb.log")"
	chmod 700 "$data"
	start "$@"
	expect_loaded "$loaded" "$server"
	query postgres 'create database test'
	query test "create table t as select g as id, g * 7 % 1000 as n, repeat(md5(g::text), g % 9) as word from generate_series(1, 40000) as g;
		create index on t (word); create index on t (n); analyze t"
	run_clients 4 "$dir"
	query test "select n, count(*), max(length(word)) from t group by n order by n" >"$dir/groups"
	query test "select count(*) from t as a join t as b on a.word = b.word where a.id < 3000 and a.word <> ''" >"$dir/join"
	query test "select jsonb_agg(to_jsonb(t) order by id) from t where id < 2000" >"$dir/json"
	stop_server INT "$data.log"
	start "$@"
	"${as_user[@]}" "$@" pg_dump -h "$data" -U tester test 2>/dev/null | grep -v '^\\\(un\)\?restrict' | sort >"$dir/dump"
	[ "$(wc -l <"$dir/dump")" -gt 40000 ] || fail "the dump is too short"
	stop_server INT "$data.log"
	if grep -E 'PANIC|terminated by signal|server process .* exited' "$data.log"; then
		fail "postgres complains (above)"
	fi
}

compare_server postgres serve
