/* Metrics in the text format of Prometheus. */
#include "metrics.h"

#include "hz3/hz3.h"
#include "options.h"
#include "probe.h"
#include "report.h"
#include "sink.h"

/* A collector keeps every label for ever: not too many. */
#define FLOWS_MAX 64
#define WAITING_MAX 16

static void family(struct hz3_out *o, const char *name, const char *type, const char *help)
{
	hz3_out_put(o, "# HELP hz3_%s %s\n", name, help);
	hz3_out_put(o, "# TYPE hz3_%s %s\n", name, type);
}

static void single(struct hz3_out *o, const char *name, const char *type, const char *help, uint64_t value)
{
	family(o, name, type, help);
	hz3_out_put(o, "hz3_%s %lu\n", name, (unsigned long)value);
}

/* label="value", the value escaped. */
static void label(struct hz3_out *o, const char *name, const char *value)
{
	hz3_out_put(o, "%s=\"", name);
	for (; *value != '\0'; value++) {
		if (*value == '\n') {
			hz3_out_text(o, "\\n");
			continue;
		}
		if (*value == '"' || *value == '\\')
			hz3_out_char(o, '\\');
		hz3_out_char(o, *value);
	}
	hz3_out_char(o, '"');
}

/* hz3_NAME{LABEL="VALUE"} N */
static void labelled(struct hz3_out *o, const char *name, const char *label_name, const char *label_value, uint64_t value)
{
	hz3_out_put(o, "hz3_%s{", name);
	label(o, label_name, label_value);
	hz3_out_put(o, "} %lu\n", (unsigned long)value);
}

static void build(struct hz3_out *o)
{
	family(o, "build_info", "gauge", "Version of hz3 and the sink in force; always 1.");
	hz3_out_text(o, "hz3_build_info{");
	label(o, "version", HZ3_VERSION);
	hz3_out_char(o, ',');
	label(o, "sink", hz3_report_sink_name((int)hz3_sink_mode()));
	hz3_out_text(o, "} 1\n");
}

static void limits(struct hz3_out *o, const struct hz3_stats *stats)
{
	static const char limit[] = "memory_limit_bytes", purges[] = "memory_limit_purges_total";

	single(o, "limited_memory_bytes", "gauge", "What the memory limits limit: active, dirty and metadata.", stats->limit_used);
	family(o, limit, "gauge", "The memory limits; 0 is none.");
	labelled(o, limit, "limit", "soft", stats->limit_soft);
	labelled(o, limit, "limit", "hard", stats->limit_hard);
	family(o, purges, "counter", "Purges for the sake of a memory limit.");
	labelled(o, purges, "limit", "soft", stats->limit_soft_purges);
	labelled(o, purges, "limit", "hard", stats->limit_hard_purges);
	single(o, "memory_limit_refusals_total", "counter", "Requests that failed for the hard limit.", stats->limit_refused);
}

static void memory(struct hz3_out *o, const struct hz3_stats *stats, const struct hz3_waterfall *m)
{
	static const char name[] = "memory_bytes";

	family(o, name, "gauge", "Where the memory is: all parts without untouched make up the resident memory.");
	labelled(o, name, "part", "requested", m->requested);
	labelled(o, name, "part", "rounding", m->rounding);
	labelled(o, name, "part", "held", m->held);
	labelled(o, name, "part", "waiting", m->waiting);
	labelled(o, name, "part", "free_in_pages", m->free_in_pages);
	labelled(o, name, "part", "kept", m->kept);
	labelled(o, name, "part", "dirty", m->dirty);
	labelled(o, name, "part", "metadata", m->metadata);
	labelled(o, name, "part", "other", m->other);
	single(o, "untouched_memory_bytes", "gauge", "Of all parts but other: memory that was never touched.", m->untouched);
	single(o, "resident_memory_bytes", "gauge", "Resident memory of the process.", m->resident);
	single(o, "mapped_memory_bytes", "gauge", "Address space committed for blocks.", stats->mapped);
	single(o, "purged_bytes_total", "counter", "Bytes given back to the system.", stats->purged_bytes);
	single(o, "purges_total", "counter", "Calls of madvise that gave memory back.", stats->purges);
	single(o, "purge_failures_total", "counter", "Calls of madvise that failed, as on locked memory.", stats->purge_failures);
	single(o, "heaps", "gauge", "Heaps ever made.", stats->heaps);
	limits(o, stats);
	single(o, "heaps_parked", "gauge", "Heaps that wait for a new thread.", stats->heaps_parked);
}

/* What the blocks of a page that is given up were counted for in advance is taken back: a counter of Prometheus never falls. */
static uint64_t never_less(_Atomic uint64_t *most, uint64_t now)
{
	uint64_t before = hz3_atomic_load(most, relaxed);

	while (before < now && !hz3_atomic_cas_weak(most, &before, now, relaxed, relaxed))
		;
	return hz3_max(before, now);
}

static void blocks(struct hz3_out *o, const struct hz3_stats *stats)
{
	static _Atomic uint64_t allocated;

	single(o, "allocated_blocks_total", "counter", "Blocks allocated.", never_less(&allocated, stats->blocks_allocated));
	single(o, "freed_blocks_total", "counter", "Blocks freed.", stats->blocks_freed);
	single(o, "live_blocks", "gauge", "Blocks that are live.", stats->blocks_live);
	single(o, "live_bytes", "gauge", "Usable bytes of live blocks.", stats->allocated);
}

#define SINK_FAMILY(o, stats, name, field, help)                                                                     \
	do {                                                                                                         \
		family(o, name, "counter", help);                                                                    \
		for (int sink = 0; sink < HZ3_SINKS; sink++)                                                         \
			labelled(o, name, "sink", hz3_report_sink_name(sink), (stats)->sum.sink[sink].field);        \
	} while (0)

static void remote(struct hz3_out *o, const struct hz3_stats *stats)
{
	SINK_FAMILY(o, stats, "remote_sent_blocks_total", blocks, "Blocks that were sent to their owner.");
	SINK_FAMILY(o, stats, "remote_chains_total", chains, "Chains that they were sent as.");
	SINK_FAMILY(o, stats, "remote_drained_blocks_total", drained_blocks, "Blocks that owners took in.");
	SINK_FAMILY(o, stats, "remote_drains_total", drains, "Times that an owner took in what was sent.");
	SINK_FAMILY(o, stats, "remote_cas_retries_total", cas_retries, "Atomic operations that had to be repeated.");
	single(o, "remote_held_bytes", "gauge", "Bytes of remote frees in buffers.", stats->held_bytes);
	single(o, "remote_held_limit_bytes", "gauge", "Bytes that all buffers may hold.", stats->held_bytes_cap);
	single(o, "remote_held_refusals_total", "counter", "Times that this limit made a thread flush early.",
	       stats->held_refused);
}

/* One family: what is counted of each flow, from the largest row on. */
static void flow_family(struct hz3_out *o, const struct hz3_flow_map *map, const char *name, const char *help,
			uint64_t (*value)(const struct hz3_flow_row *row, unsigned group))
{
	unsigned lines = 0;

	family(o, name, "counter", help);
	for (unsigned i = 0; i < map->rows; i++) {
		const struct hz3_flow_row *row = &map->row[i];

		for (unsigned group = 0; group < HZ3_FLOW_GROUPS; group++) {
			if (row->local || row->blocks[group] == 0 || lines++ >= FLOWS_MAX)
				continue;
			hz3_out_put(o, "hz3_%s{", name);
			label(o, "owner", row->owner);
			hz3_out_char(o, ',');
			label(o, "freer", row->freer);
			hz3_out_put(o, ",size_to=\"%lu\"} %lu\n", (unsigned long)hz3_flow_group_to(group),
				    (unsigned long)value(row, group));
		}
	}
}

static uint64_t flow_blocks(const struct hz3_flow_row *row, unsigned group)
{
	return row->blocks[group];
}

static uint64_t flow_bytes(const struct hz3_flow_row *row, unsigned group)
{
	return row->bytes[group];
}

static uint64_t flow_chains(const struct hz3_flow_row *row, unsigned group)
{
	return row->chains[group];
}

/* Several heaps may belong to threads of one name; a sample may be there once only. */
static void waiting(struct hz3_out *o, const struct hz3_flow_map *map)
{
	char heap[16];

	family(o, "waiting_bytes", "gauge", "Bytes freed by others that an owner has not taken in.");
	for (unsigned i = 0; i < map->waiting_rows && i < WAITING_MAX; i++) {
		hz3_format(heap, sizeof(heap), "%u", map->waiting[i].heap);
		labelled(o, "waiting_bytes", "heap", heap, map->waiting[i].bytes);
	}
	family(o, "waiting_age_seconds", "gauge", "How long ago the owner had nothing waiting.");
	for (unsigned i = 0; i < map->waiting_rows && i < WAITING_MAX; i++) {
		hz3_out_put(o, "hz3_waiting_age_seconds{heap=\"%u\"} %s\n", map->waiting[i].heap,
			    hz3_number_ratio(map->waiting[i].age_ms, 1000, 3).text);
	}
}

static void delays(struct hz3_out *o, const struct hz3_stats *stats)
{
	static const char name[] = "free_to_reusable_seconds";
	uint64_t samples = 0;

	family(o, name, "histogram", "From a remote free to when the block can be had again; sampled.");
	for (unsigned i = 0; i < HZ3_DELAYS; i++) {
		samples += stats->sum.delays[i];
		hz3_out_put(o, "hz3_%s_bucket{le=\"%s\"} %lu\n", name,
			    i < HZ3_DELAYS - 1 ? hz3_number_ratio(hz3_probe_bound_us(i), 1000000, 6).text : "+Inf",
			    (unsigned long)samples);
	}
	hz3_out_put(o, "hz3_%s_sum %s\n", name, hz3_number_ratio(stats->sum.delay_us, 1000000, 6).text);
	hz3_out_put(o, "hz3_%s_count %lu\n", name, (unsigned long)samples);
}

void hz3_metrics_print(hz3_out_write *write, void *arg, struct hz3_view *view)
{
	struct hz3_out o;

	hz3_out_begin(&o, write, arg);
	build(&o);
	memory(&o, &view->stats, &view->memory);
	if (HZ3_STATS) {
		blocks(&o, &view->stats);
		remote(&o, &view->stats);
		delays(&o, &view->stats);
	}
	if (view->flows != NULL) {
		hz3_flow_map_merge(view->flows);
		flow_family(&o, view->flows, "flow_blocks_total", "Blocks of an owner that another thread freed.",
			    flow_blocks);
		flow_family(&o, view->flows, "flow_bytes_total", "Bytes of these blocks.", flow_bytes);
		flow_family(&o, view->flows, "flow_chains_total", "Chains that they were sent as.", flow_chains);
		waiting(&o, view->flows);
	}
	hz3_out_flush(&o);
}

void hz3_metrics_write(void)
{
	static struct hz3_report_file file = {.option = "metrics_file"};
	struct hz3_view view;

	hz3_view_take(&view);
	hz3_report_replace_file(&file, hz3_options.metrics_file, hz3_metrics_print, &view);
	hz3_view_release(&view);
}
