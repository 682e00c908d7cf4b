/* Reports that nobody calls for: on a signal, and at intervals. */
#include "serve.h"

#include <errno.h>
#include <signal.h>

#include "atomic.h"
#include "background.h"
#include "metrics.h"
#include "options.h"
#include "os_clock.h"
#include "profile.h"
#include "report.h"

#define EXIT_MS_MAX 2000u

static _Atomic bool wanted;		/* a report; set by the handler, release, before it wakes the thread */
static _Atomic bool writing, closed;	/* see run() */
static _Atomic uint64_t next_metrics_ms;	/* relaxed: a schedule */

static bool has_metrics(void)
{
	return hz3_options.metrics_file[0] != '\0';
}

static bool has_job(void)
{
	return hz3_options.stats_signal != 0 || has_metrics();
}

static void handle(int signal)
{
	int saved_errno = errno;

	(void)signal;
	hz3_atomic_store(&wanted, true, release);
	hz3_background_wake();
	errno = saved_errno;
}

static unsigned until_metrics(uint64_t now)
{
	uint64_t next = hz3_atomic_load(&next_metrics_ms, relaxed);

	return !has_metrics() ? UINT32_MAX : next > now ? (unsigned)(next - now) : 0;
}

static void write_what_is_due(void)
{
	/* acquire: pairs with the release in the handler. */
	if (hz3_atomic_load(&wanted, relaxed) && hz3_atomic_exchange(&wanted, false, acquire)) {
		hz3_report_on_signal();
		hz3_profile_on_signal();
	}
	if (until_metrics(hz3_os_now_ms()) == 0) {
		hz3_metrics_write();
		hz3_atomic_store(&next_metrics_ms, hz3_os_now_ms() + 1000u * (unsigned)hz3_options.metrics_interval, relaxed);
	}
}

static unsigned run(void)
{
	/* seq_cst, both, and in hz3_serve_at_exit(): either it sees that we write, or we see that it is closed. */
	hz3_atomic_store(&writing, true, seq_cst);
	bool over = hz3_atomic_load(&closed, seq_cst);
	if (!over)
		write_what_is_due();
	/* release: what was written comes before. */
	hz3_atomic_store(&writing, false, release);
	return over ? UINT32_MAX : until_metrics(hz3_os_now_ms());
}

static const struct hz3_background_job job = { .run = run, .always = true };

/* Ours only where the signal would have had its default effect: what the program (or who started it) chose, stays. */
static void set_handler(void)
{
	struct sigaction old, action = { .sa_handler = handle, .sa_flags = SA_RESTART | SA_ONSTACK };

	if (sigaction(hz3_options.stats_signal, NULL, &old) != 0)
		return;
	if (old.sa_handler != SIG_DFL) {
		hz3_warn("stats_signal: the program, or who started it, has another use for signal %d",
			 hz3_options.stats_signal);
		return;
	}
	sigemptyset(&action.sa_mask);
	(void)sigaction(hz3_options.stats_signal, &action, NULL);
}

void hz3_serve_setup(void)
{
	int saved_errno = errno;

	if (!has_job())
		return;
	hz3_background_add(&job);
	if (hz3_options.stats_signal)
		set_handler();
	hz3_background_tick(hz3_os_now_ms());
	errno = saved_errno;
}

void hz3_serve_at_exit(void)
{
	if (!has_job())
		return;
	/* Not in the midst of it: a file half written would stay. */
	hz3_atomic_store(&closed, true, seq_cst);
	for (unsigned ms = 0; hz3_background_runs() && hz3_atomic_load(&writing, seq_cst) && ms < EXIT_MS_MAX; ms++)
		hz3_os_sleep_ms(1);
	if (has_metrics())
		hz3_metrics_write();
}
