/*
 * Tests of remote_buffer.h: grouping, eviction, budgets and the cap, causes, whole pages.  All of it on each sink.
 */
#include "core.h"

#define CLASS 3u			/* 64 bytes */
#define SIZE 64u

static struct hz3_heap *owner, *freer;

static void set_up(void)
{
	core_set_up(1);
	owner = hz3_heap_new();
	freer = hz3_heap_new();
}

static struct hz3_sink_counters sent(const struct hz3_heap *heap)
{
	struct hz3_sink_counters sum = { 0 };

	for (int i = 0; i < HZ3_SINKS; i++) {
		sum.chains += heap->counters.sink[i].chains;
		sum.blocks += heap->counters.sink[i].blocks;
		sum.rmw_push += heap->counters.sink[i].rmw_push;
		sum.cas_retries += heap->counters.sink[i].cas_retries;
	}
	return sum;
}

static size_t held(const struct hz3_heap *heap)
{
	return atomic_load(&heap->buffer.held_bytes);
}

/* All blocks of n fresh pages, page by page; the owner's current page is another one, so these are asleep. */
static void **whole_pages(unsigned class, unsigned pages)
{
	unsigned capacity = hz3_class_info[class].capacity;
	void **blocks = calloc((size_t)pages * capacity + 1, sizeof(*blocks));

	for (size_t i = 0; i <= (size_t)pages * capacity; i++)
		ck_assert_ptr_nonnull(blocks[i] = core_alloc(owner, class));
	for (unsigned i = 0; i < pages; i++) {
		ck_assert_ptr_eq(core_page_of(blocks[i * capacity]), core_page_of(blocks[(i + 1) * capacity - 1]));
		ck_assert_uint_eq(core_page_of(blocks[i * capacity])->state, HZ3_PAGE_ASLEEP);
	}
	return blocks;
}

static void settle(void)
{
	hz3_heap_flush(freer, HZ3_FLUSH_IDLE);
	hz3_heap_drain_all(owner, SIZE_MAX);
	ck_assert_uint_eq(held(freer), 0);
}

static void use_sink(int i)
{
	set_up();
	hz3_sink_set_mode(i);
}

/* ---- Grouping ---- */

START_TEST(groups_by_page)
{
	use_sink(_i);
	void **blocks = whole_pages(CLASS, 3);
	unsigned capacity = hz3_class_info[CLASS].capacity;

	/* 100 blocks of each of three pages, in turn: three chains. */
	for (unsigned i = 0; i < 100; i++)
		for (unsigned page = 0; page < 3; page++) {
			core_free(freer, blocks[page * capacity + i]);
			blocks[page * capacity + i] = NULL;
		}
	ck_assert_uint_eq(held(freer), 300 * SIZE);
	ck_assert_uint_eq(core_audit(blocks, 3 * capacity + 1), 300);
	ck_assert_uint_eq(sent(freer).chains, 0);
	settle();
	ck_assert_uint_eq(sent(freer).chains, 3);
	ck_assert_uint_eq(sent(freer).blocks, 300);
	ck_assert_uint_eq(freer->counters.flushes[HZ3_FLUSH_IDLE], 1);
	/* One list for the central sink; for the page sink each page, and the queue once. */
	ck_assert_uint_le(sent(freer).rmw_push - sent(freer).cas_retries, 4);
	ck_assert_uint_eq(core_audit(blocks, 3 * capacity + 1), core_in_words());
	ck_assert_uint_eq(core_in_words(), 0);
	ck_assert_uint_eq(owner->counters.class[CLASS].freed_remote, 300);
	hz3_heap_validate(owner);
	free(blocks);
}
END_TEST

START_TEST(hit_or_miss)
{
	use_sink(_i);
	void **blocks = whole_pages(CLASS, 2);
	unsigned capacity = hz3_class_info[CLASS].capacity;
	size_t slice = hz3_page_slice(core_page_of(blocks[0])), other = hz3_page_slice(core_page_of(blocks[capacity]));
	struct hz3_remote_buffer *buffer = &freer->buffer;
	struct hz3_posted posted = { 0 };

	buffer->budget = 10 * SIZE;
	ck_assert_int_eq(hz3_buffer_add(buffer, slice, blocks[0]), HZ3_BUFFER_MISS);
	ck_assert_uint_eq(held(freer), 0);
	ck_assert_int_eq(hz3_buffer_add_new(buffer, slice, blocks[0], &freer->counters, &posted), HZ3_BUFFER_OK);
	ck_assert_int_eq(hz3_buffer_add(buffer, other, blocks[capacity]), HZ3_BUFFER_MISS);
	for (int i = 1; i < 10; i++)
		ck_assert_int_eq(hz3_buffer_add(buffer, slice, blocks[i]), HZ3_BUFFER_OK);
	ck_assert_int_eq(hz3_buffer_add(buffer, slice, blocks[10]), HZ3_BUFFER_FULL);
	for (unsigned i = 11; i < capacity - 1; i++)
		ck_assert_int_eq(hz3_buffer_add(buffer, slice, blocks[i]), HZ3_BUFFER_FULL);
	ck_assert_int_eq(hz3_buffer_add(buffer, slice, blocks[capacity - 1]), HZ3_BUFFER_WHOLE);
	ck_assert_uint_eq(held(freer), capacity * SIZE);
	free(blocks);
}
END_TEST

/* Three pages for a set of two ways: the longer chain goes, whichever way it is in. */
START_TEST(evicts_the_longer_chain)
{
	enum { PAGES = 2 * HZ3_BUFFER_SETS + 1 };
	unsigned capacity = hz3_class_info[CLASS].capacity, longer = (unsigned)_i % 2;
	struct hz3_page *page[3];
	void **set[3];

	use_sink(_i / 2);
	void **blocks = whole_pages(CLASS, PAGES);
	for (int i = 0; i < 3; i++) {
		/* Fresh pages of one slice lie side by side. */
		set[i] = &blocks[(unsigned)i * HZ3_BUFFER_SETS * capacity];
		page[i] = core_page_of(set[i][0]);
		ck_assert_uint_eq(hz3_page_slice(page[i]) % HZ3_BUFFER_SETS, hz3_page_slice(page[0]) % HZ3_BUFFER_SETS);
	}
	for (unsigned i = 0; i < 20; i++) {
		core_free(freer, set[longer][i]);
		if (i < 10)
			core_free(freer, set[!longer][i]);
	}
	ck_assert_uint_eq(freer->buffer.outbox.used, 0);
	core_free(freer, set[2][0]);
	/* It waits in the outbox, and is held still. */
	ck_assert_uint_ne(freer->buffer.outbox.used, 0);
	ck_assert_uint_eq(held(freer), 31 * SIZE);
	struct hz3_outbox_slot *slot = &freer->buffer.outbox.slot[__builtin_ctzll(freer->buffer.outbox.used)];
	struct hz3_mail *mail = &slot->mail[slot->mail[0].first == NULL];
	ck_assert_uint_eq(mail->chains, 1);
	ck_assert_uint_eq(mail->blocks, 20);
	ck_assert_ptr_eq(core_page_of(mail->first), page[longer]);
	/* The others are where they were. */
	core_free(freer, set[!longer][10]);
	core_free(freer, set[2][1]);
	ck_assert_uint_eq(mail->chains, 1);
	settle();
	ck_assert_uint_eq(sent(freer).chains, 3);
	ck_assert_uint_eq(sent(freer).blocks, 33);
	free(blocks);
}
END_TEST

/* ---- Budgets ---- */

START_TEST(never_over_budget)
{
	static const unsigned classes[] = { 0, CLASS, 12, 30, HZ3_CLASSES - 1 };
	unsigned long seed = core_seed(31);
	void *blocks[400] = { NULL };

	use_sink(_i);
	hz3_options.remote_budget = 40000;
	for (int step = 0; step < 20000; step++) {
		size_t i = core_pick(&seed, 400);
		unsigned class = classes[core_pick(&seed, 5)];

		if (blocks[i] == NULL) {
			ck_assert_ptr_nonnull(blocks[i] = core_alloc(owner, class));
			continue;
		}
		size_t size = hz3_class_size(core_page_of(blocks[i])->class);
		core_free(freer, blocks[i]);
		blocks[i] = NULL;
		ck_assert_uint_le(freer->buffer.budget, 40000);
		ck_assert_uint_le(held(freer), freer->buffer.budget + size);
		ck_assert_uint_eq(hz3_buffer_granted(), freer->buffer.budget);
	}
	ck_assert_uint_gt(freer->counters.flushes[HZ3_FLUSH_BUDGET], 0);
	ck_assert_uint_eq(freer->buffer.budget, 40000);
	ck_assert_uint_ge(hz3_buffer_granted_peak(), 40000);
	settle();
	ck_assert_uint_eq(core_audit(blocks, 400), core_in_words());
	hz3_buffer_return_budget(&freer->buffer);
	ck_assert_uint_eq(hz3_buffer_granted(), 0);
	ck_assert_uint_ge(hz3_buffer_granted_peak(), 40000);
	hz3_heap_validate(owner);
	hz3_arenas_validate();
}
END_TEST

#define SHARERS 12

START_TEST(cap_is_shared)
{
	struct hz3_heap *heaps[SHARERS];
	unsigned long seed = core_seed(32);
	void *blocks[4000] = { NULL };
	size_t cap = 200000, sum;

	use_sink(_i);
	hz3_options.remote_cap = cap;
	ck_assert_uint_eq(hz3_buffer_cap(), cap);
	for (int i = 0; i < SHARERS; i++)
		heaps[i] = hz3_heap_new();
	for (int step = 0; step < 60000; step++) {
		size_t i = core_pick(&seed, 4000);

		if (blocks[i] == NULL) {
			blocks[i] = core_alloc(owner, core_pick(&seed, 10) ? CLASS : 20);
			continue;
		}
		/* Late comers get their share too. */
		core_free(heaps[core_pick(&seed, step < 20000 ? 2 : SHARERS)], blocks[i]);
		blocks[i] = NULL;
		if (step % 16)
			continue;
		sum = 0;
		for (int j = 0; j < SHARERS; j++) {
			ck_assert_uint_le(held(heaps[j]), heaps[j]->buffer.budget + hz3_class_size(20));
			sum += heaps[j]->buffer.budget;
		}
		ck_assert_uint_eq(hz3_buffer_granted(), sum);
		ck_assert_uint_le(sum, cap);
	}
	ck_assert_uint_le(hz3_buffer_granted_peak(), cap);
	for (int i = 0; i < SHARERS; i++)
		ck_assert_uint_gt(heaps[i]->buffer.budget, 0);
	for (int i = 0; i < SHARERS; i++) {
		hz3_heap_flush(heaps[i], HZ3_FLUSH_EXIT);
		hz3_buffer_return_budget(&heaps[i]->buffer);
		ck_assert_uint_eq(heaps[i]->counters.flushes[HZ3_FLUSH_EXIT], 1);
	}
	ck_assert_uint_eq(hz3_buffer_granted(), 0);
	hz3_heap_drain_all(owner, SIZE_MAX);
	ck_assert_uint_eq(core_audit(blocks, 4000), core_in_words());
}
END_TEST

/* The default: an eighth of what is active, but from 512 KiB to 8 MiB; a 64th if that is more. */
START_TEST(default_cap)
{
	bool zero;

	use_sink(0);
	ck_assert_uint_eq(hz3_buffer_cap(), (size_t)512 << 10);
	ck_assert_uint_ne(hz3_arena_alloc(owner->arena, 512, 1, &zero), 0);
	ck_assert_uint_eq(hz3_buffer_cap(), (size_t)4 << 20);
	ck_assert_uint_ne(hz3_arena_alloc(owner->arena, 1024, 1, &zero), 0);
	ck_assert_uint_eq(hz3_buffer_cap(), (size_t)8 << 20);
	ck_assert_uint_ne(hz3_arena_alloc(owner->arena, 16384, 1, &zero), 0);
	ck_assert_uint_eq(hz3_buffer_cap(), hz3_arenas_active() / 64);
	ck_assert_uint_gt(hz3_buffer_cap(), (size_t)8 << 20);
}
END_TEST

/* Budgets of nothing: every block is sent at once, and it is no different otherwise. */
START_TEST(no_budget)
{
	use_sink(_i);
	hz3_options.remote_budget = 0;
	void **blocks = whole_pages(CLASS, 1);
	for (unsigned i = 0; i < 50; i++) {
		core_free(freer, blocks[i]);
		ck_assert_uint_eq(held(freer), 0);
		blocks[i] = NULL;
	}
	ck_assert_uint_eq(sent(freer).chains, 50);
	ck_assert_uint_eq(freer->counters.flushes[HZ3_FLUSH_BUDGET], 50);
	hz3_heap_drain_all(owner, SIZE_MAX);
	ck_assert_uint_eq(core_audit(blocks, hz3_class_info[CLASS].capacity + 1), core_in_words());
	free(blocks);
}
END_TEST

START_TEST(batching_off)
{
	use_sink(_i);
	void **blocks = whole_pages(CLASS, 2);
	unsigned capacity = hz3_class_info[CLASS].capacity;

	/* What is held when it is switched off goes with the first block. */
	for (unsigned i = 0; i < 10; i++)
		core_free(freer, blocks[i]);
	hz3_sink_set_batch(false);
	for (unsigned i = 10; i < 60; i++) {
		core_free(freer, blocks[i]);
		ck_assert_uint_eq(held(freer), 0);
		ck_assert_uint_eq(freer->buffer.outbox.used, 0);
	}
	ck_assert_uint_eq(sent(freer).chains, 51);
	ck_assert_uint_eq(sent(freer).blocks, 60);
	ck_assert_uint_eq(freer->counters.flushes[HZ3_FLUSH_UNBATCHED], 50);
	ck_assert_uint_eq(freer->counters.flushes[HZ3_FLUSH_IDLE], 1);
	memset(blocks, 0, 60 * sizeof(*blocks));
	hz3_heap_drain_all(owner, SIZE_MAX);
	ck_assert_uint_eq(core_audit(blocks, 2 * capacity + 1), core_in_words());
	/* A block freed alone completes its page as well as a chain does. */
	for (unsigned i = capacity; i < 2 * capacity; i++)
		core_free(freer, blocks[i]);
	memset(blocks + capacity, 0, capacity * sizeof(*blocks));
	hz3_heap_drain_all(owner, SIZE_MAX);
	ck_assert_uint_eq(core_audit(blocks, 2 * capacity + 1), core_in_words());
	free(blocks);
}
END_TEST

START_TEST(flush_of_nothing)
{
	use_sink(0);
	ck_assert(!hz3_heap_flush(freer, HZ3_FLUSH_IDLE));
	ck_assert_uint_eq(freer->counters.flushes[HZ3_FLUSH_IDLE], 0);
	hz3_buffer_return_budget(&freer->buffer);
	ck_assert_uint_eq(hz3_buffer_granted(), 0);
}
END_TEST

/* ---- Whole pages ---- */

/* Who frees every block of a sleeping page has the page: no message, no read-modify-write. */
START_TEST(handover)
{
	static const unsigned classes[] = { 0, CLASS, 20, HZ3_CLASSES - 1 };
	unsigned class = classes[_i / 3], capacity = hz3_class_info[class].capacity;

	use_sink(_i % 3);
	void **blocks = whole_pages(class, 1);
	struct hz3_page *page = core_page_of(blocks[0]);
	hz3_options.remote_budget = (size_t)1 << 20;
	for (unsigned i = 0; i < capacity; i++)
		core_free(freer, blocks[i]);
	ck_assert_uint_eq(freer->counters.handover_pages, 1);
	ck_assert_uint_eq(freer->counters.handover_blocks, capacity);
	ck_assert_uint_eq(sent(freer).rmw_push, 0);
	ck_assert_uint_eq(held(freer), 0);
	ck_assert_uint_eq(page->state, HZ3_PAGE_EMPTY);
	ck_assert_uint_eq(hz3_route_of(hz3_page_slice(page)), 0);
	ck_assert_ptr_eq(freer->stock.runs[page->slices - 1].first, page);
	/* The next page of the freer is this one; its old owner is told nothing and misses nothing. */
	void *p = core_alloc(freer, class);
	ck_assert_ptr_eq(core_page_of(p), page);
	ck_assert_uint_eq(hz3_heap_drain_all(owner, SIZE_MAX), 0);
	hz3_heap_validate(owner);
	hz3_heap_validate(freer);
	void *held_now[] = { p, blocks[capacity] };
	ck_assert_uint_eq(core_audit(held_now, 2), 0);
	struct hz3_heap *heaps[] = { owner, freer };
	ck_assert_uint_eq(core_counted_live(heaps, 2, class), 2);
	free(blocks);
}
END_TEST

/* Of a page that is awake, or when that is turned off, all blocks are a chain like any other. */
START_TEST(no_handover)
{
	unsigned capacity = hz3_class_info[CLASS].capacity;

	use_sink(_i / 2);
	void **blocks = whole_pages(CLASS, 1);
	if (_i % 2) {
		hz3_options.handover = false;
	} else {
		/* Awake: half comes back and is handed out again, and then the page is current. */
		for (unsigned i = 0; i < capacity; i++)
			core_free(owner, blocks[i]);
		while (core_page_of(blocks[0] = core_alloc(owner, CLASS)) != core_page_of(blocks[1]))
			blocks[capacity] = NULL;
		for (unsigned i = 1; i < capacity; i++)
			blocks[i] = core_alloc(owner, CLASS);
		ck_assert_uint_eq(core_page_of(blocks[0])->state, HZ3_PAGE_CURRENT);
	}
	for (unsigned i = 0; i < capacity; i++)
		core_free(freer, blocks[i]);
	ck_assert_uint_eq(freer->counters.handover_pages, 0);
	settle();
	ck_assert_uint_eq(sent(freer).blocks, capacity);
	ck_assert_uint_eq(sent(freer).chains, 1);
	hz3_heap_validate(owner);
	free(blocks);
}
END_TEST

/*
 * A page whose QUEUED is set is in its owner's queue or on the way there, even when its word has no block: it may not
 * change hands.  It comes to that when the owner peels the page, hands everything out again and puts it to sleep while the
 * pusher that turned QUEUED on has not got round to queueing it.
 */
START_TEST(no_handover_while_queued)
{
	unsigned capacity = hz3_class_info[CLASS].capacity;

	use_sink(HZ3_SINK_PAGE);
	void **blocks = whole_pages(CLASS, 1);
	struct hz3_page *page = core_page_of(blocks[0]);
	struct hz3_page_remote *remote = hz3_page_remote(page);
	if (_i)
		hz3_options.remote_budget = 10 * SIZE;
	atomic_fetch_or(&remote->word, HZ3_REMOTE_QUEUED);
	for (unsigned i = 0; i < capacity; i++)
		core_free(freer, blocks[i]);
	hz3_heap_flush(freer, HZ3_FLUSH_IDLE);
	ck_assert_uint_eq(freer->counters.handover_pages, 0);
	ck_assert_uint_eq(hz3_route_owner(hz3_route_of(hz3_page_slice(page))), owner->owner->id);
	ck_assert_uint_eq(hz3_remote_count(remote->word), capacity);
	/* The pusher goes on: the page is queued once, and all of it is delivered. */
	hz3_pages_requeue(owner->owner, page, &freer->counters.sink[HZ3_SINK_PAGE]);
	ck_assert_uint_eq(hz3_heap_drain_all(owner, SIZE_MAX), capacity);
	ck_assert_uint_eq(remote->word, 0);
	ck_assert_uint_eq(core_audit(&blocks[capacity], 1), 0);
	hz3_heap_validate(owner);
	free(blocks);
}
END_TEST

int main(void)
{
	/* What happened is told by the counters. */
	if (!HZ3_STATS)
		return 77;
	Suite *suite = suite_create("remote_buffer");
	TCase *tc = tcase_create("grouping");

	tcase_add_loop_test(tc, groups_by_page, 0, 3);
	tcase_add_loop_test(tc, hit_or_miss, 0, 3);
	tcase_add_loop_test(tc, evicts_the_longer_chain, 0, 6);
	suite_add_tcase(suite, tc);

	tc = tcase_create("budgets");
	tcase_add_loop_test(tc, never_over_budget, 0, 3);
	tcase_add_loop_test(tc, cap_is_shared, 0, 3);
	tcase_add_test(tc, default_cap);
	tcase_add_loop_test(tc, no_budget, 0, 3);
	tcase_add_loop_test(tc, batching_off, 0, 3);
	tcase_add_test(tc, flush_of_nothing);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);

	tc = tcase_create("whole pages");
	tcase_add_loop_test(tc, handover, 0, 12);
	tcase_add_loop_test(tc, no_handover, 0, 6);
	tcase_add_loop_test(tc, no_handover_while_queued, 0, 2);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
