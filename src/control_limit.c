/*
 * The control tree's limit.* and purge: how much memory hz3 may have, and giving back what is free.
 */
#include "control_row.h"

#include "decay.h"
#include "limit.h"
#include "options.h"

/* What is over the new limit already goes back now, as far as it is free. */
static int set_limit(const struct hz3_control_row *row, size_t index, const union hz3_control_value *value)
{
	int error = hz3_control_opt_set_size(row, index, value);

	if (error == 0 && hz3_limit_room() == 0)
		hz3_decay_reclaim();
	if (error == 0) {
		hz3_limit_renew();
		hz3_decay_keep_soft_limit();
	}
	return error;
}

static void get_limit_used(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->size = hz3_limit_used();
}

static int act_purge(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED,
		     const union hz3_control_value *value HZ3_UNUSED)
{
	(void)hz3_decay_purge_all();
	return 0;
}

static const struct hz3_control_row rows[] = {
	HZ3_CONTROL_SIZE_OPTION("limit.soft", memory_limit_soft, set_limit),
	HZ3_CONTROL_SIZE_OPTION("limit.hard", memory_limit_hard, set_limit),
	{.name = "limit.used", .type = HZ3_CONTROL_SIZE, .get = get_limit_used},
	{.name = "purge", .type = HZ3_CONTROL_ACTION, .set = act_purge},
};

const struct hz3_control_table hz3_control_limit = HZ3_CONTROL_TABLE(rows);
