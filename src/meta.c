/* Memory for hz3's own long-lived structures. */
#include "meta.h"

#include <stdint.h>
#include <string.h>

#include "atomic.h"
#include "base.h"
#include "limit.h"
#include "os_kept.h"
#include "os_memory.h"
#include "os_resident.h"

#define META_CHUNK ((size_t)64 << 10)

static void mend(struct hz3_lock *lock);

struct hz3_lock hz3_meta_lock = HZ3_LOCK_INIT(HZ3_RANK_META, "meta", mend);

/* At the start of every chunk. */
struct chunk {
	struct chunk *next;		/* an older one */
	size_t bytes;
};

static char *chunk;			/* under hz3_meta_lock, as the next two */
static size_t chunk_left;
static struct chunk *chunks;
static _Atomic size_t mapped_bytes;	/* relaxed: a statistic */

void hz3_meta_note(size_t bytes)
{
	hz3_atomic_fetch_add(&mapped_bytes, bytes, relaxed);
}

void *hz3_meta_map(size_t bytes)
{
	if (!hz3_limit_take(bytes))
		return NULL;
	void *p = hz3_os_map(bytes, hz3_os_page_size);
	if (p)
		hz3_meta_note(bytes);
	else
		hz3_limit_give(bytes);
	return p;
}

void hz3_meta_unmap(void *p, size_t bytes)
{
	hz3_meta_note(-bytes);
	hz3_os_discard(p, bytes);
	hz3_limit_give(bytes);
}

size_t hz3_meta_bytes(void)
{
	return hz3_atomic_load(&mapped_bytes, relaxed);
}

/* What is left of the chunk may have been given out already. */
static void mend(struct hz3_lock *lock)
{
	(void)lock;
	chunk = NULL;
	chunk_left = 0;
}

static void *alloc_locked(size_t bytes)
{
	if (bytes > chunk_left) {
		size_t want = hz3_align_up(hz3_max(bytes + HZ3_CACHE_LINE, META_CHUNK), hz3_os_page_size);
		char *fresh = hz3_meta_map(want);
		if (fresh == NULL)
			return NULL;
		*(struct chunk *)(void *)fresh = (struct chunk){ chunks, want };
		atomic_signal_fence(memory_order_release);
		chunks = (struct chunk *)(void *)fresh;
		chunk = fresh + HZ3_CACHE_LINE;
		chunk_left = want - HZ3_CACHE_LINE;
	}
	void *p = chunk;
	chunk += bytes;
	chunk_left -= bytes;
	return p;
}

void *hz3_meta_alloc(size_t bytes)
{
	bytes = hz3_align_up(bytes, HZ3_CACHE_LINE);
	hz3_lock(&hz3_meta_lock);
	void *p = alloc_locked(bytes);
	hz3_unlock(&hz3_meta_lock);
	return p;
}

void hz3_meta_undo(void *p, size_t bytes)
{
	bytes = hz3_align_up(bytes, HZ3_CACHE_LINE);
	/* What is handed out next has to be zero. */
	memset(p, 0, bytes);
	hz3_lock(&hz3_meta_lock);
	if ((char *)p + bytes == chunk) {
		chunk = p;
		chunk_left += bytes;
	}
	hz3_unlock(&hz3_meta_lock);
}

size_t hz3_meta_resident(void)
{
	size_t bytes = 0;

	hz3_lock(&hz3_meta_lock);
	struct chunk *first = chunks;
	hz3_unlock(&hz3_meta_lock);
	/* They stay, and older ones don't change. */
	for (struct chunk *c = first; c; c = c->next)
		bytes += hz3_os_resident_of(c, c->bytes);
	return bytes;
}
