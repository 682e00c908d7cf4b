/* The flow map: who frees whose memory, of all threads, at one moment. */
#include "flow_map.h"

#include <string.h>

#include "heap.h"
#include "os_clock.h"
#include "os_kept.h"
#include "os_memory.h"
#include "os_process.h"

size_t hz3_flow_group_from(unsigned group)
{
	return group ? hz3_class_size(4 * group - 1) + 1 : 1;
}

size_t hz3_flow_group_to(unsigned group)
{
	return hz3_class_size(4 * group + 3);
}

uint64_t hz3_flow_row_blocks(const struct hz3_flow_row *row)
{
	uint64_t blocks = 0;

	for (unsigned group = 0; group < HZ3_FLOW_GROUPS; group++)
		blocks += row->blocks[group];
	return blocks;
}

uint64_t hz3_flow_map_freed(const struct hz3_flow_map *map, const char *owner, unsigned group)
{
	uint64_t blocks = 0;

	for (unsigned i = 0; i < map->rows; i++)
		if (strcmp(map->row[i].owner, owner) == 0)
			blocks += map->row[i].blocks[group];
	return blocks;
}

/* What is freed by others first, and of that most blocks. */
static bool before(const struct hz3_flow_rank *a, const struct hz3_flow_rank *b)
{
	if (a->local != b->local)
		return b->local;
	return a->blocks > b->blocks;
}

/* Of rows that take each other's places: from the one that comes to this place on, until it is this one's turn. */
static void move_round(struct hz3_flow_map *map, unsigned start)
{
	struct hz3_flow_row row = map->row[start];
	unsigned i = start;

	while (map->rank[i].from != start) {
		unsigned from = map->rank[i].from;
		map->row[i] = map->row[from];
		map->rank[i].from = (uint16_t)i;
		i = from;
	}
	map->row[i] = row;
	map->rank[i].from = (uint16_t)i;
}

/* Rows are long: first their order is found, and then each is moved once. */
static void rank(struct hz3_flow_map *map)
{
	for (unsigned i = 0; i < map->rows; i++) {
		struct hz3_flow_rank rank = { hz3_flow_row_blocks(&map->row[i]), (uint16_t)i, map->row[i].local };
		unsigned j = i;
		for (; j > 0 && before(&rank, &map->rank[j - 1]); j--)
			map->rank[j] = map->rank[j - 1];
		map->rank[j] = rank;
	}
	for (unsigned i = 0; i < map->rows; i++)
		move_round(map, i);
}

/* ---- taking one ---- */

/* Ask the system for the names of threads that live; they may have been renamed since they told. */
static void refresh_names(void)
{
	char name[HZ3_FLOW_NAME_BYTES];

	for (uint32_t id = 1; id <= hz3_owner_count(); id++) {
		struct hz3_flows *flows = hz3_owner_by_id(id)->frees;
		/* relaxed: if it ends meanwhile, it was called so. */
		uint32_t tid = hz3_read_once(&flows->tid);
		if (tid && hz3_os_name_of_thread(tid, name) && hz3_read_once(&flows->tid) == tid)
			hz3_flow_name_set(&flows->name, name);
	}
}

/* By groups. */
static void add(struct hz3_flow_row *row, const uint64_t *blocks, const uint64_t *bytes, const uint64_t *chains)
{
	for (unsigned group = 0; group < HZ3_FLOW_GROUPS; group++) {
		row->blocks[group] += blocks[group];
		row->bytes[group] += bytes[group];
		row->chains[group] += chains[group];
	}
}

static struct hz3_flow_row *new_row(struct hz3_flow_map *map, const struct hz3_flow_sum *sum)
{
	if (map->rows < HZ3_FLOW_MAP_ROWS) {
		struct hz3_flow_row *row = &map->row[map->rows++];
		hz3_flow_name_get(&sum->owner, row->owner);
		hz3_flow_name_get(&sum->freer, row->freer);
		row->local = sum->local;
		return row;
	}
	/* The last one takes what is too much. */
	struct hz3_flow_row *last = &map->row[HZ3_FLOW_MAP_ROWS - 1];
	map->rows_full = true;
	last->owner_heap = last->freer_heap = 0;
	strcpy(last->owner, "(others)");
	strcpy(last->freer, "(others)");
	last->local = false;
	return last;
}

static void put_row(struct hz3_flow_map *map, const struct hz3_flow_sum *sum, uint32_t owner_heap, uint32_t freer_heap)
{
	uint64_t blocks = 0, bytes = 0;

	for (unsigned group = 0; group < HZ3_FLOW_GROUPS; group++) {
		blocks += sum->blocks[group];
		bytes += sum->bytes[group];
	}
	if (blocks == 0 || (map->rows >= HZ3_FLOW_MAP_ROWS && sum->local))
		return;
	struct hz3_flow_row *row = new_row(map, sum);
	if (!map->rows_full) {
		row->owner_heap = owner_heap;
		row->freer_heap = freer_heap;
	}
	row->same_thread_name = !row->local && strcmp(row->owner, row->freer) == 0;
	add(row, sum->blocks, sum->bytes, sum->chains);
	if (row->local)
		return;
	map->sent_blocks += blocks;
	map->sent_bytes += bytes;
}

/* What a thread frees of one owner's; others: of many. */
static void take_flow_locked(struct hz3_flow_map *map, uint32_t freer, const struct hz3_flow *flow)
{
	struct hz3_flow_sum sum = { .freer = hz3_flow_name_of(hz3_owner_by_id(freer)->frees) };

	if (flow->owner)
		sum.owner = hz3_flow_name_of(hz3_owner_by_id(flow->owner)->frees);
	else
		hz3_flow_name_set(&sum.owner, "(others)");
	hz3_flow_add_locked(&sum, &flow->counts, &flow->folded);
	put_row(map, &sum, flow->owner, freer);
}

static void take_local_locked(struct hz3_flow_map *map, uint32_t id)
{
	const struct hz3_counters *counters = &hz3_owner_by_id(id)->heap->counters;
	const struct hz3_flows *flows = hz3_owner_by_id(id)->frees;
	struct hz3_flow_sum sum = { .owner = hz3_flow_name_of(flows), .local = true };

	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		uint64_t blocks = hz3_read_once(&counters->class[class].freed_local) -
				  flows->local_folded[class];
		sum.blocks[hz3_flow_group(class)] += blocks;
		sum.bytes[hz3_flow_group(class)] += blocks * hz3_class_size(class);
	}
	put_row(map, &sum, id, id);
}

static void take_heap_locked(struct hz3_flow_map *map, uint32_t id)
{
	struct hz3_flows *flows = hz3_owner_by_id(id)->frees;

	for (unsigned i = 0; i < HZ3_FLOW_CELLS; i++) {
		const struct hz3_flow *flow = hz3_atomic_load(&flows->cell[i], relaxed);
		if (flow)
			take_flow_locked(map, id, flow);
	}
	take_flow_locked(map, id, &flows->others);
	/* relaxed: what it says is as old as the counts. */
	map->rows_full |= hz3_read_once(&flows->full);
	take_local_locked(map, id);
}

/* ---- what waits ---- */

/* Bytes that came to the heap through its inbox: what was delivered, without the pages that its thread took from others. */
static uint64_t arrived_locked(const struct hz3_owner *owner)
{
	const struct hz3_counters *counters = &owner->heap->counters;
	uint64_t bytes = 0;

	for (unsigned class = 0; class < HZ3_CLASSES; class++)
		bytes += hz3_read_once(&counters->class[class].freed_remote) * hz3_class_size(class);
	for (unsigned i = 0; i < HZ3_FLOW_CELLS; i++) {
		const struct hz3_flow *flow = hz3_atomic_load(&owner->frees->cell[i], relaxed);
		if (flow)
			bytes -= hz3_read_once(&flow->handed_bytes);
	}
	return bytes - hz3_read_once(&owner->frees->others.handed_bytes);
}

/* Deliveries first: of what happens while we read, rather too much than too little waits. */
uint64_t hz3_flow_waiting_locked(struct hz3_owner *owner)
{
	uint64_t arrived = arrived_locked(owner), sent = owner->frees->sent_before;

	for (const struct hz3_flow *flow = owner->freed_by; flow; flow = flow->next)
		sent += hz3_flow_counts_bytes(&flow->counts) - hz3_read_once(&flow->handed_bytes);
	return sent > arrived ? sent - arrived : 0;
}

static void put_waiting(struct hz3_flow_map *map, struct hz3_flow_waiting waiting)
{
	unsigned i = map->waiting_rows;

	map->waiting_bytes += waiting.bytes;
	if (i < HZ3_FLOW_MAP_WAITING)
		map->waiting_rows++;
	else if (map->waiting[--i].bytes >= waiting.bytes)
		return;
	for (; i > 0 && map->waiting[i - 1].bytes < waiting.bytes; i--)
		map->waiting[i] = map->waiting[i - 1];
	map->waiting[i] = waiting;
}

static void take_waiting_locked(struct hz3_flow_map *map, uint32_t id)
{
	struct hz3_owner *owner = hz3_owner_by_id(id);
	struct hz3_flow_waiting waiting = { .heap = id, .bytes = hz3_flow_waiting_locked(owner) };

	if (waiting.bytes == 0)
		return;
	hz3_flow_name_get(&owner->frees->name, waiting.owner);
	if (hz3_inbox_pending(&owner->inbox))
		waiting.age_ms = (uint32_t)hz3_os_now_ms() - hz3_atomic_load(&owner->waiting_since_ms, relaxed);
	put_waiting(map, waiting);
}

struct hz3_flow_map *hz3_flow_map_take(void)
{
	size_t bytes = hz3_align_up(sizeof(struct hz3_flow_map), hz3_os_page_size);
	struct hz3_flow_map *map = HZ3_STATS ? hz3_os_map(bytes, hz3_os_page_size) : NULL;
	const struct hz3_flow_sum *sum;

	if (map == NULL)
		return NULL;
	map->mapped = bytes;
	refresh_names();
	hz3_lock(&hz3_flow_lock);
	for (uint32_t id = 1; id <= hz3_owner_count(); id++) {
		take_heap_locked(map, id);
		take_waiting_locked(map, id);
	}
	for (unsigned i = 0; (sum = hz3_flow_sum_locked(i)) != NULL; i++)
		put_row(map, sum, 0, 0);
	map->names_full = hz3_flow_sums_full_locked();
	hz3_unlock(&hz3_flow_lock);
	rank(map);
	return map;
}

void hz3_flow_map_release(struct hz3_flow_map *map)
{
	if (map)
		hz3_os_discard(map, map->mapped);
}

/* ---- merging ---- */

/* FNV-1a, with the end of the text, and the high bits in the low ones. */
static uint32_t hash_text(uint32_t hash, const char *text)
{
	do
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	while (*text++ != '\0');
	return hash ^ hash >> 16;
}

/* Of all names, owners and freers in turn; that of a local row's freer is "". */
static char *name_at(struct hz3_flow_map *map, unsigned i)
{
	return i % 2 ? map->row[i / 2].freer : map->row[i / 2].owner;
}

/* Where the first name of a pattern is, or would go.  It may have become the pattern meanwhile, which is its own pattern. */
static struct hz3_flow_cell *pattern_cell(struct hz3_flow_map *map, const char *pattern)
{
	char other[HZ3_FLOW_NAME_BYTES];
	unsigned i = hash_text(0, pattern) % HZ3_FLOW_MAP_CELLS;

	for (; map->cell[i].used; i = (i + 1) % HZ3_FLOW_MAP_CELLS) {
		hz3_flow_pattern(other, name_at(map, map->cell[i].used - 1));
		if (strcmp(other, pattern) == 0)
			break;
	}
	return &map->cell[i];
}

/* All names are looked at before the first is changed: the order of the rows means nothing. */
static void names_to_patterns(struct hz3_flow_map *map)
{
	char pattern[HZ3_FLOW_NAME_BYTES];

	memset(map->cell, 0, sizeof(map->cell));
	for (unsigned i = 0; i < 2 * map->rows; i++) {
		hz3_flow_pattern(pattern, name_at(map, i));
		struct hz3_flow_cell *cell = pattern_cell(map, pattern);
		if (cell->used == 0)
			cell->used = (uint16_t)(i + 1);
		else if (strcmp(name_at(map, cell->used - 1), name_at(map, i)) != 0)
			cell->several = true;
	}
	for (unsigned i = 0; i < 2 * map->rows; i++) {
		hz3_flow_pattern(pattern, name_at(map, i));
		if (pattern_cell(map, pattern)->several)
			memcpy(name_at(map, i), pattern, sizeof(pattern));
	}
}

/* Where the row with these names is, or would go. */
static struct hz3_flow_cell *row_cell(struct hz3_flow_map *map, const struct hz3_flow_row *as)
{
	unsigned i = hash_text(hash_text(as->local, as->owner), as->freer) % HZ3_FLOW_MAP_CELLS;

	for (; map->cell[i].used; i = (i + 1) % HZ3_FLOW_MAP_CELLS) {
		const struct hz3_flow_row *row = &map->row[map->cell[i].used - 1];
		if (strcmp(row->owner, as->owner) == 0 && strcmp(row->freer, as->freer) == 0 && row->local == as->local)
			break;
	}
	return &map->cell[i];
}

static void merge_into(struct hz3_flow_row *row, const struct hz3_flow_row *other)
{
	add(row, other->blocks, other->bytes, other->chains);
	row->same_thread_name |= other->same_thread_name;
	row->owner_heap = row->freer_heap = 0;
}

void hz3_flow_map_merge(struct hz3_flow_map *map)
{
	unsigned rows = 0;

	names_to_patterns(map);
	memset(map->cell, 0, sizeof(map->cell));
	for (unsigned i = 0; i < map->rows; i++) {
		struct hz3_flow_cell *cell = row_cell(map, &map->row[i]);
		if (cell->used) {
			merge_into(&map->row[cell->used - 1], &map->row[i]);
			continue;
		}
		if (rows != i)
			map->row[rows] = map->row[i];
		cell->used = (uint16_t)++rows;
	}
	map->rows = rows;
	rank(map);
}
