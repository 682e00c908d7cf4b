/*
 * What hz3run wants to know of a program before it starts it: where it is, and whether the dynamic linker will load a
 * preloaded library into it.
 */
#ifndef HZ3_PROGRAM_H
#define HZ3_PROGRAM_H

#include "base.h"

#include <limits.h>

enum program_verdict {
	PROGRAM_GOOD,
	PROGRAM_UNKNOWN,      /* it can be run, but not read, or it is in no known format */
	PROGRAM_PRIVILEGED,   /* set-user-ID or the like: the loader ignores preloads */
	PROGRAM_STATIC,       /* there is no loader */
	PROGRAM_FOREIGN,      /* of another word size, machine or C library than hz3 */
	PROGRAM_OWN_MALLOC    /* its own malloc is found before any library's */
};

struct program {
	char path[PATH_MAX];        /* what is to be run */
	char binary[PATH_MAX];      /* what the kernel loads for it: the same, or the interpreter of a script */
	char loader[PATH_MAX];      /* the dynamic linker of that; empty if it has none */
	enum program_verdict verdict;
	const char *why;            /* a phrase for people that fits behind the name, if the verdict is not good */
};

/*
 * Finds a program as execvp() does, and fills in the rest.  Returns 0, ENOENT or EACCES (as far as can be told without
 * running it), or ENAMETOOLONG.
 */
int program_examine(struct program *program, const char *name);

#endif
