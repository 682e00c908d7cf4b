/*
 * A free block, chains of them, and a chain as the message that carries itself to its owner.
 *
 * The only place that touches the first words of a free block.  A free block belongs to exactly one list: a
 * page's free list, a remote buffer, a chain on its way, or a page's remote word.  Whoever holds the list holds
 * its blocks, so nothing here is atomic; the lists change hands in sink_central.c and page_remote.h.
 */
#ifndef HZ3_BLOCK_H
#define HZ3_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base.h"

#define HZ3_GRANULE 16u			/* every block starts on a granule and is a whole number of them */
#define HZ3_GRANULE_SHIFT 4

struct hz3_block {
	struct hz3_block *next;
};

/* Blocks of one page, linked first to last; last->next is NULL.  The count is what is believed. */
struct hz3_chain {
	struct hz3_block *first;
	struct hz3_block *last;
	uint32_t count;
};

/*
 * A chain on its way to an owner stash, written over the chain's own first block: 16 bytes, so the smallest
 * block can carry it.  Positions are granules from the start of the page, so 16 bits reach any block.
 * The first block is the one that its freer touched last, and the one that its owner will hand out first: the
 * line that has to move anyway carries the message.
 */
struct hz3_message {
	uint64_t packed;		/* second | last << 16 | count << 32 */
	struct hz3_message *next;
};

_Static_assert(sizeof(struct hz3_message) == HZ3_GRANULE, "a message must fit the smallest block");

static inline uint32_t hz3_block_granule(const void *page_start, const struct hz3_block *block)
{
	return (uint32_t)(((uintptr_t)block - (uintptr_t)page_start) >> HZ3_GRANULE_SHIFT);
}

static inline struct hz3_block *hz3_block_at(const void *page_start, uint32_t granule)
{
	return (struct hz3_block *)((uintptr_t)page_start + ((uintptr_t)granule << HZ3_GRANULE_SHIFT));
}

/* Turn a chain into the message that carries it.  The chain's links stay as they are but for the first one. */
static inline struct hz3_message *hz3_message_from_chain(const void *page_start, struct hz3_chain chain)
{
	uint64_t second = chain.first != chain.last ? hz3_block_granule(page_start, chain.first->next) : 0;
	uint64_t last = hz3_block_granule(page_start, chain.last);
	struct hz3_message *message = (struct hz3_message *)chain.first;

	message->packed = second | last << 16 | (uint64_t)chain.count << 32;
	message->next = NULL;
	return message;
}

/* The inverse: restores the first block's link. */
static inline struct hz3_chain hz3_message_to_chain(const void *page_start, struct hz3_message *message)
{
	uint64_t packed = message->packed;
	struct hz3_chain chain;

	chain.first = (struct hz3_block *)message;
	chain.last = hz3_block_at(page_start, (packed >> 16) & 0xffff);
	chain.count = (uint32_t)(packed >> 32);
	chain.first->next = chain.first != chain.last ? hz3_block_at(page_start, packed & 0xffff) : NULL;
	return chain;
}

#endif
