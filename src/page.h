/*
 * A page of equal blocks, as its owner sees it.
 *
 * Private to the owner's thread; or to the holder of the lock of a parked heap; or to the thread that took the page over
 * whole (page_remote.h).  What other threads may touch is in struct hz3_page_remote.
 *
 * A page is in one of these states:
 *
 *   current  the page that its class allocates from; may be partly carved.
 *   awake    fully carved, in the heap's list of pages of the class, has at least "wake" free blocks (or did once).
 *   asleep   fully carved, in no list, few free blocks; the remote word's asleep mark is set.
 *   empty    no block is in use; in the heap's stock of empty pages, uncarved, its routes are 0.
 *
 * countdown is the number of blocks that must still come back before something has to happen, so that free has one test:
 *
 *   current  nothing has to happen: counts down from a number too large to reach.
 *   awake    capacity - free blocks = live blocks: at 0 the page is empty.
 *   asleep   wake - free blocks: at 0 the page wakes.
 *
 * local_base - countdown is the number of local frees that the heap's counters do not know yet.
 */
#ifndef HZ3_PAGE_H
#define HZ3_PAGE_H

#include "base.h"
#include "block.h"
#include "page_map.h"
#include "size_class.h"

enum hz3_page_state {
	HZ3_PAGE_EMPTY,
	HZ3_PAGE_CURRENT,
	HZ3_PAGE_AWAKE,
	HZ3_PAGE_ASLEEP,
};

#define HZ3_COUNTDOWN_NEVER ((uint32_t)1 << 30)

struct hz3_extent;

struct hz3_page {
	struct hz3_block *free;
	uint32_t countdown;
	uint32_t local_base;
	struct hz3_page *next, *prev;	/* awake pages of a class, or the stock of empty ones */
	uint16_t carved;		/* blocks at the front that may be used; the rest of the page is untouched */
	uint16_t fresh;			/* of these, blocks at their end that are untouched as well, and in no list */
	uint16_t capacity;
	uint8_t class;
	uint8_t state;
	uint8_t slices;
	uint8_t pad[7];
	struct hz3_extent *extent;	/* of a run of a pool, page or large block: where it was cut from (extent.h) */
	uint8_t more_pad[8];
};

_Static_assert(sizeof(struct hz3_page) == sizeof(struct hz3_slice), "a page's line is one line");

static HZ3_INLINE struct hz3_page *hz3_page_at(size_t slice)
{
	return (struct hz3_page *)&hz3_page_map.slice[slice];
}

static HZ3_INLINE size_t hz3_page_slice(const struct hz3_page *page)
{
	return (size_t)((const struct hz3_slice *)page - hz3_page_map.slice);
}

/*
 * One block more has come back from the owner's thread; returns how many are left.  A relaxed store, which the compiler would not make one
 * instruction of: who has borrowed the heap may look (hz3_page_left), and has a barrier executed on all processors before he believes what
 * he has seen.  That barrier is what the thread sanitizer doesn't know.
 */
static HZ3_INLINE uint32_t hz3_page_count_down(struct hz3_page *page)
{
	if (!HZ3_THREAD_SANITIZER)
		return --page->countdown;
	uint32_t left = page->countdown - 1;
	__atomic_store_n(&page->countdown, left, __ATOMIC_RELEASE);
	return left;
}

static inline uint32_t hz3_page_left(const struct hz3_page *page)
{
	return __atomic_load_n(&page->countdown, HZ3_THREAD_SANITIZER ? __ATOMIC_ACQUIRE : __ATOMIC_RELAXED);
}

static HZ3_INLINE void *hz3_page_start(const struct hz3_page *page)
{
	return hz3_slice_address(hz3_page_slice(page));
}

static HZ3_INLINE struct hz3_page_remote *hz3_page_remote(const struct hz3_page *page)
{
	return hz3_remote_of(hz3_page_slice(page));
}

/* A list of pages.  One page is in one list at a time. */
struct hz3_page_list {
	struct hz3_page *first, *last;
};

void hz3_page_list_prepend(struct hz3_page_list *list, struct hz3_page *page);
void hz3_page_list_append(struct hz3_page_list *list, struct hz3_page *page);
void hz3_page_list_remove(struct hz3_page_list *list, struct hz3_page *page);

/* Make a run of slices a page of the class, uncarved, with the routes of its owner; tag: of the owner's heap. */
void hz3_page_format(struct hz3_page *page, unsigned class, uint32_t tag);

/* Forget all blocks; the routes go to 0.  The caller holds every block. */
void hz3_page_wipe(struct hz3_page *page);

/* The same of a run of slices that was no page: it has no routes, and nobody has written to its remote line. */
void hz3_page_begin(struct hz3_page *page, unsigned slices);

/*
 * Make some more blocks available: small ones are linked into the free list, others become fresh ones.  There must be none of
 * either.  Returns how many; 0 when all are carved.
 */
unsigned hz3_page_carve(struct hz3_page *page);

/* Take the next fresh block, of which there must be one. */
static inline struct hz3_block *hz3_page_take_fresh(struct hz3_page *page)
{
	size_t i = page->carved - page->fresh--;

	return (struct hz3_block *)((uintptr_t)hz3_page_start(page) + i * hz3_class_size(page->class));
}

/* Is it a block of the page, or the end of a list? */
static inline bool hz3_page_may_link(const struct hz3_page *page, const struct hz3_block *block)
{
	return block == NULL || hz3_class_has_block(page->class, (uintptr_t)block - (uintptr_t)hz3_page_start(page));
}

/* Take any free block; NULL: there is none.  Not hot, so the link that comes up next is looked at. */
static inline struct hz3_block *hz3_page_take(struct hz3_page *page)
{
	struct hz3_block *block = page->free;

	if (block) {
		page->free = hz3_block_next(block);
		hz3_check(hz3_page_may_link(page, page->free), HZ3_DAMAGED, (void *)block);
	} else if (page->fresh) {
		block = hz3_page_take_fresh(page);
	}
	return block;
}

/* Put a chain into the free list.  The caller looks after the countdown. */
static HZ3_INLINE void hz3_page_splice(struct hz3_page *page, struct hz3_chain chain)
{
	if (page->free)
		hz3_block_link(chain.last, page->free);
	atomic_signal_fence(memory_order_release);
	page->free = chain.first;
}

/* Free blocks that are carved, counted by walking the list. */
unsigned hz3_page_count_free(const struct hz3_page *page);

/* Dies unless the page is consistent with its state: links, counts, routes. */
void hz3_page_validate(const struct hz3_page *page, uint32_t tag);

#endif
