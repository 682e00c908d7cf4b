/*
 * Prints the statistics: text for people, JSON and XML for programs; see report.h.
 *
 * Everything is built in buffers on the stack.  The text comes first in this file, then JSON, XML, and where it all
 * goes at exit.
 */
#define _GNU_SOURCE
#include "report.h"

#include "hz3/hz3.h"
#include "options.h"
#include "os.h"
#include "out.h"
#include "report_flows.h"
#include "sink.h"
#include "view.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t
total_flushes(const struct hz3_stats *stats)
{
	uint64_t total = 0;

	for (int i = 0; i < HZ3_FLUSH_CAUSES; i++)
		total += stats->sum.flushes[i];
	return total;
}

static struct hz3_sink_counters
total_of_sinks(const struct hz3_stats *stats)
{
	struct hz3_sink_counters total = {0};

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

/* ---- names ---- */

static const char *const cause_names[HZ3_FLUSH_CAUSES] = {
	[HZ3_FLUSH_BUDGET] = "budget",
	[HZ3_FLUSH_SLOW_PATH] = "slow_path",
	[HZ3_FLUSH_IDLE] = "idle",
	[HZ3_FLUSH_EXIT] = "exit",
	[HZ3_FLUSH_FORK] = "fork",
	[HZ3_FLUSH_UNBATCHED] = "unbatched",
};

const char *
hz3_report_sink_name(int sink)
{
	const char *word = hz3_option_word(HZ3_OPTION_SINK, sink);

	return word != NULL ? word : "unknown";
}

const char *
hz3_report_library_path(void)
{
	Dl_info info;

	if (dladdr((void *)(uintptr_t)hz3_report_library_path, &info) != 0 && info.dli_fname != NULL)
		return info.dli_fname;
	return "linked statically";
}

/* ---- text ---- */

static void
text_line(struct hz3_out *o, const char *label, struct hz3_number value, const char *what)
{
	hz3_out_text(o, "  ");
	hz3_out_left(o, label, 18);
	hz3_out_right(o, value.text, 14);
	if (*what != '\0')
		hz3_out_put(o, "   %s", what);
	hz3_out_char(o, '\n');
}

/* A limit that is not set is left out. */
static void
text_limits(struct hz3_out *o, const struct hz3_stats *stats)
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

static void
text_memory(struct hz3_out *o, const struct hz3_stats *stats)
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
	if (stats->limit_soft != 0 || stats->limit_hard != 0)
		text_limits(o, stats);
	hz3_out_put(o, "  heaps %lu (%lu parked), huge mappings %lu, purge calls %lu\n", (unsigned long)stats->heaps,
	    (unsigned long)stats->heaps_parked, (unsigned long)stats->huge_mappings, (unsigned long)stats->purges);
}

static void
text_blocks(struct hz3_out *o, const struct hz3_stats *stats)
{
	hz3_out_text(o, "\nBlocks\n");
	text_line(o, "allocated", hz3_number_count(stats->blocks_allocated), "by malloc and its kin");
	text_line(o, "freed", hz3_number_count(stats->blocks_freed), "");
	text_line(o, "live", hz3_number_count(stats->blocks_live), "");
}

/* One row of the table of sinks: central (enum hz3_sink_choice 0), page (1), both. */
static void
sink_row(struct hz3_out *o, const char *label, struct hz3_number central, struct hz3_number page, struct hz3_number both)
{
	hz3_out_text(o, "  ");
	hz3_out_left(o, label, 26);
	hz3_out_right(o, central.text, 16);
	hz3_out_right(o, page.text, 16);
	hz3_out_right(o, both.text, 16);
	hz3_out_char(o, '\n');
}

static void
sink_table(struct hz3_out *o, const struct hz3_sink_counters *c, const struct hz3_sink_counters *p,
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

static void
text_flushes(struct hz3_out *o, const struct hz3_stats *stats)
{
	static const char *const why[HZ3_FLUSH_CAUSES] = {
		[HZ3_FLUSH_BUDGET] = "the buffer was full",
		[HZ3_FLUSH_SLOW_PATH] = "now and then",
		[HZ3_FLUSH_IDLE] = "hz3_thread_flush, hz3_thread_idle or a purge",
		[HZ3_FLUSH_EXIT] = "the thread ended",
		[HZ3_FLUSH_FORK] = "before fork",
		[HZ3_FLUSH_UNBATCHED] = "batching is off",
	};

	text_line(o, "flushes", hz3_number_count(total_flushes(stats)), "of buffers, because:");
	for (int i = 0; i < HZ3_FLUSH_CAUSES; i++) {
		if (stats->sum.flushes[i] == 0)
			continue;
		hz3_out_text(o, "  ");
		text_line(o, cause_names[i], hz3_number_count(stats->sum.flushes[i]), why[i]);
	}
}

static void
text_remote(struct hz3_out *o, const struct hz3_stats *stats)
{
	struct hz3_sink_counters total = total_of_sinks(stats);

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

static void
class_row(struct hz3_out *o, const char *size, const struct hz3_class_stats *class, uint64_t capacity)
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

static void
large_row(struct hz3_out *o, const struct hz3_stats *stats)
{
	hz3_out_right(o, "larger", 8);
	hz3_out_right(o, hz3_number_count(stats->large.allocated).text, 14);
	hz3_out_right(o, hz3_number_count(stats->large.freed).text, 14);
	hz3_out_right(o, "-", 14);
	hz3_out_right(o, hz3_number_count(stats->large.live).text, 13);
	hz3_out_put(o, "   %s live\n", hz3_number_size(stats->large.live_bytes).text);
}

static void
text_classes(struct hz3_out *o, const struct hz3_stats *stats)
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

void
hz3_report_text(hz3_report_write *write, void *arg, struct hz3_view *view)
{
	const struct hz3_stats *stats = &view->stats;
	struct hz3_out o;

	hz3_out_begin(&o, write, arg);
	hz3_out_put(&o, "---- hz3 %s, process %ld ----\n", HZ3_VERSION, (long)getpid());
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

/* ---- JSON ---- */

static void
json_sink_counters(struct hz3_out *o, const struct hz3_sink_counters *sink)
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
static void
json_remote(struct hz3_out *o, const struct hz3_stats *stats)
{
	struct hz3_sink_counters total = total_of_sinks(stats);

	hz3_json_open(o, "remote", '{');
	hz3_json_string(o, "sink", hz3_report_sink_name(hz3_sink_mode()));
	hz3_json_bool(o, "batch", hz3_sink_batch());
	json_sink_counters(o, &total);
	hz3_json_count(o, "flushes", total_flushes(stats));
	hz3_json_open(o, "flush_causes", '{');
	for (int i = 0; i < HZ3_FLUSH_CAUSES; i++)
		hz3_json_count(o, cause_names[i], stats->sum.flushes[i]);
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

static void
json_classes(struct hz3_out *o, const struct hz3_stats *stats)
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

static void
json_build(struct hz3_out *o)
{
	hz3_json_string(o, "version", HZ3_VERSION);
	hz3_json_string(o, "library", hz3_report_library_path());
	hz3_json_count(o, "pid", (uint64_t)getpid());
	hz3_json_count(o, "time_ms", hz3_os_wall_ns() / 1000000);
	hz3_json_open(o, "config", '{');
	hz3_json_string(o, "default_sink", hz3_report_sink_name(HZ3_DEFAULT_SINK));
	hz3_json_bool(o, "debug", HZ3_DEBUG);
	hz3_json_bool(o, "safety_checks", HZ3_SAFETY);
	hz3_json_bool(o, "stats", HZ3_STATS);
	hz3_json_close(o, '}');
}

/* Every option as the text that HZ3_CONF would take. */
static void
json_options(struct hz3_out *o)
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

static void
json_memory(struct hz3_out *o, const struct hz3_stats *stats)
{
	hz3_json_count(o, "allocated", stats->allocated);
	hz3_json_count(o, "active", stats->active);
	hz3_json_count(o, "dirty", stats->dirty);
	hz3_json_count(o, "resident", stats->resident);
	hz3_json_count(o, "mapped", stats->mapped);
	hz3_json_count(o, "metadata", stats->metadata);
	hz3_json_count(o, "purges", stats->purges);
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

static void
json_blocks(struct hz3_out *o, const struct hz3_stats *stats)
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

void
hz3_report_json(hz3_report_write *write, void *arg, struct hz3_view *view)
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

/* ---- XML ---- */

/* glibc lists free chunks by size; ours are the free blocks of the pages in use.  Returns their bytes. */
static uint64_t
xml_sizes(struct hz3_out *o, const struct hz3_stats *stats, uint64_t *count)
{
	uint64_t bytes = 0, below = 0;

	*count = 0;
	hz3_out_text(o, "<sizes>\n");
	for (unsigned i = 0; i < HZ3_CLASSES; i++) {
		const struct hz3_class_stats *class = &stats->class[i];
		uint64_t blocks = class->pages * hz3_class_info[i].capacity;
		uint64_t unused = blocks > class->live ? blocks - class->live : 0;

		if (unused != 0) {
			hz3_out_put(o, "  <size from=\"%lu\" to=\"%lu\" ", (unsigned long)below + 1,
			    (unsigned long)hz3_class_size(i));
			hz3_out_put(o, "total=\"%lu\" count=\"%lu\"/>\n", (unsigned long)(unused * hz3_class_size(i)),
			    (unsigned long)unused);
		}
		below = hz3_class_size(i);
		bytes += unused * below;
		*count += unused;
	}
	hz3_out_text(o, "</sizes>\n");
	return bytes;
}

static void
xml_totals(struct hz3_out *o, const struct hz3_stats *stats, uint64_t count, uint64_t bytes)
{
	unsigned long mapped = (unsigned long)stats->mapped;

	hz3_out_text(o, "<total type=\"fast\" count=\"0\" size=\"0\"/>\n");
	hz3_out_put(o, "<total type=\"rest\" count=\"%lu\" size=\"%lu\"/>\n", (unsigned long)count, (unsigned long)bytes);
	if (o->depth == 0)
		hz3_out_put(o, "<total type=\"mmap\" count=\"%lu\" size=\"%lu\"/>\n", (unsigned long)stats->large.live,
		    (unsigned long)stats->large.live_bytes);
	hz3_out_put(o, "<system type=\"current\" size=\"%lu\"/>\n<system type=\"max\" size=\"%lu\"/>\n", mapped, mapped);
	hz3_out_put(o, "<aspace type=\"total\" size=\"%lu\"/>\n<aspace type=\"mprotect\" size=\"%lu\"/>\n", mapped, mapped);
}

void
hz3_report_xml(hz3_report_write *write, void *arg, const struct hz3_stats *stats)
{
	uint64_t count, bytes;
	struct hz3_out o;

	hz3_out_begin(&o, write, arg);
	hz3_out_text(&o, "<malloc version=\"1\">\n<heap nr=\"0\">\n");
	bytes = xml_sizes(&o, stats, &count);
	o.depth = 1;
	xml_totals(&o, stats, count, bytes);
	o.depth = 0;
	hz3_out_text(&o, "</heap>\n");
	xml_totals(&o, stats, count, bytes);
	hz3_out_text(&o, "</malloc>\n");
	hz3_out_flush(&o);
}

/* ---- where it goes ---- */

static void
write_fd(void *arg, const char *text)
{
	(void)hz3_os_write(*(const int *)arg, text, strlen(text));
}

static void
print(hz3_report_write *write, void *arg, bool json)
{
	struct hz3_view view;

	hz3_view_take(&view);
	if (json)
		hz3_report_json(write, arg, &view);
	else
		hz3_report_text(write, arg, &view);
	hz3_view_release(&view);
}

static void
print_to(int fd, bool json)
{
	print(write_fd, &fd, json);
}

void
hz3_report_print(hz3_report_write *write, void *arg, const char *opts)
{
	bool json = opts != NULL && strchr(opts, 'j') != NULL;

	if (write == NULL)
		print_to(STDERR_FILENO, json);
	else
		print(write, arg, json);
}

/* A copy of standard error, and which file it was: a program that closes all descriptors may reuse the number. */
static struct {
	int fd;
	dev_t device;
	ino_t inode;
} kept_stderr = {.fd = -1};

/* Out of the way of programs that expect low numbers or walk over them. */
#define KEPT_FD_MIN 100

static void
keep_stderr(void)
{
	struct stat status;
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, KEPT_FD_MIN);

	if (fd < 0)
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd < 0 || fstat(fd, &status) != 0)
		return;
	kept_stderr.fd = fd;
	kept_stderr.device = status.st_dev;
	kept_stderr.inode = status.st_ino;
}

static int
exit_fd(void)
{
	struct stat status;

	if (kept_stderr.fd >= 0 && fstat(kept_stderr.fd, &status) == 0 && status.st_dev == kept_stderr.device &&
	    status.st_ino == kept_stderr.inode)
		return kept_stderr.fd;
	return STDERR_FILENO;
}

void
hz3_report_setup(void)
{
	int saved_errno = errno;

	if (hz3_options.banner)
		hz3_warn("version %s, %s", HZ3_VERSION, hz3_report_library_path());
	if (HZ3_CHAOS && hz3_options.banner)
		hz3_warn("chaos build, chaos_seed %zu", hz3_options.chaos_seed);
	/* (Of stats_file there may be something to say.) */
	if ((hz3_options.stats_print || hz3_options.stats_signal || hz3_options.stats_file[0] != '\0') && kept_stderr.fd < 0)
		keep_stderr();
	errno = saved_errno;
}

/* A pipe, a terminal or a device can't be replaced. */
static bool
is_special(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

static bool
replace(const char *path, hz3_report_printer *printer, struct hz3_view *view)
{
	static _Atomic unsigned files;	/* relaxed: two threads may be at it, each with a name of its own */
	char other[2 * HZ3_OPTION_PATH_BYTES + 48];
	bool special = is_special(path);
	int fd;

	hz3_format(other, sizeof(other), "%s.%ld.%u.tmp", path, (long)getpid(),
		   atomic_fetch_add_explicit(&files, 1, memory_order_relaxed));
	fd = hz3_os_open_output(special ? path : other);
	if (fd < 0)
		return false;
	printer(write_fd, &fd, view);
	hz3_os_close(fd);
	if (special || rename(other, path) == 0)
		return true;
	(void)unlink(other);
	return false;
}

void
hz3_report_replace_file(const char *option, const char *pattern, hz3_report_printer *printer, struct hz3_view *view)
{
	static const char *_Atomic complained[2];
	char path[2 * HZ3_OPTION_PATH_BYTES];

	if (hz3_option_expand_path(path, sizeof(path), pattern) && replace(path, printer, view))
		return;
	/* relaxed: at worst it is said twice. */
	for (unsigned i = 0; i < 2; i++) {
		const char *said = atomic_load_explicit(&complained[i], memory_order_relaxed);
		if (said == option)
			return;
		if (said == NULL) {
			atomic_store_explicit(&complained[i], option, memory_order_relaxed);
			break;
		}
	}
	hz3_warn_to(exit_fd(), "cannot write %s %s", option, pattern);
}

void
hz3_report_on_signal(void)
{
	static const char option[] = "stats_file";
	struct hz3_view view;

	hz3_view_take(&view);
	if (hz3_options.stats_file[0] != '\0') {
		hz3_report_replace_file(option, hz3_options.stats_file, hz3_report_json, &view);
	} else {
		int fd = exit_fd();
		hz3_report_text(write_fd, &fd, &view);
	}
	hz3_view_release(&view);
}

static void
write_file(const char *pattern)
{
	char path[2 * HZ3_OPTION_PATH_BYTES];
	int fd = hz3_option_expand_path(path, sizeof(path), pattern) ? hz3_os_open_output(path) : -1;

	if (fd < 0) {
		hz3_warn_to(exit_fd(), "cannot write stats_file %s", pattern);
		return;
	}
	print_to(fd, true);
	hz3_os_close(fd);
}

void
hz3_report_at_exit(void)
{
	int saved_errno = errno;

	if (hz3_options.stats_print)
		print_to(exit_fd(), false);
	if (hz3_options.stats_file[0] != '\0')
		write_file(hz3_options.stats_file);
	errno = saved_errno;
}
