/* The memory of a pool: extents, and the runs of slices that are cut from them. */
#include "extent.h"

#include "large.h"
#include "meta.h"
#include "os_memory.h"
#include "page.h"
#include "thp.h"

#define WORD_SLICES ((size_t)64)
#define SHARED_MAX ((size_t)32)		/* longer runs have an extent of their own */
#define FIRST_SLICES ((size_t)16)	/* of the first extent; each next one is twice as long */

/* With hooks: 2 MiB, so that pages of that size can be put there. */
#define HOOKED_SLICES ((size_t)32)

static size_t unit_of(const struct hz3_extents *extents)
{
	return extents->hooks.map ? HOOKED_SLICES : 1;
}

void hz3_extents_begin(struct hz3_extents *extents, struct hz3_arena *arena, const struct hz3_os_hooks *hooks, void *context)
{
	struct hz3_extent *unused = extents->unused;

	*extents = (struct hz3_extents){ .arena = arena, .context = context, .unused = unused };
	if (hooks && hooks->map)
		extents->hooks = *hooks;
	extents->next_slices = hz3_max(FIRST_SLICES, unit_of(extents));
}

static struct hz3_extent *description(struct hz3_extents *extents)
{
	struct hz3_extent *extent = extents->unused;

	if (extent == NULL)
		return hz3_meta_alloc(sizeof(*extent));
	extents->unused = extent->next;
	return extent;
}

size_t hz3_extents_slices(const struct hz3_extents *extents, size_t n)
{
	return hz3_align_up(n, unit_of(extents));
}

static void forget(struct hz3_extents *extents, struct hz3_extent *extent)
{
	extent->next = extents->unused;
	atomic_signal_fence(memory_order_release);
	extents->unused = extent;
}

/*
 * What a hook has seen is no more what the system has mapped there: replaced in one step, so that nobody else gets the addresses.
 * Should the system refuse that, memory and addresses are lost.
 */
static void renew_and_give_back(size_t slice, size_t n)
{
	void *p = hz3_slice_address(slice);
	size_t bytes = n << HZ3_SLICE_SHIFT;

	if (hz3_os_map_over(p, bytes) != 0)
		return;
	hz3_thp_advise(p, bytes);
	hz3_arena_free_clean(slice, n);
}

/* n slices from the arena, which the hook has agreed to; 0: there are none. */
static size_t map(struct hz3_extents *extents, size_t n, size_t align, bool *zero)
{
	size_t slice = hz3_arenas_alloc(extents->arena, n, hz3_max(align, unit_of(extents)), zero);

	if (slice == 0 || extents->hooks.map == NULL)
		return slice;
	if (extents->hooks.map(hz3_slice_address(slice), n << HZ3_SLICE_SHIFT, extents->context) == 0)
		return slice;
	extents->refused = true;
	renew_and_give_back(slice, n);
	return 0;
}

/* An extent, in no list, whose slices go back. */
static void release(struct hz3_extents *extents, struct hz3_extent *extent)
{
	size_t slice = extent->slice, n = extent->slices;

	extents->unmaps++;
	extents->mapped_slices -= n;
	forget(extents, extent);
	if (extents->hooks.map == NULL) {
		hz3_arena_free(slice, n);
		return;
	}
	if (extents->hooks.unmap)
		extents->hooks.unmap(hz3_slice_address(slice), n << HZ3_SLICE_SHIFT, extents->context);
	renew_and_give_back(slice, n);
}

static struct hz3_extent *add(struct hz3_extents *extents, size_t n, size_t align, bool whole)
{
	struct hz3_extent *extent = description(extents);
	bool zero = false;

	if (extent == NULL)
		return NULL;
	size_t slice = map(extents, n, align, &zero);
	if (slice == 0) {
		forget(extents, extent);
		return NULL;
	}
	*extent = (struct hz3_extent){ .next = extents->first, .slice = slice, .slices = n, .whole = whole };
	extent->dirty = zero && extents->hooks.map == NULL ? 0 : ~(uint64_t)0;
	extents->maps++;
	extents->mapped_slices += n;
	/* Complete before it is in the list: a fork may come between the two. */
	atomic_signal_fence(memory_order_release);
	extents->first = extent;
	return extent;
}

/* n bits, from the i-th on. */
static uint64_t bits(size_t i, size_t n)
{
	return ~(uint64_t)0 >> (WORD_SLICES - n) << i;
}

static size_t take(struct hz3_extents *extents, struct hz3_extent *extent, size_t i, size_t n)
{
	extent->used |= extent->whole ? ~(uint64_t)0 : bits(i, n);
	extents->used_slices += n;
	extents->cursor = extent;
	hz3_page_at(extent->slice + i)->extent = extent;
	return extent->slice + i;
}

/* n free slices of a shared extent; 0: there are none in a row. */
static size_t take_from(struct hz3_extents *extents, struct hz3_extent *extent, size_t n, size_t align)
{
	if (extent->whole)
		return 0;
	for (size_t i = hz3_slice_misalignment(extent->slice, align); i + n <= extent->slices; i += align)
		if ((extent->used & bits(i, n)) == 0)
			return take(extents, extent, i, n);
	return 0;
}

static size_t take_between(struct hz3_extents *extents, struct hz3_extent *from, struct hz3_extent *to, size_t n, size_t align)
{
	size_t slice = 0;

	for (struct hz3_extent *extent = from; extent != to && slice == 0; extent = extent->next)
		slice = take_from(extents, extent, n, align);
	return slice;
}

/* From where the last one was, and once round. */
static size_t alloc_shared(struct hz3_extents *extents, size_t n, size_t align)
{
	struct hz3_extent *start = extents->cursor ? extents->cursor : extents->first;
	size_t slice = take_between(extents, start, NULL, n, align);

	if (slice == 0)
		slice = take_between(extents, extents->first, start, n, align);
	if (slice)
		return slice;
	/* A shorter one if there is no memory for a long one; the alignment is at most a shared extent's. */
	size_t min = hz3_align_up(hz3_max(n, align), unit_of(extents));
	size_t want = hz3_max(extents->next_slices, min);
	struct hz3_extent *extent = add(extents, want, align, false);
	if (extent == NULL && want > min && !extents->refused)
		extent = add(extents, min, align, false);
	if (extent == NULL)
		return 0;
	extents->next_slices = hz3_min(extents->next_slices * 2, WORD_SLICES);
	return take_from(extents, extent, n, align);
}

/* A free one that is long enough, and not far too long. */
static struct hz3_extent *find_whole(struct hz3_extents *extents, size_t n, size_t align)
{
	struct hz3_extent *best = NULL;

	for (struct hz3_extent *extent = extents->first; extent; extent = extent->next) {
		if (!extent->whole || extent->used || extent->slices < n || extent->slices / 2 > n)
			continue;
		if (hz3_slice_misalignment(extent->slice, align) == 0 && (best == NULL || extent->slices < best->slices))
			best = extent;
	}
	return best;
}

/* Out of the list, and given back: all that a function says. */
static size_t release_if(struct hz3_extents *extents, bool (*unwanted)(const struct hz3_extent *, size_t), size_t n)
{
	struct hz3_extent **link = &extents->first, *extent;
	size_t slices = 0;

	extents->cursor = NULL;
	while ((extent = *link) != NULL) {
		if (!unwanted(extent, n)) {
			link = &extent->next;
			continue;
		}
		*link = extent->next;
		atomic_signal_fence(memory_order_release);
		slices += extent->slices;
		release(extents, extent);
	}
	return slices;
}

static bool is_too_short(const struct hz3_extent *extent, size_t n)
{
	return extent->whole && extent->used == 0 && extent->slices < n;
}

static bool is_free(const struct hz3_extent *extent, size_t n)
{
	(void)n;
	return extent->used == 0;
}

static bool is_any(const struct hz3_extent *extent, size_t n)
{
	(void)extent;
	(void)n;
	return true;
}

static size_t alloc_whole(struct hz3_extents *extents, size_t n, size_t align)
{
	struct hz3_extent *extent = find_whole(extents, n, align);

	if (extent == NULL) {
		release_if(extents, is_too_short, n);
		extent = add(extents, hz3_align_up(n, unit_of(extents)), align, true);
	}
	return extent ? take(extents, extent, 0, n) : 0;
}

size_t hz3_extents_alloc(struct hz3_extents *extents, size_t n, size_t align)
{
	extents->refused = false;
	return n <= SHARED_MAX && align <= SHARED_MAX ? alloc_shared(extents, n, align) : alloc_whole(extents, n, align);
}

void hz3_extents_free(struct hz3_extents *extents, size_t slice, size_t n)
{
	struct hz3_extent *extent = hz3_page_at(slice)->extent;
	uint64_t mask = extent->whole ? ~(uint64_t)0 : bits(slice - extent->slice, n);

	extent->used &= ~mask;
	extent->dirty |= mask;
	extents->used_slices -= n;
	extents->cursor = extent;
}

/* How many slices the run has that begins with this one; 0: there is no run. */
static size_t run_length(size_t slice)
{
	uint64_t route = hz3_route_of(slice);

	if (hz3_route_owner(route))
		return hz3_class_info[hz3_route_class(route)].slices;
	return hz3_route_kind(route) == HZ3_ROUTE_LARGE ? hz3_large_run_slices(slice) : 0;
}

static void look_into(struct hz3_extent *extent, void (*look)(void *arg, size_t slice), void *arg)
{
	for (size_t i = 0; i < extent->slices && extent->used;) {
		size_t n = run_length(extent->slice + i);
		if (n)
			look(arg, extent->slice + i);
		/* The rest of an extent that is used by one run is unused. */
		i += extent->whole ? extent->slices : hz3_max(n, 1);
	}
}

void hz3_extents_each(struct hz3_extents *extents, void (*look)(void *arg, size_t slice), void *arg)
{
	for (struct hz3_extent *extent = extents->first; extent; extent = extent->next)
		look_into(extent, look, arg);
}

void hz3_extents_empty(struct hz3_extents *extents)
{
	for (struct hz3_extent *extent = extents->first; extent; extent = extent->next) {
		extent->dirty |= extent->used;
		extent->used = 0;
	}
	extents->used_slices = 0;
	extents->cursor = NULL;
}

void hz3_extents_end(struct hz3_extents *extents)
{
	hz3_extents_empty(extents);
	release_if(extents, is_any, 0);
}

/* False: it was of no use. */
static bool purge(struct hz3_extents *extents, size_t slice, size_t n)
{
	void *p = hz3_slice_address(slice);
	size_t bytes = n << HZ3_SLICE_SHIFT;

	if (extents->hooks.map == NULL)
		return hz3_os_purge(p, bytes) == 0;
	if (extents->hooks.purge == NULL)
		return false;
	extents->hooks.purge(p, bytes, extents->context);
	return true;
}

/* The free slices of a shared extent that have contents, one stretch after the other.  Returns how many. */
static size_t purge_free(struct hz3_extents *extents, struct hz3_extent *extent)
{
	size_t slices = 0, n;

	for (size_t i = 0; i < extent->slices; i += n) {
		uint64_t left = (extent->dirty & ~extent->used) >> i;
		n = 1;
		if (!(left & 1))
			continue;
		while (i + n < extent->slices && left >> n & 1)
			n++;
		if (!purge(extents, extent->slice + i, n))
			continue;
		extent->dirty &= ~bits(i, n);
		slices += n;
	}
	return slices;
}

size_t hz3_extents_trim(struct hz3_extents *extents)
{
	size_t slices = release_if(extents, is_free, 0);

	/* What went back to an arena is dirty there, and counted when that is purged. */
	if (extents->hooks.map == NULL)
		slices = 0;
	for (struct hz3_extent *extent = extents->first; extent; extent = extent->next)
		if (!extent->whole)
			slices += purge_free(extents, extent);
	return slices << HZ3_SLICE_SHIFT;
}

/* In the child of a fork: the page or block that has just been cut may have no route yet, and is free then. */
void hz3_extents_mend(struct hz3_extents *extents)
{
	extents->cursor = NULL;
	extents->mapped_slices = extents->used_slices = 0;
	for (struct hz3_extent *extent = extents->first; extent; extent = extent->next) {
		extents->mapped_slices += extent->slices;
		extent->used = 0;
		extent->dirty = ~(uint64_t)0;
		for (size_t i = 0, n; i < extent->slices; i += extent->whole ? extent->slices : hz3_max(n, 1)) {
			n = run_length(extent->slice + i);
			if (n)
				take(extents, extent, i, n);
		}
	}
}
