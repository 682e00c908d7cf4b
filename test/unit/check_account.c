/*
 * Tests of account.h: what a thread has allocated is exact, what it has freed is short by no more than the bound, and nothing of other
 * threads is in it, whoever had the heap before.
 */
#include "core.h"

#include "account.h"
#include "alloc.h"
#include "thread.h"

#define BLOCKS 4000

static void *blocks[BLOCKS];

static void set_up(void)
{
	hz3_options.background_thread = false;
	hz3_options.huge_threshold = (size_t)1 << 20;
}

static void *take(size_t size, struct hz3_account *own)
{
	void *p = hz3_alloc(size);

	ck_assert_ptr_nonnull(p);
	own->allocated += hz3_alloc_usable_size(p);
	return p;
}

static void drop(void **p, struct hz3_account *own)
{
	own->freed += hz3_alloc_usable_size(*p);
	hz3_alloc_free(*p);
	*p = NULL;
}

/* What the bound allows to be missing: of each of the calling thread's pages that are asleep, less than what wakes it. */
static uint64_t may_be_missing(void)
{
	size_t slices = hz3_page_map_slices();
	uint64_t bytes = 0;

	for (size_t slice = 1; slice < slices; slice++) {
		uint64_t route = hz3_route_of(slice);
		if (hz3_route_owner(route) != hz3_thread_heap->owner->id || hz3_route_offset(route) != 0 ||
		    hz3_page_at(slice)->state != HZ3_PAGE_ASLEEP)
			continue;
		const struct hz3_class_info *info = &hz3_class_info[hz3_route_class(route)];
		bytes += (uint64_t)(info->wake - 1) * info->size;
	}
	return bytes;
}

/* What may be too many: what was missing when the thread began to count. */
static _Thread_local uint64_t may_be_over;

/* Returns what is missing; a negative number as its complement. */
static uint64_t check(const struct hz3_account *own)
{
	struct hz3_account read = hz3_account_read();

	ck_assert_uint_eq(read.allocated, own->allocated);
	ck_assert_uint_le(read.freed, own->freed + may_be_over);
	ck_assert_uint_ge(read.freed + may_be_missing(), own->freed);
	return own->freed - read.freed;
}

static size_t random_size(unsigned long *seed)
{
	size_t r = core_pick(seed, 200);

	return r == 0 ? 2000000 : r < 3 ? 200000 : r < 20 ? core_pick(seed, 30000) : core_pick(seed, 500);
}

/* A life of allocating, freeing and growing. */
static void live(unsigned long seed, size_t n, struct hz3_account *own)
{
	for (int step = 0; step < 5000; step++) {
		void **p = &blocks[core_pick(&seed, n)];

		if (*p != NULL)
			drop(p, own);
		else
			*p = take(random_size(&seed), own);
		if (step % 500 == 0)
			check(own);
	}
}

START_TEST(own_blocks)
{
	struct hz3_account own = { 0, 0 };

	check(&own);
	live(core_seed(11), 500, &own);
	for (size_t i = 0; i < 500; i++)
		if (blocks[i] != NULL)
			drop(&blocks[i], &own);
	/* Every page is awake or gone. */
	ck_assert_uint_eq(check(&own), 0);
}
END_TEST

/* A few blocks of each sleeping page: not counted yet, and no more than the bound; with the next ones they are. */
START_TEST(sleeping_pages_lag)
{
	struct hz3_account own = { 0, 0 };
	const struct hz3_class_info *info = &hz3_class_info[hz3_size_class(100)];
	size_t every = info->capacity / (info->wake - 1u) + 1, i;

	for (i = 0; i < BLOCKS; i++)
		blocks[i] = take(100, &own);
	for (i = 0; i < BLOCKS; i += every)
		drop(&blocks[i], &own);
	ck_assert_uint_gt(check(&own), 0);
	for (i = 0; i < BLOCKS; i++)
		if (blocks[i] != NULL)
			drop(&blocks[i], &own);
	ck_assert_uint_eq(check(&own), 0);
}
END_TEST

/* Pages that are awake, of which a good part is free, have nothing that is not counted. */
START_TEST(pages_at_hand_do_not_lag)
{
	struct hz3_account own = { 0, 0 };

	for (size_t i = 0; i < BLOCKS; i++)
		blocks[i] = take(100, &own);
	for (size_t i = 0; i < BLOCKS; i += 2)
		drop(&blocks[i], &own);
	ck_assert_uint_eq(check(&own), 0);
}
END_TEST

/* In place, or moved as a mapping is. */
static void resize(const size_t *sizes, unsigned n)
{
	struct hz3_account own = hz3_account_read();
	void *p = take(sizes[0], &own);

	for (unsigned i = 1; i < n; i++) {
		size_t before = hz3_alloc_usable_size(p);
		void *q = hz3_alloc_resize_large(p, sizes[i]);
		ck_assert_ptr_nonnull(q);
		own.freed += before;
		own.allocated += hz3_alloc_usable_size(q);
		p = q;
		check(&own);
	}
	drop(&p, &own);
	check(&own);
}

START_TEST(resized_blocks)
{
	static const size_t run[] = { 100000, 300000, 800000, 200000 };
	static const size_t huge[] = { 3000000, 9000000, 20000000, 2000000 };

	resize(run, 4);
	resize(huge, 4);
}
END_TEST

static void *free_others(void *arg)
{
	struct hz3_account own = { 0, 0 };
	size_t n = *(size_t *)arg;

	for (size_t i = 0; i < n; i++) {
		if (blocks[i] != NULL)
			drop(&blocks[i], &own);
		/* What is in the buffer, in the outbox and under way: never short, since none of it is local. */
		if (i % 100 == 0)
			ck_assert_uint_eq(check(&own), 0);
	}
	ck_assert_uint_eq(own.allocated, 0);
	ck_assert_uint_eq(check(&own), 0);
	hz3_thread_flush_buffer();
	ck_assert_uint_eq(check(&own), 0);
	return NULL;
}

START_TEST(others_blocks)
{
	struct hz3_account own = { 0, 0 };
	unsigned long seed = core_seed(12);
	size_t n = BLOCKS;

	hz3_sink_set_mode(_i % 3);
	hz3_sink_set_batch(_i < 3);
	for (size_t i = 0; i < n; i++)
		blocks[i] = take(i < n / 2 ? 64 : random_size(&seed), &own);
	core_run(free_others, &n);
	/* Freed by another: none of it is this thread's doing, also when it has come home. */
	check(&own);
	hz3_thread_settle();
	check(&own);
	ck_assert_uint_eq(hz3_account_read().freed, 0);
}
END_TEST

static void *live_once(void *arg)
{
	struct hz3_account own = { 0, 0 };

	ck_assert_uint_eq(hz3_account_read().allocated, 0);
	ck_assert_uint_eq(hz3_account_read().freed, 0);
	may_be_over = may_be_missing();
	live((unsigned long)(uintptr_t)arg, 300, &own);
	return NULL;
}

/* The heap goes from thread to thread, with what their predecessors left in it. */
START_TEST(heaps_change_threads)
{
	uint32_t heaps;

	core_run(live_once, (void *)(uintptr_t)1);
	heaps = hz3_owner_count();
	for (uintptr_t i = 2; i < 6; i++)
		core_run(live_once, (void *)i);
	ck_assert_uint_eq(hz3_owner_count(), heaps);
}
END_TEST

static void *live_silently(void *arg)
{
	struct hz3_account own = { 0, 0 };

	for (size_t i = 0; i < 300; i++)
		blocks[i] = take(i * 10, &own);
	for (size_t i = 0; i < 300; i += 2)
		drop(&blocks[i], &own);
	return arg;
}

static void *ask_late(void *arg)
{
	struct hz3_account own = { 0, 0 };

	live_silently(arg);
	/* Nobody has asked before this thread began: from 0 on. */
	ck_assert_uint_eq(hz3_account_read().allocated, 0);
	ck_assert_uint_eq(hz3_account_read().freed, 0);
	may_be_over = may_be_missing();
	live(77, 200, &own);
	return NULL;
}

START_TEST(first_question)
{
	core_run(live_silently, NULL);
	core_run(ask_late, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("account");
	TCase *tcase = tcase_create("account");

	tcase_add_checked_fixture(tcase, set_up, NULL);
	tcase_set_timeout(tcase, 60);
	if (HZ3_STATS) {
		tcase_add_test(tcase, own_blocks);
		tcase_add_test(tcase, sleeping_pages_lag);
		tcase_add_test(tcase, pages_at_hand_do_not_lag);
		tcase_add_test(tcase, resized_blocks);
		tcase_add_loop_test(tcase, others_blocks, 0, 4);
		tcase_add_test(tcase, heaps_change_threads);
		tcase_add_test(tcase, first_question);
	}
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
