/*
 * Where the memory is: rows that add up to the resident memory of the process.
 *
 * What a row has is counted by those who hand it out, and not by what is left over; what of it has never been touched
 * is asked of the system, page by page; and what is not hz3's is read from the list of mappings.  So the sum can be wrong, and says by
 * how much (unaccounted).  Any thread may ask, with no lock held.  Takes a walk over all mapped memory: milliseconds
 * for a gigabyte.
 */
#ifndef HZ3_WATERFALL_H
#define HZ3_WATERFALL_H

#include <stdint.h>

struct hz3_stats;

/* Bytes. */
struct hz3_waterfall {
	uint64_t requested;	/* what the program asked for, of what is live; sampled */
	uint64_t rounding;	/* lost to size classes and to whole pages */
	uint64_t held;		/* freed, in buffers of the threads that freed it */
	uint64_t waiting;	/* freed, on the way to its owner */
	uint64_t free_in_pages;	/* free blocks of pages that have live ones, or that a thread allocates from */
	uint64_t kept;		/* whole free runs that threads keep */
	uint64_t dirty;		/* free runs that have not gone back to the system */
	uint64_t metadata;
	uint64_t other;		/* what else the process has: program, libraries, stacks */
	uint64_t untouched;	/* of all of hz3's above: memory that nobody has touched, so that it isn't there */
	uint64_t untouched_in_pages;	/* of this, the part in pages */
	uint64_t resident;	/* the sum, without untouched */
	uint64_t unaccounted;	/* what it is wrong by; a negative number as its complement */
};

/* waiting: what the flow map says (flow_map.h). */
void hz3_waterfall_collect(struct hz3_waterfall *out, const struct hz3_stats *stats, uint64_t waiting);

#endif
