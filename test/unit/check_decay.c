/*
 * Tests of decay.h and scavenge.h: when memory goes back, on a clock that only the test moves; and how the memory of
 * owners that sleep is got at.
 */
#include "core.h"

#include <sys/resource.h>

#include "abandon.h"
#include "alloc.h"
#include "decay.h"
#include "os_clock.h"
#include "os_process.h"
#include "scavenge.h"
#include "thread.h"

#define MIB ((size_t)1 << 20)
#define CLASS 3u			/* 64 bytes */

static void set_up(void)
{
	core_fake_os();
	hz3_options.background_thread = false;
}

/* A run of so many bytes, freed: dirty memory that is as old as now, and all there, whatever dirty_max is. */
static void make_dirty(size_t bytes)
{
	char *p = hz3_alloc(bytes);
	size_t dirty_max = hz3_options.dirty_max;

	ck_assert_ptr_nonnull(p);
	for (size_t i = 0; i < bytes; i += 4096)
		p[i] = 1;
	hz3_options.dirty_max = SIZE_MAX;
	hz3_alloc_free(p);
	hz3_options.dirty_max = dirty_max;
	ck_assert_uint_ge(hz3_arenas_dirty(), bytes);
}

/* ---- By age ---- */

START_TEST(purged_when_old_enough)
{
	uint64_t start = core_now;

	hz3_options.dirty_decay_ms = 2000;
	make_dirty(4 * MIB);
	int madvises = core_os.madvises;
	for (; core_now < start + 2000; core_now += 7) {
		hz3_decay_tick();
		ck_assert_uint_ge(hz3_arenas_dirty(), 4 * MIB);
	}
	ck_assert_int_eq(core_os.madvises, madvises);
	/* Looked at four times in a decay period. */
	for (; core_now < start + 2500 + 7; core_now += 7)
		hz3_decay_tick();
	ck_assert_uint_eq(hz3_arenas_dirty(), 0);
	ck_assert_int_gt(core_os.madvises, madvises);
}
END_TEST

START_TEST(never)
{
	hz3_options.dirty_decay_ms = -1;
	hz3_options.dirty_max = MIB;
	make_dirty(4 * MIB);
	for (int i = 0; i < 100; i++, core_now += 1000000)
		hz3_decay_tick();
	ck_assert_uint_ge(hz3_arenas_dirty(), 4 * MIB);
	ck_assert_int_eq(hz3_decay_ms(), -1);
	/* But on request. */
	ck_assert_uint_ge(hz3_decay_purge_all(), 4 * MIB);
	ck_assert_uint_eq(hz3_arenas_dirty(), 0);
}
END_TEST

START_TEST(at_once)
{
	hz3_options.dirty_decay_ms = 0;
	/* The first call looks. */
	hz3_alloc(16);
	core_now += 1000;
	make_dirty(4 * MIB);
	hz3_decay_tick();
	ck_assert_uint_eq(hz3_arenas_dirty(), 0);
}
END_TEST

START_TEST(set_while_running)
{
	hz3_options.dirty_decay_ms = 5000;
	ck_assert_int_eq(hz3_decay_ms(), 5000);
	hz3_decay_set_ms(-1);
	ck_assert_int_eq(hz3_decay_ms(), -1);
	make_dirty(4 * MIB);
	core_now += 100000;
	hz3_decay_tick();
	ck_assert_uint_ge(hz3_arenas_dirty(), 4 * MIB);
	hz3_decay_set_ms(100);
	hz3_decay_tick();
	ck_assert_uint_eq(hz3_arenas_dirty(), 0);
}
END_TEST

/* Nobody has to call anything but malloc and free. */
START_TEST(by_slow_paths)
{
	hz3_options.dirty_decay_ms = 1000;
	hz3_options.huge_threshold = 8 * MIB;
	make_dirty(4 * MIB);
	core_now += 3000;
	/* Mappings of their own, which leave the free run alone. */
	for (int i = 0; i < HZ3_DECAY_TICKS; i++)
		hz3_alloc_free(hz3_alloc(9 * MIB));
	ck_assert_uint_eq(hz3_arenas_dirty(), 0);
}
END_TEST

/* While nobody could purge the rest if the process fell idle, there is a limit. */
START_TEST(limited_without_background_thread)
{
	hz3_options.dirty_decay_ms = 1000000;
	hz3_options.dirty_max = 8 * MIB;
	make_dirty(7 * MIB);
	hz3_decay_tick();
	ck_assert_uint_ge(hz3_arenas_dirty(), 7 * MIB);
	make_dirty(20 * MIB);
	hz3_decay_tick();
	ck_assert_uint_le(hz3_arenas_dirty(), 8 * MIB);
	/* And with slow paths alone: never much over it. */
	for (int i = 0; i < 400; i++) {
		void *p[5];
		for (int j = 0; j < 5; j++)
			p[j] = hz3_alloc(300000);
		for (int j = 0; j < 5; j++)
			hz3_alloc_free(p[j]);
		ck_assert_uint_le(hz3_arenas_dirty(), 8 * MIB + HZ3_DECAY_TICKS * 300000);
	}
}
END_TEST

/* A few large blocks leave no more, with no call after them. */
START_TEST(limited_after_large_blocks)
{
	void *p[12];

	hz3_options.dirty_decay_ms = 1000000;
	hz3_options.dirty_max = 8 * MIB;
	for (int i = 0; i < 12; i++)
		p[i] = hz3_alloc(4 * MIB);
	for (int i = 0; i < 12; i++)
		hz3_alloc_free(p[i]);
	ck_assert_uint_le(hz3_arenas_dirty(), 8 * MIB);
}
END_TEST

/* What is needed again within a second may stay from then on, up to three times the limit more, until it is not for a second. */
START_TEST(what_was_missed_stays)
{
	hz3_options.dirty_decay_ms = 1000000;
	hz3_options.dirty_max = 8 * MIB;
	core_now += 5000;
	/* Too seldom. */
	for (int i = 0; i < 3; i++) {
		make_dirty(20 * MIB);
		core_now += 1500;
		hz3_decay_tick();
		ck_assert_uint_le(hz3_arenas_dirty(), 8 * MIB);
	}
	make_dirty(20 * MIB);
	core_now += 500;
	hz3_decay_tick();
	ck_assert_uint_ge(hz3_arenas_dirty(), 20 * MIB);
	void *p[] = { hz3_alloc(20 * MIB), hz3_alloc(20 * MIB) };
	hz3_options.dirty_max = SIZE_MAX;
	hz3_alloc_free(p[0]);
	hz3_alloc_free(p[1]);
	hz3_options.dirty_max = 8 * MIB;
	ck_assert_uint_ge(hz3_arenas_dirty(), 40 * MIB);
	core_now += 500;
	hz3_decay_tick();
	ck_assert_uint_le(hz3_arenas_dirty(), 32 * MIB);
	ck_assert_uint_ge(hz3_arenas_dirty(), 15 * MIB);
	core_now += 1500;
	hz3_decay_tick();
	ck_assert_uint_le(hz3_arenas_dirty(), 8 * MIB);
}
END_TEST

/* Purging fails: it stays dirty and is tried again, when it has aged again. */
START_TEST(system_refuses)
{
	hz3_options.dirty_decay_ms = 1000;
	make_dirty(4 * MIB);
	core_os.fail_madvise = true;
	core_now += 2000;
	hz3_decay_tick();
	ck_assert_uint_ge(hz3_arenas_dirty(), 4 * MIB);
	int tried = core_os.madvises;
	for (int i = 0; i < 3; i++, core_now += 300)
		hz3_decay_tick();
	ck_assert_int_eq(core_os.madvises, tried);
	core_os.fail_madvise = false;
	core_now += 1000;
	hz3_decay_tick();
	ck_assert_uint_eq(hz3_arenas_dirty(), 0);
}
END_TEST

/* So that memory given back is of use to others. */
static void limit_data(void)
{
	/* More than the shadow memory of the sanitizers. */
	struct rlimit limit = {(rlim_t)1 << 60, (rlim_t)1 << 60};

	ck_assert_int_eq(setrlimit(RLIMIT_DATA, &limit), 0);
}

START_TEST(purge_all_and_reclaim)
{
	void *p[3000];

	hz3_options.dirty_decay_ms = -1;
	for (int i = 0; i < 3000; i++)
		p[i] = hz3_alloc(1000);
	for (int i = 0; i < 3000; i++)
		hz3_alloc_free(p[i]);
	size_t bytes = hz3_decay_purge_all();
	ck_assert_uint_ge(bytes, 2 * MIB);
	/* Not even a current page is left. */
	ck_assert_uint_eq(hz3_arenas_active(), 0);
	ck_assert_uint_eq(hz3_arenas_dirty(), 0);
	ck_assert_uint_gt(hz3_arenas_committed(), 0);
	/* Without a limit it would only cost mappings. */
	ck_assert(!hz3_decay_reclaim());
	ck_assert_uint_gt(hz3_arenas_committed(), 0);
	limit_data();
	ck_assert(hz3_decay_reclaim());
	ck_assert_uint_eq(hz3_arenas_committed(), 0);
	ck_assert(!hz3_decay_reclaim());
	ck_assert_ptr_nonnull(hz3_alloc(1000));
}
END_TEST

/* ---- The background thread, on the real clock ---- */

static void sleep_ms(unsigned ms)
{
	hz3_os_sleep_ms(ms);
}

static void *make_dirty_and_end(void *arg)
{
	(void)arg;
	make_dirty(4 * MIB);
	hz3_decay_tick();
	return NULL;
}

START_TEST(background_thread)
{
	hz3_options.background_thread = true;
	hz3_options.dirty_decay_ms = 200;
	/* Not in a process without threads, whatever there is to do. */
	make_dirty(4 * MIB);
	hz3_decay_tick();
	ck_assert(!hz3_decay_thread_runs());
	hz3_arenas_purge(0);
	core_run(make_dirty_and_end, NULL);
	ck_assert(hz3_decay_thread_runs());
	/* Nobody calls anything.  On a busy machine the thread may have to wait for its turn. */
	for (int i = 0; i < 5000 && hz3_arenas_dirty() > 0; i++)
		sleep_ms(10);
	ck_assert_uint_eq(hz3_arenas_dirty(), 0);
	int status = -1;
	pid_t pid = fork();
	if (pid == 0) {
		/* It is not there in the child, and comes back when there is need. */
		if (hz3_decay_thread_runs())
			_exit(1);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	ck_assert(hz3_decay_thread_runs());
}
END_TEST

static void *free_one(void *arg)
{
	hz3_alloc_free(hz3_alloc(500000));
	pthread_barrier_wait(arg);
	pthread_barrier_wait(arg);
	return NULL;
}

/* Each keeps in its stock what it has freed, and sleeps: nothing else says that there is something to do. */
START_TEST(background_thread_for_stocks)
{
	enum { N = 60 };
	pthread_barrier_t gate;
	pthread_t thread[N];

	hz3_options.background_thread = true;
	hz3_options.dirty_max = 8 * MIB;
	pthread_barrier_init(&gate, NULL, N + 1);
	for (int i = 0; i < N; i++)
		thread[i] = core_start(free_one, &gate);
	pthread_barrier_wait(&gate);
	ck_assert(hz3_decay_thread_runs());
	pthread_barrier_wait(&gate);
	for (int i = 0; i < N; i++)
		pthread_join(thread[i], NULL);
}
END_TEST

/* ---- Owners that sleep ---- */

static _Atomic bool stop_looking;

#define PAGES 64

static struct sleeper {
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	void **blocks;
	size_t n;
	struct hz3_heap *heap;
	size_t frees_every;	/* 0: nothing of its own */
	bool ready, go_on;
} sleeper = { .mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };

/* Allocates, sleeps until told, and then goes on as if nothing had been. */
static void *allocate_and_sleep(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&sleeper.mutex);
	for (size_t i = 0; i < sleeper.n; i++)
		memset(sleeper.blocks[i] = hz3_alloc(64), 1, 64);
	for (size_t i = 0; sleeper.frees_every && i < sleeper.n; i += sleeper.frees_every) {
		hz3_alloc_free(sleeper.blocks[i]);
		sleeper.blocks[i] = NULL;
	}
	sleeper.heap = hz3_thread_heap;
	sleeper.ready = true;
	pthread_cond_broadcast(&sleeper.wake);
	while (!sleeper.go_on)
		pthread_cond_wait(&sleeper.wake, &sleeper.mutex);
	for (size_t i = 0; i < sleeper.n; i++)
		sleeper.blocks[i] = hz3_alloc(64);
	hz3_heap_validate(hz3_thread_heap);
	pthread_mutex_unlock(&sleeper.mutex);
	return NULL;
}

static pthread_t start_sleeper(void)
{
	/* A heap of our own first, so that it is not the shared one that frees. */
	hz3_alloc_free(hz3_alloc(1));
	sleeper.n = PAGES * hz3_class_info[CLASS].capacity;
	sleeper.blocks = calloc(sleeper.n, sizeof(*sleeper.blocks));
	pthread_t thread = core_start(allocate_and_sleep, NULL);
	pthread_mutex_lock(&sleeper.mutex);
	while (!sleeper.ready)
		pthread_cond_wait(&sleeper.wake, &sleeper.mutex);
	pthread_mutex_unlock(&sleeper.mutex);
	return thread;
}

/* In random order, with a small budget: whole pages are not seen by the buffer. */
static void free_all_of_sleepers(void)
{
	unsigned long seed = core_seed(13);

	hz3_options.remote_budget = 16 << 10;
	for (size_t i = sleeper.n; i-- > 1;) {
		size_t j = core_pick(&seed, i + 1);
		void *p = sleeper.blocks[i];

		sleeper.blocks[i] = sleeper.blocks[j];
		sleeper.blocks[j] = p;
	}
	for (size_t i = 0; i < sleeper.n; i++)
		hz3_alloc_free(sleeper.blocks[i]);
	hz3_thread_flush_buffer();
}

static void let_go_on(pthread_t thread)
{
	pthread_mutex_lock(&sleeper.mutex);
	sleeper.go_on = true;
	pthread_cond_broadcast(&sleeper.wake);
	pthread_mutex_unlock(&sleeper.mutex);
	pthread_join(thread, NULL);
}

static void wake_sleeper(pthread_t thread)
{
	let_go_on(thread);
	ck_assert_uint_eq(core_audit(sleeper.blocks, sleeper.n), core_in_words());
}

/* One round of the background thread. */
static size_t scavenge_round(void)
{
	hz3_lock(&hz3_decay_lock);
	struct hz3_heap *heap = hz3_thread_begin();
	size_t pages = hz3_scavenge_sleepers_locked(heap);
	hz3_thread_end(heap);
	hz3_unlock(&hz3_decay_lock);
	return pages;
}

START_TEST(sleepers_pages_are_taken)
{
	hz3_sink_set_mode(_i);
	pthread_t thread = start_sleeper();
	size_t active = hz3_arenas_active(), taken = 0;

	ck_assert_uint_ge(active, PAGES * HZ3_SLICE);
	scavenge_round();
	scavenge_round();
	free_all_of_sleepers();
	for (int i = 0; i < 3; i++)
		taken += scavenge_round();
	hz3_decay_purge_all();
	/* All but the page that is current there, and those that were near completion in a buffer. */
	ck_assert_uint_le(hz3_arenas_active(), active / 16);
	ck_assert_uint_gt(taken + hz3_thread_heap->counters.handover_pages, PAGES / 2);
	hz3_arenas_validate();
	wake_sleeper(thread);
}
END_TEST

/*
 * Pages of which the sleeper has freed a part itself, so that they never are whole in their words: few blocks of each, so that they sleep as well; or
 * so many that they are awake; or all but a few, so that too little is sent for them to be queued.
 */
static const size_t own_frees[] = { 512, 100, 2 };

START_TEST(pages_with_frees_of_the_sleepers_own_are_taken)
{
	size_t taken = 0;

	if (hz3_os_barrier_everywhere() != 0)
		return;
	hz3_sink_set_mode(_i % 2);
	sleeper.frees_every = own_frees[_i / 2];
	pthread_t thread = start_sleeper();
	struct hz3_heap *heaps[] = { hz3_thread_heap, sleeper.heap };
	uint64_t own = core_freed_local(sleeper.heap, CLASS);
	free_all_of_sleepers();
	for (int i = 0; i < 5; i++)
		taken += scavenge_round();
	taken += hz3_thread_heap->counters.handover_pages;
	ck_assert_uint_ge(taken, PAGES - PAGES / 8);
	hz3_arenas_validate();
	ck_assert_uint_eq(core_freed_local(sleeper.heap, CLASS), own);
	ck_assert_uint_eq(hz3_thread_heap->counters.class[CLASS].freed_local, 0);
	size_t waits = core_audit(NULL, 0);
	if (HZ3_STATS)
		ck_assert_uint_eq(core_counted_live(heaps, 2, CLASS), waits);
	wake_sleeper(thread);
}
END_TEST

/* The owner goes on freeing while its heap is looked at: no page of it that has a block in use is taken. */
static void *free_and_allocate(void *arg)
{
	unsigned long seed = core_seed(5);
	static void *mine[4096];

	(void)arg;
	for (unsigned round = 0; round < 200000; round++) {
		size_t i = core_pick(&seed, 4096);
		if (mine[i]) {
			ck_assert_int_eq(*(unsigned char *)mine[i], i & 0xff);
			hz3_alloc_free(mine[i]);
			mine[i] = NULL;
		} else {
			memset(mine[i] = hz3_alloc(64), (int)(i & 0xff), 64);
		}
	}
	for (size_t i = 0; i < 4096; i++)
		hz3_alloc_free(mine[i]);
	atomic_store(&stop_looking, true);
	return NULL;
}

START_TEST(owners_that_only_seem_to_sleep)
{
	if (hz3_os_barrier_everywhere() != 0)
		return;
	atomic_store(&stop_looking, false);
	hz3_alloc_free(hz3_alloc(1));
	pthread_t thread = core_start(free_and_allocate, NULL);
	while (!atomic_load(&stop_looking)) {
		hz3_lock(&hz3_decay_lock);
		struct hz3_heap *heap = hz3_thread_begin();
		hz3_scavenge_all_locked(heap);
		hz3_thread_end(heap);
		hz3_unlock(&hz3_decay_lock);
	}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(core_audit(NULL, 0), core_in_words());
}
END_TEST

/* An owner that does anything between two rounds is not asleep; and one for whom nothing was posted is not disturbed, but now and then. */
START_TEST(only_sleepers)
{
	hz3_sink_set_mode(_i);
	pthread_t thread = start_sleeper();
	free_all_of_sleepers();
	hz3_options.remote_budget = 0;
	for (int i = 0; i < 5; i++) {
		atomic_fetch_add(&sleeper.heap->owner->progress, 1);
		ck_assert_uint_eq(scavenge_round(), 0);
	}
	ck_assert_uint_eq(scavenge_round(), 0);
	atomic_store(&sleeper.heap->owner->posted, 0);
	sleeper.heap->owner->seen_passes = 4;
	ck_assert_uint_eq(scavenge_round(), 0);
	ck_assert_uint_eq(scavenge_round(), 0);
	ck_assert_uint_eq(scavenge_round(), 0);
	ck_assert_uint_gt(scavenge_round(), 0);
	wake_sleeper(thread);
}
END_TEST

/* Without handover, nothing is taken and nothing lost. */
START_TEST(no_handover)
{
	hz3_sink_set_mode(_i);
	hz3_options.handover = false;
	pthread_t thread = start_sleeper();
	size_t active = hz3_arenas_active();

	free_all_of_sleepers();
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(scavenge_round(), 0);
	ck_assert_uint_ge(hz3_arenas_active(), active);
	wake_sleeper(thread);
}
END_TEST

/* A part of the blocks: incomplete pages stay where they are, whatever is tried, and come home when the owner wakes. */
START_TEST(incomplete_pages_stay)
{
	hz3_sink_set_mode(_i);
	pthread_t thread = start_sleeper();
	unsigned capacity = hz3_class_info[CLASS].capacity;
	size_t n = sleeper.n;

	for (size_t i = 0; i < n; i++)
		if (i % capacity != 7)
			hz3_alloc_free(sleeper.blocks[i]);
	hz3_thread_flush_buffer();
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(scavenge_round(), 0);
	/* The last blocks complete them. */
	for (size_t i = 7; i < n; i += capacity)
		hz3_alloc_free(sleeper.blocks[i]);
	hz3_thread_flush_buffer();
	size_t pages = scavenge_round() + scavenge_round() + hz3_thread_heap->counters.handover_pages;
	ck_assert_uint_ge(pages, PAGES - 2);
	wake_sleeper(thread);
}
END_TEST

/* What a sleeping thread has freed and not sent is sent for it; when it wakes up, it finds its buffer empty. */
static void *free_and_sleep(void *arg)
{
	void **blocks = arg;

	pthread_mutex_lock(&sleeper.mutex);
	for (int i = 0; i < 100; i++)
		hz3_alloc_free(blocks[i]);
	/* The run of a large block stays in the stock. */
	hz3_alloc_free(hz3_alloc(8 * HZ3_SLICE));
	sleeper.heap = hz3_thread_heap;
	sleeper.ready = true;
	pthread_cond_broadcast(&sleeper.wake);
	while (!sleeper.go_on)
		pthread_cond_wait(&sleeper.wake, &sleeper.mutex);
	ck_assert_uint_eq(hz3_thread_heap->buffer.held_bytes, 0);
	for (int i = 100; i < 200; i++)
		hz3_alloc_free(blocks[i]);
	ck_assert_uint_gt(hz3_thread_heap->buffer.held_bytes, 0);
	pthread_mutex_unlock(&sleeper.mutex);
	return NULL;
}

START_TEST(sleepers_buffers_are_flushed)
{
	void *blocks[200];

	if (hz3_os_barrier_everywhere() != 0)
		return;
	hz3_sink_set_mode(_i);
	for (int i = 0; i < 200; i++)
		blocks[i] = hz3_alloc(64);
	pthread_t thread = core_start(free_and_sleep, blocks);
	pthread_mutex_lock(&sleeper.mutex);
	while (!sleeper.ready)
		pthread_cond_wait(&sleeper.wake, &sleeper.mutex);
	pthread_mutex_unlock(&sleeper.mutex);
	ck_assert_uint_eq(sleeper.heap->buffer.held_bytes, 6400);
	ck_assert_uint_eq(hz3_stock_slices(&sleeper.heap->stock), 8);
	scavenge_round();
	ck_assert_uint_eq(sleeper.heap->buffer.held_bytes, 6400);
	/* A thread that is in the middle of something keeps its buffer. */
	atomic_store(&sleeper.heap->busy, 1);
	for (int i = 0; i < 5; i++)
		scavenge_round();
	ck_assert_uint_eq(sleeper.heap->buffer.held_bytes, 6400);
	ck_assert_uint_eq(hz3_stock_slices(&sleeper.heap->stock), 8);
	atomic_store(&sleeper.heap->busy, 0);
	scavenge_round();
	ck_assert_uint_eq(sleeper.heap->buffer.held_bytes, 0);
	ck_assert_uint_eq(hz3_stock_slices(&sleeper.heap->stock), 0);
	ck_assert_uint_eq(sleeper.heap->borrowed, 0);
	hz3_thread_settle();
	ck_assert_uint_eq(core_audit(blocks + 100, 100), core_in_words());
	let_go_on(thread);
	hz3_thread_settle();
	ck_assert_uint_eq(core_audit(NULL, 0), core_in_words());
}
END_TEST

/* As statistics do. */
static void *hold_decay_lock(void *gate)
{
	hz3_lock(&hz3_decay_lock);
	pthread_barrier_wait(gate);
	sleep_ms(20);
	hz3_unlock(&hz3_decay_lock);
	return NULL;
}

/* Somebody has the lock, and does nothing of what we were to do. */
START_TEST(reclaim_waits_for_its_turn)
{
	void *blocks[200];
	pthread_barrier_t gate;

	if (hz3_os_barrier_everywhere() != 0)
		return;
	for (int i = 0; i < 200; i++)
		blocks[i] = hz3_alloc(64);
	pthread_t thread = core_start(free_and_sleep, blocks);
	pthread_mutex_lock(&sleeper.mutex);
	while (!sleeper.ready)
		pthread_cond_wait(&sleeper.wake, &sleeper.mutex);
	pthread_mutex_unlock(&sleeper.mutex);
	ck_assert_uint_eq(hz3_stock_slices(&sleeper.heap->stock), 8);
	pthread_barrier_init(&gate, NULL, 2);
	pthread_t holder = core_start(hold_decay_lock, &gate);
	pthread_barrier_wait(&gate);
	hz3_decay_purge_all();
	ck_assert_uint_eq(hz3_stock_slices(&sleeper.heap->stock), 0);
	pthread_join(holder, NULL);
	let_go_on(thread);
	hz3_thread_settle();
	ck_assert_uint_eq(core_audit(NULL, 0), core_in_words());
}
END_TEST

/* The owner may wake up at any moment: it drains and allocates while its pages are being taken. */
static _Atomic bool stop;
static _Atomic uint64_t handed;
#define BOX 4096
static _Atomic(void *) box[BOX];

static void *allocate_in_bursts(void *arg)
{
	unsigned long seed = (unsigned long)(uintptr_t)arg;

	for (int burst = 0; burst < 30; burst++) {
		for (int i = 0; i < 3000; i++) {
			uintptr_t *p = hz3_alloc(64 + 64 * (i % 2));

			ck_assert_ptr_nonnull(p);
			p[0] = p[5] = (uintptr_t)p;
			hz3_alloc_free(atomic_exchange(&box[core_pick(&seed, BOX)], p));
		}
		hz3_os_sleep_ms(1);
	}
	stop = true;
	return NULL;
}

static void *free_from_box(void *arg)
{
	unsigned long seed = (unsigned long)(uintptr_t)arg;

	while (!stop) {
		uintptr_t *p = atomic_exchange(&box[core_pick(&seed, BOX)], NULL);

		if (p) {
			ck_assert_uint_eq(p[0], (uintptr_t)p);
			ck_assert_uint_eq(p[5], (uintptr_t)p);
			hz3_alloc_free(p);
			handed++;
		} else if (core_pick(&seed, 100) == 0) {
			hz3_thread_flush_buffer();
		}
	}
	return NULL;
}

START_TEST(owner_wakes_at_any_time)
{
	unsigned long seed = core_seed(14);
	pthread_t thread[3];

	hz3_sink_set_mode(_i);
	hz3_options.remote_budget = 20000;
	hz3_alloc_free(hz3_alloc(1));
	thread[0] = core_start(allocate_in_bursts, (void *)(uintptr_t)seed);
	thread[1] = core_start(free_from_box, (void *)(uintptr_t)(seed + 1));
	thread[2] = core_start(free_from_box, (void *)(uintptr_t)(seed + 2));
	while (!stop) {
		hz3_lock(&hz3_decay_lock);
		struct hz3_heap *heap = hz3_thread_begin();
		hz3_scavenge_all_locked(heap);
		hz3_heap_trim(heap);
		hz3_thread_end(heap);
		hz3_unlock(&hz3_decay_lock);
		sched_yield();
	}
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_gt(handed, 0);
	hz3_abandon_request_drain();
	hz3_abandon_drain();
	for (uint32_t id = 1; id <= hz3_owner_count(); id++)
		hz3_heap_validate(hz3_owner_by_id(id)->heap);
	ck_assert_uint_eq(core_audit((void *const *)box, BOX), core_in_words());
	hz3_arenas_validate();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("decay");
	TCase *tc = tcase_create("age");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, purged_when_old_enough);
	tcase_add_test(tc, never);
	tcase_add_test(tc, at_once);
	tcase_add_test(tc, set_while_running);
	tcase_add_test(tc, by_slow_paths);
	tcase_add_test(tc, limited_without_background_thread);
	tcase_add_test(tc, limited_after_large_blocks);
	tcase_add_test(tc, what_was_missed_stays);
	tcase_add_test(tc, system_refuses);
	tcase_add_test(tc, purge_all_and_reclaim);
	suite_add_tcase(suite, tc);

	tc = tcase_create("background");
	tcase_add_test(tc, background_thread);
	tcase_add_test(tc, background_thread_for_stocks);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);

	tc = tcase_create("sleepers");
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_loop_test(tc, sleepers_pages_are_taken, 0, 3);
	tcase_add_loop_test(tc, pages_with_frees_of_the_sleepers_own_are_taken, 0, 6);
	tcase_add_test(tc, owners_that_only_seem_to_sleep);
	tcase_add_loop_test(tc, only_sleepers, 0, 3);
	tcase_add_loop_test(tc, no_handover, 0, 3);
	tcase_add_loop_test(tc, incomplete_pages_stay, 0, 3);
	tcase_add_test(tc, reclaim_waits_for_its_turn);
	tcase_add_loop_test(tc, sleepers_buffers_are_flushed, 0, 3);
	tcase_add_loop_test(tc, owner_wakes_at_any_time, 0, 3);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
