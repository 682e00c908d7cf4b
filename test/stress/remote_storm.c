/*
 * Threads allocate, others free: through an exchange of blocks of all sizes, and through pipelines of batches of one size.
 *
 * Every block is full of a pattern made from its address, checked when it is freed.  At the end everything is freed: the
 * statistics must have no more live blocks than before, and the memory must be gone.
 */
#include "stress.h"

#define SLOTS 4096
#define PIPES 16
#define BATCH 4096

static _Atomic(void *) slots[SLOTS];
static _Atomic bool stop;

static void *any_block(uint64_t *random)
{
	uint64_t dice = stress_below(random, 4096);
	size_t size = stress_size(random, 32 * KIB);
	void *p;

	if (dice < 2)
		size = 33 * MIB;	/* a mapping of its own */
	else if (dice < 16)
		size = 32 * KIB + stress_below(random, MIB);
	if (size < 8)
		size = 8;
	if (dice % 16 == 3) {
		p = stress_opaque(calloc(1, size));
		for (size_t i = 0; p != NULL && i < size; i += size > 64 * KIB ? 4093 : 1)
			CHECK(((char *)p)[i] == 0, "calloc(%zu): byte %zu of %p is not 0", size, i, p);
	} else if (dice % 16 == 4) {
		size_t alignment = (size_t)16 << stress_below(random, 10);
		CHECK(posix_memalign(&p, alignment, size) == 0, "posix_memalign(%zu, %zu)", alignment, size);
		CHECK((uintptr_t)p % alignment == 0, "%p is not aligned to %zu", p, alignment);
	} else {
		p = stress_opaque(malloc(size));
	}
	CHECK(p != NULL, "no memory for %zu bytes", size);
	if (dice % 4 == 1 && size <= 32 * KIB)
		size = malloc_usable_size(p);
	stress_fill(p, size);
	return p;
}

/* Change the size of a block; what both sizes have in common must be the same before and after. */
static void *reallocate(uint64_t *random, void *p)
{
	size_t old = stress_check(p), size = stress_size(random, 32 * KIB);
	unsigned char before[64], *q;
	size_t common = old < size ? old : size;

	if (old > STRESS_WHOLE)
		return p;
	if (size < 8)
		size = 8;
	common = common < sizeof(before) ? common : sizeof(before);
	memcpy(before, p, common);
	q = stress_opaque(realloc(p, size));
	CHECK(q != NULL, "no memory for %zu bytes", size);
	CHECK(memcmp(before, q, common) == 0, "realloc from %zu to %zu bytes lost contents", old, size);
	stress_fill(q, size);
	return q;
}

static void *exchange(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		void *p = any_block(&random);
		/* acquire and release: the block's contents go with it. */
		p = atomic_exchange_explicit(&slots[stress_below(&random, SLOTS)], p, memory_order_acq_rel);
		if (p != NULL && stress_below(&random, 16) == 0)
			p = reallocate(&random, p);
		stress_discard(p);
	}
	return NULL;
}

/* A pipe holds one batch at a time; NULL is empty. */
static struct pipe {
	_Atomic(void **) batch;
	size_t size;
} pipes[PIPES];

static void *produce(void *arg)
{
	struct pipe *pipe = arg;
	uint64_t random = stress_state(1000 + (uintptr_t)(pipe - pipes));

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		void **batch = malloc(BATCH * sizeof(*batch));
		CHECK(batch != NULL, "no memory");
		for (size_t i = 0; i < BATCH; i++) {
			size_t size = pipe->size ? pipe->size : 16 + stress_below(&random, 500);
			batch[i] = malloc(size);
			CHECK(batch[i] != NULL, "no memory");
			stress_fill(batch[i], size);
		}
		void **none = NULL;
		while (!atomic_compare_exchange_weak(&pipe->batch, &none, batch)) {
			none = NULL;
			if (atomic_load_explicit(&stop, memory_order_relaxed)) {
				for (size_t i = 0; i < BATCH; i++)
					stress_discard(batch[i]);
				free(batch);
				return NULL;
			}
			sched_yield();
		}
	}
	return NULL;
}

static void *consume(void *arg)
{
	struct pipe *pipe = arg;

	for (;;) {
		void **batch = atomic_exchange(&pipe->batch, NULL);
		if (batch == NULL) {
			if (atomic_load_explicit(&stop, memory_order_relaxed))
				return NULL;
			sched_yield();
			continue;
		}
		for (size_t i = 0; i < BATCH; i++)
			stress_discard(batch[i]);
		free(batch);
	}
}

static void run(unsigned seconds_x10)
{
	stress_sleep_ms(seconds_x10 * 100);
	atomic_store(&stop, true);
}

static void storm(unsigned threads, unsigned seconds_x10)
{
	pthread_t thread[64];

	atomic_store(&stop, false);
	for (unsigned i = 0; i < threads; i++)
		thread[i] = stress_thread(exchange, (void *)(uintptr_t)(i + 1));
	run(seconds_x10);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < SLOTS; i++)
		stress_discard(atomic_exchange(&slots[i], NULL));
}

static void pipeline(unsigned n, unsigned seconds_x10)
{
	static const size_t sizes[] = {64, 0, 16, 1000};
	pthread_t thread[2 * PIPES];

	atomic_store(&stop, false);
	for (unsigned i = 0; i < n; i++) {
		pipes[i].size = sizes[i % 4];
		thread[2 * i] = stress_thread(produce, &pipes[i]);
		thread[2 * i + 1] = stress_thread(consume, &pipes[i]);
	}
	run(seconds_x10);
	for (unsigned i = 0; i < 2 * n; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < n; i++) {
		void **batch = atomic_exchange(&pipes[i].batch, NULL);
		for (size_t j = 0; batch != NULL && j < BATCH; j++)
			stress_discard(batch[j]);
		free(batch);
	}
}

static void body(void)
{
	stress_warm_up(32);
	stress_purge();
	size_t live = stress_live(), rss = stress_rss();
	unsigned long_form = stress_long ? 60 : 1;

	/* One part after the other, so that a leak is seen in the part that made it. */
	void (*parts[])(unsigned, unsigned) = {storm, pipeline, storm, pipeline};
	unsigned threads[] = {4, 2, 16, 16};
	for (unsigned i = 0; i < 4; i++) {
		parts[i](threads[i], 3 * long_form);
		size_t live_now = stress_live();
		CHECK(live_now == live, "part %u: %zu blocks live at the end, %zu before", i, live_now, live);
	}
	stress_purge();
	size_t rss_now = stress_rss();
	printf("rss %zu KiB before, %zu KiB after\n", rss / KIB, rss_now / KIB);
	CHECK(!on_hz3() || rss_now < rss + 16 * MIB, "%zu KiB resident after everything was freed, %zu KiB before",
	      rss_now / KIB, rss / KIB);
}

int main(void)
{
	static const char *const variants[] = {STRESS_SINKS, NULL};

	return stress_main(variants, 20, body);
}
