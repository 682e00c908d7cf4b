/*
 * Threads without number.
 *
 *   churn      threads are born and joined all the time, and later ones free the blocks that each leaves behind.
 *   sequence   one after the other, 10,000 in all (100,000 in the long form).
 *   crowd      2,000 at once (10,000), with small stacks: each frees what its neighbour allocated.  Twice, since the
 *              second crowd must do with what the first one left.
 *
 * Memory and the number of heaps depend on how many threads there are at once, not on how many there were.
 */
#include "stress.h"

#define KEPT 4000
#define AT_ONCE 16
#define SMALL_STACK (64 * KIB)

static _Atomic(void *) kept[KEPT];

static void *new_block(uint64_t *random, size_t limit)
{
	return stress_new(8 + stress_size(random, limit));
}

static void *short_life(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);

	for (unsigned i = 0; i < 24; i++)
		stress_discard(atomic_exchange(&kept[stress_below(&random, KEPT)], new_block(&random, 4000)));
	if (stress_below(&random, 64) == 0)
		stress_discard(new_block(&random, MIB));
	return NULL;
}

static void drop_kept(void)
{
	for (unsigned i = 0; i < KEPT; i++)
		stress_discard(atomic_exchange(&kept[i], NULL));
}

/* With a small stack.  An error is for the caller to judge: systems limit the number of threads. */
static int start(pthread_t *thread, void *(*f)(void *), void *arg)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, SMALL_STACK);
	int error = pthread_create(thread, &attr, f, arg);
	pthread_attr_destroy(&attr);
	return error;
}

static void check_bounds(const char *what, unsigned i, size_t rss, size_t heaps_max)
{
	size_t rss_now = stress_rss(), heaps = stress_stat("stats.heaps");

	CHECK(!on_hz3() || rss_now < rss + 48 * MIB, "%s, after %u threads: %zu KiB resident, %zu KiB before", what, i,
	      rss_now / KIB, rss / KIB);
	CHECK(heaps <= heaps_max, "%s, after %u threads: %zu heaps for %u threads at once", what, i, heaps,
	      AT_ONCE + 1);
}

/* Never fewer than AT_ONCE - 1 at once: the oldest is joined and another takes its place. */
static void churn(unsigned threads, size_t rss)
{
	pthread_t thread[AT_ONCE];

	for (unsigned i = 0; i < threads + AT_ONCE; i++) {
		if (i >= AT_ONCE)
			pthread_join(thread[i % AT_ONCE], NULL);
		if (i < threads)
			thread[i % AT_ONCE] = stress_thread(short_life, (void *)(uintptr_t)(i + 1));
		if (i % 512 == 511)
			check_bounds("churn", i + 1, rss, 2 * AT_ONCE + 4);
	}
}

static void sequence(unsigned threads, size_t rss)
{
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(stress_thread(short_life, (void *)(uintptr_t)(i + 1000001)), NULL);
		if (i % 1024 == 1023)
			check_bounds("sequence", i + 1, rss, 2 * AT_ONCE + 4);
	}
}

/* ---- Crowd ---- */

#define CROWD_MAX 10000
#define CROWD_BLOCKS 6

static void *crowd_block[CROWD_MAX][CROWD_BLOCKS];
static pthread_t crowd_thread[CROWD_MAX];
static unsigned crowd_size;
static _Atomic unsigned crowd_ready;
static pthread_barrier_t crowd_gate;	/* for those who came and the main thread */
static pthread_mutex_t crowd_door = PTHREAD_MUTEX_INITIALIZER;	/* held while it is not known how many come */

static void *be_one_of_many(void *arg)
{
	uintptr_t me = (uintptr_t)arg;
	uint64_t random = stress_state(me + 77777);

	for (unsigned i = 0; i < CROWD_BLOCKS; i++)
		crowd_block[me][i] = new_block(&random, i == 0 ? 20000 : 500);
	atomic_fetch_add(&crowd_ready, 1);
	pthread_mutex_lock(&crowd_door);
	pthread_mutex_unlock(&crowd_door);
	pthread_barrier_wait(&crowd_gate);
	for (unsigned i = 0; i < CROWD_BLOCKS; i++)
		stress_discard(crowd_block[(me + 1) % crowd_size][i]);
	return NULL;
}

static void crowd(unsigned want)
{
	int error = 0;

	atomic_store(&crowd_ready, 0);
	pthread_mutex_lock(&crowd_door);
	for (crowd_size = 0; crowd_size < want; crowd_size++) {
		error = start(&crowd_thread[crowd_size], be_one_of_many, (void *)(uintptr_t)crowd_size);
		if (error != 0)
			break;
	}
	CHECK(error == 0 || error == EAGAIN || error == ENOMEM, "pthread_create: %s", strerror(error));
	if (crowd_size < want)
		printf("crowd: the system gives only %u of %u threads\n", crowd_size, want);
	CHECK(crowd_size > 0, "no threads at all: %s", strerror(error));
	while (atomic_load(&crowd_ready) < crowd_size)
		stress_sleep_ms(1);
	pthread_barrier_init(&crowd_gate, NULL, crowd_size + 1);
	pthread_mutex_unlock(&crowd_door);
	pthread_barrier_wait(&crowd_gate);
	for (unsigned i = 0; i < crowd_size; i++)
		pthread_join(crowd_thread[i], NULL);
	pthread_barrier_destroy(&crowd_gate);
}

static void body(void)
{
	unsigned many = stress_long ? CROWD_MAX : 2000, form = stress_long ? 10 : 1;

	stress_warm_up(AT_ONCE);
	stress_purge();
	size_t live = stress_live(), rss = stress_rss();
	churn(4000 * form, rss);
	sequence(10000 * form, rss);
	drop_kept();
	size_t live_now = stress_live();
	CHECK(live_now == live, "%zu blocks live after %u threads, %zu before", live_now, 14000 * form, live);
	stress_purge();
	check_bounds("all freed", 14000 * form, rss, 2 * AT_ONCE + 4);

	crowd(many);
	live = stress_live();	/* libc keeps a little for each thread that ever was at once */
	stress_purge();
	size_t rss_first = stress_rss(), heaps = stress_stat("stats.heaps"), metadata = stress_stat("stats.metadata");
	crowd(many);
	live_now = stress_live();
	stress_purge();
	size_t rss_second = stress_rss(), heaps_now = stress_stat("stats.heaps"), metadata_now = stress_stat("stats.metadata");
	/* Of the heaps that there are, the second may touch more than the first: no more than all. */
	size_t untouched = metadata > rss_first ? metadata - rss_first : 0;
	printf("rss %zu KiB at first, %zu KiB and %zu KiB after crowds of %u; heaps %zu, then %zu\n", rss / KIB,
	       rss_first / KIB, rss_second / KIB, crowd_size, heaps, heaps_now);
	CHECK(live_now <= live, "crowd: %zu blocks live at the end, %zu before", live_now, live);
	CHECK(metadata_now <= metadata + MIB, "%zu KiB of metadata after the second crowd, %zu KiB after the first",
	      metadata_now / KIB, metadata / KIB);
	CHECK(!on_hz3() || rss_second < rss_first + untouched + 16 * MIB, "the second crowd left %zu KiB, the first %zu KiB",
	      rss_second / KIB, rss_first / KIB);
	CHECK(heaps_now <= heaps + 16, "%zu heaps after the second crowd, %zu after the first", heaps_now, heaps);
	/* A thread that is gone leaves an empty heap; that is all it may cost. */
	CHECK(!on_hz3() || rss_first < rss + 16 * MIB + many * 24 * KIB,
	      "%zu KiB resident after a crowd of %u, %zu KiB before", rss_first / KIB, many, rss / KIB);
}

int main(void)
{
	static const char *const variants[] = {"sink:central", "sink:page", NULL};

	return stress_main(variants, 30, body);
}
