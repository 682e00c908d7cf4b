/*
 * C semantics on top of the heap: overflow, alignment, errno, and glibc's less known functions.
 *
 * What malloc and hz3_malloc have in common.  malloc and free themselves are hz3_safety_alloc() and hz3_safety_free() as
 * they stand; whatever else is hot is inline here, so that each exported name is the path itself and jumps nowhere.
 * Any thread may call everything here.
 */
#ifndef HZ3_API_H
#define HZ3_API_H

#include "base.h"
#include "safety.h"
#include "hz3/hz3.h"

/* Sets errno to ENOMEM and returns NULL. */
HZ3_COLD void *hz3_api_no_memory(void);

/* The same for the rest of the family, each with the contract of its namesake in hz3.h. */
void *hz3_api_realloc(void *p, size_t size);
int hz3_api_posix_memalign(void **memptr, size_t alignment, size_t size);
void *hz3_api_aligned_alloc(size_t alignment, size_t size);
void *hz3_api_memalign(size_t alignment, size_t size);
void *hz3_api_valloc(size_t size);
void *hz3_api_pvalloc(size_t size);
int hz3_api_trim(void);
int hz3_api_mallopt(int param, int value);
struct hz3_mallinfo hz3_api_mallinfo(void);
struct hz3_mallinfo2 hz3_api_mallinfo2(void);
int hz3_api_malloc_info(int options, FILE *stream);
void hz3_api_malloc_stats(void);

static HZ3_INLINE void *hz3_api_calloc(size_t count, size_t size)
{
	size_t bytes;

	if (hz3_unlikely(__builtin_mul_overflow(count, size, &bytes)))
		return hz3_api_no_memory();
	return hz3_safety_alloc_zero(bytes);
}

static HZ3_INLINE void *hz3_api_reallocarray(void *p, size_t count, size_t size)
{
	size_t bytes;

	if (hz3_unlikely(__builtin_mul_overflow(count, size, &bytes)))
		return hz3_api_no_memory();
	return hz3_api_realloc(p, bytes);
}

/* C23 lets the caller name the size; what we could gain by it is one load, so it is only checked. */
static HZ3_INLINE void hz3_api_free_sized(void *p, size_t size)
{
	hz3_safety_free_sized("free_sized", p, size);
}

static HZ3_INLINE void hz3_api_free_aligned_sized(void *p, size_t alignment, size_t size)
{
	hz3_check(p == NULL || (hz3_is_pow2(alignment) && ((uintptr_t)p & (alignment - 1)) == 0),
		  "free_aligned_sized: %p is not aligned to %zu", p, alignment);
	hz3_safety_free_sized("free_aligned_sized", p, size);
}

#endif
