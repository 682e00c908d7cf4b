/* When memory goes back to the system. */
#include "decay.h"

#include <pthread.h>
#include <signal.h>

#include "abandon.h"
#include "arena.h"
#include "atomic.h"
#include "background.h"
#include "limit.h"
#include "options.h"
#include "os_clock.h"
#include "os_kept.h"
#include "os_memory.h"
#include "os_process.h"
#include "pool.h"
#include "scavenge.h"
#include "sink.h"
#include "thread.h"

#define ROUND_MS_MIN 100u
#define ROUND_MS_MAX 1000u
#define WORTH_A_THREAD ((size_t)1 << 20)	/* bytes to give back */
#define MISSED_STARTS_MAX 8u	/* see hz3_decay_tick_in_free() */
#define RETRY_MS 60000u		/* after the thread could not be started */
#define PATIENCE_US 100000u	/* see lock_with_patience() */
#define DIRTY_MAX_SCARCE ((size_t)1 << 20)	/* dirty_max where address space is */
#define WANTED_BACK_MS 1000u	/* what is needed again so soon should not have been given back */
#define WANTED_BACK_MAX 3u	/* times dirty_max */

/* Nothing to mend: schedules only; what a round was doing to heaps shows in them. */
struct hz3_lock hz3_decay_lock = HZ3_LOCK_INIT(HZ3_RANK_DECAY, "decay", NULL);
static _Atomic bool wants_thread;	/* relaxed, as the next five: schedules, not data */
static _Atomic uint64_t next_start_ms;
_Atomic unsigned hz3_decay_missed_starts;
static _Atomic uint64_t next_round_ms;
static _Atomic uint64_t next_trim_ms;
static _Atomic uint64_t next_purge_ms;
static _Atomic int64_t decay_ms = INT64_MIN;	/* until set: what the options say */

int64_t hz3_decay_ms(void)
{
	int64_t ms = hz3_atomic_load(&decay_ms, relaxed);

	return ms == INT64_MIN ? hz3_options.dirty_decay_ms : ms;
}

void hz3_decay_set_ms(int64_t ms)
{
	hz3_atomic_store(&decay_ms, ms, relaxed);
}

/* By arena: what it has of its own (-1: never), and OWN_BIAS more; 0: as all.  relaxed, as above. */
#define OWN_BIAS 2
static _Atomic int64_t own_decay_ms[HZ3_ARENAS_MAX];

int64_t hz3_decay_arena_ms(unsigned arena)
{
	int64_t own = hz3_atomic_load(&own_decay_ms[arena], relaxed);

	return own ? own - OWN_BIAS : hz3_decay_ms();
}

void hz3_decay_set_arena_ms(unsigned arena, int64_t ms)
{
	hz3_atomic_store(&own_decay_ms[arena], ms + OWN_BIAS, relaxed);
}

void hz3_decay_set_all_ms(int64_t ms)
{
	hz3_decay_set_ms(ms);
	for (unsigned i = 0; i < HZ3_ARENAS_MAX; i++)
		hz3_atomic_store(&own_decay_ms[i], 0, relaxed);
}

size_t hz3_decay_arena(unsigned arena)
{
	int64_t ms = hz3_decay_arena_ms(arena);

	return ms < 0 ? 0 : hz3_arena_purge(arena, (uint64_t)ms);
}

static void decay_arenas(void)
{
	for (unsigned i = 0; i < hz3_arenas_count(); i++)
		hz3_decay_arena(i);
}

/* The shortest of all arenas; -1 if none decays. */
static int64_t shortest_ms(void)
{
	int64_t shortest = -1;

	for (unsigned i = 0; i < hz3_arenas_count(); i++) {
		int64_t ms = hz3_decay_arena_ms(i);
		if (ms >= 0 && (shortest < 0 || ms < shortest))
			shortest = ms;
	}
	return shortest;
}

bool hz3_decay_thread_runs(void)
{
	return hz3_atomic_load(&wants_thread, relaxed) && hz3_background_runs();
}

static unsigned round_ms(void)
{
	int64_t quarter = shortest_ms() / 4;

	return quarter < ROUND_MS_MIN ? ROUND_MS_MIN : quarter > ROUND_MS_MAX ? ROUND_MS_MAX : (unsigned)quarter;
}

/* One round.  Under the lock, so that fork does not cut it in the middle; but for what may take long, which arenas have on a list. */
static void do_round(void)
{
	hz3_lock(&hz3_decay_lock);
	if (hz3_abandon_wants_drain())
		hz3_abandon_drain();
	if (hz3_abandon_wants_trim())
		hz3_abandon_trim(round_ms());
	struct hz3_heap *heap = hz3_thread_begin();
	hz3_heap_drain_all(heap, SIZE_MAX);
	hz3_scavenge_sleepers_locked(heap);
	hz3_heap_trim(heap);
	hz3_thread_end(heap);
	hz3_unlock(&hz3_decay_lock);
	decay_arenas();
}

/* The background thread's call. */
static unsigned run(void)
{
	uint64_t now = hz3_os_now_ms(), next = hz3_atomic_load(&next_round_ms, relaxed);

	if (!hz3_atomic_load(&wants_thread, relaxed))
		return UINT32_MAX;
	if (now < next)
		return (unsigned)(next - now);
	do_round();
	hz3_atomic_store(&next_round_ms, hz3_os_now_ms() + round_ms(), relaxed);
	return round_ms();
}

static const struct hz3_background_job job = { .run = run };

/* More than may stay could be in the stocks of threads that sleep: nothing tells how much is. */
static bool are_stocks_worth_it(void)
{
	size_t most = ((size_t)hz3_owner_count() * (size_t)hz3_options.empty_pages_max) << HZ3_SLICE_SHIFT;

	return hz3_min(most, hz3_arenas_active()) > hz3_options.dirty_max;
}

/* Free memory, or memory that may be free without anybody knowing: what waits for owners that sleep. */
static bool has_work(void)
{
	return hz3_arenas_dirty() >= WORTH_A_THREAD || hz3_abandon_wants_drain() ||
	       ((hz3_sink_used() || hz3_abandon_wants_trim()) && hz3_arenas_active() >= WORTH_A_THREAD) || are_stocks_worth_it();
}

/* Is the background thread to be started: has the process threads anyway, and is there something for it to do? */
static bool wants_start(uint64_t now)
{
	return hz3_options.background_thread && hz3_thread_is_multi() && now >= hz3_atomic_load(&next_start_ms, relaxed) && has_work() &&
	       hz3_os_is_our_process();
}

static void start(uint64_t now)
{
	hz3_background_add(&job);
	hz3_atomic_store(&next_round_ms, now + round_ms(), relaxed);
	hz3_atomic_store(&wants_thread, true, relaxed);
	if (hz3_background_start())
		return;
	hz3_atomic_store(&wants_thread, false, relaxed);
	hz3_atomic_store(&next_start_ms, now + RETRY_MS, relaxed);
}

/* Is it time for the next round of something?  If so, there is none until the one after. */
static bool is_due(_Atomic uint64_t *next_ms, uint64_t now)
{
	if (now < hz3_atomic_load(next_ms, relaxed))
		return false;
	hz3_atomic_store(next_ms, now + round_ms(), relaxed);
	return true;
}

/* Keep so many bytes at most, fewer than are dirty: in each arena that decays, as large a part of them as it has of what is dirty. */
static void purge_to(size_t keep, size_t dirty)
{
	for (unsigned i = 0; i < hz3_arenas_count(); i++) {
		size_t slices = hz3_atomic_load(&hz3_arena_counters(i)->dirty, relaxed);
		if (hz3_decay_arena_ms(i) >= 0)
			hz3_arena_purge_to(i, slices * keep / (dirty >> HZ3_SLICE_SHIFT));
	}
}

/*
 * A program that takes and frees more than dirty_max in turns would have memory taken from it, and zeroed, again and again.  So what it took
 * from the system within a second of having had to give some back may stay in addition, until it has had no more than dirty_max for a
 * second.  relaxed, as above.
 */
static _Atomic size_t wanted_back_bytes, had_bytes;	/* had: what was active or dirty when we last looked */
static _Atomic uint64_t over_at_ms;		/* when there was last more than dirty_max */

static size_t bytes_wanted_back(uint64_t now, size_t dirty_max, size_t dirty)
{
	size_t wanted = hz3_atomic_load(&wanted_back_bytes, relaxed), had = hz3_atomic_load(&had_bytes, relaxed);
	size_t has = hz3_arenas_active() + dirty;

	if (now - hz3_atomic_load(&over_at_ms, relaxed) > WANTED_BACK_MS)
		wanted = 0;
	else if (has > had)
		wanted = hz3_min(wanted + (has - had), WANTED_BACK_MAX * dirty_max);
	hz3_atomic_store(&wanted_back_bytes, wanted, relaxed);
	hz3_atomic_store(&had_bytes, has, relaxed);
	hz3_atomic_store(&over_at_ms, now, relaxed);
	return wanted;
}

/* Keep no more than may stay where nobody would purge it.  False: it is not more. */
static bool purge_excess(uint64_t now)
{
	size_t dirty_max = hz3_options.dirty_max, dirty = hz3_arenas_dirty();

	if (hz3_arenas_scarce())
		dirty_max = hz3_min(dirty_max, DIRTY_MAX_SCARCE);
	else if (dirty > dirty_max)
		dirty_max += bytes_wanted_back(now, dirty_max, dirty);
	if (dirty <= dirty_max)
		return false;
	purge_to(dirty_max, dirty);
	hz3_atomic_store(&had_bytes, hz3_arenas_active() + hz3_arenas_dirty(), relaxed);
	return true;
}

/* What the background thread would do, where there is none. */
static void tick_inline(uint64_t now)
{
	if (hz3_abandon_wants_drain())
		hz3_abandon_drain();
	if (hz3_abandon_wants_trim() && is_due(&next_trim_ms, now))
		hz3_abandon_trim(round_ms());
	if (shortest_ms() < 0)
		return;
	if (!purge_excess(now) && is_due(&next_purge_ms, now))
		decay_arenas();
}

/* A free that may not start the thread: it is counted. */
static bool is_missed_too_long(void)
{
	unsigned missed = hz3_atomic_load(&hz3_decay_missed_starts, relaxed);
	bool too_long = missed >= MISSED_STARTS_MAX;

	hz3_atomic_store(&hz3_decay_missed_starts, too_long ? 0 : missed + 1, relaxed);
	return too_long;
}

static void tick(bool may_start)
{
	bool runs = hz3_decay_thread_runs();

	/* Where address space is scarce, others may be waiting for it now. */
	if (runs && !hz3_arenas_scarce())
		return;
	uint64_t now = hz3_os_now_ms();
	if (may_start)
		hz3_background_tick(now);
	if (!runs && wants_start(now) && (may_start || is_missed_too_long()))
		start(now);
	tick_inline(now);
}

void hz3_decay_tick(void)
{
	/* What free has missed is done now, or is not wanted any more. */
	if (hz3_atomic_load(&hz3_decay_missed_starts, relaxed))
		hz3_atomic_store(&hz3_decay_missed_starts, 0, relaxed);
	tick(true);
}

void hz3_decay_tick_in_free(void)
{
	tick(false);
}

/*
 * Who has it may do what we were to do, or collect statistics, or fork: in any case it isn't long.  But the caller may have a later lock
 * (a pool's hook calls malloc), so there must be no waiting for ever.
 */
static bool lock_with_patience(void)
{
	uint64_t until_us = hz3_os_now_us() + PATIENCE_US;

	if (hz3_lock_held(&hz3_decay_lock))
		return false;
	while (!hz3_trylock(&hz3_decay_lock)) {
		if (hz3_os_now_us() > until_us)
			return false;
		hz3_os_yield();
	}
	return true;
}

/*
 * Under the decay lock.  With signals blocked that come from outside: a handler that forks would leave its child with heaps that are lent to the
 * code which it has interrupted, and wait there for itself.
 */
static void scavenge_locked(void)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };
	struct hz3_heap *heap = hz3_thread_begin();
	sigset_t others, old;

	sigfillset(&others);
	for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&others, own[i]);
	pthread_sigmask(SIG_SETMASK, &others, &old);
	hz3_scavenge_all_locked(heap);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	hz3_heap_trim(heap);
	hz3_thread_end(heap);
}

/* What the calling thread can do about others' memory; its own heap is changed under begin and end. */
static void collect(void)
{
	hz3_thread_go_idle();
	hz3_thread_trim_shared();
	hz3_abandon_request_drain();
	hz3_abandon_drain();
	hz3_abandon_trim(0);
	/* The lock: statistics rely on nobody else's scavenging. */
	if (lock_with_patience()) {
		scavenge_locked();
		hz3_unlock(&hz3_decay_lock);
	}
}

size_t hz3_decay_purge_all(void)
{
	if (!hz3_thread_setup())
		return 0;
	collect();
	hz3_os_retry_kept();
	size_t bytes = hz3_pools_purge(true);
	bytes += hz3_arenas_purge(0);
	if (hz3_arenas_scarce())
		hz3_arenas_decommit_longest();
	return bytes;
}

void hz3_decay_keep_soft_limit(void)
{
	size_t bytes = hz3_limit_begin_purge();

	if (bytes == 0)
		return;
	if (hz3_arenas_purge_some(bytes) < bytes && hz3_limit_excess()) {
		collect();
		hz3_pools_purge(false);
		hz3_arenas_purge_some(bytes);
	}
	hz3_limit_end_purge();
}

bool hz3_decay_reclaim(void)
{
	if (!hz3_thread_setup())
		return false;
	/*
	 * Where it is not, a request was too large for any machine, or there are too many mappings.  Holes would not help then; but
	 * dirty and clean runs side by side become one.
	 */
	bool limited = hz3_os_memory_is_limited();
	if (limited)
		hz3_arenas_set_scarce();
	collect();
	/* Hooks are for those who know that they may be called. */
	hz3_pools_purge(false);
	hz3_arenas_wait_for_purges();
	hz3_os_retry_kept();
	size_t bytes = limited ? hz3_arenas_decommit() : 0;
	/* Of what is limited by us, memory is what counts, mapped or not. */
	if (!limited || hz3_limit_room() != SIZE_MAX)
		bytes += hz3_arenas_purge(0);
	return bytes > 0;
}

void hz3_decay_reclaim_for(size_t bytes)
{
	if (hz3_limit_binds(bytes))
		hz3_limit_count_hard_purge();
	hz3_decay_reclaim();
}

void hz3_decay_forget_thread(void)
{
	hz3_atomic_store(&hz3_decay_missed_starts, 0, relaxed);
	hz3_atomic_store(&wants_thread, false, relaxed);
	hz3_background_forget();
}
