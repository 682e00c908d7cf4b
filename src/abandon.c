/* Heaps of dead threads: parked, drained, adopted. */
#include "abandon.h"

static struct hz3_lock lock = HZ3_LOCK_INIT(HZ3_RANK_ABANDON, "abandon");
/*
 * Heaps that never had a page are kept apart: threads that only free get those, and leave the others, which others have
 * to look after, alone.  Under lock, as the next.
 */
static struct hz3_owner *parked[2];
static uint32_t parked_count;
static _Atomic bool any_parked;		/* relaxed: lets new threads skip the lock */
static _Atomic bool drain_wanted;	/* seq_cst: set after an owner's "posted", cleared before the drain looks at that */

void hz3_abandon_park_locked(struct hz3_heap *heap)
{
	struct hz3_owner *owner = heap->owner;

	struct hz3_owner **list = &parked[heap->made_pages];

	owner->next_parked = *list;
	*list = owner;
	parked_count++;
	atomic_store_explicit(&any_parked, true, memory_order_relaxed);
	/* What came between the thread's last drain and now; later posters see that the owner is parked: owner.h. */
	atomic_store_explicit(&owner->state, HZ3_OWNER_PARKED, memory_order_seq_cst);
	if (hz3_sink_pending(owner)) {
		hz3_owner_note_post(owner);
		hz3_abandon_request_drain();
	}
}

void hz3_abandon_park(struct hz3_heap *heap)
{
	hz3_lock(&lock);
	hz3_abandon_park_locked(heap);
	hz3_unlock(&lock);
}

static struct hz3_owner *unpark_locked(struct hz3_owner **list)
{
	struct hz3_owner *owner = *list;

	if (owner == NULL)
		return NULL;
	*list = owner->next_parked;
	parked_count--;
	atomic_store_explicit(&owner->state, HZ3_OWNER_RUNNING, memory_order_relaxed);
	atomic_store_explicit(&any_parked, parked_count != 0, memory_order_relaxed);
	return owner;
}

struct hz3_heap *hz3_abandon_adopt(bool to_free)
{
	struct hz3_owner *owner = NULL;

	if (!atomic_load_explicit(&any_parked, memory_order_relaxed))
		return NULL;
	hz3_lock(&lock);
	if (!to_free)
		owner = unpark_locked(&parked[true]);
	if (owner == NULL)
		owner = unpark_locked(&parked[false]);
	/* Threads that each begin with a free (a server's) must not leave a heap each: at most as many wait as work. */
	if (owner == NULL && 2 * parked_count > hz3_owner_count())
		owner = unpark_locked(&parked[true]);
	hz3_unlock(&lock);
	return owner ? owner->heap : NULL;
}

void hz3_abandon_request_drain(void)
{
	atomic_store_explicit(&drain_wanted, true, memory_order_seq_cst);
}

bool hz3_abandon_wants_drain(void)
{
	return atomic_load_explicit(&drain_wanted, memory_order_relaxed);
}

static void drain_one_locked(struct hz3_owner *owner)
{
	if (!hz3_owner_was_posted(owner))
		return;
	hz3_heap_drain_all(owner->heap, SIZE_MAX);
	if (hz3_heap_flush(owner->heap, HZ3_FLUSH_IDLE))
		hz3_abandon_request_drain();
	hz3_heap_trim(owner->heap);
}

void hz3_abandon_drain(void)
{
	hz3_lock(&lock);
	atomic_store_explicit(&drain_wanted, false, memory_order_seq_cst);
	for (unsigned i = 0; i < 2; i++)
		for (struct hz3_owner *owner = parked[i]; owner; owner = owner->next_parked)
			drain_one_locked(owner);
	hz3_unlock(&lock);
}

void hz3_abandon_lock(void)
{
	hz3_lock(&lock);
}

void hz3_abandon_unlock(void)
{
	hz3_unlock(&lock);
}

uint32_t hz3_abandon_parked_locked(void)
{
	return parked_count;
}
