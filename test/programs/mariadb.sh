#!/bin/bash
# MariaDB: a new server, tables of InnoDB and Aria, several clients at once, each a thread of the server, and a restart.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
PATH=$PATH:/usr/sbin:/sbin
need mariadbd mariadb-install-db mariadb

user=()
[ "$(id -u)" != 0 ] || user=(--user=root)

query() {
	mariadb --no-defaults -u root --socket="$data.s" -N -B -e "$2" "$1"
}

is_up() {
	query mysql 'select 1' >/dev/null 2>&1
}

start() {
	start_server "$data.log" "$@" mariadbd --no-defaults "${user[@]}" --datadir="$data" --socket="$data.s" --pid-file="$data.pid" \
		--skip-networking --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=32M --sort-buffer-size=64K
	wait_until 60 is_up || fail "mariadbd does not start: $(tail -n 5 "$data.log")"
}

client() {
	local i
	for i in 1 2 3 4; do
		query test "update t set n = n + $i where id % 8 = $1; select count(*), sum(n) from t where id % 8 = $1;
			set session group_concat_max_len = 10000000;
			select md5(group_concat(word order by word)) from t where id % 8 = $1;
			insert into log select id, word from t where id % 8 = $1 limit 200"
	done
}

serve() {
	local dir=$1 loaded=$2
	shift 2
	data=$work/data.$loaded.$RANDOM
	mkdir "$data"
	"$@" mariadb-install-db --no-defaults "${user[@]}" --datadir="$data" --auth-root-authentication-method=normal >"$work/install.log" 2>&1 ||
		fail "mariadb-install-db: $(tail -n 5 "$work/install.log")"
	start "$@"
	expect_loaded "$loaded" "$server"
	query mysql "create database if not exists test"
	query test "create table t (id int primary key, n int, word text, key (n)) engine=InnoDB;
		insert into t select seq, seq * 7 % 1000, repeat(md5(seq), seq % 9) from seq_1_to_20000;
		create table log (id int, word text) engine=Aria"
	run_clients 4 "$dir"
	stop_server TERM "$data.log"
	start "$@"
	query test "select n, count(*), max(length(word)) from t group by n order by n" >"$dir/groups"
	query test "select id, count(*), md5(max(word)) from log group by id order by id" >"$dir/log"
	query test "select count(*) from t as a join t as b on a.n = b.n where a.id < 3000" >"$dir/join"
	query test "check table t, log" | grep -v 'status	OK' >"$dir/check" || :
	stop_server TERM "$data.log"
	if grep -E 'got signal|\[ERROR\]' "$data.log"; then
		fail "mariadbd complains (above)"
	fi
}

compare_server mariadb serve
