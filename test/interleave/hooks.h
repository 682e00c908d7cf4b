/* The operations of src/atomic.h, handed to the interleaver: what HZ3_ATOMIC_HOOKS names when a protocol is tested. */
#ifndef HZ3_INTERLEAVE_HOOKS_H
#define HZ3_INTERLEAVE_HOOKS_H

#include "interleave.h"

/* The type of a shared object without _Atomic, and a value of it as a number and back. */
#define IL_TYPE(object) __typeof__((void)0, *(object))
#define IL_NUMBER(object, value) ((uint64_t)(uintptr_t)(IL_TYPE(object))(value))
#define IL_VALUE(object, number) ((IL_TYPE(object))(uintptr_t)(number))

#define IL_LINE_TEXT(line) #line
#define IL_LINE(line) IL_LINE_TEXT(line)
#define IL_HERE(what) (__FILE__ ":" IL_LINE(__LINE__) " " what)

#define hz3_atomic_load(object, order)                                                                               \
	IL_VALUE(object, il_load(object, sizeof(*(object)), memory_order_##order, IL_HERE("load " #object " " #order)))
#define hz3_atomic_store(object, value, order)                                                                       \
	il_store(object, sizeof(*(object)), IL_NUMBER(object, value), memory_order_##order,                          \
		 IL_HERE("store " #object " " #order))
#define hz3_atomic_exchange(object, value, order) IL_CHANGE(IL_EXCHANGE, "exchange ", object, value, order)
#define hz3_atomic_fetch_add(object, value, order) IL_CHANGE(IL_ADD, "fetch_add ", object, value, order)
#define hz3_atomic_fetch_sub(object, value, order) IL_CHANGE(IL_SUB, "fetch_sub ", object, value, order)
#define hz3_atomic_fetch_or(object, value, order) IL_CHANGE(IL_OR, "fetch_or ", object, value, order)
#define hz3_atomic_fetch_and(object, value, order) IL_CHANGE(IL_AND, "fetch_and ", object, value, order)
#define IL_CHANGE(change, what, object, value, order)                                                                \
	IL_VALUE(object, il_change(object, sizeof(*(object)), change, IL_NUMBER(object, value), memory_order_##order, \
				   IL_HERE(what #object " " #order)))

/* What a weak one may do besides, fail without a cause, only makes its loop run once more. */
#define hz3_atomic_cas_strong(object, expected, value, order, failure)                                               \
	il_cas(object, sizeof(*(object)), expected, IL_NUMBER(object, value), memory_order_##order,                  \
	       memory_order_##failure, IL_HERE("cas " #object " " #order))
#define hz3_atomic_cas_weak hz3_atomic_cas_strong

#endif
