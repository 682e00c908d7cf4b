/*
 * Locks with ranks, their debug record, and the pass-through for a forking thread.
 *
 * Any thread may call this.  The record of held ranks is thread-local; the fork thread is one global word, written
 * under the lock of rank FORK.
 */
#include "lock.h"

#include <errno.h>

#include "atomic.h"

#define SPINS 100

/*
 * The thread that holds every lock because it is forking, by thread_identity(); else NULL.  Relaxed is enough: a thread
 * acts only on finding its own identity, which only itself can have stored.
 */
static HZ3_ALIGNED(HZ3_CACHE_LINE) _Atomic(void *) fork_thread;

/* Debug builds only: how many locks of each rank this thread holds. */
static _Thread_local __attribute__((tls_model("initial-exec"))) uint16_t held[HZ3_RANKS];

/* The address of errno is unique among living threads, and costs no thread-local storage of ours. */
static void *
thread_identity(void)
{
	return &errno;
}

static bool
forking_here(void)
{
	void *forking = hz3_atomic_load(&fork_thread, relaxed);

	return hz3_unlikely(forking != NULL) && forking == thread_identity();
}

/* Ranks are taken in rising order; a second lock of the same rank only where the caller vouches for its order. */
static void
check_order(const struct hz3_lock *lock, unsigned first_forbidden)
{
	for (unsigned r = first_forbidden; r < HZ3_RANKS; r++)
		hz3_check(held[r] == 0, "lock order: %s (rank %u) taken while holding rank %u", lock->name, lock->rank, r);
}

/* Relaxed: another thread that reads holder only needs to see anything but its own identity. */
static void *
holder(const struct hz3_lock *lock)
{
	return hz3_atomic_load(&lock->holder, relaxed);
}

static void
record_locked(struct hz3_lock *lock)
{
	held[lock->rank]++;
	hz3_atomic_store(&lock->holder, thread_identity(), relaxed);
}

static void
record_unlocked(struct hz3_lock *lock)
{
	hz3_check(holder(lock) == thread_identity(), "lock %s released by a thread that does not hold it", lock->name);
	hz3_atomic_store(&lock->holder, NULL, relaxed);
	held[lock->rank]--;
}

static void
take(struct hz3_lock *lock, unsigned first_forbidden)
{
	if (HZ3_DEBUG) {
		hz3_check(holder(lock) != thread_identity(), "lock %s taken twice by one thread", lock->name);
		check_order(lock, first_forbidden);
	}
	/* Sections are short: to sleep and to be woken takes far longer than most waits. */
	for (unsigned i = 0; i < SPINS; i++) {
		if (pthread_mutex_trylock(&lock->mutex) == 0)
			goto locked;
		hz3_cpu_relax();
	}
	pthread_mutex_lock(&lock->mutex);
locked:
	if (HZ3_DEBUG)
		record_locked(lock);
}

void
hz3_lock_init(struct hz3_lock *lock, enum hz3_lock_rank rank, const char *name)
{
	pthread_mutex_init(&lock->mutex, NULL);
	lock->rank = rank;
	lock->name = name;
	atomic_init(&lock->holder, NULL);
}

void
hz3_lock(struct hz3_lock *lock)
{
	if (!forking_here())
		take(lock, lock->rank);
}

void
hz3_lock_same_rank(struct hz3_lock *lock)
{
	if (!forking_here())
		take(lock, lock->rank + 1u);
}

bool
hz3_trylock(struct hz3_lock *lock)
{
	if (forking_here())
		return true;
	if (pthread_mutex_trylock(&lock->mutex) != 0)
		return false;
	if (HZ3_DEBUG)
		record_locked(lock);
	return true;
}

void
hz3_unlock(struct hz3_lock *lock)
{
	if (forking_here())
		return;
	if (HZ3_DEBUG)
		record_unlocked(lock);
	pthread_mutex_unlock(&lock->mutex);
}

bool
hz3_lock_held(const struct hz3_lock *lock)
{
	return !HZ3_DEBUG || forking_here() || holder(lock) == thread_identity();
}

void
hz3_lock_fork_begin(void)
{
	hz3_assert(hz3_atomic_load(&fork_thread, relaxed) == NULL);
	hz3_atomic_store(&fork_thread, thread_identity(), relaxed);
}

void
hz3_lock_fork_end(void)
{
	hz3_assert(forking_here());
	hz3_atomic_store(&fork_thread, NULL, relaxed);
}
