/*
 * The parser of HZ3_CONF against one of its own: any text gives the same values, and a line for each item that is no good.
 *
 * The other parser is made from the manual, and shares nothing with src/options.c but the rows of options.def.
 */
#define STRESS_CORE
#include "fuzz.h"

#include "options.h"

#include <ctype.h>
#include <limits.h>

#define TEXT_MAX 2048u

/* ---- What should come of a text ---- */

struct expected {
	struct hz3_options options;
	unsigned bad;
};

/* Digits, all of them; more than fit make it too large for any row. */
static bool expect_digits(const char *text, size_t n, __int128 *value)
{
	*value = 0;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		if (*value < (__int128)1 << 100)
			*value = *value * 10 + (text[i] - '0');
	}
	return n > 0;
}

static bool expect_number(const struct hz3_option_row *row, const char *text, size_t n, __int128 *value)
{
	static const char units[] = "KMG";
	__int128 unit = 1;
	bool negative = false;

	if (row->type == HZ3_OPTION_INT && n > 0 && text[0] == '-') {
		negative = true;
		text++, n--;
	}
	if (row->type == HZ3_OPTION_SIZE && n > 0 && isalpha((unsigned char)text[n - 1])) {
		const char *at = strchr(units, toupper((unsigned char)text[n - 1]));
		if (at == NULL)
			return false;
		unit = (__int128)1 << (10 * (at - units + 1));
		n--;
	}
	if (!expect_digits(text, n, value) || *value >= (__int128)1 << 64)
		return false;
	*value = negative ? -*value : *value * unit;
	return *value >= row->min && *value <= row->max;
}

static bool expect_word(const char *const *words, unsigned count, const char *text, size_t n, __int128 *value)
{
	for (unsigned i = 0; i < count; i++) {
		if (strlen(words[i]) == n && memcmp(words[i], text, n) == 0) {
			*value = i;
			return true;
		}
	}
	return false;
}

static bool expect_value(const struct hz3_option_row *row, const char *text, size_t n, struct hz3_options *out)
{
	static const char *const flags[] = {"false", "true", "0", "1", "no", "yes", "off", "on"};
	static const char *const sinks[] = {"central", "page", "auto"};
	static const char *const thps[] = {"default", "always", "never"};
	static const char *const signals[] = {"none", "HUP", "QUIT", "USR1", "USR2", "ALRM", "PROF", "URG", "WINCH", "IO", "PWR"};
	static const int signal_numbers[] = {0,	      SIGHUP,  SIGQUIT,	 SIGUSR1, SIGUSR2, SIGALRM,
					     SIGPROF, SIGURG,  SIGWINCH, SIGIO,	  SIGPWR};
	char *p = (char *)out + row->offset;
	__int128 value = 0;

	switch (row->type) {
	case HZ3_OPTION_BOOL:
		if (!expect_word(flags, 8, text, n, &value))
			return false;
		*(bool *)p = value % 2;
		return true;
	case HZ3_OPTION_SINK:
		if (!expect_word(sinks, 3, text, n, &value))
			return false;
		*(int *)p = (int)value;
		return true;
	case HZ3_OPTION_THP:
		if (!expect_word(thps, 3, text, n, &value))
			return false;
		*(int *)p = (int)value;
		return true;
	case HZ3_OPTION_SIGNAL:
		if (n > 3 && memcmp(text, "SIG", 3) == 0)
			text += 3, n -= 3;
		if (!expect_word(signals, 11, text, n, &value))
			return false;
		*(int *)p = signal_numbers[value];
		return true;
	case HZ3_OPTION_PATH:
		if (n >= HZ3_OPTION_PATH_BYTES)
			return false;
		memcpy(p, text, n);
		p[n] = '\0';
		return true;
	case HZ3_OPTION_INT:
		if (!expect_number(row, text, n, &value))
			return false;
		*(int *)p = (int)value;
		return true;
	case HZ3_OPTION_SIZE:
		if (!expect_number(row, text, n, &value))
			return false;
		*(size_t *)p = (size_t)value;
		return true;
	}
	return false;
}

/* True: the item is good, or there is none. */
static bool expect_item(const char *text, size_t n, struct hz3_options *out)
{
	const struct hz3_option_row *row;
	const char *colon;

	while (n > 0 && text[0] == ' ')
		text++, n--;
	while (n > 0 && text[n - 1] == ' ')
		n--;
	if (n == 0)
		return true;
	colon = memchr(text, ':', n);
	if (colon == NULL || n >= 512)
		return false;
	for (size_t i = 0; (row = hz3_option_row(i)) != NULL; i++) {
		if (strlen(row->name) == (size_t)(colon - text) && memcmp(row->name, text, (size_t)(colon - text)) == 0)
			return expect_value(row, colon + 1, n - (size_t)(colon + 1 - text), out);
	}
	return false;
}

static void expect(const char *text, struct expected *e)
{
	e->bad = 0;
	for (;;) {
		size_t n = strcspn(text, ",");
		e->bad += !expect_item(text, n, &e->options);
		if (text[n] == '\0')
			return;
		text += n + 1;
	}
}

/* ---- What does ---- */

static char warnings[TEXT_MAX * 512];

/* Parses with standard error in a file of memory; the bytes that were written, as a text in warnings. */
static size_t parse(const char *text, int *bad)
{
	static int file = -1;

	if (file < 0) {
		fuzz_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
		file = memfd_create("warnings", MFD_CLOEXEC);
	}
	FUZZ_CHECK(fuzz_stderr >= 0 && file >= 0, "cannot redirect standard error");
	dup2(file, STDERR_FILENO);
	*bad = hz3_options_parse(text);
	dup2(fuzz_stderr, STDERR_FILENO);
	ssize_t n = pread(file, warnings, sizeof(warnings) - 1, 0);
	FUZZ_CHECK(n >= 0 && ftruncate(file, 0) == 0 && lseek(file, 0, SEEK_SET) == 0, "cannot read the warnings");
	warnings[n] = '\0';
	return (size_t)n;
}

/* Lines of at most 512 bytes that begin as all do, and cannot drive a terminal. */
static unsigned count_warnings(size_t n)
{
	unsigned lines = 0;

	for (char *line = warnings, *end; line < warnings + n; line = end + 1, lines++) {
		end = memchr(line, '\n', (size_t)(warnings + n - line));
		FUZZ_CHECK(end != NULL && end - line < 512, "a warning has no end: %.100s", line);
		FUZZ_CHECK(strncmp(line, "hz3: HZ3_CONF: ", 15) == 0, "a strange warning: %.*s", (int)(end - line), line);
		for (const char *s = line; s < end; s++)
			FUZZ_CHECK((unsigned char)*s >= ' ' && *s != 0x7f, "a warning has the character %d", *s);
	}
	return lines;
}

/* Each value as text is one that the parser takes, and stands for the same value. */
static void check_texts(void)
{
	struct hz3_options before = hz3_options;
	const struct hz3_option_row *row;
	int bad;

	for (size_t i = 0; (row = hz3_option_row(i)) != NULL; i++) {
		char value[HZ3_OPTION_PATH_BYTES], item[HZ3_OPTION_PATH_BYTES + 64];
		int n = hz3_option_get_text(row->name, value, sizeof(value));
		FUZZ_CHECK(n == (int)strlen(value), "%s has a text of length %d: %s", row->name, n, value);
		snprintf(item, sizeof(item), "%s:%s", row->name, value);
		/* The parser itself takes blanks off a path's end; a comma cannot be in it. */
		if (n > 0 && value[n - 1] == ' ')
			continue;
		size_t length = parse(item, &bad);
		FUZZ_CHECK(bad == 0 && length == 0, "what is said of an option is not taken: %s", item);
		FUZZ_CHECK(memcmp(&before, &hz3_options, sizeof(before)) == 0, "what is said of an option is not so: %s", item);
	}
}

static void run(const uint8_t *data, size_t bytes)
{
	struct expected e;
	char text[TEXT_MAX + 1];
	int bad;

	bytes = bytes < TEXT_MAX ? bytes : TEXT_MAX;
	memcpy(text, data, bytes);
	text[bytes] = '\0';
	hz3_options_reset();
	e.options = hz3_options;
	expect(text, &e);
	unsigned lines = count_warnings(parse(text, &bad));
	FUZZ_CHECK(bad == (int)e.bad, "%d items are no good; there should be %u, in \"%s\"", bad, e.bad, text);
	FUZZ_CHECK(lines == e.bad, "%u lines for %u items that are no good, in \"%s\"", lines, e.bad, text);
	for (size_t i = 0; i < hz3_option_count(); i++) {
		const struct hz3_option_row *row = hz3_option_row(i);
		size_t end = i + 1 < hz3_option_count() ? hz3_option_row(i + 1)->offset : sizeof(hz3_options);
		size_t n = row->type == HZ3_OPTION_PATH ? strlen((char *)&e.options + row->offset) + 1 : end - row->offset;
		/* What lies between two values is 0, in both. */
		FUZZ_CHECK(memcmp((char *)&hz3_options + row->offset, (char *)&e.options + row->offset, n) == 0,
			   "%s has another value than it should, after \"%s\"", row->name, text);
	}
	check_texts();
	hz3_options_reset();
}

/* ---- Texts ---- */

static const char *const pieces[] = {
	",", ",", ",", ":", ":", ":", " ", "  ", "-", "+", "0", "1", "00", "7", "64", "65", "1024", "4095", "4096", "65536",
	"999999", "1000000", "1000001", "3600000", "2147483647", "2147483648", "-2147483649", "4294967296",
	"9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
	"9007199254740992K", "8796093022208M", "8589934591G", "8589934592G", "K", "M", "G", "k", "m", "g", "T", "B", "KB",
	"true", "false", "yes", "no", "on", "off", "TRUE", "central", "page", "auto", "centra", "pages", "/tmp/x",
	"\n", "\t", "\x1b[2J", "\x7f", "\x80\xff", "%s%n", "=", ";", "\"", "'", "sink:page", "narenas", "frobnicate",
};

static const char *draw_piece(uint64_t *random)
{
	if (stress_below(random, 3) == 0)
		return hz3_option_row(stress_below(random, hz3_option_count()))->name;
	return pieces[stress_below(random, sizeof(pieces) / sizeof(pieces[0]))];
}

/* A good item as often as not; then any pieces, and now and then something long. */
static size_t make(uint64_t *random, uint8_t *data)
{
	char text[TEXT_MAX + 512] = "";
	unsigned n = (unsigned)stress_size(random, 60);
	size_t used = 0;

	while (n-- > 0 && used < TEXT_MAX - 300) {
		if (stress_below(random, 3) == 0)
			used += (size_t)sprintf(text + used, "%s:%s%s", draw_piece(random), draw_piece(random),
						stress_below(random, 2) == 0 ? "," : "");
		else if (stress_below(random, 60) == 0)
			used += (size_t)sprintf(text + used, "%0*d", (int)stress_below(random, 280), 0);
		else
			used += (size_t)sprintf(text + used, "%s", draw_piece(random));
	}
	used = used < TEXT_MAX ? used : TEXT_MAX;
	memcpy(data, text, used);
	for (unsigned flips = stress_below(random, 4) == 0 ? 3 : 0; flips > 0 && used > 0; flips--)
		data[stress_below(random, used)] = (uint8_t)stress_random(random);
	return used;
}

static const struct fuzz_target target = {
	.name = "options",
	.record = 1,
	.seconds = 2,
	.batch = 500,
	.make = make,
	.run = run,
};

FUZZ_MAIN(target)
