/*
 * Signals without end, over threads that do nothing but allocate and free: by timers of the process, and by a thread that does nothing
 * but send them.  The handlers do what handlers may: count, write, post a semaphore, ask for the time, touch their own memory, be
 * interrupted themselves; on the thread's stack and on one of their own.  They don't allocate, and so nothing must come of it.
 */
#include "../stress/stress.h"

#include <semaphore.h>
#include <sys/time.h>

#define THREADS 4
#define SLOTS 512

static _Atomic(void *) slots[SLOTS];
static _Atomic bool stop;
static _Atomic unsigned long handled, sent;
static sem_t posted;
static int null_fd;

/* A handler lets others in, but not without end: they would fill the stack when signals come faster than they are handled. */
#define DEPTH_MAX 4

static _Thread_local unsigned depth;
static sigset_t storm;

static void handler(int signal UNUSED)
{
	int saved_errno = errno;
	bool open = ++depth < DEPTH_MAX;
	char line[64];
	struct timespec now;

	if (open)
		pthread_sigmask(SIG_UNBLOCK, &storm, NULL);
	memset(line, 'x', sizeof(line));
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (write(null_fd, line, sizeof(line)) < 0)
		stress_give_up("write to /dev/null failed\n");
	sem_post(&posted);
	atomic_fetch_add(&handled, 1);
	if (open)
		pthread_sigmask(SIG_BLOCK, &storm, NULL);
	depth--;
	errno = saved_errno;
}

static void expect_errno(int expected)
{
	CHECK(errno == expected, "errno is %d, not %d", errno, expected);
}

static void *churn(void *arg)
{
	static const unsigned large_every = 100;
	uint64_t random = stress_state((uintptr_t)arg);
	stack_t stack = {.ss_size = 256 * KIB};
	stack_t none = {.ss_flags = SS_DISABLE};

	stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(stack.ss_sp != MAP_FAILED && sigaltstack(&stack, NULL) == 0, "sigaltstack: %s", strerror(errno));
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		size_t size = 8 + stress_size(&random, stress_below(&random, large_every) == 0 ? MIB : 4000);
		void *p = malloc(size);
		CHECK(p != NULL, "no memory for %zu bytes", size);
		stress_fill(p, size);
		errno = 77;
		stress_discard(atomic_exchange(&slots[stress_below(&random, SLOTS)], p));
		expect_errno(77);
		if (stress_below(&random, 2000) == 0)
			stress_purge();
	}
	sigaltstack(&none, NULL);
	return NULL;
}

static pthread_t thread[THREADS];

static void *send_signals(void *arg UNUSED)
{
	while (!atomic_load(&stop)) {
		for (unsigned i = 0; i < THREADS; i++)
			pthread_kill(thread[i], i % 2 ? SIGUSR1 : SIGUSR2);
		atomic_fetch_add(&sent, THREADS);
		sched_yield();
	}
	return NULL;
}

static void set_handlers(void)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

	sigemptyset(&storm);
	sigaddset(&storm, SIGUSR1);
	sigaddset(&storm, SIGUSR2);
	sigaddset(&storm, SIGPROF);
	action.sa_mask = storm;
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGPROF, &action, NULL);
	/* And one whose calls to the system end with EINTR. */
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR2, &action, NULL);
}

static void body(void)
{
	struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
	pthread_t sender;
	sigset_t set;

	sem_init(&posted, 0, 0);
	null_fd = open("/dev/null", O_WRONLY);
	CHECK(null_fd >= 0, "/dev/null: %s", strerror(errno));
	stress_warm_up(THREADS + 1);
	size_t live = stress_live();
	set_handlers();
	for (uintptr_t i = 0; i < THREADS; i++)
		thread[i] = stress_thread(churn, (void *)(i + 1));
	/* The storm is for the others. */
	sigfillset(&set);
	sigdelset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	setitimer(ITIMER_PROF, &often, NULL);
	sender = stress_thread(send_signals, NULL);
	while (atomic_load(&handled) < (stress_long ? 1000000 : 3000))
		stress_sleep_ms(1);
	setitimer(ITIMER_PROF, &never, NULL);
	atomic_store(&stop, true);
	pthread_join(sender, NULL);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < SLOTS; i++)
		stress_discard(atomic_exchange(&slots[i], NULL));
	size_t live_now = stress_live();
	CHECK(live_now == live, "%zu blocks live at the end, %zu before", live_now, live);
	printf("%lu signals sent, %lu handled\n", atomic_load(&sent), atomic_load(&handled));
}

int main(void)
{
	static const char *const variants[] = {"sink:central", "sink:page", NULL};

	return stress_main(variants, 20, body);
}
