/*
 * The control tree's stats.*, but for those of the arenas, and epoch.
 *
 * Each read of a statistic collects afresh.  (Several that must belong together: hz3_stats_print.)
 */
#include "control_row.h"

#include "atomic.h"
#include "stats.h"

#include <string.h>

/* As in jemalloc, where statistics stand still until the epoch is written.  Ours are always fresh. */
static _Atomic uint64_t epoch = 1;

static void get_epoch(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->size = hz3_atomic_load(&epoch, relaxed);
}

static int set_epoch(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED,
		     const union hz3_control_value *value HZ3_UNUSED)
{
	hz3_atomic_fetch_add(&epoch, 1, relaxed);
	return 0;
}

/* where is the offset in struct hz3_stats, and index counts in steps of struct hz3_class_stats. */
static void get_stat(const struct hz3_control_row *row, size_t index, union hz3_control_value *value)
{
	struct hz3_stats stats;
	const char *p = (const char *)&stats + index * sizeof(struct hz3_class_stats);
	uint64_t a, b = 0;

	hz3_stats_collect(&stats);
	memcpy(&a, p + row->where, sizeof(a));
	if (row->and_where != 0)
		memcpy(&b, p + row->and_where, sizeof(b));
	value->size = a + b;
}

static void get_flushes(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	struct hz3_stats stats;

	hz3_stats_collect(&stats);
	value->size = hz3_stats_flushes(&stats);
}

#define STAT(text, field) {.name = text, .type = HZ3_CONTROL_SIZE, .get = get_stat, .where = offsetof(struct hz3_stats, field)}
#define BIN_STAT(field)                                                                                              \
	{.name = "stats.bins.<i>." #field,                                                                           \
	 .type = HZ3_CONTROL_SIZE,                                                                                    \
	 .get = get_stat,                                                                                             \
	 .where = offsetof(struct hz3_stats, class[0].field),                                                        \
	 .count = HZ3_CLASSES}

/* One counter of the sinks: the sum, central alone, page alone. */
#define SINK_STAT(field)                                                                                             \
	{.name = "stats.remote." #field,                                                                             \
	 .type = HZ3_CONTROL_SIZE,                                                                                    \
	 .get = get_stat,                                                                                             \
	 .where = offsetof(struct hz3_stats, sum.sink[0].field),                                                     \
	 .and_where = offsetof(struct hz3_stats, sum.sink[1].field)},                                                \
	STAT("stats.remote.central." #field, sum.sink[0].field),                                                     \
	STAT("stats.remote.page." #field, sum.sink[1].field)

static const struct hz3_control_row rows[] = {
	{.name = "epoch", .type = HZ3_CONTROL_SIZE, .get = get_epoch, .set = set_epoch},

	STAT("stats.allocated", allocated),
	STAT("stats.active", active),
	STAT("stats.dirty", dirty),
	STAT("stats.resident", resident),
	STAT("stats.mapped", mapped),
	STAT("stats.metadata", metadata),
	STAT("stats.blocks_allocated", blocks_allocated),
	STAT("stats.blocks_freed", blocks_freed),
	STAT("stats.blocks_live", blocks_live),
	STAT("stats.heaps", heaps),
	STAT("stats.heaps_parked", heaps_parked),
	STAT("stats.heaps_lost", heaps_lost),
	STAT("stats.lost_bytes", lost_bytes),
	STAT("stats.purges", purges),
	STAT("stats.purge_failures", purge_failures),
	STAT("stats.purged_bytes", purged_bytes),
	STAT("stats.huge_mappings", huge_mappings),
	STAT("stats.limit.used", limit_used),
	STAT("stats.limit.soft_purges", limit_soft_purges),
	STAT("stats.limit.hard_purges", limit_hard_purges),
	STAT("stats.limit.refused", limit_refused),
	STAT("stats.slow_allocs", sum.slow_allocs),

	STAT("stats.large.allocated", large.allocated),
	STAT("stats.large.freed", large.freed),
	STAT("stats.large.live", large.live),
	STAT("stats.large.live_bytes", large.live_bytes),

	BIN_STAT(size),
	BIN_STAT(allocated),
	BIN_STAT(freed_local),
	BIN_STAT(freed_remote),
	BIN_STAT(live),
	BIN_STAT(pages),

	SINK_STAT(blocks),
	SINK_STAT(chains),
	SINK_STAT(rmw_push),
	SINK_STAT(rmw_queue_push),
	SINK_STAT(queued_pages),
	SINK_STAT(cas_retries),
	SINK_STAT(drains),
	SINK_STAT(page_drains),
	SINK_STAT(drained_blocks),
	SINK_STAT(rmw_drain),
	SINK_STAT(rmw_queue_drain),
	{.name = "stats.remote.flushes", .type = HZ3_CONTROL_SIZE, .get = get_flushes},
	STAT("stats.remote.flush_causes.budget", sum.flushes[HZ3_FLUSH_BUDGET]),
	STAT("stats.remote.flush_causes.slow_path", sum.flushes[HZ3_FLUSH_SLOW_PATH]),
	STAT("stats.remote.flush_causes.idle", sum.flushes[HZ3_FLUSH_IDLE]),
	STAT("stats.remote.flush_causes.exit", sum.flushes[HZ3_FLUSH_EXIT]),
	STAT("stats.remote.flush_causes.fork", sum.flushes[HZ3_FLUSH_FORK]),
	STAT("stats.remote.flush_causes.unbatched", sum.flushes[HZ3_FLUSH_UNBATCHED]),
	STAT("stats.remote.held_bytes", held_bytes),
	STAT("stats.remote.held_bytes_peak", held_bytes_peak),
	STAT("stats.remote.held_bytes_cap", held_bytes_cap),
	STAT("stats.remote.held_refused", held_refused),
	STAT("stats.remote.handover_pages", sum.handover_pages),
	STAT("stats.remote.handover_blocks", sum.handover_blocks),
	STAT("stats.remote.forwarded_chains", sum.forwarded_chains),
};

const struct hz3_control_table hz3_control_stats = HZ3_CONTROL_TABLE(rows);
