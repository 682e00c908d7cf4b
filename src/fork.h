/*
 * Fork: what thread.c and fork.c have of each other.  fork.c says how it goes.
 */
#ifndef HZ3_FORK_H
#define HZ3_FORK_H

#include "lock.h"
#include "thread.h"

/* ---- fork.c ---- */

/* Register the fork handlers, once; if that fails, a later call tries again.  May call malloc. */
void hz3_fork_register(void);

/*
 * A slow path in a process that nobody has told us of, or that could not take stock yet.  If a signal handler has forked, this is the
 * handler, or it has returned.
 */
void hz3_fork_meet_new_process(void);

/* For hz3_lock_meet_process: the one who has the lock may not be there. */
void hz3_fork_before_lock(void);

/*
 * The heap that the calling thread had to leave because its signal handler had forked in the midst of a change: whole again, since
 * the interrupted code has gone on.  NULL: there is none.
 */
struct hz3_heap *hz3_fork_come_back(void);

/* In the child, a heap that somebody who is not there was changing: also the calling thread's own, if it waits to be given that back. */
void hz3_fork_mend(struct hz3_heap *heap);

/* In the child: nobody acts as the owner of this heap any more. */
void hz3_fork_lose(struct hz3_heap *heap);

/* ---- thread.c ---- */

/* Of the shared heap. */
extern struct hz3_lock hz3_shared_lock;

/* Send off the remote frees that the heap has collected. */
void hz3_thread_flush_heap(struct hz3_heap *heap, enum hz3_flush_cause cause);

/* Free what waits before it can be used again: the heap's thread will not come back for it. */
void hz3_thread_give_up_delayed(struct hz3_heap *heap);

/* In the child: the calling thread is the only one. */
void hz3_thread_forget_others(void);

/* What there is of memory, for the limits; while nobody takes or gives any. */
void hz3_thread_count_memory(void);

#endif
