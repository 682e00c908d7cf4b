/*
 * The tables of the size classes, made by the compiler.
 *
 * Constant: nobody writes them, so anybody may read them at any time.
 */
#include "size_class.h"

#include "os_memory.h"

#define PAGE_SLICES 1 /* of pages of blocks up to 1 KiB */
#define WAKE_MAX 32
#define FEW 8

/* Four classes that double a size: class, size, and the largest size of the class before. */
#define DOUBLING(X, c, s)                                                                                            \
	X((c), (s) * 5 / 4, (s))                                                                                     \
	X((c) + 1, (s) * 6 / 4, (s) * 5 / 4)                                                                         \
	X((c) + 2, (s) * 7 / 4, (s) * 6 / 4)                                                                         \
	X((c) + 3, (s) * 2, (s) * 7 / 4)

#define CLASSES(X)                                                                                                   \
	X(0, 16, -16) X(1, 32, 16) X(2, 48, 32) X(3, 64, 48) X(4, 80, 64) X(5, 96, 80) X(6, 112, 96) X(7, 128, 112)  \
	DOUBLING(X, 8, 128)                                                                                          \
	DOUBLING(X, 12, 256)                                                                                         \
	DOUBLING(X, 16, 512)                                                                                         \
	DOUBLING(X, 20, 1024)                                                                                        \
	DOUBLING(X, 24, 2048)                                                                                        \
	DOUBLING(X, 28, 4096)                                                                                        \
	DOUBLING(X, 32, 8192)                                                                                        \
	DOUBLING(X, 36, 16384)                                                                                       \
	DOUBLING(X, 40, 32768)

/*
 * Large enough pages that the tail wastes little, that a page holds at least 16 blocks of its class (8 of the last four, which
 * then have no tail), and that what is freed remotely comes in chains: 1 to 4 KiB are what messages have.
 */
#define SLICES(size)                                                                                                 \
	((size) <= 1024	   ? PAGE_SLICES                                                                             \
	 : (size) <= 4096  ? 2 * PAGE_SLICES                                                                         \
	 : (size) <= 16384 ? 4                                                                                       \
	 : (size) <= 32768 ? HZ3_CLASS_SLICES_MAX                                                                    \
			   : (size) * 8 >> HZ3_SLICE_SHIFT)
#define CAPACITY(size) (SLICES(size) * (1 << HZ3_SLICE_SHIFT) / (size))
#define EXTEND_BYTES(size) ((size) <= HZ3_CLASS_LINKED_MAX ? 4096 : 65536)
/* Of few blocks, none is to wait for others. */
#define WAKE(size) (CAPACITY(size) <= FEW ? 1 : CLAMP(CAPACITY(size) / 4, 1, WAKE_MAX))
#define CLAMP(x, low, high) ((x) < (low) ? (low) : (x) > (high) ? (high) : (x))

#define INFO(class, bytes, previous)                                                                                 \
	[class] = {                                                                                                  \
		.size = (bytes),                                                                                     \
		.reciprocal = (uint32_t)((((uint64_t)1 << 35) + (bytes) - 1) / (bytes)),                             \
		.slices = SLICES(bytes),                                                                             \
		.capacity = CAPACITY(bytes),                                                                         \
		.wake = WAKE(bytes),                                                                                 \
		.extend = CLAMP(EXTEND_BYTES(bytes) / (bytes), 1, CAPACITY(bytes)),                                  \
	},

/* Units of 16 bytes; class 0 begins at 0, the others just above the class before. */
#define TABLE(class, bytes, previous) [((previous) + 16) / 16 ...(bytes) / 16] = (class),

#define IN_RANGE(class, bytes, previous) _Static_assert((class) < HZ3_CLASSES && (bytes) <= HZ3_CLASS_SIZE_MAX, "");

const struct hz3_class_info hz3_class_info[HZ3_CLASSES] = {CLASSES(INFO)};

const uint8_t hz3_size_class_table[HZ3_CLASS_SIZE_MAX / 16 + 1] = {CLASSES(TABLE)};

CLASSES(IN_RANGE)

size_t hz3_size_class_round(size_t size)
{
	size_t rounded;

	if (size <= HZ3_CLASS_SIZE_MAX)
		return hz3_class_size(hz3_size_class(size));
	if (size > PTRDIFF_MAX)
		return 0;
	rounded = hz3_align_up(size, hz3_os_page_size);
	return rounded <= PTRDIFF_MAX ? rounded : 0;
}
