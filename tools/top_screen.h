/* hz3top on a terminal, with curses; or, where there was none to build with (top_no_screen.c), one line that says so. */
#ifndef HZ3_TOP_SCREEN_H
#define HZ3_TOP_SCREEN_H

#include "top_attach.h"
#include "top_model.h"

enum top_end {
	TOP_END_QUIT,		/* by the user, or so many pictures were shown */
	TOP_END_PROCESS,	/* the process had ended by then, or publishes no more */
	TOP_END_NO_SCREEN	/* there is none; it has been said why */
};

/* Show the process until the user, or the count of pictures (0: none), ends it.  delay: between two pictures. */
enum top_end top_screen_run(struct top_target *target, struct top_model *model, unsigned delay_ms, unsigned long count);

/* Whether there is one in this build. */
extern const bool top_has_screen;

#endif
