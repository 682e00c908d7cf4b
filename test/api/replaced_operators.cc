/*
 * A program that replaces operator new(size_t) and operator delete(void *) alone, as the standard allows: all the other
 * forms must follow, since they are made of these two.  Its blocks are no malloc blocks, so a form that does not follow
 * dies or is caught by the count.
 */
#include "api_test.h"

#include <new>

/* Some compilers do not declare these by themselves. */
void operator delete(void *p, size_t size) noexcept;
void operator delete[](void *p, size_t size) noexcept;

#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wsized-deallocation"
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

static long live;

/* A header in front of the block: nobody else can free it. */
void *
operator new(size_t size)
{
	char *p = static_cast<char *>(malloc(size + 16));

	if (p == nullptr)
		throw std::bad_alloc();
	memcpy(p, "mine, not yours", 16);
	live++;
	return p + 16;
}

void
operator delete(void *p) noexcept
{
	char *start = static_cast<char *>(p) - 16;

	if (p == nullptr)
		return;
	CHECK(memcmp(start, "mine, not yours", 16) == 0, "%p did not come from this operator new", p);
	live--;
	free(start);
}

static void expect(const char *what, long expected)
{
	CHECK(live == expected, "after %s %ld are live, not %ld", what, live, expected);
}

int main()
{
	void *p = opaque(::operator new(100));

	expect("new", 1);
	::operator delete(p, size_t{100});
	expect("sized delete", 0);
	p = opaque(::operator new[](100));
	expect("new[]", 1);
	::operator delete[](p);
	expect("delete[]", 0);
	p = opaque(::operator new[](100));
	::operator delete[](p, size_t{100});
	expect("sized delete[]", 0);
	p = opaque(::operator new(100, std::nothrow));
	expect("nothrow new", 1);
	::operator delete(p, std::nothrow);
	expect("nothrow delete", 0);
	p = opaque(::operator new[](100, std::nothrow));
	expect("nothrow new[]", 1);
	::operator delete[](p, std::nothrow);
	expect("nothrow delete[]", 0);
	p = opaque(::operator new(opaque_size(PTRDIFF_MAX - 100), std::nothrow));
	CHECK(p == nullptr, "the bad_alloc of the replacement is caught");
	/* The aligned forms are a family of their own, and not replaced here. */
	p = opaque(::operator new(100, std::align_val_t{64}));
	::operator delete(p, std::align_val_t{64});
	expect("aligned new and delete", 0);
	return finish();
}
