#!/bin/bash
# The heap profile: what it says of a program whose memory is known, and that it does no harm.

set -u
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
program=$HZ3_BUILDDIR/test/api/profiled
failed=0

fail() {
	echo "profile.sh: $1"
	failed=1
}

profiled() { # CONF HOW N
	HZ3_CONF=prof:true,prof_file:$dir/p.gz,$1 LD_PRELOAD=$HZ3_LIB "$program" "$2" "$3" 2>"$dir/err" || fail "$2 with $1: $(cat "$dir/err")"
}

read_profile() { # FILE
	python3 "$HZ3_SRCDIR/test/api/pprof.py" "$1" "$program" >"$dir/rows" || fail "$1 can't be read"
}

# The sum of a column over the rows that match a pattern, if it is from LOW to HIGH.
expect() { # COLUMN PATTERN LOW HIGH
	local sum
	sum=$(awk -v column="$1" -v pattern="$2" '$0 ~ pattern { sum += $column } END { printf "%d", sum }' "$dir/rows")
	[ "$sum" -ge "$3" ] && [ "$sum" -le "$4" ] || fail "$2: $sum in column $1, not $3 to $4: $(cat "$dir/rows")"
}

command -v python3 >/dev/null && command -v nm >/dev/null || {
	echo "SKIP profile.sh: needs python3 and nm"
	exit 77
}

# Every block is sampled: all numbers are exact.
profiled lg_prof_sample:0,prof_leak:true flow 2000
read_profile "$dir/p.gz"
expect 1 'makes_blocks' 2000 2000
expect 2 'makes_blocks' 2000000 2000000
expect 3 'makes_blocks' 500 500
expect 4 'makes_blocks' 500000 500000
expect 1 'freed-by=logger,freed-remotely=yes .*makes_blocks<' 1500 1500
expect 1 'freed-by=profiled,freed-remotely=no .*makes_and_drops' 200 200
expect 3 'makes_and_drops' 0 0
expect 4 'grows' $((80 << 20)) $((80 << 20))
expect 2 'makes_blocks<.*main' 2000000 2000000
grep -q 'leak: about 83886080 bytes in 1 blocks, allocated by' "$dir/err" || fail "no report of a leak: $(cat "$dir/err")"
grep -q 'leak:     .*profiled+0x' "$dir/err" || fail "no stack of a leak: $(cat "$dir/err")"

# One in 16 KiB: 100 MB are 6100 samples, with a standard deviation of 1.3 %, so 8 % is six of them.
profiled lg_prof_sample:14 flow 100000
read_profile "$dir/p.gz"
expect 2 'makes_blocks' 92000000 108000000
expect 4 'makes_blocks' 21000000 29000000
expect 1 'freed-remotely=yes .*makes_blocks' 67500 82500
[ -s "$dir/err" ] && fail "something was printed: $(cat "$dir/err")"

# Blocks that grow count once: 6.4 MB of small ones, with a standard deviation of 2.5 %, and 20 MiB in one that is sampled for certain.
profiled lg_prof_sample:12 regrow 2000
read_profile "$dir/p.gz"
expect 4 'regrows' $((6400000 * 85 / 100 + (20 << 20))) $((6400000 * 115 / 100 + (20 << 20)))
profiled lg_prof_sample:0 regrow 2000
read_profile "$dir/p.gz"
expect 3 'regrows' 2001 2001
expect 4 'regrows' $((6400000 + (20 << 20))) $((6400000 + (20 << 20)))

# The default, with go's pprof where there is one.
profiled prof_peak:true flow 100000
[ -s "$dir/p.gz.peak" ] || fail "no profile of the peak"
read_profile "$dir/p.gz.peak"
expect 4 'makes_blocks|grows' 80000000 190000000
if command -v go >/dev/null; then
	go tool pprof -sample_index=alloc_space -top "$program" "$dir/p.gz" >"$dir/top" 2>&1 || fail "go tool pprof: $(cat "$dir/top")"
	grep -q ' makes_blocks$' <(sed -n 1,10p "$dir/top") || fail "go tool pprof shows another function: $(cat "$dir/top")"
fi

# On a signal, from a process that then ends without a destructor.
PROFILED_FILE=$dir/s.gz profiled "lg_prof_sample:0,stats_signal:USR2,stats_file:$dir/s.json,prof_file:$dir/s.gz" signal 300
read_profile "$dir/s.gz"
expect 3 'makes_blocks' 300 300

# Children of a process with busy threads, each with a profile of its own.
HZ3_CONF=prof:true,lg_prof_sample:10,prof_file:$dir/child-%p.gz timeout -k 5 110 env LD_PRELOAD="$HZ3_LIB" "$program" fork 40 2>"$dir/err" ||
	fail "fork: status $?, $(cat "$dir/err")"
[ "$(find "$dir" -name 'child-*.gz' | wc -l)" = 41 ] || fail "41 processes wrote other than 41 profiles: $(ls "$dir"), $(cat "$dir/err")"

# With an unwinder that nearly always has a lock of its own: no child may find it held by a thread that is not there.
mkdir "$dir/slow"
cat >"$dir/slow.c" <<'END'
#include <pthread.h>
#include <sched.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
int unw_backtrace(void **pc, int max)
{
	pthread_mutex_lock(&lock);
	sched_yield();
	pc[0] = (void *)unw_backtrace;
	pthread_mutex_unlock(&lock);
	return max > 0;
}
END
$CC -O1 -fPIC -shared -pthread -o "$dir/slow/libunwind.so.8" "$dir/slow.c" || fail "no unwinder"
HZ3_CONF=prof:true,lg_prof_sample:10,prof_file:$dir/slow/child-%p.gz timeout -k 5 110 env "LD_LIBRARY_PATH=$dir/slow" LD_PRELOAD="$HZ3_LIB" \
	"$program" fork 5 2>"$dir/err" || fail "fork with a slow unwinder: status $?, $(cat "$dir/err")"
[ "$(find "$dir/slow" -name 'child-*.gz' | wc -l)" = 6 ] || fail "with a slow unwinder 6 processes wrote other than 6 profiles"
HZ3_CONF=prof:true,lg_prof_sample:10,prof_file:$dir/slow/bare-%p.gz timeout -k 5 110 env "LD_LIBRARY_PATH=$dir/slow" LD_PRELOAD="$HZ3_LIB" \
	"$program" bare 10 2>"$dir/err" || fail "_Fork with a slow unwinder: status $?, $(cat "$dir/err")"

# Paused, 100000 bytes are not seen; afterwards they are; and the reset leaves nothing for the end.
rm -f "$dir"/*.gz
cd "$dir" || exit 1
HZ3_CONF=prof:true,lg_prof_sample:0,prof_file:$dir/c-%p.gz LD_PRELOAD=$HZ3_LIB "$program" control 0 2>"$dir/err" || fail "control: $(cat "$dir/err")"
for file in "$dir"/c-*.gz; do
	read_profile "$file"
	expect 1 'makes_' 0 0
done

# Off: nothing is written.  A place that can't be written: one line, and the program's own status.
rm -f "$dir"/*.gz
HZ3_CONF=prof_file:$dir/off.gz,prof_peak:true,prof_leak:true LD_PRELOAD=$HZ3_LIB "$program" flow 10 2>"$dir/err" || fail "off: status"
[ -e "$dir/off.gz" ] || [ -s "$dir/err" ] && fail "a profile that nobody asked for: $(cat "$dir/err")"
HZ3_CONF=prof:true,prof_file:/nowhere/p.gz LD_PRELOAD=$HZ3_LIB "$program" flow 10 2>"$dir/err" || fail "unwritable: status"
[ "$(wc -l <"$dir/err")" = 1 ] && grep -q 'prof: no profile written' "$dir/err" || fail "unwritable: $(cat "$dir/err")"

# What is no regular file keeps its place, and is written to.
mkfifo "$dir/fifo"
# A reader before the program: nobody waits for one that isn't there.  The profile has room in the pipe.
exec 7<>"$dir/fifo"
HZ3_CONF=prof:true,prof_file:$dir/fifo LD_PRELOAD=$HZ3_LIB "$program" flow 10 2>"$dir/err" || fail "pipe: status"
exec 8<"$dir/fifo" 7>&-
cat <&8 >"$dir/through"
[ -p "$dir/fifo" ] && [ -s "$dir/through" ] || fail "a pipe: $(ls -l "$dir/fifo" "$dir/through")"

# The report also comes where the program closes its standard error before.
HZ3_CONF=prof:true,lg_prof_sample:0,prof_leak:true,prof_file:$dir/p.gz LD_PRELOAD=$HZ3_LIB ls / 2>"$dir/err" >/dev/null
grep -q 'leak: about' "$dir/err" || fail "no report of ls: $(cat "$dir/err")"

exit $failed
