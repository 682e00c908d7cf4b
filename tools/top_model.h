/*
 * What hz3top knows: the last snapshot, and how much it has changed since the one before.  Plain computing.
 */
#ifndef HZ3_TOP_MODEL_H
#define HZ3_TOP_MODEL_H

#include "base.h"
#include "top_format.h"

/* What threads can be sorted by, which is also the columns of their table. */
enum top_key {
	TOP_NAME,
	TOP_ALLOCATED,	/* blocks a second */
	TOP_FREED,	/* by the thread, its own blocks and others' */
	TOP_IN,
	TOP_OUT,
	TOP_WAITING,
	TOP_HELD,
	TOP_KEPT,
	TOP_BYTES,	/* allocated, a second */
	TOP_TID,
	TOP_KEYS
};

/* The counts that grew, in the interval.  What is said to be "now" stays 0. */
struct top_change {
	bool known;	/* false: there was nothing before to compare with */
	struct hz3_top_counts by;
};

struct top_model {
	struct hz3_top_snapshot now;
	bool has_now;
	uint64_t interval_us;	/* between the two; 0: there is but one */
	struct top_change total, other, end;
	struct top_change thread[HZ3_TOP_THREADS];	/* by index, as in the snapshot */
	struct {
		bool known;
		uint64_t blocks, bytes, chains;
	} flow[HZ3_TOP_FLOWS];
	unsigned thread_order[HZ3_TOP_THREADS];		/* indices */
	unsigned flow_order[HZ3_TOP_FLOWS];		/* most blocks in the interval first */
	enum top_key key;
	bool reversed;
};

/* A snapshot has come.  One of another publisher (its number is not larger than the last one's) has nothing before it. */
void top_model_put(struct top_model *model, const struct hz3_top_snapshot *snapshot);

/* Largest first; names from A to Z. */
void top_model_sort(struct top_model *model, enum top_key key, bool reversed);

/* What the column shows of a row; false: it is not known yet. */
bool top_model_value(const struct hz3_top_counts *now, const struct top_change *change, enum top_key key, uint64_t *value);

/* Threads that live. */
unsigned top_model_threads(const struct top_model *model);

#endif
