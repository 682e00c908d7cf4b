/* Whole-page handover: by a push that completes a page, by a buffer that holds all of it, by the scavenger; and the holding of pages. */
#include "mini_heap.h"

/* Page 1 is the owner's current page, or asleep; others hold all of its blocks.  Nobody has anything of page 2. */
static void set_up_current(void)
{
	mini_set_up(2, CURRENT);
}

static void set_up_asleep(void)
{
	mini_set_up(2, ASLEEP);
}

static void push_two_whole(void)
{
	take_claimed(send(PAGE, 1, 0, 2, CAPACITY));
}

static void push_one_whole(void)
{
	take_claimed(send(PAGE, 1, 2, 1, CAPACITY));
}

/* The one that takes the page makes it its own. */
static void push_and_use(void)
{
	if (send(PAGE, 1, 0, 2, CAPACITY)) {
		take_page(1);
		format(2, 1);
	}
}

static void owner_refills(void)
{
	if (refill(1, 1))
		refill(1, 1);
	else
		drain(1, ALL);
}

static void owner_drains(void)
{
	drain(1, ALL);
}

/* All of the page comes from one thread, in two chains; the owner calls for statistics. */
static void push_one_then_two(void)
{
	take_claimed(send(PAGE, 1, 2, 1, CAPACITY));
	push_and_use();
}

static void owner_refills_and_looks(void)
{
	refill(1, 1);
	look_at(1, 1);
}

/* A thread's buffer holds the whole page (remote_buffer.c). */
static void buffer_is_whole(void)
{
	if (hz3_remote_take_over(&all.page[1].remote)) {
		take_page(1);
		format(2, 1);
	} else {
		take_claimed(send(PAGE, 1, 0, CAPACITY, CAPACITY));
	}
}

/* A queue entry is left behind by a peel: the page must not be taken meanwhile. */
static void set_up_queued(void)
{
	mini_set_up(1, CURRENT);
}

static void push_then_peeled(void)
{
	send(PAGE, 1, 0, 1, 0);
}

static _Atomic uint32_t handed_on;	/* the owner gives the block that came back to another thread */

static void set_up_handed(void)
{
	set_up_queued();
	hz3_atomic_store(&handed_on, 0, relaxed);
}

static void owner_peels_and_sleeps(void)
{
	struct page *page = &all.page[1];
	struct hz3_remote_list list = hz3_remote_peel(&page->remote);

	if (list.count == 0)
		return;
	deliver(page, chain_of(page, list));
	page->where[0] = HELD;
	page->free = NULL;
	page->free_count = 0;
	page->state = ASLEEP;
	hz3_remote_set_asleep(&page->remote, true);
	hz3_atomic_store(&handed_on, 1, release);
	drain(1, ALL);
}

static void buffer_gets_all(void)
{
	if (!hz3_atomic_load(&handed_on, acquire))
		return;
	buffer_is_whole();
}

/*
 * Statistics look at page 1, which they take for the sleeping page of owner 1, while a thread takes it over, makes it its
 * own and hands two of its blocks to a third, which frees them.
 */
static void use_page(uint32_t slice)
{
	struct page *page = &all.page[slice];

	format(2, slice);
	page->where[0] = page->where[1] = HELD;
	page->free = hz3_block_at(page->blocks, 2);
	page->free->next = NULL;
	page->free_count = 1;
	hz3_atomic_store(&handed_on, 1, release);
}

static void take_and_use(void)
{
	if (!hz3_remote_take_over(&all.page[1].remote)) {
		take_claimed(send(PAGE, 1, 0, CAPACITY, CAPACITY));
		return;
	}
	take_page(1);
	use_page(1);
}

/* The same, but that it has used the page and given it back before. */
static void take_and_use_again(void)
{
	if (!hz3_remote_take_over(&all.page[1].remote)) {
		take_claimed(send(PAGE, 1, 0, CAPACITY, CAPACITY));
		return;
	}
	take_page(1);
	format(2, 1);
	page_emptied(&all.page[1]);
	if (all.page[1].state == EMPTY)
		use_page(1);
}

static void free_others(void)
{
	if (hz3_atomic_load(&handed_on, acquire))
		send(PAGE, 1, 0, 2, 0);
}

static void statistics(void)
{
	look_at(1, 1);
}

static void set_up_looked_at(void)
{
	set_up_asleep();
	hz3_atomic_store(&handed_on, 0, relaxed);
}

/* The scavenger, of an owner that sleeps for ever. */
static void send_two_central(void)
{
	send(CENTRAL, 1, 0, 2, 0);
}

static void send_two_page(void)
{
	send(PAGE, 1, 0, 2, 0);
}

static void send_one_page(void)
{
	send(PAGE, 1, 2, 1, 0);
}

static void send_one(void)
{
	take_claimed(send(il_choose(SINKS), 1, 2, 1, CAPACITY));
}

static void scavenger(void)
{
	scavenge(1);
}

/* What a round of the background thread does: it leaves alone what nobody has posted to. */
static void scavenger_rounds(void)
{
	scavenge(1);
	if (hz3_owner_was_posted(&all.owner[1]))
		scavenge(1);
}

/* Whatever could be taken is, or the next round will be told of it. */
static void finish_scavenged(void)
{
	struct page *page = &all.page[1];
	struct hz3_inbox *inbox = &all.owner[1].inbox;
	bool posted = hz3_owner_was_posted(&all.owner[1]);

	il_check(posted || (!hz3_stash_seems_full(&inbox->stash) && !hz3_stash_seems_full(&inbox->stash_rest)),
		 "messages wait for an owner that sleeps, and nobody is told");
	il_check(posted || page->state != ASLEEP || !hz3_remote_seems_whole(&page->remote, CAPACITY),
		 "a whole page waits for an owner that sleeps, and nobody is told");
	check_settled();
}

/* The owner is awake after all, and takes in one chain; what it leaves must be seen again. */
static void owner_takes_one(void)
{
	drain(1, 1);
}

static void send_both_central(void)
{
	struct chain chains[] = { make_chain(1, 0, 2), make_chain(1, 2, 1) };

	post(1, CENTRAL, chains, 2, 0);
}

static void send_whole(void)
{
	take_claimed(send(il_choose(SINKS), 1, 0, CAPACITY, CAPACITY));
}

static void owner_falls_asleep(void)
{
	refill(1, 1);
}

static const struct il_program programs[] = {
	{ "claim", set_up_current, { push_two_whole, push_one_whole, owner_refills }, check_settled, false },
	{ "claim_and_use", set_up_current, { push_and_use, push_one_whole, owner_refills }, check_settled, false },
	{ "claim_while_queued", set_up_asleep, { push_two_whole, push_one_whole, owner_drains }, check_settled, false },
	{ "claim_and_look", set_up_current, { push_one_then_two, owner_refills_and_looks }, check_settled, false },
	{ "whole_buffer", set_up_current, { buffer_is_whole, owner_refills }, check_settled, false },
	{ "peeled_while_queued", set_up_handed, { push_then_peeled, owner_peels_and_sleeps, buffer_gets_all }, check_settled,
	  false },
	{ "hold", set_up_looked_at, { take_and_use, free_others, statistics }, check_settled, false },
	{ "hold_used_again", set_up_looked_at, { take_and_use_again, free_others, statistics }, check_settled, false },
	{ "hold_and_claim", set_up_asleep, { push_two_whole, push_one_whole, statistics }, check_settled, false },
	{ "scavenge", set_up_asleep, { send_two_central, send_one, scavenger }, finish_scavenged, false },
	{ "scavenge_queued", set_up_asleep, { send_two_page, send_one_page, scavenger }, finish_scavenged, false },
	{ "scavenge_rounds", set_up_asleep, { send_two_central, send_one, scavenger_rounds }, finish_scavenged, true },
	{ "scavenge_falling", set_up_current, { send_whole, owner_falls_asleep, scavenger_rounds }, check_settled, false },
	{ "scavenge_awake", set_up_asleep, { send_both_central, owner_takes_one, scavenger }, finish_scavenged, false },
};

int main(int argc, char **argv)
{
	return il_main(argc, argv, programs, sizeof(programs) / sizeof(programs[0]));
}
