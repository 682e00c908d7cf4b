/*
 * Larson's server: threads that work on what their predecessors left.
 *
 * Each worker is a line of threads, one after the other, over one array of blocks.  A thread replaces the blocks of
 * random slots, a bounded number of times, and dies; its successor takes the array over and frees, bit by bit, what the
 * dead left in it.  An operation is one replacement: a free of the old block and a malloc of the new one.
 */
#include "bench.h"

#define COUNT_EVERY 64

static size_t slots = 1000;
static unsigned long replacements = 10000;	/* in a life */

static void **slot;			/* of all lines */
static struct bench_thread *life;	/* of each line: its present thread */
static uint64_t *lives;			/* of each line, so far */

/* Blocks of a life are counted as its own, operations as its line's, where the clock looks for them. */
static void live(struct bench_thread *t)
{
	struct bench_thread *line = t->argument;
	void **mine = slot + line->index * slots;

	for (unsigned long done = 0; done < replacements && !bench_stopping(); done += COUNT_EVERY) {
		for (unsigned i = 0; i < COUNT_EVERY; i++) {
			size_t k = bench_below(t, slots);

			bench_free(t, mine[k]);
			mine[k] = bench_malloc(t, bench_size(t));
		}
		bench_did(line, COUNT_EVERY);
	}
}

/* The state of a thread that has ended, for its successor: the sums stay, so that memory is bounded. */
static void renew(struct bench_thread *t, uint64_t number)
{
	t->tag = (uint32_t)(number % ((1u << BENCH_TAG_BITS) - 1)) + 1;
	t->random = bench_seed(bench.seed, number);
}

static void work(struct bench_thread *line)
{
	struct bench_thread *t = &life[line->index];
	void **mine = slot + line->index * slots;

	for (size_t i = 0; i < slots; i++)
		mine[i] = bench_malloc(line, bench_size(line));
	while (!bench_stopping()) {
		renew(t, bench.workers * ++lives[line->index] + line->index);
		bench_start(t, live);
		bench_join(t);
	}
	for (size_t i = 0; i < slots; i++)
		bench_free(line, mine[i]);
	bench_inherit(line, t);
}

static bool option(int letter, const char *text)
{
	switch (letter) {
	case 'n':
		slots = bench_number(text, 1, 1u << 24);
		return true;
	case 'r':
		replacements = bench_number(text, 1, 1u << 30);
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	static const struct bench_spec spec = {
		.name = "server", .workers = 16, .size = "16-512", .seconds = 1, .letters = "n:r:", .option = option,
		.usage = "  -n BLOCKS   of each worker (1000)\n"
		    "  -r COUNT    replacements in the life of a thread, rounded up to 64 (10000)\n",
	};
	uint64_t sum = 0;
	char more[64];

	bench_begin(argc, argv, &spec);
	bench_threads(bench.workers);
	slot = bench_map(bench.workers * slots * sizeof(*slot));
	lives = bench_map(bench.workers * sizeof(*lives));
	life = bench_map(bench.workers * sizeof(*life));
	for (unsigned i = 0; i < bench.workers; i++) {
		bench_thread_init(&life[i], bench.workers + i);
		life[i].argument = &bench.thread[i];
	}
	bench_run(bench.workers, work);
	for (unsigned i = 0; i < bench.workers; i++)
		sum += lives[i];
	snprintf(more, sizeof(more), "lives=%llu", (unsigned long long)sum);
	return bench_end(more);
}
