/*
 * A thread's buffer, used by another while the thread sleeps (src/heap.h, src/scavenge.c): store busy, load borrowed, use; against
 * store borrowed, a barrier on all processors, load busy, use.  Stores wait in a store buffer.
 *
 *   spin -run borrow.pml              must pass: the barrier empties the thread's store buffer as well
 *   spin -DNO_BARRIER -run borrow.pml  must fail: both use the buffer
 *   spin -DNO_LOOK -run borrow.pml     must fail: the thread does not look whether its buffer is lent
 */
#define ROUNDS 2

bool busy, borrowed;		/* in memory */
bool waits;			/* a store of busy in the thread's store buffer, */
bool waiting_value;		/* of this value */
byte users;
bool ended;

inline write_back()
{
	atomic { waits -> waits = false; busy = waiting_value }
}

inline store_busy(value)
{
	atomic { !waits -> waits = true; waiting_value = value }
}

proctype memory()
{
	do
	:: write_back()
	:: ended && !waits -> break
	od
}

inline use()
{
	atomic { users++; assert(users == 1) }
	users--
}

proctype thread()
{
	byte round;
	bool lent;

	do
	:: round < ROUNDS ->
		round++;
		store_busy(true);
		lent = borrowed;
#ifndef NO_LOOK
		do
		:: lent ->
			store_busy(false);
			!borrowed;
			store_busy(true);
			lent = borrowed
		:: else -> break
		od;
#endif
		use();
		store_busy(false)
	:: else -> break
	od;
	ended = true
}

proctype borrower()
{
	byte round;

	do
	:: round < ROUNDS ->
		round++;
		borrowed = true;
		/* The borrower's own barrier would do nothing for what waits in the thread's buffer. */
#ifndef NO_BARRIER
		atomic {
			if
			:: waits -> waits = false; busy = waiting_value
			:: else
			fi
		}
#endif
		if
		:: !busy -> use()
		:: else
		fi;
		borrowed = false
	:: else -> break
	od
}

init {
	atomic { run thread(); run borrower(); run memory() }
}
