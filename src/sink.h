/*
 * How a batch of remote frees reaches its owner: the contract, and the choice between two implementations.
 *
 *   central  sink_central.c   a stash per owner; a list of messages is posted with one CAS.
 *   page     sink_page.c      (S121) each chain is pushed into the word of its page; pages over their wake count are
 *                             posted as a list, with one CAS, to the page queue of the owner.
 *
 * Sending: a thread adds chains to its outbox, as messages (block.h), and posts the outbox when it flushes.  Draining: the owner collects what was
 * posted to it and takes chains from it one by one.  Both sinks may hold blocks of the same page at the same time, and
 * the choice can change while threads send and drain: it only says where the next chain goes.
 *
 * Blocks in an outbox, a sink or an inflow count as in use: their page cannot be retired.
 */
#ifndef HZ3_SINK_H
#define HZ3_SINK_H

#include "block.h"
#include "counters.h"
#include "flow.h"
#include "options.h"
#include "owner.h"
#include "page.h"

/* The choice in force for chains sent from now on.  Any thread; takes effect at each thread's next chain. */
enum hz3_sink_choice hz3_sink_mode(void);
void hz3_sink_set_mode(int mode);

/* Whether remote frees are batched at all. */
bool hz3_sink_batch(void);
void hz3_sink_set_batch(bool batch);

/* Has this process ever posted a remote free?  A hint. */
bool hz3_sink_used(void);

/* Take both from the options: once, at set-up. */
void hz3_sink_init(void);

/* Messages that go the same way. */
struct hz3_mail {
	struct hz3_message *first, *last;
	uint32_t chains, blocks;
};

/* What waits for one owner in an outbox.  Thread-private. */
struct hz3_outbox_slot {
	uint32_t owner;				/* 0: the slot is free */
	struct hz3_flow *flow;			/* where chains for this owner are counted */
	struct hz3_mail mail[HZ3_SINKS];
};

#define HZ3_OUTBOX_SLOTS 64

struct hz3_outbox {
	uint64_t used;				/* a bit per slot */
	struct hz3_outbox_slot slot[HZ3_OUTBOX_SLOTS];
	struct hz3_flows flows;
};

/* What came of posting. */
struct hz3_posted {
	struct hz3_page_list claimed;		/* pages that the poster holds whole now; it must wipe them */
	bool to_parked;				/* something went to an owner that isn't running */
};

/*
 * Add a chain of the page to the outbox.  If its slot is taken by another owner, that one is posted first.
 * The blocks are gone for the caller.
 */
void hz3_sink_send(struct hz3_outbox *outbox, struct hz3_page *page, struct hz3_chain chain,
		   struct hz3_counters *counters, struct hz3_posted *posted);

/* The same for the page that begins with the slice, but for the posting: false if that is called for, and nothing was done. */
bool hz3_sink_add(struct hz3_outbox *outbox, size_t slice, struct hz3_chain chain);

/* In the child of a fork: see hz3_buffer_mend(). */
void hz3_outbox_mend(struct hz3_outbox *outbox);

/* Post everything in the outbox. */
void hz3_sink_post(struct hz3_outbox *outbox, struct hz3_counters *counters, struct hz3_posted *posted);

/* What an owner has collected and is taking in.  Private to whoever acts as the owner, while it does. */
struct hz3_inflow {
	struct hz3_message *messages;
	uint32_t page;			/* slice of the first queued page; the rest hangs on its queue link */
};

/* Collect what was left the last time; of each sink that had nothing left, what was posted since. */
struct hz3_inflow hz3_sink_collect(struct hz3_owner *owner, struct hz3_counters *counters);

/* Leave the rest for later.  Only whoever acts as the owner.  False: there was none. */
bool hz3_sink_leave(struct hz3_owner *owner, struct hz3_inflow inflow);

/*
 * Take the next chain.  count may be 0 (a queued page whose list was taken meanwhile), and *page NULL as well: such a page
 * that was asleep is no longer the owner's business.  False: nothing left.
 */
bool hz3_inflow_next(struct hz3_inflow *inflow, struct hz3_page **page, struct hz3_chain *chain,
		     struct hz3_counters *counters);

/* The two implementations, for sink.c. */
void hz3_central_post(struct hz3_owner *owner, const struct hz3_mail *mail, struct hz3_sink_counters *counters);
struct hz3_message *hz3_central_collect(struct hz3_inbox *inbox, struct hz3_sink_counters *counters);
void hz3_central_next(struct hz3_inflow *inflow, struct hz3_page **page, struct hz3_chain *chain,
		      struct hz3_sink_counters *counters);

void hz3_pages_post(struct hz3_owner *owner, const struct hz3_mail *mail, struct hz3_sink_counters *counters,
		    struct hz3_posted *posted);
uint32_t hz3_pages_collect(struct hz3_inbox *inbox, struct hz3_sink_counters *counters);
void hz3_pages_next(struct hz3_inflow *inflow, struct hz3_page **page, struct hz3_chain *chain,
		    struct hz3_sink_counters *counters);

/* Can there be such a chain in a page of the class?  Its second block is as good as its first and last: nobody has seen the rest. */
static inline bool hz3_chain_is_possible(struct hz3_chain chain, unsigned class, uintptr_t start)
{
	const struct hz3_class_info *info = &hz3_class_info[class];

	if (chain.count == 0 || chain.count > info->capacity || (chain.count == 1) != (chain.first == chain.last) ||
	    !hz3_class_has_block(class, (uintptr_t)chain.first - start))
		return false;
	return chain.count == 1 || (hz3_class_has_block(class, (uintptr_t)chain.last - start) &&
				    hz3_class_has_block(class, (uintptr_t)hz3_block_next(chain.first) - start));
}

/*
 * The page that a message is about, and its chain.  Messages are free blocks, to which the program may have written: what
 * they say is believed if it can be true.
 */
static inline struct hz3_chain hz3_message_open(struct hz3_message *message, struct hz3_page **page)
{
	uintptr_t granule = hz3_page_map_granule(message);

	hz3_check(hz3_page_map_covers(granule), "a list of freed blocks leads to %p: one of them was written to",
		  (void *)message);
	size_t slice = granule >> HZ3_SLICE_GRANULES_SHIFT;
	uint64_t route = hz3_route_of(slice);
	slice -= hz3_route_offset(route);
	hz3_check(hz3_route_owner(route) != 0, "free: %p was freed twice: its page is not in use", (void *)message);
	hz3_check(hz3_message_is_sealed(message), HZ3_DAMAGED, (void *)message);
	struct hz3_chain chain = hz3_message_to_chain(hz3_slice_address(slice), message);
	hz3_check(hz3_chain_is_possible(chain, hz3_route_class(route), (uintptr_t)hz3_slice_address(slice)),
		  HZ3_DAMAGED, (void *)message);
	*page = hz3_page_at(slice);
	return chain;
}

/* The owner looks into the word of its current page, which may be queued.  count is 0 if there was nothing. */
struct hz3_chain hz3_pages_peel(struct hz3_page *page, struct hz3_sink_counters *counters);

/* Put a list that was taken from a page's word back into it, and the page on the queue if that is called for. */
void hz3_pages_return(struct hz3_owner *owner, struct hz3_page *page, struct hz3_remote_list list,
		      struct hz3_sink_counters *counters);

/* Put a page whose QUEUED is set, and that the caller has unlinked, back on its owner's queue. */
void hz3_pages_requeue(struct hz3_owner *owner, struct hz3_page *page, struct hz3_sink_counters *counters);

#endif
