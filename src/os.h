/*
 * The layer over the system, whose calls are in os_*.h, a header for each concept; and its rules.
 *
 * Any thread may call these once hz3_os_init() has run; none allocates, takes a lock or is a cancellation point.
 * errno may change: callers on the free path save it.  Nothing here knows what the memory is for.
 */
#ifndef HZ3_OS_H
#define HZ3_OS_H

/* Looks at the machine.  Idempotent; the first call comes before a second thread can call anything of this layer. */
void hz3_os_init(void);

#endif
