/*
 * Transparent huge pages: what the option "thp" says is asked of the kernel for memory that was just mapped.
 *
 * It is advice: a kernel without huge pages, or without one at hand, does as it does otherwise.
 */
#ifndef HZ3_THP_H
#define HZ3_THP_H

#include "base.h"
#include "options.h"
#include "os_memory.h"

/* Whole huge pages are mapped at a time if they are wanted: what is mapped in parts gets small ones. */
#define HZ3_THP_BYTES ((size_t)2 << 20)

static inline bool hz3_thp_wanted(void)
{
	return hz3_options.thp == HZ3_THP_ALWAYS;
}

/* errno stays. */
static inline void hz3_thp_advise(void *p, size_t bytes)
{
	if (hz3_unlikely(hz3_options.thp != HZ3_THP_DEFAULT))
		hz3_os_advise_thp(p, bytes, hz3_thp_wanted());
}

#endif
