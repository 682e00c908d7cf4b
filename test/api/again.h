/*
 * What API tests share that look at hz3 with different settings: the program runs itself again, once for each case, with HZ3_CONF
 * and the name of the case; and asks for the statistics as JSON.
 */
#ifndef HZ3_AGAIN_H
#define HZ3_AGAIN_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "../self.h"
#include "api_test.h"

#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

/* A case may take so long. */
#define AGAIN_SECONDS 100

/* In the child of a fork: become the case. */
static _Noreturn void UNUSED become(const char *name)
{
	self_exec((char *[]){(char *)(uintptr_t)name, NULL});
	_exit(127);
}

/* The exit status of the case, or -1. */
static int UNUSED again(const char *name, const char *conf)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		setenv("HZ3_CONF", conf, 1);
		alarm(AGAIN_SECONDS);
		become(name);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* A list of cases ends with one that has no name. */
struct again_case {
	const char *name;
	void (*run)(void);
	const char *conf;	/* %s is what run_cases() is given; NULL: only from within another case */
};

/* The case of that name; NULL: all of them, each in a process of its own. */
static void UNUSED run_cases(const struct again_case *cases, const char *name, const char *given)
{
	char conf[256];

	for (; cases->name != NULL; cases++) {
		if (name != NULL && strcmp(cases->name, name) == 0)
			cases->run();
		if (name != NULL || cases->conf == NULL)
			continue;
		snprintf(conf, sizeof(conf), cases->conf, given);
		int status = again(cases->name, conf);
		CHECK(status == EXIT_SUCCESS, "%s: status %d", cases->name, status);
	}
}

/*
 * Run a case in a process with the settings of this one, after before (which may be NULL): it has to end well, and to say one line on
 * standard error, with this beginning.
 */
static void UNUSED expect_complaint(const char *name, void (*before)(void), const char *beginning)
{
	char text[512];
	int pair[2], status = -1;
	size_t used = 0;
	ssize_t n;

	CHECK(pipe(pair) == 0, "pipe");
	pid_t pid = fork();
	if (pid == 0) {
		dup2(pair[1], STDERR_FILENO);
		close(pair[0]);
		close(pair[1]);
		if (before != NULL)
			before();
		become(name);
	}
	close(pair[1]);
	while ((n = read(pair[0], text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(pair[0]);
	waitpid(pid, &status, 0);
	CHECK(status == 0, "status %d", status);
	CHECK(strncmp(text, beginning, strlen(beginning)) == 0, "it said: %s", text);
	/* Valgrind is a program that is preloaded as well, and may say the same. */
	CHECK(strchr(text, '\n') == text + used - 1 || getenv("HZ3_EMULATOR") != NULL, "more than one line: %s", text);
}

static void UNUSED nap(unsigned ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&time, &time) != 0 && errno == EINTR)
		;
}

static char again_text[512 * 1024];

static void again_collect(void *arg, const char *piece)
{
	size_t *used = arg, length = strlen(piece);

	if (*used + length >= sizeof(again_text))
		abort();
	memcpy(again_text + *used, piece, length + 1);
	*used += length;
}

/* The statistics; the text is good until the next call. */
static UNUSED const char *statistics(const char *opts)
{
	void (*print)(void (*)(void *, const char *), void *, const char *) =
		(void (*)(void (*)(void *, const char *), void *, const char *))find("hz3_stats_print");
	size_t used = 0;

	again_text[0] = '\0';
	if (print != NULL)
		print(again_collect, &used, opts);
	return again_text;
}

static UNUSED void *allocate(size_t bytes)
{
	void *p = malloc(bytes);

	if (p == NULL)
		abort();
	return opaque(memset(p, 1, bytes));
}

static pthread_t UNUSED start(void *(*f)(void *), const char *name)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, f, (void *)(uintptr_t)name) != 0)
		abort();
	return thread;
}

#endif
