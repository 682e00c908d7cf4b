/*
 * A thread that exits and parks its heap, against one that posts to it (src/thread.c, src/abandon.c, src/sink.c):
 * is somebody always told to drain?  Stores to the words that are no read-modify-writes wait in a store buffer, as on
 * every processor.
 *
 *   spin -run exit.pml              must pass: a fence between each thread's store and its load
 *   spin -DNO_FENCE -run exit.pml   must fail: a message in a parked heap, and nobody is told
 */
#define POSTS 2

byte stash;			/* messages */
bool posted = true;		/* from earlier times */
bool parked;
bool drain_wanted;
byte finished;

#ifdef NO_FENCE
#define FENCE skip
#else
#define FENCE !buffered[_pid - 1]
#endif

/* A store buffer of one entry for each thread: the poster's only word is posted, the owner's are posted and state. */
bool buffered[2];
byte buffer[2];
#define POSTED_0 0
#define POSTED_1 1
#define PARKED 2

inline store(what)
{
	atomic { !buffered[_pid - 1]; buffered[_pid - 1] = true; buffer[_pid - 1] = what }
}

inline write_back(i)
{
	if
	:: buffer[i] == POSTED_0 -> posted = false
	:: buffer[i] == POSTED_1 -> posted = true
	:: buffer[i] == PARKED -> parked = true
	fi
}

/* Writes the buffers back, at any time. */
proctype memory()
{
	do
	:: atomic { buffered[0] -> buffered[0] = false; write_back(0) }
	:: atomic { buffered[1] -> buffered[1] = false; write_back(1) }
	:: finished == 2 && !buffered[0] && !buffered[1] -> break
	od;
	/* Whoever is told drains what is posted. */
	assert(stash == 0 || !parked || (drain_wanted && posted))
}

/* A thread sees its own buffered store first. */
#define SEE(what, word) ((buffered[_pid - 1] && buffer[_pid - 1] == what) || word)

proctype owner()
{
	/* the last drain */
	store(POSTED_0);
	FENCE;
	if
	:: stash > 0 -> atomic { !buffered[_pid - 1]; stash = 0 }	/* an exchange empties the store buffer */
	:: else
	fi;
	/* park, under the abandon lock */
	store(PARKED);
	FENCE;
	if
	:: posted && !(buffered[_pid - 1] && buffer[_pid - 1] == POSTED_0) -> drain_wanted = true
	:: else
	fi;
	finished++
}

proctype poster()
{
	byte i;

	do
	:: i < POSTS ->
		i++;
		atomic { !buffered[_pid - 1]; stash++ }
		if
		:: !SEE(POSTED_1, posted) -> store(POSTED_1)
		:: else
		fi;
		FENCE;
		if
		:: parked -> drain_wanted = true
		:: else
		fi
	:: else -> break
	od;
	finished++
}

init {
	atomic { run owner(); run poster(); run memory() }
}
