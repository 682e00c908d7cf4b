/*
 * Heaps of three-block pages, for the interleaver: what heap.c, sink_page.c, sink_central.c, scavenge.c, stats.c and abandon.c do
 * to the shared words, step by step, with the lines of page_remote.h and owner.h; of the rest as little as is needed to see a
 * block lost, delivered twice or touched by two.
 */
#ifndef HZ3_INTERLEAVE_MINI_HEAP_H
#define HZ3_INTERLEAVE_MINI_HEAP_H

#include "owner.h"
#include "page_remote.h"

#include <string.h>

#define PAGES 2			/* by slice, from 1 */
#define CAPACITY 3
#define OWNERS 2		/* by id, from 1 */

enum state { CURRENT, AWAKE, ASLEEP, EMPTY };
enum where { HELD, SENT, FREE };
enum sink { CENTRAL, PAGE, SINKS };

struct page {
	struct hz3_page_remote remote;
	_Atomic uint64_t route;			/* the owner's id; 0: nobody's */
	struct hz3_block *free;
	uint64_t free_count, state;
	uint64_t where[CAPACITY];		/* the test's: written by whoever has the block */
	char blocks[CAPACITY * HZ3_GRANULE];
};

static struct {
	struct hz3_owner owner[OWNERS + 1];
	struct page page[PAGES + 1];
	_Atomic uint32_t drain_wanted;
} all;

static uint32_t wake_count;

/* ---- Set-up: all pages are owner 1's, all of their blocks are held by somebody ---- */

static inline void mini_set_up(uint32_t wake, enum state state)
{
	memset(&all, 0, sizeof(all));
	wake_count = wake;
	for (uint32_t id = 1; id <= OWNERS; id++)
		all.owner[id].id = id;
	for (uint32_t slice = 1; slice <= PAGES; slice++) {
		hz3_atomic_store(&all.page[slice].route, 1, release);
		all.page[slice].state = state;
		hz3_remote_set_asleep(&all.page[slice].remote, state == ASLEEP);
	}
	il_share(&all.page, sizeof(all.page));
}

/* A block of a page that is free from the start. */
static inline void mini_set_free(uint32_t slice, uint32_t at)
{
	struct page *page = &all.page[slice];
	struct hz3_block *block = hz3_block_at(page->blocks, at);

	block->next = page->free;
	page->free = block;
	page->free_count++;
	page->where[at] = FREE;
}

/* ---- Sending ---- */

/* Neighbouring blocks of a page, linked. */
struct chain {
	uint32_t slice;
	struct hz3_remote_list list;
};

static inline struct hz3_chain chain_of(struct page *page, struct hz3_remote_list list)
{
	struct hz3_chain chain = { hz3_block_at(page->blocks, list.first), hz3_block_at(page->blocks, list.last), list.count };

	return chain;
}

static inline struct chain make_chain(uint32_t slice, uint32_t first, uint32_t count)
{
	struct page *page = &all.page[slice];
	struct chain chain = { slice, { first, first + count - 1, count } };

	for (uint32_t i = first; i < first + count; i++) {
		il_check(page->where[i] == HELD, "block %u of page %u is freed, and not held", i, slice);
		page->where[i] = SENT;
		hz3_block_at(page->blocks, i)->next = i + 1 < first + count ? hz3_block_at(page->blocks, i + 1) : NULL;
	}
	return chain;
}

struct link_context {
	struct page *page;
	struct hz3_block *last;
};

static inline void link_tail(void *context, struct hz3_remote_list old)
{
	struct link_context *link = context;

	link->last->next = old.count ? hz3_block_at(link->page->blocks, old.first) : NULL;
}

/* sink_page.c: push_chain() */
static inline enum hz3_push_result push_chain(struct chain chain, uint32_t whole)
{
	struct page *page = &all.page[chain.slice];
	struct link_context context = { page, hz3_block_at(page->blocks, chain.list.last) };
	struct hz3_push push = { .chain = chain.list, .wake = wake_count, .whole = whole, .link = link_tail, .context = &context };
	enum hz3_push_result result = hz3_remote_push(&page->remote, &push);

	if (result == HZ3_PUSH_CLAIMED && !hz3_remote_is_asleep(&page->remote)) {
		link_tail(&context, push.old);
		if (push.old.count) {
			context.last = hz3_block_at(page->blocks, push.old.last);
			push.chain.last = push.old.last;
			push.chain.count += push.old.count;
		}
		push.whole = 0;
		result = hz3_remote_push(&page->remote, &push);
	}
	return result;
}

static inline void requeue(uint32_t owner, uint32_t slice)
{
	hz3_queue_push(&all.owner[owner].inbox.page_queue, slice, &all.page[slice].remote);
}

/* sink_page.c: hz3_pages_post().  Returns a page that was claimed, or 0. */
static inline uint32_t pages_post(uint32_t owner, const struct chain *chains, unsigned n, uint32_t whole)
{
	uint32_t first = 0, last = 0, claimed = 0;

	for (unsigned i = 0; i < n; i++) {
		uint32_t slice = chains[i].slice;
		enum hz3_push_result result = push_chain(chains[i], whole);

		if (result == HZ3_PUSH_CLAIMED)
			claimed = slice;
		if (result != HZ3_PUSHED_QUEUE)
			continue;
		hz3_atomic_store(&all.page[slice].remote.queue_next, first, relaxed);
		last = first ? last : slice;
		first = slice;
	}
	if (first)
		hz3_queue_push(&all.owner[owner].inbox.page_queue, first, &all.page[last].remote);
	return claimed;
}

/* sink_central.c: hz3_central_post() */
static inline void central_post(uint32_t owner, const struct chain *chains, unsigned n)
{
	struct hz3_message *first = NULL, *last = NULL;

	for (unsigned i = 0; i < n; i++) {
		struct page *page = &all.page[chains[i].slice];
		struct hz3_message *message = hz3_message_from_chain(page->blocks, chain_of(page, chains[i].list));
		message->next = first;
		last = first ? last : message;
		first = message;
	}
	hz3_stash_push(&all.owner[owner].inbox.stash, first, last);
}

static inline void request_drain(void)
{
	hz3_atomic_store(&all.drain_wanted, 1, seq_cst);
}

/* sink.c: slot_post() */
static inline uint32_t post(uint32_t owner, enum sink sink, const struct chain *chains, unsigned n, uint32_t whole)
{
	uint32_t claimed = 0;

	if (sink == PAGE)
		claimed = pages_post(owner, chains, n, whole);
	else
		central_post(owner, chains, n);
	if (!hz3_owner_note_post(&all.owner[owner]))
		request_drain();
	return claimed;
}

/* A chain of blocks to the owner of their page, whoever that is. */
static inline uint32_t send(enum sink sink, uint32_t slice, uint32_t first, uint32_t count, uint32_t whole)
{
	struct chain chain = make_chain(slice, first, count);
	uint32_t owner = (uint32_t)hz3_atomic_load(&all.page[slice].route, relaxed);

	return post(owner, sink, &chain, 1, whole);
}

/* ---- The owner ---- */

/* Blocks that have arrived, by whom that may be. */
static inline void arrive(struct page *page, struct hz3_chain chain)
{
	struct hz3_block *block = chain.first;

	for (uint32_t i = 0; i < chain.count; i++, block = block->next) {
		uintptr_t at = (uintptr_t)block - (uintptr_t)page->blocks;
		il_check(at < sizeof(page->blocks) && at % HZ3_GRANULE == 0, "a link leads astray");
		il_check(page->where[at / HZ3_GRANULE] == SENT, "block %zu came and was not sent", (size_t)at / HZ3_GRANULE);
		page->where[at / HZ3_GRANULE] = FREE;
		if (i == chain.count - 1)
			il_check(block == chain.last, "the last block is another");
	}
}

/* heap.c: page_emptied() */
static inline void page_emptied(struct page *page)
{
	if (!hz3_remote_is_clear(&page->remote))
		return;
	page->state = EMPTY;
	page->free = NULL;
	page->free_count = 0;
	hz3_atomic_store(&page->route, 0, release);
	hz3_remote_set_asleep(&page->remote, false);
}

/* heap.c: deliver() */
static inline void deliver(struct page *page, struct hz3_chain chain)
{
	arrive(page, chain);
	if (chain.count) {
		chain.last->next = page->free;
		page->free = chain.first;
		page->free_count += chain.count;
	}
	il_check(page->free_count <= CAPACITY, "too many blocks");
	if (page->state == ASLEEP && page->free_count >= wake_count) {
		hz3_remote_set_asleep(&page->remote, false);
		page->state = AWAKE;
	}
	if (page->state == AWAKE && page->free_count == CAPACITY)
		page_emptied(page);
}

static inline struct page *page_of(const void *block)
{
	for (uint32_t slice = 1; slice <= PAGES; slice++)
		if ((uintptr_t)block - (uintptr_t)all.page[slice].blocks < sizeof(all.page[slice].blocks))
			return &all.page[slice];
	il_check(false, "a message leads astray");
}

static inline struct chain chain_from_message(struct hz3_message *message)
{
	struct page *page = page_of(message);
	struct hz3_chain chain = hz3_message_to_chain(page->blocks, message);
	struct chain made = { (uint32_t)(page - all.page),
			      { hz3_block_granule(page->blocks, chain.first), hz3_block_granule(page->blocks, chain.last),
				chain.count } };

	return made;
}

/* heap.c: what drain_pending() does with a chain. */
static inline void take_in(uint32_t me, struct chain chain)
{
	struct page *page = &all.page[chain.slice];
	uint32_t owner = (uint32_t)hz3_atomic_load(&page->route, relaxed);

	il_check(owner != 0, "a page that was given back is in a queue");
	if (owner == me)
		deliver(page, chain_of(page, chain.list));
	else if (chain.list.count)
		post(owner, PAGE, &chain, 1, 0);		/* forward() */
}

/* heap.c: drain_pending(), and what it calls of the sinks; so many chains. */
static inline void drain_pending(uint32_t me, unsigned budget)
{
	struct hz3_owner *owner = &all.owner[me];
	_Atomic(struct hz3_message *) *stash = hz3_inbox_next_stash(&owner->inbox);
	struct hz3_message *message = stash ? hz3_stash_take(stash) : NULL;
	_Atomic uint32_t *queue = hz3_inbox_next_queue(&owner->inbox);
	uint32_t slice = queue ? hz3_queue_take(queue) : 0;

	for (; budget && (message || slice); budget--) {
		if (message) {
			struct hz3_message *next = message->next;
			take_in(me, chain_from_message(message));
			message = next;
			continue;
		}
		uint32_t next;
		bool asleep;
		il_check(slice <= PAGES, "a queue leads astray");
		struct hz3_remote_list list = hz3_remote_unqueue(&all.page[slice].remote, &next, &asleep);
		/* Asleep, and nothing in it: no longer the owner's business. */
		if (list.count || !asleep)
			take_in(me, (struct chain){ slice, list });
		slice = next;
	}
	hz3_inbox_leave(&owner->inbox, message, slice);
	if (message || slice)
		hz3_owner_note_post(owner);
}

static inline void drain(uint32_t me, unsigned budget)
{
	if (hz3_inbox_pending(&all.owner[me].inbox))
		drain_pending(me, budget);
}

#define ALL 100

/* heap.c: hz3_heap_drain_all() */
static inline void drain_all(uint32_t me)
{
	struct hz3_owner *owner = &all.owner[me];

	if (hz3_owner_was_posted(owner))
		hz3_owner_clear_posted(owner);
	do
		drain(me, ALL);
	while (hz3_inbox_pending(&owner->inbox));
}

/* heap.c: hz3_heap_refill(), of a class whose current page is this.  False: it is no longer. */
static inline bool refill(uint32_t me, uint32_t slice)
{
	struct page *page = &all.page[slice];

	drain(me, ALL);
	if (page->free)
		return true;
	struct hz3_remote_list list = hz3_remote_peel(&page->remote);
	if (list.count) {
		deliver(page, chain_of(page, list));
		return true;
	}
	page->state = ASLEEP;
	hz3_remote_set_asleep(&page->remote, true);
	return false;
}

/* heap.c: peel() of an awake page */
static inline void peel(uint32_t slice)
{
	struct page *page = &all.page[slice];
	struct hz3_remote_list list = { 0, 0, 0 };

	if (page->state == AWAKE)
		list = hz3_remote_peel(&page->remote);
	if (list.count)
		deliver(page, chain_of(page, list));
	else if (page->state == AWAKE && page->free_count == CAPACITY)
		page_emptied(page);
}

/* page.c: hz3_page_format(); all blocks are free. */
static inline void format(uint32_t me, uint32_t slice)
{
	struct page *page = &all.page[slice];

	page->state = CURRENT;
	page->free = NULL;
	page->free_count = 0;
	hz3_remote_reset(&page->remote);
	hz3_atomic_store(&page->route, me, release);
	for (uint32_t i = 0; i < CAPACITY; i++)
		mini_set_free(slice, i);
}

/* heap.c: hz3_heap_take_page(); the caller holds every block, in whatever list. */
static inline void take_page(uint32_t slice)
{
	struct page *page = &all.page[slice];

	for (uint32_t i = 0; i < CAPACITY; i++) {
		il_check(page->where[i] == SENT || page->where[i] == HELD, "a free block in a page that is taken");
		page->where[i] = FREE;
	}
	il_check(page->state == ASLEEP, "a page that is taken isn't asleep");
	il_check(page->free_count == 0, "a page that is taken has free blocks");
	page->state = EMPTY;
	hz3_atomic_store(&page->route, 0, release);
	hz3_remote_set_asleep(&page->remote, false);
}

static inline void take_claimed(uint32_t slice)
{
	if (slice)
		take_page(slice);
}

/* ---- Others ---- */

/* scavenge.c: move_stash() */
static inline void move_stash(uint32_t owner, _Atomic(struct hz3_message *) *stash)
{
	struct chain chains[PAGES * CAPACITY];
	unsigned n = 0;

	if (!hz3_stash_seems_full(stash))
		return;
	for (struct hz3_message *message = hz3_stash_take(stash), *next; message; message = next) {
		next = message->next;
		il_check(n < PAGES * CAPACITY, "a stash that does not end");
		chains[n++] = chain_from_message(message);
	}
	take_claimed(pages_post(owner, chains, n, CAPACITY));
}

/* scavenge.c: try_page() */
static inline void try_page(uint32_t owner, uint32_t slice)
{
	struct page *page = &all.page[slice];

	if (!hz3_remote_seems_whole(&page->remote, CAPACITY)) {
		requeue(owner, slice);
		return;
	}
	struct hz3_remote_list list = hz3_remote_take(&page->remote);
	if (list.count == CAPACITY && hz3_remote_is_asleep(&page->remote)) {
		take_page(slice);
		return;
	}
	if (list.count && push_chain((struct chain){ slice, list }, 0) == HZ3_PUSHED_QUEUE)
		requeue(owner, slice);
}

static inline void try_queue(uint32_t owner, _Atomic uint32_t *queue)
{
	if (!hz3_queue_seems_full(queue))
		return;
	for (uint32_t slice = hz3_queue_take(queue), next; slice; slice = next) {
		next = hz3_atomic_load(&all.page[slice].remote.queue_next, relaxed);
		try_page(owner, slice);
	}
}

/* scavenge.c: scavenge_owner() */
static inline void scavenge(uint32_t id)
{
	struct hz3_owner *owner = &all.owner[id];

	hz3_owner_clear_posted(owner);
	move_stash(id, &owner->inbox.stash);
	move_stash(id, &owner->inbox.stash_rest);
	try_queue(id, &owner->inbox.page_queue);
	try_queue(id, &owner->inbox.queue_rest);
	if (!hz3_owner_runs(owner)) {
		hz3_owner_note_post(owner);
		request_drain();
	}
}

/* stats.c: add_sleeping_page(), of a page that was the owner's. */
static inline void look_at(uint32_t id, uint32_t slice)
{
	struct page *page = &all.page[slice];
	bool undo;

	if (!hz3_remote_is_asleep(&page->remote) || !hz3_remote_hold(&page->remote, &undo))
		return;
	uint32_t route = (uint32_t)hz3_atomic_load(&page->route, relaxed);
	if (route == id && hz3_remote_is_asleep(&page->remote))
		il_check(page->state == ASLEEP, "a page that is held isn't asleep");
	if (undo && hz3_remote_unhold(&page->remote, route ? wake_count : 1))
		requeue((uint32_t)hz3_atomic_load(&page->route, relaxed), slice);
}

/* ---- The end ---- */

/* Everybody has gone home, and the owners have drained once more: nothing may be where nobody looks. */
static inline void check_settled(void)
{
	for (uint32_t id = 1; id <= OWNERS; id++)
		drain_all(id);
	for (uint32_t slice = 1; slice <= PAGES; slice++) {
		struct page *page = &all.page[slice];
		uint64_t word = hz3_atomic_load(&page->remote.word, relaxed);
		il_check(!(word & HZ3_REMOTE_QUEUED), "page %u: queued for ever", slice);
		il_check(hz3_remote_count(word) < wake_count, "page %u: %u blocks that nobody is told of", slice,
			 hz3_remote_count(word));
		if (hz3_remote_count(word))
			arrive(page, chain_of(page, hz3_remote_take(&page->remote)));
		for (uint32_t i = 0; i < CAPACITY; i++)
			il_check(page->where[i] != SENT, "page %u: block %u is lost", slice, i);
		if (page->state == AWAKE)
			il_check(page->free_count < CAPACITY, "page %u is empty, and not given back", slice);
	}
}

#endif
