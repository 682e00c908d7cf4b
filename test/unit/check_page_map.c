/*
 * Tests of page_map.h: addresses and routes, the window on a system that gives, and on one that refuses.
 */
#include "core.h"

#include "page_map.h"

#define GROWTH 64u

static char text[1024];

static void set_up(void)
{
	hz3_os_init();
	core_fake_os();
}

static void check_window(void)
{
	size_t got;
	size_t first = hz3_page_map_grow(1, &got);

	ck_assert_uint_eq(first, 1);
	ck_assert_uint_eq(got, GROWTH - 1);
	ck_assert_uint_eq(hz3_page_map_slices(), GROWTH);
	/* The next one follows, and needs no rounding. */
	ck_assert_uint_eq(hz3_page_map_grow(GROWTH, &got), GROWTH);
	ck_assert_uint_eq(got, GROWTH);
	ck_assert_uint_eq(hz3_page_map_grow(GROWTH + 1, &got), 2 * GROWTH);
	ck_assert_uint_eq(got, 2 * GROWTH);
	ck_assert_uint_eq(hz3_page_map_slices(), 4 * GROWTH);
	for (size_t slice = 0; slice < 4 * GROWTH; slice++) {
		ck_assert_uint_eq(hz3_route_of(slice), 0);
		ck_assert_uint_eq(hz3_remote_of(slice)->word, 0);
		ck_assert_uint_eq(hz3_page_map.slice[slice].words[7], 0);
		ck_assert_uint_eq(hz3_slice_of(hz3_slice_address(slice)), slice);
		ck_assert_uint_eq(hz3_slice_of((char *)hz3_slice_address(slice) + HZ3_SLICE - 1), slice);
	}
	ck_assert_uint_eq((uintptr_t)hz3_slice_address(0) % HZ3_SLICE, 0);
	/* Memory comes zeroed, goes, and comes zeroed again. */
	for (int i = 0; i < 2; i++) {
		char *p = hz3_slice_address(5);

		ck_assert_int_eq(hz3_page_map_commit(5, 3), 0);
		for (size_t j = 0; j < 3 * HZ3_SLICE; j += 512)
			ck_assert_int_eq(p[j], 0);
		memset(p, 1, 3 * HZ3_SLICE);
		ck_assert_int_eq(hz3_page_map_decommit(5, 3), 0);
	}
}

START_TEST(a_window)
{
	ck_assert(hz3_page_map_init());
	check_window();
}
END_TEST

/* Where no address can be asked for, a range is reserved. */
START_TEST(a_reservation)
{
	core_os.fail_fixed = true;
	ck_assert(hz3_page_map_init());
	check_window();
	/* Neither of its two calls may be forgotten when it fails. */
	ck_assert_int_eq(hz3_page_map_commit(9, 1), 0);
	core_os.fail_madvise = true;
	ck_assert_int_eq(hz3_page_map_decommit(9, 1), -1);
	*(volatile char *)hz3_slice_address(9) = 1;
}
END_TEST

START_TEST(no_address_space)
{
	core_refuse_mmap(1, true);
	ck_assert(!hz3_page_map_init());
}
END_TEST

/* Some place is taken, or can be had only in part: another one is found. */
START_TEST(another_place)
{
	core_refuse_mmap(_i, false);
	ck_assert(hz3_page_map_init());
	check_window();
}
END_TEST

START_TEST(growth_fails_and_recovers)
{
	size_t got = 77, grown = 0;

	ck_assert(hz3_page_map_init());
	/* The route array is mapped 64 KiB at a time, which is 8192 slices; the lines are 1024 slices. */
	for (int nth = 1; nth <= 3; nth++) {
		size_t before = hz3_page_map_slices();

		core_refuse_mmap(nth, true);
		while ((grown = hz3_page_map_grow(4096, &got)) != 0)
			before = hz3_page_map_slices();
		ck_assert_uint_eq(hz3_page_map_slices(), before);
		core_refuse_mmap(0, false);
		grown = hz3_page_map_grow(4096, &got);
		ck_assert_uint_eq(grown, before ? before : 1);
		/* Every array reaches to the last slice. */
		size_t last = hz3_page_map_slices() - 1;
		ck_assert_uint_eq(hz3_route_of(last), 0);
		ck_assert_uint_eq(hz3_page_map.slice[last].words[7], 0);
		ck_assert_uint_eq(hz3_remote_of(last)->word, 0);
	}
	ck_assert_uint_eq(hz3_page_map_grow((size_t)1 << 25, &got), 0);
	ck_assert_uint_eq(hz3_page_map_grow(SIZE_MAX - 100, &got), 0);
}
END_TEST

START_TEST(a_mapping_in_the_way)
{
	size_t got;

	ck_assert(hz3_page_map_init());
	ck_assert_uint_eq(hz3_page_map_grow(10, &got), 1);
	void *other = mmap(hz3_slice_address(4), 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ck_assert_ptr_eq(other, hz3_slice_address(4));
	ck_assert_int_eq(hz3_page_map_commit(2, 4), -1);
	ck_assert_int_eq(hz3_page_map_commit(5, 4), 0);
}
END_TEST

static bool covered(const void *p)
{
	return hz3_page_map_covers(hz3_page_map_granule(p));
}

START_TEST(what_is_covered)
{
	size_t got;
	char local;

	/* Before there is a window, nothing is; NULL above all. */
	ck_assert(!covered(NULL));
	ck_assert(!covered((void *)16));
	ck_assert(hz3_page_map_init());
	ck_assert(!covered(NULL));
	ck_assert(!covered(hz3_slice_address(1)));
	ck_assert_uint_eq(hz3_page_map_grow(1, &got), 1);
	char *start = hz3_slice_address(0), *end = hz3_slice_address(GROWTH);
	ck_assert(covered(start + HZ3_SLICE));
	ck_assert(covered(end - 16));
	ck_assert(!covered(end));
	ck_assert(!covered(start - 16));
	ck_assert(!covered(NULL));
	ck_assert(!covered((void *)~(uintptr_t)15));
	ck_assert(!covered(&local));
	for (int i = 1; i < 16; i++) {
		ck_assert(!covered(start + HZ3_SLICE + i));
		ck_assert(!covered((char *)(uintptr_t)i));
	}
	ck_assert_uint_eq(hz3_page_map_granule(start + 3 * HZ3_SLICE + 32), 3 * (HZ3_SLICE / 16) + 2);
}
END_TEST

START_TEST(routes)
{
	static const uint32_t owners[] = { 1, 2, 255, 256, 0x10000, 0x7ffffffe };

	for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++)
		for (unsigned class = 0; class < HZ3_CLASSES; class++)
			for (unsigned offset = 0; offset < HZ3_CLASS_SLICES_MAX; offset++) {
				uint64_t route = hz3_route_page(owners[i], class, offset);

				ck_assert_uint_eq(hz3_route_owner(route), owners[i]);
				ck_assert_uint_eq(hz3_route_class(route), class);
				ck_assert_uint_eq(hz3_route_offset(route), offset);
				ck_assert_uint_eq(hz3_route_kind(route), 0);
				/* The one comparison of free. */
				ck_assert_int_eq(route >> HZ3_ROUTE_OWNER_SHIFT == owners[i], offset == 0);
			}
}
END_TEST

static void begin_twice(void *p)
{
	hz3_live_begin(p);
	hz3_live_begin(p);
}

START_TEST(live_bits)
{
	size_t got;

	ck_assert(hz3_page_map_init());
	ck_assert_uint_eq(hz3_page_map_grow(1, &got), 1);
	char *p = (char *)hz3_slice_address(2) - 64 * 16;
	for (int i = 0; i < 128; i += 3)
		hz3_live_begin(p + 16 * i);
	for (int i = 0; i < 128; i++)
		ck_assert_int_eq(hz3_live_test(p + 16 * i), i % 3 == 0);
	for (int i = 0; i < 128; i++)
		ck_assert_int_eq(hz3_live_end(p + 16 * i), i % 3 == 0);
	for (int i = 0; i < 128; i++)
		ck_assert(!hz3_live_end(p + 16 * i));
	ck_assert(unit_dies(begin_twice, p, text, sizeof(text)));
	ck_assert_ptr_nonnull(strstr(text, "handed out twice"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("page_map");
	TCase *tc = tcase_create("addresses");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, what_is_covered);
	tcase_add_test(tc, routes);
	if (HZ3_DEBUG)
		tcase_add_test(tc, live_bits);
	suite_add_tcase(suite, tc);

	tc = tcase_create("window");
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, a_window);
	tcase_add_test(tc, a_reservation);
	tcase_add_test(tc, no_address_space);
	/* Of a reservation there is one try; it is refused as a whole. */
	tcase_add_loop_test(tc, another_place, 1, HZ3_THREAD_SANITIZER ? 2 : HZ3_DEBUG ? 6 : 5);
	tcase_add_test(tc, growth_fails_and_recovers);
	if (!HZ3_THREAD_SANITIZER)
		tcase_add_test(tc, a_mapping_in_the_way);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
