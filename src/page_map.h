/*
 * Address to page: what a freeing thread reads.
 *
 * One window of address space holds every page and run.  It is cut into slices, and four parallel arrays, mapped as
 * the window grows, say what each slice is:
 *
 *   route   8 bytes, read by whoever frees, written when a page or run is made or retired (and by the arena, under its
 *           lock, at the two ends of a free run).  Never written while a block of the page is live, but for the
 *           owner field when a page changes hands.
 *   slice   one line, private to whoever holds the slice: a struct hz3_page or a struct hz3_run.
 *   remote  one line, the words that other threads write (page_remote.h).
 *   live    debug builds and safety checks only: a bit per granule, set where a live block starts.
 *
 * Nothing is reserved: the window is a far part of the address space in which mappings are placed one after the
 * other, so that address space used is memory used, and RLIMIT_AS, overcommit_memory=2 and mlockall see a
 * process of honest size.  Where that can't be done (emulators, sanitizers), a range is reserved after all.
 */
#ifndef HZ3_PAGE_MAP_H
#define HZ3_PAGE_MAP_H

#include "atomic.h"
#include "base.h"
#include "block.h"
#include "lock.h"
#include "page_remote.h"

#define HZ3_SLICE_GRANULES_SHIFT (HZ3_SLICE_SHIFT - HZ3_GRANULE_SHIFT)
#define HZ3_WINDOW_SLICES_MAX ((size_t)1 << 24)	/* 1 TiB */

/* The line of one slice.  Its uses are defined in page.h, runs.h and large.c. */
struct hz3_slice {
	uint64_t words[8];
};

/*
 * A route as it is stored.  Written and read whole; but for the one question that free asks first, whether a block is in the
 * first slice of a page of its own, the upper half is enough.  Both supported processors are little-endian.
 */
union hz3_route {
	_Atomic uint64_t whole;
	struct {
		_Atomic uint32_t low, high;
	} half;
};

struct hz3_page_map {
	uintptr_t base;			/* of slice 0, which is never used */
	_Atomic size_t granules;	/* slices mapped so far, in granules; 0 before set-up */
	union hz3_route *route;
	struct hz3_slice *slice;
	struct hz3_page_remote *remote;
	_Atomic uint64_t *live;		/* HZ3_LIVE_WORDS per slice */
};

extern struct hz3_page_map hz3_page_map;
extern struct hz3_lock hz3_window_lock;

/*
 * A route: [inner 1 | owner 31 | kind 8 | pool 8 | offset 8 | class 8].
 * Page: owner is not 0, kind is 0, offset is the slice's position in its page, inner says that it isn't 0.  So an owner finds
 * that a block is its own, in the first slice of a page, by the upper half alone.
 * A page of a pool (pool.h) says so, and is "inner" in all of its slices: who frees a block of it comes by the way of inner slices,
 * and nobody else has to ask.
 */
#define HZ3_ROUTE_OWNER_SHIFT 32
#define HZ3_ROUTE_OWNER_MASK 0x7fffffffu
#define HZ3_ROUTE_INNER ((uint64_t)1 << 63)
#define HZ3_ROUTE_KIND_SHIFT 24
#define HZ3_ROUTE_OFFSET_SHIFT 8
#define HZ3_ROUTE_POOL_SHIFT 16

/* In the tag of a pool's heap, beside the owner's id. */
#define HZ3_TAG_POOL (1u << 31)

enum hz3_route_kind {
	HZ3_ROUTE_NONE = 0,		/* owner 0: not allocated */
	HZ3_ROUTE_LARGE = 1,		/* first slice of a large run */
	HZ3_ROUTE_FREE = 2,		/* end of a free run: this plus its kind (runs.h); length in the low 24 bits */
};

/* tag: of the owner's heap; the owner's id, and for a pool HZ3_TAG_POOL. */
static HZ3_INLINE uint64_t hz3_route_page(uint32_t tag, unsigned class, unsigned offset)
{
	return (uint64_t)tag << HZ3_ROUTE_OWNER_SHIFT | tag >> 31 << HZ3_ROUTE_POOL_SHIFT |
	       offset << HZ3_ROUTE_OFFSET_SHIFT | class | (offset ? HZ3_ROUTE_INNER : 0);
}

static HZ3_INLINE uint32_t hz3_route_owner(uint64_t route)
{
	return (uint32_t)(route >> HZ3_ROUTE_OWNER_SHIFT) & HZ3_ROUTE_OWNER_MASK;
}

/* Is it a page's, and a pool's?  (The bits are part of the length at the ends of free runs.) */
static HZ3_INLINE bool hz3_route_is_pool(uint64_t route)
{
	return route >> HZ3_ROUTE_POOL_SHIFT & 1 && hz3_route_owner(route) != 0;
}

static HZ3_INLINE unsigned hz3_route_class(uint64_t route)
{
	return route & 0xff;
}

static HZ3_INLINE unsigned hz3_route_offset(uint64_t route)
{
	return (route >> HZ3_ROUTE_OFFSET_SHIFT) & 0xff;
}

static HZ3_INLINE unsigned hz3_route_kind(uint64_t route)
{
	return (route >> HZ3_ROUTE_KIND_SHIFT) & 0xff;
}

/*
 * The granule of p in the window, by rotation: what is not 16-aligned, below the base, above the window or NULL comes out
 * too large, so that one comparison with granules catches them all.
 */
static HZ3_INLINE uintptr_t hz3_granule(uintptr_t base, const void *p)
{
	uintptr_t offset = (uintptr_t)p - base;

	return offset >> HZ3_GRANULE_SHIFT | offset << (64 - HZ3_GRANULE_SHIFT);
}

static HZ3_INLINE uintptr_t hz3_page_map_granule(const void *p)
{
	return hz3_granule(hz3_page_map.base, p);
}

/* relaxed: whoever frees p got it from a thread that saw the window cover it. */
static HZ3_INLINE bool hz3_page_map_covers(uintptr_t granule)
{
	return granule < hz3_atomic_load(&hz3_page_map.granules, relaxed);
}

/* relaxed: the route of a live block does not change but for its owner, and a stale owner forwards (sink.h). */
static HZ3_INLINE uint64_t hz3_route_of(size_t slice)
{
	return hz3_atomic_load(&hz3_page_map.route[slice].whole, relaxed);
}

/* release: what was written to the page comes before what the route says of it. */
static HZ3_INLINE void hz3_route_set(size_t slice, uint64_t route)
{
	hz3_atomic_store(&hz3_page_map.route[slice].whole, route, release);
}

static HZ3_INLINE void *hz3_slice_address(size_t slice)
{
	return (void *)(hz3_page_map.base + (slice << HZ3_SLICE_SHIFT));
}

/* Slices from this one to the next whose address is a multiple of align slices, a power of 2. */
static inline size_t hz3_slice_misalignment(size_t slice, size_t align)
{
	size_t position = (uintptr_t)hz3_slice_address(slice) >> HZ3_SLICE_SHIFT;

	return hz3_align_up(position, align) - position;
}

static HZ3_INLINE size_t hz3_slice_of(const void *p)
{
	return ((uintptr_t)p - hz3_page_map.base) >> HZ3_SLICE_SHIFT;
}

static HZ3_INLINE struct hz3_page_remote *hz3_remote_of(size_t slice)
{
	return &hz3_page_map.remote[slice];
}

/*
 * A thread's own copy of what its frees read of the map, next to whatever else they read: three constants, and a bound that may
 * lag behind the map's and is renewed when it does.
 */
struct hz3_map_view {
	uintptr_t base;
	size_t granules;
	const union hz3_route *route;
	struct hz3_slice *slice;
};

/* Renew a view. */
static inline void hz3_map_view_renew(struct hz3_map_view *view)
{
	view->base = hz3_page_map.base;
	view->granules = hz3_atomic_load(&hz3_page_map.granules, relaxed);
	view->route = hz3_page_map.route;
	view->slice = hz3_page_map.slice;
}

/* The upper half of a slice's route.  relaxed: as hz3_route_of. */
static HZ3_INLINE uint32_t hz3_map_view_upper(const struct hz3_map_view *view, size_t slice)
{
	return hz3_atomic_load(&view->route[slice].half.high, relaxed);
}

/* Slices mapped so far: the bound for those who walk the map. */
size_t hz3_page_map_slices(void);

/* Bytes of the arrays that have memory; the process's resident bytes inside and outside of the window, as the system counts them. */
size_t hz3_page_map_arrays_resident(void);
bool hz3_page_map_resident(uint64_t *inside, uint64_t *outside);

/* Choose the window.  Once, before any other call.  False: no address space at all. */
bool hz3_page_map_init(void);

/*
 * Extend the window by n slices (none of them has memory yet), rounded up to a whole number of growth units; *got is
 * how many.  Returns the first new slice, or 0 if address space or memory for the map is exhausted.
 */
size_t hz3_page_map_grow(size_t n, size_t *got);

/* Give slices memory, or take both memory and address space back.  0, or -1 with the slices unchanged. */
int hz3_page_map_commit(size_t slice, size_t n);
int hz3_page_map_decommit(size_t slice, size_t n);

/*
 * Builds that know of each block whether it is live: debug builds, where alloc.h keeps the bits, and those with safety checks, where
 * safety.c does.
 */
#define HZ3_LIVE (HZ3_DEBUG || HZ3_SAFETY)
#define HZ3_LIVE_BY_ALLOC (HZ3_DEBUG && !HZ3_SAFETY)

/*
 * In these builds: mark a block live; end its life.  The latter returns false if no live block starts there: it was
 * freed before, or p points into a block.  Any thread.
 */
#define HZ3_LIVE_WORDS (HZ3_SLICE / HZ3_GRANULE / 64)
void hz3_live_begin(const void *p);
bool hz3_live_end(const void *p);
bool hz3_live_test(const void *p);

/* No block of these slices is live any more. */
void hz3_live_forget(size_t slice, size_t n);

#endif
