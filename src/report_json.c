/*
 * Prints the statistics as JSON: for programs.
 */
#include "report.h"

#include "hz3/hz3.h"
#include "options.h"
#include "os_clock.h"
#include "os_process.h"
#include "report_flows.h"
#include "sink.h"
#include "view.h"

static void json_sink_counters(struct hz3_out *o, const struct hz3_sink_counters *sink)
{
	hz3_json_count(o, "blocks", sink->blocks);
	hz3_json_count(o, "chains", sink->chains);
	hz3_json_ratio(o, "blocks_per_chain", sink->blocks, sink->chains);
	hz3_json_count(o, "rmw_push", sink->rmw_push);
	hz3_json_ratio(o, "rmw_push_per_block", sink->rmw_push, sink->blocks);
	hz3_json_count(o, "rmw_queue_push", sink->rmw_queue_push);
	hz3_json_count(o, "queued_pages", sink->queued_pages);
	hz3_json_count(o, "cas_retries", sink->cas_retries);
	hz3_json_count(o, "drains", sink->drains);
	hz3_json_count(o, "page_drains", sink->page_drains);
	hz3_json_count(o, "drained_blocks", sink->drained_blocks);
	hz3_json_ratio(o, "blocks_per_page_drain", sink->drained_blocks, sink->page_drains);
	hz3_json_count(o, "rmw_drain", sink->rmw_drain);
	hz3_json_ratio(o, "rmw_drain_per_block", sink->rmw_drain, sink->drained_blocks);
	hz3_json_count(o, "rmw_queue_drain", sink->rmw_queue_drain);
}

/* The totals over both sinks first, then what no single sink knows, then each sink. */
static void json_remote(struct hz3_out *o, const struct hz3_stats *stats)
{
	struct hz3_sink_counters total = hz3_stats_of_sinks(stats);

	hz3_json_open(o, "remote", '{');
	hz3_json_string(o, "sink", hz3_report_sink_name(hz3_sink_mode()));
	hz3_json_bool(o, "batch", hz3_sink_batch());
	json_sink_counters(o, &total);
	hz3_json_count(o, "flushes", hz3_stats_flushes(stats));
	hz3_json_open(o, "flush_causes", '{');
	for (int i = 0; i < HZ3_FLUSH_CAUSES; i++)
		hz3_json_count(o, hz3_report_cause_name(i), stats->sum.flushes[i]);
	hz3_json_close(o, '}');
	hz3_json_count(o, "held_bytes", stats->held_bytes);
	hz3_json_count(o, "held_bytes_peak", stats->held_bytes_peak);
	hz3_json_count(o, "held_bytes_cap", stats->held_bytes_cap);
	hz3_json_count(o, "held_refused", stats->held_refused);
	hz3_json_count(o, "handover_pages", stats->sum.handover_pages);
	hz3_json_count(o, "handover_blocks", stats->sum.handover_blocks);
	hz3_json_count(o, "forwarded_chains", stats->sum.forwarded_chains);
	hz3_json_open(o, "sinks", '{');
	for (int i = 0; i < HZ3_SINKS; i++) {
		hz3_json_open(o, hz3_report_sink_name(i), '{');
		json_sink_counters(o, &stats->sum.sink[i]);
		hz3_json_close(o, '}');
	}
	hz3_json_close(o, '}');
	hz3_json_close(o, '}');
}

static void json_classes(struct hz3_out *o, const struct hz3_stats *stats)
{
	hz3_json_open(o, "classes", '[');
	for (unsigned i = 0; i < HZ3_CLASSES; i++) {
		const struct hz3_class_stats *class = &stats->class[i];

		hz3_json_line(o, NULL);
		hz3_out_put(o, "{\"size\": %lu, \"allocated\": %lu, \"freed_local\": %lu, ", (unsigned long)class->size,
		    (unsigned long)class->allocated, (unsigned long)class->freed_local);
		hz3_out_put(o, "\"freed_remote\": %lu, \"live\": %lu, \"pages\": %lu, ", (unsigned long)class->freed_remote,
		    (unsigned long)class->live, (unsigned long)class->pages);
		hz3_out_put(o, "\"page_bytes\": %lu, \"page_blocks\": %u}", (unsigned long)hz3_class_page_bytes(i),
		    hz3_class_info[i].capacity);
	}
	hz3_json_close(o, ']');
}

static void json_build(struct hz3_out *o)
{
	hz3_json_string(o, "version", HZ3_VERSION);
	hz3_json_string(o, "library", hz3_report_library_path());
	hz3_json_count(o, "pid", hz3_os_process_id());
	hz3_json_count(o, "time_ms", hz3_os_wall_ns() / 1000000);
	hz3_json_open(o, "config", '{');
	hz3_json_string(o, "default_sink", hz3_report_sink_name(HZ3_DEFAULT_SINK));
	hz3_json_bool(o, "debug", HZ3_DEBUG);
	hz3_json_bool(o, "safety_checks", HZ3_SAFETY);
	hz3_json_bool(o, "stats", HZ3_STATS);
	hz3_json_close(o, '}');
}

/* Every option as the text that HZ3_CONF would take. */
static void json_options(struct hz3_out *o)
{
	char value[HZ3_OPTION_PATH_BYTES];

	hz3_json_open(o, "options", '{');
	for (size_t i = 0; i < hz3_option_count(); i++) {
		const char *name = hz3_option_row(i)->name;

		hz3_option_get_text(name, value, sizeof(value));
		hz3_json_string(o, name, value);
	}
	hz3_json_close(o, '}');
}

static void json_memory(struct hz3_out *o, const struct hz3_stats *stats)
{
	hz3_json_count(o, "allocated", stats->allocated);
	hz3_json_count(o, "active", stats->active);
	hz3_json_count(o, "dirty", stats->dirty);
	hz3_json_count(o, "resident", stats->resident);
	hz3_json_count(o, "mapped", stats->mapped);
	hz3_json_count(o, "metadata", stats->metadata);
	hz3_json_count(o, "purges", stats->purges);
	hz3_json_count(o, "purge_failures", stats->purge_failures);
	hz3_json_count(o, "purged_bytes", stats->purged_bytes);
	hz3_json_count(o, "heaps", stats->heaps);
	hz3_json_count(o, "heaps_parked", stats->heaps_parked);
	hz3_json_count(o, "heaps_lost", stats->heaps_lost);
	hz3_json_count(o, "lost_bytes", stats->lost_bytes);
	hz3_json_count(o, "huge_mappings", stats->huge_mappings);
	hz3_json_open(o, "limit", '{');
	hz3_json_count(o, "soft", stats->limit_soft);
	hz3_json_count(o, "hard", stats->limit_hard);
	hz3_json_count(o, "used", stats->limit_used);
	hz3_json_count(o, "soft_purges", stats->limit_soft_purges);
	hz3_json_count(o, "hard_purges", stats->limit_hard_purges);
	hz3_json_count(o, "refused", stats->limit_refused);
	hz3_json_close(o, '}');
}

static void json_blocks(struct hz3_out *o, const struct hz3_stats *stats)
{
	hz3_json_count(o, "blocks_allocated", stats->blocks_allocated);
	hz3_json_count(o, "blocks_freed", stats->blocks_freed);
	hz3_json_count(o, "blocks_live", stats->blocks_live);
	hz3_json_count(o, "slow_allocs", stats->sum.slow_allocs);
	hz3_json_open(o, "large", '{');
	hz3_json_count(o, "allocated", stats->large.allocated);
	hz3_json_count(o, "freed", stats->large.freed);
	hz3_json_count(o, "live", stats->large.live);
	hz3_json_count(o, "live_bytes", stats->large.live_bytes);
	hz3_json_close(o, '}');
}

void hz3_report_json(hz3_report_write *write, void *arg, struct hz3_view *view)
{
	const struct hz3_stats *stats = &view->stats;
	struct hz3_out o;

	hz3_out_begin(&o, write, arg);
	hz3_out_char(&o, '{');
	o.depth = 1;
	hz3_json_count(&o, "hz3_stats_version", HZ3_REPORT_VERSION);
	json_build(&o);
	json_options(&o);
	json_memory(&o, stats);
	json_blocks(&o, stats);
	json_remote(&o, stats);
	json_classes(&o, stats);
	hz3_report_flows_json(&o, view);
	hz3_json_close(&o, '}');
	hz3_out_char(&o, '\n');
	hz3_out_flush(&o);
}
