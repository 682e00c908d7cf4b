/*
 * mixed: every thread keeps a set of live blocks and replaces random ones; a share of the frees is left to others.
 *
 * A step gives up the block of a random slot and fills the slot anew.  Of 100 blocks given up, R are handed to another
 * thread, to each in turn, who frees them when it next looks; the rest is freed at once.  An operation is one free.
 * A single thread frees all at once, whatever R is.
 *
 * Small sizes are more frequent than large ones: of LOW-HIGH, HIGH is first halved some times, from not at all to as
 * often as it stays at or over LOW, each number as likely, and the size is then drawn evenly from what remains; so each
 * doubling of the size is about as frequent as the next.  A thread has fewer slots if they would hold over 16 MiB on
 * average, and what it has handed over and nobody freed yet is at most a quarter of its slots, or 1 block per ring.
 *
 * A thread that finds a ring full frees meanwhile what was handed to it.  At the end it gives up all slots, in the same
 * proportion, and then frees until nobody hands over any more.
 */
#include "bench.h"

#define SLOTS_MAX (1u << 20)
#define LIVE_BYTES_MAX (16u << 20)	/* of a thread's slots, on average */
#define RINGS_MAX 4096			/* all together: past 64 threads each hands to some of the others only */
#define PLACES_MAX 256
#define POLL 64				/* steps before a thread looks for what was handed to it */
#define MIXED_MEAN 420			/* bytes, of the sizes "mixed" */

static unsigned percent = 50;
static size_t slots = 2000;		/* of each thread */
static unsigned halvings;		/* of the largest size, at most */
static unsigned peers;			/* that each thread hands to: those at a distance of 1 .. peers after it */
static struct bench_ring *rings;	/* [to * peers + distance - 1] */

/* Threads that still hand over.  Decremented after the last put (release), read before the last take (acquire). */
static _Atomic unsigned handing;

struct worker {
	struct bench_thread *t;
	void **slot;
	unsigned distance;	/* of the thread that gets the next block */
};

static size_t draw_size(struct bench_thread *t)
{
	size_t high;

	if (halvings == 0)
		return bench_size(t);
	high = bench.size_high >> bench_below(t, halvings + 1);
	return bench.size_low + bench_below(t, high - bench.size_low + 1);
}

/* Free what was handed over.  False: nothing. */
static bool collect(struct bench_thread *t)
{
	return bench_free_arrived(t, rings + (size_t)t->index * peers, peers);
}

static void hand(struct worker *w, void *block)
{
	unsigned to = w->t->index + w->distance;
	struct bench_ring *ring;

	to -= to >= bench.workers ? bench.workers : 0;
	ring = &rings[(size_t)to * peers + w->distance - 1];
	while (!bench_put(ring, block)) {
		if (!collect(w->t))
			bench_pause();
	}
	w->distance = w->distance < peers ? w->distance + 1 : 1;
}

static void give_up(struct worker *w, void *block)
{
	if (peers != 0 && bench_below(w->t, 100) < percent) {
		hand(w, block);
	} else {
		bench_free(w->t, block);
		bench_did(w->t, 1);
	}
}

static void replace(struct worker *w)
{
	void **slot = &w->slot[bench_below(w->t, slots)];

	give_up(w, *slot);
	*slot = bench_malloc(w->t, draw_size(w->t));
}

static void work(struct bench_thread *t)
{
	struct worker w = { .t = t, .slot = t->argument, .distance = 1 };

	for (size_t i = 0; i < slots; i++)
		w.slot[i] = bench_malloc(t, draw_size(t));
	while (!bench_stopping()) {
		for (unsigned i = 0; i < POLL; i++)
			replace(&w);
		collect(t);
	}
	for (size_t i = 0; i < slots; i++)
		give_up(&w, w.slot[i]);

	atomic_fetch_sub_explicit(&handing, 1, memory_order_release);
	while (atomic_load_explicit(&handing, memory_order_acquire) != 0) {
		if (!collect(t))
			bench_pause();
	}
	collect(t);
}

/* How sizes are drawn, and how many slots may hold them. */
static void plan_sizes(void)
{
	size_t mean = MIXED_MEAN;

	if (bench.size_high != 0) {
		size_t sum = bench.size_low + bench.size_high;

		while (bench.size_high >> (halvings + 1) >= bench.size_low)
			sum += bench.size_low + (bench.size_high >> ++halvings);
		mean = sum / 2 / (halvings + 1);
	}
	if (slots * mean > LIVE_BYTES_MAX)
		slots = mean < LIVE_BYTES_MAX ? LIVE_BYTES_MAX / mean : 1;
}

static void make_rings(void)
{
	unsigned most = RINGS_MAX / bench.workers;

	peers = bench.workers - 1 < most ? bench.workers - 1 : most;
	if (peers == 0)
		return;
	rings = bench_rings((size_t)bench.workers * peers, bench_places(peers, PLACES_MAX, slots / 4));
}

static bool option(int letter, const char *text)
{
	switch (letter) {
	case 'r':
		percent = (unsigned)bench_number(text, 0, 100);
		return true;
	case 'n':
		slots = bench_number(text, 1, SLOTS_MAX);
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	static const struct bench_spec spec = {
		.name = "mixed", .workers = 4, .size = "16-2048", .seconds = 1, .letters = "r:n:", .option = option,
		.usage = "              but here small sizes of LOW-HIGH are more frequent than large ones\n"
		    "  -r PERCENT  of the blocks are freed by another thread (50)\n"
		    "  -n SLOTS    live blocks of a thread, fewer if they are over 16 MiB (2000; at most 1048576)\n",
	};
	void **all;
	char more[64];

	bench_begin(argc, argv, &spec);
	plan_sizes();
	make_rings();
	all = bench_map(bench.workers * slots * sizeof(*all));
	bench_threads(bench.workers);
	for (unsigned i = 0; i < bench.workers; i++)
		bench.thread[i].argument = all + i * slots;
	handing = bench.workers;
	bench_run(bench.workers, work);
	snprintf(more, sizeof(more), "handed_percent=%u slots=%zu", percent, slots);
	return bench_end(more);
}
