/*
 * A thread's buffer, which others use while it sleeps: heap.h, both sides, with the barrier on all processors between them.  And a page of which no
 * block is in use, taken from the borrowed heap: heap.c, hz3_heap_page_is_free(), and scavenge.c.
 */
#include "heap.h"

#include <string.h>

static struct hz3_heap heap;
static uint64_t buffer, returned;	/* what the heap has in its buffer; what the borrower has flushed */

static void set_up(void)
{
	hz3_atomic_store(&heap.busy, 0, relaxed);
	hz3_atomic_store(&heap.borrowed, 0, relaxed);
	buffer = returned = 0;
	il_share(&buffer, sizeof(buffer));
}

/* thread.c: begin(), wait_for_buffer() */
static void begin(void)
{
	if (hz3_heap_enter(&heap))
		return;
	do {
		hz3_heap_leave(&heap);
		il_yield();
	} while (!hz3_heap_enter(&heap));
}

static void put_one(void)
{
	begin();
	buffer++;
	hz3_heap_leave(&heap);
}

static void owner(void)
{
	put_one();
	put_one();
}

/* scavenge.c: mark_buffers(), flush_marked() */
static void borrow(void)
{
	hz3_heap_ask_for(&heap);
	il_barrier_everywhere();
	if (!hz3_heap_is_asked_for(&heap))
		return;
	if (hz3_heap_is_lent(&heap)) {
		returned += buffer;
		buffer = 0;
	}
	hz3_heap_hand_back(&heap);
}

static void borrower(void)
{
	borrow();
	borrow();
}

static void finish(void)
{
	il_check(buffer + returned == 2, "%d of 2", (int)(buffer + returned));
	il_check(!hz3_atomic_load(&heap.busy, relaxed) && !hz3_atomic_load(&heap.borrowed, relaxed), "a mark is left");
}

/* ---- A page ---- */

/* Of two blocks in use; the owner frees one, without a lock or a mark, and somebody else the other. */
static struct hz3_page_remote remote;
static _Atomic uint32_t countdown;
static uint32_t left_when_taken;
static enum { AWAKE, RETIRED, TAKEN } state;	/* in begin() and leave(), or by who has borrowed the heap */

static void set_up_page(void)
{
	set_up();
	remote = (struct hz3_page_remote){ .word = 0 };
	hz3_atomic_store(&countdown, 2, relaxed);
	state = AWAKE;
	il_share(&state, sizeof(state));
}

/* heap.c: hz3_heap_page_event(), page_emptied() */
static void retire_if_free(void)
{
	if (hz3_atomic_load(&countdown, relaxed) == 0 && hz3_remote_is_clear(&remote))
		state = RETIRED;
}

/* heap.c: peel(), deliver() */
static void take_in(void)
{
	begin();
	if (state == AWAKE) {
		struct hz3_remote_list list = hz3_remote_peel(&remote);
		hz3_atomic_store(&countdown, hz3_atomic_load(&countdown, relaxed) - list.count, relaxed);
		retire_if_free();
	}
	hz3_heap_leave(&heap);
}

/* page.h: hz3_page_count_down() */
static void page_owner(void)
{
	take_in();
	uint32_t left = hz3_atomic_load(&countdown, relaxed) - 1;
	hz3_atomic_store(&countdown, left, relaxed);
	if (left == 0) {
		begin();
		il_check(state == AWAKE, "the owner is told of a page that was taken from it");
		retire_if_free();
		hz3_heap_leave(&heap);
	}
	take_in();
}

static void no_link(void *context, struct hz3_remote_list old)
{
	(void)context;
	(void)old;
}

static void push(struct hz3_remote_list list)
{
	struct hz3_push p = { .chain = list, .wake = 2, .link = no_link };

	(void)hz3_remote_push(&remote, &p);
}

static void pusher(void)
{
	push((struct hz3_remote_list){ .first = 1, .last = 1, .count = 1 });
}

static bool page_is_free(uint32_t in_word)
{
	uint32_t left = hz3_atomic_load(&countdown, relaxed);

	if (in_word == 0 || left == 0)
		return false;
	return state == AWAKE && left == in_word;
}

/* scavenge.c: scavenge_lent(), try_awake(), take_or_return() */
static void page_borrower(void)
{
	bool ours;

	hz3_heap_ask_for(&heap);
	il_barrier_everywhere();
	if (hz3_heap_is_lent(&heap) && page_is_free(hz3_remote_count(hz3_atomic_load(&remote.word, relaxed))) &&
	    hz3_remote_hold(&remote, &ours) && ours) {
		il_barrier_everywhere();
		struct hz3_remote_list list = hz3_remote_take(&remote);
		if (page_is_free(list.count)) {
			state = TAKEN;
			left_when_taken = hz3_atomic_load(&countdown, relaxed);
		} else if (list.count) {
			push(list);
		}
	}
	hz3_heap_hand_back(&heap);
}

static void finish_page(void)
{
	uint32_t in_word = hz3_remote_count(hz3_atomic_load(&remote.word, relaxed));

	il_check(state != AWAKE || (in_word == 1 && hz3_atomic_load(&countdown, relaxed) == 1), "a block is lost");
	il_check(state == AWAKE || in_word == 0, "a block of a page that is gone");
	il_check(state != TAKEN || hz3_atomic_load(&countdown, relaxed) == left_when_taken, "a block of a page that was taken was in use");
}

static const struct il_program programs[] = {
	{ "borrow", set_up, { owner, borrower }, finish, false },
	{ "page", set_up_page, { page_owner, pusher, page_borrower }, finish_page, false },
};

int main(int argc, char **argv)
{
	return il_main(argc, argv, programs, sizeof(programs) / sizeof(programs[0]));
}
