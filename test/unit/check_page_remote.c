/* Tests of page_remote.h: the word of a page, in order and under threads.  In all orders: test/interleave/. */
#include "core.h"

#include "page_remote.h"

/* ---- One operation after the other ---- */

/* A page whose blocks are granules 1, 2, ...; what stands for the links is an array. */
#define BLOCKS 64u
#define NONE 0u

static struct hz3_page_remote page;
static uint32_t next_of[BLOCKS + 1];
static unsigned links;	/* how often a tail was linked */
static uint32_t tries;

static void link_tail(void *context, struct hz3_remote_list old)
{
	next_of[*(uint32_t *)context] = old.count ? old.first : NONE;
	links++;
}

typedef void link_function(void *context, struct hz3_remote_list list);

/* *old is written only if the page was claimed. */
static enum hz3_push_result push_chain(struct hz3_remote_list chain, uint32_t wake, uint32_t whole, link_function *link_it, struct hz3_remote_list *old)
{
	struct hz3_push p = { .chain = chain, .wake = wake, .whole = whole, .link = link_it, .context = &chain.last };
	enum hz3_push_result result = hz3_remote_push(&page, &p);

	tries += p.tries;
	if (result == HZ3_PUSH_CLAIMED)
		*old = p.old;
	return result;
}

static enum hz3_push_result push(uint32_t first, uint32_t count, uint32_t wake, uint32_t whole, struct hz3_remote_list *old)
{
	struct hz3_remote_list chain = { .first = first, .last = first + count - 1, .count = count };

	for (uint32_t i = first; i < chain.last; i++)
		next_of[i] = i + 1;
	return push_chain(chain, wake, whole, link_tail, old);
}

static void check_list(struct hz3_remote_list list, const uint32_t *blocks, uint32_t count)
{
	uint32_t at = list.first;

	ck_assert_uint_eq(list.count, count);
	for (uint32_t i = 0; i < count; i++, at = next_of[at]) {
		ck_assert_uint_eq(at, blocks[i]);
		if (i == count - 1)
			ck_assert_uint_eq(list.last, at);
	}
}

START_TEST(packs)
{
	static const uint32_t values[] = { 0, 1, 2, 0x7fff, 0x8000, 0xfffe, 0xffff };
	enum { N = sizeof(values) / sizeof(values[0]) };

	for (int i = 0; i < N * N * N; i++) {
		struct hz3_remote_list list = { values[i % N], values[i / N % N], values[i / N / N] };
		uint64_t word = hz3_remote_pack(list);

		ck_assert_uint_eq(word & HZ3_REMOTE_QUEUED, 0);
		for (int queued = 0; queued < 2; queued++, word |= HZ3_REMOTE_QUEUED) {
			struct hz3_remote_list got = hz3_remote_unpack(word);

			ck_assert_uint_eq(got.first, list.first);
			ck_assert_uint_eq(got.last, list.last);
			ck_assert_uint_eq(got.count, list.count);
			ck_assert_uint_eq(hz3_remote_count(word), list.count);
		}
	}
}
END_TEST

START_TEST(pushes_and_takes)
{
	struct hz3_remote_list old;

	ck_assert_int_eq(push(1, 2, 5, 0, &old), HZ3_PUSHED);
	ck_assert_int_eq(push(3, 1, 5, 0, &old), HZ3_PUSHED);
	ck_assert_uint_eq(page.word & HZ3_REMOTE_QUEUED, 0);
	/* The fifth and sixth: over the wake count, and this push is the one that has to queue. */
	ck_assert_int_eq(push(4, 3, 5, 0, &old), HZ3_PUSHED_QUEUE);
	ck_assert_int_eq(push(7, 9, 5, 0, &old), HZ3_PUSHED);
	ck_assert_uint_ne(page.word & HZ3_REMOTE_QUEUED, 0);
	ck_assert_uint_eq(tries, 4);
	ck_assert_uint_eq(links, 4);
	static const uint32_t order[] = { 7, 8, 9, 10, 11, 12, 13, 14, 15, 4, 5, 6, 3, 1, 2 };
	check_list(hz3_remote_take(&page), order, 15);
	ck_assert_uint_eq(page.word, 0);
	ck_assert_uint_eq(hz3_remote_take(&page).count, 0);
	/* And again from the start. */
	ck_assert_int_eq(push(1, 4, 5, 0, &old), HZ3_PUSHED);
	ck_assert_int_eq(push(5, 1, 5, 0, &old), HZ3_PUSHED_QUEUE);
}
END_TEST

START_TEST(peels)
{
	struct hz3_remote_list old;
	static const uint32_t three[] = { 1, 2, 3 }, two[] = { 4, 5 };

	/* Of a page that isn't queued, and of one that is: the flag stays as it was. */
	ck_assert_int_eq(push(1, 3, 5, 0, &old), HZ3_PUSHED);
	check_list(hz3_remote_peel(&page), three, 3);
	ck_assert_uint_eq(page.word, 0);
	ck_assert_int_eq(push(1, 3, 3, 0, &old), HZ3_PUSHED_QUEUE);
	check_list(hz3_remote_peel(&page), three, 3);
	ck_assert_uint_eq(page.word, HZ3_REMOTE_QUEUED);
	/* So nobody queues it a second time; the take that follows its unlinking clears all. */
	ck_assert_int_eq(push(4, 2, 1, 0, &old), HZ3_PUSHED);
	check_list(hz3_remote_take(&page), two, 2);
	ck_assert_uint_eq(page.word, 0);
}
END_TEST

START_TEST(claims)
{
	struct hz3_remote_list old;
	static const uint32_t three[] = { 1, 2, 3 };

	/* 3 of 8 are there, 5 come: whoever brings them holds the page. */
	ck_assert_int_eq(push(1, 3, 8, 8, &old), HZ3_PUSHED);
	unsigned before = links;
	ck_assert_int_eq(push(4, 5, 8, 8, &old), HZ3_PUSH_CLAIMED);
	check_list(old, three, 3);
	ck_assert_uint_eq(page.word, HZ3_REMOTE_TAKEN);
	ck_assert_uint_eq(links, before);
	/* If it turns out not to be asleep, all of it goes back. */
	ck_assert_int_eq(push(1, 8, 8, 0, &old), HZ3_PUSHED_QUEUE);
	ck_assert_uint_eq(old.count, 3);
	ck_assert_uint_eq(page.word & HZ3_REMOTE_TAKEN, 0);
	ck_assert_uint_eq(hz3_remote_take(&page).count, 8);
	/* All at once. */
	ck_assert_int_eq(push(1, 8, 8, 8, &old), HZ3_PUSH_CLAIMED);
	ck_assert_uint_eq(old.count, 0);
	page.word = 0;
	/* One too few; then not allowed; then queued. */
	ck_assert_int_eq(push(1, 7, 8, 8, &old), HZ3_PUSHED);
	ck_assert_int_eq(push(8, 1, 8, 0, &old), HZ3_PUSHED_QUEUE);
	hz3_remote_take(&page);
	ck_assert_int_eq(push(1, 3, 2, 8, &old), HZ3_PUSHED_QUEUE);
	ck_assert_int_eq(push(4, 5, 2, 8, &old), HZ3_PUSHED);
	ck_assert_uint_eq(hz3_remote_take(&page).count, 8);
}
END_TEST

START_TEST(sleep_mark)
{
	struct hz3_remote_list old;

	ck_assert(!hz3_remote_is_asleep(&page));
	ck_assert_int_eq(push(1, 8, 9, 0, &old), HZ3_PUSHED);
	ck_assert(!hz3_remote_seems_whole(&page, 8));
	hz3_remote_set_asleep(&page, true);
	ck_assert(hz3_remote_is_asleep(&page));
	ck_assert(hz3_remote_seems_whole(&page, 8));
	ck_assert(!hz3_remote_seems_whole(&page, 9));
	hz3_remote_set_asleep(&page, false);
	ck_assert(!hz3_remote_seems_whole(&page, 8));
}
END_TEST

/* Who holds all blocks of a page in his own hands: only of a page that sleeps, and only while no queue has it. */
START_TEST(take_over)
{
	ck_assert(!hz3_remote_take_over(&page));
	hz3_remote_set_asleep(&page, true);
	page.word = HZ3_REMOTE_QUEUED;
	ck_assert(!hz3_remote_take_over(&page));
	ck_assert_uint_eq(hz3_remote_take(&page).count, 0);
	ck_assert(hz3_remote_take_over(&page));
	ck_assert_uint_eq(page.word, HZ3_REMOTE_TAKEN);
	ck_assert(!hz3_remote_take_over(&page));
}
END_TEST

/* Who looks at others' sleeping pages holds them so long; too late, if one is taken already. */
START_TEST(hold)
{
	struct hz3_remote_list old;
	bool undo = false;

	hz3_remote_set_asleep(&page, true);
	ck_assert(hz3_remote_hold(&page, &undo));
	ck_assert(undo);
	ck_assert(!hz3_remote_take_over(&page));
	ck_assert_int_eq(push(1, 8, 9, 8, &old), HZ3_PUSHED);
	ck_assert(!hz3_remote_unhold(&page, 9));
	ck_assert_uint_eq(page.word & HZ3_REMOTE_QUEUED, 0);
	/* What was pushed meanwhile, and not queued because of the hold, is queued by the holder. */
	ck_assert(hz3_remote_hold(&page, &undo));
	ck_assert_int_eq(push(9, 1, 9, 0, &old), HZ3_PUSHED);
	ck_assert(hz3_remote_unhold(&page, 9));
	ck_assert_uint_ne(page.word & HZ3_REMOTE_QUEUED, 0);
	/* QUEUED already: held without doing anything. */
	ck_assert(hz3_remote_hold(&page, &undo));
	ck_assert(!undo);
	ck_assert_uint_eq(hz3_remote_take(&page).count, 9);
	ck_assert(hz3_remote_take_over(&page));
	ck_assert(!hz3_remote_hold(&page, &undo));
	ck_assert_uint_eq(page.word, HZ3_REMOTE_TAKEN);
}
END_TEST

/* Somebody else pushes between the load and the CAS: the retry links to what is there now. */
static uint32_t meanwhile;

static void link_and_interfere(void *context, struct hz3_remote_list old)
{
	link_tail(context, old);
	if (meanwhile) {
		uint32_t block = meanwhile;
		struct hz3_remote_list ignored;

		meanwhile = 0;
		push(block, 1, 100, 0, &ignored);
	}
}

START_TEST(retry_links_anew)
{
	struct hz3_remote_list chain = { 1, 2, 2 }, old;
	static const uint32_t order[] = { 1, 2, 9 };

	next_of[1] = 2;
	meanwhile = 9;
	ck_assert_int_eq(push_chain(chain, 100, 0, link_and_interfere, &old),
			 HZ3_PUSHED);
	ck_assert_uint_ge(tries, 3);
	check_list(hz3_remote_take(&page), order, 3);
	/* A claim that comes too late is none: the count is looked at again as well. */
	meanwhile = 9;
	ck_assert_int_eq(push_chain(chain, 100, 3, link_and_interfere, &old),
			 HZ3_PUSH_CLAIMED);
	ck_assert_uint_eq(old.first, 9);
	ck_assert_uint_eq(old.count, 1);
	page.word = 0;
	meanwhile = 9;
	/* And the wake count. */
	ck_assert_int_eq(push_chain(chain, 3, 0, link_and_interfere, &old),
			 HZ3_PUSHED_QUEUE);
}
END_TEST

/* ---- Threads: one owner, three pushers ---- */

#define PAGES 4u
#define PUSHERS 3u
#define MINE 8u				/* blocks of each page that a pusher owns */
#define WAKE 3u
#define CAPACITY (PUSHERS * MINE)

/*
 * Each pusher frees chains of its own blocks and gets a block back when the owner has taken it.  A block's state says who
 * has it; only its holder may touch its link, which is plain memory, so that the thread sanitizer sees any mistake.
 */
static struct shared_page {
	struct hz3_page_remote remote;
	uint32_t next[CAPACITY + 1];
	_Atomic bool with_pusher[CAPACITY + 1];
	_Atomic uint32_t entries;	/* in the queue: may never exceed 1 */
} shared[PAGES];
static _Atomic uint32_t queue;		/* index + 1 */
static _Atomic unsigned running;
static _Atomic uint64_t pushed_blocks, claims_seen;
static uint64_t taken_blocks;

struct push_context {
	struct shared_page *page;
	uint32_t last;
};

static void link_shared(void *arg, struct hz3_remote_list old)
{
	struct push_context *context = arg;

	context->page->next[context->last] = old.count ? old.first : NONE;
}

static void enqueue(uint32_t i)
{
	uint32_t old = atomic_load(&queue);

	ck_assert_uint_eq(atomic_fetch_add(&shared[i].entries, 1), 0);
	do
		atomic_store(&shared[i].remote.queue_next, old);
	while (!atomic_compare_exchange_weak(&queue, &old, i + 1));
}

/* A list at or over the wake count implies QUEUED, at every moment. */
static void look_at_words(void)
{
	for (uint32_t i = 0; i < PAGES; i++) {
		uint64_t word = atomic_load(&shared[i].remote.word);

		ck_assert(hz3_remote_count(word) < WAKE || word & HZ3_REMOTE_QUEUED);
	}
}

/* Everything in the list goes back to its pusher. */
static uint64_t give_back(struct shared_page *p, struct hz3_remote_list list)
{
	uint32_t at = list.first;

	for (uint32_t i = 0; i < list.count; i++) {
		uint32_t next = p->next[at];

		ck_assert(at >= 1 && at <= CAPACITY);
		ck_assert_int_eq(i == list.count - 1, at == list.last);
		ck_assert(!atomic_exchange(&p->with_pusher[at], true));
		at = next;
	}
	return list.count;
}

static void *pusher(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg;
	unsigned long seed = core_seed(1234) + me;

	for (int step = 0; step < 10000; step++) {
		uint32_t i = (uint32_t)core_pick(&seed, PAGES), want = 1 + (uint32_t)core_pick(&seed, 4);
		struct shared_page *p = &shared[i];
		struct hz3_remote_list chain = { 0, 0, 0 };

		for (uint32_t b = 1 + me * MINE; b <= (me + 1) * MINE && chain.count < want; b++) {
			if (!atomic_load(&p->with_pusher[b]))
				continue;
			atomic_store(&p->with_pusher[b], false);
			p->next[b] = chain.first;
			chain.last = chain.count ? chain.last : b;
			chain.first = b;
			chain.count++;
		}
		if (chain.count == 0) {
			sched_yield();
			continue;
		}
		struct push_context context = { p, chain.last };
		struct hz3_push push = { .chain = chain, .wake = WAKE, .whole = CAPACITY, .link = link_shared, .context = &context };
		pushed_blocks += chain.count;
		switch (hz3_remote_push(&p->remote, &push)) {
		case HZ3_PUSHED:
			break;
		case HZ3_PUSHED_QUEUE:
			enqueue(i);
			break;
		case HZ3_PUSH_CLAIMED:
			/* Can't be: the wake count is lower, so QUEUED is set before the page is whole, unless
			 * the chain itself crosses from below wake to all, and it is shorter than that. */
			claims_seen++;
			break;
		}
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void drain(void)
{
	uint32_t at = atomic_exchange(&queue, 0);

	while (at) {
		struct shared_page *p = &shared[at - 1];
		uint32_t next = atomic_load(&p->remote.queue_next);

		atomic_fetch_sub(&p->entries, 1);
		struct hz3_remote_list list = hz3_remote_take(&p->remote);
		look_at_words();
		taken_blocks += give_back(p, list);
		at = next;
	}
}

START_TEST(threads)
{
	pthread_t thread[PUSHERS];
	unsigned long seed = core_seed(1234);

	for (uint32_t i = 0; i < PAGES; i++)
		for (uint32_t b = 1; b <= CAPACITY; b++)
			shared[i].with_pusher[b] = true;
	running = PUSHERS;
	for (uintptr_t i = 0; i < PUSHERS; i++)
		thread[i] = core_start(pusher, (void *)i);
	while (running) {
		drain();
		look_at_words();
		if (core_pick(&seed, 4) == 0) {
			struct shared_page *p = &shared[core_pick(&seed, PAGES)];
			taken_blocks += give_back(p, hz3_remote_peel(&p->remote));
		}
	}
	for (unsigned i = 0; i < PUSHERS; i++)
		pthread_join(thread[i], NULL);
	drain();
	ck_assert_uint_eq(claims_seen, 0);
	/* What is left is too little to be queued, and the word says so. */
	for (uint32_t i = 0; i < PAGES; i++) {
		uint64_t word = shared[i].remote.word;

		ck_assert_uint_eq(word & HZ3_REMOTE_QUEUED, 0);
		ck_assert_uint_lt(hz3_remote_count(word), WAKE);
		ck_assert_uint_eq(shared[i].entries, 0);
		taken_blocks += give_back(&shared[i], hz3_remote_peel(&shared[i].remote));
		for (uint32_t b = 1; b <= CAPACITY; b++)
			ck_assert(shared[i].with_pusher[b]);
	}
	ck_assert_uint_eq(taken_blocks, pushed_blocks);
}
END_TEST

/*
 * A list that is long enough is announced at every moment, also between a take and the next push: the thing that the
 * question pack's drain gets wrong.  One page, one pusher, and nothing else in the way.
 */
#define ANNOUNCED 200000

static struct hz3_page_remote hot;
static _Atomic bool entry;	/* the queue: one page */

static void link_nothing(void *context, struct hz3_remote_list old)
{
	(void)context, (void)old;
}

static void *push_one_by_one(void *arg)
{
	struct hz3_push push = { .chain = { 1, 1, 1 }, .wake = 1, .link = link_nothing };

	for (int i = 0; i < ANNOUNCED; i++) {
		while (hz3_remote_count(atomic_load(&hot.word)) > 1000)
			sched_yield();
		if (hz3_remote_push(&hot, &push) == HZ3_PUSHED_QUEUE)
			ck_assert(!atomic_exchange(&entry, true));
	}
	running = 0;
	return arg;
}

START_TEST(announced_at_every_moment)
{
	uint64_t taken = 0;

	running = 1;
	pthread_t thread = core_start(push_one_by_one, NULL);
	for (bool more = true; more; ) {
		more = running;
		if (!atomic_exchange(&entry, false))
			continue;
		taken += hz3_remote_take(&hot).count;
		uint64_t word = atomic_load(&hot.word);
		ck_assert(hz3_remote_count(word) == 0 || word & HZ3_REMOTE_QUEUED);
	}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(hot.word, 0);
	ck_assert_uint_eq(taken, ANNOUNCED);
}
END_TEST

/* Several pushers hold all blocks of a page that is never queued: exactly one of them ends up with it. */
static struct shared_page claimed;
static pthread_barrier_t barrier;
static _Atomic unsigned winners;
#define ROUNDS 300

static void *claimer(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg;

	for (int round = 0; round < ROUNDS; round++) {
		uint32_t first = 1 + me * MINE;
		struct hz3_remote_list chain = { first, first + MINE - 1, MINE };
		struct push_context context = { &claimed, chain.last };
		struct hz3_push push = {
			.chain = chain, .wake = CAPACITY + 1, .whole = CAPACITY, .link = link_shared, .context = &context,
		};

		for (uint32_t b = first; b < chain.last; b++)
			claimed.next[b] = b + 1;
		pthread_barrier_wait(&barrier);
		if (hz3_remote_push(&claimed.remote, &push) == HZ3_PUSH_CLAIMED) {
			uint32_t at = push.old.first;

			winners++;
			ck_assert_uint_eq(push.old.count, CAPACITY - MINE);
			for (uint32_t i = 1; i < push.old.count; i++)
				at = claimed.next[at];
			ck_assert_uint_eq(at, push.old.last);
			/* The page is mine: nobody reads these lines but me. */
			memset(claimed.next, 0, sizeof(claimed.next));
			atomic_store(&claimed.remote.word, 0);
		}
		pthread_barrier_wait(&barrier);
		ck_assert_uint_eq(winners, (unsigned)round + 1);
		ck_assert_uint_eq(claimed.remote.word, 0);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

START_TEST(one_claims)
{
	pthread_t thread[PUSHERS];

	pthread_barrier_init(&barrier, NULL, PUSHERS);
	for (uintptr_t i = 0; i < PUSHERS; i++)
		thread[i] = core_start(claimer, (void *)i);
	for (unsigned i = 0; i < PUSHERS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(winners, ROUNDS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("page_remote");
	TCase *tc = tcase_create("word");

	tcase_add_test(tc, packs);
	tcase_add_test(tc, pushes_and_takes);
	tcase_add_test(tc, peels);
	tcase_add_test(tc, claims);
	tcase_add_test(tc, sleep_mark);
	tcase_add_test(tc, take_over);
	tcase_add_test(tc, hold);
	tcase_add_test(tc, retry_links_anew);
	suite_add_tcase(suite, tc);

	tc = tcase_create("threads");
	tcase_add_test(tc, threads);
	tcase_add_test(tc, announced_at_every_moment);
	tcase_add_test(tc, one_claims);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);

	return unit_run(suite);
}
