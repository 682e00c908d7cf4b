/*
 * Big blocks, and blocks that become big.
 *
 *   walk       several threads realloc each other's blocks through all ranges of sizes, from 1 byte to 80 MiB.
 *   gigabyte   one block grows to 1 GiB, written to here and there, and shrinks again.
 *   aligned    aligned blocks of all sizes; realloc keeps the contents of those as well.
 *   too_much   requests for 100 GiB and more: they work as long as nobody touches them, or fail cleanly.
 *   zeroes     calloc of every size, over memory that was dirty when it was freed, by this thread or another.
 *
 * Contents depend on the place within the block and on a key, so that they must move along.
 */
#include "stress.h"

#define THREADS 4
#define SLOTS 24
#define GIB ((size_t)1 << 30)
#define SIZE_MOST (80 * MIB)
#define LAST 0x77		/* what the last byte of a block is */

struct keyed {
	unsigned char *p;
	size_t size;
	uint64_t key;
};

/* From place i to the next one that is looked at: all of the start, fewer the further it goes. */
static size_t stride(size_t i)
{
	return i < 4 * KIB ? 1 : i < 256 * KIB ? 61 : i < 4 * MIB ? 4091 : 65521;
}

static unsigned char byte_at(uint64_t key, size_t i)
{
	return (unsigned char)(stress_mix(key + i) >> 24);
}

/* The places that are looked at: the same ones whatever the size is, as far as it goes. */
#define FOR_EACH_PLACE(i, size) for (size_t i = 0; i < (size); i += stride(i))

static void write_all(struct keyed *block)
{
	FOR_EACH_PLACE(i, block->size)
		block->p[i] = byte_at(block->key, i);
	if (block->size > 0)
		block->p[block->size - 1] = LAST;
}

static void check_places(const struct keyed *block, size_t size, const char *what)
{
	FOR_EACH_PLACE(i, size) {
		if (i == block->size - 1)
			continue;
		CHECK(block->p[i] == byte_at(block->key, i), "%s: byte %zu of %p (%zu bytes) is wrong", what, i,
		      (void *)block->p, block->size);
	}
}

static void check_all(const struct keyed *block, const char *what)
{
	check_places(block, block->size, what);
	CHECK(block->size == 0 || block->p[block->size - 1] == LAST, "%s: the last byte of %p (%zu bytes) is wrong",
	      what, (void *)block->p, block->size);
}

static size_t any_size(uint64_t *random)
{
	/* Around the borders between the ways that blocks are kept, now and then. */
	static const size_t borders[] = {16, 1024, 16 * KIB, 32 * KIB, 64 * KIB, 128 * KIB, MIB, 32 * MIB, 64 * MIB};

	if (stress_below(random, 4) == 0)
		return borders[stress_below(random, 9)] - 8 + stress_below(random, 17);
	return stress_size(random, SIZE_MOST);
}

static struct keyed new_keyed(uint64_t *random)
{
	struct keyed block = {.size = any_size(random), .key = stress_random(random)};

	block.p = malloc(block.size);
	CHECK(block.p != NULL, "no memory for %zu bytes", block.size);
	CHECK(malloc_usable_size(block.p) >= block.size, "usable size %zu of %zu bytes", malloc_usable_size(block.p),
	      block.size);
	write_all(&block);
	return block;
}

static void resize(struct keyed *block, size_t size, const char *what)
{
	size_t old = block->size;

	check_all(block, what);
	unsigned char *p = stress_opaque(realloc(block->p, size));
	CHECK(p != NULL, "%s: no memory from %zu to %zu bytes", what, old, size);
	CHECK(malloc_usable_size(p) >= size, "%s: usable size %zu of %zu bytes", what, malloc_usable_size(p), size);
	block->p = p;
	check_places(block, size < old ? size : old, what);
	CHECK(size < old || p[old - 1] == LAST, "%s: byte %zu was lost", what, old - 1);
	block->size = size;
	write_all(block);
}

/* ---- Walk ---- */

static struct keyed slots[SLOTS];
static pthread_mutex_t slot_lock[SLOTS];
static _Atomic bool stop;

static void *walk(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		unsigned i = (unsigned)stress_below(&random, SLOTS);
		if (pthread_mutex_trylock(&slot_lock[i]) != 0)
			continue;
		struct keyed *block = &slots[i];
		if (block->p == NULL) {
			*block = new_keyed(&random);
		} else if (stress_below(&random, 8) == 0) {
			check_all(block, "free");
			free(block->p);
			block->p = NULL;
		} else {
			size_t size = any_size(&random);
			if (stress_below(&random, 2))
				size = 1 + block->size / 2 + stress_below(&random, block->size);
			resize(block, size < SIZE_MOST ? size : SIZE_MOST, "walk");
		}
		pthread_mutex_unlock(&slot_lock[i]);
	}
	return NULL;
}

static void run_walk(unsigned ms)
{
	pthread_t thread[THREADS];

	for (unsigned i = 0; i < SLOTS; i++)
		pthread_mutex_init(&slot_lock[i], NULL);
	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < THREADS; i++)
		thread[i] = stress_thread(walk, (void *)(i + 1));
	stress_sleep_ms(ms);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < SLOTS; i++) {
		if (slots[i].p != NULL)
			check_all(&slots[i], "walk");
		free(slots[i].p);
		slots[i].p = NULL;
	}
}

/* ---- Gigabyte ---- */

static void gigabyte(uint64_t *random)
{
	struct keyed block = {.size = 100, .key = stress_random(random)};

	block.p = malloc(block.size);
	CHECK(block.p != NULL, "no memory");
	write_all(&block);
	while (block.size < GIB) {
		size_t size = block.size + block.size / 2 + stress_below(random, block.size);
		unsigned char *p = realloc(block.p, size < GIB ? size : GIB);
		if (p == NULL) {
			CHECK(errno == ENOMEM, "realloc to %zu bytes: %s", size, strerror(errno));
			printf("gigabyte: no memory beyond %zu MiB\n", block.size / MIB);
			break;
		}
		/* Growth by moving pages keeps them all; this looks at some. */
		block.p = p;
		check_places(&block, block.size, "growth");
		CHECK(p[block.size - 1] == LAST, "growth: byte %zu was lost", block.size - 1);
		p[block.size - 1] = byte_at(block.key, block.size - 1);
		block.size = size < GIB ? size : GIB;
		write_all(&block);
	}
	while (block.size > 64)
		resize(&block, block.size / 2 - stress_below(random, block.size / 4), "shrink");
	check_all(&block, "shrink");
	free(block.p);
}

/* ---- Aligned ---- */

static void aligned(uint64_t *random)
{
	struct keyed block[40];

	for (unsigned i = 0; i < 40; i++) {
		size_t alignment = (size_t)16 << stress_below(random, i % 8 == 0 ? 23 : 14);
		void *p;
		block[i].size = i % 8 == 0 ? any_size(random) : stress_size(random, MIB);
		block[i].key = stress_random(random);
		CHECK(posix_memalign(&p, alignment, block[i].size) == 0, "posix_memalign(%zu, %zu)", alignment,
		      block[i].size);
		CHECK((uintptr_t)p % alignment == 0, "%p is not aligned to %zu", p, alignment);
		CHECK(malloc_usable_size(p) >= block[i].size, "usable size %zu of %zu bytes, aligned to %zu",
		      malloc_usable_size(p), block[i].size, alignment);
		block[i].p = p;
		write_all(&block[i]);
	}
	for (unsigned i = 0; i < 40; i++) {
		check_all(&block[i], "aligned");
		if (i % 2)
			resize(&block[i], stress_size(random, 2 * MIB), "aligned");
	}
	for (unsigned i = 0; i < 40; i++) {
		check_all(&block[i], "aligned");
		free(block[i].p);
	}
}

/* ---- Too much ---- */

static void too_much(void)
{
	struct keyed kept = {.p = malloc(3 * MIB), .size = 3 * MIB, .key = 5};

	CHECK(kept.p != NULL, "no memory");
	write_all(&kept);
	for (unsigned shift = 35; shift < 63; shift++) {
		size_t size = ((size_t)1 << shift) + ((size_t)1 << (shift - 1)) + 1;
		errno = 0;
		char *p = stress_opaque(malloc(size));
		CHECK(p != NULL || errno == ENOMEM, "malloc(%zu): %s", size, strerror(errno));
		CHECK(p == NULL || malloc_usable_size(p) >= size, "malloc(%zu) gives less", size);
		free(p);
		errno = 0;
		p = stress_opaque(calloc(size / 16, 16));
		CHECK(p != NULL ? p[0] == 0 && p[size / 2] == 0 : errno == ENOMEM, "calloc(%zu): %s", size,
		      strerror(errno));
		free(p);
		errno = 0;
		unsigned char *q = stress_opaque(realloc(kept.p, size));
		if (q != NULL)
			kept.p = q;
		else
			CHECK(errno == ENOMEM, "realloc(%zu): %s", size, strerror(errno));
		check_all(&kept, "after a realloc to too much");
		if (q != NULL)
			kept.p = realloc(kept.p, kept.size);
		check_all(&kept, "back from too much");
	}
	free(kept.p);
}

/* ---- Zeroes ---- */

static _Atomic(void *) dirty[64];

/* Of all that there is, not only of samples: up to 64 KiB at each end, and every page in between. */
static void check_zero(const unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i += i < 64 * KIB || i + 64 * KIB > size ? 1 : 509)
		CHECK(p[i] == 0, "calloc(%zu): byte %zu of %p is %#x", size, i, (const void *)p, p[i]);
}

static void *zeroes(void *arg)
{
	uint64_t random = stress_state((uintptr_t)arg);

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		size_t size = any_size(&random);
		if (size > MIB && stress_below(&random, 8) != 0)
			size = size % (256 * KIB) + 1;
		unsigned char *p = stress_opaque(calloc(1, size));
		CHECK(p != NULL, "no memory for %zu bytes", size);
		check_zero(p, size);
		memset(p, 0xa5, malloc_usable_size(p));
		/* Freed by this thread or another one, dirty. */
		free(stress_below(&random, 2) ? p : atomic_exchange(&dirty[stress_below(&random, 64)], p));
		if (stress_below(&random, 400) == 0)
			stress_purge();
	}
	return NULL;
}

static void run_zeroes(unsigned ms)
{
	pthread_t thread[THREADS];

	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < THREADS; i++)
		thread[i] = stress_thread(zeroes, (void *)(i + 50));
	stress_sleep_ms(ms);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < 64; i++)
		free(atomic_exchange(&dirty[i], NULL));
}

static void body(void)
{
	uint64_t random = stress_state(0);
	unsigned form = stress_long ? 60 : 1;

	stress_warm_up(THREADS);
	stress_purge();
	size_t live = stress_live(), rss = stress_rss();
	run_walk(400 * form);
	for (unsigned i = 0; i < form; i++)
		gigabyte(&random);
	for (unsigned i = 0; i < 10 * form; i++)
		aligned(&random);
	too_much();
	run_zeroes(400 * form);
	size_t live_now = stress_live();
	CHECK(live_now == live, "%zu blocks live at the end, %zu before", live_now, live);
	stress_purge();
	size_t rss_now = stress_rss();
	printf("rss %zu KiB before, %zu KiB after\n", rss / KIB, rss_now / KIB);
	/* The page map has a line for each 64 KiB of address space that was ever in use, of which each large block touched one. */
	size_t page_map = on_hz3() ? stress_stat("stats.mapped") / KIB : 0;
	CHECK(!on_hz3() || rss_now < rss + 16 * MIB + page_map, "%zu KiB resident after everything was freed, %zu KiB before",
	      rss_now / KIB, rss / KIB);
	size_t huge = stress_stat("stats.huge_mappings");
	CHECK(huge == 0, "%zu huge mappings are left", huge);
}

int main(void)
{
	/* The second: nothing is a large run, all is huge; the third: nothing is huge, and nothing stays dirty. */
	static const char *const variants[] = {"sink:page", "huge_threshold:1M", "huge_threshold:1G,dirty_decay_ms:0",
					       NULL};

	return stress_main(variants, 30, body);
}
