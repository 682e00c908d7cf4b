/*
 * With --enable-chaos: before each atomic operation, now and then, the thread lets others go first, so that what takes an unlucky
 * moment elsewhere happens all the time.  Included by atomic.h in place of its own definitions.
 *
 * HZ3_CONF=chaos_seed:N varies the moments.  It can't repeat them: the system has its say.
 */
#ifndef HZ3_CHAOS_H
#define HZ3_CHAOS_H

/* Perhaps spin for a while, yield, or sleep.  Any thread; keeps errno. */
void hz3_chaos(void);

/* Shall this weak compare and exchange fail without a cause? */
bool hz3_chaos_fails(void);

#define hz3_atomic_load(object, order) (hz3_chaos(), atomic_load_explicit(object, memory_order_##order))
#define hz3_atomic_store(object, value, order)                                                                       \
	(hz3_chaos(), atomic_store_explicit(object, value, memory_order_##order))
#define hz3_atomic_exchange(object, value, order)                                                                    \
	(hz3_chaos(), atomic_exchange_explicit(object, value, memory_order_##order))
#define hz3_atomic_cas_weak(object, expected, value, order, failure)                                                 \
	(hz3_chaos(), hz3_chaos_fails() ? (*(expected) = atomic_load_explicit(object, memory_order_##failure), false)\
					: atomic_compare_exchange_weak_explicit(object, expected, value,             \
										memory_order_##order,                \
										memory_order_##failure))
#define hz3_atomic_cas_strong(object, expected, value, order, failure)                                               \
	(hz3_chaos(), atomic_compare_exchange_strong_explicit(object, expected, value, memory_order_##order,         \
							      memory_order_##failure))
#define hz3_atomic_fetch_add(object, value, order)                                                                   \
	(hz3_chaos(), atomic_fetch_add_explicit(object, value, memory_order_##order))
#define hz3_atomic_fetch_sub(object, value, order)                                                                   \
	(hz3_chaos(), atomic_fetch_sub_explicit(object, value, memory_order_##order))
#define hz3_atomic_fetch_or(object, value, order)                                                                    \
	(hz3_chaos(), atomic_fetch_or_explicit(object, value, memory_order_##order))
#define hz3_atomic_fetch_and(object, value, order)                                                                   \
	(hz3_chaos(), atomic_fetch_and_explicit(object, value, memory_order_##order))

#endif
