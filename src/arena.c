/* Arenas: address ranges from which pages and large runs are cut. */
#include "arena_private.h"

#include <errno.h>
#include <string.h>

#include "limit.h"
#include "meta.h"
#include "options.h"
#include "os_clock.h"
#include "os_kept.h"
#include "os_memory.h"
#include "os_process.h"
#include "thp.h"

#define COMMIT_SLICES ((size_t)16)	/* memory is mapped 1 MiB at a time */
#define GROW_SLICES ((size_t)64)
#define LONG_SLICES ((size_t)512)	/* so much is asked for on trial before the window grows */
#define ARENAS_BY_CPU_MAX 16

/* Chunks of the window and the arena that each belongs to. */
#define CHUNK_SLICES_SHIFT 6

static struct hz3_arena *arenas;
static unsigned arena_count, page_arena_count;

/*
 * Arena by chunk, its index and 1: written when the window has grown, before any run of the chunk exists.  Until then a chunk is nobody's: 0.
 * A byte for each 4 MiB of 1 TiB; untouched parts have no memory.
 */
static _Atomic uint8_t chunk_arena[HZ3_WINDOW_SLICES_MAX >> CHUNK_SLICES_SHIFT];
_Static_assert(HZ3_ARENAS_MAX < UINT8_MAX, "an index and 1 is one byte");

/* Of a slice that somebody has.  relaxed: it was handed over after the write. */
static struct hz3_arena *arena_of(size_t slice)
{
	return &arenas[hz3_atomic_load(&chunk_arena[slice >> CHUNK_SLICES_SHIFT], relaxed) - 1];
}

/* Of any slice, for the holder of the arena's lock, who alone makes slices its own.  relaxed: that of another arena is not its, early or late. */
static bool has_locked(const struct hz3_arena *arena, size_t slice)
{
	return hz3_atomic_load(&chunk_arena[slice >> CHUNK_SLICES_SHIFT], relaxed) == arena->index + 1;
}

void hz3_arena_unlink_locked(struct hz3_arena *arena, struct hz3_run *run)
{
	if (run->kind == HZ3_RUN_DIRTY)
		hz3_arena_counter_add(&arena->counters.dirty, -(ptrdiff_t)run->slices);
	hz3_runs_remove(&arena->runs, run);
}

void hz3_arena_link_locked(struct hz3_arena *arena, size_t slice, size_t n, unsigned kind, uint64_t stamp_ms, struct hz3_run *age_after)
{
	if (n == 0)
		return;
	if (kind == HZ3_RUN_DIRTY)
		hz3_arena_counter_add(&arena->counters.dirty, (ptrdiff_t)n);
	hz3_runs_add(&arena->runs, slice, n, kind, stamp_ms, age_after);
}

struct hz3_run *hz3_arena_run_before_locked(struct hz3_arena *arena, size_t slice, unsigned kind)
{
	return slice > 1 && has_locked(arena, slice - 1) ? hz3_run_to(slice - 1, kind) : NULL;
}

struct hz3_run *hz3_arena_run_from_locked(struct hz3_arena *arena, size_t slice, unsigned kind)
{
	return slice < hz3_page_map_slices() && has_locked(arena, slice) ? hz3_run_from(slice, kind) : NULL;
}

void hz3_arena_insert_locked(struct hz3_arena *arena, size_t slice, size_t n, unsigned kind, uint64_t now)
{
	struct hz3_run *left = hz3_arena_run_before_locked(arena, slice, kind);
	struct hz3_run *right = hz3_arena_run_from_locked(arena, slice + n, kind);
	struct hz3_run *largest = left && (!right || left->slices >= right->slices) ? left : right;
	struct hz3_run *age_after = arena->runs.newest;

	if (kind == HZ3_RUN_DIRTY) {
		if (largest && largest->slices > n) {
			now = largest->stamp_ms;
			age_after = largest->earlier;
		}
		/* Behind which run, when both neighbours are gone. */
		while (age_after && (age_after == left || age_after == right))
			age_after = age_after->earlier;
	}

	if (left) {
		hz3_arena_unlink_locked(arena, left);
		slice -= left->slices;
		n += left->slices;
	}
	if (right) {
		hz3_arena_unlink_locked(arena, right);
		n += right->slices;
	}
	hz3_arena_link_locked(arena, slice, n, kind, now, age_after);
}

/* How much of a run to commit, from first on, when n slices of it are wanted: to the end of a huge page if those are. */
static size_t commit_amount(size_t first, size_t n, size_t available)
{
	size_t amount = hz3_thp_wanted() ? hz3_align_up(first + n, HZ3_THP_BYTES >> HZ3_SLICE_SHIFT) - first
					 : hz3_align_up(n, COMMIT_SLICES);

	return hz3_min(amount, available);
}

/* Somebody else has put a mapping into the window: that part of it is lost, or the run would be tried for ever. */
static void give_up_if_taken_locked(struct hz3_arena *arena, struct hz3_run *run)
{
	if (errno == EEXIST)
		hz3_arena_unlink_locked(arena, run);
}

/*
 * Use n aligned slices of a free run that fits.  Returns the first, or 0 if memory could not be committed, in which case
 * the run is free as before.
 */
static size_t use_locked(struct hz3_arena *arena, struct hz3_run *run, size_t n, size_t align)
{
	size_t start = hz3_run_slice(run), total = run->slices, skip = hz3_slice_misalignment(start, align);
	unsigned kind = run->kind;
	uint64_t stamp = run->stamp_ms;
	struct hz3_run *age_after = kind == HZ3_RUN_DIRTY ? run->earlier : NULL;
	size_t first = start + skip, rest = total - skip - n;
	size_t extra = 0;	/* committed beyond what is used */

	if (kind == HZ3_RUN_UNCOMMITTED) {
		size_t amount = commit_amount(first, n, n + rest);
		errno = ENOMEM;
		if (hz3_page_map_commit(first, amount) != 0) {
			amount = n;
			if (hz3_page_map_commit(first, amount) != 0) {
				give_up_if_taken_locked(arena, run);
				return 0;
			}
		}
		hz3_arena_counter_add(&arena->counters.committed, (ptrdiff_t)amount);
		extra = amount - n;
	}
	hz3_arena_unlink_locked(arena, run);
	hz3_arena_link_locked(arena, start, skip, kind, stamp, age_after);
	if (skip && kind == HZ3_RUN_DIRTY)
		age_after = hz3_run_at(start);
	if (extra)
		hz3_arena_insert_locked(arena, first + n, extra, HZ3_RUN_CLEAN, 0);
	hz3_arena_link_locked(arena, first + n + extra, rest - extra, kind, stamp, age_after);
	hz3_arena_counter_add(&arena->counters.active, (ptrdiff_t)n);
	return first;
}

/* Would the system give so much?  What the window grows by, and what is mapped to go with it, is never given back: not for what can't be had. */
static bool can_be_had(size_t n)
{
	void *p = n < LONG_SLICES ? NULL : hz3_os_map(n << HZ3_SLICE_SHIFT, hz3_os_page_size);

	if (p)
		hz3_os_discard(p, n << HZ3_SLICE_SHIFT);
	return n < LONG_SLICES || p;
}

/* Extend the arena by at least n aligned slices. */
static bool grow_locked(struct hz3_arena *arena, size_t n, size_t align)
{
	size_t got, want = hz3_max(n + (align - 1), GROW_SLICES);
	size_t first = can_be_had(n) ? hz3_page_map_grow(want, &got) : 0;

	if (first == 0)
		return false;
	for (size_t chunk = first >> CHUNK_SLICES_SHIFT; chunk <= (first + got - 1) >> CHUNK_SLICES_SHIFT; chunk++)
		hz3_atomic_store(&chunk_arena[chunk], (uint8_t)(arena->index + 1), relaxed);
	hz3_arena_insert_locked(arena, first, got, HZ3_RUN_UNCOMMITTED, 0);
	return true;
}

static size_t alloc_dirty_locked(struct hz3_arena *arena, size_t n, size_t align)
{
	struct hz3_run *run = hz3_runs_find(&arena->runs, HZ3_RUN_DIRTY, n, align);

	return run ? use_locked(arena, run, n, align) : 0;
}

/* Memory that is not there yet.  *no_memory: there was a run, but no memory for it. */
static size_t alloc_fresh_locked(struct hz3_arena *arena, size_t n, size_t align, bool *no_memory)
{
	for (unsigned kind = HZ3_RUN_CLEAN; kind < HZ3_RUN_KINDS; kind++) {
		struct hz3_run *run = hz3_runs_find(&arena->runs, kind, n, align);
		if (run == NULL)
			continue;
		size_t slice = use_locked(arena, run, n, align);
		if (slice)
			return slice;
		*no_memory = errno != EEXIST;
	}
	return 0;
}

static size_t alloc_dirty(struct hz3_arena *arena, size_t n, size_t align)
{
	hz3_lock(&arena->lock);
	size_t slice = alloc_dirty_locked(arena, n, align);
	hz3_unlock(&arena->lock);
	return slice;
}

/* From here on it takes memory of the system's. */
static size_t alloc_fresh(struct hz3_arena *arena, size_t n, size_t align, bool may_grow)
{
	bool no_memory = false;

	if (!hz3_limit_take(n << HZ3_SLICE_SHIFT))
		return 0;
	hz3_lock(&arena->lock);
	size_t slice = alloc_fresh_locked(arena, n, align, &no_memory);
	/* More address space helps only if there was none that fits. */
	if (slice == 0 && !no_memory && may_grow && grow_locked(arena, n, align))
		slice = alloc_fresh_locked(arena, n, align, &no_memory);
	hz3_unlock(&arena->lock);
	if (slice == 0)
		hz3_limit_give(n << HZ3_SLICE_SHIFT);
	return slice;
}

/* With what the alignment may cost it has to be in the window. */
static bool is_possible(size_t n, size_t align)
{
	return n <= HZ3_WINDOW_SLICES_MAX / 2 && align <= HZ3_WINDOW_SLICES_MAX / 2;
}

size_t hz3_arena_alloc(struct hz3_arena *arena, size_t n, size_t align, bool *zero)
{
	if (!is_possible(n, align))
		return 0;
	size_t slice = alloc_dirty(arena, n, align);
	*zero = slice == 0 && hz3_os_purge_zeroes;
	return slice ? slice : alloc_fresh(arena, n, align, true);
}

size_t hz3_arenas_alloc(struct hz3_arena *first, size_t n, size_t align, bool *zero)
{
	if (!is_possible(n, align))
		return 0;
	*zero = false;
	for (unsigned i = 0; i < arena_count; i++) {
		struct hz3_arena *arena = &arenas[(first->index + i) % arena_count];
		/* relaxed: a hint. */
		size_t dirty = hz3_atomic_load(&arena->counters.dirty, relaxed);
		size_t slice = dirty >= n ? alloc_dirty(arena, n, align) : 0;
		if (slice)
			return slice;
	}
	*zero = hz3_os_purge_zeroes;
	size_t slice = alloc_fresh(first, n, align, true);
	/* If the window is used up: what it has been divided into need not be where it is wanted. */
	for (unsigned i = 1; slice == 0 && i < arena_count; i++)
		slice = alloc_fresh(&arenas[(first->index + i) % arena_count], n, align, false);
	return slice;
}

static void free_as(size_t slice, size_t n, unsigned kind, uint64_t now)
{
	struct hz3_arena *arena = arena_of(slice);

	hz3_lock(&arena->lock);
	hz3_arena_counter_add(&arena->counters.active, -(ptrdiff_t)n);
	hz3_arena_insert_locked(arena, slice, n, kind, now);
	hz3_unlock(&arena->lock);
}

void hz3_arena_free(size_t slice, size_t n)
{
	free_as(slice, n, HZ3_RUN_DIRTY, hz3_os_now_ms());
}

void hz3_arena_free_clean(size_t slice, size_t n)
{
	free_as(slice, n, HZ3_RUN_CLEAN, 0);
	hz3_limit_give(n << HZ3_SLICE_SHIFT);
}

static bool extend_locked(struct hz3_arena *arena, size_t slice, size_t n, size_t want)
{
	for (unsigned kind = 0; kind < HZ3_RUN_KINDS; kind++) {
		struct hz3_run *run = hz3_arena_run_from_locked(arena, slice + n, kind);
		if (run == NULL || run->slices < want - n)
			continue;
		size_t bytes = kind == HZ3_RUN_DIRTY ? 0 : (want - n) << HZ3_SLICE_SHIFT;
		if (!hz3_limit_take(bytes))
			return false;
		bool done = use_locked(arena, run, want - n, 1) != 0;
		if (!done)
			hz3_limit_give(bytes);
		return done;
	}
	return false;
}

bool hz3_arena_extend(size_t slice, size_t n, size_t want)
{
	struct hz3_arena *arena = arena_of(slice);

	hz3_lock(&arena->lock);
	bool done = extend_locked(arena, slice, n, want);
	hz3_unlock(&arena->lock);
	return done;
}

size_t hz3_arenas_sum(unsigned first, unsigned end, size_t where)
{
	size_t sum = 0;

	for (unsigned i = first; i < end; i++) {
		const _Atomic size_t *counter = (const void *)((const char *)&arenas[i].counters + where);
		/* relaxed: a statistic. */
		sum += hz3_atomic_load(counter, relaxed);
	}
	return sum;
}

static size_t bytes_of_all(size_t where)
{
	return hz3_arenas_sum(0, arena_count, where) << HZ3_SLICE_SHIFT;
}

size_t hz3_arenas_active(void)
{
	return bytes_of_all(offsetof(struct hz3_arena_counters, active));
}

size_t hz3_arenas_dirty(void)
{
	return bytes_of_all(offsetof(struct hz3_arena_counters, dirty));
}

size_t hz3_arenas_committed(void)
{
	return bytes_of_all(offsetof(struct hz3_arena_counters, committed));
}

static void mend(struct hz3_lock *lock);

bool hz3_arenas_init(void)
{
	unsigned n = (unsigned)hz3_options.narenas, cpus = (unsigned)hz3_min(hz3_os_cpus(), ARENAS_BY_CPU_MAX);

	if (arenas)
		return true;
	/*
	 * Large blocks of different threads don't wait for each other.  A lock for each page is rarely contended, and pages are
	 * better together: of what is free here and there, less makes a whole run.
	 */
	page_arena_count = n ? n : (cpus + 3) / 4;
	if (n == 0)
		n = cpus;
	arenas = hz3_meta_alloc(n * sizeof(*arenas));
	if (arenas == NULL)
		return false;
	for (unsigned i = 0; i < n; i++) {
		hz3_lock_init(&arenas[i].lock, HZ3_RANK_ARENA, "arena", mend);
		arenas[i].index = i;
	}
	arena_count = n;
	if (hz3_os_address_space_limit() != SIZE_MAX)
		hz3_arenas_set_scarce();
	return true;
}

unsigned hz3_arenas_count(void)
{
	return arena_count;
}

struct hz3_arena *hz3_arena_at(unsigned i)
{
	return &arenas[i];
}

struct hz3_arena *hz3_arena_for(unsigned i)
{
	return &arenas[i % arena_count];
}

struct hz3_arena *hz3_arena_for_pages(unsigned i)
{
	return &arenas[i % page_arena_count];
}

unsigned hz3_arena_index(const struct hz3_arena *arena)
{
	return arena->index;
}

const struct hz3_arena_counters *hz3_arena_counters(unsigned i)
{
	return &arenas[i].counters;
}

struct hz3_lock *hz3_arena_lock(unsigned i)
{
	return &arenas[i].lock;
}

/*
 * The lists may lead anywhere, and nothing else says which memory is free: so what was free is lost, as address space and, where
 * it was dirty, as memory.  What is in use is not affected, and will be free in lists that are new.
 */
static void mend(struct hz3_lock *lock)
{
	struct hz3_arena *arena = (struct hz3_arena *)lock;
	size_t slices = hz3_page_map_slices();

	memset(&arena->runs, 0, sizeof(arena->runs));
	arena->purged = NULL;
	hz3_atomic_store(&arena->counters.dirty, 0, relaxed);
	for (size_t slice = 1; slice < slices; slice++) {
		uint64_t route = hz3_route_of(slice);
		if (has_locked(arena, slice) && hz3_route_owner(route) == 0 && hz3_route_kind(route) >= HZ3_ROUTE_FREE)
			hz3_route_set(slice, 0);
	}
}

void hz3_arenas_validate(void)
{
	for (unsigned i = 0; i < arena_count; i++) {
		struct hz3_arena *arena = &arenas[i];
		size_t slices[HZ3_RUN_KINDS];
		hz3_lock(&arena->lock);
		for (unsigned kind = 0; kind < HZ3_RUN_KINDS; kind++)
			slices[kind] = hz3_runs_validate(&arena->runs, kind);
		size_t dirty = hz3_atomic_load(&arena->counters.dirty, relaxed);
		hz3_check(slices[HZ3_RUN_DIRTY] == dirty, "arena %u: %zu dirty slices listed, %zu counted", i, slices[HZ3_RUN_DIRTY],
			  dirty);
		hz3_unlock(&arena->lock);
	}
}
