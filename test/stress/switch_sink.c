/*
 * The sink and batching change at random, every few milliseconds, while threads free each other's blocks.
 *
 * Whole batches of one size travel round a ring of threads, so that pages come back whole through either sink, and
 * single blocks of all sizes are exchanged, so that others come back in pieces.  At the end every block is accounted for,
 * both sinks and the way without batching have been used, and no buffer holds anything.
 */
#include "stress.h"

#define THREADS 8
#define SLOTS 1024
#define BATCH_BYTES (128 * KIB)

struct batch {
	size_t count;
	void *block[];
};

static _Atomic(void *) slots[SLOTS];
static _Atomic(struct batch *) ring[THREADS];
static _Atomic bool stop;

static struct batch *new_batch(uint64_t *random)
{
	size_t size = 16 + 16 * stress_below(random, 8), n = BATCH_BYTES / size;
	struct batch *batch = malloc(sizeof(*batch) + n * sizeof(batch->block[0]));

	CHECK(batch != NULL, "no memory");
	batch->count = n;
	for (size_t i = 0; i < n; i++)
		batch->block[i] = stress_new(size);
	return batch;
}

static void discard_batch(struct batch *batch)
{
	if (batch == NULL)
		return;
	for (size_t i = 0; i < batch->count; i++)
		stress_discard(batch->block[i]);
	free(batch);
}

static void *work(void *arg)
{
	uintptr_t me = (uintptr_t)arg;
	uint64_t random = stress_state(me + 1);

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		for (unsigned i = 0; i < 200; i++) {
			void *p = stress_new(8 + stress_size(&random, 8 * KIB));
			stress_discard(atomic_exchange(&slots[stress_below(&random, SLOTS)], p));
		}
		/* To the next in the ring; what that one has not taken yet comes back to be freed here. */
		discard_batch(atomic_exchange(&ring[(me + 1) % THREADS], new_batch(&random)));
		discard_batch(atomic_exchange(&ring[me], NULL));
	}
	return NULL;
}

static unsigned switch_for(double seconds)
{
	static const char *const sinks[] = {"central", "page", "auto"};
	uint64_t random = stress_state(99);
	double end = stress_now() + seconds;
	unsigned switches = 0;

	for (; stress_now() < end; switches++) {
		if (stress_below(&random, 3) != 0)
			stress_set_sink(sinks[stress_below(&random, 3)]);
		else
			stress_set_batch(stress_below(&random, 3) != 0);
		stress_sleep_ms(1 + (unsigned)stress_below(&random, 4));
	}
	return switches;
}

/* Use each way alone for a moment, so that none is left out by chance. */
static void each_alone(void)
{
	for (unsigned way = 0; way < 3; way++) {
		stress_set_sink(way == 1 ? "page" : "central");
		stress_set_batch(way != 2);
		stress_sleep_ms(30);
	}
}

static void body(void)
{
	pthread_t thread[THREADS];

	if (!on_hz3()) {
		printf("there is no sink to switch without hz3\n");
		exit(SKIPPED);
	}
	stress_warm_up(THREADS);
	size_t live = stress_live();
	unsigned rounds = stress_long ? 20 : 2, switches = 0;
	for (unsigned round = 0; round < rounds; round++) {
		atomic_store(&stop, false);
		for (uintptr_t i = 0; i < THREADS; i++)
			thread[i] = stress_thread(work, (void *)i);
		each_alone();
		switches += switch_for(stress_long ? 5 : 0.6);
		atomic_store(&stop, true);
		for (unsigned i = 0; i < THREADS; i++)
			pthread_join(thread[i], NULL);
		for (unsigned i = 0; i < SLOTS; i++)
			stress_discard(atomic_exchange(&slots[i], NULL));
		for (unsigned i = 0; i < THREADS; i++)
			discard_batch(atomic_exchange(&ring[i], NULL));
		size_t live_now = stress_live();
		CHECK(live_now == live, "round %u: %zu blocks live at the end, %zu before", round, live_now, live);
	}
	if (!stress_counts())
		return;
	const char *const used[] = {"stats.remote.central.blocks", "stats.remote.page.blocks",
				    "stats.remote.flush_causes.unbatched", "stats.remote.flushes"};
	for (unsigned i = 0; i < sizeof(used) / sizeof(used[0]); i++)
		CHECK(stress_stat(used[i]) > 0, "%s is 0 after %u switches", used[i], switches);
	CHECK(stress_stat("stats.remote.held_bytes") == 0, "%zu bytes are held with nothing live",
	      stress_stat("stats.remote.held_bytes"));
	printf("%u switches\n", switches);
}

int main(void)
{
	static const char *const variants[] = {"sink:central", "sink:page,remote_budget:16K",
					       "sink:auto,handover:0", NULL};

	return stress_main(variants, 20, body);
}
