/*
 * A mutex with a rank.  A thread takes locks in rising rank, so no two threads can wait for each other; debug builds
 * check that, and that a lock is released by the thread that took it.
 *
 * Any thread may call everything here.  No function allocates or changes errno.
 *
 * Around fork the forking thread holds every lock while other people's atfork handlers may run and call malloc in that
 * very thread.  Between hz3_lock_fork_begin() and hz3_lock_fork_end() its lock calls therefore return at once: what
 * they ask for is already held.  All other threads block as usual.
 */
#ifndef HZ3_LOCK_H
#define HZ3_LOCK_H

#include "base.h"

#include <pthread.h>

/* The order in which locks are taken: a thread that holds one may take only later ones. */
enum hz3_lock_rank {
	HZ3_RANK_FORK,
	HZ3_RANK_DECAY,
	HZ3_RANK_ABANDON,
	HZ3_RANK_HEAP,
	HZ3_RANK_LARGE,
	HZ3_RANK_ARENA,
	HZ3_RANK_WINDOW,
	HZ3_RANK_META,
	HZ3_RANKS
};

struct hz3_lock {
	pthread_mutex_t mutex;
	enum hz3_lock_rank rank;
	const char *name;
	/* Debug builds only: who holds it.  Written by the holder; others may read it and see that it isn't them. */
	_Atomic(void *) holder;
};

#define HZ3_LOCK_INIT(r, n)                                                                                          \
	{                                                                                                            \
		.mutex = PTHREAD_MUTEX_INITIALIZER, .rank = (r), .name = (n)                                         \
	}

/* Makes a lock in fresh memory; name must outlive it. */
void hz3_lock_init(struct hz3_lock *lock, enum hz3_lock_rank rank, const char *name);

void hz3_lock(struct hz3_lock *lock);

/* Takes a lock while others of the same rank are held; the caller vouches for an order (arenas: by index). */
void hz3_lock_same_rank(struct hz3_lock *lock);

/* True if taken.  It cannot wait, so it may be tried in any order. */
bool hz3_trylock(struct hz3_lock *lock);

void hz3_unlock(struct hz3_lock *lock);

/* For assertions: does the calling thread hold this lock?  Always true in builds that keep no record. */
bool hz3_lock_held(const struct hz3_lock *lock);

/*
 * Around fork: begin after every lock has been taken, end (in the parent and in the child) before the first is
 * released.  The lock of rank FORK, held all the time, makes sure that there is one forking thread.
 */
void hz3_lock_fork_begin(void);
void hz3_lock_fork_end(void);

#endif
