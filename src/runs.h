/*
 * The free runs of an arena: by length, and the dirty ones by age.
 *
 * All of it is the arena's: called, and looked at, under its lock.  A free run stands in the line of its first slice; the routes of its
 * first and last slice say that it is free, of which kind, and how long it is.
 */
#ifndef HZ3_RUNS_H
#define HZ3_RUNS_H

#include "base.h"
#include "page_map.h"

/*
 * What is known about the memory of a free run; runs of one kind only are merged.  In the order of preference when one
 * is to be used: dirty memory costs nothing, clean memory page faults, uncommitted memory a system call as well.
 */
enum hz3_run_kind {
	HZ3_RUN_DIRTY,		/* has memory with old contents */
	HZ3_RUN_CLEAN,		/* mapped, without memory */
	HZ3_RUN_UNCOMMITTED,	/* address space only */
	HZ3_RUN_KINDS,
	HZ3_RUN_PURGED = HZ3_RUN_KINDS	/* not free: it is with the system now */
};

/* A free run, in the line of its first slice. */
struct hz3_run {
	struct hz3_run *next, *prev;		/* its bin; or what is purged at the same time */
	struct hz3_run *later, *earlier;	/* dirty runs by time of their last free */
	uint64_t stamp_ms;
	uint32_t slices;
	uint8_t kind;
	uint8_t pad[19];
};

_Static_assert(sizeof(struct hz3_run) == sizeof(struct hz3_slice), "a run is one line");

/*
 * Free runs hang in bins by length: one bin for each length up to 32, then four per doubling.  A bitmap says which
 * bins are not empty.
 */
#define HZ3_RUN_BINS_EXACT 32u
#define HZ3_RUN_BINS (HZ3_RUN_BINS_EXACT + 4u * 20u)

struct hz3_run_bins {
	struct hz3_run *head[HZ3_RUN_BINS];
	uint64_t nonempty[(HZ3_RUN_BINS + 63) / 64];
	uint32_t runs;
};

struct hz3_runs {
	struct hz3_run_bins bins[HZ3_RUN_KINDS];
	struct hz3_run *oldest, *newest;	/* dirty runs by stamp */
};

static HZ3_INLINE struct hz3_run *hz3_run_at(size_t slice)
{
	return (struct hz3_run *)&hz3_page_map.slice[slice];
}

static HZ3_INLINE size_t hz3_run_slice(const struct hz3_run *run)
{
	return (size_t)((const struct hz3_slice *)run - hz3_page_map.slice);
}

/* The length of a free run, in the routes of its first and last slice. */
#define HZ3_RUN_LENGTH_MASK ((uint64_t)0xffffff)
_Static_assert(HZ3_WINDOW_SLICES_MAX - 1 <= HZ3_RUN_LENGTH_MASK, "slice 0 is in no run");

static HZ3_INLINE size_t hz3_run_length(uint64_t route)
{
	return route & HZ3_RUN_LENGTH_MASK;
}

/* The free run of this kind that the slice is the last one, or the first one, of; NULL if there is none. */
struct hz3_run *hz3_run_to(size_t slice, unsigned kind);
struct hz3_run *hz3_run_from(size_t slice, unsigned kind);

/* List [slice, slice + n), n > 0, as a free run.  A dirty one comes behind age_after in the order of ages; NULL: it is the oldest. */
void hz3_runs_add(struct hz3_runs *runs, size_t slice, size_t n, unsigned kind, uint64_t stamp_ms, struct hz3_run *age_after);

/* Take a run out of every list; its slices have route 0 afterwards. */
void hz3_runs_remove(struct hz3_runs *runs, struct hz3_run *run);

/* A run of this kind that holds n aligned slices: the first of some in the tightest bin, else of a larger one; or NULL. */
struct hz3_run *hz3_runs_find(const struct hz3_runs *runs, unsigned kind, size_t n, size_t align);

/* All runs of a kind, the longest first, about: the one after "run" (NULL: the first), or NULL. */
struct hz3_run *hz3_runs_next(const struct hz3_runs *runs, unsigned kind, const struct hz3_run *run);

/* Dies if the lists of a kind differ from the routes.  Returns how many slices are listed. */
size_t hz3_runs_validate(const struct hz3_runs *runs, unsigned kind);

#endif
