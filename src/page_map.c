/* Address to page: what a freeing thread reads. */
#include "page_map.h"

#include "limit.h"
#include "meta.h"
#include "os_kept.h"
#include "os_memory.h"
#include "os_resident.h"
#include "thp.h"

/* 64 slices: 4 MiB of blocks, for which the arrays grow by 512 bytes, 4 KiB and 4 KiB. */
#define GROWTH_SLICES ((size_t)64)
#define WINDOW_SLICES_MIN ((size_t)1 << 12)
#define PLACES_TRIED 16

struct hz3_page_map hz3_page_map;

static void mend(struct hz3_lock *lock);

struct hz3_lock hz3_window_lock = HZ3_LOCK_INIT(HZ3_RANK_WINDOW, "window", mend);

/* One parallel array: where it starts, how much of it is mapped. */
struct map_array {
	char *start;
	size_t element_bytes;
	size_t mapped;		/* bytes; under hz3_window_lock, as the next */
	size_t wanted;		/* more than that while it grows */
};

enum { ARRAY_ROUTE, ARRAY_SLICE, ARRAY_REMOTE, ARRAY_LIVE, ARRAYS };

static struct map_array arrays[ARRAYS] = {
	[ARRAY_ROUTE] = { .element_bytes = sizeof(uint64_t) },
	[ARRAY_SLICE] = { .element_bytes = sizeof(struct hz3_slice) },
	[ARRAY_REMOTE] = { .element_bytes = sizeof(struct hz3_page_remote) },
	[ARRAY_LIVE] = { .element_bytes = HZ3_LIVE ? HZ3_LIVE_WORDS * sizeof(uint64_t) : 0 },
};

static size_t window_slices;	/* how many there can be */
static size_t used_slices;	/* under hz3_window_lock */
static bool reserved;		/* the window is a reservation of ours; else free address space */

static int window_map(void *p, size_t bytes)
{
	return reserved ? hz3_os_commit(p, bytes) : hz3_os_map_at(p, bytes);
}

/* Map the array for the first n slices.  In steps of 64 KiB, so that it stays one mapping and few calls. */
static bool array_cover(struct map_array *array, size_t n)
{
	size_t step = hz3_max((size_t)64 << 10, hz3_os_page_size);
	size_t want = hz3_align_up(n * array->element_bytes, step);

	if (want <= array->mapped)
		return true;
	array->wanted = want;
	if (!hz3_limit_take(want - array->mapped))
		return false;
	if (window_map(array->start + array->mapped, want - array->mapped) != 0) {
		hz3_limit_give(want - array->mapped);
		return false;
	}
	hz3_meta_note(want - array->mapped);
	array->mapped = want;
	return true;
}

/* An array may have grown and not know it, and then could never grow again: mappings do not replace each other. */
static void mend(struct hz3_lock *lock)
{
	(void)lock;
	for (unsigned i = 0; i < ARRAYS; i++)
		if (!reserved && arrays[i].wanted > arrays[i].mapped)
			hz3_os_unmap(arrays[i].start + arrays[i].mapped, arrays[i].wanted - arrays[i].mapped);
}

static bool cover(size_t n)
{
	for (unsigned i = 0; i < ARRAYS; i++)
		if (!array_cover(&arrays[i], n))
			return false;
	return true;
}

static size_t array_span(unsigned i, size_t slices)
{
	return hz3_align_up(slices * arrays[i].element_bytes, (size_t)1 << 20);
}

static size_t window_bytes(size_t slices)
{
	size_t bytes = slices << HZ3_SLICE_SHIFT;

	for (unsigned i = 0; i < ARRAYS; i++)
		bytes += array_span(i, slices);
	return bytes;
}

static void lay_out(uintptr_t start, size_t slices)
{
	for (unsigned i = 0; i < ARRAYS; i++) {
		arrays[i].start = (char *)start;
		arrays[i].mapped = 0;
		start += array_span(i, slices);
	}
	window_slices = slices;
	hz3_page_map.base = start;
	hz3_page_map.route = (union hz3_route *)(uintptr_t)arrays[ARRAY_ROUTE].start;
	hz3_page_map.slice = (struct hz3_slice *)(uintptr_t)arrays[ARRAY_SLICE].start;
	hz3_page_map.remote = (struct hz3_page_remote *)(uintptr_t)arrays[ARRAY_REMOTE].start;
	hz3_page_map.live = (_Atomic uint64_t *)(uintptr_t)arrays[ARRAY_LIVE].start;
}

/*
 * A place far from where the system puts things: between 32 and 80 TiB, above the shadow memory of the address
 * sanitizer and below position independent programs, on a 4 GiB boundary.
 */
static uintptr_t random_place(void)
{
	uintptr_t low = (uintptr_t)32 << 40, units = ((uintptr_t)48 << 40) >> 32;

	return low + ((hz3_os_random() % units) << 32);
}

/* Could the window stand at start?  Try its corners: the first array block and the first slices. */
static bool place_is_free(uintptr_t start, size_t slices)
{
	lay_out(start, slices);
	if (!cover(GROWTH_SLICES))
		return false;
	void *first = hz3_slice_address(0);
	if (hz3_os_map_at(first, GROWTH_SLICES << HZ3_SLICE_SHIFT) != 0)
		return false;
	if (hz3_os_unmap(first, GROWTH_SLICES << HZ3_SLICE_SHIFT) == 0)
		return true;
	hz3_os_discard(first, GROWTH_SLICES << HZ3_SLICE_SHIFT);
	return false;
}

static void release_place(void)
{
	for (unsigned i = 0; i < ARRAYS; i++) {
		hz3_meta_note(-arrays[i].mapped);
		hz3_limit_give(arrays[i].mapped);
		if (arrays[i].mapped && !reserved)
			hz3_os_discard(arrays[i].start, arrays[i].mapped);
		arrays[i].mapped = 0;
	}
}

static bool reserve_window(void)
{
	reserved = true;
	for (size_t slices = HZ3_WINDOW_SLICES_MAX / 16; slices >= WINDOW_SLICES_MIN; slices /= 2) {
		void *p = hz3_os_reserve(window_bytes(slices), HZ3_SLICE);
		if (p) {
			lay_out((uintptr_t)p, slices);
			if (cover(GROWTH_SLICES))
				return true;
			release_place();
			hz3_os_unmap(p, window_bytes(slices));
		}
	}
	return false;
}

bool hz3_page_map_init(void)
{
	if (used_slices)
		return true;
	reserved = false;
	for (unsigned i = 0; i < PLACES_TRIED && !HZ3_THREAD_SANITIZER; i++) {
		if (place_is_free(random_place(), HZ3_WINDOW_SLICES_MAX)) {
			used_slices = 1;	/* slice 0 stays unused, so that 0 can mean "none" */
			return true;
		}
		release_place();
	}
	if (!reserve_window())
		return false;
	used_slices = 1;
	return true;
}

size_t hz3_page_map_grow(size_t n, size_t *got)
{
	size_t first = 0;

	hz3_lock(&hz3_window_lock);
	/* Up to a growth boundary, so that what slice 0 takes is given back to alignment at once. */
	size_t end = hz3_align_up(used_slices + n, GROWTH_SLICES);
	if (n <= window_slices && end <= window_slices && cover(end)) {
		first = used_slices;
		*got = end - used_slices;
		used_slices = end;
		/* release: the arrays are mapped before anybody may index them. */
		hz3_atomic_store(&hz3_page_map.granules, end << HZ3_SLICE_GRANULES_SHIFT, release);
	}
	hz3_unlock(&hz3_window_lock);
	return first;
}

size_t hz3_page_map_slices(void)
{
	/* acquire: pairs with the release in grow. */
	return hz3_atomic_load(&hz3_page_map.granules, acquire) >> HZ3_SLICE_GRANULES_SHIFT;
}

int hz3_page_map_commit(size_t slice, size_t n)
{
	void *p = hz3_slice_address(slice);
	size_t bytes = n << HZ3_SLICE_SHIFT;

	if (window_map(p, bytes) != 0)
		return -1;
	hz3_thp_advise(p, bytes);
	return 0;
}

int hz3_page_map_decommit(size_t slice, size_t n)
{
	void *p = hz3_slice_address(slice);
	size_t bytes = n << HZ3_SLICE_SHIFT;

	if (!reserved)
		return hz3_os_unmap(p, bytes);
	if (hz3_os_purge(p, bytes) != 0)
		return -1;
	return hz3_os_protect_none(p, bytes);
}

static _Atomic uint64_t *live_word(const void *p, uint64_t *bit)
{
	uintptr_t granule = hz3_page_map_granule(p);

	*bit = (uint64_t)1 << (granule % 64);
	return &hz3_page_map.live[granule / 64];
}

/* relaxed, all three: a block's life is ordered by whoever passes the block on; the bits only report mistakes. */
void hz3_live_begin(const void *p)
{
	uint64_t bit;
	_Atomic uint64_t *word = live_word(p, &bit);
	uint64_t old = hz3_atomic_fetch_or(word, bit, relaxed);

	hz3_check(!(old & bit), "block %p was handed out twice (internal error)", p);
}

bool hz3_live_end(const void *p)
{
	uint64_t bit;
	_Atomic uint64_t *word = live_word(p, &bit);

	return hz3_atomic_fetch_and(word, ~bit, relaxed) & bit;
}

bool hz3_live_test(const void *p)
{
	uint64_t bit;
	_Atomic uint64_t *word = live_word(p, &bit);

	return hz3_atomic_load(word, relaxed) & bit;
}

void hz3_live_forget(size_t slice, size_t n)
{
	for (size_t i = slice * HZ3_LIVE_WORDS; i < (slice + n) * HZ3_LIVE_WORDS; i++)
		hz3_atomic_store(&hz3_page_map.live[i], 0, relaxed);
}

size_t hz3_page_map_arrays_resident(void)
{
	size_t mapped[ARRAYS], bytes = 0;

	hz3_lock(&hz3_window_lock);
	for (unsigned i = 0; i < ARRAYS; i++)
		mapped[i] = arrays[i].mapped;
	hz3_unlock(&hz3_window_lock);
	for (unsigned i = 0; i < ARRAYS; i++)
		bytes += hz3_os_resident_of(arrays[i].start, mapped[i]);
	return bytes;
}

bool hz3_page_map_resident(uint64_t *inside, uint64_t *outside)
{
	return hz3_os_resident_split((uintptr_t)arrays[0].start, (uintptr_t)hz3_slice_address(window_slices), inside, outside);
}
