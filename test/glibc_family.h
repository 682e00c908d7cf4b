/*
 * The functions of glibc's <malloc.h> for tests on any libc.
 *
 * Other libcs neither declare nor have them all.  Under hz3 every program has them, and a plain program that links nothing
 * of hz3 finds them there by name.  Where there is no such function at all, the answers are those of one that can do nothing.
 */
#ifndef HZ3_TEST_GLIBC_FAMILY_H
#define HZ3_TEST_GLIBC_FAMILY_H

#include <malloc.h>

#ifndef __GLIBC__

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>

#define M_TRIM_THRESHOLD -1
#define M_TOP_PAD -2
#define M_MMAP_THRESHOLD -3
#define M_MMAP_MAX -4
#define M_ARENA_MAX -8

struct mallinfo {
	int arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

struct mallinfo2 {
	size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

#define FAMILY_FUNCTION(type, nothing, name, parameters, arguments)                                                  \
	static inline type name parameters                                                                           \
	{                                                                                                            \
		type(*function) parameters = (type(*) parameters)dlsym(RTLD_DEFAULT, #name);                         \
                                                                                                                     \
		return function != NULL ? function arguments : nothing;                                              \
	}

FAMILY_FUNCTION(void *, NULL, pvalloc, (size_t size), (size))
FAMILY_FUNCTION(int, 0, malloc_trim, (size_t pad), (pad))
FAMILY_FUNCTION(int, 0, mallopt, (int parameter, int value), (parameter, value))
FAMILY_FUNCTION(int, -1, malloc_info, (int options, FILE *stream), (options, stream))
FAMILY_FUNCTION(struct mallinfo, (struct mallinfo){0}, mallinfo, (void), ())
FAMILY_FUNCTION(struct mallinfo2, (struct mallinfo2){0}, mallinfo2, (void), ())

static inline void malloc_stats(void)
{
	void (*function)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "malloc_stats");

	if (function != NULL)
		function();
}

#endif
#endif
