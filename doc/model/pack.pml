/*
 * The page-local sink as the question pack has it, step by step: why it lost wake-ups, and why its threshold did nothing.
 *
 *   push   head: CAS the block in; remote_count: xadd; at the threshold: remote_state: CAS 0 to 1, then queue the page.
 *   drain  take the page from the queue; exchange(head, NULL); remote_state = 0.  remote_count is never set back.
 *
 *   spin -run pack.pml                must fail: a push between the exchange and the store leaves its block behind
 *   spin -DCLEAR_FIRST -run pack.pml  must pass: the flag is cleared before the list is taken
 *   spin -DONE_WORD -run pack.pml     must pass: list and flag are one word, taken by one exchange (what hz3 does)
 *   spin -DTHRESHOLD -run pack.pml    must fail: a page is queued with fewer blocks than the threshold, as the count only grows
 */
#define PUSHERS 3
#ifdef THRESHOLD
#define WANTED 2	/* the threshold; blocks below it may wait, so only early wake-ups are an error */
#else
#define WANTED 1
#endif

byte listed;		/* blocks behind remote_head */
byte remote_count;
bool remote_state;	/* the page is in the queue, or about to be */
byte entries;		/* in the page queue */
byte finished;

proctype pusher()
{
	byte before;

#ifdef ONE_WORD
	bool turned_on;

	atomic { listed++; turned_on = !remote_state; remote_state = true }
	if
	:: turned_on -> entries++
	:: else
	fi;
#else
	listed++;						/* CAS on remote_head */
	atomic { before = remote_count; remote_count++ };	/* xadd */
	if
	:: before + 1 >= WANTED ->
		if
		:: atomic { !remote_state -> remote_state = true };	/* CAS 0 to 1 */
#ifdef THRESHOLD
			assert(listed >= WANTED);
#endif
			atomic { entries++; assert(entries == 1) }
		:: atomic { remote_state -> skip }
		fi
	:: else
	fi;
#endif
	finished++
}

active proctype owner()
{
	byte got;

	run pusher(); run pusher(); run pusher();
	do
	:: entries > 0 ->
		entries--;
#ifdef ONE_WORD
		atomic { got = got + listed; listed = 0; remote_state = false }
#else
#ifdef CLEAR_FIRST
		remote_state = false;
		atomic { got = got + listed; listed = 0 }
#else
		atomic { got = got + listed; listed = 0 };	/* exchange */
		remote_state = false				/* and then the flag */
#endif
#endif
	:: finished == PUSHERS && entries == 0 -> break
	od;
#ifndef THRESHOLD
	/* Everybody has gone home: what still lies there will lie until somebody frees into this page again. */
	assert(listed == 0 && got == PUSHERS)
#endif
}
