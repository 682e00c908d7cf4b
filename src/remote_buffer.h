/*
 * A thread's outgoing frees, grouped by page and by owner.
 *
 * Private to its thread (and, after fork, to whoever adopts the heap).  A set-associative table keyed by page: a free
 * into a page that is in the table is two stores.  A miss closes the entry that has more blocks; a closed entry is a
 * chain and goes to the outbox; a flush closes all and posts the outbox.
 *
 * What the buffer holds back is bounded twice: by the thread's own budget, and by a process-wide cap, from which each
 * thread's budget is a grant.  held_bytes never exceeds budget + one block.
 */
#ifndef HZ3_REMOTE_BUFFER_H
#define HZ3_REMOTE_BUFFER_H

#include "atomic.h"
#include "sink.h"

#define HZ3_BUFFER_WAYS 2
#define HZ3_BUFFER_SETS 128
#define HZ3_BUFFER_SET_WORDS ((HZ3_BUFFER_SETS + 63) / 64)

/* A set is a line. */
struct hz3_buffer_entry {
	uint32_t slice;			/* first slice of the page; 0: empty */
	uint32_t missing;		/* blocks of the page that are not here */
	struct hz3_block *first, *last;
	uint32_t block_bytes, capacity;	/* of the page */
};

struct hz3_remote_buffer {
	_Atomic size_t held_bytes;	/* relaxed: written by this thread, read by statistics */
	size_t budget;			/* granted from the process-wide cap */
	bool shares;			/* counted among those who share the cap */
	uint64_t refused;		/* a counter: times that the cap denied it a larger budget */
	uint32_t fillings;		/* times that it was begun to be filled */
	uint32_t probe_owner;		/* of the probe */
	uint64_t probe;			/* 0: this filling has none; see probe.h */
	uint64_t used[HZ3_BUFFER_SET_WORDS];	/* a bit per set: an entry of it may be in use */
	struct hz3_buffer_entry entry[HZ3_BUFFER_SETS][HZ3_BUFFER_WAYS] HZ3_ALIGNED(HZ3_CACHE_LINE);
	struct hz3_outbox outbox;
};

/* What a free into the buffer asks of its caller. */
enum hz3_buffer_need {
	HZ3_BUFFER_OK,
	HZ3_BUFFER_MISS,		/* nothing was done: the page is not in the table */
	HZ3_BUFFER_FULL,		/* done, and held_bytes is over the budget */
	HZ3_BUFFER_WHOLE,		/* done, and the entry holds every block of its page */
};

static HZ3_INLINE struct hz3_buffer_entry *hz3_buffer_set(struct hz3_remote_buffer *buffer, size_t slice)
{
	return buffer->entry[slice % HZ3_BUFFER_SETS];
}

/* The new sum.  One writer: two relaxed steps lose nothing. */
static HZ3_INLINE size_t hz3_buffer_hold(struct hz3_remote_buffer *buffer, size_t bytes)
{
	size_t held = hz3_atomic_load(&buffer->held_bytes, relaxed) + bytes;

	hz3_atomic_store(&buffer->held_bytes, held, relaxed);
	return held;
}

/* The fast path: the page is in the table. */
static HZ3_INLINE enum hz3_buffer_need hz3_buffer_add(struct hz3_remote_buffer *buffer, size_t slice,
						      struct hz3_block *block)
{
	struct hz3_buffer_entry *entry = hz3_buffer_set(buffer, slice);

	if (entry->slice != slice && (++entry)->slice != slice)
		return HZ3_BUFFER_MISS;
	hz3_check(block != entry->first, "free: %p was freed twice", (void *)block);
	hz3_block_link(block, entry->first);
	/* The link before the head: a fork between the two must not leave a list that leads astray. */
	atomic_signal_fence(memory_order_release);
	entry->first = block;
	size_t held = hz3_buffer_hold(buffer, entry->block_bytes);
	if (hz3_unlikely(--entry->missing == 0))
		return HZ3_BUFFER_WHOLE;
	return hz3_unlikely(held > buffer->budget) ? HZ3_BUFFER_FULL : HZ3_BUFFER_OK;
}

/* After a miss, the short way: as add_new.  MISS if something has to be posted first; then nothing was done. */
enum hz3_buffer_need hz3_buffer_replace(struct hz3_remote_buffer *buffer, size_t slice, struct hz3_block *block);

/* After a miss: make room and start an entry with the block.  May post an outbox slot. */
enum hz3_buffer_need hz3_buffer_add_new(struct hz3_remote_buffer *buffer, size_t slice, struct hz3_block *block,
					struct hz3_counters *counters, struct hz3_posted *posted);

/* After WHOLE: close that entry.  Returns the page if it is the caller's now, else NULL. */
struct hz3_page *hz3_buffer_close_whole(struct hz3_remote_buffer *buffer, size_t slice, struct hz3_counters *counters,
					struct hz3_posted *posted);

/* Close everything and post it.  held_bytes is 0 afterwards. */
void hz3_buffer_flush(struct hz3_remote_buffer *buffer, struct hz3_counters *counters, enum hz3_flush_cause cause,
		      struct hz3_posted *posted);

/*
 * In the child of a fork, of a thread that was just changing it: make it consistent.  It sees a prefix of that thread's stores, so
 * a chain may be missing that was on its way from an entry to the outbox, or to an owner.
 */
void hz3_buffer_mend(struct hz3_remote_buffer *buffer);

/* Send one block by itself: batching is off, or the thread has no buffer of its own any more. */
void hz3_buffer_send_one(struct hz3_remote_buffer *buffer, size_t slice, struct hz3_block *block,
			 struct hz3_counters *counters, struct hz3_posted *posted);

/* Bytes of the blocks in its entries; held_bytes has those in the outbox as well. */
size_t hz3_buffer_bytes(const struct hz3_remote_buffer *buffer);

static inline bool hz3_buffer_is_over_budget(const struct hz3_remote_buffer *buffer)
{
	return hz3_atomic_load(&buffer->held_bytes, relaxed) > buffer->budget;
}

/* When it is: ask for a larger grant.  False: there is none to be had, flush. */
bool hz3_buffer_raise_budget(struct hz3_remote_buffer *buffer);

/* Give the grant back, at thread exit and when idle.  The buffer must be empty. */
void hz3_buffer_return_budget(struct hz3_remote_buffer *buffer);

/* The process-wide cap now, and the most that was ever granted of it. */
size_t hz3_buffer_cap(void);
size_t hz3_buffer_granted_peak(void);

/* What is granted now, for tests. */
size_t hz3_buffer_granted(void);

#endif
