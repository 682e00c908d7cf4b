/*
 * C semantics on top of the heap: overflow, alignment, errno, and glibc's less known functions; see api.h.
 *
 * The second half of the file gives them their public names, hz3_malloc and so on.
 */
#include "api.h"

#include "decay.h"
#include "os_memory.h"
#include "report.h"
#include "serve.h"
#include "size_class.h"
#include "stats.h"
#include "thread.h"
#include "top.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

void *hz3_api_no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

static void *invalid(void)
{
	errno = EINVAL;
	return NULL;
}

/* ---- realloc ---- */

/* A block of size that takes the place of p: of the same arena, if that is one of the program's. */
static void *alloc_instead(const void *p, size_t usable, size_t size)
{
	struct hz3_pool *pool = hz3_pool_of(p);

	if (hz3_unlikely(pool != NULL))
		return hz3_safety_pool_alloc(pool, 1, size);
	return size > usable && !HZ3_SAFETY ? hz3_alloc_to_grow(size) : hz3_safety_alloc(size);
}

/* To a block of another size.  If there is no memory for it, a block that is big enough simply stays. */
static void *realloc_move(void *p, size_t usable, size_t size)
{
	HZ3_FRAMED();
	int saved_errno = errno;
	void *q = alloc_instead(p, usable, size);

	if (q == NULL) {
		if (size > usable)
			return NULL;
		errno = saved_errno;
		return p;
	}
	memcpy(q, p, hz3_min(usable, size));
	hz3_safety_free(p);
	return q;
}

static void *realloc_checked(void *p, size_t size)
{
	void *q = hz3_checked_resize(p, size);

	return q != NULL ? q : realloc_move(p, hz3_checked_usable_size(p), size);
}

static void *realloc_large(void *p, size_t size)
{
	void *q = hz3_alloc_resize_large(p, size);

	return q != NULL ? q : realloc_move(p, hz3_alloc_usable_size(p), size);
}

void *hz3_api_realloc(void *p, size_t size)
{
	if (hz3_unlikely(size > PTRDIFF_MAX))
		return hz3_api_no_memory();
	if (p == NULL)
		return hz3_safety_alloc(size);
	if (size == 0) {
		hz3_safety_free(p);
		return NULL;
	}
	if (HZ3_SAFETY)
		return realloc_checked(p, size);
	size_t usable = hz3_alloc_page_usable_size(p);
	if (hz3_unlikely(usable == 0))
		return realloc_large(p, size);
	/* The same block while it fits and at least half of it is used. */
	return size <= usable && size >= usable / 2 ? p : realloc_move(p, usable, size);
}

/* ---- alignment ---- */

static HZ3_NOINLINE int posix_memalign_missed(void **memptr, size_t alignment, size_t size)
{
	HZ3_FRAMED();
	int saved_errno = errno;
	void *p = hz3_safety_alloc_aligned(alignment, size);

	if (p == NULL) {
		errno = saved_errno;
		return ENOMEM;
	}
	*memptr = p;
	return 0;
}

int hz3_api_posix_memalign(void **memptr, size_t alignment, size_t size)
{
	if (!hz3_is_pow2(alignment) || alignment < sizeof(void *))
		return EINVAL;
	void *p = hz3_safety_alloc_aligned_hit(alignment, size);
	if (p == NULL)
		return posix_memalign_missed(memptr, alignment, size);
	*memptr = p;
	return 0;
}

void *hz3_api_aligned_alloc(size_t alignment, size_t size)
{
	if (!hz3_is_pow2(alignment))
		return invalid();
	void *p = hz3_safety_alloc_aligned_hit(alignment, size);
	return hz3_likely(p != NULL) ? p : hz3_safety_alloc_aligned(alignment, size);
}

/* The manual page asks for a power of two; glibc has always rounded up to one, and programs rely on it. */
void *hz3_api_memalign(size_t alignment, size_t size)
{
	if (alignment <= HZ3_GRANULE)
		return hz3_safety_alloc(size);
	if (alignment > SIZE_MAX / 2 + 1)
		return invalid();
	if (!hz3_is_pow2(alignment))
		alignment = (size_t)2 << hz3_log2(alignment);
	return hz3_safety_alloc_aligned(alignment, size);
}

void *hz3_api_valloc(size_t size)
{
	hz3_thread_setup();
	return hz3_safety_alloc_aligned(hz3_os_page_size, size);
}

void *hz3_api_pvalloc(size_t size)
{
	if (hz3_unlikely(size > PTRDIFF_MAX))
		return hz3_api_no_memory();
	hz3_thread_setup();
	size = hz3_align_up(hz3_max(size, 1), hz3_os_page_size);
	return hz3_safety_alloc_aligned(hz3_os_page_size, size);
}

/* ---- mallopt and mallinfo ---- */

int hz3_api_trim(void)
{
	return hz3_decay_purge_all() != 0;
}

/* glibc's parameters.  Not from <malloc.h>, which other libcs have without them. */
enum {
	PARAM_MXFAST = 1,
	PARAM_TRIM_THRESHOLD = -1,
	PARAM_TOP_PAD = -2,
	PARAM_MMAP_THRESHOLD = -3,
	PARAM_MMAP_MAX = -4,
	PARAM_ARENA_TEST = -7,
	PARAM_ARENA_MAX = -8
};

int hz3_api_mallopt(int param, int value)
{
	switch (param) {
	case PARAM_TRIM_THRESHOLD:
		hz3_thread_setup();
		if (value == 0 || value == -1 || value == INT_MAX)
			hz3_decay_set_ms(value == 0 ? 0 : -1);
		return 1;
	case PARAM_MXFAST:
	case PARAM_TOP_PAD:
	case PARAM_MMAP_THRESHOLD:
	case PARAM_MMAP_MAX:
	case PARAM_ARENA_TEST:
	case PARAM_ARENA_MAX:
		return 1;
	default:
		/* Among them M_CHECK_ACTION and M_PERTURB, which promise what we don't do. */
		return 0;
	}
}

static size_t less(size_t x, size_t by)
{
	return x > by ? x - by : 0;
}

/* As in glibc: the huge mappings apart, and arena = uordblks + fordblks. */
struct hz3_mallinfo2 hz3_api_mallinfo2(void)
{
	struct hz3_mallinfo2 info = {0};
	struct hz3_stats stats;
	size_t live;

	hz3_stats_collect(&stats);
	/* Without counters, a page in use is all in use. */
	live = HZ3_STATS ? stats.allocated : stats.active;
	info.hblks = stats.huge_mappings;
	info.hblkhd = stats.huge_bytes;
	info.arena = less(stats.active, stats.huge_bytes) + stats.dirty;
	info.uordblks = hz3_min(less(live, stats.huge_bytes), info.arena);
	info.fordblks = info.arena - info.uordblks;
	info.keepcost = stats.dirty;
	return info;
}

static int saturate(size_t x)
{
	return x > INT_MAX ? INT_MAX : (int)x;
}

struct hz3_mallinfo hz3_api_mallinfo(void)
{
	struct hz3_mallinfo2 wide = hz3_api_mallinfo2();
	struct hz3_mallinfo info = {0};

	info.arena = saturate(wide.arena);
	info.hblks = saturate(wide.hblks);
	info.hblkhd = saturate(wide.hblkhd);
	info.uordblks = saturate(wide.uordblks);
	info.fordblks = saturate(wide.fordblks);
	info.keepcost = saturate(wide.keepcost);
	return info;
}

/* ---- reports ---- */

static void write_stream(void *stream, const char *text)
{
	fputs(text, stream);
}

int hz3_api_malloc_info(int options, FILE *stream)
{
	struct hz3_stats stats;

	if (options != 0) {
		errno = EINVAL;
		return -1;
	}
	hz3_stats_collect(&stats);
	hz3_report_xml(write_stream, stream, &stats);
	return ferror(stream) ? -1 : 0;
}

void hz3_api_malloc_stats(void)
{
	hz3_report_print(NULL, NULL, "");
}

/* ---- The public names.  hz3_control is in control.c. ---- */

void *hz3_malloc(size_t size)
{
	return hz3_safety_alloc(size);
}

void *hz3_calloc(size_t count, size_t size)
{
	return hz3_api_calloc(count, size);
}

void *hz3_realloc(void *p, size_t size)
{
	return hz3_api_realloc(p, size);
}

void *hz3_reallocarray(void *p, size_t count, size_t size)
{
	return hz3_api_reallocarray(p, count, size);
}

void hz3_free(void *p)
{
	hz3_safety_free(p);
}

void hz3_free_sized(void *p, size_t size)
{
	hz3_api_free_sized(p, size);
}

void hz3_free_aligned_sized(void *p, size_t alignment, size_t size)
{
	hz3_api_free_aligned_sized(p, alignment, size);
}

void hz3_cfree(void *p)
{
	hz3_safety_free(p);
}

int hz3_posix_memalign(void **memptr, size_t alignment, size_t size)
{
	return hz3_api_posix_memalign(memptr, alignment, size);
}

void *hz3_aligned_alloc(size_t alignment, size_t size)
{
	return hz3_api_aligned_alloc(alignment, size);
}

void *hz3_memalign(size_t alignment, size_t size)
{
	return hz3_api_memalign(alignment, size);
}

void *hz3_valloc(size_t size)
{
	return hz3_api_valloc(size);
}

void *hz3_pvalloc(size_t size)
{
	return hz3_api_pvalloc(size);
}

size_t hz3_malloc_usable_size(const void *p)
{
	return hz3_safety_usable_size(p);
}

size_t hz3_good_size(size_t size)
{
	hz3_thread_setup();
	return hz3_safety_round(size);
}

void hz3_thread_flush(void)
{
	hz3_thread_flush_buffer();
}

void hz3_thread_idle(void)
{
	hz3_thread_go_idle();
}

size_t hz3_purge(void)
{
	return hz3_decay_purge_all();
}

int hz3_malloc_trim(size_t pad)
{
	(void)pad;
	return hz3_api_trim();
}

int hz3_mallopt(int param, int value)
{
	return hz3_api_mallopt(param, value);
}

struct hz3_mallinfo hz3_mallinfo(void)
{
	return hz3_api_mallinfo();
}

struct hz3_mallinfo2 hz3_mallinfo2(void)
{
	return hz3_api_mallinfo2();
}

int hz3_malloc_info(int options, FILE *stream)
{
	return hz3_api_malloc_info(options, stream);
}

void hz3_malloc_stats(void)
{
	hz3_api_malloc_stats();
}

void hz3_stats_print(void (*write)(void *arg, const char *text), void *arg, const char *opts)
{
	hz3_report_print(write, arg, opts);
}

const char *hz3_version(void)
{
	return HZ3_VERSION;
}

/* Behind thread.c's constructor in what it needs, and before any destructor of the program's own libraries ends. */
static __attribute__((constructor)) void report_begin(void)
{
	hz3_thread_setup();
	hz3_report_setup();
	hz3_serve_setup();
	hz3_top_setup();
	hz3_thread_profile_begin();
}

static __attribute__((destructor)) void report_end(void)
{
	hz3_serve_at_exit();
	hz3_report_at_exit();
	hz3_profile_end();
}
