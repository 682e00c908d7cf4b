/*
 * The stack of the calling thread, as return addresses.
 *
 * By libunwind or, where that is not installed, by what libgcc has for C++ exceptions: both read the tables that every program has, and
 * need no frame pointers.  Where there is neither, there are no stacks.  They are loaded at run time, so that the
 * library depends on neither.
 */
#ifndef HZ3_BACKTRACE_H
#define HZ3_BACKTRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HZ3_BACKTRACE_DEPTH 64

/* Load one.  Calls malloc; once, with no lock held, before hz3_backtrace() may find anything. */
void hz3_backtrace_init(void);

/*
 * The innermost frames, at most max of them, without those of this library; returns how many.  Takes no lock of ours, may take
 * the dynamic linker's, and may call malloc, though only when it is called for the first time.  0 while another thread forks, in
 * a child whose fork could not wait for those who walked their stacks, and in one of _Fork until a slow path knows of it.
 */
size_t hz3_backtrace(uintptr_t *pc, size_t max);

/*
 * Around fork, as the steps of fork.h are; the caller has the lock of forks.  Prepare waits
 * until no thread walks its stack; without "wait", for a thread that holds locks, or has itself been interrupted on such a walk, it only
 * looks whether one does.
 */
void hz3_backtrace_fork_prepare(bool wait);
void hz3_backtrace_fork_parent(void);
void hz3_backtrace_fork_child(void);

/* "function+0x12 (/path/of/file+0x3456)", or what of it is known, for a return address.  May take the dynamic linker's lock. */
void hz3_backtrace_describe(char *text, size_t cap, uintptr_t pc);

/* "libunwind", "libgcc" or "none". */
const char *hz3_backtrace_name(void);

#endif
