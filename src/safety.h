/*
 * What the public functions call: allocation as alloc.h has it; in a build with --enable-safety-checks, with every block looked at
 * when it comes back.
 *
 * Such a block ends with canaries and its size (seal.h), and a bit per granule of memory says where a live one starts.  So these
 * end the program with one line:
 *
 *   a free, realloc or malloc_usable_size of what is no live block: freed before, by whatever thread and wherever it is
 *   since; never handed out; the inside of a block; no memory of ours
 *   a size, given to free_sized or operator delete, that is not the block's
 *   a write behind the end of a block, when it comes back
 *   a write to a block that was freed, when its link is followed or it is handed out again
 *
 * In other builds these are other names of the functions of alloc.h.  Any thread.
 */
#ifndef HZ3_SAFETY_H
#define HZ3_SAFETY_H

#include "alloc.h"
#include "pool.h"

/* The checked ones, each as its namesake below; resize as hz3_alloc_resize_large, for all blocks. */
void *hz3_checked_alloc(size_t size);
void *hz3_checked_alloc_zero(size_t size);
void *hz3_checked_alloc_aligned(size_t alignment, size_t size);
void *hz3_checked_pool_alloc(struct hz3_pool *pool, size_t alignment, size_t size);
void hz3_checked_free(void *p);
void hz3_checked_free_sized(const char *call, void *p, size_t size);
size_t hz3_checked_usable_size(const void *p);
void *hz3_checked_resize(void *p, size_t size);

static HZ3_INLINE void *hz3_safety_alloc(size_t size)
{
	return HZ3_SAFETY ? hz3_checked_alloc(size) : hz3_alloc(size);
}

static HZ3_INLINE void *hz3_safety_alloc_hit(size_t size)
{
	return HZ3_SAFETY ? NULL : hz3_alloc_hit(size);
}

static HZ3_INLINE void *hz3_safety_alloc_miss(size_t size)
{
	return HZ3_SAFETY ? hz3_checked_alloc(size) : hz3_alloc_miss(size);
}

static HZ3_INLINE void *hz3_safety_alloc_zero(size_t size)
{
	return HZ3_SAFETY ? hz3_checked_alloc_zero(size) : hz3_alloc_zero(size);
}

static HZ3_INLINE void *hz3_safety_alloc_aligned(size_t alignment, size_t size)
{
	return HZ3_SAFETY ? hz3_checked_alloc_aligned(alignment, size) : hz3_alloc_aligned(alignment, size);
}

static HZ3_INLINE void *hz3_safety_alloc_aligned_hit(size_t alignment, size_t size)
{
	return HZ3_SAFETY ? NULL : hz3_alloc_aligned_hit(alignment, size);
}

static HZ3_INLINE void *hz3_safety_pool_alloc(struct hz3_pool *pool, size_t alignment, size_t size)
{
	return HZ3_SAFETY ? hz3_checked_pool_alloc(pool, alignment, size) : hz3_pool_alloc(pool, alignment, size);
}

static HZ3_INLINE void hz3_safety_free(void *p)
{
	if (HZ3_SAFETY)
		hz3_checked_free(p);
	else
		hz3_alloc_free(p);
}

/* The caller names the size that it asked for. */
static HZ3_INLINE void hz3_safety_free_sized(const char *call, void *p, size_t size)
{
	if (HZ3_SAFETY) {
		hz3_checked_free_sized(call, p, size);
		return;
	}
	size_t bytes = hz3_alloc_size_for(call, p);
	hz3_check(p == NULL || size <= bytes, "%s: block %p has %zu bytes, not %zu", call, p, bytes, size);
	hz3_alloc_free(p);
}

/* The compiler names the size of the static type, which is wrong in some programs that work all the same. */
static HZ3_INLINE void hz3_safety_delete_sized(void *p, size_t size)
{
	if (HZ3_SAFETY)
		hz3_checked_free_sized("operator delete", p, size);
	else
		hz3_alloc_free(p);
}

static HZ3_INLINE size_t hz3_safety_usable_size(const void *p)
{
	return HZ3_SAFETY ? hz3_checked_usable_size(p) : hz3_alloc_usable_size(p);
}

/* What usable_size would say. */
static HZ3_INLINE size_t hz3_safety_round(size_t size)
{
	if (HZ3_SAFETY)
		return size <= PTRDIFF_MAX ? size : 0;
	return hz3_size_class_round(size);
}

#endif
