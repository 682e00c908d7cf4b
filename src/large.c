/* Runs and mappings bigger than any class. */
#include "large.h"

#include "arena.h"
#include "atomic.h"
#include "limit.h"
#include "meta.h"
#include "options.h"
#include "os_kept.h"
#include "os_memory.h"
#include "os_resident.h"
#include "page.h"
#include "profile.h"
#include "thp.h"

#include <string.h>

#define COLOUR_BYTES ((size_t)4096)

/* A large run in use, in the line of its first slice; owned by whoever holds the block. */
struct large_run {
	size_t bytes;			/* usable */
	size_t slices;
	size_t offset;			/* of the block in the run; less than a slice */
	uint32_t owner;			/* of the pool that it belongs to (pool.h); 0: to nobody */
};

_Static_assert(sizeof(struct large_run) <= offsetof(struct hz3_page, extent), "a large run fits its line");

/*
 * Huge mappings: open addressing by address, at most half full.  Rare and costly calls go before each use, so one lock
 * does.
 */
struct huge {
	uintptr_t address;		/* 0: free cell */
	size_t bytes;
};

struct huge_table {
	size_t cells;			/* a power of 2 */
	size_t bytes;			/* of the table itself */
	struct huge cell[];
};

static void mend(struct hz3_lock *lock);

struct hz3_lock hz3_large_lock = HZ3_LOCK_INIT(HZ3_RANK_LARGE, "huge", mend);
static struct huge_table *table;	/* under hz3_large_lock, as the next */
static size_t table_used;
static _Atomic size_t huge_bytes;	/* relaxed: statistics, as the next */
static _Atomic size_t huge_count;

static const uint64_t large_route = (uint64_t)HZ3_ROUTE_LARGE << HZ3_ROUTE_KIND_SHIFT;

static size_t cell_of(const struct huge_table *in, uintptr_t address)
{
	return (address >> 12) * HZ3_HASH_FACTOR >> 20 & (in->cells - 1);
}

/* The cell of the address, or the free one where it would go. */
static struct huge *find_in(struct huge_table *in, uintptr_t address)
{
	size_t i = cell_of(in, address);

	while (in->cell[i].address != 0 && in->cell[i].address != address)
		i = (i + 1) & (in->cells - 1);
	return &in->cell[i];
}

static struct huge *find_locked(uintptr_t address)
{
	return find_in(table, address);
}

/* The address last: a cell that has one is complete, also for the child of a fork that sees a part of our stores. */
static void fill(struct huge *cell, struct huge with)
{
	cell->bytes = with.bytes;
	atomic_signal_fence(memory_order_seq_cst);
	cell->address = with.address;
	atomic_signal_fence(memory_order_seq_cst);
}

static void clear(struct huge *cell)
{
	cell->address = 0;
	atomic_signal_fence(memory_order_seq_cst);
}

static struct huge_table *table_new(size_t cells)
{
	size_t bytes = hz3_align_up(sizeof(struct huge_table) + cells * sizeof(struct huge), hz3_os_page_size);
	struct huge_table *new = hz3_meta_map(bytes);

	if (new) {
		new->cells = cells;
		new->bytes = bytes;
	}
	return new;
}

/* Into a new table, all at once; returns how many there are. */
static size_t move_to_locked(struct huge_table *new)
{
	size_t n = 0;

	for (size_t i = 0; table && i < table->cells; i++) {
		if (table->cell[i].address == 0)
			continue;
		struct huge *cell = find_in(new, table->cell[i].address);
		n += cell->address == 0;
		fill(cell, table->cell[i]);
	}
	table = new;
	atomic_signal_fence(memory_order_seq_cst);
	return n;
}

static bool table_grow_locked(void)
{
	struct huge_table *old = table, *new = table_new(old ? old->cells * 2 : 256);

	if (new == NULL)
		return false;
	move_to_locked(new);
	if (old)
		hz3_meta_unmap(old, old->bytes);
	return true;
}

/*
 * Cells are complete, but some may be there twice, and others not be found where they are.  Without memory for another table
 * it stays as it is: better than nothing.
 */
static void mend(struct hz3_lock *lock)
{
	struct huge_table *new = table ? table_new(table->cells) : NULL;

	(void)lock;
	if (new)
		table_used = move_to_locked(new);
}

/* Under the lock, so that the child of a fork has them as the table is. */
static void count_locked(size_t bytes, size_t mappings)
{
	hz3_atomic_fetch_add(&huge_bytes, bytes, relaxed);
	hz3_atomic_fetch_add(&huge_count, mappings, relaxed);
}

static bool insert_locked(uintptr_t address, size_t bytes)
{
	/* Short of memory it may fill up further; the last cell must stay free, or a search would not end. */
	if ((table == NULL || (table_used + 1) * 2 > table->cells) && !table_grow_locked() &&
	    (table == NULL || table_used + 1 >= table->cells))
		return false;
	fill(find_locked(address), (struct huge){ address, bytes });
	table_used++;
	count_locked(bytes, 1);
	return true;
}

/* Close the gap: move back whatever would no longer be found. */
static void remove_locked(struct huge *cell)
{
	size_t mask = table->cells - 1, gap = (size_t)(cell - table->cell);

	table_used--;
	count_locked(-cell->bytes, (size_t)-1);
	clear(cell);
	for (size_t i = (gap + 1) & mask; table->cell[i].address; i = (i + 1) & mask) {
		size_t home = cell_of(table, table->cell[i].address);
		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		fill(&table->cell[gap], table->cell[i]);
		clear(&table->cell[i]);
		gap = i;
	}
}

/* What was kept of old may be of use where the system gives nothing new. */
static void *map_kept(size_t bytes, size_t alignment)
{
	void *p = hz3_os_map_kept(bytes, alignment);

	if (p && (hz3_os_purge(p, bytes) != 0 || !hz3_os_purge_zeroes))
		memset(p, 0, bytes);
	return p;
}

static void *map_and_insert(size_t bytes, size_t alignment)
{
	void *p = hz3_os_map(bytes, alignment);

	if (p == NULL)
		p = map_kept(bytes, alignment);
	if (p == NULL)
		return NULL;
	hz3_lock(&hz3_large_lock);
	bool known = insert_locked((uintptr_t)p, bytes);
	hz3_unlock(&hz3_large_lock);
	if (known)
		return p;
	hz3_os_discard(p, bytes);
	return NULL;
}

void *hz3_large_map(size_t size, size_t alignment)
{
	size_t bytes = hz3_align_up(size, hz3_os_page_size);

	if (!hz3_limit_take(bytes))
		return NULL;
	void *p = map_and_insert(bytes, hz3_max(alignment, hz3_os_page_size));
	if (p == NULL)
		hz3_limit_give(bytes);
	else
		hz3_thp_advise(p, bytes);
	return p;
}

/* Take the mapping out of the table; its bytes, or 0 if there is none at p. */
static size_t huge_forget(const void *p)
{
	size_t bytes = 0;

	hz3_lock(&hz3_large_lock);
	if (table && p) {
		struct huge *cell = find_locked((uintptr_t)p);
		if (cell->address) {
			bytes = cell->bytes;
			remove_locked(cell);
		}
	}
	hz3_unlock(&hz3_large_lock);
	return bytes;
}

static size_t huge_size(const void *p)
{
	size_t bytes = 0;

	hz3_lock(&hz3_large_lock);
	if (table && p) {
		struct huge *cell = find_locked((uintptr_t)p);
		bytes = cell->address ? cell->bytes : 0;
	}
	hz3_unlock(&hz3_large_lock);
	return bytes;
}

static size_t huge_free(void *p)
{
	size_t bytes = huge_forget(p);

	if (bytes) {
		hz3_os_discard(p, bytes);
		hz3_limit_give(bytes);
	}
	return bytes;
}

/* Under the lock: as soon as the mapping has moved, another may appear where it was. */
static void *remap_locked(void *p, size_t want, uint32_t thread)
{
	struct huge *cell = table ? find_locked((uintptr_t)p) : NULL;

	if (cell == NULL || cell->address == 0)
		return NULL;
	size_t have = cell->bytes;
	if (want == have) {
		hz3_profile_forget(p, thread);
		return p;
	}
	if (want > have && !hz3_limit_take(want - have))
		return NULL;
	void *moved = hz3_os_remap(p, have, want, true);
	/* What it could not grow by, or has shrunk by. */
	if ((moved == NULL) == (want > have))
		hz3_limit_give(want > have ? want - have : have - want);
	if (moved == NULL)
		return NULL;
	hz3_profile_forget(p, thread);
	/* There is a cell for it: the one that it leaves. */
	remove_locked(cell);
	insert_locked((uintptr_t)moved, want);
	return moved;
}

static void *huge_resize(void *p, size_t size, uint32_t thread)
{
	hz3_lock(&hz3_large_lock);
	void *moved = remap_locked(p, hz3_align_up(size, hz3_os_page_size), thread);
	hz3_unlock(&hz3_large_lock);
	return moved;
}

static struct large_run *large_at(size_t slice)
{
	return (struct large_run *)&hz3_page_map.slice[slice];
}

/* Whole system pages; of a small block (a sample) what it would have in a page, since programs grow into what they are told. */
static size_t usable_of(size_t size)
{
	return size <= HZ3_CLASS_SIZE_MAX ? hz3_class_size(hz3_size_class(size)) : hz3_align_up(size, hz3_os_page_size);
}

static size_t slices_for(size_t bytes)
{
	return hz3_align_up(bytes, HZ3_SLICE) >> HZ3_SLICE_SHIFT;
}

/*
 * Where in its run a block starts: at one of the lines of the first page, as far as what it leaves unused allows, another one in each run.
 * If all started with their slice, their first lines would share one set of the first cache, and drive each other out.  Not further in:
 * a run that is used again for another size shall begin in the same page, which has memory.
 */
static size_t colour(size_t slice, size_t surplus, size_t alignment)
{
	size_t step = hz3_max(alignment, HZ3_CACHE_LINE);
	size_t places = hz3_min(surplus / step + 1, hz3_max(COLOUR_BYTES / step, 1));

	return (slice * HZ3_HASH_FACTOR >> 32) % places * step;
}

size_t hz3_large_slices(size_t size, size_t alignment)
{
	/* Huge blocks, and those that alignment would make so. */
	if (size > hz3_options.huge_threshold || alignment > hz3_options.huge_threshold)
		return 0;
	return slices_for(hz3_align_up(size, hz3_os_page_size));
}

void *hz3_large_place(size_t slice, size_t n, size_t size, size_t alignment)
{
	struct large_run *run = large_at(slice);

	run->bytes = usable_of(size);
	run->slices = n;
	run->owner = 0;
	run->offset = colour(slice, (n << HZ3_SLICE_SHIFT) - run->bytes, alignment);
	hz3_route_set(slice, large_route);
	return (char *)hz3_slice_address(slice) + run->offset;
}

/* The slice of the large run whose block starts at p, or 0. */
static size_t run_of(const void *p)
{
	uintptr_t granule = hz3_page_map_granule(p);

	if (!hz3_page_map_covers(granule))
		return 0;
	size_t slice = granule >> HZ3_SLICE_GRANULES_SHIFT;
	if (hz3_route_of(slice) != large_route)
		return 0;
	return (uintptr_t)p == (uintptr_t)hz3_slice_address(slice) + large_at(slice)->offset ? slice : 0;
}

void hz3_large_set_owner(size_t slice, uint32_t owner)
{
	large_at(slice)->owner = owner;
}

uint32_t hz3_large_owner(const void *p)
{
	size_t slice = run_of(p);

	return slice ? large_at(slice)->owner : 0;
}

void *hz3_large_block(size_t slice)
{
	return (char *)hz3_slice_address(slice) + large_at(slice)->offset;
}

static _Noreturn void bad_pointer(const char *call, const void *p)
{
	uintptr_t granule = hz3_page_map_granule(p);

	if ((uintptr_t)p % HZ3_GRANULE != 0)
		hz3_die("%s: %p is misaligned: no block starts there", call, p);
	if (!hz3_page_map_covers(granule))
		hz3_die("%s: %p is a foreign pointer: it did not come from hz3, or it was freed before", call, p);
	hz3_die("%s: %p is in memory that is not in use, or inside a large block: freed twice, or not the start of a block",
		call, p);
}

size_t hz3_large_run_of(const void *p, size_t *n)
{
	size_t slice = run_of(p);

	if (slice == 0 || large_at(slice)->owner != 0)
		return 0;
	*n = large_at(slice)->slices;
	return slice;
}

size_t hz3_large_run_bytes(size_t slice)
{
	return large_at(slice)->bytes;
}

size_t hz3_large_end_run(void *p, size_t slice)
{
	size_t bytes = large_at(slice)->bytes;
	uint64_t expected = large_route;

	/* relaxed: of two threads that free the same block, one must see that it is gone. */
	if (!hz3_atomic_cas_strong(&hz3_page_map.route[slice].whole, &expected, 0, relaxed, relaxed))
		bad_pointer("free", p);
	return bytes;
}

size_t hz3_large_end(void *p, size_t *slices_from, size_t *n)
{
	size_t slice = run_of(p), bytes;

	*slices_from = slice;
	if (slice) {
		*n = large_at(slice)->slices;
		return hz3_large_end_run(p, slice);
	}
	bytes = huge_free(p);
	if (bytes == 0)
		bad_pointer("free", p);
	return bytes;
}

size_t hz3_large_size_for(const char *call, const void *p)
{
	size_t slice = run_of(p);
	size_t bytes = slice ? large_at(slice)->bytes : huge_size(p);

	if (bytes == 0)
		bad_pointer(call, p);
	return bytes;
}

size_t hz3_large_usable_size(const void *p)
{
	return hz3_large_size_for("malloc_usable_size", p);
}

static void *run_resize(size_t slice, size_t size)
{
	struct large_run *run = large_at(slice);
	size_t bytes = hz3_align_up(size, hz3_os_page_size), n = slices_for(run->offset + size);

	if (size <= HZ3_LARGE_GROWN_MIN || bytes > hz3_options.huge_threshold)
		return NULL;
	/* Whole system pages, but not another slice for that. */
	bytes = hz3_min(bytes, (n << HZ3_SLICE_SHIFT) - run->offset);
	/* A pool's run (the caller has the pool's lock) stays as it is, if it is long enough, and not far too long. */
	if (run->owner) {
		if (n > run->slices || n < run->slices / 2)
			return NULL;
		run->bytes = bytes;
		return hz3_large_block(slice);
	}
	if (n > run->slices && !hz3_arena_extend(slice, run->slices, n))
		return NULL;
	size_t surplus = n < run->slices ? run->slices - n : 0;
	if (hz3_options.zero_on_free && bytes < run->bytes)
		memset((char *)hz3_large_block(slice) + bytes, 0, run->bytes - bytes);
	run->bytes = bytes;
	run->slices = n;
	if (surplus)
		hz3_arena_free(slice + n, surplus);
	return (char *)hz3_slice_address(slice) + run->offset;
}

void *hz3_large_resize(void *p, size_t size, uint32_t thread)
{
	size_t slice = run_of(p);

	if (slice) {
		void *q = run_resize(slice, size);
		if (q)
			hz3_profile_forget(p, thread);
		return q;
	}
	/* Back to a run, by copying, when most of the mapping would go unused. */
	if (size <= hz3_options.huge_threshold / 2)
		return NULL;
	return huge_resize(p, size, thread);
}

size_t hz3_large_huge_count(void)
{
	return hz3_atomic_load(&huge_count, relaxed);
}

size_t hz3_large_huge_bytes(void)
{
	return hz3_atomic_load(&huge_bytes, relaxed);
}

/* The next huge mapping from a cell on. */
static struct huge next_huge(size_t *cell)
{
	struct huge found = { 0, 0 };

	hz3_lock(&hz3_large_lock);
	while (found.address == 0 && table && *cell < table->cells)
		found = table->cell[(*cell)++];
	hz3_unlock(&hz3_large_lock);
	return found;
}

size_t hz3_large_huge_resident(void)
{
	size_t cell = 0, bytes = 0;

	for (struct huge huge; (huge = next_huge(&cell)).address != 0;)
		bytes += hz3_os_resident_of((const void *)huge.address, huge.bytes);
	return bytes;
}

HZ3_RACY size_t hz3_large_run_slices(size_t slice)
{
	/* relaxed: the run may end while we look. */
	return hz3_read_once(&large_at(slice)->slices);
}
