/*
 * Memory goes back to the system with nobody calling anything.
 *
 *   idle_owner   a thread allocates 100 MB and sleeps for ever; four others free all of it in random order and end.
 *   ended_owner  the same, but the owner has ended before.
 *   all_idle     the same, and the four others don't end, but sleep as well, on what is in their buffers.
 *   idle_freers  the owner has ended, and the others sleep.
 *   own_burst    a thread frees its own 200 MB and sleeps, in a process with other threads and in one without.
 *
 * The main thread only looks at /proc/self/statm, without allocating.
 */
#include "stress.h"

#define FREERS 4

static void **blocks;
static uint32_t *order;
static unsigned block_count;
static _Atomic unsigned resting;
static bool owner_ends, freers_end;

static void *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED, "mmap");
	return p;
}

static void rest(void)
{
	atomic_fetch_add(&resting, 1);
	for (;;)
		pause();
}

static void wait_for_resting(unsigned n)
{
	while (atomic_load(&resting) < n)
		stress_sleep_ms(1);
}

static size_t one_size(uint64_t *random, unsigned kind)
{
	static const size_t sizes[] = {64, 1000};

	return kind < 2 ? sizes[kind] : 16 + stress_below(random, 2000);
}

static void *own(void *arg)
{
	uint64_t random = stress_state(1);
	size_t bytes = 0;

	for (block_count = 0; bytes < 100 * 1000 * 1000; block_count++) {
		size_t size = one_size(&random, (unsigned)(uintptr_t)arg);
		blocks[block_count] = malloc(size);
		CHECK(blocks[block_count] != NULL, "no memory");
		memset(blocks[block_count], 1, size);
		bytes += size;
	}
	atomic_fetch_add(&resting, 1);
	if (!owner_ends)
		for (;;)
			pause();
	return NULL;
}

static void *free_share(void *arg)
{
	for (unsigned i = (unsigned)(uintptr_t)arg; i < block_count; i += FREERS)
		free(blocks[order[i]]);
	if (!freers_end)
		rest();
	atomic_fetch_add(&resting, 1);
	return NULL;
}

/* Poll until the resident memory is at most limit; fails after so many seconds. */
static double wait_for_rss(size_t limit, double seconds, const char *what, size_t before)
{
	double start = stress_now(), used;
	size_t rss;

	while ((rss = stress_rss()) > limit) {
		used = stress_now() - start;
		CHECK(used < seconds, "%s: %zu MiB of %zu MiB still resident after %.0f s", what, rss / MIB, before / MIB,
		      seconds);
		stress_sleep_ms(50);
	}
	return stress_now() - start;
}

static void remote_idle(unsigned kind, const char *what)
{
	size_t blocks_max = 2 * MIB;
	uint64_t random = stress_state(2);
	size_t base = stress_rss(), full;

	owner_ends = strcmp(what, "ended_owner") == 0 || strcmp(what, "idle_freers") == 0;
	freers_end = strcmp(what, "idle_owner") == 0 || strcmp(what, "ended_owner") == 0;
	blocks = map(blocks_max * sizeof(*blocks));
	order = map(blocks_max * sizeof(*order));
	atomic_store(&resting, 0);
	pthread_t owner = stress_thread(own, (void *)(uintptr_t)kind);
	wait_for_resting(1);
	if (owner_ends)
		pthread_join(owner, NULL);
	for (unsigned i = 0; i < block_count; i++)
		order[i] = i;
	for (unsigned i = block_count - 1; i > 0; i--) {
		unsigned j = (unsigned)stress_below(&random, i + 1);
		uint32_t t = order[i];
		order[i] = order[j];
		order[j] = t;
	}
	full = stress_rss() - base - block_count * (sizeof(*blocks) + sizeof(*order));
	for (uintptr_t i = 0; i < FREERS; i++)
		stress_thread(free_share, (void *)i);
	wait_for_resting(1 + FREERS);
	munmap(blocks, blocks_max * sizeof(*blocks));
	munmap(order, blocks_max * sizeof(*order));
	double used = wait_for_rss(base + full / 4, 20, what, full);
	stress_sleep_ms(500);
	printf("%s, kind %u: %zu MiB, below a quarter after %.1f s, then %zu MiB\n", what, kind, full / MIB, used,
	       (stress_rss() - base) / MIB);
}

static void burst(void)
{
	uint64_t random = stress_state(3);
	static void *list;	/* through the first word of each block */

	for (size_t bytes = 0; bytes < 200 * 1000 * 1000;) {
		size_t size = stress_size(&random, 8 * KIB) + 8;
		void **p = malloc(size);
		CHECK(p != NULL, "no memory");
		memset(p, 1, size);
		*p = list;
		list = p;
		bytes += size;
	}
	for (void **p = list, **next; p != NULL; p = next) {
		next = *p;
		free(p);
	}
	list = NULL;
}

static void *burst_and_rest(void *arg UNUSED)
{
	burst();
	rest();
	return NULL;
}

static void own_burst(bool alone)
{
	size_t base = stress_rss();

	atomic_store(&resting, 0);
	if (alone) {
		burst();
	} else {
		stress_thread(burst_and_rest, NULL);
		wait_for_resting(1);
	}
	double used = wait_for_rss(base + 50 * 1000 * 1000, 10, alone ? "own_burst alone" : "own_burst", base);
	printf("own_burst%s: below a quarter after %.1f s, then %zu MiB\n", alone ? " alone" : "", used,
	       (stress_rss() - base) / MIB);
}

/* Each part in a process of its own, all at the same time: they mostly wait. */
static pid_t start(void (*part)(unsigned), unsigned arg)
{
	fflush(stdout);
	pid_t pid = fork();

	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		stress_limit(60);
		part(arg);
		fflush(stdout);
		_exit(0);
	}
	return pid;
}

static void idle_part(unsigned arg)
{
	static const char *const what[] = {"idle_owner", "ended_owner", "all_idle", "idle_freers"};

	remote_idle(arg % 3, what[arg / 3]);
}

static void burst_part(unsigned arg)
{
	own_burst(arg != 0);
}

static void body(void)
{
	pid_t pids[16];
	unsigned n = 0;

	if (!on_hz3())
		exit(SKIPPED);
	printf("seed %llu, variant \"%s\"\n", (unsigned long long)stress_seed, stress_variant);
	for (unsigned i = 0; i < 12; i++)
		pids[n++] = start(idle_part, i);
	if (strstr(stress_variant, "central") != NULL)
		for (unsigned i = 0; i < 2; i++)
			pids[n++] = start(burst_part, i);
	for (unsigned i = 0; i < n; i++) {
		int status;
		CHECK(waitpid(pids[i], &status, 0) == pids[i], "waitpid");
		CHECK(status == 0, "part %u failed", i);
	}
}

int main(void)
{
	static const char *const variants[] = {"sink:central", "sink:page", "remote_batch:0", NULL};

	return stress_main(variants, 60, body);
}
