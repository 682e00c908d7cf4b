/* The thread's heap: pages by size class, refill, drain, retire. */
#include "heap.h"

#include "extent.h"
#include "meta.h"
#include "probe.h"
#include "usdt.h"

#define SWEEP_BUDGET ((size_t)1 << 20)
#define BIG_SLICES 4 /* of pages of blocks over 4 KiB */

struct hz3_page hz3_page_none = { .countdown = HZ3_COUNTDOWN_NEVER };

/* Here, with those who count, so that tests of heaps need not link what collects statistics. */
struct hz3_shared_counters hz3_shared_counters;

/* The requests of a class, in granules: those that have a place in the direct table. */
static size_t first_granule(unsigned class)
{
	return class ? hz3_class_size(class - 1) / HZ3_GRANULE + 1 : 0;
}

static size_t last_direct_granule(unsigned class)
{
	return hz3_min(hz3_class_size(class) / HZ3_GRANULE, HZ3_DIRECT_GRANULES - 1);
}

/* What the direct table has of it: nothing, if every malloc must be seen because some are sampled. */
static struct hz3_page *direct_page(struct hz3_page *page)
{
	return hz3_profile_on || hz3_guard_every ? &hz3_page_none : page;
}

/* The page that a class allocates from, from now on. */
static void set_current(struct hz3_heap *heap, unsigned class, struct hz3_page *page)
{
	size_t last = last_direct_granule(class);

	heap->page[class] = page;
	page = direct_page(page);
	for (size_t i = first_granule(class); i <= last; i++)
		heap->direct[i] = page;
}

void hz3_heap_apply_options(struct hz3_heap *heap)
{
	for (unsigned class = 0; class < HZ3_CLASSES; class++)
		set_current(heap, class, heap->page[class]);
	hz3_heap_renew_view(heap);
}

static struct hz3_heap *heap_new(struct hz3_extents *extents)
{
	struct { struct hz3_heap heap; struct hz3_owner owner; } *both = hz3_meta_alloc(sizeof(*both));

	if (both == NULL)
		return NULL;
	struct hz3_heap *heap = &both->heap;
	struct hz3_owner *owner = &both->owner;
	for (unsigned class = 0; class < HZ3_CLASSES; class++)
		set_current(heap, class, &hz3_page_none);
	hz3_heap_renew_view(heap);
	heap->owner = owner;
	heap->extents = extents;
	owner->heap = heap;
	owner->frees = &heap->buffer.outbox.flows;
	hz3_atomic_store(&owner->state, extents ? HZ3_OWNER_POOL : HZ3_OWNER_RUNNING, relaxed);
	/* Busy until it is complete: it can be found as soon as it is registered. */
	hz3_atomic_store(&heap->busy, 1, relaxed);
	if (!hz3_owner_register(owner)) {
		hz3_meta_undo(both, sizeof(*both));
		return NULL;
	}
	heap->tag = hz3_heap_tag(heap);
	hz3_heap_choose_arenas(heap);
	atomic_signal_fence(memory_order_seq_cst);
	hz3_atomic_store(&heap->busy, 0, relaxed);
	return heap;
}

struct hz3_heap *hz3_heap_new(void)
{
	return heap_new(NULL);
}

struct hz3_heap *hz3_heap_new_for_pool(struct hz3_extents *extents)
{
	return heap_new(extents);
}

/* relaxed, all: arenas stay. */
void hz3_heap_set_arena(struct hz3_heap *heap, unsigned arena)
{
	hz3_write_once(&heap->arena, hz3_arena_for(arena));
	heap->large_arena = hz3_arena_for(arena);
	heap->keeps_to_arena = true;
}

void hz3_heap_choose_arenas(struct hz3_heap *heap)
{
	hz3_write_once(&heap->arena, hz3_arena_for_pages(heap->owner->id));
	heap->large_arena = hz3_arena_for(heap->owner->id);
	heap->keeps_to_arena = false;
}

unsigned hz3_heap_arena_index(const struct hz3_heap *heap)
{
	const struct hz3_arena *arena = hz3_read_once(&heap->arena);

	/* NULL: it is just being made. */
	return arena ? hz3_arena_index(arena) : UINT32_MAX;
}

static struct hz3_class_counters *class_counters(struct hz3_heap *heap, const struct hz3_page *page)
{
	return &heap->counters.class[page->class];
}

/* Blocks that came back to a current page will be handed out again: they are counted as allocated as well. */
void hz3_heap_count_page(const struct hz3_page *page, struct hz3_class_counters *sum)
{
	uint32_t local = page->local_base - page->countdown;

	hz3_count(&sum->freed_local, local);
	if (page->state == HZ3_PAGE_CURRENT)
		hz3_count(&sum->allocated, local);
}

/* Tell the counters of the page's local frees, and start a new countdown. */
static void restart(struct hz3_heap *heap, struct hz3_page *page, uint32_t countdown)
{
	hz3_heap_count_page(page, class_counters(heap, page));
	page->countdown = page->local_base = countdown;
}

/* A page without blocks, in no list, goes to the stock, or to where a pool has it from. */
static void retire(struct hz3_heap *heap, struct hz3_page *page)
{
	hz3_count(&class_counters(heap, page)->pages_retired, 1);
	if (hz3_route_owner(hz3_route_of(hz3_page_slice(page))) == heap->owner->id)
		heap->slices -= page->slices;
	hz3_page_wipe(page);
	if (heap->extents)
		hz3_extents_free(heap->extents, hz3_page_slice(page), page->slices);
	else
		hz3_stock_add(&heap->stock, page);
}

/*
 * All blocks of an awake page are back.  While its QUEUED is set, the page is in a queue, or about to be: it must stay until
 * a drain has unlinked it.
 */
static void page_emptied(struct hz3_heap *heap, struct hz3_page *page)
{
	restart(heap, page, 0);
	if (!hz3_remote_is_clear(hz3_page_remote(page)))
		return;
	hz3_page_list_remove(&heap->awake[page->class], page);
	retire(heap, page);
}

static void wake(struct hz3_heap *heap, struct hz3_page *page, uint32_t free)
{
	hz3_remote_set_asleep(hz3_page_remote(page), false);
	restart(heap, page, page->capacity - free);
	page->state = HZ3_PAGE_AWAKE;
	hz3_page_list_append(&heap->awake[page->class], page);
	if (page->countdown == 0)
		page_emptied(heap, page);
}

/* The current page has nothing left: out of all lists until enough of it is free.  Another must become current. */
static void put_to_sleep(struct hz3_heap *heap, struct hz3_page *page)
{
	hz3_assert(page->free == NULL && page->fresh == 0 && page->carved == page->capacity);
	restart(heap, page, hz3_class_info[page->class].wake);
	page->state = HZ3_PAGE_ASLEEP;
	/* The last write to the page: from here on it may be taken over; but not a pool's. */
	hz3_remote_set_asleep(hz3_page_remote(page), heap->extents == NULL);
}

static void make_current(struct hz3_heap *heap, struct hz3_page *page)
{
	hz3_page_list_remove(&heap->awake[page->class], page);
	hz3_count(&class_counters(heap, page)->allocated, page->capacity - page->countdown);
	restart(heap, page, HZ3_COUNTDOWN_NEVER);
	page->state = HZ3_PAGE_CURRENT;
	set_current(heap, page->class, page);
}

void hz3_heap_page_event(struct hz3_heap *heap, struct hz3_page *page)
{
	switch ((enum hz3_page_state)page->state) {
	case HZ3_PAGE_CURRENT:
		restart(heap, page, HZ3_COUNTDOWN_NEVER);
		break;
	case HZ3_PAGE_ASLEEP:
		wake(heap, page, hz3_class_info[page->class].wake);
		break;
	case HZ3_PAGE_AWAKE:
		page_emptied(heap, page);
		break;
	case HZ3_PAGE_EMPTY:
		hz3_die("free: page %p is empty already: a block of it was freed twice", hz3_page_start(page));
	}
}

/* Take a chain of a page of ours in. */
static void deliver(struct hz3_heap *heap, struct hz3_page *page, struct hz3_chain chain)
{
	/* A current page may be near the end of a countdown that means nothing. */
	if (page->state == HZ3_PAGE_CURRENT && chain.count >= page->countdown)
		restart(heap, page, HZ3_COUNTDOWN_NEVER);
	uint32_t left = page->countdown;
	hz3_check(chain.count <= left || page->state == HZ3_PAGE_ASLEEP, "free: a block of page %p was freed twice",
		  hz3_page_start(page));
	if (chain.count) {
		hz3_page_splice(page, chain);
		hz3_count(&class_counters(heap, page)->freed_remote, chain.count);
		hz3_probe_deliver(heap->owner, hz3_page_slice(page), &heap->counters);
	}
	if (page->state == HZ3_PAGE_ASLEEP && chain.count >= left) {
		uint32_t free = hz3_class_info[page->class].wake - left + chain.count;
		hz3_check(free <= page->capacity, "free: a block of page %p was freed twice", hz3_page_start(page));
		wake(heap, page, free);
		return;
	}
	page->countdown -= chain.count;
	page->local_base -= chain.count;
	if (page->state == HZ3_PAGE_CURRENT)
		hz3_count(&class_counters(heap, page)->allocated, chain.count);
	else if (page->state == HZ3_PAGE_AWAKE && page->countdown == 0)
		page_emptied(heap, page);
}

size_t hz3_heap_take_claimed(struct hz3_heap *heap, struct hz3_posted *posted)
{
	size_t pages = 0;

	for (struct hz3_page *page; (page = posted->claimed.first) != NULL; pages++) {
		hz3_page_list_remove(&posted->claimed, page);
		hz3_heap_take_page(heap, page, page->capacity, true);
	}
	return pages;
}

/* After a post.  True if something went to a parked heap. */
static bool finish_post(struct hz3_heap *heap, struct hz3_posted *posted)
{
	hz3_heap_take_claimed(heap, posted);
	return posted->to_parked;
}

/* A chain of a page that is another's now: send it on. */
static void forward(struct hz3_heap *heap, struct hz3_page *page, struct hz3_chain chain)
{
	struct hz3_posted posted = { 0 };

	if (chain.count == 0)
		return;
	hz3_check(hz3_route_owner(hz3_route_of(hz3_page_slice(page))) != 0,
		  "free: %p was freed twice: its page is not in use", (void *)chain.first);
	hz3_count(&heap->counters.forwarded_chains, 1);
	hz3_count(&heap->counters.forwarded_bytes, chain.count * hz3_class_size(hz3_route_class(hz3_route_of(hz3_page_slice(page)))));
	hz3_sink_send(&heap->buffer.outbox, page, chain, &heap->counters, &posted);
	hz3_sink_post(&heap->buffer.outbox, &heap->counters, &posted);
	finish_post(heap, &posted);
}

static HZ3_NOINLINE size_t drain_pending(struct hz3_heap *heap, size_t budget)
{
	size_t blocks = 0, bytes = 0;
	struct hz3_page *page;
	struct hz3_chain chain;

	struct hz3_inflow inflow = hz3_sink_collect(heap->owner, &heap->counters);
	hz3_count_shared(&hz3_shared_counters.drains, 1);
	while (bytes <= budget && hz3_inflow_next(&inflow, &page, &chain, &heap->counters)) {
		hz3_count_shared(&hz3_shared_counters.page_drains, 1);
		hz3_count_shared(&hz3_shared_counters.drained_blocks, chain.count);
		if (page == NULL)
			continue;
		uint64_t route = hz3_route_of(hz3_page_slice(page));
		if (hz3_likely(hz3_route_owner(route) == heap->tag))
			deliver(heap, page, chain);
		else
			forward(heap, page, chain);
		blocks += chain.count;
		bytes += chain.count * hz3_class_size(hz3_route_class(route));
	}
	/* The rest has to be found by those who look after sleepers, also if one of them has looked while it was out of sight. */
	if (hz3_sink_leave(heap->owner, inflow))
		hz3_owner_note_post(heap->owner);
	HZ3_USDT2(hz3, drain, heap->tag, blocks);
	return blocks;
}

size_t hz3_heap_drain(struct hz3_heap *heap, size_t budget)
{
	return hz3_inbox_pending(&heap->owner->inbox) ? drain_pending(heap, budget) : 0;
}

size_t hz3_heap_drain_all(struct hz3_heap *heap, size_t budget)
{
	size_t blocks = 0;

	if (hz3_owner_was_posted(heap->owner))
		hz3_owner_clear_posted(heap->owner);
	do {
		blocks += hz3_heap_drain(heap, budget);
	} while (budget == SIZE_MAX && hz3_inbox_pending(&heap->owner->inbox));
	if (hz3_inbox_pending(&heap->owner->inbox))
		hz3_owner_note_post(heap->owner);
	return blocks;
}

static void *carve(struct hz3_heap *heap, struct hz3_page *page)
{
	unsigned n = hz3_page_carve(page);

	if (n == 0)
		return NULL;
	hz3_count(&class_counters(heap, page)->allocated, n);
	return hz3_page_take(page);
}

void *hz3_heap_refill(struct hz3_heap *heap, unsigned class)
{
	struct hz3_page *page = heap->page[class];

	hz3_heap_drain(heap, hz3_options.remote_drain_budget);
	if (page != &hz3_page_none) {
		void *block = hz3_page_take(page);
		if (block == NULL)
			block = carve(heap, page);
		if (block)
			return block;
		/* Before it is called full: what others freed into it and was too little to be queued. */
		struct hz3_chain chain = hz3_pages_peel(page, &heap->counters.sink[HZ3_SINK_PAGE]);
		if (chain.count) {
			deliver(heap, page, chain);
			return hz3_page_take(page);
		}
		put_to_sleep(heap, page);
	}
	page = heap->awake[class].first;
	if (page == NULL) {
		set_current(heap, class, &hz3_page_none);
		return NULL;
	}
	make_current(heap, page);
	return hz3_page_take(page);
}

/* What was freed remotely into a page, too little for it to be queued. */
static void peel(struct hz3_heap *heap, struct hz3_page *page)
{
	struct hz3_chain chain = hz3_pages_peel(page, &heap->counters.sink[HZ3_SINK_PAGE]);

	if (chain.count)
		deliver(heap, page, chain);
	else if (page->state == HZ3_PAGE_AWAKE && page->countdown == 0)
		page_emptied(heap, page);	/* its word was held by statistics when it became empty */
}

/* The current page of a class, if none of its blocks is in use. */
static void trim_current(struct hz3_heap *heap, unsigned class)
{
	struct hz3_page *page = heap->page[class];

	if (page == &hz3_page_none)
		return;
	peel(heap, page);
	unsigned free = hz3_page_count_free(page);
	if (free != page->carved || !hz3_remote_is_clear(hz3_page_remote(page)))
		return;
	restart(heap, page, HZ3_COUNTDOWN_NEVER);
	/* What the counters took for allocated when it was carved, and never was handed out. */
	hz3_count(&heap->counters.class[class].allocated, -(uint64_t)free);
	set_current(heap, class, &hz3_page_none);
	retire(heap, page);
}

/*
 * New memory had to be taken, in many pages: what lies about in current pages of big blocks that nobody uses, up to half a MiB for each
 * class, is to be found the next time.  (To look costs little beside the faults of what was taken.)
 */
static void trim_big_currents(struct hz3_heap *heap)
{
	for (unsigned class = HZ3_CLASSES; class-- > 0 && hz3_class_info[class].slices >= BIG_SLICES;)
		trim_current(heap, class);
}

static size_t run_alloc(struct hz3_heap *heap, struct hz3_arena *arena, size_t n, size_t align, bool *zero)
{
	*zero = false;
	if (heap->extents)
		return hz3_extents_alloc(heap->extents, n, align);
	size_t slice = hz3_stock_take(&heap->stock, n, align);
	if (slice)
		return slice;
	slice = heap->keeps_to_arena ? hz3_arena_alloc(arena, n, align, zero) : hz3_arenas_alloc(arena, n, align, zero);
	if (*zero && n >= BIG_SLICES)
		trim_big_currents(heap);
	return slice;
}

size_t hz3_heap_run_alloc(struct hz3_heap *heap, size_t n, size_t align, bool *zero)
{
	/* A single slice comes from where pages do, and can become one. */
	struct hz3_arena *arena = n > 1 ? heap->large_arena : heap->arena;

	return run_alloc(heap, arena, n, align, zero);
}

void hz3_heap_run_free(struct hz3_heap *heap, size_t slice, size_t n)
{
	/* The stock of a heap that keeps to its arena has nothing of others. */
	if (n > HZ3_STOCK_SLICES_MAX || heap->keeps_to_arena) {
		hz3_arena_free(slice, n);
		return;
	}
	struct hz3_page *page = hz3_page_at(slice);
	hz3_page_begin(page, (unsigned)n);
	hz3_stock_add(&heap->stock, page);
}

void *hz3_heap_refill_fresh(struct hz3_heap *heap, unsigned class)
{
	unsigned slices = hz3_class_info[class].slices;
	bool zero;

	/* What the refill's budget left may hold blocks of the class, or whole pages. */
	hz3_heap_drain(heap, SWEEP_BUDGET);
	if (heap->awake[class].first) {
		make_current(heap, heap->awake[class].first);
		return hz3_page_take(heap->page[class]);
	}
	size_t slice = run_alloc(heap, heap->arena, slices, 1, &zero);
	if (slice == 0)
		return NULL;
	struct hz3_page *page = hz3_page_at(slice);
	hz3_page_format(page, class, heap->tag);
	set_current(heap, class, page);
	heap->made_pages = true;
	heap->slices += slices;
	hz3_count(&class_counters(heap, page)->pages_made, 1);
	return carve(heap, page);
}

/*
 * A page that is handed over is a chain that was sent, and drained, for the one read-modify-write that takes it over.  If its
 * blocks were sent before, they came together in the page's word.
 */
static void count_handover(struct hz3_heap *heap, uint64_t blocks, bool sent)
{
	bool central = !sent && hz3_sink_mode() == HZ3_SINK_CENTRAL;
	struct hz3_sink_counters *sink = &heap->counters.sink[central ? HZ3_SINK_CENTRAL : HZ3_SINK_PAGE];

	if (!sent) {
		hz3_count(&sink->chains, 1);
		hz3_count(&sink->blocks, blocks);
	}
	hz3_count(&sink->page_drains, 1);
	hz3_count(&sink->drained_blocks, blocks);
	hz3_count(&heap->counters.handover_pages, 1);
	hz3_count(&heap->counters.handover_blocks, blocks);
}

void hz3_heap_take_page(struct hz3_heap *heap, struct hz3_page *page, uint32_t blocks, bool sent)
{
	struct hz3_class_counters *counters = class_counters(heap, page);

	size_t slice = hz3_page_slice(page);
	uint32_t owner = hz3_route_owner(hz3_route_of(slice));

	hz3_flow_count_page(&heap->buffer.outbox.flows, owner, page->class, blocks, sent);
	hz3_probe_deliver(hz3_owner_by_id(owner), slice, &heap->counters);
	hz3_heap_count_page(page, counters);
	hz3_count(&counters->freed_remote, blocks);
	count_handover(heap, blocks, sent);
	retire(heap, page);
}

/* Not a current page: its owner takes blocks of it without asking.  Not one at the end of its countdown: its owner is on the way to it. */
bool hz3_heap_page_is_free(const struct hz3_page *page, uint32_t in_word)
{
	uint32_t left = hz3_page_left(page);

	if (in_word == 0 || left == 0)
		return false;
	if (page->state == HZ3_PAGE_ASLEEP)
		return page->capacity - hz3_class_info[page->class].wake + left == in_word;
	return page->state == HZ3_PAGE_AWAKE && left == in_word;
}

void hz3_heap_lose_page(struct hz3_heap *heap, struct hz3_page *page)
{
	/* What its thread has freed stays on its account. */
	restart(heap, page, page->countdown);
	if (page->state == HZ3_PAGE_AWAKE)
		hz3_page_list_remove(&heap->awake[page->class], page);
}

bool hz3_heap_flush(struct hz3_heap *heap, enum hz3_flush_cause cause)
{
	struct hz3_posted posted = { 0 };

	hz3_buffer_flush(&heap->buffer, &heap->counters, cause, &posted);
	return finish_post(heap, &posted);
}

static bool send_unbatched(struct hz3_heap *heap, size_t slice, struct hz3_block *block)
{
	struct hz3_posted posted = { 0 };

	/* What is still there from before batching was turned off. */
	hz3_buffer_flush(&heap->buffer, &heap->counters, HZ3_FLUSH_IDLE, &posted);
	hz3_buffer_send_one(&heap->buffer, slice, block, &heap->counters, &posted);
	return finish_post(heap, &posted);
}

bool hz3_heap_free_remote(struct hz3_heap *heap, size_t slice, struct hz3_block *block, enum hz3_buffer_need need)
{
	struct hz3_posted posted = { 0 };

	if (need == HZ3_BUFFER_MISS) {
		if (!hz3_sink_batch())
			return send_unbatched(heap, slice, block);
		need = hz3_buffer_add_new(&heap->buffer, slice, block, &heap->counters, &posted);
	}
	if (need == HZ3_BUFFER_WHOLE) {
		struct hz3_page *page = hz3_buffer_close_whole(&heap->buffer, slice, &heap->counters, &posted);
		if (page)
			hz3_heap_take_page(heap, page, page->capacity, false);
	}
	/* A grant is at least a step, but a large block may need several. */
	while (hz3_buffer_is_over_budget(&heap->buffer))
		if (!hz3_buffer_raise_budget(&heap->buffer)) {
			hz3_buffer_flush(&heap->buffer, &heap->counters, HZ3_FLUSH_BUDGET, &posted);
			break;
		}
	return finish_post(heap, &posted);
}

static void peel_awake(struct hz3_heap *heap, unsigned class)
{
	for (struct hz3_page *page = heap->awake[class].first, *next; page; page = next) {
		next = page->next;
		peel(heap, page);
	}
}

void hz3_heap_sweep(struct hz3_heap *heap)
{
	if (!hz3_owner_was_posted(heap->owner) && !hz3_inbox_pending(&heap->owner->inbox))
		return;
	hz3_heap_drain_all(heap, SWEEP_BUDGET);
	for (unsigned class = 0; class < HZ3_CLASSES; class++)
		peel_awake(heap, class);
}

void hz3_heap_trim(struct hz3_heap *heap)
{
	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		peel_awake(heap, class);
		trim_current(heap, class);
	}
	hz3_stock_trim(&heap->stock);
}

void hz3_heap_forget_pages(struct hz3_heap *heap)
{
	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		struct hz3_page *page = heap->page[class];
		struct hz3_class_counters *counters = &heap->counters.class[class];
		if (page != &hz3_page_none) {
			restart(heap, page, HZ3_COUNTDOWN_NEVER);
			/* As in trim_current(). */
			hz3_count(&counters->allocated, -(uint64_t)hz3_page_count_free(page));
		}
		set_current(heap, class, &hz3_page_none);
		heap->awake[class] = (struct hz3_page_list){ NULL, NULL };
		hz3_count(&counters->freed_local, counters->allocated - counters->freed_local);
		hz3_count(&counters->pages_retired, counters->pages_made - counters->pages_retired);
	}
	heap->slices = 0;
}

void hz3_heap_validate(struct hz3_heap *heap)
{
	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		struct hz3_page *page = heap->page[class];
		if (page != &hz3_page_none) {
			hz3_check(page->state == HZ3_PAGE_CURRENT, "heap %u: current page %p in state %u",
				  heap->owner->id, hz3_page_start(page), page->state);
			hz3_page_validate(page, heap->tag);
		}
		for (size_t i = first_granule(class); i <= last_direct_granule(class); i++)
			hz3_check(heap->direct[i] == direct_page(heap->page[class]), "heap %u: requests of %zu granules go to page %p",
				  heap->owner->id, i, (void *)heap->direct[i]);
		for (page = heap->awake[class].first; page; page = page->next)
			hz3_page_validate(page, heap->tag);
	}
}
