/*
 * xmalloc-testN: producers allocate batches of blocks, consumers free them, so that every free is a remote one.
 *
 * The shape is that of the xmalloc-test of Lever and Boreham as mimalloc-bench has it: batches of 4096 pointers go
 * through one bounded stack (last in, first out, at most 100 batches) under a mutex.  Two things differ: the arrays
 * of pointers are recycled, so that every malloc and free is a measured one; and each block carries a mark that the
 * consumer checks.
 *
 * Prints one line of key=value pairs: see main().  The exit status is 0 if no block was damaged.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define BATCH_MAX 65536
#define WORKERS_MAX 1024
#define QUEUE_MAX 100

/* What "-s mixed" draws from: the sizes of xmalloc-test. */
static const unsigned mixed_sizes[] = {
	8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048
};

struct batch {
	struct batch *next;
	size_t count;
	unsigned char **blocks;
};

/* A consumer's count has a cache line of its own; the main thread reads it to time the run. */
struct worker {
	_Alignas(64) pthread_t thread;
	unsigned index;
	_Atomic uint64_t frees;
	uint64_t errors;
};

static struct {
	unsigned workers;
	size_t batch;
	double seconds;
	uint64_t seed;
	const char *size_text;
	unsigned size_min, size_max; /* both 0 for mixed */
} settings = { .workers = 16, .batch = 4096, .seconds = 1, .seed = 1, .size_text = "64", .size_min = 64,
	.size_max = 64 };

/* All of this under the mutex, but done, which producers also look at without it. */
static struct {
	pthread_mutex_t mutex;
	pthread_cond_t not_empty, not_full, has_spare;
	struct batch *full;	/* batches with blocks in them, newest first */
	struct batch *spare;	/* batches without */
	unsigned full_count;
	unsigned producers;	/* that still run */
	_Atomic bool done;
} queue = {
	.mutex = PTHREAD_MUTEX_INITIALIZER,
	.not_empty = PTHREAD_COND_INITIALIZER,
	.not_full = PTHREAD_COND_INITIALIZER,
	.has_spare = PTHREAD_COND_INITIALIZER,
};

static void
fatal(const char *what)
{
	fprintf(stderr, "xmalloc: %s: %s\n", what, strerror(errno));
	exit(2);
}

static struct batch *
take_spare(void)
{
	struct batch *b;

	pthread_mutex_lock(&queue.mutex);
	while (queue.spare == NULL)
		pthread_cond_wait(&queue.has_spare, &queue.mutex);
	b = queue.spare;
	queue.spare = b->next;
	pthread_mutex_unlock(&queue.mutex);
	return b;
}

static void
give_spare(struct batch *b)
{
	pthread_mutex_lock(&queue.mutex);
	b->next = queue.spare;
	queue.spare = b;
	pthread_cond_signal(&queue.has_spare);
	pthread_mutex_unlock(&queue.mutex);
}

static void
put(struct batch *b)
{
	pthread_mutex_lock(&queue.mutex);
	while (queue.full_count >= QUEUE_MAX)
		pthread_cond_wait(&queue.not_full, &queue.mutex);
	b->next = queue.full;
	queue.full = b;
	queue.full_count++;
	pthread_cond_signal(&queue.not_empty);
	pthread_mutex_unlock(&queue.mutex);
}

/* The next batch, or NULL when all producers have ended and nothing is left. */
static struct batch *
get(void)
{
	struct batch *b;

	pthread_mutex_lock(&queue.mutex);
	while (queue.full == NULL && queue.producers > 0)
		pthread_cond_wait(&queue.not_empty, &queue.mutex);
	b = queue.full;
	if (b != NULL) {
		queue.full = b->next;
		queue.full_count--;
		pthread_cond_signal(&queue.not_full);
	}
	pthread_mutex_unlock(&queue.mutex);
	return b;
}

static size_t
draw_size(uint64_t *state)
{
	uint64_t r;

	if (settings.size_min == settings.size_max && settings.size_max != 0)
		return settings.size_max;
	r = bench_random(state) >> 32;
	if (settings.size_max == 0)
		return mixed_sizes[r * (sizeof(mixed_sizes) / sizeof(mixed_sizes[0])) >> 32];
	return settings.size_min + (size_t)(r * (settings.size_max - settings.size_min + 1) >> 32);
}

/* What a block must hold in its first 8 bytes: a different value for every address. */
static uint64_t
mark_of(const unsigned char *block)
{
	return (uint64_t)(uintptr_t)block ^ settings.seed ^ UINT64_C(0x5ca1ab1e0ddba11);
}

static void *
produce(void *arg)
{
	struct worker *w = arg;
	uint64_t state = bench_seed(settings.seed, w->index);

	while (!atomic_load_explicit(&queue.done, memory_order_relaxed)) {
		struct batch *b = take_spare();

		for (b->count = 0; b->count < settings.batch; b->count++) {
			unsigned char *block = malloc(draw_size(&state));
			uint64_t mark;

			if (block == NULL)
				fatal("malloc");
			mark = mark_of(block);
			memcpy(block, &mark, sizeof(mark));
			b->blocks[b->count] = block;
		}
		put(b);
	}

	pthread_mutex_lock(&queue.mutex);
	queue.producers--;
	pthread_cond_broadcast(&queue.not_empty);
	pthread_mutex_unlock(&queue.mutex);
	return NULL;
}

static void *
consume(void *arg)
{
	struct worker *w = arg;
	struct batch *b;

	while ((b = get()) != NULL) {
		for (size_t i = 0; i < b->count; i++) {
			uint64_t mark;

			memcpy(&mark, b->blocks[i], sizeof(mark));
			w->errors += mark != mark_of(b->blocks[i]);
			free(b->blocks[i]);
		}
		atomic_store_explicit(&w->frees, w->frees + b->count, memory_order_relaxed);
		give_spare(b);
	}
	return NULL;
}

static uint64_t
total_frees(struct worker *consumers)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < settings.workers; i++)
		sum += atomic_load_explicit(&consumers[i].frees, memory_order_relaxed);
	return sum;
}

/* A spare for each place in the queue and each hand, all made before the clock starts. */
static struct batch *
make_batches(unsigned count)
{
	struct batch *batches = calloc(count, sizeof(*batches));
	unsigned char **blocks = calloc(count * settings.batch, sizeof(*blocks));

	if (batches == NULL || blocks == NULL)
		fatal("calloc");
	for (unsigned i = 0; i < count; i++) {
		batches[i].blocks = blocks + i * settings.batch;
		batches[i].next = queue.spare;
		queue.spare = &batches[i];
	}
	return batches;
}

static void
usage(void)
{
	fputs("usage: xmalloc [-w WORKERS] [-s SIZE | -s LOW-HIGH | -s mixed] [-t SECONDS] [-b BATCH] [-S SEED]\n"
	    "  -w  producers, and as many consumers (16; at most 1024)\n"
	    "  -s  bytes of a block, at least 8 (64); a range is drawn from evenly; mixed is xmalloc-test's own 17\n"
	    "      sizes from 8 to 2048\n"
	    "  -t  seconds to measure, after a warm-up of a tenth of that (1)\n"
	    "  -b  blocks in a batch (4096; at most 65536)\n"
	    "  -S  seed of the sizes (1)\n", stderr);
	exit(2);
}

static unsigned long
number(const char *text, char **end, unsigned long min, unsigned long max)
{
	unsigned long n;

	errno = 0;
	n = strtoul(text, end, 10);
	if (errno != 0 || *end == text || n < min || n > max)
		usage();
	return n;
}

static void
read_arguments(int argc, char **argv)
{
	int c;
	char *end = NULL;

	while ((c = getopt(argc, argv, "w:s:t:b:S:")) != -1) {
		switch (c) {
		case 'w':
			settings.workers = (unsigned)number(optarg, &end, 1, WORKERS_MAX);
			break;
		case 's':
			settings.size_text = optarg;
			settings.size_min = settings.size_max = 0;
			if (strcmp(optarg, "mixed") == 0)
				continue;
			settings.size_min = settings.size_max = (unsigned)number(optarg, &end, 8, 1 << 30);
			if (*end == '-')
				settings.size_max = (unsigned)number(end + 1, &end, settings.size_min, 1 << 30);
			break;
		case 't':
			settings.seconds = strtod(optarg, &end);
			if (!(settings.seconds > 0 && settings.seconds <= 3600))
				usage();
			break;
		case 'b':
			settings.batch = number(optarg, &end, 1, BATCH_MAX);
			break;
		case 'S':
			settings.seed = number(optarg, &end, 0, UINT32_MAX);
			break;
		default:
			usage();
		}
		if (*end != '\0')
			usage();
	}
	if (optind != argc)
		usage();
}

static void
start(struct worker *w, void *(*run)(void *))
{
	errno = pthread_create(&w->thread, NULL, run, w);
	if (errno != 0)
		fatal("pthread_create");
}

int
main(int argc, char **argv)
{
	static struct worker producers[WORKERS_MAX], consumers[WORKERS_MAX];
	struct batch *batches;
	double began, ended, cpu_began, cpu_ended;
	uint64_t frees_began, frees_ended, errors = 0;

	read_arguments(argc, argv);
	batches = make_batches(QUEUE_MAX + 2 * settings.workers);
	queue.producers = settings.workers;
	for (unsigned i = 0; i < settings.workers; i++) {
		producers[i].index = consumers[i].index = i;
		start(&consumers[i], consume);
		start(&producers[i], produce);
	}

	bench_sleep(settings.seconds / 10);
	frees_began = total_frees(consumers);
	cpu_began = bench_cpu();
	began = bench_now();
	bench_sleep(settings.seconds);
	frees_ended = total_frees(consumers);
	cpu_ended = bench_cpu();
	ended = bench_now();

	atomic_store_explicit(&queue.done, true, memory_order_relaxed);
	for (unsigned i = 0; i < settings.workers; i++)
		pthread_join(producers[i].thread, NULL);
	for (unsigned i = 0; i < settings.workers; i++) {
		pthread_join(consumers[i].thread, NULL);
		errors += consumers[i].errors;
	}
	free(batches[0].blocks);
	free(batches);

	printf("xmalloc w=%u size=%s ops=%llu seconds=%.3f frees_per_second=%.0f cpu_seconds=%.3f "
	    "rss_peak_kib=%ld rss_end_kib=%ld lib=%s version=%s errors=%llu\n",
	    settings.workers, settings.size_text, (unsigned long long)(frees_ended - frees_began), ended - began,
	    (double)(frees_ended - frees_began) / (ended - began), cpu_ended - cpu_began,
	    bench_status_kib("VmHWM:"), bench_status_kib("VmRSS:"), bench_malloc_path(), bench_malloc_version(),
	    (unsigned long long)errors);
	return errors != 0;
}
