/* calloc gives zeroes, also from memory that was used, freed and maybe purged before, and as many as malloc_usable_size tells of. */
#define _GNU_SOURCE
#include "api_test.h"
#include "../glibc_family.h"

static bool all_zero(const void *p, size_t n)
{
	const unsigned char *s = p;

	return n == 0 || (s[0] == 0 && memcmp(s, s + 1, n - 1) == 0);
}

static const size_t sizes[] = {1,     8,     16,     24,     100,    500,     1024,    4000,   8192,   30000,
			       33000, 65536, 100000, 131073, 500000, 1 << 20, 3 << 20, 20 << 20, 33 << 20, 100 << 20};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static void check_zero(size_t count, size_t size)
{
	unsigned char *p = opaque(calloc(count, size));

	CHECK(p != NULL, "calloc(%zu, %zu)", count, size);
	CHECK(p == NULL || all_zero(p, malloc_usable_size(p)), "calloc(%zu, %zu) is not zero", count, size);
	if (p != NULL)
		memset(p, 0xee, malloc_usable_size(p));
	free(p);
}

/* Dirty as many blocks as fit into 8 MiB, all of them live at once, then free them. */
static void make_dirty(size_t size)
{
	enum { MOST = 20000 };
	static void *p[MOST];
	size_t n = (8 << 20) / size + 1;

	if (n > MOST)
		n = MOST;
	for (size_t i = 0; i < n; i++) {
		p[i] = opaque(malloc(size));
		if (p[i] != NULL)
			memset(p[i], 0xdd, malloc_usable_size(p[i]));
	}
	for (size_t i = 0; i < n; i++)
		free(p[i]);
}

static void test_dirty_reuse(void)
{
	for (int i = 0; i < SIZES; i++) {
		int rounds = sizes[i] < 1 << 20 ? 20 : 2;

		for (int round = 0; round < rounds; round++) {
			check_zero(1, sizes[i]);
			check_zero(sizes[i], 1);
		}
		make_dirty(sizes[i]);
		for (int round = 0; round < rounds; round++)
			check_zero(1, sizes[i]);
		malloc_trim(0);
		check_zero(1, sizes[i]);
	}
}

/* Memory that was dirty as one size and comes back as another. */
static void test_other_sizes(void)
{
	for (int i = 0; i < SIZES; i++) {
		make_dirty(sizes[i]);
		for (int j = 0; j < SIZES && sizes[j] <= 4 << 20; j++)
			check_zero(1, sizes[j]);
	}
}

/* Many live at once, so that they come from every part of a page. */
static void test_many_live(void)
{
	enum { N = 3000 };
	static unsigned char *p[N];

	for (size_t size = 1; size < 5000; size = size * 3 + 1) {
		make_dirty(size);
		for (int i = 0; i < N; i++) {
			p[i] = opaque(calloc(1, size));
			CHECK(p[i] != NULL && all_zero(p[i], malloc_usable_size(p[i])), "block %d of %zu bytes", i, size);
			memset(p[i], 0xcc, malloc_usable_size(p[i]));
		}
		for (int i = 0; i < N; i++)
			free(p[i]);
	}
}

int main(void)
{
	test_dirty_reuse();
	test_other_sizes();
	test_many_live();
	return finish();
}
