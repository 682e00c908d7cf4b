/* The sequence lock of the snapshot for hz3top: no copy mixes two writes, and none is older than what was seen before. */
#include "seqlock.h"

#define WORDS 2

static _Atomic uint64_t number, words[WORDS];
static uint64_t last[IL_THREADS];

static void set_up(void)
{
	hz3_atomic_store(&number, 0, relaxed);
	for (unsigned i = 0; i < WORDS; i++)
		hz3_atomic_store(&words[i], 0, relaxed);
	for (unsigned i = 0; i < IL_THREADS; i++)
		last[i] = 0;
}

static void write_of(uint64_t n)
{
	uint64_t from[WORDS];

	for (unsigned i = 0; i < WORDS; i++)
		from[i] = 10 * n + i;
	hz3_seqlock_write(&number, words, from, WORDS);
}

static void writer_once(void)
{
	write_of(1);
}

static void writer_twice(void)
{
	write_of(1);
	write_of(2);
}

static void read_one(void)
{
	uint64_t copy[WORDS];

	if (!hz3_seqlock_read(&number, words, copy, WORDS))
		return;
	il_check(copy[0] == 10 || copy[0] == 20, "a copy of what was never written whole: %lu", (unsigned long)copy[0]);
	for (unsigned i = 1; i < WORDS; i++)
		il_check(copy[i] == copy[0] + i, "a copy mixes two writes: %lu, %lu", (unsigned long)copy[0], (unsigned long)copy[i]);
	il_check(copy[0] >= last[il_thread()], "a copy is older than the one before");
	last[il_thread()] = copy[0];
}

static void reader(void)
{
	read_one();
}

static void reader_twice(void)
{
	read_one();
	read_one();
}

static void finish(void)
{
	uint64_t copy[WORDS];

	il_check(hz3_seqlock_read(&number, words, copy, WORDS), "at rest it can't be read");
}

static const struct il_program programs[] = {
	{ "snapshot_once", set_up, { writer_once, reader_twice }, finish, false },
	{ "snapshot_renewed", set_up, { writer_twice, reader }, finish, false },
	{ "snapshot_readers", set_up, { writer_once, reader, reader }, finish, false },
	{ "snapshot_long", set_up, { writer_twice, reader_twice }, finish, true },
};

int main(int argc, char **argv)
{
	return il_main(argc, argv, programs, sizeof(programs) / sizeof(programs[0]));
}
