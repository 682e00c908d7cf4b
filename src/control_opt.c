/*
 * The control tree's opt.*: every option, as it is set; and the gets and sets of options for other rows.
 *
 * Options are read by a relaxed load: some are set while the program runs (options.h), and order nothing.
 */
#include "control_row.h"

#include "atomic.h"
#include "options.h"

#include <errno.h>
#include <string.h>

static void *option_address(size_t offset)
{
	return (char *)&hz3_options + offset;
}

static void get_flag_option(const struct hz3_control_row *row, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->flag = hz3_read_once((bool *)option_address(row->where));
}

void hz3_control_opt_get_int(const struct hz3_control_row *row, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->signed_number = hz3_read_once((int *)option_address(row->where));
}

/* jemalloc's type for this one, which therefore has a row of its own. */
static void get_opt_narenas(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->number = (unsigned)hz3_options.narenas;
}

void hz3_control_opt_get_size(const struct hz3_control_row *row, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->size = hz3_read_once((size_t *)option_address(row->where));
}

/* The option whose value is there; NULL: none. */
static const struct hz3_option_row *option_at(size_t offset)
{
	const struct hz3_option_row *option;

	for (size_t i = 0; (option = hz3_option_row(i)) != NULL && option->offset != offset; i++)
		;
	return option;
}

static void get_word_option(const struct hz3_control_row *row, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->string = hz3_option_word(option_at(row->where)->type, *(int *)option_address(row->where));
}

static void get_path_option(const struct hz3_control_row *row, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->string = option_address(row->where);
}

/* The range of an option that is set while the program runs is the one that HZ3_CONF has. */
bool hz3_control_opt_in_range(size_t offset, int64_t value)
{
	const struct hz3_option_row *option = option_at(offset);

	return option != NULL && value >= option->min && value <= option->max;
}

int hz3_control_opt_set_size(const struct hz3_control_row *row, size_t index HZ3_UNUSED,
			     const union hz3_control_value *value)
{
	if (value->size > INT64_MAX || !hz3_control_opt_in_range(row->where, (int64_t)value->size))
		return EINVAL;
	hz3_write_once((size_t *)option_address(row->where), value->size);
	return 0;
}

/* An option's row is made from that of options.def. */
static void option_row(const struct hz3_option_row *option, struct hz3_control_row *row)
{
	memset(row, 0, sizeof(*row));
	row->where = option->offset;
	switch (option->type) {
	case HZ3_OPTION_BOOL:
		row->type = HZ3_CONTROL_BOOL;
		row->get = get_flag_option;
		break;
	case HZ3_OPTION_INT:
	case HZ3_OPTION_SIGNAL:
		row->type = HZ3_CONTROL_SIGNED;
		row->get = hz3_control_opt_get_int;
		break;
	case HZ3_OPTION_SIZE:
		row->type = HZ3_CONTROL_SIZE;
		row->get = hz3_control_opt_get_size;
		break;
	case HZ3_OPTION_SINK:
	case HZ3_OPTION_THP:
		row->type = HZ3_CONTROL_STRING;
		row->get = get_word_option;
		break;
	case HZ3_OPTION_PATH:
		row->type = HZ3_CONTROL_STRING;
		row->get = get_path_option;
		break;
	}
}

bool hz3_control_opt_find(const char *name, struct hz3_control_row *row)
{
	const struct hz3_option_row *option = strncmp(name, "opt.", 4) == 0 ? hz3_option_find(name + 4) : NULL;

	if (option != NULL)
		option_row(option, row);
	return option != NULL;
}

static const struct hz3_control_row rows[] = {
	{.name = "opt.narenas", .type = HZ3_CONTROL_UNSIGNED, .get = get_opt_narenas},
};

const struct hz3_control_table hz3_control_opt = HZ3_CONTROL_TABLE(rows);
