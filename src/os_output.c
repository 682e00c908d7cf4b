/*
 * Files that are replaced as a whole.
 *
 * A file is written beside its place and then takes it, so that readers see the one before or the one after.  What is no regular file (a pipe, a
 * terminal, a device, a symbolic link) keeps its place, and is written into.
 */
#include "os_output.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "atomic.h"
#include "os_file.h"
#include "os_process.h"

static bool is_special(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

static int open_up(int fd)
{
	return fd < 0 ? fd : hz3_os_move_up(fd);
}

int hz3_os_output_begin(struct hz3_os_output *output, const char *path)
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
	hz3_format(output->temporary, sizeof(output->temporary), "%s.%u.%u.tmp", path, hz3_os_process_id(),
		   hz3_atomic_fetch_add(&files, 1, relaxed));
	/* What another process with this number has left; and never what somebody else has put there meanwhile. */
	(void)hz3_os_remove(output->temporary);
	return output->fd = open_up(hz3_os_open_new_output(output->temporary));
}

bool hz3_os_output_end(struct hz3_os_output *output, bool good)
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
