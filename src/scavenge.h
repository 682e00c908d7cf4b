/*
 * Memory of threads that sleep: whole pages are taken from what others have sent them, and their own buffers are flushed.
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
 * Flush the buffers of other threads: a thread that has freed and then sleeps would sit on them for ever.  The buffer is
 * borrowed: a mark, a barrier on all processors, and a look whether its thread is busy (heap.h); no thread pays for
 * a barrier of its own.  Where the system has no such barrier, buffers are left alone.
 */
void hz3_scavenge_buffers_locked(struct hz3_heap *heap, bool sleepers_only);

/*
 * The background thread's round: threads that have been in no slow path for some rounds; their buffers, and what waits for
 * them if it has changed.  Called with the decay lock held, as the next.
 */
size_t hz3_scavenge_sleepers_locked(struct hz3_heap *heap);

/* All running owners but the heap's own, asleep or not. */
size_t hz3_scavenge_all_locked(struct hz3_heap *heap);

#endif
