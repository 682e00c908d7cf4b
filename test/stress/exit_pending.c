/*
 * Threads that end with remote frees pending on either side.
 *
 *   sequence    each thread leaves blocks behind and frees those of threads before it, up to its last breath.
 *   outlive     a thread fills memory and ends; others free it later, while hz3's own thread may be at work.
 *   late        destructors of thread-specific data allocate and free, in every round, after hz3's own destructor.
 */
#include "stress.h"

#define KEPT 3000

static _Atomic(void *) kept[KEPT];

static void *new_block(uint64_t *random, size_t limit)
{
	return stress_new(8 + stress_size(random, limit));
}

static void shuffle(uint64_t *random, unsigned n, size_t limit)
{
	for (unsigned i = 0; i < n; i++)
		stress_discard(atomic_exchange(&kept[stress_below(random, KEPT)], new_block(random, limit)));
}

static void drop_kept(void)
{
	for (unsigned i = 0; i < KEPT; i++)
		stress_discard(atomic_exchange(&kept[i], NULL));
}

/* ---- Destructors ---- */

#define KEYS 8
#define ROUNDS 3

static pthread_key_t keys[KEYS];

struct late {
	uint64_t random;
	unsigned key, rounds_left;
};

/* Runs up to four times a thread (PTHREAD_DESTRUCTOR_ITERATIONS), before and after hz3's destructor. */
static void late_destructor(void *arg)
{
	struct late *late = arg;

	shuffle(&late->random, 4, 2000);
	void *p = new_block(&late->random, 100000), *q = new_block(&late->random, 2000);
	stress_discard(q);
	stress_discard(p);
	p = realloc(malloc(40), 4000);
	CHECK(p != NULL, "no memory");
	free(p);
	if (late->rounds_left-- > 0) {
		pthread_setspecific(keys[late->key], late);
		return;
	}
	free(late);
}

static void set_late_destructors(uint64_t *random)
{
	for (unsigned i = 0; i < KEYS; i++) {
		struct late *late = malloc(sizeof(*late));
		*late = (struct late){stress_random(random) | 1, i, ROUNDS - 1};
		pthread_setspecific(keys[i], late);
	}
}

/* What C++ uses for thread_local objects: runs before the destructors of keys. */
int __cxa_thread_atexit_impl(void (*destructor)(void *), void *arg, void *dso) __attribute__((weak));


static void at_thread_exit(void *arg)
{
	uint64_t random = (uintptr_t)arg | 1;

	shuffle(&random, 4, 2000);
}

/* ---- Sequence ---- */

static void *short_life(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);
	uint64_t kind = stress_below(&random, 4);

	/* A thread that only frees, one that only allocates, and those that do both. */
	if (kind == 0)
		for (unsigned i = 0; i < 8; i++)
			stress_discard(atomic_exchange(&kept[stress_below(&random, KEPT)], NULL));
	else
		shuffle(&random, 16, 2000);
	if (kind == 2)
		set_late_destructors(&random);
	if (kind == 3 && __cxa_thread_atexit_impl != NULL)
		__cxa_thread_atexit_impl(at_thread_exit, (void *)(uintptr_t)stress_random(&random), keys);
	return NULL;
}

static void sequence(unsigned threads, unsigned at_once)
{
	pthread_t thread[16];

	for (unsigned i = 0; i < threads; i += at_once) {
		for (unsigned j = 0; j < at_once; j++)
			thread[j] = stress_thread(short_life, (void *)(uintptr_t)(i + j + 1));
		for (unsigned j = 0; j < at_once; j++)
			pthread_join(thread[j], NULL);
	}
}

/* ---- Outlive ---- */

static void **filled;
static unsigned fill_count;
static unsigned free_step;

static void *fill(void *arg)
{
	uint64_t random = stress_state(77 + (uintptr_t)arg);

	for (unsigned i = 0; i < fill_count; i++)
		filled[i] = new_block(&random, 1500);
	return NULL;
}

static void *drain(void *arg)
{
	for (unsigned i = (unsigned)(uintptr_t)arg; i < fill_count; i += free_step) {
		stress_discard(filled[i]);
		filled[i] = NULL;
	}
	return NULL;
}

/* Some 60 MiB of one thread's, freed by three, after it has ended and others have come and gone. */
static void outlive(void)
{
	pthread_t thread[3];

	fill_count = 150000;
	free_step = 3;
	filled = calloc(fill_count, sizeof(*filled));
	pthread_join(stress_thread(fill, NULL), NULL);
	stress_sleep_ms(on_hz3() ? 300 : 0);
	for (unsigned i = 0; i < 3; i++)
		thread[i] = stress_thread(drain, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	free(filled);
}

static void body(void)
{
	unsigned threads = stress_long ? 100000 : 4000;

	for (unsigned i = 0; i < KEYS; i++)
		CHECK(pthread_key_create(&keys[i], late_destructor) == 0, "pthread_key_create");
	stress_warm_up(16);
	size_t live = stress_live();

	sequence(threads / 2, 1);
	stress_purge();
	size_t rss = stress_rss(), heaps = stress_stat("stats.heaps");
	sequence(threads / 2, 16);
	stress_purge();
	size_t rss_now = stress_rss(), heaps_now = stress_stat("stats.heaps");
	printf("rss %zu KiB, then %zu KiB; heaps %zu, then %zu\n", rss / KIB, rss_now / KIB, heaps, heaps_now);
	CHECK(!on_hz3() || rss_now < rss + 16 * MIB, "memory grows with the number of threads that were: %zu KiB, then %zu",
	      rss / KIB, rss_now / KIB);
	CHECK(heaps_now < 64, "%zu heaps were made for 17 threads at once", heaps_now);
	drop_kept();
	size_t live_now = stress_live();
	CHECK(live_now == live, "sequence: %zu blocks live at the end, %zu before", live_now, live);

	outlive();
	live_now = stress_live();
	CHECK(live_now == live, "outlive: %zu blocks live at the end, %zu before", live_now, live);
	stress_purge();
	rss_now = stress_rss();
	CHECK(!on_hz3() || rss_now < rss + 16 * MIB, "%zu KiB resident at the end, %zu KiB before", rss_now / KIB,
	      rss / KIB);
}

int main(void)
{
	static const char *const variants[] = {STRESS_SINKS, NULL};

	return stress_main(variants, 30, body);
}
