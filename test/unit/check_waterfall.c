/*
 * Tests of waterfall.h: each row is what the test knows that it must be, and all of them add up to the resident memory that the
 * system reports, to 1 %.
 */
#include "core.h"

#include "alloc.h"
#include "decay.h"
#include "os_resident.h"
#include "thread.h"
#include "view.h"

#define MIB ((uint64_t)1 << 20)
#define N 400000			/* blocks of 100 bytes: 42.7 MiB in blocks of 112 */

static void **blocks;
static struct hz3_view view;
static struct hz3_waterfall before, now;

static void take(struct hz3_waterfall *out)
{
	hz3_view_take(&view);
	*out = view.memory;
	hz3_view_release(&view);
}

static void check_near(const char *what, uint64_t value, uint64_t expected, uint64_t slack)
{
	ck_assert_msg(value + slack >= expected && value <= expected + slack, "%s is %lu, not %lu +- %lu", what,
		      (unsigned long)value, (unsigned long)expected, (unsigned long)slack);
}

static void check_sum(void)
{
	int64_t off = (int64_t)now.unaccounted;
	uint64_t sum = now.requested + now.rounding + now.held + now.waiting + now.free_in_pages + now.kept + now.dirty +
		       now.metadata + now.other - now.untouched;

	ck_assert_int_le(off < 0 ? -off : off, (int64_t)(now.resident / 100));
	check_near("the sum", sum, now.resident, now.resident / 100);
	/* Another source: what statm says; it lags by some pages for each thread and processor. */
	check_near("resident", now.resident, hz3_os_resident(), now.resident / 100 + MIB / 2);
}

static void set_up(void)
{
	hz3_options.background_thread = false;
	hz3_options.dirty_decay_ms = -1;
	blocks = mmap(NULL, N * sizeof(*blocks), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(blocks, MAP_FAILED);
	memset(blocks, 0xff, N * sizeof(*blocks));
	hz3_alloc_free(hz3_alloc(1));
	take(&before);
	now = before;
	check_sum();
}

static void fill(void)
{
	for (int i = 0; i < N; i++) {
		ck_assert_ptr_nonnull(blocks[i] = hz3_alloc(100));
		memset(blocks[i], 1, 100);
	}
}

START_TEST(live)
{
	fill();
	take(&now);
	check_sum();
	check_near("requested", now.requested - before.requested, N * 100, N);
	check_near("rounding", now.rounding - before.rounding, N * 12, N);
	check_near("growth", now.resident - before.resident, N * 112, N * 112 / 50);
	ck_assert_uint_lt(now.free_in_pages, MIB);
	ck_assert_uint_eq(now.dirty, 0);
}
END_TEST

/* Nothing can go back: one block in every page lives. */
START_TEST(pinned)
{
	fill();
	for (int i = 0; i < N; i++)
		if (i % 500)
			hz3_alloc_free(blocks[i]);
	hz3_decay_purge_all();
	take(&now);
	check_sum();
	check_near("requested", now.requested - before.requested, N / 500 * 100, MIB / 20);
	check_near("free in pages", now.free_in_pages - before.free_in_pages, N * 112, N * 112 / 50);
	ck_assert_uint_lt(now.dirty, MIB);
	ck_assert_uint_lt(now.kept, MIB);
}
END_TEST

/* All of it is free, and nobody gives it back. */
START_TEST(never_purged)
{
	fill();
	for (int i = 0; i < N; i++)
		hz3_alloc_free(blocks[i]);
	take(&now);
	check_sum();
	check_near("dirty and kept", now.dirty + now.kept, N * 112, N * 112 / 50);
	ck_assert_uint_lt(now.free_in_pages, MIB);
	hz3_decay_purge_all();
	take(&now);
	check_sum();
	ck_assert_uint_eq(now.dirty + now.kept, 0);
	check_near("resident", now.resident, before.resident, MIB * 2);
}
END_TEST

/* Memory that was asked for and never used is not there. */
START_TEST(untouched)
{
	void *large = hz3_alloc(20 * MIB), *huge = hz3_alloc(60 * MIB);

	take(&now);
	check_sum();
	check_near("requested", now.requested - before.requested, 80 * MIB, MIB / 20);
	check_near("untouched", now.untouched - before.untouched, 80 * MIB, MIB / 2);
	check_near("resident", now.resident, before.resident, MIB);
	memset(large, 1, 20 * MIB);
	memset(huge, 1, 30 * MIB);
	take(&now);
	check_sum();
	check_near("untouched", now.untouched - before.untouched, 30 * MIB, MIB / 2);
	check_near("resident", now.resident - before.resident, 50 * MIB, MIB / 2);
	hz3_alloc_free(large);
	hz3_alloc_free(huge);
	take(&now);
	check_sum();
	check_near("dirty", now.dirty, 20 * MIB, MIB / 2);
}
END_TEST

START_TEST(other_mappings)
{
	char *p = mmap(NULL, 50 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	memset(p, 1, 40 * MIB);
	take(&now);
	check_sum();
	check_near("other", now.other - before.other, 40 * MIB, MIB / 2);
	check_near("metadata", now.metadata, before.metadata, MIB / 8);
}
END_TEST

static _Atomic int stage;

static void *owner(void *arg)
{
	fill();
	stage = 1;
	while (stage != 2)
		usleep(1000);
	return arg;
}

/* What another thread freed for an owner that sleeps. */
START_TEST(waiting)
{
	pthread_t thread = core_start(owner, NULL);

	while (stage != 1)
		usleep(1000);
	/* Every second one, so that no page is whole. */
	for (int i = 0; i < N; i += 2)
		hz3_alloc_free(blocks[i]);
	size_t held = atomic_load(&hz3_thread_heap->buffer.held_bytes);
	struct hz3_stats stats;
	struct hz3_waterfall direct;
	hz3_stats_collect(&stats);
	ck_assert_uint_gt(held, 0);
	take(&now);
	check_sum();
	check_near("waiting", now.waiting, N / 2 * 112, 112);
	check_near("requested", now.requested - before.requested, N / 2 * 100, N);
	hz3_waterfall_collect(&direct, &stats, 0);
	ck_assert_uint_eq(direct.waiting, 0);
	stage = 2;
	pthread_join(thread, NULL);
	take(&now);
	check_sum();
	ck_assert_uint_eq(now.waiting, 0);
}
END_TEST

static Suite *waterfall_suite(void)
{
	Suite *suite = suite_create("waterfall");
	TCase *tcase = tcase_create("waterfall");

	/* Sanitizers have shadows of their own everywhere, and no statistics no live blocks. */
	if (!HZ3_STATS || HZ3_THREAD_SANITIZER)
		return suite;
	tcase_add_checked_fixture(tcase, set_up, NULL);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, live);
	tcase_add_test(tcase, pinned);
	tcase_add_test(tcase, never_purged);
	tcase_add_test(tcase, untouched);
	tcase_add_test(tcase, other_mappings);
	tcase_add_test(tcase, waiting);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(waterfall_suite());
}
