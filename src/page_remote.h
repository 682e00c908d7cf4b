/*
 * The words of a page that other threads write: blocks freed by others, the queue link, and the sleep mark.
 *
 * word: [first | last | count | QUEUED | TAKEN], positions in granules from the start of the page.
 *
 *   push  any thread   CAS a chain in.  Whoever turns QUEUED on must put the page on its owner's page queue.
 *   take  who has unlinked the page from the queue, the owner or a scavenger (scavenge.h), exchanges the word with 0.
 *   peel  owner only   take the list of a page that may be queued; the flags stay as they are.
 *   claim any thread   a thread that would make the count equal to the page's capacity takes the list instead of
 *                      pushing: it then holds every block of the page.  Only while QUEUED is clear.
 *
 * A list at or over the wake count implies QUEUED.  Taking clears list, count and flag with one operation, so no
 * push can fall between them (the question pack's drain cleared them one after the other and lost wake-ups).
 * Unlink first: once QUEUED is clear, a pusher may reuse the link.  A push does not depend on the value it
 * replaces beyond the word itself, and positions are only read back by the one who took the whole word, so there
 * is no ABA: equal words describe equal lists of blocks that are all in the list.
 *
 * asleep: written by the owner.  1 (release) when the page has left all of its owner's lists, is fully carved and has
 * no free block there; 0 when the owner takes it back into a list.  A thread that holds every block of a page,
 * reads 1 (acquire) and finds QUEUED clear owns the page: nobody else holds a block, so nothing can wake it.
 * It finds that by turning TAKEN on, which stays until the page is formatted again: whoever looks at sleeping pages of
 * others keeps them from being taken by turning QUEUED on (hold), and must know when it is too late for that.
 *
 * Self-contained: C11 atomics (atomic.h) and nothing else, so that the product, the interleaving tests and a model of it
 * share these lines.
 */
#ifndef HZ3_PAGE_REMOTE_H
#define HZ3_PAGE_REMOTE_H

#include "atomic.h"

#include <stdbool.h>
#include <stdint.h>

struct hz3_page_remote {
	_Atomic uint64_t word;
	_Atomic uint32_t queue_next;	/* slice index; written by the pusher that turned QUEUED on; 0 ends a queue */
	_Atomic uint32_t asleep;
	char pad[48];			/* pages of different owners are neighbours: one line each */
};

_Static_assert(sizeof(struct hz3_page_remote) == 64, "one line per page");

#define HZ3_REMOTE_QUEUED ((uint64_t)1 << 48)
#define HZ3_REMOTE_TAKEN ((uint64_t)1 << 49)

/* A word's list, as positions. */
struct hz3_remote_list {
	uint32_t first;
	uint32_t last;
	uint32_t count;
};

static inline uint64_t hz3_remote_pack(struct hz3_remote_list list)
{
	return (uint64_t)list.first | (uint64_t)list.last << 16 | (uint64_t)list.count << 32;
}

static inline struct hz3_remote_list hz3_remote_unpack(uint64_t word)
{
	struct hz3_remote_list list = {
		.first = word & 0xffff,
		.last = (word >> 16) & 0xffff,
		.count = (word >> 32) & 0xffff,
	};
	return list;
}

static inline uint32_t hz3_remote_count(uint64_t word)
{
	return (word >> 32) & 0xffff;
}

/* What became of a push. */
enum hz3_push_result {
	HZ3_PUSHED,		/* in the word, nothing more to do */
	HZ3_PUSHED_QUEUE,	/* in the word, and the caller must queue the page */
	HZ3_PUSH_CLAIMED,	/* not pushed: the caller holds every block of the page, "old" is the list that was there */
};

/* What is pushed, and, from "old" on, what is found on the way. */
struct hz3_push {
	struct hz3_remote_list chain;
	uint32_t wake;			/* the count from which the page is queued */
	uint32_t whole;			/* the page's capacity, or 0 if the page must not be claimed */
	/*
	 * Stores the position of the list's first block (or "none" when its count is 0) into the link of the chain's last block; runs again on
	 * every retry.
	 */
	void (*link)(void *context, struct hz3_remote_list list);
	void *context;
	struct hz3_remote_list old;
	uint32_t tries;			/* is raised by the number of read-modify-writes done */
};

/* Always inline: so the link is no call, and what is pushed stays in registers. */
static HZ3_INLINE enum hz3_push_result hz3_remote_push(struct hz3_page_remote *remote, struct hz3_push *push)
{
	struct hz3_remote_list chain = push->chain;
	/* relaxed: the CAS below validates it; nothing is read through it before that. */
	uint64_t old = hz3_atomic_load(&remote->word, relaxed);

	for (;;) {
		struct hz3_remote_list list = hz3_remote_unpack(old);
		bool claim = push->whole != 0 && chain.count + list.count == push->whole && !(old & HZ3_REMOTE_QUEUED);
		uint64_t new = HZ3_REMOTE_TAKEN;

		if (!claim) {
			struct hz3_remote_list sum = {
				.first = chain.first,
				.last = list.count ? list.last : chain.last,
				.count = chain.count + list.count,
			};
			push->link(push->context, list);
			new = hz3_remote_pack(sum) | (old & HZ3_REMOTE_QUEUED);
			if (sum.count >= push->wake)
				new |= HZ3_REMOTE_QUEUED;
		}
		push->tries++;
		/*
		 * release: publishes the chain's links to the acquire in take/peel/claim.
		 * acquire: a claim reads the links of the list that others pushed.
		 * seq_cst: before the pusher's look at the owner's "posted" (owner.h).
		 */
		if (hz3_atomic_cas_weak(&remote->word, &old, new, seq_cst, relaxed)) {
			if (claim) {
				push->old = list;
				return HZ3_PUSH_CLAIMED;
			}
			return (new & ~old & HZ3_REMOTE_QUEUED) ? HZ3_PUSHED_QUEUE : HZ3_PUSHED;
		}
	}
}

static inline bool hz3_remote_is_asleep(struct hz3_page_remote *remote)
{
	/* acquire: pairs with the release in hz3_remote_set_asleep; the owner's last writes to the page come before. */
	return hz3_atomic_load(&remote->asleep, acquire) != 0;
}

/* Take everything and clear QUEUED.  The caller has unlinked the page from the queue, or knows it is in none. */
static inline struct hz3_remote_list hz3_remote_take(struct hz3_page_remote *remote)
{
	/*
	 * acquire: pairs with the release of every push that the word sums up (they form a release sequence).
	 * release: the queue link was read before; whoever finds QUEUED clear, by an acquire, may write it.
	 */
	return hz3_remote_unpack(hz3_atomic_exchange(&remote->word, 0, acq_rel));
}

/*
 * The same for a page at the head of a queue that the caller has taken: its link, its sleep mark and its list, in this
 * order.  Once the word is taken, QUEUED is clear, a pusher may write the link, and a sleeping page of which nothing was in
 * the word may be taken over at once.
 */
static inline struct hz3_remote_list hz3_remote_unqueue(struct hz3_page_remote *remote, uint32_t *next, bool *asleep)
{
	/* relaxed: the exchange of the queue has acquired what the pushers wrote. */
	*next = hz3_atomic_load(&remote->queue_next, relaxed);
	*asleep = hz3_remote_is_asleep(remote);
	return hz3_remote_take(remote);
}

/* Take the list and leave the flags as they are: for a page that may be linked in a queue. */
static inline struct hz3_remote_list hz3_remote_peel(struct hz3_page_remote *remote)
{
	/* Pages without remote frees cost no read-modify-write.  seq_cst: after hz3_owner_clear_posted(). */
	if (hz3_remote_count(hz3_atomic_load(&remote->word, seq_cst)) == 0)
		return (struct hz3_remote_list){ 0, 0, 0 };
	/* acquire: as in take.  TAKEN: somebody may just have claimed what the look has seen. */
	return hz3_remote_unpack(hz3_atomic_fetch_and(&remote->word, HZ3_REMOTE_QUEUED | HZ3_REMOTE_TAKEN, acquire));
}

/*
 * Is nothing in the word, no flag either?  Then no queue has the page and none will get it, and if all its blocks are back,
 * it may be retired.
 */
static inline bool hz3_remote_is_clear(struct hz3_page_remote *remote)
{
	/* acquire: everything that pushers, or who held the page, did to it is over. */
	return hz3_atomic_load(&remote->word, acquire) == 0;
}

/*
 * A guess, for a thread that holds the queue entry of the page: would taking the list make it the holder of every
 * block?  It has to take, and to look at count and asleep again, before it may believe so.
 */
static inline bool hz3_remote_seems_whole(struct hz3_page_remote *remote, uint32_t whole)
{
	/* seq_cst: after hz3_owner_clear_posted(): who completes the page later finds that cleared.  relaxed: a hint. */
	return hz3_remote_count(hz3_atomic_load(&remote->word, seq_cst)) == whole &&
	       hz3_atomic_load(&remote->asleep, relaxed);
}

/*
 * Take over a page of which the caller holds every block, if its owner has put it to sleep.  Not while QUEUED is set, though
 * nothing is in the list: the page is in its owner's queue then, or a pusher is about to put it there.
 */
static inline bool hz3_remote_take_over(struct hz3_page_remote *remote)
{
	uint64_t empty = 0;

	/* acquire: pairs with the release in take, by which the owner let go of the queue entry, and with that in unhold. */
	return hz3_remote_is_asleep(remote) &&
	       hz3_atomic_cas_strong(&remote->word, &empty, HZ3_REMOTE_TAKEN, acquire, relaxed);
}

static inline void hz3_remote_set_asleep(struct hz3_page_remote *remote, bool asleep)
{
	/* release: pairs with hz3_remote_is_asleep. */
	hz3_atomic_store(&remote->asleep, asleep, release);
}

/*
 * For a page that is about to be formatted by who holds all of it.  QUEUED stays as it is: somebody may hold the page for a
 * moment who took it for a sleeping one of its former owner, and has to find his mark.
 */
static inline void hz3_remote_reset(struct hz3_page_remote *remote)
{
	/* release: who holds the page from now on sees that it isn't the one he took it for. */
	hz3_atomic_fetch_and(&remote->word, HZ3_REMOTE_QUEUED, release);
	/* relaxed: no block exists yet, and the routes that lead here are stored with release. */
	hz3_atomic_store(&remote->asleep, 0, relaxed);
}

/*
 * Keep a sleeping page from being taken over for a moment, by setting QUEUED: for statistics of heaps at rest.  Who holds the
 * lock that keeps scavengers away (they own queue entries) can rely on it.  False: somebody has it already.  *undo: unhold
 * must follow; else QUEUED was set before, which does as well.
 */
static inline bool hz3_remote_hold(struct hz3_page_remote *remote, bool *undo)
{
	uint64_t old = hz3_atomic_load(&remote->word, relaxed);

	do {
		if (old & HZ3_REMOTE_TAKEN)
			return false;
		/* acquire: what came before the page's last change of hands is seen. */
	} while (!hz3_atomic_cas_weak(&remote->word, &old, old | HZ3_REMOTE_QUEUED, acquire, relaxed));
	*undo = !(old & HZ3_REMOTE_QUEUED);
	return true;
}

/* After a hold that set QUEUED.  True: so much was pushed meanwhile that the caller must queue the page. */
static inline bool hz3_remote_unhold(struct hz3_page_remote *remote, uint32_t wake)
{
	/* acquire, both: of whatever page this is by now, the route is as those who pushed saw it. */
	uint64_t old = hz3_atomic_load(&remote->word, acquire);

	do {
		if (hz3_remote_count(old) >= wake)
			return true;
		/* release: whoever takes the page over comes after our reading of it. */
	} while (!hz3_atomic_cas_weak(&remote->word, &old, old & ~HZ3_REMOTE_QUEUED, release, acquire));
	return false;
}

/*
 * A queue of pages, by slice index, linked through queue_next.  As a stash (owner.h): pushed as a list with one CAS, taken as
 * a whole with one exchange.  Returns the number of read-modify-writes it took.
 */
static inline uint32_t hz3_queue_push(_Atomic uint32_t *queue, uint32_t first, struct hz3_page_remote *last)
{
	uint32_t tries = 0;
	/* relaxed: the CAS validates it; it is stored, not followed. */
	uint32_t old = hz3_atomic_load(queue, relaxed);

	do {
		/* relaxed: released by the CAS. */
		hz3_atomic_store(&last->queue_next, old, relaxed);
		tries++;
		/* release: publishes the links to the acquire in take.  seq_cst: before the look at "posted" (owner.h). */
	} while (!hz3_atomic_cas_weak(queue, &old, first, seq_cst, relaxed));
	return tries;
}

/* The look before a take, as with a stash. */
static inline bool hz3_queue_seems_full(_Atomic uint32_t *queue)
{
	/* seq_cst: after hz3_owner_clear_posted(); the exchange acquires. */
	return hz3_atomic_load(queue, seq_cst) != 0;
}

/* Take all pages. */
static inline uint32_t hz3_queue_take(_Atomic uint32_t *queue)
{
	/* acquire: pairs with the release of every push in the list, and with that in hz3_inbox_leave. */
	return hz3_atomic_exchange(queue, 0, acquire);
}

#endif
