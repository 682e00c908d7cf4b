/*
 * Where the statistics go: to standard error or a file, when the program asks, on a signal, and at exit.
 *
 * What is printed is made in report_text.c, report_json.c and report_xml.c, in buffers on the stack.
 */
#define _GNU_SOURCE
#include "report.h"

#include "atomic.h"
#include "hz3/hz3.h"
#include "options.h"
#include "os_file.h"
#include "os_output.h"
#include "os_stderr.h"
#include "view.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- names ---- */

const char *hz3_report_cause_name(enum hz3_flush_cause cause)
{
	static const char *const names[HZ3_FLUSH_CAUSES] = {
		[HZ3_FLUSH_BUDGET] = "budget",
		[HZ3_FLUSH_SLOW_PATH] = "slow_path",
		[HZ3_FLUSH_IDLE] = "idle",
		[HZ3_FLUSH_EXIT] = "exit",
		[HZ3_FLUSH_FORK] = "fork",
		[HZ3_FLUSH_UNBATCHED] = "unbatched",
	};

	return names[cause];
}

const char *hz3_report_sink_name(int sink)
{
	const char *word = hz3_option_word(HZ3_OPTION_SINK, sink);

	return word != NULL ? word : "unknown";
}

const char *hz3_report_library_path(void)
{
	Dl_info info;

	if (dladdr((void *)(uintptr_t)hz3_report_library_path, &info) != 0 && info.dli_fname != NULL)
		return info.dli_fname;
	return "linked statically";
}

/* ---- where it goes ---- */

struct destination {
	int fd;
	bool failed;
};

static void write_fd(void *arg, const char *text)
{
	struct destination *to = arg;
	size_t bytes = strlen(text);

	if (hz3_os_write(to->fd, text, bytes) != (ssize_t)bytes)
		to->failed = true;
}

static void print(hz3_report_write *write, void *arg, bool json)
{
	struct hz3_view view;

	hz3_view_take(&view);
	if (json)
		hz3_report_json(write, arg, &view);
	else
		hz3_report_text(write, arg, &view);
	hz3_view_release(&view);
}

static void print_to(int fd, bool json)
{
	struct destination to = {.fd = fd};

	print(write_fd, &to, json);
}

void hz3_report_print(hz3_report_write *write, void *arg, const char *opts)
{
	bool json = opts != NULL && strchr(opts, 'j') != NULL;

	if (write == NULL)
		print_to(STDERR_FILENO, json);
	else
		print(write, arg, json);
}

void hz3_report_setup(void)
{
	int saved_errno = errno;

	if (hz3_options.banner)
		hz3_warn("version %s, %s", HZ3_VERSION, hz3_report_library_path());
	if (HZ3_CHAOS && hz3_options.banner)
		hz3_warn("chaos build, chaos_seed %zu", hz3_options.chaos_seed);
	/* (Of stats_file there may be something to say.) */
	if (hz3_options.stats_print || hz3_options.stats_signal || hz3_options.stats_file[0] != '\0' || hz3_options.prof)
		hz3_os_keep_stderr();
	errno = saved_errno;
}

static bool replace(const char *path, hz3_report_printer *printer, struct hz3_view *view)
{
	struct hz3_os_output output;
	struct destination to = {.fd = hz3_os_output_begin(&output, path)};

	if (to.fd < 0)
		return false;
	printer(write_fd, &to, view);
	return hz3_os_output_end(&output, !to.failed);
}

void hz3_report_replace_file(struct hz3_report_file *file, const char *pattern, hz3_report_printer *printer, struct hz3_view *view)
{
	char path[2 * HZ3_OPTION_PATH_BYTES];

	if (hz3_option_expand_path(path, sizeof(path), pattern) && replace(path, printer, view))
		return;
	if (!hz3_atomic_exchange(&file->complained, true, relaxed))
		hz3_warn_to(hz3_os_stderr(), "cannot write %s %s", file->option, pattern);
}

/* What stats_file asks for. */
static void replace_stats_file(void)
{
	static struct hz3_report_file file = {.option = "stats_file"};
	struct hz3_view view;

	hz3_view_take(&view);
	hz3_report_replace_file(&file, hz3_options.stats_file, hz3_report_json, &view);
	hz3_view_release(&view);
}

void hz3_report_on_signal(void)
{
	if (hz3_options.stats_file[0] != '\0')
		replace_stats_file();
	else
		print_to(hz3_os_stderr(), false);
}

void hz3_report_at_exit(void)
{
	int saved_errno = errno;

	if (hz3_options.stats_print)
		print_to(hz3_os_stderr(), false);
	if (hz3_options.stats_file[0] != '\0')
		replace_stats_file();
	errno = saved_errno;
}
