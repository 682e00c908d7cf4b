/*
 * Where the statistics go: to standard error or a file, when the program asks, on a signal, and at exit.
 *
 * What is printed is made in report_text.c, report_json.c and report_xml.c, in buffers on the stack.
 */
#define _GNU_SOURCE
#include "report.h"

#include "hz3/hz3.h"
#include "options.h"
#include "os.h"
#include "view.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- names ---- */

const char *
hz3_report_cause_name(enum hz3_flush_cause cause)
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

const char *
hz3_report_sink_name(int sink)
{
	const char *word = hz3_option_word(HZ3_OPTION_SINK, sink);

	return word != NULL ? word : "unknown";
}

const char *
hz3_report_library_path(void)
{
	Dl_info info;

	if (dladdr((void *)(uintptr_t)hz3_report_library_path, &info) != 0 && info.dli_fname != NULL)
		return info.dli_fname;
	return "linked statically";
}

/* ---- where it goes ---- */

static void
write_fd(void *arg, const char *text)
{
	(void)hz3_os_write(*(const int *)arg, text, strlen(text));
}

static void
print(hz3_report_write *write, void *arg, bool json)
{
	struct hz3_view view;

	hz3_view_take(&view);
	if (json)
		hz3_report_json(write, arg, &view);
	else
		hz3_report_text(write, arg, &view);
	hz3_view_release(&view);
}

static void
print_to(int fd, bool json)
{
	print(write_fd, &fd, json);
}

void
hz3_report_print(hz3_report_write *write, void *arg, const char *opts)
{
	bool json = opts != NULL && strchr(opts, 'j') != NULL;

	if (write == NULL)
		print_to(STDERR_FILENO, json);
	else
		print(write, arg, json);
}

/* A copy of standard error, and which file it was: a program that closes all descriptors may reuse the number. */
static struct {
	int fd;
	dev_t device;
	ino_t inode;
} kept_stderr = {.fd = -1};

/* Out of the way of programs that expect low numbers or walk over them. */
#define KEPT_FD_MIN 100

static void
keep_stderr(void)
{
	struct stat status;
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, KEPT_FD_MIN);

	if (fd < 0)
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd < 0 || fstat(fd, &status) != 0)
		return;
	kept_stderr.fd = fd;
	kept_stderr.device = status.st_dev;
	kept_stderr.inode = status.st_ino;
}

static int
exit_fd(void)
{
	struct stat status;

	if (kept_stderr.fd >= 0 && fstat(kept_stderr.fd, &status) == 0 && status.st_dev == kept_stderr.device &&
	    status.st_ino == kept_stderr.inode)
		return kept_stderr.fd;
	return STDERR_FILENO;
}

void
hz3_report_setup(void)
{
	int saved_errno = errno;

	if (hz3_options.banner)
		hz3_warn("version %s, %s", HZ3_VERSION, hz3_report_library_path());
	if (HZ3_CHAOS && hz3_options.banner)
		hz3_warn("chaos build, chaos_seed %zu", hz3_options.chaos_seed);
	/* (Of stats_file there may be something to say.) */
	if ((hz3_options.stats_print || hz3_options.stats_signal || hz3_options.stats_file[0] != '\0') && kept_stderr.fd < 0)
		keep_stderr();
	errno = saved_errno;
}

/* A pipe, a terminal or a device can't be replaced. */
static bool
is_special(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

static bool
replace(const char *path, hz3_report_printer *printer, struct hz3_view *view)
{
	static _Atomic unsigned files;	/* relaxed: two threads may be at it, each with a name of its own */
	char other[2 * HZ3_OPTION_PATH_BYTES + 48];
	bool special = is_special(path);
	int fd;

	hz3_format(other, sizeof(other), "%s.%ld.%u.tmp", path, (long)getpid(),
		   atomic_fetch_add_explicit(&files, 1, memory_order_relaxed));
	fd = hz3_os_open_output(special ? path : other);
	if (fd < 0)
		return false;
	printer(write_fd, &fd, view);
	hz3_os_close(fd);
	if (special || hz3_os_rename(other, path) == 0)
		return true;
	(void)hz3_os_remove(other);
	return false;
}

void
hz3_report_replace_file(const char *option, const char *pattern, hz3_report_printer *printer, struct hz3_view *view)
{
	static const char *_Atomic complained[2];
	char path[2 * HZ3_OPTION_PATH_BYTES];

	if (hz3_option_expand_path(path, sizeof(path), pattern) && replace(path, printer, view))
		return;
	/* relaxed: at worst it is said twice. */
	for (unsigned i = 0; i < 2; i++) {
		const char *said = atomic_load_explicit(&complained[i], memory_order_relaxed);
		if (said == option)
			return;
		if (said == NULL) {
			atomic_store_explicit(&complained[i], option, memory_order_relaxed);
			break;
		}
	}
	hz3_warn_to(exit_fd(), "cannot write %s %s", option, pattern);
}

void
hz3_report_on_signal(void)
{
	static const char option[] = "stats_file";
	struct hz3_view view;

	hz3_view_take(&view);
	if (hz3_options.stats_file[0] != '\0') {
		hz3_report_replace_file(option, hz3_options.stats_file, hz3_report_json, &view);
	} else {
		int fd = exit_fd();
		hz3_report_text(write_fd, &fd, &view);
	}
	hz3_view_release(&view);
}

static void
write_file(const char *pattern)
{
	char path[2 * HZ3_OPTION_PATH_BYTES];
	int fd = hz3_option_expand_path(path, sizeof(path), pattern) ? hz3_os_open_output(path) : -1;

	if (fd < 0) {
		hz3_warn_to(exit_fd(), "cannot write stats_file %s", pattern);
		return;
	}
	print_to(fd, true);
	hz3_os_close(fd);
}

void
hz3_report_at_exit(void)
{
	int saved_errno = errno;

	if (hz3_options.stats_print)
		print_to(exit_fd(), false);
	if (hz3_options.stats_file[0] != '\0')
		write_file(hz3_options.stats_file);
	errno = saved_errno;
}
