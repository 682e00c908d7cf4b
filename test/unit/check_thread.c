/*
 * Tests of thread.h (and of alloc.h below it): first use, exit and adoption, threads that are ending, fork.
 */
#include "core.h"

#include "abandon.h"
#include "alloc.h"
#include "decay.h"
#include "flow.h"
#include "guard.h"
#include "stats.h"
#include "thread.h"

static char text[1024];

static void set_up(void)
{
	/* No thread of ours comes between; what it does is tested in check_decay.c. */
	hz3_options.background_thread = false;
}

static uint32_t owner_of(const void *p)
{
	return hz3_route_owner(hz3_route_of(hz3_slice_of(p)));
}

static uint32_t parked(void)
{
	hz3_lock(&hz3_abandon_lock);
	uint32_t n = hz3_abandon_parked_locked();
	hz3_unlock(&hz3_abandon_lock);
	return n;
}

/* ---- First use ---- */

START_TEST(first_use)
{
	ck_assert_ptr_eq(hz3_thread_heap, &hz3_thread_absent);
	hz3_alloc_free(NULL);
	hz3_thread_flush_buffer();
	hz3_thread_settle();
	hz3_thread_go_idle();
	ck_assert_ptr_eq(hz3_thread_heap, &hz3_thread_absent);
	errno = EXDEV;
	void *p = hz3_alloc(100);
	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(errno, EXDEV);
	ck_assert_uint_ne(hz3_thread_heap->tag, hz3_thread_absent.tag);
	ck_assert_uint_eq(owner_of(p), hz3_thread_heap->owner->id);
	ck_assert_uint_ne(owner_of(p), hz3_thread_shared_heap()->owner->id);
	ck_assert(!hz3_thread_is_multi());
	hz3_alloc_free(p);
	ck_assert_int_eq(errno, EXDEV);
}
END_TEST

/* Whoever has no heap gets no block wrong, either. */
START_TEST(begin_and_end)
{
	struct hz3_heap *heap = hz3_thread_begin();

	ck_assert_ptr_eq(heap, hz3_thread_heap);
	ck_assert_uint_eq(heap->busy, 1);
	uint32_t ticks = heap->ticks;
	hz3_thread_end(heap);
	ck_assert_uint_eq(heap->busy, 0);
	hz3_thread_end(hz3_thread_begin());
	ck_assert_uint_eq(heap->ticks, ticks + 1);
	ck_assert_uint_eq(heap->owner->progress, ticks + 1);
}
END_TEST

START_TEST(no_memory_for_a_heap)
{
	core_fake_os();
	core_refuse_mmap(1, true);
	errno = 0;
	/* Small blocks may come from what the shared heap's chunk has left; not for ever. */
	for (int i = 0; i < 1000 && hz3_alloc(32768); i++)
		;
	ck_assert_ptr_null(hz3_alloc(32768));
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_ptr_null(hz3_alloc(1000000));
	ck_assert_ptr_null(hz3_alloc((size_t)PTRDIFF_MAX + 1));
	core_refuse_mmap(0, false);
	errno = EXDEV;
	ck_assert_ptr_nonnull(hz3_alloc(32768));
	ck_assert_ptr_nonnull(hz3_alloc(1000000));
	ck_assert_int_eq(errno, EXDEV);
}
END_TEST

/* ---- Exit and adoption ---- */

static void *alloc_100(void *arg)
{
	void **blocks = arg;

	for (int i = 0; i < 100; i++) {
		blocks[i] = hz3_alloc((size_t)i * 40);
		memset(blocks[i], i, (size_t)i * 40);
	}
	return (void *)(uintptr_t)hz3_thread_heap->owner->id;
}

static uint32_t run(void *(*f)(void *), void *arg)
{
	void *result;

	pthread_join(core_start(f, arg), &result);
	return (uint32_t)(uintptr_t)result;
}

START_TEST(exit_parks_and_new_thread_adopts)
{
	void *first[100], *second[100];

	hz3_sink_set_mode(_i);
	uint32_t a = run(alloc_100, first);
	ck_assert_uint_eq(parked(), 1);
	ck_assert_uint_eq(hz3_owner_by_id(a)->state, HZ3_OWNER_PARKED);
	uint32_t b = run(alloc_100, second);
	ck_assert_uint_eq(a, b);
	ck_assert_uint_eq(parked(), 1);
	ck_assert(hz3_thread_is_multi() || hz3_owner_count() == 2);
	/* What both left is valid, and freed by whoever comes. */
	for (int i = 0; i < 100; i++) {
		ck_assert_uint_eq(owner_of(first[i]), a);
		for (int j = 0; j < i * 40; j++)
			ck_assert_int_eq(((char *)first[i])[j], i);
		hz3_alloc_free(first[i]);
		hz3_alloc_free(second[i]);
	}
	hz3_thread_flush_buffer();
	hz3_abandon_drain();
	hz3_heap_validate(hz3_owner_by_id(a)->heap);
	ck_assert_uint_eq(core_audit(NULL, 0), core_in_words());
}
END_TEST

START_TEST(a_thousand_threads_in_sequence)
{
	void *blocks[100];

	for (int i = 0; i < 1000; i++) {
		run(alloc_100, blocks);
		for (int j = 0; j < 100; j++)
			hz3_alloc_free(blocks[j]);
	}
	/* The shared heap, mine, and the one that they all had. */
	ck_assert_uint_le(hz3_owner_count(), 3);
	hz3_decay_purge_all();
	ck_assert_uint_eq(core_audit(NULL, 0), core_in_words());
}
END_TEST

static void *free_and_alloc_100(void *arg)
{
	void **blocks = arg;

	for (int i = 0; i < 100; i++)
		hz3_alloc_free(blocks[i]);
	return alloc_100(arg);
}

/* A server's threads: each begins by freeing what its predecessor left.  They too live on what those had. */
START_TEST(a_thousand_threads_that_free_first)
{
	void *blocks[100];

	hz3_sink_set_mode(_i);
	alloc_100(blocks);
	for (int i = 0; i < 1000; i++)
		run(free_and_alloc_100, blocks);
	/* The shared heap, mine, and a few parked. */
	ck_assert_uint_le(hz3_owner_count(), 7);
	for (int i = 0; i < 100; i++)
		hz3_alloc_free(blocks[i]);
	hz3_decay_purge_all();
	ck_assert_uint_eq(core_audit(NULL, 0), core_in_words());
}
END_TEST

static pthread_barrier_t barrier;

static void *alloc_and_wait(void *arg)
{
	void *p = hz3_alloc(64);

	(void)arg;
	pthread_barrier_wait(&barrier);
	return p;
}

START_TEST(as_many_heaps_as_threads)
{
	enum { THREADS = 20 };
	pthread_t thread[THREADS];
	void *p[2][THREADS];

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < THREADS; i++)
			thread[i] = core_start(alloc_and_wait, NULL);
		for (int i = 0; i < THREADS; i++)
			pthread_join(thread[i], &p[round][i]);
		for (int i = 0; i < THREADS; i++)
			for (int j = 0; j < i; j++)
				ck_assert_uint_ne(owner_of(p[round][i]), owner_of(p[round][j]));
		ck_assert_uint_eq(hz3_owner_count(), THREADS + 1);
		ck_assert_uint_eq(parked(), THREADS);
	}
}
END_TEST

/* A thread that only frees sends what it holds when it ends, if not before; and gives its budget back. */
static void *free_100(void *arg)
{
	void **blocks = arg;

	for (int i = 0; i < 100; i++)
		hz3_alloc_free(blocks[i]);
	ck_assert_uint_gt(hz3_thread_heap->buffer.held_bytes, 0);
	ck_assert_uint_gt(hz3_buffer_granted(), 0);
	return (void *)(uintptr_t)hz3_thread_heap->owner->id;
}

START_TEST(exit_flushes)
{
	void *blocks[100];

	hz3_sink_set_mode(_i);
	alloc_100(blocks);
	uint32_t id = run(free_100, blocks);
	struct hz3_heap *freer = hz3_owner_by_id(id)->heap;
	ck_assert_uint_eq(freer->buffer.held_bytes, 0);
	ck_assert_uint_eq(freer->buffer.budget, 0);
	ck_assert_uint_eq(hz3_buffer_granted(), 0);
	if (HZ3_STATS)
		ck_assert_uint_eq(freer->counters.flushes[HZ3_FLUSH_EXIT], 1);
	hz3_thread_settle();
	ck_assert_uint_eq(core_audit(NULL, 0), core_in_words());
	hz3_heap_validate(hz3_thread_heap);
}
END_TEST

START_TEST(going_idle)
{
	void *blocks[100], *mine[100];

	hz3_sink_set_mode(_i);
	alloc_100(mine);
	run(alloc_100, blocks);
	free_100(blocks);
	for (int i = 0; i < 100; i++)
		hz3_alloc_free(mine[i]);
	hz3_thread_flush_buffer();
	ck_assert_uint_eq(hz3_thread_heap->buffer.held_bytes, 0);
	ck_assert_uint_gt(hz3_buffer_granted(), 0);
	hz3_thread_go_idle();
	ck_assert_uint_eq(hz3_buffer_granted(), 0);
	for (unsigned class = 0; class < HZ3_CLASSES; class++)
		ck_assert_ptr_eq(hz3_thread_heap->page[class], &hz3_page_none);
}
END_TEST

/* ---- Threads that are ending ---- */

static pthread_key_t late_key;
static void *late_block;
static uint32_t late_owner;

/* Runs after hz3's own handler, whose key is older. */
static void late_destructor(void *arg)
{
	void *p = hz3_alloc(100), *huge = hz3_alloc(100000);

	ck_assert_ptr_eq(hz3_thread_heap, &hz3_thread_ended);
	ck_assert_ptr_nonnull(p);
	late_owner = owner_of(p);
	memset(p, 1, 100);
	hz3_alloc_free(huge);
	/* Of the heap that it had, and of another thread. */
	hz3_alloc_free(((void **)arg)[0]);
	hz3_alloc_free(((void **)arg)[1]);
	ck_assert_uint_eq(hz3_thread_shared_heap()->buffer.held_bytes, 0);
	for (int i = 0; i < 1000; i++)
		hz3_alloc_free(hz3_alloc((size_t)i * 10));
	hz3_thread_go_idle();
	hz3_thread_flush_buffer();
	ck_assert_ptr_eq(hz3_thread_heap, &hz3_thread_ended);
	late_block = p;
}

static void *with_late_destructor(void *arg)
{
	static _Thread_local void *blocks[2];

	blocks[0] = hz3_alloc(64);
	blocks[1] = arg;
	pthread_setspecific(late_key, blocks);
	return NULL;
}

static void *free_in_thread(void *p)
{
	hz3_alloc_free(p);
	return NULL;
}

/* Who does nothing but replace a large block, from the stock, takes in what others have freed all the same. */
START_TEST(large_blocks_from_the_stock)
{
	pthread_t thread;

	hz3_sink_set_mode(HZ3_SINK_CENTRAL);
	void *large = hz3_alloc(100000), *small = hz3_alloc(100);
	struct hz3_heap *heap = hz3_thread_heap;
	uint64_t before = heap->counters.large_allocs;

	ck_assert_int_eq(pthread_create(&thread, NULL, free_in_thread, small), 0);
	pthread_join(thread, NULL);
	ck_assert_ptr_ne(hz3_atomic_load(&heap->owner->inbox.stash, relaxed), NULL);
	for (unsigned i = 0; i < 2 * HZ3_DECAY_TICKS; i++) {
		hz3_alloc_free(large);
		void *again = hz3_alloc(100000);
		ck_assert_ptr_eq(again, large);
	}
	if (HZ3_STATS)
		ck_assert_uint_eq(heap->counters.large_allocs - before, 2 * HZ3_DECAY_TICKS);
	ck_assert_ptr_eq(hz3_atomic_load(&heap->owner->inbox.stash, relaxed), NULL);
	hz3_alloc_free(large);
}
END_TEST

START_TEST(ended_threads_share_a_heap)
{
	hz3_sink_set_mode(_i);
	ck_assert_int_eq(pthread_key_create(&late_key, late_destructor), 0);
	for (int i = 0; i < 20; i++) {
		core_run(with_late_destructor, hz3_alloc(64));
		ck_assert_uint_eq(late_owner, hz3_thread_shared_heap()->owner->id);
		hz3_alloc_free(late_block);
	}
	hz3_thread_settle();
	hz3_abandon_request_drain();
	hz3_abandon_drain();
	hz3_heap_validate(hz3_thread_shared_heap());
	ck_assert_uint_eq(core_audit(NULL, 0), core_in_words());
}
END_TEST

/* ---- Mistakes of threads without a heap ---- */

static void free_it(void *p)
{
	hz3_alloc_free(p);
}

static void *large_block(void *arg)
{
	(void)arg;
	return hz3_alloc(300000);
}

START_TEST(bad_pointers_without_a_heap)
{
	char *p, local[64] HZ3_ALIGNED(16);

	pthread_join(core_start(large_block, NULL), (void **)&p);
	ck_assert_ptr_eq(hz3_thread_heap, &hz3_thread_absent);
	ck_assert(unit_dies(free_it, p + HZ3_SLICE, text, sizeof(text)));
	ck_assert_msg(strstr(text, "inside a large block"), "%s", text);
	ck_assert(unit_dies(free_it, p + 16, text, sizeof(text)));
	ck_assert(unit_dies(free_it, local, text, sizeof(text)));
	ck_assert_msg(strstr(text, "foreign"), "%s", text);
	hz3_alloc_free(p);
}
END_TEST

static void free_twice(void *p)
{
	hz3_alloc_free(p);
	hz3_alloc_free(p);
}

START_TEST(double_free_by_signal)
{
	free_twice(hz3_alloc(64));
}
END_TEST

START_TEST(double_frees_die)
{
	static const size_t sizes[] = { 1, 64, 5000, 32768, 100000, (size_t)40 << 20 };

	void *p = hz3_alloc(sizes[_i]);
	ck_assert(unit_dies(free_twice, p, text, sizeof(text)));
	char address[32];
	snprintf(address, sizeof(address), "%p", p);
	ck_assert_msg(strstr(text, "freed") && strstr(text, address), "%s", text);
}
END_TEST

/* ---- Fork ---- */

static _Atomic bool stop;
static _Atomic unsigned hammers;	/* that have started, which a sanitizer does under locks: a fork then would leave them locked in the child */

static void *hammer(void *arg)
{
	unsigned long seed = (unsigned long)(uintptr_t)arg;
	void *p[50] = { NULL };

	hammers++;
	while (!stop) {
		size_t i = core_pick(&seed, 50);

		if (p[i])
			hz3_alloc_free(p[i]);
		p[i] = hz3_alloc(core_pick(&seed, 64) ? core_pick(&seed, 3000) : 100000);
	}
	for (int i = 0; i < 50; i++)
		hz3_alloc_free(p[i]);
	return NULL;
}

/* All that malloc does, in a child; its children too.  Returns the exit status of the last one that was not 0. */
static int live(void **inherited, int n, int generations)
{
	void *p[200];

	for (int i = 0; i < n; i++) {
		if (*(char *)inherited[i] != 'x')
			return 2;
		hz3_alloc_free(inherited[i]);
	}
	for (int i = 0; i < 200; i++) {
		p[i] = hz3_alloc((size_t)i * 200);
		if (p[i] == NULL)
			return 3;
		memset(p[i], i, (size_t)i * 200);
	}
	for (int i = 0; i < 200; i++)
		hz3_alloc_free(p[i]);
	hz3_decay_purge_all();
	hz3_arenas_validate();
	hz3_heap_validate(hz3_thread_heap);
	if (generations > 0) {
		int status = -1;
		pid_t pid = fork();

		if (pid == 0)
			_exit(live(NULL, 0, generations - 1));
		waitpid(pid, &status, 0);
		return status;
	}
	return 0;
}

START_TEST(fork_while_others_allocate)
{
	enum { FORKS = 15, N = 300 };
	pthread_t thread[2];
	void *p[N];
	unsigned long seed = core_seed(21);

	hz3_sink_set_mode(_i);
	for (int i = 0; i < 2; i++)
		thread[i] = core_start(hammer, (void *)(uintptr_t)(seed + (unsigned)i));
	while (hammers < 2)
		hz3_os_sleep_ms(1);
	for (int i = 0; i < N; i++) {
		p[i] = hz3_alloc((size_t)i * 10 + 1);
		*(char *)p[i] = 'x';
	}
	for (int i = 0; i < FORKS; i++) {
		int status = -1;
		pid_t pid = fork();

		if (pid == 0) {
			alarm(100);
			_exit(live(p, N, 1));
		}
		ck_assert_int_gt(pid, 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
	}
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < N; i++)
		hz3_alloc_free(p[i]);
}
END_TEST

START_TEST(fork_of_one_thread)
{
	void *p = hz3_alloc(64);
	int status = -1;

	*(char *)p = 'x';
	pid_t pid = fork();
	if (pid == 0)
		_exit(live(&p, 1, 2));
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	hz3_alloc_free(p);
}
END_TEST

/* Of the heaps of threads that vanish, the child takes over those that were at rest and leaves the others alone. */
static struct hz3_heap *resting, *working;

static void *rest(void *arg)
{
	(void)arg;
	hz3_alloc(64);
	resting = hz3_thread_heap;
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return NULL;
}

static void *work(void *arg)
{
	(void)arg;
	hz3_alloc(64);
	working = hz3_thread_begin();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	hz3_thread_end(working);
	return NULL;
}

START_TEST(vanished_heaps)
{
	pthread_t thread[2];
	int status = -1;

	pthread_barrier_init(&barrier, NULL, 3);
	void *mine = hz3_alloc(64);
	thread[0] = core_start(rest, NULL);
	thread[1] = core_start(work, NULL);
	pthread_barrier_wait(&barrier);
	pid_t pid = fork();
	if (pid == 0) {
		if (resting->owner->state != HZ3_OWNER_PARKED)
			_exit(10);
		if (working->owner->state != HZ3_OWNER_PARKED)
			_exit(11);
		hz3_heap_validate(working);
		if (hz3_thread_heap->owner->state != HZ3_OWNER_RUNNING)
			_exit(12);
		/* So that no background thread is started for its sake. */
		if (hz3_thread_is_multi())
			_exit(14);
		struct hz3_heap *first = hz3_abandon_adopt(false), *second = hz3_abandon_adopt(false);
		if (first == second || (first != resting && second != resting) || (first != working && second != working) ||
		    hz3_abandon_adopt(false) != NULL)
			_exit(13);
		hz3_alloc_free(mine);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	ck_assert(hz3_thread_is_multi());
	ck_assert_uint_eq(resting->owner->state, HZ3_OWNER_RUNNING);
	ck_assert_uint_eq(working->owner->state, HZ3_OWNER_RUNNING);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
}
END_TEST

/* A pusher that vanished between turning QUEUED on and queueing the page: its blocks come home all the same. */
START_TEST(queued_by_a_vanished_thread)
{
	unsigned capacity = hz3_class_info[3].capacity;
	void **p = calloc(capacity + 1, sizeof(*p)), *others[100];
	int status = -1;

	alloc_100(others);
	run(alloc_100, others);
	free_100(others);
	hz3_thread_flush_buffer();
	for (unsigned i = 0; i <= capacity; i++)
		p[i] = hz3_alloc(64);
	/* As if one block had been pushed into a page that is asleep. */
	struct hz3_page *page = core_page_of(p[0]);
	ck_assert_uint_eq(page->state, HZ3_PAGE_ASLEEP);
	uint32_t granule = hz3_block_granule(hz3_page_start(page), p[0]);
	hz3_block_link(p[0], NULL);
	atomic_store(&hz3_page_remote(page)->word,
		     hz3_remote_pack((struct hz3_remote_list){ granule, granule, 1 }) | HZ3_REMOTE_QUEUED);
	pid_t pid = fork();
	if (pid == 0) {
		hz3_thread_settle();
		if (atomic_load(&hz3_page_remote(page)->word) != 0)
			_exit(10);
		if (page->free != p[0])
			_exit(11);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	free(p);
}
END_TEST

/* As another thread's fork: it has the locks before that of guarded blocks, and waits for that. */
static void *take_flow_then_guard(void *arg)
{
	hz3_lock(&hz3_flow_lock);
	pthread_barrier_wait(&barrier);
	hz3_lock(&hz3_guard_lock);
	hz3_unlock(&hz3_guard_lock);
	hz3_unlock(&hz3_flow_lock);
	return arg;
}

/* As in a handler that has interrupted a malloc which holds a lock; the thread's buffer has something to send. */
START_TEST(fork_with_a_lock_that_is_waited_for)
{
	void *blocks[100];
	pthread_t thread;
	int status = -1;

	run(alloc_100, blocks);
	hz3_alloc_free(blocks[0]);
	hz3_lock(&hz3_guard_lock);
	pthread_barrier_init(&barrier, NULL, 2);
	thread = core_start(take_flow_then_guard, NULL);
	pthread_barrier_wait(&barrier);
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	hz3_unlock(&hz3_guard_lock);
	pthread_join(thread, NULL);
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	for (int i = 1; i < 100; i++)
		hz3_alloc_free(blocks[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("thread");
	TCase *tc = tcase_create("first use");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, first_use);
	tcase_add_test(tc, begin_and_end);
	tcase_add_test(tc, no_memory_for_a_heap);
	suite_add_tcase(suite, tc);

	tc = tcase_create("exit");
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_loop_test(tc, exit_parks_and_new_thread_adopts, 0, 3);
	tcase_add_test(tc, a_thousand_threads_in_sequence);
	tcase_add_loop_test(tc, a_thousand_threads_that_free_first, 0, 3);
	tcase_add_test(tc, as_many_heaps_as_threads);
	tcase_add_loop_test(tc, exit_flushes, 0, 3);
	tcase_add_loop_test(tc, going_idle, 0, 3);
	tcase_add_test(tc, large_blocks_from_the_stock);
	tcase_add_loop_test(tc, ended_threads_share_a_heap, 0, 3);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);

	tc = tcase_create("mistakes");
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, bad_pointers_without_a_heap);
	tcase_add_loop_test(tc, double_frees_die, 0, 6);
	tcase_add_test_raise_signal(tc, double_free_by_signal, SIGABRT);
	suite_add_tcase(suite, tc);

	tc = tcase_create("fork");
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_loop_test(tc, fork_while_others_allocate, 0, 3);
	tcase_add_test(tc, fork_of_one_thread);
	tcase_add_test(tc, vanished_heaps);
	tcase_add_test(tc, queued_by_a_vanished_thread);
	tcase_add_test(tc, fork_with_a_lock_that_is_waited_for);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
