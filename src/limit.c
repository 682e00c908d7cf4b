/* Memory limits: an account of what hz3 has from the system, and what it may have. */
#include "limit.h"

#include "options.h"
#include "os_clock.h"

#define STEP_SHIFT 4
#define STEP_MIN ((size_t)256 << 10)
#define PATIENCE_MS 1000u
#define USED_MAX ((size_t)1 << 62)
#define METADATA_MAX ((size_t)256 << 10)	/* more of the page map, of the table of huge mappings */

_Atomic bool hz3_limit_over;
static _Atomic size_t used;
static _Atomic size_t patience;		/* used may go as far before the next purge; 0: to the limit */
static _Atomic uint64_t next_ms;	/* or the clock */
static _Atomic uint64_t soft_purges, hard_purges, refused;
static _Thread_local bool is_lifted;

/* What is to be free below the soft limit after a purge, and how much more may be taken where that can't be had. */
static size_t step(size_t soft)
{
	return hz3_max(soft >> STEP_SHIFT, STEP_MIN);
}

static HZ3_NOINLINE void note_over(size_t now)
{
	if (now > hz3_atomic_load(&patience, relaxed) || hz3_os_now_ms() >= hz3_atomic_load(&next_ms, relaxed))
		hz3_atomic_store(&hz3_limit_over, true, relaxed);
}

bool hz3_limit_take(size_t bytes)
{
	size_t soft = hz3_read_once(&hz3_options.memory_limit_soft), hard = hz3_read_once(&hz3_options.memory_limit_hard);
	size_t now = hz3_atomic_load(&used, relaxed);

	do {
		/* Nobody can have so much; and what several ask for at once must not wrap around. */
		if (hz3_unlikely(bytes > USED_MAX - hz3_min(now, USED_MAX)))
			return false;
		if (hz3_unlikely(hard && bytes > (now < hard ? hard - now : 0)) && !is_lifted)
			return false;
	} while (!hz3_atomic_cas_weak(&used, &now, now + bytes, relaxed, relaxed));
	if (hz3_unlikely(soft && now + bytes > soft))
		note_over(now + bytes);
	return true;
}

/*
 * Not below 0.  The child of a fork counts anew what there is; if it was a signal handler that forked, and had interrupted somebody who
 * has taken bytes and not made them memory yet, or the other way round, these are not in the count, and are given all the same.
 */
void hz3_limit_give(size_t bytes)
{
	size_t now = hz3_atomic_load(&used, relaxed);

	while (!hz3_atomic_cas_weak(&used, &now, now - hz3_min(bytes, now), relaxed, relaxed))
		;
}

size_t hz3_limit_used(void)
{
	return hz3_atomic_load(&used, relaxed);
}

size_t hz3_limit_room(void)
{
	size_t hard = hz3_read_once(&hz3_options.memory_limit_hard), now = hz3_limit_used();

	return hard == 0 ? SIZE_MAX : hard > now ? hard - now : 0;
}

bool hz3_limit_binds(size_t bytes)
{
	return hz3_limit_room() < bytes + METADATA_MAX;
}

void hz3_limit_set_used(size_t bytes)
{
	hz3_atomic_store(&used, bytes, relaxed);
}

void hz3_limit_lift(bool lifted)
{
	is_lifted = lifted;
}

size_t hz3_limit_excess(void)
{
	size_t soft = hz3_read_once(&hz3_options.memory_limit_soft), now = hz3_limit_used();

	return soft && now > soft ? now - soft : 0;
}

void hz3_limit_renew(void)
{
	hz3_atomic_store(&patience, 0, relaxed);
	hz3_atomic_store(&hz3_limit_over, hz3_limit_excess() != 0, relaxed);
}

size_t hz3_limit_begin_purge(void)
{
	size_t excess;

	if (!hz3_atomic_exchange(&hz3_limit_over, false, relaxed))
		return 0;
	excess = hz3_limit_excess();
	return excess ? excess + step(hz3_read_once(&hz3_options.memory_limit_soft)) : 0;
}

void hz3_limit_end_purge(void)
{
	size_t soft = hz3_read_once(&hz3_options.memory_limit_soft), now = hz3_limit_used();
	bool room = soft == 0 || (now < soft && soft - now >= step(soft));

	hz3_atomic_fetch_add(&soft_purges, 1, relaxed);
	hz3_atomic_store(&next_ms, hz3_os_now_ms() + PATIENCE_MS, relaxed);
	hz3_atomic_store(&patience, room ? 0 : hz3_max(soft, now) + step(soft), relaxed);
}

void hz3_limit_count_hard_purge(void)
{
	hz3_atomic_fetch_add(&hard_purges, 1, relaxed);
}

void hz3_limit_count_failure(size_t bytes)
{
	if (hz3_limit_binds(bytes))
		hz3_atomic_fetch_add(&refused, 1, relaxed);
}

struct hz3_limit_counters hz3_limit_counters(void)
{
	return (struct hz3_limit_counters){
		.soft_purges = hz3_atomic_load(&soft_purges, relaxed),
		.hard_purges = hz3_atomic_load(&hard_purges, relaxed),
		.refused = hz3_atomic_load(&refused, relaxed),
	};
}
