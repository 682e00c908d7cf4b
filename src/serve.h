/*
 * Reports that nobody calls for: on a signal (stats_signal), and at intervals (metrics_file).
 *
 * The signal's handler does two things: it sets a flag, and wakes the background thread, which writes.  No report is ever
 * written in a handler.  If the program sets a handler of its own for the signal, that one counts; ours is set only where there was
 * none.  Handlers are lost in exec, and kept in a forked child, which gets a thread again with one of its next slow paths.
 */
#ifndef HZ3_SERVE_H
#define HZ3_SERVE_H

/* At start, once the options are known. */
void hz3_serve_setup(void);

/* At exit: the last metrics. */
void hz3_serve_at_exit(void);

#endif
