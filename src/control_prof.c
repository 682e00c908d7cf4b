/*
 * The control tree's prof.*: the heap profile, switched, written and begun anew.
 */
#include "control_row.h"

#include "options.h"
#include "profile.h"

#include <errno.h>
#include <limits.h>

static void get_prof_active(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->flag = hz3_profile_is_active();
}

static int set_prof_active(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED,
			   const union hz3_control_value *value)
{
	return hz3_profile_set_active(value->flag) ? 0 : EPERM;
}

static int dump_profile(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED,
			const union hz3_control_value *value)
{
	return hz3_profile_dump(value->string);
}

#define KEEP_SAMPLE SIZE_MAX

static bool is_lg_sample(size_t value)
{
	return value <= INT_MAX && hz3_control_opt_in_range(offsetof(struct hz3_options, lg_prof_sample), (int64_t)value);
}

/* The value is a new lg_prof_sample, if there is one. */
static int reset_profile(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED,
			 const union hz3_control_value *value)
{
	if (!hz3_profile_on)
		return EPERM;
	if (value->size != KEEP_SAMPLE && !is_lg_sample(value->size))
		return EINVAL;
	hz3_profile_reset(value->size == KEEP_SAMPLE ? hz3_options.lg_prof_sample : (int)value->size);
	return 0;
}

static const struct hz3_control_row rows[] = {
	{.name = "prof.active", .type = HZ3_CONTROL_BOOL, .get = get_prof_active, .set = set_prof_active},
	{.name = "prof.lg_sample",
	 .type = HZ3_CONTROL_SIZE,
	 .get = hz3_control_opt_get_int,
	 .where = offsetof(struct hz3_options, lg_prof_sample)},
	{.name = "prof.dump", .type = HZ3_CONTROL_STRING, .set = dump_profile, .bare = true},
	{.name = "prof.reset", .type = HZ3_CONTROL_SIZE, .set = reset_profile, .bare = true, .where = KEEP_SAMPLE},
};

const struct hz3_control_table hz3_control_prof = HZ3_CONTROL_TABLE(rows);
