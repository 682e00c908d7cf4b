/* The central sink: a stash per owner. */
#include "sink.h"

void hz3_central_post(struct hz3_owner *owner, const struct hz3_mail *mail, struct hz3_sink_counters *counters)
{
	uint32_t tries = hz3_stash_push(&owner->inbox.stash, mail->first, mail->last);

	hz3_count(&counters->rmw_push, tries);
	hz3_count(&counters->cas_retries, tries - 1);
}

struct hz3_message *hz3_central_collect(struct hz3_inbox *inbox, struct hz3_sink_counters *counters)
{
	_Atomic(struct hz3_message *) *from = hz3_inbox_next_stash(inbox);

	if (from == NULL)
		return NULL;
	if (from == &inbox->stash)
		hz3_count(&counters->drains, 1);
	hz3_count(&counters->rmw_drain, 1);
	return hz3_stash_take(from);
}

void hz3_central_next(struct hz3_inflow *inflow, struct hz3_page **page, struct hz3_chain *chain,
		      struct hz3_sink_counters *counters)
{
	struct hz3_message *message = inflow->messages;

	inflow->messages = hz3_message_next(message);
	if (inflow->messages)
		__builtin_prefetch(inflow->messages, 1);
	*chain = hz3_message_open(message, page);
	hz3_count(&counters->page_drains, 1);
	hz3_count(&counters->drained_blocks, chain->count);
}
