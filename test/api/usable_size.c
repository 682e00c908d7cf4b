/* malloc_usable_size: all that it promises can be written, for every size to 70 KiB and samples to 100 MiB. */
#define _GNU_SOURCE
#include "api_test.h"

#include <malloc.h>

static size_t (*good_size)(size_t);

static void check_size(size_t size)
{
	unsigned char *p = opaque(malloc(size)), *q = opaque(malloc(size));
	size_t usable = malloc_usable_size(p);

	CHECK(p != NULL && q != NULL, "%zu bytes", size);
	if (p == NULL || q == NULL)
		return;
	CHECK((uintptr_t)p % 16 == 0, "%zu bytes at %p", size, (void *)p);
	CHECK(usable >= size, "%zu bytes: usable %zu", size, usable);
	CHECK(malloc_usable_size(q) == usable || !on_hz3(), "%zu bytes: usable %zu and %zu", size, usable,
	      malloc_usable_size(q));
	if (good_size != NULL) {
		CHECK(good_size(size) == usable, "%zu bytes: good_size %zu, usable %zu", size, good_size(size), usable);
		CHECK(size <= 128 ? usable < size + 16 || size == 0 : (usable - size) * 5 <= usable || size > 65536,
		      "%zu bytes: usable %zu wastes over 20 %%", size, usable);
	}
	/* Neighbours: neither may reach into the other. */
	memset(q, 0x11, usable);
	memset(p, 0x22, usable);
	CHECK(usable == 0 || (q[0] == 0x11 && q[usable - 1] == 0x11), "%zu bytes: blocks overlap", size);
	memset(q, 0x33, usable);
	CHECK(usable == 0 || (p[0] == 0x22 && p[usable - 1] == 0x22), "%zu bytes: blocks overlap", size);
	free(q);
	free(p);
}

/* A block that is filled to its usable size keeps what is in it while others come and go. */
static void test_neighbours(void)
{
	enum { N = 4000 };
	static unsigned char *p[N];
	static size_t usable[N];

	for (int i = 0; i < N; i++) {
		p[i] = opaque(malloc((size_t)i * 7 % 3000));
		usable[i] = malloc_usable_size(p[i]);
		fill(p[i], 0, usable[i], (unsigned)i);
	}
	for (int i = 0; i < N; i += 2)
		free(p[i]);
	for (int i = 0; i < N; i += 2) {
		p[i] = opaque(malloc((size_t)i * 11 % 3000));
		usable[i] = malloc_usable_size(p[i]);
		fill(p[i], 0, usable[i], (unsigned)i);
	}
	for (int i = 0; i < N; i++) {
		CHECK(first_difference(p[i], usable[i], (unsigned)i) == usable[i], "block %d", i);
		free(p[i]);
	}
}

int main(void)
{
	good_size = (size_t(*)(size_t))find("hz3_good_size");
	CHECK(malloc_usable_size(NULL) == 0, "of NULL");
	for (size_t size = 0; size <= 70 * 1024; size++)
		check_size(size);
	for (size_t size = 70 * 1024; size <= 100 << 20; size += size / 3)
		check_size(size);
	/* On both sides of every power of two. */
	for (size_t power = 16; power <= 64 << 20; power *= 2) {
		for (size_t size = power - 2; size <= power + 2; size++)
			check_size(size);
	}
	if (good_size != NULL) {
		CHECK(good_size((size_t)PTRDIFF_MAX + 1) == 0, "over PTRDIFF_MAX");
		CHECK(good_size(SIZE_MAX) == 0, "SIZE_MAX");
	}
	test_neighbours();
	return finish();
}
