/*
 * One burst: grow, drop everything, and sleep, to see what goes back to the system and when.
 *
 * The workers allocate some MiB together and then free all of it, oldest first, or in random order (-r); with -x 1 it
 * is others who free.  That is measured, whatever -t says, and an operation is one malloc and one free.  All threads
 * sleep through the idle time, while RSS is sampled ten times a second without a call of malloc.  The samples are in
 * rss_series_kib, as SECONDS:KIB,...; rss_end_kib is later than the first and close to the last of them, since the
 * idle time of bench_end() is but the rest of it.
 */
#include "bench.h"

#include <fcntl.h>

#define SAMPLES_MAX 1001

static size_t mib = 1024;
static bool cross, shuffled;

static void **block;
static size_t blocks;

/* A step is between two waits, which the main thread shares.  A third wait, at the very end, lets the threads go. */
static pthread_barrier_t growers_step, droppers_step;

static size_t share_start(unsigned worker)
{
	return blocks * worker / bench.workers;
}

static void drop(struct bench_thread *t, unsigned share)
{
	size_t from = share_start(share), to = share_start(share + 1);

	for (size_t i = from; i < to; i++)
		bench_free(t, block[i]);
	bench_did(t, to - from);
}

static void grow(struct bench_thread *t)
{
	size_t from = share_start(t->index), to = share_start(t->index + 1);

	pthread_barrier_wait(&growers_step);
	for (size_t i = from; i < to; i++)
		block[i] = bench_malloc(t, bench_size(t));
	pthread_barrier_wait(&growers_step);
	if (!cross) {
		pthread_barrier_wait(&growers_step);
		drop(t, t->index);
		pthread_barrier_wait(&growers_step);
	}
	pthread_barrier_wait(&growers_step);
}

static void drop_others(struct bench_thread *t)
{
	pthread_barrier_wait(&droppers_step);
	drop(t, t->index - bench.workers);
	pthread_barrier_wait(&droppers_step);
	pthread_barrier_wait(&droppers_step);
}

static void measure(pthread_barrier_t *barrier)
{
	bench_clock(true);
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	bench_clock(false);
}

/* Within each worker's share. */
static void shuffle(struct bench_thread *t)
{
	for (unsigned w = 0; w < bench.workers; w++)
		bench_shuffle(t, block + share_start(w), share_start(w + 1) - share_start(w));
}

/* As bench_status_kib("VmRSS:"), but stdio would call malloc, and an allocator may take that for an occasion. */
static long rss_kib(void)
{
	static long kib_per_page;
	char text[128];
	const char *second;
	int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (kib_per_page == 0)
		kib_per_page = sysconf(_SC_PAGESIZE) >> 10;
	if (file < 0)
		return 0;
	length = read(file, text, sizeof(text) - 1);
	close(file);
	text[length > 0 ? length : 0] = '\0';
	second = strchr(text, ' ');
	return second != NULL ? strtol(second, NULL, 10) * kib_per_page : 0;
}

/* Sleep for the idle time, but for a last bit that is left to bench_end(), and add the samples to the text. */
static void sample(char *text, size_t room)
{
	double started = bench_now(), every = 0.1 * ((unsigned)(bench.idle / 100) + 1), left;
	unsigned n = 0;

	do {
		double wait = started + n * every - bench_now();

		if (wait > 0)
			bench_sleep(wait);
		int length = snprintf(text, room, "%s%.1f:%ld", n > 0 ? "," : "", n * every, rss_kib());

		text += length;
		room -= (size_t)length;
	} while (++n < SAMPLES_MAX && n * every < bench.idle);
	left = bench.idle - (bench_now() - started);
	if (bench.idle > 0)
		bench.idle = left > 0.001 ? left : 0.001;
}

static bool option(int letter, const char *text)
{
	switch (letter) {
	case 'm':
		mib = bench_number(text, 1, 1u << 20);
		return true;
	case 'x':
		cross = bench_number(text, 0, 1) != 0;
		return true;
	case 'r':
		shuffled = true;
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	static const struct bench_spec spec = {
		.name = "burst", .workers = 1, .size = "mixed", .seconds = 1, .letters = "m:x:r", .option = option,
		.usage = "              that share the memory\n"
		    "  -m MIB      of live blocks to grow to (1024)\n"
		    "  -x 0|1      who frees: 0 who allocated, 1 as many other threads (0)\n"
		    "  -r          free in random order\n",
	};
	static char more[64 + SAMPLES_MAX * 24];
	struct bench_thread *main_thread;
	unsigned threads;
	int length, status;

	bench_begin(argc, argv, &spec);
	threads = cross ? 2 * bench.workers : bench.workers;
	main_thread = bench_threads(threads + 1) + threads;
	blocks = bench_count_for(mib << 20);
	block = bench_map(blocks * sizeof(*block));
	pthread_barrier_init(&growers_step, NULL, bench.workers + 1);
	pthread_barrier_init(&droppers_step, NULL, bench.workers + 1);
	for (unsigned i = 0; i < threads; i++)
		bench_start(&bench.thread[i], i < bench.workers ? grow : drop_others);

	measure(&growers_step);
	if (shuffled)
		shuffle(main_thread);
	measure(cross ? &droppers_step : &growers_step);

	length = snprintf(more, sizeof(more), "mib=%zu cross=%d random=%d rss_series_kib=", mib, cross, shuffled);
	sample(more + length, sizeof(more) - (size_t)length);
	status = bench_end(more);
	pthread_barrier_wait(&growers_step);
	if (cross)
		pthread_barrier_wait(&droppers_step);
	for (unsigned i = 0; i < threads; i++)
		bench_join(&bench.thread[i]);
	return status;
}
