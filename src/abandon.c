/* Heaps of dead threads: parked, drained, adopted. */
#include "abandon.h"

#include "os_clock.h"

/*
 * So many parked heaps with pages are left to threads that begin with a malloc.  Of the others, a thread that begins with a free
 * gets one with few pages if it can: who frees only, and then sleeps, keeps what it has from those who look after it.  It gets
 * a large one rather than none, or a server whose threads all begin with a free and become large would make a heap for each.
 */
#define PARKED_MIN 3
#define SMALL_SLICES 64
#define SMALL_LOOKED_AT 16

#define TRIM_AT_ONCE 8

static void mend(struct hz3_lock *lock);

struct hz3_lock hz3_abandon_lock = HZ3_LOCK_INIT(HZ3_RANK_ABANDON, "abandon", mend);
/*
 * Heaps that never had a page are kept apart: threads that only free get those, and leave the others, which others have
 * to look after, alone.  Under lock, as the next.
 */
static struct hz3_owner *parked[2];
static uint32_t parked_count;
static _Atomic bool any_parked;		/* relaxed: lets new threads skip the lock */
static _Atomic uint32_t untrimmed;	/* relaxed: a hint; parked heaps that may have empty pages, written under lock */
static _Atomic bool drain_wanted;	/* seq_cst: set after an owner's "posted", cleared before the drain looks at that */

static void set_untrimmed_locked(struct hz3_owner *owner, bool on)
{
	if (owner->untrimmed == on)
		return;
	owner->untrimmed = on;
	uint32_t n = hz3_atomic_load(&untrimmed, relaxed);
	hz3_atomic_store(&untrimmed, on ? n + 1 : n - 1, relaxed);
}

void hz3_abandon_park_locked(struct hz3_heap *heap)
{
	struct hz3_owner *owner = heap->owner;

	struct hz3_owner **list = &parked[heap->made_pages];

	owner->next_parked = *list;
	*list = owner;
	parked_count++;
	owner->parked_ms = hz3_os_now_ms();
	set_untrimmed_locked(owner, true);
	hz3_atomic_store(&any_parked, true, relaxed);
	if (hz3_owner_park(owner))
		hz3_abandon_request_drain();
}

void hz3_abandon_park(struct hz3_heap *heap)
{
	hz3_lock(&hz3_abandon_lock);
	/* Parked already: this is the child of a fork in a signal handler, which has taken the thread for vanished. */
	if (hz3_atomic_load(&heap->owner->state, relaxed) != HZ3_OWNER_PARKED)
		hz3_abandon_park_locked(heap);
	hz3_unlock(&hz3_abandon_lock);
}

/* The owner that the list, or a link of one, leads to; NULL: none. */
static struct hz3_owner *unpark_locked(struct hz3_owner **link)
{
	struct hz3_owner *owner = *link;

	if (owner == NULL)
		return NULL;
	*link = owner->next_parked;
	parked_count--;
	set_untrimmed_locked(owner, false);
	hz3_atomic_store(&owner->state, HZ3_OWNER_RUNNING, relaxed);
	hz3_atomic_store(&any_parked, parked_count != 0, relaxed);
	return owner;
}

void hz3_abandon_unpark(struct hz3_heap *heap)
{
	hz3_lock(&hz3_abandon_lock);
	for (unsigned i = 0; i < sizeof(parked) / sizeof(parked[0]); i++) {
		struct hz3_owner **link = &parked[i];
		while (*link && *link != heap->owner)
			link = &(*link)->next_parked;
		unpark_locked(link);
	}
	hz3_unlock(&hz3_abandon_lock);
}

/* The place in the list of the first small heap, or else of the smallest, of the first ones. */
static struct hz3_owner **small_locked(struct hz3_owner **list)
{
	struct hz3_owner **smallest = list;

	for (unsigned looked = 0; *list && looked < SMALL_LOOKED_AT; looked++, list = &(*list)->next_parked) {
		if ((*list)->heap->slices <= SMALL_SLICES)
			return list;
		if ((*list)->heap->slices < (*smallest)->heap->slices)
			smallest = list;
	}
	return smallest;
}

struct hz3_heap *hz3_abandon_adopt(bool to_free)
{
	struct hz3_owner *owner = NULL;

	if (!hz3_atomic_load(&any_parked, relaxed))
		return NULL;
	hz3_lock(&hz3_abandon_lock);
	if (!to_free)
		owner = unpark_locked(&parked[true]);
	if (owner == NULL)
		owner = unpark_locked(&parked[false]);
	/* Threads that each begin with a free (a server's) must not leave a heap each. */
	if (owner == NULL && parked_count > PARKED_MIN && 4 * parked_count > hz3_owner_count())
		owner = unpark_locked(small_locked(&parked[true]));
	hz3_unlock(&hz3_abandon_lock);
	return owner ? owner->heap : NULL;
}

void hz3_abandon_request_drain(void)
{
	hz3_atomic_store(&drain_wanted, true, seq_cst);
}

bool hz3_abandon_wants_drain(void)
{
	return hz3_atomic_load(&drain_wanted, relaxed);
}

/*
 * Before a parked heap is changed.  Entered, as by its thread: the child of a fork sees that it is not whole.  False: its thread has
 * ended while it seemed to sleep, and its buffer is lent for a moment still.
 */
static bool enter_locked(struct hz3_heap *heap)
{
	if (hz3_atomic_load(&heap->loan_was_cut, relaxed))
		hz3_heap_mend(heap);
	if (hz3_heap_enter(heap))
		return true;
	hz3_heap_leave(heap);
	return false;
}

static void drain_one_locked(struct hz3_owner *owner)
{
	if (!hz3_owner_was_posted(owner))
		return;
	if (!enter_locked(owner->heap)) {
		hz3_abandon_request_drain();
		return;
	}
	hz3_heap_drain_all(owner->heap, SIZE_MAX);
	if (hz3_heap_flush(owner->heap, HZ3_FLUSH_IDLE))
		hz3_abandon_request_drain();
	hz3_stock_trim(&owner->heap->stock);
	hz3_heap_leave(owner->heap);
	set_untrimmed_locked(owner, true);
}

void hz3_abandon_drain(void)
{
	hz3_lock(&hz3_abandon_lock);
	hz3_atomic_store(&drain_wanted, false, seq_cst);
	for (unsigned i = 0; i < 2; i++)
		for (struct hz3_owner *owner = parked[i]; owner; owner = owner->next_parked)
			drain_one_locked(owner);
	hz3_unlock(&hz3_abandon_lock);
}

bool hz3_abandon_wants_trim(void)
{
	return hz3_atomic_load(&untrimmed, relaxed) != 0;
}

/* At most TRIM_AT_ONCE heaps; true if there may be more. */
static bool trim_some_locked(uint64_t age_ms)
{
	uint64_t now = hz3_os_now_ms();
	unsigned trimmed = 0;

	for (unsigned i = 0; i < 2; i++)
		for (struct hz3_owner *owner = parked[i]; owner; owner = owner->next_parked) {
			if (!owner->untrimmed || now - owner->parked_ms < age_ms)
				continue;
			if (trimmed == TRIM_AT_ONCE)
				return true;
			if (!enter_locked(owner->heap))
				continue;
			trimmed++;
			hz3_heap_trim(owner->heap);
			hz3_heap_leave(owner->heap);
			set_untrimmed_locked(owner, false);
		}
	return false;
}

void hz3_abandon_trim(uint64_t age_ms)
{
	bool more;

	/* In portions: threads that start, end and fork wait for the lock. */
	do {
		hz3_lock(&hz3_abandon_lock);
		more = trim_some_locked(age_ms);
		hz3_unlock(&hz3_abandon_lock);
	} while (more);
}

/* The lists may lead anywhere; but every parked heap says so itself, and whether it is whole. */
static void mend(struct hz3_lock *lock)
{
	(void)lock;
	parked[0] = parked[1] = NULL;
	parked_count = 0;
	hz3_atomic_store(&untrimmed, 0, relaxed);
	for (uint32_t id = 1; id <= hz3_owner_count(); id++) {
		struct hz3_owner *owner = hz3_owner_by_id(id);
		if (hz3_atomic_load(&owner->state, relaxed) != HZ3_OWNER_PARKED)
			continue;
		owner->untrimmed = false;
		if (!hz3_heap_is_whole(owner->heap))
			hz3_heap_mend(owner->heap);
		hz3_abandon_park_locked(owner->heap);
	}
}

uint32_t hz3_abandon_parked_locked(void)
{
	return parked_count;
}
