/*
 * Locks with ranks, that know their holders, and what becomes of them around fork.
 *
 * Any thread may call this.  The word of a lock says all; debug builds count, per thread, the locks of each rank, to
 * check the order.  Whether it is forking a thread knows by itself; others know only how many forks there are, and since when.
 */
#include "lock.h"

#include "os_clock.h"
#include "os_process.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPINS 100

/*
 * What a word says beside the holder's identity, which is the address of an integer of a program: these bits of that are 0.
 *
 *   WAITERS   somebody sleeps until it is free
 *   FOR_FORK  taken by a fork
 *   IDLE      and not in use by what runs in the forking thread: what it protects is whole, and who has waited for long may take it over
 */
#define WAITERS ((uintptr_t)1)
#define IDLE ((uintptr_t)2)
#define FOR_FORK (~(UINTPTR_MAX >> 1))
#define MARKS (WAITERS | IDLE | FOR_FORK)

/* How long threads wait for a fork; and how long a thread sleeps at a time. */
#define FORK_PATIENCE_US 1000000
#define SLEEP_NS 100000000

void (*hz3_lock_meet_process)(void);

static void meet_process(void)
{
	if (hz3_lock_meet_process)
		hz3_lock_meet_process();
}

/*
 * The process in which the calling thread is forking, by its number; 0: it is not.  A child of which no handler has told gets another number
 * from the first of its threads that finds out.
 */
static _Thread_local __attribute__((tls_model("initial-exec"))) unsigned forking_in;

/*
 * The last lock that this fork has interrupted; NULL: it is in no handler that did, and has all locks, but for those that were taken over.  Who
 * has one of its rank or a higher doesn't wait for it, or for others that were interrupted.
 */
static _Thread_local __attribute__((tls_model("initial-exec"))) const struct hz3_lock *interrupted;

static _Atomic uint64_t fork_began_us;	/* relaxed, for patience only, as the next: of the forks under way, when the first began */
static _Atomic unsigned forks;		/* under way: two, if a signal handler that has interrupted a holder of locks forks as well */

static _Atomic unsigned process_number = 1;	/* relaxed: written while a new process has nothing else to do */

/* Debug builds only: how many locks of each rank this thread holds, but for those that a fork took. */
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
static uintptr_t my_identity(void)
{
	return (uintptr_t)&errno;
}

bool hz3_lock_is_forking(void)
{
	return hz3_unlikely(forking_in != 0) && forking_in == hz3_atomic_load(&process_number, relaxed);
}

static bool names_me(uintptr_t word)
{
	return (word & ~MARKS) == my_identity();
}

/* Relaxed: another thread that reads it only needs to see anything but its own identity. */
static bool is_mine(const struct hz3_lock *lock)
{
	return names_me(hz3_atomic_load(&lock->word, relaxed));
}

/* The one of rank FORK says who may call the others idle: for that one a thread waits as long as it takes. */
static uintptr_t idle_mark(const struct hz3_lock *lock)
{
	return lock->rank == HZ3_RANK_FORK ? 0 : IDLE;
}

static void check_order(const struct hz3_lock *lock)
{
	for (unsigned r = lock->rank; r < HZ3_RANKS; r++)
		hz3_check(held[r] == 0, "lock order: %s (rank %u) taken while holding rank %u", lock->name, lock->rank, r);
}

/* The half of the word that futexes compare; it has the bit, and tells holders apart well enough to sleep by. */
static uint32_t *futex_of(struct hz3_lock *lock)
{
	return (uint32_t *)(void *)&lock->word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

static void wake_one(struct hz3_lock *lock)
{
	int saved_errno = errno;

	(void)syscall(SYS_futex, futex_of(lock), HZ3_FUTEX_WAKE, 1, NULL, NULL, 0);
	errno = saved_errno;
}

/* In the child of a fork: its holder is no more, or is the code that a signal handler has interrupted. */
static HZ3_NOINLINE bool take_if_torn(struct hz3_lock *lock)
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

/* A signal handler may have run, and called _Fork: this may be the child, where the holder is not. */
static bool take_if_holder_is_gone(struct hz3_lock *lock)
{
	meet_process();
	return take_if_torn(lock);
}

/*
 * A fork has had it for long, and may be waiting for us: whoever calls malloc may have a lock that other people's atfork handlers, or
 * libc's fork after all handlers, want.  In the child it is then as torn as any that a vanished thread had.
 */
static bool take_over_from_fork(struct hz3_lock *lock, uintptr_t word)
{
	uint64_t began_us = hz3_atomic_load(&fork_began_us, relaxed);

	/* acquire: pairs with the releases that say IDLE. */
	return (word & IDLE) && hz3_atomic_load(&forks, relaxed) != 0 && hz3_os_now_us() >= began_us + FORK_PATIENCE_US &&
	       hz3_atomic_cas_strong(&lock->word, &word, my_identity() | WAITERS, acquire, relaxed);
}

/*
 * Take it, marked as waited for by others, which may be so: its release wakes one who sleeps.  Now and then it looks at what no wake tells of:
 * that a fork takes long, or that a signal handler, of which a sleeper need not learn, has made this another process.
 */
static HZ3_NOINLINE void sleep_and_take(struct hz3_lock *lock)
{
	int saved_errno = errno;
	static const struct timespec some_time = { 0, SLEEP_NS };
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
		if (take_over_from_fork(lock, word))
			break;
		if (!(word & WAITERS) &&
		    !hz3_atomic_cas_strong(&lock->word, &word, word | WAITERS, relaxed, relaxed))
			continue;
		if (syscall(SYS_futex, futex_of(lock), HZ3_FUTEX_WAIT, (uint32_t)(word | WAITERS), &some_time, NULL, 0) != 0 &&
		    take_if_holder_is_gone(lock))
			break;
	}
	owes_wake = owed;
	errno = saved_errno;
}

static bool take_if_free(struct hz3_lock *lock)
{
	uintptr_t word = 0;

	/* acquire: pairs with the release in release(). */
	return hz3_atomic_load(&lock->word, relaxed) == 0 &&
	       hz3_atomic_cas_strong(&lock->word, &word, my_identity(), acquire, relaxed);
}

static bool try_once(struct hz3_lock *lock)
{
	return hz3_likely(take_if_free(lock)) || take_if_torn(lock);
}

/* Sections are short: to sleep and to be woken takes far longer than most waits. */
static bool try_some_time(struct hz3_lock *lock)
{
	for (unsigned i = 0; i < SPINS; i++) {
		if (try_once(lock))
			return true;
		hz3_cpu_relax();
	}
	return false;
}

static void take(struct hz3_lock *lock)
{
	if (hz3_likely(try_once(lock)))
		return;
	if (!is_mine(lock) && try_some_time(lock))
		return;
	meet_process();
	if (try_once(lock))
		return;
	hz3_check(!is_mine(lock), "malloc or free was called by a signal handler that had interrupted malloc or free (lock %s)",
		  lock->name);
	sleep_and_take(lock);
}

static void release(struct hz3_lock *lock)
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

/* ---- The thread that forks: other people's atfork handlers call malloc ---- */

/* False: it does not have the lock, since somebody has taken it over, or because it could not wait for it. */
static bool use_in_fork(struct hz3_lock *lock)
{
	uintptr_t word = hz3_atomic_load(&lock->word, relaxed);

	/* relaxed: while it is ours nobody else has changed what it protects.  Without IDLE it is in use already, or interrupted. */
	while (names_me(word))
		if (!(word & IDLE) || hz3_atomic_cas_weak(&lock->word, &word, word & ~IDLE, relaxed, relaxed))
			return true;
	return false;
}

static void leave_in_fork(struct hz3_lock *lock)
{
	uintptr_t word = hz3_atomic_load(&lock->word, relaxed);

	if (!names_me(word))
		return;
	if (word & FOR_FORK)
		/* release: pairs with the acquire of who takes it over. */
		(void)hz3_atomic_fetch_or(&lock->word, idle_mark(lock), release);
	else if (!interrupted)
		release(lock);
}

static void record(const struct hz3_lock *lock)
{
	if (HZ3_DEBUG)
		held[lock->rank]++;
}

void hz3_lock_init(struct hz3_lock *lock, enum hz3_lock_rank rank, const char *name, void (*mend)(struct hz3_lock *))
{
	*lock = (struct hz3_lock)HZ3_LOCK_INIT(rank, name, mend);
}

/*
 * Somebody has taken it over, or it could not be had.  In a handler it is taken for the fork, or it would look like one that was interrupted; and
 * if its holder may be waiting for one of those, this thread goes on without it after all.
 */
static void take_in_fork(struct hz3_lock *lock)
{
	if (!interrupted) {
		take(lock);
		return;
	}
	/* In the child, before our handler: who has taken it over is not there. */
	meet_process();
	uint64_t until_us = lock->rank >= interrupted->rank ? HZ3_LOCK_FOR_EVER : hz3_os_now_us() + HZ3_LOCK_PATIENCE_US;
	/* It may be taken over again before it is in use. */
	do
		hz3_lock_fork_prepare(lock, until_us);
	while (!use_in_fork(lock) && until_us == HZ3_LOCK_FOR_EVER);
}

void hz3_lock(struct hz3_lock *lock)
{
	if (hz3_lock_is_forking()) {
		if (!use_in_fork(lock))
			take_in_fork(lock);
		return;
	}
	meet_process();
	if (HZ3_DEBUG && !is_mine(lock))
		check_order(lock);
	take(lock);
	record(lock);
}

bool hz3_trylock(struct hz3_lock *lock)
{
	if (hz3_lock_is_forking())
		return use_in_fork(lock);
	meet_process();
	if (!try_once(lock))
		return false;
	record(lock);
	return true;
}

void hz3_unlock(struct hz3_lock *lock)
{
	if (hz3_lock_is_forking()) {
		leave_in_fork(lock);
		return;
	}
	/*
	 * What a signal handler interrupted before it forked is not on the record any more.  Before it is free: a handler that then forks
	 * finds the record as the locks are.
	 */
	if (HZ3_DEBUG && held[lock->rank] > 0)
		held[lock->rank]--;
	release(lock);
}

bool hz3_lock_held(const struct hz3_lock *lock)
{
	return hz3_lock_is_forking() || is_mine(lock);
}

void hz3_lock_pass_wake(void)
{
	if (owes_wake != NULL)
		wake_one(owes_wake);
}

void hz3_lock_fork_prepare(struct hz3_lock *lock, uint64_t until_us)
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
	/* release: pairs with the acquire of who takes it over. */
	(void)hz3_atomic_fetch_or(&lock->word, FOR_FORK | idle_mark(lock), release);
}

void hz3_lock_fork_parent(struct hz3_lock *lock)
{
	uintptr_t word = hz3_atomic_load(&lock->word, relaxed);
	struct hz3_lock *owed = owes_wake;

	owes_wake = lock;
	/* Not so if it was interrupted, and goes on, or if somebody has taken it over.  release: pairs with the acquires of who takes it. */
	while (names_me(word) && (word & FOR_FORK))
		if (hz3_atomic_cas_weak(&lock->word, &word, 0, release, relaxed)) {
			if (word & WAITERS)
				wake_one(lock);
			break;
		}
	owes_wake = owed;
}

/* Of one who is not there not even the name: a new thread may get it.  (If this is not the first thread, the holder may be that one.) */
static void call_torn(struct hz3_lock *lock, uintptr_t word)
{
	if (!names_me(word) && hz3_os_thread_id() == hz3_os_process_id())
		hz3_atomic_store(&lock->word, WAITERS, relaxed);
	hz3_atomic_store(&lock->torn, true, relaxed);
}

/* Nobody can wait here. */
static void sort_out(struct hz3_lock *lock, uintptr_t word, bool whole)
{
	if (whole)
		hz3_atomic_store(&lock->word, 0, relaxed);
	else if (word != 0)
		call_torn(lock, word);
}

void hz3_lock_fork_child(struct hz3_lock *lock)
{
	uintptr_t word = hz3_atomic_load(&lock->word, relaxed);

	/* What it protects is whole also if another thread was forking, and this one's handler forked meanwhile. */
	sort_out(lock, word, (word & IDLE) || (names_me(word) && (word & FOR_FORK) && idle_mark(lock) == 0));
	held[lock->rank] = 0;
}

void hz3_lock_fork_miss(struct hz3_lock *lock)
{
	uintptr_t word = hz3_atomic_load(&lock->word, relaxed);

	if (!names_me(word))
		sort_out(lock, word, word & IDLE);
}

void hz3_lock_fork_begin(const struct hz3_lock *last_interrupted)
{
	interrupted = last_interrupted;
	if (hz3_atomic_load(&forks, relaxed) == 0)
		hz3_atomic_store(&fork_began_us, hz3_os_now_us(), relaxed);
	(void)hz3_atomic_fetch_add(&forks, 1, relaxed);
	forking_in = hz3_atomic_load(&process_number, relaxed);
}

void hz3_lock_fork_end(void)
{
	/* Not so in the child of a fork inside of one. */
	if (hz3_lock_is_forking())
		(void)hz3_atomic_fetch_add(&forks, -1u, relaxed);
	forking_in = 0;
}

void hz3_lock_new_process(void)
{
	hz3_atomic_store(&process_number, hz3_atomic_load(&process_number, relaxed) + 1, relaxed);
	hz3_atomic_store(&forks, 0, relaxed);
	forking_in = 0;
}
