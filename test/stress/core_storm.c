/*
 * The storm against libhz3core by its hz3_ names, so that sanitizers see every access of the allocator.
 *
 * Threads come and go while they allocate, hand over and free; the sink and batching change under them; another thread
 * purges, collects statistics and validates all the time.  At the end nothing is live and every list is consistent.
 */
#define STRESS_CORE
#include "stress.h"

#include "abandon.h"
#include "arena.h"
#include "heap.h"
#include "thread.h"

#define SLOTS 512
#define THREADS 6

static _Atomic(void *) slots[SLOTS];
static _Atomic bool stop;

static void *new_block(uint64_t *random)
{
	return stress_new(8 + stress_size(random, stress_below(random, 64) == 0 ? 300 * KIB : 4 * KIB));
}

/* Several hundred blocks of one size, so that whole pages travel. */
static void batch(uint64_t *random)
{
	size_t size = (size_t)64 << stress_below(random, 5), n = 65536 / size;
	void *blocks[1024];

	for (size_t i = 0; i < n; i++) {
		blocks[i] = hz3_malloc(size);
		CHECK(blocks[i] != NULL, "no memory");
		stress_fill(blocks[i], size);
	}
	unsigned first = (unsigned)stress_below(random, SLOTS);
	for (size_t i = 0; i < n; i++)
		stress_discard(atomic_exchange(&slots[(first + i) % SLOTS], blocks[i]));
}

static void *live(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);

	for (unsigned i = 0; i < 2000 && !atomic_load(&stop); i++) {
		switch (stress_below(&random, 64)) {
		case 0:
			batch(&random);
			break;
		case 1:
			hz3_thread_idle();
			break;
		case 2:
			hz3_thread_flush();
			break;
		default:
			stress_discard(atomic_exchange(&slots[stress_below(&random, SLOTS)], new_block(&random)));
		}
	}
	return NULL;
}

static void *renew(void *arg)
{
	uint64_t i = (uintptr_t)arg * 1000000;

	while (!atomic_load(&stop))
		pthread_join(stress_thread(live, (void *)(uintptr_t)++i), NULL);
	return NULL;
}

static void *disturb(void *arg UNUSED)
{
	static const char *const sinks[] = {"central", "page", "auto"};
	uint64_t random = stress_state(999);

	while (!atomic_load(&stop)) {
		stress_set_sink(sinks[stress_below(&random, 3)]);
		stress_set_batch(stress_below(&random, 4) != 0);
		if (stress_below(&random, 8) == 0)
			stress_purge();
		if (stress_below(&random, 8) == 0)
			(void)stress_json();
		hz3_arenas_validate();
		stress_sleep_ms(1 + (unsigned)stress_below(&random, 5));
	}
	return NULL;
}

static void body(void)
{
	pthread_t thread[THREADS + 1];

	printf("seed %llu, variant \"%s\"\n", (unsigned long long)stress_seed, stress_variant);
	fflush(stdout);
	hz3_free(hz3_malloc(1));
	size_t before = stress_live();
	for (uintptr_t i = 0; i < THREADS; i++)
		thread[i] = stress_thread(renew, (void *)(i + 1));
	thread[THREADS] = stress_thread(disturb, NULL);
	stress_sleep_ms(stress_long ? 60000 : 2000);
	atomic_store(&stop, true);
	for (unsigned i = 0; i <= THREADS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < SLOTS; i++)
		stress_discard(atomic_exchange(&slots[i], NULL));
	size_t after = stress_live();
	CHECK(after == before, "%zu blocks live at the end, %zu before", after, before);
	stress_purge();
	hz3_arenas_validate();
	hz3_heap_validate(hz3_thread_heap);
	/* Every thread's pages are given back: what is left is this thread's. */
	CHECK(hz3_arenas_active() <= MIB, "%zu KiB of pages are in use with no block live", hz3_arenas_active() / KIB);
}

int main(void)
{
	static const char *const variants[] = {"sink:central", "sink:page,remote_budget:16K", "sink:auto,empty_pages_max:0", NULL};

	return stress_main(variants, 60, body);
}
