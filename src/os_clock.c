/* The clocks of Linux, and waiting. */
#include "os_clock.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t monotonic_ms(void)
{
	struct timespec now;

	/* Coarse costs no hardware access, and is a few milliseconds off, which decay does not feel. */
	if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) != 0)
		return 0;
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t (*hz3_os_clock)(void) = monotonic_ms;

uint64_t hz3_os_now_ms(void)
{
	return hz3_os_clock();
}

uint64_t hz3_os_now_us(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
		return 0;
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t hz3_os_wall_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void hz3_os_sleep_ms(unsigned ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	/* Not libc's, at which a thread may be cancelled: malloc is no such point. */
	while (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &left, &left) != 0 && errno == EINTR)
		;
}

void hz3_os_yield(void)
{
	(void)sched_yield();
}

void hz3_os_wait(const _Atomic uint32_t *word, uint32_t value, unsigned ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	(void)syscall(SYS_futex, word, HZ3_FUTEX_WAIT, value, ms == UINT32_MAX ? NULL : &time, NULL, 0);
}

void hz3_os_wake(const _Atomic uint32_t *word)
{
	(void)syscall(SYS_futex, word, HZ3_FUTEX_WAKE, 1, NULL, NULL, 0);
}
