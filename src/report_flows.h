/*
 * Prints what a view has beyond the statistics: where the memory is, who frees whose, delays, advice.  For report.c.
 *
 * The parts that are printed from a flow map merge it (flow_map.h) once they are through with its single threads.
 */
#ifndef HZ3_REPORT_FLOWS_H
#define HZ3_REPORT_FLOWS_H

#include "out.h"
#include "view.h"

void hz3_report_flows_text(struct hz3_out *o, struct hz3_view *view);
void hz3_report_flows_json(struct hz3_out *o, struct hz3_view *view);

#endif
