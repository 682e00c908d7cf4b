/*
 * Memory for hz3's own long-lived structures: a bump allocator that never frees.
 *
 * Any thread may call it; one lock protects the bump pointer.
 */
#ifndef HZ3_META_H
#define HZ3_META_H

#include <stddef.h>

#include "lock.h"

extern struct hz3_lock hz3_meta_lock;

/* bytes of zeroed memory on a cache line of its own, or NULL.  They stay for the life of the process. */
void *hz3_meta_alloc(size_t bytes);

/* Of what turned out to be of no use.  Only the latest can be taken back; else it stays lost. */
void hz3_meta_undo(void *p, size_t bytes);

/* Bytes taken from the system for metadata so far, page map included. */
size_t hz3_meta_bytes(void);

/* Bytes that have memory, of what is not the page map. */
size_t hz3_meta_resident(void);

/* A mapping for a structure of its own, whole system pages, which can be given back.  NULL: no memory, or none allowed. */
void *hz3_meta_map(size_t bytes);
void hz3_meta_unmap(void *p, size_t bytes);

/* Count what was mapped otherwise, and taken from the limit (limit.h). */
void hz3_meta_note(size_t bytes);

#endif
