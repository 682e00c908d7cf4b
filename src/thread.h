/*
 * First use and exit: how a thread comes by a heap, and what becomes of it.  (fork.h has the rest of its life.)
 *
 * A thread starts with a heap that is absent: it has no pages and owns nothing, so its first malloc or free is a miss
 * like any other, and the miss gives it a heap.  After the thread's exit handler has parked that heap, what the thread
 * still allocates and frees (other TLS destructors, libc itself) goes through one shared heap, under a lock.
 */
#ifndef HZ3_THREAD_H
#define HZ3_THREAD_H

#include "heap.h"
#include "lock.h"

/* The only thread-local word.  Points to hz3_thread_absent or hz3_thread_ended when the thread has no heap. */
extern __thread struct hz3_heap *hz3_thread_heap;

extern struct hz3_heap hz3_thread_absent;
extern struct hz3_heap hz3_thread_ended;

/* From the constructor: begin the heap profile, if it is asked for, with the calling thread. */
void hz3_thread_profile_begin(void);

/* Set the process up.  Idempotent; any time, any thread.  False: there is no memory for it yet, and nothing was allocated ever. */
bool hz3_thread_setup(void);

/*
 * The heap that the calling thread may change from here to hz3_thread_end(): its own, or the shared one, locked.  NULL: no
 * memory.  No nesting.
 */
struct hz3_heap *hz3_thread_begin(void);

/* The same for a free: a thread that begins with one may never allocate, so it gets a heap without pages to look after,
 * or with few. */
struct hz3_heap *hz3_thread_begin_free(void);

void hz3_thread_end(struct hz3_heap *heap);

/*
 * For what is done between two slow paths: takes the thread's heap, which hz3_heap_leave() ends.  False, and nothing is taken: the thread has
 * none, or a slow path has its turn.  Every 16th has, so that what they do now and then is done.
 */
bool hz3_thread_begin_quick(struct hz3_heap *heap);

/* Inside of free, whichever of the two it began with: see hz3_decay_tick_in_free(). */
void hz3_thread_end_free(struct hz3_heap *heap);

/*
 * For the background thread: a heap of its own from the start, and never a parked one, which would fall asleep with it.
 * Without memory it shares.
 */
void hz3_thread_enter_new(void);

/* Send off the remote frees that the calling thread has collected. */
void hz3_thread_flush_buffer(void);

/* Flush, and take in what others freed, for the calling thread and the shared heap. */
void hz3_thread_settle(void);

/* Give back what the shared heap has to spare: its current pages and its stock. */
void hz3_thread_trim_shared(void);

/* The calling thread is going to be idle: flush, take in what others freed, give empty pages and the budget back. */
void hz3_thread_go_idle(void);

/* The arena that the calling thread's heap takes pages from, for as long as the thread lives; false: there is no such arena, or no heap. */
unsigned hz3_thread_arena(void);
bool hz3_thread_set_arena(unsigned arena);

/* Does the process have more than one thread, as far as we saw? */
bool hz3_thread_is_multi(void);

/* The shared heap of threads that are ending, for those who walk all heaps, and its lock. */
struct hz3_heap *hz3_thread_shared_heap(void);
extern struct hz3_lock hz3_shared_lock;

/* ---- For fork.c ---- */

/* Send off the remote frees that the heap has collected. */
void hz3_thread_flush_heap(struct hz3_heap *heap, enum hz3_flush_cause cause);

/* Free what waits before it can be used again: the heap's thread will not come back for it. */
void hz3_thread_give_up_delayed(struct hz3_heap *heap);

/* In the child: the calling thread is the only one. */
void hz3_thread_forget_others(void);

/* What there is of memory, for the limits; while nobody takes or gives any. */
void hz3_thread_count_memory(void);

#endif
