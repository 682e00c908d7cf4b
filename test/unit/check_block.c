/*
 * Tests of block.h: a chain survives its journey as a message, whatever its length and wherever its blocks lie.
 */
#include "core.h"

#include "block.h"

#define PAGE_BYTES ((size_t)HZ3_CLASS_SLICES_MAX << HZ3_SLICE_SHIFT)

static char *area;

static void set_up(void)
{
	area = aligned_alloc(HZ3_SLICE, PAGE_BYTES);
	ck_assert_ptr_nonnull(area);
}

static void tear_down(void)
{
	free(area);
}

START_TEST(positions)
{
	for (uint32_t granule = 0; granule < PAGE_BYTES / HZ3_GRANULE; granule++) {
		struct hz3_block *block = hz3_block_at(area, granule);

		ck_assert_ptr_eq(block, area + granule * HZ3_GRANULE);
		ck_assert_uint_eq(hz3_block_granule(area, block), granule);
		ck_assert_uint_le(granule, 0xffff);
	}
}
END_TEST

/* A chain of count distinct blocks of the class, in random order. */
static struct hz3_chain random_chain(unsigned class, uint32_t count, struct hz3_block **blocks, unsigned long *seed)
{
	uint32_t capacity = hz3_class_info[class].capacity;
	static uint16_t order[65536];

	for (uint32_t i = 0; i < capacity; i++)
		order[i] = (uint16_t)i;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t j = i + (uint32_t)core_pick(seed, capacity - i);
		uint16_t swap = order[i];

		order[i] = order[j];
		order[j] = swap;
		blocks[i] = (struct hz3_block *)(void *)(area + order[i] * hz3_class_size(class));
		if (i > 0)
			hz3_block_link(blocks[i - 1], blocks[i]);
	}
	hz3_block_link(blocks[count - 1], NULL);
	return (struct hz3_chain){ blocks[0], blocks[count - 1], count };
}

static void travels(unsigned class, uint32_t count, unsigned long *seed)
{
	static struct hz3_block *blocks[65536];
	struct hz3_chain sent = random_chain(class, count, blocks, seed);
	struct hz3_message *message = hz3_message_from_chain(area, sent);

	ck_assert_ptr_eq(message, sent.first);
	ck_assert_ptr_null(message->next);
	/* Whatever list the message travels in does not touch the chain. */
	hz3_message_link(message, (struct hz3_message *)(void *)area);
	struct hz3_chain got = hz3_message_to_chain(area, message);
	ck_assert_ptr_eq(got.first, sent.first);
	ck_assert_ptr_eq(got.last, sent.last);
	ck_assert_uint_eq(got.count, count);
	struct hz3_block *block = got.first;
	for (uint32_t i = 0; i < count; i++, block = hz3_block_next(block))
		ck_assert_ptr_eq(block, blocks[i]);
	ck_assert_ptr_null(block);
}

START_TEST(chains_travel)
{
	unsigned class = (unsigned)_i;
	uint32_t capacity = hz3_class_info[class].capacity;
	unsigned long seed = core_seed(7 + class);

	for (uint32_t count = 1; count <= capacity && count <= 3; count++)
		travels(class, count, &seed);
	for (int i = 0; i < 5; i++)
		travels(class, 1 + (uint32_t)core_pick(&seed, capacity), &seed);
	travels(class, capacity, &seed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("block");
	TCase *tc = tcase_create("message");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, positions);
	tcase_add_loop_test(tc, chains_travel, 0, HZ3_CLASSES);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
