/*
 * Counters of what the allocator does.
 *
 * Every heap has one struct hz3_counters, and its thread is the only writer; the counts are raised per batch (a chain,
 * a flush, a drain, a page), never per block.  Others read them by hz3_read_once(): a sum over running threads is of no one moment
 * anyway (stats.h).
 */
#ifndef HZ3_COUNTERS_H
#define HZ3_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "atomic.h"
#include "size_class.h"

/* Why a remote buffer was flushed. */
enum hz3_flush_cause {
	HZ3_FLUSH_BUDGET,	/* the buffer held more bytes than its budget */
	HZ3_FLUSH_SLOW_PATH,	/* every Nth slow path of the thread that holds it */
	HZ3_FLUSH_IDLE,		/* hz3_thread_flush, hz3_thread_idle, purge */
	HZ3_FLUSH_EXIT,		/* the thread ended */
	HZ3_FLUSH_FORK,		/* just before fork */
	HZ3_FLUSH_UNBATCHED,	/* remote_batch:0, each block by itself */
	HZ3_FLUSH_CAUSES
};

/* The sinks that blocks really go through; indexed by enum hz3_sink_choice without its "auto". */
#define HZ3_SINKS 2

/* Buckets of the histogram of delays; see probe.h. */
#define HZ3_DELAYS 14

/* What happened in one sink. */
struct hz3_sink_counters {
	uint64_t blocks;		/* remote blocks sent */
	uint64_t chains;		/* chains they were sent as */
	uint64_t rmw_push;		/* atomic read-modify-writes done to send them, retries included */
	uint64_t rmw_queue_push;	/* of those, the ones on page queues */
	uint64_t queued_pages;		/* pages put into queues by them */
	uint64_t cas_retries;		/* of all those, the ones that failed and were repeated */
	uint64_t drains;		/* times that an owner took what had arrived */
	uint64_t page_drains;		/* (page, drain) pairs: lists taken from one page */
	uint64_t drained_blocks;	/* blocks that the drains delivered */
	uint64_t rmw_drain;		/* atomic read-modify-writes done to take them */
	uint64_t rmw_queue_drain;	/* of those, the ones on page queues */
};

/* Per size class. */
struct hz3_class_counters {
	uint64_t allocated;		/* blocks given to the class's current page to be handed out */
	uint64_t freed_local;		/* blocks freed by their owner (counted at page events) */
	uint64_t freed_remote;		/* blocks delivered by a drain or handed over with a whole page */
	uint64_t slow_allocs;		/* requests that came the slow way, and the bytes they asked for */
	uint64_t slow_asked_bytes;
	uint64_t pages_made;
	uint64_t pages_retired;
};

/* One heap's counters, written by its thread alone. */
struct hz3_counters {
	struct hz3_class_counters class[HZ3_CLASSES];
	struct hz3_sink_counters sink[HZ3_SINKS];
	uint64_t flushes[HZ3_FLUSH_CAUSES];
	uint64_t handover_pages;	/* pages taken whole by the thread that freed their last block; in the sinks' sums too */
	uint64_t handover_blocks;
	uint64_t forwarded_chains;
	uint64_t forwarded_bytes;	/* of their blocks */
	uint64_t slow_allocs;
	uint64_t large_allocs;		/* runs and huge mappings */
	uint64_t large_frees;
	uint64_t large_alloc_bytes;
	uint64_t large_free_bytes;
	uint64_t large_asked_bytes;	/* of large_alloc_bytes, what was asked for */
	uint64_t delays[HZ3_DELAYS];	/* samples by the time from free to reusable */
	uint64_t delay_us;		/* of all of them */
};

/* Raise a counter.  Its thread is the only writer, so two relaxed steps lose nothing and readers see whole values. */
static inline void hz3_count(uint64_t *counter, uint64_t n)
{
	if (HZ3_STATS)
		hz3_write_once(counter, hz3_read_once(counter) + n);
}

static inline void hz3_count_slow_alloc(struct hz3_counters *counters, unsigned class, size_t asked)
{
	hz3_count(&counters->slow_allocs, 1);
	hz3_count(&counters->class[class].slow_allocs, 1);
	hz3_count(&counters->class[class].slow_asked_bytes, asked);
}

/* bytes: what can be used of the block. */
static inline void hz3_count_large_alloc(struct hz3_counters *counters, size_t asked, size_t bytes)
{
	hz3_count(&counters->large_allocs, 1);
	hz3_count(&counters->large_alloc_bytes, bytes);
	hz3_count(&counters->large_asked_bytes, asked);
}

static inline void hz3_count_large_free(struct hz3_counters *counters, size_t bytes)
{
	hz3_count(&counters->large_frees, 1);
	hz3_count(&counters->large_free_bytes, bytes);
}

/* The same block, as if it had been another of so many bytes before. */
static inline void hz3_count_large_resize(struct hz3_counters *counters, size_t before, size_t asked, size_t bytes)
{
	hz3_count(&counters->large_alloc_bytes, bytes);
	hz3_count(&counters->large_asked_bytes, asked);
	hz3_count(&counters->large_free_bytes, before);
}

/*
 * The negative control of --enable-stats=shared: what the question pack counted, as it counted it, in words that all threads
 * share.  Nobody reads them; they are there to be measured (doc/s121.md).
 */
struct hz3_shared_counters {
	_Atomic uint64_t push_blocks HZ3_ALIGNED(HZ3_CACHE_LINE);	/* by one for every remote free */
	_Atomic uint64_t drains;
	_Atomic uint64_t page_drains;
	_Atomic uint64_t drained_blocks;
};

extern struct hz3_shared_counters hz3_shared_counters;

static inline void hz3_count_shared(_Atomic uint64_t *counter, uint64_t n)
{
	if (HZ3_STATS_SHARED)
		hz3_atomic_fetch_add(counter, n, relaxed);
}

#endif
