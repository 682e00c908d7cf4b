/*
 * The last block of a page, freed remotely, against its owner, who gives the page back when all of its blocks are there, and may
 * make it another page at once (src/page_remote.h, page_emptied() in src/heap.c).
 *
 *   spin -run retire.pml                 must pass
 *   spin -DRETIRE_QUEUED -run retire.pml must fail: a page is given back while QUEUED says that a queue has it, or will
 *   spin -DFLAG_EARLY -run retire.pml    must fail: the flag is cleared before the list is taken
 *   spin -DSTORE_RESET -run retire.pml   must fail: formatting the page again clears a mark of statistics that hold it
 */
#define CAPACITY 2
#define LIVES 2		/* how often the page is used */

byte count;		/* the word: blocks in the list, and the flag; wake is 1 */
bool queued;
byte entries;		/* in the owner's queue */
byte owes;		/* pushers that turned QUEUED on, and have not queued the page yet */
bool held;		/* by statistics, which took it for a sleeping page of a former owner */
bool given_back;
byte free_blocks;
byte out[2];		/* blocks that each freeing thread holds */
byte finished;
bool over;		/* all lives are over */

proctype freer(byte me)
{
	bool turned_on;

	do
	:: atomic {
		out[me] > 0 ->
		assert(!given_back);
		out[me]--;
		count++;
		turned_on = !queued;
		queued = true;
		if
		:: turned_on -> owes++
		:: else
		fi }
		if
		:: turned_on -> atomic { owes--; entries++; assert(entries == 1 && !given_back) }
		:: else
		fi
	:: over -> break
	od;
	finished++
}

/* Sets QUEUED for a moment, at any time, and puts the page on the queue if something was pushed meanwhile. */
proctype statistics()
{
	bool undo, queue_it;

	if
	:: atomic { !queued -> queued = true; held = true }
		atomic {
			held = false;
			if
			:: count > 0 -> queue_it = true; owes++
			:: else -> assert(queued && entries == 0); queued = false
			fi
		}
		if
		:: queue_it -> atomic { owes--; entries++; assert(entries == 1 && !given_back) }
		:: else
		fi
	:: true
	fi;
	finished++
}

inline take_all()
{
#ifdef FLAG_EARLY
	queued = false;
	atomic { free_blocks = free_blocks + count; count = 0; queued = false }
#else
	atomic { free_blocks = free_blocks + count; count = 0; queued = false }
#endif
}

#ifdef RETIRE_QUEUED
#define CLEAR true
#else
#define CLEAR (!queued && count == 0)
#endif

proctype owner()
{
	byte lives = 1;

	do
	:: atomic { entries > 0 -> assert(!given_back); entries-- }
		take_all()
	:: atomic { count > 0 -> free_blocks = free_blocks + count; count = 0 }		/* peel */
	:: free_blocks == CAPACITY && lives < LIVES ->
		if
		:: atomic { CLEAR -> given_back = true; free_blocks = 0 }
			lives++;
			atomic {
				/* format, and hand all blocks out */
#ifdef STORE_RESET
				queued = false;
#endif
				given_back = false;
				out[0] = 1;
				out[1] = 1
			}
		:: else
		fi
	:: free_blocks == CAPACITY && lives == LIVES && entries == 0 && owes == 0 && !held -> break
	od;
	over = true;
	finished++;
	/* Everybody has done. */
	finished == 4;
	assert(count == 0 && entries <= 1 && owes == 0)
}

init {
	atomic {
		out[0] = 1;
		out[1] = 1;
		run owner();
		run freer(0);
		run freer(1);
		run statistics()
	}
}
