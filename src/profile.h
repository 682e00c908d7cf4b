/*
 * The heap profile: who has the memory, who had it, and who gave it back, from a sample of the blocks.
 *
 * Each thread counts the bytes that it asks for, and samples the block in which a random interval ends, of 2^lg_prof_sample bytes on
 * average (a Poisson process, so that a block of n bytes is sampled with a chance of 1 - exp(-n / 2^lg); what one sample stands for is
 * the reciprocal).  A sampled block is a large run, whatever its size, so a free that is not of a sampled block pays nothing; its stack
 * and thread are kept until it is freed.  Then they stay as a sum, by who freed it and whether that was another than its owner.
 *
 * With the option prof off there is nothing of it: the direct tables of the heaps decide whether malloc comes by here.
 *
 * Any thread; one lock protects all tables.  Nothing here calls malloc with the lock held.
 */
#ifndef HZ3_PROFILE_H
#define HZ3_PROFILE_H

#include "lock.h"

/* Whether blocks are sampled.  Set when the options are read, before there are other threads. */
extern bool hz3_profile_on;
extern struct hz3_lock hz3_profile_lock;

/* A thread's way to its next sample. */
struct hz3_profile_turn {
	uint64_t left;		/* bytes */
	uint64_t random;	/* state of its generator; 0: not begun */
	bool busy;		/* taking a sample: what that allocates is not sampled */
};

/* Most blocks: not yet.  False: ask hz3_profile_is_due(). */
static HZ3_INLINE bool hz3_profile_pass(struct hz3_profile_turn *turn, size_t size)
{
	if (hz3_unlikely(size >= turn->left))
		return false;
	turn->left -= size;
	return true;
}

/* Is this the block to be sampled? */
bool hz3_profile_is_due(struct hz3_profile_turn *turn, size_t size);

/* p is a new block of size bytes that was due; owner is the allocating thread's number. */
void hz3_profile_add(struct hz3_profile_turn *turn, const void *p, size_t size, uint32_t owner);

/* A block that is in no page is about to be freed, or has just been resized, by a thread with this number. */
void hz3_profile_remove(const void *p, uint32_t owner);

static HZ3_INLINE void hz3_profile_forget(const void *p, uint32_t owner)
{
	if (hz3_unlikely(hz3_profile_on))
		hz3_profile_remove(p, owner);
}

/* Load the unwinder and begin, if the option says so.  From a constructor, once malloc works. */
void hz3_profile_begin(void);

/* stats_signal came: write the profile, if there is one. */
void hz3_profile_on_signal(void);

/* At exit: write the profile, and the report of leaks, as the options say. */
void hz3_profile_end(void);

/* Go on, or pause: what is sampled already stays.  False: the option prof is off. */
bool hz3_profile_set_active(bool active);
bool hz3_profile_is_active(void);

/* Forget everything that was sampled; from now on a block is sampled every 2^lg_sample bytes. */
void hz3_profile_reset(int lg_sample);

/*
 * Write a gzipped profile.proto (pprof) to a path, in which %p is the process id; NULL or "" is the option prof_file.  Returns 0 or an
 * errno value.
 */
int hz3_profile_dump(const char *path);

/* ---- for pprof.c, with the lock held ---- */

/* What is known about the blocks of one stack and allocating thread; of those that were freed, by freeing thread as well. */
struct hz3_profile_row {
	uint32_t stack;
	uint32_t thread, freer;		/* names; freer 0: not freed */
	bool remote;			/* freed by another than who allocated it */
	double live_objects, live_bytes;
	double total_objects, total_bytes;
};

uint32_t hz3_profile_rows(void);				/* numbers below this; from 1 */
const struct hz3_profile_row *hz3_profile_row(uint32_t n);
uint32_t hz3_profile_pcs(void);
uintptr_t hz3_profile_pc(uint32_t n);
const uint32_t *hz3_profile_stack(uint32_t n, size_t *depth);	/* of numbers of pcs, innermost first */
uint32_t hz3_profile_names(void);
const char *hz3_profile_name(uint32_t n);
uint64_t hz3_profile_start_ns(void);
uint64_t hz3_profile_lost(void);				/* samples, for want of memory */

#endif
