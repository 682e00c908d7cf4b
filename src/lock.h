/*
 * A mutex with a rank.  A thread takes locks in rising rank, so no two threads can wait for each other; debug builds
 * check that.
 *
 * Any thread may call everything here.  No function allocates or changes errno.
 *
 * Who holds a lock is in its word, and gets there with the lock itself, so that a signal handler that forks knows at every
 * moment which locks it has interrupted.  A thread that takes a lock twice (a signal handler called malloc) dies with a
 * message; else it would wait for ever.
 *
 * Around fork the forking thread holds every lock while other people's atfork handlers may run and call malloc in that
 * very thread.  Between hz3_lock_fork_begin() and hz3_lock_fork_end() its lock calls therefore return at once: what
 * they ask for is already held.  All other threads block as usual, but not for ever: the fork may wait for a lock of somebody
 * else's (of the list of streams in libc, say) whose holder wants memory.  After a second such a thread takes the lock over, if the
 * forking thread does not use it just then; to the child it is torn.
 *
 * In the child of a fork a lock may be torn: its holder is gone, or was interrupted by the handler that forked, and what it
 * protects is half changed.  Whoever wants it next gets it, and has it mended first.
 */
#ifndef HZ3_LOCK_H
#define HZ3_LOCK_H

#include "atomic.h"
#include "base.h"

/* The order in which locks are taken: a thread that holds one may take only later ones. */
enum hz3_lock_rank {
	HZ3_RANK_FORK,
	HZ3_RANK_DECAY,
	HZ3_RANK_ABANDON,
	HZ3_RANK_HEAP,
	HZ3_RANK_POOLS,
	HZ3_RANK_POOL,
	HZ3_RANK_LARGE,
	HZ3_RANK_ARENA,
	HZ3_RANK_WINDOW,
	HZ3_RANK_FLOW,
	HZ3_RANK_PROFILE,
	HZ3_RANK_META,
	HZ3_RANK_GUARD,
	HZ3_RANKS
};

struct hz3_lock {
	/* 0, or who holds it (an identity), with marks for those who sleep until it is free and for forks: see lock.c. */
	_Atomic uintptr_t word;
	enum hz3_lock_rank rank;
	const char *name;
	/*
	 * Make usable what a holder has left half changed: it sees a prefix of the holder's stores, in the order of signal
	 * fences.  Called with the lock held, and no other of the same rank or higher.  NULL: nothing can be half changed.
	 */
	void (*mend)(struct hz3_lock *lock);
	_Atomic bool torn;	/* in the child of a fork; whoever turns it off mends */
};

#define HZ3_LOCK_INIT(r, n, m)                                                                                       \
	{                                                                                                            \
		.rank = (r), .name = (n), .mend = (m)                                                                \
	}

/* Makes a lock in fresh memory; name must outlive it. */
void hz3_lock_init(struct hz3_lock *lock, enum hz3_lock_rank rank, const char *name, void (*mend)(struct hz3_lock *));

void hz3_lock(struct hz3_lock *lock);

/* True if taken.  It cannot wait, so it may be tried in any order. */
bool hz3_trylock(struct hz3_lock *lock);

void hz3_unlock(struct hz3_lock *lock);

/* Does the calling thread hold this lock? */
bool hz3_lock_held(const struct hz3_lock *lock);

/*
 * Before a fork waits for anything: this thread may be a signal handler, and what it has interrupted may owe another thread a wake, for a
 * lock that is free.  The other one may be what the fork waits for.
 */
void hz3_lock_pass_wake(void);

/*
 * The steps of a fork, for each lock.  Prepare takes it, unless the thread has it already (a signal handler is forking); a thread
 * that already has a lock of a higher rank, and could be waited for, only if it is free by until_us (hz3_os_now_us()).
 * Parent releases what prepare took, but for what was taken over since.  Child frees what a fork took and nobody was using, and calls torn
 * what else is held, by somebody who is not there or by this thread since before.  Miss is for the child before that, in other people's
 * handlers: it does the same with what somebody else holds.
 */
#define HZ3_LOCK_FOR_EVER UINT64_MAX
/*
 * A fork in a signal handler that has interrupted a holder of locks waits so long, for all of those that come before them together:
 * their holders may wait for it.  In time, since on a busy machine to yield takes long.
 */
#define HZ3_LOCK_PATIENCE_US 20000
void hz3_lock_fork_prepare(struct hz3_lock *lock, uint64_t until_us);
void hz3_lock_fork_parent(struct hz3_lock *lock);
void hz3_lock_fork_child(struct hz3_lock *lock);
void hz3_lock_fork_miss(struct hz3_lock *lock);

/*
 * Around fork: begin after every lock has been taken, end before the first is released in the parent.  The lock of rank FORK, held all the time, makes sure that there is one forking thread
 * that has them all.  In a handler that has interrupted a holder of locks, of which last_interrupted is the last (else NULL), the fork may
 * not have all.  New process stands for end in the child, whichever of its threads finds out that it is one.
 */
void hz3_lock_fork_begin(const struct hz3_lock *last_interrupted);
void hz3_lock_fork_end(void);
void hz3_lock_new_process(void);
bool hz3_lock_is_forking(void);

/*
 * Called before a thread looks at a lock, and again before it sleeps until the lock is free, or dies because it has it already.  It may be in
 * a child whose fork nobody has told us of, and the holder not there, or interrupted by the handler that forked.
 */
extern void (*hz3_lock_meet_process)(void);

#endif
