/*
 * fanout: one dispatcher makes jobs and hands them to the workers in turn, who free them.
 *
 * All blocks have one owner, and all other threads free into it: what they contend for is the dispatcher's heap.
 * An operation is one job freed.
 *
 * A worker ends when the dispatcher has and nothing is left for it.  So the dispatcher may wait for room even when the
 * time is over: the worker still takes.
 */
#include "bench.h"

#define PLACES_MAX 256
#define IN_FLIGHT_MAX 16384	/* jobs, over all rings */

static struct bench_ring *rings;	/* one to each worker */
static _Atomic bool ended;	/* set after the last put (release), read before the last take (acquire) */

static void dispatch(struct bench_thread *t)
{
	unsigned to = 0;

	while (!bench_stopping()) {
		void *block = bench_malloc(t, bench_size(t));

		while (!bench_put(&rings[to], block))
			bench_pause();
		to = to + 1 < bench.workers ? to + 1 : 0;
	}
	atomic_store_explicit(&ended, true, memory_order_release);
}

static void consume(struct bench_thread *t, struct bench_ring *ring)
{
	while (!atomic_load_explicit(&ended, memory_order_acquire)) {
		if (!bench_free_arrived(t, ring, 1))
			bench_pause();
	}
	bench_free_arrived(t, ring, 1);
}

static void work(struct bench_thread *t)
{
	if (t->index == 0)
		dispatch(t);
	else
		consume(t, &rings[t->index - 1]);
}

int main(int argc, char **argv)
{
	static const struct bench_spec spec = {
		.name = "fanout", .workers = 8, .size = "32-512", .seconds = 1, .letters = "",
		.usage = "              the one dispatcher comes on top of the workers\n",
	};

	bench_begin(argc, argv, &spec);
	rings = bench_rings(bench.workers, bench_places(bench.workers, PLACES_MAX, IN_FLIGHT_MAX));
	bench_threads(bench.workers + 1);
	bench_run(bench.workers + 1, work);
	return bench_end("");
}
