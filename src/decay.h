/*
 * When memory goes back to the system.
 *
 * Free runs are kept for a while (dirty_decay_ms) and then purged: by a background thread, which starts when a process that
 * has threads has something to give back, or inline, now and then, by whoever takes a slow path.  A process without the
 * thread keeps at most dirty_max, since nobody would purge the rest if it fell idle; up to four times that while it keeps taking back what it
 * gave.
 *
 * The decay lock protects a round of the background thread, and the start of it.
 */
#ifndef HZ3_DECAY_H
#define HZ3_DECAY_H

#include <stddef.h>
#include <stdint.h>

#include "lock.h"

/* A thread calls hz3_decay_tick() once in so many slow paths, with no lock held and its heap at rest. */
#define HZ3_DECAY_TICKS 16

void hz3_decay_tick(void);

/*
 * The same inside of free.  Libc frees with the lock of its thread stacks in hand (pthread_join does), which pthread_create takes too.  So a
 * thread that is wanted is started by the next slow path of malloc, whose turn it need not be.  Only after 8 of these calls, or 128 slow
 * paths of free, without one of malloc, is it started here: such a process does nothing but free, and hardly what belonged to its threads.
 */
void hz3_decay_tick_in_free(void);
extern _Atomic unsigned hz3_decay_missed_starts;	/* relaxed: a hint */

/*
 * Give back all that can be reached now: the calling thread's buffer and empty pages, parked heaps, whole pages of running
 * owners, every dirty run.  Returns bytes purged.
 */
size_t hz3_decay_purge_all(void);

/*
 * The soft limit was exceeded: what is dirty goes back, the oldest first, until there is room below the limit again; if that does not
 * do, what else can be reached.  By one thread at a time, which holds nothing.
 */
void hz3_decay_keep_soft_limit(void);

/*
 * Memory has run out, or the hard limit is reached: as hz3_decay_purge_all(), and the address space of free runs with it.  True if something was
 * got.
 */
bool hz3_decay_reclaim(void);

/* The same for a request of so many bytes, before it is tried once more.  Counted, if it is the hard limit that leaves no room for them. */
void hz3_decay_reclaim_for(size_t bytes);

/*
 * dirty_decay_ms in force, for all arenas that have none of their own; that of one arena; and the same for all, also for those
 * that had their own.  May be set at any time.
 */
int64_t hz3_decay_ms(void);
void hz3_decay_set_ms(int64_t ms);
int64_t hz3_decay_arena_ms(unsigned arena);
void hz3_decay_set_arena_ms(unsigned arena, int64_t ms);
void hz3_decay_set_all_ms(int64_t ms);

/* Give back what of the arena is due.  Returns bytes. */
size_t hz3_decay_arena(unsigned arena);

/* Does the background thread look after decay? */
bool hz3_decay_thread_runs(void);

/* Around fork; the child has no background thread. */
extern struct hz3_lock hz3_decay_lock;
void hz3_decay_forget_thread(void);

#endif
