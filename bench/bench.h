/*
 * What the workloads share: options, threads and a clock, blocks that are checked, rings, and the line of results.
 *
 * Nothing here belongs to hz3: a workload runs on whatever malloc its process has, and says which that was.  Memory
 * of the harness itself is mapped, not allocated, so that all that malloc sees is the workload.
 *
 * A workload is one file with a main() like this:
 *
 *     bench_begin(argc, argv, &spec);             options; see bench_usage()
 *     bench_threads(n);                           n threads' state
 *     bench_run(n, work);                         or bench_clock(true) ... bench_clock(false) by hand
 *     return bench_end("extra=1");                one line of results
 *
 * Every block is made by bench_malloc() and given up by bench_free(), which check what was written into it: its
 * first 8 bytes name the thread that made it, its size and a check over both and its address, and are overwritten
 * before it is freed, so that a block in two hands is found when the second gives it up; the last 8 bytes repeat them.
 */
#ifndef BENCH_H
#define BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#if defined(__GLIBC__)
#include <gnu/libc-version.h>
#endif

#define BENCH_THREADS_MAX 4096
#define BENCH_BLOCK_MIN 8
#define BENCH_PATIENCE 60.0		/* seconds that it may take until anything is done, on a machine that is very busy */

/* ---- the state of a run ---- */

/* What a workload says of itself, before main() reads the options. */
struct bench_spec {
	const char *name;
	const char *usage;	/* lines on its own options, or "" */
	const char *letters;	/* its own options, as getopt has them, or "" */
	bool (*option)(int letter, const char *text);	/* false: bad */
	unsigned workers;	/* defaults, from here on; 0 workers or no size: the workload has no such option */
	const char *size;
	double seconds;
};

#define BENCH_BUCKETS (64 * 8)

/*
 * One thread of the workload.  Its counts are its own; "ops" alone is also read by the main thread, to time the run
 * (relaxed: it only has to be whole).
 */
struct bench_thread {
	_Alignas(128) _Atomic uint64_t ops;
	uint64_t random;
	uint64_t made, freed, remote, errors;
	uint32_t tag;		/* 1 .. 2^14 - 1: what its blocks say of their maker */
	unsigned index;
	uint32_t *latency;	/* calls of malloc and free by duration, or NULL */
	uint64_t latency_max;	/* nanoseconds */
	void *argument;
	void (*work)(struct bench_thread *);
	pthread_t thread;
};

static struct {
	const struct bench_spec *spec;
	unsigned workers;
	double seconds, idle;
	uint64_t seed;
	const char *size_text;
	size_t size_low, size_high;	/* both 0: "mixed" */
	bool latency;

	struct bench_thread *thread;
	unsigned threads;
	uint64_t harness_bytes;
	_Atomic bool stopping;		/* relaxed: a hint to end */
	double clock, cpu_clock;	/* while the clock runs: when it was started */
	double measured, cpu_measured;	/* seconds so far */
	uint64_t ops;			/* of bench_run; else the sum of all threads' */
	bool ops_known;
} bench;

/* ---- ending badly, time, memory ---- */

static inline _Noreturn void bench_fatal(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", bench.spec->name, what, strerror(errno));
	exit(2);
}

/* Seconds of a clock that nobody sets. */
static inline double bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline void bench_sleep(double seconds)
{
	struct timespec t = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };

	while (nanosleep(&t, &t) != 0)
		;
}

/* Processor time of all threads so far, in seconds, user and system. */
static inline double bench_cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* A line of /proc/self/status in KiB, "VmRSS:" now or "VmHWM:" at most so far; 0 if there is none. */
static inline long bench_status_kib(const char *key)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = 0;

	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, key, strlen(key)) == 0) {
			kib = strtol(line + strlen(key), NULL, 10);
			break;
		}
	}
	fclose(f);
	return kib;
}

/* Zeroed memory of the harness, for ever. */
static inline void *bench_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		bench_fatal("mmap");
	bench.harness_bytes += bytes;
	return p;
}

/* ---- random numbers ---- */

/* xorshift64*: fast, good enough to pick sizes, the same on every machine.  The state must not be 0. */
static inline uint64_t bench_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* A number of 0 .. n - 1, each as likely; n is at most 2^32. */
static inline uint64_t bench_below(struct bench_thread *t, uint64_t n)
{
	return (bench_random(&t->random) >> 32) * n >> 32;
}

/* A state for the index-th user of a seed; neighbours have nothing in common. */
static inline uint64_t bench_seed(uint64_t seed, uint64_t index)
{
	uint64_t z = seed + (index + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return z != 0 ? z : 1;
}

/* A size as the option -s has it.  "mixed" are the sizes of xmalloc-test, small ones more often than large ones. */
static inline size_t bench_size(struct bench_thread *t)
{
	static const uint16_t mixed[] = {
		8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048
	};

	if (bench.size_high == 0)
		return mixed[bench_below(t, sizeof(mixed) / sizeof(mixed[0]))];
	if (bench.size_low == bench.size_high)
		return bench.size_high;
	return bench.size_low + bench_below(t, bench.size_high - bench.size_low + 1);
}

/* How many blocks have about so many bytes together, the sizes drawn as bench_size() does: the same for any number of threads. */
static inline size_t bench_count_for(size_t bytes)
{
	const size_t draws = 100000;
	struct bench_thread t = { .random = bench_seed(bench.seed, 0) };
	size_t sum = 0;

	for (size_t i = 0; i < draws; i++)
		sum += bench_size(&t);
	return bytes / (sum / draws) + 1;
}

/* Every order as likely. */
static inline void bench_shuffle(struct bench_thread *t, void **block, size_t n)
{
	for (; n > 1; n--) {
		size_t k = bench_below(t, n);
		void *last = block[n - 1];

		block[n - 1] = block[k];
		block[k] = last;
	}
}

/* ---- blocks ---- */

#define BENCH_TAG_BITS 14
#define BENCH_SIZE_BITS 32	/* of size; larger blocks say 2^32 - 1 and are checked at their head only */
#define BENCH_SIZE_MAX ((UINT64_C(1) << BENCH_SIZE_BITS) - 1)
#define BENCH_DEAD UINT64_C(0xdeaddead)	/* over the head of a block that is freed: no mark, since its size is 0 */

static inline uint64_t bench_mark(const void *block, size_t size, uint32_t tag)
{
	uint64_t said = ((uint64_t)(size < BENCH_SIZE_MAX ? size : BENCH_SIZE_MAX) << BENCH_TAG_BITS) | tag;
	uint64_t check = ((uint64_t)(uintptr_t)block ^ bench.seed ^ said * UINT64_C(0xff51afd7ed558ccd)) *
	    UINT64_C(0xc4ceb9fe1a85ec53);

	return said << 18 | check >> 46;
}

static inline size_t bench_mark_size(uint64_t mark)
{
	return mark >> (64 - BENCH_SIZE_BITS);
}

static inline uint32_t bench_mark_tag(uint64_t mark)
{
	return mark >> 18 & ((1u << BENCH_TAG_BITS) - 1);
}

static inline void bench_write(void *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
}

static inline uint64_t bench_read(const void *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* Write a block's marks: size is at least BENCH_BLOCK_MIN. */
static inline void bench_sign(struct bench_thread *t, void *block, size_t size)
{
	uint64_t mark = bench_mark(block, size, t->tag);

	bench_write(block, mark);
	if (size >= 16 && size < BENCH_SIZE_MAX)
		bench_write((char *)block + size - 8, ~mark);
}

/* Whether the marks are as they were written.  *mark is what the block says. */
static inline bool bench_intact(const void *block, uint64_t *mark)
{
	uint64_t head = bench_read(block);
	size_t size = bench_mark_size(head);

	*mark = head;
	if (head != bench_mark(block, size, bench_mark_tag(head)) || size < BENCH_BLOCK_MIN)
		return false;
	return size < 16 || size == BENCH_SIZE_MAX || bench_read((const char *)block + size - 8) == ~head;
}

static inline void bench_count_latency(struct bench_thread *t, const struct timespec *from, const struct timespec *to)
{
	uint64_t ns = (uint64_t)(to->tv_sec - from->tv_sec) * 1000000000u + (uint64_t)to->tv_nsec - (uint64_t)from->tv_nsec;
	unsigned log = ns < 8 ? 0 : 60 - (unsigned)__builtin_clzll(ns);

	/* Eight buckets for each doubling. */
	t->latency[ns < 8 ? ns : log * 8 + (ns >> log)]++;
	if (ns > t->latency_max)
		t->latency_max = ns;
}

static inline void *bench_timed_malloc(struct bench_thread *t, size_t size)
{
	struct timespec from, to;
	void *block;

	clock_gettime(CLOCK_MONOTONIC, &from);
	block = malloc(size);
	clock_gettime(CLOCK_MONOTONIC, &to);
	bench_count_latency(t, &from, &to);
	return block;
}

static inline void bench_timed_free(struct bench_thread *t, void *block)
{
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	free(block);
	clock_gettime(CLOCK_MONOTONIC, &to);
	bench_count_latency(t, &from, &to);
}

static inline void bench_did(struct bench_thread *t, uint64_t ops)
{
	atomic_store_explicit(&t->ops, atomic_load_explicit(&t->ops, memory_order_relaxed) + ops,
	    memory_order_relaxed);
}

/* Take over a block that came from elsewhere than bench_malloc(): calloc, say. */
static inline void *bench_adopt(struct bench_thread *t, void *block, size_t size)
{
	if (block == NULL)
		bench_fatal("out of memory");
	t->made++;
	bench_sign(t, block, size);
	return block;
}

/* A block of at least BENCH_BLOCK_MIN bytes, signed. */
static inline void *bench_malloc(struct bench_thread *t, size_t size)
{
	return bench_adopt(t, t->latency == NULL ? malloc(size) : bench_timed_malloc(t, size), size);
}

/* Look at a block without giving it up. */
static inline void bench_check(struct bench_thread *t, const void *block)
{
	uint64_t mark;

	t->errors += !bench_intact(block, &mark);
}

/* Check a block, count whose it was, and free it. */
static inline void bench_free(struct bench_thread *t, void *block)
{
	uint64_t mark;

	t->errors += !bench_intact(block, &mark);
	t->freed++;
	t->remote += bench_mark_tag(mark) != t->tag;
	bench_write(block, BENCH_DEAD);
	if (t->latency == NULL)
		free(block);
	else
		bench_timed_free(t, block);
}

/* ---- rings: blocks from one thread to another ---- */

/*
 * A bounded queue with one putting and one taking thread.  tail is written by the one (release) and read by the other
 * (acquire), head the other way round; each keeps what it last saw of the other's on its own line.
 */
struct bench_ring {
	_Alignas(128) _Atomic uint32_t tail;	/* put so far */
	uint32_t head_seen;
	_Alignas(128) _Atomic uint32_t head;	/* taken so far */
	uint32_t tail_seen;
	_Alignas(128) uint32_t mask;
	void **slot;
};

/* Places of each of n rings: "most" (a power of 2), or fewer, so that about in_flight blocks fit into all of them. */
static inline uint32_t bench_places(size_t n, uint32_t most, size_t in_flight)
{
	while (most > 1 && n * most > in_flight)
		most /= 2;
	return most;
}

/* n rings of "places" (a power of 2) each. */
static inline struct bench_ring *bench_rings(size_t n, uint32_t places)
{
	struct bench_ring *ring = bench_map(n * sizeof(*ring));
	void **slots = bench_map(n * places * sizeof(*slots));

	for (size_t i = 0; i < n; i++) {
		ring[i].mask = places - 1;
		ring[i].slot = slots + i * places;
	}
	return ring;
}

/* False: full. */
static inline bool bench_put(struct bench_ring *ring, void *block)
{
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	if (tail - ring->head_seen > ring->mask) {
		ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
		if (tail - ring->head_seen > ring->mask)
			return false;
	}
	ring->slot[tail & ring->mask] = block;
	atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
	return true;
}

/* NULL: empty. */
static inline void *bench_take(struct bench_ring *ring)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	void *block;

	if (head == ring->tail_seen) {
		ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
		if (head == ring->tail_seen)
			return NULL;
	}
	block = ring->slot[head & ring->mask];
	atomic_store_explicit(&ring->head, head + 1, memory_order_release);
	return block;
}

/*
 * Free what has come through n rings, from each at most what it holds, so that all get their turn and a thread never only
 * receives.  False: nothing.
 */
static inline bool bench_free_arrived(struct bench_thread *t, struct bench_ring *ring, size_t n)
{
	uint64_t freed = 0;
	void *block;

	for (size_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k <= ring[i].mask && (block = bench_take(&ring[i])) != NULL; k++) {
			bench_free(t, block);
			freed++;
		}
	}
	bench_did(t, freed);
	return freed != 0;
}

/*
 * Nothing to do: let somebody else run.  On a busy machine a yield may return at once, again and again, while the thread
 * that is waited for does not run; so a waiting thread also sleeps now and then.
 */
static inline void bench_pause(void)
{
	static _Thread_local unsigned pauses;
	struct timespec nap = { 0, 20000 };

	if (++pauses % 8 != 0)
		sched_yield();
	else
		nanosleep(&nap, NULL);
}

/* ---- threads and the clock ---- */

static inline bool bench_stopping(void)
{
	return atomic_load_explicit(&bench.stopping, memory_order_relaxed);
}

static inline void bench_thread_init(struct bench_thread *t, uint64_t index)
{
	memset(t, 0, sizeof(*t));
	t->index = (unsigned)index;
	t->tag = (uint32_t)(index % ((1u << BENCH_TAG_BITS) - 1)) + 1;
	t->random = bench_seed(bench.seed, index);
	if (bench.latency)
		t->latency = bench_map(BENCH_BUCKETS * sizeof(*t->latency));
}

/* The state of n threads, the same for every call; bench.thread[0] may serve the main thread. */
static inline struct bench_thread *bench_threads(unsigned n)
{
	bench.thread = bench_map(n * sizeof(*bench.thread));
	bench.threads = n;
	for (unsigned i = 0; i < n; i++)
		bench_thread_init(&bench.thread[i], i);
	return bench.thread;
}

static inline void *bench_thread_main(void *argument)
{
	struct bench_thread *t = argument;

	t->work(t);
	return NULL;
}

static inline void bench_start(struct bench_thread *t, void (*work)(struct bench_thread *))
{
	t->work = work;
	errno = pthread_create(&t->thread, NULL, bench_thread_main, t);
	if (errno != 0)
		bench_fatal("pthread_create");
}

static inline void bench_join(struct bench_thread *t)
{
	pthread_join(t->thread, NULL);
}

/* What a thread that has ended did, added to what another did. */
static inline void bench_inherit(struct bench_thread *to, struct bench_thread *from)
{
	bench_did(to, atomic_load_explicit(&from->ops, memory_order_relaxed));
	to->made += from->made;
	to->freed += from->freed;
	to->remote += from->remote;
	to->errors += from->errors;
	if (from->latency_max > to->latency_max)
		to->latency_max = from->latency_max;
	for (unsigned i = 0; to->latency != NULL && from->latency != NULL && i < BENCH_BUCKETS; i++)
		to->latency[i] += from->latency[i];
}

/* The clock runs, or stands; what it has run adds up. */
static inline void bench_clock(bool run)
{
	double now = bench_now(), cpu = bench_cpu();

	if (run) {
		bench.clock = now;
		bench.cpu_clock = cpu;
	} else {
		bench.measured += now - bench.clock;
		bench.cpu_measured += cpu - bench.cpu_clock;
	}
}

static inline uint64_t bench_total_ops(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < bench.threads; i++)
		sum += atomic_load_explicit(&bench.thread[i].ops, memory_order_relaxed);
	return sum;
}

/*
 * Run the first n threads until the time is over, and measure all but the first tenth; longer if nothing at all was done
 * in it, as on a machine that is very busy.  work() ends soon after bench_stopping() is true; what it does to clean up is
 * not measured.
 */
static inline void bench_run(unsigned n, void (*work)(struct bench_thread *))
{
	uint64_t before;

	for (unsigned i = 0; i < n; i++)
		bench_start(&bench.thread[i], work);
	bench_sleep(bench.seconds / 10);
	before = bench_total_ops();
	bench_clock(true);
	do {
		bench_sleep(bench.seconds);
		bench.ops = bench_total_ops() - before;
	} while (bench.ops == 0 && bench_now() - bench.clock < BENCH_PATIENCE);
	bench.ops_known = true;
	bench_clock(false);
	atomic_store_explicit(&bench.stopping, true, memory_order_relaxed);
	for (unsigned i = 0; i < n; i++)
		bench_join(&bench.thread[i]);
}

/* ---- options ---- */

static inline _Noreturn void bench_usage(void)
{
	const struct bench_spec *spec = bench.spec;

	fprintf(stderr, "usage: %s [OPTIONS]\n", spec->name);
	if (spec->workers != 0)
		fprintf(stderr, "  -w N        workers (%u; at most %d)\n", spec->workers, BENCH_THREADS_MAX / 2);
	if (spec->size != NULL)
		fprintf(stderr, "  -s SIZE     bytes of a block, at least 8; LOW-HIGH is drawn from; mixed is 17 sizes\n"
		    "              from 8 to 2048 (%s)\n", spec->size);
	fprintf(stderr, "%s"
	    "  -t SECONDS  time to measure, after a warm-up of a tenth of that (%g)\n"
	    "  -i SECONDS  idle time after the end of the work, before memory is looked at again (1)\n"
	    "  -S SEED     of sizes and choices (1)\n"
	    "  -l          time every call of malloc and free, which slows all down\n", spec->usage, spec->seconds);
	exit(2);
}

/* A whole number of min .. max, with *rest at what follows it; bad ones end the program. */
static inline unsigned long bench_number_part(const char *text, const char **rest, unsigned long min, unsigned long max)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno != 0 || text[0] < '0' || text[0] > '9' || n < min || n > max)
		bench_usage();
	*rest = end;
	return n;
}

static inline unsigned long bench_number(const char *text, unsigned long min, unsigned long max)
{
	unsigned long n = bench_number_part(text, &text, min, max);

	if (*text != '\0')
		bench_usage();
	return n;
}

static inline double bench_duration(const char *text, double min)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end != '\0' || !(seconds >= min && seconds <= 86400))
		bench_usage();
	return seconds;
}

static inline void bench_set_size(const char *text)
{
	const char *rest;

	bench.size_text = text;
	bench.size_low = bench.size_high = 0;
	if (strcmp(text, "mixed") == 0)
		return;
	bench.size_low = bench.size_high = bench_number_part(text, &rest, BENCH_BLOCK_MIN, 1ul << 30);
	if (*rest == '-')
		bench.size_high = bench_number(rest + 1, bench.size_low, 1ul << 30);
	else if (*rest != '\0')
		bench_usage();
}

static inline void bench_begin(int argc, char **argv, const struct bench_spec *spec)
{
	char letters[64];
	int c;

	bench.spec = spec;
	bench.workers = spec->workers;
	bench.seconds = spec->seconds;
	bench.idle = 1;
	bench.seed = 1;
	if (spec->size != NULL)
		bench_set_size(spec->size);
	snprintf(letters, sizeof(letters), "t:i:S:l%s%s%s", spec->workers != 0 ? "w:" : "", spec->size != NULL ? "s:" : "",
	    spec->letters);
	while ((c = getopt(argc, argv, letters)) != -1) {
		switch (c) {
		case 'w':
			bench.workers = (unsigned)bench_number(optarg, 1, BENCH_THREADS_MAX / 2);
			break;
		case 's':
			bench_set_size(optarg);
			break;
		case 't':
			bench.seconds = bench_duration(optarg, 0.001);
			break;
		case 'i':
			bench.idle = bench_duration(optarg, 0);
			break;
		case 'S':
			bench.seed = bench_number(optarg, 0, UINT32_MAX);
			break;
		case 'l':
			bench.latency = true;
			break;
		default:
			if (c == '?' || !spec->option(c, optarg))
				bench_usage();
		}
	}
	if (optind != argc)
		bench_usage();
}

/* ---- results ---- */

/* The file that malloc really comes from. */
static inline const char *bench_malloc_path(void)
{
	void *address = dlsym(RTLD_DEFAULT, "malloc");
	Dl_info info;

	if (address == NULL || dladdr(address, &info) == 0 || info.dli_fname == NULL)
		return "unknown";
	return info.dli_fname;
}

/* What that library says its version is, as "name-version", without blanks. */
static inline const char *bench_malloc_version(void)
{
	static char text[64];
	union {
		void *address;
		const char *(*string)(void);
		int (*number)(void);
		int (*mallctl)(const char *, void *, size_t *, void *, size_t);
		const char *(*tc)(int *, int *, const char **);
	} f;
	const char *version = "unknown";
	size_t bytes = sizeof(version);

	if ((f.address = dlsym(RTLD_DEFAULT, "hz3_version")) != NULL) {
		snprintf(text, sizeof(text), "hz3-%s", f.string());
	} else if ((f.address = dlsym(RTLD_DEFAULT, "mi_version")) != NULL) {
		snprintf(text, sizeof(text), "mimalloc-%d", f.number());
	} else if ((f.address = dlsym(RTLD_DEFAULT, "mallctl")) != NULL) {
		f.mallctl("version", &version, &bytes, NULL, 0);
		snprintf(text, sizeof(text), "jemalloc-%.*s", (int)strcspn(version, "-"), version);
	} else if ((f.address = dlsym(RTLD_DEFAULT, "tc_version")) != NULL) {
		snprintf(text, sizeof(text), "gperftools-%s", f.tc(NULL, NULL, NULL) + strlen("gperftools "));
	} else if (dlsym(RTLD_DEFAULT, "scalable_malloc") != NULL) {
		snprintf(text, sizeof(text), "tbbmalloc");
	} else if (dlsym(RTLD_DEFAULT, "rpmalloc") != NULL) {
		snprintf(text, sizeof(text), "rpmalloc");
	} else if (strstr(bench_malloc_path(), "snmalloc") != NULL) {
		snprintf(text, sizeof(text), "snmalloc");
	} else {
#if defined(__GLIBC__)
		snprintf(text, sizeof(text), "glibc-%s", gnu_get_libc_version());
#else
		snprintf(text, sizeof(text), "libc");
#endif
	}
	return text;
}

/* The duration in nanoseconds that one call in "one_in" exceeds. */
static inline uint64_t bench_latency_over(const struct bench_thread *sum, uint64_t one_in)
{
	uint64_t calls = 0, over;
	unsigned i = BENCH_BUCKETS;

	for (unsigned k = 0; k < BENCH_BUCKETS; k++)
		calls += sum->latency[k];
	over = calls / one_in;
	for (uint64_t seen = 0; i > 0 && seen <= over;)
		seen += sum->latency[--i];
	return i < 16 ? i : (uint64_t)(8 + i % 8) << (i / 8 - 1);
}

/*
 * Print the line of results: the workload's name and key=value pairs, "lib" the last, since a path may have blanks.
 * Then nothing of the run may be alive any more, but the threads' state.  "more" is pairs of the workload's own, or "".
 * Returns the exit status: 0, or 1 if contents were wrong or blocks are missing.
 */
static inline int bench_end(const char *more)
{
	long rss_end = bench_status_kib("VmRSS:"), rss_idle = -1;
	struct bench_thread sum;

	bench_thread_init(&sum, 0);
	for (unsigned i = 0; i < bench.threads; i++)
		bench_inherit(&sum, &bench.thread[i]);
	if (!bench.ops_known)
		bench.ops = atomic_load_explicit(&sum.ops, memory_order_relaxed);
	sum.errors += sum.made != sum.freed;
	if (bench.idle > 0) {
		bench_sleep(bench.idle);
		rss_idle = bench_status_kib("VmRSS:");
	}

	printf("%s", bench.spec->name);
	if (bench.spec->workers != 0)
		printf(" workers=%u", bench.workers);
	if (bench.spec->size != NULL)
		printf(" size=%s", bench.size_text);
	printf(" seed=%llu ops=%llu seconds=%.4f ops_per_second=%.0f cpu_seconds=%.3f", (unsigned long long)bench.seed,
	    (unsigned long long)bench.ops, bench.measured,
	    bench.measured > 0 ? (double)bench.ops / bench.measured : 0, bench.cpu_measured);
	printf(" remote_percent=%.1f rss_peak_kib=%ld rss_end_kib=%ld",
	    sum.freed != 0 ? 100.0 * (double)sum.remote / (double)sum.freed : 0, bench_status_kib("VmHWM:"), rss_end);
	if (rss_idle >= 0)
		printf(" rss_idle_kib=%ld", rss_idle);
	printf(" harness_kib=%llu", (unsigned long long)bench.harness_bytes >> 10);
	if (bench.latency)
		printf(" latency_p99_ns=%llu latency_p9999_ns=%llu latency_max_ns=%llu",
		    (unsigned long long)bench_latency_over(&sum, 100), (unsigned long long)bench_latency_over(&sum, 10000),
		    (unsigned long long)sum.latency_max);
	printf("%s%s errors=%llu version=%s lib=%s\n", more[0] != '\0' ? " " : "", more,
	    (unsigned long long)sum.errors, bench_malloc_version(), bench_malloc_path());
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "%s: cannot write the results: %s\n", bench.spec->name, strerror(errno));
		return 2;
	}
	return sum.errors != 0;
}

#endif
