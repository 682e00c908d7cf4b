/* Memory of owners that sleep: whole pages are taken from what others have sent them. */
#include "scavenge.h"

#include "abandon.h"
#include "os_process.h"

#define ROUNDS_UNTIL_ASLEEP 2

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

/* A queued page, unlinked: take it if all of it is there and its owner has let go of it; else put it back. */
static bool try_page(struct hz3_owner *owner, struct hz3_page *page, struct hz3_heap *heap)
{
	struct hz3_page_remote *remote = hz3_page_remote(page);
	struct hz3_sink_counters *counters = &heap->counters.sink[HZ3_SINK_PAGE];
	unsigned class = hz3_route_class(hz3_route_of(hz3_page_slice(page)));
	uint32_t whole = hz3_class_info[class].capacity;

	if (!hz3_remote_seems_whole(remote, whole)) {
		hz3_pages_requeue(owner, page, counters);
		return false;
	}
	/* The word and the entry are ours now: who holds all blocks of a sleeping page holds the page. */
	struct hz3_remote_list list = hz3_remote_take(remote);
	hz3_count(&counters->rmw_drain, 1);
	if (list.count == whole && hz3_remote_is_asleep(remote)) {
		hz3_heap_take_page(heap, page, true);
		return true;
	}
	hz3_pages_return(owner, page, list, counters);
	return false;
}

static size_t try_queue(struct hz3_owner *owner, _Atomic uint32_t *queue, struct hz3_heap *heap)
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
		pages += try_page(owner, hz3_page_at(slice), heap);
		slice = next;
	}
	return pages;
}

/* Take over what can be had of one owner's pages; they go to the heap.  Returns pages. */
static size_t scavenge_owner(struct hz3_owner *owner, struct hz3_heap *heap)
{
	size_t pages = 0;

	if (!hz3_options.handover)
		return 0;
	hz3_owner_clear_posted(owner);
	pages += move_stash(owner, &owner->inbox.stash, heap);
	pages += move_stash(owner, &owner->inbox.stash_rest, heap);
	pages += try_queue(owner, &owner->inbox.page_queue, heap);
	pages += try_queue(owner, &owner->inbox.queue_rest, heap);
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

static bool is_candidate(struct hz3_owner *owner, const struct hz3_heap *heap, bool sleepers_only)
{
	return owner->heap != heap && runs(owner) && (!sleepers_only || sleeps(owner));
}

/* Is there anything in the heap that can be taken from a sleeper? */
static bool keeps_something(const struct hz3_heap *heap)
{
	return hz3_atomic_load(&heap->buffer.held_bytes, relaxed) != 0 || hz3_heap_stock_slices(heap) != 0;
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

	if (!hz3_heap_is_asked_for(lender))
		return;
	if (barrier && hz3_heap_is_lent(lender)) {
		hz3_buffer_flush(&lender->buffer, &heap->counters, HZ3_FLUSH_IDLE, &posted);
		hz3_heap_trim_stock(lender);
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
		if (is_candidate(owner, heap, sleepers_only) && (!sleepers_only || hz3_owner_was_posted(owner)))
			pages += scavenge_owner(owner, heap);
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
