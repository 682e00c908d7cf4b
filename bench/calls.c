/*
 * Calls of malloc and free to be counted by callgrind: bench/instructions runs this and reads the counts.
 *
 *     calls PATTERN [N]
 *
 * What counts is called from the functions count_*() and nowhere else there, so that callgrind's records of calls from
 * them are the allocator's instructions, with all below it and without the harness.  Each pattern first runs the same
 * calls from the functions warm_*(), until the allocator has what it needs.  Threads take strict turns, sizes and
 * places are drawn before, nothing asks for the time: the same allocator has the same calls to answer in every run.
 *
 *     local-hot      N times malloc(64), free
 *     local-random   N times a random one of 1000 blocks is replaced; 16..1024 bytes
 *     remote-push    A allocates N blocks of 64 bytes, B frees them in that order, again and again: the frees count
 *     owner-drain    the same, but A's mallocs count
 *     remote-both    the same, and both count
 *
 * Blocks are not written to but for one word each while nothing counts: contents are for the other workloads.
 * The line on standard output is "calls pattern=NAME pairs=N calls=N version=NAME lib=FILE": what was counted, by which
 * one has to divide, and whose malloc it was.
 */
#include "bench.h"

#define HOT_SIZE 64
#define LIVE 1000

/*
 * In one remote generation 64 bytes times N are on their way, by default 1 MiB: more than what a thread may keep
 * back, so that everything comes back from generation to generation.  The counted ones are many enough that it doesn't
 * matter where in an allocator's own cycle of generations they begin.
 */
#define REMOTE_BLOCKS 16384
#define WARM_GENERATIONS 4
#define COUNTED_GENERATIONS 6

#define LOCAL_PAIRS 100000
#define N_MAX 10000000

/*
 * Functions that keep their names and their calls: not inlined, not copied, and not merged with their like (count_ and
 * warm_ are the same code).  They are global so that a stripped program linked with --export-dynamic still names them.
 */
#if defined(__has_attribute) && __has_attribute(no_icf)
#define APART __attribute__((noinline, noclone, no_icf))
#else
#define APART __attribute__((noinline))
#endif

struct step {
	uint16_t slot, size;
};

APART void count_local_hot(size_t n);
APART void warm_local_hot(size_t n);
APART void count_local_random(void **live, const struct step *step, size_t n);
APART void warm_local_random(void **live, const struct step *step, size_t n);
APART void count_malloc(void **block, size_t n);
APART void warm_malloc(void **block, size_t n);
APART void count_free(void **block, size_t n);
APART void warm_free(void **block, size_t n);

/* Makes the compiler believe that the block is used: it may otherwise leave out malloc and free together. */
static inline void keep(void *block)
{
	__asm__ volatile("" : : "r"(block) : "memory");
}

static inline void local_hot(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		void *block = malloc(HOT_SIZE);

		keep(block);
		free(block);
	}
}

static inline void local_random(void **live, const struct step *step, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(live[step[i].slot]);
		live[step[i].slot] = malloc(step[i].size);
	}
}

static inline void malloc_all(void **block, size_t n)
{
	for (size_t i = 0; i < n; i++)
		block[i] = malloc(HOT_SIZE);
}

static inline void free_all(void **block, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(block[i]);
}

void count_local_hot(size_t n)
{
	local_hot(n);
}

void warm_local_hot(size_t n)
{
	local_hot(n);
}

void count_local_random(void **live, const struct step *step, size_t n)
{
	local_random(live, step, n);
}

void warm_local_random(void **live, const struct step *step, size_t n)
{
	local_random(live, step, n);
}

void count_malloc(void **block, size_t n)
{
	malloc_all(block, n);
}

void warm_malloc(void **block, size_t n)
{
	malloc_all(block, n);
}

void count_free(void **block, size_t n)
{
	free_all(block, n);
}

void warm_free(void **block, size_t n)
{
	free_all(block, n);
}

/* What a pattern did while it counted. */
struct counted {
	uint64_t pairs, calls;
};

/* ---- one thread ---- */

static struct counted run_local_hot(size_t n)
{
	warm_local_hot(n / 10 + 1);
	count_local_hot(n);
	return (struct counted){ n, 2 * n };
}

static struct counted run_local_random(size_t n)
{
	struct bench_thread draw;
	size_t warm = n / 2 + LIVE;
	struct step *step = bench_map((warm + n) * sizeof(*step));
	void **live = bench_map(LIVE * sizeof(*live));

	bench_thread_init(&draw, 0);
	for (size_t i = 0; i < warm + n; i++) {
		step[i].slot = (uint16_t)(i < LIVE ? i : bench_below(&draw, LIVE));	/* first, all of them once */
		step[i].size = (uint16_t)(16 + bench_below(&draw, 1024 - 16 + 1));
	}
	warm_local_random(live, step, warm);
	count_local_random(live, step + warm, n);
	free_all(live, LIVE);
	return (struct counted){ n, 2 * n };
}

/* ---- two threads ---- */

enum side { A, B };

/* All of this is whose turn it is's; the turn itself is under the mutex. */
static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	enum side turn;
	void **block;
	size_t n;
	bool count_a, count_b;
} table = {
	.mutex = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
};

static void await_turn(enum side mine)
{
	pthread_mutex_lock(&table.mutex);
	while (table.turn != mine)
		pthread_cond_wait(&table.changed, &table.mutex);
	pthread_mutex_unlock(&table.mutex);
}

static void end_turn(enum side mine)
{
	pthread_mutex_lock(&table.mutex);
	table.turn = mine == A ? B : A;
	pthread_cond_signal(&table.changed);
	pthread_mutex_unlock(&table.mutex);
}

/* One word into each block, as any program would, so that pages are there when they count. */
static void touch(void)
{
	for (size_t i = 0; i < table.n; i++) {
		if (table.block[i] == NULL)
			bench_fatal("out of memory");
		bench_write(table.block[i], i);
	}
}

static void side_b(struct bench_thread *unused)
{
	(void)unused;
	for (unsigned i = 0; i < WARM_GENERATIONS + COUNTED_GENERATIONS; i++) {
		await_turn(B);
		if (table.count_b && i >= WARM_GENERATIONS)
			count_free(table.block, table.n);
		else
			warm_free(table.block, table.n);
		end_turn(B);
	}
}

static struct counted run_remote(size_t n, bool count_a, bool count_b)
{
	struct bench_thread *b = bench_threads(1);
	uint64_t pairs = (uint64_t)n * COUNTED_GENERATIONS;

	table.block = bench_map(n * sizeof(*table.block));
	table.n = n;
	table.count_a = count_a;
	table.count_b = count_b;
	bench_start(b, side_b);
	for (unsigned i = 0; i < WARM_GENERATIONS + COUNTED_GENERATIONS; i++) {
		await_turn(A);
		if (table.count_a && i >= WARM_GENERATIONS)
			count_malloc(table.block, n);
		else
			warm_malloc(table.block, n);
		touch();
		end_turn(A);
	}
	bench_join(b);
	return (struct counted){ pairs, pairs * ((unsigned)count_a + (unsigned)count_b) };
}

static struct counted run_remote_push(size_t n)
{
	return run_remote(n, false, true);
}

static struct counted run_owner_drain(size_t n)
{
	return run_remote(n, true, false);
}

static struct counted run_remote_both(size_t n)
{
	return run_remote(n, true, true);
}

/* ---- the command ---- */

static const struct pattern {
	const char *name;
	struct counted (*run)(size_t n);
	size_t n;
} patterns[] = {
	{ "local-hot", run_local_hot, LOCAL_PAIRS },
	{ "local-random", run_local_random, LOCAL_PAIRS },
	{ "remote-push", run_remote_push, REMOTE_BLOCKS },
	{ "owner-drain", run_owner_drain, REMOTE_BLOCKS },
	{ "remote-both", run_remote_both, REMOTE_BLOCKS },
};

#define PATTERNS (sizeof(patterns) / sizeof(patterns[0]))

static _Noreturn void usage(void)
{
	fputs("usage: calls PATTERN [N]\npatterns:", stderr);
	for (size_t i = 0; i < PATTERNS; i++)
		fprintf(stderr, " %s", patterns[i].name);
	fputs("\n", stderr);
	exit(2);
}

static const struct pattern *find_pattern(const char *name)
{
	for (size_t i = 0; i < PATTERNS; i++) {
		if (strcmp(patterns[i].name, name) == 0)
			return &patterns[i];
	}
	usage();
}

static size_t parse_n(const char *text)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno != 0 || text[0] < '1' || text[0] > '9' || *end != '\0' || n > N_MAX)
		usage();
	return n;
}

int main(int argc, char **argv)
{
	static const struct bench_spec spec = { .name = "calls" };
	const struct pattern *pattern;
	struct counted counted;

	if (argc != 2 && argc != 3)
		usage();
	bench.spec = &spec;
	bench.seed = 1;
	pattern = find_pattern(argv[1]);
	counted = pattern->run(argc == 3 ? parse_n(argv[2]) : pattern->n);
	printf("calls pattern=%s pairs=%llu calls=%llu version=%s lib=%s\n", pattern->name,
	    (unsigned long long)counted.pairs, (unsigned long long)counted.calls, bench_malloc_version(),
	    bench_malloc_path());
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "calls: cannot write the results: %s\n", strerror(errno));
		return 2;
	}
	return 0;
}
