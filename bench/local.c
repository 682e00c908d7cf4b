/*
 * Threads that share nothing: what every allocator has to be good at first.
 *
 * The patterns of -p, and how many blocks -n of a thread are live at most:
 *
 *   pairs     one block, freed at once
 *   lifo      -n blocks, freed newest first
 *   fifo      -n blocks, freed oldest first
 *   random    -n blocks, of which a random one is replaced
 *   realloc   16 blocks that grow from 16 bytes to 64 KiB, one step of a random one at a time
 *   calloc    as random, by calloc, whose bytes must be 0
 *   aligned   as random, by aligned_alloc and posix_memalign, at 16 to 4096 bytes
 *   buffers   as random, blocks from 4 to 64 KiB, of which the first 4 KiB are written
 *   large     blocks from 64 KiB to 4 MiB, lifo and random by turns; signing them touches their first and last page
 *
 * An operation is one malloc and one free, or one step of realloc.
 */
#include "bench.h"

#define COUNT_EVERY 64
#define GROWING 16
#define GROWN 65536
#define BUFFER_WRITTEN 4096

struct pattern {
	const char *name;
	void (*work)(struct bench_thread *t, void **slot);
	size_t blocks;	/* unless -n is given */
	const char *size;	/* unless -s is given; NULL: as always */
};

static const struct pattern *pattern;
static size_t blocks;
static void **slots;	/* of all threads */

/* ---- blocks ---- */

/* Calls other than bench_malloc's, for -l. */
static void clock_start(const struct bench_thread *t, struct timespec *from)
{
	if (t->latency != NULL)
		clock_gettime(CLOCK_MONOTONIC, from);
}

static void clock_stop(struct bench_thread *t, const struct timespec *from)
{
	struct timespec to;

	if (t->latency == NULL)
		return;
	clock_gettime(CLOCK_MONOTONIC, &to);
	bench_count_latency(t, from, &to);
}

static void *make(struct bench_thread *t)
{
	return bench_malloc(t, bench_size(t));
}

static bool all_zero(const unsigned char *block, size_t size)
{
	return block[0] == 0 && memcmp(block, block + 1, size - 1) == 0;
}

static void *make_zeroed(struct bench_thread *t)
{
	size_t size = bench_size(t);
	struct timespec from;
	void *block;

	clock_start(t, &from);
	block = calloc(1, size);
	clock_stop(t, &from);
	if (block == NULL)
		bench_fatal("calloc");
	t->errors += !all_zero(block, size);
	memset(block, 0xa5, size);
	return bench_adopt(t, block, size);
}

/* C11 wants a size for aligned_alloc that is a multiple of the alignment. */
static void *make_aligned(struct bench_thread *t)
{
	uint64_t random = bench_below(t, 2 * 9);
	size_t alignment = (size_t)16 << random / 2, size = bench_size(t);
	struct timespec from;
	void *block;

	if (random % 2 == 0)
		size = (size + alignment - 1) & ~(alignment - 1);
	clock_start(t, &from);
	if (random % 2 == 0)
		block = aligned_alloc(alignment, size);
	else if (posix_memalign(&block, alignment, size) != 0)
		block = NULL;
	clock_stop(t, &from);
	t->errors += (uintptr_t)block % alignment != 0;
	return bench_adopt(t, block, size);
}

static void *make_buffer(struct bench_thread *t)
{
	size_t size = bench_size(t), written = size < BUFFER_WRITTEN ? size : BUFFER_WRITTEN;
	char *block = bench_malloc(t, size);

	/* Not the marks at its ends. */
	if (written > 16)
		memset(block + 8, 0x5a, written - 16);
	return block;
}

/* ---- patterns ---- */

static void work_pairs(struct bench_thread *t, void **slot)
{
	while (!bench_stopping()) {
		for (unsigned i = 0; i < COUNT_EVERY; i++) {
			*slot = make(t);
			__asm__ volatile("" : : : "memory");	/* the compiler must not see that both can go */
			bench_free(t, *slot);
		}
		bench_did(t, COUNT_EVERY);
	}
}

static void fill(struct bench_thread *t, void **slot)
{
	for (size_t i = 0; i < blocks; i++)
		slot[i] = make(t);
}

static void lifo(struct bench_thread *t, void **slot)
{
	fill(t, slot);
	for (size_t i = blocks; i > 0; i--)
		bench_free(t, slot[i - 1]);
	bench_did(t, blocks);
}

static void work_lifo(struct bench_thread *t, void **slot)
{
	while (!bench_stopping())
		lifo(t, slot);
}

static void work_fifo(struct bench_thread *t, void **slot)
{
	while (!bench_stopping()) {
		fill(t, slot);
		for (size_t i = 0; i < blocks; i++)
			bench_free(t, slot[i]);
		bench_did(t, blocks);
	}
}

static inline void replace(struct bench_thread *t, void **slot, void *(*make_one)(struct bench_thread *))
{
	size_t k = bench_below(t, blocks);

	if (slot[k] != NULL)
		bench_free(t, slot[k]);
	slot[k] = make_one(t);
}

static void empty(struct bench_thread *t, void **slot)
{
	for (size_t i = 0; i < blocks; i++) {
		if (slot[i] != NULL)
			bench_free(t, slot[i]);
		slot[i] = NULL;
	}
}

static inline void work_replacing(struct bench_thread *t, void **slot, void *(*make_one)(struct bench_thread *))
{
	while (!bench_stopping()) {
		for (unsigned i = 0; i < COUNT_EVERY; i++)
			replace(t, slot, make_one);
		bench_did(t, COUNT_EVERY);
	}
	empty(t, slot);
}

static void work_random(struct bench_thread *t, void **slot)
{
	work_replacing(t, slot, make);
}

static void work_calloc(struct bench_thread *t, void **slot)
{
	work_replacing(t, slot, make_zeroed);
}

static void work_aligned(struct bench_thread *t, void **slot)
{
	work_replacing(t, slot, make_aligned);
}

static void work_buffers(struct bench_thread *t, void **slot)
{
	work_replacing(t, slot, make_buffer);
}

static void work_large(struct bench_thread *t, void **slot)
{
	while (!bench_stopping()) {
		lifo(t, slot);
		memset(slot, 0, blocks * sizeof(*slot));
		for (size_t i = 0; i < 2 * blocks; i++)
			replace(t, slot, make);
		bench_did(t, 2 * blocks);
		empty(t, slot);
	}
}

/* Both the mark and its copy at the end have to move along; a mark also says where it was, so a new one is due. */
static void *grow(struct bench_thread *t, void *block, size_t size, size_t new_size)
{
	uint64_t mark = bench_mark(block, size, t->tag);
	struct timespec from;
	char *moved;

	t->errors += bench_read(block) != mark || bench_read((char *)block + size - 8) != ~mark;
	clock_start(t, &from);
	moved = realloc(block, new_size);
	clock_stop(t, &from);
	if (moved == NULL)
		bench_fatal("realloc");
	t->errors += bench_read(moved) != mark || bench_read(moved + size - 8) != ~mark;
	bench_sign(t, moved, new_size);
	return moved;
}

/* A block that is not yet grown up grows by up to what it has; another begins anew. */
static void work_realloc(struct bench_thread *t, void **slot)
{
	size_t size[GROWING] = { 0 };

	while (!bench_stopping()) {
		for (unsigned i = 0; i < COUNT_EVERY; i++) {
			size_t k = bench_below(t, GROWING);

			if (size[k] == GROWN) {
				bench_free(t, slot[k]);
				size[k] = 0;
			}
			if (size[k] == 0) {
				size[k] = 16;
				slot[k] = bench_malloc(t, size[k]);
			}
			size_t new_size = size[k] + 1 + bench_below(t, size[k]);

			if (new_size > GROWN)
				new_size = GROWN;
			slot[k] = grow(t, slot[k], size[k], new_size);
			size[k] = new_size;
		}
		bench_did(t, COUNT_EVERY);
	}
	empty(t, slot);
}

static const struct pattern patterns[] = {
	{ "pairs", work_pairs, 1, NULL },
	{ "lifo", work_lifo, 1000, NULL },
	{ "fifo", work_fifo, 1000, NULL },
	{ "random", work_random, 1000, NULL },
	{ "realloc", work_realloc, GROWING, NULL },
	{ "calloc", work_calloc, 1000, NULL },
	{ "aligned", work_aligned, 1000, NULL },
	{ "buffers", work_buffers, 800, "4096-65536" },
	{ "large", work_large, 16, "65536-4194304" },
};

static const struct pattern *find_pattern(const char *name)
{
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		if (strcmp(patterns[i].name, name) == 0)
			return &patterns[i];
	}
	return NULL;
}

/* ---- the program ---- */

static void work(struct bench_thread *t)
{
	pattern->work(t, slots + t->index * blocks);
}

static bool option(int letter, const char *text)
{
	switch (letter) {
	case 'p':
		pattern = find_pattern(text);
		return pattern != NULL;
	case 'n':
		blocks = bench_number(text, 1, 1u << 24);
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	static const struct bench_spec spec = {
		.name = "local", .workers = 1, .size = "64", .seconds = 1, .letters = "p:n:", .option = option,
		.usage = "              ignored by realloc; unless it is given buffers has 4096-65536, and large 65536-4194304\n"
		    "  -p PATTERN  pairs, lifo, fifo, random, realloc, calloc, aligned, buffers or large (random)\n"
		    "  -n BLOCKS   live at once (1000, buffers 800, large 16; ignored by pairs and realloc)\n",
	};
	char more[64];

	pattern = find_pattern("random");
	bench_begin(argc, argv, &spec);
	if (blocks == 0 || pattern->work == work_pairs || pattern->work == work_realloc)
		blocks = pattern->blocks;
	if (pattern->size && bench.size_text == spec.size)
		bench_set_size(pattern->size);
	bench_threads(bench.workers);
	slots = bench_map(bench.workers * blocks * sizeof(*slots));
	bench_run(bench.workers, work);
	snprintf(more, sizeof(more), "pattern=%s blocks=%zu", pattern->name, blocks);
	return bench_end(more);
}
