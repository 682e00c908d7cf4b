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
#include "seal.h"

#define HZ3_GRANULE 16u			/* every block starts on a granule and is a whole number of them */
#define HZ3_GRANULE_SHIFT 4

struct hz3_block {
	struct hz3_block *next;
};

/* The link of a free block, which its seal follows in a build with safety checks. */
static HZ3_INLINE struct hz3_block *hz3_block_next(const struct hz3_block *block)
{
	hz3_seal_check(block, (uintptr_t)block->next);
	return block->next;
}

static HZ3_INLINE void hz3_block_link(struct hz3_block *block, struct hz3_block *next)
{
	block->next = next;
	hz3_seal_set(block, (uintptr_t)next);
}

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
	uint64_t packed;		/* second | last << 16 | count << 32 | seal << 48 */
	struct hz3_message *next;
};

#define HZ3_MESSAGE_POSITION 0xffffu
#define HZ3_MESSAGE_SEAL_SHIFT 48

_Static_assert(sizeof(struct hz3_message) == HZ3_GRANULE, "a message must fit the smallest block");

static inline uint32_t hz3_block_granule(const void *page_start, const struct hz3_block *block)
{
	return (uint32_t)(((uintptr_t)block - (uintptr_t)page_start) >> HZ3_GRANULE_SHIFT);
}

static inline struct hz3_block *hz3_block_at(const void *page_start, uint32_t granule)
{
	return (struct hz3_block *)((uintptr_t)page_start + ((uintptr_t)granule << HZ3_GRANULE_SHIFT));
}

/* The seal of a message covers both words; 0 in a build without safety checks. */
static HZ3_INLINE uint64_t hz3_message_seal(const struct hz3_message *message, uint64_t contents)
{
	if (!HZ3_SAFETY)
		return 0;
	return hz3_seal_of(message, contents ^ (uintptr_t)message->next << 1) >> HZ3_MESSAGE_SEAL_SHIFT
	       << HZ3_MESSAGE_SEAL_SHIFT;
}

static HZ3_INLINE uint64_t hz3_message_contents(const struct hz3_message *message)
{
	return message->packed & (((uint64_t)1 << HZ3_MESSAGE_SEAL_SHIFT) - 1);
}

static HZ3_INLINE bool hz3_message_is_sealed(const struct hz3_message *message)
{
	uint64_t contents = hz3_message_contents(message);

	return message->packed == (contents | hz3_message_seal(message, contents));
}

static HZ3_INLINE struct hz3_message *hz3_message_next(const struct hz3_message *message)
{
	return message->next;
}

static HZ3_INLINE void hz3_message_link(struct hz3_message *message, struct hz3_message *next)
{
	message->next = next;
	if (HZ3_SAFETY) {
		uint64_t contents = hz3_message_contents(message);
		message->packed = contents | hz3_message_seal(message, contents);
	}
}

/* Blocks in the order in which they came, of whatever pages. */
struct hz3_block_queue {
	struct hz3_block *first, *last;
	size_t bytes;
};

/* Turn a chain into the message that carries it.  The chain's links stay as they are but for the first one. */
static inline struct hz3_message *hz3_message_from_chain(const void *page_start, struct hz3_chain chain)
{
	uint64_t second = 0, last = hz3_block_granule(page_start, chain.last);
	struct hz3_message *message = (struct hz3_message *)chain.first;

	if (chain.first != chain.last)
		second = hz3_block_granule(page_start, hz3_block_next(chain.first));
	hz3_check(second <= HZ3_MESSAGE_POSITION, HZ3_DAMAGED, (void *)chain.first);
	message->packed = second | last << 16 | (uint64_t)chain.count << 32;
	hz3_message_link(message, NULL);
	return message;
}

/* The inverse: restores the first block's link. */
static inline struct hz3_chain hz3_message_to_chain(const void *page_start, struct hz3_message *message)
{
	uint64_t packed = message->packed;
	struct hz3_chain chain;

	chain.first = (struct hz3_block *)message;
	chain.last = hz3_block_at(page_start, (packed >> 16) & HZ3_MESSAGE_POSITION);
	chain.count = (packed >> 32) & 0xffff;
	hz3_block_link(chain.first, chain.first != chain.last ?
		       hz3_block_at(page_start, packed & HZ3_MESSAGE_POSITION) : NULL);
	return chain;
}

#endif
