/*
 * Other programs are started, in every way there is, from a process whose threads are inside malloc and free.
 *
 *   posix_spawn, system, popen, and fork with exec, after the child has used the heap;
 *   handlers of pthread_atfork that allocate and free, before and after the fork;
 *   the program started is sometimes this one, which then uses its own heap and ends with a status of its own.
 */
#include "stress.h"

#include <spawn.h>

#define SLOTS 256
#define CHURNERS 3
#define STARTERS 3
#define MAGIC 43

extern char **environ;

static _Atomic(void *) slots[SLOTS];
static _Atomic bool stop;

static void *new_block(uint64_t *random)
{
	return stress_new(8 + stress_size(random, stress_below(random, 100) == 0 ? MIB : 3000));
}

static void shuffle(uint64_t *random, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		stress_discard(atomic_exchange(&slots[stress_below(random, SLOTS)], new_block(random)));
}

static void *churn(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);

	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		shuffle(&random, 16);
	return NULL;
}

/* ---- Handlers ---- */

/* One per thread that forks: prepare allocates, parent and child free. */
static _Thread_local void *prepared;
static _Atomic unsigned prepares, parents;

static void prepare(void)
{
	uint64_t random = stress_state(atomic_fetch_add(&prepares, 1));

	prepared = new_block(&random);
	free(stress_opaque(malloc(100 * KIB)));
}

static void after(void)
{
	uint64_t random = stress_state(atomic_load(&prepares));

	CHECK(prepared != NULL, "a handler ran twice");
	stress_discard(prepared);
	prepared = NULL;
	shuffle(&random, 4);
}

static void parent(void)
{
	atomic_fetch_add(&parents, 1);
	after();
}

/* ---- Ways to start a program ---- */

static void by_posix_spawn(uint64_t *random)
{
	static char sh[] = "sh", option[] = "-c", exit_9[] = "exit 9", child[] = "child";
	char *const shell[] = {sh, option, exit_9, NULL};
	struct self self;
	bool own = stress_below(random, 2) == 0;
	posix_spawnattr_t attr;
	posix_spawn_file_actions_t actions;
	pid_t pid;

	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	stress_self(&self, child);
	char *const *argv = own ? self.argv : shell;
	int error = posix_spawnp(&pid, argv[0], &actions, &attr, argv, environ);
	CHECK(error == 0, "posix_spawn: %s", strerror(error));
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	stress_wait_for(pid, own ? MAGIC : 9, "posix_spawn");
	/* The way back from a failure frees as well. */
	error = posix_spawn(&pid, "/nowhere/at/all", NULL, NULL, shell, environ);
	CHECK(error == ENOENT, "posix_spawn of nothing: %s", strerror(error));
}

static void by_system(uint64_t *random)
{
	char command[64];
	int wanted = (int)stress_below(random, 100);

	snprintf(command, sizeof(command), "exit %d", wanted);
	int status = system(command);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == wanted, "system: status %#x, not %d", (unsigned)status,
	      wanted);
}

static void by_popen(uint64_t *random)
{
	char command[64], line[64] = "";
	unsigned wanted = (unsigned)stress_below(random, 100000), got = 0;

	snprintf(command, sizeof(command), "echo %u", wanted);
	FILE *pipe;
	/* musl: a stream that another thread is closing is in the list of what the child must close, and our pipe may have its number by now. */
	do
		pipe = popen(command, "r");
	while (pipe == NULL && errno == EBADF);
	CHECK(pipe != NULL, "popen: %s", strerror(errno));
	CHECK(fgets(line, sizeof(line), pipe) != NULL && sscanf(line, "%u", &got) == 1 && got == wanted,
	      "popen: %u came back as \"%s\"", wanted, line);
	CHECK(pclose(pipe) == 0, "pclose");
}

static void *use_in_child(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);

	shuffle(&random, 50);
	return NULL;
}

static void by_fork(uint64_t *random)
{
	static char child[] = "child";
	pid_t pid = fork();

	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		stress_limit(10);
		shuffle(random, 50);
		if (stress_below(random, 2) == 0)
			pthread_join(stress_thread(use_in_child, (void *)(uintptr_t)(stress_random(random) >> 8)), NULL);
		setenv("HZ3_STRESS_SPAWN", "a value that needs memory", 1);
		if (stress_below(random, 2) == 0)
			stress_exec_self(child);
		execlp("sh", "sh", "-c", "exit 43", (char *)NULL);
		FAIL("exec: %s", strerror(errno));
	}
	stress_wait_for(pid, MAGIC, "fork and exec");
}

static void *start_programs(void *arg)
{
	void (*const ways[])(uint64_t *) = {by_posix_spawn, by_system, by_popen, by_fork, by_fork};
	uint64_t random = stress_state((uintptr_t)arg);
	unsigned n = stress_long ? 4000 : 60;

	for (unsigned i = 0; i < n; i++) {
		shuffle(&random, (unsigned)stress_below(&random, 40));
		ways[stress_below(&random, 5)](&random);
	}
	return NULL;
}

/* This program as it is started by itself. */
static int be_child(void)
{
	pthread_t thread[2];
	uint64_t random;

	stress_limit(10);
	stress_find_hz3();
	stress_seed = (uint64_t)getpid();
	random = stress_state(0);
	for (unsigned i = 0; i < 2; i++)
		thread[i] = stress_thread(churn, (void *)(uintptr_t)(i + 1));
	shuffle(&random, 200);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < SLOTS; i++)
		stress_discard(atomic_exchange(&slots[i], NULL));
	return MAGIC;
}

static void body(void)
{
	pthread_t churner[CHURNERS], starter[STARTERS];

	if (stress_is_emulated()) {
		printf("under an emulator a child does not share memory with the posix_spawn that started it\n");
		exit(SKIPPED);
	}
	stress_warm_up(CHURNERS + STARTERS);
	CHECK(pthread_atfork(prepare, parent, after) == 0, "pthread_atfork");
	for (uintptr_t i = 0; i < CHURNERS; i++)
		churner[i] = stress_thread(churn, (void *)(i + 1));
	for (uintptr_t i = 0; i < STARTERS; i++)
		starter[i] = stress_thread(start_programs, (void *)(i + 100));
	for (unsigned i = 0; i < STARTERS; i++)
		pthread_join(starter[i], NULL);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < CHURNERS; i++)
		pthread_join(churner[i], NULL);
	for (unsigned i = 0; i < SLOTS; i++)
		stress_discard(atomic_exchange(&slots[i], NULL));
	CHECK(atomic_load(&prepares) == atomic_load(&parents), "%u handlers before a fork, %u after",
	      atomic_load(&prepares), atomic_load(&parents));
	/* Settles, and checks the sums. */
	printf("%u forks, %zu blocks live\n", atomic_load(&prepares), stress_live());
}

int main(int argc, char **argv)
{
	static const char *const variants[] = {"sink:central", "sink:page", "remote_batch:0", NULL};

	if (argc > 1 && strcmp(argv[1], "child") == 0)
		return be_child();
	return stress_main(variants, 20, body);
}
