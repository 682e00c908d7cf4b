/* What a build with --enable-safety-checks writes beside the words that hz3 keeps in free memory, and at the ends of blocks. */
#include "seal.h"

#include <string.h>

/* Neither a character of text nor the first byte of a pointer or a small number. */
#define FREE_BYTE 0xdf
#define CANARY 0xc7

/* So much of what lies behind a block is looked at; the rest is never touched. */
#define CANARIES_MAX 4096u

/* The last word of a block: canary 8 | slack 40 | check 16. */
#define SLACK_SHIFT 8
#define SLACK_MASK (((uint64_t)1 << 40) - 1)
#define CHECK_SHIFT 48

uint64_t hz3_seal_secret;

static bool all_are(const unsigned char *p, size_t n, unsigned char byte)
{
	return n == 0 || (p[0] == byte && memcmp(p, p + 1, n - 1) == 0);
}

void hz3_seal_fill(void *block, size_t bytes)
{
	memset((char *)block + HZ3_SEALED, FREE_BYTE, bytes - HZ3_SEALED);
}

bool hz3_seal_is_filled(const void *block, size_t bytes)
{
	return all_are((const unsigned char *)block + HZ3_SEALED, bytes - HZ3_SEALED, FREE_BYTE);
}

static uint64_t tail_word(const uint64_t *tail, uint64_t slack)
{
	return CANARY | slack << SLACK_SHIFT | hz3_seal_of(tail, slack) >> CHECK_SHIFT << CHECK_SHIFT;
}

void hz3_seal_end(void *block, size_t bytes, size_t size)
{
	size_t slack = bytes - HZ3_SEAL_TAIL - size;
	uint64_t *tail = (uint64_t *)(void *)((char *)block + bytes) - 1;

	memset((char *)block + size, CANARY, hz3_min(slack, CANARIES_MAX));
	*tail = tail_word(tail, slack);
}

enum hz3_seal_state hz3_seal_look(const void *block, size_t bytes, size_t *size)
{
	const uint64_t *tail = (const uint64_t *)(const void *)((const char *)block + bytes) - 1;
	uint64_t slack = *tail >> SLACK_SHIFT & SLACK_MASK;

	if (*tail != tail_word(tail, slack) || slack > bytes - HZ3_SEAL_TAIL)
		return HZ3_SEAL_LOST;
	*size = bytes - HZ3_SEAL_TAIL - slack;
	if (!all_are((const unsigned char *)block + *size, hz3_min(slack, CANARIES_MAX), CANARY))
		return HZ3_SEAL_OVERRUN;
	return HZ3_SEAL_WHOLE;
}
