/* Arenas of a program's own: C semantics on top of pools, by their public names (hz3.h). */
#include "api.h"
#include "pool.h"

#include <errno.h>
#include <string.h>

hz3_arena_t *hz3_arena_create(const struct hz3_os_hooks *hooks, void *context)
{
	struct hz3_pool *pool = hz3_pool_create(hooks, context);

	return pool != NULL ? pool : hz3_api_no_memory();
}

void *hz3_arena_malloc(hz3_arena_t *arena, size_t size)
{
	return hz3_safety_pool_alloc(arena, 1, size);
}

void *hz3_arena_calloc(hz3_arena_t *arena, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return hz3_api_no_memory();
	void *p = hz3_safety_pool_alloc(arena, 1, bytes);
	if (p != NULL)
		memset(p, 0, hz3_safety_usable_size(p));
	return p;
}

void *hz3_arena_aligned_alloc(hz3_arena_t *arena, size_t alignment, size_t size)
{
	if (!hz3_is_pow2(alignment)) {
		errno = EINVAL;
		return NULL;
	}
	return hz3_safety_pool_alloc(arena, alignment, size);
}

void *hz3_arena_realloc(hz3_arena_t *arena, void *p, size_t size)
{
	if (size > PTRDIFF_MAX)
		return hz3_api_no_memory();
	if (p == NULL)
		return hz3_safety_pool_alloc(arena, 1, size);
	if (size == 0 || hz3_pool_of(p) == arena)
		return hz3_api_realloc(p, size);
	void *q = hz3_safety_pool_alloc(arena, 1, size);
	if (q == NULL)
		return NULL;
	memcpy(q, p, hz3_min(hz3_safety_usable_size(p), size));
	hz3_safety_free(p);
	return q;
}

void hz3_arena_reset(hz3_arena_t *arena)
{
	hz3_pool_reset(arena);
}

void hz3_arena_destroy(hz3_arena_t *arena)
{
	if (arena != NULL)
		hz3_pool_destroy(arena);
}

void hz3_arena_stats(hz3_arena_t *arena, struct hz3_arena_stats *stats)
{
	hz3_pool_stats(arena, stats);
}
