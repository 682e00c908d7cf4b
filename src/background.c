/* The one thread of hz3's own. */
#include "background.h"

#include <pthread.h>
#include <signal.h>

#include "atomic.h"
#include "os_clock.h"
#include "os_process.h"
#include "thread.h"

#define JOBS_MAX 3
#define RETRY_MS 1000u
#define LOOK_AROUND_MS 500u
#define STACK_BYTES ((size_t)256 << 10)

/* ENDED: with the process, of which it was the last thread; what is left of that starts no other. */
enum { NONE, STARTING, RUNS, ENDED };

static _Atomic(const struct hz3_background_job *) jobs[JOBS_MAX];
static _Atomic int state;	/* NONE to STARTING by CAS: one thread starts it */
static _Atomic bool always;	/* relaxed, as the next: some job wants it */
static _Atomic uint64_t next_start_ms;
static _Atomic bool bare;	/* relaxed, a policy: no libc call has made this process */
static _Atomic bool may_be_last;	/* relaxed: the first thread has ended, or is about to */
static _Atomic uint32_t wakes;	/* raised to wake the thread, which sleeps as long as it does not change */

void hz3_background_add(const struct hz3_background_job *job)
{
	if (job->always)
		hz3_atomic_store(&always, true, relaxed);
	for (unsigned i = 0; i < JOBS_MAX; i++) {
		const struct hz3_background_job *none = NULL;
		/* release: the job is complete. */
		if (hz3_atomic_load(&jobs[i], acquire) == job || hz3_atomic_cas_strong(&jobs[i], &none, job, release, relaxed))
			return;
	}
}

static unsigned run_jobs(void)
{
	unsigned ms = UINT32_MAX;

	for (unsigned i = 0; i < JOBS_MAX; i++) {
		/* acquire: pairs with the release above. */
		const struct hz3_background_job *job = hz3_atomic_load(&jobs[i], acquire);
		if (job)
			ms = (unsigned)hz3_min(ms, job->run());
	}
	return ms;
}

static void *background(void *arg)
{
	(void)arg;
	hz3_os_name_thread("hz3-background");
	hz3_os_be_ordinary_thread();
	hz3_thread_enter_new();
	/* The process ends when its last thread does: that must not be this one. */
	do {
		/* Read before the jobs look: what comes meanwhile ends the sleep at once. */
		uint32_t seen = hz3_atomic_load(&wakes, acquire);
		unsigned ms = run_jobs();
		if (hz3_atomic_load(&may_be_last, relaxed))
			ms = (unsigned)hz3_min(ms, LOOK_AROUND_MS);
		hz3_os_wait(&wakes, seen, ms);
	} while (!hz3_os_is_alone());
	/* Before the exit handler of this thread, which would find work and start another, and so on for ever. */
	hz3_atomic_store(&state, ENDED, relaxed);
	return NULL;
}

/*
 * With all signals blocked, those of the caller until it is known whether it runs: the child of a fork in a handler, which has no such
 * thread, would go on to believe that it has.
 */
static bool start_thread(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;

	if (pthread_attr_init(&attr) != 0) {
		hz3_atomic_store(&state, NONE, relaxed);
		return false;
	}
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int error = pthread_create(&thread, &attr, background, NULL);
	hz3_atomic_store(&state, error == 0 ? RUNS : NONE, relaxed);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return error == 0;
}

bool hz3_background_start(void)
{
	int none = NONE;

	if (!hz3_background_runs() && !hz3_os_is_our_process())
		return false;
	/* relaxed: what the thread needs to know pthread_create() tells it. */
	if (!hz3_atomic_cas_strong(&state, &none, STARTING, relaxed, relaxed)) {
		hz3_background_wake();
		return true;
	}
	return start_thread();
}

void hz3_background_tick(uint64_t now_ms)
{
	if (hz3_likely(!hz3_atomic_load(&always, relaxed)) || hz3_background_runs() ||
	    now_ms < hz3_atomic_load(&next_start_ms, relaxed) || (hz3_atomic_load(&bare, relaxed) && !hz3_thread_is_multi()))
		return;
	if (!hz3_background_start())
		hz3_atomic_store(&next_start_ms, now_ms + RETRY_MS, relaxed);
}

bool hz3_background_runs(void)
{
	return hz3_atomic_load(&state, relaxed) == RUNS;
}

void hz3_background_wake(void)
{
	/* release: pairs with the acquire above; what the waker has stored is seen by the jobs. */
	hz3_atomic_fetch_add(&wakes, 1, release);
	hz3_os_wake(&wakes);
}

void hz3_background_first_thread_ends(void)
{
	hz3_atomic_store(&may_be_last, true, relaxed);
	if (hz3_background_runs())
		hz3_background_wake();
}

void hz3_background_is_bare(bool on)
{
	hz3_atomic_store(&bare, on, relaxed);
}

void hz3_background_forget(void)
{
	hz3_atomic_store(&may_be_last, false, relaxed);
	hz3_atomic_store(&state, NONE, relaxed);
}
