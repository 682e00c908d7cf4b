/*
 * The blocks of a pool (an arena of the program's own), freed by any thread, against a reset that ends all of them (src/pool.h).
 * Threads free what they hold; when they have said so, in whatever way (here: has_freed), the main thread resets the pool, uses it again, and
 * meanwhile the threads may flush their buffers.  Each block is with the program once, or it is free.
 *
 *   spin -run pool.pml              must pass
 *   spin -DBUFFERED -run pool.pml   must fail: frees wait in the threads' buffers, as those of other heaps' blocks do
 *   spin -DNO_LOCK -run pool.pml    must fail: a free does not take the pool's lock
 *   spin -DNO_WAIT -run pool.pml    must fail: a program that resets while a thread still frees: that is its mistake
 */
#define BLOCKS 3
#define FREERS 2

bool is_free[BLOCKS];		/* in the list of its page */
bool out[BLOCKS];		/* with the program */
byte live;			/* what the page's countdown says */
byte waiting[FREERS];		/* 0, or 1 + the block that is in the thread's buffer */
bool has_freed[FREERS];
byte finished;
bool locked;

inline lock() { atomic { !locked -> locked = true } }
inline unlock() { locked = false }

/* What a free and a drain do: a block that is in the list already is there twice. */
inline put_back(b)
{
	byte count;

	assert(!is_free[b]);
	is_free[b] = true;
	count = live;
	live = count - 1
}

proctype freer(byte me)
{
	/* The main thread gave it the block with its number. */
	out[me] = false;
#ifdef BUFFERED
	waiting[me] = me + 1;
#else
#ifndef NO_LOCK
	lock();
#endif
	put_back(me);
#ifndef NO_LOCK
	unlock();
#endif
#endif
	has_freed[me] = true;
	/* Some time later, or never. */
	if
	:: waiting[me] != 0 ->
		lock();
		put_back(waiting[me] - 1);
		waiting[me] = 0;
		unlock()
	:: true
	fi;
	finished++
}

inline take(b)
{
	lock();
	if
	:: is_free[b] ->
		is_free[b] = false;
		assert(!out[b]);
		out[b] = true;
		live++
	:: else
	fi;
	unlock()
}

proctype program()
{
	byte i;

#ifndef NO_WAIT
	has_freed[0] && has_freed[1];
#endif
	/* All freed blocks are in the pool; one lives, and is to go as well. */
	lock();
#ifndef NO_WAIT
	assert(live == 1 && is_free[0] && is_free[1] && !is_free[2]);
#endif
	d_step {
		i = 0;
		do
		:: i < BLOCKS -> is_free[i] = true; out[i] = false; i++
		:: else -> break
		od;
		live = 0
	}
	unlock();
	/* Every block once. */
	take(0);
	take(1);
	take(2);
	lock();
	assert(live == 3);
	unlock();
	finished == FREERS;
	assert(live == 3 && !is_free[0] && !is_free[1] && !is_free[2])
}

init {
	atomic {
		out[0] = true;
		out[1] = true;
		out[2] = true;
		live = 3;
		run freer(0);
		run freer(1);
		run program()
	}
}
