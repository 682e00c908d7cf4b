/* All that a report is made of, taken together. */
#include "view.h"

void hz3_view_take(struct hz3_view *view)
{
	/* First, since it takes in what has arrived. */
	hz3_stats_collect(&view->stats);
	view->flows = hz3_flow_map_take();
	hz3_waterfall_collect(&view->memory, &view->stats, view->flows ? view->flows->waiting_bytes : 0);
}

void hz3_view_release(struct hz3_view *view)
{
	hz3_flow_map_release(view->flows);
	view->flows = NULL;
}
