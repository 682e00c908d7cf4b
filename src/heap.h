/*
 * The thread's heap: pages by size class, refill, drain, retire.
 *
 * A heap is touched by its thread alone; or by the holder of the abandon lock while it is parked; or, for the shared heap of
 * threads that are ending and for those of pools, by the holder of that heap's lock (thread.c, pool.h).  "owner" points to
 * the part that others may touch.
 */
#ifndef HZ3_HEAP_H
#define HZ3_HEAP_H

#include "arena.h"
#include "counters.h"
#include "guard.h"
#include "owner.h"
#include "page.h"
#include "profile.h"
#include "remote_buffer.h"
#include "sink.h"
#include "stock.h"

/* Small requests find their page by granules, without asking for the class. */
#define HZ3_DIRECT_MAX 2048u
#define HZ3_DIRECT_GRANULES (HZ3_DIRECT_MAX / HZ3_GRANULE + 1)

struct hz3_extents;

struct hz3_heap {
	/* The first line: what a free reads. */
	struct hz3_map_view map;
	uint32_t tag;				/* the upper half of its pages' routes; HZ3_TAG_NONE: no heap (a thread without one) */
	struct hz3_page *direct[HZ3_DIRECT_GRANULES];	/* page[] again, by granules of the request; set_current() in heap.c */
	struct hz3_page *page[HZ3_CLASSES];	/* current page of each class, never NULL */
	struct hz3_owner *owner;
	struct hz3_arena *arena, *large_arena;	/* of pages, and of large blocks */
	bool keeps_to_arena;			/* takes nothing of other arenas': its thread has chosen one */
	/*
	 * Not 0 while lists, or the buffer, are being changed.  Ordered against this thread's other stores by signal fences: it
	 * is read in the child of a fork that this thread did not survive, which sees a prefix of its stores; and
	 * by whoever borrows buffer and stock, after a barrier on all processors (scavenge.c).
	 */
	_Atomic uint32_t busy;
	_Atomic uint32_t borrowed;		/* not 0: somebody else may be using the buffer, the stock and the lists; see hz3_heap_enter() */
	_Atomic bool loan_was_cut;		/* in the child of a fork: whoever had it lent is not there; off when it is mended (release) */
	bool made_pages;			/* ever */
	uint32_t slices;			/* of the pages that it made and did not retire; some may be others' by now (handover) */
	uint32_t ticks;				/* slow paths so far, of all kinds */
	uint32_t refills;			/* of these, mallocs of a class */
	struct hz3_page_list awake[HZ3_CLASSES];
	struct hz3_stock stock;			/* of empty pages and other free runs */
	struct hz3_remote_buffer buffer;
	struct hz3_counters counters;
	struct hz3_profile_turn profile;
	struct hz3_guard_turn guard;		/* when a block is sampled next */
	bool knows_earlier;			/* account.c, as the next two */
	uint64_t earlier_allocated, earlier_freed;	/* bytes, by the threads that had the heap before */
	struct hz3_block_queue delayed;		/* with delayed_reuse: blocks that were freed, and wait (delayed.h) */
	struct hz3_extents *extents;		/* of a pool: where its runs come from; else NULL, and it is "arena" */
};

/* What stands for a current page that isn't there: no free block, nothing to carve.  Never written. */
extern struct hz3_page hz3_page_none;

/* No route's: owners' ids are smaller. */
#define HZ3_TAG_NONE HZ3_ROUTE_OWNER_MASK

/*
 * What stands for the heap of a thread without one: no pages, nothing its own, no owner; an empty view of the map; a buffer that
 * is lent for ever, so that nobody uses it.
 */
#define HZ3_HEAP_NONE { \
	.tag = HZ3_TAG_NONE, \
	.borrowed = 1, \
	.direct = { [0 ... HZ3_DIRECT_GRANULES - 1] = &hz3_page_none }, \
	.page = { [0 ... HZ3_CLASSES - 1] = &hz3_page_none }, \
}

/* A new heap with its owner, registered and running; or a pool's, of which the extents are.  NULL if there is no memory. */
struct hz3_heap *hz3_heap_new(void);
struct hz3_heap *hz3_heap_new_for_pool(struct hz3_extents *extents);

/* Of a pool: all its blocks are gone, and are counted as freed.  Its pages are to be wiped by the caller. */
void hz3_heap_forget_pages(struct hz3_heap *heap);

/*
 * Where it gets its memory from now on: from the arena with this index, or from those that fall to it.  Its own thread's to set, anybody's
 * to read (that of pages).
 */
void hz3_heap_set_arena(struct hz3_heap *heap, unsigned arena);
void hz3_heap_choose_arenas(struct hz3_heap *heap);
unsigned hz3_heap_arena_index(const struct hz3_heap *heap);

/* What its pages' routes begin with. */
static inline uint32_t hz3_heap_tag(const struct hz3_heap *heap)
{
	return heap->owner->id | (heap->extents ? HZ3_TAG_POOL : 0);
}

/* With zero_on_free it stays empty, so that every free goes past where blocks are wiped, and those who don't ask for it pay nothing. */
static inline void hz3_heap_renew_view(struct hz3_heap *heap)
{
	if (hz3_options.zero_on_free)
		heap->map = (struct hz3_map_view){ 0 };
	else
		hz3_map_view_renew(&heap->map);
}

/*
 * What the hot paths find anew, from the current pages and the options: those that are about it (guard_sample, zero_on_free) were read when
 * the heap was there already; or the heap is being mended.
 */
void hz3_heap_apply_options(struct hz3_heap *heap);

/*
 * Before the heap or its buffer is changed by its thread; false if the buffer is lent.  Store, then load: the other side, which
 * lends itself the buffer, stores "borrowed", has a barrier executed on all processors, and loads "busy"; so one of the two
 * sees the other, and this side needs no barrier of its own.
 */
static HZ3_INLINE bool hz3_heap_enter(struct hz3_heap *heap)
{
	hz3_atomic_store(&heap->busy, 1, relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	/* acquire: pairs with the release when the buffer is given back. */
	return !hz3_unlikely(hz3_atomic_load(&heap->borrowed, acquire));
}

static HZ3_INLINE void hz3_heap_leave(struct hz3_heap *heap)
{
	/* release: whoever finds it 0 sees what was done. */
	hz3_atomic_store(&heap->busy, 0, release);
}

/*
 * The other side, one borrower at a time: ask for buffer and stock; a barrier on all processors; if they are lent, use them; hand
 * back, in any case.
 */
static inline void hz3_heap_ask_for(struct hz3_heap *heap)
{
	/* relaxed: the barrier orders it. */
	hz3_atomic_store(&heap->borrowed, 1, relaxed);
}

static inline bool hz3_heap_is_asked_for(const struct hz3_heap *heap)
{
	/* relaxed: the borrower's own mark. */
	return hz3_atomic_load(&heap->borrowed, relaxed);
}

static inline bool hz3_heap_is_lent(const struct hz3_heap *heap)
{
	/* acquire: pairs with the release in hz3_heap_leave(). */
	return !hz3_atomic_load(&heap->busy, acquire);
}

static inline void hz3_heap_hand_back(struct hz3_heap *heap)
{
	/* release: pairs with the acquire in hz3_heap_enter(). */
	hz3_atomic_store(&heap->borrowed, 0, release);
}

/* In the child of a fork, of a heap whose thread is not there: was nobody about to change it? */
static inline bool hz3_heap_is_whole(const struct hz3_heap *heap)
{
	/* relaxed, both: what they say is as old as everything else that the child sees. */
	return !hz3_atomic_load(&heap->busy, relaxed) && !hz3_atomic_load(&heap->borrowed, relaxed);
}

/*
 * Make whole what isn't: the pages tell which blocks are free, and what else there is follows from that.  Lost are the stock, and what
 * was on its way between two places.
 */
void hz3_heap_mend(struct hz3_heap *heap);	/* heap_mend.c */

/* A block of the class from what the heap has, drains included; NULL: it needs a fresh page. */
void *hz3_heap_refill(struct hz3_heap *heap, unsigned class);

/* Get a fresh page for the class and a block from it; NULL: no memory. */
void *hz3_heap_refill_fresh(struct hz3_heap *heap, unsigned class);

/*
 * A run of n slices from the stock, or else from the arena, and back, for large blocks; the routes are 0.  The run's first
 * address is a multiple of align slices.  0: no memory.
 */
size_t hz3_heap_run_alloc(struct hz3_heap *heap, size_t n, size_t align, bool *zero);
void hz3_heap_run_free(struct hz3_heap *heap, size_t slice, size_t n);

/* After a local free brought the page's countdown to 0. */
void hz3_heap_page_event(struct hz3_heap *heap, struct hz3_page *page);

/* A local free, the block's page known.  True: the countdown is at 0, and hz3_heap_page_event() must follow. */
static HZ3_INLINE bool hz3_heap_free_local(struct hz3_page *page, struct hz3_block *block)
{
	struct hz3_block *head = page->free;

	hz3_check(block != head, "free: %p was freed twice", (void *)block);
	hz3_block_link(block, head);
	/* The link before the head: a fork between the two must not leave a list that leads astray. */
	atomic_signal_fence(memory_order_release);
	page->free = block;
	/* Last: from then on, the page may be taken from a heap that is lent. */
	atomic_signal_fence(memory_order_release);
	return hz3_unlikely(hz3_page_count_down(page) == 0);
}

/* A remote free that the buffer could not take at once: answer to hz3_buffer_add().  True: look after parked heaps. */
bool hz3_heap_free_remote(struct hz3_heap *heap, size_t slice, struct hz3_block *block, enum hz3_buffer_need need);

/* Now and then: what arrived for classes that nobody asks for, within a budget, and what is too little to be queued. */
void hz3_heap_sweep(struct hz3_heap *heap);

/* Flush the buffer.  True if something went to a parked heap. */
bool hz3_heap_flush(struct hz3_heap *heap, enum hz3_flush_cause cause);

/* Take in what arrived, up to about budget bytes; drain_all answers for the rest as well.  Returns blocks. */
size_t hz3_heap_drain(struct hz3_heap *heap, size_t budget);
size_t hz3_heap_drain_all(struct hz3_heap *heap, size_t budget);

/* Give all empty pages back, those in the stock and current ones, which takes a walk over their blocks. */
void hz3_heap_trim(struct hz3_heap *heap);

/*
 * Take over a page of which no block is in use: the caller holds so many (all of them, unless it has borrowed the owner's heap), and the rest
 * is free; sent: they were counted as sent, by whomever.  All the pages that a post completed; returns how many.
 */
void hz3_heap_take_page(struct hz3_heap *heap, struct hz3_page *page, uint32_t blocks, bool sent);
size_t hz3_heap_take_claimed(struct hz3_heap *heap, struct hz3_posted *posted);

/*
 * For who has borrowed the heap.  Is no block of its page in use, if so many are in the page's word?  True may be too early by what the owner
 * is just doing: a barrier on all processors has to follow, and the same question.  The page leaves the heap's lists.
 */
bool hz3_heap_page_is_free(const struct hz3_page *page, uint32_t in_word);
void hz3_heap_lose_page(struct hz3_heap *heap, struct hz3_page *page);

/* The owner's number; 0: the heap of a thread that has none yet. */
static HZ3_INLINE uint32_t hz3_heap_number(const struct hz3_heap *heap)
{
	return heap->owner ? heap->owner->id : 0;
}

/* Is this the block that the heap's thread samples?  A thread without a heap has no turn. */
static HZ3_INLINE bool hz3_heap_samples(struct hz3_heap *heap, size_t size)
{
	return hz3_unlikely(hz3_profile_on) && heap->owner && hz3_profile_is_due(&heap->profile, size);
}

/* The counters' view of a page that has local frees which they don't know yet, for statistics of heaps at rest. */
void hz3_heap_count_page(const struct hz3_page *page, struct hz3_class_counters *sum);

/* Dies unless every list of the heap is consistent.  For tests, and for threads that end or fall idle in debug builds. */
void hz3_heap_validate(struct hz3_heap *heap);

#endif
