/* Where the memory is: rows that add up to the resident memory of the process. */
#include "waterfall.h"

#include "large.h"
#include "meta.h"
#include "os_resident.h"
#include "page_map.h"
#include "runs.h"
#include "stats.h"

/* What a slice is for. */
enum use { PAGES, LARGE, KEPT, DIRTY, CLEAN, NO_MEMORY, USES };

struct walk {
	uint64_t bytes[USES];
	uint64_t resident[USES];
	enum use use;		/* of the range that is being gathered */
	size_t slice, n;
};

/* The range is complete. */
static void end_range(struct walk *walk)
{
	size_t bytes = walk->n << HZ3_SLICE_SHIFT;

	walk->bytes[walk->use] += bytes;
	if (bytes && walk->use != NO_MEMORY)
		walk->resident[walk->use] += hz3_os_resident_of(hz3_slice_address(walk->slice), bytes);
	walk->n = 0;
}

static void add_range(struct walk *walk, enum use use, size_t slice, size_t n)
{
	if (walk->use != use) {
		end_range(walk);
		walk->use = use;
	}
	if (walk->n == 0)
		walk->slice = slice;
	walk->n += n;
}

static const enum use use_of_free_run[] = { [HZ3_RUN_DIRTY] = DIRTY, [HZ3_RUN_CLEAN] = CLEAN, [HZ3_RUN_UNCOMMITTED] = NO_MEMORY };

/* What begins with the slice, and of how many.  Arenas are not locked: a free run may just be used, or grow. */
static enum use look(size_t slice, size_t *n)
{
	uint64_t route = hz3_route_of(slice);

	*n = 1;
	if (hz3_route_owner(route)) {
		*n = hz3_class_info[hz3_route_class(route)].slices;
		return PAGES;
	}
	switch (hz3_route_kind(route)) {
	case HZ3_ROUTE_LARGE:
		*n = hz3_large_run_slices(slice);
		return LARGE;
	case HZ3_ROUTE_FREE + HZ3_RUN_DIRTY:
	case HZ3_ROUTE_FREE + HZ3_RUN_CLEAN:
	case HZ3_ROUTE_FREE + HZ3_RUN_UNCOMMITTED:
		*n = hz3_run_length(route);
		return use_of_free_run[hz3_route_kind(route) - HZ3_ROUTE_FREE];
	}
	/* In use, with no route: in a thread's stock, or on its way from one use to another. */
	return KEPT;
}

static void walk_slices(struct walk *walk)
{
	size_t slices = hz3_page_map_slices(), n;

	for (size_t slice = 1; slice < slices; slice += n) {
		enum use use = look(slice, &n);
		n = hz3_min(hz3_max(n, 1), slices - slice);
		add_range(walk, use, slice, n);
	}
	end_range(walk);
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/*
 * Resident memory of the window with its arrays, and of all else.  Without a list of mappings, the one is what the walk
 * found, the other what is left.
 */
static void find_resident(const struct walk *walk, const struct hz3_stats *stats, uint64_t arrays, uint64_t *window,
			  uint64_t *elsewhere)
{
	if (hz3_page_map_resident(window, elsewhere))
		return;
	*window = arrays;
	for (unsigned use = 0; use < USES; use++)
		*window += walk->resident[use];
	*elsewhere = minus(stats->resident, *window);
}

/* Of the slices for a use, what has no memory. */
static uint64_t untouched(const struct walk *walk, enum use use)
{
	return minus(walk->bytes[use], walk->resident[use]);
}

/* live * (asked for) / (got), from the samples. */
static uint64_t requested(uint64_t live_bytes, uint64_t asked, uint64_t got)
{
	return got ? (uint64_t)((unsigned __int128)live_bytes * asked / got) : live_bytes;
}

static uint64_t small_requested(const struct hz3_stats *stats)
{
	uint64_t bytes = 0;

	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		const struct hz3_class_stats *c = &stats->class[class];
		bytes += requested(c->live * c->size, c->slow_asked_bytes, c->slow_allocs * c->size);
	}
	return bytes;
}

void hz3_waterfall_collect(struct hz3_waterfall *out, const struct hz3_stats *stats, uint64_t waiting)
{
	struct walk walk = { .use = NO_MEMORY };
	uint64_t huge = hz3_large_huge_bytes(), huge_resident = hz3_large_huge_resident();
	uint64_t small_live = stats->allocated - stats->large.live_bytes, large = stats->large.live_bytes;
	uint64_t meta_resident = hz3_meta_resident(), map_resident = hz3_page_map_arrays_resident();
	uint64_t window, elsewhere;

	*out = (struct hz3_waterfall){ .held = stats->held_bytes, .waiting = waiting };
	walk_slices(&walk);
	find_resident(&walk, stats, map_resident, &window, &elsewhere);
	/* Blocks on their way count as live in the statistics. */
	uint64_t live = minus(small_live, out->held + out->waiting);
	out->requested = requested(live, small_requested(stats), small_live) +
			 requested(large, stats->sum.large_asked_bytes, stats->sum.large_alloc_bytes);
	out->rounding = minus(live + walk.bytes[LARGE] + huge, out->requested);
	out->free_in_pages = minus(walk.bytes[PAGES], live + out->held + out->waiting);
	out->kept = walk.bytes[KEPT];
	out->dirty = walk.bytes[DIRTY] + walk.resident[CLEAN];
	out->metadata = stats->metadata;
	out->untouched_in_pages = untouched(&walk, PAGES);
	out->untouched = out->untouched_in_pages + untouched(&walk, LARGE) + untouched(&walk, KEPT) + untouched(&walk, DIRTY) +
			 minus(huge, huge_resident) + minus(stats->metadata, meta_resident + map_resident);
	out->resident = window + elsewhere;
	out->other = minus(elsewhere, huge_resident + meta_resident);
	out->unaccounted = out->resident - (out->requested + out->rounding + out->held + out->waiting + out->free_in_pages +
					    out->kept + out->dirty + out->metadata + out->other - out->untouched);
}
