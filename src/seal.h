/*
 * What a build with --enable-safety-checks writes beside the words that hz3 keeps in free memory, and at the ends of blocks.
 *
 *   free block   [link | seal | filling ...]   The seal is a function of the link, its address and a number that differs from
 *                process to process.  Whoever follows a link looks at its seal first, so a write to a block that was
 *                freed is noticed before it can lead a list astray.
 *   live block   [what was asked for | canaries ... | tail]   The tail is the last word: a canary, the number of canaries
 *                before it, a check.
 *
 * In other builds all of this is nothing.  Any thread, on memory that it may touch.
 */
#ifndef HZ3_SEAL_H
#define HZ3_SEAL_H

#include "base.h"

/* The message about a free block that isn't as it was left. */
#define HZ3_DAMAGED "free block %p is damaged: it was freed twice, or written to after it was freed"

/* Set once, before there is a block. */
extern uint64_t hz3_seal_secret;

static HZ3_INLINE uint64_t hz3_seal_of(const void *where, uint64_t word)
{
	uint64_t x = (word ^ (uintptr_t)where << 20 ^ hz3_seal_secret) * HZ3_HASH_FACTOR;

	return (x ^ x >> 29) * 0xbf58476d1ce4e5b9u;
}

/* The seal of the first word of a free block, in the second. */
static HZ3_INLINE void hz3_seal_set(void *block, uint64_t word)
{
	if (HZ3_SAFETY)
		((uint64_t *)block)[1] = hz3_seal_of(block, word);
}

static HZ3_INLINE void hz3_seal_check(const void *block, uint64_t word)
{
	if (HZ3_SAFETY)
		hz3_check(((const uint64_t *)block)[1] == hz3_seal_of(block, word), HZ3_DAMAGED, block);
}

/* Of a free block: the link and its seal. */
#define HZ3_SEALED 16u

/* Fill a free block behind its link; is the filling as it was? */
void hz3_seal_fill(void *block, size_t bytes);
bool hz3_seal_is_filled(const void *block, size_t bytes);

/* What a live block needs beyond what was asked for. */
#define HZ3_SEAL_TAIL 8u

enum hz3_seal_state {
	HZ3_SEAL_WHOLE,
	HZ3_SEAL_OVERRUN,		/* written to behind the size that was asked for */
	HZ3_SEAL_LOST,			/* the same, and that size is not known any more; or the block is not live */
};

/* Of a block of bytes in all, of which size are the caller's: write canaries and tail; look at them. */
void hz3_seal_end(void *block, size_t bytes, size_t size);
enum hz3_seal_state hz3_seal_look(const void *block, size_t bytes, size_t *size);

#endif
