/*
 * An owner that sleeps while others free its blocks.
 *
 * The owner allocates some MiB and goes to sleep in a barrier; the workers free all of it in random order, and only
 * that is measured.  Then the owner is woken for another round, until the freeing has taken the time of -t, or all
 * together ten times as long.  There is no warm-up.  The owner still sleeps in the idle time at the end, so that
 * rss_idle_kib says what comes back without it.  An operation is one free.
 */
#include "bench.h"

static size_t mib = 64;

static void **block;
static size_t blocks;

/* A step is between two waits, which the main thread shares: it starts the step and sees its end. */
static pthread_barrier_t owner_step, workers_step;
static bool ending;	/* written between steps */

static void step(pthread_barrier_t *barrier)
{
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
}

static void own(struct bench_thread *t)
{
	for (;;) {
		pthread_barrier_wait(&owner_step);
		if (ending)
			return;
		for (size_t i = 0; i < blocks; i++)
			block[i] = bench_malloc(t, bench_size(t));
		pthread_barrier_wait(&owner_step);
	}
}

static void free_share(struct bench_thread *t)
{
	size_t from = blocks * t->index / bench.workers, to = blocks * (t->index + 1) / bench.workers;

	for (;;) {
		pthread_barrier_wait(&workers_step);
		if (ending)
			return;
		for (size_t i = from; i < to; i++)
			bench_free(t, block[i]);
		bench_did(t, to - from);
		pthread_barrier_wait(&workers_step);
	}
}

static unsigned run(struct bench_thread *main_thread)
{
	double started = bench_now();
	unsigned rounds = 0;

	do {
		step(&owner_step);
		bench_shuffle(main_thread, block, blocks);
		bench_clock(true);
		step(&workers_step);
		bench_clock(false);
		rounds++;
	} while (bench.measured < bench.seconds && bench_now() - started < 10 * bench.seconds);
	return rounds;
}

static bool option(int letter, const char *text)
{
	if (letter == 'm')
		mib = bench_number(text, 1, 1u << 20);
	return letter == 'm';
}

int main(int argc, char **argv)
{
	static const struct bench_spec spec = {
		.name = "idleowner", .workers = 2, .size = "64", .seconds = 1, .letters = "m:", .option = option,
		.usage = "              that free\n"
		    "  -m MIB      that the owner allocates in a round (64)\n",
	};
	struct bench_thread *owner, *main_thread;
	char more[64];
	int status;

	bench_begin(argc, argv, &spec);
	owner = bench_threads(bench.workers + 2) + bench.workers;
	main_thread = owner + 1;
	blocks = bench_count_for(mib << 20);
	block = bench_map(blocks * sizeof(*block));
	pthread_barrier_init(&owner_step, NULL, 2);
	pthread_barrier_init(&workers_step, NULL, bench.workers + 1);
	bench_start(owner, own);
	for (unsigned i = 0; i < bench.workers; i++)
		bench_start(&bench.thread[i], free_share);

	snprintf(more, sizeof(more), "mib=%zu rounds=%u", mib, run(main_thread));
	ending = true;
	pthread_barrier_wait(&workers_step);
	for (unsigned i = 0; i < bench.workers; i++)
		bench_join(&bench.thread[i]);
	status = bench_end(more);
	pthread_barrier_wait(&owner_step);
	bench_join(owner);
	return status;
}
