/*
 * fanin: many threads make messages, one logger frees them all.
 *
 * The logger never allocates, and what it frees belongs to all the others: it is the thread that drowns in remote
 * frees.  An operation is one message freed.
 *
 * The logger ends when all producers have and nothing is left.  So a producer may wait for room even when the time is
 * over: the logger still takes.
 */
#include "bench.h"

#define PLACES_MAX 256
#define IN_FLIGHT_MAX 16384	/* messages, over all rings */

static struct bench_ring *rings;	/* one of each producer */

/* Producers that still run.  Decremented after the last put (release), read before the last take (acquire). */
static _Atomic unsigned producers;

static void produce(struct bench_thread *t, struct bench_ring *ring)
{
	while (!bench_stopping()) {
		void *block = bench_malloc(t, bench_size(t));

		while (!bench_put(ring, block))
			bench_pause();
	}
	atomic_fetch_sub_explicit(&producers, 1, memory_order_release);
}

static void consume(struct bench_thread *t)
{
	while (atomic_load_explicit(&producers, memory_order_acquire) != 0) {
		if (!bench_free_arrived(t, rings, bench.workers))
			bench_pause();
	}
	bench_free_arrived(t, rings, bench.workers);
}

static void work(struct bench_thread *t)
{
	if (t->index == 0)
		consume(t);
	else
		produce(t, &rings[t->index - 1]);
}

int main(int argc, char **argv)
{
	static const struct bench_spec spec = {
		.name = "fanin", .workers = 8, .size = "32-512", .seconds = 1, .letters = "",
		.usage = "              workers are producers; the one logger comes on top\n",
	};

	bench_begin(argc, argv, &spec);
	rings = bench_rings(bench.workers, bench_places(bench.workers, PLACES_MAX, IN_FLIGHT_MAX));
	bench_threads(bench.workers + 1);
	producers = bench.workers;
	bench_run(bench.workers + 1, work);
	return bench_end("");
}
