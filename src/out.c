/* A buffered writer without stdio: text, numbers for people, JSON. */
#include "out.h"

#include <string.h>

/* ---- output ---- */

#define PIECE_BYTES 480

void hz3_out_begin(struct hz3_out *o, hz3_out_write *write, void *arg)
{
	o->write = write;
	o->arg = arg;
	o->used = 0;
	o->depth = 0;
	o->first = true;
	o->text[0] = '\0';
}

void hz3_out_flush(struct hz3_out *o)
{
	if (o->used > 0)
		o->write(o->arg, o->text);
	o->used = 0;
	o->text[0] = '\0';
}

void hz3_out_char(struct hz3_out *o, char c)
{
	if (o->used + 1 == HZ3_OUT_BYTES)
		hz3_out_flush(o);
	o->text[o->used++] = c;
	o->text[o->used] = '\0';
}

void hz3_out_text(struct hz3_out *o, const char *text)
{
	while (*text != '\0')
		hz3_out_char(o, *text++);
}

void hz3_out_put(struct hz3_out *o, const char *fmt, ...)
{
	char piece[PIECE_BYTES];
	va_list args;

	va_start(args, fmt);
	hz3_format_list(piece, sizeof(piece), fmt, args);
	va_end(args);
	hz3_out_text(o, piece);
}

void hz3_out_spaces(struct hz3_out *o, size_t n)
{
	while (n-- > 0)
		hz3_out_char(o, ' ');
}

void hz3_out_left(struct hz3_out *o, const char *text, size_t width)
{
	size_t length = strlen(text);

	hz3_out_text(o, text);
	hz3_out_spaces(o, length < width ? width - length : 0);
}

void hz3_out_right(struct hz3_out *o, const char *text, size_t width)
{
	size_t length = strlen(text);

	hz3_out_spaces(o, length < width ? width - length : 0);
	hz3_out_text(o, text);
}

/* ---- numbers as text ---- */

struct hz3_number hz3_number_count(uint64_t n)
{
	char digits[24];
	size_t length = hz3_format(digits, sizeof(digits), "%lu", (unsigned long)n);
	struct hz3_number out;
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			out.text[used++] = ',';
		out.text[used++] = digits[i];
	}
	out.text[used] = '\0';
	return out;
}

struct hz3_number hz3_number_ratio(uint64_t n, uint64_t d, unsigned decimals)
{
	struct hz3_number out = {"-"};
	uint64_t rest, unit = 1;
	char *s = out.text;

	if (d == 0)
		return out;
	for (unsigned i = 0; i < decimals; i++)
		unit *= 10;
	/* The fraction by long division in 128 bits: n and d are any numbers. */
	rest = (uint64_t)(((unsigned __int128)(n % d) * unit + d / 2) / d);
	s += hz3_format(s, sizeof(out.text), "%lu", (unsigned long)(n / d + rest / unit));
	if (decimals > 0)
		*s++ = '.';
	for (uint64_t digit = unit / 10; digit > 0; digit /= 10)
		*s++ = (char)('0' + rest / digit % 10);
	*s = '\0';
	return out;
}

struct hz3_number hz3_number_size(uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	struct hz3_number out;
	uint64_t unit = 1024;
	size_t i = 0;

	if (bytes < 1024) {
		hz3_format(out.text, sizeof(out.text), "%lu B", (unsigned long)bytes);
		return out;
	}
	while (i < 3 && bytes / 1024 >= unit) {
		unit *= 1024;
		i++;
	}
	out = hz3_number_ratio(bytes, unit, 1);
	hz3_format(out.text + strlen(out.text), 8, " %s", units[i]);
	return out;
}

/* ---- JSON ---- */

void hz3_json_line(struct hz3_out *o, const char *key)
{
	hz3_out_text(o, o->first ? "\n" : ",\n");
	o->first = false;
	hz3_out_spaces(o, 2 * (size_t)o->depth);
	if (key != NULL)
		hz3_out_put(o, "\"%s\": ", key);
}

void hz3_json_open(struct hz3_out *o, const char *key, char bracket)
{
	hz3_json_line(o, key);
	hz3_out_char(o, bracket);
	o->depth++;
	o->first = true;
}

void hz3_json_close(struct hz3_out *o, char bracket)
{
	o->depth--;
	hz3_out_char(o, '\n');
	hz3_out_spaces(o, 2 * (size_t)o->depth);
	hz3_out_char(o, bracket);
	o->first = false;
}

void hz3_json_count(struct hz3_out *o, const char *key, uint64_t value)
{
	hz3_json_line(o, key);
	hz3_out_put(o, "%lu", (unsigned long)value);
}

void hz3_json_bool(struct hz3_out *o, const char *key, bool value)
{
	hz3_json_line(o, key);
	hz3_out_text(o, value ? "true" : "false");
}

void hz3_json_ratio(struct hz3_out *o, const char *key, uint64_t n, uint64_t d)
{
	hz3_json_line(o, key);
	hz3_out_text(o, d == 0 ? "0" : hz3_number_ratio(n, d, 6).text);
}

/* Any byte may come; what is not ASCII is left as it is, UTF-8 where people are careful. */
void hz3_json_escape(struct hz3_out *o, const char *text)
{
	static const char hex[] = "0123456789abcdef";

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c == 0x7f) {
			hz3_out_text(o, "\\u00");
			hz3_out_char(o, hex[c >> 4]);
			hz3_out_char(o, hex[c & 15]);
			continue;
		}
		if (c == '"' || c == '\\')
			hz3_out_char(o, '\\');
		hz3_out_char(o, (char)c);
	}
}

void hz3_json_string(struct hz3_out *o, const char *key, const char *text)
{
	hz3_json_line(o, key);
	hz3_out_char(o, '"');
	hz3_json_escape(o, text);
	hz3_out_char(o, '"');
}
