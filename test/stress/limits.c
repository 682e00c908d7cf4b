/*
 * The hard limit under load: eight threads take what they can get, of all sizes, and free each other's blocks, while another
 * looks at what hz3 has, and at what the system says.
 *
 *   - hz3 never has more than the limit, at any look; nor has the process, its own part and a little set aside;
 *   - what is refused is NULL with ENOMEM, and the block given to realloc stays as it is;
 *   - in the end, with all freed, as much can be had as at first; in a child as well, that was forked in the midst of it.
 */
#include "stress.h"

#define LIMIT (48 * MIB)
#define THREADS 8
#define SLOTS 256

/* Blocks on their way from whoever made them to whoever frees them. */
static _Atomic(void *) slots[SLOTS];
static _Atomic bool stop;
static _Atomic size_t refused, made, looks;
static size_t rss_before;

static void check_limit(void)
{
	size_t used = stress_stat("limit.used");

	CHECK(used <= LIMIT, "hz3 has %zu bytes, over the limit by %zu", used, used - LIMIT);
}

static void *take(size_t size)
{
	errno = 0;
	void *p = stress_opaque(malloc(size));

	CHECK(p != NULL || errno == ENOMEM, "malloc(%zu) gives NULL, and errno %d", size, errno);
	if (p == NULL)
		atomic_fetch_add(&refused, 1);
	else
		stress_fill(p, size);
	return p;
}

/* Its contents are as they were, whatever realloc says. */
static void *grow(void *p)
{
	size_t before = stress_check(p), size = before + before / 2;

	errno = 0;
	void *q = stress_opaque(realloc(p, size));
	if (q == NULL) {
		CHECK(errno == ENOMEM, "realloc: errno %d", errno);
		CHECK(stress_check(p) == before, "realloc failed, and changed the block");
		atomic_fetch_add(&refused, 1);
		return p;
	}
	stress_fill(q, size);
	return q;
}

static void *work(void *arg)
{
	uint64_t state = stress_state((uintptr_t)arg);

	while (!atomic_load(&stop)) {
		size_t size = 16 + stress_size(&state, stress_below(&state, 40) == 0 ? 6 * MIB : 256 * KIB);
		void *p = take(size);
		if (p != NULL && stress_below(&state, 8) == 0)
			p = grow(p);
		p = atomic_exchange(&slots[stress_below(&state, SLOTS)], p);
		stress_discard(p);
		atomic_fetch_add(&made, 1);
		check_limit();
	}
	return NULL;
}

/* How many blocks of 1 MiB there are; all are freed again. */
static size_t available(void)
{
	static void *blocks[LIMIT / MIB + 1];
	size_t n = 0;

	while (n < LIMIT / MIB && (blocks[n] = stress_opaque(malloc(MIB))) != NULL)
		n++;
	for (size_t i = 0; i < n; i++)
		free(blocks[i]);
	return n;
}

static void drop_all(void)
{
	for (unsigned i = 0; i < SLOTS; i++)
		free(atomic_exchange(&slots[i], NULL));
}

/* Other threads' memory is free for it as soon as it frees it. */
static _Noreturn void live_as_a_child(size_t first)
{
	stress_limit(30);
	stress_purge();
	size_t used = stress_stat("limit.used");
	size_t there = stress_stat("stats.active") + stress_stat("stats.dirty") + stress_stat("stats.metadata");
	CHECK(used == there, "the child's account says %zu, and there are %zu", used, there);
	drop_all();
	stress_purge();
	check_limit();
	size_t n = available();
	/* What the threads had in their hands, kept for themselves, or were just sending, is lost to the child. */
	CHECK(n + first / 2 >= first, "of %zu blocks of 1 MiB the child can have %zu", first, n);
	_exit(0);
}

static void fork_once(size_t first)
{
	pid_t pid = fork();

	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0)
		live_as_a_child(first);
	stress_wait_for(pid, 0, "child");
}

static void look_until(double end, size_t first)
{
	for (unsigned i = 0; stress_now() < end || atomic_load(&refused) == 0; i++) {
		check_limit();
		size_t rss = stress_rss();
		/* Stacks, tables, libraries' own. */
		CHECK(rss <= rss_before + LIMIT + 16 * MIB, "%zu bytes are resident, %zu were at first", rss, rss_before);
		if (i % 64 == 32)
			fork_once(first);
		atomic_fetch_add(&looks, 1);
		stress_sleep_ms(2);
	}
}

static void body(void)
{
	pthread_t thread[THREADS];

	printf("seed %llu, variant \"%s\"\n", (unsigned long long)stress_seed, stress_variant);
	if (!on_hz3()) {
		printf("the limits are hz3's\n");
		exit(SKIPPED);
	}
	rss_before = stress_rss();
	size_t first = available();
	CHECK(first >= LIMIT / MIB / 2, "%zu blocks of 1 MiB are all that fits into %zu MiB", first, LIMIT / MIB);
	for (uintptr_t i = 0; i < THREADS; i++)
		thread[i] = stress_thread(work, (void *)i);
	look_until(stress_now() + (stress_long ? 20 : 0.4), first);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	drop_all();
	stress_purge();
	size_t again = available();
	CHECK(again + first / 10 + 1 >= first, "%zu blocks of 1 MiB at first, then %zu", first, again);
	CHECK(stress_stat("stats.limit.hard_purges") > 0, "nothing was purged for the limit");
	CHECK(stress_stat("stats.limit.refused") > 0, "the statistics know of no refusal");
	printf("%zu blocks, %zu refused, %zu looks; %zu MiB at first, %zu again\n", atomic_load(&made), atomic_load(&refused),
	       atomic_load(&looks), first, again);
}

int main(void)
{
	static const char *const variants[] = {
		"memory_limit_hard:48M,sink:page",
		"memory_limit_hard:48M,memory_limit_soft:24M,sink:central",
		"memory_limit_hard:48M,huge_threshold:1M,background_thread:0",
		NULL,
	};

	return stress_main(variants, 30, body);
}
