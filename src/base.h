/*
 * Attributes, assertions, messages and a little arithmetic: what every other file starts from.
 *
 * Anybody may call anything here, from any thread, with any lock held, before any constructor has run.
 * Nothing here has state, allocates, or calls a libc function that may.
 */
#ifndef HZ3_BASE_H
#define HZ3_BASE_H

/* Every file includes this first, so that all of them see the same libc. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "config.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define hz3_likely(x) __builtin_expect(!!(x), 1)
#define hz3_unlikely(x) __builtin_expect(!!(x), 0)

/* 1 under the thread sanitizer, which has no place for mappings at addresses of our choice. */
#if defined(__SANITIZE_THREAD__)
#define HZ3_THREAD_SANITIZER 1
#elif defined(__has_feature)
#define HZ3_THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#define HZ3_THREAD_SANITIZER 0
#endif

#define HZ3_EXPORT __attribute__((visibility("default")))
#define HZ3_HOT __attribute__((hot))
#define HZ3_COLD __attribute__((cold))
#define HZ3_NOINLINE __attribute__((noinline))
/* Reads what others may be writing, and believes it only as far as any value does no harm. */
#define HZ3_RACY __attribute__((noinline, no_sanitize("thread")))
#define HZ3_INLINE inline __attribute__((always_inline))
#define HZ3_ALIGNED(n) __attribute__((aligned(n)))
#define HZ3_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* The function has a frame: those who walk the stack by frame pointers find its caller. */
#define HZ3_FRAMED() __asm__ volatile("" : : "r"(__builtin_frame_address(0)))

/* What two threads must not share if they write to it; both supported processors use 64-byte lines. */
#define HZ3_CACHE_LINE 64

/* Operations of the system call futex, private to the process: from linux/futex.h, which not every compiler finds. */
#define HZ3_FUTEX_WAIT 128
#define HZ3_FUTEX_WAKE 129

/* 2^64 times the golden section, odd: what is multiplied by it is spread over its upper bits. */
#define HZ3_HASH_FACTOR 0x9e3779b97f4a7c15u

/* A slice is the unit of address lookup; pages start on slice boundaries. */
#define HZ3_SLICE_SHIFT 16
#define HZ3_SLICE ((size_t)1 << HZ3_SLICE_SHIFT)

_Static_assert(sizeof(size_t) == 8 && sizeof(void *) == 8 && sizeof(long) == 8, "hz3 needs an LP64 system");

/*
 * Formats like snprintf, for %s %c %p %d %u %x %% with the length modifiers l, ll and z, and nothing else: no widths
 * and no floating point.  Always terminates the text (if cap > 0); returns its length after clipping.
 */
size_t hz3_format(char *buf, size_t cap, const char *fmt, ...) HZ3_PRINTF(3, 4);
size_t hz3_format_list(char *buf, size_t cap, const char *fmt, va_list args) HZ3_PRINTF(3, 0);

/* One line on standard error, "hz3: " and the text, in one write; control characters become '?'.  Keeps errno. */
HZ3_COLD void hz3_warn(const char *fmt, ...) HZ3_PRINTF(1, 2);

/* The same on another descriptor, for a program that has closed its standard error. */
HZ3_COLD void hz3_warn_to(int fd, const char *fmt, ...) HZ3_PRINTF(2, 3);

/* A line as of hz3_warn, then abort(). */
HZ3_COLD HZ3_NOINLINE _Noreturn void hz3_die(const char *fmt, ...) HZ3_PRINTF(1, 2);

/* A mistake of the program (or of the system) that must be caught in every build. */
#define hz3_check(cond, ...)                                                                                         \
	do {                                                                                                         \
		if (hz3_unlikely(!(cond)))                                                                           \
			hz3_die(__VA_ARGS__);                                                                        \
	} while (0)

/* A mistake of ours, caught in debug builds; elsewhere the condition is compiled but not evaluated. */
#define hz3_assert(cond)                                                                                             \
	do {                                                                                                         \
		if (HZ3_DEBUG && hz3_unlikely(!(cond)))                                                              \
			hz3_die("%s:%d: assertion failed: %s", __FILE__, __LINE__, #cond);                           \
	} while (0)

static HZ3_INLINE bool hz3_is_pow2(size_t x)
{
	return x != 0 && (x & (x - 1)) == 0;
}

/* Rounds to a multiple of a, a power of 2.  Wraps to 0 on overflow: sizes from outside are checked by the caller. */
static HZ3_INLINE size_t hz3_align_up(size_t x, size_t a)
{
	return (x + (a - 1)) & ~(a - 1);
}

static HZ3_INLINE size_t hz3_align_down(size_t x, size_t a)
{
	return x & ~(a - 1);
}

/* The position of the highest bit of x, which must not be 0. */
static HZ3_INLINE unsigned hz3_log2(size_t x)
{
	return 63u - (unsigned)__builtin_clzl(x);
}

static HZ3_INLINE size_t hz3_min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static HZ3_INLINE size_t hz3_max(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* Tells the processor that this is a spin loop. */
static HZ3_INLINE void hz3_cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

#endif
