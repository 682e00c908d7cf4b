#!/bin/bash
# Programs with little address space (ulimit -v: 200 MiB, 64 MiB), little data (ulimit -d), little memory (a control group of
# 64 MiB), few descriptors and a small stack: what they manage with glibc's malloc they manage with hz3.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need sort awk

# with_limits "OPTION NUMBER..." COMMAND...: each option of ulimit with its number
# shellcheck disable=SC2016
with_limits=(bash -c 'set -- "$@"; set -f; l=($1); shift
	for ((i = 0; i < ${#l[@]}; i += 2)); do ulimit "${l[i]}" "${l[i + 1]}" || exit 99; done; exec "$@"' bash)

awk 'BEGIN { for (i = 0; i < 300000; i++) print i * 7919 % 300007, "line", i }' >"$work/lines"
sinks=default
compare sort-v "${with_limits[@]}" "-v 204800" sort --parallel=4 -S 60M "$work/lines"
expect_success sort-v
compare sort-64 "${with_limits[@]}" "-v 65536" sort --parallel=2 -S 8M "$work/lines"
expect_success sort-64
compare awk-64 "${with_limits[@]}" "-v 65536" awk '{ seen[$1 % 1000] += $3 } END { for (i = 0; i < 1000; i++) print seen[i] }' "$work/lines"
expect_success awk-64
compare sort-d "${with_limits[@]}" "-d 102400" sort --parallel=2 -S 20M "$work/lines"
expect_success sort-d
compare sort-n "${with_limits[@]}" "-n 12 -s 256" sort --parallel=2 -S 2M "$work/lines"
expect_success sort-n

sinks="page central"
if command -v python3 >/dev/null; then
	python=$(python3 -c 'import sys; print(sys.executable)')
	export PYTHONMALLOC=malloc PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
	cat >"$work/program.py" <<-'PYTHON'
		import os, sys, threading

		# Threads, then shortages, each of which ends with all memory let go, and work as before.
		def work(results, k):
		    results[k] = sum(len(str(i) * (i % 9)) for i in [j * k for j in range(30000)])

		def round():
		    results = {}
		    threads = [threading.Thread(target=work, args=(results, k)) for k in range(4)]
		    for t in threads:
		        t.start()
		    for t in threads:
		        t.join()
		    return sorted(results.items())

		threading.stack_size(256 * 1024)
		print(round())
		for size in 40000000, 200000, 3000, 400:
		    hoard = []
		    try:
		        while True:
		            hoard.append(bytearray(size))
		    except MemoryError:
		        hoard.clear()
		    results = {}
		    work(results, size)
		    print("no more of", size, results)
		    # Of smaller ones, glibc keeps too much for a thread to start; and it takes a little address space.
		    if size >= 3000 and "threads" in sys.argv:
		        print(round())
		pid = os.fork()
		if pid == 0:
		    results = {}
		    work(results, 5)
		    os._exit(results[5] % 100)
		print(os.waitpid(pid, 0)[1] >> 8)
	PYTHON
	compare python-v "${with_limits[@]}" "-v 204800" "$python" -S "$work/program.py" threads
	expect_success python-v
	sinks=default
	compare python-d "${with_limits[@]}" "-d 102400" "$python" -S "$work/program.py"
	expect_success python-d
fi

sinks=default
if command -v lua5.4 >/dev/null; then
	cat >"$work/program.lua" <<-'LUA'
		for _, size in ipairs {20000000, 100000, 3000} do
			local hoard = {}
			local ok, message = pcall(function()
				while true do hoard[#hoard + 1] = string.rep("x", size) .. #hoard end
			end)
			print(ok, message)
			hoard = nil
			collectgarbage()
			local t = {}
			for i = 1, 50000 do t[i] = {i, tostring(i)} end
			print(#t, t[50000][2])
		end
	LUA
	compare lua-v "${with_limits[@]}" "-v 204800" lua5.4 "$work/program.lua"
	expect_success lua-v
	compare lua-d "${with_limits[@]}" "-d 102400" lua5.4 "$work/program.lua"
	expect_success lua-d
fi

# What one idle program adds to the promises of the system (which count under vm.overcommit_memory=2): little.
start_server "$work/log" env LD_PRELOAD="$HZ3_LIB" HZ3_CONF="$conf" sleep 60
wait_until 60 grep -qsF "$(readlink -f "$HZ3_LIB")" "/proc/$server/maps" || fail "hz3 was not loaded"
wait_until 60 grep -q '^VmData:' "/proc/$server/status"
sleep 0.2
promised=$(awk '$1 == "VmData:" { print $2 }' "/proc/$server/status")
[ "$promised" -lt 16384 ] || fail "an idle program has $promised KiB of writable memory"
echo "an idle program has $promised KiB of writable memory"
kill "$server"

# A control group of 64 MiB, as a container has: what is over that would be killed.  For a moment we are a group in our own;
# only where a group can be made, as root, and in the long form.
make_group() {
	local own parent
	own=$(awk -F: '$2 == "memory" { print $3 }' /proc/self/cgroup)
	for parent in "/sys/fs/cgroup/memory$own" /sys/fs/cgroup/memory; do
		[ -w "$parent/memory.limit_in_bytes" ] || continue
		group=$parent/hz3-test-$$
		mkdir "$group" 2>/dev/null && echo 64M >"$group/memory.limit_in_bytes" && return
	done
	return 1
}
if [ "${HZ3_STRESS:-}" = long ] && [ "$(id -u)" = 0 ] && make_group; then
	trap 'clean_up; rmdir "$group"' EXIT
	# shellcheck disable=SC2016
	in_group=(bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group")
	sinks="page central"
	compare sort-group "${in_group[@]}" sort --parallel=4 -S 24M "$work/lines"
	expect_success sort-group
	if command -v python3 >/dev/null; then
		# 30 MiB live in turns, and threads that free for each other: what is free must be used before more is taken.
		compare python-group "${in_group[@]}" "$python" -S -c '
import queue, threading
q = queue.Queue(maxsize=50)
def make():
    for i in range(600):
        q.put([bytes(1000 + (i * 7 + k) % 3000) for k in range(100)])
    q.put(None)
t = threading.Thread(target=make); t.start()
held, total = [], 0
while (batch := q.get()) is not None:
    held.append(batch); total += sum(map(len, batch))
    if len(held) > 60: held.pop(0)
t.join(); print(total)'
		expect_success python-group
	fi
fi
