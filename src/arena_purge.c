/* What arenas give back to the system: the memory of free runs, and their mappings. */
#include "arena_private.h"

#include "limit.h"
#include "os_clock.h"
#include "os_memory.h"
#include "usdt.h"

#define WAIT_MS_MAX 100u

/* Shorter runs stay mapped even when address space is scarce: mappings are limited as well. */
#define DECOMMIT_SLICES_MIN ((size_t)16)

/*
 * A run that is unmapped is a hole between mappings, and so a mapping more.  A process has 65530 as a rule, and needs them for
 * other things as well: so many holes in all, and so many if memory has run out.
 */
#define HOLES_MAX 128u
#define HOLES_MAX_URGENT 8192u

/* What is being purged can't be allocated: not more at a time than this. */
#define PURGE_SLICES_MAX ((size_t)64)
#define PURGE_FAILURES_MAX 16u /* of the system, until a purge gives up */

static _Atomic bool scarce;		/* relaxed: a policy */
static _Atomic unsigned purging;	/* relaxed: runs that are with the system now; a hint, changed under the arena's lock */

static void list_purged_locked(struct hz3_arena *arena, size_t slice, size_t n)
{
	struct hz3_run *run = hz3_run_at(slice);

	run->slices = (uint32_t)n;
	run->kind = HZ3_RUN_PURGED;
	run->next = arena->purged;
	arena->purged = run;
}

/*
 * False: in the child of a fork that this thread's signal handler has done, somebody else was faster.  Only the list tells, since the run may be
 * anything by now.
 */
static bool unlist_purged_locked(struct hz3_arena *arena, size_t slice)
{
	struct hz3_run *run = hz3_run_at(slice), **link = &arena->purged;

	while (*link && *link != run)
		link = &(*link)->next;
	if (*link == NULL)
		return false;
	*link = run->next;
	return true;
}

/* The oldest dirty run, or the start of it, taken out as if it were in use; 0 if none is older than before_ms. */
static size_t purge_begin_locked(struct hz3_arena *arena, uint64_t before_ms, size_t *n)
{
	struct hz3_run *run = arena->runs.oldest;

	if (run == NULL || run->stamp_ms > before_ms)
		return 0;
	size_t slice = hz3_run_slice(run), total = run->slices;
	uint64_t stamp = run->stamp_ms;
	*n = hz3_min(total, PURGE_SLICES_MAX);
	hz3_arena_unlink_locked(arena, run);
	hz3_arena_link_locked(arena, slice + *n, total - *n, HZ3_RUN_DIRTY, stamp, NULL);
	list_purged_locked(arena, slice, *n);
	return slice;
}

/* May these slices, which are in no list, become a hole?  A part of one that is there is none more. */
static bool may_unmap_locked(struct hz3_arena *arena, size_t slice, size_t n, unsigned holes_max)
{
	return arena->runs.bins[HZ3_RUN_UNCOMMITTED].runs < hz3_max(holes_max / hz3_arenas_count(), 1) ||
	       hz3_arena_run_before_locked(arena, slice, HZ3_RUN_UNCOMMITTED) || hz3_arena_run_from_locked(arena, slice + n, HZ3_RUN_UNCOMMITTED);
}

/* Give the memory of a run back, and what it is then.  HZ3_RUN_DIRTY: the system would not have it. */
static unsigned purge_run(size_t slice, size_t n, bool unmap)
{
	if (unmap && hz3_page_map_decommit(slice, n) == 0)
		return HZ3_RUN_UNCOMMITTED;
	return hz3_os_purge(hz3_slice_address(slice), n << HZ3_SLICE_SHIFT) == 0 ? HZ3_RUN_CLEAN : HZ3_RUN_DIRTY;
}

static void purge_end_locked(struct hz3_arena *arena, size_t slice, size_t n, unsigned kind)
{
	if (!unlist_purged_locked(arena, slice))
		return;
	hz3_atomic_fetch_sub(&purging, 1, relaxed);
	if (kind == HZ3_RUN_UNCOMMITTED)
		hz3_arena_counter_add(&arena->counters.committed, -(ptrdiff_t)n);
	if (kind != HZ3_RUN_DIRTY) {
		hz3_limit_give(n << HZ3_SLICE_SHIFT);
		hz3_atomic_fetch_add(&arena->counters.purges, 1, relaxed);
		hz3_atomic_fetch_add(&arena->counters.purged_slices, n, relaxed);
		hz3_arena_insert_locked(arena, slice, n, kind, 0);
		return;
	}
	/* Locked memory, or a system that refuses: still dirty, and, if its neighbours are not, not to be tried again before it has aged. */
	hz3_atomic_fetch_add(&arena->counters.purge_failures, 1, relaxed);
	hz3_arena_insert_locked(arena, slice, n, HZ3_RUN_DIRTY, hz3_os_now_ms());
}

/*
 * Turn free runs of one kind, of at least min slices (up to 32), into address space: the longest first, while there are no more than so many
 * holes.  Those that the system won't unmap stay as they are.
 */
static size_t decommit_kind_locked(struct hz3_arena *arena, unsigned kind, size_t min, unsigned holes_max)
{
	size_t bytes = 0;
	struct hz3_run *next;

	for (struct hz3_run *run = hz3_runs_next(&arena->runs, kind, NULL); run && run->slices >= min; run = next) {
		size_t slice = hz3_run_slice(run), n = run->slices;
		next = hz3_runs_next(&arena->runs, kind, run);
		if (!may_unmap_locked(arena, slice, n, holes_max) || hz3_page_map_decommit(slice, n) != 0)
			continue;
		hz3_arena_unlink_locked(arena, run);
		hz3_arena_counter_add(&arena->counters.committed, -(ptrdiff_t)n);
		if (kind == HZ3_RUN_DIRTY)
			hz3_limit_give(n << HZ3_SLICE_SHIFT);
		hz3_arena_insert_locked(arena, slice, n, HZ3_RUN_UNCOMMITTED, 0);
		bytes += n << HZ3_SLICE_SHIFT;
	}
	return bytes;
}

/*
 * Purge the oldest dirty runs that were freed at before_ms or earlier, while more than keep slices are dirty.  The run
 * being purged counts as in use, so the lock need not be held while the system works.  What the system would not have counts so until the
 * end: what is behind it has its turn, and neither is kept dirty by the other.
 */
static size_t purge(struct hz3_arena *arena, uint64_t before_ms, size_t keep)
{
	struct { size_t slice, n; } failed[PURGE_FAILURES_MAX];
	size_t bytes = 0, apart = 0, slice, n = 0;
	unsigned failures = 0;

	hz3_lock(&arena->lock);
	while (failures < PURGE_FAILURES_MAX && hz3_atomic_load(&arena->counters.dirty, relaxed) + apart > keep) {
		slice = purge_begin_locked(arena, before_ms, &n);
		if (slice == 0)
			break;
		bool unmap = hz3_arenas_scarce() && n >= DECOMMIT_SLICES_MIN &&
			     may_unmap_locked(arena, slice, n, HOLES_MAX);
		hz3_atomic_fetch_add(&purging, 1, relaxed);
		hz3_unlock(&arena->lock);
		unsigned kind = purge_run(slice, n, unmap);
		hz3_lock(&arena->lock);
		if (kind == HZ3_RUN_DIRTY) {
			failed[failures].slice = slice;
			failed[failures++].n = n;
			apart += n;
			continue;
		}
		purge_end_locked(arena, slice, n, kind);
		bytes += n << HZ3_SLICE_SHIFT;
		HZ3_USDT2(hz3, purge, hz3_slice_address(slice), n << HZ3_SLICE_SHIFT);
	}
	while (failures-- > 0)
		purge_end_locked(arena, failed[failures].slice, failed[failures].n, HZ3_RUN_DIRTY);
	/* Clean runs that were too short before may have grown together. */
	if (bytes && hz3_arenas_scarce())
		decommit_kind_locked(arena, HZ3_RUN_CLEAN, DECOMMIT_SLICES_MIN, HOLES_MAX);
	hz3_unlock(&arena->lock);
	return bytes;
}

void hz3_arenas_wait_for_purges(void)
{
	for (unsigned i = 0; i < WAIT_MS_MAX && hz3_atomic_load(&purging, relaxed); i++)
		hz3_os_sleep_ms(1);
}

size_t hz3_arena_purge(unsigned i, uint64_t age_ms)
{
	uint64_t now = hz3_os_now_ms();

	if (age_ms > now)
		return 0;
	return purge(hz3_arena_at(i), now - age_ms, 0);
}

size_t hz3_arenas_purge(uint64_t age_ms)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < hz3_arenas_count(); i++)
		bytes += hz3_arena_purge(i, age_ms);
	if (HZ3_DEBUG)
		hz3_arenas_validate();
	return bytes;
}

size_t hz3_arena_purge_to(unsigned i, size_t keep)
{
	struct hz3_arena *arena = hz3_arena_at(i);

	/* relaxed: a hint; purge looks again under the lock. */
	if (hz3_atomic_load(&arena->counters.dirty, relaxed) <= keep >> HZ3_SLICE_SHIFT)
		return 0;
	/* Down to half, so that the next free does not have to purge again. */
	return purge(arena, UINT64_MAX, keep >> (HZ3_SLICE_SHIFT + 1));
}

size_t hz3_arenas_purge_some(size_t want)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < hz3_arenas_count() && bytes < want; i++) {
		struct hz3_arena *arena = hz3_arena_at(i);
		/* relaxed: a hint. */
		size_t dirty = hz3_atomic_load(&arena->counters.dirty, relaxed);
		size_t slices = hz3_align_up(want - bytes, HZ3_SLICE) >> HZ3_SLICE_SHIFT;
		bytes += purge(arena, UINT64_MAX, dirty > slices ? dirty - slices : 0);
	}
	return bytes;
}

void hz3_arenas_set_scarce(void)
{
	hz3_atomic_store(&scarce, true, relaxed);
}

bool hz3_arenas_scarce(void)
{
	return hz3_atomic_load(&scarce, relaxed);
}

static size_t decommit(unsigned holes_max)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < hz3_arenas_count(); i++) {
		struct hz3_arena *arena = hz3_arena_at(i);
		hz3_lock(&arena->lock);
		bytes += decommit_kind_locked(arena, HZ3_RUN_DIRTY, 1, holes_max);
		bytes += decommit_kind_locked(arena, HZ3_RUN_CLEAN, 1, holes_max);
		hz3_unlock(&arena->lock);
	}
	return bytes;
}

size_t hz3_arenas_decommit_longest(void)
{
	return decommit(HOLES_MAX);
}

size_t hz3_arenas_decommit(void)
{
	return decommit(HOLES_MAX_URGENT);
}

/* Whoever purged it may have unmapped it or not: so it is unmapped, or has its old contents. */
static void end_purge_locked(struct hz3_arena *arena, size_t slice, size_t n)
{
	bool unmapped = n >= DECOMMIT_SLICES_MIN;

	if (unmapped && hz3_page_map_decommit(slice, n) != 0)
		return;
	if (unmapped)
		hz3_arena_counter_add(&arena->counters.committed, -(ptrdiff_t)n);
	hz3_arena_insert_locked(arena, slice, n, unmapped ? HZ3_RUN_UNCOMMITTED : HZ3_RUN_DIRTY, hz3_os_now_ms());
}

void hz3_arenas_end_purges(void)
{
	for (unsigned i = 0; i < hz3_arenas_count(); i++) {
		struct hz3_arena *arena = hz3_arena_at(i);
		hz3_lock(&arena->lock);
		for (struct hz3_run *run; (run = arena->purged) != NULL;) {
			size_t slice = hz3_run_slice(run), n = run->slices;
			unlist_purged_locked(arena, slice);
			end_purge_locked(arena, slice, n);
		}
		hz3_unlock(&arena->lock);
	}
	hz3_atomic_store(&purging, 0, relaxed);
}
