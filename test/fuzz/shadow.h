/*
 * The shadow oracle: what a program may expect of the blocks that it holds, and never of how the allocator works.
 *
 * A table knows the blocks of one holder (a thread, or all of them in turn): where they are, how large, and by which number
 * each was filled.  Blocks that are live at the same time don't overlap; each is aligned, has the size that was
 * asked for, can be written to the last usable byte, and keeps what was written.  One thread at a time uses a table.
 */
#ifndef HZ3_FUZZ_SHADOW_H
#define HZ3_FUZZ_SHADOW_H

#include "calls.h"

#define SLOTS 4096u

struct held {
	unsigned char *p;	/* NULL: the slot is empty */
	size_t size;		/* as asked for */
	size_t usable;
	size_t alignment;
	uint64_t id;		/* what it is filled with */
};

struct span {
	uintptr_t start, end;
};

struct table {
	struct held slot[SLOTS];
	struct span span[SLOTS];	/* those of the blocks, by address */
	unsigned spans;
	uint64_t ids;			/* the last one given; tables differ in the upper bits */
	size_t bytes;			/* held, as asked for */
};

/* ---- Where blocks are ---- */

/* The first span that ends behind the address. */
static unsigned span_behind(const struct table *t, uintptr_t address)
{
	unsigned low = 0, high = t->spans;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		if (t->span[middle].end > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* A block without a byte to use still has a place of its own. */
static void span_add(struct table *t, const void *p, size_t usable)
{
	struct span span = {(uintptr_t)p, (uintptr_t)p + (usable > 0 ? usable : 1)};
	unsigned at = span_behind(t, span.start);

	if (at < t->spans)
		FUZZ_CHECK(t->span[at].start >= span.end, "a block of %zu bytes at %p overlaps the live one of %zu at %p", usable,
			   p, (size_t)(t->span[at].end - t->span[at].start), (void *)t->span[at].start);
	memmove(&t->span[at + 1], &t->span[at], (t->spans - at) * sizeof(t->span[0]));
	t->span[at] = span;
	t->spans++;
}

static void span_remove(struct table *t, const void *p)
{
	unsigned at = span_behind(t, (uintptr_t)p);

	FUZZ_CHECK(at < t->spans && t->span[at].start == (uintptr_t)p, "the oracle has lost %p", p);
	t->spans--;
	memmove(&t->span[at], &t->span[at + 1], (t->spans - at) * sizeof(t->span[0]));
}

/* ---- What is in them ---- */

/* Small blocks are filled all over, large ones at both ends and here and there. */
#define WHOLE (64 * KIB)
#define END (4 * KIB)
#define SPOT ((size_t)64)

static uint64_t content_word(uint64_t id, size_t offset)
{
	uint64_t x = (id + offset / 8 * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;

	return x ^ x >> 29;
}

static void fill_range(const struct held *h, size_t from, size_t to)
{
	for (; from + 8 <= to; from += 8) {
		uint64_t word = content_word(h->id, from);
		memcpy(h->p + from, &word, 8);
	}
	for (uint64_t word = content_word(h->id, from); from < to; from++, word >>= 8)
		h->p[from] = (unsigned char)word;
}

static void check_range(const struct held *h, size_t from, size_t to)
{
	uint64_t expected, found = 0;

	for (; from < to; from += 8) {
		size_t n = to - from < 8 ? to - from : 8;
		expected = content_word(h->id, from) << (8 * (8 - n)) >> (8 * (8 - n));
		found = 0;
		memcpy(&found, h->p + from, n);
		FUZZ_CHECK(found == expected, "block %p of %zu bytes: at %zu is %llx, not %llx", (void *)h->p, h->size, from,
			   (unsigned long long)found, (unsigned long long)expected);
	}
}

/* Applies f to the ranges of a block of so many usable bytes that are filled, as far as they are below limit. */
static void each_range(const struct held *h, size_t usable, size_t limit, void (*f)(const struct held *, size_t, size_t))
{
	size_t step = usable / 256 > WHOLE ? usable / 256 & ~(size_t)7 : WHOLE, tail = (usable - END) & ~(size_t)7;

	if (usable <= WHOLE) {
		f(h, 0, limit);
		return;
	}
	f(h, 0, limit < END ? limit : END);
	for (size_t spot = step; spot + SPOT <= tail && spot + SPOT <= limit; spot += step)
		f(h, spot, spot + SPOT);
	if (limit > tail)
		f(h, tail, limit);
}

static void check_contents(const struct held *h)
{
	each_range(h, h->usable, h->usable, check_range);
}

static void check_zero_range(const struct held *h, size_t from, size_t to)
{
	for (; from < to; from++)
		FUZZ_CHECK(h->p[from] == 0, "calloc: block %p of %zu bytes: byte %zu is %x", (void *)h->p, h->size, from,
			   h->p[from]);
}

/* What is usable, all of it up to a MiB. */
static void check_zero(const struct held *h)
{
	check_zero_range(h, 0, h->usable < MIB ? h->usable : MIB);
	if (h->usable > MIB)
		each_range(h, h->usable, h->usable, check_zero_range);
}

/* ---- Blocks ---- */

/* Takes a block into an empty slot: looks where it is and how large, and fills it. */
static void hold(struct table *t, unsigned slot, void *p, size_t size, size_t alignment, bool zero)
{
	struct held *h = &t->slot[slot];

	FUZZ_CHECK(((uintptr_t)p & (alignment - 1)) == 0, "block %p of %zu bytes is not aligned to %zu", p, size, alignment);
	*h = (struct held){p, size, call.usable(p), alignment, ++t->ids};
	FUZZ_CHECK(h->usable >= size, "block %p of %zu bytes has %zu usable ones", p, size, h->usable);
	span_add(t, p, h->usable);
	if (zero)
		check_zero(h);
	each_range(h, h->usable, h->usable, fill_range);
	t->bytes += size;
}

/* The slot's block as it is to be freed: nobody has touched it.  The slot is empty from here on. */
static struct held let_go(struct table *t, unsigned slot)
{
	struct held h = t->slot[slot];

	check_contents(&h);
	FUZZ_CHECK(call.usable(h.p) == h.usable, "block %p has %zu usable bytes, and had %zu", (void *)h.p, call.usable(h.p),
		   h.usable);
	span_remove(t, h.p);
	t->slot[slot].p = NULL;
	t->bytes -= h.size;
	return h;
}

/* Looks at every block; no two of them overlap, or span_add() had said so. */
static void UNUSED check_all(const struct table *t)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (t->slot[i].p != NULL)
			check_contents(&t->slot[i]);
	}
}

#endif
