/* What the public functions call in a build with --enable-safety-checks. */
#include "safety.h"

#include <errno.h>
#include <string.h>

#include "delayed.h"

/* A block as it is found when a call names it. */
struct found {
	size_t bytes;			/* in all */
	size_t size;			/* as asked for */
	bool in_page;
};

/* The largest request; what is larger has no room for its tail. */
#define SIZE_LIMIT ((size_t)PTRDIFF_MAX - HZ3_SEAL_TAIL)

static void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

static bool in_window(const void *p)
{
	return hz3_page_map_covers(hz3_page_map_granule(p));
}

/* A block that was just got, of memory that may have been somebody's before, becomes the caller's. */
static void *begin(void *p, size_t size)
{
	if (p == NULL)
		return NULL;
	size_t bytes = hz3_alloc_size_for("malloc", p);
	hz3_seal_end(p, bytes, size);
	if (in_window(p))
		hz3_live_begin(p);
	return p;
}

/* The same for one of a page, whose filling must be as it was. */
static void *begin_filled(void *p, size_t size)
{
	if (p == NULL)
		return NULL;
	if (in_window(p)) {
		int class = hz3_alloc_class_for("malloc", p);
		hz3_check(class < 0 || hz3_seal_is_filled(p, hz3_class_size((unsigned)class)), HZ3_DAMAGED, p);
	}
	return begin(p, size);
}

void *hz3_checked_alloc(size_t size)
{
	return size <= SIZE_LIMIT ? begin_filled(hz3_alloc(size + HZ3_SEAL_TAIL), size) : no_memory();
}

void *hz3_checked_alloc_zero(size_t size)
{
	if (size > SIZE_LIMIT)
		return no_memory();
	if (size + HZ3_SEAL_TAIL > HZ3_CLASS_SIZE_MAX)
		return begin(hz3_alloc_zero(size + HZ3_SEAL_TAIL), size);
	void *p = hz3_checked_alloc(size);
	if (p)
		memset(p, 0, size);
	return p;
}

void *hz3_checked_alloc_aligned(size_t alignment, size_t size)
{
	return size <= SIZE_LIMIT ? begin_filled(hz3_alloc_aligned(alignment, size + HZ3_SEAL_TAIL), size) : no_memory();
}

void *hz3_checked_pool_alloc(struct hz3_pool *pool, size_t alignment, size_t size)
{
	return size <= SIZE_LIMIT ? begin_filled(hz3_pool_alloc(pool, alignment, size + HZ3_SEAL_TAIL), size) : no_memory();
}

/* What is at p, of which the call says that it is a block. */
static struct found find(const char *call, const void *p)
{
	struct found found = { .bytes = hz3_alloc_size_for(call, p) };

	found.in_page = in_window(p) && hz3_alloc_class_for(call, p) >= 0;
	return found;
}

static void check_end(const char *call, const void *p, struct found *found)
{
	enum hz3_seal_state state = hz3_seal_look(p, found->bytes, &found->size);

	hz3_check(state != HZ3_SEAL_OVERRUN, "%s: block %p was written to behind its end: it has %zu bytes", call, p,
		  found->size);
	hz3_check(state == HZ3_SEAL_WHOLE, "%s: block %p was written to behind its end", call, p);
}

/* A live block, which stays it. */
static struct found look(const char *call, const void *p)
{
	struct found found = find(call, p);

	hz3_check(!in_window(p) || hz3_live_test(p), "%s: %p was freed before, or never handed out", call, p);
	check_end(call, p, &found);
	return found;
}

/* The end of a block's life.  Of two who call it for the same block, whatever their threads, one dies. */
static struct found end(const char *call, void *p)
{
	struct found found = find(call, p);

	hz3_check(!in_window(p) || hz3_live_end(p), "%s: %p was freed before, or never handed out", call, p);
	check_end(call, p, &found);
	return found;
}

/*
 * To the end of the heap's queue.  Entered only for the child of a fork: it lets go of heaps whose threads were about to change
 * something.  Whether the buffer is lent is no matter.
 */
static void delay(struct hz3_heap *heap, struct hz3_block *block, size_t bytes)
{
	(void)hz3_heap_enter(heap);
	hz3_delayed_add(heap, block, bytes);
	hz3_heap_leave(heap);
	while ((block = hz3_delayed_take(heap, hz3_options.delayed_reuse)) != NULL)
		hz3_alloc_free(block);
}

static void dispose(void *p, const struct found *found)
{
	if (found->in_page) {
		hz3_seal_fill(p, found->bytes);
		struct hz3_heap *heap = hz3_thread_heap;
		/* Not a pool's: it may be reset while the block waits. */
		if (hz3_options.delayed_reuse && heap->owner && hz3_pool_of(p) == NULL) {
			delay(heap, p, found->bytes);
			return;
		}
	}
	hz3_alloc_free(p);
}

void hz3_checked_free(void *p)
{
	if (p == NULL)
		return;
	struct found found = end("free", p);
	dispose(p, &found);
}

void hz3_checked_free_sized(const char *call, void *p, size_t size)
{
	if (p == NULL)
		return;
	struct found found = end(call, p);
	hz3_check(size == found.size, "%s: block %p has %zu bytes, not %zu", call, p, found.size, size);
	dispose(p, &found);
}

size_t hz3_checked_usable_size(const void *p)
{
	return p ? look("malloc_usable_size", p).size : 0;
}

void *hz3_checked_resize(void *p, size_t size)
{
	struct found found = look("realloc", p);

	if (size > SIZE_LIMIT)
		return NULL;
	void *q = found.in_page ? p : hz3_alloc_resize_large(p, size + HZ3_SEAL_TAIL);
	/* In a page: the same block while it fits and at least half of it is used. */
	if (found.in_page && (size + HZ3_SEAL_TAIL > found.bytes || size + HZ3_SEAL_TAIL < found.bytes / 2))
		return NULL;
	if (q)
		hz3_seal_end(q, hz3_alloc_size_for("realloc", q), size);
	return q;
}
