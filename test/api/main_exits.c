/*
 * The first thread ends by pthread_exit; when the last of the others has ended as well, so does the process, with status 0: no
 * thread of malloc's own keeps it alive.
 */
#define _GNU_SOURCE
#include "api_test.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define BLOCKS 40000

static void *block[BLOCKS];

/* Enough to do for a background thread, and time enough for it to start. */
static void *
work(void *arg)
{
	struct timespec moment = { 0, 400000000 };

	for (int i = 0; i < BLOCKS; i++)
		free(block[i]);
	for (int i = 0; i < BLOCKS; i++)
		block[i] = malloc(100 + (size_t)i % 400);
	nanosleep(&moment, NULL);
	for (int i = 0; i < BLOCKS; i++)
		free(block[i]);
	for (int i = 0; i < 5000; i++)
		free(opaque(malloc(20000)));
	return arg;
}

int
main(void)
{
	pthread_t thread;

	if (getenv("HZ3_EMULATOR") != NULL) {
		puts("an emulator does not show that the first thread has ended");
		return SKIPPED;
	}
	alarm(100);
	for (int i = 0; i < BLOCKS; i++)
		CHECK((block[i] = malloc(500)) != NULL, "no memory");
	CHECK(pthread_create(&thread, NULL, work, NULL) == 0, "pthread_create");
	pthread_detach(thread);
	if (failures > 0)
		return finish();
	pthread_exit(NULL);
}
