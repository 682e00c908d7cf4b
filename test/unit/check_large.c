/*
 * Tests of large.h: runs, huge mappings and the table that finds them, resizing, and pointers that are none.
 */
#include "core.h"

#include "large.h"
#include "os_kept.h"

#define MIB ((size_t)1 << 20)

static struct hz3_arena *arena;
static char text[1024];

static void set_up(void)
{
	core_set_up(1);
	hz3_options.huge_threshold = MIB;
	arena = hz3_arena_for(0);
}

static bool is_run(const void *p)
{
	return hz3_page_map_covers(hz3_page_map_granule(p));
}

/* What alloc.c does, without a heap that keeps runs. */
static void *large_alloc(struct hz3_arena *from, size_t size, size_t alignment, bool *zero)
{
	size_t n = hz3_large_slices(size, alignment);

	if (n == 0) {
		*zero = true;
		return hz3_large_map(size, alignment);
	}
	size_t slice = hz3_arena_alloc(from, n, hz3_max(alignment >> HZ3_SLICE_SHIFT, 1), zero);
	return slice ? hz3_large_place(slice, n, size, alignment) : NULL;
}

static size_t large_free(void *p)
{
	size_t slice, n, bytes = hz3_large_end(p, &slice, &n);

	if (slice)
		hz3_arena_free(slice, n);
	return bytes;
}

/* Of a small block that lies in a run what it would be in a page; one with a mapping of its own has a page of the system. */
static size_t usable(size_t size, size_t alignment)
{
	return size > HZ3_CLASS_SIZE_MAX || alignment > hz3_options.huge_threshold ? hz3_align_up(size, hz3_os_page_size) : hz3_class_size(hz3_size_class(size));
}

static void *alloc(size_t size, size_t alignment)
{
	bool zero = false;
	char *p = large_alloc(arena, size, alignment, &zero);

	if (p == NULL)
		return NULL;
	ck_assert_uint_eq((uintptr_t)p % alignment, 0);
	ck_assert_uint_eq(hz3_large_usable_size(p), usable(size, alignment));
	for (size_t i = 0; zero && i < size; i += 4096)
		ck_assert_int_eq(p[i], 0);
	p[0] = p[size - 1] = 1;
	return p;
}

START_TEST(runs_and_mappings)
{
	static const size_t sizes[] = { 1, 32769, 65536, 65537, 500000, 1048575, 1048576, 1048577, 5000000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t alignment = 16; alignment <= 4 * MIB; alignment *= 4) {
			size_t huge = sizes[i] > MIB || alignment > MIB;
			char *p = alloc(sizes[i], alignment);

			ck_assert_ptr_nonnull(p);
			ck_assert_int_eq(is_run(p), !huge);
			ck_assert_uint_eq(hz3_large_huge_count(), huge);
			ck_assert_uint_eq(hz3_large_huge_bytes(), huge ? hz3_large_usable_size(p) : 0);
			ck_assert_uint_eq(large_free(p), usable(sizes[i], alignment));
			hz3_arenas_validate();
		}
	ck_assert_uint_eq(hz3_arenas_active(), 0);
	ck_assert_uint_eq(hz3_large_huge_bytes(), 0);
}
END_TEST

/* ---- The table: it grows, and finds all that is there when others have been removed from among them ---- */

#define MAPPINGS 3000

START_TEST(thousands_of_mappings)
{
	static char *p[MAPPINGS];
	unsigned long seed = core_seed(5);
	size_t live = 0;
	bool zero;

	for (int step = 0; step < 3 * MAPPINGS; step++) {
		size_t i = core_pick(&seed, MAPPINGS);

		if (p[i] == NULL) {
			p[i] = large_alloc(arena, MIB + 1 + i, 16, &zero);
			ck_assert_ptr_nonnull(p[i]);
			live++;
		} else if (step > MAPPINGS) {
			ck_assert_uint_eq(large_free(p[i]), hz3_align_up(MIB + 1 + i, hz3_os_page_size));
			p[i] = NULL;
			live--;
		}
		ck_assert_uint_eq(hz3_large_huge_count(), live);
		if (step % 1000 == 0)
			for (size_t j = 0; j < MAPPINGS; j++)
				if (p[j])
					ck_assert_uint_eq(hz3_large_usable_size(p[j]), hz3_align_up(MIB + 1 + j, hz3_os_page_size));
	}
	for (size_t i = 0; i < MAPPINGS; i++)
		if (p[i])
			large_free(p[i]);
	ck_assert_uint_eq(hz3_large_huge_count(), 0);
	ck_assert_uint_eq(hz3_large_huge_bytes(), 0);
}
END_TEST

/* A table that cannot grow is filled up to its last cell but one; then there is no memory. */
START_TEST(table_cannot_grow)
{
	void *p[300];
	size_t n = 0;

	while (n < 300) {
		/* The first mmap is the block's, the second the table's. */
		core_refuse_mmap(n > 0 ? 2 : 0, true);
		p[n] = alloc(MIB + 1, 16);
		if (p[n] == NULL)
			break;
		n++;
	}
	ck_assert_uint_eq(n, 255);
	ck_assert_uint_eq(hz3_large_huge_count(), 255);
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_eq(hz3_large_usable_size(p[i]), MIB + hz3_os_page_size);
	core_refuse_mmap(0, false);
	p[n] = alloc(MIB + 1, 16);
	ck_assert_ptr_nonnull(p[n]);
	for (size_t i = 0; i <= n; i++)
		large_free(p[i]);
	ck_assert_uint_eq(hz3_large_huge_count(), 0);
}
END_TEST

START_TEST(no_memory)
{
	bool zero;

	core_refuse_mmap(1, true);
	ck_assert_ptr_null(large_alloc(arena, 100000, 16, &zero));
	ck_assert_ptr_null(large_alloc(arena, 5 * MIB, 16, &zero));
	core_refuse_mmap(0, false);
	ck_assert_ptr_null(large_alloc(arena, PTRDIFF_MAX, 16, &zero));
	ck_assert_ptr_null(large_alloc(arena, 5 * MIB, (size_t)1 << 62, &zero));
	ck_assert_uint_eq(hz3_large_huge_count(), 0);
}
END_TEST

/* A mapping's advice about huge pages covers all of it. */
START_TEST(mappings_are_advised)
{
	hz3_options.thp = _i;
	char *p = hz3_large_map(8 * MIB + 1, 16);
	size_t mapped = 8 * MIB + hz3_os_page_size;

	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(core_os.huge_bytes, _i == HZ3_THP_ALWAYS ? mapped : 0);
	ck_assert_uint_eq(core_os.small_bytes, _i == HZ3_THP_NEVER ? mapped : 0);
	large_free(p);
}
END_TEST

/* What the system won't unmap is kept, and of use: whole, in part, aligned, and as zeroes; and unmapped as soon as it can be. */
START_TEST(kept_mappings)
{
	char *p = alloc(8 * MIB, 16);

	memset(p, 1, 8 * MIB);
	core_os.fail_munmap = true;
	large_free(p);
	ck_assert_uint_eq(hz3_large_huge_count(), 0);
	ck_assert_uint_eq(hz3_os_kept(), 8 * MIB);
	core_refuse_mmap(1, true);
	ck_assert_ptr_null(hz3_large_map(9 * MIB, 16));
	ck_assert_ptr_null(hz3_large_map(8 * MIB, (size_t)1 << 40));
	char *aligned = hz3_large_map(2 * MIB, 4 * MIB), *rest = hz3_large_map(MIB + 1, 16);
	ck_assert_ptr_nonnull(aligned);
	ck_assert_ptr_nonnull(rest);
	ck_assert_uint_eq((uintptr_t)aligned % (4 * MIB), 0);
	ck_assert(aligned >= p && aligned + 2 * MIB <= p + 8 * MIB && rest >= p && rest + 2 * MIB <= p + 8 * MIB);
	for (size_t i = 0; i < 2 * MIB; i += 8)
		ck_assert(aligned[i] == 0 && rest[i / 2] == 0);
	ck_assert_uint_eq(hz3_os_kept(), 8 * MIB - 2 * MIB - MIB - hz3_os_page_size);
	memset(aligned, 2, 2 * MIB);
	memset(rest, 3, MIB + 1);
	large_free(rest);
	ck_assert_uint_eq(hz3_os_kept(), 6 * MIB);
	core_os.fail_munmap = false;
	ck_assert(aligned[2 * MIB - 1] == 2);
	large_free(aligned);
	ck_assert_uint_eq(hz3_os_kept(), 0);
	ck_assert_uint_eq(hz3_large_huge_count(), 0);
}
END_TEST

/* Blocks that leave room in their run start at many different lines, also of a page; others with their slice. */
START_TEST(starts_are_spread)
{
	enum { N = 64 };
	bool in_page[64] = { false };
	char *p[N];
	unsigned lines = 0;

	for (unsigned i = 0; i < N; i++) {
		p[i] = alloc(40000, 16);
		ck_assert_uint_eq((uintptr_t)p[i] % HZ3_CACHE_LINE, 0);
		ck_assert_uint_le((uintptr_t)p[i] % HZ3_SLICE + hz3_large_usable_size(p[i]), HZ3_SLICE);
		lines += !in_page[(uintptr_t)p[i] % 4096 / 64];
		in_page[(uintptr_t)p[i] % 4096 / 64] = true;
	}
	/* A system page as large as a slice leaves no room. */
	ck_assert_uint_ge(lines, hz3_os_page_size < HZ3_SLICE ? N / 3 : 1);
	for (unsigned i = 0; i < N; i++)
		large_free(p[i]);
	p[0] = alloc(HZ3_SLICE, 16);
	ck_assert_uint_eq((uintptr_t)p[0] % HZ3_SLICE, 0);
	large_free(p[0]);
}
END_TEST

/* ---- Resizing ---- */

START_TEST(runs_resize_in_place)
{
	char *p = alloc(300000, 16), *after;

	ck_assert_uint_eq(hz3_arenas_active(), 5 * HZ3_SLICE);
	/* Shrunk, the rest is free at once; grown again into it. */
	ck_assert_ptr_eq(hz3_large_resize(p, 100000, 0), p);
	ck_assert_uint_eq(hz3_large_usable_size(p), hz3_align_up(100000, hz3_os_page_size));
	ck_assert_uint_eq(hz3_arenas_active(), 2 * HZ3_SLICE);
	ck_assert_ptr_eq(hz3_large_resize(p, 300000, 0), p);
	ck_assert_uint_eq(hz3_arenas_active(), 5 * HZ3_SLICE);
	hz3_arenas_validate();
	ck_assert_ptr_eq(hz3_large_resize(p, 60000, 0), p);
	after = alloc(100000, 16);
	/* It has whole system pages as far as they take no other slice. */
	size_t offset = (uintptr_t)p % HZ3_SLICE, slices = (offset + 60000 + HZ3_SLICE - 1) / HZ3_SLICE;
	size_t usable = hz3_min(hz3_align_up(60000, hz3_os_page_size), slices * HZ3_SLICE - offset);
	ck_assert_uint_eq(hz3_slice_of(after), hz3_slice_of(p) + slices);
	/* Nothing has changed when there is no room. */
	ck_assert_ptr_null(hz3_large_resize(p, 140000, 0));
	ck_assert_uint_eq(hz3_large_usable_size(p), usable);
	/* What belongs to a class, or to a mapping, has to be copied. */
	ck_assert_ptr_null(hz3_large_resize(p, 16000, 0));
	ck_assert_ptr_null(hz3_large_resize(p, 2 * MIB, 0));
	large_free(p);
	large_free(after);
	hz3_arenas_validate();
	ck_assert_uint_eq(hz3_arenas_active(), 0);
}
END_TEST

START_TEST(mappings_resize)
{
	char *p = alloc(2 * MIB, 16), *wall, *q;

	for (size_t i = 0; i < 2 * MIB; i += 4096)
		p[i] = (char)(i >> 12);
	ck_assert_ptr_eq(hz3_large_resize(p, 2 * MIB, 0), p);
	q = hz3_large_resize(p, 3 * MIB, 0);
	ck_assert_ptr_nonnull(q);
	/* So that it has to move. */
	wall = mmap(q + 3 * MIB, hz3_os_page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	p = hz3_large_resize(q, 9 * MIB, 0);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(hz3_large_usable_size(p), 9 * MIB);
	ck_assert_uint_eq(hz3_large_huge_bytes(), 9 * MIB);
	ck_assert_uint_eq(hz3_large_huge_count(), 1);
	for (size_t i = 0; i < 2 * MIB; i += 4096)
		ck_assert_int_eq(p[i], (char)(i >> 12));
	for (size_t i = 2 * MIB; i < 9 * MIB; i += 4096)
		ck_assert_int_eq(p[i], 0);
	ck_assert_ptr_eq(hz3_large_resize(p, MIB, 0), p);
	ck_assert_uint_eq(hz3_large_huge_bytes(), MIB);
	ck_assert_ptr_null(hz3_large_resize(p, MIB / 2, 0));
	ck_assert_uint_eq(large_free(p), MIB);
	munmap(wall, hz3_os_page_size);
}
END_TEST

START_TEST(mremap_fails)
{
	char *p = alloc(2 * MIB, 16);

	core_os.fail_mremap = true;
	ck_assert_ptr_null(hz3_large_resize(p, 3 * MIB, 0));
	ck_assert_int_eq(core_os.mremaps, 1);
	ck_assert_uint_eq(hz3_large_usable_size(p), 2 * MIB);
	ck_assert_uint_eq(hz3_large_huge_bytes(), 2 * MIB);
	ck_assert_uint_eq(hz3_large_huge_count(), 1);
	p[2 * MIB - 1] = 1;
	ck_assert_uint_eq(large_free(p), 2 * MIB);
	ck_assert_uint_eq(hz3_large_huge_count(), 0);
}
END_TEST

/* What can't be unmapped is at least without memory. */
START_TEST(munmap_fails)
{
	char *p = alloc(2 * MIB, 16);

	core_os.fail_munmap = true;
	ck_assert_uint_eq(large_free(p), 2 * MIB);
	ck_assert_int_eq(core_os.madvises, 1);
	ck_assert_int_eq(p[0], 0);
	ck_assert_uint_eq(hz3_large_huge_count(), 0);
}
END_TEST

/* ---- Pointers that are none ---- */

static void free_it(void *p)
{
	large_free(p);
}

static void free_twice(void *p)
{
	large_free(p);
	large_free(p);
}

static void size_of_it(void *p)
{
	hz3_large_usable_size(p);
}

static void dies(void (*f)(void *), void *p, const char *call, const char *why)
{
	char address[32];

	snprintf(address, sizeof(address), "%p", p);
	ck_assert(unit_dies(f, p, text, sizeof(text)));
	ck_assert_msg(strstr(text, call) && strstr(text, why) && strstr(text, address), "%s", text);
	/* One line. */
	ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
}

START_TEST(bad_pointers_die)
{
	char *run = alloc(300000, 16), *huge = alloc(2 * MIB, 16), local[64] HZ3_ALIGNED(16);
	char *end = run + 5 * HZ3_SLICE;

	dies(free_it, local, "free:", "foreign");
	dies(size_of_it, local, "malloc_usable_size:", "foreign");
	dies(free_it, local + 1, "free:", "misaligned");
	dies(free_it, run + 8, "free:", "misaligned");
	dies(free_it, run + 16, "free:", "inside a large block");
	dies(free_it, run + HZ3_SLICE, "free:", "inside a large block");
	dies(size_of_it, run + HZ3_SLICE, "malloc_usable_size:", "inside a large block");
	dies(free_it, end, "free:", "not in use");
	dies(free_it, huge + 4096, "free:", "foreign");
	dies(free_twice, run, "free:", "freed twice");
	dies(free_twice, huge, "free:", "freed before");
	large_free(run);
	large_free(huge);
}
END_TEST

START_TEST(double_free_by_signal)
{
	free_twice(alloc(300000, 16));
}
END_TEST

START_TEST(double_free_of_a_mapping_by_signal)
{
	free_twice(alloc(2 * MIB, 16));
}
END_TEST

/* Two threads free one run at the same time: one of them must find that it is gone. */
static pthread_barrier_t barrier;

static void *free_at_the_same_time(void *p)
{
	pthread_barrier_wait(&barrier);
	large_free(p);
	return NULL;
}

static void free_by_two(void *p)
{
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_t thread = core_start(free_at_the_same_time, p);
	free_at_the_same_time(p);
	pthread_join(thread, NULL);
}

START_TEST(double_free_by_two_threads)
{
	void *p = alloc(300000, 16);

	for (int i = 0; i < 50; i++) {
		ck_assert(unit_dies(free_by_two, p, text, sizeof(text)));
		ck_assert_msg(strstr(text, "free: "), "%s", text);
	}
}
END_TEST

/* ---- Threads ---- */

static void *hammer(void *arg)
{
	unsigned long seed = (unsigned long)(uintptr_t)arg;
	char *p[8] = { NULL };
	bool zero;

	for (int step = 0; step < 600; step++) {
		size_t i = core_pick(&seed, 8), size = MIB / 2 + core_pick(&seed, 2 * MIB);
		char *q;

		if (p[i] == NULL) {
			p[i] = large_alloc(arena, size, 16, &zero);
			ck_assert_ptr_nonnull(p[i]);
			p[i][0] = (char)i;
		} else if (step % 3 == 0 && (q = hz3_large_resize(p[i], size, 0)) != NULL) {
			p[i] = q;
			ck_assert_int_eq(q[0], (char)i);
			ck_assert_uint_ge(hz3_large_usable_size(q), size);
		} else {
			ck_assert_int_eq(p[i][0], (char)i);
			large_free(p[i]);
			p[i] = NULL;
		}
	}
	for (int i = 0; i < 8; i++)
		if (p[i])
			large_free(p[i]);
	return NULL;
}

START_TEST(threads)
{
	pthread_t thread[3];
	unsigned long seed = core_seed(9);

	for (uintptr_t i = 0; i < 3; i++)
		thread[i] = core_start(hammer, (void *)(seed + i));
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(hz3_large_huge_count(), 0);
	ck_assert_uint_eq(hz3_large_huge_bytes(), 0);
	ck_assert_uint_eq(hz3_arenas_active(), 0);
	hz3_arenas_validate();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("large");
	TCase *tc = tcase_create("large");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, runs_and_mappings);
	tcase_add_test(tc, thousands_of_mappings);
	tcase_add_test(tc, table_cannot_grow);
	tcase_add_test(tc, no_memory);
	tcase_add_test(tc, kept_mappings);
	tcase_add_loop_test(tc, mappings_are_advised, HZ3_THP_DEFAULT, HZ3_THP_NEVER + 1);
	tcase_add_test(tc, starts_are_spread);
	tcase_add_test(tc, runs_resize_in_place);
	tcase_add_test(tc, mappings_resize);
	tcase_add_test(tc, mremap_fails);
	tcase_add_test(tc, munmap_fails);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);

	tc = tcase_create("bad pointers");
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, bad_pointers_die);
	tcase_add_test(tc, double_free_by_two_threads);
	tcase_add_test_raise_signal(tc, double_free_by_signal, SIGABRT);
	tcase_add_test_raise_signal(tc, double_free_of_a_mapping_by_signal, SIGABRT);
	suite_add_tcase(suite, tc);

	tc = tcase_create("threads");
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, threads);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
