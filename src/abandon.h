/*
 * Heaps of dead threads: parked, drained, adopted.
 *
 * A parked heap is whole: it keeps its pages and its owner id, and remote frees keep arriving.  The abandon lock protects
 * the list and everything private in the heaps on it.  Any thread may call everything here.
 */
#ifndef HZ3_ABANDON_H
#define HZ3_ABANDON_H

#include "heap.h"

/* Leave a heap to others.  Its thread must not touch it any more. */
void hz3_abandon_park(struct hz3_heap *heap);
void hz3_abandon_park_locked(struct hz3_heap *heap);

/* Of a heap that may be parked: it is not any more. */
void hz3_abandon_unpark(struct hz3_heap *heap);

/*
 * Take a parked heap over, the last parked first; to_free: one that never had a page, unless many are parked.
 * NULL: there is none.
 */
struct hz3_heap *hz3_abandon_adopt(bool to_free);

/* Somebody has posted to a parked heap; asks whether that happened since the last drain.  Hints. */
void hz3_abandon_request_drain(void);
bool hz3_abandon_wants_drain(void);

/* Take in what arrived for parked heaps, and give back the pages that are empty then but for current ones. */
void hz3_abandon_drain(void);

/*
 * Give back all empty pages of heaps that have been parked for so long.  Not at once: to know of a current page takes a walk over its
 * free blocks, and the thread that comes next has use for them.  The former is a hint.
 */
bool hz3_abandon_wants_trim(void);
void hz3_abandon_trim(uint64_t age_ms);

/* Those who walk parked heaps, and fork. */
extern struct hz3_lock hz3_abandon_lock;
uint32_t hz3_abandon_parked_locked(void);

#endif
