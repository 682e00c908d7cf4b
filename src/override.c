/*
 * The names by which programs know us: malloc and friends, glibc's internal aliases, C++ new and delete.
 *
 * Not part of libhz3core, so that tests keep their own malloc.  Compiled with -fexceptions: an exception that operator
 * new throws, or that a new-handler throws through it, unwinds these frames.
 *
 * Exported, here and by api.c, api_arena.c and control.c:
 *
 *   malloc calloc realloc free reallocarray posix_memalign aligned_alloc memalign valloc pvalloc malloc_usable_size
 *   cfree free_sized free_aligned_sized malloc_trim mallopt mallinfo mallinfo2 malloc_info malloc_stats
 *
 *   hz3_malloc hz3_calloc hz3_realloc hz3_free hz3_reallocarray hz3_posix_memalign hz3_aligned_alloc hz3_memalign
 *   hz3_valloc hz3_pvalloc hz3_malloc_usable_size hz3_cfree hz3_free_sized hz3_free_aligned_sized hz3_malloc_trim
 *   hz3_mallopt hz3_mallinfo hz3_mallinfo2 hz3_malloc_info hz3_malloc_stats hz3_good_size hz3_thread_flush
 *   hz3_thread_idle hz3_purge hz3_stats_print hz3_control hz3_version
 *
 *   hz3_arena_create hz3_arena_destroy hz3_arena_reset hz3_arena_stats hz3_arena_malloc hz3_arena_calloc
 *   hz3_arena_realloc hz3_arena_aligned_alloc
 *
 *   __libc_malloc __libc_calloc __libc_realloc __libc_free __libc_memalign __libc_valloc __libc_pvalloc
 *   __posix_memalign __libc_reallocarray
 *
 *   _Znwm _Znam _ZnwmRKSt9nothrow_t _ZnamRKSt9nothrow_t _ZnwmSt11align_val_t _ZnamSt11align_val_t
 *   _ZnwmSt11align_val_tRKSt9nothrow_t _ZnamSt11align_val_tRKSt9nothrow_t _ZdlPv _ZdaPv _ZdlPvm _ZdaPvm
 *   _ZdlPvRKSt9nothrow_t _ZdaPvRKSt9nothrow_t _ZdlPvSt11align_val_t _ZdaPvSt11align_val_t _ZdlPvmSt11align_val_t
 *   _ZdaPvmSt11align_val_t _ZdlPvSt11align_val_tRKSt9nothrow_t _ZdaPvSt11align_val_tRKSt9nothrow_t
 *
 * With a prefix, the first group carries it and the last two are not there.
 */
#define _GNU_SOURCE
#include "api.h"

#include <dlfcn.h>
#include <errno.h>

/*
 * A prefixed name is weak, so that the prefix "hz3_" is no conflict: api.c has those names already, and they win.
 */
#if HZ3_HAS_PREFIX
#define PASTE(a, b) a##b
#define PREFIXED(a, b) PASTE(a, b)
#define NAME(name) PREFIXED(HZ3_PREFIX, name)
#define OVERRIDE HZ3_EXPORT __attribute__((weak))
#else
#define NAME(name) name
#define OVERRIDE HZ3_EXPORT
#endif

/* ---- C ---- */

/* Declared here: <malloc.h> differs between libcs, and nobody declares the prefixed names. */
void *NAME(malloc)(size_t size);
void *NAME(calloc)(size_t count, size_t size);
void *NAME(realloc)(void *p, size_t size);
void NAME(free)(void *p);
void *NAME(reallocarray)(void *p, size_t count, size_t size);
int NAME(posix_memalign)(void **memptr, size_t alignment, size_t size);
void *NAME(aligned_alloc)(size_t alignment, size_t size);
void *NAME(memalign)(size_t alignment, size_t size);
void *NAME(valloc)(size_t size);
void *NAME(pvalloc)(size_t size);
size_t NAME(malloc_usable_size)(const void *p);
void NAME(cfree)(void *p);
void NAME(free_sized)(void *p, size_t size);
void NAME(free_aligned_sized)(void *p, size_t alignment, size_t size);
int NAME(malloc_trim)(size_t pad);
int NAME(mallopt)(int param, int value);
struct hz3_mallinfo NAME(mallinfo)(void);
struct hz3_mallinfo2 NAME(mallinfo2)(void);
int NAME(malloc_info)(int options, FILE *stream);
void NAME(malloc_stats)(void);

OVERRIDE HZ3_HOT void *NAME(malloc)(size_t size)
{
	return hz3_safety_alloc(size);
}

OVERRIDE HZ3_HOT void NAME(free)(void *p)
{
	hz3_safety_free(p);
}

OVERRIDE void *NAME(calloc)(size_t count, size_t size)
{
	return hz3_api_calloc(count, size);
}

OVERRIDE void *NAME(realloc)(void *p, size_t size)
{
	return hz3_api_realloc(p, size);
}

/*
 * By way of the realloc that the program sees, as glibc's: a malloc that goes before ours, in the program itself or
 * preloaded, often has no reallocarray, and must not be given blocks of ours to free.
 */
OVERRIDE void *NAME(reallocarray)(void *p, size_t count, size_t size)
{
	size_t bytes;

	if (hz3_unlikely(__builtin_mul_overflow(count, size, &bytes)))
		return hz3_api_no_memory();
	return NAME(realloc)(p, bytes);
}

OVERRIDE int NAME(posix_memalign)(void **memptr, size_t alignment, size_t size)
{
	return hz3_api_posix_memalign(memptr, alignment, size);
}

OVERRIDE void *NAME(aligned_alloc)(size_t alignment, size_t size)
{
	return hz3_api_aligned_alloc(alignment, size);
}

OVERRIDE void *NAME(memalign)(size_t alignment, size_t size)
{
	return hz3_api_memalign(alignment, size);
}

OVERRIDE void *NAME(valloc)(size_t size)
{
	return hz3_api_valloc(size);
}

OVERRIDE void *NAME(pvalloc)(size_t size)
{
	return hz3_api_pvalloc(size);
}

OVERRIDE size_t NAME(malloc_usable_size)(const void *p)
{
	return hz3_safety_usable_size(p);
}

OVERRIDE void NAME(cfree)(void *p)
{
	hz3_safety_free(p);
}

OVERRIDE void NAME(free_sized)(void *p, size_t size)
{
	hz3_api_free_sized(p, size);
}

OVERRIDE void NAME(free_aligned_sized)(void *p, size_t alignment, size_t size)
{
	hz3_api_free_aligned_sized(p, alignment, size);
}

OVERRIDE int NAME(malloc_trim)(size_t pad)
{
	(void)pad;
	return hz3_api_trim();
}

OVERRIDE int NAME(mallopt)(int param, int value)
{
	return hz3_api_mallopt(param, value);
}

OVERRIDE struct hz3_mallinfo NAME(mallinfo)(void)
{
	return hz3_api_mallinfo();
}

OVERRIDE struct hz3_mallinfo2 NAME(mallinfo2)(void)
{
	return hz3_api_mallinfo2();
}

OVERRIDE int NAME(malloc_info)(int options, FILE *stream)
{
	return hz3_api_malloc_info(options, stream);
}

OVERRIDE void NAME(malloc_stats)(void)
{
	hz3_api_malloc_stats();
}

#if !HZ3_HAS_PREFIX

/*
 * ---- glibc's internal names: the dynamic linkers of old ones and some programs use them. ----
 *
 * Functions rather than aliases, which would have to repeat the attributes that the libc's header gives to malloc.
 */

#define INTERNAL(type, name, parameters, call)                                                                       \
	HZ3_EXPORT type name parameters;                                                                             \
	type name parameters                                                                                         \
	{                                                                                                            \
		call;                                                                                                \
	}

INTERNAL(void *, __libc_malloc, (size_t size), return hz3_safety_alloc(size))
INTERNAL(void *, __libc_calloc, (size_t count, size_t size), return hz3_api_calloc(count, size))
INTERNAL(void *, __libc_realloc, (void *p, size_t size), return hz3_api_realloc(p, size))
INTERNAL(void *, __libc_reallocarray, (void *p, size_t count, size_t size), return hz3_api_reallocarray(p, count, size))
INTERNAL(void *, __libc_memalign, (size_t alignment, size_t size), return hz3_api_memalign(alignment, size))
INTERNAL(void *, __libc_valloc, (size_t size), return hz3_api_valloc(size))
INTERNAL(void *, __libc_pvalloc, (size_t size), return hz3_api_pvalloc(size))
INTERNAL(void, __libc_free, (void *p), hz3_safety_free(p))
INTERNAL(int, __posix_memalign, (void **memptr, size_t alignment, size_t size),
	 return hz3_api_posix_memalign(memptr, alignment, size))

/* ---- C++: what happens when memory runs out ----
 *
 * The standard wants of operator new: call the new-handler and try again, until there is no handler; then throw
 * std::bad_alloc.  The handler and the throw live in the C++ runtime, on which we must not depend.  So they are weak
 * references, and if those are unset, since the runtime came later by dlopen, they are looked up by name at the moment
 * of need.
 */

typedef void new_handler(void);
struct nothrow; /* std::nothrow_t */

extern new_handler *weak_get_new_handler(void) __asm__("_ZSt15get_new_handlerv") __attribute__((weak));
extern void weak_throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv") __attribute__((weak));

/* A function of the C++ runtime, wherever that was loaded; NULL if the process has none. */
static void *runtime_symbol(const char *name)
{
	static const char *const runtimes[] = {"libstdc++.so.6", "libc++.so.1", "libc++abi.so.1"};
	void *found = dlsym(RTLD_DEFAULT, name);

	for (size_t i = 0; found == NULL && i < sizeof(runtimes) / sizeof(runtimes[0]); i++) {
		void *runtime = dlopen(runtimes[i], RTLD_LAZY | RTLD_NOLOAD);

		if (runtime != NULL) {
			found = dlsym(runtime, name);
			dlclose(runtime);
		}
	}
	return found;
}

static new_handler *current_new_handler(void)
{
	new_handler *(*get)(void) = weak_get_new_handler;

	if (get == NULL)
		get = (new_handler * (*)(void)) runtime_symbol("_ZSt15get_new_handlerv");
	return get == NULL ? NULL : get();
}

static _Noreturn void throw_bad_alloc(size_t size)
{
	void (*throw_it)(void) = weak_throw_bad_alloc;

	if (throw_it == NULL)
		throw_it = (void (*)(void))runtime_symbol("_ZSt17__throw_bad_allocv");
	if (throw_it != NULL)
		throw_it();
	hz3_die("out of memory in operator new of %zu bytes, and no C++ runtime to throw std::bad_alloc", size);
}

static void *new_attempt(size_t alignment, size_t size)
{
	return alignment <= HZ3_GRANULE ? hz3_safety_alloc(size) : hz3_safety_alloc_aligned(alignment, size);
}

/* The first attempt has failed.  A handler may throw through us. */
HZ3_COLD HZ3_NOINLINE static void *new_failed(size_t alignment, size_t size)
{
	new_handler *handler;
	void *p;

	while ((handler = current_new_handler()) != NULL) {
		handler();
		p = new_attempt(alignment, size);
		if (p != NULL)
			return p;
	}
	throw_bad_alloc(size);
}

/* ---- C++: the operators that others are made of ----
 *
 * A program may replace some operators and not the rest, and the rest must then follow: by the standard, new[] is made
 * of new, sized delete of delete, and so on.  So ours are weak, and a dependent operator first asks whether the one it
 * is made of is still ours.  Else a sized delete would free here what the program's own new got elsewhere.
 */

static HZ3_NOINLINE void *new_missed(size_t size)
{
	HZ3_FRAMED();
	void *p = hz3_safety_alloc_miss(size);

	return p != NULL ? p : new_failed(16, size);
}

static HZ3_INLINE void *own_new(size_t size)
{
	void *p = hz3_safety_alloc_hit(size);

	return hz3_likely(p != NULL) ? p : new_missed(size);
}

/* An alignment that is no power of two is a failure that no handler can mend. */
static void *own_new_aligned(size_t size, size_t alignment)
{
	void *p;

	HZ3_FRAMED();
	if (!hz3_is_pow2(alignment))
		throw_bad_alloc(size);
	p = new_attempt(alignment, size);
	return p != NULL ? p : new_failed(alignment, size);
}

#define OPERATOR(type, name, parameters)                                                                             \
	HZ3_EXPORT __attribute__((weak)) type name parameters;                                                       \
	type name parameters

#define UNUSED __attribute__((unused))

/* Itanium mangling: nw and na are new and new[], dl and da are delete and delete[], m is unsigned long. */
OPERATOR(void *, _Znwm, (size_t size))
{
	return own_new(size);
}

OPERATOR(void *, _ZnwmSt11align_val_t, (size_t size, size_t alignment))
{
	return own_new_aligned(size, alignment);
}

OPERATOR(void, _ZdlPv, (void *p))
{
	hz3_safety_free(p);
}

OPERATOR(void, _ZdlPvSt11align_val_t, (void *p, size_t alignment UNUSED))
{
	hz3_safety_free(p);
}

/* Names that cannot be replaced, to compare with. */
#define OURS(name) __attribute__((visibility("hidden"), alias(name)))
OURS("_Znwm") void *hz3_override_new(size_t size);
OURS("_ZdlPv") void hz3_override_delete(void *p);
OURS("_ZdlPvSt11align_val_t") void hz3_override_delete_aligned(void *p, size_t alignment);

/* Whose operators are in force, as the linker has bound them.  volatile: the compiler must not guess. */
static void *(*const volatile new_in_force)(size_t) = _Znwm;
static void (*const volatile delete_in_force)(void *) = _ZdlPv;
static void (*const volatile delete_aligned_in_force)(void *, size_t) = _ZdlPvSt11align_val_t;

static HZ3_INLINE bool new_is_ours(void)
{
	return hz3_likely(new_in_force == hz3_override_new);
}

static HZ3_INLINE bool delete_is_ours(void)
{
	return hz3_likely(delete_in_force == hz3_override_delete);
}

/* ---- C++: new[], delete[], sized delete ----
 *
 * The compiler names the size of a static type.  It is looked at with safety checks only, and only if the unsized operator, which
 * it has to go by, is ours.
 */

OPERATOR(void *, _Znam, (size_t size))
{
	return new_is_ours() ? own_new(size) : new_in_force(size);
}

OPERATOR(void *, _ZnamSt11align_val_t, (size_t size, size_t alignment))
{
	return _ZnwmSt11align_val_t(size, alignment);
}

OPERATOR(void, _ZdlPvm, (void *p, size_t size))
{
	if (delete_is_ours())
		hz3_safety_delete_sized(p, size);
	else
		delete_in_force(p);
}

OPERATOR(void, _ZdaPv, (void *p))
{
	if (delete_is_ours())
		hz3_safety_free(p);
	else
		delete_in_force(p);
}

OURS("_ZdaPv") void hz3_override_delete_array(void *p);
static void (*const volatile delete_array_in_force)(void *) = _ZdaPv;

OPERATOR(void, _ZdaPvm, (void *p, size_t size))
{
	if (HZ3_SAFETY && delete_array_in_force == hz3_override_delete_array)
		_ZdlPvm(p, size);
	else
		_ZdaPv(p);
}

OPERATOR(void, _ZdlPvmSt11align_val_t, (void *p, size_t size, size_t alignment))
{
	if (HZ3_SAFETY && delete_aligned_in_force == hz3_override_delete_aligned)
		hz3_safety_delete_sized(p, size);
	else
		_ZdlPvSt11align_val_t(p, alignment);
}

OPERATOR(void, _ZdaPvSt11align_val_t, (void *p, size_t alignment))
{
	_ZdlPvSt11align_val_t(p, alignment);
}

OPERATOR(void, _ZdaPvmSt11align_val_t, (void *p, size_t size UNUSED, size_t alignment))
{
	_ZdaPvSt11align_val_t(p, alignment);
}

/* ---- C++: nothrow ----
 *
 * These are "try the throwing operator; if anything is thrown, return NULL", also what a handler throws to say that
 * there is no memory.  C cannot catch, but the runtime's own nothrow operators, next in line after ours, can: they call
 * the throwing operator in force.  Without them (static linking) exceptions go on to the caller.
 */

typedef void *throwing_new(size_t size);
typedef void *throwing_new_aligned(size_t size, size_t alignment);

OURS("_Znam") void *hz3_override_new_array(size_t size);
OURS("_ZnwmSt11align_val_t") void *hz3_override_new_aligned(size_t size, size_t alignment);
OURS("_ZnamSt11align_val_t") void *hz3_override_new_array_aligned(size_t size, size_t alignment);

static throwing_new *const volatile new_array_in_force = _Znam;
static throwing_new_aligned *const volatile new_aligned_in_force = _ZnwmSt11align_val_t;
static throwing_new_aligned *const volatile new_array_aligned_in_force = _ZnamSt11align_val_t;

HZ3_COLD HZ3_NOINLINE static void *nothrow_by_runtime(const char *name, throwing_new *throwing, size_t size, const struct nothrow *tag)
{
	void *(*next)(size_t, const struct nothrow *);

	next = (void *(*)(size_t, const struct nothrow *))dlsym(RTLD_NEXT, name);
	return next != NULL ? next(size, tag) : throwing(size);
}

/* Most who fail have no handler, and need no runtime to be told. */
HZ3_COLD HZ3_NOINLINE static void *new_nothrow_failed(const char *name, throwing_new *throwing, size_t size, const struct nothrow *tag)
{
	return current_new_handler() == NULL ? NULL : nothrow_by_runtime(name, throwing, size, tag);
}

OPERATOR(void *, _ZnwmRKSt9nothrow_t, (size_t size, const struct nothrow *tag))
{
	void *p;

	if (!new_is_ours())
		return nothrow_by_runtime("_ZnwmRKSt9nothrow_t", _Znwm, size, tag);
	p = hz3_safety_alloc(size);
	return hz3_likely(p != NULL) ? p : new_nothrow_failed("_ZnwmRKSt9nothrow_t", _Znwm, size, tag);
}

OPERATOR(void *, _ZnamRKSt9nothrow_t, (size_t size, const struct nothrow *tag))
{
	void *p;

	if (!new_is_ours() || hz3_unlikely(new_array_in_force != hz3_override_new_array))
		return nothrow_by_runtime("_ZnamRKSt9nothrow_t", _Znam, size, tag);
	p = hz3_safety_alloc(size);
	return hz3_likely(p != NULL) ? p : new_nothrow_failed("_ZnamRKSt9nothrow_t", _Znam, size, tag);
}

static void *aligned_nothrow_by_runtime(const char *name, throwing_new_aligned *throwing, size_t size, size_t alignment,
					const struct nothrow *tag)
{
	void *(*next)(size_t, size_t, const struct nothrow *);

	next = (void *(*)(size_t, size_t, const struct nothrow *))dlsym(RTLD_NEXT, name);
	return next != NULL ? next(size, alignment, tag) : throwing(size, alignment);
}

OPERATOR(void *, _ZnwmSt11align_val_tRKSt9nothrow_t, (size_t size, size_t alignment, const struct nothrow *tag))
{
	void *p = NULL;

	if (!hz3_is_pow2(alignment))
		return NULL;
	if (new_aligned_in_force == hz3_override_new_aligned) {
		p = new_attempt(alignment, size);
		if (p != NULL || current_new_handler() == NULL)
			return p;
	}
	return aligned_nothrow_by_runtime("_ZnwmSt11align_val_tRKSt9nothrow_t", _ZnwmSt11align_val_t, size, alignment,
					  tag);
}

OPERATOR(void *, _ZnamSt11align_val_tRKSt9nothrow_t, (size_t size, size_t alignment, const struct nothrow *tag))
{
	if (new_array_aligned_in_force == hz3_override_new_array_aligned)
		return _ZnwmSt11align_val_tRKSt9nothrow_t(size, alignment, tag);
	return aligned_nothrow_by_runtime("_ZnamSt11align_val_tRKSt9nothrow_t", _ZnamSt11align_val_t, size, alignment,
					  tag);
}

/* A program calls these only when a constructor throws. */
OPERATOR(void, _ZdlPvRKSt9nothrow_t, (void *p, const struct nothrow *tag UNUSED))
{
	_ZdlPv(p);
}

OPERATOR(void, _ZdaPvRKSt9nothrow_t, (void *p, const struct nothrow *tag UNUSED))
{
	_ZdaPv(p);
}

OPERATOR(void, _ZdlPvSt11align_val_tRKSt9nothrow_t, (void *p, size_t alignment, const struct nothrow *tag UNUSED))
{
	_ZdlPvSt11align_val_t(p, alignment);
}

OPERATOR(void, _ZdaPvSt11align_val_tRKSt9nothrow_t, (void *p, size_t alignment, const struct nothrow *tag UNUSED))
{
	_ZdaPvSt11align_val_t(p, alignment);
}

#endif
