/*
 * With delayed_reuse, a thread keeps freed blocks back; it gives them up when it ends, is told to be idle, purges, or finds no memory; and
 * in the child of a fork, which it does not survive.  Builds with safety checks.
 */
#include "again.h"

#include <sys/resource.h>

#define BLOCKS 1000
#define BYTES 1000
#define CONF "delayed_reuse:8M"

static int (*control)(const char *, void *, size_t *, void *, size_t);

static size_t live(void)
{
	size_t value = 0, bytes = sizeof(value);

	if (control("stats.blocks_live", &value, &bytes, NULL, 0) != 0)
		abort();
	return value;
}

static void *blocks[BLOCKS];

static void take(void)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		blocks[i] = allocate(BYTES);
}

static void drop(void)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		free(blocks[i]);
}

/*
 * The blocks that are there more than before: all of them, and of other threads that run perhaps what only waits to be handed out; or none
 * but what libc has for a thread.
 */
static void expect_kept(const char *when, size_t before)
{
	size_t now = live();

	CHECK(now >= before + BLOCKS, "%s: %zu blocks live, %zu before", when, now, before);
}

static void expect_home(const char *when, size_t before)
{
	size_t now = live();

	CHECK(now < before + 20, "%s: %zu blocks live, %zu before", when, now, before);
}

/* ---- Told to ---- */

static void gives_up_by(const char *name)
{
	void (*give_up)(void) = (void (*)(void))find(name);
	size_t before = live();

	for (unsigned round = 0; round < 3; round++) {
		take();
		drop();
		expect_kept("freed", before);
		give_up();
		expect_home(name, before);
	}
}

static void idle(void)
{
	gives_up_by("hz3_thread_idle");
}

static void purge(void)
{
	gives_up_by("hz3_purge");
}

static void trim(void)
{
	gives_up_by("malloc_trim");
}

/* ---- At the end ---- */

static size_t live_before;

static void *frees_its_own(void *arg)
{
	(void)arg;
	take();
	drop();
	expect_kept("its own", live_before);
	return NULL;
}

static void *frees_others(void *arg)
{
	(void)arg;
	free(allocate(1));
	drop();
	expect_kept("others'", live_before);
	return NULL;
}

static void end(void)
{
	live_before = live();
	for (unsigned round = 0; round < 3; round++) {
		pthread_join(start(frees_its_own, NULL), NULL);
		expect_home("a thread that freed its own has ended", live_before);
		take();
		pthread_join(start(frees_others, NULL), NULL);
		expect_home("a thread that freed others' has ended", live_before);
	}
}

/* ---- In a child ---- */

static pthread_barrier_t barrier;

static void *waits(void *arg)
{
	frees_its_own(arg);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return NULL;
}

static void child(void)
{
	int status = -1;

	live_before = live();
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_t thread = start(waits, NULL);
	pthread_barrier_wait(&barrier);
	pid_t pid = fork();
	if (pid == 0) {
		expect_home("in the child", live_before);
		_exit(finish());
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0, "the child's status is %#x", (unsigned)status);
	expect_kept("in the parent", live_before);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
}

/* ---- No memory ---- */

static void no_memory(void)
{
	struct rlimit limit = {(size_t)256 << 20, (size_t)256 << 20};

	CHECK(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit: %s", strerror(errno));
	/* Twice as much as there is. */
	for (unsigned i = 0; i < 512 * 1024 && failures == 0; i++) {
		void *p = opaque(malloc(BYTES));
		CHECK(p != NULL, "no memory, though all was freed, after %u blocks", i);
		free(p);
	}
}

static const struct again_case cases[] = {
	{"idle", idle, CONF},
	{"purge", purge, CONF},
	{"trim", trim, CONF},
	{"end", end, CONF},
	{"end, page", end, CONF ",sink:page"},
	{"end, unbatched", end, CONF ",remote_batch:0"},
	{"child", child, CONF},
	{"no memory", no_memory, "delayed_reuse:1G"},
	{0},
};

int main(int argc, char **argv)
{
	control = (int (*)(const char *, void *, size_t *, void *, size_t))find("hz3_control");
	if (!on_hz3_with_statistics() || !on_hz3_with("config.safety_checks")) {
		puts("SKIP: delayed_reuse is of builds with safety checks, and seen by statistics");
		return SKIPPED;
	}
	run_cases(cases, argc > 1 ? argv[1] : NULL, "");
	return finish();
}
