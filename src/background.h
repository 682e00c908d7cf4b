/*
 * The one thread of hz3's own, for whatever has to be done when nobody calls: decay.c, serve.c, top.c.
 *
 * It starts when the first job wants it, and not in processes where none does.  It has all signals blocked, so that no handler of
 * the program's ever runs on it, and it ends when all other threads have ended.  A forked child does not have it; a job
 * that wants it there asks again.
 */
#ifndef HZ3_BACKGROUND_H
#define HZ3_BACKGROUND_H

#include "base.h"

struct hz3_background_job {
	/* Do what is due, and return the milliseconds until it may be due again.  On the thread, with no lock held. */
	unsigned (*run)(void);
	/* The thread is wanted as long as the process lives; else only from hz3_background_start() on. */
	bool always;
};

/* At most three; each once, before anything may start the thread on its behalf. */
void hz3_background_add(const struct hz3_background_job *job);

/* Any thread, with no lock held and its heap at rest.  False: it can't be had now. */
bool hz3_background_start(void);
bool hz3_background_runs(void);

/* Let it look at its jobs now.  Also in signal handlers: one store, one system call. */
void hz3_background_wake(void);

/* In slow paths now and then, with no lock held and the heap at rest: start the thread for jobs that always want it. */
void hz3_background_tick(uint64_t now_ms);

/* When the first thread ends: from then on the thread looks twice a second whether it is the last, however long its jobs would have it sleep. */
void hz3_background_first_thread_ends(void);

/* In the child of a fork. */
void hz3_background_forget(void);

/*
 * On in the child of a clone, whose first thread may end as no pthread does: its status would be lost, and a thread of ours left alone.  No thread
 * for jobs that always want it, until the child has threads of its own.
 */
void hz3_background_is_bare(bool on);

#endif
