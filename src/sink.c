/* How a batch of remote frees reaches its owner: the choice. */
#include "sink.h"

#include "os_clock.h"

/* relaxed, both: a choice, not data; see sink.h. */
static _Atomic int mode = HZ3_SINK_CENTRAL;
static _Atomic bool batch = true;

static _Atomic bool used;

void hz3_sink_init(void)
{
	hz3_sink_set_mode(hz3_options.sink);
	hz3_sink_set_batch(hz3_options.remote_batch);
}

bool hz3_sink_used(void)
{
	return hz3_atomic_load(&used, relaxed);
}

enum hz3_sink_choice hz3_sink_mode(void)
{
	return (enum hz3_sink_choice)hz3_atomic_load(&mode, relaxed);
}

void hz3_sink_set_mode(int new_mode)
{
	hz3_atomic_store(&mode, new_mode, relaxed);
}

bool hz3_sink_batch(void)
{
	return hz3_atomic_load(&batch, relaxed);
}

void hz3_sink_set_batch(bool on)
{
	hz3_atomic_store(&batch, on, relaxed);
}

/*
 * "auto": chains that are a good part of their pages pay for a read-modify-write on the page's own line, and may complete
 * the page there; shorter ones are cheaper as a list of messages.
 */
static unsigned choose(unsigned class, uint32_t count)
{
	enum hz3_sink_choice choice = hz3_sink_mode();

	if (choice != HZ3_SINK_AUTO)
		return choice;
	return (uint64_t)count * 4 >= hz3_class_info[class].capacity ? HZ3_SINK_PAGE : HZ3_SINK_CENTRAL;
}

static void slot_post(struct hz3_outbox *outbox, unsigned i, struct hz3_counters *counters, struct hz3_posted *posted)
{
	struct hz3_outbox_slot *slot = &outbox->slot[i];
	struct hz3_owner *owner = hz3_owner_by_id(slot->owner);

	/* relaxed, both: a hint that never goes back.  First: the child of a fork goes by it. */
	if (!hz3_atomic_load(&used, relaxed))
		hz3_atomic_store(&used, true, relaxed);
	if (HZ3_STATS && !hz3_inbox_pending(&owner->inbox))
		hz3_atomic_store(&owner->waiting_since_ms, (uint32_t)hz3_os_now_ms(), relaxed);
	for (unsigned sink = 0; sink < HZ3_SINKS; sink++) {
		struct hz3_mail mail = slot->mail[sink];
		if (mail.first == NULL)
			continue;
		/* Out of the box before it is sent: a fork between the two must not leave it twice. */
		slot->mail[sink].first = NULL;
		atomic_signal_fence(memory_order_release);
		hz3_count(&counters->sink[sink].chains, mail.chains);
		hz3_count(&counters->sink[sink].blocks, mail.blocks);
		if (sink == HZ3_SINK_PAGE)
			hz3_pages_post(owner, &mail, &counters->sink[sink], posted);
		else
			hz3_central_post(owner, &mail, &counters->sink[sink]);
	}
	*slot = (struct hz3_outbox_slot){ 0 };
	outbox->used &= ~((uint64_t)1 << i);
	if (!hz3_owner_note_post(owner))
		posted->to_parked = true;
}

/* The slot is the owner's. */
static HZ3_INLINE void slot_add(struct hz3_outbox *outbox, unsigned i, uint64_t route, size_t slice, struct hz3_chain chain)
{
	struct hz3_outbox_slot *slot = &outbox->slot[i];
	struct hz3_mail *mail = &slot->mail[choose(hz3_route_class(route), chain.count)];
	struct hz3_message *message = hz3_message_from_chain(hz3_slice_address(slice), chain);

	hz3_flow_count(slot->flow, hz3_route_class(route), chain.count);
	mail->chains++;
	mail->blocks += chain.count;
	hz3_message_link(message, mail->first);
	if (mail->first == NULL)
		mail->last = message;
	/* Complete before it is in the box, with all that is behind it. */
	atomic_signal_fence(memory_order_release);
	mail->first = message;
	outbox->used |= (uint64_t)1 << i;
}

/* The slot is free, or another's.  Apart from the other chains' way, so that those save no registers. */
static HZ3_NOINLINE bool slot_begin(struct hz3_outbox *outbox, size_t slice, struct hz3_chain chain)
{
	uint64_t route = hz3_route_of(slice);
	uint32_t owner = hz3_route_owner(route);
	struct hz3_outbox_slot *slot = &outbox->slot[owner % HZ3_OUTBOX_SLOTS];

	if (slot->owner != 0)
		return false;
	slot->owner = owner;
	slot->flow = hz3_flow_to(&outbox->flows, owner);
	slot_add(outbox, owner % HZ3_OUTBOX_SLOTS, route, slice, chain);
	return true;
}

bool hz3_sink_add(struct hz3_outbox *outbox, size_t slice, struct hz3_chain chain)
{
	uint64_t route = hz3_route_of(slice);
	uint32_t owner = hz3_route_owner(route);

	if (hz3_unlikely(outbox->slot[owner % HZ3_OUTBOX_SLOTS].owner != owner))
		return slot_begin(outbox, slice, chain);
	slot_add(outbox, owner % HZ3_OUTBOX_SLOTS, route, slice, chain);
	return true;
}

void hz3_outbox_mend(struct hz3_outbox *outbox)
{
	outbox->used = 0;
	for (unsigned i = 0; i < HZ3_OUTBOX_SLOTS; i++) {
		struct hz3_outbox_slot *slot = &outbox->slot[i];
		if (slot->mail[HZ3_SINK_CENTRAL].first || slot->mail[HZ3_SINK_PAGE].first)
			outbox->used |= (uint64_t)1 << i;
		else
			*slot = (struct hz3_outbox_slot){ 0 };
	}
}

void hz3_sink_send(struct hz3_outbox *outbox, struct hz3_page *page, struct hz3_chain chain,
		   struct hz3_counters *counters, struct hz3_posted *posted)
{
	size_t slice = hz3_page_slice(page);

	if (hz3_sink_add(outbox, slice, chain))
		return;
	slot_post(outbox, hz3_route_owner(hz3_route_of(slice)) % HZ3_OUTBOX_SLOTS, counters, posted);
	hz3_sink_add(outbox, slice, chain);
}

void hz3_sink_post(struct hz3_outbox *outbox, struct hz3_counters *counters, struct hz3_posted *posted)
{
	while (outbox->used)
		slot_post(outbox, (unsigned)__builtin_ctzll(outbox->used), counters, posted);
}

struct hz3_inflow hz3_sink_collect(struct hz3_owner *owner, struct hz3_counters *counters)
{
	struct hz3_inbox *inbox = &owner->inbox;
	struct hz3_inflow inflow = {
		.messages = hz3_central_collect(inbox, &counters->sink[HZ3_SINK_CENTRAL]),
		.page = hz3_pages_collect(inbox, &counters->sink[HZ3_SINK_PAGE]),
	};
	return inflow;
}

bool hz3_sink_leave(struct hz3_owner *owner, struct hz3_inflow inflow)
{
	hz3_inbox_leave(&owner->inbox, inflow.messages, inflow.page);
	return inflow.messages || inflow.page;
}

bool hz3_inflow_next(struct hz3_inflow *inflow, struct hz3_page **page, struct hz3_chain *chain,
		     struct hz3_counters *counters)
{
	if (inflow->messages) {
		hz3_central_next(inflow, page, chain, &counters->sink[HZ3_SINK_CENTRAL]);
		return true;
	}
	if (inflow->page) {
		hz3_pages_next(inflow, page, chain, &counters->sink[HZ3_SINK_PAGE]);
		return true;
	}
	return false;
}
