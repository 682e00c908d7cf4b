/*
 * A file in memory that other processes find in /proc/PID/fd, and may read, but not change.
 *
 * One thread at a time calls this for one file.
 */
#include "os_shared.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os_file.h"
#include "os_linux.h"
#include "os_memory.h"

/* Kernels before 6.3 know no files that can't be made executable; later ones may insist on them. */
static int create(const char *name)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = (int)syscall(SYS_memfd_create, name, flags | MFD_NOEXEC_SEAL);

	return fd >= 0 || errno != EINVAL ? fd : (int)syscall(SYS_memfd_create, name, flags);
}

/* To make a file longer than this would end the process by a signal. */
static bool may_be_so_long(size_t bytes)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= bytes)
		return true;
	errno = EFBIG;
	return false;
}

/* With all its memory, or a write to it could end the process. */
static void *map_whole(int fd, size_t bytes)
{
	void *p;

	if (!may_be_so_long(bytes) || ftruncate(fd, (off_t)bytes) != 0 || syscall(SYS_fallocate, fd, 0, (off_t)0, (off_t)bytes) != 0)
		return NULL;
	p = hz3_os_calls.mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return NULL;
	/* The child of a fork must not write into what is its parent's. */
	if (hz3_os_calls.madvise(p, bytes, MADV_DONTFORK) == 0)
		return p;
	(void)hz3_os_unmap(p, bytes);
	return NULL;
}

/* After the one mapping that may write was made. */
static bool seal(int fd)
{
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	return fcntl(fd, F_ADD_SEALS, seals | F_SEAL_FUTURE_WRITE) == 0 || fcntl(fd, F_ADD_SEALS, seals) == 0;
}

bool hz3_os_share(struct hz3_os_shared *shared, const char *name, size_t bytes)
{
	struct stat status;
	int saved_errno, fd = create(name);
	void *p;

	if (fd < 0)
		return false;
	fd = hz3_os_move_up(fd);
	p = fstat(fd, &status) == 0 ? map_whole(fd, bytes) : NULL;
	if (p != NULL && seal(fd)) {
		*shared = (struct hz3_os_shared){p, bytes, fd, status.st_dev, status.st_ino};
		return true;
	}
	saved_errno = errno;
	if (p != NULL)
		(void)hz3_os_unmap(p, bytes);
	hz3_os_close(fd);
	errno = saved_errno;
	return false;
}

bool hz3_os_is_shared(const struct hz3_os_shared *shared)
{
	struct stat status;

	return fstat(shared->fd, &status) == 0 && status.st_dev == shared->device && status.st_ino == shared->inode;
}

void hz3_os_unshare(struct hz3_os_shared *shared, bool inherited)
{
	if (hz3_os_is_shared(shared))
		hz3_os_close(shared->fd);
	if (!inherited)
		(void)hz3_os_unmap(shared->memory, shared->bytes);
}
