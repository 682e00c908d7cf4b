/* posix_memalign, aligned_alloc, memalign, valloc, pvalloc: every alignment from 1 to 2^63, good and bad ones. */
#define _GNU_SOURCE
#include "api_test.h"
#include "../glibc_family.h"

#include <unistd.h>

static const size_t sizes[] = {0, 1, 8, 15, 16, 17, 100, 1000, 4095, 4096, 4097, 30000, 32768, 40000, 65536, 70000,
			       (1 << 20) + 1};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

/* Up to this, there is no excuse for ENOMEM; beyond, address space may not do. */
#define SURE_ALIGNMENT ((size_t)16 << 20)

#define ALL_USED_UP_TO ((size_t)1 << 20)

/* Compilers know what posix_memalign does to errno; the test asks whether it does. */
static int (*volatile posix_memalign_)(void **, size_t, size_t) = posix_memalign;

static bool aligned(const void *p, size_t alignment)
{
	return ((uintptr_t)p & (alignment - 1)) == 0;
}

/* Whether the whole block can be used and freed; what it says of its size goes for aligned blocks as well. */
static void use_and_free(const char *what, void *p, size_t alignment, size_t size)
{
	size_t usable = malloc_usable_size(p);

	CHECK(aligned(p, alignment < 16 ? 16 : alignment), "%s(%zu, %zu) gave %p", what, alignment, size, p);
	CHECK(usable >= size, "%s(%zu, %zu): usable %zu", what, alignment, size, usable);
	/* A malloc may say of a block with a huge alignment that it has much more than was asked for. */
	memset(p, 0xa5, usable < size + ALL_USED_UP_TO ? usable : size);
	free(p);
}

static void sweep_posix_memalign(size_t alignment, size_t size)
{
	void *const before = (void *)(uintptr_t)0x1234;
	void *p = before;
	int error;

	errno = 42;
	error = posix_memalign_(&p, alignment, size);
	CHECK(errno == 42 || !on_hz3(), "posix_memalign(%zu, %zu) set errno %d", alignment, size, errno);
	if (alignment < sizeof(void *)) {
		CHECK(error == EINVAL, "alignment %zu: %d", alignment, error);
	} else if (error != 0) {
		CHECK(error == ENOMEM && alignment > SURE_ALIGNMENT, "posix_memalign(%zu, %zu): %d", alignment, size,
		      error);
	}
	if (error != 0)
		CHECK(p == before, "posix_memalign(%zu, %zu) failed and changed *memptr", alignment, size);
	else
		use_and_free("posix_memalign", opaque(p), alignment, size);
}

typedef void *aligner(size_t, size_t);

static void sweep(const char *what, aligner *get, size_t alignment, size_t size)
{
	void *p;

	errno = 0;
	p = opaque(get(alignment, size));
	if (p != NULL)
		use_and_free(what, p, alignment, size);
	else
		CHECK((errno == ENOMEM || !on_hz3()) && alignment > SURE_ALIGNMENT, "%s(%zu, %zu): errno %d", what,
		      alignment, size, errno);
}

static void test_powers_of_two(void)
{
	for (unsigned shift = 0; shift < 64; shift++) {
		size_t alignment = opaque_size((size_t)1 << shift);

		for (int i = 0; i < SIZES; i++) {
			sweep_posix_memalign(alignment, opaque_size(sizes[i]));
			sweep("aligned_alloc", aligned_alloc, alignment, sizes[i]);
			sweep("memalign", memalign, alignment, sizes[i]);
		}
	}
}

/* Many blocks at once: they must not overlap. */
static void test_overlap(void)
{
	enum { N = 64 };
	static unsigned char *p[N];

	for (size_t alignment = 32; alignment <= 1 << 17; alignment *= 2) {
		for (int i = 0; i < N; i++) {
			p[i] = opaque(aligned_alloc(alignment, opaque_size(100 + (size_t)i * 61)));
			CHECK(p[i] != NULL && aligned(p[i], alignment), "%zu: %p", alignment, (void *)p[i]);
			memset(p[i], i, 100 + (size_t)i * 61);
		}
		for (int i = 0; i < N; i++) {
			for (size_t j = 0; j < 100 + (size_t)i * 61; j++) {
				if (p[i][j] != i)
					CHECK(p[i][j] == i, "alignment %zu, block %d, byte %zu", alignment, i, j);
			}
		}
		for (int i = 0; i < N; i++)
			free(p[i]);
	}
}

static void test_bad_alignments(void)
{
	static const size_t bad[] = {0, 3, 6, 7, 9, 12, 15, 24, 48, 100, 4095, 4097, ((size_t)1 << 63) + 1, SIZE_MAX};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t alignment = opaque_size(bad[i]);
		void *p = &p;

		errno = 7;
		CHECK(posix_memalign_(&p, alignment, 64) == EINVAL, "alignment %zu", alignment);
		CHECK(p == &p, "posix_memalign(%zu) changed *memptr", alignment);
		CHECK(errno == 7, "posix_memalign(%zu) set errno %d", alignment, errno);
		if (!on_hz3())
			continue;
		errno = 0;
		p = opaque(aligned_alloc(alignment, 64));
		CHECK(p == NULL && errno == EINVAL, "aligned_alloc(%zu): %p, errno %d", alignment, p, errno);
	}
}

/* glibc rounds the alignment of memalign up, and programs rely on it. */
static void test_memalign_rounds_up(void)
{
	for (size_t alignment = 0; alignment < 70000; alignment += 1 + alignment / 7) {
		size_t power = 1;
		void *p = opaque(memalign(opaque_size(alignment), 50));

		while (power < alignment)
			power *= 2;
		CHECK(p != NULL && aligned(p, power), "memalign(%zu) gave %p", alignment, p);
		free(p);
	}
	errno = 0;
	CHECK(opaque(memalign(opaque_size(((size_t)1 << 63) + 1), 50)) == NULL, "memalign over 2^63");
	CHECK(errno == EINVAL, "memalign over 2^63: errno %d", errno);
}

static void test_impossible_sizes(void)
{
	static const size_t huge[] = {(size_t)PTRDIFF_MAX + 1, SIZE_MAX - 65536, SIZE_MAX - 4095, SIZE_MAX};

	for (unsigned shift = 0; shift < 64; shift++) {
		size_t alignment = (size_t)1 << shift;

		for (size_t i = 0; i < sizeof(huge) / sizeof(huge[0]); i++) {
			size_t size = opaque_size(huge[i]);
			void *p = NULL;

			errno = 0;
			p = opaque(aligned_alloc(alignment, size));
			CHECK(p == NULL && errno == ENOMEM, "aligned_alloc(%zu, %zu): errno %d", alignment, size,
			      errno);
			errno = 0;
			p = opaque(memalign(alignment, size));
			CHECK(p == NULL && errno == ENOMEM, "memalign(%zu, %zu): errno %d", alignment, size, errno);
			if (alignment >= sizeof(void *))
				CHECK(posix_memalign_(&p, alignment, size) == ENOMEM, "posix_memalign(%zu, %zu)",
				      alignment, size);
		}
	}
}

static void test_pages(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (size_t size = 0; size < 5 * page; size += 1 + size / 5) {
		char *p = opaque(valloc(opaque_size(size)));
		char *q = opaque(pvalloc(opaque_size(size)));
		size_t rounded = size == 0 ? page : (size + page - 1) / page * page;

		CHECK(p != NULL && aligned(p, page), "valloc(%zu): %p", size, (void *)p);
		CHECK(q != NULL && aligned(q, page), "pvalloc(%zu): %p", size, (void *)q);
		CHECK(malloc_usable_size(q) >= rounded || (size == 0 && !on_hz3()), "pvalloc(%zu): usable %zu", size,
		      malloc_usable_size(q));
		memset(p, 1, size);
		memset(q, 2, size == 0 ? 0 : rounded);
		free(p);
		free(q);
	}
	for (size_t less = 0; less < 3 * page; less += 511) {
		errno = 0;
		CHECK(opaque(pvalloc(opaque_size(SIZE_MAX - less))) == NULL && errno == ENOMEM, "errno %d", errno);
		errno = 0;
		CHECK(opaque(valloc(opaque_size(SIZE_MAX - less))) == NULL && errno == ENOMEM, "errno %d", errno);
		errno = 0;
		CHECK(opaque(pvalloc(opaque_size((size_t)PTRDIFF_MAX - less))) == NULL && errno == ENOMEM, "errno %d",
		      errno);
	}
}

/* An aligned block may be realloc'ed like any other; the contents stay, the alignment need not. */
static void test_realloc_of_aligned(void)
{
	for (size_t alignment = 16; alignment <= 1 << 20; alignment *= 2) {
		for (int i = 0; i < SIZES; i++) {
			unsigned char *p = opaque(aligned_alloc(alignment, sizes[i]));
			size_t grown = sizes[i] * 3 + 5;

			CHECK(p != NULL, "%zu %zu", alignment, sizes[i]);
			fill(p, 0, sizes[i], 3);
			p = opaque(realloc(p, grown));
			CHECK(p != NULL && first_difference(p, sizes[i], 3) == sizes[i], "%zu %zu", alignment,
			      sizes[i]);
			memset(p, 1, grown);
			free(p);
		}
	}
}

int main(void)
{
	test_powers_of_two();
	test_overlap();
	test_bad_alignments();
	test_memalign_rounds_up();
	test_impossible_sizes();
	test_pages();
	test_realloc_of_aligned();
	return finish();
}
