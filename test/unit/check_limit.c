/*
 * Tests of limit.h: the account is what there is at every moment, the hard limit is kept by any number of threads and refuses nothing that
 * it need not, the soft one purges when that is of use, and both know what other parts of the system refuse.
 */
#include "core.h"

#include "alloc.h"
#include "decay.h"
#include "hz3/hz3.h"
#include "large.h"
#include "limit.h"
#include "meta.h"
#include "os_process.h"
#include "stats.h"
#include "thread.h"

#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define BLOCKS 1000
#define SLOTS 400
#define ARENAS 10

static void *blocks[BLOCKS];
static struct hz3_limit_counters at_start;

static void set_up(void)
{
	hz3_os_init();
	core_fake_os();
	hz3_options.background_thread = false;
	hz3_options.huge_threshold = MIB;
	ck_assert(hz3_thread_setup());
	/* The heap, and what comes with the first blocks of each kind. */
	hz3_alloc_free(hz3_alloc(100));
	hz3_alloc_free(hz3_alloc(100000));
	hz3_alloc_free(hz3_alloc(3 * MIB));
	hz3_decay_purge_all();
	at_start = hz3_limit_counters();
}

static size_t memory_there_is(void)
{
	return hz3_arenas_active() + hz3_arenas_dirty() + hz3_large_huge_bytes() + hz3_meta_bytes() + hz3_os_own_bytes();
}

static void check_account(void)
{
	ck_assert_uint_eq(hz3_limit_used(), memory_there_is());
	if (hz3_options.memory_limit_hard)
		ck_assert_uint_le(hz3_limit_used(), hz3_options.memory_limit_hard);
}

static void set_hard(size_t bytes)
{
	hz3_options.memory_limit_hard = bytes;
}

static uint64_t hard_purges(void)
{
	return hz3_limit_counters().hard_purges - at_start.hard_purges;
}

static uint64_t soft_purges(void)
{
	return hz3_limit_counters().soft_purges - at_start.soft_purges;
}

static uint64_t refused(void)
{
	return hz3_limit_counters().refused - at_start.refused;
}

/* Blocks of a size until there is no more; how many. */
static size_t fill(size_t size)
{
	size_t n = 0;

	while (n < BLOCKS) {
		errno = 0;
		void *p = hz3_alloc(size);
		check_account();
		if (p == NULL) {
			ck_assert_int_eq(errno, ENOMEM);
			break;
		}
		memset(p, 1, hz3_min(size, 4096));
		blocks[n++] = p;
	}
	return n;
}

static void drop(size_t n)
{
	for (size_t i = 0; i < n; i++)
		hz3_alloc_free(blocks[i]);
	check_account();
}

/* Free memory that has not gone back. */
static void make_dirty(size_t bytes)
{
	size_t n = bytes / (MIB / 2);

	for (size_t i = 0; i < n; i++)
		blocks[i] = hz3_alloc(MIB / 2 - 4096);
	drop(n);
	/* What stays with the heap. */
	hz3_thread_go_idle();
	ck_assert_uint_ge(hz3_arenas_dirty(), bytes);
}

/* ---- The account ---- */

START_TEST(takes_up_to_the_limit)
{
	size_t used = hz3_limit_used();

	ck_assert_uint_eq(hz3_limit_room(), SIZE_MAX);
	ck_assert(hz3_limit_take(SIZE_MAX / 8));
	/* Together more than there can be: the account must not wrap around. */
	ck_assert(!hz3_limit_take(SIZE_MAX / 4 * 3));
	ck_assert(!hz3_limit_take(SIZE_MAX));
	hz3_limit_give(SIZE_MAX / 8);
	ck_assert_uint_eq(hz3_limit_used(), used);
	set_hard(used + 1000);
	ck_assert_uint_eq(hz3_limit_room(), 1000);
	ck_assert(!hz3_limit_take(1001));
	ck_assert(!hz3_limit_take(SIZE_MAX));
	ck_assert(hz3_limit_take(1000));
	ck_assert(hz3_limit_take(0));
	ck_assert(!hz3_limit_take(1));
	ck_assert_uint_eq(hz3_limit_used(), used + 1000);
	set_hard(used);
	ck_assert_uint_eq(hz3_limit_room(), 0);
	ck_assert(!hz3_limit_take(1));
	hz3_limit_give(1000);
	ck_assert_uint_eq(hz3_limit_used(), used);
}
END_TEST

static size_t random_size(unsigned long *seed)
{
	size_t r = core_pick(seed, 100);

	return r < 10 ? core_pick(seed, 6 * MIB) : r < 30 ? core_pick(seed, 600000) : core_pick(seed, 40000);
}

static void step(unsigned long *seed)
{
	size_t i = core_pick(seed, SLOTS), r = core_pick(seed, 200);

	if (r == 0)
		hz3_decay_purge_all();
	else if (r == 1)
		hz3_arenas_decommit_longest();
	else if (r == 2)
		hz3_thread_go_idle();
	if (blocks[i] == NULL) {
		blocks[i] = hz3_alloc(random_size(seed));
		return;
	}
	if (r % 4 == 0 && hz3_alloc_page_usable_size(blocks[i]) == 0) {
		void *p = hz3_alloc_resize_large(blocks[i], random_size(seed) + 1);
		if (p != NULL)
			blocks[i] = p;
		return;
	}
	hz3_alloc_free(blocks[i]);
	blocks[i] = NULL;
}

/* With a system that refuses now and then, or without; with a limit that is met now and then, or without. */
START_TEST(account_is_what_there_is)
{
	unsigned long seed = core_seed(31 + (unsigned long)_i);

	if (_i & 1)
		set_hard(hz3_limit_used() + 60 * MIB);
	for (int i = 0; i < 3000; i++) {
		if (_i & 2)
			core_refuse_mmap(core_pick(&seed, 8) == 0 ? 1 : 0, core_pick(&seed, 2) == 0);
		core_os.fail_mremap = (_i & 2) && core_pick(&seed, 4) == 0;
		core_os.fail_madvise = (_i & 2) && core_pick(&seed, 8) == 0;
		core_os.fail_munmap = (_i & 2) && core_pick(&seed, 8) == 0;
		step(&seed);
		check_account();
	}
	if (_i & 1)
		ck_assert_uint_gt(hard_purges(), 0);
}
END_TEST

/* ---- The hard limit ---- */

START_TEST(refuses_and_goes_on)
{
	static const size_t sizes[] = { 30000, 200000, 3 * MIB };
	size_t size = sizes[_i], room = 20 * MIB;

	set_hard(hz3_limit_used() + room);
	size_t first = fill(size);
	ck_assert_uint_ge(first * size, room / 2);
	ck_assert_uint_lt(first, BLOCKS);
	ck_assert_uint_eq(refused(), 1);
	ck_assert_uint_ge(hard_purges(), 1);
	/* What was freed can be had again; by another size as well, if that had its memory for itself. */
	for (unsigned i = 0; i < (_i == 0 ? 16 : 1); i++)
		hz3_alloc_free(blocks[--first]);
	blocks[first] = hz3_alloc(_i == 0 ? size : size / 2 + 1);
	ck_assert_ptr_nonnull(blocks[first]);
	drop(first + 1);
	for (unsigned i = 0; i < 3; i++) {
		size_t n = fill(sizes[i]);
		ck_assert_uint_ge(n * sizes[i], room / 2);
		drop(n);
	}
	ck_assert_ptr_null(hz3_alloc(2 * room));
	set_hard(0);
	ck_assert_ptr_nonnull(hz3_alloc(2 * room));
}
END_TEST

/* All that is free comes before a refusal: dirty memory, and what this heap keeps. */
START_TEST(purges_before_it_refuses)
{
	void *p;

	set_hard(hz3_limit_used() + 16 * MIB);
	for (int i = 0; i < 5; i++) {
		make_dirty(12 * MIB);
		p = hz3_alloc(14 * MIB);
		ck_assert_ptr_nonnull(p);
		check_account();
		hz3_alloc_free(p);
	}
	ck_assert_uint_eq(hard_purges(), 5);
	ck_assert_uint_eq(refused(), 0);
}
END_TEST

/* A page of blocks over 32 KiB takes up to 8 slices side by side, and is refused where there still is room for a block. */
START_TEST(big_blocks_get_what_pages_cannot)
{
	set_hard(16 * MIB);
	size_t n = fill(60000);
	ck_assert_ptr_null(hz3_alloc(65536));
	ck_assert_ptr_null(hz3_alloc(70000));
	/* Those that found no room for a page are blocks as others, and aligned as in one. */
	hz3_alloc_free(blocks[--n]);
	void *p = hz3_alloc(40960);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq((uintptr_t)p % 8192, 0);
	ck_assert_uint_eq(hz3_alloc_usable_size(p), 40960);
	blocks[n++] = p;
	drop(n);
}
END_TEST

/* In place there is room for it, and for a copy there is not; and once more when what is free has to go back first. */
START_TEST(huge_blocks_grow_within_the_limit)
{
	void *p, *q;

	set_hard(hz3_limit_used() + 16 * MIB);
	p = hz3_alloc(4 * MIB);
	q = hz3_alloc_resize_large(p, 12 * MIB);
	ck_assert_ptr_nonnull(q);
	check_account();
	ck_assert_uint_eq(hard_purges(), 0);
	p = hz3_alloc_resize_large(q, 4 * MIB);
	ck_assert_ptr_nonnull(p);
	check_account();
	make_dirty(8 * MIB);
	q = hz3_alloc_resize_large(p, 15 * MIB);
	ck_assert_ptr_nonnull(q);
	ck_assert_uint_eq(hard_purges(), 1);
	/* No more than that; and the block is as it was. */
	ck_assert_ptr_null(hz3_alloc_resize_large(q, 17 * MIB));
	ck_assert_uint_eq(hz3_alloc_usable_size(q), 15 * MIB);
	hz3_alloc_free(q);
	check_account();
}
END_TEST

/* A limit below what is in use takes nothing away. */
START_TEST(what_is_in_use_stays)
{
	size_t n = fill(20000), used;

	ck_assert_uint_eq(n, BLOCKS);
	hz3_alloc_free(blocks[--n]);
	set_hard(1);
	ck_assert_uint_eq(hz3_limit_room(), 0);
	/* From what the heap has. */
	blocks[n] = hz3_alloc(20000);
	ck_assert_ptr_nonnull(blocks[n]);
	ck_assert_ptr_null(hz3_alloc(5 * MIB));
	used = hz3_limit_used();
	ck_assert_ptr_null(hz3_alloc(10 * MIB));
	ck_assert_uint_eq(hz3_limit_used(), used);
	for (size_t i = 0; i < BLOCKS; i++)
		ck_assert_int_eq(*(char *)blocks[i], i == n ? *(char *)blocks[n] : 1);
	set_hard(0);
	ck_assert_ptr_nonnull(hz3_alloc(5 * MIB));
	check_account();
}
END_TEST

/* ---- A fork between the account and the memory ---- */

static pid_t forked = -1;

/* As a signal handler might that interrupts it. */
static void *fork_and_map(void *hint, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	if (bytes >= 64 * MIB && forked < 0)
		forked = fork();
	return core_mmap(hint, bytes, prot, flags, fd, offset);
}

static int fork_and_unmap(void *p, size_t bytes)
{
	if (bytes >= 64 * MIB && forked < 0)
		forked = fork();
	return core_munmap(p, bytes);
}

/* The child counts what there is at that moment, and then goes on with what was interrupted: it must not count itself out of memory. */
START_TEST(a_fork_comes_between)
{
	int status;

	set_hard(hz3_limit_used() + 100 * MIB);
	if (_i == 0)
		hz3_os_calls.mmap = fork_and_map;
	else
		hz3_os_calls.munmap = fork_and_unmap;
	void *p = hz3_alloc(64 * MIB);
	hz3_alloc_free(p);
	if (forked == 0) {
		p = hz3_alloc(3 * MIB);
		_exit(p == NULL ? 1 : hz3_limit_used() > 64 * MIB ? 2 : 0);
	}
	ck_assert_int_gt(forked, 0);
	ck_assert_int_eq(waitpid(forked, &status, 0), forked);
	ck_assert_int_eq(status, 0);
	check_account();
}
END_TEST

/* ---- Threads ---- */

#define THREADS 8
#define EACH 40

static _Atomic unsigned nulls;
static _Atomic unsigned units, lost;
static _Atomic bool stop;
static pthread_barrier_t gate;

/* The limit lets one of them in at a time. */
static void *take_a_unit(void *arg)
{
	pthread_barrier_wait(&gate);
	for (int i = 0; i < 300000; i++) {
		if (!hz3_limit_take(1000))
			continue;
		lost += ++units > 1;
		units--;
		hz3_limit_give(1000);
	}
	return arg;
}

START_TEST(no_more_than_the_limit)
{
	pthread_t thread[THREADS];
	size_t used = hz3_limit_used();

	set_hard(used + 1000);
	pthread_barrier_init(&gate, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		thread[i] = core_start(take_a_unit, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(lost, 0);
	ck_assert_uint_eq(hz3_limit_used(), used);
}
END_TEST

static void *ask_for_too_much(void *arg)
{
	while (!stop)
		lost += hz3_limit_take(1001);
	return arg;
}

/* What there is room for is given, whoever else is just being refused. */
START_TEST(no_false_refusals)
{
	pthread_t thread[2];

	set_hard(hz3_limit_used() + 1000);
	for (int i = 0; i < 2; i++)
		thread[i] = core_start(ask_for_too_much, NULL);
	for (int i = 0; i < 300000; i++) {
		ck_assert(hz3_limit_take(1000));
		hz3_limit_give(1000);
	}
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(lost, 0);
}
END_TEST


static void *allocate_and_free(void *arg)
{
	unsigned long seed = (unsigned long)(uintptr_t)arg;
	void *own[EACH] = { NULL };

	for (int i = 0; i < 300; i++) {
		void **p = &own[core_pick(&seed, EACH)];
		if (*p != NULL) {
			hz3_alloc_free(*p);
			*p = NULL;
			continue;
		}
		*p = hz3_alloc(random_size(&seed));
		nulls += *p == NULL;
		/* At every moment, whatever the others are doing. */
		ck_assert_uint_le(hz3_limit_used(), hz3_options.memory_limit_hard);
	}
	/* Until all have what they could get. */
	if (pthread_barrier_wait(&gate) == PTHREAD_BARRIER_SERIAL_THREAD)
		check_account();
	pthread_barrier_wait(&gate);
	for (int i = 0; i < EACH; i++)
		hz3_alloc_free(own[i]);
	return NULL;
}

START_TEST(eight_threads_keep_the_limit)
{
	pthread_t thread[THREADS];
	size_t limit = hz3_limit_used() + 24 * MIB;

	set_hard(limit);
	pthread_barrier_init(&gate, NULL, THREADS);
	for (uintptr_t i = 0; i < THREADS; i++)
		thread[i] = core_start(allocate_and_free, (void *)(i + 1));
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	check_account();
	ck_assert_uint_gt(nulls, 0);
	/* Of a refused request nothing is left, and all can be had again by one. */
	size_t n = fill(3 * MIB);
	ck_assert_uint_ge(n, 5);
	drop(n);
}
END_TEST

/* ---- Arenas of the program's own ---- */

static int take_note(void *address, size_t bytes, void *context)
{
	(void)address;
	*(size_t *)context += bytes;
	return 0;
}

/* They count with all that they have; with hooks and without, it is free again when they are gone. */
START_TEST(arenas_count)
{
	size_t mapped = 0, n = 0, used = hz3_limit_used();
	const struct hz3_os_hooks hooks = { .map = take_note };
	hz3_arena_t *arena = hz3_arena_create(_i ? &hooks : NULL, &mapped);

	ck_assert_ptr_nonnull(arena);
	set_hard(used + 20 * MIB);
	make_dirty(12 * MIB);
	while (hz3_arena_malloc(arena, 100000) != NULL)
		n++;
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_uint_ge(n * 100000, 8 * MIB);
	ck_assert_uint_ge(hard_purges(), 1);
	ck_assert_uint_ge(refused(), 1);
	ck_assert_uint_eq(mapped != 0, _i);
	check_account();
	hz3_arena_destroy(arena);
	check_account();
	hz3_decay_purge_all();
	ck_assert_uint_le(hz3_limit_used(), used + MIB);
	check_account();
}
END_TEST

/* An arena needs memory of hz3's own, before it has any block: all that is free comes before a refusal there, too. */
START_TEST(an_arena_is_made_within_the_limit)
{
	hz3_arena_t *arena[ARENAS];

	make_dirty(12 * MIB);
	set_hard(hz3_limit_used());
	for (unsigned i = 0; i < ARENAS; i++) {
		arena[i] = hz3_arena_create(NULL, NULL);
		ck_assert_ptr_nonnull(arena[i]);
		check_account();
	}
	ck_assert_uint_ge(hard_purges(), 1);
	ck_assert_uint_eq(refused(), 0);
	/* Where nothing is free, it is refused. */
	set_hard(1);
	while (errno = 0, hz3_arena_create(NULL, NULL) != NULL)
		;
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_uint_eq(refused(), 1);
	for (unsigned i = 0; i < ARENAS; i++)
		hz3_arena_destroy(arena[i]);
}
END_TEST

/* ---- Fork ---- */

START_TEST(child_has_its_own_account)
{
	size_t n, first;
	int status;

	set_hard(hz3_limit_used() + 20 * MIB);
	first = fill(MIB / 2);
	drop(first);
	hz3_decay_purge_all();
	make_dirty(4 * MIB);
	/* A thread that was about to take memory when the process forked. */
	ck_assert(hz3_limit_take(3 * MIB));
	pid_t pid = fork();
	if (pid == 0) {
		check_account();
		n = fill(MIB / 2);
		ck_assert_uint_ge(n + 2, first);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	hz3_limit_give(3 * MIB);
	check_account();
}
END_TEST

/* ---- The soft limit ---- */

START_TEST(purges_when_it_goes_over)
{
	size_t dirty;

	make_dirty(16 * MIB);
	dirty = hz3_arenas_dirty();
	hz3_options.memory_limit_soft = hz3_limit_used() + MIB;
	/* What is dirty already is no more memory. */
	void *p = hz3_alloc(MIB / 2);
	ck_assert_uint_eq(soft_purges(), 0);
	void *q = hz3_alloc(3 * MIB);
	ck_assert(p != NULL && q != NULL);
	ck_assert_uint_eq(soft_purges(), 1);
	ck_assert_uint_eq(hz3_limit_excess(), 0);
	/* Not more than there has to be. */
	ck_assert_uint_lt(hz3_arenas_dirty(), dirty - 2 * MIB);
	ck_assert_uint_gt(hz3_arenas_dirty(), MIB);
	check_account();
	/* Nor again before there is need. */
	hz3_alloc_free(q);
	q = hz3_alloc(3 * MIB);
	ck_assert_ptr_nonnull(q);
	ck_assert_uint_eq(soft_purges(), 1);
}
END_TEST

/* Over for good: a purge for every sixteenth of the limit, or every second, and never NULL. */
START_TEST(backs_off_when_it_is_of_no_use)
{
	size_t soft = 16 * MIB, start;

	hz3_options.memory_limit_soft = soft;
	fill(MIB / 8);
	ck_assert_uint_gt(hz3_limit_excess(), 0);
	start = soft_purges();
	ck_assert_uint_ge(start, 1);
	ck_assert_uint_le(start, (hz3_limit_used() - soft) / (soft / 16) + 2);
	/* Up and down on the same memory is no growth. */
	for (int i = 0; i < 500; i++)
		hz3_alloc_free(hz3_alloc(MIB / 4 * 3));
	ck_assert_uint_le(soft_purges(), start + 2);
	/* To just behind a purge; then not with the next block, but with the first one after a second. */
	start = soft_purges();
	while (soft_purges() == start)
		ck_assert_ptr_nonnull(hz3_alloc(MIB / 8));
	ck_assert_uint_eq(soft_purges(), start + 1);
	ck_assert_ptr_nonnull(hz3_alloc(MIB / 8));
	ck_assert_uint_eq(soft_purges(), start + 1);
	core_now += 1001;
	ck_assert_ptr_nonnull(hz3_alloc(MIB / 8));
	ck_assert_uint_eq(soft_purges(), start + 2);
	check_account();
}
END_TEST

START_TEST(control_sets_limits)
{
	size_t soft = 40 * MIB, hard = 1, value = 0, bytes = sizeof(value);

	make_dirty(16 * MIB);
	hard = hz3_limit_used() - 4 * MIB;
	ck_assert_int_eq(hz3_control("limit.soft", NULL, NULL, &soft, sizeof(soft)), 0);
	ck_assert_uint_ge(hz3_arenas_dirty(), 16 * MIB);
	/* What is over it goes back at once. */
	ck_assert_int_eq(hz3_control("limit.hard", &value, &bytes, &hard, sizeof(hard)), 0);
	ck_assert_uint_eq(value, 0);
	ck_assert_uint_lt(hz3_limit_used(), hard);
	make_dirty(4 * MIB);
	soft = hz3_limit_used() - 3 * MIB;
	ck_assert_int_eq(hz3_control("limit.soft", NULL, NULL, &soft, sizeof(soft)), 0);
	ck_assert_uint_le(hz3_limit_used(), soft);
	ck_assert_uint_eq(soft_purges(), 1);
	ck_assert_int_eq(hz3_control("limit.used", &value, &bytes, NULL, 0), 0);
	ck_assert_uint_eq(value, hz3_limit_used());
	ck_assert_int_eq(hz3_control("opt.memory_limit_hard", &value, &bytes, NULL, 0), 0);
	ck_assert_uint_eq(value, hard);
	hard = SIZE_MAX;
	ck_assert_int_eq(hz3_control("limit.hard", NULL, NULL, &hard, sizeof(hard)), EINVAL);
}
END_TEST

START_TEST(statistics_tell)
{
	static struct hz3_stats stats;

	hz3_options.memory_limit_soft = 8 * MIB;
	set_hard(16 * MIB);
	size_t n = fill(MIB / 2);
	hz3_stats_collect(&stats);
	ck_assert_uint_eq(stats.limit_soft, 8 * MIB);
	ck_assert_uint_eq(stats.limit_hard, 16 * MIB);
	ck_assert_uint_eq(stats.limit_used, stats.active + stats.dirty + stats.metadata);
	ck_assert_uint_ge(stats.limit_soft_purges, 1);
	ck_assert_uint_ge(stats.limit_hard_purges, 1);
	ck_assert_uint_eq(stats.limit_refused, 1);
	drop(n);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("limit");
	TCase *tcase = tcase_create("limit");

	tcase_add_checked_fixture(tcase, set_up, NULL);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, takes_up_to_the_limit);
	tcase_add_loop_test(tcase, account_is_what_there_is, 0, 4);
	tcase_add_loop_test(tcase, refuses_and_goes_on, 0, 3);
	tcase_add_test(tcase, purges_before_it_refuses);
	tcase_add_test(tcase, big_blocks_get_what_pages_cannot);
	tcase_add_test(tcase, huge_blocks_grow_within_the_limit);
	tcase_add_test(tcase, what_is_in_use_stays);
	tcase_add_test(tcase, no_more_than_the_limit);
	tcase_add_test(tcase, no_false_refusals);
	tcase_add_test(tcase, eight_threads_keep_the_limit);
	tcase_add_loop_test(tcase, arenas_count, 0, 2);
	tcase_add_test(tcase, an_arena_is_made_within_the_limit);
	tcase_add_test(tcase, child_has_its_own_account);
	tcase_add_loop_test(tcase, a_fork_comes_between, 0, 2);
	tcase_add_test(tcase, purges_when_it_goes_over);
	tcase_add_test(tcase, backs_off_when_it_is_of_no_use);
	tcase_add_test(tcase, control_sets_limits);
	tcase_add_test(tcase, statistics_tell);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
