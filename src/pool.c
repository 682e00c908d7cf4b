/* Pools: what hz3_arena_create() makes. */
#include "pool.h"

#include <errno.h>
#include <string.h>

#include "decay.h"
#include "extent.h"
#include "large.h"
#include "limit.h"
#include "meta.h"
#include "thread.h"

/*
 * A pool's memory is in the window, of which a run takes twice its alignment, for good: a few of far more would leave no room in it
 * for anybody.
 */
#define ALIGNMENT_MAX ((size_t)1 << 30)

struct hz3_pool {
	struct hz3_lock lock;		/* first: mend() */
	bool live;			/* under the lock; all that follows but next_free as well */
	struct hz3_heap *heap;		/* constant */
	struct hz3_extents extents;
	struct hz3_pool *next_free;	/* under hz3_pools_lock */
};

/* Two levels, as the table of owners (owner.c): by index, which forks go by. */
#define ROW_SHIFT 8
#define ROW_POOLS (1u << ROW_SHIFT)
#define ROWS 4096u

/* What it protects is changed by single stores, in an order that leaves nothing half done. */
struct hz3_lock hz3_pools_lock = HZ3_LOCK_INIT(HZ3_RANK_POOLS, "pools", NULL);
static struct hz3_pool **rows[ROWS];	/* written under hz3_pools_lock, once each, before they are counted */
static _Atomic unsigned made;		/* written under hz3_pools_lock */
static struct hz3_pool *free_pools;	/* under hz3_pools_lock */
static _Atomic unsigned live_pools;	/* relaxed: a statistic */

/* The holder has vanished in the midst of a change: extents by their routes, the heap by its pages. */
static void mend(struct hz3_lock *lock)
{
	struct hz3_pool *pool = (struct hz3_pool *)lock;

	hz3_extents_mend(&pool->extents);
	hz3_heap_mend(pool->heap);
}

/* i: less than the count that the caller has read. */
static struct hz3_pool *pool_at(unsigned i)
{
	return rows[i >> ROW_SHIFT][i & (ROW_POOLS - 1)];
}

static struct hz3_pool *pool_of_owner(uint32_t owner)
{
	struct hz3_extents *extents = hz3_owner_by_id(owner)->heap->extents;

	return (struct hz3_pool *)(void *)((char *)extents - offsetof(struct hz3_pool, extents));
}

static struct hz3_pool **cell_locked(unsigned i)
{
	unsigned row = i >> ROW_SHIFT;

	if (row >= ROWS)
		return NULL;
	if (rows[row] == NULL)
		rows[row] = hz3_meta_alloc(ROW_POOLS * sizeof(*rows[row]));
	return rows[row] ? &rows[row][i & (ROW_POOLS - 1)] : NULL;
}

static struct hz3_pool *make_locked(void)
{
	unsigned i = hz3_atomic_load(&made, relaxed);
	struct hz3_pool **cell = cell_locked(i);
	struct hz3_pool *pool = cell ? hz3_meta_alloc(sizeof(*pool)) : NULL;

	if (pool == NULL)
		return NULL;
	hz3_lock_init(&pool->lock, HZ3_RANK_POOL, "application's arena", mend);
	pool->heap = hz3_heap_new_for_pool(&pool->extents);
	if (pool->heap == NULL) {
		hz3_meta_undo(pool, sizeof(*pool));
		return NULL;
	}
	hz3_flow_name_set(&pool->heap->owner->frees->name, "(arena)");
	*cell = pool;
	/* release: complete before it is counted; pairs with the acquire in hz3_pools_count(). */
	hz3_atomic_store(&made, i + 1, release);
	return pool;
}

static struct hz3_pool *get(void)
{
	hz3_lock(&hz3_pools_lock);
	struct hz3_pool *pool = free_pools;
	if (pool)
		free_pools = pool->next_free;
	else
		pool = make_locked();
	hz3_unlock(&hz3_pools_lock);
	return pool;
}

/* No memory for a new one: once more, with what can be had back. */
static HZ3_NOINLINE struct hz3_pool *reclaim_and_get(void)
{
	hz3_decay_reclaim_for(0);
	struct hz3_pool *pool = get();
	if (pool == NULL)
		hz3_limit_count_failure(0);
	return pool;
}

struct hz3_pool *hz3_pool_create(const struct hz3_os_hooks *hooks, void *context)
{
	int saved_errno = errno;

	if (!hz3_thread_setup())
		return NULL;
	struct hz3_pool *pool = get();
	if (pool == NULL)
		pool = reclaim_and_get();
	if (pool == NULL)
		return NULL;
	errno = saved_errno;
	hz3_lock(&pool->lock);
	hz3_extents_begin(&pool->extents, pool->heap->arena, hooks, context);
	pool->live = true;
	hz3_unlock(&pool->lock);
	hz3_atomic_fetch_add(&live_pools, 1, relaxed);
	return pool;
}

/* For a call that names it. */
static void enter(struct hz3_pool *pool, const char *call)
{
	hz3_lock(&pool->lock);
	hz3_check(pool->live, "%s: arena %p was destroyed", call, (void *)pool);
}

/* The large block's run, ended and given back. */
static void end_large_locked(struct hz3_pool *pool, void *p)
{
	size_t slice, n, bytes = hz3_large_end(p, &slice, &n);

	hz3_extents_free(&pool->extents, slice, n);
	hz3_count_large_free(&pool->heap->counters, bytes);
}

static void wipe_page(struct hz3_page *page)
{
	if (hz3_options.zero_on_free)
		memset(hz3_page_start(page), 0, page->carved * hz3_class_size(page->class));
	if (HZ3_LIVE)
		hz3_live_forget(hz3_page_slice(page), page->slices);
	hz3_page_wipe(page);
}

static void wipe_large_locked(struct hz3_pool *pool, size_t slice)
{
	void *p = hz3_large_block(slice);

	hz3_profile_forget(p, hz3_heap_number(hz3_thread_heap));
	if (hz3_options.zero_on_free)
		memset(p, 0, hz3_large_usable_size(p));
	if (HZ3_LIVE)
		hz3_live_forget(slice, 1);
	end_large_locked(pool, p);
}

static void wipe_run_locked(void *pool, size_t slice)
{
	if (hz3_route_owner(hz3_route_of(slice)))
		wipe_page(hz3_page_at(slice));
	else
		wipe_large_locked(pool, slice);
}

/* All blocks are gone. */
static void empty_locked(struct hz3_pool *pool)
{
	/* Before its pages are wiped: it counts them. */
	hz3_heap_forget_pages(pool->heap);
	hz3_extents_each(&pool->extents, wipe_run_locked, pool);
	hz3_extents_empty(&pool->extents);
}

void hz3_pool_reset(struct hz3_pool *pool)
{
	enter(pool, "hz3_arena_reset");
	empty_locked(pool);
	hz3_unlock(&pool->lock);
}

void hz3_pool_destroy(struct hz3_pool *pool)
{
	enter(pool, "hz3_arena_destroy");
	empty_locked(pool);
	hz3_extents_end(&pool->extents);
	pool->live = false;
	hz3_unlock(&pool->lock);
	hz3_atomic_fetch_sub(&live_pools, 1, relaxed);
	hz3_lock(&hz3_pools_lock);
	pool->next_free = free_pools;
	atomic_signal_fence(memory_order_release);
	free_pools = pool;
	hz3_unlock(&hz3_pools_lock);
}

static void *alloc_small_locked(struct hz3_pool *pool, unsigned class, size_t size)
{
	struct hz3_heap *heap = pool->heap;
	void *p = hz3_page_take(heap->page[class]);

	if (p)
		return p;
	p = hz3_heap_refill(heap, class);
	if (p == NULL)
		p = hz3_heap_refill_fresh(heap, class);
	hz3_count_slow_alloc(&heap->counters, class, size);
	return p;
}

static void *alloc_large_locked(struct hz3_pool *pool, size_t alignment, size_t size)
{
	size_t n = hz3_align_up(size, HZ3_SLICE) >> HZ3_SLICE_SHIFT;
	size_t slice = hz3_extents_alloc(&pool->extents, n, hz3_max(alignment >> HZ3_SLICE_SHIFT, 1));

	if (slice == 0)
		return NULL;
	void *p = hz3_large_place(slice, n, size, alignment);
	hz3_large_set_owner(slice, pool->heap->owner->id);
	hz3_count_large_alloc(&pool->heap->counters, size, hz3_large_usable_size(p));
	return p;
}

/* What is asked for: class < 0 is a large block. */
struct request {
	int class;
	size_t alignment, size;
};

/* One try.  *reclaim: it failed, and memory that others have free may help. */
static void *try_alloc(struct hz3_pool *pool, const struct request *request, bool *reclaim)
{
	enter(pool, "hz3_arena_malloc");
	void *p = request->class >= 0 ? alloc_small_locked(pool, (unsigned)request->class, request->size) :
					alloc_large_locked(pool, request->alignment, request->size);
	*reclaim = p == NULL && !pool->extents.refused;
	hz3_unlock(&pool->lock);
	return p;
}

/* What it needs of memory that is not there yet. */
static size_t bytes_wanted(const struct hz3_pool *pool, const struct request *request)
{
	size_t n = request->class >= 0 ? hz3_class_info[request->class].slices : hz3_align_up(request->size, HZ3_SLICE) >> HZ3_SLICE_SHIFT;

	return hz3_extents_slices(&pool->extents, n) << HZ3_SLICE_SHIFT;
}

static void *alloc(struct hz3_pool *pool, const struct request *request)
{
	int saved_errno = errno;
	bool reclaim;

	void *p = try_alloc(pool, request, &reclaim);
	if (hz3_unlikely(reclaim)) {
		hz3_decay_reclaim_for(bytes_wanted(pool, request));
		p = try_alloc(pool, request, &reclaim);
		if (p == NULL)
			hz3_limit_count_failure(bytes_wanted(pool, request));
	}
	if (hz3_limit_wants_purge())
		hz3_decay_keep_soft_limit();
	errno = p ? saved_errno : ENOMEM;
	if (HZ3_LIVE_BY_ALLOC && request->class >= 0 && p)
		hz3_live_begin(p);
	return p;
}

/* As alloc.c has it: the calling thread's turn, and a large block whatever the size.  Outside of the lock: stacks are walked. */
static void *alloc_sampled(struct hz3_pool *pool, struct request request)
{
	struct hz3_heap *mine = hz3_thread_heap;

	request.class = -1;
	void *p = alloc(pool, &request);
	if (p)
		hz3_profile_add(&mine->profile, p, request.size, mine->owner->id);
	return p;
}

/* Most blocks: the current page of the class has one. */
static void *take_current(struct hz3_pool *pool, unsigned class)
{
	enter(pool, "hz3_arena_malloc");
	void *p = hz3_page_take(pool->heap->page[class]);
	hz3_unlock(&pool->lock);
	if (HZ3_LIVE_BY_ALLOC && p)
		hz3_live_begin(p);
	return p;
}

void *hz3_pool_alloc(struct hz3_pool *pool, size_t alignment, size_t size)
{
	HZ3_FRAMED();
	/* The sum, or a part of it, is rounded up to slices. */
	if (size > PTRDIFF_MAX || alignment > ALIGNMENT_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	size_t rounded = hz3_size_class_align(hz3_max(alignment, HZ3_GRANULE), size);
	struct request request = { .class = -1, .alignment = hz3_max(alignment, HZ3_GRANULE), .size = hz3_max(size, 1) };
	if (rounded <= HZ3_CLASS_SIZE_MAX)
		request.class = (int)hz3_size_class(rounded);
	if (hz3_heap_samples(hz3_thread_heap, request.size))
		return alloc_sampled(pool, request);
	void *p = request.class >= 0 ? take_current(pool, (unsigned)request.class) : NULL;
	return p ? p : alloc(pool, &request);
}

struct hz3_pool *hz3_pool_of(const void *p)
{
	uintptr_t granule = hz3_page_map_granule(p);

	if (!hz3_page_map_covers(granule))
		return NULL;
	uint64_t route = hz3_route_of(granule >> HZ3_SLICE_GRANULES_SHIFT);
	uint32_t owner = hz3_route_is_pool(route) ? hz3_route_owner(route) : hz3_large_owner(p);
	return owner ? pool_of_owner(owner) : NULL;
}

void hz3_pool_free_block(void *p, size_t slice, uint64_t route)
{
	struct hz3_pool *pool = pool_of_owner(hz3_route_owner(route));
	struct hz3_page *page = hz3_page_at(slice - hz3_route_offset(route));

	hz3_lock(&pool->lock);
	hz3_check(hz3_route_of(slice) == route, "free: %p is in memory that is not in use: its arena was reset or destroyed", p);
	hz3_check(hz3_class_is_block_start(hz3_route_class(route), (uintptr_t)p - (uintptr_t)hz3_page_start(page)),
		  "free: %p is inside a page, and not the start of a block", p);
	if (hz3_heap_free_local(page, p))
		hz3_heap_page_event(pool->heap, page);
	hz3_unlock(&pool->lock);
}

void hz3_pool_free_large(void *p, uint32_t owner)
{
	struct hz3_pool *pool = pool_of_owner(owner);

	hz3_lock(&pool->lock);
	end_large_locked(pool, p);
	hz3_unlock(&pool->lock);
}

void *hz3_pool_resize_large(void *p, uint32_t owner, size_t size)
{
	struct hz3_pool *pool = pool_of_owner(owner);

	hz3_lock(&pool->lock);
	size_t before = hz3_large_usable_size(p);
	void *q = hz3_large_resize(p, size, hz3_heap_number(hz3_thread_heap));
	if (q)
		hz3_count_large_resize(&pool->heap->counters, before, size, hz3_large_usable_size(q));
	hz3_unlock(&pool->lock);
	return q;
}

/* What is carved, and not free, is live. */
static void count_run(void *arg, size_t slice)
{
	struct hz3_arena_stats *stats = arg;

	if (hz3_route_owner(hz3_route_of(slice))) {
		const struct hz3_page *page = hz3_page_at(slice);
		size_t live = page->carved - hz3_page_count_free(page);
		stats->blocks += live;
		stats->allocated += live * hz3_class_size(page->class);
	} else {
		stats->blocks++;
		stats->allocated += hz3_large_usable_size(hz3_large_block(slice));
	}
}

void hz3_pool_stats(struct hz3_pool *pool, struct hz3_arena_stats *stats)
{
	*stats = (struct hz3_arena_stats){ 0 };
	enter(pool, "hz3_arena_stats");
	hz3_extents_each(&pool->extents, count_run, stats);
	stats->mapped = pool->extents.mapped_slices << HZ3_SLICE_SHIFT;
	stats->active = pool->extents.used_slices << HZ3_SLICE_SHIFT;
	stats->maps = pool->extents.maps;
	stats->unmaps = pool->extents.unmaps;
	hz3_unlock(&pool->lock);
}

/* The i-th pool, locked, if it is live. */
static struct hz3_pool *lock_live(unsigned i)
{
	struct hz3_pool *pool = pool_at(i);

	hz3_lock(&pool->lock);
	if (pool->live)
		return pool;
	hz3_unlock(&pool->lock);
	return NULL;
}

unsigned hz3_pools_count(void)
{
	/* acquire: pairs with the release in make_locked(); the pools are there. */
	return hz3_atomic_load(&made, acquire);
}

size_t hz3_pools_purge(bool hooked)
{
	unsigned n = hz3_pools_count();
	size_t bytes = 0;

	for (unsigned i = 0; i < n; i++) {
		struct hz3_pool *pool = lock_live(i);
		if (pool == NULL)
			continue;
		if (hooked || pool->extents.hooks.map == NULL) {
			hz3_heap_trim(pool->heap);
			bytes += hz3_extents_trim(&pool->extents);
		}
		hz3_unlock(&pool->lock);
	}
	return bytes;
}

struct each_page {
	void (*look)(void *arg, const struct hz3_page *page);
	void *arg;
};

static void look_at_page(void *arg, size_t slice)
{
	struct each_page *each = arg;

	if (hz3_route_owner(hz3_route_of(slice)))
		each->look(each->arg, hz3_page_at(slice));
}

void hz3_pools_each(void (*look_heap)(void *arg, const struct hz3_heap *heap), void (*look_page)(void *arg, const struct hz3_page *page),
		    void *arg)
{
	struct each_page each = { look_page, arg };
	unsigned n = hz3_pools_count();

	for (unsigned i = 0; i < n; i++) {
		struct hz3_pool *pool = pool_at(i);
		hz3_lock(&pool->lock);
		look_heap(arg, pool->heap);
		/* One that was destroyed has no extents. */
		hz3_extents_each(&pool->extents, look_at_page, &each);
		hz3_unlock(&pool->lock);
	}
}

unsigned hz3_pools_live(void)
{
	return hz3_atomic_load(&live_pools, relaxed);
}

struct hz3_lock *hz3_pool_lock(unsigned i)
{
	return &pool_at(i)->lock;
}
