/*
 * Memory limits: an account of what hz3 has from the system, and what it may have (memory_limit_soft, memory_limit_hard).
 *
 * The account is of memory, not of address space: runs in use and dirty ones (arena.h), huge mappings, and hz3's own structures.
 * Whoever is about to turn address space into memory takes the bytes from here first, and gives them back when the system has the
 * memory again, or has refused it.
 *
 *   used	any thread.  Raised by a CAS that looks at the limit, so it exceeds the hard limit at no moment, whoever else takes, and
 *		nobody is refused for the sake of somebody who is about to be.
 *   limits	options that the control call may set (options.h).
 *   the rest	when the soft limit calls for a purge: a schedule, and counters.
 *
 * relaxed, all of it: numbers that nothing hangs on.  Any thread may call everything here, with any lock held.
 *
 * Nothing here purges: the slow path of malloc, which holds no lock, asks what is to be done (alloc.c), and decay.c does it.
 */
#ifndef HZ3_LIMIT_H
#define HZ3_LIMIT_H

#include "atomic.h"
#include "base.h"

/* Bytes that are about to be memory.  False, and nothing is taken: the hard limit does not allow them. */
bool hz3_limit_take(size_t bytes);
void hz3_limit_give(size_t bytes);

size_t hz3_limit_used(void);

/* Bytes that can be taken now; SIZE_MAX: there is no hard limit. */
size_t hz3_limit_room(void);

/* Would so many bytes go over the hard limit, with what may come along of metadata? */
bool hz3_limit_binds(size_t bytes);

/* At set-up and in the child of a fork, when nobody takes or gives: what there really is. */
void hz3_limit_set_used(size_t bytes);

/* What the calling thread takes from now on may go over the hard limit, or no more. */
void hz3_limit_lift(bool lifted);

/* ---- The soft limit ---- */

/* What was taken has gone over the soft limit, and it is time for a purge: see hz3_limit_end_purge(). */
extern _Atomic bool hz3_limit_over;

static HZ3_INLINE bool hz3_limit_wants_purge(void)
{
	return hz3_unlikely(hz3_atomic_load(&hz3_limit_over, relaxed));
}

/* True for one of the threads that ask, which is to purge.  Returns how many bytes less there should be; 0: nothing is to be done. */
size_t hz3_limit_begin_purge(void);

/* The limit is another one: what is over it already calls for a purge at once. */
void hz3_limit_renew(void);

/* How many bytes there are now over the soft limit, 0 if it is kept. */
size_t hz3_limit_excess(void);

/*
 * The purge has been done.  If there is room again below the soft limit, the next one is called for when it is exceeded.  If not, what
 * is over is in use, and a purge for every malloc would be of no use: the next one comes when a sixteenth of the limit more has
 * been taken, or after a second.
 */
void hz3_limit_end_purge(void);

/* ---- What happened: purges for the sake of the soft and the hard limit, and requests that the latter refused ---- */

struct hz3_limit_counters {
	uint64_t soft_purges, hard_purges, refused;
};

void hz3_limit_count_hard_purge(void);

/* A request of so many bytes has failed for good: a refusal, if it is the hard limit that leaves no room for them. */
void hz3_limit_count_failure(size_t bytes);

struct hz3_limit_counters hz3_limit_counters(void);

#endif
