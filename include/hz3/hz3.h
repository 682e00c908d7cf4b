/*
 * hz3: a malloc for Linux whose speciality is memory freed by another thread than the one that got it.
 *
 * A program needs nothing of this header to run on hz3: preload libhz3.so or link with -lhz3, and malloc,
 * free, new and delete are hz3's.  Include it to reach hz3 by its own names beside another malloc, to say
 * when a thread goes idle, to read the statistics, or to change settings while the program runs.
 *
 * Every function here may be called from any thread, and none of them from a signal handler.  Memory from
 * an hz3_ function may be given to the function of the same name without prefix when that one is hz3's too.
 *
 * The same in prose, with every setting and every statistic: hz3(3).
 */
#ifndef HZ3_HZ3_H
#define HZ3_HZ3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define HZ3_VERSION_MAJOR 0
#define HZ3_VERSION_MINOR 1
#define HZ3_VERSION_PATCH 0
#define HZ3_VERSION "0.1.0"

/* One number to compare: 0x000100 is 0.1.0. */
#define HZ3_VERSION_NUMBER (HZ3_VERSION_MAJOR << 16 | HZ3_VERSION_MINOR << 8 | HZ3_VERSION_PATCH)

#if defined(__GNUC__)
#define HZ3_API __attribute__((visibility("default")))
#define HZ3_ATTR(list) __attribute__(list)
#else
#define HZ3_API
#define HZ3_ATTR(list)
#endif

#if defined(__cplusplus)
#if __cplusplus >= 201103L
#define HZ3_NOTHROW noexcept
#else
#define HZ3_NOTHROW throw()
#endif
extern "C" {
#else
#define HZ3_NOTHROW HZ3_ATTR((nothrow))
#endif

/* ---- Getting and giving back memory -------------------------------------------------------------------
 *
 * Sizes and alignments are in bytes.  Where nothing else is said: a result is aligned to 16 and is NULL with
 * errno ENOMEM when memory has run out or size is over PTRDIFF_MAX; size 0 gives a block of its own, to be
 * freed as any other.
 */

/* A block of at least size bytes, contents undefined. */
HZ3_API void *hz3_malloc(size_t size)
	HZ3_NOTHROW HZ3_ATTR((malloc, alloc_size(1), warn_unused_result));

/* A block for count members of size bytes, all bytes zero.  ENOMEM also when count * size overflows. */
HZ3_API void *hz3_calloc(size_t count, size_t size)
	HZ3_NOTHROW HZ3_ATTR((malloc, alloc_size(1, 2), warn_unused_result));

/*
 * The block p with its size changed, moved if it has to be; the contents are kept up to the smaller size.
 * p NULL: hz3_malloc(size).  size 0 with a block: frees it and returns NULL.  On error p is still good.
 */
HZ3_API void *hz3_realloc(void *p, size_t size)
	HZ3_NOTHROW HZ3_ATTR((alloc_size(2), warn_unused_result));

/* hz3_realloc(p, count * size), ENOMEM with p untouched when the product overflows. */
HZ3_API void *hz3_reallocarray(void *p, size_t count, size_t size)
	HZ3_NOTHROW HZ3_ATTR((alloc_size(2, 3), warn_unused_result));

/* Give a block back.  NULL is no error; errno is kept. */
HZ3_API void hz3_free(void *p) HZ3_NOTHROW;

/* Free a block whose size (as asked for) and alignment the caller knows.  C23. */
HZ3_API void hz3_free_sized(void *p, size_t size) HZ3_NOTHROW;
HZ3_API void hz3_free_aligned_sized(void *p, size_t alignment, size_t size) HZ3_NOTHROW;

/* hz3_free by an old name. */
HZ3_API void hz3_cfree(void *p) HZ3_NOTHROW;

/*
 * Put a block of that alignment, a power of two and multiple of sizeof(void *), into *memptr and return 0.
 * Otherwise return EINVAL (alignment) or ENOMEM.  Then *memptr is unchanged; errno always is.
 */
HZ3_API int hz3_posix_memalign(void **memptr, size_t alignment, size_t size)
	HZ3_NOTHROW HZ3_ATTR((nonnull(1), warn_unused_result));

/* A block of that alignment, any power of two; NULL and EINVAL if it is none.  size need not be a multiple. */
HZ3_API void *hz3_aligned_alloc(size_t alignment, size_t size)
	HZ3_NOTHROW HZ3_ATTR((malloc, alloc_size(2), warn_unused_result));

/* The same, but an alignment that is no power of two is taken as the next one up; EINVAL over 2^63. */
HZ3_API void *hz3_memalign(size_t alignment, size_t size)
	HZ3_NOTHROW HZ3_ATTR((malloc, alloc_size(2), warn_unused_result));

/* A block aligned to the system's page size; hz3_pvalloc rounds size up to whole pages, at least one. */
HZ3_API void *hz3_valloc(size_t size)
	HZ3_NOTHROW HZ3_ATTR((malloc, alloc_size(1), warn_unused_result));
HZ3_API void *hz3_pvalloc(size_t size) HZ3_NOTHROW HZ3_ATTR((malloc, warn_unused_result));

/* Bytes of the block p that may be used, at least the size asked for; 0 for NULL. */
HZ3_API size_t hz3_malloc_usable_size(const void *p) HZ3_NOTHROW;

/* What hz3_malloc_usable_size would say of hz3_malloc(size), without allocating; 0 over PTRDIFF_MAX.  (A sampled block
 * has more for the heap profile, and exactly size for guard_sample.) */
HZ3_API size_t hz3_good_size(size_t size) HZ3_NOTHROW;

/* ---- Arenas of a program's own ------------------------------------------------------------------------
 *
 * An arena is a set of blocks that can be given back all at once: those of a request, of a document, of a
 * plug-in.  It has memory of its own, so its blocks share no page with others, and hooks may decide what
 * memory that is.
 *
 * Threads: any thread may allocate from an arena, and any thread may free its blocks; an arena has a lock,
 * which each of these calls takes for a moment.  hz3_arena_reset() and hz3_arena_destroy() end the lives of
 * all blocks, so they are like a free of each: no other thread may be using a block or be inside of a call
 * that names the arena or one of its blocks, and what others did with them must have happened before (they
 * were joined, or a lock was handed over).  Nothing else is asked: hz3 keeps frees of these blocks in no
 * thread's buffer, so a block that was freed by any thread is in the arena when hz3_free() returns, and no
 * other thread has to flush, to end, or to call anything.
 *
 * A block is freed by free and hz3_free as any other, and known to realloc, malloc_usable_size and the rest
 * of the family.  realloc keeps a block in its arena.
 */

typedef struct hz3_pool hz3_arena_t;

/*
 * What an arena's memory is, where it is not to be the system's.  hz3 finds a block's page by the address
 * alone, so it chooses the addresses: each part of an arena is address space of bytes at a multiple of
 * 2 MiB, bytes being a multiple of 2 MiB too.
 *
 *   map    There is ordinary, empty memory at address, of which the arena wants to make use.  The hook may
 *          put something else in its place (mmap with MAP_FIXED: of a file, of huge pages), bind, advise or
 *          lock it, or only take note.  It must be readable and writable afterwards.  Returns 0; any other
 *          value means that there is no memory: hz3 gives the range back, whatever the hook did to it, and
 *          the allocation fails with ENOMEM.
 *   unmap  The arena does not use that part any more.  Called once for each map that returned 0, with the
 *          same address and bytes, at the latest by hz3_arena_destroy().  Whatever is there is replaced by
 *          hz3 when the hook has returned, so that a hook need not unmap, and must not: another thread could
 *          be given the addresses.  NULL: there is nothing to do.
 *   purge  The contents of these bytes, whole slices of 64 KiB of such a part, are not needed any more, but
 *          the memory may be used again, with any contents.  Called by hz3_purge() and malloc_trim only.
 *          NULL: they stay.
 *
 * A hook is called by the thread that is inside of hz3_arena_malloc() (and the like), hz3_arena_destroy(),
 * hz3_purge() or malloc_trim, with the arena's lock held: it may not allocate or free by any function of hz3
 * (that includes malloc), nor call another function of it, nor fork, nor throw.  The context is handed
 * through.
 */
struct hz3_os_hooks {
	int (*map)(void *address, size_t bytes, void *context);
	void (*unmap)(void *address, size_t bytes, void *context);
	void (*purge)(void *address, size_t bytes, void *context);
};

/*
 * A new arena without memory, which gets some with its first block.  hooks is copied; NULL, or a map of
 * NULL: the memory is the system's.  NULL and ENOMEM if there is no memory for it.
 */
HZ3_API hz3_arena_t *hz3_arena_create(const struct hz3_os_hooks *hooks, void *context) HZ3_NOTHROW
	HZ3_ATTR((warn_unused_result));

/* As hz3_malloc, hz3_calloc and hz3_aligned_alloc; the block is the arena's.  An alignment over 1 GiB is ENOMEM. */
HZ3_API void *hz3_arena_malloc(hz3_arena_t *arena, size_t size)
	HZ3_NOTHROW HZ3_ATTR((nonnull(1), malloc, alloc_size(2), warn_unused_result));
HZ3_API void *hz3_arena_calloc(hz3_arena_t *arena, size_t count, size_t size)
	HZ3_NOTHROW HZ3_ATTR((nonnull(1), malloc, alloc_size(2, 3), warn_unused_result));
HZ3_API void *hz3_arena_aligned_alloc(hz3_arena_t *arena, size_t alignment, size_t size)
	HZ3_NOTHROW HZ3_ATTR((nonnull(1), malloc, alloc_size(3), warn_unused_result));

/* As hz3_realloc; the result is the arena's, also if p was malloc's or another arena's. */
HZ3_API void *hz3_arena_realloc(hz3_arena_t *arena, void *p, size_t size)
	HZ3_NOTHROW HZ3_ATTR((nonnull(1), alloc_size(3), warn_unused_result));

/* All blocks of the arena are gone, as if each had been freed.  Its memory stays the arena's. */
HZ3_API void hz3_arena_reset(hz3_arena_t *arena) HZ3_NOTHROW HZ3_ATTR((nonnull(1)));

/* The same, and the arena and its memory are gone.  NULL is no error. */
HZ3_API void hz3_arena_destroy(hz3_arena_t *arena) HZ3_NOTHROW;

/* One arena, as of now.  All but the counts are bytes. */
struct hz3_arena_stats {
	size_t mapped;		/* address space that it has */
	size_t active;		/* of that, pages and large blocks in use */
	size_t allocated;	/* live blocks, as malloc_usable_size would say without safety checks */
	size_t blocks;		/* live blocks */
	size_t maps, unmaps;	/* parts that it ever got, and gave back */
};

/* Looks at every page of the arena. */
HZ3_API void hz3_arena_stats(hz3_arena_t *arena, struct hz3_arena_stats *stats) HZ3_NOTHROW HZ3_ATTR((nonnull(1, 2)));

/* ---- Saying what a thread is about to do -------------------------------------------------------------- */

/* Send on what this thread has freed for others and still holds in its buffer. */
HZ3_API void hz3_thread_flush(void) HZ3_NOTHROW;

/*
 * This thread will not allocate for a while: flush, take in what others have freed, and give empty pages
 * back.  A thread that waits for work calls it before it sleeps.
 */
HZ3_API void hz3_thread_idle(void) HZ3_NOTHROW;

/* Return all free memory that can be reached safely to the system, now.  Returns bytes given back. */
HZ3_API size_t hz3_purge(void) HZ3_NOTHROW;

/* hz3_purge() for programs written for glibc: 1 if anything was given back, else 0.  pad is not used. */
HZ3_API int hz3_malloc_trim(size_t pad) HZ3_NOTHROW;

/* ---- Statistics and settings --------------------------------------------------------------------------- */

/*
 * Print the statistics.  write is called with arg and successive pieces of text, each ending in a NUL; NULL
 * writes to standard error.  opts NULL or "": for people; with the letter "j": as JSON, whose layout the key
 * "hz3_stats_version" numbers.  Other letters are ignored.  The library allocates nothing for it.
 */
HZ3_API void hz3_stats_print(void (*write)(void *arg, const char *text), void *arg, const char *opts);

/*
 * Read and write a named value, as jemalloc's mallctl does.
 *
 *   old, old_bytes   where the value goes, and the size of that; both NULL not to read
 *   new_, new_bytes  the value to set, and its size; NULL and 0 not to write
 *
 * Sizes must be those of the value's type; *old_bytes is set to it when it was not, so that a caller can
 * ask.  When both are given, old is the value before.  Strings are passed as const char *, owned by the
 * library when read and copied by it when written.
 * Returns 0, ENOENT (no such name), EINVAL (wrong size, or a value that cannot be), EPERM (writing what is
 * read-only or reading what is write-only).  errno is kept.
 *
 *	const char *sink = "page";
 *	hz3_control("remote.sink", NULL, NULL, &sink, sizeof(sink));
 */
HZ3_API int hz3_control(const char *name, void *old, size_t *old_bytes, void *new_, size_t new_bytes)
	HZ3_NOTHROW;

/* HZ3_VERSION of the library that is loaded, which may differ from the header's. */
HZ3_API const char *hz3_version(void) HZ3_NOTHROW HZ3_ATTR((const));

/* ---- glibc's own family -------------------------------------------------------------------------------- */

/*
 * Laid out as glibc's struct mallinfo2.  In hz3: hblks and hblkhd, huge mappings and their bytes; uordblks,
 * bytes in all other live blocks (in a library built without statistics: of pages that may have some);
 * fordblks, bytes of pages and runs that no live block uses; arena, the sum of these two; keepcost, free
 * bytes not yet purged, which malloc_trim would give back; ordblks, smblks, usmblks and fsmblks are 0.
 */
struct hz3_mallinfo2 {
	size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

/* The same in int, laid out as struct mallinfo; a value that does not fit is INT_MAX. */
struct hz3_mallinfo {
	int arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

HZ3_API struct hz3_mallinfo hz3_mallinfo(void) HZ3_NOTHROW;
HZ3_API struct hz3_mallinfo2 hz3_mallinfo2(void) HZ3_NOTHROW;

/*
 * Set one of glibc's M_ parameters: 1 if hz3 has heard it, 0 if it has no such parameter.  M_TRIM_THRESHOLD
 * 0 returns free memory at once and -1 never; the other sizes and counts are hints that hz3 needs not.
 */
HZ3_API int hz3_mallopt(int param, int value) HZ3_NOTHROW;

/* The statistics as XML in the manner of glibc.  0, or -1 with errno (EINVAL: options is not 0). */
HZ3_API int hz3_malloc_info(int options, FILE *stream);

/* The statistics as text on standard error. */
HZ3_API void hz3_malloc_stats(void);

#if defined(__cplusplus)
}
#endif

#endif
