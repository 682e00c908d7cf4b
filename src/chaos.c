/* With --enable-chaos: chances for other threads in the middle of everything.  Any thread; no locks, and no allocation. */
#include "base.h"

#include "atomic.h"
#include "options.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

/* One operation in so many, powers of 2.  A yield alone may return at once, and a sleep makes sure that it doesn't. */
#define SPIN_ONE_IN 16
#define YIELD_ONE_IN 64
#define SLEEP_ONE_IN 8192
#define FAIL_ONE_IN 8

#define SPINS 128
#define SLEEP_NS_MAX 100000

static _Thread_local __attribute__((tls_model("initial-exec"))) uint64_t state;
static _Atomic uint64_t threads;

/* xorshift64*, begun anew by each thread. */
static uint64_t draw(void)
{
	if (state == 0)
		state = (hz3_options.chaos_seed + 1 + atomic_fetch_add(&threads, 1)) * HZ3_HASH_FACTOR | 1;
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1du >> 20;
}

void hz3_chaos(void)
{
	uint64_t r = draw();

	if (r % SLEEP_ONE_IN == 0) {
		int saved_errno = errno;
		struct timespec time = { .tv_nsec = (long)(r / SLEEP_ONE_IN % SLEEP_NS_MAX) };
		nanosleep(&time, NULL);
		errno = saved_errno;
	} else if (r % YIELD_ONE_IN == 0) {
		sched_yield();
	} else if (r % SPIN_ONE_IN == 0) {
		for (unsigned i = 0; i < r / SPIN_ONE_IN % SPINS; i++)
			hz3_cpu_relax();
	}
}

bool hz3_chaos_fails(void)
{
	return draw() % FAIL_ONE_IN == 0;
}
