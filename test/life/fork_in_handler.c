/*
 * Fork inside a signal handler that has interrupted malloc or free.
 *
 * A timer interrupts a thread that does nothing but allocate, free, purge and ask for statistics; so it is interrupted with
 * any of hz3's locks held, those of an arena of its own and of guarded samples among them, and in the middle of any change.  The
 * handler forks, in one of several ways, and waits.
 *
 *   use        the child allocates and frees, also its parent's blocks, forks, starts threads, and exits.
 *   go_on      the child goes back into the malloc that was interrupted, and works on.
 *   exec       the child starts another program.
 *   bare       as use, by _Fork: no handler of pthread_atfork runs.
 *
 * Alone, and with other threads that allocate, and now and then fork, meanwhile; then all those are interrupted as well, so that one who
 * was woken since a lock is free may be in a handler, where it waits for a fork of another.  A child that hangs is a failure, as is a parent
 * that does.
 */
#include "../stress/stress.h"

#include <sys/syscall.h>

#define SLOTS 64
#define OTHERS 3
#define HUGE_BYTES (40 * MIB)

static _Atomic(void *) slots[SLOTS];
static _Atomic bool stop;
static _Atomic unsigned forks;
static unsigned forks_wanted, ways_tried[4];
static volatile sig_atomic_t gone_on;	/* in a child: it is to work on for a moment, and exit */
static pid_t (*bare_fork)(void);
static void *arena;		/* hz3's; NULL: there are none */
static void *(*arena_malloc)(void *arena, size_t size);

/* Mostly what takes the slow paths: every size class, runs, now and then a mapping. */
static size_t any_size(uint64_t *random)
{
	switch (stress_below(random, 16)) {
	case 0:
		return 100 * KIB + stress_below(random, MIB);
	case 1:
		return 5000 + stress_below(random, 27000);
	case 2:
		return stress_below(random, 8) == 0 ? HUGE_BYTES : 2 * MIB;
	default:
		return 16 + stress_size(random, 5000);
	}
}

static void shuffle(uint64_t *random, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		stress_discard(atomic_exchange(&slots[stress_below(random, SLOTS)], stress_new(any_size(random))));
}

static void ask(uint64_t *random)
{
	switch (stress_below(random, 40)) {
	case 0:
		stress_purge();
		break;
	case 1:
		stress_stat("stats.blocks_live");
		break;
	case 2:
	case 3:
		if (arena != NULL)
			for (unsigned i = 0; i < 20; i++)
				free(arena_malloc(arena, 1 + (size_t)stress_below(random, 20000)));
		break;
	default:
		break;
	}
}

/* ---- Children ---- */

static void *child_thread(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);

	shuffle(&random, 20);
	return NULL;
}

/* After _Fork, libc's own locks are as they were: neither fork nor pthread_create can be called. */
static _Noreturn void use_and_exit(uint64_t *random, bool bare)
{
	void *mine[40];

	for (unsigned i = 0; i < 40; i++)
		mine[i] = stress_new(any_size(random));
	/* Its parent's, from all threads, were they in nobody's hands. */
	for (unsigned i = 0; i < SLOTS; i += 1 + (unsigned)stress_below(random, 3))
		stress_discard(atomic_exchange(&slots[i], NULL));
	shuffle(random, 40);
	for (unsigned i = 0; i < 40; i++)
		stress_discard(mine[i]);
	if (!bare && stress_below(random, 4) == 0)
		pthread_join(stress_thread(child_thread, (void *)(uintptr_t)(stress_random(random) >> 8)), NULL);
	if (stress_below(random, 4) == 0) {
		pid_t pid = bare ? bare_fork() : fork();
		CHECK(pid >= 0, "fork in a child: %s", strerror(errno));
		if (pid == 0) {
			stress_limit(20);
			shuffle(random, 20);
			_exit(0);
		}
		stress_wait_for(pid, 0, "grandchild");
	}
	stress_purge();
	stress_stat("stats.blocks_live");
	_exit(0);
}

enum way { USE, GO_ON, EXEC, BARE, WAYS };

static const char *const way_name[WAYS] = {"child that allocates", "child that goes on", "child that execs",
					   "child of _Fork"};

static uint64_t handler_random;

static void be_child(enum way way)
{
	static char arg[] = "true";
	static char *const argv[] = {arg, NULL};

	stress_limit(20);
	switch (way) {
	case GO_ON:
		gone_on = 1;
		return;
	case EXEC:
		execv("/bin/true", argv);
		_exit(2);
	case USE:
	case BARE:
	case WAYS:
		use_and_exit(&handler_random, way == BARE);
	}
}

static void handler(int signal UNUSED)
{
	enum way way = (enum way)stress_below(&handler_random, WAYS);
	int saved_errno = errno;

	if (gone_on || atomic_load(&forks) >= forks_wanted || (way == BARE && bare_fork == NULL))
		return;
	pid_t pid = way == BARE ? bare_fork() : fork();
	if (pid < 0)
		return;
	if (pid == 0) {
		be_child(way);
		errno = saved_errno;
		return;
	}
	stress_wait_for(pid, 0, way_name[way]);
	ways_tried[way]++;
	atomic_fetch_add(&forks, 1);
	errno = saved_errno;
}

/* ---- Parents ---- */

static void *churn(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		shuffle(&random, 16);
		ask(&random);
		if ((uintptr_t)arg == 1 && stress_below(&random, 20) == 0) {
			pid_t pid = fork();
			CHECK(pid >= 0, "fork: %s", strerror(errno));
			if (pid == 0) {
				stress_limit(20);
				shuffle(&random, 10);
				_exit(0);
			}
			stress_wait_for(pid, 0, "child of another thread");
		}
	}
	return NULL;
}

/* At random moments, so that no step is met more often than its share of time. */
static void set_timer(timer_t timer, uint64_t *random)
{
	struct itimerspec when = {.it_value = {0, 20000 + (long)stress_below(random, 300000)}};

	/* A child has no timers. */
	CHECK(timer_settime(timer, 0, &when, NULL) == 0 || gone_on, "timer_settime: %s", strerror(errno));
}

static timer_t make_timer(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
	timer_t timer;

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create: %s", strerror(errno));
	return timer;
}

/* Until so many forks were done in handlers. */
static void be_interrupted(unsigned wanted)
{
	timer_t timer = make_timer();
	uint64_t random = stress_state(3);

	atomic_store(&forks, 0);
	forks_wanted = wanted;
	while (atomic_load(&forks) < wanted) {
		set_timer(timer, &random);
		shuffle(&random, 30);
		ask(&random);
		if (gone_on) {
			shuffle(&random, 200);
			stress_purge();
			_exit(0);
		}
	}
	timer_delete(timer);
}

/* The handler of threads that are interrupted together: no more than a fork. */
static void fork_only(int signal UNUSED)
{
	int saved_errno = errno;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		stress_wait_for(pid, 0, "child of one of many handlers");
	atomic_fetch_add(&forks, 1);
	errno = saved_errno;
}

static _Atomic unsigned progress[OTHERS + 1];

/* What takes a lock in every call, or nearly. */
static void *churn_runs(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg + 10);

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		stress_discard(atomic_exchange(&slots[stress_below(&random, SLOTS)],
					       stress_new(70 * KIB + stress_below(&random, MIB))));
		atomic_fetch_add_explicit(&progress[(uintptr_t)arg], 1, memory_order_relaxed);
	}
	return NULL;
}

/*
 * Each is interrupted again only when it has gone on: a handler takes longer than it takes to have the next signal for it, and then no
 * thread ever gives back the lock that it has.
 */
static void all_are_interrupted(unsigned wanted)
{
	struct sigaction action = {.sa_handler = fork_only, .sa_flags = SA_RESTART};
	const struct timespec moment = {0, 2000000};
	pthread_t thread[OTHERS + 1];
	unsigned seen[OTHERS + 1] = {0};

	sigaction(SIGUSR2, &action, NULL);
	atomic_store(&forks, 0);
	atomic_store(&stop, false);
	for (uintptr_t i = 0; i <= OTHERS; i++)
		thread[i] = stress_thread(churn_runs, (void *)i);
	for (unsigned i = 0; atomic_load(&forks) < wanted; i = (i + 1) % (OTHERS + 1)) {
		unsigned now = atomic_load(&progress[i]);
		if (now != seen[i])
			pthread_kill(thread[i], SIGUSR2);
		seen[i] = now;
		nanosleep(&moment, NULL);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i <= OTHERS; i++)
		pthread_join(thread[i], NULL);
}

static void body(void)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	pthread_t thread[OTHERS];
	sigset_t set;

	void *(*arena_create)(const void *hooks, void *context);

	*(void **)&bare_fork = stress_lookup(_Fork);
	*(void **)&arena_malloc = stress_lookup(hz3_arena_malloc);
	*(void **)&arena_create = stress_lookup(hz3_arena_create);
	arena = arena_create != NULL ? arena_create(NULL, NULL) : NULL;
	handler_random = stress_state(2);
	sigaction(SIGUSR1, &action, NULL);
	printf("seed %llu, variant \"%s\"\n", (unsigned long long)stress_seed, stress_variant);
	fflush(stdout);
	be_interrupted(stress_long ? 10000 : 150);

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (uintptr_t i = 0; i < OTHERS; i++)
		thread[i] = stress_thread(churn, (void *)(i + 1));
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	be_interrupted(stress_long ? 10000 : 150);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < OTHERS; i++)
		pthread_join(thread[i], NULL);
	all_are_interrupted(stress_long ? 3000 : 50);
	for (unsigned i = 0; i < SLOTS; i++)
		stress_discard(atomic_exchange(&slots[i], NULL));
	printf("%u children allocated, %u went on, %u exec'ed, %u of _Fork\n", ways_tried[USE], ways_tried[GO_ON],
	       ways_tried[EXEC], ways_tried[BARE]);
}

int main(void)
{
	static const char *const variants[] = {"sink:central", "sink:page", "guard_sample:3", NULL};

	return stress_main(variants, 60, body);
}
