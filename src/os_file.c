/* Files and their descriptors. */
#include "os_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Out of the way of programs that expect low numbers or walk over them. */
#define FD_MIN 100

/* Opened, read and written by bare system calls, because libc's functions are cancellation points. */
static int open_file(const char *path, int flags)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0644);
}

int hz3_os_open_input(const char *path)
{
	return open_file(path, O_RDONLY);
}

int hz3_os_open_output(const char *path)
{
	int fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK);
	int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	return fd;
}

int hz3_os_open_new_output(const char *path)
{
	return open_file(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
}

void hz3_os_close(int fd)
{
	(void)syscall(SYS_close, fd);
}

ssize_t hz3_os_read(int fd, void *data, size_t bytes)
{
	return syscall(SYS_read, fd, data, bytes);
}

ssize_t hz3_os_write(int fd, const void *data, size_t bytes)
{
	const char *p = data;
	size_t done = 0;

	while (done < bytes) {
		long n = syscall(SYS_write, fd, p + done, bytes - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			return done > 0 ? (ssize_t)done : -1;
	}
	return (ssize_t)done;
}

void hz3_os_read_text(const char *path, char *text, size_t bytes)
{
	int fd = open_file(path, O_RDONLY);
	long n = 0;

	if (fd >= 0) {
		n = syscall(SYS_read, fd, text, bytes - 1);
		hz3_os_close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
}

int hz3_os_rename(const char *from, const char *to)
{
	return rename(from, to);
}

int hz3_os_remove(const char *path)
{
	return unlink(path);
}

int hz3_os_copy_up(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, FD_MIN);
}

int hz3_os_move_up(int fd)
{
	int high = hz3_os_copy_up(fd);

	if (high < 0)
		return fd;
	hz3_os_close(fd);
	return high;
}
