/*
 * Prints what a view has beyond the statistics: where the memory is, who frees whose, delays, advice; text, then JSON.
 */
#include "report_flows.h"

#include "advice.h"
#include "probe.h"

#define JSON_FLOWS 256
#define FLOWS_SHOWN 12
#define WAITING_SHOWN 5

/* A cell of the map: one size group of one row. */
struct cell {
	const struct hz3_flow_row *row;
	unsigned group;
	uint64_t blocks;
};

/* ---- text ---- */

static void memory_line(struct hz3_out *o, const char *label, uint64_t bytes, uint64_t of, const char *what)
{
	hz3_out_text(o, "  ");
	hz3_out_left(o, label, 16);
	hz3_out_right(o, hz3_number_size(bytes).text, 11);
	hz3_out_right(o, hz3_number_ratio(100 * bytes, of, 1).text, 6);
	hz3_out_put(o, " %%  %s\n", what);
}

static void text_memory(struct hz3_out *o, const struct hz3_waterfall *m)
{
	int64_t off = (int64_t)m->unaccounted;

	hz3_out_text(o, "\nWhere the memory is\n");
	memory_line(o, "requested", m->requested, m->resident, "by the program, of what is live (sampled)");
	memory_line(o, "+ rounding", m->rounding, m->resident, "to size classes and whole pages");
	memory_line(o, "+ held", m->held, m->resident, "freed, in buffers of who freed it");
	memory_line(o, "+ waiting", m->waiting, m->resident, "freed, on the way to its owner");
	memory_line(o, "+ free in pages", m->free_in_pages, m->resident, "pinned by live blocks, or next to be used");
	memory_line(o, "+ kept", m->kept, m->resident, "whole free runs that threads keep");
	memory_line(o, "+ dirty", m->dirty, m->resident, "free, not yet given back to the system");
	memory_line(o, "+ metadata", m->metadata, m->resident, "hz3's own structures");
	memory_line(o, "- untouched", m->untouched, m->resident, "of the above, never used: not there");
	memory_line(o, "+ other mappings", m->other, m->resident, "the program, libraries, stacks");
	memory_line(o, "= resident", m->resident, m->resident, "in RAM (RSS)");
	if (off > (int64_t)(m->resident / 100) || -off > (int64_t)(m->resident / 100))
		hz3_out_put(o, "  off by %s%s: something happened meanwhile\n", off < 0 ? "-" : "",
			    hz3_number_size(off < 0 ? (uint64_t)-off : (uint64_t)off).text);
}

/* The cell with most blocks after "last" in the order of blocks, row, group. */
static struct cell next_cell(const struct hz3_flow_map *map, struct cell last)
{
	struct cell next = {NULL, 0, 0};

	for (unsigned i = 0; i < map->rows; i++) {
		const struct hz3_flow_row *row = &map->row[i];

		for (unsigned group = 0; group < HZ3_FLOW_GROUPS && !row->local; group++) {
			uint64_t blocks = row->blocks[group];
			bool is_after = last.row == NULL || blocks < last.blocks ||
					(blocks == last.blocks && (row > last.row || (row == last.row && group > last.group)));

			if (is_after && blocks > next.blocks)
				next = (struct cell){row, group, blocks};
		}
	}
	return next;
}

static void text_cell(struct hz3_out *o, const struct hz3_flow_map *map, struct cell cell)
{
	const struct hz3_flow_row *row = cell.row;
	char sizes[32];

	hz3_format(sizes, sizeof(sizes), "%lu..%lu", hz3_flow_group_from(cell.group), hz3_flow_group_to(cell.group));
	hz3_out_right(o, hz3_number_count(cell.blocks).text, 14);
	hz3_out_right(o, hz3_number_ratio(100 * cell.blocks, hz3_flow_map_freed(map, row->owner, cell.group), 0).text, 7);
	hz3_out_right(o, hz3_number_size(row->bytes[cell.group]).text, 11);
	hz3_out_right(o, hz3_number_ratio(cell.blocks, row->chains[cell.group], 1).text, 8);
	hz3_out_right(o, sizes, 13);
	hz3_out_put(o, "  %s <- %s\n", row->owner, row->freer);
}

static void text_flows(struct hz3_out *o, const struct hz3_flow_map *map)
{
	struct cell cell = {NULL, 0, 0};
	uint64_t shown = 0;

	hz3_out_text(o, "\nWho frees whose memory (blocks of up to 64 KiB)\n");
	if (map->sent_blocks == 0) {
		hz3_out_text(o, "  every thread its own\n");
		return;
	}
	hz3_out_text(o, "        blocks  of all      bytes  a chain         size  owner <- freed by\n");
	for (unsigned i = 0; i < FLOWS_SHOWN; i++) {
		cell = next_cell(map, cell);
		if (cell.row == NULL)
			break;
		text_cell(o, map, cell);
		shown += cell.blocks;
	}
	if (shown < map->sent_blocks)
		hz3_out_put(o, "  and %s blocks in smaller flows\n", hz3_number_count(map->sent_blocks - shown).text);
	hz3_out_text(o, "  of all: of what is freed of this owner's in these sizes, by anybody\n");
}

static void text_waiting(struct hz3_out *o, const struct hz3_flow_map *map)
{
	if (map->waiting_rows == 0)
		return;
	hz3_out_text(o, "\nWaiting for their owners\n");
	for (unsigned i = 0; i < map->waiting_rows && i < WAITING_SHOWN; i++) {
		const struct hz3_flow_waiting *w = &map->waiting[i];

		hz3_out_right(o, hz3_number_size(w->bytes).text, 14);
		hz3_out_put(o, "  for %s (heap %u)", w->owner, w->heap);
		if (w->age_ms > 0)
			hz3_out_put(o, ", since %s s", hz3_number_ratio(w->age_ms, 1000, 1).text);
		else
			hz3_out_text(o, ", too little in each page to tell it");
		hz3_out_char(o, '\n');
	}
}

/* "64 us", "16 ms", "4 s". */
static void put_time(struct hz3_out *o, uint64_t us)
{
	if (us < 1000)
		hz3_out_put(o, "%lu us", (unsigned long)us);
	else if (us < 1000000)
		hz3_out_put(o, "%lu ms", (unsigned long)(us / 1000));
	else
		hz3_out_put(o, "%lu s", (unsigned long)(us / 1000000));
}

static uint64_t total_delays(const struct hz3_stats *stats)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < HZ3_DELAYS; i++)
		total += stats->sum.delays[i];
	return total;
}

static void text_delays(struct hz3_out *o, const struct hz3_stats *stats)
{
	uint64_t total = total_delays(stats);

	if (total == 0)
		return;
	hz3_out_put(o, "\nFrom free to reusable, of remote frees (%s samples)\n", hz3_number_count(total).text);
	for (unsigned i = 0; i < HZ3_DELAYS; i++) {
		if (stats->sum.delays[i] == 0)
			continue;
		hz3_out_right(o, hz3_number_ratio(100 * stats->sum.delays[i], total, 1).text, 9);
		hz3_out_text(o, i < HZ3_DELAYS - 1 ? " %  up to " : " %  over ");
		put_time(o, hz3_probe_bound_us(i < HZ3_DELAYS - 1 ? i : i - 1));
		hz3_out_char(o, '\n');
	}
}

struct advice_text {
	struct hz3_out *o;
	bool begun;
};

static void say_as_text(void *arg, const char *rule, const char *text)
{
	struct advice_text *advice = arg;

	if (!advice->begun)
		hz3_out_text(advice->o, "\nAdvice\n");
	advice->begun = true;
	hz3_out_put(advice->o, "  %s: ", rule);
	hz3_out_text(advice->o, text);
	hz3_out_char(advice->o, '\n');
}

static void text_advice(struct hz3_out *o, const struct hz3_view *view)
{
	struct advice_text advice = {.o = o};

	hz3_advise(view, say_as_text, &advice);
}

void hz3_report_flows_text(struct hz3_out *o, struct hz3_view *view)
{
	text_memory(o, &view->memory);
	if (view->flows == NULL)
		return;
	hz3_flow_map_merge(view->flows);
	text_flows(o, view->flows);
	text_waiting(o, view->flows);
	text_delays(o, &view->stats);
	text_advice(o, view);
}

/* ---- JSON ---- */

static void json_memory(struct hz3_out *o, const struct hz3_waterfall *m)
{
	hz3_json_open(o, "memory", '{');
	hz3_json_count(o, "requested", m->requested);
	hz3_json_count(o, "rounding", m->rounding);
	hz3_json_count(o, "held", m->held);
	hz3_json_count(o, "waiting", m->waiting);
	hz3_json_count(o, "free_in_pages", m->free_in_pages);
	hz3_json_count(o, "kept", m->kept);
	hz3_json_count(o, "dirty", m->dirty);
	hz3_json_count(o, "metadata", m->metadata);
	hz3_json_count(o, "other", m->other);
	hz3_json_count(o, "untouched", m->untouched);
	hz3_json_count(o, "untouched_in_pages", m->untouched_in_pages);
	hz3_json_count(o, "resident", m->resident);
	hz3_json_line(o, "unaccounted");
	hz3_out_put(o, "%ld", (long)m->unaccounted);
	hz3_json_close(o, '}');
}

/* In the middle of a line. */
static void put_string(struct hz3_out *o, const char *key, const char *text)
{
	hz3_out_put(o, "\"%s\": \"", key);
	hz3_json_escape(o, text);
	hz3_out_text(o, "\", ");
}

static void json_cell(struct hz3_out *o, const struct hz3_flow_row *row, unsigned group)
{
	hz3_json_line(o, NULL);
	hz3_out_char(o, '{');
	put_string(o, "owner", row->owner);
	put_string(o, "freer", row->local ? row->owner : row->freer);
	hz3_out_put(o, "\"owner_heap\": %u, \"freer_heap\": %u, \"remote\": %s, ", row->owner_heap, row->freer_heap,
		    row->local ? "false" : "true");
	hz3_out_put(o, "\"size_from\": %lu, \"size_to\": %lu, ", hz3_flow_group_from(group), hz3_flow_group_to(group));
	hz3_out_put(o, "\"blocks\": %lu, \"bytes\": %lu, \"chains\": %lu}", (unsigned long)row->blocks[group],
		    (unsigned long)row->bytes[group], (unsigned long)row->chains[group]);
}

/* A line for each pair of threads and size group, up to a number of lines.  Returns the blocks that have none. */
static uint64_t json_flows(struct hz3_out *o, const char *key, const struct hz3_flow_map *map)
{
	uint64_t rest = 0;
	unsigned lines = 0;

	hz3_json_open(o, key, '[');
	for (unsigned i = 0; i < map->rows; i++)
		for (unsigned group = 0; group < HZ3_FLOW_GROUPS; group++) {
			if (map->row[i].blocks[group] == 0)
				continue;
			if (lines++ < JSON_FLOWS)
				json_cell(o, &map->row[i], group);
			else
				rest += map->row[i].blocks[group];
		}
	hz3_json_close(o, ']');
	return rest;
}

static void json_waiting(struct hz3_out *o, const struct hz3_flow_map *map)
{
	hz3_json_open(o, "waiting_for", '[');
	for (unsigned i = 0; i < map->waiting_rows; i++) {
		hz3_json_line(o, NULL);
		hz3_out_char(o, '{');
		put_string(o, "owner", map->waiting[i].owner);
		hz3_out_put(o, "\"owner_heap\": %u, \"bytes\": %lu, ", map->waiting[i].heap,
			    (unsigned long)map->waiting[i].bytes);
		hz3_out_put(o, "\"age_ms\": %lu}", (unsigned long)map->waiting[i].age_ms);
	}
	hz3_json_close(o, ']');
}

static void json_delays(struct hz3_out *o, const struct hz3_stats *stats)
{
	hz3_json_open(o, "free_to_reusable", '{');
	hz3_json_count(o, "samples", total_delays(stats));
	hz3_json_count(o, "sum_us", stats->sum.delay_us);
	hz3_json_open(o, "buckets", '[');
	for (unsigned i = 0; i < HZ3_DELAYS; i++) {
		hz3_json_line(o, NULL);
		hz3_out_text(o, "{");
		if (i < HZ3_DELAYS - 1)
			hz3_out_put(o, "\"up_to_us\": %lu, ", (unsigned long)hz3_probe_bound_us(i));
		hz3_out_put(o, "\"samples\": %lu}", (unsigned long)stats->sum.delays[i]);
	}
	hz3_json_close(o, ']');
	hz3_json_close(o, '}');
}

static void say_as_json(void *arg, const char *rule, const char *text)
{
	struct hz3_out *o = arg;

	hz3_json_line(o, NULL);
	hz3_out_char(o, '{');
	put_string(o, "rule", rule);
	hz3_out_text(o, "\"text\": \"");
	hz3_json_escape(o, text);
	hz3_out_text(o, "\"}");
}

static void json_advice(struct hz3_out *o, const struct hz3_view *view)
{
	hz3_json_open(o, "advice", '[');
	hz3_advise(view, say_as_json, o);
	hz3_json_close(o, ']');
}

void hz3_report_flows_json(struct hz3_out *o, struct hz3_view *view)
{
	uint64_t rest;

	json_memory(o, &view->memory);
	if (view->flows == NULL)
		return;
	rest = json_flows(o, "flows", view->flows);
	hz3_json_count(o, "flows_rest", rest);
	json_waiting(o, view->flows);
	json_delays(o, &view->stats);
	hz3_flow_map_merge(view->flows);
	rest = json_flows(o, "flows_by_name", view->flows);
	hz3_json_count(o, "flows_by_name_rest", rest);
	json_advice(o, view);
}
