/*
 * Reads HZ3_CONF into hz3_options.
 *
 * Called while there is one thread (see options.h).  Uses the stack and the environment only.
 */
#include "options.h"

#include "atomic.h"
#include "os_process.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB 1024
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* Longer than any good item: the longest name, and a path. */
#define ITEM_BYTES 512

#define PHRASE_BYTES 128

struct hz3_options hz3_options = {
#define OPTION(name, type, initial, min, max, doc) .name = initial,
#include "options.def"
#undef OPTION
};

static const struct hz3_options defaults = {
#define OPTION(name, type, initial, min, max, doc) .name = initial,
#include "options.def"
#undef OPTION
};

/* The default as a number, per type. */
#define NUMBER_BOOL(initial) (initial)
#define NUMBER_INT(initial) (initial)
#define NUMBER_SIZE(initial) (initial)
#define NUMBER_SINK(initial) (initial)
#define NUMBER_THP(initial) (initial)
#define NUMBER_SIGNAL(initial) (initial)
#define NUMBER_PATH(initial) 0

static const struct hz3_option_row rows[] = {
#define OPTION(n, t, i, lowest, highest, d)                                                                          \
	{.name = #n,                                                                                                 \
	 .doc = d,                                                                                                   \
	 .type = HZ3_OPTION_##t,                                                                                     \
	 .offset = offsetof(struct hz3_options, n),                                                                  \
	 .initial = NUMBER_##t(i),                                                                                   \
	 .min = lowest,                                                                                              \
	 .max = highest},
#include "options.def"
#undef OPTION
};

/* A word that HZ3_CONF may have for a number; of several, the first is how the number is printed. */
struct word {
	const char *text;
	int number;
};

static const struct word bools[] = {
	{"true", 1}, {"false", 0}, {"1", 1}, {"0", 0}, {"yes", 1}, {"no", 0}, {"on", 1}, {"off", 0},
};
static const struct word sinks[] = {{"central", HZ3_SINK_CENTRAL}, {"page", HZ3_SINK_PAGE}, {"auto", HZ3_SINK_AUTO}};
static const struct word thps[] = {{"default", HZ3_THP_DEFAULT}, {"always", HZ3_THP_ALWAYS}, {"never", HZ3_THP_NEVER}};

/* Those that a program can do without. */
static const struct word signals[] = {
	{"none", 0}, {"HUP", SIGHUP}, {"QUIT", SIGQUIT}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"ALRM", SIGALRM},
	{"PROF", SIGPROF}, {"URG", SIGURG}, {"WINCH", SIGWINCH}, {"IO", SIGIO}, {"PWR", SIGPWR},
};

/* By type, with the phrase that describes them; types whose values are not words have none. */
static const struct {
	const struct word *word;
	size_t count;
	const char *phrase;
} words[HZ3_OPTION_PATH + 1] = {
#define WORDS(list, phrase) {list, sizeof(list) / sizeof((list)[0]), phrase}
	[HZ3_OPTION_BOOL] = WORDS(bools, "true or false"),
	[HZ3_OPTION_SINK] = WORDS(sinks, "central, page or auto"),
	[HZ3_OPTION_THP] = WORDS(thps, "default, always or never"),
	[HZ3_OPTION_SIGNAL] = WORDS(signals, "none, HUP, QUIT, USR1, USR2, ALRM, PROF, URG, WINCH, IO or PWR"),
#undef WORDS
};

const char *hz3_option_word(enum hz3_option_type type, int64_t number)
{
	for (size_t i = 0; i < words[type].count; i++) {
		if (words[type].word[i].number == number)
			return words[type].word[i].text;
	}
	return NULL;
}

size_t hz3_option_count(void)
{
	return sizeof(rows) / sizeof(rows[0]);
}

const struct hz3_option_row *hz3_option_row(size_t i)
{
	return i < hz3_option_count() ? &rows[i] : NULL;
}

const struct hz3_option_row *hz3_option_find(const char *name)
{
	for (size_t i = 0; i < hz3_option_count(); i++) {
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	}
	return NULL;
}

/* The only two places that know how a number is stored, so that the rest deals in int64_t. */
static int64_t get_number(const struct hz3_option_row *row)
{
	const void *p = (const char *)&hz3_options + row->offset;

	switch (row->type) {
	case HZ3_OPTION_BOOL:
		return *(const hz3_option_BOOL *)p;
	/* The control call changes some of these while the statistics read them; each stands alone. */
	case HZ3_OPTION_INT:
	case HZ3_OPTION_SINK:
	case HZ3_OPTION_THP:
	case HZ3_OPTION_SIGNAL:
		return hz3_read_once((const int *)p);
	case HZ3_OPTION_SIZE:
		return (int64_t)hz3_read_once((const hz3_option_SIZE *)p);
	case HZ3_OPTION_PATH:
		break;
	}
	return 0;
}

static void set_number(const struct hz3_option_row *row, int64_t value)
{
	void *p = (char *)&hz3_options + row->offset;

	switch (row->type) {
	case HZ3_OPTION_BOOL:
		*(hz3_option_BOOL *)p = value != 0;
		break;
	case HZ3_OPTION_INT:
	case HZ3_OPTION_SINK:
	case HZ3_OPTION_THP:
	case HZ3_OPTION_SIGNAL:
		*(int *)p = (int)value;
		break;
	case HZ3_OPTION_SIZE:
		*(hz3_option_SIZE *)p = (size_t)value;
		break;
	case HZ3_OPTION_PATH:
		break;
	}
}

/* A name of a signal may have SIG before it. */
static bool parse_word(enum hz3_option_type type, const char *text, int64_t *value)
{
	if (type == HZ3_OPTION_SIGNAL && strncmp(text, "SIG", 3) == 0)
		text += 3;
	for (size_t i = 0; i < words[type].count; i++) {
		if (strcmp(words[type].word[i].text, text) == 0) {
			*value = words[type].word[i].number;
			return true;
		}
	}
	return false;
}

/* Decimal digits; returns what follows them, or NULL if there are none or too many. */
static const char *parse_digits(const char *text, int64_t *value)
{
	const char *s = text;

	*value = 0;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, *s - '0', value))
			return NULL;
	}
	return s > text ? s : NULL;
}

static bool parse_int(const char *text, int64_t *value)
{
	bool negative = *text == '-';
	const char *end = parse_digits(text + negative, value);

	if (negative)
		*value = -*value;
	return end != NULL && *end == '\0';
}

/* Bytes, with an optional suffix. */
static bool parse_size(const char *text, int64_t *value)
{
	const char *end = parse_digits(text, value);
	int64_t unit = 1;

	if (end == NULL)
		return false;
	switch (*end) {
	case 'K':
	case 'k':
		unit = KIB;
		break;
	case 'M':
	case 'm':
		unit = MIB;
		break;
	case 'G':
	case 'g':
		unit = GIB;
		break;
	}
	if (unit > 1)
		end++;
	return *end == '\0' && !__builtin_mul_overflow(*value, unit, value);
}

static bool set_path(const struct hz3_option_row *row, const char *text)
{
	size_t length = strlen(text);

	if (length >= HZ3_OPTION_PATH_BYTES)
		return false;
	memcpy((char *)&hz3_options + row->offset, text, length + 1);
	return true;
}

/* Of all types but paths. */
static bool parse_number(enum hz3_option_type type, const char *text, int64_t *value)
{
	switch (type) {
	case HZ3_OPTION_INT:
		return parse_int(text, value);
	case HZ3_OPTION_SIZE:
		return parse_size(text, value);
	default:
		return parse_word(type, text, value);
	}
}

bool hz3_option_set(const struct hz3_option_row *row, const char *text)
{
	int64_t value;

	if (row->type == HZ3_OPTION_PATH)
		return set_path(row, text);
	if (!parse_number(row->type, text, &value) || value < row->min || value > row->max)
		return false;
	set_number(row, value);
	return true;
}

/* Bytes in the largest unit that divides them. */
static size_t format_size(char *buf, size_t cap, int64_t value)
{
	if (value != 0 && value % GIB == 0)
		return hz3_format(buf, cap, "%ldG", (long)(value / GIB));
	if (value != 0 && value % MIB == 0)
		return hz3_format(buf, cap, "%ldM", (long)(value / MIB));
	if (value != 0 && value % KIB == 0)
		return hz3_format(buf, cap, "%ldK", (long)(value / KIB));
	return hz3_format(buf, cap, "%ld", (long)value);
}

int hz3_option_get_text(const char *name, char *buf, size_t cap)
{
	const struct hz3_option_row *row = hz3_option_find(name);
	int64_t value;

	if (row == NULL)
		return -1;
	value = get_number(row);
	switch (row->type) {
	case HZ3_OPTION_INT:
		return (int)hz3_format(buf, cap, "%ld", (long)value);
	case HZ3_OPTION_SIZE:
		return (int)format_size(buf, cap, value);
	case HZ3_OPTION_PATH:
		return (int)hz3_format(buf, cap, "%s", (const char *)&hz3_options + row->offset);
	default:
		return (int)hz3_format(buf, cap, "%s", hz3_option_word(row->type, value));
	}
}

size_t hz3_option_describe(const struct hz3_option_row *row, char *buf, size_t cap)
{
	char low[24], high[24];

	switch (row->type) {
	case HZ3_OPTION_INT:
		return hz3_format(buf, cap, "a number from %ld to %ld", (long)row->min, (long)row->max);
	case HZ3_OPTION_SIZE:
		format_size(low, sizeof(low), row->min);
		if (row->max == HZ3_OPTION_SIZE_MAX)
			return hz3_format(buf, cap, "a size (K, M, G) of at least %s", low);
		format_size(high, sizeof(high), row->max);
		return hz3_format(buf, cap, "a size (K, M, G) from %s to %s", low, high);
	case HZ3_OPTION_PATH:
		return hz3_format(buf, cap, "a path of at most %d bytes", HZ3_OPTION_PATH_BYTES - 1);
	default:
		return hz3_format(buf, cap, "%s", words[row->type].phrase);
	}
}

/* One "name:value", cut out of the text; it is split in place. */
static bool apply_item(char *item)
{
	const struct hz3_option_row *row;
	char *value = strchr(item, ':');
	char phrase[PHRASE_BYTES];

	if (value != NULL)
		*value++ = '\0';
	row = hz3_option_find(item);
	if (row == NULL) {
		hz3_warn("HZ3_CONF: there is no option \"%s\"; the form is name:value,name:value", item);
		return false;
	}
	if (value != NULL && hz3_option_set(row, value))
		return true;
	hz3_option_describe(row, phrase, sizeof(phrase));
	hz3_warn("HZ3_CONF: %s takes %s, not \"%s\"", item, phrase, value != NULL ? value : "");
	return false;
}

/* Copies [text, end) without the blanks around it; false if it does not fit. */
static bool copy_item(char *item, const char *text, const char *end)
{
	size_t length;

	while (text < end && *text == ' ')
		text++;
	while (text < end && end[-1] == ' ')
		end--;
	length = hz3_min((size_t)(end - text), ITEM_BYTES - 1);
	memcpy(item, text, length);
	item[length] = '\0';
	return length == (size_t)(end - text);
}

int hz3_options_parse(const char *text)
{
	char item[ITEM_BYTES];
	int bad = 0;

	while (*text != '\0') {
		const char *end = strchrnul(text, ',');

		if (!copy_item(item, text, end)) {
			hz3_warn("HZ3_CONF: too long: %s", item);
			bad++;
		} else if (*item != '\0' && !apply_item(item)) {
			bad++;
		}
		text = *end == ',' ? end + 1 : end;
	}
	return bad;
}

void hz3_options_reset(void)
{
	hz3_options = defaults;
}

void hz3_options_init(void)
{
	static bool done;
	const char *text;

	/* A malloc from the dynamic linker may come before libc has found the environment. */
	if (done || environ == NULL)
		return;
	done = true;
	text = secure_getenv("HZ3_CONF");
	if (text != NULL)
		(void)hz3_options_parse(text);
}

bool hz3_option_expand_path(char *out, size_t cap, const char *path)
{
	char pid[24];
	size_t used = 0;
	size_t length = hz3_format(pid, sizeof(pid), "%u", hz3_os_process_id());

	for (; *path != '\0'; path++) {
		bool is_pid = path[0] == '%' && path[1] == 'p';
		size_t n = is_pid ? length : 1;

		if (used + n >= cap)
			return false;
		memcpy(out + used, is_pid ? pid : path, n);
		used += n;
		path += is_pid;
	}
	out[used] = '\0';
	return true;
}
