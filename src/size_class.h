/*
 * Size to class and back: pure arithmetic on constant tables, which are valid before any constructor has run.
 *
 * Classes are the multiples of 16 up to 128, then four per doubling up to HZ3_CLASS_SIZE_MAX: at most 20 % of a block
 * is lost to rounding (for sizes over 64; below, a few bytes).  A page of a class is a run of slices cut into blocks:
 * block i starts at i * size from the start of the page, which is the start of a slice.
 *
 * Anybody may call anything here; nothing is ever written.
 */
#ifndef HZ3_SIZE_CLASS_H
#define HZ3_SIZE_CLASS_H

#include "base.h"

#define HZ3_CLASSES 44
#define HZ3_CLASS_SIZE_MAX 65536
#define HZ3_CLASS_SLICES_MAX 8

/*
 * Up to this size the blocks of a page are linked when they are carved.  Links are cheaper than fresh blocks, which take a way out
 * of the hot path each, but they touch memory before it is used.
 */
#define HZ3_CLASS_LINKED_MAX 256

struct hz3_class_info {
	uint32_t size;       /* bytes of a block */
	uint32_t reciprocal; /* ceil(2^35 / size): offset * reciprocal >> 35 == offset / size */
	uint16_t slices;     /* slices of a page */
	uint16_t capacity;   /* blocks of a page */
	uint16_t wake;       /* blocks that must be free before a sleeping page is worth waking */
	uint16_t extend;     /* blocks carved at a time: 4 KiB that are linked, or 64 KiB that stay untouched (page.c) */
};

extern const struct hz3_class_info hz3_class_info[HZ3_CLASSES];

/* Class by size in 16-byte units, rounded up; entry 0 is class 0, since malloc(0) returns a block. */
extern const uint8_t hz3_size_class_table[HZ3_CLASS_SIZE_MAX / 16 + 1];

/* The smallest class that holds size, which must not exceed HZ3_CLASS_SIZE_MAX. */
static HZ3_INLINE unsigned hz3_size_class(size_t size)
{
	hz3_assert(size <= HZ3_CLASS_SIZE_MAX);
	return hz3_size_class_table[(size + 15) >> 4];
}

static HZ3_INLINE size_t hz3_class_size(unsigned class)
{
	return hz3_class_info[class].size;
}

/* Bytes of a page of the class, its unused tail included. */
static HZ3_INLINE size_t hz3_class_page_bytes(unsigned class)
{
	return (size_t)hz3_class_info[class].slices << HZ3_SLICE_SHIFT;
}

/*
 * offset / size for an offset into a page.  Exact: the reciprocal is too large by less than size / 2^35 relative to
 * 1 / size, and offset * size < 2^19 * 2^16 = 2^35 keeps that error from reaching the next integer.
 * The tail of a page gives its capacity, which is the index of no block.
 */
static HZ3_INLINE unsigned hz3_class_block_index(unsigned class, size_t offset)
{
	hz3_assert(offset < hz3_class_page_bytes(class));
	return (unsigned)((uint64_t)offset * hz3_class_info[class].reciprocal >> 35);
}

/* Whether a block of the page starts at offset. */
static HZ3_INLINE bool hz3_class_is_block_start(unsigned class, size_t offset)
{
	unsigned i = hz3_class_block_index(class, offset);

	return i < hz3_class_info[class].capacity && (size_t)i * hz3_class_info[class].size == offset;
}

/* The same for any offset. */
static HZ3_INLINE bool hz3_class_has_block(unsigned class, size_t offset)
{
	return offset < hz3_class_page_bytes(class) && hz3_class_is_block_start(class, offset);
}

/*
 * What a request of size really gets: the class size, or above the largest class the next multiple of the system's page
 * size.  0 if that would exceed PTRDIFF_MAX, which no block can.
 */
size_t hz3_size_class_round(size_t size);

/*
 * The size to ask for so that the block will have the alignment (a power of 2, neither over PTRDIFF_MAX); no class has it if
 * the result exceeds HZ3_CLASS_SIZE_MAX.
 *
 * A block is aligned if the class size is a multiple of the alignment, since pages start at slice boundaries.  The classes are
 * such that rounding up to a multiple does it: up to eight times the alignment each multiple is a class, and beyond that,
 * classes are further apart and multiples of their distance.
 */
static HZ3_INLINE size_t hz3_size_class_align(size_t alignment, size_t size)
{
	return hz3_align_up(size ? size : 1, alignment);
}

#endif
