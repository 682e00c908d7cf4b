/*
 * The inside of an arena, for arena.c and arena_purge.c alone.
 *
 * All of it but index, which never changes, and the counters is touched under the arena's lock only.
 */
#ifndef HZ3_ARENA_PRIVATE_H
#define HZ3_ARENA_PRIVATE_H

#include "arena.h"
#include "atomic.h"
#include "runs.h"

struct hz3_arena {
	struct hz3_lock lock;			/* first: mend() */
	unsigned index;
	struct hz3_runs runs;
	struct hz3_run *purged;			/* that are with the system now: in use, for everybody else */
	struct hz3_arena_counters counters HZ3_ALIGNED(HZ3_CACHE_LINE);
} HZ3_ALIGNED(HZ3_CACHE_LINE);

/* i < hz3_arenas_count(). */
struct hz3_arena *hz3_arena_at(unsigned i);

/* Counters have one writer at a time (the lock's holder), so a plain addition in two steps loses nothing. */
static inline void hz3_arena_counter_add(_Atomic size_t *counter, ptrdiff_t n)
{
	hz3_atomic_store(counter, hz3_atomic_load(counter, relaxed) + (size_t)n, relaxed);
}

/* The arena's free run of the given kind that ends just before slice, or starts at it; NULL if there is none. */
struct hz3_run *hz3_arena_run_before_locked(struct hz3_arena *arena, size_t slice, unsigned kind);
struct hz3_run *hz3_arena_run_from_locked(struct hz3_arena *arena, size_t slice, unsigned kind);

/* Take a free run out of every list; its slices have route 0 afterwards. */
void hz3_arena_unlink_locked(struct hz3_arena *arena, struct hz3_run *run);

/* List [slice, slice + n), which has no neighbours to merge with; of no slices: nothing.  age_after: as for hz3_runs_add(). */
void hz3_arena_link_locked(struct hz3_arena *arena, size_t slice, size_t n, unsigned kind, uint64_t stamp_ms, struct hz3_run *age_after);

/*
 * Make [slice, slice + n) a free run of its kind, merged with its neighbours.  The age is that of the largest part: traffic at
 * the edge of a large run must not keep it young for ever.
 */
void hz3_arena_insert_locked(struct hz3_arena *arena, size_t slice, size_t n, unsigned kind, uint64_t now);

#endif
