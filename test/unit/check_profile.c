/*
 * Tests of profile.h: a block that is resized is another block to the profile, and one that can't be is the same.  test/api/profile.sh
 * has the rest, as programs see it.
 */
#include "core.h"

#include "alloc.h"
#include "pool.h"
#include "profile.h"
#include "thread.h"

#define MIB ((size_t)1 << 20)

/* Every block is a sample. */
static void set_up(void)
{
	hz3_options.background_thread = false;
	hz3_options.huge_threshold = 4 * MIB;
	hz3_options.prof = true;
	hz3_options.lg_prof_sample = 0;
	ck_assert(hz3_thread_setup());
	hz3_profile_begin();
	/* A thread's first block is none: it has no heap yet. */
	hz3_alloc_free(hz3_alloc(1));
}

static double live_bytes(void)
{
	double sum = 0;

	hz3_lock(&hz3_profile_lock);
	for (uint32_t n = 1; n < hz3_profile_rows(); n++)
		sum += hz3_profile_row(n)->live_bytes;
	hz3_unlock(&hz3_profile_lock);
	return sum;
}

/* A large block, a huge one, one of an arena: each is made, can't grow, changes its size, and ends. */
START_TEST(resized)
{
	static const size_t before[] = { 100000, 8 * MIB, MIB }, after[] = { 130000, 60 * MIB, 540000 };
	struct hz3_pool *pool = hz3_pool_create(NULL, NULL);
	void *p = _i == 2 ? hz3_pool_alloc(pool, 16, before[_i]) : hz3_alloc(before[_i]);

	ck_assert_ptr_nonnull(p);
	ck_assert_double_eq_tol(live_bytes(), (double)before[_i], 1);
	ck_assert_ptr_null(hz3_alloc_resize_large(p, (size_t)1 << 60));
	ck_assert_double_eq_tol(live_bytes(), (double)before[_i], 1);
	/* Too small for where it is: it is to be copied, and then freed. */
	ck_assert_ptr_null(hz3_alloc_resize_large(p, 100));
	ck_assert_double_eq_tol(live_bytes(), (double)before[_i], 1);
	p = hz3_alloc_resize_large(p, after[_i]);
	ck_assert_ptr_nonnull(p);
	ck_assert_double_eq_tol(live_bytes(), (double)after[_i], 1);
	hz3_alloc_free(p);
	ck_assert_double_eq_tol(live_bytes(), 0, 1);
	hz3_pool_destroy(pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("profile");
	TCase *tc = tcase_create("profile");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_loop_test(tc, resized, 0, 3);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
