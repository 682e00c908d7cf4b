/*
 * Eight threads that allocate, free each other's blocks, and fork, all of them: 100,000 times in the long form.
 *
 * Each child allocates, and frees what its parent's threads had in common.  Now and then it also starts threads, forks
 * again, or frees a large share of memory that all of the vanished threads own: then nothing may be stranded in it but what
 * they were just working with.  Meanwhile hz3's own thread gives memory back, and buffers hold remote frees.
 */
#include "../stress/stress.h"

#define SLOTS 512
#define THREADS 8
#define STORE_BYTES (32 * MIB)
#define STRANDED_MAX (8 * MIB)

static _Atomic(void *) slots[SLOTS];
static _Atomic unsigned forks;
static unsigned forks_max;
static double deadline;

/* The most that any child was left with, in memory that children share. */
static struct left {
	_Atomic size_t active, lost;
} *left;

static void note_most(_Atomic size_t *most, size_t now)
{
	if (now > atomic_load(most))
		atomic_store(most, now);
}

/* What the threads own, each its part, and only children free. */
static void **store;
static size_t store_count;
static _Atomic size_t store_next;

static void *new_block(uint64_t *random)
{
	uint64_t kind = stress_below(random, 500);

	return stress_new(8 + stress_size(random, kind == 0 ? MIB : kind < 10 ? 30000 : 2000));
}

static void shuffle(uint64_t *random, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		stress_discard(atomic_exchange(&slots[stress_below(random, SLOTS)], new_block(random)));
}

/* ---- Children ---- */

static void *child_thread(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);

	shuffle(&random, 50);
	return NULL;
}

/* Blocks of all vanished threads, freed by this one: what does not come back is in pages that they were working with. */
static void free_everything(void)
{
	for (size_t i = 0; i < store_count; i++)
		stress_discard(store[i]);
	for (unsigned i = 0; i < SLOTS; i++)
		stress_discard(atomic_exchange(&slots[i], NULL));
	stress_purge();
	size_t active = stress_stat("stats.active"), lost = stress_stat("stats.lost_bytes");
	note_most(&left->active, active);
	note_most(&left->lost, lost);
	CHECK(active < STRANDED_MAX + lost, "%zu KiB are in use though %zu MiB were freed; %zu heaps, %zu KiB are lost",
	      active / KIB, STORE_BYTES / MIB, stress_stat("stats.heaps_lost"), lost / KIB);
	CHECK(lost < STRANDED_MAX, "%zu KiB are lost with %zu heaps", lost / KIB, stress_stat("stats.heaps_lost"));
}

static _Noreturn void be_child(uint64_t random, unsigned number)
{
	pthread_t thread[2];

	stress_limit(20);
	/* Of every thread, were they in nobody's hands. */
	for (unsigned i = number % 4; i < SLOTS; i += 4)
		stress_discard(atomic_exchange(&slots[i], NULL));
	shuffle(&random, 20);
	if (number % 16 == 1)
		for (unsigned i = 0; i < 2; i++)
			thread[i] = stress_thread(child_thread, (void *)(uintptr_t)(stress_random(&random) >> 8));
	if (number % 16 < 3) {
		pid_t pid = fork();
		CHECK(pid >= 0, "fork in a child: %s", strerror(errno));
		if (pid == 0) {
			stress_limit(20);
			shuffle(&random, 20);
			if (number % 16 == 2)
				pthread_join(stress_thread(child_thread, (void *)7), NULL);
			_exit(0);
		}
		stress_wait_for(pid, 0, "grandchild");
	}
	if (number % 16 == 1)
		for (unsigned i = 0; i < 2; i++)
			pthread_join(thread[i], NULL);
	if (number % 64 == 5)
		free_everything();
	_exit(0);
}

/* ---- The parent ---- */

static void fill_part(uint64_t *random)
{
	size_t i, part = store_count / THREADS;

	for (size_t done = 0; done < part && (i = atomic_fetch_add(&store_next, 1)) < store_count; done++) {
		size_t size = 16 + stress_below(random, 2 * STORE_BYTES / store_count - 32);
		store[i] = malloc(size);
		CHECK(store[i] != NULL, "no memory for %zu bytes", size);
		stress_fill(store[i], size);
	}
}

static pthread_barrier_t filled;

static void *allocate_and_fork(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);

	fill_part(&random);
	pthread_barrier_wait(&filled);
	for (;;) {
		shuffle(&random, (unsigned)stress_below(&random, 200));
		unsigned number = atomic_fetch_add(&forks, 1);
		if (number >= forks_max || stress_now() > deadline) {
			atomic_fetch_sub(&forks, 1);
			return NULL;
		}
		pid_t pid = fork();
		CHECK(pid >= 0, "fork: %s", strerror(errno));
		if (pid == 0)
			be_child(random, number);
		stress_wait_for(pid, 0, "child");
	}
}

static void body(void)
{
	pthread_t thread[THREADS];

	store_count = 32768;
	store = calloc(store_count, sizeof(*store));
	left = mmap(NULL, sizeof(*left), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(left != MAP_FAILED, "mmap: %s", strerror(errno));
	pthread_barrier_init(&filled, NULL, THREADS);
	stress_warm_up(THREADS);
	size_t live = stress_live();
	forks_max = stress_long ? 100000 : 2000;
	deadline = stress_now() + (stress_long ? 3000 : 1.5);
	for (uintptr_t i = 0; i < THREADS; i++)
		thread[i] = stress_thread(allocate_and_fork, (void *)(i + 1));
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (size_t i = 0; i < store_count; i++)
		stress_discard(store[i]);
	for (unsigned i = 0; i < SLOTS; i++)
		stress_discard(atomic_exchange(&slots[i], NULL));
	size_t live_now = stress_live();
	CHECK(live_now == live, "%zu blocks live at the end, %zu before", live_now, live);
	printf("%u forks of %u threads; children that freed everything had at most %zu KiB in use, %zu KiB lost\n",
	       atomic_load(&forks), THREADS, atomic_load(&left->active) / KIB, atomic_load(&left->lost) / KIB);
}

int main(void)
{
	static const char *const variants[] = {"sink:central", "sink:page", NULL};

	return stress_main(variants, 60, body);
}
