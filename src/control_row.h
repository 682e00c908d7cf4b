/*
 * A row of the control tree: a name, the type of its value, and how that is read and set.  For control.c and the files of rows.
 *
 * Each of these files has the rows of some subtrees, and gives control.c a table of them.  A row's get and set are called with the
 * types checked, after the thread's setup, with no lock held.
 */
#ifndef HZ3_CONTROL_ROW_H
#define HZ3_CONTROL_ROW_H

#include "base.h"

/* The C types that values have outside.  An action has no value: it happens when the name is called. */
enum hz3_control_type {
	HZ3_CONTROL_STRING,	/* const char * */
	HZ3_CONTROL_BOOL,	/* bool */
	HZ3_CONTROL_UNSIGNED,	/* unsigned */
	HZ3_CONTROL_SIZE,	/* size_t; uint64_t is the same to the caller */
	HZ3_CONTROL_SIGNED,	/* int64_t */
	HZ3_CONTROL_ACTION
};

union hz3_control_value {
	const char *string;
	bool flag;
	unsigned number;
	size_t size;
	int64_t signed_number;
};

/* What a name stands for.  get and set are NULL where that is not allowed; set returns 0 or an error number. */
struct hz3_control_row {
	const char *name;
	enum hz3_control_type type;
	void (*get)(const struct hz3_control_row *row, size_t index, union hz3_control_value *value);
	int (*set)(const struct hz3_control_row *row, size_t index, const union hz3_control_value *value);
	size_t where;		/* byte offset of what get reads: meaning depends on get */
	size_t and_where;	/* the same, of what is to be added; 0: nothing */
	size_t count;		/* how many values "<i>" may have */
	bool (*has)(size_t index);	/* whether it is there, with this "<i>"; NULL: it is */
	bool bare;		/* may be called without a value, which is then where */
};

struct hz3_control_table {
	const struct hz3_control_row *rows;
	size_t count;
};

#define HZ3_CONTROL_TABLE(rows) {rows, sizeof(rows) / sizeof((rows)[0])}

extern const struct hz3_control_table hz3_control_arenas;
extern const struct hz3_control_table hz3_control_config;
extern const struct hz3_control_table hz3_control_limit;
extern const struct hz3_control_table hz3_control_opt;
extern const struct hz3_control_table hz3_control_prof;
extern const struct hz3_control_table hz3_control_remote;
extern const struct hz3_control_table hz3_control_stats;
extern const struct hz3_control_table hz3_control_thread;

/* The row for an option, by the whole name "opt.<option>"; false if there is no such option. */
bool hz3_control_opt_find(const char *name, struct hz3_control_row *row);

/*
 * Gets and sets of options, for rows that have one under another name: where is its byte offset in struct hz3_options.  Only
 * options that options.h says are set while the program runs may be set: EINVAL outside of the range that HZ3_CONF has.
 */
void hz3_control_opt_get_int(const struct hz3_control_row *row, size_t index, union hz3_control_value *value);
void hz3_control_opt_get_size(const struct hz3_control_row *row, size_t index, union hz3_control_value *value);
int hz3_control_opt_set_size(const struct hz3_control_row *row, size_t index, const union hz3_control_value *value);
bool hz3_control_opt_in_range(size_t where, int64_t value);

/* A row of a SIZE option under another name, with one of these sets or one that calls it. */
#define HZ3_CONTROL_SIZE_OPTION(text, option, setter)                                                                \
	{.name = text,                                                                                               \
	 .type = HZ3_CONTROL_SIZE,                                                                                   \
	 .get = hz3_control_opt_get_size,                                                                            \
	 .set = setter,                                                                                              \
	 .where = offsetof(struct hz3_options, option)}

/* For the parameters that a get or set does not look at. */
#define HZ3_UNUSED __attribute__((unused))

#endif
