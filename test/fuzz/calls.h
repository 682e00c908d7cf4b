/*
 * The functions under test, by one name each: hz3_malloc() and so on with STRESS_CORE defined, else whatever malloc the
 * process has.  What that malloc lacks is done by what it has.
 *
 * Called through pointers, so that the compiler takes no call for one that it knows.
 */
#ifndef HZ3_FUZZ_CALLS_H
#define HZ3_FUZZ_CALLS_H

#include "fuzz.h"

static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void *(*reallocarray)(void *, size_t, size_t);
	void *(*aligned_alloc)(size_t, size_t);
	int (*posix_memalign)(void **, size_t, size_t);
	void *(*memalign)(size_t, size_t);
	void *(*valloc)(size_t);
	void *(*pvalloc)(size_t);
	size_t (*usable)(const void *);
	void (*free)(void *);
	void (*cfree)(void *);
	void (*free_sized)(void *, size_t);
	void (*free_aligned_sized)(void *, size_t, size_t);
	int (*trim)(size_t);
	/* hz3's own; NULL elsewhere */
	void (*flush)(void);
	void (*idle)(void);
	size_t (*good_size)(size_t);
} call;

static void plain_free_sized(void *p, size_t size UNUSED)
{
	call.free(p);
}

static void plain_free_aligned_sized(void *p, size_t alignment UNUSED, size_t size UNUSED)
{
	call.free(p);
}

#ifdef STRESS_CORE
#define CALL(name) (void *)hz3_##name
#else
#define CALL(name) dlsym(RTLD_DEFAULT, #name)
#endif

static void find_calls(void)
{
	*(void **)&call.malloc = CALL(malloc);
	*(void **)&call.calloc = CALL(calloc);
	*(void **)&call.realloc = CALL(realloc);
	*(void **)&call.reallocarray = CALL(reallocarray);
	*(void **)&call.aligned_alloc = CALL(aligned_alloc);
	*(void **)&call.posix_memalign = CALL(posix_memalign);
	*(void **)&call.memalign = CALL(memalign);
	*(void **)&call.valloc = CALL(valloc);
	*(void **)&call.pvalloc = CALL(pvalloc);
	*(void **)&call.usable = CALL(malloc_usable_size);
	*(void **)&call.free = CALL(free);
	*(void **)&call.cfree = CALL(cfree);
	*(void **)&call.free_sized = CALL(free_sized);
	*(void **)&call.free_aligned_sized = CALL(free_aligned_sized);
	*(void **)&call.trim = CALL(malloc_trim);
	*(void **)&call.flush = stress_lookup(hz3_thread_flush);
	*(void **)&call.idle = stress_lookup(hz3_thread_idle);
	*(void **)&call.good_size = stress_lookup(hz3_good_size);
	if (call.cfree == NULL)
		call.cfree = call.free;
	if (call.free_sized == NULL)
		call.free_sized = plain_free_sized;
	if (call.free_aligned_sized == NULL)
		call.free_aligned_sized = plain_free_aligned_sized;
}

#endif
