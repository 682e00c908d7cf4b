/*
 * Locks with ranks, that know their holders, and what becomes of them around fork.
 *
 * Any thread may call this.  The word of a lock says all; debug builds count, per thread, the locks of each rank, to
 * check the order.  The fork thread is one global word, written by a thread that holds every lock.
 */
#include "lock.h"

#include "os_clock.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPINS 100

/* Identities are addresses of integers, so this bit of theirs is 0. */
#define WAITERS ((uintptr_t)1)

void (*hz3_lock_meet_process)(void);

/*
 * The thread that holds every lock because it is forking, by my_identity(); else 0.  Relaxed is enough: a thread acts only
 * on finding its own identity, which only itself can have stored.
 */
static HZ3_ALIGNED(HZ3_CACHE_LINE) _Atomic uintptr_t fork_thread;

/* Debug builds only: how many locks of each rank this thread holds. */
static _Thread_local __attribute__((tls_model("initial-exec"))) uint16_t held[HZ3_RANKS];

/*
 * The lock for which this thread may owe others a wake: it is releasing it, or sleeps until it is free, and may be the one who was woken.
 * Read by this thread's signal handlers only.
 */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct hz3_lock *volatile owes_wake;

/*
 * The address of errno is unique among living threads, the same in the child of a fork, and costs no thread-local storage
 * of ours.
 */
static uintptr_t
my_identity(void)
{
	return (uintptr_t)&errno;
}

bool
hz3_lock_is_forking(void)
{
	uintptr_t forking = hz3_atomic_load(&fork_thread, relaxed);

	return hz3_unlikely(forking != 0) && forking == my_identity();
}

/* Relaxed: another thread that reads it only needs to see anything but its own identity. */
static bool
is_mine(const struct hz3_lock *lock)
{
	return (hz3_atomic_load(&lock->word, relaxed) & ~WAITERS) == my_identity();
}

static void
check_order(const struct hz3_lock *lock)
{
	for (unsigned r = lock->rank; r < HZ3_RANKS; r++)
		hz3_check(held[r] == 0, "lock order: %s (rank %u) taken while holding rank %u", lock->name, lock->rank, r);
}

/* The half of the word that futexes compare; it has the bit, and tells holders apart well enough to sleep by. */
static uint32_t *
futex_of(struct hz3_lock *lock)
{
	return (uint32_t *)(void *)&lock->word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

static void
wake_one(struct hz3_lock *lock)
{
	int saved_errno = errno;

	(void)syscall(SYS_futex, futex_of(lock), HZ3_FUTEX_WAKE, 1, NULL, NULL, 0);
	errno = saved_errno;
}

/* In the child of a fork: its holder is no more, or is the code that a signal handler has interrupted. */
static HZ3_NOINLINE bool
take_if_torn(struct hz3_lock *lock)
{
	/* relaxed: it was set when the child had this thread alone, or none yet of those who ask. */
	if (!hz3_atomic_load(&lock->torn, relaxed) || !hz3_atomic_exchange(&lock->torn, false, relaxed))
		return false;
	/* Others may sleep already. */
	hz3_atomic_store(&lock->word, my_identity() | WAITERS, relaxed);
	if (lock->mend)
		lock->mend(lock);
	return true;
}

/* After a signal handler, which may have called _Fork: this may be the child, where the holder is not. */
static bool
take_if_holder_is_gone(struct hz3_lock *lock)
{
	if (hz3_lock_meet_process)
		hz3_lock_meet_process();
	return take_if_torn(lock);
}

/*
 * Take it, marked as waited for by others, which may be so: its release wakes one who sleeps.  With a time limit, since who sleeps
 * without one sleeps on after a signal handler.
 */
static HZ3_NOINLINE void
sleep_and_take(struct hz3_lock *lock)
{
	int saved_errno = errno;
	static const struct timespec long_time = { 3600, 0 };
	struct hz3_lock *owed = owes_wake;

	owes_wake = lock;
	for (;;) {
		uintptr_t word = hz3_atomic_load(&lock->word, relaxed);
		if (word == 0) {
			/* acquire: pairs with the release in release(). */
			if (hz3_atomic_cas_strong(&lock->word, &word, my_identity() | WAITERS, acquire, relaxed))
				break;
			continue;
		}
		if (!(word & WAITERS) &&
		    !hz3_atomic_cas_strong(&lock->word, &word, word | WAITERS, relaxed, relaxed))
			continue;
		if (syscall(SYS_futex, futex_of(lock), HZ3_FUTEX_WAIT, (uint32_t)(word | WAITERS), &long_time, NULL, 0) != 0 &&
		    errno == EINTR && take_if_holder_is_gone(lock))
			break;
	}
	owes_wake = owed;
	errno = saved_errno;
}

static bool
take_if_free(struct hz3_lock *lock)
{
	uintptr_t word = 0;

	/* acquire: pairs with the release in release(). */
	return hz3_atomic_load(&lock->word, relaxed) == 0 &&
	       hz3_atomic_cas_strong(&lock->word, &word, my_identity(), acquire, relaxed);
}

static bool
try_once(struct hz3_lock *lock)
{
	return hz3_likely(take_if_free(lock)) || take_if_torn(lock);
}

/* Sections are short: to sleep and to be woken takes far longer than most waits. */
static bool
try_some_time(struct hz3_lock *lock)
{
	for (unsigned i = 0; i < SPINS; i++) {
		if (try_once(lock))
			return true;
		hz3_cpu_relax();
	}
	return false;
}

static void
take(struct hz3_lock *lock)
{
	if (hz3_likely(try_once(lock)))
		return;
	if (!is_mine(lock) && try_some_time(lock))
		return;
	if (hz3_lock_meet_process)
		hz3_lock_meet_process();
	if (try_once(lock))
		return;
	hz3_check(!is_mine(lock), "malloc or free was called by a signal handler that had interrupted malloc or free (lock %s)",
		  lock->name);
	sleep_and_take(lock);
}

static void
release(struct hz3_lock *lock)
{
	/* The one who took a torn lock over, and mended what this thread is about to leave behind, was faster. */
	hz3_check(is_mine(lock), "lock %s released by a thread that does not hold it: the child of a fork in a signal handler "
		  "used malloc, and then went back into the malloc that was interrupted", lock->name);
	if (hz3_unlikely(hz3_atomic_load(&lock->torn, relaxed)))
		hz3_atomic_store(&lock->torn, false, relaxed);
	struct hz3_lock *owed = owes_wake;
	owes_wake = lock;
	/* release: what the holder did, before the next one looks. */
	if (hz3_unlikely(hz3_atomic_exchange(&lock->word, 0, release) & WAITERS))
		wake_one(lock);
	owes_wake = owed;
}

static void
record(const struct hz3_lock *lock)
{
	if (HZ3_DEBUG)
		held[lock->rank]++;
}

void
hz3_lock_init(struct hz3_lock *lock, enum hz3_lock_rank rank, const char *name, void (*mend)(struct hz3_lock *))
{
	*lock = (struct hz3_lock)HZ3_LOCK_INIT(rank, name, mend);
}

void
hz3_lock(struct hz3_lock *lock)
{
	if (hz3_lock_is_forking())
		return;
	if (hz3_lock_meet_process)
		hz3_lock_meet_process();
	if (HZ3_DEBUG && !is_mine(lock))
		check_order(lock);
	take(lock);
	record(lock);
}

bool
hz3_trylock(struct hz3_lock *lock)
{
	if (hz3_lock_is_forking())
		return true;
	if (hz3_lock_meet_process)
		hz3_lock_meet_process();
	if (!try_once(lock))
		return false;
	record(lock);
	return true;
}

void
hz3_unlock(struct hz3_lock *lock)
{
	if (hz3_lock_is_forking())
		return;
	/*
	 * What a signal handler interrupted before it forked is not on the record any more.  Before it is free: a handler that then forks
	 * finds the record as the locks are.
	 */
	if (HZ3_DEBUG && held[lock->rank] > 0)
		held[lock->rank]--;
	release(lock);
}

bool
hz3_lock_held(const struct hz3_lock *lock)
{
	return hz3_lock_is_forking() || is_mine(lock);
}

void
hz3_lock_pass_wake(void)
{
	if (owes_wake != NULL)
		wake_one(owes_wake);
}

void
hz3_lock_fork_prepare(struct hz3_lock *lock, uint64_t until_us)
{
	if (is_mine(lock))
		return;
	if (until_us == HZ3_LOCK_FOR_EVER)
		take(lock);
	else
		while (!try_some_time(lock)) {
			if (hz3_os_now_us() >= until_us)
				return;
			(void)sched_yield();
		}
	lock->for_fork = true;
	record(lock);
}

void
hz3_lock_fork_parent(struct hz3_lock *lock)
{
	if (!is_mine(lock) || !lock->for_fork)
		return;
	lock->for_fork = false;
	hz3_unlock(lock);
}

void
hz3_lock_fork_child(struct hz3_lock *lock)
{
	bool whole = is_mine(lock) && lock->for_fork;

	lock->for_fork = false;
	/* Nobody can wait here. */
	if (whole)
		hz3_atomic_store(&lock->word, 0, relaxed);
	else if (hz3_atomic_load(&lock->word, relaxed) != 0)
		hz3_atomic_store(&lock->torn, true, relaxed);
	held[lock->rank] = 0;
}

void
hz3_lock_fork_begin(void)
{
	hz3_atomic_store(&fork_thread, my_identity(), relaxed);
}

void
hz3_lock_fork_end(void)
{
	hz3_atomic_store(&fork_thread, 0, relaxed);
}
