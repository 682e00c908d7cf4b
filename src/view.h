/*
 * All that a report is made of, taken together: statistics, where the memory is, the flow map.
 *
 * Any thread, with no lock held.  The parts are the caller's: some kilobytes on its stack, and the map in memory of its own.
 */
#ifndef HZ3_VIEW_H
#define HZ3_VIEW_H

#include "flow_map.h"
#include "stats.h"
#include "waterfall.h"

struct hz3_view {
	struct hz3_stats stats;
	struct hz3_waterfall memory;
	struct hz3_flow_map *flows;	/* NULL: none */
};

void hz3_view_take(struct hz3_view *view);
void hz3_view_release(struct hz3_view *view);

#endif
