/*
 * What a process publishes for hz3top: the layout of the file, which the library writes and the tool reads.
 *
 * The file is a memfd by the name below, found as /proc/PID/fd/N.  It has a head that never changes, the number of a
 * sequence lock (seqlock.h), and one snapshot, which the publisher renews every HZ3_TOP_PERIOD_MS.  It is sealed: its size is for ever,
 * and where the kernel can do that (5.1), nobody but the publisher's one mapping can write.
 *
 * Every number has a fixed width and the byte order of the machine.  Whoever changes anything here, names and order of counters
 * included, raises HZ3_TOP_FORMAT; the tool reads its own format only.
 *
 * All counts grow for ever; the differences of two snapshots make the rates.  What is said to be "now" does not.  Nothing is of one moment
 * while threads run: the counts are raised by the batch (counters.h).
 */
#ifndef HZ3_TOP_FORMAT_H
#define HZ3_TOP_FORMAT_H

#include <stdint.h>

#define HZ3_TOP_NAME "hz3-top"
#define HZ3_TOP_MAGIC UINT64_C(0x00706f742d337a68)	/* "hz3-top" */
#define HZ3_TOP_FORMAT 1
#define HZ3_TOP_PERIOD_MS 1000u

#define HZ3_TOP_THREADS 256
#define HZ3_TOP_FLOWS 32
#define HZ3_TOP_NAME_BYTES 16

/* Of a heap, or of several. */
struct hz3_top_counts {
	uint64_t allocated_blocks, allocated_bytes;	/* bytes: usable ones */
	uint64_t freed_local_blocks, freed_local_bytes;	/* freed by the owner, and large blocks freed by the thread */
	uint64_t in_blocks, in_bytes;			/* freed by others, and come home */
	uint64_t out_blocks, out_bytes;			/* what it freed of others */
	uint64_t out_chains;				/* the chains that these were sent as */
	uint64_t taken_blocks;				/* of others, in pages that it took over whole: a part of out */
	uint64_t slow_paths;				/* mallocs of a class that did not find a block at once */
	uint64_t waiting_bytes;				/* now: freed by others and not come home */
	uint64_t held_bytes;				/* now: of others, in its remote buffer */
	uint64_t kept_bytes;				/* now: free runs that it keeps */
};

/*
 * A thread that lives, and its heap.  The counts are the heap's, which may have had other threads before: a heap outlives its thread.  A
 * heap has the same number as long as the process lives.
 */
struct hz3_top_thread {
	char name[HZ3_TOP_NAME_BYTES];	/* ends in a NUL */
	uint32_t tid;
	uint32_t heap;			/* from 1 */
	struct hz3_top_counts counts;
};

/* What threads of one name free of threads of another. */
struct hz3_top_flow {
	char owner[HZ3_TOP_NAME_BYTES];	/* or "worker-*": flow_map.h */
	char freer[HZ3_TOP_NAME_BYTES];
	uint64_t blocks, bytes, chains;
};

/* Bytes, now, but for what is marked. */
struct hz3_top_memory {
	uint64_t resident;		/* of the whole process */
	uint64_t live_bytes, live_blocks;
	uint64_t active;		/* pages and runs in use */
	uint64_t dirty;			/* free, not yet given back */
	uint64_t mapped, metadata;
	uint64_t purged;		/* a count */
	uint64_t held_limit;		/* what all buffers together may hold */
};

enum {
	HZ3_TOP_COUNTS = 1,		/* the library counts; without it all of struct hz3_top_counts is 0, and there are no flows */
	HZ3_TOP_FLOWS_CUT = 2,		/* there are more flows, or some could not be told apart */
};

struct hz3_top_snapshot {
	uint64_t number;		/* from 1 */
	uint64_t time_us;		/* of CLOCK_MONOTONIC, when it was taken */
	uint64_t wall_ns;		/* since 1970 */
	uint32_t flags;
	uint32_t sink;			/* 0 central, 1 page, 2 auto */
	uint32_t thread_rows, flow_rows;
	uint32_t others;		/* threads that have no row */
	uint32_t ended;			/* heaps without a thread */
	struct hz3_top_memory memory;
	struct hz3_top_counts total;	/* of all heaps */
	struct hz3_top_counts other;	/* of the threads that have no row */
	struct hz3_top_counts end;	/* of the heaps that have no thread */
	struct hz3_top_thread thread[HZ3_TOP_THREADS];	/* in no order */
	struct hz3_top_flow flow[HZ3_TOP_FLOWS];	/* most blocks first */
};

struct hz3_top_head {
	_Atomic uint64_t magic;		/* stored last, with release: the rest is there */
	uint32_t format;
	uint32_t file_bytes;		/* of struct hz3_top_file */
	uint32_t pid;			/* the publisher's, as it sees itself: in a container, another than outside */
	uint32_t period_ms;
	char version[HZ3_TOP_NAME_BYTES];	/* of the library */
};

#define HZ3_TOP_WORDS (sizeof(struct hz3_top_snapshot) / sizeof(uint64_t))

struct hz3_top_file {
	struct hz3_top_head head;
	_Atomic uint64_t sequence;	/* seqlock.h; one writer, the background thread */
	_Atomic uint64_t words[HZ3_TOP_WORDS];	/* the snapshot */
};

_Static_assert(sizeof(struct hz3_top_counts) == 14 * 8, "no holes");
_Static_assert(sizeof(struct hz3_top_thread) == 24 + sizeof(struct hz3_top_counts), "no holes");
_Static_assert(sizeof(struct hz3_top_flow) == 32 + 24, "no holes");
_Static_assert(sizeof(struct hz3_top_snapshot) == 6 * 8 + 9 * 8 + 3 * sizeof(struct hz3_top_counts) +
	       HZ3_TOP_THREADS * sizeof(struct hz3_top_thread) + HZ3_TOP_FLOWS * sizeof(struct hz3_top_flow), "no holes");
_Static_assert(sizeof(struct hz3_top_file) == 40 + 8 + sizeof(struct hz3_top_snapshot), "no holes");

#endif
