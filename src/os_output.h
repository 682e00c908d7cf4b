/*
 * Files that are replaced as a whole, so that readers see the one before or the one after.  The rules of os.h hold.
 */
#ifndef HZ3_OS_OUTPUT_H
#define HZ3_OS_OUTPUT_H

#include "base.h"

/* A file to be replaced: begin returns its descriptor, or -1; what was written takes its place at the end, if it is good. */
struct hz3_os_output {
	int fd;
	const char *path;
	char temporary[640];	/* empty: it is written in place */
};
int hz3_os_output_begin(struct hz3_os_output *output, const char *path);
bool hz3_os_output_end(struct hz3_os_output *output, bool good);

#endif
