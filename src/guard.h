/*
 * Guarded samples: some allocations get pages of their own, with inaccessible ones before and behind them.
 *
 *   region   slot 0                      slot 1
 *            [no access | ... block]     [no access | ... block]     ...  [no access]
 *
 * The block ends where its slot ends, so that the first byte behind it (but for rounding to 16, which is filled and looked at when
 * it is freed) is inaccessible, as is the memory of the slot that it doesn't need.  A block that was freed is inaccessible until its slot
 * is used again, which is as late as possible.  An access then is a SIGSEGV, of which a handler tells what it was, where the block
 * was allocated, and where freed.
 *
 * Off unless the option guard_sample asks for it.  Any thread; one lock protects the slots.  The handler reads them without.
 */
#ifndef HZ3_GUARD_H
#define HZ3_GUARD_H

#include "lock.h"

/* A sample is taken of so many allocations, on average; 0: none.  Set when the options are read, with one thread. */
extern uint32_t hz3_guard_every;
extern struct hz3_lock hz3_guard_lock;

struct hz3_guard_region {
	uintptr_t start;
	size_t bytes;			/* 0: there is none */
};
extern struct hz3_guard_region hz3_guard_region;

/* A thread's countdown to its next sample. */
struct hz3_guard_turn {
	uint32_t left;
	uint32_t random;
};

/* Reserve the region and install the handler, if the option says so and it was not done before. */
void hz3_guard_init(void);

/* Is it time for a sample?  Every so often on average, at random intervals, so that no rhythm of the program hides from it. */
bool hz3_guard_is_due(struct hz3_guard_turn *turn);

/*
 * A block of at least size bytes, at most HZ3_CLASS_SIZE_MAX.  If size is a multiple of a power of 2, so is the address.  NULL: all
 * slots are in use.  frame is where the stack of the caller is walked from, as __builtin_frame_address(0) gives it.
 */
void *hz3_guard_alloc(size_t size, void *frame);

static HZ3_INLINE bool hz3_guard_owns(const void *p)
{
	return (uintptr_t)p - hz3_guard_region.start < hz3_guard_region.bytes;
}

/* Of a pointer into the region.  Both die, and tell what they know of the block, if it isn't one that is live. */
void hz3_guard_free(void *p, void *frame);
size_t hz3_guard_size(const char *call, const void *p);

#endif
