/*
 * Memory that other processes may look at.  The rules of os.h hold, and one thread at a time calls this for one file.
 */
#ifndef HZ3_OS_SHARED_H
#define HZ3_OS_SHARED_H

#include "base.h"

#include <sys/types.h>

/*
 * A file in memory that other processes find by its name in /proc/PID/fd ("/memfd:NAME (deleted)"), and may read, but not change.  Its
 * mapping is this process's alone: the child of a fork inherits the descriptor, but not the memory.
 */
struct hz3_os_shared {
	void *memory;	/* zeroes at first; readable and writable */
	size_t bytes;
	int fd;
	dev_t device;
	ino_t inode;
};

/* False, with errno: it can't be had.  Any number of bytes. */
bool hz3_os_share(struct hz3_os_shared *shared, const char *name, size_t bytes);

/* Whether the descriptor is that file's still: the program may close what it does not know. */
bool hz3_os_is_shared(const struct hz3_os_shared *shared);

/* Close and unmap; inherited: in the child of a fork, where there is nothing to unmap. */
void hz3_os_unshare(struct hz3_os_shared *shared, bool inherited);

#endif
