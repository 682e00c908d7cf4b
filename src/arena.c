/* Arenas: address ranges from which pages and large runs are cut. */
#include "arena.h"

#include <errno.h>
#include <string.h>

#include "limit.h"
#include "meta.h"
#include "options.h"
#include "os_clock.h"
#include "os_kept.h"
#include "os_memory.h"
#include "os_process.h"
#include "runs.h"
#include "thp.h"
#include "usdt.h"

#define COMMIT_SLICES ((size_t)16)	/* memory is mapped 1 MiB at a time */
#define GROW_SLICES ((size_t)64)
#define LONG_SLICES ((size_t)512)	/* so much is asked for on trial before the window grows */
#define WAIT_MS_MAX 100u
#define ARENAS_BY_CPU_MAX 16

/* Chunks of the window and the arena that each belongs to. */
#define CHUNK_SLICES_SHIFT 6

struct hz3_arena {
	struct hz3_lock lock;			/* first: mend() */
	unsigned index;
	struct hz3_runs runs;
	struct hz3_run *purged;			/* that are with the system now: in use, for everybody else */
	struct hz3_arena_counters counters HZ3_ALIGNED(HZ3_CACHE_LINE);
} HZ3_ALIGNED(HZ3_CACHE_LINE);

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

static struct hz3_arena *arenas;
static _Atomic bool scarce;		/* relaxed: a policy */
static _Atomic unsigned purging;	/* relaxed: runs that are with the system now; a hint, changed under the arena's lock */
static unsigned arena_count, page_arena_count;

/*
 * Arena by chunk, its index and 1: written when the window has grown, before any run of the chunk exists.  Until then a chunk is nobody's: 0.
 * A byte for each 4 MiB of 1 TiB; untouched parts have no memory.
 */
static _Atomic uint8_t chunk_arena[(1u << 24) >> CHUNK_SLICES_SHIFT];
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

/* Counters have one writer at a time (the lock's holder), so a plain addition in two steps loses nothing. */
static void count(_Atomic size_t *counter, ptrdiff_t n)
{
	hz3_atomic_store(counter, hz3_atomic_load(counter, relaxed) + (size_t)n, relaxed);
}

/* Take a free run out of every list; its slices have route 0 afterwards. */
static void unlink_locked(struct hz3_arena *arena, struct hz3_run *run)
{
	if (run->kind == HZ3_RUN_DIRTY)
		count(&arena->counters.dirty, -(ptrdiff_t)run->slices);
	hz3_runs_remove(&arena->runs, run);
}

/* A free run that has no neighbours to merge with; of no slices: none. */
static void link_locked(struct hz3_arena *arena, size_t slice, size_t n, unsigned kind, uint64_t stamp_ms, struct hz3_run *age_after)
{
	if (n == 0)
		return;
	if (kind == HZ3_RUN_DIRTY)
		count(&arena->counters.dirty, (ptrdiff_t)n);
	hz3_runs_add(&arena->runs, slice, n, kind, stamp_ms, age_after);
}

/* The arena's free run of the given kind that ends just before slice, or starts at it; NULL if there is none. */
static struct hz3_run *run_before(struct hz3_arena *arena, size_t slice, unsigned kind)
{
	return slice > 1 && has_locked(arena, slice - 1) ? hz3_run_to(slice - 1, kind) : NULL;
}

static struct hz3_run *run_from(struct hz3_arena *arena, size_t slice, unsigned kind)
{
	return slice < hz3_page_map_slices() && has_locked(arena, slice) ? hz3_run_from(slice, kind) : NULL;
}

/*
 * Make [slice, slice + n) a free run of its kind, merged with its neighbours.  The age is that of the largest part: traffic at
 * the edge of a large run must not keep it young for ever.
 */
static void insert_locked(struct hz3_arena *arena, size_t slice, size_t n, unsigned kind, uint64_t now)
{
	struct hz3_run *left = run_before(arena, slice, kind);
	struct hz3_run *right = run_from(arena, slice + n, kind);
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
		unlink_locked(arena, left);
		slice -= left->slices;
		n += left->slices;
	}
	if (right) {
		unlink_locked(arena, right);
		n += right->slices;
	}
	link_locked(arena, slice, n, kind, now, age_after);
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
		unlink_locked(arena, run);
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
		count(&arena->counters.committed, (ptrdiff_t)amount);
		extra = amount - n;
	}
	unlink_locked(arena, run);
	link_locked(arena, start, skip, kind, stamp, age_after);
	if (skip && kind == HZ3_RUN_DIRTY)
		age_after = hz3_run_at(start);
	if (extra)
		insert_locked(arena, first + n, extra, HZ3_RUN_CLEAN, 0);
	link_locked(arena, first + n + extra, rest - extra, kind, stamp, age_after);
	count(&arena->counters.active, (ptrdiff_t)n);
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
	insert_locked(arena, first, got, HZ3_RUN_UNCOMMITTED, 0);
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

static bool is_possible(size_t n, size_t align)
{
	return n <= (size_t)1 << 23 && align <= (size_t)1 << 23;
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
	count(&arena->counters.active, -(ptrdiff_t)n);
	insert_locked(arena, slice, n, kind, now);
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
		struct hz3_run *run = run_from(arena, slice + n, kind);
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
	unlink_locked(arena, run);
	link_locked(arena, slice + *n, total - *n, HZ3_RUN_DIRTY, stamp, NULL);
	list_purged_locked(arena, slice, *n);
	return slice;
}

/* May these slices, which are in no list, become a hole?  A part of one that is there is none more. */
static bool may_unmap_locked(struct hz3_arena *arena, size_t slice, size_t n, unsigned holes_max)
{
	return arena->runs.bins[HZ3_RUN_UNCOMMITTED].runs < hz3_max(holes_max / arena_count, 1) ||
	       run_before(arena, slice, HZ3_RUN_UNCOMMITTED) || run_from(arena, slice + n, HZ3_RUN_UNCOMMITTED);
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
		count(&arena->counters.committed, -(ptrdiff_t)n);
	if (kind != HZ3_RUN_DIRTY) {
		hz3_limit_give(n << HZ3_SLICE_SHIFT);
		hz3_atomic_fetch_add(&arena->counters.purges, 1, relaxed);
		hz3_atomic_fetch_add(&arena->counters.purged_slices, n, relaxed);
		insert_locked(arena, slice, n, kind, 0);
		return;
	}
	/* Locked memory, or a system that refuses: still dirty, and, if its neighbours are not, not to be tried again before it has aged. */
	hz3_atomic_fetch_add(&arena->counters.purge_failures, 1, relaxed);
	insert_locked(arena, slice, n, HZ3_RUN_DIRTY, hz3_os_now_ms());
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
		unlink_locked(arena, run);
		count(&arena->counters.committed, -(ptrdiff_t)n);
		if (kind == HZ3_RUN_DIRTY)
			hz3_limit_give(n << HZ3_SLICE_SHIFT);
		insert_locked(arena, slice, n, HZ3_RUN_UNCOMMITTED, 0);
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
	return purge(&arenas[i], now - age_ms, 0);
}

size_t hz3_arenas_purge(uint64_t age_ms)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < arena_count; i++)
		bytes += hz3_arena_purge(i, age_ms);
	return bytes;
}

size_t hz3_arena_purge_to(unsigned i, size_t keep)
{
	struct hz3_arena *arena = &arenas[i];

	/* relaxed: a hint; purge looks again under the lock. */
	if (hz3_atomic_load(&arena->counters.dirty, relaxed) <= keep >> HZ3_SLICE_SHIFT)
		return 0;
	/* Down to half, so that the next free does not have to purge again. */
	return purge(arena, UINT64_MAX, keep >> (HZ3_SLICE_SHIFT + 1));
}

size_t hz3_arenas_purge_some(size_t want)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < arena_count && bytes < want; i++) {
		/* relaxed: a hint. */
		size_t dirty = hz3_atomic_load(&arenas[i].counters.dirty, relaxed);
		size_t slices = hz3_align_up(want - bytes, HZ3_SLICE) >> HZ3_SLICE_SHIFT;
		bytes += purge(&arenas[i], UINT64_MAX, dirty > slices ? dirty - slices : 0);
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

	for (unsigned i = 0; i < arena_count; i++) {
		hz3_lock(&arenas[i].lock);
		bytes += decommit_kind_locked(&arenas[i], HZ3_RUN_DIRTY, 1, holes_max);
		bytes += decommit_kind_locked(&arenas[i], HZ3_RUN_CLEAN, 1, holes_max);
		hz3_unlock(&arenas[i].lock);
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

static size_t sum(size_t offset)
{
	size_t slices = 0;

	for (unsigned i = 0; i < arena_count; i++) {
		const _Atomic size_t *counter = (const void *)((const char *)&arenas[i].counters + offset);
		slices += hz3_atomic_load(counter, relaxed);
	}
	return slices << HZ3_SLICE_SHIFT;
}

size_t hz3_arenas_active(void)
{
	return sum(offsetof(struct hz3_arena_counters, active));
}

size_t hz3_arenas_dirty(void)
{
	return sum(offsetof(struct hz3_arena_counters, dirty));
}

size_t hz3_arenas_committed(void)
{
	return sum(offsetof(struct hz3_arena_counters, committed));
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

/* Whoever purged it may have unmapped it or not: so it is unmapped, or has its old contents. */
static void end_purge_locked(struct hz3_arena *arena, size_t slice, size_t n)
{
	bool unmapped = n >= DECOMMIT_SLICES_MIN;

	if (unmapped && hz3_page_map_decommit(slice, n) != 0)
		return;
	if (unmapped)
		count(&arena->counters.committed, -(ptrdiff_t)n);
	insert_locked(arena, slice, n, unmapped ? HZ3_RUN_UNCOMMITTED : HZ3_RUN_DIRTY, hz3_os_now_ms());
}

void hz3_arenas_end_purges(void)
{
	for (unsigned i = 0; i < arena_count; i++) {
		struct hz3_arena *arena = &arenas[i];
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
