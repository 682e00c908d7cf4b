/*
 * Mappings that the system would not take back.
 *
 * Neighbouring mappings are one to the system, and to unmap the middle of one makes two, which it refuses to a process that
 * has as many as it may have (vm.max_map_count).  What was to be unmapped then is kept in a list, without memory but for the page
 * that has the link, until it can be unmapped or is of use.
 *
 * Any thread may call this; the list is only pushed to and taken whole, so that no element comes back while somebody looks
 * at it.  The forking thread's child may lose what another thread has taken at that moment.
 */
#include "os_kept.h"

#include "atomic.h"
#include "os_memory.h"

/* At the start of the mapping; written before the push and read after the taking, which are ordered by release and acquire. */
struct kept {
	struct kept *next;
	size_t bytes;
};

static _Atomic(struct kept *) kept_list;
static _Atomic size_t kept_bytes; /* relaxed: a statistic */

static void push(struct kept *kept)
{
	struct kept *first = hz3_atomic_load(&kept_list, relaxed);

	do {
		kept->next = first;
	} while (!hz3_atomic_cas_weak(&kept_list, &first, kept, release, relaxed));
}

static struct kept *take_all(void)
{
	/* relaxed: a hint, which saves the exchange. */
	if (hz3_atomic_load(&kept_list, relaxed) == NULL)
		return NULL;
	return hz3_atomic_exchange(&kept_list, NULL, acquire);
}

static void count(size_t bytes)
{
	hz3_atomic_fetch_add(&kept_bytes, bytes, relaxed);
}

static void keep(void *p, size_t bytes)
{
	struct kept *kept = p;

	/* If it can't be purged either, it keeps its memory as well. */
	if (bytes > hz3_os_page_size)
		(void)hz3_os_purge((char *)p + hz3_os_page_size, bytes - hz3_os_page_size);
	kept->bytes = bytes;
	push(kept);
}

void hz3_os_discard(void *p, size_t bytes)
{
	if (hz3_os_unmap(p, bytes) == 0) {
		/* What this was the neighbour of may be the end of a mapping now. */
		hz3_os_retry_kept();
		return;
	}
	count(bytes);
	keep(p, bytes);
}

void hz3_os_retry_kept(void)
{
	for (struct kept *kept = take_all(), *next; kept != NULL; kept = next) {
		size_t bytes = kept->bytes;

		next = kept->next;
		if (hz3_os_unmap(kept, bytes) == 0)
			count(-bytes);
		else
			push(kept);
	}
}

/* Where in a kept mapping so many aligned bytes are, or NULL. */
static char *place_in(struct kept *kept, size_t bytes, size_t alignment)
{
	size_t skip = -(uintptr_t)kept & (alignment - 1);

	return skip < kept->bytes && kept->bytes - skip >= bytes ? (char *)kept + skip : NULL;
}

/* Use a part of it; what is before and behind stays kept. */
static void cut(struct kept *kept, char *p, size_t bytes)
{
	size_t before = (size_t)(p - (char *)kept), behind = kept->bytes - before - bytes;

	count(-bytes);
	if (behind > 0)
		keep(p + bytes, behind);
	if (before > 0)
		keep(kept, before);
}

void *hz3_os_map_kept(size_t bytes, size_t alignment)
{
	char *found = NULL, *p;

	for (struct kept *kept = take_all(), *next; kept != NULL; kept = next) {
		next = kept->next;
		p = found == NULL ? place_in(kept, bytes, alignment) : NULL;
		if (p == NULL) {
			push(kept);
			continue;
		}
		cut(kept, p, bytes);
		found = p;
	}
	return found;
}

size_t hz3_os_kept(void)
{
	return hz3_atomic_load(&kept_bytes, relaxed);
}
