/*
 * The time; and waiting: for a while, for a word to change, for other threads.  The rules of os.h hold.
 */
#ifndef HZ3_OS_CLOCK_H
#define HZ3_OS_CLOCK_H

#include "base.h"

/* Milliseconds of a monotonic clock; replaceable by tests, while there is one thread. */
extern uint64_t (*hz3_os_clock)(void);
uint64_t hz3_os_now_ms(void);

/* Microseconds of the same clock, read exactly: for measuring. */
uint64_t hz3_os_now_us(void);

/* Nanoseconds since 1970. */
uint64_t hz3_os_wall_ns(void);

void hz3_os_sleep_ms(unsigned ms);
void hz3_os_yield(void);

/* Sleep while the word has the value, for so many milliseconds at most; UINT32_MAX: for ever.  May also return for no reason. */
void hz3_os_wait(const _Atomic uint32_t *word, uint32_t value, unsigned ms);

/* End the sleep of whoever waits for the word to change.  Also in signal handlers. */
void hz3_os_wake(const _Atomic uint32_t *word);

#endif
