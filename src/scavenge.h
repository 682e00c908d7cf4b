/*
 * Memory of threads that sleep: whole pages are taken from what others have sent them, and their own buffers are flushed.
 *
 * An owner that never allocates again never drains.  What waits for it is moved to the words of its pages, where it adds
 * up; a page whose word holds all its blocks, and that its owner has put to sleep, can be taken over by anybody
 * (page_remote.h).  The owner is not disturbed: it may wake up and drain at any moment.  For pages of which it has freed a part itself, its heap is
 * borrowed (heap.h), and it waits if it wakes up meanwhile.
 */
#ifndef HZ3_SCAVENGE_H
#define HZ3_SCAVENGE_H

#include "heap.h"

/*
 * The background thread's round: threads that have been in no slow path for some rounds; their buffers, and what waits for
 * them if it has changed.  Called with the decay lock held, as the next.
 */
size_t hz3_scavenge_sleepers_locked(struct hz3_heap *heap);

/* All running owners but the heap's own, asleep or not. */
size_t hz3_scavenge_all_locked(struct hz3_heap *heap);

#endif
