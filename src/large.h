/*
 * Runs and mappings bigger than any class.
 *
 * A large block is a run of slices without an owner: any thread may free it, and has the run then.  A huge block, over
 * the huge_threshold, is a mapping of its own, found through a table; it grows with mremap.  Any thread may call
 * everything here.
 */
#ifndef HZ3_LARGE_H
#define HZ3_LARGE_H

#include "base.h"
#include "lock.h"
#include "size_class.h"

/*
 * A block that is made larger than this becomes a large one, even if there is a class for it: who grows a block once is likely to do so
 * again, and a run can grow where it is.
 */
#define HZ3_LARGE_GROWN_MIN (HZ3_CLASS_SIZE_MAX / 2)

/* The slices that a block of size bytes, size > 0, takes at a multiple of alignment (a power of 2); 0: it is to be huge. */
size_t hz3_large_slices(size_t size, size_t alignment);

/* The block that a run of so many slices becomes, aligned if the run is aligned to slices as far as the alignment exceeds one. */
void *hz3_large_place(size_t slice, size_t n, size_t size, size_t alignment);

/* The run is a pool's with this owner id; and whose is the run of the block at p?  0: nobody's, or there is no such run. */
void hz3_large_set_owner(size_t slice, uint32_t owner);
uint32_t hz3_large_owner(const void *p);

/* The block of the large run that begins with the slice. */
void *hz3_large_block(size_t slice);

/* A huge block, which reads as zeroes.  NULL: no memory. */
void *hz3_large_map(size_t size, size_t alignment);

/*
 * Free what is no block of a page; dies, with one line, if p is nothing that can be freed.  The caller has its run then, which
 * begins with *slice and has n; 0: the block was huge, and is gone.  Returns its usable bytes.
 */
size_t hz3_large_end(void *p, size_t *slice, size_t *n);

/*
 * The same in two steps: the run that the block at p has, if there is one and it is no pool's, else 0; and to free the block of such a
 * run.  Usable bytes of the block that a run has.
 */
size_t hz3_large_run_of(const void *p, size_t *n);
size_t hz3_large_end_run(void *p, size_t slice);
size_t hz3_large_run_bytes(size_t slice);

/* Usable bytes; dies like free, and the line begins with the name of the call. */
size_t hz3_large_size_for(const char *call, const void *p);
size_t hz3_large_usable_size(const void *p);

/*
 * Change the size without copying.  Returns p, or where the mapping moved to; NULL, and nothing has changed, if that is not
 * possible.  If it has, the profile forgets p, for the thread with this number, before anybody else can have a block there: to it,
 * a block of another size is another block, wherever it is.  Each has one chance to be sampled, or blocks that grow step by step would count
 * several times.
 */
void *hz3_large_resize(void *p, size_t size, uint32_t thread);

/* Huge mappings now: how many, bytes, and bytes that have memory. */
size_t hz3_large_huge_count(void);
size_t hz3_large_huge_bytes(void);
size_t hz3_large_huge_resident(void);

/* The length of the large run that begins with the slice, for those who walk the page map. */
size_t hz3_large_run_slices(size_t slice);

/* Around fork. */
extern struct hz3_lock hz3_large_lock;

#endif
