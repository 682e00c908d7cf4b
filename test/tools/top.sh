#!/bin/bash
# hz3top: what it says of programs whose threads and flows are known; of processes that die, stop, publish nothing or garbage; and that its
# screen fits terminals of any size.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../programs/common.sh"
python3 -c 'import json, pty' 2>/dev/null || skip "there is no Python 3 with its standard library"
grep -q '^#define HZ3_STATS 0' "$HZ3_BUILDDIR/config.h" && skip "without statistics there are no threads to show"

hz3top=$HZ3_BUILDDIR/tools/hz3top
cd "$work"

# hz3top finds processes by name, and this test may run twice at the same time.
tag=$$

cat >subject.c <<'PROGRAM'
/* "subject WORKERS BLOCKS": each worker allocates so many blocks of 100 bytes, which a logger frees; in rounds, until the end of standard
   input; BLOCKS 0: nobody frees.  "ready" when the first round is over; with "once", no further ones. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int workers, blocks, repeats;
static void **all;
static pthread_barrier_t made, freed;

static void *
work(void *arg)
{
	int i = (int)(long)arg;
	char name[16];

	snprintf(name, sizeof(name), "worker-%d", i + 1);
	pthread_setname_np(pthread_self(), name);
	do {
		for (int k = 0; k < blocks; k++)
			all[i * blocks + k] = malloc(100);
		if (blocks == 0)
			all[i] = malloc(100);
		pthread_barrier_wait(&made);
		pthread_barrier_wait(&freed);
		usleep(20000);
	} while (repeats);
	pause();
	return NULL;
}

static void *
log_all(void *arg)
{
	void (*flush)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "hz3_thread_flush");

	pthread_setname_np(pthread_self(), "logger");
	for (int round = 0; round == 0 || repeats; round++) {
		pthread_barrier_wait(&made);
		for (int i = 0; i < workers * blocks; i++)
			free(all[i]);
		if (flush != NULL)
			flush();
		pthread_barrier_wait(&freed);
		if (round == 0 && write(1, "ready\n", 6) != 6)
			abort();
	}
	pause();
	return arg;
}

int
main(int argc, char **argv)
{
	pthread_attr_t attr;
	pthread_t thread;
	char byte;

	workers = atoi(argv[1]);
	blocks = atoi(argv[2]);
	repeats = argc < 4;
	all = calloc((size_t)workers * (size_t)(blocks + 1), sizeof(*all));
	pthread_barrier_init(&made, NULL, (unsigned)workers + 1);
	pthread_barrier_init(&freed, NULL, (unsigned)workers + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	for (long i = 0; i < workers; i++)
		if (pthread_create(&thread, &attr, work, (void *)i) != 0)
			return 1;
	if (pthread_create(&thread, &attr, log_all, NULL) != 0)
		return 1;
	while (read(0, &byte, 1) > 0)
		;
	_exit(0);
}
PROGRAM
$CC -O1 -pthread -o subject subject.c -ldl

# start NAME ARGUMENT...: a subject that publishes, as process $pid; it is ready.
start() {
	local name=$1
	shift
	ln -f subject "$name"
	mkfifo "in.$name"
	LD_PRELOAD=$HZ3_LIB HZ3_CONF=$(conf_for default "${published:-top:true}") "./$name" "$@" <"in.$name" >"out.$name" 2>&1 &
	pid=$!
	exec {input_fd}>"in.$name"
	wait_until 60 grep -qs ready "out.$name" || fail "$name does not start: $(cat "out.$name")"
}

# What it says when it can't: refused STATUS PATTERN ARGUMENT...
refused() {
	local wanted=$1 pattern=$2 out status=0
	shift 2
	out=$("$hz3top" "$@" 2>&1 </dev/null) || status=$?
	[ $status = "$wanted" ] || fail "hz3top $*: status $status instead of $wanted: $out"
	[ "$(wc -l <<<"$out")" = 1 ] || fail "hz3top $*: not one line: $out"
	[[ $out == hz3top:\ $pattern ]] || fail "hz3top $*: \"$out\" instead of \"hz3top: $pattern\""
	echo "$out"
}

valid() {
	python3 "$HZ3_SRCDIR/test/api/stats_schema.py" "$HZ3_SRCDIR/doc/top.schema.json" "$1" || fail "$1 does not fit the schema"
}

# ---- To the block, of a program that has done its work ----

test_known() {
	start "known$tag" 3 1000 once
	known=$pid
	# The snapshot of the second picture was begun when the first one was there, and so after the work.
	"$hz3top" --json --count=2 "$known" >twice.json || fail "--json --count=2: status $?"
	python3 - <<'PYTHON' || fail "not two documents: $(cat twice.json)"
import json
text = open("twice.json").read()
document, end = json.JSONDecoder().raw_decode(text)
document, end = json.JSONDecoder().raw_decode(text[end:].lstrip())
json.dump(document, open("once.json", "w"))
PYTHON
	valid once.json
	python3 - "$known" "known$tag" <<'PYTHON' || fail "not what the program did: $(cat once.json)"
import json, sys
d = json.load(open("once.json"))
assert d["pid"] == int(sys.argv[1]) and d["name"] == sys.argv[2] and d["state"] == "running", d
assert d["interval"] > 0.3, d["interval"]
names = {t["name"]: t for t in d["threads"]}
assert {sys.argv[2], "logger", "worker-1", "worker-2", "worker-3"} <= set(names), set(names)
assert len({t["tid"] for t in d["threads"]}) == len(d["threads"])
assert [(f["owner"], f["freer"], f["blocks"], f["bytes"]) for f in d["flows"]] == [("worker-*", "logger", 3000, 3000 * 112)], d["flows"]
assert d["flows_complete"] and 3 <= d["flows"][0]["chains"] <= 3000, d["flows"]
assert names["logger"]["out_blocks"] == 3000 == d["total"]["out_blocks"], names["logger"]
for i in (1, 2, 3):
    worker = names[f"worker-{i}"]
    assert worker["allocated_blocks"] >= 1000 and worker["out_blocks"] == 0, worker
    # Nobody does anything any more.
    assert worker["per_second"]["allocated_blocks"] == 0, worker
assert d["flows"][0]["per_second"]["blocks"] == 0, d["flows"]
assert d["total"]["waiting_bytes"] + d["total"]["in_bytes"] + d["total"]["taken_blocks"] * 112 == 3000 * 112, d["total"]
PYTHON
	"$hz3top" >list
	grep -qE "^ *$known +[0-9]+  known$tag +\./known$tag 3 1000 once$" list || fail "the list lacks it: $(cat list)"
	COLUMNS=80 "$hz3top" --once "known$tag" >text || fail "--once by name: status $?"
	[ "$(awk 'length > 80' text)" = "" ] || fail "more than 80 columns: $(cat text)"
	grep -qE '^worker-\* <- logger +0 ' text || fail "no flow in the text: $(cat text)"
	exec {input_fd}>&-

	# What is wrong is refused by the schema.
	spoil() { # EXPRESSION
		python3 -c 'import json, sys; d = json.load(open("once.json")); exec(sys.argv[1]); json.dump(d, open("spoilt.json", "w"))' "$1"
		python3 "$HZ3_SRCDIR/test/api/stats_schema.py" "$HZ3_SRCDIR/doc/top.schema.json" spoilt.json >spoilt && fail "the schema takes $1" || :
	}
	spoil 'd["threads"][0]["tid"] = -1'
	spoil 'del d["total"]["held_bytes"]'
	spoil 'd["state"] = "dead"'
	spoil 'd["flows"][0]["new"] = 1'
}

# ---- Rates, of a program at work; and its end ----

test_busy() {
	start busy 2 1000
	touch many.json
	busy=$pid
	"$hz3top" --json --count=100 --delay=0.1 "$busy" >many.json 2>many.err &
	watcher=$!
	cat >pictures.py <<'PYTHON'
import json
def pictures(text):
    """The documents of a text, but for one that is not complete yet."""
    decoder, documents = json.JSONDecoder(), []
    while text.strip():
        try:
            document, end = decoder.raw_decode(text.lstrip())
        except ValueError:
            break
        documents.append(document)
        text = text.lstrip()[end:]
    return documents
def rates(d):
    """A second: blocks sent by all and by the logger, and those of the one flow."""
    logger = {t["name"]: t for t in d["threads"]}["logger"]
    return [d["total"]["per_second"]["out_blocks"], logger["per_second"]["out_blocks"], d["flows"][0]["per_second"]["blocks"]]
def shows_work(d):
    return "per_second" in d["total"] and d["flows"] and all(rate > 0 for rate in rates(d))
PYTHON
	# In the first one the logger may be new, and have nothing to compare with.  On a busy machine it may do nothing for a while.
	wait_until 60 python3 -B -c 'import sys; from pictures import *; sys.exit(not any(map(shows_work, pictures(open("many.json").read())[1:])))' ||
		fail "no rates: $(cat many.json many.err)"
	kill -KILL "$busy"
	status=0
	wait "$watcher" || status=$?
	[ $status = 3 ] || fail "status $status when the process has ended"
	grep -q "^hz3top: process $busy has ended$" many.err || fail "it says: $(cat many.err)"
	python3 -B - <<'PYTHON' || fail "not what the program did"
import sys
sys.path.insert(0, ".")
from pictures import *
documents = pictures(open("many.json").read())
assert [d["state"] for d in documents] == ["running"] * (len(documents) - 1) + ["ended"], [d["state"] for d in documents]
assert any(map(shows_work, documents[1:-1])) and all(min(rates(d)) >= 0 for d in documents[1:-1]), documents
numbers = [d["snapshot"] for d in documents[:-1]]
assert numbers == sorted(set(numbers)), numbers
PYTHON
	refused 1 "process $busy is not there" --once "$busy"
}

# ---- A thousand threads ----

test_crowd() {
	start crowd 1000 0 once
	crowd=$pid
	"$hz3top" --once --json "$crowd" >crowd.json || fail "a thousand threads: status $?"
	valid crowd.json
	python3 - <<'PYTHON' || fail "a thousand threads"
import json
d = json.load(open("crowd.json"))
assert len(d["threads"]) == 256, len(d["threads"])
assert 256 + d["other_threads"]["heaps"] >= 1001, d["other_threads"]
assert d["flows"] == [], d["flows"]
PYTHON
	COLUMNS=80 "$hz3top" --once --sort=name "$crowd" >text
	grep -qE '^\([0-9]+ others\) ' text || fail "nothing of those without a row: $(tail -n 5 text)"
	[ "$(grep -c '^worker-' text)" -ge 250 ] || fail "only $(grep -c '^worker-' text) threads are shown"
	kill -KILL "$crowd"
}

# ---- The screen ----

test_screen() {
	start onscreen 3 200
	if [[ $("$hz3top" "$pid" 2>&1 </dev/null) == *"built without curses"* ]]; then
		echo "(built without curses)"
	else
		refused 1 'this is no terminal*' "$pid"
		status=0
		TERM=none-such python3 -c 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' "$hz3top" "$pid" \
			>terminal.out </dev/null || status=$?
		[ $status = 1 ] && grep -q 'curses cannot use this terminal (TERM=none-such)' terminal.out ||
			fail "an unknown terminal: status $status, $(cat terminal.out)"
		python3 "$HZ3_SRCDIR/test/tools/screen.py" "$hz3top" "$pid" live || fail "on the screen"
		python3 "$HZ3_SRCDIR/test/tools/screen.py" "$hz3top" "$pid" dies || fail "on the screen, when the process dies"
	fi
}

# ---- Who cannot be looked at ----

test_refusals() {
	published=top:false start "off$tag" 1 1 once
	refused 1 "process $pid does not publish: start it with *" --once "$pid"
	refused 1 "no process called off$tag *" --once "off$tag"
	refused 1 "process $$ does not publish*" --once $$
	start "twin$tag" 1 1 once
	first=$pid
	rm "in.twin$tag"
	start "twin$tag" 1 1 once
	refused 1 "several processes are called twin$tag: choose one of*$first*" --once "twin$tag"
	refused 2 '--delay takes *' --delay=0 1
	refused 2 '--count takes *' --count=x 1
	refused 2 '--sort takes *' --sort=luck 1
	refused 2 'one process at a time*' 1 2
	refused 2 'which process?*' --json

	# In a process of another's name space the number is another.
	if unshare --fork --pid true 2>/dev/null; then
		ln subject "space$tag"
		mkfifo in.space
		LD_PRELOAD=$HZ3_LIB HZ3_CONF=top:true unshare --fork --pid "./space$tag" 1 10 once <in.space >out.space 2>&1 &
		exec {input_fd}>in.space
		wait_until 60 grep -q ready out.space || fail "it does not start: $(cat out.space)"
		"$hz3top" --once --json "space$tag" >space.json || fail "in another name space of processes: status $?"
		valid space.json
		exec {input_fd}>&-
	fi
}

# ---- Garbage: whatever a process shows under that name ----

test_garbage() {
	cat >garbage.py <<'PYTHON'
import ctypes, fcntl, os, random, struct, sys
SIZE = int(sys.argv[2])
def head(size=SIZE, magic=b"hz3-top\0", format=1, pid=None):
    return struct.pack("=8sIIII16s", magic, format, size, os.getpid() if pid is None else pid, 1000, b"0.0.0")
seal, data = True, b""
kind = sys.argv[1]
if kind == "unsealed":
    seal, data = False, head()
elif kind == "short":
    data = head()
elif kind == "zeroes":
    data = bytes(SIZE)
elif kind == "random":
    data = random.Random(1).randbytes(SIZE)
elif kind == "other":
    data = head(format=2).ljust(SIZE, b"\0")
elif kind == "size":
    data = head(size=SIZE + 8).ljust(SIZE, b"\0")
elif kind == "parents":
    data = head(pid=1).ljust(SIZE, b"\0")
elif kind == "never":
    data = head().ljust(SIZE, b"\0")
elif kind == "torn":
    data = (head() + struct.pack("=Q", 7)).ljust(SIZE, b"\xaa")
elif kind == "rubbish":
    data = (head() + struct.pack("=Q", 8)) + random.Random(2).randbytes(SIZE - 48)
fd = os.memfd_create("hz3-top", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
os.write(fd, data)
if seal:
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
print("ready", flush=True)
sys.stdin.read()
PYTHON
	cat >size.c <<'PROGRAM'
#include "base.h"
#include "top_format.h"
#include <stdio.h>
int main(void) { printf("%zu\n", sizeof(struct hz3_top_file)); }
PROGRAM
	$CC "-I$HZ3_BUILDDIR" "-I$HZ3_SRCDIR/src" -o size size.c
	file_bytes=$(./size)

	# show KIND STATUS PATTERN
	show() {
		mkfifo "in.$1"
		python3 garbage.py "$1" "$file_bytes" <"in.$1" >"out.$1" 2>&1 &
		pid=$!
		exec {input_fd}>"in.$1"
		wait_until 60 grep -q ready "out.$1" || fail "garbage.py: $(cat "out.$1")"
		[ "$2" = 0 ] || refused "$2" "process $pid $3" --once "$pid"
	}
	show nothing 1 'publishes a file that is too short'
	show unsealed 1 "publishes a file that is not hz3's*"
	show short 1 'publishes a file that is too short'
	show zeroes 1 "publishes a file that is not hz3's*"
	show random 1 "publishes a file that is not hz3's*"
	show other 1 'publishes in a format of another version of hz3'
	show size 1 'publishes a file that is damaged'
	show torn 1 'has published nothing yet'
	show parents 1 'has nothing published of its own yet, only inherited'
	show rubbish 0 ''
	status=0
	"$hz3top" --once --json "$pid" >rubbish.json 2>err || status=$?
	[ $status = 0 ] || fail "rubbish: status $status, $(cat err)"
	python3 -c 'import json; json.load(open("rubbish.json"))' || fail "rubbish is no JSON"
	"$hz3top" --once "$pid" >rubbish.text || fail "rubbish as text: status $?"
	! grep -q '[[:cntrl:]]' rubbish.text || fail "rubbish drives the terminal"
}

# All at once, since most of it is waiting.  Each in a shell of its own; what it started ends with it, for want of input.

tests=()
for name in known busy crowd screen refusals garbage; do
	(
		# Of what runs still: the numbers of what has ended may be others' by now.
		trap 'running=$(jobs -pr); [ -z "$running" ] || kill -KILL $running 2>/dev/null || :' EXIT
		"test_$name"
		echo "$name: done after $SECONDS s"
	) >"log.$name" 2>&1 &
	tests+=("$!")
done
failed=0
for pid in "${tests[@]}"; do
	wait "$pid" || failed=1
done
grep -hv ' Killed  ' log.*
exit $failed
