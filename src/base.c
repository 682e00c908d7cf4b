/*
 * Messages: a small formatter, and lines on standard error that need no libc stream.
 *
 * Anybody may call this, with any lock held and in any state of the process: it uses the stack and one system call.
 */
#include "base.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A line is short; what a long path would make of it is clipped. */
#define LINE_BYTES 512

/* Text under construction; length counts only what fitted. */
struct text {
	char *buf;
	size_t cap;
	size_t length;
};

static void put_char(struct text *t, char c)
{
	if (t->length + 1 < t->cap)
		t->buf[t->length++] = c;
}

static void put_string(struct text *t, const char *s)
{
	if (s == NULL)
		s = "(null)";
	while (*s != '\0')
		put_char(t, *s++);
}

static void put_number(struct text *t, unsigned long long value, unsigned base)
{
	char digits[24];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	while (n > 0)
		put_char(t, digits[--n]);
}

static void put_signed(struct text *t, long long value)
{
	if (value < 0)
		put_char(t, '-');
	/* Negated as unsigned, so that the smallest value has no overflow. */
	put_number(t, value < 0 ? 0 - (unsigned long long)value : (unsigned long long)value, 10);
}

/* Consumes the length modifiers l, ll and z.  On LP64 all of them mean 64 bits. */
static const char *skip_length(const char *fmt, bool *wide)
{
	*wide = *fmt == 'l' || *fmt == 'z';
	while (*fmt == 'l' || *fmt == 'z')
		fmt++;
	return fmt;
}

size_t hz3_format_list(char *buf, size_t cap, const char *fmt, va_list args)
{
	struct text t = {.buf = buf, .cap = cap, .length = 0};

	for (; *fmt != '\0'; fmt++) {
		bool wide;

		if (*fmt != '%') {
			put_char(&t, *fmt);
			continue;
		}
		fmt = skip_length(fmt + 1, &wide);
		switch (*fmt) {
		case 's':
			put_string(&t, va_arg(args, const char *));
			break;
		case 'c':
			put_char(&t, (char)va_arg(args, int));
			break;
		case 'p':
			put_string(&t, "0x");
			put_number(&t, (uintptr_t)va_arg(args, void *), 16);
			break;
		case 'd':
			put_signed(&t, wide ? va_arg(args, long) : va_arg(args, int));
			break;
		case 'u':
		case 'x':
			put_number(&t, wide ? va_arg(args, unsigned long) : va_arg(args, unsigned), *fmt == 'u' ? 10 : 16);
			break;
		case '%':
			put_char(&t, '%');
			break;
		default:
			/* A mistake of ours: show it, and take no argument whose type is unknown. */
			put_char(&t, '%');
			if (*fmt == '\0')
				fmt--;
			else
				put_char(&t, *fmt);
		}
	}
	if (cap > 0)
		buf[t.length] = '\0';
	return t.length;
}

size_t hz3_format(char *buf, size_t cap, const char *fmt, ...)
{
	va_list args;
	size_t length;

	va_start(args, fmt);
	length = hz3_format_list(buf, cap, fmt, args);
	va_end(args);
	return length;
}

/* What came from outside (the environment, a file name) must not end the line or drive the terminal. */
static void replace_control_characters(char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
	}
}

static HZ3_PRINTF(2, 0) void write_line(int fd, const char *fmt, va_list args)
{
	char line[LINE_BYTES];
	size_t length = hz3_format(line, sizeof(line), "hz3: ");

	length += hz3_format_list(line + length, sizeof(line) - 1 - length, fmt, args);
	replace_control_characters(line);
	line[length++] = '\n';
	/* The bare system call: write() is a cancellation point, and free() must not be one.  Nowhere to report failure. */
	(void)syscall(SYS_write, fd, line, length);
}

void hz3_warn(const char *fmt, ...)
{
	int saved = errno;
	va_list args;

	va_start(args, fmt);
	write_line(STDERR_FILENO, fmt, args);
	va_end(args);
	errno = saved;
}

void hz3_warn_to(int fd, const char *fmt, ...)
{
	int saved = errno;
	va_list args;

	va_start(args, fmt);
	write_line(fd, fmt, args);
	va_end(args);
	errno = saved;
}

void hz3_die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	write_line(STDERR_FILENO, fmt, args);
	va_end(args);
	abort();
}
