/*
 * allremote: every thread makes blocks and frees blocks, but never its own.
 *
 * The threads stand in a circle, in which a fixed number of batches goes round.  Who gets a batch frees all its blocks,
 * fills it with new ones and passes it on, so that memory in use is small and steady, and whatever a thread allocates
 * has come back to it from another.  An operation is one free.
 *
 * The circle has twice as many places as batches.  So a thread may wait for room: somebody in front of it has some.
 * When the time is over, threads only free, until none of them passes on any more.
 */
#include "bench.h"

#define BATCH_MAX 65536
#define BATCHES 2		/* in the circle, for each thread */
#define PLACES (2 * BATCHES)	/* of the ring before each thread */

static size_t batch_size = 512;
static struct bench_ring *rings;	/* one to each thread: arrays of batch_size blocks */

/* Threads that still pass on.  Decremented after the last put (release), read before the last take (acquire). */
static _Atomic unsigned passing;

static void fill(struct bench_thread *t, void **batch)
{
	for (size_t i = 0; i < batch_size; i++)
		batch[i] = bench_malloc(t, bench_size(t));
}

static void empty(struct bench_thread *t, void **batch)
{
	for (size_t i = 0; i < batch_size; i++)
		bench_free(t, batch[i]);
	bench_did(t, batch_size);
}

static void pass(struct bench_thread *t, void **batch)
{
	unsigned to = t->index + 1 < bench.workers ? t->index + 1 : 0;

	while (!bench_put(&rings[to], batch))
		bench_pause();
}

/* The next batch, emptied, or NULL if there is none. */
static void **receive(struct bench_thread *t)
{
	void **batch = bench_take(&rings[t->index]);

	if (batch != NULL)
		empty(t, batch);
	return batch;
}

static void work(struct bench_thread *t)
{
	void **batch = t->argument;

	for (unsigned i = 0; i < BATCHES; i++, batch += batch_size) {
		fill(t, batch);
		pass(t, batch);
	}
	while (!bench_stopping()) {
		if ((batch = receive(t)) == NULL) {
			bench_pause();
			continue;
		}
		fill(t, batch);
		pass(t, batch);
	}
	atomic_fetch_sub_explicit(&passing, 1, memory_order_release);
	while (atomic_load_explicit(&passing, memory_order_acquire) != 0) {
		if (receive(t) == NULL)
			bench_pause();
	}
	while (receive(t) != NULL)
		;
}

static bool option(int letter, const char *text)
{
	(void)letter;
	batch_size = bench_number(text, 1, BATCH_MAX);
	return true;
}

int main(int argc, char **argv)
{
	static const struct bench_spec spec = {
		.name = "allremote", .workers = 4, .size = "mixed", .seconds = 1, .letters = "b:", .option = option,
		.usage = "              at least 2 workers\n"
		    "  -b BATCH    blocks in a batch (512; at most 65536)\n",
	};
	void **batches;

	bench_begin(argc, argv, &spec);
	if (bench.workers < 2) {
		fprintf(stderr, "allremote: needs at least 2 workers (-w)\n");
		return 2;
	}
	rings = bench_rings(bench.workers, PLACES);
	batches = bench_map(bench.workers * BATCHES * batch_size * sizeof(*batches));
	bench_threads(bench.workers);
	for (unsigned i = 0; i < bench.workers; i++)
		bench.thread[i].argument = batches + i * BATCHES * batch_size;
	passing = bench.workers;
	bench_run(bench.workers, work);
	return bench_end("");
}
