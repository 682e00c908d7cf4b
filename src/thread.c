/* First use and exit: how a thread comes by a heap, and what becomes of it. */
#include "thread.h"

#include <errno.h>
#include <pthread.h>

#include "abandon.h"
#include "account.h"
#include "arena.h"
#include "background.h"
#include "decay.h"
#include "delayed.h"
#include "fork.h"
#include "guard.h"
#include "large.h"
#include "limit.h"
#include "meta.h"
#include "options.h"
#include "os.h"
#include "os_clock.h"
#include "os_memory.h"
#include "os_process.h"

/* A heap is swept once in so many slow paths. */
#define SWEEP_TICKS 64
#define YIELDS_MAX 64u

struct hz3_heap hz3_thread_absent = HZ3_HEAP_NONE;
struct hz3_heap hz3_thread_ended = HZ3_HEAP_NONE;

__thread struct hz3_heap *hz3_thread_heap = &hz3_thread_absent;

enum { SETUP_NOT_BEGUN, SETUP_RUNNING, SETUP_DONE };

static _Atomic int setup_state;
static pthread_key_t exit_key;		/* written once, under hz3_shared_lock */
static _Atomic bool have_exit_key;	/* release and acquire: the key is there */
static _Atomic uint32_t entered;	/* relaxed, a hint: threads that ever got a heap; in the child of a fork, since then */
static struct hz3_heap *shared_heap;
static void mend_shared(struct hz3_lock *lock);
struct hz3_lock hz3_shared_lock = HZ3_LOCK_INIT(HZ3_RANK_HEAP, "shared heap", mend_shared);

static void put_away(bool current_pages);

/* The exit handler of a thread that has a heap. */
static void thread_exit(void *arg)
{
	struct hz3_heap *heap = arg;

	if (hz3_thread_heap != heap)
		return;
	int saved_errno = errno;
	/* Current pages are left for the next thread, and the background thread gives them back, if it can. */
	put_away(!hz3_options.background_thread || hz3_arenas_scarce());
	hz3_flow_refresh(heap->owner->frees);
	hz3_flow_end(heap->owner->frees);
	hz3_thread_heap = &hz3_thread_ended;
	hz3_abandon_park(heap);
	/* This may have been the last thread to do anything. */
	hz3_decay_tick();
	if (hz3_os_thread_id() == hz3_os_process_id())
		hz3_background_first_thread_ends();
	errno = saved_errno;
}

static bool have_key(void)
{
	/* acquire: pairs with the release below; exit_key is set. */
	if (hz3_likely(hz3_atomic_load(&have_exit_key, acquire)))
		return true;
	hz3_lock(&hz3_shared_lock);
	bool have = hz3_atomic_load(&have_exit_key, relaxed) ||
		    pthread_key_create(&exit_key, thread_exit) == 0;
	hz3_atomic_store(&have_exit_key, have, release);
	hz3_unlock(&hz3_shared_lock);
	return have;
}

void hz3_thread_count_memory(void)
{
	hz3_limit_set_used(hz3_arenas_active() + hz3_arenas_dirty() + hz3_large_huge_bytes() + hz3_meta_bytes() + hz3_os_own_bytes());
}

/* Each part may be called again after a later one has failed. */
static bool set_up(void)
{
	hz3_os_init();
	hz3_seal_secret = hz3_os_random();
	hz3_options_init();
	hz3_sink_init();
	hz3_guard_init();
	if (!hz3_page_map_init() || !hz3_arenas_init())
		return false;
	if (shared_heap == NULL)
		shared_heap = hz3_heap_new();
	if (shared_heap == NULL)
		return false;
	hz3_flow_name_set(&shared_heap->owner->frees->name, "(ending)");
	hz3_thread_count_memory();
	/* Now, so that our handler comes before those of the program, which may free; if it can't be had, later. */
	(void)have_key();
	return true;
}

bool hz3_thread_setup(void)
{
	for (;;) {
		/* acquire: pairs with the release below. */
		int state = hz3_atomic_load(&setup_state, acquire);
		if (hz3_likely(state == SETUP_DONE))
			return true;
		/* acquire: so does this, if somebody has tried before, and had no memory. */
		if (state == SETUP_NOT_BEGUN && hz3_atomic_cas_strong(&setup_state, &state, SETUP_RUNNING, acquire, relaxed))
			break;
		hz3_cpu_relax();
	}
	bool done = set_up();
	/* Once, and before another thread can sleep on a lock of ours. */
	if (done)
		hz3_lock_meet_process = hz3_fork_before_lock;
	hz3_atomic_store(&setup_state, done ? SETUP_DONE : SETUP_NOT_BEGUN, release);
	/*
	 * With the first malloc, or in our constructor: that of a preloaded library runs last, unless the linker was told otherwise
	 * (Makefile.am), and the dynamic linker can do so.  Handlers run before fork in the reverse order of registration, and ours, which
	 * takes all locks, has to be the last.  It may call malloc, which works by now.
	 */
	if (done)
		hz3_fork_register();
	return done;
}

/*
 * Give the calling thread a heap.  NULL if that is NULL, or if nobody would tell us of the thread's end: what it had then would
 * stay its own for ever.  Such a thread shares.
 */
static struct hz3_heap *enter(struct hz3_heap *heap)
{
	struct hz3_heap *none = hz3_thread_heap;

	if (heap == NULL)
		return NULL;
	hz3_thread_heap = heap;
	/* Its last thread may have vanished by a fork in the midst of a sample. */
	heap->profile.busy = false;
	/* Parked: this is the child of a fork in a signal handler, before which nobody had the heap. */
	if (hz3_unlikely(hz3_atomic_load(&heap->owner->state, relaxed) == HZ3_OWNER_PARKED))
		hz3_abandon_unpark(heap);
	/* May call malloc, which finds the heap in place. */
	if (have_key() && pthread_setspecific(exit_key, heap) == 0) {
		hz3_atomic_fetch_add(&entered, 1, relaxed);
		/* The thread that had it before may have chosen another. */
		hz3_heap_choose_arenas(heap);
		hz3_account_begin(heap);
		hz3_flow_begin(heap->owner, &heap->counters);
		/* The first slow path sees whether there is something to do: a thread may have few, and many threads much in their stocks. */
		heap->ticks |= HZ3_DECAY_TICKS - 1;
		return heap;
	}
	hz3_thread_heap = none;
	hz3_abandon_park(heap);
	return NULL;
}

/* A parked heap, whole, before a new one. */
static struct hz3_heap *enter_any(bool to_free)
{
	struct hz3_heap *heap = hz3_fork_come_back();

	if (heap == NULL)
		heap = hz3_abandon_adopt(to_free);
	/* If they could not be registered at first; with one thread they are hardly needed. */
	hz3_fork_register();
	return enter(heap ? heap : hz3_heap_new());
}

void hz3_thread_enter_new(void)
{
	if (enter(hz3_heap_new()) == NULL)
		hz3_thread_heap = &hz3_thread_ended;
}

/* What a thread without a heap works with. */
static HZ3_NOINLINE struct hz3_heap *begin_without_heap(bool to_free)
{
	struct hz3_heap *heap = NULL;

	if (!hz3_thread_setup())
		return NULL;
	if (hz3_thread_heap == &hz3_thread_absent)
		heap = enter_any(to_free);
	if (heap)
		return heap;
	hz3_lock(&hz3_shared_lock);
	return shared_heap;
}

/* Somebody looks after the heap of a thread that seemed to sleep: not for long.  A real-time thread doesn't let others run by yielding. */
static HZ3_NOINLINE void wait_for_buffer(struct hz3_heap *heap)
{
	unsigned yields = 0;

	do {
		/* Busy as it is: who has it lent is not there, or this is the child of a handler's fork, where he isn't either. */
		if (hz3_atomic_load(&heap->loan_was_cut, relaxed) || hz3_os_is_new_process()) {
			hz3_fork_mend(heap);
			continue;
		}
		hz3_heap_leave(heap);
		if (yields++ < YIELDS_MAX)
			hz3_os_yield();
		else
			hz3_os_sleep_ms(1);
	} while (!hz3_heap_enter(heap));
}

static void count_tick(struct hz3_heap *heap)
{
	heap->ticks++;
	hz3_atomic_store(&heap->owner->progress, heap->ticks, relaxed);
}

bool hz3_thread_begin_quick(struct hz3_heap *heap)
{
	if (heap->owner == NULL || (heap->ticks + 1) % HZ3_DECAY_TICKS == 0 || hz3_os_is_new_process())
		return false;
	if (hz3_unlikely(!hz3_heap_enter(heap))) {
		hz3_heap_leave(heap);
		return false;
	}
	count_tick(heap);
	return true;
}

static struct hz3_heap *begin(bool to_free)
{
	if (hz3_unlikely(hz3_os_is_new_process()))
		hz3_fork_meet_new_process();
	struct hz3_heap *heap = hz3_thread_heap;

	if (hz3_unlikely(heap->owner == NULL)) {
		heap = begin_without_heap(to_free);
		if (heap == NULL)
			return NULL;
	}
	if (!hz3_heap_enter(heap))
		wait_for_buffer(heap);
	count_tick(heap);
	return heap;
}

struct hz3_heap *hz3_thread_begin(void)
{
	return begin(false);
}

struct hz3_heap *hz3_thread_begin_free(void)
{
	return begin(true);
}

void hz3_thread_flush_heap(struct hz3_heap *heap, enum hz3_flush_cause cause)
{
	if (hz3_heap_flush(heap, cause))
		hz3_abandon_request_drain();
}

static void end(struct hz3_heap *heap, bool in_free)
{
	bool shared = heap == shared_heap;
	uint32_t ticks = heap->ticks;

	/* Nobody would do it later. */
	if (hz3_unlikely(shared)) {
		hz3_thread_flush_heap(heap, HZ3_FLUSH_IDLE);
		hz3_stock_trim(&heap->stock);
	}
	if (hz3_unlikely(ticks % SWEEP_TICKS == 0)) {
		hz3_heap_sweep(heap);
		hz3_flow_refresh(heap->owner->frees);
	}
	hz3_heap_leave(heap);
	if (hz3_unlikely(shared))
		hz3_unlock(&hz3_shared_lock);
	else if (in_free && hz3_unlikely(ticks % HZ3_DECAY_TICKS == 0))
		hz3_decay_tick_in_free();
	else if (!in_free && hz3_unlikely(ticks % HZ3_DECAY_TICKS == 0 || hz3_atomic_load(&hz3_decay_missed_starts, relaxed)))
		hz3_decay_tick();
}

void hz3_thread_end(struct hz3_heap *heap)
{
	end(heap, false);
}

void hz3_thread_end_free(struct hz3_heap *heap)
{
	end(heap, true);
}

void hz3_thread_flush_buffer(void)
{
	if (hz3_thread_heap->owner == NULL)
		return;
	struct hz3_heap *heap = hz3_thread_begin();
	hz3_thread_flush_heap(heap, HZ3_FLUSH_IDLE);
	hz3_thread_end(heap);
}

static void settle(struct hz3_heap *heap, enum hz3_flush_cause cause)
{
	hz3_thread_flush_heap(heap, cause);
	hz3_heap_drain_all(heap, SIZE_MAX);
	hz3_thread_flush_heap(heap, cause);	/* what was forwarded */
}

/* Entered as for a call: to the background thread it is the heap of a sleeper. */
static void settle_shared(bool trim)
{
	hz3_lock(&hz3_shared_lock);
	if (!hz3_heap_enter(shared_heap))
		wait_for_buffer(shared_heap);
	settle(shared_heap, HZ3_FLUSH_IDLE);
	if (trim)
		hz3_heap_trim(shared_heap);
	hz3_heap_leave(shared_heap);
	hz3_unlock(&hz3_shared_lock);
}

void hz3_thread_settle(void)
{
	if (hz3_thread_heap->owner) {
		struct hz3_heap *heap = hz3_thread_begin();
		settle(heap, HZ3_FLUSH_IDLE);
		hz3_thread_end(heap);
	}
	/* Last: some of what was flushed is for the shared heap, whose own buffer is never left full. */
	settle_shared(false);
}

void hz3_thread_trim_shared(void)
{
	settle_shared(true);
}

void hz3_thread_give_up_delayed(struct hz3_heap *heap)
{
	if (HZ3_SAFETY && hz3_delayed_give_up(heap))
		hz3_abandon_request_drain();
}

/*
 * Of the calling thread's heap: free what waits for that, flush, take in what others freed, give empty pages and the budget
 * back.
 */
static void put_away(bool current_pages)
{
	struct hz3_heap *heap = hz3_thread_begin();

	hz3_thread_give_up_delayed(heap);
	settle(heap, HZ3_FLUSH_EXIT);
	if (current_pages)
		hz3_heap_trim(heap);
	else
		hz3_stock_trim(&heap->stock);
	hz3_buffer_return_budget(&heap->buffer);
	if (HZ3_DEBUG)
		hz3_heap_validate(heap);
	hz3_thread_end(heap);
}

void hz3_thread_go_idle(void)
{
	if (hz3_thread_heap->owner)
		put_away(true);
}

unsigned hz3_thread_arena(void)
{
	struct hz3_heap *heap = hz3_thread_begin();
	unsigned arena = 0;

	if (heap) {
		arena = hz3_heap_arena_index(heap);
		hz3_thread_end(heap);
	}
	return arena;
}

bool hz3_thread_set_arena(unsigned arena)
{
	struct hz3_heap *heap = hz3_thread_begin();
	bool good = heap && heap != shared_heap && arena < hz3_arenas_count();

	if (good) {
		hz3_heap_set_arena(heap, arena);
		hz3_stock_trim(&heap->stock);
	}
	if (heap)
		hz3_thread_end(heap);
	return good;
}

bool hz3_thread_is_multi(void)
{
	return hz3_atomic_load(&entered, relaxed) > 1;
}

void hz3_thread_forget_others(void)
{
	hz3_atomic_store(&entered, hz3_thread_heap->owner ? 1 : 0, relaxed);
}

struct hz3_heap *hz3_thread_shared_heap(void)
{
	return shared_heap;
}

/* The holder is not there, and the heap may be half changed: another takes its place. */
static void mend_shared(struct hz3_lock *lock)
{
	struct hz3_heap *heap;

	(void)lock;
	if (hz3_heap_is_whole(shared_heap))
		return;
	heap = hz3_heap_new();
	if (heap == NULL) {
		/* A limit of the user's must not end the program. */
		hz3_limit_lift(true);
		heap = hz3_heap_new();
		hz3_limit_lift(false);
	}
	if (heap == NULL)
		hz3_die("no memory to go on with after a fork in a signal handler");
	hz3_fork_lose(shared_heap);
	shared_heap = heap;
}

void hz3_thread_profile_begin(void)
{
	hz3_profile_begin();
	if (hz3_profile_on && hz3_thread_heap->owner)
		hz3_heap_apply_options(hz3_thread_heap);
}

/* The first malloc is often earlier; what it may have missed is made good. */
static __attribute__((constructor)) void set_up_process(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	hz3_os_meet_environment(envp);
	(void)hz3_thread_setup();
	/* Libc may have had no environment then. */
	hz3_options_init();
	hz3_sink_init();
	hz3_guard_init();
	if (hz3_thread_heap->owner)
		hz3_heap_apply_options(hz3_thread_heap);
	if (hz3_options.delayed_reuse && !HZ3_SAFETY)
		hz3_warn("HZ3_CONF: delayed_reuse has no effect: it needs a library built with --enable-safety-checks");
}
