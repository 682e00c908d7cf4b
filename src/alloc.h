/*
 * The hot paths: what malloc and free are when nothing special happens, and where they go when it does.
 *
 * Any thread may call everything here, at any time, in signal handlers excepted.
 */
#ifndef HZ3_ALLOC_H
#define HZ3_ALLOC_H

#include "heap.h"
#include "thread.h"

/* The ways out of the hot paths. */
void *hz3_alloc_miss(size_t size);
void hz3_alloc_page_event(struct hz3_page *page);

/* The block isn't in the first slice of a page of the heap's own; upper is the upper half of the slice's route. */
void hz3_alloc_free_other(void *p, struct hz3_heap *heap, size_t slice, uint32_t upper);

/* The block is outside of what the heap knows of the window: the window has grown, or it isn't in there at all. */
void hz3_alloc_free_outside(void *p, struct hz3_heap *heap);

/* Take the first block of a current page; NULL: it has none. */
static HZ3_INLINE void *hz3_alloc_pop(struct hz3_page *page)
{
	struct hz3_block *block = page->free;

	if (hz3_unlikely(block == NULL))
		return NULL;
	struct hz3_block *next = hz3_block_next(block);
	page->free = next;
	__builtin_prefetch(next, 1);
	if (HZ3_LIVE_BY_ALLOC)
		hz3_live_begin(block);
	return block;
}

/* A block of at least size bytes, 16-aligned, if the fast path has one; else NULL, which means nothing. */
static HZ3_INLINE void *hz3_alloc_hit(size_t size)
{
	struct hz3_heap *heap = hz3_thread_heap;

	if (hz3_unlikely(size > HZ3_DIRECT_MAX))
		return NULL;
	return hz3_alloc_pop(heap->direct[(size + HZ3_GRANULE - 1) >> HZ3_GRANULE_SHIFT]);
}

/* A block of at least size bytes, 16-aligned; NULL and ENOMEM if there is no memory or size exceeds PTRDIFF_MAX. */
static HZ3_INLINE void *hz3_alloc(size_t size)
{
	void *p = hz3_alloc_hit(size);

	return hz3_likely(p != NULL) ? p : hz3_alloc_miss(size);
}

/* The same at an address that is a multiple of alignment, a power of 2. */
static HZ3_INLINE void *hz3_alloc_aligned_hit(size_t alignment, size_t size)
{
	if (hz3_unlikely((alignment | size) > 2 * HZ3_DIRECT_MAX))
		return NULL;
	return hz3_alloc_hit(hz3_size_class_align(alignment, size));
}

/* Debug builds: the block at p, which is in a page, is being freed. */
static inline void hz3_alloc_end_life(const void *p)
{
	hz3_check(hz3_live_end(p), "free: %p was freed before, or is not the start of a block", p);
}

/* Free a block.  NULL is nothing; errno is kept. */
static HZ3_INLINE void hz3_alloc_free(void *p)
{
	struct hz3_heap *heap = hz3_thread_heap;
	uintptr_t granule = hz3_granule(heap->map.base, p);

	if (hz3_unlikely(granule >= heap->map.granules)) {
		hz3_alloc_free_outside(p, heap);
		return;
	}
	size_t slice = granule >> HZ3_SLICE_GRANULES_SHIFT;
	uint32_t upper = hz3_map_view_upper(&heap->map, slice);
	if (hz3_unlikely(upper != heap->tag)) {
		hz3_alloc_free_other(p, heap, slice, upper);
		return;
	}
	if (HZ3_LIVE_BY_ALLOC)
		hz3_alloc_end_life(p);
	struct hz3_page *page = (struct hz3_page *)&heap->map.slice[slice];
	if (hz3_heap_free_local(page, p))
		hz3_alloc_page_event(page);
}

/* As hz3_alloc, and zeroed. */
void *hz3_alloc_zero(size_t size);

/* As hz3_alloc, the address a multiple of alignment (a power of 2, any). */
void *hz3_alloc_aligned(size_t alignment, size_t size);

/*
 * The class of the block at p; -1: it is in no page.  Bytes that the block really has; NULL has none.  Both die on what can't be
 * a block, with a line that begins with the name of the call.
 */
int hz3_alloc_class_for(const char *call, const void *p);
size_t hz3_alloc_size_for(const char *call, const void *p);
size_t hz3_alloc_usable_size(const void *p);

/* The same of a block in a page, for realloc; 0 if the block is in no page. */
size_t hz3_alloc_page_usable_size(const void *p);

/* As hz3_alloc, size at most PTRDIFF_MAX, for a block that takes a smaller one's place and is likely to be resized again. */
void *hz3_alloc_to_grow(size_t size);

/*
 * Make a block that is in no page fit size (1 to PTRDIFF_MAX) without copying.  Returns p, or where it moved to; NULL if the
 * caller has to allocate, copy and free.
 */
void *hz3_alloc_resize_large(void *p, size_t size);

#endif
