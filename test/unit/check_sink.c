/*
 * Tests of sink.h: what is sent is collected, once, whatever the sink, and also when the choice changes meanwhile.
 */
#include "core.h"

#define CLASS 3u			/* 64 bytes */

static struct hz3_heap *owner, *freer;
static struct hz3_outbox outbox;
static struct hz3_counters counters;
static struct hz3_posted posted;

static void set_up(void)
{
	core_set_up(1);
	owner = hz3_heap_new();
	freer = hz3_heap_new();
}

/* All blocks of n fresh pages of the class, asleep. */
static void **whole_pages(struct hz3_heap *heap, unsigned class, unsigned pages)
{
	size_t n = (size_t)pages * hz3_class_info[class].capacity;
	void **blocks = calloc(n + 1, sizeof(*blocks));

	for (size_t i = 0; i <= n; i++)
		ck_assert_ptr_nonnull(blocks[i] = core_alloc(heap, class));
	return blocks;
}

static struct hz3_chain chain_of(void **blocks, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		hz3_block_link(blocks[i], i + 1 < count ? blocks[i + 1] : NULL);
	return (struct hz3_chain){ blocks[0], blocks[count - 1], count };
}

static void send_chain(void **blocks, unsigned count)
{
	hz3_sink_send(&outbox, core_page_of(blocks[0]), chain_of(blocks, count), &counters, &posted);
}

static void post(void)
{
	hz3_sink_post(&outbox, &counters, &posted);
	ck_assert_uint_eq(outbox.used, 0);
}

/* Collect what was sent to the owner and count what comes; each chain must be what it says it is. */
static size_t collect(struct hz3_heap *heap, unsigned *chains)
{
	struct hz3_inflow inflow = hz3_sink_collect(heap->owner, &counters);
	struct hz3_page *page;
	struct hz3_chain chain;
	size_t blocks = 0;

	*chains = 0;
	while (hz3_inflow_next(&inflow, &page, &chain, &counters)) {
		struct hz3_block *block = chain.first;

		/* An entry of a page that has nothing, and that may be another's by now. */
		if (page == NULL) {
			ck_assert_uint_eq(chain.count, 0);
			continue;
		}
		++*chains;
		for (unsigned i = 0; i < chain.count; i++, block = hz3_block_next(block)) {
			ck_assert_ptr_eq(core_page_of(block), page);
			if (i == chain.count - 1)
				ck_assert_ptr_eq(block, chain.last);
		}
		ck_assert_ptr_null(block);
		blocks += chain.count;
	}
	return blocks;
}

/* ---- One post ---- */

START_TEST(sends_and_collects)
{
	unsigned capacity = hz3_class_info[CLASS].capacity, wake = hz3_class_info[CLASS].wake, chains;

	hz3_sink_set_mode(_i);
	void **blocks = whole_pages(owner, CLASS, 3);
	send_chain(blocks, wake);
	send_chain(blocks + capacity, wake + 5);
	send_chain(blocks + wake, 7);
	send_chain(blocks + 2 * capacity, wake);
	ck_assert(!hz3_inbox_pending(&owner->owner->inbox));
	post();
	ck_assert(hz3_inbox_pending(&owner->owner->inbox));
	ck_assert(!hz3_inbox_pending(&freer->owner->inbox));
	ck_assert_uint_eq(collect(owner, &chains), 3 * wake + 12);
	/* In its own page, a chain joins what is there. */
	ck_assert_uint_eq(chains, counters.sink[HZ3_SINK_PAGE].chains ? 3 : 4);
	ck_assert(!hz3_inbox_pending(&owner->owner->inbox));
	ck_assert_uint_eq(collect(owner, &chains), 0);

	struct hz3_sink_counters *sink = &counters.sink[counters.sink[0].chains ? 0 : 1];
	ck_assert_uint_eq(sink->chains, 4);
	ck_assert_uint_eq(sink->blocks, 3 * wake + 12);
	ck_assert_uint_eq(sink->drained_blocks, 3 * wake + 12);
	ck_assert_uint_eq(sink->page_drains, chains = sink == &counters.sink[HZ3_SINK_PAGE] ? 3 : 4);
	ck_assert_uint_eq(sink->drains, 1);
	/* A weak compare and exchange may fail without a cause. */
	ck_assert_uint_eq(sink->rmw_push - sink->cas_retries, sink == &counters.sink[HZ3_SINK_PAGE] ? 5 : 1);
	ck_assert_uint_eq(sink->rmw_drain, sink == &counters.sink[HZ3_SINK_PAGE] ? 4 : 1);
	ck_assert_uint_le(sink->rmw_queue_push, sink == &counters.sink[HZ3_SINK_PAGE] ? 1 + sink->cas_retries : 0);
	ck_assert_uint_eq(sink->queued_pages, sink == &counters.sink[HZ3_SINK_PAGE] ? 3 : 0);
	ck_assert_uint_eq(sink->rmw_queue_drain, sink == &counters.sink[HZ3_SINK_PAGE] ? 1 : 0);
	ck_assert(!posted.to_parked);
	ck_assert_ptr_null(posted.claimed.first);
	free(blocks);
}
END_TEST

/* Several posts before a drain, which takes all of them; the newest first. */
START_TEST(posts_add_up)
{
	unsigned capacity = hz3_class_info[CLASS].capacity, chains;

	hz3_sink_set_mode(_i);
	void **blocks = whole_pages(owner, CLASS, 8);
	for (unsigned i = 0; i < 8; i++) {
		send_chain(blocks + i * capacity, 100);
		post();
	}
	ck_assert_uint_eq(collect(owner, &chains), 800);
	ck_assert_uint_eq(chains, 8);
	free(blocks);
}
END_TEST

/* In the page sink, fewer than the wake count are found in the word, by those who look there. */
START_TEST(below_the_wake_count)
{
	unsigned wake = hz3_class_info[CLASS].wake, chains;

	hz3_sink_set_mode(HZ3_SINK_PAGE);
	void **blocks = whole_pages(owner, CLASS, 1);
	struct hz3_page *page = core_page_of(blocks[0]);
	send_chain(blocks, wake - 1);
	post();
	ck_assert(!hz3_inbox_pending(&owner->owner->inbox));
	ck_assert_uint_eq(core_in_words(), wake - 1);
	struct hz3_chain chain = hz3_pages_peel(page, &counters.sink[1]);
	ck_assert_uint_eq(chain.count, wake - 1);
	ck_assert_ptr_eq(chain.first, blocks[0]);
	ck_assert_ptr_eq(chain.last, blocks[wake - 2]);
	/* An empty word costs no read-modify-write. */
	uint64_t rmw = counters.sink[1].rmw_drain;
	ck_assert_uint_eq(hz3_pages_peel(page, &counters.sink[1]).count, 0);
	ck_assert_uint_eq(counters.sink[1].rmw_drain, rmw);
	/* One by one: the wake-th queues. */
	for (unsigned i = 0; i < wake; i++) {
		ck_assert(!hz3_inbox_pending(&owner->owner->inbox));
		send_chain(blocks + i, 1);
		post();
	}
	ck_assert(hz3_inbox_pending(&owner->owner->inbox));
	/* What is peeled now leaves an entry without blocks. */
	ck_assert_uint_eq(hz3_pages_peel(page, &counters.sink[1]).count, wake);
	ck_assert_uint_eq(collect(owner, &chains), 0);
	ck_assert_uint_eq(chains, 0);
	ck_assert(!hz3_inbox_pending(&owner->owner->inbox));
	ck_assert_uint_eq(hz3_page_remote(page)->word, 0);
	free(blocks);
}
END_TEST

/* What was taken and can't be used goes back, and is queued again if it is enough. */
START_TEST(returns_and_requeues)
{
	unsigned wake = hz3_class_info[CLASS].wake, chains;

	hz3_sink_set_mode(HZ3_SINK_PAGE);
	void **blocks = whole_pages(owner, CLASS, 1);
	struct hz3_page *page = core_page_of(blocks[0]);
	send_chain(blocks, wake);
	post();
	atomic_store(&owner->owner->inbox.page_queue, 0);
	struct hz3_remote_list list = hz3_remote_take(hz3_page_remote(page));
	send_chain(blocks + wake, 3);
	post();
	hz3_pages_return(owner->owner, page, list, &counters.sink[1]);
	ck_assert_uint_eq(collect(owner, &chains), wake + 3);
	/* Nothing is nothing. */
	hz3_pages_return(owner->owner, page, (struct hz3_remote_list){ 0, 0, 0 }, &counters.sink[1]);
	ck_assert(!hz3_inbox_pending(&owner->owner->inbox));
	free(blocks);
}
END_TEST

/* A chain that completes a sleeping page in its word brings the page to the poster. */
START_TEST(claims)
{
	unsigned class = HZ3_CLASSES - 5, capacity = hz3_class_info[class].capacity, chains;	/* of those above, one block queues the page */

	hz3_sink_set_mode(HZ3_SINK_PAGE);
	hz3_options.handover = _i != 1;
	void **blocks = whole_pages(owner, class, 1);
	struct hz3_page *page = core_page_of(blocks[0]);
	ck_assert_uint_lt(1, hz3_class_info[class].wake);
	if (_i == 2)	/* its owner has it in a list */
		hz3_remote_set_asleep(hz3_page_remote(page), false);
	send_chain(blocks, 1);
	post();
	ck_assert_uint_eq(core_in_words(), 1);
	send_chain(blocks + 1, capacity - 1);
	post();
	if (_i == 0) {
		ck_assert_ptr_eq(posted.claimed.first, page);
		ck_assert_ptr_eq(posted.claimed.last, page);
		ck_assert_uint_eq(hz3_page_remote(page)->word, HZ3_REMOTE_TAKEN);
		ck_assert(!hz3_inbox_pending(&owner->owner->inbox));
	} else {
		ck_assert_ptr_null(posted.claimed.first);
		ck_assert_uint_eq(collect(owner, &chains), capacity);
	}
	free(blocks);
}
END_TEST

/* Two owners with one slot: the first is posted to make room. */
START_TEST(slots_collide)
{
	enum { HEAPS = 2 * HZ3_OUTBOX_SLOTS };
	struct hz3_heap *heaps[HEAPS];
	void *blocks[HEAPS][2];
	unsigned chains;

	hz3_sink_set_mode(_i);
	for (int i = 0; i < HEAPS; i++) {
		heaps[i] = hz3_heap_new();
		blocks[i][0] = core_alloc(heaps[i], 0);
		blocks[i][1] = core_alloc(heaps[i], 1);
	}
	for (int i = 0; i < HEAPS; i++) {
		send_chain(&blocks[i][0], 1);
		send_chain(&blocks[i][1], 1);
	}
	/* Two owners to a slot: half of them went already, each with all that it had. */
	uint64_t sent = counters.sink[0].chains + counters.sink[1].chains;
	ck_assert_uint_eq(sent, HEAPS);
	post();
	ck_assert_uint_eq(counters.sink[0].chains + counters.sink[1].chains, 2 * HEAPS);
	for (int i = 0; i < HEAPS; i++) {
		size_t n = collect(heaps[i], &chains);
		for (unsigned class = 0; class < 2; class++)
			n += hz3_pages_peel(core_page_of(blocks[i][class]), &counters.sink[1]).count;
		ck_assert_uint_eq(n, 2);
	}
}

/* Blocks of all classes that go to one owner go with one read-modify-write; the owner gets them in any order. */
START_TEST(one_list_for_all_classes)
{
	void *blocks[HZ3_CLASSES];
	unsigned chains;

	hz3_sink_set_mode(HZ3_SINK_CENTRAL);
	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		blocks[class] = core_alloc(owner, class);
		send_chain(&blocks[class], 1);
	}
	post();
	ck_assert_uint_eq(counters.sink[HZ3_SINK_CENTRAL].rmw_push - counters.sink[HZ3_SINK_CENTRAL].cas_retries, 1);
	ck_assert_uint_eq(collect(owner, &chains), HZ3_CLASSES);
	ck_assert_uint_eq(chains, HZ3_CLASSES);
	ck_assert_uint_eq(counters.sink[HZ3_SINK_CENTRAL].rmw_drain, 1);
}
END_TEST
END_TEST

START_TEST(auto_chooses_by_length)
{
	unsigned capacity = hz3_class_info[CLASS].capacity;

	hz3_sink_set_mode(HZ3_SINK_AUTO);
	void **blocks = whole_pages(owner, CLASS, 4);
	send_chain(blocks, capacity / 2);
	post();
	ck_assert_uint_eq(counters.sink[HZ3_SINK_PAGE].chains, 1);
	ck_assert_uint_eq(counters.sink[HZ3_SINK_CENTRAL].chains, 0);
	for (unsigned i = 1; i < 4; i++)
		send_chain(blocks + i * capacity, 5);
	post();
	ck_assert_uint_eq(counters.sink[HZ3_SINK_PAGE].chains, 1);
	ck_assert_uint_eq(counters.sink[HZ3_SINK_CENTRAL].chains, 3);
	free(blocks);
}
END_TEST

START_TEST(posts_are_noted)
{
	hz3_sink_set_mode(_i);
	void **blocks = whole_pages(owner, CLASS, 1);
	ck_assert_uint_eq(owner->owner->posted, 0);
	send_chain(blocks, 1);
	post();
	ck_assert_uint_eq(owner->owner->posted, 1);
	ck_assert(!posted.to_parked);
	atomic_store(&owner->owner->state, HZ3_OWNER_PARKED);
	send_chain(blocks + 1, 1);
	ck_assert(!posted.to_parked);
	post();
	ck_assert(posted.to_parked);
	free(blocks);
}
END_TEST

/* What is collected and not used up is left for the next who collects, together with what has come since. */
START_TEST(leaves_the_rest)
{
	unsigned capacity = hz3_class_info[CLASS].capacity, chains;
	struct hz3_page *page;
	struct hz3_chain chain;

	hz3_sink_set_mode(_i);
	void **blocks = whole_pages(owner, CLASS, 6);
	for (unsigned i = 0; i < 5; i++)
		send_chain(blocks + i * capacity, 100);
	post();
	struct hz3_inflow inflow = hz3_sink_collect(owner->owner, &counters);
	ck_assert(hz3_inflow_next(&inflow, &page, &chain, &counters));
	ck_assert_uint_eq(chain.count, 100);
	hz3_sink_leave(owner->owner, inflow);
	ck_assert(hz3_inbox_pending(&owner->owner->inbox));
	send_chain(blocks + 5 * capacity, 100);
	post();
	size_t n = 0;
	while (hz3_inbox_pending(&owner->owner->inbox))
		n += collect(owner, &chains);
	ck_assert_uint_eq(n, 500);
	free(blocks);
}
END_TEST

START_TEST(set_from_options)
{
	for (int mode = 0; mode < 3; mode++) {
		hz3_options.sink = mode;
		hz3_options.remote_batch = mode % 2;
		hz3_sink_init();
		ck_assert_int_eq((int)hz3_sink_mode(), mode);
		ck_assert_int_eq(hz3_sink_batch(), mode % 2);
	}
}
END_TEST

/* ---- The choice changes ---- */

/* Chains of one page in both sinks at once: all of them are delivered. */
START_TEST(one_page_in_both_sinks)
{
	unsigned capacity = hz3_class_info[CLASS].capacity;

	void **blocks = whole_pages(owner, CLASS, 2);
	for (unsigned i = 0; i < capacity; i += 10) {
		hz3_sink_set_mode((int)(i / 10 % 2));
		for (unsigned page = 0; page < 2; page++) {
			unsigned n = (unsigned)hz3_min(10, capacity - i);
			send_chain(blocks + page * capacity + i, n);
			memset(blocks + page * capacity + i, 0, n * sizeof(*blocks));
		}
		post();
	}
	ck_assert_ptr_nonnull(atomic_load(&owner->owner->inbox.stash));
	ck_assert_uint_ne(owner->owner->inbox.page_queue, 0);
	ck_assert_uint_gt(counters.sink[0].blocks, 900);
	ck_assert_uint_gt(counters.sink[1].blocks, 900);
	ck_assert_uint_eq(core_audit(blocks, 2 * capacity + 1), 2 * capacity);
	ck_assert_uint_eq(hz3_heap_drain_all(owner, SIZE_MAX), 2 * capacity);
	ck_assert_uint_eq(core_audit(blocks, 2 * capacity + 1), 0);
	hz3_heap_validate(owner);
	/* Both pages are empty, and in stock. */
	ck_assert_uint_eq(hz3_stock_slices(&owner->stock), 2);
	free(blocks);
}
END_TEST

/*
 * One owner, three threads that free what it gives them, and a switch that is thrown all the time.  At the end, nothing is
 * missing.
 */
#define FREERS 3
#define BOX 512
#define HANDED 60000

static struct box {
	pthread_mutex_t mutex;
	void *blocks[BOX];
	size_t n;
	bool closed;
} boxes[FREERS];

static void *free_what_comes(void *arg)
{
	struct box *box = arg;
	struct hz3_heap *heap = hz3_heap_new();
	unsigned long seed = core_seed(3) + (unsigned long)(box - boxes);
	bool closed = false;
	void *mine[BOX];

	while (!closed) {
		pthread_mutex_lock(&box->mutex);
		size_t n = box->n;
		memcpy(mine, box->blocks, n * sizeof(*mine));
		box->n = 0;
		closed = box->closed;
		pthread_mutex_unlock(&box->mutex);
		for (size_t i = 0; i < n; i++) {
			ck_assert_uint_eq(((uintptr_t *)mine[i])[1], (uintptr_t)mine[i]);
			core_free(heap, mine[i]);
		}
		if (core_pick(&seed, 20) == 0)
			hz3_heap_flush(heap, HZ3_FLUSH_IDLE);
		if (n == 0)
			sched_yield();
		else if (core_pick(&seed, 8) == 0)
			hz3_sink_set_mode((int)core_pick(&seed, 3));
	}
	hz3_heap_flush(heap, HZ3_FLUSH_EXIT);
	return heap;
}

START_TEST(switched_under_load)
{
	static const unsigned classes[] = { 0, CLASS, 10, HZ3_CLASSES - 1 };
	unsigned long seed = core_seed(4);
	pthread_t thread[FREERS];
	struct hz3_heap *heaps[FREERS + 1];
	static void *kept[1000];

	hz3_sink_set_mode(_i);
	hz3_options.remote_budget = 30000;
	for (int i = 0; i < FREERS; i++) {
		pthread_mutex_init(&boxes[i].mutex, NULL);
		thread[i] = core_start(free_what_comes, &boxes[i]);
	}
	for (int step = 0; step < HANDED; step++) {
		struct box *box = &boxes[core_pick(&seed, FREERS)];
		uintptr_t *p = core_alloc(owner, classes[core_pick(&seed, 4)]);
		size_t keep = core_pick(&seed, 1000);

		ck_assert_ptr_nonnull(p);
		p[1] = (uintptr_t)p;
		if (step % 5 == 0) {
			/* Some stay for a while and are freed locally. */
			if (kept[keep])
				core_free(owner, kept[keep]);
			kept[keep] = p;
			continue;
		}
		pthread_mutex_lock(&box->mutex);
		bool full = box->n == BOX;
		if (!full)
			box->blocks[box->n++] = p;
		pthread_mutex_unlock(&box->mutex);
		if (full) {
			core_free(owner, p);
			sched_yield();
		}
		if (step % 4000 == 0)
			hz3_heap_trim(owner);
	}
	for (int i = 0; i < FREERS; i++) {
		pthread_mutex_lock(&boxes[i].mutex);
		boxes[i].closed = true;
		pthread_mutex_unlock(&boxes[i].mutex);
	}
	for (int i = 0; i < FREERS; i++)
		pthread_join(thread[i], (void **)&heaps[i]);
	hz3_heap_drain_all(owner, SIZE_MAX);
	hz3_heap_validate(owner);
	ck_assert_uint_eq(core_audit(kept, 1000), core_in_words());
	uint64_t live = core_in_words(), counted = 0;
	for (int i = 0; i < 1000; i++)
		live += kept[i] != NULL;
	heaps[FREERS] = owner;
	for (int i = 0; i < 4; i++)
		counted += core_counted_live(heaps, FREERS + 1, classes[i]);
	if (HZ3_STATS)
		ck_assert_uint_eq(counted, live);
	for (int i = 0; i < 1000; i++)
		if (kept[i])
			core_free(owner, kept[i]);
	hz3_heap_trim(owner);
	ck_assert_uint_eq(core_audit(NULL, 0), core_in_words());
}
END_TEST

int main(void)
{
	/* What happened is told by the counters. */
	if (!HZ3_STATS)
		return 77;
	Suite *suite = suite_create("sink");
	TCase *tc = tcase_create("posts");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_loop_test(tc, sends_and_collects, 0, 3);
	tcase_add_loop_test(tc, posts_add_up, 0, 3);
	tcase_add_test(tc, below_the_wake_count);
	tcase_add_test(tc, returns_and_requeues);
	tcase_add_loop_test(tc, claims, 0, 3);
	tcase_add_loop_test(tc, slots_collide, 0, 3);
	tcase_add_test(tc, one_list_for_all_classes);
	tcase_add_test(tc, auto_chooses_by_length);
	tcase_add_loop_test(tc, posts_are_noted, 0, 3);
	tcase_add_loop_test(tc, leaves_the_rest, 0, 3);
	tcase_add_test(tc, set_from_options);
	suite_add_tcase(suite, tc);

	tc = tcase_create("switching");
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, one_page_in_both_sinks);
	tcase_add_loop_test(tc, switched_under_load, 0, 3);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
