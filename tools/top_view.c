/*
 * The picture, as lines of text.
 *
 * Three parts, one above the other: the process in four lines, its threads, its flows.  What there is no room for is left out, columns in the order of
 * their rank, and of the lines first the flows.
 */
#include "top_view.h"

#include "hz3/hz3.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

#define LINE_BYTES 1024
#define NAME_WIDTH 15
#define COLUMN_WIDTH 9

/* Fewer lines than this have no room for flows. */
#define LINES_WITH_FLOWS 15
#define FLOWS_SHOWN_MIN 4

/* The columns of threads, in the order of enum top_key.  rank: which ones go first when there is no room. */
static const struct {
	const char *title, *name;
	unsigned rank;
	bool is_rate, is_bytes;
} columns[TOP_KEYS] = {
	[TOP_NAME] = {"THREAD", "name", 0, false, false},
	[TOP_ALLOCATED] = {"ALLOC/s", "alloc", 1, true, false},
	[TOP_FREED] = {"FREE/s", "free", 4, true, false},
	[TOP_IN] = {"IN/s", "in", 3, true, false},
	[TOP_OUT] = {"OUT/s", "out", 2, true, false},
	[TOP_WAITING] = {"WAITING", "waiting", 5, false, true},
	[TOP_HELD] = {"HELD", "held", 6, false, true},
	[TOP_KEPT] = {"KEPT", "kept", 7, false, true},
	[TOP_BYTES] = {"BYTES/s", "bytes", 8, true, true},
	[TOP_TID] = {"TID", "tid", 9, false, false},
};

static const char *const sink_names[] = {"central", "page", "auto"};

enum top_key top_key_by_name(const char *name)
{
	enum top_key key = TOP_NAME;

	while (key < TOP_KEYS && strcmp(columns[key].name, name) != 0)
		key++;
	return key;
}

const char *top_key_name(enum top_key key)
{
	return columns[key].name;
}

/* ---- A line ---- */

struct line {
	char text[LINE_BYTES];
	size_t used;
	unsigned width;		/* columns used */
	unsigned width_max;
};

/* How many columns a character takes, and how many bytes it has; what this locale has no character for is a byte that can't be shown. */
static unsigned character(const char *text, size_t *bytes)
{
	mbstate_t state = {0};
	wchar_t c;
	size_t n = mbrtowc(&c, text, strlen(text), &state);
	int width = n > 0 && n < 5 ? wcwidth(c) : -1;

	*bytes = width >= 0 ? n : 0;
	return width >= 0 ? (unsigned)width : 1;
}

/* As much of the text as fits into so many columns; how many it took. */
static unsigned add_clipped(struct line *line, const char *text, unsigned room)
{
	unsigned used = 0;

	while (*text != '\0') {
		size_t bytes;
		unsigned width = character(text, &bytes);

		if (used + width > room || line->width + width > line->width_max || line->used + 8 > sizeof(line->text))
			break;
		if (bytes == 0) {
			line->text[line->used++] = '?';
			text++;
		} else {
			memcpy(line->text + line->used, text, bytes);
			line->used += bytes;
			text += bytes;
		}
		used += width;
		line->width += width;
	}
	line->text[line->used] = '\0';
	return used;
}

static void add(struct line *line, const char *text)
{
	(void)add_clipped(line, text, line->width_max);
}

static void add_spaces(struct line *line, unsigned n)
{
	while (n-- > 0)
		add(line, " ");
}

static void add_left(struct line *line, const char *text, unsigned width)
{
	add_spaces(line, width - add_clipped(line, text, width));
}

/* Of ASCII. */
static void add_right(struct line *line, const char *text, unsigned width)
{
	unsigned length = (unsigned)strlen(text);

	add_spaces(line, length < width ? width - length : 0);
	add(line, text);
}

static void begin(struct line *line, const struct top_view *view)
{
	line->used = line->width = 0;
	line->width_max = view->width;
	line->text[0] = '\0';
}

static void clipped_put(const char *text, const struct top_view *view, enum top_style style, top_put_line *put, void *arg)
{
	struct line line;

	begin(&line, view);
	add(&line, text);
	put(arg, line.text, style);
}

/* ---- Numbers, of at most seven characters ---- */

struct number {
	char text[32];
};

/* Three digits, and how many times the base was taken out. */
static struct number scaled(double value, double base, bool is_whole)
{
	static const char units[] = " kMGTPEZ";
	unsigned unit = 0;
	struct number out;

	while (value >= 999.5 && units[unit + 1] != '\0') {
		value /= base;
		unit++;
	}
	snprintf(out.text, sizeof(out.text), "%.*f%.*s", (is_whole && unit == 0) || value >= 99.5 ? 0 : value >= 9.95 ? 1 : 2, value, unit > 0, units + unit);
	return out;
}

static struct number count(uint64_t value)
{
	return scaled((double)value, 1000, true);
}

static struct number size(uint64_t value)
{
	return scaled((double)value, 1024, true);
}

/* A second. */
static struct number rate(const struct top_model *model, bool known, uint64_t growth, bool is_bytes)
{
	struct number none = {"-"};

	if (!known || model->interval_us == 0)
		return none;
	return scaled((double)growth * 1e6 / (double)model->interval_us, is_bytes ? 1024 : 1000, growth == 0);
}

static struct number ratio(uint64_t n, uint64_t d)
{
	struct number out = {"-"};

	if (d != 0)
		snprintf(out.text, sizeof(out.text), "%.1f", (double)n / (double)d);
	return out;
}

/* ---- The process ---- */

/* "word value", two blanks between; nothing is begun that has no room. */
static void add_value(struct line *line, const char *word, const char *value)
{
	if (line->width + strlen(word) + strlen(value) + 3 > line->width_max)
		return;
	add(line, line->width > 8 ? "  " : " ");
	add(line, word);
	add(line, " ");
	add(line, value);
}

static void draw_title(const struct top_model *model, const struct top_process *process, const char *version, const struct top_view *view, top_put_line *put, void *arg)
{
	char text[128];
	struct line line;

	begin(&line, view);
	/* What is unusual must not be clipped. */
	if (view->state != NULL) {
		add(&line, view->state);
		add(&line, ": ");
	}
	add(&line, process->name);
	snprintf(text, sizeof(text), " (%d)  %u threads, %u heaps, sink %s, hz3 %s", (int)process->pid, top_model_threads(model),
		 top_model_threads(model) + model->now.ended, model->now.sink < 3 ? sink_names[model->now.sink] : "unknown", version);
	add(&line, text);
	put(arg, line.text, TOP_STRONG);
}

static void draw_memory(const struct top_model *model, const struct top_view *view, top_put_line *put, void *arg)
{
	const struct hz3_top_memory *memory = &model->now.memory;
	struct line line;

	begin(&line, view);
	add(&line, "memory ");
	add_value(&line, "RSS", size(memory->resident).text);
	add_value(&line, "live", size(memory->live_bytes).text);
	add_value(&line, "dirty", size(memory->dirty).text);
	add_value(&line, "kept", size(model->now.total.kept_bytes).text);
	add_value(&line, "metadata", size(memory->metadata).text);
	add_value(&line, "blocks", count(memory->live_blocks).text);
	add_value(&line, "purged", size(memory->purged).text);
	put(arg, line.text, TOP_PLAIN);
}

static void draw_blocks(const struct top_model *model, const struct top_view *view, top_put_line *put, void *arg)
{
	const struct hz3_top_counts *by = &model->total.by;
	uint64_t freed = by->freed_local_blocks + by->out_blocks;
	struct line line;

	begin(&line, view);
	add(&line, "blocks ");
	add_value(&line, "alloc/s", rate(model, model->total.known, by->allocated_blocks, false).text);
	add_value(&line, "free/s", rate(model, model->total.known, freed, false).text);
	add_value(&line, "bytes/s", rate(model, model->total.known, by->allocated_bytes, true).text);
	add_value(&line, "slow/s", rate(model, model->total.known, by->slow_paths, false).text);
	add_value(&line, "remote %", model->total.known ? ratio(by->out_blocks * 100, freed).text : "-");
	put(arg, line.text, TOP_PLAIN);
}

static void draw_remote(const struct top_model *model, const struct top_view *view, top_put_line *put, void *arg)
{
	const struct hz3_top_counts *by = &model->total.by, *total = &model->now.total;
	struct number held = size(total->held_bytes);
	struct line line;

	begin(&line, view);
	add(&line, "remote ");
	add_value(&line, "out/s", rate(model, model->total.known, by->out_blocks, false).text);
	add_value(&line, "in/s", rate(model, model->total.known, by->in_blocks, false).text);
	add_value(&line, "waiting", size(total->waiting_bytes).text);
	add_value(&line, "held", held.text);
	add_value(&line, "of", size(model->now.memory.held_limit).text);
	add_value(&line, "a chain", ratio(by->out_blocks, by->out_chains).text);
	add_value(&line, "taken/s", rate(model, model->total.known, by->taken_blocks, false).text);
	put(arg, line.text, TOP_PLAIN);
}

/* ---- Threads ---- */

/* The columns that fit, as a set of bits. */
static unsigned columns_that_fit(unsigned width)
{
	unsigned set = 1u << TOP_NAME, used = NAME_WIDTH;

	for (unsigned rank = 1; rank < TOP_KEYS && used + COLUMN_WIDTH <= width; rank++) {
		for (unsigned key = 0; key < TOP_KEYS; key++) {
			if (columns[key].rank == rank)
				set |= 1u << key;
		}
		used += COLUMN_WIDTH;
	}
	return set;
}

static void draw_thread_heading(const struct top_model *model, const struct top_view *view, unsigned set, top_put_line *put, void *arg)
{
	struct line line;
	char title[32];

	begin(&line, view);
	for (unsigned key = 0; key < TOP_KEYS; key++) {
		if ((set & 1u << key) == 0)
			continue;
		snprintf(title, sizeof(title), "%s%s", key == model->key ? (model->reversed ? "<" : ">") : "", columns[key].title);
		if (key == TOP_NAME)
			add_left(&line, title, NAME_WIDTH);
		else
			add_right(&line, title, COLUMN_WIDTH);
	}
	add_spaces(&line, view->width - line.width);
	put(arg, line.text, TOP_HEADING);
}

static void draw_row(const struct top_model *model, const struct top_view *view, unsigned set, const char *name, uint32_t tid, const struct hz3_top_counts *now,
		     const struct top_change *change, top_put_line *put, void *arg)
{
	struct line line;

	begin(&line, view);
	add_left(&line, name, NAME_WIDTH);
	for (unsigned key = 1; key < TOP_KEYS; key++) {
		struct number number = {""};
		uint64_t value;

		if ((set & 1u << key) == 0)
			continue;
		if (key == TOP_TID && tid != 0) {
			snprintf(number.text, sizeof(number.text), "%u", tid);
		} else if (key != TOP_TID) {
			bool known = top_model_value(now, change, (enum top_key)key, &value);
			number = columns[key].is_rate ? rate(model, known, value, columns[key].is_bytes) : size(value);
		}
		add_right(&line, number.text, COLUMN_WIDTH);
	}
	put(arg, line.text, TOP_PLAIN);
}

/* The rows of threads, and behind them what has no row. */
static unsigned thread_lines(const struct top_model *model)
{
	return model->now.thread_rows + (model->now.others != 0) + (model->now.ended != 0);
}

static void draw_thread(const struct top_model *model, const struct top_view *view, unsigned set, unsigned i, top_put_line *put, void *arg)
{
	const struct hz3_top_snapshot *now = &model->now;
	char name[32];

	if (i < now->thread_rows) {
		unsigned at = model->thread_order[i];
		const struct hz3_top_thread *thread = &now->thread[at];

		draw_row(model, view, set, thread->name, thread->tid, &thread->counts, &model->thread[at], put, arg);
	} else if (i == now->thread_rows && now->others != 0) {
		snprintf(name, sizeof(name), "(%u others)", now->others);
		draw_row(model, view, set, name, 0, &now->other, &model->other, put, arg);
	} else {
		draw_row(model, view, set, "(no thread)", 0, &now->end, &model->end, put, arg);
	}
}

static void draw_threads(const struct top_model *model, struct top_view *view, unsigned room, top_put_line *put, void *arg)
{
	unsigned set = columns_that_fit(view->width), lines = thread_lines(model);

	view->page = room;
	if (view->scroll + room > lines)
		view->scroll = lines > room ? lines - room : 0;
	draw_thread_heading(model, view, set, put, arg);
	for (unsigned i = 0; i < room; i++) {
		if (view->scroll + i < lines)
			draw_thread(model, view, set, view->scroll + i, put, arg);
		else if (view->height != 0)
			put(arg, "", TOP_PLAIN);
	}
}

/* ---- Flows ---- */

/* The width of "owner <- freed by", before columns of numbers as wide as those of threads. */
#define FLOW_WIDTH (2 * NAME_WIDTH + 4)

static void draw_flow_heading(const struct top_view *view, top_put_line *put, void *arg)
{
	static const char *const titles[] = {"BLOCKS/s", "A CHAIN", "BYTES/s", "BLOCKS", "BYTES"};
	struct line line;

	begin(&line, view);
	add_left(&line, "FLOWS: OWNER <- FREED BY", (unsigned)hz3_min(FLOW_WIDTH, view->width));
	for (unsigned i = 0; i < sizeof(titles) / sizeof(titles[0]) && line.width + COLUMN_WIDTH <= view->width; i++)
		add_right(&line, titles[i], COLUMN_WIDTH);
	add_spaces(&line, view->width - line.width);
	put(arg, line.text, TOP_HEADING);
}

static void draw_flow(const struct top_model *model, const struct top_view *view, unsigned i, top_put_line *put, void *arg)
{
	unsigned at = model->flow_order[i];
	const struct hz3_top_flow *flow = &model->now.flow[at];
	bool known = model->flow[at].known, moves = known && model->flow[at].chains != 0;
	struct number numbers[] = {
		rate(model, known, model->flow[at].blocks, false),
		moves ? ratio(model->flow[at].blocks, model->flow[at].chains) : ratio(flow->blocks, flow->chains),
		rate(model, known, model->flow[at].bytes, true),
		count(flow->blocks),
		size(flow->bytes),
	};
	char text[2 * HZ3_TOP_NAME_BYTES + 8];
	struct line line;

	begin(&line, view);
	snprintf(text, sizeof(text), "%s <- %s", flow->owner, flow->freer);
	add_left(&line, text, (unsigned)hz3_min(FLOW_WIDTH, view->width));
	for (unsigned k = 0; k < sizeof(numbers) / sizeof(numbers[0]) && line.width + COLUMN_WIDTH <= view->width; k++)
		add_right(&line, numbers[k].text, COLUMN_WIDTH);
	put(arg, line.text, TOP_PLAIN);
}

static void draw_flows(const struct top_model *model, const struct top_view *view, unsigned lines, top_put_line *put, void *arg)
{
	unsigned rows = model->now.flow_rows;

	put(arg, "", TOP_PLAIN);
	draw_flow_heading(view, put, arg);
	for (unsigned i = 0; i < lines && i < rows; i++)
		draw_flow(model, view, i, put, arg);
	if (rows == 0)
		clipped_put("no thread frees another's memory so far", view, TOP_PLAIN, put, arg);
}

/* ---- The whole ---- */

/* Lines for threads and for flows, of those that are left; the flows get a third, or what the threads don't need. */
static void share(const struct top_model *model, unsigned room, unsigned *threads, unsigned *flows)
{
	unsigned wanted = (unsigned)hz3_max(model->now.flow_rows, 1), third = (unsigned)hz3_max(room / 3, FLOWS_SHOWN_MIN);
	unsigned needed = thread_lines(model);

	if (needed + wanted > room)
		wanted = (unsigned)hz3_min(wanted, hz3_max(third, needed < room ? room - needed : 0));
	*flows = wanted;
	*threads = room > wanted ? room - wanted : 0;
}

void top_view_draw(const struct top_model *model, const struct top_process *process, const char *version, struct top_view *view, top_put_line *put, void *arg)
{
	/* Beside the lists: four lines of the process, an empty one, a heading; then an empty line and a heading for the flows. */
	unsigned fixed = 6 + view->keys, threads, flows = 0;
	bool has_flows = view->height == 0 || view->height >= LINES_WITH_FLOWS;

	draw_title(model, process, version, view, put, arg);
	draw_memory(model, view, put, arg);
	if ((model->now.flags & HZ3_TOP_COUNTS) == 0) {
		clipped_put("this hz3 was built without statistics: there is no more to show", view, TOP_STRONG, put, arg);
		return;
	}
	draw_blocks(model, view, put, arg);
	draw_remote(model, view, put, arg);
	put(arg, "", TOP_PLAIN);
	if (view->height == 0) {
		threads = thread_lines(model);
		flows = model->now.flow_rows;
	} else if (has_flows) {
		share(model, view->height - fixed - 2, &threads, &flows);
	} else {
		threads = view->height > fixed ? view->height - fixed : 0;
	}
	draw_threads(model, view, threads, put, arg);
	if (has_flows)
		draw_flows(model, view, flows, put, arg);
}

void top_view_draw_help(struct top_view *view, top_put_line *put, void *arg)
{
	static const char *const lines[] = {
		"q            quit",
		"1 to 9, 0    sort threads by that column: name, alloc, free, in, out, waiting, held, kept, bytes, tid",
		"s, r         sort by the next column; turn the order round",
		"up, down     scroll by a thread; PgUp, PgDn by a page; Home, End",
		"p            pause: keep this picture",
		"h            this, and back",
		"",
		"ALLOC/s      blocks that the thread allocates a second",
		"FREE/s       blocks that it frees: its own, and those of others (OUT)",
		"IN/s         its blocks that others freed, and that have come home",
		"OUT/s        blocks of others that it frees",
		"WAITING      its blocks that others freed, and that have not come home",
		"HELD         of others, in its remote buffer: not sent yet",
		"KEPT         free runs that it keeps for its next pages",
		"A CHAIN      blocks that travel together: the more, the cheaper each",
		"",
		"Counts are raised by the batch: what a thread frees and takes again at once, from the same page, is not seen.",
	};

	clipped_put("hz3top " HZ3_VERSION, view, TOP_STRONG, put, arg);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		clipped_put(lines[i], view, TOP_PLAIN, put, arg);
}
