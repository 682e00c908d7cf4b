/*
 * One page whose blocks come home through both sinks, while the sink is switched and the page changes hands: what arrives at an
 * owner that no longer has the page is sent on (src/sink.c, drain_pending() and forward() in src/heap.c).
 *
 *   spin -run sinks.pml                  must pass
 *   spin -DONE_SINK -run sinks.pml       must fail: a drain looks only at the sink of the moment
 *   spin -DNO_FORWARD -run sinks.pml     must fail: what arrives at the wrong owner is dropped
 *   spin -DTAKE_IN_ANYWAY -run sinks.pml must fail: what arrives at the wrong owner is taken in by it
 */
#define BLOCKS 3

bool page_sink;		/* the choice of the moment */
byte owner_of = 0;	/* whose page it is */
byte stash[2];		/* blocks in each owner's stash */
byte word;		/* and in the page's word; wake is 1 */
bool queued;
byte queue[2];		/* entries of the page in each owner's queue */
byte home;		/* blocks in the page's free list */
byte sent;
byte finished;

/* Post a block to an owner that was read before. */
inline post(to)
{
	if
	:: page_sink ->
		atomic { word++; turned_on = !queued; queued = true }
		if
		:: turned_on -> atomic { queue[to]++; assert(queue[0] + queue[1] == 1) }
		:: else
		fi
	:: else -> stash[to]++
	fi
}

proctype freer()
{
	byte to;
	bool turned_on;

	do
	:: sent < BLOCKS ->
		atomic { sent < BLOCKS -> sent++; to = owner_of }
		post(to)
	:: else -> break
	od;
	finished++
}

proctype switcher()
{
	page_sink = true;
	page_sink = false;
	if
	:: page_sink = true
	:: true
	fi;
	finished++
}

/* The page becomes the other's; by what means does not matter here. */
proctype mover()
{
	owner_of = 1;
	finished++
}

/* Chains of n blocks that have arrived at owner me. */
inline arrive()
{
	if
	:: n == 0
#ifdef TAKE_IN_ANYWAY
	:: n > 0 -> assert(owner_of == me); home = home + n
#else
	:: n > 0 ->
		/* The owner stands still under one who holds a block of the page, but for this model's mover. */
		if
		:: atomic { owner_of == me -> home = home + n }
		:: else ->
#ifndef NO_FORWARD
			atomic { word = word + n; turned_on = !queued; queued = true }
			if
			:: turned_on -> atomic { queue[1 - me]++; assert(queue[0] + queue[1] == 1) }
			:: else
			fi
#endif
		fi
#endif
	fi;
	n = 0
}

proctype owner(byte me)
{
	byte n;
	bool turned_on;

	do
#ifdef ONE_SINK
	:: atomic { !page_sink && stash[me] > 0 -> n = stash[me]; stash[me] = 0 }
		arrive()
	:: atomic { page_sink && queue[me] > 0 -> queue[me]-- }
		atomic { n = word; word = 0; queued = false }
		arrive()
	:: finished == 3 && ((page_sink && queue[me] == 0) || (!page_sink && stash[me] == 0)) -> break
#else
	:: atomic { stash[me] > 0 -> n = stash[me]; stash[me] = 0 }
		arrive()
	:: atomic { queue[me] > 0 -> queue[me]-- }
		atomic { n = word; word = 0; queued = false }
		arrive()
	:: finished == 3 + me && stash[me] == 0 && queue[me] == 0 -> break
#endif
	od;
	finished++
}

init {
	atomic { run freer(); run switcher(); run mover(); run owner(0); run owner(1) }
	finished == 5;
	assert(home == BLOCKS && word == 0 && !queued && stash[0] + stash[1] == 0)
}
