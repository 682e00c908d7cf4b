/* What hz3top believes of what it finds. */
#include "top_read.h"

#include "seqlock.h"

#include <string.h>

/* A write takes microseconds, unless the writer is held up in it. */
#define TRIES 100

static bool is_terminated(const char *text, size_t bytes)
{
	return memchr(text, '\0', bytes) != NULL;
}

const char *top_check(const struct hz3_top_file *file, size_t bytes, uint32_t pid)
{
	if (bytes < sizeof(file->head))
		return "publishes a file that is too short";
	/* acquire: pairs with the release of the publisher, who has written the rest of the head before. */
	if (hz3_atomic_load(&file->head.magic, acquire) != HZ3_TOP_MAGIC)
		return "publishes a file that is not hz3's, or not complete yet";
	if (file->head.format != HZ3_TOP_FORMAT)
		return "publishes in a format of another version of hz3";
	if (file->head.file_bytes != sizeof(*file) || bytes < sizeof(*file) || file->head.period_ms == 0 ||
	    !is_terminated(file->head.version, sizeof(file->head.version)))
		return "publishes a file that is damaged";
	if (file->head.pid != pid)
		return "has nothing published of its own yet, only inherited";
	return NULL;
}

/* ---- Text ---- */

/* The bytes of a well-formed character of UTF-8 with no control character in it; 0: it is none. */
static size_t character_bytes(const unsigned char *s)
{
	static const unsigned smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t bytes = s[0] < 0x80 ? 1 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : 0;
	unsigned code = bytes > 1 ? s[0] & (0x7fu >> bytes) : s[0];

	for (size_t i = 1; i < bytes; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (bytes > 1 && (code < smallest[bytes] || code < 0xa0 || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff))
		return 0;
	return bytes == 1 && (code < ' ' || code == 0x7f) ? 0 : bytes;
}

void top_clean_text(char *text)
{
	while (*text != '\0') {
		size_t bytes = character_bytes((const unsigned char *)text);

		if (bytes == 0)
			*text = '?';
		text += bytes != 0 ? bytes : 1;
	}
}

static void clean_name(char *name)
{
	name[HZ3_TOP_NAME_BYTES - 1] = '\0';
	top_clean_text(name);
}

static void clean(struct hz3_top_snapshot *s)
{
	if (s->thread_rows > HZ3_TOP_THREADS)
		s->thread_rows = HZ3_TOP_THREADS;
	if (s->flow_rows > HZ3_TOP_FLOWS)
		s->flow_rows = HZ3_TOP_FLOWS;
	for (unsigned i = 0; i < s->thread_rows; i++)
		clean_name(s->thread[i].name);
	for (unsigned i = 0; i < s->flow_rows; i++) {
		clean_name(s->flow[i].owner);
		clean_name(s->flow[i].freer);
	}
}

bool top_copy(const struct hz3_top_file *file, struct hz3_top_snapshot *out)
{
	for (unsigned i = 0; i < TRIES; i++) {
		if (hz3_seqlock_read(&file->sequence, file->words, (uint64_t *)out, HZ3_TOP_WORDS)) {
			clean(out);
			return true;
		}
		hz3_cpu_relax();
	}
	return false;
}
