/*
 * Other programs in the place of this one, and beside it.
 *
 *   chain    a thread that is not the first calls exec while the others allocate; the next program does the same, and so on.  Each
 *            starts with the heap of a new process, and inherits nothing but what exec keeps.
 *   vfork    children that borrow their parent's memory, and its thread, while its other threads allocate: they use malloc
 *            (which only such a child's malloc may do), and exec or _exit.  What they have allocated is their parent's to free.
 */
#include "../stress/stress.h"

#define SLOTS 128
#define CHURNERS 3
#define MAGIC 44

static _Atomic(void *) slots[SLOTS];
static _Atomic bool stop;

static void *new_block(uint64_t *random)
{
	return stress_new(8 + stress_size(random, stress_below(random, 100) == 0 ? MIB : 3000));
}

static void *churn(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);

	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		stress_discard(atomic_exchange(&slots[stress_below(&random, SLOTS)], new_block(&random)));
	return NULL;
}

/* ---- Chain ---- */

static unsigned links_left;

static void *exec_next(void *arg UNUSED)
{
	uint64_t random = stress_state(links_left);
	char left[16], seed[32];

	for (unsigned n = (unsigned)stress_below(&random, 3000); n > 0; n--)
		stress_discard(atomic_exchange(&slots[stress_below(&random, SLOTS)], new_block(&random)));
	snprintf(left, sizeof(left), "%u", links_left - 1);
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)stress_seed + 1);
	execl("/proc/self/exe", "exec", "chain", left, seed, (char *)NULL);
	FAIL("exec: %s", strerror(errno));
}

static int be_link(unsigned left)
{
	stress_limit(20);
	links_left = left;
	if (left == 0)
		return MAGIC;
	for (uintptr_t i = 0; i < CHURNERS; i++)
		stress_thread(churn, (void *)(i + 1));
	pthread_join(stress_thread(exec_next, NULL), NULL);
	FAIL("exec returned");
}

static void chain(void)
{
	char length[16], seed[32];
	pid_t pid;

	snprintf(length, sizeof(length), "%u", stress_long ? 2000 : 40);
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)stress_seed);
	pid = fork();
	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		execl("/proc/self/exe", "exec", "chain", length, seed, (char *)NULL);
		FAIL("exec: %s", strerror(errno));
	}
	stress_wait_for(pid, MAGIC, "the chain");
}

/* ---- vfork ---- */

static void *left_by_child;

static void vfork_once(uint64_t *random)
{
	bool exec = stress_below(random, 2) == 0;
	pid_t pid = vfork();

	CHECK(pid >= 0, "vfork: %s", strerror(errno));
	if (pid == 0) {
		left_by_child = new_block(random);
		stress_discard(new_block(random));
		stress_discard(atomic_exchange(&slots[stress_below(random, SLOTS)], NULL));
		if (exec)
			execl("/bin/sh", "sh", "-c", "exit 44", (char *)NULL);
		_exit(MAGIC);
	}
	stress_discard(left_by_child);
	stress_wait_for(pid, MAGIC, exec ? "vfork and exec" : "vfork");
}

static void body(void)
{
	pthread_t thread[CHURNERS];
	uint64_t random = stress_state(0);

	chain();
	stress_warm_up(CHURNERS);
	size_t live = stress_live();
	for (uintptr_t i = 0; i < CHURNERS; i++)
		thread[i] = stress_thread(churn, (void *)(i + 1));
	for (unsigned i = 0; i < (stress_long ? 20000 : 200); i++)
		vfork_once(&random);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < CHURNERS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < SLOTS; i++)
		stress_discard(atomic_exchange(&slots[i], NULL));
	size_t live_now = stress_live();
	CHECK(live_now == live, "%zu blocks live at the end, %zu before", live_now, live);
}

int main(int argc, char **argv)
{
	static const char *const variants[] = {"sink:central", "sink:page", NULL};

	if (argc > 3 && strcmp(argv[1], "chain") == 0) {
		stress_seed = strtoull(argv[3], NULL, 10);
		return be_link((unsigned)strtoul(argv[2], NULL, 10));
	}
	return stress_main(variants, 40, body);
}
