/*
 * Memory mappings: reserved, committed, mapped, purged, protected; and what limits them.  The rules of os.h hold.
 *
 * Addresses and sizes are multiples of hz3_os_page_size and not 0.  Functions return 0 or -1, or an address or NULL.
 * The variables are written by hz3_os_init() (and by tests) while there is one thread, and only read afterwards.
 */
#ifndef HZ3_OS_MEMORY_H
#define HZ3_OS_MEMORY_H

#include "base.h"

#include <sys/types.h>

/* The memory calls, replaceable so that tests can fake them or make them fail.  Set before other threads exist. */
struct hz3_os_calls {
	void *(*mmap)(void *hint, size_t bytes, int prot, int flags, int fd, off_t offset);
	int (*munmap)(void *p, size_t bytes);
	int (*mprotect)(void *p, size_t bytes, int prot);
	int (*madvise)(void *p, size_t bytes, int advice);
	void *(*mremap)(void *p, size_t old_bytes, size_t new_bytes, int flags);
};
extern struct hz3_os_calls hz3_os_calls;

/* The page size of the running system; 4 KiB until hz3_os_init(). */
extern size_t hz3_os_page_size;

/* Whether purged memory reads as zeroes afterwards; some emulators ignore the request. */
extern bool hz3_os_purge_zeroes;

/* Finds out the two above.  For hz3_os_init(). */
void hz3_os_meet_memory(void);

/* Address space without memory, aligned to a power of 2: inaccessible, and without commit charge. */
void *hz3_os_reserve(size_t bytes, size_t alignment);

/* Makes a part of a reservation readable and writable. */
int hz3_os_commit(void *p, size_t bytes);

/* A readable and writable mapping at exactly p; fails with EEXIST if anything is mapped there. */
int hz3_os_map_at(void *p, size_t bytes);

/* A readable and writable mapping, aligned to a power of 2 of at least a page; NULL also when the sum overflows. */
void *hz3_os_map(size_t bytes, size_t alignment);

/* Fresh readable and writable memory in the place of whatever is mapped there, in one step: nobody else gets the range in between. */
int hz3_os_map_over(void *p, size_t bytes);

/* Grows or shrinks a mapping, in place or elsewhere if it may move; NULL leaves it as it was. */
void *hz3_os_remap(void *p, size_t old_bytes, size_t new_bytes, bool may_move);

int hz3_os_unmap(void *p, size_t bytes);

/* Gives the memory back and keeps the mapping.  See hz3_os_purge_zeroes for what it reads as afterwards. */
int hz3_os_purge(void *p, size_t bytes);

/* Asks for huge pages in this range where they fit, or for none.  Only advice: there is no failure, and errno stays. */
void hz3_os_advise_thp(void *p, size_t bytes, bool wanted);

/* Makes a range inaccessible; it keeps its contents and its commit charge. */
int hz3_os_protect_none(void *p, size_t bytes);

/* The soft RLIMIT_AS in bytes; SIZE_MAX if there is none. */
size_t hz3_os_address_space_limit(void);

/* Whether what one mapping takes another can't have: RLIMIT_AS, RLIMIT_DATA, or vm.overcommit_memory=2. */
bool hz3_os_memory_is_limited(void);

/* For placing mappings, not for secrets. */
uint64_t hz3_os_random(void);

#endif
