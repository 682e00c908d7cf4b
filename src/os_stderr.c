/* Standard error, of a program that may have closed it. */
#include "os_stderr.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os_file.h"

/* A copy of it, and which file it was: a program that closes all descriptors may reuse the number. */
static struct {
	int fd;
	dev_t device;
	ino_t inode;
} kept = {.fd = -1};

void hz3_os_keep_stderr(void)
{
	struct stat status;

	if (kept.fd >= 0)
		return;
	int fd = hz3_os_copy_up(STDERR_FILENO);

	if (fd < 0)
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd < 0 || fstat(fd, &status) != 0)
		return;
	kept.fd = fd;
	kept.device = status.st_dev;
	kept.inode = status.st_ino;
}

static bool is_still_there(void)
{
	struct stat status;

	return kept.fd >= 0 && fstat(kept.fd, &status) == 0 && status.st_dev == kept.device && status.st_ino == kept.inode;
}

int hz3_os_stderr(void)
{
	return is_still_there() ? kept.fd : STDERR_FILENO;
}

void hz3_os_let_go_of_stderr(void)
{
	if (is_still_there())
		hz3_os_close(kept.fd);
	kept.fd = -1;
}
