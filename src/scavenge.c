/* Memory of owners that sleep: whole pages are taken from what others have sent them. */
#include "scavenge.h"

#include "abandon.h"
#include "os_process.h"

#define ROUNDS_UNTIL_ASLEEP 2
#define WALK_ROUNDS_MAX 64

/* The messages of a stash, pushed into their pages' words; what becomes whole on the way is taken. */
static size_t move_stash(struct hz3_owner *owner, _Atomic(struct hz3_message *) *stash, struct hz3_heap *heap)
{
	struct hz3_posted posted = { 0 };
	struct hz3_mail mail = { 0 };

	if (!hz3_stash_seems_full(stash))
		return 0;
	mail.first = hz3_stash_take(stash);
	hz3_count(&heap->counters.sink[HZ3_SINK_CENTRAL].rmw_drain, 1);
	if (mail.first == NULL)
		return 0;
	hz3_pages_post(owner, &mail, &heap->counters.sink[HZ3_SINK_PAGE], &posted);
	return hz3_heap_take_claimed(heap, &posted);
}

/*
 * Pages of a lender's that seemed to be free, whose queue entries are ours: believed after the next barrier, and if they still seem so.  A
 * barrier may interrupt every processor, so many pages share one.
 */
#define BATCH_PAGES 256

struct batch {
	unsigned n;
	struct hz3_page *page[BATCH_PAGES];
};

/*
 * The word and the entry are ours: who holds all blocks of a sleeping page holds the page; and who has borrowed the heap holds those of its pages
 * in which no block is in use.  Else the blocks go back.
 */
static bool take_or_return(struct hz3_owner *owner, struct hz3_page *page, bool lent, struct hz3_heap *heap)
{
	struct hz3_page_remote *remote = hz3_page_remote(page);
	struct hz3_sink_counters *counters = &heap->counters.sink[HZ3_SINK_PAGE];
	unsigned class = hz3_route_class(hz3_route_of(hz3_page_slice(page)));
	struct hz3_remote_list list = hz3_remote_take(remote);

	hz3_count(&counters->rmw_drain, 1);
	if (lent && hz3_heap_page_is_free(page, list.count)) {
		hz3_heap_lose_page(owner->heap, page);
	} else if (list.count != hz3_class_info[class].capacity || !hz3_remote_is_asleep(remote)) {
		hz3_pages_return(owner, page, list, counters);
		return false;
	}
	hz3_heap_take_page(heap, page, list.count, true);
	return true;
}

static size_t finish_batch(struct hz3_owner *owner, struct batch *batch, struct hz3_heap *heap)
{
	size_t pages = 0;

	if (batch->n)
		(void)hz3_os_barrier_everywhere();
	while (batch->n > 0)
		pages += take_or_return(owner, batch->page[--batch->n], true, heap);
	return pages;
}

static size_t add_to_batch(struct hz3_owner *owner, struct hz3_page *page, struct batch *batch, struct hz3_heap *heap)
{
	batch->page[batch->n++] = page;
	return batch->n == BATCH_PAGES ? finish_batch(owner, batch, heap) : 0;
}

static bool seems_free(const struct hz3_page *page)
{
	/* relaxed: a hint, as the countdown. */
	return hz3_heap_page_is_free(page, hz3_remote_count(hz3_atomic_load(&hz3_page_remote(page)->word, relaxed)));
}

/* A queued page, unlinked: take it if no block of it is in use and its owner has let go of it; else put it back.  batch: the heap is lent. */
static size_t try_page(struct hz3_owner *owner, struct hz3_page *page, struct batch *batch, struct hz3_heap *heap)
{
	unsigned class = hz3_route_class(hz3_route_of(hz3_page_slice(page)));

	if (hz3_remote_seems_whole(hz3_page_remote(page), hz3_class_info[class].capacity))
		return take_or_return(owner, page, false, heap);
	if (batch && seems_free(page))
		return add_to_batch(owner, page, batch, heap);
	hz3_pages_requeue(owner, page, &heap->counters.sink[HZ3_SINK_PAGE]);
	return 0;
}

static size_t try_queue(struct hz3_owner *owner, _Atomic uint32_t *queue, struct batch *batch, struct hz3_heap *heap)
{
	size_t pages = 0;

	if (!hz3_queue_seems_full(queue))
		return 0;
	uint32_t slice = hz3_queue_take(queue);
	hz3_count(&heap->counters.sink[HZ3_SINK_PAGE].rmw_drain, 1);
	hz3_count(&heap->counters.sink[HZ3_SINK_PAGE].rmw_queue_drain, 1);
	while (slice) {
		/* The link first: the page may be queued again at once. */
		uint32_t next = hz3_atomic_load(&hz3_remote_of(slice)->queue_next, relaxed);
		pages += try_page(owner, hz3_page_at(slice), batch, heap);
		slice = next;
	}
	return pages;
}

static size_t try_queues(struct hz3_owner *owner, struct batch *batch, struct hz3_heap *heap)
{
	return try_queue(owner, &owner->inbox.page_queue, batch, heap) + try_queue(owner, &owner->inbox.queue_rest, batch, heap);
}

/* Awake pages of a lender's of which too little was sent for them to be queued: the entry that a page then has none of is made ours. */
static size_t try_awake(struct hz3_owner *owner, unsigned class, struct batch *batch, struct hz3_heap *heap)
{
	size_t pages = 0;
	bool ours;

	for (struct hz3_page *page = owner->heap->awake[class].first, *next; page; page = next) {
		next = page->next;
		if (seems_free(page) && hz3_remote_hold(hz3_page_remote(page), &ours) && ours)
			pages += add_to_batch(owner, page, batch, heap);
	}
	return pages;
}

/* Of a sleeper who has freed some blocks of a page himself: it is never whole in its word.  For that his heap is borrowed. */
static size_t scavenge_lent(struct hz3_owner *owner, struct hz3_heap *heap)
{
	struct batch batch = { .n = 0 };
	size_t pages = 0;

	hz3_heap_ask_for(owner->heap);
	if (hz3_os_barrier_everywhere() != 0 || !hz3_heap_is_lent(owner->heap)) {
		pages = try_queues(owner, NULL, heap);
	} else {
		pages = try_queues(owner, &batch, heap);
		/* Or the walks below could come to pages that are taken before they are over. */
		pages += finish_batch(owner, &batch, heap);
		for (unsigned class = 0; class < HZ3_CLASSES; class++)
			pages += try_awake(owner, class, &batch, heap);
		pages += finish_batch(owner, &batch, heap);
	}
	hz3_heap_hand_back(owner->heap);
	return pages;
}

/* Take over what can be had of one owner's pages; they go to the heap; borrow: also what takes a walk over them.  Returns pages. */
static size_t scavenge_owner(struct hz3_owner *owner, bool borrow, struct hz3_heap *heap)
{
	size_t pages = 0;

	if (!hz3_options.handover)
		return 0;
	hz3_owner_clear_posted(owner);
	pages += move_stash(owner, &owner->inbox.stash, heap);
	pages += move_stash(owner, &owner->inbox.stash_rest, heap);
	pages += borrow ? scavenge_lent(owner, heap) : try_queues(owner, NULL, heap);
	/* What was put back may have missed the last look of an owner that parked meanwhile; see hz3_abandon_park_locked(). */
	if (!hz3_owner_runs(owner)) {
		hz3_owner_note_post(owner);
		hz3_abandon_request_drain();
	}
	return pages;
}

static bool runs(struct hz3_owner *owner)
{
	return hz3_atomic_load(&owner->state, relaxed) == HZ3_OWNER_RUNNING;
}

/* Has the owner been in no slow path for some rounds?  The background thread keeps count, once a round. */
static void count_rounds(struct hz3_owner *owner)
{
	uint32_t progress = hz3_atomic_load(&owner->progress, relaxed);

	if (progress != owner->seen_progress)
		owner->seen_passes = 0;
	else
		owner->seen_passes++;
	owner->seen_progress = progress;
}

static bool sleeps(const struct hz3_owner *owner)
{
	return owner->seen_passes >= ROUNDS_UNTIL_ASLEEP;
}

/* Of a sleeper: time for a walk over its pages?  After 2, 4, 8 rounds and so on, and then every 64: who sleeps for long has little to change. */
static bool is_walk_due(const struct hz3_owner *owner)
{
	uint32_t passes = owner->seen_passes;

	return (passes & (passes - 1)) == 0 || passes % WALK_ROUNDS_MAX == 0;
}

static bool is_candidate(struct hz3_owner *owner, const struct hz3_heap *heap, bool sleepers_only)
{
	return owner->heap != heap && runs(owner) && (!sleepers_only || sleeps(owner)) &&
	       !hz3_atomic_load(&owner->heap->loan_was_cut, relaxed);
}

/* Is there anything in the heap that can be taken from a sleeper? */
static bool keeps_something(const struct hz3_heap *heap)
{
	return hz3_atomic_load(&heap->buffer.held_bytes, relaxed) != 0 || hz3_stock_slices(&heap->stock) != 0;
}

/* Mark the heaps whose buffer and stock are to be borrowed.  Returns how many. */
static unsigned mark_buffers(const struct hz3_heap *heap, bool sleepers_only)
{
	unsigned marked = 0;

	for (uint32_t id = 1; id <= hz3_owner_count(); id++) {
		struct hz3_owner *owner = hz3_owner_by_id(id);
		if (!is_candidate(owner, heap, sleepers_only) || !keeps_something(owner->heap))
			continue;
		hz3_heap_ask_for(owner->heap);
		marked++;
	}
	return marked;
}

/* After the barrier: buffer and stock of a thread that isn't busy are ours until we give them back. */
static void flush_marked(struct hz3_heap *lender, struct hz3_heap *heap, bool barrier)
{
	struct hz3_posted posted = { 0 };

	/* acquire: pairs with the release in hz3_heap_mend(); if it is mended, the mark of the loan that was cut is gone. */
	if (hz3_atomic_load(&lender->loan_was_cut, acquire) || !hz3_heap_is_asked_for(lender))
		return;
	if (barrier && hz3_heap_is_lent(lender)) {
		hz3_buffer_flush(&lender->buffer, &heap->counters, HZ3_FLUSH_IDLE, &posted);
		hz3_stock_trim(&lender->stock);
	}
	hz3_heap_hand_back(lender);
	hz3_heap_take_claimed(heap, &posted);
	if (posted.to_parked)
		hz3_abandon_request_drain();
}

/*
 * Flush the buffers of other threads: a thread that has freed and then sleeps would sit on them for ever.  The buffer is
 * borrowed: a mark, a barrier on all processors, and a look whether its thread is busy (heap.h); no thread pays for
 * a barrier of its own.  Where the system has no such barrier, buffers are left alone.
 */
static void flush_buffers_locked(struct hz3_heap *heap, bool sleepers_only)
{
	if (mark_buffers(heap, sleepers_only) == 0)
		return;
	bool barrier = hz3_os_barrier_everywhere() == 0;
	for (uint32_t id = 1; id <= hz3_owner_count(); id++)
		flush_marked(hz3_owner_by_id(id)->heap, heap, barrier);
}

/* Buffers first: what they held may complete pages.  Of sleepers, those whose inbox has changed. */
static size_t scavenge_locked(struct hz3_heap *heap, bool sleepers_only)
{
	size_t pages = 0;

	flush_buffers_locked(heap, sleepers_only);
	for (uint32_t id = 1; id <= hz3_owner_count(); id++) {
		struct hz3_owner *owner = hz3_owner_by_id(id);
		if (!is_candidate(owner, heap, sleepers_only))
			continue;
		bool borrow = !sleepers_only || is_walk_due(owner);
		if (borrow || hz3_owner_was_posted(owner))
			pages += scavenge_owner(owner, borrow, heap);
	}
	return pages;
}

size_t hz3_scavenge_sleepers_locked(struct hz3_heap *heap)
{
	for (uint32_t id = 1; id <= hz3_owner_count(); id++)
		count_rounds(hz3_owner_by_id(id));
	return scavenge_locked(heap, true);
}

size_t hz3_scavenge_all_locked(struct hz3_heap *heap)
{
	return scavenge_locked(heap, false);
}
