#!/bin/bash
# nginx with two workers serves files, plain and compressed, before and after a reload that replaces the workers.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
PATH=$PATH:/usr/sbin:/sbin
need nginx awk

mkdir "$work/www" "$work/tmp"
chmod 755 "$work" "$work/www"
awk 'BEGIN { for (i = 0; i < 4000; i++) print i, "a line of text with", i * i, "in it" }' >"$work/www/text.txt"
head -c 3000000 "$HZ3_LIB" >"$work/www/binary"
: >"$work/www/empty.txt"

configure() {
	cat >"$work/nginx.conf" <<-CONF
		$([ "$(id -u)" != 0 ] || echo "user root;")
		daemon off;
		worker_processes 2;
		pid $work/nginx.pid;
		error_log stderr notice;
		events { worker_connections 64; }
		http {
			access_log off;
			server_tokens off;
			gzip on;
			gzip_types text/plain;
			types { text/plain txt; }
			client_body_temp_path $work/tmp;
			proxy_temp_path $work/tmp;
			fastcgi_temp_path $work/tmp;
			uwsgi_temp_path $work/tmp;
			scgi_temp_path $work/tmp;
			server {
				listen 127.0.0.1:$1;
				root $work/www;
				location /again/ { proxy_pass http://127.0.0.1:$1/; }
				location ~ ^/number/([0-9]+)\$ { return 200 "number \$1\n"; }
			}
		}
	CONF
}

# The answer to one request, but for the headers that tell the time.
get() {
	exec 3<>"/dev/tcp/127.0.0.1/$port"
	printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n%s\r\n' "$1" "${2:-}" >&3
	cat <&3 | sed -E '1,/^\r$/ { /^(Date|Last-Modified|ETag):/d; }'
	exec 3>&-
}

# nginx as process $server on port $port; another port if that one is taken.
start() {
	local log=$1 try
	shift
	for try in 1 2 3 4 5; do
		port=$(random_port)
		configure "$port"
		start_server "$log" "$@" nginx -p "$work" -c "$work/nginx.conf" -e stderr
		wait_until 60 is_up "$log"
		grep -q 'Address already in use' "$log" || return 0
		echo "try $try: port $port is taken"
		kill -KILL "$server" 2>/dev/null || :
		wait "$server" || :
	done
	fail "nginx finds no port"
}

# By its own log: who answers at the port may be another that has taken it.
is_up() {
	grep -qE 'Address already in use|start worker process ' "$1"
}

# Workers are the children of the first process.
workers() {
	cat "/proc/$server/task/$server/children"
}

# Two, neither of which is one of the processes given.
new_workers() {
	local now pid
	now=$(workers)
	for pid; do
		[[ " $now" != *" $pid "* ]] || return 1
	done
	[ "$(wc -w <<<"$now")" = 2 ]
}

client() {
	local i
	for ((i = 0; i < 25; i++)); do
		get /text.txt
		get "/number/$i"
		get /text.txt 'Accept-Encoding: gzip'$'\r\n'
		get /again/text.txt
	done
}

serve() {
	local dir=$1 loaded=$2 log=$work/nginx.log pid old
	shift 2
	start "$log" "$@"
	wait_until 60 new_workers || fail "nginx has no workers: $(cat "$log")"
	for pid in $server $(workers); do
		expect_loaded "$loaded" "$pid"
	done

	get /binary >"$dir/binary"
	get /empty.txt >"$dir/empty"
	get /missing >"$dir/missing"
	grep -q '^HTTP/1.1 404' "$dir/missing" || fail "no 404 for a missing file"
	[ "$(sed '1,/^\r$/d' "$dir/binary" | cmp - "$work/www/binary")" = "" ] || fail "a file changed on its way"

	old=$(workers)
	kill -HUP "$server"
	# shellcheck disable=SC2086
	wait_until 60 new_workers $old || fail "nginx does not replace its workers: $(cat "$log")"
	run_clients 3 "$dir"
	stop_server QUIT "$log"
	if grep -E 'exited on signal|\[(alert|crit|emerg)\]' "$log"; then
		fail "nginx complains (above)"
	fi
}

compare_server nginx serve
