/*
 * A buffered writer for reports: text, numbers for people, JSON.
 *
 * Lives on the caller's stack; allocates nothing and uses no libc stream.  Text goes out through a function in pieces
 * of less than 1 KiB, each ending in a NUL.
 */
#ifndef HZ3_OUT_H
#define HZ3_OUT_H

#include "base.h"

typedef void hz3_out_write(void *arg, const char *text);

#define HZ3_OUT_BYTES 960

struct hz3_out {
	hz3_out_write *write;
	void *arg;
	size_t used;
	unsigned depth;		/* JSON: objects open */
	bool first;		/* JSON: nothing yet in the innermost */
	char text[HZ3_OUT_BYTES];
};

void hz3_out_begin(struct hz3_out *o, hz3_out_write *write, void *arg);
void hz3_out_flush(struct hz3_out *o);

void hz3_out_char(struct hz3_out *o, char c);
void hz3_out_text(struct hz3_out *o, const char *text);
void hz3_out_put(struct hz3_out *o, const char *fmt, ...) HZ3_PRINTF(2, 3);

/* In columns. */
void hz3_out_spaces(struct hz3_out *o, size_t n);
void hz3_out_left(struct hz3_out *o, const char *text, size_t width);
void hz3_out_right(struct hz3_out *o, const char *text, size_t width);

struct hz3_number {
	char text[40];
};

/* With a comma at every thousand. */
struct hz3_number hz3_number_count(uint64_t n);

/* n / d, rounded, to some decimals; "-" when there is nothing to divide by. */
struct hz3_number hz3_number_ratio(uint64_t n, uint64_t d, unsigned decimals);

/* Bytes in the largest unit that they fill. */
struct hz3_number hz3_number_size(uint64_t bytes);

/*
 * JSON, a "key": value to a line.  A key of NULL is for elements of arrays.  Ratios are 0 when there is nothing to divide by, so
 * that the key always holds a number.
 */
void hz3_json_line(struct hz3_out *o, const char *key);
void hz3_json_open(struct hz3_out *o, const char *key, char bracket);
void hz3_json_close(struct hz3_out *o, char bracket);
void hz3_json_count(struct hz3_out *o, const char *key, uint64_t value);
void hz3_json_bool(struct hz3_out *o, const char *key, bool value);
void hz3_json_ratio(struct hz3_out *o, const char *key, uint64_t n, uint64_t d);
void hz3_json_string(struct hz3_out *o, const char *key, const char *text);

/* The characters of a string, without quotes, escaped. */
void hz3_json_escape(struct hz3_out *o, const char *text);

#endif
