/*
 * Tests of stats.h: what is counted, and that it adds up: after all threads are joined, exactly.
 */
#include "core.h"

#include "abandon.h"
#include "alloc.h"
#include "large.h"
#include "stats.h"
#include "thread.h"

static struct hz3_stats stats;

static void set_up(void)
{
	hz3_options.background_thread = false;
}

static void check_sums(void)
{
	uint64_t live = stats.large.live, bytes = stats.large.live_bytes, allocated = stats.large.allocated;

	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		const struct hz3_class_stats *c = &stats.class[class];

		ck_assert_uint_eq(c->size, hz3_class_size(class));
		ck_assert_uint_eq(c->allocated, c->freed_local + c->freed_remote + c->live);
		live += c->live;
		allocated += c->allocated;
		bytes += c->live * c->size;
	}
	ck_assert_uint_eq(stats.blocks_allocated, stats.blocks_freed + stats.blocks_live);
	ck_assert_uint_eq(stats.blocks_allocated, allocated);
	ck_assert_uint_eq(stats.blocks_live, live);
	ck_assert_uint_eq(stats.allocated, bytes);
	ck_assert_uint_le(stats.allocated, stats.active);
	ck_assert_uint_le(stats.active + stats.dirty, stats.mapped);
}

/* ---- One thread ---- */

START_TEST(nothing_yet)
{
	hz3_stats_collect(&stats);
	ck_assert_uint_eq(stats.blocks_allocated, 0);
	ck_assert_uint_eq(stats.active, 0);
	ck_assert_uint_eq(stats.held_bytes, 0);
	ck_assert_uint_gt(stats.metadata, 0);
	ck_assert_uint_gt(stats.resident, 0);
	ck_assert_uint_eq(stats.heaps, 1);
	ck_assert_uint_eq(stats.held_bytes_cap, hz3_buffer_cap());
	check_sums();
}
END_TEST

/* At every moment, what the statistics call live is what this thread has. */
START_TEST(exact_at_every_moment)
{
	enum { N = 500 };
	static void *blocks[N];
	size_t live[HZ3_CLASSES] = { 0 }, large = 0, total = 0;
	uint64_t allocated = 0;
	unsigned long seed = core_seed(61);

	hz3_options.huge_threshold = (size_t)1 << 20;
	for (int step = 0; step < 20000; step++) {
		size_t i = core_pick(&seed, N), r = core_pick(&seed, 100);
		size_t size = r == 0 ? 2000000 : r < 3 ? 200000 : r < 20 ? core_pick(&seed, 30000) : core_pick(&seed, 500);

		if (blocks[i]) {
			size_t usable = hz3_alloc_usable_size(blocks[i]);
			hz3_alloc_free(blocks[i]);
			blocks[i] = NULL;
			total -= usable;
			if (usable <= HZ3_CLASS_SIZE_MAX)
				live[hz3_size_class(usable)]--;
			else
				large--;
		} else {
			ck_assert_ptr_nonnull(blocks[i] = hz3_alloc(size));
			allocated++;
			total += hz3_alloc_usable_size(blocks[i]);
			if (size <= HZ3_CLASS_SIZE_MAX)
				live[hz3_size_class(size)]++;
			else
				large++;
		}
		if (step % 500)
			continue;
		hz3_stats_collect(&stats);
		check_sums();
		ck_assert_uint_eq(stats.blocks_allocated, allocated);
		ck_assert_uint_eq(stats.allocated, total);
		ck_assert_uint_eq(stats.large.live, large);
		for (unsigned class = 0; class < HZ3_CLASSES; class++) {
			ck_assert_uint_eq(stats.class[class].live, live[class]);
			ck_assert_uint_eq(stats.class[class].freed_remote, 0);
		}
		ck_assert_uint_eq(stats.huge_mappings, hz3_large_huge_count());
	}
}
END_TEST

START_TEST(resized_blocks)
{
	void *p = hz3_alloc(400000);

	ck_assert_ptr_eq(hz3_alloc_resize_large(p, 150000), p);
	hz3_stats_collect(&stats);
	check_sums();
	ck_assert_uint_eq(stats.large.live, 1);
	ck_assert_uint_eq(stats.large.live_bytes, hz3_alloc_usable_size(p));
	hz3_alloc_free(p);
	hz3_stats_collect(&stats);
	ck_assert_uint_eq(stats.large.live, 0);
	ck_assert_uint_eq(stats.large.live_bytes, 0);
	ck_assert_uint_eq(stats.large.allocated, 1);
}
END_TEST

START_TEST(purges_are_counted)
{
	void *p = hz3_alloc(1000000);

	memset(p, 1, 1000000);
	hz3_alloc_free(p);
	hz3_stats_collect(&stats);
	ck_assert_uint_eq(stats.dirty, 16 * HZ3_SLICE);
	ck_assert_uint_eq(stats.purged_bytes, 0);
	hz3_arenas_purge(0);
	hz3_stats_collect(&stats);
	ck_assert_uint_eq(stats.dirty, 0);
	ck_assert_uint_eq(stats.purged_bytes, 16 * HZ3_SLICE);
	ck_assert_uint_eq(stats.purges, 1);
}
END_TEST

/* ---- Threads: everything comes home, whoever freed it ---- */

#define WORKERS 4
#define SLOTS 1024

static _Atomic(void *) slots[SLOTS];
static _Atomic uint64_t allocations;
static size_t sizes[] = { 8, 16, 64, 100, 300, 1000, 5000, 30000, 90000 };

static void *work(void *arg)
{
	unsigned long seed = (unsigned long)(uintptr_t)arg;

	for (int i = 0; i < 12000; i++) {
		size_t size = sizes[core_pick(&seed, core_pick(&seed, 20) ? 5 : 9)];
		void *p = hz3_alloc(size);

		ck_assert_ptr_nonnull(p);
		memset(p, 1, 8);
		allocations++;
		hz3_alloc_free(atomic_exchange(&slots[core_pick(&seed, SLOTS)], p));
	}
	return NULL;
}

static void run_workers(unsigned long seed)
{
	pthread_t thread[WORKERS];

	for (int i = 0; i < WORKERS; i++)
		thread[i] = core_start(work, (void *)(uintptr_t)(seed + (unsigned)i));
	for (int i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
}

static void check_against_slots(void)
{
	uint64_t live[HZ3_CLASSES] = { 0 }, large = 0, held = 0;

	for (int i = 0; i < SLOTS; i++) {
		void *p = atomic_load(&slots[i]);
		size_t usable = hz3_alloc_usable_size(p);

		if (p == NULL)
			continue;
		held++;
		if (usable <= HZ3_CLASS_SIZE_MAX)
			live[hz3_size_class(usable)]++;
		else
			large++;
	}
	ck_assert_uint_eq(stats.blocks_live, held);
	ck_assert_uint_eq(stats.large.live, large);
	for (unsigned class = 0; class < HZ3_CLASSES; class++)
		ck_assert_uint_eq(stats.class[class].live, live[class]);
	ck_assert_uint_eq(stats.blocks_allocated, allocations);
	ck_assert_uint_eq(stats.held_bytes, 0);
}

START_TEST(exact_after_joins)
{
	int mode = _i % 3;

	hz3_sink_set_mode(mode);
	hz3_sink_set_batch(_i < 6);
	hz3_options.handover = _i % 2;
	hz3_options.remote_budget = 20000;
	run_workers(core_seed(71));
	hz3_stats_collect(&stats);
	check_sums();
	check_against_slots();
	/* What was sent arrived, or waits in a word; forwarded chains are sent twice. */
	uint64_t sent = 0, drained = 0, chains = 0;
	for (int i = 0; i < HZ3_SINKS; i++) {
		const struct hz3_sink_counters *sink = &stats.sum.sink[i];
		sent += sink->blocks;
		drained += sink->drained_blocks;
		chains += sink->chains;
		ck_assert_uint_le(sink->cas_retries, sink->rmw_push);
		ck_assert_uint_ge(sink->blocks, sink->chains);
	}
	ck_assert_uint_gt(sent, 0);
	if (mode != HZ3_SINK_AUTO)
		ck_assert_uint_eq(stats.sum.sink[!mode].chains, 0);
	if (!hz3_options.handover)
		ck_assert_uint_eq(sent, drained + core_in_words());
	if (_i >= 6)
		ck_assert_uint_eq(sent, chains);
	ck_assert_uint_eq(stats.heaps_parked, hz3_owner_count() - 1);
	/* The rest, by this thread. */
	for (int i = 0; i < SLOTS; i++)
		hz3_alloc_free(atomic_exchange(&slots[i], NULL));
	hz3_stats_collect(&stats);
	check_sums();
	check_against_slots();
	ck_assert_uint_eq(stats.blocks_freed, allocations);
}
END_TEST

/* What this thread frees for threads that are ending, and for itself, is at home when statistics are asked for. */
static pthread_key_t late_key;
static void *late[50];

static void alloc_late(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50; i++)
		late[i] = hz3_alloc(64);
}

static void *end_late(void *arg)
{
	hz3_alloc_free(hz3_alloc(1));
	pthread_setspecific(late_key, &late_key);
	return arg;
}

START_TEST(exact_for_the_shared_heap)
{
	hz3_sink_set_mode(_i);
	ck_assert_int_eq(pthread_key_create(&late_key, alloc_late), 0);
	hz3_alloc_free(hz3_alloc(1));
	core_run(end_late, NULL);
	for (int i = 0; i < 30; i++)
		hz3_alloc_free(late[i]);
	hz3_stats_collect(&stats);
	check_sums();
	ck_assert_uint_eq(stats.blocks_live, 20);
}
END_TEST

/* Asked for at any time, by several: nothing is disturbed, and it is exact again at the end. */
static _Atomic bool stop;

static void *collect_all_the_time(void *arg)
{
	struct hz3_stats *mine = arg;

	while (!stop) {
		hz3_stats_collect(mine);
		ck_assert_uint_le(mine->large.live, SLOTS + WORKERS + 1);
		sched_yield();
	}
	return NULL;
}

START_TEST(collected_while_threads_run)
{
	static struct hz3_stats running[2];
	pthread_t thread[2];
	unsigned long seed = core_seed(72);

	hz3_sink_set_mode(_i);
	hz3_options.remote_budget = 50000;
	for (int i = 0; i < 2; i++)
		thread[i] = core_start(collect_all_the_time, &running[i]);
	/* Again and again, so that heaps are parked with others' blocks, and adopted. */
	for (unsigned i = 0; i < 3; i++)
		run_workers(seed + 10 * i);
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	hz3_stats_collect(&stats);
	check_sums();
	check_against_slots();
	ck_assert_uint_eq(core_audit((void *const *)slots, SLOTS), core_in_words());
}
END_TEST

/* Whole pages of a parked heap change hands while they are looked at. */
#define BIG_PAGES 300

static void *alloc_big(void *arg)
{
	void **blocks = arg;

	for (unsigned i = 0; i < BIG_PAGES * hz3_class_info[HZ3_CLASSES - 1].capacity; i++)
		blocks[i] = hz3_alloc(HZ3_CLASS_SIZE_MAX);
	return NULL;
}

START_TEST(collected_during_handover)
{
	static struct hz3_stats running;
	size_t n = BIG_PAGES * hz3_class_info[HZ3_CLASSES - 1].capacity;
	void **blocks = calloc(n, sizeof(*blocks));

	hz3_sink_set_mode(_i);
	hz3_options.remote_budget = (size_t)4 << 20;
	hz3_alloc_free(hz3_alloc(1));
	pthread_t thread = core_start(collect_all_the_time, &running);
	for (int round = 0; round < 5; round++) {
		core_run(alloc_big, blocks);
		for (size_t i = 0; i < n; i++)
			hz3_alloc_free(blocks[i]);
	}
	stop = true;
	pthread_join(thread, NULL);
	hz3_stats_collect(&stats);
	check_sums();
	ck_assert_uint_eq(stats.blocks_live, 0);
	ck_assert_uint_gt(stats.sum.handover_pages, 0);
	ck_assert_uint_eq(core_audit(NULL, 0), core_in_words());
	free(blocks);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stats");
	TCase *tc = tcase_create("one thread");

	tcase_add_checked_fixture(tc, set_up, NULL);
	if (HZ3_STATS) {
		tcase_add_test(tc, nothing_yet);
		tcase_add_test(tc, exact_at_every_moment);
		tcase_add_test(tc, resized_blocks);
	}
	tcase_add_test(tc, purges_are_counted);
	suite_add_tcase(suite, tc);

	if (HZ3_STATS) {
		tc = tcase_create("threads");
		tcase_add_checked_fixture(tc, set_up, NULL);
		tcase_add_loop_test(tc, exact_after_joins, 0, 9);
		tcase_add_loop_test(tc, exact_for_the_shared_heap, 0, 3);
		tcase_add_loop_test(tc, collected_while_threads_run, 0, 3);
		tcase_add_loop_test(tc, collected_during_handover, 0, 3);
		tcase_set_timeout(tc, 60);
		suite_add_tcase(suite, tc);
	}
	return unit_run(suite);
}
