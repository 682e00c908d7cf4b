/* The free runs of an arena, by length and by age. */
#include "runs.h"

#include "atomic.h"

#define BINS_EXACT HZ3_RUN_BINS_EXACT
#define BINS HZ3_RUN_BINS
#define BIN_WORDS ((BINS + 63) / 64)
#define BIN_SEARCH 16	/* runs looked at in the bin where some are too short */

/* ---- routes ---- */

/* relaxed, here and below: the ends of free runs are written and read under the arena's lock. */
static void set_ends(const struct hz3_run *run, uint64_t route)
{
	size_t first = hz3_run_slice(run), last = first + run->slices - 1;

	hz3_atomic_store(&hz3_page_map.route[first].whole, route, relaxed);
	hz3_atomic_store(&hz3_page_map.route[last].whole, route, relaxed);
}

static uint64_t free_route(const struct hz3_run *run)
{
	return (uint64_t)(HZ3_ROUTE_FREE + run->kind) << HZ3_ROUTE_KIND_SHIFT | (run->slices & HZ3_RUN_LENGTH_MASK);
}

static bool is_free(uint64_t route, unsigned kind)
{
	return hz3_route_owner(route) == 0 && hz3_route_kind(route) == HZ3_ROUTE_FREE + kind;
}

struct hz3_run *hz3_run_to(size_t slice, unsigned kind)
{
	uint64_t route = hz3_route_of(slice);

	return is_free(route, kind) ? hz3_run_at(slice + 1 - hz3_run_length(route)) : NULL;
}

struct hz3_run *hz3_run_from(size_t slice, unsigned kind)
{
	return is_free(hz3_route_of(slice), kind) ? hz3_run_at(slice) : NULL;
}

/* ---- bins ---- */

/* The bin that a run of n slices hangs in; lengths rise with bins. */
static unsigned bin_of(size_t n)
{
	if (n <= BINS_EXACT)
		return (unsigned)n - 1;
	unsigned log = hz3_log2(n);
	unsigned quarter = (unsigned)(n >> (log - 2)) & 3;
	unsigned bin = BINS_EXACT + (log - 5) * 4 + quarter;
	return bin < BINS ? bin : BINS - 1;
}

static void bin_insert(struct hz3_run_bins *bins, struct hz3_run *run)
{
	unsigned bin = bin_of(run->slices);

	run->prev = NULL;
	run->next = bins->head[bin];
	if (run->next)
		run->next->prev = run;
	bins->head[bin] = run;
	bins->runs++;
	bins->nonempty[bin / 64] |= (uint64_t)1 << (bin % 64);
}

static void bin_remove(struct hz3_run_bins *bins, struct hz3_run *run)
{
	unsigned bin = bin_of(run->slices);

	if (run->next)
		run->next->prev = run->prev;
	if (run->prev)
		run->prev->next = run->next;
	else
		bins->head[bin] = run->next;
	if (bins->head[bin] == NULL)
		bins->nonempty[bin / 64] &= ~((uint64_t)1 << (bin % 64));
	bins->runs--;
}

static int next_nonempty(const struct hz3_run_bins *bins, unsigned from)
{
	for (unsigned w = from / 64; w < BIN_WORDS; w++) {
		uint64_t word = bins->nonempty[w];
		if (w == from / 64)
			word &= ~(uint64_t)0 << (from % 64);
		if (word)
			return (int)(w * 64 + (unsigned)__builtin_ctzll(word));
	}
	return -1;
}

/* ---- ages ---- */

/* Put a dirty run into the time order behind "after" (NULL: at the very start). */
static void age_insert_after(struct hz3_runs *runs, struct hz3_run *run, struct hz3_run *after)
{
	run->earlier = after;
	run->later = after ? after->later : runs->oldest;
	if (run->later)
		run->later->earlier = run;
	else
		runs->newest = run;
	if (after)
		after->later = run;
	else
		runs->oldest = run;
}

static void age_remove(struct hz3_runs *runs, struct hz3_run *run)
{
	if (run->later)
		run->later->earlier = run->earlier;
	else
		runs->newest = run->earlier;
	if (run->earlier)
		run->earlier->later = run->later;
	else
		runs->oldest = run->later;
}

/* ---- both ---- */

void hz3_runs_add(struct hz3_runs *runs, size_t slice, size_t n, unsigned kind, uint64_t stamp_ms, struct hz3_run *age_after)
{
	struct hz3_run *run = hz3_run_at(slice);

	run->slices = (uint32_t)n;
	run->kind = (uint8_t)kind;
	run->stamp_ms = stamp_ms;
	bin_insert(&runs->bins[kind], run);
	if (kind == HZ3_RUN_DIRTY)
		age_insert_after(runs, run, age_after);
	set_ends(run, free_route(run));
}

void hz3_runs_remove(struct hz3_runs *runs, struct hz3_run *run)
{
	bin_remove(&runs->bins[run->kind], run);
	if (run->kind == HZ3_RUN_DIRTY)
		age_remove(runs, run);
	set_ends(run, 0);
}

static bool run_fits(const struct hz3_run *run, size_t n, size_t align)
{
	size_t skip = hz3_slice_misalignment(hz3_run_slice(run), align);

	return run->slices >= skip && run->slices - skip >= n;
}

struct hz3_run *hz3_runs_find(const struct hz3_runs *runs, unsigned kind, size_t n, size_t align)
{
	const struct hz3_run_bins *bins = &runs->bins[kind];

	for (int bin = next_nonempty(bins, bin_of(n)); bin >= 0; bin = next_nonempty(bins, (unsigned)bin + 1)) {
		struct hz3_run *run = bins->head[bin];
		/* The last bin holds all lengths from its start up, and must be searched to its end. */
		int limit = bin == BINS - 1 ? INT32_MAX : BIN_SEARCH;
		for (int i = 0; run && i < limit; i++, run = run->next)
			if (run_fits(run, n, align))
				return run;
		if ((unsigned)bin + 1 >= BINS)
			break;
	}
	return NULL;
}

struct hz3_run *hz3_runs_next(const struct hz3_runs *runs, unsigned kind, const struct hz3_run *run)
{
	if (run && run->next)
		return run->next;
	for (unsigned bin = run ? bin_of(run->slices) : BINS; bin-- > 0;)
		if (runs->bins[kind].head[bin])
			return runs->bins[kind].head[bin];
	return NULL;
}

static size_t validate_bin(const struct hz3_runs *runs, unsigned kind, unsigned bin)
{
	size_t slices = 0;

	for (struct hz3_run *run = runs->bins[kind].head[bin]; run; run = run->next) {
		size_t first = hz3_run_slice(run), last = first + run->slices - 1;
		hz3_check(run->kind == kind && bin_of(run->slices) == bin, "arena: run %zu in the wrong bin", first);
		hz3_check(hz3_route_of(first) == free_route(run) && hz3_route_of(last) == free_route(run),
			  "arena: run %zu has wrong routes", first);
		hz3_check(!run->next || run->next->prev == run, "arena: run %zu is badly linked", first);
		slices += run->slices;
	}
	return slices;
}

size_t hz3_runs_validate(const struct hz3_runs *runs, unsigned kind)
{
	size_t slices = 0;

	for (unsigned bin = 0; bin < BINS; bin++)
		slices += validate_bin(runs, kind, bin);
	return slices;
}
