/*
 * What the stress tests share: variants, seed, time limit, random numbers, blocks that know their contents, and a view of
 * the process that allocates nothing.
 *
 * A stress test is a plain program for whatever malloc the process has; what only hz3 can answer is asked through
 * dlsym() and left out elsewhere.  Its main() calls stress_main(), which runs the body once per variant of HZ3_CONF,
 * each in a process of its own, and fails if one of them fails.  The first damage seen ends the process.
 *
 *   HZ3_STRESS=long        the long forms
 *   HZ3_STRESS_SEED=N      repeat a run (as far as the scheduler lets it)
 *   HZ3_STRESS_VARIANT=C   only this HZ3_CONF, in this process (for a debugger)
 *   HZ3_STRESS_ABORT=1     abort() at a failure, for a core dump
 *
 * Where other programs of the system can't load this hz3 (self.h), those run without it.
 */
#ifndef HZ3_STRESS_H
#define HZ3_STRESS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../glibc_family.h"
#include "../self.h"

#define UNUSED __attribute__((unused))
#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* The status that the harness counts as skipped. */
#define SKIPPED 77

/* ---- Failing ---- */

static const char *stress_variant = "";
static uint64_t stress_seed;
static bool stress_long;

/* No allocation and no lock on the way: the heap may be damaged, and the caller the child of a fork. */
static _Noreturn void UNUSED stress_give_up(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0 || getenv("HZ3_STRESS_ABORT") != NULL)
		abort();
	_exit(1);
}

#define FAIL(...)                                                                                                    \
	do {                                                                                                         \
		char fail_text[512];                                                                                 \
		int fail_n = snprintf(fail_text, sizeof(fail_text) - 64, "%s:%d (variant \"%s\", seed %llu): ",      \
				      __FILE__, __LINE__, stress_variant, (unsigned long long)stress_seed);          \
		fail_n += snprintf(fail_text + fail_n, sizeof(fail_text) - 1 - (size_t)fail_n, __VA_ARGS__);         \
		if (fail_n > (int)sizeof(fail_text) - 2)                                                             \
			fail_n = (int)sizeof(fail_text) - 2;                                                         \
		fail_text[fail_n] = '\n';                                                                            \
		fail_text[fail_n + 1] = '\0';                                                                        \
		stress_give_up(fail_text);                                                                           \
	} while (0)

#define CHECK(cond, ...)                                                                                             \
	do {                                                                                                         \
		if (!(cond))                                                                                         \
			FAIL(__VA_ARGS__);                                                                           \
	} while (0)

/* ---- Time ---- */

static double UNUSED stress_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void UNUSED stress_sleep_ms(unsigned ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

static void stress_alarm(int signal UNUSED)
{
	stress_give_up("stress test: it hangs, or is far too slow\n");
}

/* The process dies after so many seconds, times HZ3_PATIENCE, of which slow builds need more.  A forked child has no limit until it sets its own. */
static void UNUSED stress_limit(unsigned seconds)
{
	const char *patience = getenv("HZ3_PATIENCE");

	signal(SIGALRM, stress_alarm);
	alarm(seconds * (patience != NULL ? (unsigned)atoi(patience) : 1));
}

/* ---- Random numbers ---- */

static uint64_t UNUSED stress_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1du;
}

/* 0 to n - 1. */
static uint64_t UNUSED stress_below(uint64_t *state, uint64_t n)
{
	return (stress_random(state) >> 11) % n;
}

/* A generator for thread i of the run, never 0. */
static uint64_t UNUSED stress_state(uint64_t i)
{
	uint64_t state = (stress_seed + 1 + i * 0x9e3779b97f4a7c15u) | 1;

	for (int warm_up = 0; warm_up < 8; warm_up++)
		stress_random(&state);
	return state;
}

/* A size from 1 to limit, each doubling as likely as the next. */
static size_t UNUSED stress_size(uint64_t *state, size_t limit)
{
	size_t bits = 64 - (size_t)__builtin_clzl(limit);
	size_t size = 1 + (stress_random(state) >> (64 - 1 - stress_below(state, bits)));

	return size <= limit ? size : 1 + size % limit;
}

/* ---- Blocks that know their contents ---- */

/*
 * A block of at least 16 usable bytes starts with the number of bytes that are filled, mixed with its address and the seed;
 * every word behind it depends on its own address, so that a block that was moved, shared or overwritten shows.
 */
static uint64_t UNUSED stress_mix(uint64_t x)
{
	x = (x ^ stress_seed) * 0x9e3779b97f4a7c15u;
	return x ^ x >> 29;
}

/* Bytes of a block of so many that are filled: all of a small one, both ends of a large one. */
#define STRESS_WHOLE (64 * KIB)
#define STRESS_END (4 * KIB)

static void UNUSED stress_fill_range(char *p, size_t from, size_t to)
{
	for (; from + 8 <= to; from += 8) {
		uint64_t word = stress_mix((uintptr_t)(p + from));
		memcpy(p + from, &word, 8);
	}
	for (; from < to; from++)
		p[from] = (char)stress_mix((uintptr_t)(p + from));
}

static void UNUSED stress_check_range(const char *p, size_t from, size_t to)
{
	for (; from + 8 <= to; from += 8) {
		uint64_t word;
		memcpy(&word, p + from, 8);
		CHECK(word == stress_mix((uintptr_t)(p + from)), "block %p: word at %zu is %llx, not %llx",
		      (const void *)p, from, (unsigned long long)word,
		      (unsigned long long)stress_mix((uintptr_t)(p + from)));
	}
	for (; from < to; from++)
		CHECK(p[from] == (char)stress_mix((uintptr_t)(p + from)), "block %p: byte at %zu is wrong",
		      (const void *)p, from);
}

static void UNUSED stress_fill(void *block, size_t size)
{
	uint64_t head = size ^ stress_mix((uintptr_t)block ^ 0x5a5a);

	memcpy(block, &head, sizeof(head));
	if (size <= STRESS_WHOLE) {
		stress_fill_range(block, 8, size);
		return;
	}
	stress_fill_range(block, 8, STRESS_END);
	stress_fill_range(block, (size - STRESS_END) & ~(size_t)7, size);
}

/* The size that the block was filled with. */
static size_t UNUSED stress_check(const void *block)
{
	uint64_t head;
	size_t size;

	CHECK(((uintptr_t)block & 15) == 0, "block %p is misaligned", block);
	memcpy(&head, block, sizeof(head));
	size = head ^ stress_mix((uintptr_t)block ^ 0x5a5a);
	CHECK(size <= (size_t)1 << 40, "block %p: its head is wrong", block);
	if (size <= STRESS_WHOLE) {
		stress_check_range(block, 8, size);
		return size;
	}
	stress_check_range(block, 8, STRESS_END);
	stress_check_range(block, (size - STRESS_END) & ~(size_t)7, size);
	return size;
}

static void *UNUSED stress_opaque(void *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

/* ---- The process, without allocating ---- */

static size_t UNUSED stress_read_number(const char *path, const char *after, unsigned skip)
{
	static _Thread_local char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	char *p = text;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (after != NULL && (p = strstr(text, after)) != NULL)
		p += strlen(after);
	for (; p != NULL && skip > 0; skip--)
		p = strchr(p + 1, ' ');
	return p != NULL ? strtoul(p, NULL, 10) : 0;
}

/* 0 under an emulator, whose own memory cannot be told apart. */
static size_t UNUSED stress_rss(void)
{
	if (getenv("HZ3_EMULATOR") != NULL)
		return 0;
	return stress_read_number("/proc/self/status", "\nVmRSS:", 0) * KIB;
}

/* Threads of the process, hz3's own included. */
static unsigned UNUSED stress_threads(void)
{
	return (unsigned)stress_read_number("/proc/self/status", "\nThreads:", 0);
}

/* ---- hz3 ---- */

#ifdef STRESS_CORE
#include "hz3/hz3.h"
#define stress_lookup(name) ((void *)(name))
#define stress_malloc hz3_malloc
#define stress_free hz3_free
#else
#define stress_lookup(name) dlsym(RTLD_DEFAULT, #name)
#define stress_malloc malloc
#define stress_free free
#endif

static int (*stress_control)(const char *, void *, size_t *, void *, size_t);
static size_t (*stress_purge_call)(void);
static void (*stress_print)(void (*)(void *, const char *), void *, const char *);

static bool UNUSED on_hz3(void)
{
	return stress_control != NULL;
}

/* Blocks have ends, which take room. */
static bool UNUSED stress_has_safety_checks(void)
{
	bool built = false;
	size_t bytes = sizeof(built);

	return on_hz3() && stress_control("config.safety_checks", &built, &bytes, NULL, 0) == 0 && built;
}

static void UNUSED stress_find_hz3(void)
{
	*(void **)&stress_control = stress_lookup(hz3_control);
	*(void **)&stress_purge_call = stress_lookup(hz3_purge);
	*(void **)&stress_print = stress_lookup(hz3_stats_print);
}

/* Ask for a name of the control tree whose value is a size; 0 where there is no hz3. */
static size_t UNUSED stress_stat(const char *name)
{
	size_t value = 0, bytes = sizeof(value);

	if (stress_control == NULL)
		return 0;
	int error = stress_control(name, &value, &bytes, NULL, 0);
	CHECK(error == 0, "control %s: %s", name, strerror(error));
	return value;
}

static void UNUSED stress_set_sink(const char *sink)
{
	if (stress_control == NULL)
		return;
	int error = stress_control("remote.sink", NULL, NULL, &sink, sizeof(sink));
	CHECK(error == 0, "remote.sink = %s: %s", sink, strerror(error));
}

static void UNUSED stress_set_batch(bool batch)
{
	if (stress_control == NULL)
		return;
	int error = stress_control("remote.batch", NULL, NULL, &batch, sizeof(batch));
	CHECK(error == 0, "remote.batch: %s", strerror(error));
}

/* Whether the statistics count, so that there is something to check. */
static bool UNUSED stress_counts(void)
{
	bool counts = false;
	size_t bytes = sizeof(counts);

	return stress_control != NULL && stress_control("config.stats", &counts, &bytes, NULL, 0) == 0 && counts;
}

/* Give back what can be given back, now. */
static void UNUSED stress_purge(void)
{
	if (stress_purge_call != NULL)
		stress_purge_call();
	else
		malloc_trim(0);
}

struct stress_text {
	char *text;
	size_t used, cap;
};

static void UNUSED stress_append(void *arg, const char *piece)
{
	struct stress_text *out = arg;
	size_t n = strlen(piece);

	CHECK(out->used + n < out->cap, "the statistics take more than %zu bytes", out->cap);
	memcpy(out->text + out->used, piece, n + 1);
	out->used += n;
}

/* A number from the JSON statistics, all of one moment: the first such key after section (NULL: anywhere). */
static double UNUSED stress_json_number(const char *json, const char *section, const char *key)
{
	char quoted[64];

	if (section != NULL) {
		snprintf(quoted, sizeof(quoted), "\"%s\":", section);
		json = strstr(json, quoted);
		CHECK(json != NULL, "the statistics have no %s", quoted);
	}
	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	json = strstr(json, quoted);
	CHECK(json != NULL, "the statistics have no %s", quoted);
	return strtod(json + strlen(quoted), NULL);
}

static const char *UNUSED stress_json(void)
{
	static char text[256 * 1024];
	struct stress_text out = {text, 0, sizeof(text)};

	text[0] = '\0';
	stress_print(stress_append, &out, "j");
	return text;
}

/*
 * Blocks that are live now, settled; after all threads are joined this is exact.  Also checks what the sums promise: blocks
 * freed and live make up those allocated, what was sent through the sinks was drained, nothing is held.
 */
static size_t UNUSED stress_live(void)
{
	if (!stress_counts())
		return 0;
	stress_stat("stats.blocks_live");	/* settles: what others hold back reaches heaps at rest */
	const char *json = stress_json();
	double allocated = stress_json_number(json, NULL, "blocks_allocated");
	double freed = stress_json_number(json, NULL, "blocks_freed");
	double live = stress_json_number(json, NULL, "blocks_live");
	CHECK(allocated == freed + live, "%.0f blocks allocated, %.0f freed, %.0f live", allocated, freed, live);
	CHECK(live < 1e15, "%.0f blocks live: fewer allocated than freed", live);
	double held = stress_json_number(json, "remote", "held_bytes");
	double held_cap = stress_json_number(json, "remote", "held_bytes_cap");
	CHECK(held <= held_cap + 64 * 1024 * 64, "buffers hold %.0f bytes, the cap is %.0f", held, held_cap);
	return (size_t)live;
}

/* A block that is filled. */
static UNUSED void *stress_new(size_t size)
{
	void *p = stress_malloc(size);

	CHECK(p != NULL, "no memory for %zu bytes", size);
	stress_fill(p, size);
	return p;
}

/* Looked at, and freed; it may be NULL. */
static void UNUSED stress_discard(void *p)
{
	if (p == NULL)
		return;
	stress_check(p);
	stress_free(p);
}

/* ---- Threads and processes ---- */

#define STRESS_STACK (256 * KIB)

static pthread_t UNUSED stress_thread(void *(*f)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STRESS_STACK);
	int error = pthread_create(&thread, &attr, f, arg);
	CHECK(error == 0, "pthread_create: %s", strerror(error));
	pthread_attr_destroy(&attr);
	return thread;
}

static void *UNUSED stress_wait_at(void *barrier)
{
	free(stress_opaque(malloc(100)));
	pthread_barrier_wait(barrier);
	return NULL;
}

/*
 * Before a baseline is taken: let libc allocate what it keeps for n threads (their stacks stay in its cache), and hz3
 * start its background thread, so that neither shows as a leak.
 */
static void UNUSED stress_warm_up(unsigned n)
{
	pthread_barrier_t barrier;
	pthread_t *threads = malloc((n + 1) * sizeof(*threads));

	pthread_barrier_init(&barrier, NULL, n + 1);
	for (unsigned i = 0; i < n + 1; i++)
		threads[i] = stress_thread(stress_wait_at, &barrier);
	for (unsigned i = 0; i < n + 1; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&barrier);
	free(threads);
	for (int i = 0; on_hz3() && stress_threads() < 2 && i < 4000; i++) {
		void *p = stress_opaque(malloc(2 * MIB));
		free(p);
	}
	printf("seed %llu, variant \"%s\"\n", (unsigned long long)stress_seed, stress_variant);
	fflush(stdout);
}

/* For a child that has to end with this status. */
static void UNUSED stress_wait_for(pid_t pid, int status_wanted, const char *what)
{
	int status;

	while (waitpid(pid, &status, 0) != pid)
		CHECK(errno == EINTR, "%s: waitpid: %s", what, strerror(errno));
	CHECK(!WIFSIGNALED(status), "%s: killed by signal %d", what, WTERMSIG(status));
	CHECK(WEXITSTATUS(status) == status_wanted, "%s: status %d, not %d", what, WEXITSTATUS(status), status_wanted);
}

/* ---- This program once more ---- */

static bool UNUSED stress_is_emulated(void)
{
	return getenv("HZ3_EMULATOR") != NULL;
}

/* How to start this program with one argument, by execvp() or posix_spawnp(). */
static void UNUSED stress_self(struct self *self, char *argument)
{
	CHECK(self_words(self, (char *[]){argument, NULL}), "HZ3_TEST_LAUNCHER is too long, or there is no /proc");
}

/* In the child of a fork.  Does not return. */
static _Noreturn void UNUSED stress_exec_self(char *argument)
{
	struct self self;

	stress_self(&self, argument);
	execvp(self.argv[0], self.argv);
	FAIL("exec: %s", strerror(errno));
}

/* ---- Variants ---- */

/* Both sinks, the choice between them, and no batching. */
#define STRESS_SINKS "sink:central", "sink:page", "sink:auto", "remote_batch:0"

/* One more setting for hz3, in what this process becomes. */
static void UNUSED stress_add_conf(const char *setting)
{
	const char *conf = getenv("HZ3_CONF");
	char both[512];

	snprintf(both, sizeof(both), "%s%s%s", conf != NULL ? conf : "", conf != NULL && *conf != '\0' ? "," : "", setting);
	setenv("HZ3_CONF", both, 1);
}

static int UNUSED stress_run_variant(const char *variant, unsigned i)
{
	char seed[32];
	int status;

	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)stress_seed + i);
	pid_t pid = fork();
	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		stress_add_conf(variant);
		setenv("HZ3_STRESS_VARIANT", variant, 1);
		setenv("HZ3_STRESS_SEED", seed, 1);
		stress_exec_self(NULL);
	}
	CHECK(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
	if (WIFSIGNALED(status))
		fprintf(stderr, "variant \"%s\" was killed by signal %d (%s), seed %s\n", variant, WTERMSIG(status),
			strsignal(WTERMSIG(status)), seed);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/*
 * Run body under each of the variants, a list that ends with NULL; only once where there is no hz3.  A variant may take so
 * many seconds in the short form, 60 times as long in the long one.
 */
static int UNUSED stress_main(const char *const *variants, unsigned seconds, void (*body)(void))
{
	const char *seed = getenv("HZ3_STRESS_SEED"), *variant = getenv("HZ3_STRESS_VARIANT");
	const char *form = getenv("HZ3_STRESS");
	int failures = 0, status = 0;

	stress_find_hz3();
	if (self_is_foreign())
		unsetenv("LD_PRELOAD");
	stress_long = form != NULL && strcmp(form, "long") == 0;
	stress_seed = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) * 1000003u % 1000000007u;
	if (variant != NULL || !on_hz3()) {
		stress_variant = variant != NULL ? variant : "";
		stress_limit(stress_long ? seconds * 60 : seconds);
		body();
		return 0;
	}
	for (unsigned i = 0; variants[i] != NULL; i++) {
		status = stress_run_variant(variants[i], i);
		if (status == SKIPPED)
			return status;
		if (status != 0)
			fprintf(stderr, "FAILED under HZ3_CONF=%s\n", variants[i]);
		failures += status != 0;
	}
	return failures == 0 ? 0 : 1;
}

#endif
