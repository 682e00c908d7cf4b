/* Publishing for hz3top. */
#include "top.h"

#include <errno.h>
#include <string.h>

#include "background.h"
#include "flow_map.h"
#include "heap.h"
#include "hz3/hz3.h"
#include "options.h"
#include "os_clock.h"
#include "os_memory.h"
#include "os_process.h"
#include "os_shared.h"
#include "seqlock.h"
#include "sink.h"
#include "stats.h"

/* Heaps up to this number compete for rows by what they did lately; later ones get what rows are left. */
#define ACTIVITY_HEAPS 4096

/* All of this is the background thread's alone, but that the first file is made before the thread is started. */
static struct {
	struct hz3_os_shared shared;
	uint32_t pid;			/* whose file this is; 0: there is none */
	uint64_t next_ms;
} published;

static struct hz3_top_snapshot draft;
static struct {
	uint64_t operations;		/* until the last snapshot */
	uint64_t score;			/* of those, the recent ones, in sixteenths: an eighth is forgotten with each snapshot */
} activity[ACTIVITY_HEAPS];
static uint64_t row_score[HZ3_TOP_THREADS];

/* ---- counts ---- */

static void count_classes(struct hz3_top_counts *out, const struct hz3_counters *counters)
{
	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		const struct hz3_class_counters *from = &counters->class[class];
		size_t size = hz3_class_size(class);
		uint64_t local = hz3_read_once(&from->freed_local), in = hz3_read_once(&from->freed_remote);
		uint64_t allocated = hz3_read_once(&from->allocated);
		out->allocated_blocks += allocated;
		out->allocated_bytes += allocated * size;
		out->freed_local_blocks += local;
		out->freed_local_bytes += local * size;
		out->in_blocks += in;
		out->in_bytes += in * size;
	}
	out->allocated_blocks += hz3_read_once(&counters->large_allocs);
	out->allocated_bytes += hz3_read_once(&counters->large_alloc_bytes);
	out->freed_local_blocks += hz3_read_once(&counters->large_frees);
	out->freed_local_bytes += hz3_read_once(&counters->large_free_bytes);
	out->slow_paths = hz3_read_once(&counters->slow_allocs);
}

/* Adds one flow to what goes out; what of it never went to its owner. */
static uint64_t count_flow(struct hz3_top_counts *out, const struct hz3_flow *flow)
{
	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		uint64_t blocks = hz3_read_once(&flow->counts.blocks[class]);
		out->out_blocks += blocks;
		out->out_bytes += blocks * hz3_class_size(class);
	}
	for (unsigned group = 0; group < HZ3_FLOW_GROUPS; group++)
		out->out_chains += hz3_read_once(&flow->counts.chains[group]);
	return hz3_read_once(&flow->handed_bytes);
}

/* Pages that it took over whole are counted as come home where they are taken, which is not what an owner wants to see. */
static void count_flows_locked(struct hz3_top_counts *out, const struct hz3_owner *owner)
{
	uint64_t handed = count_flow(out, &owner->frees->others);

	for (unsigned i = 0; i < HZ3_FLOW_CELLS; i++) {
		const struct hz3_flow *flow = hz3_atomic_load(&owner->frees->cell[i], relaxed);
		if (flow)
			handed += count_flow(out, flow);
	}
	out->taken_blocks = hz3_read_once(&owner->heap->counters.handover_blocks);
	out->in_blocks -= hz3_min(out->in_blocks, out->taken_blocks);
	out->in_bytes -= hz3_min(out->in_bytes, handed);
}

static struct hz3_top_counts count_heap_locked(struct hz3_owner *owner)
{
	struct hz3_top_counts counts = { 0 };

	count_classes(&counts, &owner->heap->counters);
	count_flows_locked(&counts, owner);
	counts.waiting_bytes = hz3_flow_waiting_locked(owner);
	counts.held_bytes = hz3_atomic_load(&owner->heap->buffer.held_bytes, relaxed);
	counts.kept_bytes = (uint64_t)hz3_stock_slices(&owner->heap->stock) << HZ3_SLICE_SHIFT;
	return counts;
}

static void add_counts(struct hz3_top_counts *sum, const struct hz3_top_counts *counts)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)counts;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(uint64_t); i++)
		to[i] += from[i];
}

/* ---- threads ---- */

static uint64_t score_of(uint32_t heap, const struct hz3_top_counts *counts)
{
	uint64_t operations = counts->allocated_blocks + counts->freed_local_blocks + counts->in_blocks + counts->out_blocks;

	if (heap >= ACTIVITY_HEAPS)
		return 0;
	uint64_t before = activity[heap].operations;
	activity[heap].score -= activity[heap].score / 8;
	activity[heap].score += operations > before ? 16 * (operations - before) : 0;
	activity[heap].operations = operations;
	return activity[heap].score;
}

static unsigned least_active_row(void)
{
	unsigned least = 0;

	for (unsigned i = 1; i < HZ3_TOP_THREADS; i++)
		if (row_score[i] < row_score[least])
			least = i;
	return least;
}

static void put_thread(struct hz3_top_snapshot *out, const struct hz3_top_thread *thread)
{
	uint64_t score = score_of(thread->heap, &thread->counts);
	unsigned i = out->thread_rows;

	if (i < HZ3_TOP_THREADS) {
		out->thread_rows++;
	} else {
		i = least_active_row();
		out->others++;
		add_counts(&out->other, score > row_score[i] ? &out->thread[i].counts : &thread->counts);
		if (score <= row_score[i])
			return;
	}
	out->thread[i] = *thread;
	row_score[i] = score;
}

/* A heap has a thread while it runs and somebody has claimed it; not the one that ending threads share. */
static void take_heap_locked(struct hz3_top_snapshot *out, uint32_t id)
{
	struct hz3_owner *owner = hz3_owner_by_id(id);
	/* relaxed, both: a thread that ends meanwhile is shown once more. */
	struct hz3_top_thread thread = { .tid = hz3_read_once(&owner->frees->tid), .heap = id };
	bool runs = hz3_atomic_load(&owner->state, relaxed) == HZ3_OWNER_RUNNING;

	thread.counts = count_heap_locked(owner);
	add_counts(&out->total, &thread.counts);
	if (runs && thread.tid) {
		hz3_flow_name_get(&owner->frees->name, thread.name);
		put_thread(out, &thread);
		return;
	}
	out->ended++;
	add_counts(&out->end, &thread.counts);
}

static void take_threads(struct hz3_top_snapshot *out)
{
	out->thread_rows = out->others = out->ended = 0;
	out->total = out->other = out->end = (struct hz3_top_counts){ 0 };
	if (!HZ3_STATS)
		return;
	hz3_lock(&hz3_flow_lock);
	for (uint32_t id = 1; id <= hz3_owner_count(); id++)
		take_heap_locked(out, id);
	hz3_unlock(&hz3_flow_lock);
}

/* ---- flows ---- */

static struct hz3_top_flow flow_of(const struct hz3_flow_row *row)
{
	struct hz3_top_flow flow = { .blocks = hz3_flow_row_blocks(row) };

	memcpy(flow.owner, row->owner, sizeof(flow.owner));
	memcpy(flow.freer, row->freer, sizeof(flow.freer));
	for (unsigned i = 0; i < HZ3_FLOW_GROUPS; i++) {
		flow.bytes += row->bytes[i];
		flow.chains += row->chains[i];
	}
	return flow;
}

/* As the report names them: of a thousand pairs of a thousand workers and a logger, one row. */
static void take_flows(struct hz3_top_snapshot *out, struct hz3_flow_map *map)
{
	out->flow_rows = 0;
	if (map == NULL) {
		out->flags |= HZ3_STATS ? HZ3_TOP_FLOWS_CUT : 0;
		return;
	}
	hz3_flow_map_merge(map);
	out->flags |= map->rows_full || map->names_full ? HZ3_TOP_FLOWS_CUT : 0;
	for (unsigned i = 0; i < map->rows && !map->row[i].local; i++) {
		if (out->flow_rows < HZ3_TOP_FLOWS)
			out->flow[out->flow_rows++] = flow_of(&map->row[i]);
		else
			out->flags |= HZ3_TOP_FLOWS_CUT;
	}
}

/* ---- the whole ---- */

static void take_memory(struct hz3_top_memory *out, const struct hz3_stats *stats)
{
	*out = (struct hz3_top_memory){
		.resident = stats->resident,
		.live_bytes = stats->allocated,
		.live_blocks = stats->blocks_live,
		.active = stats->active,
		.dirty = stats->dirty,
		.mapped = stats->mapped,
		.metadata = stats->metadata,
		.purged = stats->purged_bytes,
		.held_limit = stats->held_bytes_cap,
	};
}

void hz3_top_take(struct hz3_top_snapshot *out)
{
	struct hz3_stats stats;

	/* First, since it takes in what has arrived; and then the map, which asks for the threads' names. */
	hz3_stats_collect(&stats);
	struct hz3_flow_map *map = hz3_flow_map_take();
	out->number++;
	out->time_us = hz3_os_now_us();
	out->wall_ns = hz3_os_wall_ns();
	out->flags = HZ3_STATS ? HZ3_TOP_COUNTS : 0;
	out->sink = (uint32_t)hz3_sink_mode();
	take_memory(&out->memory, &stats);
	take_threads(out);
	take_flows(out, map);
	hz3_flow_map_release(map);
}

/* ---- publishing ---- */

static bool make_file(uint32_t pid)
{
	if (!hz3_os_share(&published.shared, HZ3_TOP_NAME, hz3_align_up(sizeof(struct hz3_top_file), hz3_os_page_size)))
		return false;
	struct hz3_top_file *file = published.shared.memory;
	file->head.format = HZ3_TOP_FORMAT;
	file->head.file_bytes = sizeof(*file);
	file->head.pid = pid;
	file->head.period_ms = HZ3_TOP_PERIOD_MS;
	hz3_format(file->head.version, sizeof(file->head.version), "%s", HZ3_VERSION);
	/* release: pairs with the acquire of whoever finds the file. */
	hz3_atomic_store(&file->head.magic, HZ3_TOP_MAGIC, release);
	published.pid = pid;
	draft.number = 0;
	return true;
}

/* That there is a file, of this process, and to be found. */
static bool has_file(void)
{
	uint32_t pid = hz3_os_process_id();

	if (published.pid == pid && hz3_os_is_shared(&published.shared))
		return true;
	if (published.pid)
		hz3_os_unshare(&published.shared, published.pid != pid);
	published.pid = 0;
	return make_file(pid);
}

static unsigned run(void)
{
	uint64_t now = hz3_os_now_ms();

	if (now < published.next_ms)
		return (unsigned)(published.next_ms - now);
	published.next_ms = now + HZ3_TOP_PERIOD_MS;
	if (has_file()) {
		struct hz3_top_file *file = published.shared.memory;
		hz3_top_take(&draft);
		hz3_seqlock_write(&file->sequence, file->words, (const uint64_t *)&draft, HZ3_TOP_WORDS);
	}
	return HZ3_TOP_PERIOD_MS;
}

static const struct hz3_background_job job = { .run = run, .always = true };

void hz3_top_setup(void)
{
	int saved_errno = errno;

	if (!hz3_options.top)
		return;
	if (!has_file())
		hz3_warn("cannot publish for hz3top (the option top): error %d", errno);
	hz3_background_add(&job);
	hz3_background_tick(hz3_os_now_ms());
	errno = saved_errno;
}
