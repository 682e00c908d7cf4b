/* A stash (owner.h): lists of messages pushed with one CAS, taken with one exchange.  Messages are blocks (block.h). */
#include "owner.h"

#include <string.h>

#define BLOCKS 6

static struct {
	_Atomic(struct hz3_message *) stash;
	char page[BLOCKS * HZ3_GRANULE];
	uint64_t got[BLOCKS];
} all;

static struct hz3_block *block(unsigned i)
{
	return hz3_block_at(all.page, i);
}

static void set_up(void)
{
	memset(&all, 0, sizeof(all));
	il_share(&all, sizeof(all));
}

/* A chain of n blocks as a message. */
static struct hz3_message *message(unsigned first, unsigned n)
{
	struct hz3_chain chain = { block(first), block(first + n - 1), n };

	for (unsigned i = 0; i < n; i++)
		block(first + i)->next = i + 1 < n ? block(first + i + 1) : NULL;
	return hz3_message_from_chain(all.page, chain);
}

static void push_one(unsigned first, unsigned blocks)
{
	struct hz3_message *one = message(first, blocks);

	hz3_stash_push(&all.stash, one, one);
}

/* Two messages in a list, of a block each. */
static void push_two(unsigned first)
{
	struct hz3_message *one = message(first, 1), *two = message(first + 1, 1);

	one->next = two;
	hz3_stash_push(&all.stash, one, two);
}

static void take(void)
{
	struct hz3_message *next;
	unsigned messages = 0;

	for (struct hz3_message *m = hz3_stash_take(&all.stash); m; m = next) {
		next = m->next;
		il_check(++messages <= BLOCKS, "a list that does not end");
		struct hz3_chain chain = hz3_message_to_chain(all.page, m);
		struct hz3_block *at = chain.first;
		for (unsigned i = 0; i < chain.count; i++, at = at->next) {
			unsigned n = hz3_block_granule(all.page, at);
			il_check(n < BLOCKS, "a link leads astray");
			il_check(!all.got[n]++, "block %u came twice", n);
		}
	}
}

static void finish(void)
{
	take();
	for (unsigned i = 0; i < BLOCKS; i++)
		il_check(all.got[i] == 1, "block %u is lost", i);
}

static void pusher_0(void)
{
	push_two(0);
	push_one(2, 1);
}

static void pusher_1(void)
{
	push_one(3, 2);
	push_one(5, 1);
}

static void taker(void)
{
	take();
	take();
}

static void taker_once(void)
{
	take();
}

static void pusher_of_all(void)
{
	pusher_0();
	push_one(3, 2);
	push_one(5, 1);
}

static const struct il_program programs[] = {
	{ "two_push_one_takes", set_up, { pusher_0, pusher_1, taker }, finish, false },
	{ "one_pushes_two_take", set_up, { pusher_of_all, taker, taker_once }, finish, false },
};

int main(int argc, char **argv)
{
	return il_main(argc, argv, programs, sizeof(programs) / sizeof(programs[0]));
}
