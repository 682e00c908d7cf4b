/* What stands for the screen in a build without curses. */
#include "top_screen.h"

#include <stdio.h>

const bool top_has_screen = false;

enum top_end top_screen_run(struct top_target *target, struct top_model *model, unsigned delay_ms, unsigned long count)
{
	(void)target, (void)model, (void)delay_ms, (void)count;
	fputs("hz3top: this hz3top was built without curses and has no screen: use --once or -n\n", stderr);
	return TOP_END_NO_SCREEN;
}
