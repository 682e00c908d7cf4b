/*
 * The named control tree: finds the row of a name, checks the types, and makes the call; see control.h.
 *
 * The rows stand in control_<subtree>.c.
 */
#include "control.h"

#include "control_row.h"
#include "hz3/hz3.h"
#include "thread.h"

#include <errno.h>
#include <string.h>

static const size_t type_bytes[] = {
	[HZ3_CONTROL_STRING] = sizeof(const char *),
	[HZ3_CONTROL_BOOL] = sizeof(bool),
	[HZ3_CONTROL_UNSIGNED] = sizeof(unsigned),
	[HZ3_CONTROL_SIZE] = sizeof(size_t),
	[HZ3_CONTROL_SIGNED] = sizeof(int64_t),
	[HZ3_CONTROL_ACTION] = 0,
};

static const struct hz3_control_table *const tables[] = {
	&hz3_control_config,
	&hz3_control_opt,
	&hz3_control_thread,
	&hz3_control_remote,
	&hz3_control_limit,
	&hz3_control_arenas,
	&hz3_control_prof,
	&hz3_control_stats,
};

#define TABLES (sizeof(tables) / sizeof(tables[0]))

/* ---- names ---- */

const char *hz3_control_name(size_t i)
{
	for (size_t table = 0; table < TABLES; table++) {
		if (i < tables[table]->count)
			return tables[table]->rows[i].name;
		i -= tables[table]->count;
	}
	return NULL;
}

/* Reads an index without sign or leading zeros; what follows it, or NULL if there is none. */
static const char *read_index(const char *text, size_t *index)
{
	const char *s = text;

	*index = 0;
	while (*s >= '0' && *s <= '9' && s - text < 9)
		*index = *index * 10 + (size_t)(*s++ - '0');
	if (s == text || (*text == '0' && s > text + 1))
		return NULL;
	return s;
}

/* Whether a name fits the row; "<i>" takes an index below the row's count. */
static bool name_fits(const struct hz3_control_row *row, const char *name, size_t *index)
{
	const char *placeholder = strstr(row->name, "<i>");
	size_t length;

	*index = 0;
	if (placeholder == NULL)
		return strcmp(row->name, name) == 0;
	length = (size_t)(placeholder - row->name);
	if (strncmp(row->name, name, length) != 0)
		return false;
	name = read_index(name + length, index);
	return name != NULL && *index < row->count && strcmp(placeholder + 3, name) == 0;
}

static const struct hz3_control_row *find_in_table(const struct hz3_control_table *table, const char *name, size_t *index)
{
	for (size_t i = 0; i < table->count; i++) {
		if (name_fits(&table->rows[i], name, index))
			return &table->rows[i];
	}
	return NULL;
}

static bool find_row(const char *name, struct hz3_control_row *row, size_t *index)
{
	for (size_t table = 0; table < TABLES; table++) {
		const struct hz3_control_row *found = find_in_table(tables[table], name, index);

		if (found != NULL) {
			*row = *found;
			return found->has == NULL || found->has(*index);
		}
	}
	*index = 0;
	return hz3_control_opt_find(name, row);
}

/* ---- the call ---- */

/* The error in how a name is to be used, or 0. */
static int check_use(const struct hz3_control_row *row, const void *old, size_t *old_bytes, const void *new_, size_t new_bytes)
{
	size_t bytes = type_bytes[row->type];

	if (old != NULL && row->get == NULL)
		return EPERM;
	if (new_ != NULL && row->set == NULL)
		return EPERM;
	if (new_bytes != (new_ != NULL ? bytes : 0) || (new_ != NULL && row->type == HZ3_CONTROL_ACTION))
		return EINVAL;
	if (old != NULL && (old_bytes == NULL || *old_bytes != bytes)) {
		if (old_bytes != NULL)
			*old_bytes = bytes;
		return EINVAL;
	}
	return 0;
}

static int use_row(const struct hz3_control_row *row, size_t index, void *old, size_t *old_bytes, const void *new_, size_t new_bytes)
{
	size_t bytes = type_bytes[row->type];
	union hz3_control_value value = {0};

	if (old_bytes != NULL)
		*old_bytes = bytes;
	if (old != NULL) {
		row->get(row, index, &value);
		memcpy(old, &value, bytes);
	}
	if (new_ == NULL && row->type != HZ3_CONTROL_ACTION && !row->bare)
		return 0;
	memset(&value, 0, sizeof(value));
	value.size = row->bare ? row->where : 0;
	if (new_ != NULL && row->type == HZ3_CONTROL_BOOL && *(const unsigned char *)new_ > 1)
		return EINVAL;
	if (new_ != NULL)
		memcpy(&value, new_, new_bytes);
	return row->set(row, index, &value);
}

int hz3_control(const char *name, void *old, size_t *old_bytes, void *new_, size_t new_bytes)
{
	int saved_errno = errno;
	struct hz3_control_row row;
	size_t index;
	int error;

	if (name == NULL)
		return EINVAL;
	hz3_thread_setup();
	if (!find_row(name, &row, &index))
		return ENOENT;
	error = check_use(&row, old, old_bytes, new_, new_bytes);
	if (error == 0)
		error = use_row(&row, index, old, old_bytes, new_, new_bytes);
	errno = saved_errno;
	return error;
}
