#!/bin/bash
# libhz3.a in static programs, -static and -static-pie: malloc is hz3's in all of them, libc's own use included, with threads, fork,
# the ends of threads and of the process, in C and in C++.

set -u
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failures=0
archive=$HZ3_BUILDDIR/.libs/libhz3.a

fail() {
	echo "FAIL: $*"
	failures=$((failures + 1))
}

skip() {
	echo "SKIP test/life/static: $*"
	exit 77
}

[ -e "$archive" ] || skip "no libhz3.a in this build"
echo 'int main(void) { return 0; }' > "$dir/empty.c"
$CC -static "$dir/empty.c" -o "$dir/empty" 2> "$dir/log" || skip "no static libc here"

cat > "$dir/prog.c" <<'END'
#define _GNU_SOURCE
#include <hz3/hz3.h>

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(c) do { if (!(c)) { fprintf(stderr, "line %d: %s\n", __LINE__, #c); exit(1); } } while (0)

static void *shared[256];

static size_t stat_of(const char *name)
{
	size_t value = 0, bytes = sizeof(value);

	CHECK(hz3_control(name, &value, &bytes, NULL, 0) == 0);
	return value;
}

static void *work(void *arg)
{
	unsigned x = (unsigned)(size_t)arg;

	for (unsigned i = 0; i < 20000; i++) {
		x = x * 1103515245 + 12345;
		size_t size = 16 + (x >> 12) % (i % 200 ? 3000 : 500000);
		unsigned char *p = malloc(size), *q;
		CHECK(p != NULL);
		memset(p, (int)(size % 251), size < 3000 ? size : 3000);
		memcpy(p, &size, sizeof(size));
		q = __atomic_exchange_n(&shared[x % 256], p, __ATOMIC_ACQ_REL);
		if (q) {
			memcpy(&size, q, sizeof(size));
			CHECK(q[15] == size % 251);
		}
		free(q);
	}
	return NULL;
}

static void run(void)
{
	pthread_t t[4];

	for (size_t i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, work, (void *)(i + 1)) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

/* Also what takes a lock each time: a child must not find it taken. */
static void *churn(void *arg)
{
	for (volatile int *go = arg; *go;) {
		free(malloc(500));
		free(malloc(1 << 20));
	}
	return NULL;
}

static void at_exit(void)
{
	free(malloc(300));
	fputs("end\n", stdout);
}

int main(void)
{
	static volatile int go = 1;
	pthread_t t;
	char *line = NULL;

	alarm(100);
	atexit(at_exit);
	/* Every name is ours, and libc's own calls come to us. */
	size_t before = stat_of("stats.blocks_live");
	void *p[] = {malloc(10), calloc(10, 10), realloc(NULL, 10), memalign(64, 10), aligned_alloc(64, 10), valloc(10),
		     pvalloc(10), strdup("text")};
	CHECK(asprintf(&line, "%d of %s", 7, "libc") > 0);
	CHECK(stat_of("stats.blocks_live") == before + 9);
	CHECK(posix_memalign(&p[0], 64, 10) == 0 && malloc_usable_size(p[0]) >= 10);
	for (int i = 0; i < 8; i++)
		free(p[i]);
	free(line);
	run();
	size_t live = stat_of("stats.blocks_live"), heaps = stat_of("stats.heaps");
	run();
	/* How many of the four threads are there at once is chance: each needs a heap, and libc keeps a block with its stack. */
	CHECK(stat_of("stats.blocks_live") <= live + 4 && stat_of("stats.heaps") <= heaps + 3);
	CHECK(pthread_create(&t, NULL, churn, (void *)&go) == 0);
	for (int i = 0; i < 50; i++) {
		int status;
		pid_t pid = fork();
		if (pid == 0) {
			alarm(100);
			run();
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	}
	go = 0;
	pthread_join(t, NULL);
	errno = 0;
	CHECK(malloc((size_t)-1 / 2 + 2) == NULL && errno == ENOMEM);
	return 0;
}
END
cat > "$dir/prog.cc" <<'END'
#include <hz3/hz3.h>

#include <cstdio>
#include <map>
#include <new>
#include <string>
#include <thread>

static thread_local std::map<int, std::string> words;

int main()
{
	for (int i = 0; i < 20; i++)
		std::thread([] {
			for (int j = 0; j < 100; j++)
				words[j] = std::string(100 + j, 'x');
		}).join();
	try {
		void *volatile p = ::operator new(~0ul / 4);
		(void)p;
		return 2;
	} catch (const std::bad_alloc &) {
	}
	std::printf("%s\n", hz3_version());
	return 0;
}
END

try() {
	local how=$1 compiler=$2 source=$3
	shift 3
	if ! $compiler "$how" -O1 -fno-builtin -pthread -I"$HZ3_SRCDIR/include" "$source" "$@" "$archive" -pthread -o "$dir/prog" > "$dir/log" 2>&1; then
		fail "$how ${source##*/} does not link: $(grep -m 3 -i error "$dir/log")"
		return
	fi
	if readelf -d "$dir/prog" | grep -q NEEDED; then
		fail "$how ${source##*/} is not static"
	fi
	timeout 110 "$dir/prog" > "$dir/output" 2>&1 || fail "$how ${source##*/}: status $?: $(head -c 500 "$dir/output")"
}

for how in -static -static-pie; do
	$CC "$how" "$dir/empty.c" -o "$dir/empty" 2> "$dir/log" && "$dir/empty" || { echo "$how is not to be had here"; continue; }
	try $how "$CC" "$dir/prog.c"
	[ "$(cat "$dir/output")" = end ] || fail "$how: the end was not reached: $(cat "$dir/output")"
	if command -v "${CXX:-g++}" > "$dir/log"; then
		try $how "${CXX:-g++} -std=c++17" "$dir/prog.cc"
	fi
done

[ $failures -eq 0 ]
