/* The lock (lock.c itself, but that it spins less): nobody is in with another, and nobody sleeps on when it is free. */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "interleave.h"

static int numbers[IL_THREADS + 1];

/* A thread's identity is the address of its errno; the futex is the interleaver's. */
#undef errno
#define errno numbers[il_thread() + 1]
#define syscall(call, number, operation, ...) futex(number, operation, __VA_ARGS__, 0)

static long futex(uint32_t *number, int operation, uint32_t value, ...);

#include "lock.c"

/* Only forks look at the clock. */
uint64_t hz3_os_now_us(void)
{
	return 0;
}

/* And only the child of one asks who it is. */
uint32_t hz3_os_thread_id(void)
{
	return 0;
}

uint32_t hz3_os_process_id(void)
{
	return 0;
}

static long futex(uint32_t *number, int operation, uint32_t value, ...)
{
	if (operation == HZ3_FUTEX_WAIT)
		il_futex_wait(number, value);
	else
		il_futex_wake(number);
	return 0;
}

static struct hz3_lock lock;
static uint64_t inside, times;

static void set_up(void)
{
	hz3_lock_init(&lock, HZ3_RANK_META, "lock", NULL);
	inside = times = 0;
	il_share(&inside, sizeof(inside));
	il_share(&times, sizeof(times));
}

static void enter(void)
{
	hz3_lock(&lock);
	il_check(++inside == 1, "two are in");
	times++;
	inside--;
	hz3_unlock(&lock);
}

static void enter_twice(void)
{
	enter();
	enter();
}

static void try_to_enter(void)
{
	if (hz3_trylock(&lock)) {
		times++;
		hz3_unlock(&lock);
	}
	enter();
}

static void finish(void)
{
	il_check(hz3_atomic_load(&lock.word, relaxed) == 0, "the lock is left taken");
	il_check(times >= 3, "somebody was not in");
}

static const struct il_program programs[] = {
	{ "two_lock", set_up, { enter_twice, enter_twice }, finish, false },
	{ "three_lock", set_up, { enter, enter, enter }, finish, true },
	{ "try_lock", set_up, { enter_twice, try_to_enter }, finish, true },
	{ "three_lock_long", set_up, { enter_twice, enter_twice, try_to_enter }, finish, true },
};

int main(int argc, char **argv)
{
	return il_main(argc, argv, programs, sizeof(programs) / sizeof(programs[0]));
}
