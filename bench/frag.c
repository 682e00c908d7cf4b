/*
 * Long-lived blocks that survive between short-lived ones, whose sizes change from phase to phase.
 *
 * In a phase all blocks are of one doubling of sizes between 16 and 4095 bytes, chosen at random.  They are put into a
 * window, where each takes the place of a random older one; at the end of the phase the window is emptied.  Of those
 * that leave it, one in -n survives, until the memory of all survivors is used up and it has to make room for another,
 * at random.  So the next phases find pages with a few survivors of sizes that nobody asks for any more.
 *
 * After the last phase, live_kib are the bytes of the survivors and rss_over_live is what they cost: RSS, less that of
 * the harness, over live bytes.  An operation is one block that comes (and one, then or later, that goes).
 */
#include "bench.h"

#define SIZE_LOG_MIN 4
#define SIZE_LOGS 8
#define WINDOW_MAX 65536
#define COUNT_EVERY 64

static size_t mib = 64;
static unsigned long one_in = 20;

/* What a worker has; all is its own. */
struct heap {
	_Alignas(128) void **survivor;
	size_t count, places;
	int64_t bytes, bytes_max;	/* of the survivors, as their marks say: signed, since marks may be damaged */
	void **window;
	size_t window_places;
};

static struct heap *heap;
static pthread_barrier_t phases_over;
static long rss_kib;

static int64_t size_of(const void *block)
{
	return (int64_t)bench_mark_size(bench_read(block));
}

static void drop_one(struct bench_thread *t, struct heap *h)
{
	size_t k = bench_below(t, h->count);

	h->bytes -= size_of(h->survivor[k]);
	bench_free(t, h->survivor[k]);
	h->survivor[k] = h->survivor[--h->count];
}

static void keep(struct bench_thread *t, struct heap *h, void *block)
{
	int64_t size = size_of(block);

	while (h->count > 0 && (h->count == h->places || h->bytes + size > h->bytes_max))
		drop_one(t, h);
	h->survivor[h->count++] = block;
	h->bytes += size;
}

/* A block that leaves the window. */
static void retire(struct bench_thread *t, struct heap *h, void *block)
{
	if (block == NULL)
		return;
	if (bench_below(t, one_in) == 0)
		keep(t, h, block);
	else
		bench_free(t, block);
}

/* The window takes a quarter of the memory of the survivors, if it has the places for it; a phase fills it 4 times. */
static void phase(struct bench_thread *t, struct heap *h)
{
	size_t size_min = (size_t)1 << (SIZE_LOG_MIN + bench_below(t, SIZE_LOGS));
	size_t window = (size_t)h->bytes_max / 4 / (size_min + size_min / 2) + 1;

	if (window > h->window_places)
		window = h->window_places;
	for (size_t left = 4 * window; left > 0 && !bench_stopping();) {
		size_t count = left < COUNT_EVERY ? left : COUNT_EVERY;

		for (size_t i = 0; i < count; i++) {
			size_t k = bench_below(t, window);

			retire(t, h, h->window[k]);
			h->window[k] = bench_malloc(t, size_min + bench_below(t, size_min));
		}
		bench_did(t, count);
		left -= count;
	}
	for (size_t k = 0; k < window; k++) {
		retire(t, h, h->window[k]);
		h->window[k] = NULL;
	}
}

static void work(struct bench_thread *t)
{
	struct heap *h = &heap[t->index];

	while (!bench_stopping())
		phase(t, h);

	/* Nobody frees anything before RSS is known. */
	if (pthread_barrier_wait(&phases_over) == PTHREAD_BARRIER_SERIAL_THREAD)
		rss_kib = bench_status_kib("VmRSS:");
	pthread_barrier_wait(&phases_over);
	for (size_t i = 0; i < h->count; i++)
		bench_free(t, h->survivor[i]);
}

/* An array of the harness that is all in memory, or harness_kib would say too much. */
static void **map_pointers(size_t count)
{
	void **p = bench_map(count * sizeof(*p));

	memset(p, 0, count * sizeof(*p));
	return p;
}

static void make_heaps(void)
{
	size_t share = (mib << 20) / bench.workers;

	heap = bench_map(bench.workers * sizeof(*heap));
	for (unsigned i = 0; i < bench.workers; i++) {
		struct heap *h = &heap[i];

		/* Survivors of 256 bytes on the average: where they are smaller, their memory is not used up. */
		h->bytes_max = (int64_t)share;
		h->places = share / 256 + 1;
		h->survivor = map_pointers(h->places);
		h->window_places = share / 4 / (1u << SIZE_LOG_MIN) + 1;
		if (h->window_places > WINDOW_MAX)
			h->window_places = WINDOW_MAX;
		h->window = map_pointers(h->window_places);
	}
}

static bool option(int letter, const char *text)
{
	switch (letter) {
	case 'm':
		mib = bench_number(text, 1, 1u << 20);
		return true;
	case 'n':
		one_in = bench_number(text, 1, 1u << 30);
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	static const struct bench_spec spec = {
		.name = "frag", .workers = 1, .seconds = 2, .letters = "m:n:", .option = option,
		.usage = "              that share the memory, but no block\n"
		    "  -m MIB      of survivors (64)\n"
		    "  -n N        one block in N survives (20)\n",
	};
	int64_t live = 0;
	char more[128];

	bench_begin(argc, argv, &spec);
	bench_threads(bench.workers);
	make_heaps();
	pthread_barrier_init(&phases_over, NULL, bench.workers);
	bench_run(bench.workers, work);
	for (unsigned i = 0; i < bench.workers; i++)
		live += heap[i].bytes;
	snprintf(more, sizeof(more), "mib=%zu live_kib=%lld rss_over_live=%.3f", mib, (long long)live >> 10,
	    live > 0 ? (double)(rss_kib - (long)(bench.harness_bytes >> 10)) * 1024 / (double)live : 0);
	return bench_end(more);
}
