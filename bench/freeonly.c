/*
 * freeonly: threads that never call malloc, from their first call on, free what a few owners make.
 *
 * For malloc such a thread has no heap when it first frees, and never needs one.  An owner fills batches and gives
 * them to the freeing threads in turn; these free each batch in random order and give the array back, to be filled
 * anew.  An operation is one free.
 *
 * Each owner has a few arrays for each freeing thread, as many as there are places in the rings between the two, which
 * are therefore never full.  An owner ends when the time is over, even if it waits for an array; a freeing thread when
 * all owners have and nothing is left for it.
 */
#include "bench.h"

#define PAIRS_MAX 4096		/* of an owner and a freeing thread */
#define OWNERS_MAX 64
#define ARRAYS 2		/* of each pair: one is filled, one emptied */
#define BATCH_MAX 65536
#define IN_FLIGHT_MAX 131072	/* blocks in all batches: smaller batches if there are many pairs */

static unsigned owners = 1;
static size_t batch_size = 4096;
static struct bench_ring *full, *spare;	/* [freeing thread * owners + owner] */

/* Owners that still run.  Decremented after the last put (release), read before the last take (acquire). */
static _Atomic unsigned owners_left;

/* An array that the freeing thread is through with, or NULL when the time is over. */
static void **wait_for_spare(struct bench_ring *ring)
{
	void **batch;

	while ((batch = bench_take(ring)) == NULL && !bench_stopping())
		bench_pause();
	return batch;
}

static void own(struct bench_thread *t, unsigned owner)
{
	unsigned to = 0;
	void **batch;

	while (!bench_stopping() && (batch = wait_for_spare(&spare[(size_t)to * owners + owner])) != NULL) {
		for (size_t i = 0; i < batch_size; i++)
			batch[i] = bench_malloc(t, bench_size(t));
		bench_put(&full[(size_t)to * owners + owner], batch);
		to = to + 1 < bench.workers ? to + 1 : 0;
	}
	atomic_fetch_sub_explicit(&owners_left, 1, memory_order_release);
}

static void free_shuffled(struct bench_thread *t, void **batch)
{
	for (size_t left = batch_size; left > 0; left--) {
		size_t k = bench_below(t, left);
		void *block = batch[k];

		batch[k] = batch[left - 1];
		bench_free(t, block);
	}
	bench_did(t, batch_size);
}

/* One batch of each owner, if there is one.  False: none. */
static bool drain(struct bench_thread *t)
{
	size_t first = (size_t)(t->index - owners) * owners;
	bool any = false;
	void **batch;

	for (size_t i = first; i < first + owners; i++) {
		if ((batch = bench_take(&full[i])) != NULL) {
			free_shuffled(t, batch);
			bench_put(&spare[i], batch);
			any = true;
		}
	}
	return any;
}

static void work(struct bench_thread *t)
{
	if (t->index < owners) {
		own(t, t->index);
		return;
	}
	while (atomic_load_explicit(&owners_left, memory_order_acquire) != 0) {
		if (!drain(t))
			bench_pause();
	}
	while (drain(t))
		;
}

/* At first all arrays are spare. */
static void make_arrays(void)
{
	size_t pairs = (size_t)bench.workers * owners;
	void **blocks;

	if (batch_size > IN_FLIGHT_MAX / (pairs * ARRAYS))
		batch_size = IN_FLIGHT_MAX / (pairs * ARRAYS);
	full = bench_rings(pairs, ARRAYS);
	spare = bench_rings(pairs, ARRAYS);
	blocks = bench_map(pairs * ARRAYS * batch_size * sizeof(*blocks));
	for (size_t i = 0; i < pairs * ARRAYS; i++)
		bench_put(&spare[i / ARRAYS], blocks + i * batch_size);
}

static bool option(int letter, const char *text)
{
	switch (letter) {
	case 'p':
		owners = (unsigned)bench_number(text, 1, OWNERS_MAX);
		return true;
	case 'b':
		batch_size = bench_number(text, 1, BATCH_MAX);
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	static const struct bench_spec spec = {
		.name = "freeonly", .workers = 4, .size = "16-512", .seconds = 1, .letters = "p:b:", .option = option,
		.usage = "              workers are the threads that free\n"
		    "  -p OWNERS   threads that allocate (1; at most 64)\n"
		    "  -b BATCH    blocks in a batch, fewer if there are many threads (4096; at most 65536)\n",
	};
	char more[64];

	bench_begin(argc, argv, &spec);
	if (bench.workers * owners > PAIRS_MAX) {
		fprintf(stderr, "freeonly: workers times owners (-w, -p) is at most %d\n", PAIRS_MAX);
		return 2;
	}
	make_arrays();
	bench_threads(owners + bench.workers);
	owners_left = owners;
	bench_run(owners + bench.workers, work);
	snprintf(more, sizeof(more), "owners=%u batch=%zu", owners, batch_size);
	return bench_end(more);
}
