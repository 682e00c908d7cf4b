/*
 * Tests of base.h: the formatter, warnings and deaths, assertions, arithmetic.
 */
#include "unit.h"

#include "base.h"

#include <errno.h>
#include <limits.h>

static char text[4096];

#define CHECK_FORMAT(expected, ...)                                                                                  \
	do {                                                                                                         \
		char buf[200];                                                                                       \
		size_t length = hz3_format(buf, sizeof(buf), __VA_ARGS__);                                           \
		ck_assert_str_eq(buf, expected);                                                                     \
		ck_assert_uint_eq(length, strlen(expected));                                                         \
	} while (0)

START_TEST(formats_like_printf)
{
	char expected[200];

	CHECK_FORMAT("", "%s", "");
	CHECK_FORMAT("plain", "plain");
	CHECK_FORMAT("a b", "%s %s", "a", "b");
	CHECK_FORMAT("[x]", "[%c]", 'x');
	CHECK_FORMAT("100%", "%d%%", 100);
	CHECK_FORMAT("0 -1 2147483647 -2147483648", "%d %d %d %d", 0, -1, INT_MAX, INT_MIN);
	CHECK_FORMAT("4294967295 ffffffff", "%u %x", UINT_MAX, UINT_MAX);
	CHECK_FORMAT("18446744073709551615", "%lu", ULONG_MAX);
	CHECK_FORMAT("18446744073709551615", "%llu", ULLONG_MAX);
	CHECK_FORMAT("18446744073709551615", "%zu", SIZE_MAX);
	CHECK_FORMAT("-9223372036854775808", "%ld", LONG_MIN);
	CHECK_FORMAT("9223372036854775807", "%lld", LLONG_MAX);
	CHECK_FORMAT("deadbeef01", "%lx", 0xdeadbeef01ul);
	CHECK_FORMAT("0x0", "%p", (void *)0);
	snprintf(expected, sizeof(expected), "%p:%d", (void *)text, 7);
	CHECK_FORMAT(expected, "%p:%d", (void *)text, 7);
}
END_TEST

/* Arguments after what is wrong would be read as the wrong type: it must still not crash. */
START_TEST(formats_nonsense)
{
	const char *volatile null = NULL;
	const char *volatile unknown = "%q|%";
	char buf[32];

	hz3_format(buf, sizeof(buf), "%s", null);
	ck_assert_str_eq(buf, "(null)");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
	hz3_format(buf, sizeof(buf), unknown);
#pragma GCC diagnostic pop
	ck_assert_str_eq(buf, "%q|%");
}
END_TEST

START_TEST(formats_clipped)
{
	char buf[9];

	for (size_t cap = 0; cap <= 8; cap++) {
		memset(buf, '#', sizeof(buf));
		ck_assert_uint_eq(hz3_format(buf, cap, "%d%s", 123, "4567"), cap == 0 ? 0 : hz3_min(cap - 1, 7));
		ck_assert_int_eq(buf[cap], '#');
		if (cap > 0) {
			ck_assert_uint_eq(strlen(buf), hz3_min(cap - 1, 7));
			ck_assert_int_eq(strncmp(buf, "1234567", cap - 1), 0);
		}
	}
}
END_TEST

START_TEST(warns_in_one_line)
{
	struct unit_capture c = unit_capture_begin();
	int writes;

	errno = EXDEV;
	hz3_warn("%s at %zu", "two\nlines\033[m", (size_t)5);
	ck_assert_int_eq(errno, EXDEV);
	writes = unit_capture_end(c, text, sizeof(text));
	ck_assert_str_eq(text, "hz3: two?lines?[m at 5\n");
	ck_assert_int_eq(writes, 1);
}
END_TEST

START_TEST(warns_with_any_length)
{
	char name[2000];

	for (size_t length = 450; length < sizeof(name); length++) {
		struct unit_capture c = unit_capture_begin();

		memset(name, 'n', length);
		name[length] = '\0';
		hz3_warn("%s", name);
		ck_assert_int_eq(unit_capture_end(c, text, sizeof(text)), 1);
		ck_assert_uint_eq(strlen(text), hz3_min(length + 6, 511));
		ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
	}
}
END_TEST

/* A write that fails must not disturb anybody. */
START_TEST(warns_nobody)
{
	int saved = dup(STDERR_FILENO);

	close(STDERR_FILENO);
	errno = 0;
	hz3_warn("unheard");
	ck_assert_int_eq(errno, 0);
	dup2(saved, STDERR_FILENO);
}
END_TEST

static void die(void *arg)
{
	hz3_die("free(%p): %s", arg, "not ours");
}

static void check_fails(void *arg)
{
	hz3_check(arg == NULL, "arg is %d", *(int *)arg);
}

static void assert_fails(void *arg)
{
	hz3_assert(arg == NULL);
}

START_TEST(dies_with_one_line)
{
	ck_assert(unit_dies(die, (void *)0x1234, text, sizeof(text)));
	ck_assert_str_eq(text, "hz3: free(0x1234): not ours\n");
}
END_TEST

START_TEST(dies_by_signal)
{
	hz3_die("expected");
}
END_TEST

START_TEST(checks_always)
{
	int value = 42;

	ck_assert(unit_dies(check_fails, &value, text, sizeof(text)));
	ck_assert_str_eq(text, "hz3: arg is 42\n");
	ck_assert(!unit_dies(check_fails, NULL, text, sizeof(text)));
	ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(asserts_in_debug_builds)
{
	int value = 42;

	ck_assert_int_eq(unit_dies(assert_fails, &value, text, sizeof(text)), HZ3_DEBUG);
	if (HZ3_DEBUG) {
		ck_assert_ptr_nonnull(strstr(text, "check_base.c:"));
		ck_assert_ptr_nonnull(strstr(text, "assertion failed: arg == NULL\n"));
	}
	ck_assert(!unit_dies(assert_fails, NULL, text, sizeof(text)));
}
END_TEST

START_TEST(evaluates_once)
{
	int calls = 0;

	hz3_check(++calls == 1, "evaluated %d times", calls);
	hz3_assert(++calls > 0);
	ck_assert_int_eq(calls, HZ3_DEBUG ? 2 : 1);
}
END_TEST

START_TEST(arithmetic)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		size_t x = (size_t)1 << bit;

		ck_assert(hz3_is_pow2(x));
		ck_assert_uint_eq(hz3_log2(x), bit);
		ck_assert_uint_eq(hz3_log2(x | (x - 1)), bit);
		ck_assert_uint_eq(hz3_align_up(x, x), x);
		ck_assert_uint_eq(hz3_align_up(0, x), 0);
		ck_assert_uint_eq(hz3_align_down(x | (x - 1), x), x);
		if (bit >= 2)
			ck_assert(!hz3_is_pow2(x - 1) && !hz3_is_pow2(x + 1));
		if (bit < 63)
			ck_assert_uint_eq(hz3_align_up(x + 1, x), bit == 0 ? 2 : 2 * x);
	}
	ck_assert(!hz3_is_pow2(0));
	ck_assert_uint_eq(hz3_align_up(SIZE_MAX, 16), 0);
	ck_assert_uint_eq(hz3_min(1, 2), 1);
	ck_assert_uint_eq(hz3_min(2, 1), 1);
	ck_assert_uint_eq(hz3_max(1, SIZE_MAX), SIZE_MAX);
	ck_assert_uint_eq(hz3_max(SIZE_MAX, 1), SIZE_MAX);
	hz3_cpu_relax();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("base");
	TCase *tc = tcase_create("format");

	tcase_add_test(tc, formats_like_printf);
	tcase_add_test(tc, formats_nonsense);
	tcase_add_test(tc, formats_clipped);
	suite_add_tcase(suite, tc);

	tc = tcase_create("messages");
	tcase_add_test(tc, warns_in_one_line);
	tcase_add_test(tc, warns_with_any_length);
	tcase_add_test(tc, warns_nobody);
	tcase_add_test(tc, dies_with_one_line);
	tcase_add_test_raise_signal(tc, dies_by_signal, SIGABRT);
	tcase_add_test(tc, checks_always);
	tcase_add_test(tc, asserts_in_debug_builds);
	tcase_add_test(tc, evaluates_once);
	suite_add_tcase(suite, tc);

	tc = tcase_create("arithmetic");
	tcase_add_test(tc, arithmetic);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
