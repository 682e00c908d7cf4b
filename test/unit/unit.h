/*
 * What the unit tests share: a main(), a way to read what was written to standard error, and one to watch a death.
 *
 * Included by one test program each; everything is static.  Not thread-safe: only a test's main thread calls it.
 */
#ifndef HZ3_TEST_UNIT_H
#define HZ3_TEST_UNIT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <check.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs a suite; the exit status of the program. */
static inline int unit_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Standard error, redirected into a socket that keeps writes apart, so that they can be counted. */
struct unit_capture {
	int saved;
	int socket;
};

static inline struct unit_capture unit_capture_begin(void)
{
	struct unit_capture c;
	int pair[2];

	fflush(NULL);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	c.saved = dup(STDERR_FILENO);
	c.socket = pair[0];
	ck_assert_int_ge(c.saved, 0);
	ck_assert_int_eq(dup2(pair[1], STDERR_FILENO), STDERR_FILENO);
	close(pair[1]);
	return c;
}

/* Restores standard error.  The text is terminated; returns the number of writes it came in. */
static inline int unit_capture_end(struct unit_capture c, char *text, size_t cap)
{
	size_t length = 0;
	ssize_t n;
	int writes = 0;

	fflush(NULL);
	ck_assert_int_eq(dup2(c.saved, STDERR_FILENO), STDERR_FILENO);
	close(c.saved);
	while (length + 1 < cap && (n = recv(c.socket, text + length, cap - 1 - length, MSG_DONTWAIT)) > 0) {
		length += (size_t)n;
		writes++;
	}
	close(c.socket);
	text[length] = '\0';
	return writes;
}

/*
 * Calls f(arg) in a child.  True if that ended in abort(); the text is what it wrote to standard error.
 * For use where the message matters; otherwise tcase_add_test_raise_signal() does.
 */
static inline bool unit_dies(void (*f)(void *), void *arg, char *text, size_t cap)
{
	struct unit_capture c = unit_capture_begin();
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		const struct rlimit no_core = {0, 0};

		/* Check's own handling of signals and sanitizers' reports are of no interest here. */
		signal(SIGABRT, SIG_DFL);
		setrlimit(RLIMIT_CORE, &no_core);
		f(arg);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	unit_capture_end(c, text, cap);
	ck_assert_int_gt(pid, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* A seeded generator, so that a failure can be repeated. */
static inline unsigned long unit_random(unsigned long *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
