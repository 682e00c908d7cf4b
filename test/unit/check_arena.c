/*
 * Tests of arena.h: runs against a shadow of all slices, purging by age on a clock that stands still, and a system that
 * refuses memory.
 */
#include "core.h"

#include "arena.h"
#include "meta.h"
#include "os_process.h"

#define SLICES_MAX ((size_t)1 << 15)

static struct hz3_arena *arena;

/* Who holds each slice: 0 nobody, else the run's number.  What the arena thinks is compared with it. */
static uint32_t shadow[SLICES_MAX];
static size_t shadow_used;

struct run {
	size_t slice, n;
	uint32_t number;
};

static void set_up(void)
{
	core_set_up(1);
	arena = hz3_arena_for(0);
}

static size_t dirty(void)
{
	return hz3_arenas_dirty() >> HZ3_SLICE_SHIFT;
}

static void check_counters(void)
{
	hz3_arenas_validate();
	ck_assert_uint_eq(hz3_arenas_active(), shadow_used << HZ3_SLICE_SHIFT);
	ck_assert_uint_le(hz3_arenas_active() + hz3_arenas_dirty(), hz3_arenas_committed());
}

static bool reads_as_zero(size_t slice, size_t n)
{
	const uint64_t *p = hz3_slice_address(slice);

	/* One word of each system page, the others are like it. */
	for (size_t i = 0; i < n << HZ3_SLICE_SHIFT; i += 4096)
		if (p[i / sizeof(*p)] != 0)
			return false;
	return true;
}

static void fill(size_t slice, size_t n)
{
	uint64_t *p = hz3_slice_address(slice);

	for (size_t i = 0; i < n << HZ3_SLICE_SHIFT; i += 4096)
		p[i / sizeof(*p)] = slice;
}

static void shadow_take(size_t slice, size_t n, uint32_t number)
{
	ck_assert_uint_gt(slice, 0);
	ck_assert_uint_le(slice + n, hz3_page_map_slices());
	for (size_t i = slice; i < slice + n; i++) {
		ck_assert_msg(shadow[i] == 0, "slice %zu given to run %u and %u", i, shadow[i], number);
		ck_assert_uint_eq(hz3_route_of(i), 0);
		shadow[i] = number;
	}
	shadow_used += n;
}

static void shadow_give(size_t slice, size_t n)
{
	memset(&shadow[slice], 0, n * sizeof(shadow[0]));
	shadow_used -= n;
}

/* A run of n slices, checked and filled; 0 if there is no memory. */
static size_t take(size_t n, size_t align)
{
	static uint32_t number;
	bool zero = false;
	size_t slice = hz3_arena_alloc(arena, n, align, &zero);

	if (slice == 0)
		return 0;
	ck_assert_uint_eq((uintptr_t)hz3_slice_address(slice) % (align << HZ3_SLICE_SHIFT), 0);
	shadow_take(slice, n, ++number);
	if (zero)
		ck_assert_msg(reads_as_zero(slice, n), "run %zu of %zu isn't zero", slice, n);
	fill(slice, n);
	check_counters();
	return slice;
}

static void give(size_t slice, size_t n)
{
	shadow_give(slice, n);
	hz3_arena_free(slice, n);
	check_counters();
}

START_TEST(splits_and_merges)
{
	size_t a = take(4, 1), b = take(4, 1), c = take(4, 1), d = take(4, 1);

	/* Address order, tightly, and what is freed in the middle is used for what fits. */
	ck_assert_uint_eq(b, a + 4);
	ck_assert_uint_eq(c, a + 8);
	ck_assert_uint_eq(d, a + 12);
	give(b, 4);
	ck_assert_uint_eq(dirty(), 4);
	ck_assert_uint_eq(take(3, 1), b);
	ck_assert_uint_eq(take(1, 1), b + 3);
	give(b + 3, 1);
	give(b, 3);
	/* Left, right and both sides merge into one run of 12. */
	give(a, 4);
	give(c, 4);
	ck_assert_uint_eq(dirty(), 12);
	ck_assert_uint_eq(take(12, 1), a);
	ck_assert_uint_eq(dirty(), 0);
	give(a, 12);
	give(d, 4);
	ck_assert_uint_eq(take(16, 1), a);
}
END_TEST

/* Runs of the given lengths with one slice in use between any two; the arena knows of no boundaries within what is used. */
static void take_islands(size_t *runs, const size_t *lengths, size_t count)
{
	size_t total = 0;

	for (size_t i = 0; i < count; i++)
		total += lengths[i] + 1;
	size_t slice = take(total, 1);
	ck_assert_uint_ne(slice, 0);
	for (size_t i = 0; i < count; slice += lengths[i++] + 1)
		runs[i] = slice;
}

START_TEST(prefers_the_tightest_run)
{
	static const size_t lengths[] = { 10, 6, 8 };
	size_t runs[3];

	take_islands(runs, lengths, 3);
	for (int i = 0; i < 3; i++)
		give(runs[i], lengths[i]);
	ck_assert_uint_eq(take(6, 1), runs[1]);
	ck_assert_uint_eq(take(7, 1), runs[2]);
	ck_assert_uint_eq(take(9, 1), runs[0]);
}
END_TEST

/* Long runs share bins: lengths from 33 up, found among shorter ones of the same bin. */
START_TEST(long_runs)
{
	size_t runs[40], lengths[40];

	for (size_t i = 0; i < 40; i++)
		lengths[i] = 33 + i;
	take_islands(runs, lengths, 40);
	for (size_t i = 0; i < 40; i++)
		give(runs[i], lengths[i]);
	size_t slices = hz3_page_map_slices();
	for (size_t i = 40; i-- > 0;)
		ck_assert_uint_eq(take(lengths[i], 1), runs[i]);
	ck_assert_uint_eq(dirty(), 0);
	ck_assert_uint_eq(hz3_page_map_slices(), slices);
}
END_TEST

START_TEST(alignments)
{
	for (size_t align = 1; align <= 8192; align *= 2) {
		size_t odd = take(1, 1), slice = take(3, align), small = take(1, align);

		ck_assert(odd && slice && small);
		give(slice, 3);
		/* What was skipped for alignment is still there for others. */
		size_t again = take(3, align);
		ck_assert_uint_ne(again, 0);
		give(again, 3);
	}
	bool zero;
	ck_assert_uint_eq(hz3_arena_alloc(arena, ((size_t)1 << 23) + 1, 1, &zero), 0);
	ck_assert_uint_eq(hz3_arena_alloc(arena, 1, (size_t)1 << 24, &zero), 0);
	ck_assert_uint_eq(hz3_arena_alloc(arena, SIZE_MAX, 1, &zero), 0);
	check_counters();
}
END_TEST

START_TEST(extends)
{
	size_t a = take(4, 1), b = take(4, 1), c = take(4, 1);

	ck_assert(!hz3_arena_extend(a, 4, 5));
	give(b, 4);
	ck_assert(!hz3_arena_extend(a, 4, 9));
	check_counters();
	ck_assert(hz3_arena_extend(a, 4, 6));
	shadow_take(b, 2, 1000);
	check_counters();
	ck_assert_uint_eq(dirty(), 2);
	ck_assert(hz3_arena_extend(a, 6, 8));
	shadow_take(b + 2, 2, 1000);
	check_counters();
	ck_assert_uint_eq(dirty(), 0);
	ck_assert(!hz3_arena_extend(a, 8, 9));
	/* Into memory that is not committed yet; but the window is not grown for it. */
	while (shadow_used % 16 != 0)
		ck_assert_uint_ne(take(1, 1), 0);
	c = take(16, 1);
	ck_assert(hz3_arena_extend(c, 16, 20));
	shadow_take(c + 16, 4, 1001);
	check_counters();
	fill(c, 20);
	ck_assert(!hz3_arena_extend(c, 20, 200));
	core_refuse_mmap(1, true);
	ck_assert(!hz3_arena_extend(c, 20, 40));
	check_counters();
}
END_TEST

/* ---- Purging ---- */

START_TEST(purges_by_age)
{
	static const size_t lengths[] = { 2, 2, 2, 2 };
	size_t runs[4];

	take_islands(runs, lengths, 4);
	for (int i = 0; i < 4; i++) {
		give(runs[i], 2);
		core_now += 100;
	}
	/* Freed 400, 300, 200 and 100 ms ago. */
	ck_assert_uint_eq(hz3_arena_purge(0, 401), 0);
	ck_assert_int_eq(core_os.madvises, 0);
	ck_assert_uint_eq(hz3_arena_purge(0, 300), 4 * HZ3_SLICE);
	ck_assert_int_eq(core_os.madvises, 2);
	ck_assert_uint_eq(dirty(), 4);
	check_counters();
	ck_assert(reads_as_zero(runs[0], 2) && reads_as_zero(runs[1], 2));
	ck_assert(!reads_as_zero(runs[2], 2));
	ck_assert_uint_eq(hz3_arena_purge(0, core_now + 1), 0);
	ck_assert_uint_eq(hz3_arenas_purge(0), 4 * HZ3_SLICE);
	ck_assert_uint_eq(dirty(), 0);
	ck_assert_uint_eq(hz3_arenas_purge(0), 0);
	ck_assert_uint_eq(hz3_arena_counters(0)->purges, 4);
	ck_assert_uint_eq(hz3_arena_counters(0)->purged_slices, 8);
	check_counters();
	/* Clean runs are known to be zero (take() looks) and used when there is nothing dirty. */
	give(runs[3] + 2, 1);
	ck_assert_uint_eq(take(1, 1), runs[3] + 2);
	size_t clean = take(2, 1);
	ck_assert(clean == runs[0] || clean == runs[1] || clean == runs[2] || clean == runs[3]);
}
END_TEST

/* A run that grows by merging is as young as its youngest part; what is cut from it keeps its age. */
START_TEST(age_of_merged_runs)
{
	size_t a = take(4, 1), b = take(4, 1), gap = take(1, 1);

	ck_assert(gap);
	give(a, 4);
	core_now += 1000;
	give(b, 4);
	core_now += 10;
	ck_assert_uint_eq(hz3_arena_purge(0, 11), 0);
	ck_assert_uint_eq(take(3, 1), a);
	ck_assert_uint_eq(hz3_arena_purge(0, 11), 0);
	ck_assert_uint_eq(hz3_arena_purge(0, 10), 5 * HZ3_SLICE);
}
END_TEST

START_TEST(purges_down_to)
{
	static const size_t lengths[] = { 2, 2, 2, 2, 2, 2, 2, 2, 2, 2 };
	size_t runs[10];

	take_islands(runs, lengths, 10);
	for (int i = 0; i < 10; i++) {
		give(runs[i], 2);
		core_now++;
	}
	ck_assert_uint_eq(hz3_arena_purge_to(0, 20 * HZ3_SLICE), 0);
	/* Over the limit: the oldest go, until half is left. */
	ck_assert_uint_eq(hz3_arena_purge_to(0, 16 * HZ3_SLICE), 12 * HZ3_SLICE);
	ck_assert_uint_eq(dirty(), 8);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(reads_as_zero(runs[i], 2), i < 6);
	ck_assert_uint_eq(hz3_arena_purge_to(0, 0), 8 * HZ3_SLICE);
	check_counters();
}
END_TEST

static void *mmap_but_long(void *hint, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	if (bytes > (size_t)1 << 30) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return mmap(hint, bytes, prot, flags, fd, offset);
}

/* The window, and what is mapped to go with it, never shrinks. */
START_TEST(window_grows_for_nothing_that_cannot_be_had)
{
	bool zero;
	size_t slices, meta;

	ck_assert(take(1, 1));
	slices = hz3_page_map_slices();
	meta = hz3_meta_bytes();
	hz3_os_calls.mmap = mmap_but_long;
	ck_assert_uint_eq(hz3_arena_alloc(arena, (size_t)1 << 20, 1, &zero), 0);
	ck_assert_uint_eq(hz3_arenas_alloc(arena, (size_t)1 << 20, 1, &zero), 0);
	hz3_os_calls.mmap = mmap;
	ck_assert_uint_eq(hz3_page_map_slices(), slices);
	ck_assert_uint_eq(hz3_meta_bytes(), meta);
	ck_assert(take(1, 1));
	check_counters();
}
END_TEST

static size_t locked;	/* a slice with a page that mlock() was called for */

static int madvise_but_locked(void *p, size_t bytes, int advice)
{
	uintptr_t start = (uintptr_t)p, page = (uintptr_t)hz3_slice_address(locked);

	if (page >= start && page < start + bytes) {
		errno = EINVAL;
		return -1;
	}
	return core_madvise(p, bytes, advice);
}

/* What can't be given back keeps nothing else back, and is not tried again before it has aged. */
START_TEST(purge_goes_on)
{
	size_t a = take(300, 1), gap = take(1, 1), b = take(8, 1);

	ck_assert(a && gap && b);
	give(a, 300);
	core_now += 1000;
	give(b, 8);
	core_now += 1000;
	locked = a + 10;
	hz3_os_calls.madvise = madvise_but_locked;
	size_t purged = hz3_arena_purge(0, 500);
	ck_assert_uint_ge(purged, (300 - 64 + 8) * HZ3_SLICE);
	ck_assert_uint_eq(dirty(), 308 - purged / HZ3_SLICE);
	check_counters();
	/* Also where only a part is wanted: what failed still is dirty. */
	size_t c = take(100, 1), end = take(1, 1);
	ck_assert(c && end);
	give(c, 100);
	core_now += 1000;
	size_t before = dirty();
	purged = hz3_arenas_purge_some(16 * HZ3_SLICE);
	ck_assert_uint_ge(purged, 16 * HZ3_SLICE);
	ck_assert_uint_eq(dirty(), before - purged / HZ3_SLICE);
	check_counters();
	hz3_arena_purge(0, 0);
	uint64_t failures = hz3_arena_counters(0)->purge_failures;
	ck_assert_uint_eq(hz3_arena_purge(0, 500), 0);
	ck_assert_uint_eq(hz3_arena_counters(0)->purge_failures, failures);
	hz3_os_calls.madvise = core_madvise;
	core_now += 1000;
	ck_assert_uint_gt(hz3_arena_purge(0, 500), 0);
	ck_assert_uint_eq(dirty(), 0);
	check_counters();
}
END_TEST

static size_t given_in_child;	/* a run of two slices; 0: none */

static int child_in_madvise(void *p, size_t bytes, int advice)
{
	if (given_in_child)
		give(given_in_child, 2);
	hz3_arenas_end_purges();
	return core_madvise(p, bytes, advice);
}

/*
 * A fork while somebody purges: for the child, where he is not, the run is free again; if he is there after all, not twice, also when it
 * has become the end of a longer run.
 */
START_TEST(purge_is_cut)
{
	size_t before = take(2, 1), a = take(4, 1), gap = take(1, 1);

	ck_assert(before + 2 == a && a + 4 == gap);
	given_in_child = _i ? before : 0;
	give(a, 4);
	core_now += 1000;
	hz3_os_calls.madvise = child_in_madvise;
	hz3_arena_purge(0, 500);
	hz3_os_calls.madvise = core_madvise;
	ck_assert_uint_eq(dirty(), _i ? 6 : 4);
	check_counters();
	ck_assert_uint_eq(hz3_arena_purge(0, 0), (_i ? 6 : 4) * HZ3_SLICE);
	ck_assert_uint_eq(dirty(), 0);
	check_counters();
}
END_TEST

/* Memory that the system won't take stays dirty, is not believed to be zero, and does not stop later attempts. */
START_TEST(purge_fails)
{
	size_t a = take(4, 1), gap = take(1, 1), b = take(4, 1), end = take(1, 1);

	ck_assert(gap && end);
	give(a, 4);
	give(b, 4);
	core_now += 1000;
	core_os.fail_madvise = true;
	ck_assert_uint_eq(hz3_arena_purge(0, 500), 0);
	ck_assert_uint_eq(dirty(), 8);
	ck_assert_uint_eq(hz3_arena_counters(0)->purge_failures, 2);
	ck_assert_uint_eq(hz3_arena_counters(0)->purges, 0);
	check_counters();
	bool zero = true;
	size_t slice = hz3_arena_alloc(arena, 4, 1, &zero);
	ck_assert(slice == a || slice == b);
	ck_assert(!zero);
	hz3_arena_free(slice, 4);
	core_os.fail_madvise = false;
	ck_assert_uint_eq(hz3_arena_purge(0, 0), 8 * HZ3_SLICE);
	check_counters();
}
END_TEST

/* Where purged memory keeps its contents (emulators), nothing is said to be zero. */
START_TEST(purge_that_does_not_zero)
{
	size_t a = take(4, 1), gap = take(1, 1);

	ck_assert(gap);
	give(a, 4);
	hz3_os_purge_zeroes = false;
	hz3_arenas_purge(0);
	bool zero = true;
	ck_assert_uint_eq(hz3_arena_alloc(arena, 4, 1, &zero), a);
	ck_assert(!zero);
}
END_TEST

START_TEST(decommits)
{
	size_t a = take(4, 1), b = take(4, 1), gap = take(1, 1);

	ck_assert(gap);
	give(a, 4);
	hz3_arenas_purge(0);
	give(b, 4);
	size_t committed = hz3_arenas_committed();
	/* A system that won't: nothing has changed. */
	core_os.fail_munmap = core_os.fail_madvise = true;
	ck_assert_uint_eq(hz3_arenas_decommit(), 0);
	ck_assert_uint_eq(hz3_arenas_committed(), committed);
	ck_assert_uint_eq(dirty(), 4);
	check_counters();
	core_os.fail_munmap = core_os.fail_madvise = false;
	size_t bytes = hz3_arenas_decommit();
	ck_assert_uint_ge(bytes, 8 * HZ3_SLICE);
	ck_assert_uint_eq(hz3_arenas_committed(), committed - bytes);
	ck_assert_uint_eq(hz3_arenas_committed(), hz3_arenas_active());
	ck_assert_uint_eq(dirty(), 0);
	check_counters();
	/* It comes back, merged, and zero. */
	ck_assert_uint_eq(take(8, 1), a);
}
END_TEST

/* ---- No memory ---- */

START_TEST(nth_commit_fails)
{
	bool and_later = _i % 2;
	size_t held[200], n = 0;

	core_refuse_mmap(_i / 2 + 1, and_later);
	for (int i = 0; i < 20; i++) {
		size_t slice = take(10, 1);
		if (slice)
			held[n++] = slice;
		check_counters();
	}
	/* One failure is got over by asking for less, or elsewhere. */
	ck_assert(and_later || n >= 19);
	core_refuse_mmap(0, false);
	for (int i = 0; i < 20; i++)
		ck_assert_uint_ne(held[n++] = take(10, 1), 0);
	while (n > 0)
		give(held[--n], 10);
	ck_assert_uint_eq(hz3_arenas_active(), 0);
	size_t dirty_before = dirty();
	ck_assert_uint_ne(take(dirty_before, 1), 0);
}
END_TEST

/* ---- Everything at once ---- */

#define RUNS 64

static size_t random_length(unsigned long *seed)
{
	size_t r = core_pick(seed, 20);

	return r == 0 ? 30 + core_pick(seed, 100) : r < 4 ? 1 + core_pick(seed, 30) : 1 + core_pick(seed, 8);
}

static void random_extend(struct run *run, unsigned long *seed)
{
	size_t want = run->n + 1 + core_pick(seed, 6);

	if (!hz3_arena_extend(run->slice, run->n, want))
		return;
	shadow_take(run->slice + run->n, want - run->n, 999999);
	fill(run->slice, want);
	run->n = want;
}

START_TEST(random_sequence)
{
	struct run runs[RUNS] = { { 0, 0, 0 } };
	unsigned long seed = core_seed(100 + (unsigned)_i);

	for (int step = 0; step < 3000; step++) {
		struct run *run = &runs[core_pick(&seed, RUNS)];
		size_t what = core_pick(&seed, 100);

		core_now += core_pick(&seed, 20);
		core_refuse_mmap(what % 7 == 0 ? 1 + (int)core_pick(&seed, 2) : 0, what % 2);
		core_os.fail_munmap = core_pick(&seed, 10) == 0;
		core_os.fail_madvise = core_pick(&seed, 10) == 0;
		if (what < 4) {
			hz3_arena_purge(0, core_pick(&seed, 200));
		} else if (what < 6) {
			hz3_arena_purge_to(0, core_pick(&seed, 100) << HZ3_SLICE_SHIFT);
		} else if (what < 7) {
			hz3_arenas_decommit();
		} else if (run->n == 0) {
			run->n = random_length(&seed);
			run->slice = take(run->n, (size_t)1 << core_pick(&seed, 5));
			if (run->slice == 0)
				run->n = 0;
		} else if (what < 30) {
			random_extend(run, &seed);
		} else if (what < 40 && run->n > 1) {
			/* A part of a run, as when a large block shrinks. */
			run->n--;
			give(run->slice + run->n, 1);
		} else {
			give(run->slice, run->n);
			run->n = 0;
		}
		check_counters();
	}
	for (int i = 0; i < RUNS; i++)
		if (runs[i].n)
			give(runs[i].slice, runs[i].n);
	ck_assert_uint_eq(hz3_arenas_active(), 0);
	core_os.fail_munmap = core_os.fail_madvise = false;
	hz3_arenas_decommit();
	ck_assert_uint_eq(hz3_arenas_committed(), 0);
}
END_TEST

/* ---- Threads ---- */

static void *hammer(void *arg)
{
	unsigned long seed = (unsigned long)(uintptr_t)arg;
	struct run runs[16] = { { 0, 0, 0 } };

	for (int step = 0; step < 4000; step++) {
		struct run *run = &runs[core_pick(&seed, 16)];
		size_t what = core_pick(&seed, 50);
		bool zero;

		if (what == 0)
			hz3_arenas_purge(0);
		if (what == 1)
			hz3_arenas_decommit();
		uint64_t *word = run->n ? hz3_slice_address(run->slice + run->n - 1) : NULL;
		if (word == NULL) {
			run->n = 1 + core_pick(&seed, 6);
			run->slice = hz3_arena_alloc(hz3_arena_for((unsigned)core_pick(&seed, 2)), run->n, 1, &zero);
			word = hz3_slice_address(run->slice + run->n - 1);
			*word = run->slice;
		} else {
			ck_assert_uint_eq(*word, run->slice);
			hz3_arena_free(run->slice, run->n);
			run->n = 0;
		}
	}
	for (int i = 0; i < 16; i++)
		if (runs[i].n)
			hz3_arena_free(runs[i].slice, runs[i].n);
	return NULL;
}

START_TEST(threads)
{
	pthread_t thread[3];

	core_set_up(2);
	for (uintptr_t i = 0; i < 3; i++)
		thread[i] = core_start(hammer, (void *)(core_seed(17) + i));
	for (int i = 0; i < 20; i++) {
		for (unsigned j = 0; j < hz3_arenas_count(); j++)
			hz3_lock_fork_prepare(hz3_arena_lock(j), HZ3_LOCK_FOR_EVER);
		for (unsigned j = hz3_arenas_count(); j-- > 0;)
			hz3_lock_fork_parent(hz3_arena_lock(j));
	}
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	hz3_arenas_validate();
	ck_assert_uint_eq(hz3_arenas_active(), 0);
	/* Runs stay with the arena that they came from, and neither is merged with the other's. */
	hz3_arenas_decommit();
	ck_assert_uint_eq(hz3_arenas_committed(), 0);
}
END_TEST

START_TEST(arenas_are_apart)
{
	bool zero;

	core_set_up(3);
	ck_assert_uint_eq(hz3_arenas_count(), 3);
	ck_assert_ptr_eq(hz3_arena_for(1), hz3_arena_for(4));
	/* Side by side, up to the last slice: dirty on both sides of the border. */
	size_t a = hz3_arena_alloc(hz3_arena_for(0), 127, 1, &zero);
	size_t b = hz3_arena_alloc(hz3_arena_for(1), 64, 1, &zero);
	ck_assert_uint_eq(a + 127, b);
	hz3_arena_free(_i ? a : b, _i ? 127 : 64);
	hz3_arena_free(_i ? b : a, _i ? 64 : 127);
	ck_assert_uint_eq(hz3_arena_counters(0)->dirty, 127);
	ck_assert_uint_eq(hz3_arena_counters(1)->dirty, 64);
	ck_assert_uint_eq(hz3_arena_counters(2)->dirty, 0);
	hz3_arenas_validate();
	ck_assert(!hz3_arena_extend(hz3_arena_alloc(hz3_arena_for(0), 127, 1, &zero), 127, 128));
	hz3_arena_free(a, 127);
	/* What arena 1 has is nothing to arena 0. */
	size_t c = hz3_arena_alloc(hz3_arena_for(0), 128, 1, &zero);
	ck_assert_uint_ne(c, b);
	hz3_arenas_validate();
	hz3_arena_purge(1, 0);
	ck_assert_uint_eq(hz3_arena_counters(1)->dirty, 0);
	ck_assert_uint_eq(hz3_arena_counters(0)->dirty, 127);
}
END_TEST

/* Before memory is taken from the system, what another arena has free. */
START_TEST(free_memory_of_another)
{
	bool zero = true;

	core_set_up(3);
	size_t a = hz3_arena_alloc(hz3_arena_for(2), 5, 1, &zero);
	hz3_arena_free(a, 5);
	size_t larger = hz3_arenas_alloc(hz3_arena_for(0), 6, 1, &zero);
	ck_assert_uint_ne(larger, a);
	ck_assert_uint_eq(hz3_arena_counters(0)->active, 6);
	zero = true;
	ck_assert_uint_eq(hz3_arenas_alloc(hz3_arena_for(0), 5, 1, &zero), a);
	ck_assert(!zero);
	ck_assert_uint_eq(hz3_arena_counters(2)->active, 5);
	ck_assert_uint_eq(hz3_arena_counters(2)->dirty, 0);
	/* Its own first. */
	hz3_arena_free(larger, 6);
	hz3_arena_free(a, 5);
	ck_assert_uint_eq(hz3_arenas_alloc(hz3_arena_for(2), 5, 1, &zero), a);
	ck_assert_uint_eq(hz3_arenas_alloc(hz3_arena_for(0), 5, 1, &zero), larger);
	hz3_arenas_validate();
}
END_TEST

START_TEST(number_by_processors)
{
	core_set_up(0);
	ck_assert_uint_ge(hz3_arenas_count(), 1);
	ck_assert_uint_le(hz3_arenas_count(), hz3_os_cpus());
	/* Pages have fewer; but all that somebody asks for. */
	for (unsigned i = 0; i < 100; i++)
		ck_assert_uint_lt(hz3_arena_index(hz3_arena_for_pages(i)), (hz3_arenas_count() + 3) / 4);
}
END_TEST

START_TEST(pages_from_all_that_were_asked_for)
{
	core_set_up(3);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_ptr_eq(hz3_arena_for_pages(i), hz3_arena_for(i));
}
END_TEST

/* All memory that is mapped is advised, and for huge pages mapped to the end of one; a kernel that refuses changes nothing. */
START_TEST(huge_pages)
{
	static const size_t lengths[] = { 3, 40, 1, 200, 31 };
	size_t before = hz3_arenas_committed(), base = core_os.huge_bytes + core_os.small_bytes;

	ck_assert_uint_eq(base, 0);
	hz3_options.thp = _i;
	core_os.fail_madvise = true;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		ck_assert_uint_gt(take(lengths[i], 1), 0);
		size_t mapped = hz3_arenas_committed() - before;
		ck_assert_uint_eq(core_os.huge_bytes, _i == HZ3_THP_ALWAYS ? mapped : 0);
		ck_assert_uint_eq(core_os.small_bytes, _i == HZ3_THP_NEVER ? mapped : 0);
		ck_assert_uint_eq(core_os.huge_end % (2 << 20), 0);
	}
	check_counters();
	errno = 77;
	hz3_os_advise_thp(hz3_slice_address(1), HZ3_SLICE, true);
	ck_assert_int_eq(errno, 77);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("arena");
	TCase *tc = tcase_create("runs");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, splits_and_merges);
	tcase_add_test(tc, prefers_the_tightest_run);
	tcase_add_test(tc, long_runs);
	tcase_add_test(tc, alignments);
	tcase_add_test(tc, extends);
	tcase_add_loop_test(tc, huge_pages, HZ3_THP_DEFAULT, HZ3_THP_NEVER + 1);
	suite_add_tcase(suite, tc);

	tc = tcase_create("purge");
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, purges_by_age);
	tcase_add_test(tc, age_of_merged_runs);
	tcase_add_test(tc, purges_down_to);
	tcase_add_test(tc, purge_fails);
	tcase_add_test(tc, purge_goes_on);
	tcase_add_test(tc, window_grows_for_nothing_that_cannot_be_had);
	tcase_add_loop_test(tc, purge_is_cut, 0, 2);
	tcase_add_test(tc, purge_that_does_not_zero);
	tcase_add_test(tc, decommits);
	suite_add_tcase(suite, tc);

	tc = tcase_create("no memory");
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_loop_test(tc, nth_commit_fails, 0, 16);
	suite_add_tcase(suite, tc);

	tc = tcase_create("random");
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_loop_test(tc, random_sequence, 0, 4);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);

	tc = tcase_create("arenas");
	tcase_add_test(tc, threads);
	tcase_add_loop_test(tc, arenas_are_apart, 0, 2);
	tcase_add_test(tc, free_memory_of_another);
	tcase_add_test(tc, number_by_processors);
	tcase_add_test(tc, pages_from_all_that_were_asked_for);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
