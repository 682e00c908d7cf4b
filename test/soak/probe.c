/*
 * Preloaded together with libhz3.so: a thread that writes, each time that so many milliseconds have passed, a line
 *
 *   SECONDS RSS ALLOCATED ACTIVE METADATA HEAPS THREADS
 *
 * (bytes, but for the first and the last two) to a file: what the system says of the process beside what hz3 says at the same moment.
 *
 *   HZ3_SOAK_FILE=PATH     where to
 *   HZ3_SOAK_MS=N          how often (500)
 *   HZ3_SOAK_LEAK=N        a negative control: allocate so many bytes each time, and lose them
 *   HZ3_SOAK_HOARD=N       another: keep so many bytes of memory more each time that hz3 does not know of, 40 times
 *
 * Only for the process that is started with these; they are not handed on to its children.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int output;
static unsigned period_ms;
static size_t leak, hoard;
static int (*control)(const char *, void *, size_t *, void *, size_t);

static size_t statistic(const char *name)
{
	size_t value = 0, bytes = sizeof(value);

	return control(name, &value, &bytes, NULL, 0) == 0 ? value : 0;
}

/* Numbers of /proc/self/status. */
static void look(size_t *rss, size_t *threads)
{
	char text[4096];
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	const char *line;

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, "\nVmRSS:");
	*rss = line != NULL ? strtoul(line + 7, NULL, 10) * 1024 : 0;
	line = strstr(text, "\nThreads:");
	*threads = line != NULL ? strtoul(line + 9, NULL, 10) : 0;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void misbehave(void)
{
	static unsigned times;
	void *p;

	if (leak > 0 && (p = malloc(leak)) != NULL)
		memset(p, 1, leak);
	if (hoard == 0 || times++ >= 40)
		return;
	p = mmap(NULL, hoard, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED)
		memset(p, 1, hoard);
}

static void *watch(void *arg)
{
	const struct timespec period = {.tv_sec = period_ms / 1000, .tv_nsec = (long)(period_ms % 1000) * 1000000};
	double start = now();

	for (;;) {
		char line[200];
		size_t rss, threads;

		look(&rss, &threads);
		int n = snprintf(line, sizeof(line), "%.3f %zu %zu %zu %zu %zu %zu\n", now() - start, rss,
				 statistic("stats.allocated"), statistic("stats.active"), statistic("stats.metadata"),
				 statistic("stats.heaps"), threads);

		if (write(output, line, (size_t)n) != n)
			return arg;
		misbehave();
		nanosleep(&period, NULL);
	}
}

static size_t take_number(const char *name, size_t usual)
{
	const char *text = getenv(name);
	size_t value = text != NULL ? strtoul(text, NULL, 10) : usual;

	unsetenv(name);
	return value;
}

__attribute__((constructor)) static void
start(void)
{
	const char *path = getenv("HZ3_SOAK_FILE");
	sigset_t all, before;
	pthread_t thread;

	if (path == NULL)
		return;
	*(void **)&control = dlsym(RTLD_DEFAULT, "hz3_control");
	output = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	period_ms = (unsigned)take_number("HZ3_SOAK_MS", 500);
	leak = take_number("HZ3_SOAK_LEAK", 0);
	hoard = take_number("HZ3_SOAK_HOARD", 0);
	unsetenv("HZ3_SOAK_FILE");
	if (control == NULL || output < 0 || period_ms == 0) {
		fputs("soak: no hz3, or no file\n", stderr);
		_exit(1);
	}
	/* The program's signals are for the program's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	if (pthread_create(&thread, NULL, watch, NULL) != 0)
		_exit(1);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_detach(thread);
}
