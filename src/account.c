/* The bytes that a thread has allocated and freed, added up when it asks. */
#include "account.h"

#include "thread.h"

static _Atomic bool asked;	/* relaxed: a policy; by anybody, ever */

/* The counters of a class, and what its pages know beyond them.  Free blocks of the current page count as allocated. */
static void add_class(const struct hz3_heap *heap, unsigned class, struct hz3_account *sum)
{
	struct hz3_class_counters counters = heap->counters.class[class];
	const struct hz3_page *page = heap->page[class];

	if (page != &hz3_page_none) {
		hz3_heap_count_page(page, &counters);
		counters.allocated -= hz3_page_count_free(page);
	}
	for (page = heap->awake[class].first; page; page = page->next)
		hz3_heap_count_page(page, &counters);
	sum->allocated += counters.allocated * hz3_class_size(class);
	sum->freed += counters.freed_local * hz3_class_size(class);
}

/* Of all threads that ever had the heap. */
static struct hz3_account add_up(struct hz3_heap *heap)
{
	struct hz3_account sum = { heap->counters.large_alloc_bytes, heap->counters.large_free_bytes };

	for (unsigned class = 0; class < HZ3_CLASSES; class++)
		add_class(heap, class, &sum);
	/* Others' blocks: on their way, and still here.  A chain that was sent on is in the row of who freed it as well. */
	sum.freed += hz3_flow_bytes(heap->owner->frees) - heap->counters.forwarded_bytes;
	sum.freed += hz3_buffer_bytes(&heap->buffer);
	return sum;
}

static void set_earlier(struct hz3_heap *heap, struct hz3_account sum)
{
	heap->earlier_allocated = sum.allocated;
	heap->earlier_freed = sum.freed;
	heap->knows_earlier = true;
}

/* False: the heap's buffer is lent, for a moment still, by whoever took its last thread for asleep. */
static bool take_off_earlier(struct hz3_heap *heap)
{
	bool entered = hz3_heap_enter(heap);

	if (entered)
		set_earlier(heap, add_up(heap));
	hz3_heap_leave(heap);
	return entered;
}

void hz3_account_begin(struct hz3_heap *heap)
{
	if (!HZ3_STATS)
		return;
	if (!heap->owner->frees->had_thread)
		heap->knows_earlier = true;
	else
		heap->knows_earlier = hz3_atomic_load(&asked, relaxed) && take_off_earlier(heap);
}

struct hz3_account hz3_account_read(void)
{
	struct hz3_account sum = { 0, 0 };
	struct hz3_heap *heap = hz3_thread_begin();

	hz3_atomic_store(&asked, true, relaxed);
	if (heap == NULL)
		return sum;
	if (heap != hz3_thread_shared_heap()) {
		sum = add_up(heap);
		if (!heap->knows_earlier)
			set_earlier(heap, sum);
		sum.allocated -= heap->earlier_allocated;
		sum.freed -= heap->earlier_freed;
	}
	hz3_thread_end(heap);
	return sum;
}
