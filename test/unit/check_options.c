/*
 * Tests of options.h: every row with good and bad values, the environment, and texts from nowhere.
 */
#include "unit.h"

#include "options.h"

#include <limits.h>

static char text[8192];

static int count_lines(const char *s)
{
	int lines = 0;

	for (; *s != '\0'; s++)
		lines += *s == '\n';
	return lines;
}

/* Parses name:value; the warnings are left in text. */
static int parse(const char *name, const char *value)
{
	struct unit_capture c = unit_capture_begin();
	char item[1024];
	int bad;

	snprintf(item, sizeof(item), "%s:%s", name, value);
	bad = hz3_options_parse(item);
	ck_assert_int_eq(unit_capture_end(c, text, sizeof(text)), bad);
	ck_assert_int_eq(count_lines(text), bad);
	return bad;
}

static const char *current(const char *name)
{
	static char value[HZ3_OPTION_PATH_BYTES];
	int length = hz3_option_get_text(name, value, sizeof(value));

	ck_assert_int_eq(length, (int)strlen(value));
	return value;
}

static void check_good(const char *name, const char *value, const char *expected)
{
	if (parse(name, value) != 0)
		ck_abort_msg("%s:%s was refused: %s", name, value, text);
	ck_assert_str_eq(current(name), expected);
	ck_assert_str_eq(text, "");
}

/* Refused in one line that names the option, the value and what would be accepted; nothing changes. */
static void check_bad(const char *name, const char *value)
{
	struct hz3_options before = hz3_options;
	char form[128], quoted[1024];

	if (parse(name, value) != 1)
		ck_abort_msg("%s:%s was accepted", name, value);
	hz3_option_describe(hz3_option_find(name), form, sizeof(form));
	snprintf(quoted, sizeof(quoted), "\"%s\"", value);
	ck_assert_ptr_nonnull(strstr(text, name));
	ck_assert_ptr_nonnull(strstr(text, form));
	if (strlen(value) < 200)
		ck_assert_ptr_nonnull(strstr(text, quoted));
	ck_assert_int_eq(memcmp(&before, &hz3_options, sizeof(before)), 0);
}

/* The list ends with NULL. */
static void check_all_bad(const char *name, const char *const *bad)
{
	for (; *bad != NULL; bad++)
		check_bad(name, *bad);
}

START_TEST(defaults)
{
	ck_assert_int_eq(hz3_options.sink, HZ3_DEFAULT_SINK);
	ck_assert(hz3_options.remote_batch);
	ck_assert_uint_eq(hz3_options.remote_budget, 512 << 10);
	ck_assert_uint_eq(hz3_options.remote_cap, 0);
	ck_assert_int_eq(hz3_options.remote_flush_slow_paths, 64);
	ck_assert_uint_eq(hz3_options.remote_drain_budget, 1 << 20);
	ck_assert(hz3_options.handover);
	ck_assert_int_eq(hz3_options.dirty_decay_ms, 1000);
	ck_assert_uint_eq(hz3_options.dirty_max, 16 << 20);
	ck_assert(hz3_options.background_thread);
	ck_assert_int_eq(hz3_options.narenas, 0);
	ck_assert_int_eq(hz3_options.empty_pages_max, 8);
	ck_assert_uint_eq(hz3_options.huge_threshold, 32 << 20);
	ck_assert(!hz3_options.stats_print);
	ck_assert_str_eq(hz3_options.stats_file, "");
	ck_assert(!hz3_options.banner);
}
END_TEST

/* Each default is within the limits of its row, and reads back as itself. */
START_TEST(rows_are_sound)
{
	const struct hz3_option_row *row = hz3_option_row((size_t)_i);
	char value[HZ3_OPTION_PATH_BYTES];

	ck_assert_ptr_nonnull(row);
	ck_assert_ptr_eq(hz3_option_find(row->name), row);
	ck_assert_uint_gt(strlen(row->doc), 20);
	ck_assert_uint_lt(row->offset, sizeof(struct hz3_options));
	ck_assert_int_le(row->min, row->initial);
	ck_assert_int_ge(row->max, row->initial);
	strcpy(value, current(row->name));
	check_good(row->name, value, value);
}
END_TEST

START_TEST(rows_end)
{
	ck_assert_uint_ge(hz3_option_count(), 16);
	ck_assert_ptr_null(hz3_option_row(hz3_option_count()));
	ck_assert_ptr_null(hz3_option_row(SIZE_MAX));
	ck_assert_ptr_null(hz3_option_find("no_such"));
	ck_assert_ptr_null(hz3_option_find(""));
	ck_assert_int_eq(hz3_option_get_text("no_such", text, sizeof(text)), -1);
}
END_TEST

static void check_bool(const char *name)
{
	static const char *const no[] = {"0", "false", "no", "off"};
	static const char *const yes[] = {"1", "true", "yes", "on"};
	static const char *const bad[] = {"", "2", "-1", "True", "truely", "tru", "01", "1K", NULL};

	for (size_t i = 0; i < 4; i++) {
		check_good(name, no[i], "false");
		check_good(name, yes[i], "true");
	}
	check_all_bad(name, bad);
}

static void check_number(const struct hz3_option_row *row)
{
	static const char *const bad[] = {"",   "x",  "-",  "--1", "+1", "1x",     "0x10", "1.5", "1 2", "1KK", "1KB",
	                                  "1Q", "K",  "99999999999999999999",      "-99999999999999999999",
	                                  "9223372036854775808", "9007199254740993K", "8589934592G", NULL};
	char value[32];

	snprintf(value, sizeof(value), "%ld", (long)row->min);
	check_good(row->name, value, row->type == HZ3_OPTION_INT ? value : current(row->name));
	snprintf(value, sizeof(value), "%ld", (long)row->min - 1);
	check_bad(row->name, value);
	snprintf(value, sizeof(value), "%ld", (long)row->max);
	check_good(row->name, value, row->type == HZ3_OPTION_INT ? value : current(row->name));
	if (row->max < INT64_MAX) {
		snprintf(value, sizeof(value), "%ld", (long)row->max + 1);
		check_bad(row->name, value);
	}
	check_all_bad(row->name, bad);
	if (row->type == HZ3_OPTION_INT)
		check_bad(row->name, "1K");
}

/* The words stand for the numbers from 0 up. */
static void check_words(const struct hz3_option_row *row, const char *const words[3])
{
	static const char *const bad[] = {"", "Central", "pages", "pag", "stash", "Always", "madvise", "0", "1", "true", NULL};

	for (int i = 0; i < 3; i++) {
		check_good(row->name, words[i], words[i]);
		ck_assert_int_eq(*(const int *)((const char *)&hz3_options + row->offset), i);
	}
	check_all_bad(row->name, bad);
}

static void check_signal(const char *name)
{
	static const char *const bad[] = {"", "usr1", "SIG", "SIGSIGUSR1", "KILL", "SEGV", "10", "-1", NULL};

	check_good(name, "USR2", "USR2");
	ck_assert_int_eq(hz3_options.stats_signal, SIGUSR2);
	check_good(name, "SIGHUP", "HUP");
	check_good(name, "none", "none");
	ck_assert_int_eq(hz3_options.stats_signal, 0);
	check_all_bad(name, bad);
}

static void check_path(const char *name)
{
	char path[600];

	check_good(name, "/tmp/a b:c/d.json", "/tmp/a b:c/d.json");
	check_good(name, ":", ":");
	check_good(name, "", "");
	memset(path, 'p', sizeof(path));
	path[255] = '\0';
	check_good(name, path, path);
	path[255] = 'p';
	path[256] = '\0';
	check_bad(name, path);
}

START_TEST(values)
{
	static const char *const sinks[] = {
		[HZ3_SINK_CENTRAL] = "central", [HZ3_SINK_PAGE] = "page", [HZ3_SINK_AUTO] = "auto",
	};
	static const char *const thps[] = {
		[HZ3_THP_DEFAULT] = "default", [HZ3_THP_ALWAYS] = "always", [HZ3_THP_NEVER] = "never",
	};
	const struct hz3_option_row *row = hz3_option_row((size_t)_i);

	switch (row->type) {
	case HZ3_OPTION_BOOL:
		check_bool(row->name);
		break;
	case HZ3_OPTION_INT:
	case HZ3_OPTION_SIZE:
		check_number(row);
		break;
	case HZ3_OPTION_SINK:
		check_words(row, sinks);
		break;
	case HZ3_OPTION_THP:
		check_words(row, thps);
		break;
	case HZ3_OPTION_SIGNAL:
		check_signal(row->name);
		break;
	case HZ3_OPTION_PATH:
		check_path(row->name);
		break;
	}
}
END_TEST

START_TEST(sizes_have_suffixes)
{
	check_good("remote_budget", "65536", "64K");
	check_good("remote_budget", "1000", "1000");
	check_good("remote_budget", "128k", "128K");
	check_good("remote_budget", "3M", "3M");
	check_good("remote_budget", "3072K", "3M");
	ck_assert_uint_eq(hz3_options.remote_budget, 3 << 20);
	check_good("huge_threshold", "1G", "1G");
	check_good("huge_threshold", "1g", "1G");
	check_good("huge_threshold", "7m", "7M");
	ck_assert_uint_eq(hz3_options.huge_threshold, 7 << 20);
	check_good("remote_budget", "0K", "0");
	check_good("dirty_decay_ms", "-1", "-1");
	ck_assert_int_eq(hz3_options.dirty_decay_ms, -1);
	check_good("dirty_decay_ms", "-0", "0");
}
END_TEST

static int parse_list(const char *list)
{
	struct unit_capture c = unit_capture_begin();
	int bad = hz3_options_parse(list);

	ck_assert_int_eq(unit_capture_end(c, text, sizeof(text)), bad);
	ck_assert_int_eq(count_lines(text), bad);
	return bad;
}

START_TEST(lists)
{
	ck_assert_int_eq(parse_list(""), 0);
	ck_assert_int_eq(parse_list(","), 0);
	ck_assert_int_eq(parse_list(" , ,, "), 0);
	ck_assert_int_eq(parse_list("narenas:3,banner:1,"), 0);
	ck_assert_int_eq(hz3_options.narenas, 3);
	ck_assert(hz3_options.banner);
	ck_assert_int_eq(parse_list("  narenas:4 , banner:0 ,, stats_file:/a:b "), 0);
	ck_assert_int_eq(hz3_options.narenas, 4);
	ck_assert(!hz3_options.banner);
	ck_assert_str_eq(hz3_options.stats_file, "/a:b");
	/* The last one wins; a bad one doesn't undo a good one before. */
	ck_assert_int_eq(parse_list("narenas:5,narenas:6,narenas:x"), 1);
	ck_assert_int_eq(hz3_options.narenas, 6);
}
END_TEST

START_TEST(bad_items_are_named_once_each)
{
	ck_assert_int_eq(parse_list("frobnicate:1,narenas:65,banner:1,sink"), 3);
	ck_assert_str_eq(text, "hz3: HZ3_CONF: there is no option \"frobnicate\"; the form is name:value,name:value\n"
	                       "hz3: HZ3_CONF: narenas takes a number from 0 to 64, not \"65\"\n"
	                       "hz3: HZ3_CONF: sink takes central, page or auto, not \"\"\n");
	ck_assert(hz3_options.banner);
	ck_assert_int_eq(parse_list("remote_budget:65M"), 1);
	ck_assert_str_eq(text, "hz3: HZ3_CONF: remote_budget takes a size (K, M, G) from 0 to 64M, not \"65M\"\n");
	ck_assert_int_eq(parse_list("dirty_max:-1"), 1);
	ck_assert_str_eq(text, "hz3: HZ3_CONF: dirty_max takes a size (K, M, G) of at least 0, not \"-1\"\n");
	ck_assert_int_eq(parse_list(":"), 1);
	ck_assert_int_eq(parse_list("::,:1"), 2);
	ck_assert_int_eq(parse_list("narenas=3"), 1);
	ck_assert_int_eq(parse_list("narenas :3"), 1);
	ck_assert_int_eq(parse_list("NARENAS:3"), 1);
	ck_assert_int_eq(parse_list("two\nlines"), 1);
}
END_TEST

START_TEST(long_items)
{
	static char item[6000];

	for (size_t length = 1; length < sizeof(item); length += 97) {
		memset(item, 'x', length);
		item[length] = '\0';
		ck_assert_int_eq(parse_list(item), 1);
		memcpy(item, "stats_file:", hz3_min(length, 11));
		ck_assert_int_eq(parse_list(item), length - 11 < HZ3_OPTION_PATH_BYTES ? 0 : 1);
	}
	/* What is good after something too long still counts. */
	memset(item, 'x', 2000);
	strcpy(item + 2000, ",narenas:9");
	ck_assert_int_eq(parse_list(item), 1);
	ck_assert_int_eq(hz3_options.narenas, 9);
}
END_TEST

START_TEST(text_is_clipped)
{
	char buf[4];

	check_good("sink", "central", "central");
	ck_assert_int_eq(hz3_option_get_text("sink", buf, sizeof(buf)), 3);
	ck_assert_str_eq(buf, "cen");
	ck_assert_int_eq(hz3_option_get_text("sink", buf, 0), 0);
}
END_TEST

/* Whatever the text, the values stay within their rows, and there is a line for each bad item. */
START_TEST(random_texts)
{
	static const char *const pieces[] = {"sink",  "narenas", "stats_file", "remote_budget", "banner", ":",    ":",
	                                     ":",     ",",       ",",          " ",             "1",      "64",   "page",
	                                     "-",     "K",       "M",          "G",             "999999", "true", "\n",
	                                     "\x80",  "/x",      "auto",       "central"};
	unsigned long state = 0x2545f4914f6cdd1dul + (unsigned long)_i;
	struct unit_capture c;
	char list[600];

	for (int round = 0; round < 500; round++) {
		int n = (int)(unit_random(&state) % 24);

		list[0] = '\0';
		while (n-- > 0)
			strcat(list, pieces[unit_random(&state) % (sizeof(pieces) / sizeof(pieces[0]))]);
		c = unit_capture_begin();
		n = hz3_options_parse(list);
		unit_capture_end(c, text, sizeof(text));
		ck_assert_int_eq(count_lines(text), n);
		for (size_t i = 0; i < hz3_option_count(); i++) {
			char value[HZ3_OPTION_PATH_BYTES];

			strcpy(value, current(hz3_option_row(i)->name));
			if (hz3_option_row(i)->type != HZ3_OPTION_PATH)
				check_good(hz3_option_row(i)->name, value, value);
		}
	}
}
END_TEST

START_TEST(reset)
{
	struct hz3_options before = hz3_options;

	ck_assert_int_eq(parse_list("sink:page,narenas:7,stats_file:/x,banner:1,remote_budget:1"), 0);
	ck_assert_int_ne(memcmp(&before, &hz3_options, sizeof(before)), 0);
	hz3_options_reset();
	ck_assert_int_eq(memcmp(&before, &hz3_options, sizeof(before)), 0);
}
END_TEST

/* Reads HZ3_CONF; returns the number of warnings. */
static int init(void)
{
	struct unit_capture c = unit_capture_begin();

	hz3_options_init();
	return unit_capture_end(c, text, sizeof(text));
}

START_TEST(environment)
{
	setenv("HZ3_CONF", "narenas:2,nonsense:1,stats_print:true", 1);
	ck_assert_int_eq(init(), 1);
	ck_assert_int_eq(hz3_options.narenas, 2);
	ck_assert(hz3_options.stats_print);
	/* Once only: neither new values nor a second warning. */
	setenv("HZ3_CONF", "narenas:3,nonsense:1", 1);
	ck_assert_int_eq(init(), 0);
	ck_assert_int_eq(hz3_options.narenas, 2);
}
END_TEST

START_TEST(environment_absent)
{
	struct hz3_options before = hz3_options;

	unsetenv("HZ3_CONF");
	ck_assert_int_eq(init(), 0);
	ck_assert_int_eq(memcmp(&before, &hz3_options, sizeof(before)), 0);
}
END_TEST

START_TEST(environment_empty)
{
	setenv("HZ3_CONF", "", 1);
	ck_assert_int_eq(init(), 0);
}
END_TEST

START_TEST(environment_not_there_yet)
{
	char **saved = environ;

	setenv("HZ3_CONF", "narenas:2", 1);
	saved = environ;
	environ = NULL;
	hz3_options_init();
	ck_assert_int_eq(hz3_options.narenas, 0);
	environ = saved;
	hz3_options_init();
	ck_assert_int_eq(hz3_options.narenas, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("options");
	TCase *tc = tcase_create("rows");
	int count = (int)hz3_option_count();

	tcase_add_checked_fixture(tc, hz3_options_reset, hz3_options_reset);
	tcase_add_test(tc, defaults);
	tcase_add_loop_test(tc, rows_are_sound, 0, count);
	tcase_add_test(tc, rows_end);
	tcase_add_loop_test(tc, values, 0, count);
	tcase_add_test(tc, sizes_have_suffixes);
	tcase_add_test(tc, text_is_clipped);
	tcase_add_test(tc, reset);
	suite_add_tcase(suite, tc);

	tc = tcase_create("lists");
	tcase_add_checked_fixture(tc, hz3_options_reset, hz3_options_reset);
	tcase_add_test(tc, lists);
	tcase_add_test(tc, bad_items_are_named_once_each);
	tcase_add_test(tc, long_items);
	tcase_add_loop_test(tc, random_texts, 0, 4);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);

	tc = tcase_create("environment");
	tcase_add_test(tc, environment);
	tcase_add_test(tc, environment_absent);
	tcase_add_test(tc, environment_empty);
	tcase_add_test(tc, environment_not_there_yet);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
