/*
 * The flow map: who frees whose memory, of all threads, at one moment; and what waits for whom.
 *
 * A map is a copy in memory of its own, so that it can be printed with no lock held.  Any thread may take one, with no lock
 * held.  Not of one moment while threads run, like all statistics.
 */
#ifndef HZ3_FLOW_MAP_H
#define HZ3_FLOW_MAP_H

#include "flow.h"

#define HZ3_FLOW_MAP_ROWS 1024
#define HZ3_FLOW_MAP_WAITING 64
#define HZ3_FLOW_MAP_CELLS (4 * HZ3_FLOW_MAP_ROWS)

/* What threads of one name free of threads of another; by name, pattern, or of two threads. */
struct hz3_flow_row {
	char owner[HZ3_FLOW_NAME_BYTES];
	char freer[HZ3_FLOW_NAME_BYTES];
	bool local;				/* what the owners free of their own; no freer */
	uint32_t owner_heap, freer_heap;	/* 0: of threads that ended, or of several */
	bool same_thread_name;			/* both had the same name before they were merged */
	uint64_t blocks[HZ3_FLOW_GROUPS], bytes[HZ3_FLOW_GROUPS], chains[HZ3_FLOW_GROUPS];
};

/* For sorting. */
struct hz3_flow_rank {
	uint64_t blocks;
	uint16_t from;
	bool local;
};

/* For merging: open addressing, at most half full, by the patterns of all names, then by the names of rows. */
struct hz3_flow_cell {
	uint16_t used;		/* the number of a name or row, and 1; 0: free */
	bool several;		/* there are other names of the pattern */
};

/* Blocks that were sent to an owner and have not been taken in. */
struct hz3_flow_waiting {
	char owner[HZ3_FLOW_NAME_BYTES];
	uint32_t heap;
	uint64_t bytes;
	uint64_t age_ms;	/* since its inbox was empty; 0: it is, what waits is too little for each page to be announced */
};

struct hz3_flow_map {
	size_t mapped;
	unsigned rows, waiting_rows;
	uint64_t waiting_bytes;		/* for all owners, also those that have no row */
	uint64_t sent_blocks, sent_bytes;	/* in all rows but the local ones */
	bool names_full;		/* names of ended threads were taken together */
	bool rows_full;			/* some thread frees of more owners than it has rows for, or the map was too short */
	struct hz3_flow_waiting waiting[HZ3_FLOW_MAP_WAITING];	/* most bytes first */
	struct hz3_flow_rank rank[HZ3_FLOW_MAP_ROWS];
	struct hz3_flow_cell cell[HZ3_FLOW_MAP_CELLS];
	struct hz3_flow_row row[HZ3_FLOW_MAP_ROWS];
};

/* NULL: no memory, or no statistics. */
struct hz3_flow_map *hz3_flow_map_take(void);
void hz3_flow_map_release(struct hz3_flow_map *map);

/*
 * Take rows together by name, for whatever shows names: the report, metrics, hz3top.  A name becomes its pattern, as
 * "worker-*", if the map has another name of that pattern, in whatever row, as owner or freer; else it stays.  What was sent
 * comes first, and of that most blocks.
 */
void hz3_flow_map_merge(struct hz3_flow_map *map);

/* Bytes that were sent to an owner and have not come home.  Under hz3_flow_lock. */
uint64_t hz3_flow_waiting_locked(struct hz3_owner *owner);

/* Sums over a row; and what was freed of the row's owners by anybody, in a group. */
uint64_t hz3_flow_row_blocks(const struct hz3_flow_row *row);
uint64_t hz3_flow_map_freed(const struct hz3_flow_map *map, const char *owner, unsigned group);

/* The sizes of a group: from .. to bytes. */
size_t hz3_flow_group_from(unsigned group);
size_t hz3_flow_group_to(unsigned group);

#endif
