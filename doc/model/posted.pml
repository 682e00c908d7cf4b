/*
 * "posted", between an owner that leaves the rest of a drain for later and falls asleep, threads that post to it, and the
 * scavenger, which looks after owners that sleep, but only when posted is set (src/owner.h, src/scavenge.c).  The owner's
 * store of the rest may wait in a store buffer.
 *
 *   spin -run posted.pml                must pass
 *   spin -DRELEASE_REST -run posted.pml must fail: the rest is stored without a barrier before the look at posted
 *   spin -DCLEAR_LAST -run posted.pml   must fail: the scavenger clears posted after its look
 *   spin -DNO_NOTE -run posted.pml      must fail: the owner leaves the rest without a note
 */
#define POSTS 2

byte stash, rest;	/* messages */
bool posted;
byte waits;		/* what the owner's store buffer has for rest; it must get to memory */
byte taken;
byte finished;

#ifdef RELEASE_REST
#define DRAINED true
#else
#define DRAINED waits == 0
#endif

proctype memory()
{
	do
	:: atomic { waits > 0 -> rest = waits; waits = 0 }
	:: finished == 2 && waits == 0 -> break
	od
}

inline note()
{
	if
	:: !posted -> posted = true
	:: else
	fi
}

proctype poster()
{
	byte i;

	do
	:: i < POSTS -> i++; stash++; note()
	:: else -> break
	od;
	finished++
}

proctype owner()
{
	byte n;

	/* One drain, of which one message is taken in. */
	if
	:: atomic { stash > 0 -> n = stash; stash = 0 }
		taken++;
		n--;
		if
		:: n > 0 ->
			waits = n;
			DRAINED;
#ifndef NO_NOTE
			note()
#endif
		:: else
		fi
	:: true
	fi;
	finished++
}

proctype scavenger()
{
	do
	:: posted ->
#ifndef CLEAR_LAST
		posted = false;
#endif
		if
		:: stash > 0 -> atomic { taken = taken + stash; stash = 0 }
		:: else
		fi;
		if
		:: rest > 0 -> atomic { taken = taken + rest; rest = 0 }
		:: else
		fi;
#ifdef CLEAR_LAST
		posted = false
#else
		skip
#endif
	:: finished == 2 && waits == 0 && !posted -> break
	od;
	/* The owner sleeps for ever. */
	assert(taken == POSTS)
}

init {
	atomic { run poster(); run owner(); run scavenger(); run memory() }
}
