/*
 * The interleaver: runs a program of two or three threads in every order of their atomic operations, on the weakest memory
 * that C11 allows (but for what needs a load that comes before an older one).
 *
 * Threads are fibers.  Every atomic operation of the code under test goes through hooks.h to the scheduler, which decides who
 * goes on, and what a load returns: any value that the thread may still see.  A program is run again and again, each time
 * with another sequence of decisions, until there is none left; a state that was reached before in another order is not
 * followed again.  Beyond that, runs by random decisions, from a seed.
 *
 * Memory: each object has the history of its values.  A thread has a view, the oldest value of each object that it may
 * still read; reading or writing an object moves it.  A release store takes the view along; an acquire load that reads it
 * joins it.  So a relaxed store may stay invisible, as in a store buffer, or overtake another.  seq_cst operations on an object
 * see each other in the order in which they run.
 *
 * Plain memory is watched as well: the compiler's instrumentation for a thread sanitizer (-fsanitize=thread) calls us instead, and two
 * accesses to what a program has shared, one of them a write, that no release and acquire put into an order, are a failure.
 * Atomic operations that do not go through the hooks do not link.
 */
#ifndef HZ3_INTERLEAVE_H
#define HZ3_INTERLEAVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IL_THREADS 3
#define IL_LOCKS 2

struct il_program {
	const char *name;
	void (*set_up)(void);			/* before the threads; what it writes, they all see */
	void (*thread[IL_THREADS])(void);	/* NULL: fewer */
	void (*finish)(void);			/* after all of them; sees everything */
	bool large;				/* all orders take a minute: random ones, and all with -l */
};

/*
 * The main() of a test: "[-l] [-r RUNS] [-s SEED] [PROGRAM...]".  All orders of each program but the large ones (-l: of these as
 * well), and then so many random runs.
 */
int il_main(int argc, char **argv, const struct il_program *programs, size_t n);

/* Plain memory in which races are looked for; in set_up. */
void il_share(void *start, size_t bytes);

/* A failure of the program under test: prints how it came about, and ends the test. */
#define il_check(cond, ...)                                                                                          \
	do {                                                                                                         \
		if (!(cond))                                                                                         \
			il_fail(__FILE__, __LINE__, __VA_ARGS__);                                                    \
	} while (0)
_Noreturn void il_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A decision of the program: 0 to n - 1, each is tried. */
unsigned il_choose(unsigned n);

/* In a loop that waits: not again until another thread has stored something; then all stores are seen. */
void il_yield(void);

/* Mutexes 0 to IL_LOCKS - 1. */
void il_lock(unsigned lock);
void il_unlock(unsigned lock);

/* As the system call futex: sleep if the number is there still; wake one that sleeps, any. */
void il_futex_wait(volatile uint32_t *number, uint32_t value);
void il_futex_wake(volatile uint32_t *number);

/* Who is running: 0 to IL_THREADS - 1, or -1 before and after. */
int il_thread(void);

/* As the system call membarrier: every thread has a full barrier, at this moment. */
void il_barrier_everywhere(void);

/* For hooks.h. */
enum il_change { IL_EXCHANGE, IL_ADD, IL_SUB, IL_OR, IL_AND };
uint64_t il_load(const volatile void *object, size_t bytes, memory_order order, const char *what);
void il_store(volatile void *object, size_t bytes, uint64_t value, memory_order order, const char *what);
uint64_t il_change(volatile void *object, size_t bytes, enum il_change change, uint64_t value, memory_order order,
		   const char *what);
bool il_cas(volatile void *object, size_t bytes, void *expected, uint64_t value, memory_order order,
	    memory_order failure, const char *what);

#endif
