/*
 * Arenas: address ranges from which pages and large runs are cut, each with its own lock, free lists and decay.
 *
 * Any thread may call everything here.  A run that is in use belongs to whoever holds it; a free run belongs to its
 * arena and is touched under the arena's lock only.  Every slice of a run that is handed out has route 0.
 */
#ifndef HZ3_ARENA_H
#define HZ3_ARENA_H

#include "base.h"
#include "lock.h"
#include "page_map.h"

#define HZ3_ARENAS_MAX 64

/* Slices in use, dirty, ...: relaxed words that the lock's holder writes and anybody may read. */
struct hz3_arena_counters {
	_Atomic size_t active;
	_Atomic size_t dirty;
	_Atomic size_t committed;
	_Atomic size_t purges;
	_Atomic size_t purged_slices;
	_Atomic size_t purge_failures;
};

struct hz3_arena;

/* Make the arenas.  Before any other call; may be called again.  How many the processors decide, unless the options do. */
bool hz3_arenas_init(void);
unsigned hz3_arenas_count(void);

/* The arena for the large blocks of the i-th heap, and the one for its pages. */
struct hz3_arena *hz3_arena_for(unsigned i);
struct hz3_arena *hz3_arena_for_pages(unsigned i);
unsigned hz3_arena_index(const struct hz3_arena *arena);
const struct hz3_arena_counters *hz3_arena_counters(unsigned i);

/*
 * n contiguous slices, the first one's address a multiple of align slices (a power of 2); 0 if there is no memory.
 * *zero tells whether they are known to read as zeroes.
 */
size_t hz3_arena_alloc(struct hz3_arena *arena, size_t n, size_t align, bool *zero);

/*
 * The same, but before the system is asked for memory, from any arena that has some free: there are several so that threads don't
 * wait for each other, not so that each has free memory that others lack.
 */
size_t hz3_arenas_alloc(struct hz3_arena *first, size_t n, size_t align, bool *zero);

/* Give n slices back; dirty.  The caller has set their routes to 0. */
void hz3_arena_free(size_t slice, size_t n);

/* The same of slices without memory, mapped as the system maps anonymous memory. */
void hz3_arena_free_clean(size_t slice, size_t n);

/*
 * Grow a run in place from n to want slices.  False, and nothing changes, if what follows isn't free, or is in more than one
 * piece (dirty and clean memory, say).
 */
bool hz3_arena_extend(size_t slice, size_t n, size_t want);

/*
 * Return memory to the system: dirty runs whose last free was at least age_ms ago (0: all), of one arena or of all.
 * Returns bytes.  No lock is held during the system calls.
 */
size_t hz3_arena_purge(unsigned i, uint64_t age_ms);
size_t hz3_arenas_purge(uint64_t age_ms);

/* When more than keep bytes are dirty in an arena: purge the oldest until half of that is left.  Returns bytes. */
size_t hz3_arena_purge_to(unsigned i, size_t keep);

/* The oldest dirty runs, of one arena after the other, until so many bytes have gone back.  Returns bytes. */
size_t hz3_arenas_purge_some(size_t bytes);

/* Memory has run out, and some may just be with the system: wait until it is back, but not for ever. */
void hz3_arenas_wait_for_purges(void);

/*
 * Give up the mappings of free runs: of the longest, or of all if there aren't thousands.  Each is a hole, and makes two mappings
 * of one, of which a process may have so many.  Returns bytes.
 */
size_t hz3_arenas_decommit_longest(void);
size_t hz3_arenas_decommit(void);

/*
 * Address space or commit charge is scarce: it is limited, or has run out before.  From then on a purge gives up the mappings
 * of longer runs as well, so that others can have them; else they are kept, since holes cost mappings.  For good.
 */
void hz3_arenas_set_scarce(void);
bool hz3_arenas_scarce(void);

/* A counter of the arenas from first to before end, added up: where is its offset in struct hz3_arena_counters. */
size_t hz3_arenas_sum(unsigned first, unsigned end, size_t where);

/* Bytes over all arenas, as of now. */
size_t hz3_arenas_active(void);
size_t hz3_arenas_dirty(void);
size_t hz3_arenas_committed(void);

/* Around fork: the locks of the arenas, in index order; and in the child, what vanished threads were purging is free again. */
struct hz3_lock *hz3_arena_lock(unsigned i);
void hz3_arenas_end_purges(void);

/* Walks every free list of every arena, checks it against the routes, dies on a difference.  For tests, and for purges of all in debug builds. */
void hz3_arenas_validate(void);

#endif
