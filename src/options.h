/*
 * The tunables: a struct made from the rows of options.def, set once from the environment variable HZ3_CONF, which
 * reads "name:value,name:value".
 *
 * Plain memory: written by hz3_options_init() and by the tests, before there are other threads, and only read from then
 * on.  Excepted are remote_budget, remote_cap, lg_prof_sample and the memory limits, which the control call sets: written and
 * read by hz3_write_once() and hz3_read_once().
 * (What else can be switched in a running program lives with the module that switches it.)
 */
#ifndef HZ3_OPTIONS_H
#define HZ3_OPTIONS_H

#include "base.h"

/* The values of the option "sink"; the first two are the indices of the sinks. */
enum hz3_sink_choice {
	HZ3_SINK_CENTRAL,
	HZ3_SINK_PAGE,
	HZ3_SINK_AUTO
};

/* The values of the option "thp": what is asked of the kernel about huge pages. */
enum hz3_thp_choice {
	HZ3_THP_DEFAULT,	/* nothing */
	HZ3_THP_ALWAYS,
	HZ3_THP_NEVER
};

enum hz3_option_type {
	HZ3_OPTION_BOOL,
	HZ3_OPTION_INT,
	HZ3_OPTION_SIZE,
	HZ3_OPTION_SINK,
	HZ3_OPTION_THP,
	HZ3_OPTION_SIGNAL,
	HZ3_OPTION_PATH
};

/* The C type of each option type. */
#define HZ3_OPTION_SIZE_MAX INT64_MAX
#define HZ3_OPTION_PATH_BYTES 256
typedef bool hz3_option_BOOL;
typedef int hz3_option_INT;
typedef size_t hz3_option_SIZE;
typedef int hz3_option_SINK;		/* enum hz3_sink_choice */
typedef int hz3_option_THP;		/* enum hz3_thp_choice */
typedef int hz3_option_SIGNAL;		/* 0: none */
typedef char hz3_option_PATH[HZ3_OPTION_PATH_BYTES];

struct hz3_options {
#define OPTION(name, type, initial, min, max, doc) hz3_option_##type name;
#include "options.def"
#undef OPTION
};

extern struct hz3_options hz3_options;

struct hz3_option_row {
	const char *name;
	const char *doc;
	enum hz3_option_type type;
	uint32_t offset; /* of the value in struct hz3_options */
	int64_t initial; /* the default, as a number; 0 for a path, whose default is empty */
	int64_t min;     /* numbers only: the smallest and largest value accepted */
	int64_t max;
};

/*
 * Reads HZ3_CONF, once: later calls do nothing.  A call so early that libc has no environment yet changes nothing and
 * leaves the work to the next call.  An item that is no good is named in one warning line and otherwise ignored.
 */
void hz3_options_init(void);

/* Applies "name:value,..." and returns the number of items that were no good (each warned of); 0 also for "". */
int hz3_options_parse(const char *text);

/* Sets one option from the text of its value; false, and nothing changed, if the option does not take that. */
bool hz3_option_set(const struct hz3_option_row *row, const char *text);

/* Back to the defaults of options.def: for tests. */
void hz3_options_reset(void);

/* All rows, in the order of options.def; NULL past the end. */
size_t hz3_option_count(void);
const struct hz3_option_row *hz3_option_row(size_t i);
const struct hz3_option_row *hz3_option_find(const char *name);

/* Of the types whose values are words: the word for a number; NULL if there is none. */
const char *hz3_option_word(enum hz3_option_type type, int64_t number);

/* The current value as text that the parser accepts; its (clipped) length, or -1 if there is no such option. */
int hz3_option_get_text(const char *name, char *buf, size_t cap);

/* A path with every %p replaced by the process id; false if that does not fit. */
bool hz3_option_expand_path(char *out, size_t cap, const char *path);

/* The form of value that an option accepts, as a phrase ("a size from 0 to 64M"); returns its clipped length. */
size_t hz3_option_describe(const struct hz3_option_row *row, char *buf, size_t cap);

#endif
