/*
 * Fork: what thread.c has of it.  fork.c says how it goes.
 */
#ifndef HZ3_FORK_H
#define HZ3_FORK_H

#include "thread.h"

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

#endif
