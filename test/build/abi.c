/*
 * The interface of hz3/hz3.h as programs were compiled against it: test/build/abi.sh compiles this, and a function
 * whose type changed, or a structure whose layout did, is an error.  Lines are added here and never changed.
 */
#include <hz3/hz3.h>

#define LAYOUT(what) _Static_assert(what, #what)

/* 0.1.0 */
void *hz3_malloc(size_t);
void *hz3_calloc(size_t, size_t);
void *hz3_realloc(void *, size_t);
void *hz3_reallocarray(void *, size_t, size_t);
void hz3_free(void *);
void hz3_free_sized(void *, size_t);
void hz3_free_aligned_sized(void *, size_t, size_t);
void hz3_cfree(void *);
int hz3_posix_memalign(void **, size_t, size_t);
void *hz3_aligned_alloc(size_t, size_t);
void *hz3_memalign(size_t, size_t);
void *hz3_valloc(size_t);
void *hz3_pvalloc(size_t);
size_t hz3_malloc_usable_size(const void *);
size_t hz3_good_size(size_t);
void hz3_thread_flush(void);
void hz3_thread_idle(void);
size_t hz3_purge(void);
int hz3_malloc_trim(size_t);
void hz3_stats_print(void (*)(void *, const char *), void *, const char *);
int hz3_control(const char *, void *, size_t *, void *, size_t);
const char *hz3_version(void);
struct hz3_mallinfo hz3_mallinfo(void);
struct hz3_mallinfo2 hz3_mallinfo2(void);
int hz3_mallopt(int, int);
int hz3_malloc_info(int, FILE *);
void hz3_malloc_stats(void);

LAYOUT(sizeof(struct hz3_mallinfo) == 40);
LAYOUT(offsetof(struct hz3_mallinfo, arena) == 0);
LAYOUT(offsetof(struct hz3_mallinfo, hblks) == 12);
LAYOUT(offsetof(struct hz3_mallinfo, uordblks) == 28);
LAYOUT(offsetof(struct hz3_mallinfo, fordblks) == 32);
LAYOUT(offsetof(struct hz3_mallinfo, keepcost) == 36);
LAYOUT(sizeof(struct hz3_mallinfo2) == 80);
LAYOUT(offsetof(struct hz3_mallinfo2, arena) == 0);
LAYOUT(offsetof(struct hz3_mallinfo2, hblks) == 24);
LAYOUT(offsetof(struct hz3_mallinfo2, uordblks) == 56);
LAYOUT(offsetof(struct hz3_mallinfo2, fordblks) == 64);
LAYOUT(offsetof(struct hz3_mallinfo2, keepcost) == 72);

hz3_arena_t *hz3_arena_create(const struct hz3_os_hooks *, void *);
void *hz3_arena_malloc(hz3_arena_t *, size_t);
void *hz3_arena_calloc(hz3_arena_t *, size_t, size_t);
void *hz3_arena_aligned_alloc(hz3_arena_t *, size_t, size_t);
void *hz3_arena_realloc(hz3_arena_t *, void *, size_t);
void hz3_arena_reset(hz3_arena_t *);
void hz3_arena_destroy(hz3_arena_t *);
void hz3_arena_stats(hz3_arena_t *, struct hz3_arena_stats *);

LAYOUT(sizeof(struct hz3_os_hooks) == 24);
LAYOUT(offsetof(struct hz3_os_hooks, map) == 0);
LAYOUT(offsetof(struct hz3_os_hooks, unmap) == 8);
LAYOUT(offsetof(struct hz3_os_hooks, purge) == 16);
LAYOUT(sizeof(struct hz3_arena_stats) == 48);
LAYOUT(offsetof(struct hz3_arena_stats, mapped) == 0);
LAYOUT(offsetof(struct hz3_arena_stats, active) == 8);
LAYOUT(offsetof(struct hz3_arena_stats, allocated) == 16);
LAYOUT(offsetof(struct hz3_arena_stats, blocks) == 24);
LAYOUT(offsetof(struct hz3_arena_stats, maps) == 32);
LAYOUT(offsetof(struct hz3_arena_stats, unmaps) == 40);
