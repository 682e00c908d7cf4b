/*
 * The exit of a thread, the drain of parked heaps and adoption, against threads that post: somebody is always told of what was
 * posted to an owner that isn't there.
 */
#include "mini_heap.h"

#define ABANDON 0		/* the lock */

static void set_up_running(void)
{
	mini_set_up(1, CURRENT);
	/* From earlier times. */
	hz3_atomic_store(&all.owner[1].posted, il_choose(2), relaxed);
}

static void set_up_parked(void)
{
	mini_set_up(1, CURRENT);
	hz3_atomic_store(&all.owner[1].state, HZ3_OWNER_PARKED, relaxed);
}

static void poster(void)
{
	send(il_choose(SINKS), 1, 0, 1, 0);
}

static void poster_twice(void)
{
	send(PAGE, 1, 0, 1, 0);
	send(CENTRAL, 1, 1, 1, 0);
}

static void poster_of_another(void)
{
	send(PAGE, 1, 2, 1, 0);
}

/* abandon.c: hz3_abandon_park() */
static void park(void)
{
	il_lock(ABANDON);
	if (hz3_owner_park(&all.owner[1]))
		request_drain();
	il_unlock(ABANDON);
}

/* thread.c: thread_exit() */
static void owner_exits(void)
{
	drain_all(1);
	park();
}

/* abandon.c: hz3_abandon_drain(), if that was asked for */
static void drain_parked(void)
{
	if (!hz3_atomic_load(&all.drain_wanted, relaxed))
		return;
	il_lock(ABANDON);
	hz3_atomic_store(&all.drain_wanted, 0, seq_cst);
	if (hz3_atomic_load(&all.owner[1].state, relaxed) == HZ3_OWNER_PARKED && hz3_owner_was_posted(&all.owner[1]))
		drain_all(1);
	il_unlock(ABANDON);
}

static void background(void)
{
	drain_parked();
	drain_parked();
}

/* abandon.c: hz3_abandon_adopt(); then the heap is used, and left again */
static void adopter(void)
{
	il_lock(ABANDON);
	bool parked = hz3_atomic_load(&all.owner[1].state, relaxed) == HZ3_OWNER_PARKED;
	if (parked)
		hz3_atomic_store(&all.owner[1].state, HZ3_OWNER_RUNNING, relaxed);
	il_unlock(ABANDON);
	if (!parked)
		return;
	drain(1, ALL);
	if (il_choose(2))
		park();
}

/* decay.c: a round; the scavenger looks after owners that run */
static void scavenger(void)
{
	if (hz3_atomic_load(&all.owner[1].state, relaxed) == HZ3_OWNER_RUNNING)
		scavenge(1);
}

static void set_up_sent(void)
{
	mini_set_up(1, CURRENT);
	send(PAGE, 1, 0, 1, 0);
}

static void finish(void)
{
	struct hz3_owner *owner = &all.owner[1];

	if (hz3_inbox_pending(&owner->inbox) && !hz3_owner_runs(owner))
		il_check(hz3_owner_was_posted(owner) && hz3_atomic_load(&all.drain_wanted, relaxed),
			 "something waits for a parked heap, and nobody is told");
	check_settled();
}

static const struct il_program programs[] = {
	{ "exit", set_up_running, { poster, owner_exits }, finish, false },
	{ "exit_scavenged", set_up_sent, { owner_exits, scavenger }, finish, false },
	{ "exit_and_drain", set_up_running, { poster, owner_exits, background }, finish, false },
	{ "parked_drain", set_up_parked, { poster_twice, background }, finish, false },
	{ "parked_two_post", set_up_parked, { poster, poster_of_another, background }, finish, false },
	{ "adopt", set_up_parked, { poster_twice, adopter }, finish, false },
	{ "adopt_or_drain", set_up_parked, { poster, adopter, background }, finish, false },
	{ "exit_and_adopt", set_up_running, { poster, owner_exits, adopter }, finish, false },
	{ "exit_two_post", set_up_running, { poster, owner_exits, poster_of_another }, finish, false },
	{ "exit_and_scavenge", set_up_running, { poster, owner_exits, scavenger }, finish, true },
};

int main(int argc, char **argv)
{
	return il_main(argc, argv, programs, sizeof(programs) / sizeof(programs[0]));
}
