/* A thread's buffer, which others use while it sleeps: heap.h, both sides, with the barrier on all processors between them. */
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

static const struct il_program programs[] = {
	{ "borrow", set_up, { owner, borrower }, finish, false },
};

int main(int argc, char **argv)
{
	return il_main(argc, argv, programs, sizeof(programs) / sizeof(programs[0]));
}
