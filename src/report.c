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
#include "sink.h"
#include "stats.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- output ---- */

#define OUT_BYTES 960
#define PIECE_BYTES 480

struct out {
	hz3_report_write *write;
	void *arg;
	size_t used;
	unsigned depth;		/* JSON: objects open */
	bool first;		/* JSON: nothing yet in the innermost */
	char text[OUT_BYTES];
};

static void
out_begin(struct out *o, hz3_report_write *write, void *arg)
{
	o->write = write;
	o->arg = arg;
	o->used = 0;
	o->depth = 0;
	o->first = true;
	o->text[0] = '\0';
}

static void
out_flush(struct out *o)
{
	if (o->used > 0)
		o->write(o->arg, o->text);
	o->used = 0;
	o->text[0] = '\0';
}

static void
put_char(struct out *o, char c)
{
	if (o->used + 1 == OUT_BYTES)
		out_flush(o);
	o->text[o->used++] = c;
	o->text[o->used] = '\0';
}

static void
put_text(struct out *o, const char *text)
{
	while (*text != '\0')
		put_char(o, *text++);
}

static void HZ3_PRINTF(2, 3)
put(struct out *o, const char *fmt, ...)
{
	char piece[PIECE_BYTES];
	va_list args;

	va_start(args, fmt);
	hz3_format_list(piece, sizeof(piece), fmt, args);
	va_end(args);
	put_text(o, piece);
}

static void
put_spaces(struct out *o, size_t n)
{
	while (n-- > 0)
		put_char(o, ' ');
}

static void
put_left(struct out *o, const char *text, size_t width)
{
	size_t length = strlen(text);

	put_text(o, text);
	put_spaces(o, length < width ? width - length : 0);
}

static void
put_right(struct out *o, const char *text, size_t width)
{
	size_t length = strlen(text);

	put_spaces(o, length < width ? width - length : 0);
	put_text(o, text);
}

/* ---- numbers as text ---- */

struct number {
	char text[40];
};

/* With a comma at every thousand. */
static struct number
count_of(uint64_t n)
{
	char digits[24];
	size_t length = hz3_format(digits, sizeof(digits), "%lu", (unsigned long)n);
	struct number out;
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			out.text[used++] = ',';
		out.text[used++] = digits[i];
	}
	out.text[used] = '\0';
	return out;
}

/* n / d, rounded, to some decimals; "-" when there is nothing to divide by. */
static struct number
ratio_of(uint64_t n, uint64_t d, unsigned decimals)
{
	struct number out = {"-"};
	uint64_t rest, unit = 1;
	char *s = out.text;

	if (d == 0)
		return out;
	for (unsigned i = 0; i < decimals; i++)
		unit *= 10;
	/* The fraction by long division in 128 bits: n and d are any numbers. */
	rest = (uint64_t)(((unsigned __int128)(n % d) * unit + d / 2) / d);
	s += hz3_format(s, sizeof(out.text), "%lu", (unsigned long)(n / d + rest / unit));
	if (decimals > 0)
		*s++ = '.';
	for (uint64_t digit = unit / 10; digit > 0; digit /= 10)
		*s++ = (char)('0' + rest / digit % 10);
	*s = '\0';
	return out;
}

/* Bytes in the largest unit that they fill. */
static struct number
size_of(uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	struct number out;
	uint64_t unit = 1024;
	size_t i = 0;

	if (bytes < 1024) {
		hz3_format(out.text, sizeof(out.text), "%lu B", (unsigned long)bytes);
		return out;
	}
	while (i < 3 && bytes / 1024 >= unit) {
		unit *= 1024;
		i++;
	}
	out = ratio_of(bytes, unit, 1);
	hz3_format(out.text + strlen(out.text), 8, " %s", units[i]);
	return out;
}

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
	static const char *const names[] = {"central", "page", "auto"};

	return sink >= 0 && sink < 3 ? names[sink] : "unknown";
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
text_line(struct out *o, const char *label, struct number value, const char *what)
{
	put_text(o, "  ");
	put_left(o, label, 18);
	put_right(o, value.text, 14);
	if (*what != '\0')
		put(o, "   %s", what);
	put_char(o, '\n');
}

static void
text_memory(struct out *o, const struct hz3_stats *stats)
{
	put_text(o, "\nMemory\n");
	if (HZ3_STATS)
		text_line(o, "allocated", size_of(stats->allocated), "in live blocks, as usable bytes");
	text_line(o, "active", size_of(stats->active), "pages and runs in use, or kept for it");
	text_line(o, "dirty", size_of(stats->dirty), "free, not yet given back to the system");
	text_line(o, "mapped", size_of(stats->mapped), "address space committed for blocks");
	text_line(o, "metadata", size_of(stats->metadata), "hz3's own structures");
	text_line(o, "resident", size_of(stats->resident), "in RAM for the whole process (RSS)");
	text_line(o, "purged", size_of(stats->purged_bytes), "given back to the system so far");
	put(o, "  heaps %lu (%lu parked), huge mappings %lu, purge calls %lu\n", (unsigned long)stats->heaps,
	    (unsigned long)stats->heaps_parked, (unsigned long)stats->huge_mappings, (unsigned long)stats->purges);
}

static void
text_blocks(struct out *o, const struct hz3_stats *stats)
{
	put_text(o, "\nBlocks\n");
	text_line(o, "allocated", count_of(stats->blocks_allocated), "by malloc and its kin");
	text_line(o, "freed", count_of(stats->blocks_freed), "");
	text_line(o, "live", count_of(stats->blocks_live), "");
}

/* One row of the table of sinks: central (enum hz3_sink_choice 0), page (1), both. */
static void
sink_row(struct out *o, const char *label, struct number central, struct number page, struct number both)
{
	put_text(o, "  ");
	put_left(o, label, 26);
	put_right(o, central.text, 16);
	put_right(o, page.text, 16);
	put_right(o, both.text, 16);
	put_char(o, '\n');
}

static void
sink_table(struct out *o, const struct hz3_sink_counters *c, const struct hz3_sink_counters *p,
	   const struct hz3_sink_counters *t)
{
	put_text(o, "  ");
	put_left(o, "", 26);
	put_right(o, "central sink", 16);
	put_right(o, "page sink", 16);
	put_right(o, "both", 16);
	put_char(o, '\n');
#define COUNT_ROW(label, field) sink_row(o, label, count_of(c->field), count_of(p->field), count_of(t->field))
#define RATIO_ROW(label, a, b, decimals)                                                                             \
	sink_row(o, label, ratio_of(c->a, c->b, decimals), ratio_of(p->a, p->b, decimals),                           \
		 ratio_of(t->a, t->b, decimals))
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
text_flushes(struct out *o, const struct hz3_stats *stats)
{
	static const char *const why[HZ3_FLUSH_CAUSES] = {
		[HZ3_FLUSH_BUDGET] = "the buffer was full",
		[HZ3_FLUSH_SLOW_PATH] = "now and then",
		[HZ3_FLUSH_IDLE] = "hz3_thread_flush, hz3_thread_idle or a purge",
		[HZ3_FLUSH_EXIT] = "the thread ended",
		[HZ3_FLUSH_FORK] = "before fork",
		[HZ3_FLUSH_UNBATCHED] = "batching is off",
	};

	text_line(o, "flushes", count_of(total_flushes(stats)), "of buffers, because:");
	for (int i = 0; i < HZ3_FLUSH_CAUSES; i++) {
		if (stats->sum.flushes[i] == 0)
			continue;
		put_text(o, "  ");
		text_line(o, cause_names[i], count_of(stats->sum.flushes[i]), why[i]);
	}
}

static void
text_remote(struct out *o, const struct hz3_stats *stats)
{
	struct hz3_sink_counters total = total_of_sinks(stats);

	put_text(o, "\nRemote frees (of blocks that belong to another thread)\n");
	put(o, "  sink %s, batching %s\n", hz3_report_sink_name((int)hz3_sink_mode()), hz3_sink_batch() ? "on" : "off");
	if (total.blocks == 0 && stats->held_bytes == 0) {
		put_text(o, "  none so far\n");
		return;
	}
	sink_table(o, &stats->sum.sink[0], &stats->sum.sink[1], &total);
	put_text(o, "  RMW: atomic read-modify-writes, retries included\n");
	text_flushes(o, stats);
	text_line(o, "held now", size_of(stats->held_bytes), "remote frees that wait in buffers");
	text_line(o, "held at most", size_of(stats->held_bytes_peak), "what the buffers were ever allowed");
	text_line(o, "held cap", size_of(stats->held_bytes_cap), "the limit now");
	text_line(o, "handover pages", count_of(stats->sum.handover_pages), "taken whole by who freed their last one");
	text_line(o, "handover blocks", count_of(stats->sum.handover_blocks), "in them; part of the counts above");
	text_line(o, "forwarded chains", count_of(stats->sum.forwarded_chains), "their page had changed hands");
}

static void
class_row(struct out *o, const char *size, const struct hz3_class_stats *class, uint64_t capacity)
{
	put_right(o, size, 8);
	put_right(o, count_of(class->allocated).text, 14);
	put_right(o, count_of(class->freed_local).text, 14);
	put_right(o, count_of(class->freed_remote).text, 14);
	put_right(o, count_of(class->live).text, 13);
	put_right(o, count_of(class->pages).text, 9);
	put_right(o, ratio_of(class->live * 100, class->pages * capacity, 0).text, 7);
	put_char(o, '\n');
}

static void
large_row(struct out *o, const struct hz3_stats *stats)
{
	put_right(o, "larger", 8);
	put_right(o, count_of(stats->large.allocated).text, 14);
	put_right(o, count_of(stats->large.freed).text, 14);
	put_right(o, "-", 14);
	put_right(o, count_of(stats->large.live).text, 13);
	put(o, "   %s live\n", size_of(stats->large.live_bytes).text);
}

static void
text_classes(struct out *o, const struct hz3_stats *stats)
{
	put_text(o, "\nSize classes (blocks)\n");
	put_text(o, "    size     allocated   freed local  freed remote         live    pages  used%\n");
	for (unsigned i = 0; i < HZ3_CLASSES; i++) {
		const struct hz3_class_stats *class = &stats->class[i];

		if (class->allocated != 0 || class->pages != 0)
			class_row(o, count_of(class->size).text, class, hz3_class_info[i].capacity);
	}
	if (stats->large.allocated != 0)
		large_row(o, stats);
}

void
hz3_report_text(hz3_report_write *write, void *arg, const struct hz3_stats *stats)
{
	struct out o;

	out_begin(&o, write, arg);
	put(&o, "---- hz3 %s, process %ld ----\n", HZ3_VERSION, (long)getpid());
	put(&o, "%s; default sink %s%s\n", hz3_report_library_path(), hz3_report_sink_name(HZ3_DEFAULT_SINK),
	    HZ3_DEBUG ? "; debug build" : "");
	text_memory(&o, stats);
	if (HZ3_STATS) {
		text_blocks(&o, stats);
		text_remote(&o, stats);
		text_classes(&o, stats);
	} else {
		put_text(&o, "\nThis library was built with --disable-stats: no blocks were counted.\n");
	}
	put_text(&o, "----\n");
	out_flush(&o);
}

/* ---- JSON ---- */

static void
json_line(struct out *o, const char *key)
{
	put_text(o, o->first ? "\n" : ",\n");
	o->first = false;
	put_spaces(o, 2 * (size_t)o->depth);
	if (key != NULL)
		put(o, "\"%s\": ", key);
}

static void
json_open(struct out *o, const char *key, char bracket)
{
	json_line(o, key);
	put_char(o, bracket);
	o->depth++;
	o->first = true;
}

static void
json_close(struct out *o, char bracket)
{
	o->depth--;
	put_char(o, '\n');
	put_spaces(o, 2 * (size_t)o->depth);
	put_char(o, bracket);
	o->first = false;
}

static void
json_count(struct out *o, const char *key, uint64_t value)
{
	json_line(o, key);
	put(o, "%lu", (unsigned long)value);
}

static void
json_bool(struct out *o, const char *key, bool value)
{
	json_line(o, key);
	put_text(o, value ? "true" : "false");
}

/* 0 when there is nothing to divide by, so that the key always holds a number. */
static void
json_ratio(struct out *o, const char *key, uint64_t n, uint64_t d)
{
	json_line(o, key);
	put_text(o, d == 0 ? "0" : ratio_of(n, d, 6).text);
}

/* A path may hold any byte; what is not ASCII is left as it is, UTF-8 where people are careful. */
static void
json_string(struct out *o, const char *key, const char *text)
{
	static const char hex[] = "0123456789abcdef";

	json_line(o, key);
	put_char(o, '"');
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c == 0x7f) {
			put_text(o, "\\u00");
			put_char(o, hex[c >> 4]);
			put_char(o, hex[c & 15]);
			continue;
		}
		if (c == '"' || c == '\\')
			put_char(o, '\\');
		put_char(o, (char)c);
	}
	put_char(o, '"');
}

static void
json_sink_counters(struct out *o, const struct hz3_sink_counters *sink)
{
	json_count(o, "blocks", sink->blocks);
	json_count(o, "chains", sink->chains);
	json_ratio(o, "blocks_per_chain", sink->blocks, sink->chains);
	json_count(o, "rmw_push", sink->rmw_push);
	json_ratio(o, "rmw_push_per_block", sink->rmw_push, sink->blocks);
	json_count(o, "rmw_queue_push", sink->rmw_queue_push);
	json_count(o, "queued_pages", sink->queued_pages);
	json_count(o, "cas_retries", sink->cas_retries);
	json_count(o, "drains", sink->drains);
	json_count(o, "page_drains", sink->page_drains);
	json_count(o, "drained_blocks", sink->drained_blocks);
	json_ratio(o, "blocks_per_page_drain", sink->drained_blocks, sink->page_drains);
	json_count(o, "rmw_drain", sink->rmw_drain);
	json_ratio(o, "rmw_drain_per_block", sink->rmw_drain, sink->drained_blocks);
	json_count(o, "rmw_queue_drain", sink->rmw_queue_drain);
}

/* The totals over both sinks first, then what no single sink knows, then each sink. */
static void
json_remote(struct out *o, const struct hz3_stats *stats)
{
	struct hz3_sink_counters total = total_of_sinks(stats);

	json_open(o, "remote", '{');
	json_string(o, "sink", hz3_report_sink_name(hz3_sink_mode()));
	json_bool(o, "batch", hz3_sink_batch());
	json_sink_counters(o, &total);
	json_count(o, "flushes", total_flushes(stats));
	json_open(o, "flush_causes", '{');
	for (int i = 0; i < HZ3_FLUSH_CAUSES; i++)
		json_count(o, cause_names[i], stats->sum.flushes[i]);
	json_close(o, '}');
	json_count(o, "held_bytes", stats->held_bytes);
	json_count(o, "held_bytes_peak", stats->held_bytes_peak);
	json_count(o, "held_bytes_cap", stats->held_bytes_cap);
	json_count(o, "handover_pages", stats->sum.handover_pages);
	json_count(o, "handover_blocks", stats->sum.handover_blocks);
	json_count(o, "forwarded_chains", stats->sum.forwarded_chains);
	json_open(o, "sinks", '{');
	for (int i = 0; i < HZ3_SINKS; i++) {
		json_open(o, hz3_report_sink_name(i), '{');
		json_sink_counters(o, &stats->sum.sink[i]);
		json_close(o, '}');
	}
	json_close(o, '}');
	json_close(o, '}');
}

static void
json_classes(struct out *o, const struct hz3_stats *stats)
{
	json_open(o, "classes", '[');
	for (unsigned i = 0; i < HZ3_CLASSES; i++) {
		const struct hz3_class_stats *class = &stats->class[i];

		json_line(o, NULL);
		put(o, "{\"size\": %lu, \"allocated\": %lu, \"freed_local\": %lu, ", (unsigned long)class->size,
		    (unsigned long)class->allocated, (unsigned long)class->freed_local);
		put(o, "\"freed_remote\": %lu, \"live\": %lu, \"pages\": %lu, ", (unsigned long)class->freed_remote,
		    (unsigned long)class->live, (unsigned long)class->pages);
		put(o, "\"page_bytes\": %lu, \"page_blocks\": %u}", (unsigned long)hz3_class_page_bytes(i),
		    hz3_class_info[i].capacity);
	}
	json_close(o, ']');
}

static void
json_build(struct out *o)
{
	json_string(o, "version", HZ3_VERSION);
	json_string(o, "library", hz3_report_library_path());
	json_count(o, "pid", (uint64_t)getpid());
	json_open(o, "config", '{');
	json_string(o, "default_sink", hz3_report_sink_name(HZ3_DEFAULT_SINK));
	json_bool(o, "debug", HZ3_DEBUG);
	json_bool(o, "stats", HZ3_STATS);
	json_close(o, '}');
}

/* Every option as the text that HZ3_CONF would take. */
static void
json_options(struct out *o)
{
	char value[HZ3_OPTION_PATH_BYTES];

	json_open(o, "options", '{');
	for (size_t i = 0; i < hz3_option_count(); i++) {
		const char *name = hz3_option_row(i)->name;

		hz3_option_get_text(name, value, sizeof(value));
		json_string(o, name, value);
	}
	json_close(o, '}');
}

static void
json_memory(struct out *o, const struct hz3_stats *stats)
{
	json_count(o, "allocated", stats->allocated);
	json_count(o, "active", stats->active);
	json_count(o, "dirty", stats->dirty);
	json_count(o, "resident", stats->resident);
	json_count(o, "mapped", stats->mapped);
	json_count(o, "metadata", stats->metadata);
	json_count(o, "purges", stats->purges);
	json_count(o, "purged_bytes", stats->purged_bytes);
	json_count(o, "heaps", stats->heaps);
	json_count(o, "heaps_parked", stats->heaps_parked);
	json_count(o, "huge_mappings", stats->huge_mappings);
}

static void
json_blocks(struct out *o, const struct hz3_stats *stats)
{
	json_count(o, "blocks_allocated", stats->blocks_allocated);
	json_count(o, "blocks_freed", stats->blocks_freed);
	json_count(o, "blocks_live", stats->blocks_live);
	json_count(o, "slow_allocs", stats->sum.slow_allocs);
	json_open(o, "large", '{');
	json_count(o, "allocated", stats->large.allocated);
	json_count(o, "freed", stats->large.freed);
	json_count(o, "live", stats->large.live);
	json_count(o, "live_bytes", stats->large.live_bytes);
	json_close(o, '}');
}

void
hz3_report_json(hz3_report_write *write, void *arg, const struct hz3_stats *stats)
{
	struct out o;

	out_begin(&o, write, arg);
	put_char(&o, '{');
	o.depth = 1;
	json_count(&o, "hz3_stats_version", HZ3_REPORT_VERSION);
	json_build(&o);
	json_options(&o);
	json_memory(&o, stats);
	json_blocks(&o, stats);
	json_remote(&o, stats);
	json_classes(&o, stats);
	json_close(&o, '}');
	put_char(&o, '\n');
	out_flush(&o);
}

/* ---- XML ---- */

/* glibc lists free chunks by size; ours are the free blocks of the pages in use.  Returns their bytes. */
static uint64_t
xml_sizes(struct out *o, const struct hz3_stats *stats, uint64_t *count)
{
	uint64_t bytes = 0, below = 0;

	*count = 0;
	put_text(o, "<sizes>\n");
	for (unsigned i = 0; i < HZ3_CLASSES; i++) {
		const struct hz3_class_stats *class = &stats->class[i];
		uint64_t blocks = class->pages * hz3_class_info[i].capacity;
		uint64_t unused = blocks > class->live ? blocks - class->live : 0;

		if (unused != 0) {
			put(o, "  <size from=\"%lu\" to=\"%lu\" ", (unsigned long)below + 1,
			    (unsigned long)hz3_class_size(i));
			put(o, "total=\"%lu\" count=\"%lu\"/>\n", (unsigned long)(unused * hz3_class_size(i)),
			    (unsigned long)unused);
		}
		below = hz3_class_size(i);
		bytes += unused * below;
		*count += unused;
	}
	put_text(o, "</sizes>\n");
	return bytes;
}

static void
xml_totals(struct out *o, const struct hz3_stats *stats, uint64_t count, uint64_t bytes)
{
	unsigned long mapped = (unsigned long)stats->mapped;

	put_text(o, "<total type=\"fast\" count=\"0\" size=\"0\"/>\n");
	put(o, "<total type=\"rest\" count=\"%lu\" size=\"%lu\"/>\n", (unsigned long)count, (unsigned long)bytes);
	if (o->depth == 0)
		put(o, "<total type=\"mmap\" count=\"%lu\" size=\"%lu\"/>\n", (unsigned long)stats->large.live,
		    (unsigned long)stats->large.live_bytes);
	put(o, "<system type=\"current\" size=\"%lu\"/>\n<system type=\"max\" size=\"%lu\"/>\n", mapped, mapped);
	put(o, "<aspace type=\"total\" size=\"%lu\"/>\n<aspace type=\"mprotect\" size=\"%lu\"/>\n", mapped, mapped);
}

void
hz3_report_xml(hz3_report_write *write, void *arg, const struct hz3_stats *stats)
{
	uint64_t count, bytes;
	struct out o;

	out_begin(&o, write, arg);
	put_text(&o, "<malloc version=\"1\">\n<heap nr=\"0\">\n");
	bytes = xml_sizes(&o, stats, &count);
	o.depth = 1;
	xml_totals(&o, stats, count, bytes);
	o.depth = 0;
	put_text(&o, "</heap>\n");
	xml_totals(&o, stats, count, bytes);
	put_text(&o, "</malloc>\n");
	out_flush(&o);
}

/* ---- where it goes ---- */

static void
write_fd(void *arg, const char *text)
{
	(void)hz3_os_write(*(const int *)arg, text, strlen(text));
}

static void
print_to(int fd, bool json)
{
	struct hz3_stats stats;

	hz3_stats_collect(&stats);
	if (json)
		hz3_report_json(write_fd, &fd, &stats);
	else
		hz3_report_text(write_fd, &fd, &stats);
}

void
hz3_report_print(hz3_report_write *write, void *arg, const char *opts)
{
	bool json = opts != NULL && strchr(opts, 'j') != NULL;
	struct hz3_stats stats;

	if (write == NULL) {
		print_to(STDERR_FILENO, json);
		return;
	}
	hz3_stats_collect(&stats);
	if (json)
		hz3_report_json(write, arg, &stats);
	else
		hz3_report_text(write, arg, &stats);
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
	/* (Of stats_file there may be something to say.) */
	if ((hz3_options.stats_print || hz3_options.stats_file[0] != '\0') && kept_stderr.fd < 0)
		keep_stderr();
	errno = saved_errno;
}

/* The path with every %p replaced by the process id; false if that does not fit. */
static bool
expand_path(char *out, size_t cap, const char *path)
{
	char pid[24];
	size_t used = 0;
	size_t length = hz3_format(pid, sizeof(pid), "%ld", (long)getpid());

	for (; *path != '\0'; path++) {
		bool is_pid = path[0] == '%' && path[1] == 'p';
		size_t n = is_pid ? length : 1;

		if (used + n >= cap)
			return false;
		memcpy(out + used, is_pid ? pid : path, n);
		used += n;
		path += is_pid;
	}
	out[used] = '\0';
	return true;
}

static void
write_file(const char *pattern)
{
	char path[2 * HZ3_OPTION_PATH_BYTES];
	int fd = expand_path(path, sizeof(path), pattern) ? hz3_os_open_output(path) : -1;

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
