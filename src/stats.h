/*
 * What the process has and did: the counters of all heaps (counters.h), arenas and mappings, summed on demand.
 *
 * A sum taken while threads run is a little old; it is exact once they are joined.  Any thread, with no lock held.
 */
#ifndef HZ3_STATS_H
#define HZ3_STATS_H

#include "counters.h"

/* The whole process at one moment.  Sizes are in bytes. */
struct hz3_stats {
	uint64_t allocated;		/* live blocks, as usable bytes */
	uint64_t active;		/* pages and runs in use */
	uint64_t dirty;			/* free runs not yet purged */
	uint64_t resident;		/* RSS of the process */
	uint64_t mapped;		/* address space committed for runs and huge mappings */
	uint64_t metadata;		/* committed for hz3's own structures */
	uint64_t blocks_allocated;	/* = blocks_freed + blocks_live */
	uint64_t blocks_freed;
	uint64_t blocks_live;
	uint64_t heaps;			/* heaps ever made */
	uint64_t heaps_parked;
	uint64_t heaps_lost;		/* in the child of a fork; with the bytes of their pages */
	uint64_t lost_bytes;
	uint64_t purges;		/* madvise calls that gave memory back */
	uint64_t purge_failures;	/* and that failed */
	uint64_t purged_bytes;
	uint64_t huge_mappings, huge_bytes;	/* the bytes are among those active and mapped */
	uint64_t limit_soft, limit_hard;	/* 0: none */
	uint64_t limit_used;		/* of what they limit: limit.h */
	uint64_t limit_soft_purges, limit_hard_purges;
	uint64_t limit_refused;		/* requests that failed for the hard limit */
	uint64_t held_bytes;		/* remote frees waiting in buffers, all threads */
	uint64_t held_bytes_peak;	/* the most that budgets ever allowed at once */
	uint64_t held_bytes_cap;
	uint64_t held_refused;		/* times that a buffer was denied more for the cap's sake */
	struct hz3_class_stats {
		uint64_t size;
		uint64_t allocated, freed_local, freed_remote, live;	/* blocks */
		uint64_t pages;
		uint64_t slow_allocs, slow_asked_bytes;
	} class[HZ3_CLASSES];
	struct {
		uint64_t allocated, freed, live, live_bytes;
	} large;
	struct hz3_counters sum;	/* .class unused here */
};

/* Fill *out with the sum over all heaps, arenas and mappings.  Takes locks; allocates nothing. */
void hz3_stats_collect(struct hz3_stats *out);

/* The sum over the sinks; over the causes. */
struct hz3_sink_counters hz3_stats_of_sinks(const struct hz3_stats *stats);
uint64_t hz3_stats_flushes(const struct hz3_stats *stats);

#endif
