/* First use, exit, fork: how a thread comes by a heap, and what becomes of it. */
#include "thread.h"

#include <errno.h>
#include <pthread.h>

#include "abandon.h"
#include "account.h"
#include "arena.h"
#include "decay.h"
#include "delayed.h"
#include "guard.h"
#include "large.h"
#include "limit.h"
#include "meta.h"
#include "options.h"
#include "os.h"
#include "pool.h"

/* A heap is swept once in so many slow paths. */
#define SWEEP_TICKS 64

struct hz3_heap hz3_thread_absent = HZ3_HEAP_NONE;
struct hz3_heap hz3_thread_ended = HZ3_HEAP_NONE;

__thread struct hz3_heap *hz3_thread_heap = &hz3_thread_absent;

enum { SETUP_NOT_BEGUN, SETUP_RUNNING, SETUP_DONE };
enum { HANDLERS_NONE, HANDLERS_TRYING, HANDLERS_THERE };

static _Atomic int setup_state;
static pthread_key_t exit_key;		/* written once, under shared_lock */
static _Atomic bool have_exit_key;	/* release and acquire: the key is there */
static _Atomic int fork_handlers;	/* NONE to TRYING by CAS: one thread registers them */
static _Atomic uint32_t entered;	/* relaxed, a hint: threads that ever got a heap; in the child of a fork, since then */
static struct hz3_heap *shared_heap;
static void mend_shared(struct hz3_lock *lock);
static struct hz3_lock shared_lock = HZ3_LOCK_INIT(HZ3_RANK_HEAP, "shared heap", mend_shared);
static struct hz3_lock fork_lock = HZ3_LOCK_INIT(HZ3_RANK_FORK, "fork", NULL);

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
	errno = saved_errno;
}

static bool have_key(void)
{
	if (hz3_likely(hz3_atomic_load(&have_exit_key, acquire)))
		return true;
	hz3_lock(&shared_lock);
	bool have = hz3_atomic_load(&have_exit_key, relaxed) ||
		    pthread_key_create(&exit_key, thread_exit) == 0;
	hz3_atomic_store(&have_exit_key, have, release);
	hz3_unlock(&shared_lock);
	return have;
}

/* While nobody takes or gives memory. */
static void count_memory(void)
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
	count_memory();
	/* Now, so that our handler comes before those of the program, which may free; if it can't be had, later. */
	(void)have_key();
	return true;
}

static void register_fork_handlers(void);
static void before_sleep(void);
static void meet_new_process(void);
static struct hz3_heap *come_back(void);

bool hz3_thread_setup(void)
{
	for (;;) {
		/* acquire: pairs with the release below. */
		int state = hz3_atomic_load(&setup_state, acquire);
		if (hz3_likely(state == SETUP_DONE))
			return true;
		if (state == SETUP_NOT_BEGUN &&
		    hz3_atomic_cas_strong(&setup_state, &state, SETUP_RUNNING, seq_cst, seq_cst))
			break;
		hz3_cpu_relax();
	}
	bool done = set_up();
	/* Once, and before another thread can sleep on a lock of ours. */
	if (done)
		hz3_lock_before_sleep = before_sleep;
	hz3_atomic_store(&setup_state, done ? SETUP_DONE : SETUP_NOT_BEGUN, release);
	/*
	 * With the first malloc, and not in a constructor: those of preloaded libraries run last.  Handlers run before
	 * fork in the reverse order of registration, and ours, which takes all locks, has to be the last.  It may call
	 * malloc, which works by now.
	 */
	if (done)
		register_fork_handlers();
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
	/* May call malloc, which finds the heap in place. */
	if (have_key() && pthread_setspecific(exit_key, heap) == 0) {
		hz3_atomic_fetch_add(&entered, 1, relaxed);
		/* The thread that had it before may have chosen another. */
		hz3_heap_set_arena(heap, heap->owner->id);
		hz3_account_begin(heap);
		hz3_flow_begin(heap->owner, &heap->counters);
		return heap;
	}
	hz3_thread_heap = none;
	hz3_abandon_park(heap);
	return NULL;
}

/* A parked heap, whole, before a new one. */
static struct hz3_heap *enter_any(bool to_free)
{
	struct hz3_heap *heap = come_back();

	if (heap == NULL)
		heap = hz3_abandon_adopt(to_free);
	/* If they could not be registered at first; with one thread they are hardly needed. */
	register_fork_handlers();
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
	hz3_lock(&shared_lock);
	return shared_heap;
}

/* Somebody looks after the buffer of a thread that seemed to sleep: not for long. */
static HZ3_NOINLINE void wait_for_buffer(struct hz3_heap *heap)
{
	do {
		hz3_heap_leave(heap);
		hz3_os_yield();
	} while (!hz3_heap_enter(heap));
}

static struct hz3_heap *begin(bool to_free)
{
	if (hz3_unlikely(hz3_os_is_new_process()))
		meet_new_process();
	struct hz3_heap *heap = hz3_thread_heap;

	if (hz3_unlikely(heap->owner == NULL)) {
		heap = begin_without_heap(to_free);
		if (heap == NULL)
			return NULL;
	}
	if (!hz3_heap_enter(heap))
		wait_for_buffer(heap);
	heap->ticks++;
	hz3_atomic_store(&heap->owner->progress, heap->ticks, relaxed);
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

static void flush(struct hz3_heap *heap, enum hz3_flush_cause cause)
{
	if (hz3_heap_flush(heap, cause))
		hz3_abandon_request_drain();
}

void hz3_thread_end(struct hz3_heap *heap)
{
	bool shared = heap == shared_heap;
	uint32_t ticks = heap->ticks;

	/* Nobody would do it later. */
	if (hz3_unlikely(shared)) {
		flush(heap, HZ3_FLUSH_IDLE);
		hz3_heap_trim_stock(heap);
	}
	if (hz3_unlikely(ticks % SWEEP_TICKS == 0)) {
		hz3_heap_sweep(heap);
		hz3_flow_refresh(heap->owner->frees);
	}
	hz3_heap_leave(heap);
	if (hz3_unlikely(shared))
		hz3_unlock(&shared_lock);
	else if (hz3_unlikely(ticks % HZ3_DECAY_TICKS == 0))
		hz3_decay_tick();
}

void hz3_thread_flush_buffer(void)
{
	if (hz3_thread_heap->owner == NULL)
		return;
	struct hz3_heap *heap = hz3_thread_begin();
	flush(heap, HZ3_FLUSH_IDLE);
	hz3_thread_end(heap);
}

static void settle(struct hz3_heap *heap, enum hz3_flush_cause cause)
{
	flush(heap, cause);
	hz3_heap_drain_all(heap, SIZE_MAX);
	flush(heap, cause);	/* what was forwarded */
}

void hz3_thread_settle(void)
{
	if (hz3_thread_heap->owner) {
		struct hz3_heap *heap = hz3_thread_begin();
		settle(heap, HZ3_FLUSH_IDLE);
		hz3_thread_end(heap);
	}
	/* Last: some of what was flushed is for the shared heap, whose own buffer is never left full. */
	hz3_lock(&shared_lock);
	settle(shared_heap, HZ3_FLUSH_IDLE);
	hz3_unlock(&shared_lock);
}

void hz3_thread_trim_shared(void)
{
	hz3_lock(&shared_lock);
	settle(shared_heap, HZ3_FLUSH_IDLE);
	hz3_heap_trim(shared_heap);
	hz3_unlock(&shared_lock);
}

/* What waits before it can be used again: the thread will not come back for it. */
static void give_up_delayed(struct hz3_heap *heap)
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

	give_up_delayed(heap);
	settle(heap, HZ3_FLUSH_EXIT);
	if (current_pages)
		hz3_heap_trim(heap);
	else
		hz3_heap_trim_stock(heap);
	hz3_buffer_return_budget(&heap->buffer);
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

	if (good)
		hz3_heap_set_arena(heap, arena);
	if (heap)
		hz3_thread_end(heap);
	return good;
}

bool hz3_thread_is_multi(void)
{
	return hz3_atomic_load(&entered, relaxed) > 1;
}

struct hz3_heap *hz3_thread_shared_heap(void)
{
	return shared_heap;
}

void hz3_thread_shared_lock(void)
{
	hz3_lock(&shared_lock);
}

void hz3_thread_shared_unlock(void)
{
	hz3_unlock(&shared_lock);
}

/*
 * Fork.  The forking thread takes every lock, so that what they protect is whole in the child.  Other threads' heaps are
 * not stopped: the child sees, of each vanished thread, a prefix of its stores, and takes over the heaps that were
 * not busy.
 *
 * A signal handler that forks may have interrupted a holder of locks, or a change of the thread's heap.  The parent has to
 * leave those alone; the child gives the thread another heap, and mends what the locks protect if it has use for it before the
 * interrupted code has gone on.
 */

/* By rank: these, the pools', that of huge blocks, the arenas', and those.  With the last of the first, no pool is added. */
static struct hz3_lock *const first_locks[] = { &fork_lock, &hz3_decay_lock, &hz3_abandon_lock, &shared_lock, &hz3_pools_lock };
static struct hz3_lock *const last_locks[] = { &hz3_window_lock, &hz3_flow_lock, &hz3_profile_lock, &hz3_meta_lock,
					    &hz3_guard_lock };

#define FIRST_LOCKS (sizeof(first_locks) / sizeof(first_locks[0]))
#define LAST_LOCKS (sizeof(last_locks) / sizeof(last_locks[0]))

static unsigned lock_count(void)
{
	return (unsigned)(FIRST_LOCKS + 1 + LAST_LOCKS) + hz3_pools_count() + hz3_arenas_count();
}

/*
 * Indices rise while pools are made, which they may be as long as their lock isn't held: who goes upwards meets a lock twice then,
 * and misses none.
 */
static struct hz3_lock *lock_at(unsigned i)
{
	if (i < FIRST_LOCKS)
		return first_locks[i];
	i -= (unsigned)FIRST_LOCKS;
	unsigned pools = hz3_pools_count();
	if (i < pools)
		return hz3_pool_lock(i);
	if (i == pools)
		return &hz3_large_lock;
	i -= pools + 1;
	return i < hz3_arenas_count() ? hz3_arena_lock(i) : last_locks[i - hz3_arenas_count()];
}

/* The last lock that this thread has; NULL: it has none. */
static const struct hz3_lock *last_lock_held(void)
{
	const struct hz3_lock *last = NULL;

	for (unsigned i = 0; i < lock_count(); i++)
		if (hz3_lock_held(lock_at(i)))
			last = lock_at(i);
	return last;
}

/* A fork of this thread inside of a fork of this thread, by a signal handler.  Touched by the thread that has the fork lock. */
static unsigned forks_within;

static void fork_prepare(void)
{
	struct hz3_heap *heap = hz3_thread_heap;

	if (hz3_lock_held(&fork_lock)) {
		forks_within++;
		return;
	}
	/* No more than that: the handler may have interrupted a malloc that is about to change the heap. */
	if (heap->owner && !hz3_atomic_load(&heap->busy, relaxed)) {
		if (hz3_heap_enter(heap))
			flush(heap, HZ3_FLUSH_FORK);
		hz3_heap_leave(heap);
	}
	/* Always: another thread may be inside its very first malloc, and nothing tells of it. */
	const struct hz3_lock *interrupted = last_lock_held();
	bool wait = interrupted == NULL;
	for (unsigned i = 0; i < lock_count(); i++) {
		struct hz3_lock *lock = lock_at(i);
		hz3_lock_fork_prepare(lock, wait);
		wait = wait || lock == interrupted;
	}
	hz3_lock_fork_begin();
}

static void fork_parent(void)
{
	if (forks_within) {
		forks_within--;
		return;
	}
	hz3_lock_fork_end();
	for (unsigned i = 0; i < lock_count(); i++)
		hz3_lock_fork_parent(lock_at(i));
}

/* In the child: nobody acts as the owner of this heap any more. */
static void lose(struct hz3_heap *heap)
{
	hz3_atomic_store(&heap->owner->state, HZ3_OWNER_LOST, relaxed);
	hz3_flow_end(heap->owner->frees);
	hz3_buffer_return_budget(&heap->buffer);
}

/* In the child: heaps of threads that vanished are parked, and mended before if they are not whole.  True: there were some. */
static bool park_vanished(struct hz3_heap *mine)
{
	bool any = false;

	hz3_lock(&hz3_abandon_lock);
	for (uint32_t id = 1; id <= hz3_owner_count(); id++) {
		struct hz3_owner *owner = hz3_owner_by_id(id);
		struct hz3_heap *heap = owner->heap;
		if (heap == mine || heap == shared_heap ||
		    hz3_atomic_load(&owner->state, relaxed) != HZ3_OWNER_RUNNING)
			continue;
		any = true;
		hz3_flow_end(owner->frees);
		if (!hz3_heap_is_whole(heap)) {
			hz3_heap_mend(heap);
			hz3_delayed_mend(heap);
		}
		hz3_abandon_park_locked(heap);
	}
	hz3_unlock(&hz3_abandon_lock);
	return any;
}

/* Queue the page anew if blocks wait in its word; the queues are empty now. */
static void rescan_word(size_t slice, struct hz3_owner *owner, struct hz3_counters *counters)
{
	struct hz3_page_remote *remote = hz3_remote_of(slice);
	uint64_t word = hz3_atomic_load(&remote->word, relaxed);

	/* Most pages: not to be written to, or the child gets a copy of every line. */
	if (word == 0)
		return;
	if (hz3_remote_count(word) == 0) {
		hz3_atomic_store(&remote->word, 0, relaxed);
		return;
	}
	hz3_atomic_store(&remote->word, word | HZ3_REMOTE_QUEUED, relaxed);
	hz3_pages_requeue(owner, hz3_page_at(slice), &counters->sink[HZ3_SINK_PAGE]);
	if (!hz3_owner_note_post(owner))
		hz3_abandon_request_drain();
}

/* The owner vanished between the last step of a countdown and what had to follow; or the page waited for its queue entry. */
static void rescan_countdown(struct hz3_page *page, struct hz3_owner *owner)
{
	if (hz3_atomic_load(&owner->state, relaxed) == HZ3_OWNER_PARKED && page->countdown == 0 &&
	    page->state != HZ3_PAGE_EMPTY)
		hz3_heap_page_event(owner->heap, page);
}

/* A pusher that vanished may have set QUEUED and not queued the page: no flag of the parent's is trusted. */
static void rescan_pages(struct hz3_counters *counters)
{
	for (uint32_t id = 1; id <= hz3_owner_count(); id++) {
		struct hz3_owner *owner = hz3_owner_by_id(id);
		hz3_atomic_store(&owner->inbox.page_queue, 0, relaxed);
		hz3_atomic_store(&owner->inbox.queue_rest, 0, relaxed);
	}
	size_t slices = hz3_page_map_slices();
	for (size_t slice = 1; slice < slices; slice++) {
		uint64_t route = hz3_route_of(slice);
		if (hz3_route_owner(route) == 0 || hz3_route_offset(route) != 0)
			continue;
		struct hz3_owner *owner = hz3_owner_by_id(hz3_route_owner(route));
		rescan_word(slice, owner, counters);
		rescan_countdown(hz3_page_at(slice), owner);
	}
}

/* What vanished threads had freed, or collected, and not sent. */
static void flush_vanished(void)
{
	for (uint32_t id = 1; id <= hz3_owner_count(); id++) {
		struct hz3_owner *owner = hz3_owner_by_id(id);
		if (hz3_atomic_load(&owner->state, relaxed) != HZ3_OWNER_PARKED)
			continue;
		give_up_delayed(owner->heap);
		flush(owner->heap, HZ3_FLUSH_FORK);
		hz3_buffer_return_budget(&owner->heap->buffer);
	}
}

/* The heap that this thread has left, since its signal handler had forked in the midst of a change.  Written in the child. */
static struct hz3_heap *left_heap;

static void leave_torn_heap(void)
{
	struct hz3_heap *heap = hz3_thread_heap;

	if (heap->owner == NULL || hz3_heap_is_whole(heap))
		return;
	hz3_thread_heap = &hz3_thread_absent;
	/* Before the fork somebody borrowed it; he is not there. */
	hz3_atomic_store(&heap->borrowed, 0, relaxed);
	lose(heap);
	left_heap = heap;
}

/* The interrupted code has gone on, and ended the change: the heap is whole. */
static struct hz3_heap *come_back(void)
{
	struct hz3_heap *heap = left_heap;

	if (heap == NULL || !hz3_heap_is_whole(heap))
		return NULL;
	left_heap = NULL;
	hz3_atomic_store(&heap->owner->state, HZ3_OWNER_RUNNING, relaxed);
	return heap;
}

static void mend_shared(struct hz3_lock *lock)
{
	struct hz3_heap *heap;

	(void)lock;
	if (hz3_heap_is_whole(shared_heap))
		return;
	heap = hz3_heap_new();
	if (heap == NULL) {
		/* A limit of the user's must not end the program. */
		size_t hard = hz3_limit_exchange_hard(0);
		heap = hz3_heap_new();
		hz3_limit_exchange_hard(hard);
	}
	if (heap == NULL)
		hz3_die("no memory to go on with after a fork in a signal handler");
	lose(shared_heap);
	shared_heap = heap;
}

/* The child of a fork, before it uses anything: what vanished threads have left behind. */
static void take_stock(void)
{
	struct hz3_heap *mine = hz3_thread_heap->owner ? hz3_thread_heap : shared_heap;

	hz3_decay_forget_thread();
	if (hz3_thread_heap->owner)
		hz3_flow_claim(hz3_thread_heap->owner->frees);
	hz3_atomic_store(&entered, hz3_thread_heap->owner ? 1 : 0, relaxed);
	if (park_vanished(mine) || hz3_sink_used()) {
		rescan_pages(&mine->counters);
		flush_vanished();
	}
	hz3_arenas_end_purges();
	count_memory();
	hz3_os_process_is_known();
}

/* Release what the fork took, and call torn what it could not take. */
static void sort_out_locks(void)
{
	for (unsigned i = 0; i < lock_count(); i++)
		hz3_lock_fork_child(lock_at(i));
}

static void fork_child(void)
{
	forks_within = 0;
	hz3_lock_fork_end();
	sort_out_locks();
	leave_torn_heap();
	/* What was interrupted may go on; so not before the next slow path, here or there: meet_new_process(). */
	if (last_lock_held() == NULL && hz3_os_meet_process())
		take_stock();
}

/*
 * A slow path in a process that nobody has told us of, or that could not take stock yet.  If a signal handler has forked, this is the
 * handler, or it has returned.
 */
static HZ3_NOINLINE void meet_new_process(void)
{
	/* The child of an ordinary fork, in the handler of somebody who registered it before we did ours. */
	if (hz3_lock_is_forking())
		return;
	if (!hz3_os_meet_process()) {
		/* Another thread of the child does it. */
		while (hz3_os_is_new_process())
			hz3_os_yield();
		return;
	}
	sort_out_locks();
	leave_torn_heap();
	take_stock();
}

/* The one who has the lock may not be there. */
static void before_sleep(void)
{
	if (hz3_os_is_new_process())
		meet_new_process();
}

/* A lock that the fork forgets would hang a child now and then. */
static bool every_rank_is_listed(void)
{
	unsigned ranks = 0;

	for (unsigned i = 0; i < lock_count(); i++)
		ranks |= 1u << lock_at(i)->rank;
	/* There may be no pool yet. */
	ranks |= 1u << HZ3_RANK_POOL;
	return ranks == (1u << HZ3_RANKS) - 1;
}

static void register_fork_handlers(void)
{
	hz3_assert(every_rank_is_listed());
	static _Atomic bool warned;
	int none = HANDLERS_NONE;

	/* relaxed: only who registers them has to know. */
	if (hz3_likely(hz3_atomic_load(&fork_handlers, relaxed) != HANDLERS_NONE) ||
	    !hz3_atomic_cas_strong(&fork_handlers, &none, HANDLERS_TRYING, seq_cst, seq_cst))
		return;
	int error = pthread_atfork(fork_prepare, fork_parent, fork_child);
	hz3_atomic_store(&fork_handlers, error ? HANDLERS_NONE : HANDLERS_THERE, relaxed);
	if (error && !hz3_atomic_exchange(&warned, true, relaxed))
		hz3_warn("no fork handlers yet: a fork from several threads may hang");
}

void hz3_thread_profile_begin(void)
{
	hz3_profile_begin();
	if (hz3_profile_on && hz3_thread_heap->owner)
		hz3_heap_apply_options(hz3_thread_heap);
}

/* The first malloc is usually earlier; what it may have missed is made good. */
static __attribute__((constructor)) void set_up_process(void)
{
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
