/* Counters of what the allocator did, summed on demand. */
#include "stats.h"

#include "abandon.h"
#include "arena.h"
#include "decay.h"
#include "heap.h"
#include "large.h"
#include "limit.h"
#include "meta.h"
#include "os_kept.h"
#include "os_process.h"
#include "os_resident.h"
#include "pool.h"
#include "thread.h"

static void add(uint64_t *sum, const uint64_t *counter)
{
	*sum += hz3_read_once(counter);
}

static void add_classes(struct hz3_stats *out, const struct hz3_counters *counters)
{
	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		struct hz3_class_stats *sum = &out->class[class];
		const struct hz3_class_counters *from = &counters->class[class];
		uint64_t made = 0, retired = 0;
		/* Frees first: of what is counted while we read, rather an allocation too much than one too few. */
		add(&sum->freed_local, &from->freed_local);
		add(&sum->freed_remote, &from->freed_remote);
		add(&sum->allocated, &from->allocated);
		add(&retired, &from->pages_retired);
		add(&made, &from->pages_made);
		add(&sum->slow_allocs, &from->slow_allocs);
		add(&sum->slow_asked_bytes, &from->slow_asked_bytes);
		sum->pages += made - retired;
	}
}

/* Everything in struct hz3_counters is a row of uint64_t; what stands behind the classes is added as such. */
static void add_counters(struct hz3_stats *out, const struct hz3_counters *counters)
{
	const size_t start = offsetof(struct hz3_counters, sink) / sizeof(uint64_t);
	const size_t end = sizeof(*counters) / sizeof(uint64_t);
	uint64_t *sum = (uint64_t *)&out->sum;
	const uint64_t *from = (const uint64_t *)counters;

	add_classes(out, counters);
	for (size_t i = start; i < end; i++)
		add(&sum[i], &from[i]);
}

/* The heaps whose pages may be looked into: the caller's, the shared one, and the parked ones; all locked or ours. */
static bool at_rest(const struct hz3_owner *owner, const struct hz3_heap *mine)
{
	return owner->heap == mine || owner->heap == hz3_thread_shared_heap() ||
	       hz3_atomic_load(&owner->state, relaxed) == HZ3_OWNER_PARKED;
}

/* What the counters of a heap at rest don't say yet: frees not counted, local ones and those in the remote word. */
static void add_page(struct hz3_stats *out, const struct hz3_page *page)
{
	struct hz3_class_stats *sum = &out->class[page->class];
	struct hz3_class_counters extra = { 0 };

	hz3_heap_count_page(page, &extra);
	sum->allocated += extra.allocated;
	sum->freed_local += extra.freed_local;
	/* relaxed: a count. */
	sum->freed_remote +=
		hz3_remote_count(hz3_atomic_load(&hz3_page_remote(page)->word, relaxed));
}

/* Current and awake pages are in the heap's lists; blocks that wait in a current page were counted as allocated. */
static void add_listed_pages(struct hz3_stats *out, const struct hz3_heap *heap)
{
	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		const struct hz3_page *page = heap->page[class];
		if (page != &hz3_page_none) {
			add_page(out, page);
			out->class[class].allocated -= hz3_page_count_free(page);
		}
		for (page = heap->awake[class].first; page; page = page->next)
			add_page(out, page);
	}
}

/* A page that may be asleep, and then in no list; it must not be taken over while it is looked at. */
static void add_sleeping_page(struct hz3_stats *out, size_t slice, struct hz3_owner *owner)
{
	struct hz3_page_remote *remote = hz3_remote_of(slice);
	struct hz3_sink_counters unused = { 0 };
	bool undo;

	if (!hz3_remote_is_asleep(remote) || !hz3_remote_hold(remote, &undo))
		return;
	/* It may have become another's before it was held; what is held stays whose it is. */
	uint64_t route = hz3_route_of(slice);
	if (hz3_route_owner(route) == owner->id && hz3_remote_is_asleep(remote))
		add_page(out, hz3_page_at(slice));
	uint32_t wake = hz3_route_owner(route) ? hz3_class_info[hz3_route_class(route)].wake : 1;
	if (undo && hz3_remote_unhold(remote, wake)) {
		/* Blocks were pushed, so the page has an owner. */
		route = hz3_route_of(slice);
		hz3_pages_requeue(hz3_owner_by_id(hz3_route_owner(route)), hz3_page_at(slice), &unused);
	}
}

/* Pages that nobody allocates from any more, slice by slice. */
static void add_lost(struct hz3_stats *out)
{
	size_t slices = hz3_page_map_slices();

	for (uint32_t id = 1; id <= hz3_owner_count(); id++)
		out->heaps_lost += hz3_owner_is_lost(hz3_owner_by_id(id));
	for (size_t slice = 1; out->heaps_lost > 0 && slice < slices; slice++) {
		uint32_t id = hz3_route_owner(hz3_route_of(slice));
		if (id != 0 && hz3_owner_is_lost(hz3_owner_by_id(id)))
			out->lost_bytes += HZ3_SLICE;
	}
}

static void add_pages_at_rest(struct hz3_stats *out, const struct hz3_heap *mine)
{
	size_t slices = hz3_page_map_slices();

	for (uint32_t id = 1; id <= hz3_owner_count(); id++)
		if (at_rest(hz3_owner_by_id(id), mine))
			add_listed_pages(out, hz3_owner_by_id(id)->heap);
	for (size_t slice = 1; slice < slices; slice++) {
		uint64_t route = hz3_route_of(slice);
		if (hz3_route_owner(route) == 0 || hz3_route_offset(route) != 0)
			continue;
		struct hz3_owner *owner = hz3_owner_by_id(hz3_route_owner(route));
		if (at_rest(owner, mine))
			add_sleeping_page(out, slice, owner);
	}
}

static void add_heap(struct hz3_stats *out, const struct hz3_heap *heap)
{
	add_counters(out, &heap->counters);
	add(&out->held_refused, &heap->buffer.refused);
	out->held_bytes += hz3_atomic_load(&heap->buffer.held_bytes, relaxed);
}

/* But those of pools, which have to be of the same moment as their pages. */
static void add_heaps(struct hz3_stats *out)
{
	out->heaps = hz3_owner_count();
	for (uint32_t id = 1; id <= out->heaps; id++) {
		const struct hz3_owner *owner = hz3_owner_by_id(id);
		/* relaxed: a pool's owner never is anything else. */
		if (hz3_atomic_load(&owner->state, relaxed) != HZ3_OWNER_POOL)
			add_heap(out, owner->heap);
	}
}

static void add_pool_heap(void *out, const struct hz3_heap *heap)
{
	add_heap(out, heap);
}

/* The same of a pool's pages, under its lock. */
static void add_pool_page(void *out, const struct hz3_page *page)
{
	if (!HZ3_STATS)
		return;
	add_page(out, page);
	if (page->state == HZ3_PAGE_CURRENT)
		((struct hz3_stats *)out)->class[page->class].allocated -= hz3_page_count_free(page);
}

static void add_arenas(struct hz3_stats *out)
{
	for (unsigned i = 0; i < hz3_arenas_count(); i++) {
		const struct hz3_arena_counters *counters = hz3_arena_counters(i);
		out->purges += hz3_atomic_load(&counters->purges, relaxed);
		out->purge_failures += hz3_atomic_load(&counters->purge_failures, relaxed);
		out->purged_bytes += hz3_atomic_load(&counters->purged_slices, relaxed)
				     << HZ3_SLICE_SHIFT;
	}
	out->huge_mappings = hz3_large_huge_count();
	out->huge_bytes = hz3_large_huge_bytes();
	out->active = hz3_arenas_active() + out->huge_bytes;
	out->dirty = hz3_arenas_dirty();
	out->mapped = hz3_arenas_committed() + out->huge_bytes + hz3_os_kept();
	out->metadata = hz3_meta_bytes() + hz3_os_own_bytes();
	out->resident = hz3_os_resident();
}

static void add_limits(struct hz3_stats *out)
{
	struct hz3_limit_counters counters = hz3_limit_counters();

	/* relaxed: they may be set while we run. */
	out->limit_soft = hz3_read_once(&hz3_options.memory_limit_soft);
	out->limit_hard = hz3_read_once(&hz3_options.memory_limit_hard);
	out->limit_used = hz3_limit_used();
	out->limit_soft_purges = counters.soft_purges;
	out->limit_hard_purges = counters.hard_purges;
	out->limit_refused = counters.refused;
}

/* While threads run, what has come and what has gone are counted one after the other, and may not fit. */
static uint64_t difference(uint64_t come, uint64_t gone)
{
	return come > gone ? come - gone : 0;
}

static void sum_up(struct hz3_stats *out)
{
	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		struct hz3_class_stats *sum = &out->class[class];
		sum->size = hz3_class_size(class);
		/* A page that is handed over may be counted on one side only. */
		sum->live = difference(sum->allocated, sum->freed_local + sum->freed_remote);
		sum->pages = (int64_t)sum->pages > 0 ? sum->pages : 0;
		out->blocks_allocated += sum->allocated;
		out->blocks_freed += sum->freed_local + sum->freed_remote;
		out->blocks_live += sum->live;
		out->allocated += sum->live * sum->size;
	}
	out->large.allocated = out->sum.large_allocs;
	out->large.freed = out->sum.large_frees;
	out->large.live = difference(out->sum.large_allocs, out->sum.large_frees);
	out->large.live_bytes = difference(out->sum.large_alloc_bytes, out->sum.large_free_bytes);
	out->blocks_allocated += out->large.allocated;
	out->blocks_freed += out->large.freed;
	out->blocks_live += out->large.live;
	out->allocated += out->large.live_bytes;
	out->held_bytes_peak = hz3_buffer_granted_peak();
	out->held_bytes_cap = hz3_buffer_cap();
}

void hz3_stats_collect(struct hz3_stats *out)
{
	*out = (struct hz3_stats){ 0 };
	if (!hz3_thread_setup())
		return;
	/* What is on its way home to heaps at rest counts as freed. */
	hz3_thread_settle();
	hz3_abandon_request_drain();
	hz3_abandon_drain();
	/* The decay lock keeps scavengers away, which may take sleeping pages even while we hold them. */
	hz3_lock(&hz3_decay_lock);
	hz3_lock(&hz3_abandon_lock);
	hz3_lock(&hz3_shared_lock);
	add_heaps(out);
	if (HZ3_STATS)
		add_pages_at_rest(out, hz3_thread_heap);
	hz3_pools_each(add_pool_heap, add_pool_page, out);
	add_lost(out);
	out->heaps_parked = hz3_abandon_parked_locked();
	hz3_unlock(&hz3_shared_lock);
	hz3_unlock(&hz3_abandon_lock);
	hz3_unlock(&hz3_decay_lock);
	add_arenas(out);
	add_limits(out);
	sum_up(out);
}

struct hz3_sink_counters hz3_stats_of_sinks(const struct hz3_stats *stats)
{
	struct hz3_sink_counters total = { 0 };

	for (int i = 0; i < HZ3_SINKS; i++) {
		const struct hz3_sink_counters *sink = &stats->sum.sink[i];
		total.blocks += sink->blocks;
		total.chains += sink->chains;
		total.rmw_push += sink->rmw_push;
		total.rmw_queue_push += sink->rmw_queue_push;
		total.queued_pages += sink->queued_pages;
		total.cas_retries += sink->cas_retries;
		total.drains += sink->drains;
		total.page_drains += sink->page_drains;
		total.drained_blocks += sink->drained_blocks;
		total.rmw_drain += sink->rmw_drain;
		total.rmw_queue_drain += sink->rmw_queue_drain;
	}
	return total;
}

uint64_t hz3_stats_flushes(const struct hz3_stats *stats)
{
	uint64_t total = 0;

	for (int i = 0; i < HZ3_FLUSH_CAUSES; i++)
		total += stats->sum.flushes[i];
	return total;
}
