/*
 * Fork from a process whose other threads are inside malloc and free all the time.
 *
 * Each child frees blocks of its parent's threads, allocates, makes threads and forks again.  Handlers of pthread_atfork,
 * registered before and after hz3's own, allocate and free as well.  A child that hangs is a failure.
 */
#include "stress.h"

#define SLOTS 256
#define THREADS 8

static _Atomic(void *) slots[SLOTS];
static _Atomic bool stop;

static void *new_block(uint64_t *random)
{
	return stress_new(8 + stress_size(random, stress_below(random, 200) == 0 ? MIB : 3000));
}

static void shuffle(uint64_t *random, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		stress_discard(atomic_exchange(&slots[stress_below(random, SLOTS)], new_block(random)));
}

/* ---- Handlers ---- */

static _Atomic(void *) handler_block[2];
static _Atomic unsigned handler_calls;

/* Several threads may run handlers at the same time: libc holds no lock meanwhile. */
static void use_heap(unsigned i)
{
	uint64_t random = stress_state(atomic_fetch_add(&handler_calls, 1));
	void *p = new_block(&random), *q = new_block(&random);

	stress_discard(p);
	stress_discard(atomic_exchange(&handler_block[i], q));
	free(stress_opaque(malloc(200 * KIB)));
}

#define HANDLERS(i)                                                                                                  \
	static void handler_##i(void)                                                                                \
	{                                                                                                            \
		use_heap(i);                                                                                         \
	}
HANDLERS(0) HANDLERS(1)

static void register_early(void)
{
	pthread_atfork(handler_0, handler_0, handler_0);
}

/* Before the constructors of preloaded libraries: these handlers run while hz3's own hold its locks. */
static void (*const preinit)(void) __attribute__((used, section(".preinit_array"))) = register_early;

/* ---- Children ---- */

static void *child_thread(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);

	shuffle(&random, 200);
	return NULL;
}

/* True in the grandchild, which is to do the same again. */
static bool be_child(unsigned generation, uint64_t *random)
{
	pthread_t thread[2];

	stress_limit(20);
	/* Those of the parent's threads that were in nobody's hands. */
	for (unsigned i = 0; i < SLOTS; i += 2)
		stress_discard(atomic_exchange(&slots[i], NULL));
	shuffle(random, 100);
	for (unsigned i = 0; i < 2; i++)
		thread[i] = stress_thread(child_thread, (void *)(uintptr_t)(stress_random(random) >> 8));
	if (generation < 2) {
		pid_t pid = fork();
		CHECK(pid >= 0, "fork in a child: %s", strerror(errno));
		if (pid == 0)
			return true;
		stress_wait_for(pid, 0, "grandchild");
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < SLOTS; i++)
		stress_discard(atomic_exchange(&slots[i], NULL));
	if (generation == 0)
		stress_purge();
	return false;
}

static void fork_once(uint64_t *random)
{
	pid_t pid = fork();

	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		uint64_t own = stress_random(random) | 1;
		for (unsigned generation = 0; be_child(generation, &own); generation++)
			;
		_exit(0);
	}
	stress_wait_for(pid, 0, "child");
}

/* ---- Parts ---- */

static void *churn(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);

	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		shuffle(&random, 16);
	return NULL;
}

static void *churn_and_fork(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);
	unsigned forks = stress_long ? 1200 : 15;

	for (unsigned i = 0; i < forks; i++) {
		shuffle(&random, (unsigned)stress_below(&random, 50));
		fork_once(&random);
	}
	return NULL;
}

static void many_threads(void)
{
	pthread_t thread[THREADS];

	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < THREADS; i++)
		thread[i] = stress_thread(i < THREADS - 2 ? churn : churn_and_fork, (void *)(i + 1));
	churn_and_fork((void *)77);
	for (unsigned i = THREADS - 2; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < THREADS - 2; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < SLOTS; i++)
		stress_discard(atomic_exchange(&slots[i], NULL));
}

/* One thread, and each child forks the next. */
static void chain(unsigned depth, uint64_t random)
{
	shuffle(&random, 50);
	if (depth == 0)
		return;
	pid_t pid = fork();
	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		stress_limit(20);
		chain(depth - 1, random);
		_exit(0);
	}
	stress_wait_for(pid, 0, "next of the chain");
}

static _Atomic unsigned go;

static void *first_use(void *arg)
{
	atomic_store(&go, 1);
	free(stress_opaque(malloc((uintptr_t)arg)));
	return NULL;
}

/* A process forks just when its second thread ever is using malloc for the first time. */
static void first_thread(unsigned i)
{
	uint64_t random = stress_state(5000 + i);

	stress_limit(20);
	pthread_t thread = stress_thread(first_use, (void *)(uintptr_t)(i + 1));
	while (!atomic_load(&go))
		;
	for (unsigned spin = (unsigned)stress_below(&random, 3000); spin > 0; spin--)
		__asm__ volatile("");
	pid_t pid = fork();
	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		stress_limit(5);
		pthread_join(stress_thread(child_thread, (void *)(uintptr_t)i), NULL);
		_exit(0);
	}
	stress_wait_for(pid, 0, "child of a process with two threads");
	pthread_join(thread, NULL);
	_exit(0);
}

static void body(void)
{
	if (stress_is_emulated()) {
		printf("emulators don't survive forks of many threads (an assertion of qemu's own fails)\n");
		exit(SKIPPED);
	}
	uint64_t random = stress_state(1);

	printf("seed %llu, variant \"%s\"\n", (unsigned long long)stress_seed, stress_variant);
	fflush(stdout);
	pthread_atfork(handler_1, handler_1, handler_1);
	chain(10, random);
	for (unsigned i = 0; i < (stress_long ? 5000 : 150); i++) {
		pid_t pid = fork();
		CHECK(pid >= 0, "fork: %s", strerror(errno));
		if (pid == 0)
			first_thread(i);
		stress_wait_for(pid, 0, "process with two threads");
	}
	many_threads();
}

int main(void)
{
	static const char *const variants[] = {STRESS_SINKS, NULL};

	return stress_main(variants, 60, body);
}
