/*
 * A thread forks while another flushes all streams, which waits for a third, which has one of them and allocates, as getline does:
 *
 *   reader       has a stream           wants memory
 *   flusher      has libc's list        wants the stream
 *   forker       has malloc's locks     wants libc's list
 *
 * So malloc's locks must not come before that of the list.  Afterwards every thread of parent and child can open and close streams.
 */
#include "../stress/stress.h"

#define ROUNDS 10
#define BLOCKS 16

/* For the others to come so far; a longer one only finds more. */
#define MOMENT_MS 20

static FILE *stream;
static _Atomic bool stream_taken, forking;

static void
wait_for(const _Atomic bool *flag)
{
	while (!atomic_load(flag))
		sched_yield();
}

/* Registered after hz3's handler, and so called before that takes its locks. */
static void
tell_reader(void)
{
	atomic_store(&forking, true);
}

/* The way of these sizes leads to malloc's locks. */
static void
use_memory(void)
{
	void *p[BLOCKS];

	for (unsigned i = 0; i < BLOCKS; i++) {
		p[i] = malloc((i + 1) * MIB);
		CHECK(p[i] != NULL, "no memory for %u MiB", i + 1);
		stress_fill(p[i], (i + 1) * MIB);
	}
	for (unsigned i = 0; i < BLOCKS; i++) {
		stress_check(p[i]);
		free(p[i]);
	}
}

static void *
reader(void *arg UNUSED)
{
	flockfile(stream);
	atomic_store(&stream_taken, true);
	wait_for(&forking);
	stress_sleep_ms(MOMENT_MS);
	use_memory();
	funlockfile(stream);
	return NULL;
}

static void *
flusher(void *arg UNUSED)
{
	wait_for(&stream_taken);
	fflush(NULL);
	return NULL;
}

static void *
open_and_close(void *arg UNUSED)
{
	FILE *another = fopen("/dev/null", "w");

	CHECK(another != NULL, "fopen: %s", strerror(errno));
	fflush(NULL);
	fclose(another);
	return NULL;
}

static void
use_streams(void)
{
	open_and_close(NULL);
	pthread_join(stress_thread(open_and_close, NULL), NULL);
}

static void
fork_once(void)
{
	atomic_store(&stream_taken, false);
	atomic_store(&forking, false);
	pthread_t reads = stress_thread(reader, NULL), flushes = stress_thread(flusher, NULL);

	wait_for(&stream_taken);
	stress_sleep_ms(MOMENT_MS);
	pid_t pid = fork();
	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		stress_limit(20);
		use_memory();
		use_streams();
		_exit(0);
	}
	stress_wait_for(pid, 0, "child");
	pthread_join(reads, NULL);
	pthread_join(flushes, NULL);
	use_streams();
}

static void
body(void)
{
	if (dlsym(RTLD_DEFAULT, "_IO_list_lock") == NULL) {
		puts("SKIP: libc does not tell how its list of streams is locked");
		exit(SKIPPED);
	}
	stream = fopen("/dev/null", "w");
	CHECK(stream != NULL, "fopen: %s", strerror(errno));
	CHECK(pthread_atfork(tell_reader, NULL, NULL) == 0, "no memory for a fork handler");
	for (unsigned i = 0; i < ROUNDS; i++)
		fork_once();
	fclose(stream);
}

int
main(void)
{
	static const char *const variants[] = {"", NULL};

	return stress_main(variants, 30, body);
}
