/* What the manual pages promise of malloc, calloc, realloc, reallocarray and free: edges, errors, errno. */
#define _GNU_SOURCE
#include "api_test.h"

#define TOO_LARGE ((size_t)PTRDIFF_MAX + 1)

static const size_t impossible[] = {TOO_LARGE, TOO_LARGE + 1, TOO_LARGE + 4096, SIZE_MAX - 65536, SIZE_MAX - 4096,
				    SIZE_MAX - 15, SIZE_MAX - 1, SIZE_MAX};

static void check_no_memory(const char *what, const void *p, size_t size)
{
	CHECK(p == NULL, "%s of %zu bytes gave %p", what, size, p);
	CHECK(errno == ENOMEM, "%s of %zu bytes: errno %d", what, size, errno);
	errno = 0;
}

static void test_malloc_zero_is_unique(void)
{
	enum { N = 1000 };
	static char *p[N];

	for (int i = 0; i < N; i++) {
		p[i] = opaque(i % 2 ? malloc(opaque_size(0)) : calloc(opaque_size(0), 5));
		CHECK(p[i] != NULL, "%d", i);
		CHECK((uintptr_t)p[i] % 16 == 0, "%p", (void *)p[i]);
		for (int j = 0; j < i; j++) {
			if (p[i] == p[j])
				CHECK(p[i] != p[j], "%d and %d are both %p", i, j, (void *)p[i]);
		}
	}
	for (int i = 0; i < N; i++)
		free(p[i]);
}

static void test_impossible_sizes(void)
{
	for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
		size_t size = opaque_size(impossible[i]);
		char *p = opaque(malloc(100));

		memset(p, 'x', 100);
		errno = 0;
		check_no_memory("malloc", opaque(malloc(size)), size);
		check_no_memory("calloc(1)", opaque(calloc(1, size)), size);
		check_no_memory("calloc(,1)", opaque(calloc(size, 1)), size);
		check_no_memory("realloc(NULL)", opaque(realloc(NULL, size)), size);
		check_no_memory("realloc", opaque(realloc(opaque(p), size)), size);
		check_no_memory("reallocarray", opaque(reallocarray(opaque(p), 1, size)), size);
		check_no_memory("reallocarray", opaque(reallocarray(opaque(p), size, 1)), size);
		for (int j = 0; j < 100; j++)
			CHECK(p[j] == 'x', "failed realloc touched byte %d", j);
		free(p);
	}
}

/* The largest legal size: no machine has the memory, and nothing may wrap around on the way to saying so. */
static void test_ptrdiff_max(void)
{
	for (size_t less = 0; less <= 1 << 21; less = less * 3 + 1) {
		size_t size = opaque_size((size_t)PTRDIFF_MAX - less);

		errno = 0;
		check_no_memory("malloc", opaque(malloc(size)), size);
		check_no_memory("calloc", opaque(calloc(size, 1)), size);
		check_no_memory("aligned_alloc", opaque(aligned_alloc(4096, size)), size);
	}
}

static void test_products_that_overflow(void)
{
	static const size_t pairs[][2] = {{SIZE_MAX, 2}, {2, SIZE_MAX}, {(size_t)1 << 32, (size_t)1 << 32},
					  {SIZE_MAX / 2 + 1, 2}, {((size_t)1 << 32) + 1, ((size_t)1 << 32)},
					  {SIZE_MAX, SIZE_MAX}, {SIZE_MAX / 16 + 1, 16}};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		size_t a = opaque_size(pairs[i][0]), b = opaque_size(pairs[i][1]);
		char *p = opaque(malloc(32));

		memcpy(p, "still here", 11);
		errno = 0;
		check_no_memory("calloc", opaque(calloc(a, b)), a);
		check_no_memory("reallocarray", opaque(reallocarray(opaque(p), a, b)), a);
		check_no_memory("reallocarray(NULL)", opaque(reallocarray(NULL, a, b)), a);
		CHECK(strcmp(p, "still here") == 0, "%s", p);
		free(p);
	}
}

static void test_realloc_edges(void)
{
	char *p = opaque(realloc(NULL, opaque_size(10)));
	void *q;

	CHECK(p != NULL, "realloc(NULL, 10)");
	memcpy(p, "123456789", 10);
	p = opaque(realloc(p, opaque_size(20)));
	CHECK(p != NULL && strcmp(p, "123456789") == 0, "contents after growth");
	errno = 4711;
	q = opaque(realloc(p, opaque_size(0)));
	CHECK(q == NULL, "realloc(p, 0) gave %p", q);
	CHECK(errno == 4711, "realloc(p, 0) made errno %d", errno);
	q = opaque(realloc(NULL, opaque_size(0)));
	CHECK(q != NULL, "realloc(NULL, 0) is malloc(0)");
	free(q);
	q = opaque(reallocarray(NULL, opaque_size(0), 7));
	CHECK(q != NULL, "reallocarray(NULL, 0, 7) is malloc(0)");
	q = opaque(reallocarray(q, 7, opaque_size(0)));
	CHECK(q == NULL, "reallocarray(p, 7, 0) frees");
}

/* realloc(p, 0) must free: 100,000 blocks of 64 KiB would be 6 GiB otherwise. */
static void test_realloc_zero_frees(void)
{
	for (int i = 0; i < 100000; i++) {
		char *p = opaque(malloc(opaque_size(65536)));

		CHECK(p != NULL, "round %d", i);
		if (p == NULL)
			return;
		p[0] = p[65535] = 1;
		p = opaque(realloc(p, opaque_size(0)));
		CHECK(p == NULL, "round %d", i);
	}
}

static void test_free_keeps_errno(void)
{
	static const size_t sizes[] = {0, 1, 100, 5000, 40000, 200000, 3 << 20, 70 << 20};

	errno = 1234;
	free(opaque(NULL));
	CHECK(errno == 1234, "free(NULL): errno %d", errno);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *p[50];

		for (int j = 0; j < 50; j++) {
			p[j] = opaque(malloc(opaque_size(sizes[i])));
			CHECK(p[j] != NULL, "%zu bytes", sizes[i]);
		}
		errno = 1234;
		for (int j = 0; j < 50; j++)
			free(p[j]);
		CHECK(errno == 1234, "free of %zu bytes: errno %d", sizes[i], errno);
	}
}

/* Success may change errno by the standard, but programs that test errno after a good malloc exist. */
static void test_success_keeps_errno(void)
{
	errno = 99;
	for (size_t size = 0; size < 300000; size += 1 + size / 3) {
		void *p = opaque(malloc(opaque_size(size)));
		void *q = opaque(calloc(1, opaque_size(size)));

		q = opaque(realloc(q, opaque_size(size * 2 + 1)));
		free(p);
		free(q);
	}
	CHECK(!on_hz3() || errno == 99, "errno %d", errno);
}

static void test_other_names_of_free(void)
{
	void (*cfree_)(void *) = (void (*)(void *))find("cfree");
	void (*free_sized_)(void *, size_t) = (void (*)(void *, size_t))find("free_sized");
	void (*free_aligned)(void *, size_t, size_t) = (void (*)(void *, size_t, size_t))find("free_aligned_sized");

	CHECK(!on_hz3() || (cfree_ && free_sized_ && free_aligned), "a name is missing");
	errno = 55;
	for (size_t size = 0; size < 100000; size = size * 2 + 1) {
		if (cfree_ != NULL)
			cfree_(opaque(malloc(size)));
		if (free_sized_ != NULL)
			free_sized_(opaque(malloc(size)), size);
		if (free_aligned != NULL)
			free_aligned(opaque(aligned_alloc(256, size)), 256, size);
	}
	if (free_sized_ != NULL)
		free_sized_(NULL, 10);
	/* Of NULL nothing else matters. */
	if (free_aligned != NULL) {
		free_aligned(NULL, 64, 128);
		free_aligned(NULL, 0, 0);
		free_aligned(NULL, 3, 7);
	}
	CHECK(!on_hz3() || errno == 55, "errno %d", errno);
}

int main(void)
{
	test_malloc_zero_is_unique();
	test_impossible_sizes();
	test_ptrdiff_max();
	test_products_that_overflow();
	test_realloc_edges();
	test_realloc_zero_frees();
	test_free_keeps_errno();
	test_success_keeps_errno();
	test_other_names_of_free();
	return finish();
}
