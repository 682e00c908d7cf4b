/*
 * Pools: what hz3_arena_create() makes.  A pool is a heap that belongs to no thread, extents of its own, and a lock over both.
 *
 * Any thread may call everything here; a pool's heap, its pages and its extents are touched under its lock only.
 *
 * Why a free is not sent.  A block that a thread frees of another's heap waits in that thread's buffer, and counts as live until a drain
 * (remote_buffer.h).  With pools that would never be safe to end: a reset takes the pages from under whatever waits, the flush that
 * comes later gives the pool a block that it may have handed out again, and nobody can tell a block that waits from one that lives.
 * A reset would have to reach into the buffers of all threads, also of those that are just using them.  So a free of a pool's block takes
 * the pool's lock and puts it into its page, there and then:
 *
 *   free    lock; page's list and countdown, as a local free; unlock.
 *   alloc   lock; pop, refill, or a fresh page; unlock.
 *   reset   lock; all lists empty, all routes 0, all extents free; unlock.
 *   destroy the same, and the extents go back; then the pool goes to the list of free ones.
 *
 * What is true at any time: no block of a pool is in a buffer, chain, stash or page word; the words of its pages are 0, and its owner's
 * inbox is empty.  So when free has returned, the block is in the pool, and a reset that comes after it has missed nothing; what comes
 * at the same time as a reset is a mistake of the program (hz3.h).  No page of a pool is marked asleep, so none is ever taken over.
 *
 * How a free finds out: the routes of a pool's pages say "inner" (page_map.h), which no thread's own page in its first slice does, nor any
 * that goes into a buffer without another look.  A large block's run has the owner's id.
 *
 * Pools are never unmapped, and used again; so are their ids.  A block of a pool that was destroyed has route 0 until the memory is used
 * again: to free it ends the program, as for any memory that is not in use.
 */
#ifndef HZ3_POOL_H
#define HZ3_POOL_H

#include "heap.h"
#include "hz3/hz3.h"

struct hz3_pool;

/* NULL: no memory. */
struct hz3_pool *hz3_pool_create(const struct hz3_os_hooks *hooks, void *context);
void hz3_pool_reset(struct hz3_pool *pool);
void hz3_pool_destroy(struct hz3_pool *pool);

/* A block of at least size bytes, aligned (a power of 2).  NULL and ENOMEM: no memory. */
void *hz3_pool_alloc(struct hz3_pool *pool, size_t alignment, size_t size);

/* The pool whose block p is; NULL: none's. */
struct hz3_pool *hz3_pool_of(const void *p);

/* Free a block in a page of a pool, given the route of its slice; free a large block of the pool with this owner id. */
void hz3_pool_free_block(void *p, size_t slice, uint64_t route);
void hz3_pool_free_large(void *p, uint32_t owner);

/* As hz3_large_resize(), of a large block of the pool with this owner id, for the calling thread. */
void *hz3_pool_resize_large(void *p, uint32_t owner, size_t size);

void hz3_pool_stats(struct hz3_pool *pool, struct hz3_arena_stats *stats);

/*
 * Give free memory of all pools back, of those with hooks as well, or not: to the system, and whole extents to the arenas, which are
 * to be purged after that.  Returns bytes that the system, or hooks, have got.
 */
size_t hz3_pools_purge(bool hooked);

/*
 * Call a function for each pool's heap, also if the pool was destroyed, and one for each of its pages, under one hold of its lock: for
 * statistics, in which what the pages add to the counters has to be of the same moment.
 */
void hz3_pools_each(void (*look_heap)(void *arg, const struct hz3_heap *heap), void (*look_page)(void *arg, const struct hz3_page *page),
		    void *arg);

/* Pools that were created and not destroyed. */
unsigned hz3_pools_live(void);

/* Around fork: the lock of the list, then those of all pools, by index. */
extern struct hz3_lock hz3_pools_lock;
unsigned hz3_pools_count(void);
struct hz3_lock *hz3_pool_lock(unsigned i);

#endif
