#!/bin/bash
# The ends of threads and of the process, and what still allocates there.
#
#   rounds      destructors of thread-specific data allocate and free in all four rounds; thread_local objects as well
#   handlers    atexit handlers, destructors of the program, of libraries that end before hz3, and of one that ends after it
#
# To the last of them memory works, and every block that they free comes home.

set -u
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failures=0

fail() {
	echo "FAIL: $*"
	failures=$((failures + 1))
}

cat > "$dir/use.h" <<'END'
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t live(void)
{
	int (*control)(const char *, void *, size_t *, void *, size_t) =
		(int (*)(const char *, void *, size_t *, void *, size_t))dlsym(RTLD_DEFAULT, "hz3_control");
	size_t value = 0, bytes = sizeof(value);

	if (control == NULL || control("stats.blocks_live", &value, &bytes, NULL, 0) != 0)
		_exit(20);
	return value;
}

/* Every kind of block, contents kept, everything freed. */
static void use(void)
{
	static const size_t sizes[] = {1, 16, 100, 1000, 5000, 30000, 100000, 2000000, 40000000};
	char *p[9][10];

	for (int i = 0; i < 9; i++)
		for (int j = 0; j < (i < 8 ? 10 : 1); j++) {
			p[i][j] = malloc(sizes[i]);
			if (p[i][j] == NULL)
				_exit(21);
			memset(p[i][j], i * 10 + j, sizes[i] < 100000 ? sizes[i] : 100000);
		}
	errno = 55;
	for (int i = 0; i < 9; i++)
		for (int j = 0; j < (i < 8 ? 10 : 1); j++) {
			if (p[i][j][0] != (char)(i * 10 + j))
				_exit(22);
			free(p[i][j]);
		}
	if (errno != 55)
		_exit(23);
}

static void use_and_count(const char *who)
{
	size_t before = live();

	use();
	if (live() != before)
		_exit(24);
	(void)!write(1, who, strlen(who));
}
END

# ---- Threads ----

cat > "$dir/rounds.c" <<'END'
#include "use.h"

#define KEYS 20
#define THREADS 100

extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
extern void *__dso_handle;

static pthread_key_t keys[KEYS];
static int rounds[KEYS];		/* that the last thread saw */
static void *kept[1000];		/* by threads before */

static void destructor(void *arg)
{
	int *round = arg;
	int key = round[1];

	rounds[key] = ++round[0];
	use();
	/* A block that a thread before has left, and one for those that come. */
	free(kept[key]);
	kept[key] = malloc(300);
	pthread_setspecific(keys[key], round);
	if (round[0] == 4)
		free(round);
}

static void at_exit(void *arg)
{
	use();
	free(arg);
}

static void *thread(void *arg)
{
	for (int i = 0; i < KEYS; i++) {
		int *round = malloc(2 * sizeof(int));
		round[0] = 0;
		round[1] = i;
		pthread_setspecific(keys[i], round);
	}
	__cxa_thread_atexit_impl(at_exit, malloc(77), __dso_handle);
	return arg;
}

int main(void)
{
	size_t before = 0;

	alarm(100);
	for (int i = 0; i < KEYS; i++)
		pthread_key_create(&keys[i], destructor);
	for (int i = 0; i < THREADS; i++) {
		pthread_t t;
		if (pthread_create(&t, NULL, thread, NULL) != 0)
			return 1;
		pthread_join(t, NULL);
		for (int k = 0; k < KEYS; k++)
			if (rounds[k] != 4)
				return 2;
		if (i == 10)
			before = live();
	}
	if (live() != before) {
		printf("%zu blocks live, %zu before\n", live(), before);
		return 3;
	}
	return 0;
}
END
$CC -O1 -fno-builtin -pthread -I"$dir" "$dir/rounds.c" -o "$dir/rounds" -ldl || exit 1
for sink in central page; do
	HZ3_CONF=sink:$sink LD_PRELOAD=$HZ3_LIB "$dir/rounds" || fail "rounds, sink $sink: status $?"
done

if command -v "${CXX:-g++}" > "$dir/null"; then
	cat > "$dir/local.cc" <<'END'
#include <memory>
#include <string>
#include <thread>
#include <vector>

/* Its destructor uses another thread_local, which is made, and so destroyed, while the thread ends. */
struct last_words {
	std::vector<std::unique_ptr<std::string>> words;
	~last_words();
};
static thread_local last_words first;
static thread_local std::vector<std::string> second;

last_words::~last_words()
{
	for (int i = 0; i < 100; i++)
		second.push_back(std::string(1000, 'x') + *words[i]);
}

int main()
{
	for (int i = 0; i < 200; i++)
		std::thread([] {
			for (int j = 0; j < 100; j++)
				first.words.push_back(std::make_unique<std::string>(100 + j, 'y'));
		}).join();
	return 0;
}
END
	"${CXX:-g++}" -O1 -std=c++17 -pthread "$dir/local.cc" -o "$dir/local" || exit 1
	LD_PRELOAD=$HZ3_LIB "$dir/local" || fail "thread_local: status $?"
fi

# ---- The process ----

cat > "$dir/ends.c" <<'END'
#include "use.h"

__attribute__((destructor)) static void end(void)
{
	use_and_count(WHO "\n");
}
END
cat > "$dir/main.c" <<'END'
#include "use.h"

static void *left, *thread_left[100];

__attribute__((destructor)) static void after_main(void)
{
	free(left);
	use_and_count("destructor\n");
}

/* The last: whatever was registered later ran before. */
static void at_exit(void)
{
	free(left);
	left = malloc(5000);
	use_and_count("atexit\n");
}

static void *thread(void *arg)
{
	for (int i = 0; i < 100; i++)
		thread_left[i] = malloc(500);
	return arg;
}

/* Goes on allocating while the process ends around it. */
static void *for_ever(void *arg)
{
	for (;;)
		free(malloc(200));
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t;

	alarm(100);
	pthread_create(&t, NULL, thread, NULL);
	pthread_join(t, NULL);
	for (int i = 0; i < 100; i++)
		free(thread_left[i]);
	left = malloc(100);
	atexit(at_exit);
	if (argc > 1)
		pthread_create(&t, NULL, for_ever, NULL);
	return argv[0] == NULL;
}
END
$CC -O1 -fno-builtin -pthread -I"$dir" "$dir/main.c" -o "$dir/main" -ldl || exit 1
for who in first last; do
	$CC -O1 -fno-builtin -shared -fPIC -I"$dir" -DWHO="\"$who\"" "$dir/ends.c" -o "$dir/$who.so" -ldl || exit 1
done
# Without the background thread, whose start would be a block more of libc's.
output=$(HZ3_CONF=background_thread:0 LD_PRELOAD="$dir/first.so $HZ3_LIB $dir/last.so" "$dir/main") || fail "ends: status $?"
want=$(printf '%s\n' atexit destructor first last)
[ "$output" = "$want" ] || fail "ends: not all of them ran, in this order: ${output//$'\n'/ }"
# Where hz3 is between them: with its statistics written, by its own destructor, before the last has run.
output=$(HZ3_CONF=background_thread:0,stats_print:true LD_PRELOAD="$dir/first.so $HZ3_LIB $dir/last.so" "$dir/main" 2>&1)
case $output in
*first*"Memory"*last*) ;;
*) fail "ends: hz3's own destructor is not between the others: ${output//$'\n'/ }" ;;
esac
# While a thread goes on.
for i in 1 2 3 4 5 6 7 8 9 10; do
	LD_PRELOAD=$HZ3_LIB "$dir/main" on > "$dir/null"
	status=$?
	# 24: that thread's blocks count.
	[ $status = 0 ] || [ $status = 24 ] || fail "ends, with a thread that goes on: status $status"
done

[ $failures -eq 0 ]
