/* The page sink (S121): page-local remote lists and the owner's page queue. */
#include "sink.h"

/* What the push needs to link a chain's tail to the list that is already there. */
struct link_context {
	char *start;
	struct hz3_block *last;
};

static inline void link_tail(void *context, struct hz3_remote_list old)
{
	struct link_context *link = context;

	hz3_block_link(link->last, old.count ? hz3_block_at(link->start, old.first) : NULL);
}

/*
 * Push one chain into its page's word.  HZ3_PUSHED_QUEUE: the caller must queue the page.  HZ3_PUSH_CLAIMED: the page is
 * the caller's.
 */
static enum hz3_push_result push_chain(struct hz3_page *page, struct hz3_chain chain, const struct hz3_class_info *info,
				       struct hz3_sink_counters *counters)
{
	struct hz3_page_remote *remote = hz3_page_remote(page);
	struct link_context context = { .start = hz3_page_start(page), .last = chain.last };
	struct hz3_push push = {
		.chain = {
			.first = hz3_block_granule(context.start, chain.first),
			.last = hz3_block_granule(context.start, chain.last),
			.count = chain.count,
		},
		.wake = info->wake,
		.whole = hz3_options.handover ? info->capacity : 0,
		.link = link_tail,
		.context = &context,
	};
	enum hz3_push_result result = hz3_remote_push(remote, &push);
	uint32_t pushes = 1;

	/* All blocks are ours, so the answer to "asleep?" stands still; awake means that the owner has the page in a list. */
	if (result == HZ3_PUSH_CLAIMED && !hz3_remote_is_asleep(remote)) {
		link_tail(&context, push.old);
		if (push.old.count) {
			context.last = hz3_block_at(context.start, push.old.last);
			push.chain.last = push.old.last;
			push.chain.count += push.old.count;
		}
		push.whole = 0;
		result = hz3_remote_push(remote, &push);
		pushes++;
	}
	hz3_count(&counters->rmw_push, push.tries);
	hz3_count(&counters->cas_retries, push.tries - pushes);
	return result;
}

/* Push the list of so many pages, first..last, onto the owner's queue. */
static void queue_push(struct hz3_owner *owner, uint32_t first, uint32_t last, uint32_t pages,
		       struct hz3_sink_counters *counters)
{
	uint32_t tries = hz3_queue_push(&owner->inbox.page_queue, first, hz3_remote_of(last));

	hz3_count(&counters->rmw_push, tries);
	hz3_count(&counters->rmw_queue_push, tries);
	hz3_count(&counters->queued_pages, pages);
	hz3_count(&counters->cas_retries, tries - 1);
}

/* Push every chain, then queue the pages that need it, all with one CAS. */
void hz3_pages_post(struct hz3_owner *owner, const struct hz3_mail *mail, struct hz3_sink_counters *counters,
		    struct hz3_posted *posted)
{
	uint32_t first = 0, last = 0, queued = 0;

	for (struct hz3_message *message = mail->first, *next; message; message = next) {
		struct hz3_page *page;
		next = message == mail->last ? NULL : hz3_message_next(message);
		struct hz3_chain chain = hz3_message_open(message, &page);
		uint32_t slice = (uint32_t)hz3_page_slice(page);
		const struct hz3_class_info *info = &hz3_class_info[hz3_route_class(hz3_route_of(slice))];
		enum hz3_push_result result = push_chain(page, chain, info, counters);

		if (result == HZ3_PUSH_CLAIMED)
			hz3_page_list_append(&posted->claimed, page);
		if (result != HZ3_PUSHED_QUEUE)
			continue;
		/* relaxed: released by the CAS on the queue. */
		hz3_atomic_store(&hz3_remote_of(slice)->queue_next, first, relaxed);
		last = first ? last : slice;
		first = slice;
		queued++;
	}
	if (first)
		queue_push(owner, first, last, queued, counters);
}

void hz3_pages_return(struct hz3_owner *owner, struct hz3_page *page, struct hz3_remote_list list,
		      struct hz3_sink_counters *counters)
{
	unsigned class = hz3_route_class(hz3_route_of(hz3_page_slice(page)));
	struct link_context context = { .start = hz3_page_start(page) };
	struct hz3_push push = { .chain = list, .wake = hz3_class_info[class].wake, .link = link_tail, .context = &context };

	if (list.count == 0)
		return;
	context.last = hz3_block_at(context.start, list.last);
	if (hz3_remote_push(hz3_page_remote(page), &push) == HZ3_PUSHED_QUEUE)
		hz3_pages_requeue(owner, page, counters);
	hz3_count(&counters->rmw_push, push.tries);
	hz3_count(&counters->cas_retries, push.tries - 1);
}

void hz3_pages_requeue(struct hz3_owner *owner, struct hz3_page *page, struct hz3_sink_counters *counters)
{
	uint32_t slice = (uint32_t)hz3_page_slice(page);

	queue_push(owner, slice, slice, 1, counters);
}

uint32_t hz3_pages_collect(struct hz3_inbox *inbox, struct hz3_sink_counters *counters)
{
	_Atomic uint32_t *from = hz3_inbox_next_queue(inbox);

	if (from == NULL)
		return 0;
	if (from == &inbox->page_queue)
		hz3_count(&counters->drains, 1);
	hz3_count(&counters->rmw_drain, 1);
	hz3_count(&counters->rmw_queue_drain, 1);
	return hz3_queue_take(from);
}

static struct hz3_chain chain_from_list(struct hz3_page *page, struct hz3_remote_list list)
{
	char *start = hz3_page_start(page);
	struct hz3_chain chain = { NULL, NULL, list.count };

	if (list.count) {
		chain.first = hz3_block_at(start, list.first);
		chain.last = hz3_block_at(start, list.last);
	}
	return chain;
}

void hz3_pages_next(struct hz3_inflow *inflow, struct hz3_page **page, struct hz3_chain *chain,
		    struct hz3_sink_counters *counters)
{
	uint32_t slice = inflow->page;
	struct hz3_page_remote *remote = hz3_remote_of(slice);
	uint32_t next;
	bool asleep;
	struct hz3_remote_list list = hz3_remote_unqueue(remote, &next, &asleep);

	inflow->page = next;
	if (next)
		__builtin_prefetch(hz3_remote_of(next), 1);
	*page = list.count == 0 && asleep ? NULL : hz3_page_at(slice);
	*chain = *page ? chain_from_list(*page, list) : (struct hz3_chain){ NULL, NULL, 0 };
	hz3_count(&counters->page_drains, 1);
	hz3_count(&counters->drained_blocks, chain->count);
	hz3_count(&counters->rmw_drain, 1);
}

struct hz3_chain hz3_pages_peel(struct hz3_page *page, struct hz3_sink_counters *counters)
{
	struct hz3_chain chain = chain_from_list(page, hz3_remote_peel(hz3_page_remote(page)));

	if (chain.count == 0)
		return chain;
	hz3_count(&counters->page_drains, 1);
	hz3_count(&counters->drained_blocks, chain.count);
	hz3_count(&counters->rmw_drain, 1);
	return chain;
}
