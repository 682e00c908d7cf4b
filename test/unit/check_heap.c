/*
 * Tests of heap.h: how pages live, what the countdown announces, what comes back and where it goes; and that nothing is
 * ever lost: for every page, popped minus delivered equals live, and free + uncarved + live equals capacity.
 */
#include "core.h"

#define CLASS 3u			/* 64 bytes, pages of one slice */

static struct hz3_heap *heap, *other;
static char text[1024];

static void set_up(void)
{
	core_set_up(1);
	heap = hz3_heap_new();
	other = hz3_heap_new();
}

static unsigned capacity_of(unsigned class)
{
	return hz3_class_info[class].capacity;
}

static void **alloc_many(unsigned class, size_t n)
{
	void **blocks = calloc(n, sizeof(*blocks));

	for (size_t i = 0; i < n; i++)
		ck_assert_ptr_nonnull(blocks[i] = core_alloc(heap, class));
	return blocks;
}

static void check_all(void *const *blocks, size_t n)
{
	hz3_heap_validate(heap);
	hz3_heap_validate(other);
	hz3_arenas_validate();
	ck_assert_uint_eq(core_audit(blocks, n), 0);
}

/* ---- How pages live ---- */

START_TEST(new_heaps)
{
	ck_assert_uint_eq(heap->owner->id, 1);
	ck_assert_uint_eq(other->owner->id, 2);
	ck_assert_uint_eq(heap->tag, 1);
	ck_assert_ptr_eq(hz3_owner_by_id(2), other->owner);
	ck_assert_ptr_eq(other->owner->heap, other);
	for (unsigned class = 0; class < HZ3_CLASSES; class++)
		ck_assert_ptr_eq(heap->page[class], &hz3_page_none);
	hz3_heap_validate(heap);
	ck_assert_uint_eq((uintptr_t)heap->owner % HZ3_CACHE_LINE, 0);
}
END_TEST

/* Nothing of a page is touched before it is needed. */
START_TEST(carves_as_needed)
{
	unsigned class = (unsigned)_i;
	const struct hz3_class_info *info = &hz3_class_info[class];

	void *p = core_alloc(heap, class);
	struct hz3_page *page = core_page_of(p);
	ck_assert_ptr_eq(p, hz3_page_start(page));
	ck_assert_uint_eq(page->carved, hz3_min(info->extend, info->capacity));
	for (unsigned i = 1; i < info->capacity; i++) {
		void *q = core_alloc(heap, class);
		ck_assert_ptr_eq(q, (char *)p + i * hz3_class_size(class));
		ck_assert_uint_le(page->carved, i + info->extend);
	}
	ck_assert_uint_eq(page->state, HZ3_PAGE_CURRENT);
	ck_assert(!hz3_remote_is_asleep(hz3_page_remote(page)));
	void *next = core_alloc(heap, class);
	ck_assert_ptr_ne(core_page_of(next), page);
	ck_assert_uint_eq(page->state, HZ3_PAGE_ASLEEP);
	ck_assert(hz3_remote_is_asleep(hz3_page_remote(page)));
	ck_assert_uint_eq(page->countdown, info->wake);
	ck_assert_uint_eq(heap->counters.class[class].pages_made, 2);
	hz3_page_validate(page, heap->owner->id);
}
END_TEST

/* Local frees: asleep until the wake count is there, awake until all is, then in stock. */
START_TEST(wakes_and_empties)
{
	unsigned class = (unsigned)_i, capacity = capacity_of(class), wake = hz3_class_info[class].wake;
	void **blocks = alloc_many(class, capacity + 1);
	struct hz3_page *page = core_page_of(blocks[0]);

	for (unsigned i = 0; i < capacity; i++) {
		enum hz3_page_state want = i < wake ? HZ3_PAGE_ASLEEP : HZ3_PAGE_AWAKE;
		ck_assert_uint_eq(page->state, want);
		ck_assert_int_eq(hz3_remote_is_asleep(hz3_page_remote(page)), want == HZ3_PAGE_ASLEEP);
		ck_assert_int_eq(heap->awake[class].first == page, want == HZ3_PAGE_AWAKE);
		if (i % 97 == 0 || i == wake || i == capacity - 1)
			hz3_page_validate(page, heap->owner->id);
		core_free(heap, blocks[i]);
		blocks[i] = NULL;
	}
	ck_assert_uint_eq(page->state, HZ3_PAGE_EMPTY);
	ck_assert_ptr_null(heap->awake[class].first);
	ck_assert_uint_eq(hz3_route_of(hz3_page_slice(page)), 0);
	ck_assert_uint_eq(hz3_stock_slices(&heap->stock), page->slices);
	ck_assert_uint_eq(heap->counters.class[class].freed_local, capacity);
	ck_assert_uint_eq(heap->counters.class[class].pages_retired, 1);
	check_all(blocks, capacity + 1);
	/* The stock is used before the arena is asked. */
	size_t active = hz3_arenas_active();
	for (unsigned i = 0; i < capacity; i++)
		ck_assert_ptr_nonnull(blocks[i] = core_alloc(heap, class));
	ck_assert_ptr_eq(core_page_of(blocks[capacity - 1]), page);
	ck_assert_uint_eq(hz3_arenas_active(), active);
	ck_assert_uint_eq(hz3_stock_slices(&heap->stock), 0);
	check_all(blocks, capacity + 1);
	free(blocks);
}
END_TEST

/* The same by remote frees, in chains that step over the thresholds in all ways. */
START_TEST(wakes_by_delivery)
{
	unsigned class = (unsigned)_i / 3, capacity = capacity_of(class);
	unsigned long seed = core_seed((unsigned)_i);

	hz3_sink_set_mode(_i % 3);
	hz3_options.handover = false;
	hz3_options.empty_pages_max = 0;
	void **blocks = alloc_many(class, capacity + 1);
	for (unsigned i = 0; i < capacity;) {
		unsigned n = 1 + (unsigned)core_pick(&seed, hz3_min(capacity - i, 1 + capacity / 3));
		for (unsigned j = 0; j < n; j++) {
			core_free(other, blocks[i]);
			blocks[i++] = NULL;
		}
		hz3_heap_flush(other, HZ3_FLUSH_IDLE);
		hz3_heap_drain_all(heap, SIZE_MAX);
		hz3_heap_validate(heap);
		ck_assert_uint_eq(core_audit(blocks, capacity + 1), core_in_words());
	}
	/* What was too little to be queued is found when the heap looks. */
	hz3_heap_trim(heap);
	check_all(blocks, capacity + 1);
	ck_assert_uint_eq(hz3_arenas_active(), hz3_class_page_bytes(class));
	ck_assert_uint_eq(heap->counters.class[class].freed_remote, capacity);
	free(blocks);
}
END_TEST

/* Awake pages are used in the order in which they woke, before a fresh one. */
START_TEST(awake_before_fresh)
{
	unsigned capacity = capacity_of(CLASS), wake = hz3_class_info[CLASS].wake;
	void **blocks = alloc_many(CLASS, 3 * capacity);
	struct hz3_page *first = core_page_of(blocks[0]), *second = core_page_of(blocks[capacity]);

	for (unsigned i = 0; i < wake; i++)
		core_free(heap, blocks[capacity + i]);
	for (unsigned i = 0; i < wake; i++)
		core_free(heap, blocks[i]);
	for (unsigned i = 0; i < wake; i++)
		ck_assert_ptr_eq(core_page_of(core_alloc(heap, CLASS)), second);
	for (unsigned i = 0; i < wake; i++)
		ck_assert_ptr_eq(core_page_of(core_alloc(heap, CLASS)), first);
	ck_assert_uint_eq(heap->counters.class[CLASS].pages_made, 3);
	free(blocks);
}
END_TEST

/* Blocks freed into the current page are handed out next. */
START_TEST(current_page_reuses)
{
	void *a = core_alloc(heap, CLASS), *b = core_alloc(heap, CLASS);

	for (int i = 0; i < 1000; i++) {
		core_free(heap, b);
		core_free(heap, a);
		ck_assert_ptr_eq(core_alloc(heap, CLASS), a);
		ck_assert_ptr_eq(core_alloc(heap, CLASS), b);
	}
	core_free(heap, a);
	core_free(heap, b);
	check_all(NULL, 0);
	/* A current page without a block in use is given back only on request. */
	ck_assert_uint_eq(hz3_stock_slices(&heap->stock), 0);
	ck_assert_uint_gt(hz3_arenas_active(), 0);
	hz3_heap_trim(heap);
	ck_assert_uint_eq(hz3_arenas_active(), 0);
	ck_assert_ptr_eq(heap->page[CLASS], &hz3_page_none);
	struct hz3_heap *heaps[] = { heap, other };
	ck_assert_uint_eq(core_counted_live(heaps, 2, CLASS), 0);
	check_all(NULL, 0);
}
END_TEST

/* The countdown of a current page never ends; should it, it starts anew. */
START_TEST(countdown_of_current)
{
	void *p = core_alloc(heap, CLASS);
	struct hz3_page *page = core_page_of(p);

	page->local_base = page->countdown = 1;
	core_free(heap, p);
	ck_assert_uint_eq(page->countdown, HZ3_COUNTDOWN_NEVER);
	ck_assert_uint_eq(page->state, HZ3_PAGE_CURRENT);
	ck_assert_uint_eq(heap->counters.class[CLASS].freed_local, 1);
	check_all(NULL, 0);
}
END_TEST

START_TEST(stock_is_limited)
{
	unsigned capacity = capacity_of(CLASS), limit = (unsigned)_i;
	void **blocks;

	hz3_options.empty_pages_max = (int)limit;
	blocks = alloc_many(CLASS, 12 * capacity + 1);
	for (unsigned i = 0; i < 12 * capacity; i++) {
		core_free(heap, blocks[i]);
		ck_assert_uint_le(hz3_stock_slices(&heap->stock), limit);
	}
	ck_assert_uint_eq(hz3_stock_slices(&heap->stock), limit);
	ck_assert_uint_eq(hz3_arenas_active(), (limit + 1) * HZ3_SLICE);
	ck_assert_uint_eq(hz3_arenas_dirty(), (12 - limit) * HZ3_SLICE);
	check_all(&blocks[12 * capacity], 1);
	/* Those that were emptied last are kept. */
	struct hz3_page *page = heap->stock.runs[0].first;
	for (unsigned i = 0; i < limit; i++, page = page->next)
		ck_assert_ptr_eq(hz3_page_start(page), blocks[(11 - i) * capacity]);
	ck_assert_ptr_null(page);
	free(blocks);
}
END_TEST

/* Runs of large blocks go into the stock and come out of it, by length; longer ones go to the arena. */
START_TEST(stock_has_runs)
{
	bool zero;
	size_t run[HZ3_STOCK_SLICES_MAX + 2];

	hz3_options.empty_pages_max = 40;
	for (size_t n = 1; n < HZ3_STOCK_SLICES_MAX + 2; n++) {
		run[n] = hz3_heap_run_alloc(heap, n, 1, &zero);
		ck_assert_uint_ne(run[n], 0);
	}
	for (size_t n = 1; n < HZ3_STOCK_SLICES_MAX + 2; n++)
		hz3_heap_run_free(heap, run[n], n);
	ck_assert_uint_eq(hz3_stock_slices(&heap->stock), 36);
	ck_assert_uint_eq(hz3_arenas_active(), 36 * HZ3_SLICE);
	for (size_t n = 1; n <= HZ3_STOCK_SLICES_MAX; n++) {
		zero = true;
		ck_assert_uint_eq(hz3_heap_run_alloc(heap, n, 1, &zero), run[n]);
		ck_assert(!zero);
	}
	ck_assert_uint_eq(hz3_stock_slices(&heap->stock), 0);
	/* What is not aligned enough stays where it is; a run can become a page. */
	hz3_heap_run_free(heap, run[1], 1);
	size_t aligned = hz3_heap_run_alloc(heap, 1, 64, &zero);
	ck_assert_uint_eq((uintptr_t)hz3_slice_address(aligned) % (64 * HZ3_SLICE), 0);
	hz3_arena_free(aligned, 1);
	if (aligned != run[1]) {
		ck_assert_uint_eq(hz3_stock_slices(&heap->stock), 1);
		void *p = core_alloc(heap, CLASS);
		ck_assert_uint_eq(hz3_slice_of(p), run[1]);
		core_free(heap, p);
	}
	for (size_t n = 2; n <= HZ3_STOCK_SLICES_MAX; n++)
		hz3_arena_free(run[n], n);
	hz3_heap_trim(heap);
	ck_assert_uint_eq(hz3_arenas_active(), 0);
	check_all(NULL, 0);
}
END_TEST

/* Pages of one span serve all classes that have it. */
START_TEST(stock_is_shared_by_span)
{
	unsigned big = hz3_size_class(32768), capacity = capacity_of(big);
	unsigned sibling = big - 1;

	ck_assert_uint_eq(hz3_class_info[big].slices, hz3_class_info[sibling].slices);
	void **blocks = alloc_many(big, capacity + 1);
	struct hz3_page *page = core_page_of(blocks[0]);
	for (unsigned i = 0; i < capacity; i++)
		core_free(heap, blocks[i]);
	ck_assert_ptr_eq(heap->stock.runs[page->slices - 1].first, page);
	void *p = core_alloc(heap, sibling);
	ck_assert_ptr_eq(core_page_of(p), page);
	ck_assert_uint_eq(page->class, sibling);
	void *held[] = { p, blocks[capacity] };
	check_all(held, 2);
	free(blocks);
}
END_TEST

/* When new memory has to be taken, current pages of big blocks are given up, unless a block is in use. */
START_TEST(empty_current_pages_are_found)
{
	unsigned kept = hz3_size_class(5000), empty = hz3_size_class(65536);
	size_t n = 2 * HZ3_STOCK_SLICES_MAX;
	bool zero;

	void *p = core_alloc(heap, kept);
	struct hz3_page *page = core_page_of(p);
	core_free(heap, core_alloc(heap, empty));
	ck_assert_ptr_ne(heap->page[empty], &hz3_page_none);
	size_t slice = hz3_heap_run_alloc(heap, n, 1, &zero);
	ck_assert(slice != 0 && zero);
	ck_assert_ptr_eq(heap->page[empty], &hz3_page_none);
	ck_assert_ptr_eq(heap->page[kept], page);
	hz3_heap_run_free(heap, slice, n);
	check_all(&p, 1);
}
END_TEST

/* ---- What comes back ---- */

START_TEST(drain_has_a_budget)
{
	unsigned capacity = capacity_of(CLASS), pages = 8;
	size_t size = hz3_class_size(CLASS);

	hz3_sink_set_mode(_i);
	hz3_options.handover = false;
	void **blocks = alloc_many(CLASS, pages * capacity + 1);
	for (unsigned i = 0; i < pages * capacity; i++)
		core_free(other, blocks[i]);
	hz3_heap_flush(other, HZ3_FLUSH_IDLE);
	/* At least one chain, and at most one too much. */
	size_t n = hz3_heap_drain(heap, 1);
	ck_assert_uint_ge(n, 1);
	ck_assert_uint_le(n, capacity);
	ck_assert(hz3_inbox_pending(&heap->owner->inbox));
	n += hz3_heap_drain(heap, 2 * capacity * size);
	ck_assert_uint_le(n, 4 * capacity);
	ck_assert_uint_eq(core_audit(&blocks[pages * capacity], 1), pages * capacity - n);
	/* What was collected and not yet taken in is not forgotten. */
	n += hz3_heap_drain_all(heap, SIZE_MAX);
	ck_assert_uint_eq(n, pages * capacity);
	ck_assert(!hz3_inbox_pending(&heap->owner->inbox));
	check_all(&blocks[pages * capacity], 1);
	free(blocks);
}
END_TEST

/* Before a fresh page is taken, everything that has come back for any class is looked at. */
START_TEST(fresh_page_sweeps_all_classes)
{
	unsigned capacity = capacity_of(CLASS);

	hz3_sink_set_mode(_i);
	hz3_options.handover = false;
	void **blocks = alloc_many(CLASS, capacity + 1);
	struct hz3_page *page = core_page_of(blocks[0]);
	for (unsigned i = 0; i < capacity; i++)
		core_free(other, blocks[i]);
	hz3_heap_flush(other, HZ3_FLUSH_IDLE);
	/* A class of the same span: its first page is the one that has come back empty. */
	void *p = core_alloc(heap, CLASS + 1);
	ck_assert_ptr_eq(core_page_of(p), page);
	void *held[] = { p, blocks[capacity] };
	check_all(held, 2);
	free(blocks);
}
END_TEST

/* The word of the current page is looked into before the page is called full. */
START_TEST(current_page_is_peeled)
{
	unsigned capacity = capacity_of(CLASS);

	hz3_sink_set_mode(HZ3_SINK_PAGE);
	void **blocks = alloc_many(CLASS, capacity);
	for (unsigned i = 0; i < 3; i++)
		core_free(other, blocks[i]);
	hz3_heap_flush(other, HZ3_FLUSH_IDLE);
	ck_assert(!hz3_inbox_pending(&heap->owner->inbox));
	for (unsigned i = 0; i < 3; i++)
		ck_assert_ptr_eq(core_page_of(blocks[i] = core_alloc(heap, CLASS)), core_page_of(blocks[5]));
	check_all(blocks, capacity);
	struct hz3_heap *heaps[] = { heap, other };
	ck_assert_uint_eq(core_counted_live(heaps, 2, CLASS), capacity);
	free(blocks);
}
END_TEST

/* A page may not be retired while its QUEUED is set, though all its blocks are there; the drain that unlinks it does. */
START_TEST(queued_pages_stay)
{
	unsigned capacity = capacity_of(CLASS), wake = hz3_class_info[CLASS].wake;

	hz3_sink_set_mode(HZ3_SINK_PAGE);
	hz3_options.handover = false;
	hz3_options.empty_pages_max = 0;
	void **blocks = alloc_many(CLASS, capacity + 1);
	struct hz3_page *page = core_page_of(blocks[0]);
	for (unsigned i = 0; i < wake; i++)
		core_free(heap, blocks[i]);
	for (unsigned i = wake; i < 2 * wake; i++)
		core_free(other, blocks[i]);
	hz3_heap_flush(other, HZ3_FLUSH_IDLE);
	/* The list is taken, the entry stays in the queue. */
	hz3_heap_trim(heap);
	ck_assert_uint_eq(hz3_page_remote(page)->word, HZ3_REMOTE_QUEUED);
	for (unsigned i = 2 * wake; i < capacity; i++)
		core_free(heap, blocks[i]);
	ck_assert_uint_eq(page->state, HZ3_PAGE_AWAKE);
	ck_assert_uint_eq(hz3_page_count_free(page), capacity);
	hz3_heap_validate(heap);
	hz3_heap_trim(heap);
	ck_assert_uint_eq(page->state, HZ3_PAGE_AWAKE);
	ck_assert_uint_eq(hz3_heap_drain_all(heap, SIZE_MAX), 0);
	ck_assert_uint_eq(hz3_arenas_active(), HZ3_SLICE);
	check_all(&blocks[capacity], 1);
	free(blocks);
}
END_TEST

/* The same of a current page, when memory is asked back. */
START_TEST(queued_current_page_stays)
{
	unsigned wake = hz3_class_info[CLASS].wake;
	void **blocks = alloc_many(CLASS, wake);

	hz3_sink_set_mode(HZ3_SINK_PAGE);
	for (unsigned i = 0; i < wake; i++)
		core_free(other, blocks[i]);
	hz3_heap_flush(other, HZ3_FLUSH_IDLE);
	hz3_heap_trim(heap);
	ck_assert_uint_eq(hz3_arenas_active(), HZ3_SLICE);
	hz3_heap_drain_all(heap, SIZE_MAX);
	hz3_heap_trim(heap);
	ck_assert_uint_eq(hz3_arenas_active(), 0);
	check_all(NULL, 0);
	free(blocks);
}
END_TEST

/* A page that another heap has taken over since (by hand here): its chains are sent on, also through a third heap. */
START_TEST(chains_are_forwarded)
{
	unsigned capacity = capacity_of(CLASS), n = 100;
	struct hz3_heap *third = hz3_heap_new();

	hz3_sink_set_mode(_i);
	void **blocks = alloc_many(CLASS, capacity + 1);
	struct hz3_page *page = core_page_of(blocks[0]);
	for (unsigned i = 0; i < n; i++) {
		core_free(other, blocks[i]);
		blocks[i] = NULL;
	}
	hz3_heap_flush(other, HZ3_FLUSH_IDLE);
	hz3_route_set(hz3_page_slice(page), hz3_route_page(third->owner->id, CLASS, 0));
	ck_assert_uint_eq(hz3_heap_drain_all(heap, SIZE_MAX), n);
	ck_assert_uint_eq(heap->counters.forwarded_chains, 1);
	ck_assert_uint_eq(heap->counters.class[CLASS].freed_remote, 0);
	ck_assert(hz3_inbox_pending(&third->owner->inbox));
	ck_assert_uint_eq(core_audit(blocks, capacity + 1), n);
	ck_assert_uint_eq(hz3_heap_drain_all(third, SIZE_MAX), n);
	ck_assert_uint_eq(third->counters.class[CLASS].freed_remote, n);
	ck_assert_ptr_eq(third->awake[CLASS].first, page);
	hz3_heap_validate(third);
	check_all(blocks, capacity + 1);
	/* What is freed from now on goes there at once; the old owner is a stranger like any other. */
	for (unsigned i = n; i < capacity; i++) {
		core_free(i % 2 ? heap : other, blocks[i]);
		blocks[i] = NULL;
	}
	hz3_heap_flush(heap, HZ3_FLUSH_IDLE);
	hz3_heap_flush(other, HZ3_FLUSH_IDLE);
	hz3_heap_drain_all(third, SIZE_MAX);
	hz3_heap_trim(third);
	ck_assert_uint_eq(hz3_arenas_active(), HZ3_SLICE);
	check_all(blocks, capacity + 1);
	free(blocks);
}
END_TEST

/* The owner has more to collect than one refill may take in: a page of it can fall asleep with QUEUED set. */
START_TEST(sleeps_while_queued)
{
	unsigned class = 0, capacity = capacity_of(class), wake = hz3_class_info[class].wake, pages = 40;

	hz3_sink_set_mode(HZ3_SINK_PAGE);
	hz3_options.remote_drain_budget = 4096;
	void **blocks = alloc_many(class, (size_t)pages * capacity + wake);
	struct hz3_page *current = core_page_of(blocks[pages * capacity]);
	/* The current page is queued first, so it comes last. */
	for (unsigned i = 0; i < wake; i++)
		core_free(other, blocks[pages * capacity + i]);
	hz3_heap_flush(other, HZ3_FLUSH_IDLE);
	for (unsigned page = 0; page < pages; page++) {
		for (unsigned i = 0; i < capacity / 2; i++) {
			core_free(other, blocks[page * capacity + i]);
			blocks[page * capacity + i] = NULL;
		}
		hz3_heap_flush(other, HZ3_FLUSH_IDLE);
	}
	/* All of the current page, with what is peeled from its word. */
	unsigned n = 0;
	void **again = calloc(capacity, sizeof(*again));
	while (current->state == HZ3_PAGE_CURRENT) {
		void *p = core_alloc(heap, class);
		if (core_page_of(p) == current)
			again[n++] = p;
		else
			core_free(heap, p);
	}
	ck_assert_uint_eq(n, capacity);
	ck_assert_uint_eq(hz3_page_remote(current)->word, HZ3_REMOTE_QUEUED);
	/* All of it freed by one thread: the page must not change hands, for it is in the inflow. */
	for (unsigned i = 0; i < capacity; i++)
		core_free(other, again[i]);
	ck_assert_uint_eq(other->counters.handover_pages, 0);
	hz3_heap_flush(other, HZ3_FLUSH_IDLE);
	hz3_heap_drain_all(heap, SIZE_MAX);
	ck_assert_uint_eq(hz3_page_remote(current)->word, 0);
	check_all(blocks, pages * capacity);
	free(again);
	free(blocks);
}
END_TEST

/* ---- No memory ---- */

START_TEST(no_memory)
{
	core_refuse_mmap(1, true);
	ck_assert_ptr_null(core_alloc(heap, CLASS));
	ck_assert_ptr_null(core_alloc(heap, HZ3_CLASSES - 1));
	hz3_heap_validate(heap);
	unsigned heaps = 0;
	while (hz3_heap_new())
		ck_assert_uint_lt(++heaps, 1000);
	core_refuse_mmap(0, false);
	void *p = core_alloc(heap, CLASS);
	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_nonnull(hz3_heap_new());
	check_all(&p, 1);
}
END_TEST

/* ---- Mistakes that are found ---- */

static void *victim;

static void free_twice(void *arg)
{
	(void)arg;
	core_free(heap, victim);
	core_free(heap, victim);
}

static void free_twice_remotely(void *arg)
{
	(void)arg;
	core_free(other, victim);
	core_free(other, victim);
}

static void validate(void *arg)
{
	(void)arg;
	hz3_heap_validate(heap);
}

START_TEST(mistakes_die)
{
	void **blocks = alloc_many(CLASS, 10);

	victim = blocks[0];
	ck_assert(unit_dies(free_twice, NULL, text, sizeof(text)));
	ck_assert_msg(strstr(text, "was freed twice"), "%s", text);
	ck_assert(unit_dies(free_twice_remotely, NULL, text, sizeof(text)));
	ck_assert_msg(strstr(text, "was freed twice"), "%s", text);
	core_page_of(victim)->state = HZ3_PAGE_AWAKE;
	ck_assert(unit_dies(validate, NULL, text, sizeof(text)));
	ck_assert_msg(strstr(text, "current page"), "%s", text);
	free(blocks);
}
END_TEST

/* ---- Everything at once: three heaps, one thread, audited all the time ---- */

#define HEAPS 3
#define SLOTS 3000

static bool miscounted;	/* local frees, by what was torn */

static void audit(struct hz3_heap **heaps, void **slots)
{
	size_t in_flight = core_audit(slots, SLOTS), held = 0;
	uint64_t live = 0;

	for (int i = 0; i < HEAPS; i++)
		hz3_heap_validate(heaps[i]);
	for (int i = 0; i < SLOTS; i++)
		held += slots[i] != NULL;
	for (unsigned class = 0; class < HZ3_CLASSES; class++)
		live += core_counted_live(heaps, HEAPS, class);
	/* Popped minus delivered: what is held here, and what is on its way. */
	if (HZ3_STATS && !miscounted)
		ck_assert_uint_eq(live, held + in_flight);
}

/* As a thread that vanished in the midst of things may leave it, and worse; the stock would be lost, so there is none. */
static void tear_and_mend(struct hz3_heap *who, unsigned long *seed)
{
	hz3_stock_trim(&who->stock);
	hz3_heap_enter(who);
	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		for (struct hz3_page *page = who->awake[class].first; page; page = page->next)
			page->countdown += miscounted ? (uint32_t)core_pick(seed, 3) : 0;
		who->awake[class].first = who->awake[class].last = (struct hz3_page *)text;
		who->direct[class] = &hz3_page_none;
	}
	for (unsigned set = 0; set < HZ3_BUFFER_SETS; set++)
		for (unsigned way = 0; way < HZ3_BUFFER_WAYS; way++) {
			who->buffer.entry[set][way].missing = (uint32_t)core_pick(seed, 100);
			who->buffer.entry[set][way].last = NULL;
		}
	who->buffer.outbox.used = 0;
	hz3_heap_mend(who);
	hz3_heap_validate(who);
}

START_TEST(random_life)
{
	static const unsigned classes[] = { 0, 1, 3, 3, 3, 8, 15, 25, HZ3_CLASSES - 1 };
	static void *slots[SLOTS];
	struct hz3_heap *heaps[HEAPS] = { heap, other, hz3_heap_new() };
	unsigned long seed = core_seed(50 + (unsigned)_i);
	size_t alive = 0, target = SLOTS / 2;

	hz3_sink_set_mode(_i % 3);
	hz3_options.handover = _i % 6 < 3;
	miscounted = _i >= 12;
	hz3_options.remote_budget = _i % 2 ? 3000 : 100000;
	hz3_options.remote_drain_budget = 8192;
	hz3_options.empty_pages_max = 3;
	for (int step = 0; step < 20000; step++) {
		struct hz3_heap *who = heaps[core_pick(&seed, HEAPS)];
		size_t i = core_pick(&seed, SLOTS), what = core_pick(&seed, 4000);

		if (what == 0)
			hz3_heap_trim(who);
		else if (what == 1)
			hz3_heap_drain_all(who, core_pick(&seed, 2) ? SIZE_MAX : 1000);
		else if (what < 6)
			hz3_heap_flush(who, HZ3_FLUSH_IDLE);
		else if (what == 6 && _i % 3 == 2)
			hz3_sink_set_mode((int)core_pick(&seed, 3));
		else if (what == 7)
			hz3_sink_set_batch(core_pick(&seed, 4) != 0);
		else if (what == 8)
			target = core_pick(&seed, SLOTS);
		else if (what < 13 && _i >= 6)
			tear_and_mend(who, &seed);
		if (slots[i] == NULL && alive < target) {
			slots[i] = core_alloc(who, classes[core_pick(&seed, 9)]);
			ck_assert_ptr_nonnull(slots[i]);
			alive++;
		} else if (slots[i] && (alive > target || what % 2)) {
			core_free(who, slots[i]);
			slots[i] = NULL;
			alive--;
		}
		if (step % 1000 == 0)
			audit(heaps, slots);
	}
	for (int i = 0; i < SLOTS; i++)
		if (slots[i])
			core_free(heaps[core_pick(&seed, HEAPS)], slots[i]);
	memset(slots, 0, sizeof(slots));
	for (int i = 0; i < HEAPS; i++)
		hz3_heap_flush(heaps[i], HZ3_FLUSH_IDLE);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < HEAPS; i++) {
			hz3_heap_drain_all(heaps[i], SIZE_MAX);
			hz3_heap_trim(heaps[i]);
		}
	audit(heaps, slots);
	ck_assert_uint_eq(core_audit(slots, SLOTS), core_in_words());
	/* Only pages asleep with blocks in their words, too few for the queue, are left. */
	if (core_in_words() == 0)
		ck_assert_uint_eq(hz3_arenas_active(), 0);
}
END_TEST

int main(void)
{
	/* What happened is told by the counters. */
	if (!HZ3_STATS)
		return 77;
	Suite *suite = suite_create("heap");
	TCase *tc = tcase_create("pages");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, new_heaps);
	tcase_add_loop_test(tc, carves_as_needed, 0, HZ3_CLASSES);
	tcase_add_loop_test(tc, wakes_and_empties, 0, HZ3_CLASSES);
	tcase_add_loop_test(tc, wakes_by_delivery, 0, 3 * HZ3_CLASSES);
	tcase_add_test(tc, awake_before_fresh);
	tcase_add_test(tc, current_page_reuses);
	tcase_add_test(tc, countdown_of_current);
	tcase_add_loop_test(tc, stock_is_limited, 0, 4);
	tcase_add_test(tc, stock_has_runs);
	tcase_add_test(tc, stock_is_shared_by_span);
	tcase_add_test(tc, empty_current_pages_are_found);
	suite_add_tcase(suite, tc);

	tc = tcase_create("remote");
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_loop_test(tc, drain_has_a_budget, 0, 3);
	tcase_add_loop_test(tc, fresh_page_sweeps_all_classes, 0, 3);
	tcase_add_test(tc, current_page_is_peeled);
	tcase_add_test(tc, queued_pages_stay);
	tcase_add_test(tc, queued_current_page_stays);
	tcase_add_loop_test(tc, chains_are_forwarded, 0, 3);
	tcase_add_test(tc, sleeps_while_queued);
	suite_add_tcase(suite, tc);

	tc = tcase_create("trouble");
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, no_memory);
	tcase_add_test(tc, mistakes_die);
	suite_add_tcase(suite, tc);

	tc = tcase_create("random");
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_loop_test(tc, random_life, 0, 18);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
