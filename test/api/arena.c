/*
 * Arenas of a program's own: hz3_arena_create() and the rest, as hz3.h has them.
 *
 * What is promised: blocks as malloc's, also for free, realloc and malloc_usable_size, from any thread; a reset ends them all, whoever
 * freed which of them before and whatever other threads have in their buffers; a destroy gives the memory back, to the hooks if
 * there are some; nothing grows.
 */
#define _GNU_SOURCE
#include "api_test.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hz3/hz3.h"

static struct {
	hz3_arena_t *(*create)(const struct hz3_os_hooks *hooks, void *context);
	void *(*malloc)(hz3_arena_t *arena, size_t size);
	void *(*calloc)(hz3_arena_t *arena, size_t count, size_t size);
	void *(*aligned_alloc)(hz3_arena_t *arena, size_t alignment, size_t size);
	void *(*realloc)(hz3_arena_t *arena, void *p, size_t size);
	void (*reset)(hz3_arena_t *arena);
	void (*destroy)(hz3_arena_t *arena);
	void (*stats)(hz3_arena_t *arena, struct hz3_arena_stats *stats);
	size_t (*purge)(void);
	void (*thread_flush)(void);
	int (*control)(const char *name, void *old, size_t *old_bytes, void *new_, size_t new_bytes);
} hz3;

#define FIND(function, name) ((hz3.function = (__typeof__(hz3.function))find(name)) != NULL)

static bool find_all(void)
{
	return FIND(create, "hz3_arena_create") && FIND(malloc, "hz3_arena_malloc") && FIND(calloc, "hz3_arena_calloc") &&
	       FIND(aligned_alloc, "hz3_arena_aligned_alloc") && FIND(realloc, "hz3_arena_realloc") &&
	       FIND(reset, "hz3_arena_reset") && FIND(destroy, "hz3_arena_destroy") && FIND(stats, "hz3_arena_stats") &&
	       FIND(purge, "hz3_purge") && FIND(thread_flush, "hz3_thread_flush") && FIND(control, "hz3_control");
}

static struct hz3_arena_stats stats_of(hz3_arena_t *arena)
{
	struct hz3_arena_stats stats;

	hz3.stats(arena, &stats);
	return stats;
}

static size_t statistic(const char *name)
{
	size_t value = 0, bytes = sizeof(value);

	CHECK(hz3.control(name, &value, &bytes, NULL, 0) == 0, "%s", name);
	return value;
}

static unsigned arenas_created(void)
{
	unsigned value = 0;
	size_t bytes = sizeof(value);

	CHECK(hz3.control("arenas.created", &value, &bytes, NULL, 0) == 0, "no such name");
	return value;
}

static const size_t sizes[] = {0,     1,     16,    17,    100,    1000,   1024,    4000,    10000,   32768,
			       32769, 65536, 70000, 200000, 2097152, 2200000, 5000000, 41943040};

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* ---- one thread ---- */

static void test_blocks(void)
{
	hz3_arena_t *arena = hz3.create(NULL, NULL);
	void *block[SIZES];

	CHECK(arena != NULL, "no arena");
	CHECK(stats_of(arena).mapped == 0, "a new arena has memory");
	for (size_t i = 0; i < SIZES; i++) {
		block[i] = hz3.malloc(arena, sizes[i]);
		CHECK(block[i] != NULL && (uintptr_t)block[i] % 16 == 0, "%zu bytes at %p", sizes[i], block[i]);
		CHECK(malloc_usable_size(block[i]) >= sizes[i], "%zu of %zu bytes", malloc_usable_size(block[i]), sizes[i]);
		fill(block[i], 0, sizes[i], (unsigned)i);
	}
	CHECK(stats_of(arena).blocks == SIZES, "%zu blocks", stats_of(arena).blocks);
	for (size_t i = 0; i < SIZES; i++) {
		CHECK(first_difference(block[i], sizes[i], (unsigned)i) == sizes[i], "a block of %zu bytes", sizes[i]);
		errno = 77;
		free(block[i]);
		CHECK(errno == 77, "free of %zu bytes sets errno to %d", sizes[i], errno);
	}
	CHECK(stats_of(arena).blocks == 0 && stats_of(arena).allocated == 0, "%zu blocks", stats_of(arena).blocks);
	hz3.destroy(arena);
	hz3.destroy(NULL);
}

static void test_calloc(void)
{
	hz3_arena_t *arena = hz3.create(NULL, NULL);

	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i < SIZES; i++) {
			unsigned char *p = hz3.calloc(arena, 1, sizes[i]);
			size_t at = 0, usable = malloc_usable_size(p);
			while (at < usable && p[at] == 0)
				at++;
			CHECK(at == usable, "byte %zu of %zu is %u", at, usable, p[at]);
			memset(p, 0xee, usable);
		}
		hz3.reset(arena);
	}
	errno = 0;
	CHECK(hz3.calloc(arena, opaque_size(SIZE_MAX / 2), 3) == NULL && errno == ENOMEM, "errno %d", errno);
	errno = 0;
	CHECK(hz3.malloc(arena, opaque_size(SIZE_MAX)) == NULL && errno == ENOMEM, "errno %d", errno);
	errno = 0;
	CHECK(hz3.malloc(arena, opaque_size(PTRDIFF_MAX)) == NULL && errno == ENOMEM, "errno %d", errno);
	hz3.destroy(arena);
}

static void test_alignment(void)
{
	hz3_arena_t *arena = hz3.create(NULL, NULL);

	for (size_t alignment = 1; alignment <= (size_t)8 << 20; alignment *= 2) {
		void *block[SIZES];
		size_t n = 0;
		for (size_t i = 0; i < SIZES - 2; i++) {
			void *p = hz3.aligned_alloc(arena, alignment, sizes[i]);
			CHECK(p != NULL && (uintptr_t)p % alignment == 0, "%zu bytes at %p for %zu", sizes[i], p, alignment);
			CHECK(malloc_usable_size(p) >= sizes[i], "%zu bytes of %zu", malloc_usable_size(p), sizes[i]);
			fill(p, 0, sizes[i], (unsigned)i);
			block[n++] = p;
		}
		for (size_t i = 0; i < n; i++) {
			CHECK(first_difference(block[i], sizes[i], (unsigned)i) == sizes[i], "%zu bytes", sizes[i]);
			free(block[i]);
		}
	}
	errno = 0;
	CHECK(hz3.aligned_alloc(arena, opaque_size(24), 100) == NULL && errno == EINVAL, "errno %d", errno);
	CHECK(stats_of(arena).blocks == 0, "%zu blocks", stats_of(arena).blocks);
	hz3.destroy(arena);
}

/* An alignment that would take address space of which there is little for good. */
static void test_far_alignment(void)
{
	hz3_arena_t *arena = hz3.create(NULL, NULL);
	int (*control)(const char *, void *, size_t *, void *, size_t) =
		(int (*)(const char *, void *, size_t *, void *, size_t))find("hz3_control");
	size_t before = 0, after = 0, bytes = sizeof(before);

	CHECK(control("stats.metadata", &before, &bytes, NULL, 0) == 0, "no statistics");
	for (size_t alignment = SIZE_MAX / 2 + 1; alignment > (size_t)1 << 30; alignment /= 2)
		for (size_t size = 1; size < (size_t)64 << 20; size *= 8) {
			errno = 0;
			void *p = hz3.aligned_alloc(arena, opaque_size(alignment), size);
			CHECK(p == NULL && errno == ENOMEM, "%zu bytes at %p for %#zx: errno %d", size, p, alignment, errno);
			free(p);
		}
	void *p = hz3.aligned_alloc(arena, (size_t)1 << 30, 1);
	CHECK(p != NULL && (uintptr_t)p % ((size_t)1 << 30) == 0, "%p", p);
	free(p);
	CHECK(control("stats.metadata", &after, &bytes, NULL, 0) == 0, "no statistics");
	CHECK(after - before < (size_t)8 << 20, "%zu KiB of metadata more", (after - before) >> 10);
	hz3.destroy(arena);
}

static void test_realloc(void)
{
	hz3_arena_t *arena = hz3.create(NULL, NULL), *other = hz3.create(NULL, NULL);
	unsigned char *p = hz3.malloc(arena, 10);
	size_t before = 10;

	fill(p, 0, 10, 1);
	for (size_t i = 0; i < 2 * SIZES; i++) {
		/* Up, and down again; by both names. */
		size_t size = sizes[i < SIZES ? i : 2 * SIZES - 1 - i];
		if (size == 0)
			continue;
		p = i % 2 ? realloc(p, size) : hz3.realloc(arena, p, size);
		size_t kept = before < size ? before : size;
		CHECK(first_difference(p, kept, 1) == kept, "%zu to %zu bytes", before, size);
		fill(p, 0, size, 1);
		CHECK(stats_of(arena).blocks == 1, "after realloc to %zu bytes the arena has %zu blocks", size,
		      stats_of(arena).blocks);
		before = size;
	}
	p = hz3.realloc(arena, p, 3000);
	p = hz3.realloc(other, p, 5000);
	CHECK(stats_of(arena).blocks == 0 && stats_of(other).blocks == 1, "the block did not move to the other arena");
	CHECK(first_difference(p, 1, 1) == 1, "moved without its contents");
	CHECK(hz3.realloc(other, p, 0) == NULL && stats_of(other).blocks == 0, "realloc to 0 does not free");
	p = malloc(100);
	fill(p, 0, 100, 2);
	p = hz3.realloc(arena, p, 200000);
	CHECK(first_difference(p, 100, 2) == 100 && stats_of(arena).blocks == 1, "from malloc to the arena");
	p = hz3.realloc(arena, p, 100);
	CHECK(first_difference(p, 100, 2) == 100 && stats_of(arena).blocks == 1, "smaller");
	/* Much smaller, and still large: the rest is for others. */
	size_t active = stats_of(arena).active;
	p = hz3.realloc(arena, p, (size_t)20 << 20);
	p = hz3.realloc(arena, p, 40000);
	CHECK(first_difference(p, 100, 2) == 100 && stats_of(arena).active < active + ((size_t)1 << 20),
	      "a block of 40000 bytes that was larger takes %zu", stats_of(arena).active - active);
	hz3.destroy(arena);
	hz3.destroy(other);
}

/* A request of some blocks of all kinds, of which some are freed. */
static void request(hz3_arena_t *arena, unsigned seed)
{
	enum { BLOCKS = 2000 };
	static unsigned char *block[BLOCKS];

	for (unsigned i = 0; i < BLOCKS; i++) {
		size_t size = 1 + (size_t)(i * 7919 + seed) % 3000;
		if (i % 500 == 0)
			size += (size_t)i * 1000;
		block[i] = hz3.malloc(arena, size);
		memset(block[i], (int)(i & 0xff), size);
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		CHECK(block[i][0] == (i & 0xff), "block %u was written to", i);
	for (unsigned i = 0; i < BLOCKS; i += 3)
		free(block[i]);
}

static void test_reset(void)
{
	hz3_arena_t *arena = hz3.create(NULL, NULL);
	struct hz3_arena_stats first, last;
	size_t live = on_hz3_with_statistics() ? statistic("stats.blocks_live") : 0;

	request(arena, 0);
	hz3.reset(arena);
	request(arena, 0);
	hz3.reset(arena);
	first = stats_of(arena);
	CHECK(first.blocks == 0 && first.allocated == 0 && first.active == 0, "%zu blocks", first.blocks);
	CHECK(first.mapped != 0, "the memory is not kept");
	for (unsigned i = 0; i < 200; i++) {
		request(arena, 0);
		hz3.reset(arena);
	}
	last = stats_of(arena);
	/* Some: with a heap profile it is a matter of luck which blocks are large. */
	CHECK(last.mapped <= first.mapped + first.mapped / 4 && last.maps <= first.maps + first.maps / 4,
	      "from %zu to %zu bytes", first.mapped, last.mapped);
	if (on_hz3_with_statistics()) {
		size_t now = statistic("stats.blocks_live");
		CHECK(now < live + 100, "%zu blocks live, %zu before", now, live);
	}
	request(arena, 1);
	CHECK(hz3.purge() != 0, "nothing to purge");
	hz3.reset(arena);
	hz3.purge();
	CHECK(stats_of(arena).mapped == 0, "%zu bytes are kept from a purge", stats_of(arena).mapped);
	request(arena, 2);
	hz3.destroy(arena);
}

static void test_many(void)
{
	enum { AT_ONCE = 300, TIMES = 10000 };
	static hz3_arena_t *arena[AT_ONCE];
	unsigned before = arenas_created();
	size_t metadata = 0, mapped = 0;

	for (unsigned i = 0; i < AT_ONCE; i++) {
		arena[i] = hz3.create(NULL, NULL);
		fill(hz3.malloc(arena[i], 100), 0, 100, i);
	}
	CHECK(arenas_created() == before + AT_ONCE, "%u of %u", arenas_created() - before, AT_ONCE);
	for (unsigned i = 0; i < AT_ONCE; i++)
		hz3.destroy(arena[i]);
	for (unsigned i = 0; i < TIMES; i++) {
		hz3_arena_t *one = hz3.create(NULL, NULL);
		memset(hz3.malloc(one, 1000), 1, 1000);
		memset(hz3.malloc(one, 100000), 1, 100000);
		hz3.destroy(one);
		if (i == TIMES / 10) {
			metadata = statistic("stats.metadata");
			mapped = statistic("stats.mapped");
		}
	}
	CHECK(arenas_created() == before, "%u arenas are left", arenas_created() - before);
	/* One arena's bookkeeping is 20 KiB, and its first memory 1 MiB: what a hundredth of them would leave. */
	CHECK(statistic("stats.metadata") < metadata + ((size_t)1 << 20), "metadata grew from %zu to %zu", metadata,
	      statistic("stats.metadata"));
	CHECK(statistic("stats.mapped") < mapped + ((size_t)64 << 20), "mapped grew from %zu to %zu", mapped,
	      statistic("stats.mapped"));
}

/* A longer block than any before takes the place of shorter free ones. */
static void test_long_blocks(void)
{
	hz3_arena_t *arena = hz3.create(NULL, NULL);

	for (size_t mib = 3; mib < 100; mib++) {
		char *p = hz3.malloc(arena, mib << 20);
		p[0] = p[(mib << 20) - 1] = 1;
		free(p);
	}
	CHECK(stats_of(arena).mapped <= (size_t)100 << 20, "%zu MiB are kept", stats_of(arena).mapped >> 20);
	size_t maps = stats_of(arena).maps;
	for (unsigned i = 0; i < 10; i++)
		free(hz3.malloc(arena, (size_t)99 << 20));
	CHECK(stats_of(arena).maps == maps, "what is kept is not used");
	hz3.destroy(arena);
}

/* ---- threads ---- */

enum { THREADS = 8, ROUNDS = 12, PER_ROUND = 3000 };

static struct {
	hz3_arena_t *arena;
	pthread_barrier_t barrier;
	_Atomic(unsigned char *) passed[1024];
} shared;

/* Blocks begin with their size and a seed that tells the rest. */
static void mark(unsigned char *p, size_t size, unsigned seed)
{
	memcpy(p, &size, sizeof(size));
	memcpy(p + 8, &seed, sizeof(seed));
	if (size > 16)
		fill(p, 16, size < 300 ? size : 300, seed);
}

static void end(unsigned char *p)
{
	size_t size, checked;
	unsigned seed;

	if (p == NULL)
		return;
	memcpy(&size, p, sizeof(size));
	memcpy(&seed, p + 8, sizeof(seed));
	checked = size < 300 ? size : 300;
	for (size_t i = 16; i < checked; i++) {
		if (p[i] == pattern(i, seed))
			continue;
		CHECK(false, "byte %zu of a block of %zu bytes was written to", i, size);
		break;
	}
	free(p);
}

/* Another thread's, perhaps; the contents go with it. */
static void regrow(_Atomic(unsigned char *) *place, unsigned seed)
{
	unsigned char *p = atomic_exchange(place, NULL);
	size_t size;

	if (p == NULL)
		return;
	memcpy(&size, p, sizeof(size));
	unsigned char *q = realloc(p, size + 200);
	CHECK(q != NULL, "no memory");
	mark(q, size + 200, seed);
	end(atomic_exchange(place, q));
}

static void *trader(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	uint64_t random = me + 1;

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < PER_ROUND; i++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			unsigned place = (unsigned)(random >> 40) % 1024;
			size_t size = 16 + (random >> 20) % (random % 16 == 0 ? 100000 : 600);
			unsigned char *p = hz3.malloc(shared.arena, size);
			mark(p, size, (unsigned)random);
			/* Whoever made what is there, it ends here. */
			end(atomic_exchange(&shared.passed[place], p));
			if (random % 5 == 0)
				regrow(&shared.passed[place], (unsigned)random);
		}
		pthread_barrier_wait(&shared.barrier);
		if (me == 0) {
			/* Every second time all blocks are freed one by one, and nothing may be left. */
			for (unsigned i = 0; i < 1024; i++) {
				unsigned char *p = atomic_exchange(&shared.passed[i], NULL);
				if (round % 2)
					end(p);
			}
			if (round % 2)
				CHECK(stats_of(shared.arena).blocks == 0, "%zu blocks are left", stats_of(shared.arena).blocks);
			hz3.reset(shared.arena);
		}
		pthread_barrier_wait(&shared.barrier);
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t thread[THREADS];

	shared.arena = hz3.create(NULL, NULL);
	pthread_barrier_init(&shared.barrier, NULL, THREADS);
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, trader, (void *)i);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&shared.barrier);
	hz3.destroy(shared.arena);
}

/* ---- what other threads have freed, and hold in their buffers ---- */

enum { HELD = 5000 };

static struct {
	void *block[HELD];
	void *ours[HELD];
	pthread_barrier_t barrier;
} held;

/* Frees blocks of the arena among those of the main thread's heap, which wait in this thread's buffer; flushes when it is told to. */
static void *holder(void *arg)
{
	for (unsigned i = 0; i < HELD; i++) {
		free(held.block[i]);
		free(held.ours[i]);
	}
	pthread_barrier_wait(&held.barrier);
	pthread_barrier_wait(&held.barrier);
	hz3.thread_flush();
	pthread_barrier_wait(&held.barrier);
	return arg;
}

static void hold_over(hz3_arena_t **arena, bool destroy)
{
	enum { AGAIN = 2 * HELD };
	static unsigned char *again[AGAIN];
	pthread_t thread;

	for (unsigned i = 0; i < HELD; i++) {
		held.block[i] = hz3.malloc(*arena, 64);
		held.ours[i] = malloc(64);
	}
	pthread_create(&thread, NULL, holder, NULL);
	pthread_barrier_wait(&held.barrier);
	/* The thread has freed all of them and holds what it holds: every block is in the arena, or gone. */
	CHECK(stats_of(*arena).blocks == 0, "%zu freed blocks are not in the arena", stats_of(*arena).blocks);
	if (destroy) {
		hz3.destroy(*arena);
		*arena = hz3.create(NULL, NULL);
	} else {
		hz3.reset(*arena);
	}
	for (unsigned i = 0; i < AGAIN / 2; i++)
		again[i] = hz3.malloc(*arena, 64);
	pthread_barrier_wait(&held.barrier);
	pthread_barrier_wait(&held.barrier);
	/* The flush is over.  A block that it gave back would be handed out a second time. */
	for (unsigned i = AGAIN / 2; i < AGAIN; i++)
		again[i] = hz3.malloc(*arena, 64);
	for (unsigned i = 0; i < AGAIN; i++)
		fill(again[i], 0, 64, i);
	for (unsigned i = 0; i < AGAIN; i++)
		CHECK(first_difference(again[i], 64, i) == 64, "block %u is another's as well", i);
	CHECK(stats_of(*arena).blocks == AGAIN, "%zu blocks of %u", stats_of(*arena).blocks, AGAIN);
	hz3.reset(*arena);
	pthread_join(thread, NULL);
}

static void test_buffers(void)
{
	hz3_arena_t *arena = hz3.create(NULL, NULL);

	pthread_barrier_init(&held.barrier, NULL, 2);
	for (unsigned i = 0; i < 6; i++)
		hold_over(&arena, i % 2);
	pthread_barrier_destroy(&held.barrier);
	hz3.destroy(arena);
}

/* ---- hooks ---- */

#define PART ((size_t)2 << 20)

struct place {
	int fd;			/* a file in whose place the memory is put; -1: the memory stays what it is */
	size_t end;		/* of the file */
	unsigned calls;		/* of map */
	unsigned fail_at;	/* the call that fails, from 1; 0: none */
	size_t mapped, bytes_mapped, unmapped, bytes_unmapped, purged;
	size_t bad;
};

static int map(void *address, size_t bytes, void *context)
{
	struct place *place = context;

	place->bad += (uintptr_t)address % PART != 0 || bytes % PART != 0 || bytes == 0;
	/* It may have put something there, and fail all the same. */
	if (place->fd >= 0) {
		if (ftruncate(place->fd, (off_t)(place->end + bytes)) != 0 ||
		    mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, place->fd, (off_t)place->end) != address)
			return -1;
		place->end += bytes;
	}
	if (++place->calls == place->fail_at)
		return -1;
	place->mapped++;
	place->bytes_mapped += bytes;
	return 0;
}

static void unmap(void *address, size_t bytes, void *context)
{
	struct place *place = context;

	place->bad += (uintptr_t)address % PART != 0 || bytes % PART != 0;
	place->unmapped++;
	place->bytes_unmapped += bytes;
}

static void purge(void *address, size_t bytes, void *context)
{
	struct place *place = context;

	place->bad += (uintptr_t)address % 65536 != 0 || bytes % 65536 != 0;
	place->purged += bytes;
	/* Any contents will do. */
	memset(address, 0xdd, bytes);
}

static const struct hz3_os_hooks hooks = {map, unmap, purge};

static void check_place(const struct place *place)
{
	CHECK(place->bad == 0, "%zu odd addresses or sizes", place->bad);
	CHECK(place->mapped == place->unmapped && place->bytes_mapped == place->bytes_unmapped,
	      "%zu times %zu bytes mapped, %zu times %zu unmapped", place->mapped, place->bytes_mapped, place->unmapped,
	      place->bytes_unmapped);
}

static void use_hooks(struct place *place)
{
	hz3_arena_t *arena = hz3.create(&hooks, place);

	CHECK(place->calls == 0, "a new arena has memory");
	for (unsigned i = 0; i < 3; i++) {
		request(arena, i);
		struct hz3_arena_stats stats = stats_of(arena);
		CHECK(stats.mapped == place->bytes_mapped - place->bytes_unmapped && stats.maps == place->mapped,
		      "%zu bytes mapped, not %zu", stats.mapped, place->bytes_mapped - place->bytes_unmapped);
		/* What is free and what is not may be told from each other. */
		unsigned char *p = hz3.malloc(arena, 100000), *q = hz3.malloc(arena, 100000);
		fill(p, 0, 100000, i);
		free(q);
		hz3.purge();
		CHECK(first_difference(p, 100000, i) == 100000, "a live block was purged");
		hz3.reset(arena);
	}
	CHECK(place->purged != 0, "no purge was asked for");
	hz3.purge();
	CHECK(stats_of(arena).mapped == 0, "%zu bytes are kept", stats_of(arena).mapped);
	check_place(place);
	request(arena, 0);
	hz3.destroy(arena);
	check_place(place);
}

/* What hooks put there is not there any more. */
static void check_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		CHECK(strstr(line, "memfd:arena") == NULL, "still there: %s", line);
	if (maps)
		fclose(maps);
}

static void test_hooks(void)
{
	struct place plain = {.fd = -1}, file = {.fd = memfd_create("arena", MFD_CLOEXEC)};

	use_hooks(&plain);
	CHECK(file.fd >= 0, "no file");
	use_hooks(&file);
	check_mappings();
	close(file.fd);
}

static void test_failing_hooks(void)
{
	for (unsigned fail_at = 1; fail_at < 12; fail_at++) {
		struct place place = {.fd = fail_at % 2 ? -1 : memfd_create("arena", MFD_CLOEXEC), .fail_at = fail_at};
		hz3_arena_t *arena = hz3.create(&hooks, &place);
		unsigned char *block[64];
		unsigned failed = 0, n = 0;
		for (unsigned i = 0; i < 64; i++) {
			size_t size = i % 8 == 0 ? (size_t)3 << 20 : 500000;
			errno = 0;
			block[n] = hz3.malloc(arena, size);
			if (block[n] == NULL) {
				failed++;
				CHECK(errno == ENOMEM, "errno %d", errno);
				continue;
			}
			fill(block[n], 0, 1000, i);
			fill(block[n], size - 1000, size, i);
			n++;
		}
		CHECK(failed == 1, "%u blocks failed for the %uth call of the hook", failed, fail_at);
		CHECK(stats_of(arena).blocks == n, "%zu blocks", stats_of(arena).blocks);
		if (fail_at % 3)
			hz3.reset(arena);
		hz3.destroy(arena);
		check_place(&place);
		check_mappings();
		if (place.fd >= 0)
			close(place.fd);
	}
}

/* Hooks that want to know of nothing but the memory. */
static void test_few_hooks(void)
{
	static const struct hz3_os_hooks only_map = {map, NULL, NULL}, none = {NULL, unmap, purge};
	struct place place = {.fd = -1};
	hz3_arena_t *arena = hz3.create(&only_map, &place);

	request(arena, 0);
	CHECK(place.calls != 0, "not called");
	hz3.reset(arena);
	hz3.purge();
	request(arena, 0);
	hz3.destroy(arena);
	arena = hz3.create(&none, &place);
	request(arena, 0);
	hz3.destroy(arena);
	CHECK(place.unmapped == 0, "called");
}

/* ---- fork ---- */

static atomic_bool stop;

static void *restless(void *arg)
{
	hz3_arena_t *arena = arg;

	while (!atomic_load(&stop)) {
		unsigned char *p[50];
		for (unsigned i = 0; i < 50; i++) {
			size_t size = 16 + (size_t)i * 991 % 3000 + (i % 25 == 0 ? 100000 : 0);
			p[i] = hz3.malloc(arena, size);
			mark(p[i], size, i);
		}
		for (unsigned i = 0; i < 50; i++)
			end(p[i]);
	}
	return NULL;
}

static void child(hz3_arena_t *arena, unsigned char *kept)
{
	/* What failed before is the parent's to tell. */
	failures = 0;
	CHECK(first_difference(kept, 5000, 9) == 5000, "the child's copy");
	free(kept);
	request(arena, 3);
	hz3.reset(arena);
	CHECK(stats_of(arena).blocks == 0, "%zu blocks", stats_of(arena).blocks);
	request(arena, 4);
	hz3.destroy(arena);
	arena = hz3.create(NULL, NULL);
	request(arena, 5);
	hz3.destroy(arena);
	_exit(failures != 0);
}

/* Locks and heaps are found as they are. */
static pid_t fork_without_handlers(void)
{
	pid_t (*bare)(void) = (pid_t (*)(void))find("_Fork");

	return bare ? bare() : fork();
}

static void test_fork(void)
{
	hz3_arena_t *arena = hz3.create(NULL, NULL);
	unsigned char *kept = hz3.malloc(arena, 5000);
	pthread_t thread[3];

	fill(kept, 0, 5000, 9);
	for (unsigned i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, restless, arena);
	for (unsigned i = 0; i < 40; i++) {
		int status = -1;
		pid_t pid = i % 2 ? fork() : fork_without_handlers();
		if (pid == 0) {
			alarm(100);
			child(arena, kept);
		}
		CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "child %u: status %#x", i, (unsigned)status);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	CHECK(first_difference(kept, 5000, 9) == 5000, "the parent's block");
	CHECK(stats_of(arena).blocks == 1, "%zu blocks", stats_of(arena).blocks);
	hz3.destroy(arena);
}

/* A thread is inside of a hook, and holds the arena's lock; a child without it. */
static atomic_bool in_hook, go_on;

static int wait_in_map(void *address, size_t bytes, void *context)
{
	(void)address;
	(void)bytes;
	(void)context;
	atomic_store(&in_hook, true);
	while (!atomic_load(&go_on))
		usleep(1000);
	return 0;
}

static void *waiter(void *arena)
{
	unsigned char *p = hz3.malloc(arena, 3000);

	fill(p, 0, 3000, 1);
	return p;
}

static void test_fork_in_hook(void)
{
	static const struct hz3_os_hooks slow = {wait_in_map, NULL, NULL};
	hz3_arena_t *arena;
	pthread_t thread;
	void *p;
	int status = -1;

	if (find("_Fork") == NULL)
		return;
	arena = hz3.create(&slow, NULL);
	pthread_create(&thread, NULL, waiter, arena);
	while (!atomic_load(&in_hook))
		usleep(1000);
	pid_t pid = fork_without_handlers();
	if (pid == 0) {
		alarm(100);
		atomic_store(&go_on, true);
		failures = 0;
		request(arena, 1);
		hz3.reset(arena);
		request(arena, 2);
		hz3.destroy(arena);
		_exit(failures != 0);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "status %#x", (unsigned)status);
	atomic_store(&go_on, true);
	pthread_join(thread, &p);
	CHECK(first_difference(p, 3000, 1) == 3000, "the parent's block");
	hz3.destroy(arena);
}

/* ---- mistakes ---- */

static void free_after_destroy(void)
{
	hz3_arena_t *arena = hz3.create(NULL, NULL);
	void *p = hz3.malloc(arena, 100);

	hz3.destroy(arena);
	free(opaque(p));
}

static void free_after_reset(void)
{
	hz3_arena_t *arena = hz3.create(NULL, NULL);
	void *p = hz3.malloc(arena, 100000);

	hz3.reset(arena);
	free(opaque(p));
}

static void use_after_destroy(void)
{
	hz3_arena_t *arena = hz3.create(NULL, NULL);

	hz3.destroy(arena);
	(void)!hz3.malloc(arena, 1);
}

static void destroy_twice(void)
{
	hz3_arena_t *arena = hz3.create(NULL, NULL);

	hz3.destroy(arena);
	hz3.destroy(arena);
}

static void free_inside(void)
{
	hz3_arena_t *arena = hz3.create(NULL, NULL);
	char *p = hz3.malloc(arena, 100);

	free(opaque(p + 16));
}

static void dies(void (*mistake)(void), const char *what)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		/* What it says is of no interest here. */
		(void)!freopen("/dev/null", "w", stderr);
		mistake();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s: status %#x", what,
	      (unsigned)status);
}

static void test_mistakes(void)
{
	dies(free_after_destroy, "free of a destroyed arena's block");
	dies(free_after_reset, "free of a block from before a reset");
	dies(use_after_destroy, "malloc of a destroyed arena");
	dies(destroy_twice, "destroy twice");
	dies(free_inside, "free of the inside of a block");
}

int main(void)
{
	if (!find_all()) {
		puts("SKIP: not on hz3");
		return SKIPPED;
	}
	test_blocks();
	test_calloc();
	test_alignment();
	test_far_alignment();
	test_realloc();
	test_reset();
	test_many();
	test_long_blocks();
	test_threads();
	test_buffers();
	test_hooks();
	test_failing_hooks();
	test_few_hooks();
	test_fork();
	test_fork_in_hook();
	test_mistakes();
	return finish();
}
