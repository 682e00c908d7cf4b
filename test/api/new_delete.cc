/* operator new and delete in all their forms: alignment, exhaustion, the new-handler, nothrow. */
#include "api_test.h"

#include <malloc.h>
#include <new>
#include <sys/resource.h>
#include <vector>

/* Some compilers do not declare these by themselves. */
void operator delete(void *p, size_t size) noexcept;
void operator delete[](void *p, size_t size) noexcept;
void operator delete(void *p, size_t size, std::align_val_t alignment) noexcept;
void operator delete[](void *p, size_t size, std::align_val_t alignment) noexcept;

/* Nothing has so much memory, and no compiler warns of it. */
static size_t too_much()
{
	return opaque_size(static_cast<size_t>(PTRDIFF_MAX) / 2);
}

static bool aligned(const void *p, size_t alignment)
{
	return reinterpret_cast<uintptr_t>(p) % alignment == 0;
}

static void use(void *p, size_t size, size_t alignment)
{
	CHECK(p != nullptr, "%zu bytes aligned to %zu", size, alignment);
	if (p == nullptr)
		return;
	CHECK(aligned(p, alignment), "%zu bytes aligned to %zu are at %p", size, alignment, p);
	CHECK(malloc_usable_size(p) >= size, "%zu bytes have %zu", size, malloc_usable_size(p));
	memset(opaque(p), 0x5a, size);
}

/* Each form of new with each form of delete that may end its life. */
static void test_plain_forms()
{
	for (size_t size = 0; size < 200000; size = size * 2 + 1) {
		void *p = ::operator new(size);
		use(p, size, 16);
		::operator delete(p);
		p = ::operator new(size);
		use(p, size, 16);
		::operator delete(p, size);
		p = ::operator new(size, std::nothrow);
		use(p, size, 16);
		::operator delete(p, std::nothrow);
		p = ::operator new[](size);
		use(p, size, 16);
		::operator delete[](p);
		p = ::operator new[](size);
		use(p, size, 16);
		::operator delete[](p, size);
		p = ::operator new[](size, std::nothrow);
		use(p, size, 16);
		::operator delete[](p, std::nothrow);
	}
	::operator delete(nullptr);
	::operator delete[](nullptr);
	::operator delete(nullptr, size_t{8});
	::operator delete[](nullptr, size_t{8});
}

static void test_aligned_forms()
{
	for (size_t alignment = 1; alignment <= 1 << 20; alignment *= 2) {
		const std::align_val_t a{alignment};

		for (size_t size = 0; size < 100000; size = size * 3 + 1) {
			void *p = ::operator new(size, a);
			use(p, size, alignment);
			::operator delete(p, a);
			p = ::operator new(size, a);
			use(p, size, alignment);
			::operator delete(p, size, a);
			p = ::operator new(size, a, std::nothrow);
			use(p, size, alignment);
			::operator delete(p, a, std::nothrow);
			p = ::operator new[](size, a);
			use(p, size, alignment);
			::operator delete[](p, a);
			p = ::operator new[](size, a);
			use(p, size, alignment);
			::operator delete[](p, size, a);
			p = ::operator new[](size, a, std::nothrow);
			use(p, size, alignment);
			::operator delete[](p, a, std::nothrow);
		}
	}
	::operator delete(nullptr, std::align_val_t{64});
	::operator delete[](nullptr, size_t{8}, std::align_val_t{64});
}

template <typename Call>
static void expect_bad_alloc(const char *what, Call call)
{
	bool caught = false;

	try {
		void *p = call();
		CHECK(p == nullptr && false, "%s gave %p", what, p);
	} catch (const std::bad_alloc &) {
		caught = true;
	}
	CHECK(caught, "%s threw no std::bad_alloc", what);
}

static const std::align_val_t page{4096};

static void test_bad_alloc()
{
	expect_bad_alloc("new", [] { return ::operator new(too_much()); });
	expect_bad_alloc("new[]", [] { return ::operator new[](too_much()); });
	expect_bad_alloc("aligned new", [] { return ::operator new(too_much(), page); });
	expect_bad_alloc("aligned new[]", [] { return ::operator new[](too_much(), page); });
	expect_bad_alloc("new of SIZE_MAX", [] { return ::operator new(opaque_size(SIZE_MAX)); });
	/* libstdc++'s own rounds this up to 0. */
	if (on_hz3())
		expect_bad_alloc("aligned new of SIZE_MAX", [] { return ::operator new(opaque_size(SIZE_MAX), page); });
	expect_bad_alloc("an array that overflows", [] {
		return static_cast<void *>(new long double[opaque_size(SIZE_MAX / 8)]);
	});
	expect_bad_alloc("an alignment of 24",
			 [] { return ::operator new(size_t{8}, std::align_val_t{opaque_size(24)}); });
	CHECK(::operator new(too_much(), std::nothrow) == nullptr, "nothrow new");
	CHECK(::operator new[](too_much(), std::nothrow) == nullptr, "nothrow new[]");
	CHECK(::operator new(too_much(), page, std::nothrow) == nullptr, "aligned nothrow new");
	CHECK(::operator new[](too_much(), page, std::nothrow) == nullptr, "aligned nothrow new[]");
	CHECK(::operator new(opaque_size(SIZE_MAX), std::nothrow) == nullptr, "nothrow new of SIZE_MAX");
}

/* An exception from the depth must leave the program in order: destructors in between run. */
struct Counted {
	static int alive;
	Counted() { alive++; }
	~Counted() { alive--; }
};
int Counted::alive;

static void *deep(int depth)
{
	Counted counted;

	return depth == 0 ? ::operator new(too_much()) : deep(depth - 1);
}

static void test_unwinding()
{
	expect_bad_alloc("deep new", [] { return deep(20); });
	CHECK(Counted::alive == 0, "%d objects were not destroyed", Counted::alive);
}

/* ---- the new-handler ---- */

static int calls;

static void gives_up_after_three()
{
	if (++calls == 3)
		std::set_new_handler(nullptr);
}

static void throws_bad_alloc()
{
	calls++;
	throw std::bad_alloc();
}

struct Mine {
	int value;
};

static void throws_mine()
{
	calls++;
	throw Mine{42};
}

template <typename Call>
static void expect_three_calls(const char *what, Call call)
{
	calls = 0;
	std::set_new_handler(gives_up_after_three);
	expect_bad_alloc(what, call);
	CHECK(calls == 3, "%s called the handler %d times", what, calls);
}

template <typename Call>
static void expect_null(const char *what, std::new_handler handler, int expected_calls, Call call)
{
	void *p = &calls;

	calls = 0;
	std::set_new_handler(handler);
	try {
		p = call();
	} catch (...) {
		CHECK(false, "%s threw", what);
	}
	CHECK(p == nullptr, "%s gave %p", what, p);
	CHECK(calls == expected_calls, "%s called the handler %d times", what, calls);
	std::set_new_handler(nullptr);
}

static void test_handler_is_called()
{
	expect_three_calls("new", [] { return ::operator new(too_much()); });
	expect_three_calls("new[]", [] { return ::operator new[](too_much()); });
	expect_three_calls("aligned new", [] { return ::operator new(too_much(), page); });
	expect_three_calls("aligned new[]", [] { return ::operator new[](too_much(), page); });
	expect_null("nothrow new", gives_up_after_three, 3, [] { return ::operator new(too_much(), std::nothrow); });
	expect_null("nothrow new[]", gives_up_after_three, 3,
		    [] { return ::operator new[](too_much(), std::nothrow); });
	expect_null("aligned nothrow new", gives_up_after_three, 3,
		    [] { return ::operator new(too_much(), page, std::nothrow); });
	expect_null("aligned nothrow new[]", gives_up_after_three, 3,
		    [] { return ::operator new[](too_much(), page, std::nothrow); });
}

/* "I cannot help" may be said by throwing; new passes it on, nothrow new returns null. */
static void test_handler_that_throws()
{
	std::set_new_handler(throws_bad_alloc);
	expect_bad_alloc("new", [] { return ::operator new(too_much()); });
	std::set_new_handler(throws_mine);
	try {
		void *p = ::operator new(too_much());
		CHECK(p == nullptr && false, "new gave %p", p);
	} catch (const Mine &mine) {
		CHECK(mine.value == 42, "%d", mine.value);
	}
	expect_null("nothrow new", throws_bad_alloc, 1, [] { return ::operator new(too_much(), std::nothrow); });
	expect_null("nothrow new[]", throws_bad_alloc, 1, [] { return ::operator new[](too_much(), std::nothrow); });
	expect_null("aligned nothrow new", throws_bad_alloc, 1,
		    [] { return ::operator new(too_much(), page, std::nothrow); });
	expect_null("aligned nothrow new[]", throws_bad_alloc, 1,
		    [] { return ::operator new[](too_much(), page, std::nothrow); });
}

/*
 * A handler that frees something lets the loop succeed.  What is short is address space: a reserve of it, which the
 * handler gives up.
 */
static std::vector<void *> reserve;

static void frees_the_reserve()
{
	calls++;
	if (reserve.empty()) {
		std::set_new_handler(nullptr);
		return;
	}
	for (void *p : reserve)
		free(p);
	reserve.clear();
}

static void test_handler_that_helps()
{
	const size_t chunk = size_t{100} << 20;
	rlimit before, limit;
	void *p = nullptr;

	getrlimit(RLIMIT_AS, &before);
	limit = before;
	limit.rlim_cur = size_t{4} << 30;
	if (setrlimit(RLIMIT_AS, &limit) != 0)
		return;
	reserve.reserve(1000);
	while ((p = malloc(chunk)) != nullptr && reserve.size() < 1000)
		reserve.push_back(p);
	CHECK(reserve.size() >= 2 && reserve.size() < 1000, "%zu chunks", reserve.size());
	calls = 0;
	std::set_new_handler(frees_the_reserve);
	try {
		p = ::operator new(2 * chunk - (2 << 20));
		memset(opaque(p), 1, 4096);
		::operator delete(p);
	} catch (const std::bad_alloc &) {
		CHECK(false, "the handler freed memory, and new threw");
	}
	CHECK(calls == 1, "%d calls of the handler", calls);
	std::set_new_handler(nullptr);
	setrlimit(RLIMIT_AS, &before);
}

/* What people really write. */
static void test_expressions()
{
	struct alignas(128) Wide {
		char text[300];
	};
	std::vector<Wide *> wide;

	for (int i = 0; i < 1000; i++) {
		wide.push_back(new Wide);
		CHECK(aligned(wide.back(), 128), "%p", static_cast<void *>(wide.back()));
		memset(static_cast<void *>(wide.back()), i, sizeof(Wide));
	}
	for (int i = 0; i < 1000; i++) {
		CHECK(wide[i]->text[299] == static_cast<char>(i), "object %d", i);
		delete wide[i];
	}
	Counted *many = new Counted[1000];
	CHECK(Counted::alive == 1000, "%d", Counted::alive);
	delete[] many;
	CHECK(Counted::alive == 0, "%d", Counted::alive);
	Wide *wides = new Wide[7];
	CHECK(aligned(wides, 128), "%p", static_cast<void *>(wides));
	delete[] wides;
}

int main()
{
	test_plain_forms();
	test_aligned_forms();
	test_expressions();
	test_bad_alloc();
	test_unwinding();
	test_handler_is_called();
	test_handler_that_throws();
	test_handler_that_helps();
	return finish();
}
