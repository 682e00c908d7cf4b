/*
 * Blocks that were freed, and wait before they can be used again: the option delayed_reuse, in builds with safety checks.
 *
 * The queue is in the heap of the thread that freed them, whose ever they are, and belongs to that thread; in the child of a fork, a
 * vanished thread's to whoever takes stock.  To everybody else they are blocks in use.  A fork may cut any change of it: the child
 * sees a prefix of the stores, in which at most the block that was on its way is missing.
 */
#ifndef HZ3_DELAYED_H
#define HZ3_DELAYED_H

#include "heap.h"

/* At the end of the queue, a block of so many bytes in a page. */
void hz3_delayed_add(struct hz3_heap *heap, struct hz3_block *block, size_t bytes);

/* The oldest, while more than so many bytes wait; else NULL.  Dies if somebody has written to it meanwhile. */
struct hz3_block *hz3_delayed_take(struct hz3_heap *heap, size_t bytes_max);

/* By who has entered the heap: free all of them.  True: look after parked heaps. */
bool hz3_delayed_give_up(struct hz3_heap *heap);

/* In the child of a fork, of a thread that was just changing the heap. */
void hz3_delayed_mend(struct hz3_heap *heap);

#endif
