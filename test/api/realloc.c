/* realloc keeps the contents: small steps, all pairs of sizes, shrinking, and growth to hundreds of MiB. */
#define _GNU_SOURCE
#include "api_test.h"

#include <malloc.h>

static void check_step(unsigned char **p, size_t from, size_t to, unsigned seed)
{
	size_t kept = from < to ? from : to;
	unsigned char *q = opaque(realloc(*p, to));
	size_t at;

	CHECK(q != NULL, "realloc from %zu to %zu", from, to);
	if (q == NULL)
		exit(EXIT_FAILURE);
	at = first_difference(q, kept, seed);
	CHECK(at == kept, "realloc from %zu to %zu: byte %zu changed", from, to, at);
	CHECK(malloc_usable_size(q) >= to, "realloc from %zu to %zu: usable %zu", from, to, malloc_usable_size(q));
	fill(q, kept, to, seed);
	*p = q;
}

static void test_all_pairs(void)
{
	static const size_t sizes[] = {1,     15,    16,     17,     100,    129,     1000,
				       1025,  4096,  5000,   32000,  32768,  32769,   65536,
				       65537, 100000, 131072, 300000, 1 << 20, 5000000, 40 << 20};
	enum { N = sizeof(sizes) / sizeof(sizes[0]) };

	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N; j++) {
			unsigned char *p = opaque(malloc(sizes[i]));

			fill(p, 0, sizes[i], 1);
			check_step(&p, sizes[i], sizes[j], 1);
			free(p);
		}
	}
}

/* One byte at a time, with other blocks in the way. */
static void test_small_steps(void)
{
	unsigned char *p = opaque(malloc(1)), *in_the_way;

	fill(p, 0, 1, 2);
	for (size_t size = 1; size < 6000; size++) {
		in_the_way = opaque(malloc(size));
		memset(in_the_way, 0xff, size);
		check_step(&p, size, size + 1, 2);
		free(in_the_way);
	}
	for (size_t size = 6000; size > 1; size--)
		check_step(&p, size, size - 1, 2);
	free(p);
}

/* As a vector grows: by half, to 500 MiB, then back down. */
static void test_large_growth(void)
{
	const size_t most = (size_t)500 << 20;
	unsigned char *p = opaque(malloc(1000));
	size_t size = 1000, next;

	fill(p, 0, size, 3);
	while (size < most) {
		next = size + size / 2 + 1;
		/* Beyond 64 MiB comparing all of it takes too long: both ends and a sample. */
		if (next < 64 << 20) {
			check_step(&p, size, next, 3);
		} else {
			p = opaque(realloc(p, next));
			CHECK(p != NULL, "realloc to %zu", next);
			if (p == NULL)
				return;
			CHECK(first_difference(p, 1 << 20, 3) == 1 << 20, "realloc to %zu: start changed", next);
			for (size_t i = 0; i < size; i += 4093) {
				if (p[i] != pattern(i, 3)) {
					CHECK(p[i] == pattern(i, 3), "realloc to %zu: byte %zu", next, i);
					break;
				}
			}
			for (size_t i = size; i < next; i++)
				p[i] = pattern(i, 3);
		}
		size = next;
	}
	while (size > 2000) {
		next = size / 3;
		p = opaque(realloc(p, next));
		CHECK(p != NULL && p[0] == pattern(0, 3) && p[next - 1] == pattern(next - 1, 3), "shrink to %zu", next);
		CHECK(first_difference(p, next < 1 << 20 ? next : 1 << 20, 3) == (next < 1 << 20 ? next : 1 << 20),
		      "shrink to %zu", next);
		size = next;
	}
	free(p);
}

/* Several that grow in turn by pages, so that none can simply extend. */
static void test_interleaved_growth(void)
{
	enum { N = 8 };
	unsigned char *p[N] = {NULL};

	for (size_t size = 0; size < 4 << 20; size += 200000) {
		for (int i = 0; i < N; i++)
			check_step(&p[i], size, size + 200000, (unsigned)i);
	}
	for (int i = 0; i < N; i++)
		free(p[i]);
}

/* A block that shrinks a lot must not keep its old memory: 2000 times 1 MiB, each cut to 100 bytes. */
static void test_shrinking_gives_back(void)
{
	enum { N = 2000 };
	static void *p[N];
	size_t kept = 0;

	for (int i = 0; i < N; i++) {
		p[i] = opaque(malloc(1 << 20));
		memset(p[i], 1, 1 << 20);
		p[i] = opaque(realloc(p[i], 100));
		CHECK(p[i] != NULL, "block %d", i);
		kept += malloc_usable_size(p[i]);
	}
	CHECK(kept <= (size_t)N * 400, "%zu bytes kept for %d blocks of 100", kept, N);
	for (int i = 0; i < N; i++)
		free(p[i]);
}

/* Shrinking by little keeps the block where it is. */
static void test_small_shrink_stays(void)
{
	for (size_t size = 64; size < 1 << 20; size = size * 3 / 2 + 7) {
		void *p = opaque(malloc(size));
		uintptr_t before = (uintptr_t)p;

		p = opaque(realloc(p, size - size / 8));
		CHECK((uintptr_t)p == before || !on_hz3(), "%zu bytes less an eighth moved", size);
		free(p);
	}
}

/* A block that is made larger than 32 KiB stays where it is, until there is no room behind it. */
static void test_growth_stays(void)
{
	void *p = opaque(realloc(opaque(malloc(32000)), 33000));
	unsigned moves = 0;

	for (size_t size = 33000; size <= 60000; size += 1000) {
		uintptr_t before = (uintptr_t)p;

		p = opaque(realloc(p, size));
		moves += (uintptr_t)p != before;
	}
	CHECK(moves <= 1 || !on_hz3() || on_hz3_with("config.safety_checks"), "moved %u times from 33000 to 60000 bytes", moves);
	free(p);
}

int main(void)
{
	test_all_pairs();
	test_small_steps();
	test_large_growth();
	test_interleaved_growth();
	test_shrinking_gives_back();
	test_small_shrink_stays();
	test_growth_stays();
	return finish();
}
