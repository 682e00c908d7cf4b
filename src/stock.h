/*
 * The stock of a heap: free runs of slices that its thread keeps for its next pages and large blocks, which it takes without a lock.
 *
 * There are empty pages in it, and the runs of large blocks that were freed; their routes are 0.  It is touched by who has entered the heap
 * only (heap.h), so it is lent together with the buffer.  A pool's is always empty: its extents take and give runs as fast.
 */
#ifndef HZ3_STOCK_H
#define HZ3_STOCK_H

#include "atomic.h"
#include "page.h"

/* Longer runs are the arenas'. */
#define HZ3_STOCK_SLICES_MAX 8

struct hz3_stock {
	struct hz3_page_list runs[HZ3_STOCK_SLICES_MAX];	/* by their number of slices less one; what came last first */
	_Atomic uint32_t slices;				/* in all; relaxed: who looks after sleepers asks for it */
};

static inline uint32_t hz3_stock_slices(const struct hz3_stock *stock)
{
	return hz3_atomic_load(&stock->slices, relaxed);
}

/* A run of n slices, the first one's address a multiple of align slices (a power of 2); 0: there is none. */
size_t hz3_stock_take(struct hz3_stock *stock, size_t n, size_t align);

/* Would a run of n slices stay? */
bool hz3_stock_has_room(const struct hz3_stock *stock, size_t n);

/* A page that was wiped, or begun, and is in no list.  What is too much then goes to the arenas, this one last. */
void hz3_stock_add(struct hz3_stock *stock, struct hz3_page *page);

/* Give all of it back to the arenas. */
void hz3_stock_trim(struct hz3_stock *stock);

/* In the child of a fork that has cut a change of it: what was in it is lost. */
void hz3_stock_mend(struct hz3_stock *stock);

#endif
