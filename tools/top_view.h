/*
 * The picture, as lines of text, for a terminal of any size: what hz3top --once prints and the screen shows.  No terminal is touched here.
 */
#ifndef HZ3_TOP_VIEW_H
#define HZ3_TOP_VIEW_H

#include "top_attach.h"
#include "top_model.h"

enum top_style {
	TOP_PLAIN,
	TOP_STRONG,	/* the first line; what is unusual */
	TOP_HEADING	/* of a table */
};

/* How it is to be drawn. */
struct top_view {
	unsigned width;		/* columns, from 1 */
	unsigned height;	/* lines; 0: as many as there are */
	unsigned scroll;	/* threads left out above; the drawing brings it back into its bounds */
	bool keys;		/* a last line tells the keys */
	const char *state;	/* what is unusual: "process ended", "paused"; NULL: nothing */
	unsigned page;		/* set by the drawing: threads that are shown at once */
};

/* A line of at most that width, without an end of line. */
typedef void top_put_line(void *arg, const char *text, enum top_style style);

void top_view_draw(const struct top_model *model, const struct top_process *process, const char *version, struct top_view *view,
		   top_put_line *put, void *arg);
void top_view_draw_help(struct top_view *view, top_put_line *put, void *arg);

/* What a key is called on the command line, and by the digit that chooses it; TOP_KEYS: there is none. */
enum top_key top_key_by_name(const char *name);
const char *top_key_name(enum top_key key);

#endif
