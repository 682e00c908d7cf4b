/*
 * The heap profile in the format of pprof: profile.proto, gzipped (without compression).
 * https://github.com/google/pprof/blob/main/proto/profile.proto; protocol buffers; RFC 1951 and 1952.
 */
#ifndef HZ3_PPROF_H
#define HZ3_PPROF_H

#include "base.h"

/* Bytes in memory mapped for the purpose; all 0 is an empty one. */
struct hz3_pprof_buffer {
	char *bytes;
	size_t used, capacity;
	bool failed;		/* no memory: what is there is not whole */
};

/* What is mapped, as text: to be read with no lock held, since it may take long. */
void hz3_pprof_read_maps(struct hz3_pprof_buffer *maps);

/* Encode what profile.h knows, with its lock held; the lines of maps lose their ends. */
void hz3_pprof_encode(struct hz3_pprof_buffer *buffer, const struct hz3_pprof_buffer *maps);

/* Write it to a file, atomically (a temporary file beside it is renamed), and free the buffer.  Returns 0 or an errno value. */
int hz3_pprof_write(struct hz3_pprof_buffer *buffer, const char *path);

void hz3_pprof_free(struct hz3_pprof_buffer *buffer);

#endif
