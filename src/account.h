/*
 * The bytes that a thread has allocated and freed, added up when it asks.
 *
 * Nothing is counted for it: the heap's counters are raised per page and per chain as always, and what they don't know yet is read off
 * the pages that the heap allocates from or has at hand, and off the buffer of remote frees.  Bytes are usable sizes.
 *
 *   allocated	exact.
 *   freed	what the thread freed of its own into pages that are asleep is counted when the page wakes: until then fewer than "wake"
 *		blocks of each such page are missing (size_class.h: less than 32, and less than a quarter of the page).  What its
 *		earlier threads left missing is counted for the thread in whose time it is found.
 *
 * Left out are guarded samples, blocks of pools (pool.h), and freed what waits in delayed_reuse.
 *
 * A heap outlives its thread.  What its earlier threads did is taken off: it is added up when the next one begins, if anybody has asked
 * by then, since that takes a walk over free blocks; else when the thread asks for the first time, which finds 0 then.
 *
 * Called by the thread that has the heap, which has no lock.
 */
#ifndef HZ3_ACCOUNT_H
#define HZ3_ACCOUNT_H

#include "heap.h"

struct hz3_account {
	uint64_t allocated, freed;	/* bytes */
};

/* The calling thread is about to get the heap, which may be another's that ended. */
void hz3_account_begin(struct hz3_heap *heap);

/* Of the calling thread; 0 if it has no heap of its own. */
struct hz3_account hz3_account_read(void);

#endif
