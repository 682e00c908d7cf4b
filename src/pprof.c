/* The heap profile in the format of pprof. */
#include "pprof.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "backtrace.h"
#include "options.h"
#include "os_clock.h"
#include "os_file.h"
#include "os_memory.h"
#include "os_output.h"
#include "profile.h"

/* ---- protocol buffers ---- */

/* Fields of the messages. */
enum { PROFILE_SAMPLE_TYPE = 1, PROFILE_SAMPLE, PROFILE_MAPPING, PROFILE_LOCATION, PROFILE_STRING = 6, PROFILE_TIME_NANOS = 9,
       PROFILE_DURATION_NANOS, PROFILE_PERIOD_TYPE, PROFILE_PERIOD, PROFILE_COMMENT, PROFILE_DEFAULT_SAMPLE_TYPE };
enum { VALUE_TYPE = 1, VALUE_UNIT };
enum { SAMPLE_LOCATION = 1, SAMPLE_VALUE, SAMPLE_LABEL };
enum { LABEL_KEY = 1, LABEL_STR };
enum { MAPPING_ID = 1, MAPPING_START, MAPPING_LIMIT, MAPPING_OFFSET, MAPPING_FILENAME };
enum { LOCATION_ID = 1, LOCATION_MAPPING, LOCATION_ADDRESS };

static bool reserve(struct hz3_pprof_buffer *b, size_t more)
{
	if (b->used + more <= b->capacity)
		return true;
	size_t capacity = hz3_max(b->capacity * 2, (size_t)1 << 20);
	char *bytes = b->failed ? NULL : hz3_os_map(capacity, hz3_os_page_size);
	if (bytes == NULL) {
		b->failed = true;
		return false;
	}
	if (b->bytes) {
		memcpy(bytes, b->bytes, b->used);
		hz3_os_unmap(b->bytes, b->capacity);
	}
	b->bytes = bytes;
	b->capacity = capacity;
	return true;
}

void hz3_pprof_free(struct hz3_pprof_buffer *b)
{
	if (b->bytes)
		hz3_os_unmap(b->bytes, b->capacity);
}

/* n is always small: see reserve(). */
static void put_bytes(struct hz3_pprof_buffer *b, const void *data, size_t n)
{
	if (!reserve(b, n))
		return;
	memcpy(b->bytes + b->used, data, n);
	b->used += n;
}

static void put_varint(struct hz3_pprof_buffer *b, uint64_t value)
{
	unsigned char text[10];
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		text[n++] = (unsigned char)(value | 0x80);
	text[n++] = (unsigned char)value;
	put_bytes(b, text, n);
}

static void put_number(struct hz3_pprof_buffer *b, unsigned field, uint64_t value)
{
	put_varint(b, field << 3);
	put_varint(b, value);
}

static void put_block(struct hz3_pprof_buffer *b, unsigned field, const void *data, size_t n)
{
	put_varint(b, field << 3 | 2);
	put_varint(b, n);
	put_bytes(b, data, n);
}

/* A message within another: what is put between the two calls; its length, of fixed size, is filled in at the end. */
#define LENGTH_BYTES 4

static size_t begin_message(struct hz3_pprof_buffer *b, unsigned field)
{
	static const char room[LENGTH_BYTES];

	put_varint(b, field << 3 | 2);
	put_bytes(b, room, sizeof(room));
	return b->used;
}

static void end_message(struct hz3_pprof_buffer *b, size_t start)
{
	size_t n = b->used - start;

	if (b->failed)
		return;
	for (size_t i = 0; i < LENGTH_BYTES; i++, n >>= 7)
		b->bytes[start - LENGTH_BYTES + i] = (char)((n & 0x7f) | (i < LENGTH_BYTES - 1 ? 0x80 : 0));
}

/* ---- strings: the fixed ones, then the names of threads, then of files ---- */

enum string { EMPTY, ALLOC_OBJECTS, ALLOC_SPACE, INUSE_OBJECTS, INUSE_SPACE, COUNT, BYTES, SPACE, THREAD, FREED_BY, FREED_REMOTELY, YES, NO,
	      STRINGS };
static const char *const strings[STRINGS] = { "", "alloc_objects", "alloc_space", "inuse_objects", "inuse_space", "count", "bytes", "space",
					      "thread", "freed by", "freed remotely", "yes", "no" };

static uint64_t string_of_name(uint32_t name)
{
	return STRINGS + name - 1;
}

static void put_string(struct hz3_pprof_buffer *b, const char *text)
{
	put_block(b, PROFILE_STRING, text, strlen(text));
}

static void put_strings(struct hz3_pprof_buffer *b)
{
	for (unsigned i = 0; i < STRINGS; i++)
		put_string(b, strings[i]);
	for (uint32_t n = 1; n < hz3_profile_names(); n++)
		put_string(b, hz3_profile_name(n));
}

/* ---- mappings of code ---- */

#define MAPPINGS_MAX 1024

struct mapping {
	uintptr_t start, end;
};

struct mappings {
	struct mapping at[MAPPINGS_MAX];
	unsigned count;
	uint64_t next_string;
};

static const char *read_hex(const char *s, uint64_t *value)
{
	for (*value = 0;; s++) {
		unsigned digit = (unsigned char)*s - '0';
		if (digit > 9)
			digit = (unsigned)(*s - 'a') + 10;
		if (digit > 15)
			return s;
		*value = *value << 4 | digit;
	}
}

/* "start-end r-xp offset device inode   path" */
static void put_mapping(struct hz3_pprof_buffer *b, struct mappings *m, const char *line)
{
	uint64_t start, end, offset;
	const char *s = read_hex(line, &start);

	if (*s != '-')
		return;
	s = read_hex(s + 1, &end);
	const char *path = strchr(s, '/');
	if (strlen(s) < 6 || s[3] != 'x' || path == NULL || m->count == MAPPINGS_MAX)
		return;
	read_hex(s + 6, &offset);
	m->at[m->count++] = (struct mapping){ start, end };
	size_t message = begin_message(b, PROFILE_MAPPING);
	put_number(b, MAPPING_ID, m->count);
	put_number(b, MAPPING_START, start);
	put_number(b, MAPPING_LIMIT, end);
	put_number(b, MAPPING_OFFSET, offset);
	put_number(b, MAPPING_FILENAME, m->next_string++);
	end_message(b, message);
	put_string(b, path);
}

void hz3_pprof_read_maps(struct hz3_pprof_buffer *maps)
{
	int fd = hz3_os_open_input("/proc/self/maps");
	ssize_t got;

	if (fd < 0)
		return;
	do {
		got = reserve(maps, 4096) ? hz3_os_read(fd, maps->bytes + maps->used, 4096) : -1;
		if (got > 0)
			maps->used += (size_t)got;
	} while (got > 0);
	hz3_os_close(fd);
}

static void put_mappings(struct hz3_pprof_buffer *b, struct mappings *m, const struct hz3_pprof_buffer *maps)
{
	char *line = maps->bytes, *last = line + maps->used;

	for (char *end; line < last && (end = memchr(line, '\n', (size_t)(last - line))) != NULL; line = end + 1) {
		*end = '\0';
		put_mapping(b, m, line);
	}
}

static unsigned mapping_of(const struct mappings *m, uintptr_t pc)
{
	for (unsigned i = 0; i < m->count; i++)
		if (pc - m->at[i].start < m->at[i].end - m->at[i].start)
			return i + 1;
	return 0;
}

/* ---- the profile ---- */

static void put_type(struct hz3_pprof_buffer *b, unsigned field, enum string type, enum string unit)
{
	size_t message = begin_message(b, field);

	put_number(b, VALUE_TYPE, type);
	put_number(b, VALUE_UNIT, unit);
	end_message(b, message);
}

/* A return address is behind its call; one less is in it. */
static void put_locations(struct hz3_pprof_buffer *b, const struct mappings *m)
{
	for (uint32_t n = 1; n < hz3_profile_pcs(); n++) {
		uintptr_t pc = hz3_profile_pc(n) - 1;
		unsigned mapping = mapping_of(m, pc);
		size_t message = begin_message(b, PROFILE_LOCATION);
		put_number(b, LOCATION_ID, n);
		if (mapping)
			put_number(b, LOCATION_MAPPING, mapping);
		put_number(b, LOCATION_ADDRESS, pc);
		end_message(b, message);
	}
}

static void put_label(struct hz3_pprof_buffer *b, enum string key, uint64_t string)
{
	size_t message = begin_message(b, SAMPLE_LABEL);

	put_number(b, LABEL_KEY, key);
	put_number(b, LABEL_STR, string);
	end_message(b, message);
}

static void put_row(struct hz3_pprof_buffer *b, const struct hz3_profile_row *row)
{
	const double values[] = { row->total_objects, row->total_bytes, row->live_objects, row->live_bytes };
	size_t depth;
	const uint32_t *pcs = hz3_profile_stack(row->stack, &depth);
	size_t message = begin_message(b, PROFILE_SAMPLE), list;

	list = begin_message(b, SAMPLE_LOCATION);
	for (size_t i = 0; i < depth; i++)
		put_varint(b, pcs[i]);
	end_message(b, list);
	list = begin_message(b, SAMPLE_VALUE);
	/* Sums of weights that were taken away again may end a hair below 0. */
	for (unsigned i = 0; i < 4; i++)
		put_varint(b, values[i] > 0 ? (uint64_t)(values[i] + 0.5) : 0);
	end_message(b, list);
	put_label(b, THREAD, string_of_name(row->thread));
	if (row->freer) {
		put_label(b, FREED_BY, string_of_name(row->freer));
		put_label(b, FREED_REMOTELY, row->remote ? YES : NO);
	}
	end_message(b, message);
}

void hz3_pprof_encode(struct hz3_pprof_buffer *b, const struct hz3_pprof_buffer *maps)
{
	static struct mappings mappings;	/* under the profile's lock: much for a small stack */
	char comment[160];

	mappings.count = 0;
	mappings.next_string = STRINGS + hz3_profile_names() - 1;
	put_type(b, PROFILE_SAMPLE_TYPE, ALLOC_OBJECTS, COUNT);
	put_type(b, PROFILE_SAMPLE_TYPE, ALLOC_SPACE, BYTES);
	put_type(b, PROFILE_SAMPLE_TYPE, INUSE_OBJECTS, COUNT);
	put_type(b, PROFILE_SAMPLE_TYPE, INUSE_SPACE, BYTES);
	put_strings(b);
	put_mappings(b, &mappings, maps);
	put_locations(b, &mappings);
	for (uint32_t n = 1; n < hz3_profile_rows(); n++)
		put_row(b, hz3_profile_row(n));
	put_number(b, PROFILE_TIME_NANOS, hz3_profile_start_ns());
	put_number(b, PROFILE_DURATION_NANOS, hz3_os_wall_ns() - hz3_profile_start_ns());
	put_type(b, PROFILE_PERIOD_TYPE, SPACE, BYTES);
	put_number(b, PROFILE_PERIOD, (uint64_t)1 << hz3_options.lg_prof_sample);
	hz3_format(comment, sizeof(comment), "hz3 %s; stacks by %s; samples lost for want of memory: %lu", PACKAGE_VERSION, hz3_backtrace_name(),
		   (unsigned long)hz3_profile_lost());
	put_number(b, PROFILE_COMMENT, mappings.next_string);
	put_string(b, comment);
	put_number(b, PROFILE_DEFAULT_SAMPLE_TYPE, INUSE_SPACE);
}

/* ---- gzip ---- */

/* The remainder of one more half byte; its table is made of the polynomial 0xedb88320. */
static uint32_t crc_step(uint32_t crc)
{
	for (unsigned i = 0; i < 4; i++)
		crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	return crc;
}

static uint32_t crc32(const char *bytes, size_t n)
{
	uint32_t table[16], crc = 0xffffffffu;

	for (uint32_t i = 0; i < 16; i++)
		table[i] = crc_step(i);
	for (size_t i = 0; i < n; i++) {
		crc ^= (unsigned char)bytes[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

static void little_endian(unsigned char *to, uint32_t value, unsigned n)
{
	for (unsigned i = 0; i < n; i++, value >>= 8)
		to[i] = (unsigned char)value;
}

static bool write_all(int fd, const void *data, size_t n)
{
	return hz3_os_write(fd, data, n) == (ssize_t)n;
}

/* Stored blocks: a bit for the last, two for the kind, padding, the length and its complement. */
static bool write_gzip(int fd, const char *bytes, size_t n)
{
	static const unsigned char header[10] = { 0x1f, 0x8b, 8, [9] = 3 };
	unsigned char head[5], trailer[8];
	size_t done = 0, part;

	if (!write_all(fd, header, sizeof(header)))
		return false;
	do {
		part = hz3_min(n - done, 65535);
		head[0] = done + part == n;
		little_endian(head + 1, (uint32_t)part, 2);
		little_endian(head + 3, ~(uint32_t)part, 2);
		if (!write_all(fd, head, sizeof(head)) || (part && !write_all(fd, bytes + done, part)))
			return false;
		done += part;
	} while (done < n);
	little_endian(trailer, crc32(bytes, n), 4);
	little_endian(trailer + 4, (uint32_t)n, 4);
	return write_all(fd, trailer, sizeof(trailer));
}

static int write_file(const struct hz3_pprof_buffer *b, const char *path)
{
	struct hz3_os_output output;

	if (b->failed)
		return ENOMEM;
	if (hz3_os_output_begin(&output, path) < 0)
		return errno;
	errno = 0;
	bool written = write_gzip(output.fd, b->bytes, b->used);
	return hz3_os_output_end(&output, written) ? 0 : errno ? errno : EIO;
}

int hz3_pprof_write(struct hz3_pprof_buffer *b, const char *path)
{
	int error = write_file(b, path);

	hz3_pprof_free(b);
	return error;
}
