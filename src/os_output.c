/*
 * Files that are replaced as a whole, and the standard error of a program that has closed it.
 *
 * A file is written beside its place and then takes it, so that readers see the one before or the one after.  What is no regular file (a pipe, a
 * terminal, a device, a symbolic link) keeps its place, and is written into.
 */
#include "os.h"

#include "atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Out of the way of programs that expect low numbers or walk over them. */
#define FD_MIN 100

static int
dup_up(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, FD_MIN);
}

int
hz3_os_move_up(int fd)
{
	int high = dup_up(fd);

	if (high < 0)
		return fd;
	hz3_os_close(fd);
	return high;
}

static bool
is_special(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

static int
open_up(int fd)
{
	return fd < 0 ? fd : hz3_os_move_up(fd);
}

int
hz3_os_output_begin(struct hz3_os_output *output, const char *path)
{
	static _Atomic unsigned files;	/* relaxed: several threads may be at it, each with a name of its own */

	output->path = path;
	output->temporary[0] = '\0';
	if (is_special(path))
		return output->fd = open_up(hz3_os_open_output(path));
	if (strlen(path) + 40 > sizeof(output->temporary)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	hz3_format(output->temporary, sizeof(output->temporary), "%s.%ld.%u.tmp", path, (long)getpid(),
		   hz3_atomic_fetch_add(&files, 1, relaxed));
	/* What another process with this number has left; and never what somebody else has put there meanwhile. */
	(void)hz3_os_remove(output->temporary);
	return output->fd = open_up(hz3_os_open_new_output(output->temporary));
}

bool
hz3_os_output_end(struct hz3_os_output *output, bool good)
{
	hz3_os_close(output->fd);
	if (output->temporary[0] == '\0')
		return good;
	if (good && hz3_os_rename(output->temporary, output->path) == 0)
		return true;
	int error = errno;
	(void)hz3_os_remove(output->temporary);
	errno = error;
	return false;
}

/* ---- Standard error ---- */

/* A copy of it, and which file it was: a program that closes all descriptors may reuse the number. */
static struct {
	int fd;
	dev_t device;
	ino_t inode;
} kept = {.fd = -1};

void
hz3_os_keep_stderr(void)
{
	struct stat status;

	if (kept.fd >= 0)
		return;
	int fd = dup_up(STDERR_FILENO);

	if (fd < 0)
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd < 0 || fstat(fd, &status) != 0)
		return;
	kept.fd = fd;
	kept.device = status.st_dev;
	kept.inode = status.st_ino;
}

int
hz3_os_stderr(void)
{
	struct stat status;

	if (kept.fd >= 0 && fstat(kept.fd, &status) == 0 && status.st_dev == kept.device && status.st_ino == kept.inode)
		return kept.fd;
	return STDERR_FILENO;
}
