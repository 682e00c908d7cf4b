/*
 * The first thread ends by pthread_exit; when the last of the others has ended as well, so does the process, with status 0: no
 * thread of malloc's own keeps it alive.  Nor does one that comes after it: in a child the same with blocks that are never freed, so that
 * there is always something to do; and in another one where that thread waits for a signal, which may never come.
 */
#define _GNU_SOURCE
#include "../self.h"
#include "api_test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCKS 40000

static void *block[BLOCKS];
static bool keeps_blocks, has_nothing_to_do;

/* Enough to do for a background thread, and time enough for it to start. */
static void *work(void *arg)
{
	struct timespec moment = { 0, 400000000 };

	if (has_nothing_to_do) {
		nanosleep(&moment, NULL);
		return arg;
	}
	for (int i = 0; i < BLOCKS; i++)
		free(block[i]);
	for (int i = 0; i < BLOCKS; i++)
		block[i] = malloc(100 + (size_t)i % 400);
	nanosleep(&moment, NULL);
	if (keeps_blocks)
		return arg;
	for (int i = 0; i < BLOCKS; i++)
		free(block[i]);
	for (int i = 0; i < 5000; i++)
		free(opaque(malloc(20000)));
	return arg;
}

/* Signals do not end a process of which only malloc's thread is left. */
static void wait_for(pid_t pid)
{
	struct timespec moment = { 0, 10000000 };
	int status = -1;

	for (int i = 0; i < 3000 && waitpid(pid, &status, WNOHANG) == 0; i++)
		nanosleep(&moment, NULL);
	CHECK(status == 0, "the child did not end, or not well: %d", status);
	if (status == -1) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
}

/* A program of its own: in the child of a fork musl 1.2.3 does not survive the end of the first thread. */
static void child_ends(char *way, const char *conf)
{
	pid_t pid = fork();

	CHECK(pid >= 0, "fork");
	if (pid == 0) {
		if (conf != NULL)
			setenv("HZ3_CONF", conf, 1);
		self_exec((char *[]){way, NULL});
		_exit(98);
	}
	wait_for(pid);
}

int main(int argc, char **argv)
{
	static char keep[] = "keep", signal[] = "signal";
	pthread_t thread;

	if (getenv("HZ3_EMULATOR") != NULL) {
		puts("an emulator does not show that the first thread has ended");
		return SKIPPED;
	}
	alarm(100);
	keeps_blocks = argc > 1 && strcmp(argv[1], keep) == 0;
	has_nothing_to_do = argc > 1 && !keeps_blocks;
	if (argc == 1) {
		child_ends(keep, NULL);
		child_ends(signal, "stats_signal:USR2");
	}
	for (int i = 0; i < BLOCKS && !has_nothing_to_do; i++)
		CHECK((block[i] = malloc(500)) != NULL, "no memory");
	CHECK(pthread_create(&thread, NULL, work, NULL) == 0, "pthread_create");
	pthread_detach(thread);
	if (failures > 0)
		return finish();
	pthread_exit(NULL);
}
