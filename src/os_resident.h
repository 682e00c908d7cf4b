/*
 * How much memory there really is behind addresses.  The rules of os.h hold.
 */
#ifndef HZ3_OS_RESIDENT_H
#define HZ3_OS_RESIDENT_H

#include "base.h"

/* Resident bytes of the process; 0 if the system does not say. */
size_t hz3_os_resident(void);

/* Of this range, bytes that have memory now.  Parts that are not mapped have none. */
size_t hz3_os_resident_of(const void *p, size_t bytes);

/*
 * Resident bytes of the process's mappings that lie inside and outside of a range, exactly; false if the system does not say.
 * Takes a walk over all of them.
 */
bool hz3_os_resident_split(uintptr_t from, uintptr_t to, uint64_t *inside, uint64_t *outside);

#endif
