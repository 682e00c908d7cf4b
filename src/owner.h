/*
 * The part of a heap that other threads may touch.
 *
 * Never unmapped and never reused for another heap: an owner id that was read from a route stays valid for ever, even when
 * the heap's thread has ended.  Ids count from 1; 0 is "no owner".
 *
 * inbox             what was sent to the owner, of all size classes:
 *   stash           a list of messages (block.h).  Any thread pushes with one CAS; any thread may take all with one
 *                   exchange (the owner does; the background thread does for owners that sleep).  Push-only and
 *                   take-all: no ABA.
 *   page_queue      a list of pages by slice index, linked through struct hz3_page_remote; same protocol.
 *   stash_rest, queue_rest   what the owner took of these and has not taken in yet.  Only the owner puts something there,
 *                   when there is nothing; any thread may take all with one exchange.  So an owner that falls
 *                   asleep hides nothing.
 * state             who may act as the owner: the heap's thread while RUNNING; the holder of the abandon lock while
 *                   PARKED; nobody once LOST (a signal handler interrupted a change of it, and forked; hz3_heap_mend() is for the others);
 *                   the holder of a pool's lock if it is a POOL's, for ever: nothing is sent to those, so their inbox is empty (pool.h).
 * posted            set after a post, cleared before a look at everything that was posted; a poster then looks at the state.
 *                   Store, then load, on both sides: it takes seq_cst (all of it free on x86 but the rare stores) that
 *                   either the look finds the post, or posted is set after it; and that whoever parks the heap finds
 *                   posted set, or the poster finds the heap parked.
 * progress          ticks of the heap's slow paths; written by the owner, read by the background thread, which takes an
 *                   owner that does not tick for asleep.
 */
#ifndef HZ3_OWNER_H
#define HZ3_OWNER_H

#include "atomic.h"
#include "base.h"
#include "block.h"
#include "page_remote.h"

enum hz3_owner_state {
	HZ3_OWNER_RUNNING,
	HZ3_OWNER_PARKED,
	HZ3_OWNER_LOST,
	HZ3_OWNER_POOL,
};

struct hz3_heap;
struct hz3_flow;
struct hz3_flows;

struct hz3_inbox {
	_Atomic(struct hz3_message *) stash;
	_Atomic(struct hz3_message *) stash_rest;
	_Atomic uint32_t page_queue;
	_Atomic uint32_t queue_rest;
};

/* The first line is what posters touch, all of it in one go; the second changes with every slow path of the owner's. */
struct hz3_owner {
	struct hz3_inbox inbox;
	_Atomic uint32_t state;		/* changes under the abandon lock */
	_Atomic uint32_t posted;	/* something was posted since this was last cleared */
	uint32_t id;			/* constant */
	struct hz3_heap *heap;		/* constant; whose it is, see state */
	_Atomic uint32_t progress HZ3_ALIGNED(HZ3_CACHE_LINE);	/* relaxed: a hint */
	_Atomic uint32_t waiting_since_ms;	/* relaxed, a statistic: when something last came into an empty inbox, low bits */
	struct hz3_owner *next_parked;	/* under the abandon lock, as the next two: see abandon.c */
	uint64_t parked_ms;
	bool untrimmed;
	uint32_t seen_progress;		/* the background thread's: what progress was at its last look */
	uint32_t seen_passes;		/* and for how many looks it has not changed */
	struct hz3_flows *frees;	/* constant: what the heap's thread frees of others' (flow.h) */
	struct hz3_flow *freed_by;	/* who frees its blocks; under the flow lock */
	_Atomic uint64_t probe;		/* 0: none; see probe.h */
} HZ3_ALIGNED(HZ3_CACHE_LINE);

_Static_assert(sizeof(struct hz3_owner) == 2 * HZ3_CACHE_LINE, "two lines");

/* Register a new owner in zeroed memory and give it its id.  False if there is no memory for the table. */
bool hz3_owner_register(struct hz3_owner *owner);

/* Owners registered so far; ids run from 1 to this number. */
uint32_t hz3_owner_count(void);

struct hz3_owner *hz3_owner_by_id(uint32_t id);

/*
 * Push the list first..last of messages onto a stash.  Returns the number of read-modify-writes it took.
 *
 * One CAS of the whole list.  An exchange followed by a link would leave a window in which everything behind an unlinked
 * message is invisible: with more threads than processors the owner would starve, and a fork in the window would cut
 * the list for ever.
 */
static inline uint32_t hz3_stash_push(_Atomic(struct hz3_message *) *stash, struct hz3_message *first,
				      struct hz3_message *last)
{
	uint32_t tries = 0;
	/* relaxed: the CAS validates it; it is stored, not followed. */
	struct hz3_message *old = hz3_atomic_load(stash, relaxed);

	do {
		hz3_message_link(last, old);
		tries++;
		/*
		 * release: publishes the messages and the blocks behind them to the acquire in take.
		 * seq_cst: before the look at "posted".
		 */
	} while (!hz3_atomic_cas_weak(stash, &old, first, seq_cst, relaxed));
	return tries;
}

/* After something was put into the inbox: is the owner's thread there to find it? */
static inline bool hz3_owner_runs(struct hz3_owner *owner)
{
	/* seq_cst: after that; whoever parks stores the state, and then looks. */
	return hz3_atomic_load(&owner->state, seq_cst) == HZ3_OWNER_RUNNING;
}

/* After a post.  False: the owner isn't running, and others have to look after what was posted. */
static inline bool hz3_owner_note_post(struct hz3_owner *owner)
{
	if (!hz3_atomic_load(&owner->posted, seq_cst))
		hz3_atomic_store(&owner->posted, 1, seq_cst);
	return hz3_owner_runs(owner);
}

/* relaxed: it is said once, in the child of a fork, by its only thread. */
static inline bool hz3_owner_is_lost(const struct hz3_owner *owner)
{
	return hz3_atomic_load(&owner->state, relaxed) == HZ3_OWNER_LOST;
}

/* Before a look at everything that was posted. */
static inline void hz3_owner_clear_posted(struct hz3_owner *owner)
{
	hz3_atomic_store(&owner->posted, 0, seq_cst);
}

static inline bool hz3_owner_was_posted(struct hz3_owner *owner)
{
	return hz3_atomic_load(&owner->posted, seq_cst) != 0;
}

/* The look before a take: an exchange on an empty stash would steal the line for nothing. */
static inline bool hz3_stash_seems_full(_Atomic(struct hz3_message *) *stash)
{
	/* seq_cst: after hz3_owner_clear_posted(); the exchange acquires. */
	return hz3_atomic_load(stash, seq_cst) != NULL;
}

/* Take all messages. */
static inline struct hz3_message *hz3_stash_take(_Atomic(struct hz3_message *) *stash)
{
	/* acquire: pairs with the release of every push in the list (they form a release sequence). */
	return hz3_atomic_exchange(stash, NULL, acquire);
}

/* Is there anything in the inbox?  Plain loads of one line on x86. */
static inline bool hz3_inbox_pending(struct hz3_inbox *inbox)
{
	/* seq_cst: after hz3_owner_clear_posted(), or after parking; the exchange that follows acquires. */
	return hz3_atomic_load(&inbox->stash, seq_cst) != NULL ||
	       hz3_atomic_load(&inbox->page_queue, seq_cst) != 0 ||
	       hz3_atomic_load(&inbox->stash_rest, seq_cst) != NULL ||
	       hz3_atomic_load(&inbox->queue_rest, seq_cst) != 0;
}

/* Which stash is to be taken next: what was left the last time, if any; NULL: there is nothing.  The same of the queues. */
static inline _Atomic(struct hz3_message *) *hz3_inbox_next_stash(struct hz3_inbox *inbox)
{
	if (hz3_stash_seems_full(&inbox->stash_rest))
		return &inbox->stash_rest;
	return hz3_stash_seems_full(&inbox->stash) ? &inbox->stash : NULL;
}

static inline _Atomic uint32_t *hz3_inbox_next_queue(struct hz3_inbox *inbox)
{
	if (hz3_queue_seems_full(&inbox->queue_rest))
		return &inbox->queue_rest;
	return hz3_queue_seems_full(&inbox->page_queue) ? &inbox->page_queue : NULL;
}

/* Leave what was taken and not taken in yet, if anything; only whoever acts as the owner.  A note of a post must follow. */
static inline void hz3_inbox_leave(struct hz3_inbox *inbox, struct hz3_message *messages, uint32_t page)
{
	/*
	 * release, both: whoever takes the rest sees the blocks and links as this thread does.
	 * seq_cst: before the look at "posted".
	 */
	if (messages)
		hz3_atomic_store(&inbox->stash_rest, messages, seq_cst);
	if (page)
		hz3_atomic_store(&inbox->queue_rest, page, seq_cst);
}

/*
 * Under the abandon lock: from now on others act as the owner, and posters see that.  True: something came between the
 * thread's last drain and now, and a drain has to be asked for.
 */
static inline bool hz3_owner_park(struct hz3_owner *owner)
{
	/* seq_cst: before the look into the inbox; posters do it the other way round. */
	hz3_atomic_store(&owner->state, HZ3_OWNER_PARKED, seq_cst);
	if (!hz3_inbox_pending(&owner->inbox))
		return false;
	hz3_owner_note_post(owner);
	return true;
}

#endif
