/*
 * Who frees whose memory: for each owner and each thread that frees its blocks, how many, in which chains.
 *
 * The counts are the freeing thread's own: a row per owner, in a table of the thread's, raised once per chain when the chain is
 * closed.  No word is shared, no block is counted by itself, and free's fast paths know nothing of it.
 *
 *   row.counts       one writer, the thread that frees (or who holds its heap or its buffer); relaxed, as all counters.
 *   row.folded       what of the counts has gone into the sums of threads that ended; under the flow lock.
 *   flows.cell       written by the thread, under the flow lock; read by it without, and by others under the lock.
 *   flows.name, tid  written by the thread, and by whoever prints statistics; relaxed, whole words: a name may be half old.
 *
 * A heap outlives its thread, and the rows belong to the heap.  When a heap gets its next thread, and that has another name,
 * everything that was counted under the name of the one before is added to the sums by name, and the rows go on from there.  A
 * row that the new thread has not asked for is stale: it is used for the next owner that has none, and what it says goes to
 * "others", as folded as it is.  Else heaps would keep the rows of all threads that they ever had.
 *
 * Bounds: a thread has at most HZ3_FLOW_ROWS rows of 912 bytes, made as they are needed, and what it frees of further owners
 * goes into a last one, "others"; there are at most HZ3_FLOW_SUMS sums of 304 bytes.  When three quarters of those
 * are used, names that end in digits are taken together, and in the end all further ones.
 */
#ifndef HZ3_FLOW_H
#define HZ3_FLOW_H

#include "counters.h"
#include "lock.h"
#include "os_process.h"
#include "owner.h"

/* Sizes by doubling: classes 4 g to 4 g + 3 are group g. */
#define HZ3_FLOW_GROUPS (HZ3_CLASSES / 4)
#define HZ3_FLOW_ROWS 64
#define HZ3_FLOW_CELLS (2 * HZ3_FLOW_ROWS)
#define HZ3_FLOW_SUMS 256
#define HZ3_FLOW_NAME_BYTES HZ3_OS_THREAD_NAME_BYTES

static inline unsigned hz3_flow_group(unsigned class)
{
	return class / 4;
}

struct hz3_flow_counts {
	uint64_t blocks[HZ3_CLASSES];
	uint64_t chains[HZ3_FLOW_GROUPS];
};

struct hz3_flows;

/* What one thread frees of one owner's. */
struct hz3_flow {
	struct hz3_flow_counts counts;
	uint64_t handed_bytes;		/* of those, what never went to the owner: pages taken over whole; as counts */
	uint32_t owner;			/* changes under the flow lock; 0: others */
	bool stale;			/* the thread before has made it, and this one has not asked for it */
	struct hz3_flows *freer;	/* constant */
	struct hz3_flow *next;		/* of the same owner, under the flow lock */
	struct hz3_flow_counts folded;
};

/* A thread's name, as whole words. */
struct hz3_flow_name {
	uint64_t word[HZ3_FLOW_NAME_BYTES / 8];
};

/* All rows of one thread. */
struct hz3_flows {
	struct hz3_flow_name name;
	uint32_t tid;			/* 0: the thread has ended, or there was none yet */
	uint32_t used;			/* cells */
	uint32_t stale;			/* of these; the thread's own, as the next */
	bool had_thread;		/* ever */
	uint64_t sent_before;		/* bytes that others freed of the heap's, in rows which are other owners' now; under the flow lock */
	bool full;			/* ever: something went to "others" for want of a row; relaxed */
	_Atomic(struct hz3_flow *) cell[HZ3_FLOW_CELLS];
	struct hz3_flow others;
	uint64_t local_folded[HZ3_CLASSES];	/* as row.folded, of what the thread freed of its own */
};

/* The row for what the thread frees of the owner's; never NULL unless there are no statistics. */
struct hz3_flow *hz3_flow_find(struct hz3_flows *flows, uint32_t owner);

static inline struct hz3_flow *hz3_flow_to(struct hz3_flows *flows, uint32_t owner)
{
	return HZ3_STATS ? hz3_flow_find(flows, owner) : NULL;
}

/* A chain of the class is on its way.  The row is hz3_flow_to()'s. */
static HZ3_INLINE void hz3_flow_count(struct hz3_flow *flow, unsigned class, uint32_t blocks)
{
	if (!HZ3_STATS)
		return;
	hz3_count(&flow->counts.blocks[class], blocks);
	hz3_count(&flow->counts.chains[hz3_flow_group(class)], 1);
}

/*
 * A page of the owner's has been taken over, with so many blocks that others have freed; sent: they were counted when they were sent, by
 * whomever.
 */
static inline void hz3_flow_count_page(struct hz3_flows *flows, uint32_t owner, unsigned class, uint32_t blocks, bool sent)
{
	struct hz3_flow *flow = hz3_flow_to(flows, owner);

	if (!HZ3_STATS)
		return;
	if (!sent)
		hz3_flow_count(flow, class, blocks);
	hz3_count(&flow->handed_bytes, blocks * hz3_class_size(class));
}

/* Bytes of what was counted in one row; in all of a thread's, by the thread that counts. */
uint64_t hz3_flow_counts_bytes(const struct hz3_flow_counts *counts);
uint64_t hz3_flow_bytes(const struct hz3_flows *flows);

/* The calling thread gets a heap, with these counters: what was counted so far is another thread's. */
void hz3_flow_begin(struct hz3_owner *owner, const struct hz3_counters *counters);

/* The calling thread is the one whose heap it is; in the child of a fork it has a new number. */
void hz3_flow_claim(struct hz3_flows *flows);

/* Of the calling thread's own heap: its name may have changed. */
void hz3_flow_refresh(struct hz3_flows *flows);

/* The thread has ended, or vanished (fork). */
void hz3_flow_end(struct hz3_flows *flows);

/* ---- For those who look at everything (flow_map.c), and fork ---- */

/* What threads that ended have freed of others that ended; local: what they freed of their own, and there is no freer. */
struct hz3_flow_sum {
	struct hz3_flow_name owner, freer;
	bool local;
	uint64_t blocks[HZ3_FLOW_GROUPS], bytes[HZ3_FLOW_GROUPS], chains[HZ3_FLOW_GROUPS];
};

extern struct hz3_lock hz3_flow_lock;

/* The i-th sum, or NULL past the last. */
const struct hz3_flow_sum *hz3_flow_sum_locked(unsigned i);

/* Whether names had to be taken together since the process began. */
bool hz3_flow_sums_full_locked(void);

/* Add what a row says beyond what was folded. */
void hz3_flow_add_locked(struct hz3_flow_sum *sum, const struct hz3_flow_counts *counts, const struct hz3_flow_counts *folded);

/* The name of the thread that has the heap, or had it last. */
struct hz3_flow_name hz3_flow_name_of(const struct hz3_flows *flows);

/* Names as text; the pattern that a name has in common with others: "worker-12" is "worker-*". */
void hz3_flow_name_get(const struct hz3_flow_name *name, char text[HZ3_FLOW_NAME_BYTES]);
void hz3_flow_name_set(struct hz3_flow_name *name, const char *text);
void hz3_flow_pattern(char pattern[HZ3_FLOW_NAME_BYTES], const char *name);

#endif
