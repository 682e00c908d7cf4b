/*
 * Threads that are born and joined all the time, and whose blocks outlive them.
 *
 * A life allocates some blocks, frees every second one, and trades the others for blocks at random places of a pool
 * that all share, which it then frees: most of them are of threads that are dead.  An operation is one free, and in
 * every life there are as many as mallocs.
 */
#include "bench.h"

#define POOL_LIVES 8	/* of each worker, as much as they allocate: what the pool holds */

static size_t blocks = 200;	/* in a life */

static void **block;			/* of all workers */
static struct bench_thread *life;	/* of each worker: its present thread */

static struct {
	pthread_mutex_t mutex;
	void **block;		/* under the mutex */
	size_t places;
} pool = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* Every second block for one of the pool. */
static void trade(struct bench_thread *t, void **mine)
{
	pthread_mutex_lock(&pool.mutex);
	for (size_t i = 1; i < blocks; i += 2) {
		size_t k = bench_below(t, pool.places);
		void *other = pool.block[k];

		pool.block[k] = mine[i];
		mine[i] = other;
	}
	pthread_mutex_unlock(&pool.mutex);
}

static void live(struct bench_thread *t)
{
	struct bench_thread *worker = t->argument;
	void **mine = block + worker->index * blocks;

	for (size_t i = 0; i < blocks; i++)
		mine[i] = bench_malloc(t, bench_size(t));
	for (size_t i = 0; i < blocks; i += 2)
		bench_free(t, mine[i]);
	trade(t, mine);
	for (size_t i = 1; i < blocks; i += 2)
		bench_free(t, mine[i]);
	bench_did(worker, blocks);
}

/* The state of a thread that has ended, for the next: the sums stay, so that memory is bounded. */
static void renew(struct bench_thread *t, uint64_t number)
{
	t->tag = (uint32_t)(number % ((1u << BENCH_TAG_BITS) - 1)) + 1;
	t->random = bench_seed(bench.seed, number);
}

static void work(struct bench_thread *worker)
{
	struct bench_thread *t = &life[worker->index];

	/* Number 0 of each worker is its own, and so is one of the main thread. */
	for (uint64_t n = 1; !bench_stopping(); n++) {
		renew(t, (bench.workers + 1) * n + worker->index);
		bench_start(t, live);
		bench_join(t);
	}
	bench_inherit(worker, t);
}

static void fill_pool(struct bench_thread *t)
{
	pool.places = POOL_LIVES * blocks * bench.workers;
	pool.block = bench_map(pool.places * sizeof(*pool.block));
	for (size_t i = 0; i < pool.places; i++)
		pool.block[i] = bench_malloc(t, bench_size(t));
}

static void empty_pool(struct bench_thread *t)
{
	for (size_t i = 0; i < pool.places; i++)
		bench_free(t, pool.block[i]);
}

static bool option(int letter, const char *text)
{
	if (letter == 'n')
		blocks = bench_number(text, 2, 1u << 20);
	return letter == 'n';
}

int main(int argc, char **argv)
{
	static const struct bench_spec spec = {
		.name = "churn", .workers = 8, .size = "mixed", .seconds = 1, .letters = "n:", .option = option,
		.usage = "              each one thread after the other\n"
		    "  -n BLOCKS   that a thread allocates in its life (200)\n",
	};
	char more[64];

	bench_begin(argc, argv, &spec);
	bench_threads(bench.workers + 1);
	block = bench_map(bench.workers * blocks * sizeof(*block));
	life = bench_map(bench.workers * sizeof(*life));
	for (unsigned i = 0; i < bench.workers; i++) {
		bench_thread_init(&life[i], i);
		life[i].argument = &bench.thread[i];
	}
	fill_pool(&bench.thread[bench.workers]);
	bench_run(bench.workers, work);
	empty_pool(&bench.thread[bench.workers]);
	snprintf(more, sizeof(more), "lives_per_second=%.0f",
	    (double)bench.ops / (double)blocks / bench.measured);
	return bench_end(more);
}
