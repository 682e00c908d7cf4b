#!/bin/bash
# redis-server: the same answers and the same data as with its usual malloc, also after a fork for a snapshot, a reload and
# an asynchronous flush (which frees in another thread); then redis-benchmark.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need redis-server redis-cli redis-benchmark

cli() {
	redis-cli -s "$work/redis.sock" "$@"
}

answers() {
	[ "$(cli ping 2>/dev/null)" = PONG ]
}

snapshot_is_done() {
	cli info persistence | tr -d '\r' | grep -x rdb_bgsave_in_progress:0 >/dev/null
}

# Strings short and long, lists, hashes, sets and sorted sets, growing, changing and shrinking.
commands() {
	awk 'BEGIN {
		long = "0123456789abcdef"
		for (i = 0; i < 9; i++)
			long = long long
		for (i = 0; i < 3000; i++) {
			print "SET key:" i, "value:" i ":" substr(long, 1, i % 997)
			print "RPUSH list:" i % 20, i, "element-" i
			print "HSET hash:" i % 20, "field" i, substr(long, 1, i % 100 + 1)
			print "SADD set:" i % 10, i * 7919 % 1000
			print "ZADD zset:" i % 10, i * 31 % 500, "member" i
			if (i % 3 == 0)
				print "APPEND key:" int(i / 2), "-more"
			if (i % 5 == 0)
				print "DEL key:" int(i / 3)
			if (i % 7 == 0)
				print "LPOP list:" i % 20
		}
		for (i = 0; i < 40; i++) {
			print "SET long:" i, long long long
			print "GET key:" i * 71
			print "STRLEN long:" i
		}
		print "LRANGE list:3 0 -1"
		print "SORT set:4"
		print "ZRANGE zset:2 0 -1 WITHSCORES"
		print "SORT list:5 LIMIT 0 50"
		print "EVAL \"local t = {} for i = 1, 2000 do t[i] = string.rep(i, 5) end return table.concat(t)\" 0"
	}'
}

serve() {
	local dir=$1 loaded=$2 log=$work/redis.log
	shift 2
	rm -f "$work/dump.rdb"
	start_server "$log" "$@" redis-server --port 0 --unixsocket "$work/redis.sock" --dir "$work" --save '' \
		--appendonly no --enable-debug-command local --io-threads 2 --io-threads-do-reads yes
	wait_until 60 answers || fail "redis-server does not answer: $(cat "$log")"
	expect_loaded "$loaded" "$server"

	commands | cli >"$dir/replies"
	cli debug digest >"$dir/digest"
	cli bgsave >"$dir/bgsave"
	wait_until 60 snapshot_is_done || fail "the snapshot does not end"
	cli info persistence | tr -d '\r' | grep -x 'rdb_last_bgsave_status:.*' >>"$dir/bgsave"
	cli debug reload >"$dir/reload"
	cli debug digest >>"$dir/reload"
	cli flushall async >"$dir/flush"
	cli dbsize >>"$dir/flush"

	if [ "$loaded" = yes ]; then
		redis-benchmark -s "$work/redis.sock" -t set,get,lpush,lpop,sadd,hset,zadd,lrange_100 -r 5000 -n 8000 -c 20 -P 8 \
			-d 100 --csv >"$work/benchmark" 2>&1 || fail "redis-benchmark: $(cat "$work/benchmark")"
		[ "$(grep -cE '^"(SET|GET|LPUSH|LPOP|SADD|HSET|ZADD|LRANGE_100[^"]*)","[0-9]+' "$work/benchmark")" = 8 ] ||
			fail "redis-benchmark did not run its tests: $(cat "$work/benchmark")"
	fi
	cli flushall >>"$dir/flush"
	cli dbsize >>"$dir/flush"

	cli shutdown nosave
	stop_server none "$log"
}

compare_server redis serve
