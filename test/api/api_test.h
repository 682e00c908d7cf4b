/*
 * What the API tests share.  They are plain programs, for whatever malloc the process has: each prints a line per
 * failed check, and its exit status says whether there was one.
 */
#ifndef HZ3_API_TEST_H
#define HZ3_API_TEST_H

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The status that the harness counts as skipped. */
#define SKIPPED 77

static unsigned failures;

#define CHECK(cond, ...)                                                                                             \
	do {                                                                                                         \
		if (!(cond)) {                                                                                       \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                                   \
			fprintf(stderr, __VA_ARGS__);                                                                \
			fputc('\n', stderr);                                                                         \
			failures++;                                                                                  \
		}                                                                                                    \
	} while (0)

/* Hides where a value comes from, so that the compiler neither reasons about it nor warns. */
static inline void *opaque(void *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

static inline size_t opaque_size(size_t n)
{
	__asm__ volatile("" : "+r"(n));
	return n;
}

/* A function that not every malloc has; NULL then. */
static inline void *find(const char *name)
{
	return dlsym(RTLD_DEFAULT, name);
}

/* Is it hz3?  Where manual pages leave room, the tests ask for hz3's choice only then. */
static inline bool on_hz3(void)
{
	return find("hz3_version") != NULL;
}

/* Is it hz3, built with this?  A name of the manual's, "config.stats". */
static inline bool on_hz3_with(const char *what)
{
	int (*control)(const char *, void *, size_t *, void *, size_t) =
		(int (*)(const char *, void *, size_t *, void *, size_t))find("hz3_control");
	bool built = false;
	size_t bytes = sizeof(built);

	return control != NULL && control(what, &built, &bytes, NULL, 0) == 0 && built;
}

/* Does it count what it does? */
static inline bool on_hz3_with_statistics(void)
{
	return on_hz3_with("config.stats");
}

/* A byte for each position and seed, without a short period. */
static inline unsigned char pattern(size_t i, unsigned seed)
{
	return (unsigned char)((i * 2654435761u + seed * 40503u) >> 13);
}

static inline void fill(void *p, size_t from, size_t to, unsigned seed)
{
	for (size_t i = from; i < to; i++)
		((unsigned char *)p)[i] = pattern(i, seed);
}

/* The first position that is not as filled; n if all are. */
static inline size_t first_difference(const void *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++) {
		if (((const unsigned char *)p)[i] != pattern(i, seed))
			return i;
	}
	return n;
}

static inline int finish(void)
{
	if (failures != 0)
		fprintf(stderr, "%u checks failed\n", failures);
	return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
