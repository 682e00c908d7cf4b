/*
 * Memory of owners that sleep: whole pages are taken from what others have sent them.
 *
 * An owner that never allocates again never drains.  What waits for it is moved to the words of its pages, where it adds
 * up; a page whose word holds all its blocks, and that its owner has put to sleep, can be taken over by anybody
 * (page_remote.h).  The owner is not disturbed: it may wake up and drain at any moment.
 */
#ifndef HZ3_SCAVENGE_H
#define HZ3_SCAVENGE_H

#include "heap.h"

/*
 * Take over what can be had of one owner's pages; they go to the heap.  Returns pages.  The caller may be any thread that
 * may change the heap; one at a time per owner is enough, but more do no harm.
 */
size_t hz3_scavenge_owner(struct hz3_owner *owner, struct hz3_heap *heap);

/*
 * The background thread's round: all running owners that have done nothing since the last two rounds, and whose inbox has
 * changed.  Called with the decay lock held.
 */
size_t hz3_scavenge_sleepers_locked(struct hz3_heap *heap);

/* All running owners but the heap's own, asleep or not. */
size_t hz3_scavenge_all(struct hz3_heap *heap);

#endif
