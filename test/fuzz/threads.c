/*
 * Operations on several threads at once, each with a table of its own, that hand blocks across through a shared one.
 *
 * A thread that ends leaves its table, and what it has in its buffer, to a new one, which begins while the old one still
 * ends.  Forked children do a few operations alone and end.  After each round, when nothing runs, all that is live is
 * looked at together.  A case is a seed and a few sizes; the scheduler has its say, so a failure may need several runs.
 */
#include "ops.h"

#ifdef STRESS_CORE
#include "arena.h"
#include "heap.h"
#include "thread.h"
#endif

#define WORKERS 6u
#define EXCHANGED 256u

struct plan {
	uint64_t seed;
	uint16_t ops;
	uint8_t workers, rounds;
	uint32_t unused;
};

struct worker {
	struct table table;
	uint64_t random;
	struct mix mix;
	unsigned left;		/* operations of this round */
	pthread_t last;		/* the thread before this one, if it is not joined yet */
	bool has_last;
	pthread_t final;	/* the one that has ended the round */
};

static struct worker workers[WORKERS];
static struct {
	pthread_mutex_t lock;
	struct held held;
} exchanged[EXCHANGED];
static struct span all[WORKERS * SLOTS + EXCHANGED];	/* what is live while nothing runs */
static unsigned n_all;
static pthread_barrier_t end_of_round;
static _Thread_local bool alone;	/* in a forked child */

/* ---- Handing across ---- */

/* The worker's block against the one that lies there.  Whoever has got one looks at it before it does anything else. */
static void exchange(struct table *t, unsigned slot, unsigned at)
{
	struct held mine = t->slot[slot], theirs;

	if (alone)
		return;
	if (mine.p != NULL)
		mine = let_go(t, slot);
	pthread_mutex_lock(&exchanged[at].lock);
	theirs = exchanged[at].held;
	exchanged[at].held = mine;
	pthread_mutex_unlock(&exchanged[at].lock);
	if (theirs.p == NULL)
		return;
	check_contents(&theirs);
	t->slot[slot] = theirs;
	span_add(t, theirs.p, theirs.usable);
	t->bytes += theirs.size;
}

/* Neighbours in the table are often neighbours in a page: let them travel together. */
static void exchange_run(struct table *t, const struct record *r)
{
	unsigned n = r->extra % 8 == 0 ? 64 : 1 + r->extra % 4;

	for (unsigned i = 0; i < n; i++)
		exchange(t, (r->slot + i) % SLOTS, (r->size + i) % EXCHANGED);
}

/* ---- A worker ---- */

static struct record next_record(struct worker *w)
{
	struct record r = make_record(&w->random, &w->mix);

	/* A share of what the table may hold is less, so that all together hold no more. */
	if (r.size >> 12 >= 12 && r.size >> 12 < 15 && stress_below(&w->random, 8) != 0)
		r.size &= 0x9fff;
	return r;
}

static void fork_worker(struct worker *w, unsigned extra)
{
	int status;
	pid_t pid = fork_somehow(extra);

	FUZZ_CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		fuzz_limit();
		alone = true;
		for (unsigned i = 0; i < 50; i++) {
			struct record r = next_record(w);
			do_op(&w->table, &r, false);
		}
		free_all(&w->table);
		_exit(0);
	}
	FUZZ_CHECK(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == FUZZ_SAID)
		_exit(FUZZ_SAID);
	FUZZ_CHECK(status == 0, "a child ended with wait status %x", (unsigned)status);
}

/* True: the thread is to end. */
static bool step(struct worker *w)
{
	struct record r = next_record(w);

	switch (r.op) {
	case EXCHANGE:
		exchange_run(&w->table, &r);
		return false;
	case FORK:
		/* Children cost more than all else. */
		if (r.extra < 16)
			fork_worker(w, r.extra);
		return false;
	case EXIT:
		return r.extra < 64;
	default:
		do_op(&w->table, &r, false);
		return false;
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	bool ends = false;

	while (w->left > 0 && !ends) {
		w->left--;
		ends = step(w);
		if (w->has_last && (ends || w->left % 16 == 0)) {
			pthread_join(w->last, NULL);
			w->has_last = false;
		}
	}
	if (w->has_last)
		pthread_join(w->last, NULL);
	w->has_last = false;
	if (ends) {
		w->last = pthread_self();
		w->has_last = true;
		(void)stress_thread(work, w);
		return NULL;
	}
	w->final = pthread_self();
	pthread_barrier_wait(&end_of_round);
	return NULL;
}

/* ---- Rounds ---- */

static void look_at(const struct held *h)
{
	if (h->p == NULL)
		return;
	check_contents(h);
	all[n_all++] = (struct span){(uintptr_t)h->p, (uintptr_t)h->p + h->usable};
}

static int by_address(const void *a, const void *b)
{
	uintptr_t x = ((const struct span *)a)->start, y = ((const struct span *)b)->start;

	return x < y ? -1 : x > y;
}

static void look_at_all(unsigned n)
{
	n_all = 0;
	for (unsigned i = 0; i < n; i++)
		for (unsigned slot = 0; slot < SLOTS; slot++)
			look_at(&workers[i].table.slot[slot]);
	for (unsigned i = 0; i < EXCHANGED; i++)
		look_at(&exchanged[i].held);
	qsort(all, n_all, sizeof(all[0]), by_address);
	for (unsigned i = 1; i < n_all; i++)
		FUZZ_CHECK(all[i - 1].end <= all[i].start && all[i - 1].start < all[i].start,
			   "two threads hold blocks that overlap, at %p and %p", (void *)all[i - 1].start, (void *)all[i].start);
#ifdef STRESS_CORE
	hz3_arenas_validate();
	if (hz3_thread_heap->owner != NULL)
		hz3_heap_validate(hz3_thread_heap);
#endif
}

static void run_round(const struct plan *plan, unsigned n)
{
	pthread_barrier_init(&end_of_round, NULL, n + 1);
	for (unsigned i = 0; i < n; i++) {
		make_mix(&workers[i].random, &workers[i].mix);
		workers[i].left = plan->ops % 4096;
		(void)stress_thread(work, &workers[i]);
	}
	pthread_barrier_wait(&end_of_round);
	for (unsigned i = 0; i < n; i++)
		pthread_join(workers[i].final, NULL);
	pthread_barrier_destroy(&end_of_round);
	look_at_all(n);
}

/* From another thread than those that got it. */
static void free_everything(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		free_all(&workers[i].table);
	for (unsigned i = 0; i < EXCHANGED; i++) {
		call.free(exchanged[i].held.p);
		exchanged[i].held.p = NULL;
	}
}

#ifdef STRESS_CORE
static const bool count_at_end = true;
#else
static const bool count_at_end = false;	/* libc and what it keeps for threads are in the same heap */
#endif

static void run(const uint8_t *data, size_t bytes)
{
	struct plan plan = {0};
	struct settings before;

	memcpy(&plan, data, bytes < sizeof(plan) ? bytes : sizeof(plan));
	unsigned n = 1 + plan.workers % WORKERS;
	find_calls();
	save_settings(&before);
	size_t live = count_at_end ? stress_live() : 0;
	for (unsigned i = 0; i < EXCHANGED; i++)
		pthread_mutex_init(&exchanged[i].lock, NULL);
	for (unsigned i = 0; i < n; i++) {
		workers[i].random = (plan.seed ^ (i + 1) * 0x9e3779b97f4a7c15u) | 1;
		workers[i].table.ids = (uint64_t)(i + 1) << 48;
	}
	for (unsigned round = 0; round < 1 + plan.rounds % 4u; round++)
		run_round(&plan, n);
	free_everything(n);
	restore_settings(&before);
	size_t left = count_at_end ? stress_live() : 0;
	FUZZ_CHECK(left == live, "%zu blocks are live at the end, and %zu were before", left, live);
}

static size_t make(uint64_t *random, uint8_t *data)
{
	struct plan plan = {
		.seed = stress_random(random),
		.ops = (uint16_t)stress_size(random, 4095),
		.workers = (uint8_t)stress_below(random, 256),
		.rounds = (uint8_t)stress_below(random, 256),
	};

	memcpy(data, &plan, sizeof(plan));
	return sizeof(plan);
}

static const struct fuzz_target target = {
	.name = "threads",
	.record = sizeof(struct plan),
	.seconds = 3,
	.make = make,
	.run = run,
	.variant = ops_variant,
};

FUZZ_MAIN(target)
