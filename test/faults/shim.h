/*
 * What a test says to the shim, and what it is told: one struct in the shim, found with dlsym("faults").
 *
 * The shim (shim.c) stands between libhz3.so and the C library.  It counts the calls that hz3 makes, and lets the Nth of one
 * kind fail, alone or with all that follow, without having done anything.  Calls from elsewhere pass, and are not counted.
 *
 * A program arms it while it runs; HZ3_FAULT=CALL:NTH:COUNT:ERRNO in the environment arms it from the very first call
 * on, HZ3_FAULT_SYSTEM is a sum of the bits below.
 */
#ifndef HZ3_FAULTS_SHIM_H
#define HZ3_FAULTS_SHIM_H

#include <stdatomic.h>
#include <stddef.h>

enum fault_call {
	FAULT_MMAP,
	FAULT_MUNMAP,
	FAULT_MREMAP,
	FAULT_MPROTECT,
	FAULT_MADVISE,
	FAULT_PTHREAD_CREATE,
	FAULT_PTHREAD_KEY_CREATE,
	FAULT_PTHREAD_SETSPECIFIC,
	FAULT_PTHREAD_ATFORK,
	FAULT_CALLS
};

/* Systems that are odd without failing. */
#define FAULT_SYSTEM_NO_HINTS 1		/* mmap takes no address from the caller */
#define FAULT_SYSTEM_LAZY_MADVISE 2	/* memory that is not needed any more keeps its contents */

struct faults {
	/* Written by the test, while hz3 is at rest. */
	_Atomic int call;		/* that is to fail; -1: none */
	_Atomic long nth;		/* 1: the next */
	_Atomic long count;		/* how many fail from then on */
	_Atomic int error;
	_Atomic int system;

	/* Written by the shim. */
	_Atomic long calls[FAULT_CALLS];	/* since the start */
	_Atomic long since;			/* calls of the kind that is to fail since it was armed */
	_Atomic long hits;			/* calls that failed since then */
	_Atomic size_t mapped;			/* bytes that hz3 has mapped now */
};

static const char *const fault_names[FAULT_CALLS] = {
	"mmap", "munmap", "mremap", "mprotect", "madvise",
	"pthread_create", "pthread_key_create", "pthread_setspecific", "pthread_atfork",
};

#endif
