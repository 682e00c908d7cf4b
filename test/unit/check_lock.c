/*
 * Tests of lock.h: mutual exclusion, the order of ranks (debug builds), and the pass-through around fork.
 */
#include "unit.h"

#include "lock.h"
#include "os_clock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

static char text[1024];

static unsigned mended;

static void mend(struct hz3_lock *lock)
{
	ck_assert_ptr_eq(lock->mend, mend);
	ck_assert(hz3_lock_held(lock));
	mended++;
}

static struct hz3_lock fork_lock = HZ3_LOCK_INIT(HZ3_RANK_FORK, "fork", NULL);
static struct hz3_lock heap = HZ3_LOCK_INIT(HZ3_RANK_HEAP, "heap", mend);
static struct hz3_lock arena = HZ3_LOCK_INIT(HZ3_RANK_ARENA, "arena", NULL);
static struct hz3_lock arena2 = HZ3_LOCK_INIT(HZ3_RANK_ARENA, "arena2", NULL);
static struct hz3_lock meta = HZ3_LOCK_INIT(HZ3_RANK_META, "meta", NULL);

static void run_thread(void *(*f)(void *), void *arg)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, f, arg), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static void *try_in_thread(void *arg)
{
	bool *taken = arg;

	*taken = hz3_trylock(&heap);
	if (*taken)
		hz3_unlock(&heap);
	return NULL;
}

/* Whether another thread could take the heap lock. */
static bool others_can_take(void)
{
	bool taken = false;

	run_thread(try_in_thread, &taken);
	return taken;
}

START_TEST(excludes_others)
{
	ck_assert(others_can_take());
	hz3_lock(&heap);
	ck_assert(hz3_lock_held(&heap));
	ck_assert(!others_can_take());
	hz3_unlock(&heap);
	ck_assert(others_can_take());
	ck_assert(hz3_trylock(&heap));
	ck_assert(!others_can_take());
	hz3_unlock(&heap);
	ck_assert(!hz3_lock_held(&heap));
}
END_TEST

START_TEST(initialised_at_run_time)
{
	struct hz3_lock lock;

	memset(&lock, 0xff, sizeof(lock));
	hz3_lock_init(&lock, HZ3_RANK_LARGE, "large", NULL);
	ck_assert_int_eq(lock.rank, HZ3_RANK_LARGE);
	ck_assert_str_eq(lock.name, "large");
	ck_assert(hz3_trylock(&lock));
	hz3_unlock(&lock);
	hz3_lock(&lock);
	hz3_unlock(&lock);
}
END_TEST

START_TEST(keeps_errno)
{
	errno = EXDEV;
	hz3_lock(&heap);
	hz3_unlock(&heap);
	ck_assert(hz3_trylock(&heap));
	hz3_unlock(&heap);
	ck_assert_int_eq(errno, EXDEV);
}
END_TEST

#define ROUNDS 20000

static unsigned long counter;

static void *count(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		if (i % 4 != 0 || !hz3_trylock(&heap))
			hz3_lock(&heap);
		counter++;
		hz3_lock(&meta);
		hz3_unlock(&meta);
		hz3_unlock(&heap);
	}
	return NULL;
}

START_TEST(protects_a_counter)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, count, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(counter, 4 * ROUNDS);
}
END_TEST

START_TEST(rising_ranks)
{
	for (int i = 0; i < 3; i++) {
		hz3_lock(&fork_lock);
		hz3_lock(&heap);
		hz3_lock(&arena);
		hz3_lock(&meta);
		/* Released in any order. */
		hz3_unlock(&heap);
		hz3_unlock(&meta);
		hz3_unlock(&arena);
		hz3_unlock(&fork_lock);
	}
}
END_TEST

/* trylock cannot wait, so it takes part in no deadlock. */
START_TEST(trying_in_any_order)
{
	hz3_lock(&meta);
	ck_assert(hz3_trylock(&heap));
	ck_assert(hz3_trylock(&arena));
	ck_assert(hz3_trylock(&arena2));
	hz3_unlock(&meta);
	hz3_unlock(&heap);
	hz3_lock(&meta);
	hz3_unlock(&meta);
	hz3_unlock(&arena);
	hz3_unlock(&arena2);
}
END_TEST

static void falling_rank(void *arg)
{
	(void)arg;
	hz3_lock(&meta);
	hz3_lock(&heap);
}

static void equal_rank(void *arg)
{
	(void)arg;
	hz3_lock(&arena);
	hz3_lock(&arena2);
}

static void after_trylock(void *arg)
{
	(void)arg;
	if (hz3_trylock(&arena))
		hz3_lock(&heap);
}

static void unlock_unlocked(void *arg)
{
	(void)arg;
	hz3_unlock(&heap);
}

static void *unlock_heap(void *arg)
{
	(void)arg;
	hz3_unlock(&heap);
	return NULL;
}

static void unlock_by_other(void *arg)
{
	pthread_t thread;

	(void)arg;
	hz3_lock(&heap);
	if (pthread_create(&thread, NULL, unlock_heap, NULL) == 0)
		pthread_join(thread, NULL);
}

static void taken_twice(void *arg)
{
	(void)arg;
	hz3_lock(&heap);
	hz3_lock(&heap);
}

#define RELEASED(name)                                                                                               \
	"hz3: lock " name " released by a thread that does not hold it: the child of a fork in a signal handler used malloc, " \
	"and then went back into the malloc that was interrupted\n"

/* In every build. */
static const struct {
	void (*f)(void *);
	const char *message;
} misuses[] = {
	{unlock_unlocked, RELEASED("heap")},
	{unlock_by_other, RELEASED("heap")},
	{taken_twice, "hz3: malloc or free was called by a signal handler that had interrupted malloc or free (lock heap)\n"},
};

START_TEST(misuses_die)
{
	ck_assert(unit_dies(misuses[_i].f, NULL, text, sizeof(text)));
	ck_assert_str_eq(text, misuses[_i].message);
}
END_TEST

static const struct {
	void (*f)(void *);
	const char *message;
} violations[] = {
	{falling_rank, "hz3: lock order: heap (rank 3) taken while holding rank 11\n"},
	{equal_rank, "hz3: lock order: arena2 (rank 7) taken while holding rank 7\n"},
	{after_trylock, "hz3: lock order: heap (rank 3) taken while holding rank 7\n"},
};

START_TEST(violations_die)
{
	ck_assert(unit_dies(violations[_i].f, NULL, text, sizeof(text)));
	ck_assert_str_eq(text, violations[_i].message);
}
END_TEST

START_TEST(violation_by_signal)
{
	falling_rank(NULL);
}
END_TEST

static struct hz3_lock *const all[] = {&fork_lock, &heap, &arena, &arena2, &meta};

static void lock_all(void)
{
	for (int i = 0; i < 5; i++)
		hz3_lock_fork_prepare(all[i], HZ3_LOCK_FOR_EVER);
}

static void unlock_all(void)
{
	for (int i = 4; i >= 0; i--)
		hz3_lock_fork_parent(all[i]);
}

static void begin_fork(void)
{
	lock_all();
	hz3_lock_fork_begin(NULL);
}

static void end_fork(void)
{
	hz3_lock_fork_end();
	unlock_all();
}

static void sort_out_all(void)
{
	for (int i = 4; i >= 0; i--)
		hz3_lock_fork_child(all[i]);
}

static void miss_all(void)
{
	for (int i = 0; i < 5; i++)
		hz3_lock_fork_miss(all[i]);
}

START_TEST(passes_the_forking_thread)
{
	begin_fork();
	for (int i = 0; i < 3; i++) {
		/* In no order at all, and held already. */
		hz3_lock(&meta);
		hz3_lock(&heap);
		hz3_lock(&heap);
		ck_assert(hz3_trylock(&heap));
		ck_assert(hz3_lock_held(&heap));
		hz3_unlock(&heap);
		hz3_unlock(&heap);
		hz3_unlock(&meta);
		/* None of this released it. */
		ck_assert(!others_can_take());
	}
	hz3_lock_fork_end();
	ck_assert(!others_can_take());
	unlock_all();
	ck_assert(others_can_take());
	lock_all();
	unlock_all();
}
END_TEST

static atomic_int progress;

static void *wait_for_heap(void *arg)
{
	(void)arg;
	atomic_store(&progress, 1);
	hz3_lock(&heap);
	atomic_store(&progress, 2);
	hz3_unlock(&heap);
	return NULL;
}

START_TEST(blocks_other_threads)
{
	const struct timespec moment = {0, 50000000};
	pthread_t thread;

	begin_fork();
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_heap, NULL), 0);
	while (atomic_load(&progress) == 0)
		hz3_cpu_relax();
	hz3_lock(&heap);
	hz3_unlock(&heap);
	/* In use, so that it isn't taken over however slow the machine is. */
	hz3_lock(&heap);
	nanosleep(&moment, NULL);
	ck_assert_int_eq(atomic_load(&progress), 1);
	hz3_unlock(&heap);
	hz3_lock_fork_end();
	nanosleep(&moment, NULL);
	ck_assert_int_eq(atomic_load(&progress), 1);
	unlock_all();
	pthread_join(thread, NULL);
	ck_assert_int_eq(atomic_load(&progress), 2);
}
END_TEST

static atomic_bool stop;
static atomic_uint hammers;	/* that have started, which a sanitizer does under locks: a fork then would leave them locked in the child */

static void *hammer(void *arg)
{
	(void)arg;
	atomic_fetch_add(&hammers, 1);
	while (!atomic_load(&stop)) {
		hz3_lock(&heap);
		hz3_lock(&arena);
		counter++;
		hz3_unlock(&arena);
		hz3_unlock(&heap);
	}
	return NULL;
}

/* The child inherits the record and the mutexes as the forking thread had them, and can fork again. */
static int fork_and_use(int generations)
{
	int status = 0;
	pid_t pid;

	begin_fork();
	pid = fork();
	/* On a machine so slow that somebody has taken a lock over, he is not in the child. */
	if (pid == 0)
		miss_all();
	hz3_lock(&heap);
	hz3_unlock(&heap);
	hz3_lock_fork_end();
	if (pid != 0)
		unlock_all();
	else
		sort_out_all();
	for (int i = 0; i < 10; i++) {
		lock_all();
		unlock_all();
	}
	if (pid == 0)
		_exit(generations > 1 ? fork_and_use(generations - 1) : 0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	return status == 0 ? 0 : 1;
}

START_TEST(survives_fork)
{
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, hammer, NULL), 0);
	while (atomic_load(&hammers) < 2)
		usleep(1000);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(fork_and_use(3), 0);
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

static atomic_bool holding;

static void *hold_heap(void *arg)
{
	(void)arg;
	hz3_lock(&heap);
	atomic_store(&holding, true);
	while (!atomic_load(&stop))
		hz3_cpu_relax();
	hz3_unlock(&heap);
	return NULL;
}

/* As a handler's fork would do it: no more than a try of what others may hold while they wait for this thread. */
static pid_t fork_in_handler(void)
{
	pid_t pid;

	for (int i = 0; i < 5; i++)
		hz3_lock_fork_prepare(all[i], hz3_os_now_us() + 1000);
	hz3_lock_fork_begin(&heap);
	pid = fork();
	hz3_lock_fork_end();
	if (pid != 0)
		unlock_all();
	else
		sort_out_all();
	return pid;
}

static void expect_success(pid_t pid)
{
	int status = -1;

	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

/* This thread was interrupted with the lock: the parent keeps it, the child gets it mended, once. */
START_TEST(torn_by_this_thread)
{
	hz3_lock(&heap);
	pid_t pid = fork_in_handler();
	if (pid == 0) {
		if (mended != 0)
			_exit(1);
		hz3_lock(&heap);
		if (mended != 1 || others_can_take())
			_exit(2);
		hz3_unlock(&heap);
		_exit(others_can_take() && mended == 1 ? 0 : 3);
	}
	expect_success(pid);
	ck_assert(hz3_lock_held(&heap));
	ck_assert(!others_can_take());
	hz3_unlock(&heap);
	ck_assert(others_can_take());
	ck_assert_uint_eq(mended, 0);
}
END_TEST

/* The child goes on where it was interrupted: nothing to mend. */
START_TEST(not_torn_after_all)
{
	hz3_lock(&heap);
	pid_t pid = fork_in_handler();
	if (pid == 0) {
		hz3_unlock(&heap);
		hz3_lock(&heap);
		if (others_can_take())
			_exit(1);
		hz3_unlock(&heap);
		_exit(mended == 0 && others_can_take() ? 0 : 2);
	}
	expect_success(pid);
	hz3_unlock(&heap);
}
END_TEST

/* Another thread of the child takes it over. */
START_TEST(torn_for_others)
{
	hz3_lock(&heap);
	pid_t pid = fork_in_handler();
	if (pid == 0)
		_exit(others_can_take() && mended == 1 ? 0 : 1);
	expect_success(pid);
	hz3_unlock(&heap);
}
END_TEST

START_TEST(torn_by_a_vanished_thread)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, hold_heap, NULL), 0);
	while (!atomic_load(&holding))
		hz3_cpu_relax();
	pid_t pid = fork_in_handler();
	if (pid == 0) {
		hz3_lock(&heap);
		_exit(mended == 1 ? 0 : 1);
	}
	expect_success(pid);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	hz3_lock(&heap);
	ck_assert_uint_eq(mended, 0);
}
END_TEST

/* ---- A fork that has the locks for long ---- */

static atomic_bool let_go;

static void *take_heap_over(void *arg)
{
	(void)arg;
	atomic_store(&progress, 1);
	hz3_lock(&heap);
	atomic_store(&progress, 2);
	while (!atomic_load(&let_go))
		hz3_cpu_relax();
	hz3_unlock(&heap);
	return NULL;
}

static void wait_for_progress(int wanted)
{
	while (atomic_load(&progress) < wanted)
		usleep(1000);
}

/* Another thread waits for a lock (progress 1), or has it by now (2). */
static pthread_t start_taker(int wanted)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, take_heap_over, NULL), 0);
	wait_for_progress(wanted);
	return thread;
}

static void end_taker(pthread_t thread)
{
	atomic_store(&let_go, true);
	pthread_join(thread, NULL);
}

static pthread_t begin_fork_and_lose_heap(void)
{
	begin_fork();
	return start_taker(2);
}

START_TEST(taken_over_from_a_fork)
{
	pthread_t thread = begin_fork_and_lose_heap();

	/* The forking thread no longer has this one, and waits for it as everybody does. */
	ck_assert(!hz3_trylock(&heap));
	ck_assert(hz3_trylock(&arena));
	hz3_unlock(&arena);
	atomic_store(&let_go, true);
	hz3_lock(&heap);
	hz3_unlock(&heap);
	pthread_join(thread, NULL);
	end_fork();
	ck_assert(others_can_take());
	ck_assert_uint_eq(mended, 0);
}
END_TEST

/* The end of the fork, in the parent, leaves the lock to who has it. */
START_TEST(kept_by_who_took_it_over)
{
	pthread_t thread = begin_fork_and_lose_heap();

	end_fork();
	ck_assert(!hz3_trylock(&heap));
	ck_assert(hz3_trylock(&arena));
	hz3_unlock(&arena);
	end_taker(thread);
	ck_assert(others_can_take());
}
END_TEST

START_TEST(not_taken_over_while_in_use)
{
	const struct timespec long_time = {1, 500000000};

	begin_fork();
	hz3_lock(&heap);
	pthread_t thread = start_taker(1);
	nanosleep(&long_time, NULL);
	ck_assert_int_eq(atomic_load(&progress), 1);
	hz3_unlock(&heap);
	wait_for_progress(2);
	end_taker(thread);
	end_fork();
}
END_TEST

/* In the child, to other people's handlers before ours, and afterwards: who took it over is not there. */
START_TEST(taken_over_and_vanished)
{
	pthread_t thread = begin_fork_and_lose_heap();
	pid_t pid = fork();

	if (pid == 0) {
		alarm(20);
		miss_all();
		hz3_lock(&heap);
		bool good = mended == 1;
		hz3_unlock(&heap);
		hz3_lock_new_process();
		sort_out_all();
		for (int i = 0; i < 5; i++) {
			good = good && hz3_trylock(all[i]);
			hz3_unlock(all[i]);
		}
		_exit(good && mended == 1 ? 0 : 1);
	}
	expect_success(pid);
	end_fork();
	end_taker(thread);
}
END_TEST

static void *hold_arena_for_a_moment(void *arg)
{
	const struct timespec moment = {0, 100000000};

	(void)arg;
	hz3_lock(&arena);
	atomic_store(&progress, 2);
	nanosleep(&moment, NULL);
	atomic_store(&progress, 3);
	hz3_unlock(&arena);
	return NULL;
}

/* A fork in a handler does not go on without a lock whose holder doesn't wait for one that the handler has interrupted. */
START_TEST(waited_for_in_a_handler)
{
	pthread_t thread;

	hz3_lock(&heap);
	lock_all();
	hz3_lock_fork_begin(&heap);
	ck_assert_int_eq(pthread_create(&thread, NULL, hold_arena_for_a_moment, NULL), 0);
	wait_for_progress(2);
	hz3_lock(&arena);
	ck_assert_int_eq(atomic_load(&progress), 3);
	hz3_unlock(&arena);
	pthread_join(thread, NULL);
	end_fork();
	/* What was interrupted goes on. */
	ck_assert(hz3_lock_held(&heap));
	ck_assert(!hz3_lock_held(&arena));
	hz3_unlock(&heap);
	ck_assert(others_can_take());
}
END_TEST

static void *begin_and_end_fork(void *arg)
{
	hz3_lock_fork_begin(&meta);
	hz3_lock_fork_end();
	return arg;
}

/* The end of a fork that began later, in a handler of another thread, is not the end of the first one. */
START_TEST(taken_over_from_the_first_of_two)
{
	begin_fork();
	run_thread(begin_and_end_fork, NULL);
	end_taker(start_taker(2));
	end_fork();
}
END_TEST

static void *lock_torn_heap(void *arg)
{
	bool *good = arg;

	*good = !hz3_lock_held(&heap);
	hz3_lock(&heap);
	*good = *good && mended == 1;
	hz3_unlock(&heap);
	return NULL;
}

/* A new thread of the child may get the stack, and so the identity, of the holder that is not there. */
START_TEST(identity_of_who_vanished)
{
	pthread_t thread = begin_fork_and_lose_heap();
	pid_t pid = fork();

	if (pid == 0) {
		bool good = false;
		alarm(20);
		hz3_lock_new_process();
		sort_out_all();
		run_thread(lock_torn_heap, &good);
		_exit(good ? 0 : 1);
	}
	expect_success(pid);
	end_fork();
	end_taker(thread);
}
END_TEST

static void *fork_for_long(void *arg)
{
	begin_fork();
	atomic_store(&progress, 1);
	while (!atomic_load(&let_go))
		usleep(1000);
	end_fork();
	return arg;
}

/* A handler's fork in the midst of another thread's: that one has all locks, and uses none. */
START_TEST(whole_within_anothers_fork)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, fork_for_long, NULL), 0);
	wait_for_progress(1);
	pid_t pid = fork_in_handler();
	if (pid == 0) {
		alarm(20);
		for (int i = 0; i < 5; i++) {
			hz3_lock(all[i]);
			hz3_unlock(all[i]);
		}
		_exit(mended == 0 ? 0 : 1);
	}
	expect_success(pid);
	end_taker(thread);
	ck_assert(others_can_take());
}
END_TEST

static volatile sig_atomic_t slept_in = -1;	/* what the handler's fork returned */

static void fork_of_a_sleeper(int signal)
{
	(void)signal;
	slept_in = (sig_atomic_t)fork();
	if (slept_in == 0)
		alarm(20);
	else
		atomic_store(&stop, true);
}

/* As hz3_fork_before_lock() does in a new process. */
static void sort_out_in_child(void)
{
	if (slept_in != 0)
		return;
	slept_in = -1;
	hz3_lock_fork_child(&heap);
}

static void *hold_heap_and_interrupt(void *arg)
{
	struct timespec moment = { 0, 200000000 };

	hz3_lock(&heap);
	atomic_store(&holding, true);
	/* Time enough to fall asleep; if it is not, this shows less, and passes. */
	nanosleep(&moment, NULL);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	while (!atomic_load(&stop))
		hz3_cpu_relax();
	hz3_unlock(&heap);
	return NULL;
}

/* A sleeper's handler forks, without our handlers, as _Fork does: the child goes back to sleep for a lock that nobody has. */
START_TEST(holder_of_a_sleeper_vanishes)
{
	struct sigaction action = { .sa_handler = fork_of_a_sleeper, .sa_flags = SA_RESTART };
	pthread_t thread, self = pthread_self();
	pid_t parent = getpid();

	hz3_lock_meet_process = sort_out_in_child;
	sigaction(SIGUSR1, &action, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, hold_heap_and_interrupt, &self), 0);
	while (!atomic_load(&holding))
		hz3_cpu_relax();
	hz3_lock(&heap);
	hz3_unlock(&heap);
	if (getpid() != parent)
		_exit(mended == 1 ? 0 : 1);
	expect_success(slept_in);
	pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lock");
	TCase *tc = tcase_create("mutex");

	tcase_add_test(tc, excludes_others);
	tcase_add_test(tc, initialised_at_run_time);
	tcase_add_test(tc, keeps_errno);
	tcase_add_test(tc, protects_a_counter);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);

	tc = tcase_create("ranks");
	tcase_add_test(tc, rising_ranks);
	tcase_add_test(tc, trying_in_any_order);
	tcase_add_loop_test(tc, misuses_die, 0, sizeof(misuses) / sizeof(misuses[0]));
	if (HZ3_DEBUG) {
		tcase_add_loop_test(tc, violations_die, 0, sizeof(violations) / sizeof(violations[0]));
		tcase_add_test_raise_signal(tc, violation_by_signal, SIGABRT);
	}
	suite_add_tcase(suite, tc);

	tc = tcase_create("fork");
	tcase_add_test(tc, passes_the_forking_thread);
	tcase_add_test(tc, blocks_other_threads);
	tcase_add_test(tc, survives_fork);
	tcase_add_test(tc, torn_by_this_thread);
	tcase_add_test(tc, not_torn_after_all);
	tcase_add_test(tc, torn_for_others);
	tcase_add_test(tc, torn_by_a_vanished_thread);
	tcase_add_test(tc, taken_over_from_a_fork);
	tcase_add_test(tc, kept_by_who_took_it_over);
	tcase_add_test(tc, not_taken_over_while_in_use);
	tcase_add_test(tc, taken_over_and_vanished);
	tcase_add_test(tc, waited_for_in_a_handler);
	tcase_add_test(tc, taken_over_from_the_first_of_two);
	tcase_add_test(tc, whole_within_anothers_fork);
	/* That sanitizer ends a child of several threads that starts one, and keeps a signal back until a call of libc's: a sleeper makes none. */
	if (!HZ3_THREAD_SANITIZER) {
		tcase_add_test(tc, identity_of_who_vanished);
		tcase_add_test(tc, holder_of_a_sleeper_vanishes);
	}
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
