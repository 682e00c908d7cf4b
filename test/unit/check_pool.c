/*
 * Tests of pool.h and extent.h: that nothing is sent to a pool, that it is mended from its routes and pages, what it does when the
 * system fails, and that statistics count its blocks.  test/api/arena.c has the rest, as programs see it.
 */
#include "core.h"

#include "account.h"
#include "alloc.h"
#include "decay.h"
#include "extent.h"
#include "large.h"
#include "pool.h"
#include "stats.h"

#include <string.h>

enum { BLOCKS = 3000 };

static struct hz3_pool *pool;
static struct hz3_heap *heap;
static unsigned char *block[BLOCKS];
static size_t block_bytes[BLOCKS];

static void set_up(void)
{
	core_fake_os();
	hz3_options.background_thread = false;
	ck_assert(hz3_thread_setup());
}

static size_t size_of(unsigned i)
{
	return i % 100 == 0 ? 40000 + (size_t)i * 300 : 16 + (size_t)i * 37 % 2000;
}

static void check_contents(unsigned i)
{
	size_t at = 0;

	while (at < block_bytes[i] && block[i][at] == (i & 0xff))
		at++;
	ck_assert_msg(at == block_bytes[i], "byte %zu of block %u of %zu bytes was written to", at, i, block_bytes[i]);
}

/* A block, and then the heap that it is from. */
static void make(unsigned i)
{
	block_bytes[i] = size_of(i);
	block[i] = hz3_pool_alloc(pool, 16, block_bytes[i]);
	ck_assert_ptr_nonnull(block[i]);
	memset(block[i], (int)(i & 0xff), block_bytes[i]);
}

static void end(unsigned i)
{
	check_contents(i);
	hz3_alloc_free(block[i]);
	block[i] = NULL;
}

/* A pool with blocks of which two in three were freed, so that its pages are in all states. */
static void fill_pool(void)
{
	pool = hz3_pool_create(NULL, NULL);
	ck_assert_ptr_nonnull(pool);
	for (unsigned i = 0; i < BLOCKS; i++)
		make(i);
	heap = hz3_owner_by_id(hz3_route_owner(hz3_route_of(hz3_slice_of(block[1]))))->heap;
	for (unsigned i = 0; i < BLOCKS; i++)
		if (i % 3)
			end(i);
}

static size_t live_blocks(void)
{
	struct hz3_arena_stats stats;

	hz3_pool_stats(pool, &stats);
	return stats.blocks;
}

static size_t mapped(void)
{
	struct hz3_arena_stats stats;

	hz3_pool_stats(pool, &stats);
	return stats.mapped;
}

START_TEST(mended)
{
	fill_pool();
	ck_assert_uint_eq(live_blocks(), BLOCKS / 3);
	/* What a prefix of somebody's stores may be: lists and words that say nothing. */
	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		for (struct hz3_page *page = heap->awake[class].first; page; page = page->next) {
			page->countdown = 1;
			page->state = HZ3_PAGE_ASLEEP;
		}
		heap->awake[class] = (struct hz3_page_list){ NULL, NULL };
	}
	for (struct hz3_extent *extent = heap->extents->first; extent; extent = extent->next)
		extent->used = extent == heap->extents->first ? 0 : ~(uint64_t)0;
	heap->extents->used_slices = 12345;
	struct hz3_lock *lock = hz3_pool_lock(hz3_pools_count() - 1);
	hz3_lock(lock);
	lock->mend(lock);
	hz3_unlock(lock);
	hz3_heap_validate(heap);
	ck_assert_uint_eq(live_blocks(), BLOCKS / 3);
	/* What is free is used, and nothing else. */
	for (unsigned i = 0; i < BLOCKS; i++)
		if (i % 3)
			make(i);
	hz3_heap_validate(heap);
	for (unsigned i = 0; i < BLOCKS; i++)
		end(i);
	ck_assert_uint_eq(live_blocks(), 0);
	hz3_pools_purge(true);
	ck_assert_uint_eq(mapped(), 0);
	hz3_pool_destroy(pool);
	hz3_arenas_validate();
}
END_TEST

/* Full pages, which have left all lists. */
START_TEST(nothing_is_taken_over)
{
	struct hz3_page_remote *remote;
	unsigned asleep = 0;

	pool = hz3_pool_create(NULL, NULL);
	for (unsigned i = 0; i < BLOCKS; i++) {
		block[i] = hz3_pool_alloc(pool, 16, 64);
		ck_assert_ptr_nonnull(block[i]);
	}
	for (unsigned i = 0; i < BLOCKS; i++) {
		size_t slice = hz3_slice_of(block[i]);
		remote = hz3_remote_of(slice);
		asleep += hz3_page_at(slice)->state == HZ3_PAGE_ASLEEP;
		if (hz3_remote_is_asleep(remote))
			ck_abort_msg("the page of %p is marked asleep", (void *)block[i]);
	}
	ck_assert_uint_ge(asleep, BLOCKS / 2);
	hz3_pool_destroy(pool);
}
END_TEST

static void *free_all(void *arg)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		if (block[i] && i % 2)
			end(i);
	return arg;
}

START_TEST(nothing_is_sent)
{
	pthread_t thread;
	size_t left = 0;

	fill_pool();
	ck_assert_int_eq(pthread_create(&thread, NULL, free_all, NULL), 0);
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < BLOCKS; i++)
		left += block[i] != NULL;
	ck_assert_uint_eq(live_blocks(), left);
	ck_assert_uint_eq(heap->owner->state, HZ3_OWNER_POOL);
	ck_assert(!hz3_inbox_pending(&heap->owner->inbox));
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (block[i] == NULL)
			continue;
		struct hz3_page_remote *remote = hz3_remote_of(hz3_slice_of(block[i]));
		ck_assert(hz3_remote_is_clear(remote));
		ck_assert(!hz3_remote_is_asleep(remote));
	}
	/* Those who look after others' memory leave a pool's alone, but for what is free. */
	hz3_decay_purge_all();
	ck_assert_uint_eq(live_blocks(), left);
	for (unsigned i = 0; i < BLOCKS; i++)
		if (block[i])
			end(i);
	hz3_heap_validate(heap);
	hz3_pool_destroy(pool);
}
END_TEST

/* Every call to the system fails once; with all that follow, or alone. */
START_TEST(system_fails)
{
	size_t active = hz3_arenas_active();
	bool failed = true;

	for (int at = 1; failed; at++) {
		failed = false;
		core_os.mmaps = 0;
		if (_i == 0)
			core_os.fail_mmap_at = at;
		else
			core_os.fail_mmap_from = at;
		pool = hz3_pool_create(NULL, NULL);
		for (unsigned i = 0; pool && i < 200; i++) {
			errno = 0;
			void *p = hz3_pool_alloc(pool, 16, size_of(i) * 20);
			ck_assert(p != NULL || errno == ENOMEM);
			failed |= p == NULL;
		}
		/* One that fails alone may be made good by reclaiming, and is seen in the count only. */
		failed |= pool == NULL || core_os.mmaps >= at;
		core_os.fail_mmap_at = core_os.fail_mmap_from = 0;
		if (pool == NULL)
			continue;
		ck_assert_ptr_nonnull(hz3_pool_alloc(pool, 16, 1000));
		hz3_pool_destroy(pool);
		hz3_decay_purge_all();
		hz3_arenas_decommit();
		ck_assert_uint_eq(hz3_arenas_active(), active);
		hz3_arenas_validate();
		ck_assert_int_lt(at, 1000);
	}
}
END_TEST

static int agree(void *address, size_t bytes, void *context)
{
	(void)address;
	(void)bytes;
	(void)context;
	return 0;
}

/* The system would not replace what hooks have put there: such addresses are lost, and nobody gets them. */
START_TEST(not_replaced)
{
	static const struct hz3_os_hooks hooks = { .map = agree };

	pool = hz3_pool_create(&hooks, NULL);
	char *lost = hz3_pool_alloc(pool, 16, 1000);
	ck_assert_ptr_nonnull(lost);
	core_os.fail_fixed = true;
	hz3_pool_destroy(pool);
	core_os.fail_fixed = false;
	for (unsigned i = 0; i < 200; i++) {
		char *p = hz3_alloc((size_t)1 << 20);
		ck_assert(p + ((size_t)1 << 20) <= lost || p >= lost + ((size_t)2 << 20));
	}
	hz3_arenas_validate();
}
END_TEST

static uint64_t live_in_all(void)
{
	static struct hz3_stats stats;

	hz3_stats_collect(&stats);
	ck_assert_uint_eq(stats.blocks_allocated, stats.blocks_freed + stats.blocks_live);
	return stats.blocks_live;
}

START_TEST(counted)
{
	uint64_t before = live_in_all();

	fill_pool();
	ck_assert_uint_eq(live_in_all() - before, BLOCKS / 3);
	for (unsigned i = 0; i < BLOCKS; i += 6)
		end(i);
	ck_assert_uint_eq(live_in_all() - before, BLOCKS / 6);
	hz3_pool_reset(pool);
	ck_assert_uint_eq(live_in_all() - before, 0);
	for (unsigned i = 0; i < 100; i++)
		make(i);
	ck_assert_uint_eq(live_in_all() - before, 100);
	hz3_pool_destroy(pool);
	ck_assert_uint_eq(live_in_all() - before, 0);
}
END_TEST

static _Atomic bool waiting;

/* Called with the pool's lock held: until somebody waits for that. */
static int wait_for_another(void *address, size_t bytes, void *lock)
{
	(void)address;
	(void)bytes;
	waiting = true;
	while ((((struct hz3_lock *)lock)->word & 1) == 0)
		sched_yield();
	return 0;
}

static void *make_one(void *arg)
{
	make(1);
	return arg;
}

/* Whoever collects statistics while a block is made sees the pool as it is before or after that, its counters and its pages alike. */
START_TEST(counted_at_work)
{
	static const struct hz3_os_hooks hooks = { .map = wait_for_another };
	static struct hz3_stats stats;
	uint64_t before = live_in_all();

	/* The pool's lock is known when there is a pool: its hooks are told of the next one, which is this one again. */
	hz3_pool_destroy(hz3_pool_create(NULL, NULL));
	pool = hz3_pool_create(&hooks, hz3_pool_lock(hz3_pools_count() - 1));
	pthread_t thread = core_start(make_one, NULL);
	while (!waiting)
		sched_yield();
	hz3_stats_collect(&stats);
	ck_assert_uint_le(stats.blocks_live, before + 1);
	for (unsigned class = 0; class < HZ3_CLASSES; class++)
		ck_assert_uint_le(stats.class[class].allocated, stats.blocks_allocated);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(live_in_all(), before + 1);
	hz3_pool_destroy(pool);
}
END_TEST

/* What is resized in place is the pool's as well: no thread has allocated or freed it. */
START_TEST(resized)
{
	static const size_t sizes[] = { 560000, 900000, 540000, 1000000 };
	struct hz3_account before = hz3_account_read();

	pool = hz3_pool_create(NULL, NULL);
	char *p = hz3_pool_alloc(pool, 16, (size_t)1 << 20);
	heap = hz3_owner_by_id(hz3_large_owner(p))->heap;
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_ptr_eq(hz3_alloc_resize_large(p, sizes[i]), p);
		const struct hz3_counters *counters = &heap->counters;
		ck_assert_uint_eq(counters->large_alloc_bytes - counters->large_free_bytes, hz3_alloc_usable_size(p));
		struct hz3_account now = hz3_account_read();
		ck_assert_uint_eq(now.allocated, before.allocated);
		ck_assert_uint_eq(now.freed, before.freed);
	}
	hz3_alloc_free(p);
	ck_assert_uint_eq(heap->counters.large_alloc_bytes, heap->counters.large_free_bytes);
	hz3_pool_destroy(pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pool");
	TCase *tc = tcase_create("pool");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, mended);
	tcase_add_test(tc, nothing_is_taken_over);
	tcase_add_test(tc, nothing_is_sent);
	tcase_add_loop_test(tc, system_fails, 0, 2);
	tcase_add_test(tc, not_replaced);
	if (HZ3_STATS) {
		tcase_add_test(tc, counted);
		tcase_add_test(tc, counted_at_work);
		tcase_add_test(tc, resized);
	}
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
