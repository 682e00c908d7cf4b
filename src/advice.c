/* What the numbers say about the program: a line of advice where there is something to do. */
#include "advice.h"

#include <string.h>

#include "atomic.h"
#include "decay.h"
#include "options.h"
#include "out.h"
#include "sink.h"

/* Below these, nothing is worth a word. */
#define BLOCKS_MIN 10000u
#define FLUSHES_MIN 100u
#define BYTES_MIN ((uint64_t)8 << 20)
#define WAITING_BYTES_MIN ((uint64_t)1 << 20)
#define WAITING_MS_MIN 1000u

#define SHORT_CHAIN 4u			/* blocks */
#define SHORT_CHAIN_OF_FULL_BUFFERS 8u
#define FULL_BYTES_SMALL ((uint64_t)64 << 10)	/* in a buffer that is flushed */

/* Who listens, and what was said so far. */
struct listener {
	hz3_advice_say *say;
	void *arg;
	unsigned count;
};

static void HZ3_PRINTF(3, 4) say(struct listener *out, const char *rule, const char *fmt, ...)
{
	char text[400];
	va_list args;

	if (out->count++ >= HZ3_ADVICE_MAX)
		return;
	va_start(args, fmt);
	hz3_format_list(text, sizeof(text), fmt, args);
	va_end(args);
	out->say(out->arg, rule, text);
}

static struct hz3_number percent(uint64_t part, uint64_t whole)
{
	return hz3_number_ratio(100 * part, whole, 0);
}

/* ---- remote frees ---- */

static bool is_flow(const struct hz3_flow_row *row)
{
	return !row->local && hz3_flow_row_blocks(row) >= BLOCKS_MIN;
}

static void short_chains(const struct hz3_view *view, struct listener *out)
{
	const struct hz3_flow_map *map = view->flows;

	for (unsigned i = 0; i < map->rows; i++)
		for (unsigned group = 0; is_flow(&map->row[i]) && group < HZ3_FLOW_GROUPS; group++) {
			const struct hz3_flow_row *row = &map->row[i];
			uint64_t blocks = row->blocks[group], chains = row->chains[group];
			if (blocks < BLOCKS_MIN || 20 * blocks < map->sent_blocks || blocks >= SHORT_CHAIN * chains)
				continue;
			say(out, "short_chains",
			    "`%s` frees %s %% of the %lu..%lu byte blocks of `%s`; mean chain %s: blocks that are freed one "
			    "after the other lie in different pages. Free them in the order of their allocation, or in "
			    "batches of what was allocated together; else sink:central is the cheaper way home.",
			    row->freer, percent(blocks, hz3_flow_map_freed(map, row->owner, group)).text,
			    hz3_flow_group_from(group), hz3_flow_group_to(group), row->owner,
			    hz3_number_ratio(blocks, chains, 1).text);
		}
}

static void unbatched(const struct hz3_view *view, struct listener *out)
{
	uint64_t blocks = view->stats.sum.flushes[HZ3_FLUSH_UNBATCHED];

	if (hz3_sink_batch() || blocks < BLOCKS_MIN)
		return;
	say(out, "unbatched",
	    "%s remote frees were sent one by one, an atomic operation or two for each: batching is off. Leave "
	    "out remote_batch:0.",
	    hz3_number_count(blocks).text);
}

static void small_buffers(const struct hz3_view *view, struct listener *out)
{
	uint64_t flushes = 0, full = view->stats.sum.flushes[HZ3_FLUSH_BUDGET], blocks = 0, chains = 0;

	for (unsigned i = 0; i < HZ3_FLUSH_CAUSES; i++)
		flushes += i == HZ3_FLUSH_UNBATCHED ? 0 : view->stats.sum.flushes[i];
	for (unsigned i = 0; i < HZ3_SINKS; i++) {
		blocks += view->stats.sum.sink[i].blocks;
		chains += view->stats.sum.sink[i].chains;
	}
	if (full < FLUSHES_MIN || 2 * full < flushes || blocks >= SHORT_CHAIN_OF_FULL_BUFFERS * chains)
		return;
	/* More than this, and it is not the buffer that cuts chains short. */
	if (view->flows->sent_bytes >= FULL_BYTES_SMALL * flushes)
		return;
	/* relaxed: the control call may be changing it. */
	size_t budget = hz3_read_once(&hz3_options.remote_budget);
	say(out, "small_buffers",
	    "%s %% of all flushes were made because a buffer was full, with %s blocks a chain: buffers may hold %s each, and %s "
	    "together. Raise remote_budget or remote_cap.",
	    percent(full, flushes).text, hz3_number_ratio(blocks, chains, 1).text,
	    hz3_number_size(budget).text, hz3_number_size(view->stats.held_bytes_cap).text);
}

static void ping_pong(const struct hz3_view *view, struct listener *out)
{
	const struct hz3_flow_map *map = view->flows;

	/* Each pair once, from the smaller name; threads of one pattern among themselves are a crowd, not a pair. */
	for (unsigned i = 0; i < map->rows; i++)
		for (unsigned j = 0; j < map->rows; j++)
			for (unsigned group = 0; group < HZ3_FLOW_GROUPS; group++) {
				const struct hz3_flow_row *a = &map->row[i], *b = &map->row[j];
				if (a->blocks[group] < BLOCKS_MIN || b->blocks[group] < BLOCKS_MIN ||
				    strcmp(a->owner, a->freer) >= 0 || strcmp(a->owner, b->freer) != 0 ||
				    strcmp(a->freer, b->owner) != 0 || a->local ||
				    2 * a->blocks[group] < hz3_flow_map_freed(map, a->owner, group) ||
				    2 * b->blocks[group] < hz3_flow_map_freed(map, b->owner, group))
					continue;
				say(out, "ping_pong",
				    "`%s` and `%s` free each other's %lu..%lu byte blocks, %s and %s: let the answer travel "
				    "in the block that brought the question.",
				    a->owner, a->freer, hz3_flow_group_from(group), hz3_flow_group_to(group),
				    hz3_number_count(b->blocks[group]).text, hz3_number_count(a->blocks[group]).text);
			}
}

static void unnamed(const struct hz3_view *view, struct listener *out)
{
	const struct hz3_flow_map *map = view->flows;

	for (unsigned i = 0; i < map->rows; i++) {
		const struct hz3_flow_row *row = &map->row[i];
		if (!is_flow(row) || !row->same_thread_name || strcmp(row->owner, row->freer) != 0 ||
		    2 * hz3_flow_row_blocks(row) < map->sent_blocks)
			continue;
		say(out, "unnamed",
		    "%s blocks went from one thread called `%s` to another: name threads by their tasks "
		    "(pthread_setname_np), and this report says who frees whose memory.",
		    hz3_number_count(hz3_flow_row_blocks(row)).text, row->owner);
	}
}

/* ---- memory ---- */

static void sleeping_owner(const struct hz3_view *view, struct listener *out)
{
	const struct hz3_flow_map *map = view->flows;

	for (unsigned i = 0; i < map->waiting_rows; i++) {
		const struct hz3_flow_waiting *w = &map->waiting[i];
		if (w->bytes < WAITING_BYTES_MIN || w->age_ms < WAITING_MS_MIN || 20 * w->bytes < view->stats.active)
			continue;
		say(out, "sleeping_owner",
		    "%s that others freed for `%s` have waited for %s s, and it does not allocate: let it call "
		    "hz3_thread_idle() now and then, or allocate such blocks where they are freed.",
		    hz3_number_size(w->bytes).text, w->owner, hz3_number_ratio(w->age_ms, 1000, 1).text);
	}
}

static void never_purged(const struct hz3_view *view, struct listener *out)
{
	uint64_t dirty = view->memory.dirty;

	if (hz3_decay_ms() >= 0 || dirty < BYTES_MIN || 4 * dirty < view->memory.resident)
		return;
	say(out, "never_purged",
	    "%s, %s %% of the resident memory, are free and never go back to the system: that is what dirty_decay_ms:-1 asks "
	    "for. Leave it out, or call hz3_purge().",
	    hz3_number_size(dirty).text, percent(dirty, view->memory.resident).text);
}

/* Free bytes in a class's pages. */
static uint64_t free_of_class(const struct hz3_class_stats *c, unsigned class)
{
	uint64_t total = c->pages * hz3_class_info[class].capacity;

	return total > c->live ? (total - c->live) * c->size : 0;
}

static void pinned(const struct hz3_view *view, struct listener *out)
{
	uint64_t there = view->memory.free_in_pages, most = 0;
	unsigned worst = 0;

	there = there > view->memory.untouched_in_pages ? there - view->memory.untouched_in_pages : 0;
	if (there < BYTES_MIN || 3 * there < view->memory.resident)
		return;
	for (unsigned class = 0; class < HZ3_CLASSES; class++)
		if (free_of_class(&view->stats.class[class], class) > most) {
			most = free_of_class(&view->stats.class[class], class);
			worst = class;
		}
	const struct hz3_class_stats *c = &view->stats.class[worst];
	say(out, "pinned",
	    "%s, %s %% of the resident memory, are free blocks in pages that live ones keep from going back, most in pages "
	    "of %lu byte blocks, of which %s %% are live: allocate what lives long apart from what doesn't (first, or in another "
	    "thread).",
	    hz3_number_size(there).text, percent(there, view->memory.resident).text, c->size,
	    hz3_number_ratio(100 * c->live, c->pages * hz3_class_info[worst].capacity, 1).text);
}

/* ---- bounds of hz3's own ---- */

static void bounds(const struct hz3_view *view, struct listener *out)
{
	const struct hz3_flow_map *map = view->flows;

	if (map->rows_full)
		say(out, "bound_rows",
		    "A bound was hit: some thread frees memory of more than %d others, or there are more than %d pairs of "
		    "threads; what is beyond that is under `(others)`.",
		    HZ3_FLOW_ROWS, HZ3_FLOW_MAP_ROWS);
	if (map->names_full)
		say(out, "bound_names",
		    "A bound was hit: threads of so many names have ended that names which differ in their last digits, "
		    "and in the end all, are taken together.");
	if (view->stats.held_refused)
		say(out, "bound_held",
		    "A bound was hit: %s times a thread's buffer was flushed early because all buffers together may hold no "
		    "more than remote_cap, %s now.",
		    hz3_number_count(view->stats.held_refused).text, hz3_number_size(view->stats.held_bytes_cap).text);
}

void hz3_advise(const struct hz3_view *view, hz3_advice_say *listener, void *arg)
{
	struct listener out = { listener, arg, 0 };
	static void (*const rules[])(const struct hz3_view *, struct listener *) = {
		short_chains, unbatched, small_buffers, ping_pong, unnamed, sleeping_owner, never_purged, pinned, bounds,
	};

	if (view->flows == NULL)
		return;
	for (unsigned i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		rules[i](view, &out);
}
