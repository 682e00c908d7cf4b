/*
 * A fork that waits, with hz3's locks in hand, for a lock of libc's whose holder wants memory.
 *
 * Libc's fork takes the lock of its list of streams after all handlers.  Whoever flushes all streams has that, and waits for each stream;
 * and who has a stream may call malloc, as getline does.
 */
#include "../stress/stress.h"

#define KEPT 300

static _Atomic(void *) kept[KEPT];
static FILE *stream;
static _Atomic enum { QUIET, HAS_STREAM, FORKING, FORKED } phase;

static void use_heap(uint64_t *random, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		stress_discard(atomic_exchange(&kept[stress_below(random, KEPT)], stress_new(16 + stress_size(random, MIB))));
}

/* Time enough for another thread to come to where it waits; where it is not, a round shows nothing, and passes. */
static void let_others_wait(void)
{
	stress_sleep_ms(50);
}

static void *flush_all(void *arg)
{
	fflush(NULL);
	return arg;
}

static void *want_memory(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);

	flockfile(stream);
	atomic_store(&phase, HAS_STREAM);
	while (atomic_load(&phase) == HAS_STREAM)
		sched_yield();
	let_others_wait();
	use_heap(&random, 200);
	funlockfile(stream);
	/* And on, so that at the fork it has what it took over. */
	while (atomic_load(&phase) != FORKED)
		use_heap(&random, 5);
	return NULL;
}

/* Everything is usable, and nothing is lost that was not in the hands of a thread that is not there. */
static void be_child(uint64_t *random)
{
	alarm(60);
	use_heap(random, 300);
	for (unsigned i = 0; i < KEPT; i++)
		stress_discard(atomic_exchange(&kept[i], NULL));
	stress_purge();
	stress_live();
	_exit(0);
}

static void fork_among_streams(unsigned round)
{
	uint64_t random = stress_state(round);
	pthread_t holder = stress_thread(want_memory, (void *)(uintptr_t)(100 + round));

	while (atomic_load(&phase) != HAS_STREAM)
		sched_yield();
	pthread_t flusher = stress_thread(flush_all, NULL);
	let_others_wait();
	use_heap(&random, 50);
	atomic_store(&phase, FORKING);
	pid_t pid = fork();
	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0)
		be_child(&random);
	atomic_store(&phase, FORKED);
	pthread_join(holder, NULL);
	pthread_join(flusher, NULL);
	stress_wait_for(pid, 0, "a child");
	atomic_store(&phase, QUIET);
}

static void body(void)
{
	stream = tmpfile();
	CHECK(stream != NULL, "tmpfile: %s", strerror(errno));
	for (unsigned round = 0; round < (stress_long ? 100 : 3); round++)
		fork_among_streams(round);
	for (unsigned i = 0; i < KEPT; i++)
		stress_discard(atomic_exchange(&kept[i], NULL));
	fclose(stream);
	stress_live();
}

int main(void)
{
	static const char *const variants[] = {"sink:central", "sink:page", NULL};

	return stress_main(variants, 110, body);
}
