#!/bin/bash
# Programs while the system promises no more memory than it has (vm.overcommit_memory=2): what is reserved must not count.
#
# The setting is the whole machine's, and other programs may fail meanwhile.  Hence only on request, for a second or two:
# HZ3_TEST_OVERCOMMIT=yes, as root.  limits.sh has a like test (ulimit -d) for everybody.

# Scripts in single quotes are for another shell.
# shellcheck disable=SC2016
# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ "${HZ3_TEST_OVERCOMMIT:-}" = yes ] || skip "it changes a setting of the whole machine; HZ3_TEST_OVERCOMMIT=yes allows that"
need sort awk

setting=/proc/sys/vm/overcommit_memory
before=$(cat "$setting")
(echo "$before" >"$setting") 2>/dev/null || skip "$setting is not writable"
free_kib=$(awk '$1 == "CommitLimit:" { l = $2 } $1 == "Committed_AS:" { c = $2 } END { print l - c }' /proc/meminfo)
[ "$free_kib" -ge 2097152 ] || skip "only $free_kib KiB are left to promise"

awk 'BEGIN { for (i = 0; i < 100000; i++) print i * 7919 % 100003, "line", i }' >"$work/lines"

restore() {
	echo "$before" >"$setting"
}
trap 'restore; clean_up' EXIT
echo 2 >"$setting"

compare sort sort --parallel=4 -S 40M "$work/lines"
expect_success sort
compare bash bash -c 'for i in {1..30}; do x=$(echo "$i" | cat); echo "$x"; done'
if command -v python3 >/dev/null; then
	python=$(python3 -c 'import sys; print(sys.executable)')
	compare python env PYTHONMALLOC=malloc "$python" -S -c '
import os, threading
threads = [threading.Thread(target=lambda: [str(i) * 9 for i in range(20000)]) for _ in range(8)]
for t in threads: t.start()
for t in threads: t.join()
try:
    bytearray(1 << 45)
except MemoryError:
    print("MemoryError")
pid = os.fork()
if pid == 0:
    os._exit(len([bytes(1000) for _ in range(10000)]) // 100)
print(os.waitpid(pid, 0)[1] >> 8)'
	expect_success python
fi
