/*
 * The owner stash (src/owner.h): lists pushed with one CAS, everything taken with one exchange.
 *
 *   spin -run stash.pml                 must pass
 *   spin -DSTALE_TAIL -run stash.pml    must fail: the tail's link is not written again when the CAS is retried
 */
#define PUSHERS 2
#define ROUNDS 2	/* lists of each pusher; a list has two messages */
#define MESSAGES (PUSHERS * ROUNDS * 2)

byte next[MESSAGES + 1];	/* 0 ends a list */
byte head;
bool seen[MESSAGES + 1];
byte received;
byte finished;

proctype pusher(byte me)
{
	byte round, first, old;
	bool done, linked;

	do
	:: round < ROUNDS ->
		first = (me * ROUNDS + round) * 2 + 1;
		next[first] = first + 1;
		done = false;
		linked = false;
		old = head;
		do
		:: !done ->
#ifdef STALE_TAIL
			if
			:: !linked -> next[first + 1] = old; linked = true
			:: else
			fi;
#else
			next[first + 1] = old;
#endif
			atomic {
				if
				:: head == old -> head = first; done = true
				:: else -> old = head
				fi
			}
		:: done -> break
		od;
		round++
	:: else -> break
	od;
	finished++
}

inline take()
{
	atomic { message = head; head = 0 }
	do
	:: message != 0 ->
		assert(!seen[message]);
		seen[message] = true;
		received++;
		message = next[message]
	:: else -> break
	od
}

/* Two of them: the owner and the background thread. */
proctype taker()
{
	byte message;

	do
	:: take()
	:: finished == PUSHERS -> break
	od;
	take();
	finished++
}

init {
	atomic { run pusher(0); run pusher(1); run taker(); run taker() }
	finished == PUSHERS + 2;
	assert(received == MESSAGES && head == 0)
}
