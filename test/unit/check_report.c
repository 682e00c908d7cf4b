/*
 * Tests of report.h with made-up statistics: JSON is valid and complete, text is readable, nothing divides by zero, and
 * reports reach standard error even when the program has closed it.
 */
#include "unit.h"

#include "hz3/hz3.h"
#include "options.h"
#include "report.h"
#include "sink.h"
#include "view.h"

#include <ctype.h>
#include <fcntl.h>

/* With no flow map, and memory that nobody asked for. */
#define VIEW (&(struct hz3_view){.stats = stats})

static char report[256 * 1024];
static size_t pieces;

static void collect(void *arg, const char *text)
{
	size_t used = strlen(report), length = strlen(text);

	ck_assert_ptr_eq(arg, &pieces);
	ck_assert_uint_gt(length, 0);
	ck_assert_uint_lt(length, 1024);
	ck_assert_uint_lt(used + length, sizeof(report));
	memcpy(report + used, text, length + 1);
	pieces++;
}

static void forget(void)
{
	report[0] = '\0';
	pieces = 0;
	hz3_options_reset();
}

/* Every number different, so that a mix-up shows. */
static void fake(struct hz3_stats *stats, uint64_t start)
{
	uint64_t *word = (uint64_t *)stats;

	for (size_t i = 0; i < sizeof(*stats) / sizeof(*word); i++)
		word[i] = start + i;
}

/* ---- a JSON checker: returns what follows a value, or fails the test ---- */

static const char *json_value(const char *s, int depth);

static const char *skip_space(const char *s)
{
	return s + strspn(s, " \n\t\r");
}

static const char *json_expect(const char *s, char c)
{
	s = skip_space(s);
	if (*s != c)
		ck_abort_msg("'%c' expected at: %.80s", c, s);
	return skip_space(s + 1);
}

static const char *json_text(const char *s)
{
	s = skip_space(s);
	ck_assert_int_eq(*s, '"');
	for (s++; *s != '"'; s++) {
		ck_assert_msg((unsigned char)*s >= ' ', "control character at: %.40s", s);
		if (*s != '\\')
			continue;
		s++;
		ck_assert_msg(*s != '\0' && strchr("\"\\/bfnrtu", *s) != NULL, "escape at: %.40s", s);
		if (*s == 'u') {
			ck_assert(isxdigit(s[1]) && isxdigit(s[2]) && isxdigit(s[3]) && isxdigit(s[4]));
			s += 4;
		}
	}
	return skip_space(s + 1);
}

static const char *json_number(const char *s)
{
	char *end;

	ck_assert_msg(isdigit(*s), "number expected at: %.80s", s);
	ck_assert_msg(s[0] != '0' || !isdigit(s[1]), "leading zero at: %.80s", s);
	(void)strtod(s, &end);
	return skip_space(end);
}

static const char *json_members(const char *s, char end, int depth)
{
	s = skip_space(s + 1);
	while (*s != end) {
		if (end == '}')
			s = json_expect(json_text(s), ':');
		s = json_value(s, depth + 1);
		if (*s != end)
			s = json_expect(s, ',');
	}
	return skip_space(s + 1);
}

static const char *json_value(const char *s, int depth)
{
	ck_assert_int_lt(depth, 10);
	s = skip_space(s);
	switch (*s) {
	case '{':
		return json_members(s, '}', depth);
	case '[':
		return json_members(s, ']', depth);
	case '"':
		return json_text(s);
	case 't':
		ck_assert(strncmp(s, "true", 4) == 0);
		return skip_space(s + 4);
	case 'f':
		ck_assert(strncmp(s, "false", 5) == 0);
		return skip_space(s + 5);
	default:
		return json_number(s);
	}
}

static void check_json(void)
{
	/* A trailing comma passes json_members(); nobody else would take it. */
	ck_assert_ptr_null(strstr(report, ",\n}"));
	for (const char *s = report; (s = strchr(s, ',')) != NULL; s++)
		ck_assert_msg(*skip_space(s + 1) != '}' && *skip_space(s + 1) != ']', "comma at: %.40s", s);
	ck_assert_str_eq(json_value(report, 0), "");
}

/* A line of its own, at whatever depth. */
static void check_line(const char *key, const char *value)
{
	char line[512];

	snprintf(line, sizeof(line), " \"%s\": %s", key, value);
	ck_assert_msg(strstr(report, line) != NULL, "%s is not in: %s", line, report);
}

static void check_count(const char *key, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu,\n", (unsigned long)value);
	check_line(key, text);
}

/* ---- JSON ---- */

START_TEST(test_json_of_distinct_numbers)
{
	struct hz3_stats stats;
	const struct hz3_sink_counters *c = &stats.sum.sink[0], *p = &stats.sum.sink[1];
	const char *remote;

	forget();
	fake(&stats, 1000);
	hz3_report_json(collect, &pieces, VIEW);
	check_json();
	check_count("hz3_stats_version", 1);
	check_line("version", "\"" HZ3_VERSION "\",\n");
	check_count("allocated", stats.allocated);
	check_count("active", stats.active);
	check_count("resident", stats.resident);
	check_count("mapped", stats.mapped);
	check_count("metadata", stats.metadata);
	check_count("dirty", stats.dirty);
	check_count("blocks_allocated", stats.blocks_allocated);
	check_count("blocks_freed", stats.blocks_freed);
	check_count("blocks_live", stats.blocks_live);
	remote = strstr(report, "\"remote\": {");
	ck_assert_ptr_nonnull(remote);
	memmove(report, remote, strlen(remote) + 1);
	check_count("blocks", c->blocks + p->blocks);
	check_count("chains", c->chains + p->chains);
	check_count("drains", c->drains + p->drains);
	check_count("page_drains", c->page_drains + p->page_drains);
	check_count("drained_blocks", c->drained_blocks + p->drained_blocks);
	check_count("rmw_push", c->rmw_push + p->rmw_push);
	check_count("rmw_drain", c->rmw_drain + p->rmw_drain);
	check_count("rmw_queue_push", c->rmw_queue_push + p->rmw_queue_push);
	check_count("rmw_queue_drain", c->rmw_queue_drain + p->rmw_queue_drain);
	check_count("queued_pages", c->queued_pages + p->queued_pages);
	check_count("cas_retries", c->cas_retries + p->cas_retries);
	check_count("blocks", p->blocks);
	check_count("held_bytes", stats.held_bytes);
	check_count("held_bytes_peak", stats.held_bytes_peak);
	check_count("held_bytes_cap", stats.held_bytes_cap);
	check_count("handover_pages", stats.sum.handover_pages);
	check_count("handover_blocks", stats.sum.handover_blocks);
	check_count("budget", stats.sum.flushes[HZ3_FLUSH_BUDGET]);
	check_count("fork", stats.sum.flushes[HZ3_FLUSH_FORK]);
}
END_TEST

START_TEST(test_json_of_nothing)
{
	struct hz3_stats stats = {0};

	forget();
	hz3_report_json(collect, &pieces, VIEW);
	check_json();
	check_line("blocks_per_chain", "0,\n");
	check_line("rmw_push_per_block", "0,\n");
}
END_TEST

START_TEST(test_json_of_the_largest_numbers)
{
	struct hz3_stats stats;

	forget();
	memset(&stats, 0xff, sizeof(stats));
	hz3_report_json(collect, &pieces, VIEW);
	check_json();
	check_count("allocated", UINT64_MAX);
}
END_TEST

START_TEST(test_json_ratios)
{
	struct hz3_stats stats = {0};

	forget();
	stats.sum.sink[0].blocks = 2000000;
	stats.sum.sink[0].chains = 3;
	stats.sum.sink[0].rmw_push = 7;
	hz3_report_json(collect, &pieces, VIEW);
	check_line("blocks_per_chain", "666666.666667,\n");
	check_line("rmw_push_per_block", "0.000004,\n");
	stats.sum.sink[0].blocks = 1;
	stats.sum.sink[0].chains = 1;
	forget();
	hz3_report_json(collect, &pieces, VIEW);
	check_line("blocks_per_chain", "1.000000,\n");
}
END_TEST

/* What comes from the environment must not break the syntax. */
START_TEST(test_json_escapes)
{
	struct hz3_stats stats = {0};

	forget();
	strcpy(hz3_options.stats_file, "/a \"b\"\\c\n\x01\x7f/\xc3\xa9");
	hz3_report_json(collect, &pieces, VIEW);
	check_json();
	check_line("stats_file", "\"/a \\\"b\\\"\\\\c\\u000a\\u0001\\u007f/\xc3\xa9\"");
	hz3_options_reset();
}
END_TEST

START_TEST(test_json_names_the_sink_in_force)
{
	struct hz3_stats stats = {0};

	for (int sink = 0; sink < 3; sink++) {
		char quoted[32];

		forget();
		hz3_sink_set_mode(sink);
		hz3_sink_set_batch(sink != 1);
		hz3_report_json(collect, &pieces, VIEW);
		snprintf(quoted, sizeof(quoted), "\"%s\",\n", hz3_report_sink_name(sink));
		check_line("sink", quoted);
		check_line("batch", sink != 1 ? "true,\n" : "false,\n");
	}
	hz3_sink_set_mode(0);
	hz3_sink_set_batch(true);
}
END_TEST

/* ---- text ---- */

static void check_text(const char *expected)
{
	ck_assert_msg(strstr(report, expected) != NULL, "\"%s\" is not in:\n%s", expected, report);
}

/* Fits an 80-column terminal, but for paths and for numbers that no process reaches. */
static void check_width(size_t most)
{
	for (const char *line = report; *line != '\0'; line += strcspn(line, "\n") + 1) {
		size_t length = strcspn(line, "\n");

		ck_assert_msg(length <= most || line[0] == '/' || line[0] == '.', "%zu columns: %.*s", length,
			      (int)length, line);
		ck_assert_msg(length == 0 || line[length - 1] != ' ', "blank at the end of: %.*s", (int)length, line);
	}
}

START_TEST(test_text_of_nothing)
{
	struct hz3_stats stats = {0};

	forget();
	hz3_report_text(collect, &pieces, VIEW);
	check_text(HZ3_STATS ? "none so far" : "no blocks were counted");
	check_text("0 B");
	check_width(80);
}
END_TEST

START_TEST(test_text_of_a_busy_process)
{
	struct hz3_stats stats;

	forget();
	fake(&stats, 1234567890);
	stats.allocated = 12345678;
	stats.resident = 1023;
	stats.mapped = (uint64_t)3 << 40;
	stats.sum.sink[0].blocks = 4000000;
	stats.sum.sink[0].chains = 40000;
	stats.sum.sink[0].rmw_push = 1000;
	stats.sum.sink[1] = (struct hz3_sink_counters){0};
	stats.sum.flushes[HZ3_FLUSH_FORK] = 0;
	hz3_report_text(collect, &pieces, VIEW);
	if (!HZ3_STATS)
		return;
	check_text("11.8 MiB");
	check_text("1023 B");
	check_text("3.0 TiB");
	check_text("4,000,000");
	check_text("100.0");
	check_text("0.0003");
	check_text("central sink");
	check_text("    slow_path");
	ck_assert_ptr_null(strstr(report, "before fork"));
	check_width(90);
}
END_TEST

START_TEST(test_text_of_the_largest_numbers)
{
	struct hz3_stats stats;

	forget();
	memset(&stats, 0xff, sizeof(stats));
	hz3_report_text(collect, &pieces, VIEW);
	check_text(HZ3_STATS ? "18,446,744,073,709,551,615" : "16777216.0 TiB");
}
END_TEST

START_TEST(test_text_rows_line_up)
{
	struct hz3_stats stats = {0};

	forget();
	for (int i = 0; i < HZ3_CLASSES; i++) {
		stats.class[i].size = hz3_class_size((unsigned)i);
		stats.class[i].allocated = 1234567890;
		stats.class[i].live = 100;
		stats.class[i].pages = 12;
	}
	stats.sum.sink[0].blocks = stats.sum.sink[1].blocks = 9999999999;
	hz3_report_text(collect, &pieces, VIEW);
	check_width(80);
}
END_TEST

/* ---- XML ---- */

START_TEST(test_xml)
{
	struct hz3_stats stats;
	int open = 0;

	forget();
	fake(&stats, 5);
	hz3_report_xml(collect, &pieces, &stats);
	ck_assert(strncmp(report, "<malloc version=\"1\">\n", 21) == 0);
	for (const char *s = report; (s = strchr(s, '<')) != NULL; s++) {
		const char *end = strchr(s, '>');

		ck_assert_ptr_nonnull(end);
		open += s[1] == '/' ? -1 : end[-1] == '/' ? 0 : 1;
		ck_assert_int_ge(open, 0);
	}
	ck_assert_int_eq(open, 0);
}
END_TEST

/* ---- at exit ---- */

/* In a child, with the options; returns what came on standard error. */
static void run_exit(const char *options, bool close_stderr, void (*meanwhile)(void))
{
	struct unit_capture c = unit_capture_begin();
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		hz3_options_reset();
		hz3_options_parse(options);
		hz3_report_setup();
		if (meanwhile != NULL)
			meanwhile();
		if (close_stderr)
			close(STDERR_FILENO);
		hz3_report_at_exit();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	unit_capture_end(c, report, sizeof(report));
	ck_assert_int_eq(status, 0);
}

START_TEST(test_exit_without_options_is_silent)
{
	run_exit("", false, NULL);
	ck_assert_str_eq(report, "");
}
END_TEST

START_TEST(test_exit_prints)
{
	run_exit("stats_print:true", false, NULL);
	check_text("\nMemory\n");
}
END_TEST

START_TEST(test_exit_prints_although_stderr_is_closed)
{
	run_exit("stats_print:true", true, NULL);
	check_text("\nMemory\n");
}
END_TEST

/*
 * A program that closes every descriptor and opens its own file there: it must not find a report in it.  No assertions:
 * Check would write to a descriptor that it had.
 */
static void reuse_descriptors(void)
{
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	for (int i = 0; i < 200; i++)
		(void)!open("/tmp/hz3-check-report", O_RDWR | O_CREAT, 0600);
}

START_TEST(test_exit_spares_reused_descriptors)
{
	FILE *file;

	unlink("/tmp/hz3-check-report");
	run_exit("stats_print:true", false, reuse_descriptors);
	check_text("\nMemory\n");
	file = fopen("/tmp/hz3-check-report", "r");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fgetc(file), EOF);
	fclose(file);
	unlink("/tmp/hz3-check-report");
}
END_TEST

START_TEST(test_few_descriptors)
{
	const struct rlimit few = {32, 32};
	struct rlimit before;

	getrlimit(RLIMIT_NOFILE, &before);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){few.rlim_cur, before.rlim_max});
	run_exit("stats_print:true", true, NULL);
	setrlimit(RLIMIT_NOFILE, &before);
	check_text("\nMemory\n");
}
END_TEST

START_TEST(test_exit_writes_a_file)
{
	char directory[] = "/tmp/hz3-check-XXXXXX", command[256], options[128];
	size_t n;
	FILE *pipe;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(options, sizeof(options), "stats_file:%s/a-%%p-b", directory);
	run_exit(options, false, NULL);
	ck_assert_str_eq(report, "");
	snprintf(command, sizeof(command), "cat %s/a-[0-9]*-b && rm %s/a-[0-9]*-b && rmdir %s", directory, directory,
		 directory);
	pipe = popen(command, "r");
	n = fread(report, 1, sizeof(report) - 1, pipe);
	report[n] = '\0';
	ck_assert_int_eq(pclose(pipe), 0);
	check_json();
}
END_TEST

START_TEST(test_exit_warns_of_a_file_it_cannot_write)
{
	run_exit("stats_file:/no/such/directory/x", false, NULL);
	ck_assert_ptr_nonnull(strstr(report, "/no/such/directory/x"));
	ck_assert_ptr_eq(strchr(report, '\n'), report + strlen(report) - 1);
}
END_TEST

START_TEST(test_banner)
{
	run_exit("banner:true", false, NULL);
	ck_assert(strncmp(report, "hz3: ", 5) == 0);
	check_text(HZ3_VERSION);
}
END_TEST

/* ---- collected, not made up ---- */

START_TEST(test_print)
{
	forget();
	hz3_report_print(collect, &pieces, "j");
	check_json();
	forget();
	hz3_report_print(collect, &pieces, NULL);
	check_text("\nMemory\n");
	forget();
	hz3_report_print(collect, &pieces, "x");
	check_text("\nMemory\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("report");
	TCase *json = tcase_create("json"), *text = tcase_create("text"), *exits = tcase_create("exit");

	tcase_add_test(json, test_json_of_distinct_numbers);
	tcase_add_test(json, test_json_of_nothing);
	tcase_add_test(json, test_json_of_the_largest_numbers);
	tcase_add_test(json, test_json_ratios);
	tcase_add_test(json, test_json_escapes);
	tcase_add_test(json, test_json_names_the_sink_in_force);
	suite_add_tcase(suite, json);
	tcase_add_test(text, test_text_of_nothing);
	tcase_add_test(text, test_text_of_a_busy_process);
	tcase_add_test(text, test_text_of_the_largest_numbers);
	tcase_add_test(text, test_text_rows_line_up);
	tcase_add_test(text, test_xml);
	tcase_add_test(text, test_print);
	suite_add_tcase(suite, text);
	tcase_add_test(exits, test_exit_without_options_is_silent);
	tcase_add_test(exits, test_exit_prints);
	tcase_add_test(exits, test_exit_prints_although_stderr_is_closed);
	tcase_add_test(exits, test_exit_spares_reused_descriptors);
	tcase_add_test(exits, test_few_descriptors);
	tcase_add_test(exits, test_exit_writes_a_file);
	tcase_add_test(exits, test_exit_warns_of_a_file_it_cannot_write);
	tcase_add_test(exits, test_banner);
	suite_add_tcase(suite, exits);
	return unit_run(suite);
}
