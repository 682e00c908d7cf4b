/*
 * hz3_control() with every name, with names that are next to one, and with buffers of every size, given or not.
 *
 * The answer has to be the one that hz3.h promises, nothing may be written but the value, a setting that is refused stays as it
 * was, and the heap works on: operations of the shadow oracle go on in between, and another thread frees everything in
 * the end.  mallopt() and the letters of hz3_stats_print() are input as well, and come along.
 */
#define STRESS_CORE
#include "ops.h"

#include "arena.h"
#include "control.h"
#include "size_class.h"

#define REQUESTS_MAX 400u
#define NAMES_MAX 512u
#define NAME_BYTES 128
#define GUARD 16u

struct request {
	uint16_t name;
	uint8_t index;		/* for "<i>" */
	uint8_t change;		/* what is done to the name */
	uint8_t old, old_bytes, new_, new_bytes;
	uint64_t value;
};

_Static_assert(sizeof(struct request) == 16, "requests are 16 bytes");

/* What is known of a name before anything odd is asked: the rest of the test holds it to that. */
struct name {
	const char *text;
	size_t bytes;
	bool readable, writable;
};

static struct name names[NAMES_MAX];
static unsigned n_names;
static char option_names[NAMES_MAX][NAME_BYTES];
static struct table table;

/* ---- Names ---- */

/* "<i>" replaced. */
static void with_index(const char *text, const char *index, char *out, size_t cap)
{
	const char *at = strstr(text, "<i>");

	if (at == NULL)
		snprintf(out, cap, "%s", text);
	else
		snprintf(out, cap, "%.*s%s%s", (int)(at - text), text, index, at + 3);
}

static void learn_name(const char *text)
{
	struct name *name = &names[n_names++];
	char full[NAME_BYTES];
	uint64_t value[2] = {0};

	FUZZ_CHECK(n_names < NAMES_MAX, "too many names");
	name->text = text;
	with_index(text, "0", full, sizeof(full));
	FUZZ_CHECK(hz3_control(full, NULL, &name->bytes, NULL, 0) == 0, "%s is not known", full);
	FUZZ_CHECK(name->bytes <= 8, "%s has %zu bytes", full, name->bytes);
	name->readable = name->bytes > 0;
	name->writable = name->bytes > 0 && hz3_control(full, NULL, NULL, value, name->bytes + 1) == EINVAL;
}

static void learn_names(void)
{
	const char *text;

	/*
	 * Those of the profile write files, or are refused where there is none: test/api/profile.sh has them.  A limit would be met
	 * by what goes on in between: test/unit/check_limit.c.
	 */
	for (size_t i = 0; (text = hz3_control_name(i)) != NULL; i++) {
		if (strncmp(text, "prof.", 5) != 0 && strncmp(text, "limit.", 6) != 0)
			learn_name(text);
	}
	for (size_t i = 0; i < OPTIONS; i++) {
		snprintf(option_names[i], NAME_BYTES, "opt.%s", options[i].name);
		learn_name(option_names[i]);
	}
}

/* Which indices there are. */
static bool has_index(const char *pattern, int index)
{
	if (strncmp(pattern, "arena.", 6) == 0 || strncmp(pattern, "stats.arenas.", 13) == 0)
		return index < (int)hz3_arenas_count() || index == 4096;
	return index < (int)HZ3_CLASSES;
}

/* An index is a number without sign or zeros before it. */
static bool fits(const char *pattern, const char *text)
{
	const char *at = strstr(pattern, "<i>");
	size_t before = at != NULL ? (size_t)(at - pattern) : 0, digits;
	char number[8] = "";

	if (at == NULL)
		return strcmp(pattern, text) == 0;
	if (strncmp(pattern, text, before) != 0)
		return false;
	digits = strspn(text + before, "0123456789");
	if (digits == 0 || digits > 4 || (digits > 1 && text[before] == '0'))
		return false;
	memcpy(number, text + before, digits);
	return has_index(pattern, atoi(number)) && strcmp(at + 3, text + before + digits) == 0;
}

static const struct name *find_name(const char *text)
{
	for (unsigned i = 0; i < n_names; i++) {
		if (fits(names[i].text, text))
			return &names[i];
	}
	return NULL;
}

/* A name as it is, or not quite. */
static void draw_name(const struct request *q, char *out, size_t cap)
{
	static const char *const odd[] = {"", "-1", "01", "00", "+1", " 1", "1 ", "4294967296", "99999999999999999999", "4096", "4097", "<i>", "x", "1.1"};
	char index[32];

	snprintf(index, sizeof(index), "%u", q->index);
	if (q->change % 16 == 1)
		snprintf(index, sizeof(index), "%s", odd[q->index % (sizeof(odd) / sizeof(odd[0]))]);
	with_index(names[q->name % n_names].text, index, out, cap);
	size_t length = strlen(out);
	switch (q->change % 16) {
	case 2:
		out[q->index % length] = '\0';
		break;
	case 3:
		out[q->index % length] = (char)q->old;
		break;
	case 4:
		memmove(out + q->index % length, out + q->index % length + 1, length - q->index % length);
		break;
	case 5:
		out[length] = (char)q->old;
		out[length + 1] = '\0';
		break;
	case 6:
		memset(out + length, 'x', cap - 1 - length);
		out[cap - 1] = '\0';
		break;
	}
}

/* ---- Values ---- */

/* Settings that are numbers, with the range that the manual gives them. */
static const struct range {
	const char *name;
	int64_t min, max;
} ranges[] = {
	{"epoch", INT64_MIN, INT64_MAX},
	{"remote.budget", 0, 64 << 20},
	{"remote.cap", 0, INT64_MAX},
	{"arenas.dirty_decay_ms", -1, 3600000},
	{"arena.<i>.dirty_decay_ms", -1, 3600000},
	{"remote.batch", 0, 1},
};

static const struct range *range_of(const struct name *name)
{
	for (size_t i = 0; name != NULL && i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (strcmp(ranges[i].name, name->text) == 0)
			return &ranges[i];
	}
	return NULL;
}

/* An end of the range or what is next to it, or anything. */
static uint64_t draw_value(const struct request *q, const struct range *range)
{
	switch (q->value % 8) {
	case 0:
		return (uint64_t)range->min;
	case 1:
		return (uint64_t)range->max;
	case 2:
		return (uint64_t)range->min - 1;
	case 3:
		return (uint64_t)range->max + 1;
	case 4:
		return q->value >> 3 & 0x3ffffff;
	case 5:
		return q->value % 2;
	default:
		return q->value;
	}
}

static const char *draw_string(const struct request *q)
{
	static const char *const strings[] = {"central", "page", "auto", "", "x", "Page", "page ", NULL,
					      "pagepagepagepagepagepagepagepagepagepagepagepagepagepagepagepagepage"};

	return strings[q->value % (sizeof(strings) / sizeof(strings[0]))];
}

static uint64_t read_value(const char *text, size_t bytes)
{
	uint64_t value = 0;
	int error = hz3_control(text, &value, &bytes, NULL, 0);

	FUZZ_CHECK(error == 0, "%s cannot be read: %s", text, strerror(error));
	return value;
}

/* ---- A request ---- */

struct buffers {
	unsigned char old[64], new_[64];	/* the values are behind GUARD bytes */
	size_t old_bytes;
	void *old_given, *new_given;
	size_t *old_bytes_given;
	size_t new_bytes_given;
};

static size_t draw_bytes(unsigned draw, size_t right)
{
	static const size_t sizes[] = {0, 1, 2, 4, 7, 8, 9, 16, SIZE_MAX, (size_t)1 << 32 | 8};

	return draw % 3 != 0 ? right : sizes[draw / 3 % (sizeof(sizes) / sizeof(sizes[0]))];
}

static void prepare(const struct request *q, const struct name *name, struct buffers *b)
{
	const struct range *range = range_of(name);
	size_t bytes = name != NULL ? name->bytes : 8;
	uint64_t value;
	const char *string = draw_string(q);

	memset(b, 0, sizeof(*b));
	memset(b->old, 0xa5, sizeof(b->old));
	/* What is neither known for a number may be a string: anything else would be a pointer to nowhere. */
	value = range != NULL ? draw_value(q, range) : (uint64_t)(uintptr_t)string;
	memcpy(b->new_ + GUARD, &value, sizeof(value));
	b->old_bytes = draw_bytes(q->old_bytes, bytes);
	b->old_given = q->old % 3 != 0 ? b->old + GUARD : NULL;
	b->old_bytes_given = q->old_bytes % 7 != 0 ? &b->old_bytes : NULL;
	b->new_given = q->new_ % 2 != 0 ? b->new_ + GUARD : NULL;
	b->new_bytes_given = draw_bytes(q->new_bytes, b->new_given != NULL ? bytes : 0);
}

/* The errors that the request may have, as bits; 0: it has to go well, as far as the value is good. */
#define MAY(error) (1ull << (error))

static uint64_t errors_of(const struct name *name, const struct buffers *b)
{
	uint64_t errors = 0;

	if (name == NULL)
		return MAY(ENOENT);
	if (b->old_given != NULL && !name->readable)
		errors |= MAY(EPERM);
	if (b->new_given != NULL && name->bytes > 0 && !name->writable)
		errors |= MAY(EPERM);
	if (b->new_bytes_given != (b->new_given != NULL ? name->bytes : 0) || (b->new_given != NULL && name->bytes == 0))
		errors |= MAY(EINVAL);
	if (b->old_given != NULL && (b->old_bytes_given == NULL || b->old_bytes != name->bytes))
		errors |= MAY(EINVAL);
	return errors;
}

static void check_old(const char *text, const struct name *name, const struct buffers *b, int error)
{
	size_t bytes = error == 0 || (error == EINVAL && b->new_given != NULL && name != NULL) ? name->bytes : 0;

	for (size_t i = 0; i < sizeof(b->old); i++) {
		if (i < GUARD || i >= GUARD + bytes)
			FUZZ_CHECK(b->old[i] == 0xa5, "%s wrote to byte %zd of what has %zu", text, (ssize_t)i - (ssize_t)GUARD,
				   bytes);
	}
	/* When that alone is wrong, the right size is told. */
	bool wrong_size = error == EINVAL && name != NULL && b->old_given != NULL && b->new_given == NULL && b->new_bytes_given == 0;
	if ((error == 0 || wrong_size) && b->old_bytes_given != NULL)
		FUZZ_CHECK(b->old_bytes == name->bytes, "%s has %zu bytes and says %zu", text, name->bytes, b->old_bytes);
	if (name == NULL || error != 0 || b->old_given == NULL)
		return;
	uint64_t value = 0xa5a5a5a5a5a5a5a5u;
	FUZZ_CHECK(memcmp(b->old + GUARD, &value, name->bytes) != 0, "%s wrote nothing", text);
}

/* What was to be set is set if it is in the range, and else nothing is. */
static void check_new(const char *text, const struct name *name, const struct buffers *b, uint64_t before, int error)
{
	const struct range *range = range_of(name);
	uint64_t value = 0, now = read_value(text, name->bytes);
	size_t bytes = name->bytes;

	/* The epoch counts how often it is set, to whatever. */
	if (range == NULL || range == &ranges[0])
		return;
	memcpy(&value, b->new_ + GUARD, bytes);
	bool good = (int64_t)value >= range->min && (int64_t)value <= range->max;
	FUZZ_CHECK((error == 0) == good, "%s to %lld: error %d", text, (long long)value, error);
	FUZZ_CHECK(now == (good ? value : before), "%s is %lld after error %d of setting it to %lld", text, (long long)now, error,
		   (long long)value);
}

static void ask(const struct request *q)
{
	char text[NAME_BYTES * 4];
	struct buffers b;

	draw_name(q, text, sizeof(text));
	const struct name *name = find_name(text);
	prepare(q, name, &b);
	uint64_t may = errors_of(name, &b), before = 0;
	bool sets = may == 0 && b.new_given != NULL && name->bytes > 0;
	if (sets)
		before = read_value(text, name->bytes);
	errno = ERRNO_BEFORE;
	int error = hz3_control(q->change == 255 ? NULL : text, b.old_given, b.old_bytes_given, b.new_given, b.new_bytes_given);
	FUZZ_CHECK(errno == ERRNO_BEFORE, "hz3_control(%s) sets errno to %d", text, errno);
	if (q->change == 255) {
		FUZZ_CHECK(error == EINVAL, "hz3_control(NULL): error %d", error);
		return;
	}
	if (may != 0)
		FUZZ_CHECK(error > 0 && error < 64 && (may >> error & 1) != 0, "hz3_control(%s): error %d", text, error);
	else
		FUZZ_CHECK(error == 0 || (sets && error == EINVAL), "hz3_control(%s): error %d", text, error);
	check_old(text, name, &b, error);
	if (sets)
		check_new(text, name, &b, before, error);
}

/* ---- Other input ---- */

static void count_braces(void *arg, const char *piece)
{
	int *depth = arg;

	for (; *piece != '\0'; piece++)
		*depth += (*piece == '{') - (*piece == '}');
}

static void print_with(const struct request *q)
{
	char letters[9] = "";
	int braces = 0;

	memcpy(letters, &q->value, 8);
	hz3_stats_print(count_braces, &braces, letters);
	FUZZ_CHECK(braces == 0, "statistics by \"%s\" have %d braces too many", letters, braces);
}

static void set_parameter(const struct request *q)
{
	int param = q->index % 2 == 0 ? (int)(q->index % 24) - 12 : (int)q->value;
	int heard = hz3_mallopt(param, (int)(q->value >> 32));

	FUZZ_CHECK(heard == 0 || heard == 1, "mallopt(%d): %d", param, heard);
}

/* ---- A case ---- */

static void *free_table(void *arg)
{
	free_all(arg);
	return NULL;
}

/* Two operations on the heap, out of what the request has to offer. */
static void use_heap(const struct request *q)
{
	struct record r = {.op = (uint8_t)(q->index % (LOOK + 1)), .slot = (uint16_t)(q->value % 256), .extra = q->old};

	r.size = (uint16_t)(q->value >> 16 & 0x9fff);
	r.align = q->new_ % 16;
	do_op(&table, &r, true);
	r.op = q->old % 2 == 0 ? FREE : MALLOC;
	r.slot = (uint16_t)(q->value >> 32);
	do_op(&table, &r, true);
}

static void run(const uint8_t *data, size_t bytes)
{
	struct settings before;
	struct request q;

	if (n_names == 0) {
		find_calls();
		learn_names();
	}
	save_settings(&before);
	for (size_t i = 0; i < REQUESTS_MAX && (i + 1) * sizeof(q) <= bytes; i++) {
		memcpy(&q, data + i * sizeof(q), sizeof(q));
		if (q.name % 64 == 63)
			print_with(&q);
		else if (q.name % 64 == 62)
			set_parameter(&q);
		else
			ask(&q);
		use_heap(&q);
	}
	check_all(&table);
	pthread_join(stress_thread(free_table, &table), NULL);
	restore_settings(&before);
}

static size_t make(uint64_t *random, uint8_t *data)
{
	size_t n = stress_size(random, REQUESTS_MAX);

	for (size_t i = 0; i < n; i++) {
		uint64_t bits[2] = {stress_random(random), stress_random(random)};
		struct request q;
		memcpy(&q, bits, sizeof(q));
		/* Settings more often than statistics. */
		if (stress_below(random, 3) == 0)
			q.name = (uint16_t)stress_below(random, 40);
		if (stress_below(random, 2) == 0)
			q.change = 0;
		memcpy(data + i * sizeof(q), &q, sizeof(q));
	}
	return n * sizeof(struct request);
}

static const struct fuzz_target target = {
	.name = "control",
	.record = sizeof(struct request),
	.seconds = 2,
	.make = make,
	.run = run,
	.variant = ops_variant,
};

FUZZ_MAIN(target)
