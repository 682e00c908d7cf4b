/* The word of a page and the owner's queue of pages; both sinks at once; a page given back against the last block; forwarding. */
#include "mini_heap.h"

/* The owner drains while two threads push: each post brings blocks of two pages. */
static void set_up_eager(void)
{
	mini_set_up(1, AWAKE);
}

static void set_up_patient(void)
{
	mini_set_up(2, AWAKE);
}

static void pusher_both(void)
{
	struct chain chains[] = { make_chain(1, 0, 1), make_chain(2, 0, 1) };

	post(1, PAGE, chains, 2, 0);
}

static void pusher_turned(void)
{
	struct chain chains[] = { make_chain(2, 1, 1), make_chain(1, 1, 1) };

	post(1, PAGE, chains, 2, 0);
}

static void pusher_two(void)
{
	send(PAGE, 1, 0, 1, 0);
	send(PAGE, 1, 1, 1, 0);
}

static void pusher_third(void)
{
	send(PAGE, 1, 2, 1, 0);
}

static void owner_drains(void)
{
	drain(1, ALL);
}

static void owner_peels(void)
{
	drain(1, ALL);
	peel(1);
	drain(1, ALL);
}

/* A link that is read too late shows with two pages only. */
static void owner_drains_twice(void)
{
	drain(1, ALL);
	drain(1, ALL);
}

/* A page that is peeled while a queue has it, and pushed to again. */
static void pusher_of_all(void)
{
	send(PAGE, 1, 0, 2, 0);
	send(PAGE, 1, 2, 1, 0);
}

static void owner_peels_twice(void)
{
	peel(1);
	peel(1);
	drain(1, ALL);
}

/* The last block of a page against the owner, which gives it back, and uses it again. */
static void set_up_last(void)
{
	mini_set_up(1, AWAKE);
	mini_set_free(1, 0);
	mini_set_free(1, 1);
}

static void push_last(void)
{
	send(PAGE, 1, 2, 1, 0);
}

static void owner_gives_back(void)
{
	peel(1);
	drain(1, ALL);
	if (all.page[1].state == EMPTY)
		format(1, 1);
}

static void finish_last(void)
{
	check_settled();
	il_check(all.page[1].state != AWAKE, "the page is not given back");
}

/* The sink is switched while blocks of a page are on their way through both; the owner takes them in one by one. */
static void switcher_to_page(void)
{
	send(CENTRAL, 1, 0, 1, 0);
	send(PAGE, 1, 1, 1, 0);
}

static void switcher_to_central(void)
{
	send(PAGE, 1, 2, 1, 0);
	send(CENTRAL, 2, 0, 1, 0);
}

static void switcher_once(void)
{
	send(il_choose(SINKS), 1, 2, 1, 0);
}

static void owner_by_and_by(void)
{
	drain(1, 1);
	drain(1, 1);
}

/* A chain for a page that has become another's, whose thread drains as well. */
static void set_up_foreign(void)
{
	mini_set_up(1, AWAKE);
	hz3_atomic_store(&all.page[2].route, 2, release);
}

static void pusher_astray(void)
{
	struct chain chain = make_chain(2, 0, 1);

	post(1, CENTRAL, &chain, 1, 0);
}

static void other_owner(void)
{
	drain(2, ALL);
	peel(2);
}

static const struct il_program programs[] = {
	{ "queue", set_up_eager, { pusher_both, pusher_turned, owner_drains }, check_settled, false },
	{ "queue_links", set_up_eager, { pusher_both, owner_drains_twice }, check_settled, false },
	{ "queue_and_peel", set_up_eager, { pusher_two, owner_peels }, check_settled, false },
	{ "queue_at_a_count", set_up_patient, { pusher_two, pusher_third, owner_drains }, check_settled, false },
	{ "queue_thrice", set_up_eager, { pusher_two, pusher_third, owner_drains_twice }, check_settled, false },
	{ "peel_while_queued", set_up_patient, { pusher_of_all, owner_peels_twice }, check_settled, false },
	{ "last_block", set_up_last, { push_last, owner_gives_back }, finish_last, false },
	{ "both_sinks", set_up_eager, { switcher_to_page, switcher_once, owner_drains }, check_settled, false },
	{ "sink_switch", set_up_eager, { switcher_to_page, switcher_to_central, owner_by_and_by }, check_settled, true },
	{ "leave_the_rest", set_up_eager, { switcher_to_page, owner_by_and_by }, check_settled, false },
	{ "forward", set_up_foreign, { pusher_astray, owner_drains, other_owner }, check_settled, false },
	{ "queue_long", set_up_eager, { pusher_both, pusher_turned, owner_peels }, check_settled, true },
};

int main(int argc, char **argv)
{
	return il_main(argc, argv, programs, sizeof(programs) / sizeof(programs[0]));
}
