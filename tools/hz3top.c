/*
 * hz3top: what a process on hz3 does with its memory, second by second: threads, rates, who frees whose.
 *
 * The process publishes it (HZ3_CONF=top:true); this program only reads, and the process notices nothing.
 */
#include "top_attach.h"
#include "top_json.h"
#include "top_model.h"
#include "top_screen.h"
#include "top_view.h"

#include "hz3/hz3.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
	STATUS_NONE = 1,	/* no such process, or it can't be looked at */
	STATUS_USAGE = 2,
	STATUS_ENDED = 3	/* the process ended while it was looked at */
};

#define WIDTH_DEFAULT 80

static struct {
	unsigned delay_ms;
	unsigned long count;	/* pictures; 0: no end */
	bool batch, json;	/* pictures without a screen; as JSON */
	enum top_key key;
	const char *who;	/* a number or a name; NULL: list the processes */
} given = {.delay_ms = HZ3_TOP_PERIOD_MS, .key = TOP_ALLOCATED};

static struct top_model model;

HZ3_PRINTF(1, 2) static void say(const char *format, ...)
{
	va_list list;

	fputs("hz3top: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
}

#define die(status, ...) (say(__VA_ARGS__), exit(status))

/* ---- Which process ---- */

static void print_process(void *arg, const struct top_process *process, const struct hz3_top_file *file)
{
	static struct hz3_top_snapshot snapshot;
	unsigned *count = arg, threads = 0;

	if (top_copy(file, &snapshot))
		threads = snapshot.thread_rows + snapshot.others;
	if ((*count)++ == 0)
		printf("%8s  %7s  %-15s  %s\n", "PID", "THREADS", "NAME", "COMMAND");
	printf("%8d  %7u  %-15s  %s\n", (int)process->pid, threads, process->name, process->command);
}

static int list_processes(void)
{
	unsigned count = 0;

	top_visit_all(print_process, &count);
	if (count == 0)
		say("no process that you may look into publishes; start one with HZ3_CONF=top:true, or with hz3run --top");
	return count != 0 && fflush(stdout) == 0 ? 0 : STATUS_NONE;
}

struct search {
	const char *name;
	pid_t pid;
	unsigned count;
	char all[256];		/* the numbers found, for a message */
};

static void match(void *arg, const struct top_process *process, const struct hz3_top_file *file)
{
	struct search *search = arg;
	size_t used = strlen(search->all);

	(void)file;
	if (!top_has_name(process, search->name))
		return;
	search->pid = process->pid;
	search->count++;
	snprintf(search->all + used, sizeof(search->all) - used, " %d", (int)process->pid);
}

static pid_t find_process(const char *who)
{
	struct search search = {.name = who};
	char *end;
	long number = strtol(who, &end, 10);

	if (*end == '\0' && end != who) {
		if (number <= 0 || number > INT32_MAX)
			die(STATUS_USAGE, "%s is no process id", who);
		return (pid_t)number;
	}
	top_visit_all(match, &search);
	if (search.count == 0)
		die(STATUS_NONE, "no process called %s that you may look into publishes (hz3top alone lists those that do)", who);
	if (search.count > 1)
		die(STATUS_NONE, "several processes are called %s: choose one of%s", who, search.all);
	return search.pid;
}

/* ---- Pictures without a screen ---- */

static void put_line(void *arg, const char *text, enum top_style style)
{
	size_t length = strlen(text);

	(void)arg, (void)style;
	/* Headings are as wide as the terminal, for curses. */
	while (length > 0 && text[length - 1] == ' ')
		length--;
	printf("%.*s\n", (int)length, text);
}

static void say_gone(const struct top_target *target, enum top_news news)
{
	say("process %d %s", (int)target->process.pid, news == TOP_ENDED ? "has ended" : "publishes no more");
}

static unsigned output_width(void)
{
	struct winsize size;
	const char *columns = getenv("COLUMNS");
	int width = columns != NULL ? atoi(columns) : 0;

	if (width <= 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		width = size.ws_col;
	return width > 0 ? (unsigned)width : WIDTH_DEFAULT;
}

static void print_picture(const struct top_target *target, enum top_news news)
{
	static const char *const states[] = {"running", "running", [TOP_SILENT] = "silent", [TOP_GONE] = "ended", [TOP_ENDED] = "ended"};
	const char *version = target->file->head.version;
	struct top_view view = {.width = output_width(), .state = top_state_text(news)};
	bool written;

	if (given.json) {
		written = top_json_print(&model, &target->process, version, states[news]);
	} else {
		top_view_draw(&model, &target->process, version, &view, put_line, NULL);
		written = fflush(stdout) == 0;
	}
	if (!written)
		die(STATUS_NONE, "cannot write: %s", strerror(errno));
}

static void nap(unsigned ms)
{
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&time, NULL);
}

/* Until a snapshot comes that is later than the model's by the delay (half a period less, for the publisher's clock is not ours), or none will. */
static enum top_news wait_for_picture(struct top_target *target)
{
	static struct hz3_top_snapshot snapshot;
	uint64_t delay_us = (uint64_t)given.delay_ms * 1000, tolerance_us = (uint64_t)HZ3_TOP_PERIOD_MS * 500;
	uint64_t least_us = model.has_now ? model.now.time_us + delay_us - hz3_min(delay_us, tolerance_us) : 0;
	bool has_snapshot = false;
	enum top_news news;

	for (;;) {
		news = top_look(target, &snapshot);
		has_snapshot |= news == TOP_NEWS;
		if (news >= TOP_SILENT || (news == TOP_NEWS && snapshot.time_us >= least_us))
			break;
		nap(20);
	}
	if (has_snapshot)
		top_model_put(&model, &snapshot);
	return news;
}

/* A first snapshot, which only says what to compare with, and then a picture with every later one. */
static int run_batch(struct top_target *target)
{
	enum top_news news = wait_for_picture(target);

	for (unsigned long i = 0; news < TOP_GONE && (given.count == 0 || i < given.count); i++) {
		news = wait_for_picture(target);
		if (!model.has_now && news < TOP_GONE)
			die(STATUS_NONE, "process %d has published nothing yet", (int)target->process.pid);
		if (news < TOP_GONE)
			print_picture(target, news);
	}
	if (news < TOP_GONE)
		return 0;
	if (model.has_now)
		print_picture(target, news);
	say_gone(target, news);
	return STATUS_ENDED;
}

/* ---- The command line ---- */

static const char usage[] =
	"usage: hz3top [OPTION...] PROCESS\n"
	"       hz3top\n"
	"\n"
	"Shows what a process on hz3 that was started with HZ3_CONF=top:true does with its memory.\n"
	"PROCESS is a number, or the name of a process that publishes; without one, lists those.\n"
	"\n"
	"  -d, --delay=SECONDS   between two pictures [1]\n"
	"  -n, --count=COUNT     end after so many\n"
	"  -1, --once            print one picture, of the next interval, without a screen\n"
	"  -b, --batch           print pictures without a screen\n"
	"  -j, --json            print them as JSON\n"
	"  -s, --sort=COLUMN     threads by name, alloc, free, in, out, waiting, held, kept, bytes or tid [alloc]\n"
	"  -p, --pid=PID         the process\n"
	"  -h, --help            print this\n"
	"  -V, --version         print the version\n"
	"\n"
	"Status: 0; 1 if the process can't be looked at, 3 if it ended meanwhile, 2 for other mistakes.\n";

static const struct option options[] = {
	{"delay", required_argument, NULL, 'd'},
	{"count", required_argument, NULL, 'n'},
	{"once", no_argument, NULL, '1'},
	{"batch", no_argument, NULL, 'b'},
	{"json", no_argument, NULL, 'j'},
	{"sort", required_argument, NULL, 's'},
	{"pid", required_argument, NULL, 'p'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{0},
};

static void print_and_exit(const char *text)
{
	fputs(text, stdout);
	exit(fflush(stdout) == 0 ? 0 : STATUS_NONE);
}

static unsigned parse_delay(const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end != '\0' || !(seconds >= 0.1 && seconds <= 86400))
		die(STATUS_USAGE, "--delay takes seconds from 0.1 to 86400, not \"%s\"", text);
	return (unsigned)(seconds * 1000);
}

static unsigned long parse_count(const char *text)
{
	char *end;
	unsigned long count = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || count == 0)
		die(STATUS_USAGE, "--count takes a number from 1, not \"%s\"", text);
	return count;
}

static void take_option(int option)
{
	switch (option) {
	case 'd':
		given.delay_ms = parse_delay(optarg);
		break;
	case 'n':
		given.count = parse_count(optarg);
		break;
	case '1':
		given.count = 1;
		given.batch = true;
		break;
	case 'b':
		given.batch = true;
		break;
	case 'j':
		given.json = given.batch = true;
		break;
	case 's':
		given.key = top_key_by_name(optarg);
		if (given.key == TOP_KEYS)
			die(STATUS_USAGE, "--sort takes name, alloc, free, in, out, waiting, held, kept, bytes or tid, not \"%s\"", optarg);
		break;
	case 'p':
		given.who = optarg;
		if (optarg[0] < '0' || optarg[0] > '9')
			die(STATUS_USAGE, "--pid takes a number, not \"%s\"", optarg);
		break;
	case 'h':
		print_and_exit(usage);
		break;
	case 'V':
		print_and_exit("hz3top " HZ3_VERSION "\n");
		break;
	default: /* getopt has said what is wrong */
		fputs("Try hz3top --help.\n", stderr);
		exit(STATUS_USAGE);
	}
}

int main(int argc, char **argv)
{
	struct top_target target;
	const char *why;
	pid_t pid;
	int option;

	setlocale(LC_CTYPE, "");
	while ((option = getopt_long(argc, argv, "d:n:1bjs:p:hV", options, NULL)) != -1)
		take_option(option);
	if (argc - optind > (given.who == NULL))
		die(STATUS_USAGE, "one process at a time; try hz3top --help");
	if (given.who == NULL && optind < argc)
		given.who = argv[optind];
	if (given.who == NULL) {
		if (given.batch)
			die(STATUS_USAGE, "which process?  hz3top alone lists those that publish");
		return list_processes();
	}
	pid = find_process(given.who);
	why = top_attach(&target, pid);
	if (why != NULL)
		die(STATUS_NONE, "process %d %s", (int)pid, why);
	model.key = given.key;
	if (given.batch)
		return run_batch(&target);
	switch (top_screen_run(&target, &model, given.delay_ms, given.count)) {
	case TOP_END_PROCESS:
		say_gone(&target, target.last_look);
		return STATUS_ENDED;
	case TOP_END_NO_SCREEN:
		return STATUS_NONE;
	case TOP_END_QUIT:
		break;
	}
	return 0;
}
