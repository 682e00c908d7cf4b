/*
 * What the tests of the allocator's core share: a faked system, the core without threads, malloc and free on a heap by
 * hand, and the audit: for every page, free + uncarved + live (+ in flight) equals capacity.
 *
 * Every test runs in a process of its own (Check's default), so each may leave its fakes and settings in place.
 */
#ifndef HZ3_TEST_CORE_H
#define HZ3_TEST_CORE_H

#include "unit.h"

#include "heap.h"
#include "options.h"
#include "os.h"
#include "os_clock.h"
#include "os_memory.h"
#include "sink.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

/* ---- A clock that only the test moves ---- */

static _Atomic uint64_t core_now = 1000000;

static inline uint64_t core_clock(void)
{
	return atomic_load(&core_now);
}

/* ---- A system that refuses ---- */

static struct {
	struct hz3_os_calls real;
	_Atomic int mmaps, munmaps, madvises, mremaps;
	_Atomic int fail_mmap_at;	/* fail this mmap; 0: none */
	_Atomic int fail_mmap_from;	/* fail this one and all later ones; 0: none */
	_Atomic bool fail_fixed;	/* mmap gives no address that was asked for */
	_Atomic bool fail_munmap, fail_madvise, fail_mremap;
	_Atomic size_t huge_bytes, small_bytes;	/* for which huge pages were asked, or none */
	_Atomic uintptr_t huge_end;		/* of the last such range */
} core_os;

/* Counts one request for memory. */
static inline bool core_refused(void)
{
	int n = ++core_os.mmaps;

	errno = ENOMEM;
	return n == core_os.fail_mmap_at || (core_os.fail_mmap_from && n >= core_os.fail_mmap_from);
}

static inline void *core_mmap(void *hint, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	if (core_refused() || (core_os.fail_fixed && hint != NULL))
		return MAP_FAILED;
	return core_os.real.mmap(hint, bytes, prot, flags, fd, offset);
}

/* Where the window is a reservation, this is how memory is got. */
static inline int core_mprotect(void *p, size_t bytes, int prot)
{
	if (prot != PROT_NONE && core_refused())
		return -1;
	return core_os.real.mprotect(p, bytes, prot);
}

static inline int core_munmap(void *p, size_t bytes)
{
	core_os.munmaps++;
	if (core_os.fail_munmap) {
		errno = ENOMEM;
		return -1;
	}
	return core_os.real.munmap(p, bytes);
}

static inline int core_madvise(void *p, size_t bytes, int advice)
{
	core_os.madvises++;
	if (advice == MADV_HUGEPAGE) {
		core_os.huge_bytes += bytes;
		core_os.huge_end = (uintptr_t)p + bytes;
	}
	if (advice == MADV_NOHUGEPAGE)
		core_os.small_bytes += bytes;
	if (core_os.fail_madvise) {
		errno = EINVAL;
		return -1;
	}
	return core_os.real.madvise(p, bytes, advice);
}

static inline void *core_mremap(void *p, size_t old_bytes, size_t new_bytes, int flags)
{
	core_os.mremaps++;
	if (core_os.fail_mremap) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return core_os.real.mremap(p, old_bytes, new_bytes, flags);
}

static inline void core_fake_os(void)
{
	core_os.real = hz3_os_calls;
	hz3_os_calls.mmap = core_mmap;
	hz3_os_calls.mprotect = core_mprotect;
	hz3_os_calls.munmap = core_munmap;
	hz3_os_calls.madvise = core_madvise;
	hz3_os_calls.mremap = core_mremap;
	hz3_os_clock = core_clock;
}

/* The nth request for memory from now fails, alone or with all that follow; 0 heals the system. */
static inline void core_refuse_mmap(int nth, bool and_later)
{
	core_os.fail_mmap_at = nth && !and_later ? core_os.mmaps + nth : 0;
	core_os.fail_mmap_from = nth && and_later ? core_os.mmaps + nth : 0;
}

/* ---- Seeds ---- */

/* From HZ3_TEST_SEED, else the default; printed, since Check shows the output of failed tests only in the log. */
static inline unsigned long core_seed(unsigned long initial)
{
	const char *text = getenv("HZ3_TEST_SEED");
	unsigned long seed = text ? strtoul(text, NULL, 0) : initial;

	printf("HZ3_TEST_SEED=%lu\n", seed);
	return seed ? seed : 1;
}

/* Of 0 .. n - 1. */
static inline size_t core_pick(unsigned long *seed, size_t n)
{
	return (unit_random(seed) >> 16) % n;
}

/* ---- The core, for programs that don't link thread.c (which sets itself up) ---- */

static inline void core_set_up(unsigned arenas)
{
	hz3_os_init();
	core_fake_os();
	hz3_options_reset();
	hz3_options.narenas = (int)arenas;
	hz3_sink_init();
	ck_assert(hz3_page_map_init());
	ck_assert(hz3_arenas_init());
}

/* ---- malloc and free of one heap, as alloc.c does it, without the thread ---- */

static inline void *core_alloc(struct hz3_heap *heap, unsigned class)
{
	struct hz3_page *page = heap->page[class];
	struct hz3_block *block = page->free;

	if (block) {
		page->free = block->next;
		return block;
	}
	block = hz3_heap_refill(heap, class);
	return block ? block : hz3_heap_refill_fresh(heap, class);
}

static inline struct hz3_page *core_page_of(const void *p)
{
	size_t slice = hz3_slice_of(p);

	return hz3_page_at(slice - hz3_route_offset(hz3_route_of(slice)));
}

/* True: something was sent to a parked heap. */
static inline bool core_free(struct hz3_heap *heap, void *p)
{
	uint64_t route = hz3_route_of(hz3_slice_of(p));
	struct hz3_page *page = core_page_of(p);
	size_t slice = hz3_page_slice(page);

	if (hz3_route_owner(route) == heap->owner->id) {
		if (hz3_heap_free_local(page, p))
			hz3_heap_page_event(heap, page);
		return false;
	}
	enum hz3_buffer_need need = hz3_sink_batch() ? hz3_buffer_add(&heap->buffer, slice, p) : HZ3_BUFFER_MISS;
	return need != HZ3_BUFFER_OK && hz3_heap_free_remote(heap, slice, p, need);
}

/* ---- The audit ---- */

static inline int core_by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * Walks the page map while nothing runs.  blocks are all that the test holds (NULLs are skipped; blocks outside of pages
 * too).  No block is held twice or lies in a page's free list as well; no page has more free and live blocks than it
 * was carved into.  Returns the blocks that are neither free nor live: those in flight, 0 when all is settled.
 */
static inline size_t core_audit(void *const *blocks, size_t n)
{
	size_t slices = hz3_page_map_slices(), in_flight = 0, held = 0;
	unsigned *live = calloc(slices + 1, sizeof(*live));
	void **sorted = malloc((n + 1) * sizeof(*sorted));

	for (size_t i = 0; i < n; i++)
		if (blocks[i] && hz3_page_map_covers(hz3_page_map_granule(blocks[i])) &&
		    hz3_route_owner(hz3_route_of(hz3_slice_of(blocks[i])))) {
			sorted[held++] = blocks[i];
			live[hz3_page_slice(core_page_of(blocks[i]))]++;
		}
	qsort(sorted, held, sizeof(*sorted), core_by_address);
	for (size_t i = 1; i < held; i++)
		ck_assert_msg(sorted[i] != sorted[i - 1], "%p is held twice", sorted[i]);
	for (size_t slice = 1; slice < slices; slice++) {
		uint64_t route = hz3_route_of(slice);
		if (hz3_route_owner(route) == 0 || hz3_route_offset(route) != 0)
			continue;
		struct hz3_page *page = hz3_page_at(slice);
		unsigned known = live[slice] + page->fresh;
		for (struct hz3_block *block = page->free; block; block = block->next) {
			void *key = block;
			ck_assert_msg(!bsearch(&key, sorted, held, sizeof(*sorted), core_by_address),
				      "%p is free and held", key);
			ck_assert_msg(++known <= page->carved, "page %zu: %u free or live of %u carved", slice, known,
				      page->carved);
		}
		ck_assert_uint_le(page->carved, page->capacity);
		ck_assert_uint_le(known, page->carved);
		in_flight += page->carved - known;
	}
	free(live);
	free(sorted);
	return in_flight;
}

/*
 * Blocks that wait in the words of their pages, after everything that was queued has been drained: too few to be queued, or
 * somebody has lost a queue entry.
 */
static inline size_t core_in_words(void)
{
	size_t slices = hz3_page_map_slices(), blocks = 0;

	for (size_t slice = 1; slice < slices; slice++) {
		uint64_t route = hz3_route_of(slice), word = atomic_load(&hz3_remote_of(slice)->word);
		if (hz3_route_owner(route) == 0 || hz3_route_offset(route) != 0)
			continue;
		ck_assert_msg(!(word & HZ3_REMOTE_QUEUED), "page %zu: queued for ever", slice);
		ck_assert_uint_lt(hz3_remote_count(word), hz3_class_info[hz3_route_class(route)].wake);
		blocks += hz3_remote_count(word);
	}
	return blocks;
}

/*
 * What the counters of these heaps say is live in the class: popped minus delivered.  Pages that they own are asked for
 * what the counters don't know yet.
 */
static inline uint64_t core_counted_live(struct hz3_heap *const *heaps, unsigned n, unsigned class)
{
	struct hz3_class_counters sum = { 0 };
	uint64_t waiting = 0;
	size_t slices = hz3_page_map_slices();

	for (unsigned i = 0; i < n; i++) {
		sum.allocated += heaps[i]->counters.class[class].allocated;
		sum.freed_local += heaps[i]->counters.class[class].freed_local;
		sum.freed_remote += heaps[i]->counters.class[class].freed_remote;
	}
	for (size_t slice = 1; slice < slices; slice++) {
		uint64_t route = hz3_route_of(slice);
		if (hz3_route_owner(route) == 0 || hz3_route_offset(route) || hz3_route_class(route) != class)
			continue;
		hz3_heap_count_page(hz3_page_at(slice), &sum);
		if (hz3_page_at(slice)->state == HZ3_PAGE_CURRENT)
			waiting += hz3_page_count_free(hz3_page_at(slice));
	}
	return sum.allocated - waiting - sum.freed_local - sum.freed_remote;
}

/* What the heap's thread has freed of the class itself, pages asked for what the counters don't know yet. */
static inline uint64_t core_freed_local(const struct hz3_heap *heap, unsigned class)
{
	struct hz3_class_counters sum = { .freed_local = heap->counters.class[class].freed_local };
	size_t slices = hz3_page_map_slices();

	for (size_t slice = 1; slice < slices; slice++) {
		uint64_t route = hz3_route_of(slice);
		if (hz3_route_owner(route) == heap->owner->id && !hz3_route_offset(route) && hz3_route_class(route) == class)
			hz3_heap_count_page(hz3_page_at(slice), &sum);
	}
	return sum.freed_local;
}

/* ---- Threads ---- */

static inline pthread_t core_start(void *(*f)(void *), void *arg)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, f, arg), 0);
	return thread;
}

static inline void core_run(void *(*f)(void *), void *arg)
{
	pthread_join(core_start(f, arg), NULL);
}

#endif
