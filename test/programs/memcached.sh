#!/bin/bash
# memcached with four threads: several clients at once set, get, append to and delete items, small and large.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need memcached awk

# What client $1 says.  It ends with "quit", after which the server closes the connection.
requests() {
	awk -v client="$1" 'BEGIN {
		ORS = "\r\n"
		text = "0123456789abcdef"
		for (i = 0; i < 16; i++)
			text = text text
		for (i = 0; i < 1500; i++) {
			key = "c" client ":" i % 400
			size = i % 50 == 0 ? 20000 + i * 10 : i * 37 % 1200 + 1
			print "set " key " " i " 0 " size
			print substr(text, 1, size)
			print "get " key
			if (i % 3 == 0) {
				print "append " key " 0 0 4"
				print "tail"
				print "get " key " c" client ":" (i + 200) % 400
			}
			if (i % 4 == 0)
				print "delete c" client ":" (i * 3) % 400
		}
		print "set large" client " 0 0 900000"
		print substr(text, 1, 900000)
		print "get large" client
		print "set n" client " 0 0 1"
		print "1"
		print "incr n" client " 41"
		print "quit"
	}'
}

# The requests go in while the answers come out: neither side may wait for the other.
client() {
	local n=$1 port=$2 writer
	exec 3<>"/dev/tcp/127.0.0.1/$port"
	cat "$work/requests.$n" >&3 &
	writer=$!
	cat <&3
	wait "$writer"
}

for n in 1 2 3 4 5 6; do
	requests "$n" >"$work/requests.$n"
done

serve() {
	local dir=$1 loaded=$2 log=$work/memcached.log port
	shift 2
	rm -f "$work/ports"
	start_server "$log" "$@" MEMCACHED_PORT_FILENAME="$work/ports" \
		memcached -l 127.0.0.1 -p -1 -U 0 -t 4 -m 64 -u "$(id -un)"
	wait_until 60 test -s "$work/ports" || fail "memcached does not listen: $(cat "$log")"
	expect_loaded "$loaded" "$server"
	port=$(sed -n 's/^TCP INET: //p' "$work/ports")

	run_clients 6 "$dir" "$port"
	grep -q '^VALUE large1 0 900000' "$dir/client.1" || fail "the large item is not there"
	stop_server TERM "$log"
}

compare_server memcached serve
