/*
 * What a vanished thread has left half changed is made whole, in the child of a fork.
 *
 * Of a heap, the pages' free lists can be relied on, since each link is written before what leads to it, and the routes.  Which pages the heap
 * has, and in which state, which are current, and what the counters say follow from that.
 */
#include "heap.h"

/* Is this the heap's current page of its class, with something left to give? */
static bool is_current(struct hz3_heap *heap, unsigned class, struct hz3_page *page)
{
	if (page == &hz3_page_none || hz3_route_of(hz3_page_slice(page)) != hz3_route_page(heap->tag, class, 0))
		return false;
	return page->free || page->carved < page->capacity || page->fresh;
}

/* The counters of a page that may be about to change its state; free blocks of current pages count as allocated. */
static void mend_counters(struct hz3_heap *heap, const struct hz3_page *page, uint32_t free, bool current)
{
	struct hz3_class_counters *counters = &heap->counters.class[page->class];
	bool was_current = page->state == HZ3_PAGE_CURRENT;

	if (page->local_base - page->countdown <= page->capacity)
		hz3_heap_count_page(page, counters);
	if (current != was_current)
		hz3_count(&counters->allocated, current ? free : -(uint64_t)free);
}

static void mend_page(struct hz3_heap *heap, struct hz3_page *page, unsigned class)
{
	uint32_t free = hz3_page_count_free(page), wake_count = hz3_class_info[class].wake;
	bool current = page == heap->page[class] ||
		       (page->carved < page->capacity && heap->page[class] == &hz3_page_none);

	heap->slices += page->slices;
	mend_counters(heap, page, free, current);
	hz3_remote_set_asleep(hz3_page_remote(page), false);
	if (current) {
		page->state = HZ3_PAGE_CURRENT;
		page->countdown = page->local_base = HZ3_COUNTDOWN_NEVER;
		heap->page[class] = page;
	} else if (free < wake_count && page->carved == page->capacity) {
		page->state = HZ3_PAGE_ASLEEP;
		page->countdown = page->local_base = wake_count - free;
		hz3_remote_set_asleep(hz3_page_remote(page), heap->extents == NULL);
	} else {
		page->state = HZ3_PAGE_AWAKE;
		page->countdown = page->local_base = page->capacity - free;
		hz3_page_list_append(&heap->awake[class], page);
		if (page->countdown == 0)
			hz3_heap_page_event(heap, page);
	}
}

void hz3_heap_mend(struct hz3_heap *heap)
{
	size_t slices = hz3_page_map_slices();

	/* It may be new, and not complete. */
	heap->tag = hz3_heap_tag(heap);
	hz3_heap_choose_arenas(heap);
	hz3_buffer_mend(&heap->buffer);
	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		if (!is_current(heap, class, heap->page[class]))
			heap->page[class] = &hz3_page_none;
		heap->awake[class] = (struct hz3_page_list){ NULL, NULL };
	}
	hz3_stock_mend(&heap->stock);
	heap->slices = 0;
	for (size_t slice = 1; slice < slices; slice++) {
		uint64_t route = hz3_route_of(slice);
		if (hz3_route_owner(route) == heap->owner->id && hz3_route_offset(route) == 0)
			mend_page(heap, hz3_page_at(slice), hz3_route_class(route));
	}
	/* The direct table, and the view. */
	hz3_heap_apply_options(heap);
	hz3_atomic_store(&heap->borrowed, 0, relaxed);
	/* release: pairs with the acquire in flush_marked() (scavenge.c). */
	hz3_atomic_store(&heap->loan_was_cut, false, release);
	hz3_atomic_store(&heap->busy, 0, relaxed);
}
