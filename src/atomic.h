/*
 * The atomic operations that hz3 uses: those of <stdatomic.h>, one to one, under names that a build may give another meaning.
 *
 * The order is the last word of memory_order_...: hz3_atomic_load(&word, relaxed).  There is no operation without one.
 *
 * HZ3_ATOMIC_HOOKS, if defined, names a header that defines these names instead: test/interleave/hooks.h hands every operation
 * to a scheduler that tries all orders.  With --enable-chaos, chaos.h does: others may go first at each.
 */
#ifndef HZ3_ATOMIC_H
#define HZ3_ATOMIC_H

#include "base.h"

#include <stdatomic.h>

#if defined(HZ3_ATOMIC_HOOKS)
#include HZ3_ATOMIC_HOOKS
#elif HZ3_CHAOS
#include "chaos.h"
#else

#define hz3_atomic_load(object, order) atomic_load_explicit(object, memory_order_##order)
#define hz3_atomic_store(object, value, order) atomic_store_explicit(object, value, memory_order_##order)
#define hz3_atomic_exchange(object, value, order) atomic_exchange_explicit(object, value, memory_order_##order)

/* Compare and exchange: on failure, *expected is what was there.  The weak one may fail without a cause. */
#define hz3_atomic_cas_weak(object, expected, value, order, failure)                                                 \
	atomic_compare_exchange_weak_explicit(object, expected, value, memory_order_##order, memory_order_##failure)
#define hz3_atomic_cas_strong(object, expected, value, order, failure)                                               \
	atomic_compare_exchange_strong_explicit(object, expected, value, memory_order_##order, memory_order_##failure)

#define hz3_atomic_fetch_add(object, value, order) atomic_fetch_add_explicit(object, value, memory_order_##order)
#define hz3_atomic_fetch_sub(object, value, order) atomic_fetch_sub_explicit(object, value, memory_order_##order)
#define hz3_atomic_fetch_or(object, value, order) atomic_fetch_or_explicit(object, value, memory_order_##order)
#define hz3_atomic_fetch_and(object, value, order) atomic_fetch_and_explicit(object, value, memory_order_##order)

#endif

/*
 * A plain word that one thread writes and others look at, such as a counter or an option: whole values, relaxed, since nothing else hangs
 * on them.  Where only the writer can be, the word is read as any other.  No part of a protocol, and so nothing for the hooks.
 */
#define hz3_read_once(word) __atomic_load_n(word, __ATOMIC_RELAXED)
#define hz3_write_once(word, value) __atomic_store_n(word, value, __ATOMIC_RELAXED)

#endif
