/* Blocks that were freed, and wait before they can be used again. */
#include "delayed.h"

void hz3_delayed_add(struct hz3_heap *heap, struct hz3_block *block, size_t bytes)
{
	struct hz3_block_queue *queue = &heap->delayed;
	struct hz3_block *last = queue->last, *next;

	hz3_block_link(block, NULL);
	queue->bytes += bytes;
	if (queue->first == NULL) {
		queue->last = block;
		/* Here and below: what is found is complete. */
		atomic_signal_fence(memory_order_release);
		queue->first = block;
		return;
	}
	/* It is the last, unless a fork came after the link below, and before the rest. */
	while ((next = hz3_block_next(last)) != NULL)
		last = next;
	atomic_signal_fence(memory_order_release);
	hz3_block_link(last, block);
	atomic_signal_fence(memory_order_release);
	queue->last = block;
}

/* The first slice of the block's page. */
static size_t page_slice(const struct hz3_block *block)
{
	size_t slice = hz3_slice_of(block);

	return slice - hz3_route_offset(hz3_route_of(slice));
}

struct hz3_block *hz3_delayed_take(struct hz3_heap *heap, size_t bytes_max)
{
	struct hz3_block_queue *queue = &heap->delayed;
	struct hz3_block *block = queue->first;

	if (block == NULL || queue->bytes <= bytes_max)
		return NULL;
	size_t bytes = hz3_class_size(hz3_route_class(hz3_route_of(page_slice(block))));
	hz3_check(hz3_seal_is_filled(block, bytes), HZ3_DAMAGED, (void *)block);
	queue->first = hz3_block_next(block);
	/* A fork may have left a block that counts, and is not there. */
	queue->bytes = queue->first ? queue->bytes - bytes : 0;
	return block;
}

/* Free one, as its thread would. */
static bool give(struct hz3_heap *heap, struct hz3_block *block)
{
	size_t slice = page_slice(block);
	struct hz3_page *page = hz3_page_at(slice);

	if (hz3_route_owner(hz3_route_of(slice)) != heap->owner->id)
		return hz3_heap_free_remote(heap, slice, block, hz3_buffer_add(&heap->buffer, slice, block));
	if (hz3_heap_free_local(page, block))
		hz3_heap_page_event(heap, page);
	return false;
}

bool hz3_delayed_give_up(struct hz3_heap *heap)
{
	bool to_parked = false;

	for (struct hz3_block *block; (block = hz3_delayed_take(heap, 0)) != NULL;)
		to_parked |= give(heap, block);
	return to_parked;
}

/* The one link that is written while it can be reached; its seal is a store more. */
void hz3_delayed_mend(struct hz3_heap *heap)
{
	struct hz3_block_queue *queue = &heap->delayed;

	if (queue->first)
		hz3_block_link(queue->last, queue->last->next);
}
