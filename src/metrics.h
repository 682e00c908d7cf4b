/*
 * Metrics in the text format of Prometheus, for a file that node_exporter or any other collector reads.
 *
 * Names and units as OpenMetrics wants them: hz3_ in front, base units at the end, _total for what only grows.
 */
#ifndef HZ3_METRICS_H
#define HZ3_METRICS_H

#include "out.h"
#include "view.h"

/* Any thread, with no lock held.  Merges the view's flow map. */
void hz3_metrics_print(hz3_out_write *write, void *arg, struct hz3_view *view);

/* Renew metrics_file: whoever reads it sees the old contents or the new. */
void hz3_metrics_write(void);

#endif
