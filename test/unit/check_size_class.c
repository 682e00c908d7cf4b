/*
 * Tests of size_class.h: every size, every offset, every alignment, against plain divisions.
 */
#include "unit.h"

#include "os_memory.h"
#include "size_class.h"

START_TEST(classes_as_designed)
{
	size_t size = 0;

	for (unsigned c = 0; c < HZ3_CLASSES; c++) {
		/* Steps of 16 up to 128, then a quarter of the power of 2 below. */
		size_t step = size < 128 ? 16 : ((size_t)1 << hz3_log2(size)) / 4;

		size += step;
		ck_assert_uint_eq(hz3_class_size(c), size);
		ck_assert_uint_eq(size % 16, 0);
	}
	ck_assert_uint_eq(size, HZ3_CLASS_SIZE_MAX);
}
END_TEST

START_TEST(every_size_gets_the_smallest_class)
{
	for (size_t size = 0; size <= HZ3_CLASS_SIZE_MAX; size++) {
		unsigned c = hz3_size_class(size);

		ck_assert_uint_lt(c, HZ3_CLASSES);
		ck_assert_uint_ge(hz3_class_size(c), size);
		if (c > 0)
			ck_assert_uint_lt(hz3_class_size(c - 1), size);
	}
	ck_assert_uint_eq(hz3_size_class(0), 0);
}
END_TEST

/* At most a fifth of a block is lost to rounding, as soon as 16 bytes aren't more than that. */
START_TEST(waste_is_bounded)
{
	for (size_t size = 65; size <= HZ3_CLASS_SIZE_MAX; size++) {
		size_t got = hz3_class_size(hz3_size_class(size));

		ck_assert_uint_le((got - size) * 5, got);
	}
	for (size_t size = 1; size <= 64; size++)
		ck_assert_uint_lt(hz3_class_size(hz3_size_class(size)) - size, 16);
}
END_TEST

START_TEST(pages_as_designed)
{
	for (unsigned c = 0; c < HZ3_CLASSES; c++) {
		const struct hz3_class_info *info = &hz3_class_info[c];
		size_t bytes = hz3_class_page_bytes(c);
		unsigned slices = info->size <= 1024 ? 1 : info->size <= 4096 ? 2 : info->size <= 16384 ? 4
				  : info->size <= 32768			     ? 8
										     : info->size / 8192;

		ck_assert_uint_eq(info->slices, slices);
		ck_assert_uint_le(info->slices, HZ3_CLASS_SLICES_MAX);
		ck_assert_uint_eq(bytes, slices * 65536u);
		ck_assert_uint_eq(info->capacity, bytes / info->size);
		ck_assert_uint_ge(info->capacity, info->size <= 32768 ? 16 : 8);
		/* The tail of a page wastes less than an eighth of it. */
		ck_assert_uint_lt((bytes - (size_t)info->capacity * info->size) * 8, bytes);
		ck_assert_uint_eq(info->wake, info->capacity <= 8 ? 1 : hz3_max(1, hz3_min(info->capacity / 4, 32)));
		ck_assert_uint_eq(info->extend, hz3_max(1, hz3_min(info->capacity, (info->size <= 256 ? 4096 : 65536) / info->size)));
	}
}
END_TEST

START_TEST(index_is_a_division)
{
	unsigned c = (unsigned)_i;
	size_t size = hz3_class_size(c);

	for (size_t offset = 0; offset < hz3_class_page_bytes(c); offset++) {
		bool starts = offset % size == 0 && offset / size < hz3_class_info[c].capacity;

		/* Plain ifs, since Check's assertions are slow. */
		if (hz3_class_block_index(c, offset) != offset / size)
			ck_abort_msg("class %u offset %zu: index %u", c, offset, hz3_class_block_index(c, offset));
		if (hz3_class_is_block_start(c, offset) != starts)
			ck_abort_msg("class %u offset %zu: block start is %d", c, offset, !starts);
	}
}
END_TEST

START_TEST(rounding)
{
	size_t page = hz3_os_page_size;

	for (size_t size = 0; size <= HZ3_CLASS_SIZE_MAX; size++)
		ck_assert_uint_eq(hz3_size_class_round(size), hz3_class_size(hz3_size_class(size)));
	ck_assert_uint_eq(hz3_size_class_round(0), 16);
	ck_assert_uint_eq(hz3_size_class_round(HZ3_CLASS_SIZE_MAX + 1), HZ3_CLASS_SIZE_MAX + page);
	for (size_t size = HZ3_CLASS_SIZE_MAX + 1; size < 3 * HZ3_CLASS_SIZE_MAX; size += 7) {
		size_t got = hz3_size_class_round(size);

		ck_assert(got >= size && got - size < page && got % page == 0);
		ck_assert_uint_eq(hz3_size_class_round(got), got);
	}
}
END_TEST

START_TEST(rounding_does_not_overflow)
{
	size_t largest = hz3_align_down(PTRDIFF_MAX, hz3_os_page_size);

	ck_assert_uint_eq(hz3_size_class_round(largest - 1), largest);
	ck_assert_uint_eq(hz3_size_class_round(largest), largest);
	ck_assert_uint_eq(hz3_size_class_round(largest + 1), 0);
	ck_assert_uint_eq(hz3_size_class_round(PTRDIFF_MAX), 0);
	ck_assert_uint_eq(hz3_size_class_round((size_t)PTRDIFF_MAX + 1), 0);
	ck_assert_uint_eq(hz3_size_class_round(SIZE_MAX - 1), 0);
	ck_assert_uint_eq(hz3_size_class_round(SIZE_MAX), 0);
}
END_TEST

START_TEST(rounding_follows_the_page_size)
{
	hz3_os_page_size = 65536;
	ck_assert_uint_eq(hz3_size_class_round(HZ3_CLASS_SIZE_MAX), HZ3_CLASS_SIZE_MAX);
	ck_assert_uint_eq(hz3_size_class_round(HZ3_CLASS_SIZE_MAX + 1), 2 * 65536);
	ck_assert_uint_eq(hz3_size_class_round(131073), 3 * 65536);
}
END_TEST

static int aligned_by_search(size_t alignment, size_t size)
{
	for (unsigned c = 0; c < HZ3_CLASSES; c++) {
		if (hz3_class_size(c) >= size && hz3_class_size(c) % alignment == 0)
			return (int)c;
	}
	return -1;
}

START_TEST(aligned_classes)
{
	size_t alignment = (size_t)1 << _i;

	for (size_t size = 0; size <= HZ3_CLASS_SIZE_MAX + 1; size++) {
		size_t rounded = hz3_size_class_align(alignment, size);
		int c = rounded <= HZ3_CLASS_SIZE_MAX ? (int)hz3_size_class(rounded) : -1;

		if (c != aligned_by_search(alignment, size ? size : 1))
			ck_abort_msg("alignment %zu size %zu: class %d", alignment, size, c);
	}
	ck_assert_uint_gt(hz3_size_class_align(alignment, PTRDIFF_MAX), HZ3_CLASS_SIZE_MAX);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("size_class");
	TCase *tc = tcase_create("classes");

	tcase_add_test(tc, classes_as_designed);
	tcase_add_test(tc, every_size_gets_the_smallest_class);
	tcase_add_test(tc, waste_is_bounded);
	tcase_add_test(tc, pages_as_designed);
	tcase_add_loop_test(tc, index_is_a_division, 0, HZ3_CLASSES);
	suite_add_tcase(suite, tc);

	tc = tcase_create("rounding");
	tcase_add_test(tc, rounding);
	tcase_add_test(tc, rounding_does_not_overflow);
	tcase_add_test(tc, rounding_follows_the_page_size);
	tcase_add_loop_test(tc, aligned_classes, 0, 64);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
