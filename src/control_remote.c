/*
 * The control tree's remote.*: how remote frees go home.  (Their counts: control_stats.c.)
 */
#include "control_row.h"

#include "options.h"
#include "report.h"
#include "sink.h"

#include <errno.h>
#include <string.h>

static void get_sink(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->string = hz3_report_sink_name((int)hz3_sink_mode());
}

static int set_sink(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, const union hz3_control_value *value)
{
	for (int sink = 0; sink <= HZ3_SINK_AUTO; sink++) {
		if (value->string != NULL && strcmp(value->string, hz3_report_sink_name(sink)) == 0) {
			hz3_sink_set_mode(sink);
			return 0;
		}
	}
	return EINVAL;
}

static void get_batch(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->flag = hz3_sink_batch();
}

static int set_batch(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, const union hz3_control_value *value)
{
	hz3_sink_set_batch(value->flag);
	return 0;
}

static const struct hz3_control_row rows[] = {
	{.name = "remote.sink", .type = HZ3_CONTROL_STRING, .get = get_sink, .set = set_sink},
	{.name = "remote.batch", .type = HZ3_CONTROL_BOOL, .get = get_batch, .set = set_batch},
	HZ3_CONTROL_SIZE_OPTION("remote.budget", remote_budget, hz3_control_opt_set_size),
	HZ3_CONTROL_SIZE_OPTION("remote.cap", remote_cap, hz3_control_opt_set_size),
};

const struct hz3_control_table hz3_control_remote = HZ3_CONTROL_TABLE(rows);
