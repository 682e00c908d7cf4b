/*
 * Prints the statistics as text for people.
 */
#include "report.h"

#include "hz3/hz3.h"
#include "os_process.h"
#include "report_flows.h"
#include "sink.h"
#include "view.h"

static void text_line(struct hz3_out *o, const char *label, struct hz3_number value, const char *what)
{
	hz3_out_text(o, "  ");
	hz3_out_left(o, label, 18);
	hz3_out_right(o, value.text, 14);
	if (*what != '\0')
		hz3_out_put(o, "   %s", what);
	hz3_out_char(o, '\n');
}

/* A limit that is not set is left out. */
static void text_limits(struct hz3_out *o, const struct hz3_stats *stats)
{
	text_line(o, "of the limits", hz3_number_size(stats->limit_used), "active, dirty and metadata");
	if (stats->limit_soft != 0)
		text_line(o, "  soft", hz3_number_size(stats->limit_soft), "");
	if (stats->limit_hard != 0)
		text_line(o, "  hard", hz3_number_size(stats->limit_hard), "");
	text_line(o, "  purges, soft", hz3_number_count(stats->limit_soft_purges), "for the soft limit's sake");
	text_line(o, "  purges, hard", hz3_number_count(stats->limit_hard_purges), "for the hard limit's sake");
	text_line(o, "  refused", hz3_number_count(stats->limit_refused), "requests that the hard limit had no room for");
}

static void text_memory(struct hz3_out *o, const struct hz3_stats *stats)
{
	hz3_out_text(o, "\nMemory\n");
	if (HZ3_STATS)
		text_line(o, "allocated", hz3_number_size(stats->allocated), "in live blocks, as usable bytes");
	text_line(o, "active", hz3_number_size(stats->active), "pages and runs in use, or kept for it");
	text_line(o, "dirty", hz3_number_size(stats->dirty), "free, not yet given back to the system");
	text_line(o, "mapped", hz3_number_size(stats->mapped), "address space committed for blocks");
	text_line(o, "metadata", hz3_number_size(stats->metadata), "hz3's own structures");
	text_line(o, "resident", hz3_number_size(stats->resident), "in RAM for the whole process (RSS)");
	text_line(o, "purged", hz3_number_size(stats->purged_bytes), "given back to the system so far");
	if (stats->purge_failures != 0)
		hz3_out_put(o, "  %lu purge calls failed: the system keeps what is locked in memory\n", (unsigned long)stats->purge_failures);
	if (stats->limit_soft != 0 || stats->limit_hard != 0)
		text_limits(o, stats);
	hz3_out_put(o, "  heaps %lu (%lu parked), huge mappings %lu, purge calls %lu\n", (unsigned long)stats->heaps,
	    (unsigned long)stats->heaps_parked, (unsigned long)stats->huge_mappings, (unsigned long)stats->purges);
}

static void text_blocks(struct hz3_out *o, const struct hz3_stats *stats)
{
	hz3_out_text(o, "\nBlocks\n");
	text_line(o, "allocated", hz3_number_count(stats->blocks_allocated), "by malloc and its kin");
	text_line(o, "freed", hz3_number_count(stats->blocks_freed), "");
	text_line(o, "live", hz3_number_count(stats->blocks_live), "");
}

/* One row of the table of sinks: central (enum hz3_sink_choice 0), page (1), both. */
static void sink_row(struct hz3_out *o, const char *label, struct hz3_number central, struct hz3_number page, struct hz3_number both)
{
	hz3_out_text(o, "  ");
	hz3_out_left(o, label, 26);
	hz3_out_right(o, central.text, 16);
	hz3_out_right(o, page.text, 16);
	hz3_out_right(o, both.text, 16);
	hz3_out_char(o, '\n');
}

static void sink_table(struct hz3_out *o, const struct hz3_sink_counters *c, const struct hz3_sink_counters *p,
		       const struct hz3_sink_counters *t)
{
	hz3_out_text(o, "  ");
	hz3_out_left(o, "", 26);
	hz3_out_right(o, "central sink", 16);
	hz3_out_right(o, "page sink", 16);
	hz3_out_right(o, "both", 16);
	hz3_out_char(o, '\n');
#define COUNT_ROW(label, field) sink_row(o, label, hz3_number_count(c->field), hz3_number_count(p->field), hz3_number_count(t->field))
#define RATIO_ROW(label, a, b, decimals)                                                                             \
	sink_row(o, label, hz3_number_ratio(c->a, c->b, decimals), hz3_number_ratio(p->a, p->b, decimals),                           \
		 hz3_number_ratio(t->a, t->b, decimals))
	COUNT_ROW("remote blocks sent", blocks);
	COUNT_ROW("chains", chains);
	RATIO_ROW("  blocks per chain", blocks, chains, 1);
	RATIO_ROW("  RMW per remote block", rmw_push, blocks, 4);
	COUNT_ROW("  CAS retries", cas_retries);
	COUNT_ROW("remote blocks drained", drained_blocks);
	COUNT_ROW("drains", drains);
	COUNT_ROW("page drains", page_drains);
	RATIO_ROW("  blocks per page drain", drained_blocks, page_drains, 1);
	RATIO_ROW("  RMW per remote block", rmw_drain, drained_blocks, 4);
#undef COUNT_ROW
#undef RATIO_ROW
}

static void text_flushes(struct hz3_out *o, const struct hz3_stats *stats)
{
	static const char *const why[HZ3_FLUSH_CAUSES] = {
		[HZ3_FLUSH_BUDGET] = "the buffer was full",
		[HZ3_FLUSH_SLOW_PATH] = "now and then",
		[HZ3_FLUSH_IDLE] = "hz3_thread_flush, hz3_thread_idle or a purge",
		[HZ3_FLUSH_EXIT] = "the thread ended",
		[HZ3_FLUSH_FORK] = "before fork",
		[HZ3_FLUSH_UNBATCHED] = "batching is off",
	};

	text_line(o, "flushes", hz3_number_count(hz3_stats_flushes(stats)), "of buffers, because:");
	for (int i = 0; i < HZ3_FLUSH_CAUSES; i++) {
		if (stats->sum.flushes[i] == 0)
			continue;
		hz3_out_text(o, "  ");
		text_line(o, hz3_report_cause_name(i), hz3_number_count(stats->sum.flushes[i]), why[i]);
	}
}

static void text_remote(struct hz3_out *o, const struct hz3_stats *stats)
{
	struct hz3_sink_counters total = hz3_stats_of_sinks(stats);

	hz3_out_text(o, "\nRemote frees (of blocks that belong to another thread)\n");
	hz3_out_put(o, "  sink %s, batching %s\n", hz3_report_sink_name((int)hz3_sink_mode()), hz3_sink_batch() ? "on" : "off");
	if (total.blocks == 0 && stats->held_bytes == 0) {
		hz3_out_text(o, "  none so far\n");
		return;
	}
	sink_table(o, &stats->sum.sink[0], &stats->sum.sink[1], &total);
	hz3_out_text(o, "  RMW: atomic read-modify-writes, retries included\n");
	text_flushes(o, stats);
	text_line(o, "held now", hz3_number_size(stats->held_bytes), "remote frees that wait in buffers");
	text_line(o, "held at most", hz3_number_size(stats->held_bytes_peak), "what the buffers were ever allowed");
	text_line(o, "held cap", hz3_number_size(stats->held_bytes_cap), "the limit now");
	text_line(o, "handover pages", hz3_number_count(stats->sum.handover_pages), "taken whole by who freed their last one");
	text_line(o, "handover blocks", hz3_number_count(stats->sum.handover_blocks), "in them; part of the counts above");
	text_line(o, "forwarded chains", hz3_number_count(stats->sum.forwarded_chains), "their page had changed hands");
}

static void class_row(struct hz3_out *o, const char *size, const struct hz3_class_stats *class, uint64_t capacity)
{
	hz3_out_right(o, size, 8);
	hz3_out_right(o, hz3_number_count(class->allocated).text, 14);
	hz3_out_right(o, hz3_number_count(class->freed_local).text, 14);
	hz3_out_right(o, hz3_number_count(class->freed_remote).text, 14);
	hz3_out_right(o, hz3_number_count(class->live).text, 13);
	hz3_out_right(o, hz3_number_count(class->pages).text, 9);
	hz3_out_right(o, hz3_number_ratio(class->live * 100, class->pages * capacity, 0).text, 7);
	hz3_out_char(o, '\n');
}

static void large_row(struct hz3_out *o, const struct hz3_stats *stats)
{
	hz3_out_right(o, "larger", 8);
	hz3_out_right(o, hz3_number_count(stats->large.allocated).text, 14);
	hz3_out_right(o, hz3_number_count(stats->large.freed).text, 14);
	hz3_out_right(o, "-", 14);
	hz3_out_right(o, hz3_number_count(stats->large.live).text, 13);
	hz3_out_put(o, "   %s live\n", hz3_number_size(stats->large.live_bytes).text);
}

static void text_classes(struct hz3_out *o, const struct hz3_stats *stats)
{
	hz3_out_text(o, "\nSize classes (blocks)\n");
	hz3_out_text(o, "    size     allocated   freed local  freed remote         live    pages  used%\n");
	for (unsigned i = 0; i < HZ3_CLASSES; i++) {
		const struct hz3_class_stats *class = &stats->class[i];

		if (class->allocated != 0 || class->pages != 0)
			class_row(o, hz3_number_count(class->size).text, class, hz3_class_info[i].capacity);
	}
	if (stats->large.allocated != 0)
		large_row(o, stats);
}

void hz3_report_text(hz3_report_write *write, void *arg, struct hz3_view *view)
{
	const struct hz3_stats *stats = &view->stats;
	struct hz3_out o;

	hz3_out_begin(&o, write, arg);
	hz3_out_put(&o, "---- hz3 %s, process %u ----\n", HZ3_VERSION, hz3_os_process_id());
	hz3_out_put(&o, "%s; default sink %s%s%s%s\n", hz3_report_library_path(), hz3_report_sink_name(HZ3_DEFAULT_SINK),
	    HZ3_DEBUG ? "; debug build" : "", HZ3_CHAOS ? "; chaos build" : "", HZ3_SAFETY ? "; safety checks" : "");
	text_memory(&o, stats);
	if (HZ3_STATS) {
		text_blocks(&o, stats);
		text_remote(&o, stats);
		text_classes(&o, stats);
		hz3_report_flows_text(&o, view);
	} else {
		hz3_out_text(&o, "\nThis library was built with --disable-stats: no blocks were counted.\n");
	}
	hz3_out_text(&o, "----\n");
	hz3_out_flush(&o);
}
