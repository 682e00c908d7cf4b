/*
 * Threads that only free.  What they free comes back to the process, whatever the owners do:
 *
 *   sleepers      each owner allocates its share, hands it over and sleeps until the end.
 *   other_class   each owner goes on, but never again asks for a size that it has had.
 *
 * Resident memory is looked at all the time while this runs: it stays near what is in use at once, a small part of what
 * is allocated in all.
 */
#include "stress.h"

#define FREERS 3
#define OWNERS 32
#define SHARE (8 * MIB)
#define LIMIT (18 * SHARE)
#define PACE_MS 40		/* from one sleeper to the next: hz3 takes some rounds to see that an owner sleeps */
#define IN_FLIGHT 4		/* shares that owners may be ahead of the freers */
#define OTHER_OWNERS 2

struct share {
	void **block;
	size_t count, size;
	_Atomic size_t next;	/* blocks that freers have taken, by runs */
	_Atomic size_t freed;
};

#define SHARES OWNERS
#define RUN 512

static struct share shares[SHARES];
static _Atomic unsigned filled, emptied;	/* shares, in order */
static _Atomic bool stop;
static unsigned shares_wanted;

static size_t blocks_max(void)
{
	return SHARE / 32;
}

static void fill_share(struct share *share, size_t size)
{
	share->size = size;
	share->count = SHARE / size;
	for (size_t i = 0; i < share->count; i++) {
		share->block[i] = malloc(size);
		CHECK(share->block[i] != NULL, "no memory for %zu bytes", size);
		stress_fill(share->block[i], size);
	}
	atomic_store(&share->next, 0);
	atomic_store(&share->freed, 0);
	atomic_fetch_add(&filled, 1);
}

/* Shares are filled in order, so that a freer finds them by number. */
static bool wait_for_turn(unsigned number)
{
	while (atomic_load(&filled) < number || number >= atomic_load(&emptied) + IN_FLIGHT) {
		if (atomic_load(&stop))
			return false;
		stress_sleep_ms(1);
	}
	return true;
}

static void *own_and_sleep(void *arg)
{
	unsigned number = (unsigned)(uintptr_t)arg;

	stress_sleep_ms(PACE_MS * number);
	if (wait_for_turn(number))
		fill_share(&shares[number], 48 + 16 * (number % 7));
	while (!atomic_load(&stop))
		stress_sleep_ms(20);
	return NULL;
}

static void *own_and_go_on(void *arg)
{
	unsigned first = (unsigned)(uintptr_t)arg;

	/* 32, 48, 64 ... then in bigger steps: no two shares of an owner are of the same size class. */
	for (unsigned number = first, i = 0; number < shares_wanted; number += OTHER_OWNERS, i++) {
		if (!wait_for_turn(number))
			break;
		fill_share(&shares[number], (size_t)16 << (1 + i / 2) | (i % 2 ? (size_t)8 << (1 + i / 2) : 0));
	}
	return NULL;
}

/* Runs of neighbours, so that a page's blocks come from one or two threads, in random order of runs. */
static void *only_free(void *arg UNUSED)
{
	unsigned number = 0;

	while (!atomic_load(&stop)) {
		if (number >= atomic_load(&filled)) {
			stress_sleep_ms(1);
			continue;
		}
		struct share *share = &shares[number];
		size_t from = atomic_fetch_add(&share->next, RUN);
		if (from >= share->count) {
			number++;
			continue;
		}
		size_t to = from + RUN < share->count ? from + RUN : share->count;
		for (size_t i = from; i < to; i++) {
			CHECK(stress_check(share->block[i]) == share->size, "block %p has another's size",
			      share->block[i]);
			free(share->block[i]);
		}
		if (atomic_fetch_add(&share->freed, to - from) + (to - from) == share->count)
			atomic_fetch_add(&emptied, 1);
	}
	return NULL;
}

/* Watch until all shares are freed.  The most that was resident. */
static size_t watch(const char *what, size_t base)
{
	size_t most = 0;

	while (atomic_load(&emptied) < shares_wanted) {
		size_t rss = stress_rss();
		rss = rss > base ? rss - base : 0;
		most = rss > most ? rss : most;
		CHECK(!on_hz3() || rss < LIMIT, "%s: %zu MiB resident, of %zu MiB that were allocated until now", what,
		      rss / MIB, atomic_load(&filled) * SHARE / MIB);
		stress_sleep_ms(2);
	}
	return most;
}

static void run(const char *what, void *(*own)(void *), unsigned owners, unsigned count)
{
	pthread_t owner[OWNERS], freer[FREERS];
	size_t live = stress_live();

	shares_wanted = count;
	atomic_store(&filled, 0);
	atomic_store(&emptied, 0);
	atomic_store(&stop, false);
	stress_purge();
	size_t base = stress_rss();
	for (uintptr_t i = 0; i < FREERS; i++)
		freer[i] = stress_thread(only_free, (void *)i);
	for (uintptr_t i = 0; i < owners; i++)
		owner[i] = stress_thread(own, (void *)i);
	size_t most = watch(what, base);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < owners; i++)
		pthread_join(owner[i], NULL);
	for (unsigned i = 0; i < FREERS; i++)
		pthread_join(freer[i], NULL);
	printf("%s: at most %zu MiB resident of %zu MiB in all\n", what, most / MIB, count * SHARE / MIB);
	size_t live_now = stress_live();
	CHECK(live_now == live, "%s: %zu blocks live at the end, %zu before", what, live_now, live);
}

static void body(void)
{
	size_t bytes = blocks_max() * sizeof(void *);

	/* What the test itself needs is there, and resident, before anything is measured. */
	for (unsigned i = 0; i < SHARES; i++) {
		shares[i].block = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		CHECK(shares[i].block != MAP_FAILED, "mmap: %s", strerror(errno));
	}
	stress_warm_up(OWNERS + FREERS);
	for (unsigned round = 0; round < (stress_long ? 20 : 1); round++) {
		run("other_class", own_and_go_on, OTHER_OWNERS, SHARES);
		/* Only handover gets at what waits for a sleeper. */
		if (strstr(stress_variant, "handover:0") == NULL)
			run("sleepers", own_and_sleep, OWNERS, SHARES);
	}
}

int main(void)
{
	static const char *const variants[] = {"sink:central", "sink:page", "sink:page,handover:0",
					       "remote_batch:0,dirty_decay_ms:100", NULL};

	return stress_main(variants, 30, body);
}
