/*
 * Prints the statistics: text for people, JSON and XML for programs.
 *
 * Any thread may call these, with no lock held.  They allocate nothing and use no libc stream: see out.h.
 */
#ifndef HZ3_REPORT_H
#define HZ3_REPORT_H

#include "out.h"
#include "stats.h"

struct hz3_view;

typedef hz3_out_write hz3_report_write;

/* Number in the key "hz3_stats_version": raised when a key changes its meaning or goes, not when one is added. */
#define HZ3_REPORT_VERSION 1

/* These merge the view's flow map. */
void hz3_report_text(hz3_report_write *write, void *arg, struct hz3_view *view);

/* One "key": value per line, in nested objects; the elements of the array "classes" have a line each. */
void hz3_report_json(hz3_report_write *write, void *arg, struct hz3_view *view);

/* As glibc's malloc_info: root <malloc version="1">, one heap for the whole process. */
void hz3_report_xml(hz3_report_write *write, void *arg, const struct hz3_stats *stats);

/* Collects and prints; write NULL is standard error, opts NULL or "" text, a "j" in it JSON. */
void hz3_report_print(hz3_report_write *write, void *arg, const char *opts);

/* As a key of JSON. */
const char *hz3_report_cause_name(enum hz3_flush_cause cause);

/* central, page or auto; "unknown" for anything else. */
const char *hz3_report_sink_name(int sink);

/* The path of the file that this library was loaded from, as the dynamic linker knows it; never NULL. */
const char *hz3_report_library_path(void);

/*
 * At start, once the options are known: prints the banner if asked, and keeps a copy of standard error for the report
 * at exit, since many programs close theirs before destructors run.
 */
void hz3_report_setup(void);

/* Prints something of a view. */
typedef void hz3_report_printer(hz3_report_write *write, void *arg, struct hz3_view *view);

/* A file that an option names. */
struct hz3_report_file {
	const char *option;
	_Atomic bool complained;	/* relaxed: nothing hangs on it but that it is said once */
};

/*
 * Write the file anew, so that whoever reads it sees the old contents or the new: under another name first.  %p in the path is the
 * process id.  A failure is said once.
 */
void hz3_report_replace_file(struct hz3_report_file *file, const char *path, hz3_report_printer *printer, struct hz3_view *view);

/* On the signal that was chosen, by the background thread: to stats_file if there is one, else text to standard error. */
void hz3_report_on_signal(void);

/* At exit: what the options stats_print and stats_file ask for. */
void hz3_report_at_exit(void);

#endif
