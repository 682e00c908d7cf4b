/*
 * The memory of a pool: extents, and the runs of slices that are cut from them.
 *
 * Everything here is called with the pool's lock held (pool.h), of whose data struct hz3_extents is a part.
 *
 * An extent is a run of one of our arenas (arena.h), a few MiB, in the place of which a hook of the program may have put other
 * memory.  Runs of up to 32 slices are cut from extents of up to 64, of which a word has a bit for each slice; a longer run
 * has an extent of its own, which stays for the next that fits when it is freed, until one is wanted for which it is too short.
 *
 * Runs are as those of arenas: whoever holds one may write its lines of the page map, but for the last but one word of the first
 * (struct hz3_page), which leads back to the extent.  The routes of a run that is given back are 0.
 */
#ifndef HZ3_EXTENT_H
#define HZ3_EXTENT_H

#include "arena.h"
#include "hz3/hz3.h"

struct hz3_extent {
	struct hz3_extent *next;
	size_t slice;
	size_t slices;
	bool whole;		/* one run takes all of it: the words are 0 or ~0 */
	uint64_t used;		/* slices that are in a run */
	uint64_t dirty;		/* slices that have contents, and are not to be kept */
};

struct hz3_extents {
	struct hz3_arena *arena;
	struct hz3_os_hooks hooks;	/* without "map": there are none */
	void *context;
	struct hz3_extent *first;
	struct hz3_extent *cursor;	/* where a run was taken or given back last; NULL: look from the first */
	struct hz3_extent *unused;	/* descriptions without an extent */
	size_t next_slices;		/* of the next extent that is shared by runs */
	size_t mapped_slices, used_slices;
	uint64_t maps, unmaps;
	bool refused;			/* the last failure was a hook's, which knows of no memory that could be reclaimed */
};

/* Begin anew, with no extent.  Descriptions that there are stay. */
void hz3_extents_begin(struct hz3_extents *extents, struct hz3_arena *arena, const struct hz3_os_hooks *hooks, void *context);

/* Slices that are taken from the arena at once, at least, for a run of n. */
size_t hz3_extents_slices(const struct hz3_extents *extents, size_t n);

/* n slices, the first one's address a multiple of align slices (a power of 2), with any contents; 0 if there is no memory. */
size_t hz3_extents_alloc(struct hz3_extents *extents, size_t n, size_t align);
void hz3_extents_free(struct hz3_extents *extents, size_t slice, size_t n);

/* Call a function with the first slice of each page and each large block, which may set its routes to 0. */
void hz3_extents_each(struct hz3_extents *extents, void (*look)(void *arg, size_t slice), void *arg);

/* All runs are free, at once; their routes are 0.  The extents stay, or are given back. */
void hz3_extents_empty(struct hz3_extents *extents);
void hz3_extents_end(struct hz3_extents *extents);

/*
 * Give back the extents that have no run, to hooks or to the arena, and the memory of what is free in others.  Returns the bytes that
 * the system, or hooks, have got.
 */
size_t hz3_extents_trim(struct hz3_extents *extents);

/* In the child of a fork: the routes tell which slices are in use. */
void hz3_extents_mend(struct hz3_extents *extents);

#endif
