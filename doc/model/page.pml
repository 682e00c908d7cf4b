/*
 * One page between its owner and two threads that free its blocks: the page word, the page queue, sleep and claim
 * (src/page_remote.h, src/sink_page.c, src/heap.c, src/remote_buffer.c).
 *
 *   spin -run page.pml                  must pass
 *   spin -DPACK_DRAIN -run page.pml     must fail: list and flag cleared one after the other (the question pack's drain)
 *   spin -DLINK_LATE -run page.pml      must fail: the queue link read after the word was taken
 *   spin -DCLAIM_QUEUED -run page.pml   must fail: a whole page claimed while QUEUED is set
 *   spin -DTOUCH_EMPTY -run page.pml    must fail: the owner touches a sleeping page after an empty take
 */
#define CAPACITY 3
#define WAKE 2
#define STEPS 3		/* pushes of each freeing thread */
#define TURNS 4		/* drains of the owner before the last */

byte count;		/* the word: blocks in the list, and the flag */
bool queued;
byte entries;		/* how often the page is in the owner's queue */
byte pending;		/* freeing threads that turned QUEUED on and have not queued the page yet */
bool asleep;
bool claimed;		/* the page is another heap's: the owner must not touch it */
byte free_blocks;	/* in the owner's list */
byte held[2];		/* blocks that each freeing thread has to give back */
byte moving;		/* blocks in the hands of a thread between two steps */
byte finished;

#define CONSERVED (free_blocks + count + held[0] + held[1] + moving == CAPACITY)
#define OWNED assert(!claimed)

#ifdef CLAIM_QUEUED
#define MAY_CLAIM true
#else
#define MAY_CLAIM (!queued)
#endif

inline claim()
{
	assert(asleep && entries == 0 && pending == 0 && !queued && free_blocks == 0);
	claimed = true
}

inline link_page()
{
	if
	:: turned_on -> entries++; assert(entries == 1); pending--; turned_on = false
	:: else
	fi
}

proctype freer(byte me)
{
	byte n;
	bool turned_on, whole;
	byte step;

	do
	:: step < STEPS && held[me] > 0 && !claimed ->
		step++;
		if	/* the buffer holds the whole page */
		:: atomic {
			held[me] == CAPACITY && asleep && MAY_CLAIM ->
			claim();
			held[me] = 0;
			moving = CAPACITY }
			break
		:: else
		fi;
		/* one CAS: a chain of some of the blocks is pushed, or all are taken */
		atomic {
			n = 1;
			do
			:: n < held[me] -> n++
			:: break
			od;
			whole = (count + n == CAPACITY && !queued);
			held[me] = held[me] - n;
			if
			:: whole -> moving = moving + CAPACITY; count = 0
			:: else ->
				count = count + n;
				if
				:: count >= WAKE && !queued -> queued = true; turned_on = true; pending++
				:: else
				fi
			fi
		}
		if
		:: whole && asleep -> atomic { claim() }; break
		:: whole && !asleep ->
			/* awake: push everything back, without claiming */
			atomic {
				moving = moving - CAPACITY;
				count = count + CAPACITY;
				if
				:: !queued -> queued = true; turned_on = true; pending++
				:: else
				fi
			}
		:: else
		fi;
		atomic { link_page() }
	:: break
	od;
	finished++
}

inline deliver()
{
	if
	:: taken > 0 ->
		atomic {
			OWNED;
			free_blocks = free_blocks + taken;
			moving = moving - taken;
			if
			:: asleep && free_blocks >= WAKE -> asleep = false
			:: else
			fi
		}
	:: else
	fi
}

inline drain()
{
	if
	:: entries > 0 ->
		was_asleep = asleep;
#ifdef LINK_LATE
		atomic { taken = count; moving = moving + count; count = 0; queued = false }
		entries--;
#else
		entries--;
#ifdef PACK_DRAIN
		atomic { taken = count; moving = moving + count; count = 0 }
		queued = false;
#else
		atomic { taken = count; moving = moving + count; count = 0; queued = false }
#endif
#endif
#ifdef TOUCH_EMPTY
		OWNED;
#else
		if
		:: taken == 0 && was_asleep
		:: else -> OWNED
		fi;
#endif
		deliver()
	:: else
	fi
}

proctype owner()
{
	byte taken, turns;
	bool was_asleep;

	do
	:: turns < TURNS ->
		turns++;
		drain();
		if
		:: !asleep && !claimed && free_blocks == 0 ->
			atomic { taken = count; moving = moving + count; count = 0 }	/* peel */
			if
			:: taken > 0 -> deliver()
			:: else -> asleep = true
			fi
		:: else
		fi;
		/* what is free is handed out again */
		do
		:: atomic { !asleep && free_blocks > 0 -> free_blocks--; if :: held[0]++ :: held[1]++ fi }
		:: break
		od
	:: break
	od;
	/* Everybody has done; what is over the wake count must be reachable. */
	finished == 2 && pending == 0;
	drain();
	assert(CONSERVED);
	assert(claimed || (count < WAKE && !queued && entries == 0))
}

init {
	atomic {
		/* the page is current, all blocks are handed out */
		held[0] = 2;
		held[1] = 1;
		run owner();
		run freer(0);
		run freer(1)
	}
}
