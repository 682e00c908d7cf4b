#!/bin/bash
# Odd surroundings: settings that are wrong, an empty environment, closed descriptors, lazy and eager binding, set-user-ID,
# file systems that can't be written, programs and libraries that bring a malloc.

# Scripts in single quotes are for another shell.
# shellcheck disable=SC2016
# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need sort awk

awk 'BEGIN { for (i = 0; i < 20000; i++) print i * 7919 % 20011, "line", i }' >"$work/lines"
sort --parallel=2 "$work/lines" >"$work/expected"

# expect_sorted WHAT FILE
expect_sorted() {
	cmp "$2" "$work/expected" || fail "$1: the output differs from that with glibc"
}

# A wrong setting is one line of warning for the process, not for its forks, and the program works.
# warnings NAME COUNT HZ3_CONF
warnings() {
	env LD_PRELOAD="$HZ3_LIB" HZ3_CONF="$3" sort --parallel=2 "$work/lines" >"$work/out" 2>"$work/err" || fail "$1: status $?"
	expect_sorted "$1" "$work/out"
	if [ "$(wc -l <"$work/err")" != "$2" ] || [ "$(grep -c '^hz3: HZ3_CONF: ' "$work/err")" != "$2" ]; then
		head -c 2000 "$work/err"
		fail "$1: not $2 lines of warning"
	fi
	echo "$1: $2"
}

warnings "empty" 0 ""
warnings "good" 0 "sink:central,,remote_batch:0, dirty_decay_ms:-1 ,"
warnings "unknown option" 1 "no_such_option:1"
warnings "unknown option among good ones" 1 "sink:page,no_such_option:1,remote_batch:0"
warnings "bad value" 1 "sink:nowhere"
warnings "no value" 1 "sink"
warnings "bad number" 1 "remote_budget:12x"
warnings "number out of range" 1 "narenas:99999999999999999999999"
warnings "very long" 1 "$(printf '%60000s' x | tr ' ' y)"
warnings "control characters" 1 $'a\nb\e[1m:\r\n'
warnings "two wrong" 2 "one:1,two:2"
env LD_PRELOAD="$HZ3_LIB" HZ3_CONF=no_such_option:1 \
	bash -c '(:); x=$(echo a | while read -r y; do echo "$y$y"; done); echo "$x"' >"$work/out" 2>"$work/err"
[ "$(cat "$work/out")" = aa ] || fail "forks after a warning do not work"
[ "$(wc -l <"$work/err")" = 1 ] || fail "forks repeat the warning: $(cat "$work/err")"

# No environment but LD_PRELOAD, and none at all: the dynamic linker itself preloads.
env -i LD_PRELOAD="$HZ3_LIB" "$(command -v sort)" --parallel=2 "$work/lines" >"$work/out" 2>"$work/err" || fail "env -i: status $?"
expect_sorted "env -i" "$work/out"
[ ! -s "$work/err" ] || fail "env -i: $(cat "$work/err")"
linker=$(awk '$6 ~ "/ld[-.][^/]*$" || $6 ~ "/ld64[^/]*$" { print $6; exit }' /proc/self/maps)
if [ -n "$linker" ] && "$linker" --preload "$HZ3_LIB" "$(command -v true)" 2>/dev/null; then
	env -i "$linker" --preload "$HZ3_LIB" "$(command -v sort)" --parallel=2 "$work/lines" >"$work/out" 2>"$work/err" ||
		fail "no environment: status $?"
	expect_sorted "no environment" "$work/out"
	[ ! -s "$work/err" ] || fail "no environment: $(cat "$work/err")"
	env -i "$linker" --preload "$HZ3_LIB" "$(command -v awk)" '{ print FILENAME; exit }' /proc/self/maps >/dev/null ||
		fail "no environment: awk: status $?"
	echo "no environment: the same"
fi

# Closed descriptors: what hz3 has to say must not end up in a file that took the place of standard error.
for setting in "" no_such_option:1 banner:true; do
	for closed in '2>&-' '<&- >&- 2>&-' '<&-'; do
		rm -f "$work/out"
		# Standard error of the shell, for what goes wrong before it is closed.
		env LD_PRELOAD="$HZ3_LIB" HZ3_CONF="$setting" sh -c 'exec "$0" "$@" '"$closed" \
			sort --parallel=2 -S 1M -o "$work/out" "$work/lines" 2>/dev/null || fail "$closed, \"$setting\": status $?"
		expect_sorted "$closed, \"$setting\"" "$work/out"
	done
done
echo "closed descriptors: the same"

compare bind-now env LD_BIND_NOW=1 sort --parallel=4 "$work/lines"
! command -v iconv >/dev/null || compare modules iconv -f UTF-8 -t EUC-JP "$work/lines"
# A reader that leaves early, and a terminal that hangs up.
compare broken-pipe bash -c 'sort --parallel=2 "$1" | head -n 3; seq 100000 | sort -n | { read -r x; echo "$x"; }' bash "$work/lines"
compare signals bash -c 'for s in TERM INT HUP; do { sh -c "kill -$s \$\$; sleep 5"; } 2>/dev/null; echo $?; done'

# A program that is linked with hz3 and set-user-ID takes no settings of whoever starts it: no file of theirs, no line.
printf '%s\n' '#include <stdlib.h>' '#include <stdio.h>' 'int main(void) { free(malloc(1)); return puts("ran") < 0; }' >"$work/linked.c"
$CC -fno-builtin -o "$work/linked" "$work/linked.c" "$HZ3_LIB" "-Wl,-rpath,$(dirname "$HZ3_LIB")"
HZ3_CONF=stats_file:$work/stats.json,no_such_option:1 "$work/linked" >"$work/out" 2>"$work/err"
[ -s "$work/stats.json" ] && [ "$(wc -l <"$work/err")" = 1 ] || fail "a linked program heeds no HZ3_CONF, and this test proves nothing"
rm "$work/stats.json"
if [ "$(id -u)" = 0 ] && chmod 777 "$work" && chown 65534 "$work/linked" && chmod 4755 "$work/linked" &&
	[ -u "$work/linked" ] && [[ ! $(findmnt -no OPTIONS -T "$work") =~ nosuid ]]; then
	HZ3_CONF=stats_file:$work/stats.json,no_such_option:1 "$work/linked" >"$work/out" 2>"$work/err" ||
		fail "a set-user-ID program: status $?: $(cat "$work/err")"
	[ "$(cat "$work/out")" = ran ] || fail "a set-user-ID program does not work"
	[ ! -s "$work/err" ] && [ ! -e "$work/stats.json" ] || fail "a set-user-ID program heeds HZ3_CONF: $(cat "$work/err")"
	echo "set-user-ID: heeds nothing"
fi

# A system of which nothing can be written, and one without /proc: as in a container.  What can't be written is one line.
# in_namespace COMMANDS...
in_namespace() {
	unshare --mount "$([ "$(id -u)" = 0 ] && echo --fork || echo --map-root-user)" bash -euc "$@"
}
if in_namespace 'mount -o remount,bind,ro / && ! touch /hz3-test 2>/dev/null' 2>/dev/null; then
	in_namespace 'mount -o remount,bind,ro /
		HZ3_CONF="stats_file:/hz3-test.json" LD_PRELOAD=$1 exec sort --parallel=2 "$2"' \
		bash "$HZ3_LIB" "$work/lines" >"$work/out" 2>"$work/err" || fail "read-only: status $?"
	expect_sorted "read-only" "$work/out"
	[ "$(cat "$work/err")" = "hz3: cannot write stats_file /hz3-test.json" ] || fail "read-only: $(cat "$work/err")"
	in_namespace 'mount -t tmpfs none /proc
		[ ! -e /proc/self ] && HZ3_CONF="banner:true,stats_print:true" LD_PRELOAD=$1 exec sort --parallel=2 "$2"' \
		bash "$HZ3_LIB" "$work/lines" >"$work/out" 2>"$work/err" || fail "no /proc: status $?"
	expect_sorted "no /proc" "$work/out"
	grep -q '^---- hz3 .* process ' "$work/err" || fail "no /proc: no statistics: $(cat "$work/err")"
	echo "read-only, and no /proc: the same"
else
	echo "(no mount namespace to try a read-only system in)"
fi

# ---- Programs that bring a malloc ----

# In the program itself, found before hz3's by everybody: it works, and hz3 sees none of its blocks.
cat >"$work/own.c" <<'PROGRAM'
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Never frees; every block has its size before it. */
static char pool[64 << 20];
static size_t used;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void *
memalign(size_t alignment, size_t size)
{
	char *p;

	pthread_mutex_lock(&lock);
	used = ((used + 16 + alignment - 1) & ~(alignment - 1)) + size;
	p = pool + used - size;
	pthread_mutex_unlock(&lock);
	if (used > sizeof(pool))
		return NULL;
	((size_t *)p)[-1] = size;
	return p;
}

void *malloc(size_t size) { return memalign(16, size); }
void *calloc(size_t n, size_t m) { return malloc(n * m); }
void free(void *p) { if (p != NULL && ((char *)p < pool || (char *)p >= pool + sizeof(pool))) abort(); }
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

void *
realloc(void *p, size_t size)
{
	void *q = malloc(size);

	if (p != NULL && q != NULL)
		memcpy(q, p, ((size_t *)p)[-1] < size ? ((size_t *)p)[-1] : size);
	return q;
}

static void *
work(void *arg)
{
	char *line = NULL;
	size_t cap = 0;
	FILE *file = fopen(arg, "r");
	long sum = 0;

	/* Blocks that libc makes and we free, and the other way round. */
	while (getline(&line, &cap, file) > 0) {
		char *copy = strdup(line);

		sum += (long)strlen(copy);
		free(copy);
	}
	/* Of libc, which goes by our realloc. */
	line = reallocarray(line, cap + 1000, 2);
	memset(line, 1, 2 * cap + 2000);
	free(line);
	fclose(file);
	return (void *)sum;
}

int
main(int argc, char **argv)
{
	pthread_t threads[4];
	void *sum;

	(void)argc;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, work, argv[1]);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &sum);
		printf("%ld\n", (long)sum);
	}
	return 0;
}
PROGRAM
$CC -fno-builtin -pthread -o "$work/own" "$work/own.c"
head -n 2000 "$work/lines" >"$work/few-lines"
compare own-malloc "$work/own" "$work/few-lines"
expect_success own-malloc

# Another malloc's library, before hz3, behind it, and beside it for what a program asks it for by name.
jemalloc=$(ldconfig -p 2>/dev/null | awk '/libjemalloc\.so\.2/ && /x86-64|AArch64/ && path == "" { path = $NF } END { print path }')
if [ -n "$jemalloc" ]; then
	for preload in "$HZ3_LIB:$jemalloc" "$jemalloc:$HZ3_LIB" "$HZ3_LIB $jemalloc"; do
		env LD_PRELOAD="$preload" sort --parallel=2 "$work/lines" >"$work/out" 2>"$work/err" || fail "$preload: status $?: $(cat "$work/err")"
		expect_sorted "$preload" "$work/out"
	done
	cat >"$work/beside.c" <<'PROGRAM'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *mallocx(size_t size, int flags);
void dallocx(void *p, int flags);

int
main(void)
{
	for (size_t i = 1; i < 20000; i++) {
		char *theirs = mallocx(i, 0), *ours = malloc(i);

		memset(theirs, 1, i);
		memset(ours, 2, i);
		if (theirs[i - 1] != 1 || ours[i - 1] != 2)
			return 1;
		dallocx(theirs, 0);
		free(ours);
	}
	return puts("both") < 0;
}
PROGRAM
	$CC -fno-builtin -o "$work/beside" "$work/beside.c" "$jemalloc"
	compare beside-jemalloc "$work/beside"
	expect_success beside-jemalloc
	echo "jemalloc beside hz3: the same"
fi

# Go: statically linked, and with its own memory; hz3 is not there, and nobody minds.
for program in docker gh hugo; do
	if command -v $program >/dev/null && LC_ALL=C grep -qa 'go1\.[0-9]' "$(command -v $program)"; then
		env LD_PRELOAD="$HZ3_LIB" $program --version >"$work/out" 2>"$work/err" || fail "$program: status $?"
		[ -s "$work/out" ] && [ ! -s "$work/err" ] || fail "$program: $(cat "$work/err")"
		echo "$program, written in Go: the same"
		break
	fi
done

# Java has its own heap, and malloc for all the rest.
if command -v java >/dev/null; then
	sinks=default
	compare java java -Xmx64m -Xshare:auto -XX:TieredStopAtLevel=1 -version
	expect_success java
fi
