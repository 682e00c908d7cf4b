/* glibc's less known functions: mallopt, mallinfo, malloc_info, malloc_stats, malloc_trim. */
#define _GNU_SOURCE
#include "api_test.h"
#include "../glibc_family.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

/* The report goes to standard error; it must be there, and look right, and not be more than a screenful or two. */
static size_t capture(void (*print)(void), char *text, size_t cap)
{
	FILE *file = tmpfile();
	int kept = dup(STDERR_FILENO);
	ssize_t n;

	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	print();
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	close(kept);
	n = pread(fileno(file), text, cap - 1, 0);
	fclose(file);
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

static void test_malloc_stats(void)
{
	static char text[65536];
	static const char *const words[] = {"allocated", "active", "resident", "mapped", "metadata", "Remote frees",
					    "Size classes"};
	size_t n = capture(malloc_stats, text, sizeof(text));

	CHECK(n > 100, "only %zu bytes: %s", n, text);
	if (!on_hz3_with_statistics())
		return;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		CHECK(strstr(text, words[i]) != NULL, "\"%s\" is missing in: %s", words[i], text);
	CHECK(text[n - 1] == '\n', "the last line has no end");
}

static void test_mallopt(void)
{
	CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1, "M_MMAP_THRESHOLD");
	CHECK(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1, "M_TRIM_THRESHOLD");
	CHECK(mallopt(M_TOP_PAD, 1 << 16) == 1, "M_TOP_PAD");
	CHECK(mallopt(M_MMAP_MAX, 1000) == 1, "M_MMAP_MAX");
	CHECK(mallopt(M_ARENA_MAX, 4) == 1, "M_ARENA_MAX");
	CHECK(mallopt(-77, 1) == 0 || !on_hz3(), "a parameter that does not exist");
}

static void test_mallinfo2(void)
{
	enum { BYTES = 10 << 20 };
	struct mallinfo2 before = mallinfo2(), with, after;
	char *p = opaque(malloc(BYTES));

	memset(p, 1, BYTES);
	with = mallinfo2();
	free(p);
	after = mallinfo2();
	CHECK(with.uordblks + with.hblkhd >= before.uordblks + before.hblkhd + BYTES, "uordblks %zu, then %zu",
	      before.uordblks, with.uordblks);
	CHECK(after.uordblks + after.hblkhd <= with.uordblks + with.hblkhd - BYTES, "uordblks %zu, then %zu",
	      with.uordblks, after.uordblks);
	CHECK(with.arena == with.uordblks + with.fordblks, "arena %zu, uordblks %zu, fordblks %zu", with.arena, with.uordblks,
	      with.fordblks);
}

/* What programs take for the memory in use is uordblks + hblkhd: a huge block is in one of them. */
static void test_mallinfo2_huge(void)
{
	const size_t bytes = (size_t)200 << 20;
	struct mallinfo2 before = mallinfo2(), with;
	void *p = opaque(malloc(bytes));

	with = mallinfo2();
	if (p != NULL) {
		CHECK(with.hblks == before.hblks + 1 && with.hblkhd >= before.hblkhd + bytes, "hblks %zu, hblkhd %zu", with.hblks,
		      with.hblkhd);
		CHECK(with.uordblks < bytes && with.arena < bytes, "uordblks %zu, arena %zu", with.uordblks, with.arena);
	}
	free(p);
	CHECK(mallinfo2().hblkhd == before.hblkhd, "hblkhd %zu after all", mallinfo2().hblkhd);
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* The int fields say as much as they can. */
static void test_mallinfo(void)
{
	enum { N = 5 };
	const size_t bytes = (size_t)600 << 20;
	void *p[N];
	struct mallinfo info;
	bool all = true;

	for (int i = 0; i < N; i++) {
		p[i] = opaque(malloc(bytes));
		all = all && p[i] != NULL;
	}
	info = mallinfo();
	if (on_hz3() && all)
		CHECK(info.hblkhd == INT_MAX && info.hblks == N, "hblkhd %d of 3 GB in %d blocks", info.hblkhd, info.hblks);
	for (int i = 0; i < N; i++)
		free(p[i]);
	info = mallinfo();
	CHECK(info.uordblks >= 0 && info.uordblks < 100 << 20 && info.hblkhd == 0, "uordblks %d, hblkhd %d", info.uordblks,
	      info.hblkhd);
}

static void test_malloc_info(void)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *stream = open_memstream(&text, &bytes);

	errno = 0;
	CHECK(malloc_info(1, stream) != 0, "options 1");
	CHECK(errno == EINVAL || !on_hz3(), "options 1: errno %d", errno);
	CHECK(malloc_info(0, stream) == 0, "options 0");
	fclose(stream);
	CHECK(strstr(text, "<malloc version=\"1\">") != NULL, "no root in: %s", text);
	CHECK(strstr(text, "<heap nr=\"0\">") != NULL, "no heap in: %s", text);
	CHECK(bytes > 10 && strcmp(text + bytes - 10, "</malloc>\n") == 0, "no end in: %s", text);
	free(text);
}

static void test_malloc_trim(void)
{
	enum { N = 20000 };
	static void *p[N];

	for (int i = 0; i < N; i++) {
		p[i] = opaque(malloc(1000));
		memset(p[i], 1, 1000);
	}
	for (int i = 0; i < N; i++)
		free(p[i]);
	CHECK(malloc_trim(0) == 1, "20 MB were free");
	/* Then there is nothing left; whatever the second call says, it must say it twice. */
	malloc_trim(0);
	CHECK(malloc_trim(0) == 0 || !on_hz3(), "everything was given back before");
}

int main(void)
{
	test_malloc_stats();
	test_malloc_trim();
	test_mallinfo2();
	test_mallinfo2_huge();
	test_mallinfo();
	test_malloc_info();
	test_mallopt();
	return finish();
}
