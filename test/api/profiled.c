/*
 * What profile.sh profiles: "profiled HOW N"; without arguments, "flow 1000".  The names of the functions and threads are what the profile has to show.
 *
 *   flow N     the main thread allocates N blocks of 1000 bytes; a thread "logger" frees three of four; one that grew to 80 MiB stays
 *   regrow N   N blocks grow from 200 to 3200 bytes by 200, and one by MiB to 20 of them; all stay
 *   fork N     four threads allocate and free while N children are made, each of which allocates, frees and exits
 *   bare N     as fork, by _Fork; each child allocates from an arena of the program's, and calls nothing else before
 *   signal N   allocates N blocks, asks for reports by SIGUSR2, and ends at once when the file $PROFILED_FILE is there
 *   control N  pauses, goes on, resets and dumps by hz3_control; N is not used
 */
#include "api_test.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define APART static __attribute__((noinline))

typedef int control_function(const char *name, void *old, size_t *old_bytes, void *new_value, size_t new_bytes);

static void **block;
static size_t blocks;

APART void *makes_blocks(size_t size)
{
	char *p = malloc(size);

	if (p)
		p[0] = 1;
	return opaque(p);
}

APART void *makes_and_drops(size_t size)
{
	void *p = malloc(size);

	free(opaque(p));
	return NULL;
}

APART void *grows(size_t from, size_t to)
{
	void *p = opaque(malloc(from));

	return opaque(realloc(p, to));
}

static void *logger(void *arg)
{
	prctl(PR_SET_NAME, "logger");
	for (size_t i = 0; i < blocks; i++)
		if (i % 4)
			free(block[i]);
	return arg;
}

static void flow(void)
{
	pthread_t thread;

	block = calloc(blocks, sizeof(*block));
	for (size_t i = 0; i < blocks; i++)
		block[i] = makes_blocks(1000);
	for (size_t i = 0; i < blocks / 10; i++)
		makes_and_drops(100);
	CHECK(pthread_create(&thread, NULL, logger, NULL) == 0, "no thread");
	pthread_join(thread, NULL);
	CHECK(grows((size_t)40 << 20, (size_t)80 << 20) != NULL, "no memory");
}

/* Small blocks that move at each step, and a large one that mostly doesn't. */
APART void regrows(void)
{
	static const size_t last = 3200, large = (size_t)1 << 20;
	void *p = NULL;

	/* Half of them only when they are full to the end, as programs do that ask for usable sizes. */
	for (size_t size = 200; size <= last; size += 200)
		for (size_t i = 0; i < blocks; i++)
			if (i % 2 == 0 || malloc_usable_size(block[i]) < size)
				CHECK((block[i] = opaque(realloc(block[i], size))) != NULL, "no memory");
	for (size_t size = large; size <= 20 * large; size += large)
		CHECK((p = opaque(realloc(p, size))) != NULL, "no memory");
	opaque(p);
}

static atomic_bool done;

static void *busy(void *arg)
{
	void *p[64] = { NULL };

	for (size_t i = 0; !atomic_load_explicit(&done, memory_order_relaxed); i++) {
		free(p[i % 64]);
		p[i % 64] = makes_blocks(1 + i * 7919 % 3000);
	}
	for (size_t i = 0; i < 64; i++)
		free(p[i]);
	return arg;
}

static _Noreturn void child_of_fork(void)
{
	for (size_t i = 0; i < 2000; i++)
		makes_and_drops(1 + i);
	exit(0);
}

static void *arena;
static void *(*arena_malloc)(void *arena, size_t size);

static _Noreturn void child_of_bare_fork(void)
{
	alarm(20);
	for (size_t i = 0; i < 200; i++)
		free(opaque(arena_malloc(arena, 1 + i)));
	_exit(0);
}

static void forks(pid_t (*make_child)(void), void (*be_child)(void))
{
	pthread_t thread[4];
	int status;

	for (size_t i = 0; i < 4; i++)
		CHECK(pthread_create(&thread[i], NULL, busy, NULL) == 0, "no thread");
	for (size_t n = 0; n < blocks; n++) {
		pid_t child = make_child();
		if (child == 0)
			be_child();
		CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0, "child %zu: status %d", n, status);
	}
	atomic_store(&done, true);
	for (size_t i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
}

static void bare_forks(void)
{
	pid_t (*bare_fork)(void) = (pid_t (*)(void))find("_Fork");
	void *(*create)(void *hooks, void *context) = (void *(*)(void *, void *))find("hz3_arena_create");

	arena_malloc = (void *(*)(void *, size_t))find("hz3_arena_malloc");
	if (bare_fork == NULL || create == NULL || arena_malloc == NULL)
		return;
	arena = create(NULL, NULL);
	CHECK(arena != NULL, "no arena");
	forks(bare_fork, child_of_bare_fork);
}

static void control(control_function *call)
{
	bool off = false, on = true, active = false;
	size_t bytes = sizeof(active);
	const char *nowhere = "/nowhere/at/all";

	CHECK(call("prof.active", &active, &bytes, &off, sizeof(off)) == 0 && active, "not active at first");
	block[0] = makes_blocks(100000);
	CHECK(call("prof.active", NULL, NULL, &on, sizeof(on)) == 0, "can't go on");
	makes_and_drops(100000);
	CHECK(call("prof.dump", NULL, NULL, &nowhere, sizeof(nowhere)) == ENOENT, "a dump to nowhere");
	CHECK(call("prof.dump", &nowhere, &bytes, NULL, 0) == EPERM, "prof.dump can be read");
	CHECK(call("prof.dump", NULL, NULL, NULL, 0) == 0, "no dump");
	CHECK(call("prof.reset", NULL, NULL, NULL, 0) == 0, "no reset");
	free(block[0]);
}

static void by_signal(void)
{
	const char *file = getenv("PROFILED_FILE");

	for (size_t i = 0; i < blocks; i++)
		makes_blocks(1000);
	raise(SIGUSR2);
	for (int ms = 0; file && access(file, F_OK) != 0 && ms < 10000; ms++)
		usleep(1000);
	CHECK(file && access(file, F_OK) == 0, "no profile after ten seconds");
	_exit(failures != 0);
}

int main(int argc, char **argv)
{
	control_function *call = (control_function *)find("hz3_control");

	const char *how = argc == 3 ? argv[1] : "flow";

	blocks = argc == 3 ? strtoul(argv[2], NULL, 10) : 1000;
	if (strcmp(how, "flow") == 0)
		flow();
	else if (strcmp(how, "regrow") == 0 && (block = calloc(blocks, sizeof(*block))) != NULL)
		regrows();
	else if (strcmp(how, "fork") == 0)
		forks(fork, child_of_fork);
	else if (strcmp(how, "bare") == 0)
		bare_forks();
	else if (strcmp(how, "signal") == 0)
		by_signal();
	else if (call && (block = calloc(1, sizeof(*block))) != NULL)
		control(call);
	return failures != 0;
}
