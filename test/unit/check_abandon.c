/*
 * Tests of abandon.h: heaps of threads that have ended are whole, reachable and used again.  On each sink.
 */
#include "core.h"

#include "abandon.h"
#include "alloc.h"
#include "thread.h"

#define CLASS 3u			/* 64 bytes */

static void set_up(void)
{
	hz3_options.background_thread = false;
}

static uint32_t parked(void)
{
	hz3_lock(&hz3_abandon_lock);
	uint32_t n = hz3_abandon_parked_locked();
	hz3_unlock(&hz3_abandon_lock);
	return n;
}

/* ---- The list ---- */

START_TEST(last_parked_first)
{
	struct hz3_heap *heaps[5];

	ck_assert_ptr_null(hz3_abandon_adopt(false));
	for (int i = 0; i < 5; i++) {
		heaps[i] = hz3_heap_new();
		ck_assert_uint_eq(heaps[i]->owner->state, HZ3_OWNER_RUNNING);
		hz3_abandon_park(heaps[i]);
		ck_assert_uint_eq(heaps[i]->owner->state, HZ3_OWNER_PARKED);
		ck_assert_uint_eq(parked(), (unsigned)i + 1);
	}
	ck_assert(!hz3_abandon_wants_drain());
	for (int i = 5; i-- > 0;) {
		ck_assert_ptr_eq(hz3_abandon_adopt(false), heaps[i]);
		ck_assert_uint_eq(heaps[i]->owner->state, HZ3_OWNER_RUNNING);
		ck_assert_uint_eq(parked(), (unsigned)i);
	}
	ck_assert_ptr_null(hz3_abandon_adopt(false));
}
END_TEST

/* As in the child of a fork in a handler that has interrupted the end of the thread. */
START_TEST(parked_twice_is_parked_once)
{
	struct hz3_heap *one = hz3_heap_new();

	hz3_abandon_park(one);
	hz3_abandon_park(one);
	ck_assert_uint_eq(parked(), 1);
	ck_assert_ptr_eq(hz3_abandon_adopt(false), one);
	ck_assert_ptr_null(hz3_abandon_adopt(false));
}
END_TEST

/* From within their lists, of which one has heaps with pages. */
START_TEST(unparked)
{
	struct hz3_heap *heaps[6];

	for (int i = 0; i < 6; i++) {
		heaps[i] = hz3_heap_new();
		if (i % 2)
			ck_assert_ptr_nonnull(core_alloc(heaps[i], CLASS));
		hz3_abandon_park(heaps[i]);
	}
	hz3_abandon_unpark(heaps[2]);
	hz3_abandon_unpark(heaps[3]);
	hz3_abandon_unpark(heaps[3]);
	ck_assert_uint_eq(parked(), 4);
	ck_assert_uint_eq(heaps[2]->owner->state, HZ3_OWNER_RUNNING);
	ck_assert_uint_eq(heaps[3]->owner->state, HZ3_OWNER_RUNNING);
	for (int i = 0; i < 4; i++) {
		struct hz3_heap *heap = hz3_abandon_adopt(false);
		ck_assert(heap && heap != heaps[2] && heap != heaps[3]);
	}
	ck_assert_ptr_null(hz3_abandon_adopt(false));
}
END_TEST

/* A thread that only frees would never look after pages: it gets only a heap that has none. */
START_TEST(heaps_with_pages_are_for_allocating)
{
	struct hz3_heap *with = hz3_heap_new(), *without = hz3_heap_new();

	ck_assert_ptr_nonnull(core_alloc(with, CLASS));
	hz3_abandon_park(without);
	hz3_abandon_park(with);
	ck_assert_uint_eq(parked(), 2);
	ck_assert_ptr_eq(hz3_abandon_adopt(true), without);
	ck_assert_ptr_null(hz3_abandon_adopt(true));
	ck_assert_uint_eq(parked(), 1);
	hz3_abandon_park(without);
	/* Whoever allocates takes those with pages first. */
	ck_assert_ptr_eq(hz3_abandon_adopt(false), with);
	ck_assert_ptr_eq(hz3_abandon_adopt(false), without);
	ck_assert_ptr_null(hz3_abandon_adopt(false));
}
END_TEST

/* When many are parked, a thread that only frees gets one with pages after all, the last parked of those that have few. */
START_TEST(small_heaps_are_for_freeing_if_many_wait)
{
	enum { SMALL = 5 };
	struct hz3_heap *big = hz3_heap_new(), *small[SMALL];

	for (int i = 0; i < 70 * (int)hz3_class_info[CLASS].capacity; i++)
		ck_assert_ptr_nonnull(core_alloc(big, CLASS));
	for (int i = 0; i < SMALL; i++) {
		small[i] = hz3_heap_new();
		ck_assert_ptr_nonnull(core_alloc(small[i], CLASS));
		hz3_abandon_park(small[i]);
		/* A few are left alone. */
		if (i < 3)
			ck_assert_ptr_null(hz3_abandon_adopt(true));
	}
	hz3_abandon_park(big);
	ck_assert_ptr_eq(hz3_abandon_adopt(true), small[SMALL - 1]);
	ck_assert_ptr_eq(hz3_abandon_adopt(true), small[SMALL - 2]);
	ck_assert_ptr_eq(hz3_abandon_adopt(true), small[SMALL - 3]);
	ck_assert_ptr_null(hz3_abandon_adopt(true));
	ck_assert_uint_eq(parked(), 3);
	/* Nothing in the list went astray. */
	ck_assert_ptr_eq(hz3_abandon_adopt(false), big);
	ck_assert_ptr_eq(hz3_abandon_adopt(false), small[1]);
	ck_assert_ptr_eq(hz3_abandon_adopt(false), small[0]);
}
END_TEST

/* Threads that all begin with a free and become large take each other's heaps: the smallest of those that wait. */
START_TEST(large_heaps_are_for_freeing_if_there_are_no_small_ones)
{
	enum { LARGE = 5 };
	struct hz3_heap *large[LARGE];

	for (int i = 0; i < LARGE; i++) {
		large[i] = hz3_heap_new();
		for (int j = 0; j < (70 + (i + 3) % LARGE) * (int)hz3_class_info[CLASS].capacity; j++)
			ck_assert_ptr_nonnull(core_alloc(large[i], CLASS));
		hz3_abandon_park(large[i]);
	}
	ck_assert_ptr_eq(hz3_abandon_adopt(true), large[2]);
	ck_assert_ptr_eq(hz3_abandon_adopt(true), large[3]);
	ck_assert_ptr_null(hz3_abandon_adopt(true));
	ck_assert_uint_eq(parked(), 3);
}
END_TEST

/* ---- What arrives for a parked heap ---- */

#define PAGES 20

static void **alloc_pages(struct hz3_heap *heap)
{
	size_t n = PAGES * hz3_class_info[CLASS].capacity;
	void **blocks = calloc(n, sizeof(*blocks));

	for (size_t i = 0; i < n; i++)
		ck_assert_ptr_nonnull(blocks[i] = core_alloc(heap, CLASS));
	return blocks;
}

/* Two freers, so that no buffer sees a whole page. */
static bool free_pages(struct hz3_heap *const *freers, void **blocks)
{
	size_t n = PAGES * hz3_class_info[CLASS].capacity;
	bool to_parked = false;

	for (size_t i = 0; i < n; i++)
		to_parked |= core_free(freers[i % 2], blocks[i]);
	to_parked |= hz3_heap_flush(freers[0], HZ3_FLUSH_IDLE);
	return hz3_heap_flush(freers[1], HZ3_FLUSH_IDLE) || to_parked;
}

START_TEST(drained_while_parked)
{
	struct hz3_heap *heap = hz3_heap_new(), *freers[2] = { hz3_heap_new(), hz3_heap_new() };

	hz3_sink_set_mode(_i / 2);
	hz3_options.handover = _i % 2;
	void **blocks = alloc_pages(heap);
	hz3_abandon_park(heap);
	ck_assert_uint_eq(hz3_arenas_active(), PAGES * HZ3_SLICE);
	ck_assert(free_pages(freers, blocks));
	hz3_abandon_request_drain();
	ck_assert(hz3_abandon_wants_drain());
	hz3_abandon_drain();
	ck_assert(!hz3_abandon_wants_drain());
	for (int i = 0; i < 2; i++)
		hz3_heap_trim(freers[i]);
	/* The current page is looked at later. */
	ck_assert_uint_le(hz3_arenas_active(), HZ3_SLICE);
	hz3_abandon_trim(0);
	ck_assert_uint_eq(hz3_arenas_active(), 0);
	hz3_heap_validate(heap);
	hz3_arenas_validate();
	/* It is parked still, and does not look again until something is posted. */
	ck_assert_uint_eq(parked(), 1);
	ck_assert_uint_eq(heap->owner->posted, 0);
	free(blocks);
}
END_TEST

/* Posted before it was parked, and not drained: the parking says so. */
START_TEST(posted_before_parking)
{
	struct hz3_heap *heap = hz3_heap_new(), *freers[2] = { hz3_heap_new(), hz3_heap_new() };

	hz3_sink_set_mode(_i);
	hz3_options.handover = false;
	void **blocks = alloc_pages(heap);
	ck_assert(!free_pages(freers, blocks));
	ck_assert(!hz3_abandon_wants_drain());
	hz3_abandon_park(heap);
	ck_assert(hz3_abandon_wants_drain());
	hz3_abandon_drain();
	hz3_abandon_trim(0);
	ck_assert_uint_eq(hz3_arenas_active(), 0);
	free(blocks);
}
END_TEST

/* Empty pages of parked heaps are given back when the heap has been parked for so long, once. */
START_TEST(trimmed_by_age)
{
	struct hz3_heap *heap = hz3_heap_new();

	hz3_os_clock = core_clock;
	ck_assert(!hz3_abandon_wants_trim());
	core_free(heap, core_alloc(heap, CLASS));
	hz3_abandon_park(heap);
	ck_assert(hz3_abandon_wants_trim());
	core_now += 99;
	hz3_abandon_trim(100);
	ck_assert(hz3_abandon_wants_trim());
	ck_assert_uint_eq(hz3_arenas_active(), HZ3_SLICE);
	core_now += 1;
	hz3_abandon_trim(100);
	ck_assert(!hz3_abandon_wants_trim());
	ck_assert_uint_eq(hz3_arenas_active(), 0);
	/* Whoever adopts it takes it off the account, trimmed or not. */
	ck_assert_ptr_eq(hz3_abandon_adopt(false), heap);
	hz3_abandon_park(heap);
	ck_assert(hz3_abandon_wants_trim());
	ck_assert_ptr_eq(hz3_abandon_adopt(false), heap);
	ck_assert(!hz3_abandon_wants_trim());
}
END_TEST

/* Running owners are not touched; and whoever adopts finds what has come meanwhile. */
START_TEST(adopted_with_what_has_come)
{
	struct hz3_heap *heap = hz3_heap_new(), *freers[2] = { hz3_heap_new(), hz3_heap_new() };
	uint64_t made;

	hz3_sink_set_mode(_i);
	hz3_options.handover = false;
	void **blocks = alloc_pages(heap);
	hz3_abandon_park(heap);
	ck_assert(free_pages(freers, blocks));
	ck_assert_ptr_eq(hz3_abandon_adopt(false), heap);
	hz3_abandon_request_drain();
	hz3_abandon_drain();
	ck_assert_uint_eq(hz3_arenas_active(), PAGES * HZ3_SLICE);
	made = heap->counters.class[CLASS].pages_made;
	free(blocks);
	blocks = alloc_pages(heap);
	/* No new memory: what had come is used. */
	ck_assert_uint_eq(hz3_arenas_active(), PAGES * HZ3_SLICE);
	ck_assert_uint_le(heap->counters.class[CLASS].pages_made, made + PAGES);
	ck_assert_uint_eq(core_audit(blocks, PAGES * hz3_class_info[CLASS].capacity), core_in_words());
	hz3_heap_validate(heap);
	free(blocks);
}
END_TEST

/* A thread that needs memory brings home what waits for the dead before it takes more from the system. */
static void *alloc_and_die(void *arg)
{
	void **blocks = arg;

	for (int i = 0; i < 20000; i++)
		blocks[i] = hz3_alloc(64);
	return NULL;
}

START_TEST(malloc_drains_the_dead)
{
	static void *blocks[20000];

	hz3_sink_set_mode(_i);
	hz3_options.handover = false;
	/* So that the heap is not adopted here. */
	hz3_alloc_free(hz3_alloc(1));
	core_run(alloc_and_die, blocks);
	size_t active = hz3_arenas_active();
	for (int i = 0; i < 20000; i++)
		hz3_alloc_free(blocks[i]);
	hz3_thread_flush_buffer();
	ck_assert(hz3_abandon_wants_drain());
	/* Of another class: the dead heap's pages come by way of the arena. */
	void *p = hz3_alloc(1000);
	ck_assert(!hz3_abandon_wants_drain());
	ck_assert_uint_lt(hz3_arenas_active(), active / 2);
	hz3_alloc_free(p);
}
END_TEST

/* ---- Threads come and go while others free what they left ---- */

#define SLOTS 2048
#define WORKERS 3

static _Atomic(uintptr_t *) slots[SLOTS];
static _Atomic bool stop;

static void *short_life(void *arg)
{
	unsigned long seed = (unsigned long)(uintptr_t)arg;

	for (int i = 0; i < 500; i++) {
		uintptr_t *p = hz3_alloc(16 + core_pick(&seed, core_pick(&seed, 8) ? 200 : 5000));

		ck_assert_ptr_nonnull(p);
		p[0] = p[1] = (uintptr_t)p;
		uintptr_t *old = atomic_exchange(&slots[core_pick(&seed, SLOTS)], p);
		if (old) {
			ck_assert_uint_eq(old[0], (uintptr_t)old);
			ck_assert_uint_eq(old[1], (uintptr_t)old);
			hz3_alloc_free(old);
		}
	}
	return NULL;
}

static void *keep_starting(void *arg)
{
	unsigned long seed = (unsigned long)(uintptr_t)arg;

	for (int i = 0; i < 60; i++)
		core_run(short_life, (void *)(unit_random(&seed) | 1));
	return NULL;
}

static void *keep_draining(void *arg)
{
	(void)arg;
	while (!stop) {
		hz3_abandon_request_drain();
		hz3_abandon_drain();
		sched_yield();
	}
	return NULL;
}

START_TEST(churn)
{
	pthread_t thread[WORKERS], drainer;
	unsigned long seed = core_seed(77);

	hz3_sink_set_mode(_i);
	for (int i = 0; i < WORKERS; i++)
		thread[i] = core_start(keep_starting, (void *)(uintptr_t)(seed + (unsigned)i));
	drainer = core_start(keep_draining, NULL);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	stop = true;
	pthread_join(drainer, NULL);
	ck_assert_uint_le(hz3_owner_count(), 2 * WORKERS + 4);
	hz3_abandon_request_drain();
	hz3_abandon_drain();
	for (uint32_t id = 1; id <= hz3_owner_count(); id++)
		hz3_heap_validate(hz3_owner_by_id(id)->heap);
	ck_assert_uint_eq(core_audit((void *const *)slots, SLOTS), core_in_words());
	for (int i = 0; i < SLOTS; i++)
		hz3_alloc_free(slots[i]);
	hz3_thread_settle();
	hz3_abandon_request_drain();
	hz3_abandon_drain();
	ck_assert_uint_eq(core_audit(NULL, 0), core_in_words());
	hz3_arenas_validate();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("abandon");
	TCase *tc = tcase_create("parked");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, last_parked_first);
	tcase_add_test(tc, parked_twice_is_parked_once);
	tcase_add_test(tc, unparked);
	tcase_add_test(tc, heaps_with_pages_are_for_allocating);
	tcase_add_test(tc, small_heaps_are_for_freeing_if_many_wait);
	tcase_add_test(tc, large_heaps_are_for_freeing_if_there_are_no_small_ones);
	tcase_add_loop_test(tc, drained_while_parked, 0, 6);
	tcase_add_loop_test(tc, posted_before_parking, 0, 3);
	tcase_add_test(tc, trimmed_by_age);
	tcase_add_loop_test(tc, adopted_with_what_has_come, 0, 3);
	tcase_add_loop_test(tc, malloc_drains_the_dead, 0, 3);
	suite_add_tcase(suite, tc);

	tc = tcase_create("churn");
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_loop_test(tc, churn, 0, 3);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
