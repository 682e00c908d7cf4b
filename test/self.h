/*
 * How a test starts itself once more.
 *
 * By its path: /proc/self/exe would be an emulator or valgrind, after its exec.  Where test/runner says in HZ3_TEST_LAUNCHER how to
 * start a program with this hz3 (under an emulator, or because it is for another libc than the system's programs), by these words
 * before it, without the LD_PRELOAD of this process.
 */
#ifndef HZ3_TEST_SELF_H
#define HZ3_TEST_SELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* What to give to execvp() or posix_spawnp(): a path to look for in PATH, and arguments. */
struct self {
	char *argv[32];
	char text[8192];
};

/* Whether other programs of this system can't load the hz3 of this process. */
static inline bool self_is_foreign(void)
{
	return getenv("HZ3_TEST_LAUNCHER") != NULL;
}

/* With these arguments, a list of at most 4 that ends with NULL.  False: it can't be said how. */
static inline bool self_words(struct self *self, char *const *arguments)
{
	const char *launcher = self_is_foreign() ? getenv("HZ3_TEST_LAUNCHER") : "";
	size_t used = strlen(launcher) + 1;
	unsigned n = 0;

	if (used + 1 >= sizeof(self->text))
		return false;
	memcpy(self->text, launcher, used);
	for (char *word = strtok(self->text, " "); word != NULL && n < 26; word = strtok(NULL, " "))
		self->argv[n++] = word;
	ssize_t path = readlink("/proc/self/exe", self->text + used, sizeof(self->text) - used - 1);
	if (path <= 0)
		return false;
	self->text[used + (size_t)path] = '\0';
	self->argv[n++] = self->text + used;
	for (unsigned i = 0; i < 4 && arguments[i] != NULL; i++)
		self->argv[n++] = arguments[i];
	self->argv[n] = NULL;
	return true;
}

/* Become the program, with these arguments.  Returns if that fails. */
static inline void self_exec(char *const *arguments)
{
	static struct self self;

	if (!self_words(&self, arguments))
		return;
	if (self_is_foreign())
		unsetenv("LD_PRELOAD");
	execvp(self.argv[0], self.argv);
}

#endif
