/*
 * Fork: what is done before one, and after it in the parent and in the child.
 *
 * The forking thread takes every lock, so that what they protect is whole in the child.  Other threads' heaps are
 * not stopped: the child sees, of each vanished thread, a prefix of its stores, and takes over the heaps that were
 * not busy.
 *
 * A signal handler that forks may have interrupted a holder of locks, or a change of the thread's heap.  The parent has to
 * leave those alone; the child gives the thread another heap, and mends what the locks protect if it has use for it before the
 * interrupted code has gone on.
 */
#include "fork.h"

#include <pthread.h>

#include "abandon.h"
#include "background.h"
#include "backtrace.h"
#include "decay.h"
#include "delayed.h"
#include "guard.h"
#include "large.h"
#include "meta.h"
#include "os_clock.h"
#include "os_process.h"
#include "os_stderr.h"
#include "pool.h"

static _Atomic bool handlers;		/* registered, or being so; relaxed: by the thread that sets it, and nothing hangs on it */
static struct hz3_lock fork_lock = HZ3_LOCK_INIT(HZ3_RANK_FORK, "fork", NULL);

/* By rank: these, the pools', that of huge blocks, the arenas', and those.  With the last of the first, no pool is added. */
static struct hz3_lock *const first_locks[] = { &fork_lock, &hz3_decay_lock, &hz3_abandon_lock, &hz3_shared_lock, &hz3_pools_lock };
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

/* Forks of this thread inside of a fork of this thread, by signal handlers. */
static _Thread_local __attribute__((tls_model("initial-exec"))) unsigned forks_within;

static void fork_prepare(void)
{
	/* Its locks first, if this is the child of a fork that nobody has told of. */
	hz3_fork_before_lock();
	struct hz3_heap *heap = hz3_thread_heap;

	if (hz3_lock_held(&fork_lock)) {
		forks_within++;
		return;
	}
	hz3_lock_pass_wake();
	const struct hz3_lock *interrupted = last_lock_held();
	/*
	 * No more than that: the handler may have interrupted a malloc that is about to change the heap, or one that has a lock for which
	 * another fork waits, which has those that a flush takes.
	 */
	if (!interrupted && heap->owner && !hz3_atomic_load(&heap->busy, relaxed)) {
		if (hz3_heap_enter(heap))
			hz3_thread_flush_heap(heap, HZ3_FLUSH_FORK);
		hz3_heap_leave(heap);
	}
	/* Always: another thread may be inside its very first malloc, and nothing tells of it. */
	uint64_t until_us = interrupted ? hz3_os_now_us() + HZ3_LOCK_PATIENCE_US : HZ3_LOCK_FOR_EVER;
	hz3_lock_fork_prepare(&fork_lock, until_us);
	if (hz3_lock_held(&fork_lock))
		hz3_backtrace_fork_prepare(!interrupted && !heap->profile.busy);
	for (unsigned i = 0; i < lock_count(); i++) {
		struct hz3_lock *lock = lock_at(i);
		hz3_lock_fork_prepare(lock, until_us);
		if (lock == interrupted)
			until_us = HZ3_LOCK_FOR_EVER;
	}
	hz3_lock_fork_begin(interrupted);
}

static void fork_parent(void)
{
	if (forks_within) {
		forks_within--;
		return;
	}
	hz3_lock_fork_end();
	if (hz3_lock_held(&fork_lock))
		hz3_backtrace_fork_parent();
	for (unsigned i = 0; i < lock_count(); i++)
		hz3_lock_fork_parent(lock_at(i));
}

void hz3_fork_lose(struct hz3_heap *heap)
{
	hz3_atomic_store(&heap->owner->state, HZ3_OWNER_LOST, relaxed);
	hz3_flow_end(heap->owner->frees);
	hz3_buffer_return_budget(&heap->buffer);
}

void hz3_fork_mend(struct hz3_heap *heap)
{
	hz3_heap_mend(heap);
	hz3_delayed_mend(heap);
}

/* Parked, or the shared one, and somebody has its stock: none of their users is in the midst of a change then. */
static bool is_lent(const struct hz3_heap *heap)
{
	return hz3_atomic_load(&heap->borrowed, relaxed) && !hz3_atomic_load(&heap->busy, relaxed);
}

/*
 * In the child: heaps of threads that vanished are parked, and mended before if they are not whole; so are those that were lent to somebody
 * who is not there.  True: some threads vanished.
 */
static bool park_vanished(struct hz3_heap *mine)
{
	/* A signal handler may have interrupted this thread when it had others' heaps: it may go on with them. */
	bool any = false, lends = hz3_lock_held(&hz3_decay_lock);

	hz3_lock(&hz3_abandon_lock);
	for (uint32_t id = 1; id <= hz3_owner_count(); id++) {
		struct hz3_owner *owner = hz3_owner_by_id(id);
		struct hz3_heap *heap = owner->heap;
		int state = hz3_atomic_load(&owner->state, relaxed);
		if (heap == mine)
			continue;
		if (heap == hz3_thread_shared_heap() || state == HZ3_OWNER_PARKED) {
			if (!lends && is_lent(heap))
				hz3_fork_mend(heap);
			continue;
		}
		if (state != HZ3_OWNER_RUNNING)
			continue;
		any = true;
		hz3_flow_end(owner->frees);
		if (!hz3_heap_is_whole(heap))
			hz3_fork_mend(heap);
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
		hz3_thread_give_up_delayed(owner->heap);
		hz3_thread_flush_heap(owner->heap, HZ3_FLUSH_FORK);
		hz3_buffer_return_budget(&owner->heap->buffer);
	}
}

/* The heap that this thread has left, since its signal handler had forked in the midst of a change.  Written in the child. */
static struct hz3_heap *_Atomic left_heap;

static bool left_while_lent;	/* to somebody who is not there, and may have been in the midst of a change; written before left_heap */

static void leave_torn_heap(void)
{
	struct hz3_heap *heap = hz3_thread_heap;

	if (heap->owner == NULL || hz3_heap_is_whole(heap))
		return;
	hz3_thread_heap = &hz3_thread_absent;
	left_while_lent = hz3_atomic_load(&heap->borrowed, relaxed);
	hz3_atomic_store(&heap->borrowed, 0, relaxed);
	hz3_fork_lose(heap);
	/* release: pairs with the acquire below. */
	hz3_atomic_store(&left_heap, heap, release);
}

struct hz3_heap *hz3_fork_come_back(void)
{
	/* acquire: pairs with the release above. */
	struct hz3_heap *heap = hz3_atomic_load(&left_heap, acquire);

	/* Whoever of the child's threads is first has it. */
	if (heap == NULL || !hz3_heap_is_whole(heap) || hz3_atomic_exchange(&left_heap, NULL, relaxed) != heap)
		return NULL;
	if (left_while_lent)
		hz3_fork_mend(heap);
	hz3_atomic_store(&heap->owner->state, HZ3_OWNER_RUNNING, relaxed);
	return heap;
}

/* Nobody has the heaps who has them according to the marks. */
static void end_loans(void)
{
	for (uint32_t id = 1; id <= hz3_owner_count(); id++) {
		struct hz3_heap *heap = hz3_owner_by_id(id)->heap;
		if (hz3_atomic_load(&heap->borrowed, relaxed))
			hz3_atomic_store(&heap->loan_was_cut, true, relaxed);
	}
}

/*
 * The child of a fork, before it uses anything: what vanished threads have left behind.  A thread that the child has started, before its first
 * thread had any reason to come by here, can't tell the heap of that from those of vanished threads: these stay as they are, owners that sleep.
 */
static void take_stock(void)
{
	struct hz3_heap *mine = hz3_thread_heap;

	hz3_decay_forget_thread();
	if (mine->owner)
		hz3_flow_claim(mine->owner->frees);
	hz3_thread_forget_others();
	if (hz3_os_thread_id() != hz3_os_process_id()) {
		end_loans();
	} else if (park_vanished(mine) || hz3_sink_used()) {
		rescan_pages(mine->owner ? &mine->counters : &hz3_thread_shared_heap()->counters);
		flush_vanished();
	}
	hz3_arenas_end_purges();
	hz3_thread_count_memory();
	hz3_os_process_is_ours();
	hz3_os_process_is(HZ3_PROCESS_KNOWN);
}

/* Nobody is forking; release what the fork took, and call torn what it could not take. */
static void sort_out_locks(void)
{
	forks_within = 0;
	hz3_lock_new_process();
	hz3_backtrace_fork_child();
	for (unsigned i = 0; i < lock_count(); i++)
		hz3_lock_fork_child(lock_at(i));
}

/*
 * Has this thread begun something that it will go on with?  Then pages that it has taken from a queue, or is about to put on one, are in
 * its hands: to queue these anew would queue them twice.
 */
static bool is_in_the_midst(void)
{
	struct hz3_heap *heap = hz3_thread_heap, *left = hz3_atomic_load(&left_heap, relaxed);

	return last_lock_held() != NULL || (heap->owner && !hz3_heap_is_whole(heap)) || (left && !hz3_heap_is_whole(left));
}

/* The first step in a new process, before any thread of it takes a lock. */
static void sort_out_locks_once(void)
{
	if (hz3_os_process_step(HZ3_PROCESS_NEW, HZ3_PROCESS_SORTS_LOCKS)) {
		sort_out_locks();
		hz3_background_is_bare(true);
		hz3_os_process_is(HZ3_PROCESS_HAS_LOCKS);
	}
	while (hz3_os_process_state() == HZ3_PROCESS_SORTS_LOCKS)
		hz3_os_yield();
}

/* The second one.  False: somebody else is doing it, or has done it. */
static bool take_stock_once(void)
{
	if (!hz3_os_process_step(HZ3_PROCESS_HAS_LOCKS, HZ3_PROCESS_TAKES_STOCK))
		return false;
	leave_torn_heap();
	take_stock();
	return true;
}

/* Here it is certain that the process is another, also where the system can't tell. */
static void fork_child(void)
{
	sort_out_locks();
	hz3_os_let_go_of_stderr();
	hz3_background_is_bare(false);
	hz3_os_process_is(HZ3_PROCESS_HAS_LOCKS);
	/* What was interrupted may go on; so not before the next slow path: hz3_fork_meet_new_process(). */
	if (is_in_the_midst())
		leave_torn_heap();
	else
		take_stock_once();
}

HZ3_NOINLINE void hz3_fork_meet_new_process(void)
{
	/* The child of an ordinary fork, in the handler of somebody who registered it before we did ours. */
	if (hz3_lock_is_forking())
		return;
	sort_out_locks_once();
	if (!take_stock_once())
		while (hz3_os_is_new_process())
			hz3_os_yield();
}

/* In the child, while other people's handlers run before ours: somebody had taken a lock over from the fork. */
static void miss_vanished(void)
{
	for (unsigned i = 0; i < lock_count(); i++)
		hz3_lock_fork_miss(lock_at(i));
}

void hz3_fork_before_lock(void)
{
	if (hz3_likely(!hz3_os_is_new_process()))
		return;
	if (hz3_lock_is_forking()) {
		miss_vanished();
		return;
	}
	sort_out_locks_once();
	if (!is_in_the_midst())
		take_stock_once();
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

void hz3_fork_register(void)
{
	hz3_assert(every_rank_is_listed());
	static _Atomic bool warned;

	if (hz3_likely(hz3_atomic_load(&handlers, relaxed)) || hz3_atomic_exchange(&handlers, true, relaxed))
		return;
	int error = pthread_atfork(fork_prepare, fork_parent, fork_child);
	if (error)
		hz3_atomic_store(&handlers, false, relaxed);
	if (error && !hz3_atomic_exchange(&warned, true, relaxed))
		hz3_warn("no fork handlers yet: a fork from several threads may hang");
}
