/*
 * How long a freed block takes to be reusable, sampled.
 *
 * One flush in HZ3_PROBE_EVERY of a thread's buffer has a probe: the page of the first block that went into the empty buffer, and the
 * time.  When the buffer is flushed, the probe goes to the owner of the page, unless it has one under way; the delivery
 * of that page's blocks ends it.  (Blocks of the page that another thread sent before may end it a little too early.)
 *
 *   buffer.probe_*  the thread's, or whoever has borrowed the buffer.
 *   owner.probe     set by a flush if it is 0 (CAS), cleared by whoever delivers; relaxed: a measurement, no data hangs on it.
 */
#ifndef HZ3_PROBE_H
#define HZ3_PROBE_H

#include "counters.h"
#include "os_clock.h"
#include "owner.h"

#define HZ3_PROBE_EVERY 16

/* Microseconds in the lower part: they come round after 12 days. */
#define HZ3_PROBE_TIME_BITS 40
#define HZ3_PROBE_TIME_MASK (((uint64_t)1 << HZ3_PROBE_TIME_BITS) - 1)

static inline uint64_t hz3_probe_make(size_t slice, uint64_t us)
{
	return (uint64_t)slice << HZ3_PROBE_TIME_BITS | (us & HZ3_PROBE_TIME_MASK);
}

static inline size_t hz3_probe_slice(uint64_t probe)
{
	return probe >> HZ3_PROBE_TIME_BITS;
}

static inline uint64_t hz3_probe_age_us(uint64_t probe)
{
	return (hz3_os_now_us() - probe) & HZ3_PROBE_TIME_MASK;
}

/* Bounds of the histogram: 4 us, 16 us, 64 us, ... */
static inline uint64_t hz3_probe_bound_us(unsigned bucket)
{
	return (uint64_t)4 << 2 * bucket;
}

/* The block of the probe can be had again. */
static inline void hz3_probe_record(uint64_t probe, struct hz3_counters *counters)
{
	uint64_t us = hz3_probe_age_us(probe);
	unsigned bucket = 0;

	while (bucket < HZ3_DELAYS - 1 && us > hz3_probe_bound_us(bucket))
		bucket++;
	hz3_count(&counters->delays[bucket], 1);
	hz3_count(&counters->delay_us, us);
}

static inline void hz3_probe_send(struct hz3_owner *owner, uint64_t probe)
{
	uint64_t none = 0;

	(void)hz3_atomic_cas_strong(&owner->probe, &none, probe, relaxed, relaxed);
}

/* Blocks of the page were delivered, for the owner. */
static HZ3_INLINE void hz3_probe_deliver(struct hz3_owner *owner, size_t slice, struct hz3_counters *counters)
{
	if (!HZ3_STATS)
		return;
	uint64_t probe = hz3_atomic_load(&owner->probe, relaxed);
	if (hz3_likely(hz3_probe_slice(probe) != slice))
		return;
	hz3_probe_record(probe, counters);
	hz3_atomic_store(&owner->probe, 0, relaxed);
}

#endif
