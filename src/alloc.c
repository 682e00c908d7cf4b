/* The hot paths: where malloc and free go when something special happens. */
#include "alloc.h"

#include <errno.h>
#include <string.h>

#include "abandon.h"
#include "decay.h"
#include "guard.h"
#include "large.h"
#include "limit.h"
#include "pool.h"

/* A thread that allocates does not sit on what it has freed of others'. */
static void flush_now_and_then(struct hz3_heap *heap)
{
	uint32_t every = (uint32_t)hz3_options.remote_flush_slow_paths;

	if (every && ++heap->refills % every == 0 && hz3_heap_flush(heap, HZ3_FLUSH_SLOW_PATH))
		hz3_abandon_request_drain();
}

/*
 * A block of the class: from the heap, else from a fresh page.  Before memory is taken from the system, what waits for
 * heaps of dead threads is brought home; the shared heap's lock ranks above theirs, so it leaves that to others.
 */
static void *alloc_class(struct hz3_heap *heap, unsigned class)
{
	flush_now_and_then(heap);
	void *p = hz3_heap_refill(heap, class);
	if (p)
		return p;
	if (hz3_abandon_wants_drain() && heap != hz3_thread_shared_heap())
		hz3_abandon_drain();
	return hz3_heap_refill_fresh(heap, class);
}

/* A large block for which the thread has a run in stock: most of those that are replaced by others.  NULL: it has not, or not now. */
static void *alloc_from_stock(size_t size, size_t alignment)
{
	struct hz3_heap *heap = hz3_thread_heap;
	size_t n = hz3_large_slices(size, alignment);
	void *p = NULL;

	if (n == 0 || n > HZ3_STOCK_SLICES_MAX || !hz3_thread_begin_quick(heap))
		return NULL;
	size_t slice = hz3_stock_take(&heap->stock, n, hz3_max(alignment >> HZ3_SLICE_SHIFT, 1));
	if (slice) {
		p = hz3_large_place(slice, n, size, alignment);
		hz3_count_large_alloc(&heap->counters, size, hz3_large_run_bytes(slice));
	}
	hz3_heap_leave(heap);
	return p;
}

/* The other way.  False: there is no room, or not now, or it is no such block. */
static bool free_to_stock(void *p)
{
	struct hz3_heap *heap = hz3_thread_heap;
	size_t n, slice = hz3_large_run_of(p, &n);

	if (slice == 0 || n > HZ3_STOCK_SLICES_MAX || !hz3_thread_begin_quick(heap))
		return false;
	bool room = hz3_stock_has_room(&heap->stock, n);
	if (room) {
		hz3_count_large_free(&heap->counters, hz3_large_end_run(p, slice));
		hz3_heap_run_free(heap, slice, n);
	}
	hz3_heap_leave(heap);
	return room;
}

static void *alloc_large(struct hz3_heap *heap, size_t size, size_t alignment, bool *zero)
{
	size_t n = hz3_large_slices(size, alignment);
	void *p = NULL;

	if (n == 0) {
		*zero = true;
		p = hz3_large_map(size, alignment);
	} else {
		/* What others have freed may be the memory: all of it is taken in before new memory is, since it has to lie side by side. */
		hz3_heap_drain(heap, SIZE_MAX);
		size_t slice = hz3_heap_run_alloc(heap, n, hz3_max(alignment >> HZ3_SLICE_SHIFT, 1), zero);
		if (slice)
			p = hz3_large_place(slice, n, size, alignment);
	}
	if (p)
		hz3_count_large_alloc(&heap->counters, size, hz3_large_usable_size(p));
	return p;
}

/* One try.  class < 0: no class will do. */
static void *try_alloc(int class, size_t size, size_t alignment, bool *zero)
{
	struct hz3_heap *heap = hz3_thread_begin();
	void *p;

	if (heap == NULL)
		return NULL;
	if (class >= 0) {
		*zero = false;
		p = alloc_class(heap, (unsigned)class);
		hz3_count_slow_alloc(&heap->counters, (unsigned)class, size);
	} else {
		p = alloc_large(heap, size, alignment, zero);
	}
	hz3_thread_end(heap);
	return p;
}

/* A block whose size is a multiple of a power of 2 is aligned to that, as in a page: hz3_alloc_aligned() relies on it. */
static size_t alignment_of_size(size_t size)
{
	return hz3_max(size & -size, HZ3_GRANULE);
}

/* What a request needs of memory that is not there yet. */
static size_t bytes_wanted(int class, size_t size)
{
	return class >= 0 ? hz3_class_page_bytes((unsigned)class) : hz3_align_up(size, HZ3_SLICE);
}

/*
 * No memory: once more, with what can be had back; and at last, since a page of big blocks takes several slices side by side, for the
 * block alone, which then is in no class.
 */
static HZ3_NOINLINE void *reclaim_and_alloc(int *class, size_t size, size_t alignment, bool *zero)
{
	hz3_decay_reclaim_for(bytes_wanted(*class, size));
	void *p = try_alloc(*class, size, alignment, zero);
	if (p == NULL && *class >= 0 && size > HZ3_LARGE_GROWN_MIN) {
		*class = -1;
		p = try_alloc(-1, size, alignment_of_size(size), zero);
	}
	if (p == NULL)
		hz3_limit_count_failure(bytes_wanted(*class, size));
	return p;
}

static HZ3_NOINLINE void *alloc_slow(int class, size_t size, size_t alignment, bool *zero)
{
	int saved_errno = errno;

	void *p = try_alloc(class, size, alignment, zero);
	if (hz3_unlikely(p == NULL))
		p = reclaim_and_alloc(&class, size, alignment, zero);
	if (hz3_limit_wants_purge())
		hz3_decay_keep_soft_limit();
	errno = p ? saved_errno : ENOMEM;
	if (HZ3_LIVE_BY_ALLOC && class >= 0 && p)
		hz3_live_begin(p);
	return p;
}

/* A block of its own, whatever the size, that the profile knows. */
static HZ3_NOINLINE void *alloc_sampled(struct hz3_heap *heap, size_t size, size_t alignment, bool *zero)
{
	void *p = alloc_slow(-1, size, alignment, zero);

	if (p)
		hz3_profile_add(&heap->profile, p, size, heap->owner->id);
	return p;
}

static void *alloc_large_block(size_t size, size_t alignment, bool *zero)
{
	struct hz3_heap *heap = hz3_thread_heap;

	if (hz3_heap_samples(heap, size))
		return alloc_sampled(heap, size, alignment, zero);
	*zero = false;
	void *p = alloc_from_stock(size, alignment);
	return p ? p : alloc_slow(-1, size, alignment, zero);
}

static void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

/* From the current page of its class: pop, unless that was tried before, or take a fresh block. */
static void *alloc_current(struct hz3_page *page, bool pop)
{
	void *p = pop ? hz3_alloc_pop(page) : NULL;

	if (p == NULL && page->fresh) {
		p = hz3_page_take_fresh(page);
		if (HZ3_LIVE_BY_ALLOC)
			hz3_live_begin(p);
	}
	return p;
}

/* pop: the direct table was of no use. */
static HZ3_INLINE void *miss(size_t size, bool pop)
{
	bool zero;

	if (size <= HZ3_CLASS_SIZE_MAX) {
		unsigned class = hz3_size_class(size);
		void *p = alloc_current(hz3_thread_heap->page[class], pop);
		return p ? p : alloc_slow((int)class, size, HZ3_GRANULE, &zero);
	}
	if (size > PTRDIFF_MAX)
		return no_memory();
	return alloc_large_block(size, HZ3_GRANULE, &zero);
}

static HZ3_NOINLINE void *miss_without_sample(size_t size)
{
	return miss(size, true);
}

static HZ3_NOINLINE void *miss_with_sample(size_t size)
{
	struct hz3_heap *heap = hz3_thread_heap;
	bool zero;

	if (size == 0)
		size = 1;
	if (size <= HZ3_CLASS_SIZE_MAX && hz3_heap_samples(heap, size))
		return alloc_sampled(heap, size, alignment_of_size(size), &zero);
	return miss(size, true);
}

/* In the thread's first call it gets a heap. */
static struct hz3_heap *heap_to_sample(void)
{
	int saved_errno = errno;
	struct hz3_heap *heap = hz3_thread_heap;

	if (hz3_unlikely(heap->owner == NULL) && (heap = hz3_thread_begin()) != NULL)
		hz3_thread_end(heap);
	errno = saved_errno;
	return hz3_thread_heap;
}

/* Every malloc, while there is a profile: as the hot path, and with a look at the bytes. */
static HZ3_NOINLINE void *miss_counted(size_t size)
{
	struct hz3_heap *heap = heap_to_sample();

	if (hz3_unlikely(size > HZ3_CLASS_SIZE_MAX || !hz3_profile_pass(&heap->profile, size)))
		return miss_with_sample(size);
	void *p = hz3_alloc_pop(heap->page[hz3_size_class(size)]);
	return hz3_likely(p != NULL) ? p : miss_without_sample(size);
}

static HZ3_NOINLINE void *miss_unsampled(size_t size)
{
	return miss(size, size > HZ3_DIRECT_MAX);
}

/*
 * Some blocks are guarded: as with a profile, every malloc is a miss.  The frame's return address is that of malloc, which has
 * jumped here.
 */
static HZ3_NOINLINE void *miss_guarded(size_t size)
{
	struct hz3_heap *heap = heap_to_sample();

	if (size <= HZ3_CLASS_SIZE_MAX && heap->owner && hz3_guard_is_due(&heap->guard)) {
		void *p = hz3_guard_alloc(size, __builtin_frame_address(0));
		if (p)
			return p;
	}
	return hz3_profile_on ? miss_counted(size) : miss(size, true);
}

void *hz3_alloc_miss(size_t size)
{
	if (hz3_unlikely(hz3_guard_every != 0))
		return miss_guarded(size);
	return hz3_unlikely(hz3_profile_on) ? miss_counted(size) : miss_unsampled(size);
}

/* All that malloc_usable_size() tells of: there are programs that take it for zeroes, as it is elsewhere. */
void *hz3_alloc_zero(size_t size)
{
	HZ3_FRAMED();
	bool zero = false;
	void *p;

	if (size > PTRDIFF_MAX)
		return no_memory();
	if (size > HZ3_CLASS_SIZE_MAX) {
		p = alloc_large_block(size, HZ3_GRANULE, &zero);
		return p && !zero ? memset(p, 0, hz3_large_usable_size(p)) : p;
	}
	p = hz3_alloc(size);
	if (hz3_unlikely(!p))
		return NULL;
	return memset(p, 0, hz3_unlikely(hz3_guard_owns(p)) ? size : hz3_class_size(hz3_size_class(size)));
}

void *hz3_alloc_to_grow(size_t size)
{
	bool zero;

	return size <= HZ3_LARGE_GROWN_MIN ? hz3_alloc(size) : alloc_large_block(size, HZ3_GRANULE, &zero);
}

void *hz3_alloc_aligned(size_t alignment, size_t size)
{
	bool zero;

	if (size > PTRDIFF_MAX || alignment > PTRDIFF_MAX)
		return no_memory();
	/* Every block is aligned to a granule: asking for that much or less is asking for nothing. */
	if (alignment <= HZ3_GRANULE)
		return hz3_alloc(size);
	size_t rounded = hz3_size_class_align(alignment, size);
	if (rounded <= HZ3_CLASS_SIZE_MAX)
		return hz3_alloc(rounded);
	return alloc_large_block(size ? size : 1, alignment, &zero);
}

HZ3_NOINLINE void hz3_alloc_page_event(struct hz3_page *page)
{
	int saved_errno = errno;
	struct hz3_heap *heap = hz3_thread_begin();

	/*
	 * In the child of a fork the thread may just have left the heap that the page belongs to; or mended it, and done what the countdown
	 * was for.
	 */
	if (hz3_likely(hz3_route_owner(hz3_route_of(hz3_page_slice(page))) == heap->owner->id && page->countdown == 0))
		hz3_heap_page_event(heap, page);
	hz3_thread_end_free(heap);
	errno = saved_errno;
}

static HZ3_NOINLINE void free_large_slow(void *p)
{
	int saved_errno = errno;

	hz3_profile_forget(p, hz3_heap_number(hz3_thread_heap));
	uint32_t pool = hz3_large_owner(p);
	if (hz3_unlikely(pool != 0)) {
		hz3_pool_free_large(p, pool);
		errno = saved_errno;
		return;
	}
	struct hz3_heap *heap = hz3_thread_begin_free();
	/* Where there was no memory to start with there is no heap, and nothing to be freed: this says so, and does not return. */
	size_t slice, n, bytes = hz3_large_end(p, &slice, &n);

	if (slice)
		hz3_heap_run_free(heap, slice, n);
	hz3_count_large_free(&heap->counters, bytes);
	hz3_thread_end_free(heap);
	/* A few are enough to leave more than may stay, and there may be no call after them. */
	if (slice && n > HZ3_STOCK_SLICES_MAX && hz3_arenas_dirty() > hz3_options.dirty_max)
		hz3_decay_tick_in_free();
	errno = saved_errno;
}

static void free_large(void *p)
{
	if (hz3_unlikely(hz3_profile_on) || !free_to_stock(p))
		free_large_slow(p);
}

/* Everything that isn't a hit in the buffer; also for threads without a heap. */
static HZ3_NOINLINE void free_block_slow(void *p, size_t slice, enum hz3_buffer_need need)
{
	int saved_errno = errno;
	struct hz3_heap *heap = hz3_thread_begin_free();

	if (hz3_route_owner(hz3_route_of(slice)) == heap->owner->id) {
		if (hz3_heap_free_local(hz3_page_at(slice), p))
			hz3_heap_page_event(heap, hz3_page_at(slice));
	} else if (hz3_heap_free_remote(heap, slice, p, need)) {
		hz3_abandon_request_drain();
	}
	hz3_thread_end_free(heap);
	errno = saved_errno;
}

/* Entered, and the block's page isn't in the buffer: most often it only has to take another's place. */
static HZ3_NOINLINE void free_to_other_page(void *p, struct hz3_heap *heap, size_t slice)
{
	enum hz3_buffer_need need = hz3_buffer_replace(&heap->buffer, slice, p);

	hz3_heap_leave(heap);
	if (hz3_unlikely(need != HZ3_BUFFER_OK))
		free_block_slow(p, slice, need);
}

/* slice is the first of the block's page. */
static HZ3_INLINE void free_remote(void *p, struct hz3_heap *heap, size_t slice)
{
	hz3_count_shared(&hz3_shared_counters.push_blocks, 1);
	/* Lent, as that of a thread without a heap always is. */
	if (hz3_unlikely(!hz3_heap_enter(heap))) {
		hz3_heap_leave(heap);
		free_block_slow(p, slice, HZ3_BUFFER_MISS);
		return;
	}
	enum hz3_buffer_need need = hz3_buffer_add(&heap->buffer, slice, p);
	if (hz3_unlikely(need == HZ3_BUFFER_MISS)) {
		free_to_other_page(p, heap, slice);
		return;
	}
	hz3_heap_leave(heap);
	if (hz3_unlikely(need != HZ3_BUFFER_OK))
		free_block_slow(p, slice, need);
}

/* The block is large, or a pool's, or in a slice of its page that isn't the first. */
static HZ3_NOINLINE void free_large_or_inner(void *p, struct hz3_heap *heap, size_t slice)
{
	uint64_t route = hz3_route_of(slice);

	if (hz3_route_owner(route) == 0) {
		free_large(p);
		return;
	}
	if (HZ3_LIVE_BY_ALLOC)
		hz3_alloc_end_life(p);
	if (hz3_route_is_pool(route)) {
		hz3_pool_free_block(p, slice, route);
		return;
	}
	slice -= hz3_route_offset(route);
	if (hz3_route_owner(route) != heap->tag)
		free_remote(p, heap, slice);
	else if (hz3_heap_free_local(hz3_page_at(slice), p))
		hz3_alloc_page_event(hz3_page_at(slice));
}

void hz3_alloc_free_other(void *p, struct hz3_heap *heap, size_t slice, uint32_t upper)
{
	/* One comparison for both: no owner, or the mark of an inner slice. */
	if (hz3_unlikely(upper - 1 >= HZ3_ROUTE_OWNER_MASK)) {
		free_large_or_inner(p, heap, slice);
		return;
	}
	if (HZ3_LIVE_BY_ALLOC)
		hz3_alloc_end_life(p);
	free_remote(p, heap, slice);
}

/* Not in the window. */
static HZ3_NOINLINE void free_mapping(void *p)
{
	if (hz3_guard_owns(p))
		hz3_guard_free(p, __builtin_frame_address(0));
	else
		free_large(p);
}

/* With zero_on_free.  A block of a page is filled in builds with safety checks anyway. */
static void wipe(void *p)
{
	int class = hz3_alloc_class_for("free", p);

	if (class < 0 || !HZ3_SAFETY)
		memset(p, 0, class < 0 ? hz3_large_size_for("free", p) : hz3_class_size((unsigned)class));
}

void hz3_alloc_free_outside(void *p, struct hz3_heap *heap)
{
	uintptr_t granule = hz3_page_map_granule(p);

	if (!hz3_page_map_covers(granule)) {
		if (p)
			free_mapping(p);
		return;
	}
	if (hz3_options.zero_on_free)
		wipe(p);
	/* The heaps that stand for none are shared: their view stays empty. */
	if (heap->owner)
		hz3_heap_renew_view(heap);
	free_large_or_inner(p, heap, granule >> HZ3_SLICE_GRANULES_SHIFT);
}

int hz3_alloc_class_for(const char *call, const void *p)
{
	uintptr_t granule = hz3_page_map_granule(p);

	if (!hz3_page_map_covers(granule))
		return -1;
	size_t slice = granule >> HZ3_SLICE_GRANULES_SHIFT;
	uint64_t route = hz3_route_of(slice);
	if (hz3_route_owner(route) == 0)
		return -1;
	unsigned class = hz3_route_class(route);
	uintptr_t start = (uintptr_t)hz3_slice_address(slice - hz3_route_offset(route));
	hz3_check(hz3_class_is_block_start(class, (uintptr_t)p - start), "%s: %p is inside a page, and not the start of a block",
		  call, p);
	return (int)class;
}

size_t hz3_alloc_page_usable_size(const void *p)
{
	int class = hz3_alloc_class_for("realloc", p);

	return class >= 0 ? hz3_class_size((unsigned)class) : 0;
}

size_t hz3_alloc_size_for(const char *call, const void *p)
{
	if (p == NULL)
		return 0;
	if (hz3_guard_owns(p))
		return hz3_guard_size(call, p);
	int class = hz3_alloc_class_for(call, p);
	return class >= 0 ? hz3_class_size((unsigned)class) : hz3_large_size_for(call, p);
}

size_t hz3_alloc_usable_size(const void *p)
{
	return hz3_alloc_size_for("malloc_usable_size", p);
}

static void *try_resize(void *p, size_t before, size_t size)
{
	uint32_t pool = hz3_large_owner(p);

	if (hz3_unlikely(pool != 0))
		return hz3_pool_resize_large(p, pool, size);
	struct hz3_heap *heap = hz3_thread_begin();
	void *q = hz3_large_resize(p, size, hz3_heap_number(hz3_thread_heap));

	if (q)
		hz3_count_large_resize(&heap->counters, before, size, hz3_large_usable_size(q));
	hz3_thread_end(heap);
	return q;
}

void *hz3_alloc_resize_large(void *p, size_t size)
{
	if (hz3_guard_owns(p)) {
		hz3_guard_size("realloc", p);
		return NULL;
	}
	size_t before = hz3_large_size_for("realloc", p);
	if (size <= before && size > before / 2 + (before > HZ3_CLASS_SIZE_MAX ? HZ3_SLICE : 0))
		return p;
	int saved_errno = errno;
	void *q = try_resize(p, before, size);
	/* Where memory is limited, what it grows by may be had, and a second block not. */
	if (q == NULL && size > before && hz3_limit_binds(bytes_wanted(-1, size - before))) {
		hz3_decay_reclaim_for(bytes_wanted(-1, size - before));
		q = try_resize(p, before, size);
	}
	if (hz3_limit_wants_purge())
		hz3_decay_keep_soft_limit();
	errno = saved_errno;
	struct hz3_heap *heap = hz3_thread_heap;
	if (q && hz3_heap_samples(heap, size))
		hz3_profile_add(&heap->profile, q, size, heap->owner->id);
	return q;
}
