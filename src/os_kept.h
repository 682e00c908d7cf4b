/*
 * Mappings that the system would not take back.  The rules of os.h hold.
 */
#ifndef HZ3_OS_KEPT_H
#define HZ3_OS_KEPT_H

#include "base.h"

/*
 * Unmap for good: what the system won't unmap now is kept, without its memory as far as possible, until it will, or until it is
 * of use.  For readable and writable mappings.
 */
void hz3_os_discard(void *p, size_t bytes);

/* Try again with all that is kept; a part of it, with any contents, or NULL; how many bytes there are. */
void hz3_os_retry_kept(void);
void *hz3_os_map_kept(size_t bytes, size_t alignment);
size_t hz3_os_kept(void);

#endif
