/*
 * The process, its threads and the processors it runs on.  The rules of os.h hold.
 */
#ifndef HZ3_OS_PROCESS_H
#define HZ3_OS_PROCESS_H

#include "atomic.h"
#include "base.h"

/* Counts the processors, and begins to watch for a new process.  For hz3_os_init(). */
void hz3_os_meet_machine(void);

/*
 * Is this another process than the one that was last called known?  Also after a fork of which no handler tells (_Fork, a bare
 * clone), unless the kernel is older than 4.14; not in the child of a vfork, which shares memory with its parent.
 *
 * The word is in memory that is 0 in a child.  Who finds it so does what there is to do in a new process, in two steps: after the first, which is
 * short and waits for nobody, the locks are as if only threads of this process had them.
 */
enum hz3_os_process_state { HZ3_PROCESS_NEW, HZ3_PROCESS_KNOWN, HZ3_PROCESS_SORTS_LOCKS, HZ3_PROCESS_HAS_LOCKS, HZ3_PROCESS_TAKES_STOCK };

extern _Atomic uint32_t *hz3_os_process;

static inline uint32_t hz3_os_process_state(void)
{
	/* acquire: pairs with the release below. */
	return hz3_atomic_load(hz3_os_process, acquire);
}

static inline bool hz3_os_is_new_process(void)
{
	return hz3_os_process_state() != HZ3_PROCESS_KNOWN;
}

/* The next state; true for one thread, which does what it is named after. */
static inline bool hz3_os_process_step(uint32_t from, uint32_t to)
{
	/* acquire: pairs with the release below; what was done in earlier steps is seen. */
	return hz3_atomic_cas_strong(hz3_os_process, &from, to, acquire, relaxed);
}

/* What the state is named after is done. */
static inline void hz3_os_process_is(uint32_t state)
{
	/* release: pairs with the acquires above. */
	hz3_atomic_store(hz3_os_process, state, release);
}

/*
 * The calling process is the one that hz3 is of, from now on.  Is it?  Not so is the child of a vfork, or of a clone that shares our memory: what it
 * leaves there stays, and a thread of its own doesn't.
 */
void hz3_os_process_is_ours(void);
bool hz3_os_is_our_process(void);

/* Bytes mapped for what this layer itself remembers. */
size_t hz3_os_own_bytes(void);

uint32_t hz3_os_process_id(void);

/* From a constructor, with its third argument: so that there is an environment, also before libc's own constructor has run. */
void hz3_os_meet_environment(char **envp);

/* How many processors this process may run on, as of hz3_os_init(); at least 1. */
unsigned hz3_os_cpus(void);

/* A full memory barrier on every processor that runs a thread of this process.  -1: the system has no such thing. */
int hz3_os_barrier_everywhere(void);

/* The calling thread gets the ordinary scheduling policy, and the processors of the first thread, wherever it has come from. */
void hz3_os_be_ordinary_thread(void);

/* What a thread's name takes, with the NUL. */
#define HZ3_OS_THREAD_NAME_BYTES 16

/* Gives the calling thread a name that ps and top show; what is too long is cut off. */
void hz3_os_name_thread(const char *name);

/* The calling thread's name and number; another's name, false if there is no such thread of this process. */
void hz3_os_get_thread_name(char name[HZ3_OS_THREAD_NAME_BYTES]);
uint32_t hz3_os_thread_id(void);
bool hz3_os_name_of_thread(uint32_t id, char name[HZ3_OS_THREAD_NAME_BYTES]);

/* Whether no thread of the process but the calling one lives: all others have ended, the first one too.  False if it can't be known. */
bool hz3_os_is_alone(void);

#endif
