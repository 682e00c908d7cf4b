/* A thread's outgoing frees, grouped by page and by owner. */
#include "remote_buffer.h"

#include "arena.h"
#include "options.h"
#include "probe.h"
#include "usdt.h"

#define BUDGET_STEP_MIN ((size_t)16 << 10)

/* The cap: an eighth of active memory, but at least 512 KiB; from 8 MiB up, a 64th. */
#define CAP_MIN ((size_t)512 << 10)
#define CAP_SMALL_MAX ((size_t)8 << 20)
#define CAP_SMALL_SHIFT 3
#define CAP_LARGE_SHIFT 6

/* relaxed, all three: an account, no data hangs on it.  granted <= the cap at the time of the last raise. */
static _Atomic size_t granted;
static _Atomic size_t granted_peak;
static _Atomic uint32_t sharers;	/* buffers with a grant, or in want of one: the cap is shared between them */

static struct hz3_chain entry_chain(const struct hz3_buffer_entry *entry)
{
	struct hz3_chain chain = {
		.first = entry->first,
		.last = entry->last,
		.count = entry->capacity - entry->missing,
	};
	return chain;
}

/* Close an entry; an empty one is left alone. */
static void close(struct hz3_remote_buffer *buffer, struct hz3_buffer_entry *entry, struct hz3_counters *counters,
		  struct hz3_posted *posted)
{
	if (entry->slice == 0)
		return;
	struct hz3_page *page = hz3_page_at(entry->slice);
	struct hz3_chain chain = entry_chain(entry);

	entry->slice = 0;
	atomic_signal_fence(memory_order_release);
	hz3_sink_send(&buffer->outbox, page, chain, counters, posted);
}

/* The way to evict: an empty one, else the longer chain; short ones may still grow. */
static struct hz3_buffer_entry *victim(struct hz3_buffer_entry *set)
{
	if (set[0].slice == 0)
		return &set[0];
	if (set[1].slice == 0)
		return &set[1];
	return entry_chain(&set[0]).count >= entry_chain(&set[1]).count ? &set[0] : &set[1];
}

/* The first block since the last flush.  The page has a live block, so its owner is known. */
static HZ3_NOINLINE void begin_filling(struct hz3_remote_buffer *buffer, size_t slice)
{
	if (buffer->fillings++ % HZ3_PROBE_EVERY != 0)
		return;
	buffer->probe = hz3_probe_make(slice, hz3_os_now_us());
	buffer->probe_owner = hz3_route_owner(hz3_route_of(slice));
}

/* Before the flush: from there on, whoever delivers finds the probe. */
static void send_probe(struct hz3_remote_buffer *buffer)
{
	if (!HZ3_STATS || buffer->probe == 0)
		return;
	hz3_probe_send(hz3_owner_by_id(buffer->probe_owner), buffer->probe);
	buffer->probe = 0;
}

/* Begin an entry, which is empty, with a block. */
static enum hz3_buffer_need begin(struct hz3_remote_buffer *buffer, struct hz3_buffer_entry *entry, size_t slice,
				  struct hz3_block *block)
{
	const struct hz3_class_info *info = &hz3_class_info[hz3_route_class(hz3_route_of(slice))];
	size_t set = slice % HZ3_BUFFER_SETS;

	hz3_block_link(block, NULL);
	entry->first = entry->last = block;
	entry->missing = info->capacity - 1u;
	entry->capacity = info->capacity;
	entry->block_bytes = info->size;
	/* Last: an entry with a slice is complete. */
	atomic_signal_fence(memory_order_release);
	entry->slice = (uint32_t)slice;
	buffer->used[set / 64] |= (uint64_t)1 << set % 64;
	size_t held = hz3_buffer_hold(buffer, info->size);
	if (HZ3_STATS && hz3_unlikely(held == info->size))
		begin_filling(buffer, slice);
	if (entry->missing == 0)
		return HZ3_BUFFER_WHOLE;
	return held > buffer->budget ? HZ3_BUFFER_FULL : HZ3_BUFFER_OK;
}

enum hz3_buffer_need hz3_buffer_replace(struct hz3_remote_buffer *buffer, size_t slice, struct hz3_block *block)
{
	struct hz3_buffer_entry *entry = victim(hz3_buffer_set(buffer, slice));
	uint32_t old = entry->slice;

	if (!hz3_sink_batch())
		return HZ3_BUFFER_MISS;
	if (old != 0) {
		/* Out of the entry before it is elsewhere: a fork between the two must not leave it twice. */
		entry->slice = 0;
		atomic_signal_fence(memory_order_release);
		if (!hz3_sink_add(&buffer->outbox, old, entry_chain(entry))) {
			entry->slice = old;
			return HZ3_BUFFER_MISS;
		}
	}
	return begin(buffer, entry, slice, block);
}

enum hz3_buffer_need hz3_buffer_add_new(struct hz3_remote_buffer *buffer, size_t slice, struct hz3_block *block,
					struct hz3_counters *counters, struct hz3_posted *posted)
{
	struct hz3_buffer_entry *entry = victim(hz3_buffer_set(buffer, slice));

	close(buffer, entry, counters, posted);
	return begin(buffer, entry, slice, block);
}

struct hz3_page *hz3_buffer_close_whole(struct hz3_remote_buffer *buffer, size_t slice, struct hz3_counters *counters,
					struct hz3_posted *posted)
{
	struct hz3_buffer_entry *entry = hz3_buffer_set(buffer, slice);

	if (entry->slice != slice)
		entry++;
	/* Somebody may have borrowed the buffer, and flushed it, in between. */
	if (entry->slice != slice || entry->missing != 0)
		return NULL;
	struct hz3_page *page = hz3_page_at(slice);
	/* Every block is here, so the answer stands still: see page_remote.h. */
	if (!hz3_options.handover || !hz3_remote_take_over(hz3_page_remote(page))) {
		close(buffer, entry, counters, posted);
		return NULL;
	}
	hz3_buffer_hold(buffer, -((size_t)page->capacity * hz3_class_size(page->class)));
	entry->slice = 0;
	if (HZ3_STATS && hz3_probe_slice(buffer->probe) == slice) {
		hz3_probe_record(buffer->probe, counters);
		buffer->probe = 0;
	}
	return page;
}

void hz3_buffer_flush(struct hz3_remote_buffer *buffer, struct hz3_counters *counters, enum hz3_flush_cause cause,
		      struct hz3_posted *posted)
{
	size_t held = hz3_atomic_load(&buffer->held_bytes, relaxed);

	if (held == 0)
		return;
	HZ3_USDT2(hz3, flush, held, cause);
	send_probe(buffer);
	for (unsigned word = 0; word < HZ3_BUFFER_SET_WORDS; word++) {
		for (uint64_t used = buffer->used[word]; used; used &= used - 1) {
			unsigned set = word * 64 + (unsigned)__builtin_ctzll(used);
			for (unsigned way = 0; way < HZ3_BUFFER_WAYS; way++)
				close(buffer, &buffer->entry[set][way], counters, posted);
		}
		buffer->used[word] = 0;
	}
	hz3_sink_post(&buffer->outbox, counters, posted);
	hz3_buffer_hold(buffer, -held);
	hz3_count(&counters->flushes[cause], 1);
}

/* The chain that an entry has, whatever its count says. */
static void mend_entry(struct hz3_buffer_entry *entry)
{
	unsigned n = 0;

	for (struct hz3_block *block = entry->first; block && n < entry->capacity; block = hz3_block_next(block), n++)
		entry->last = block;
	entry->missing = entry->capacity - n;
}

void hz3_buffer_mend(struct hz3_remote_buffer *buffer)
{
	size_t held = hz3_atomic_load(&buffer->held_bytes, relaxed);

	for (unsigned set = 0; set < HZ3_BUFFER_SETS; set++)
		for (unsigned way = 0; way < HZ3_BUFFER_WAYS; way++) {
			struct hz3_buffer_entry *entry = &buffer->entry[set][way];
			if (entry->slice == 0)
				continue;
			mend_entry(entry);
			buffer->used[set / 64] |= (uint64_t)1 << set % 64;
		}
	hz3_outbox_mend(&buffer->outbox);
	/* Not 0, or nothing would be flushed. */
	hz3_buffer_hold(buffer, held ? 0 : 1);
}

void hz3_buffer_send_one(struct hz3_remote_buffer *buffer, size_t slice, struct hz3_block *block,
			 struct hz3_counters *counters, struct hz3_posted *posted)
{
	struct hz3_chain chain = { .first = block, .last = block, .count = 1 };

	hz3_block_link(block, NULL);
	hz3_sink_send(&buffer->outbox, hz3_page_at(slice), chain, counters, posted);
	hz3_sink_post(&buffer->outbox, counters, posted);
	hz3_count(&counters->flushes[HZ3_FLUSH_UNBATCHED], 1);
}

size_t hz3_buffer_bytes(const struct hz3_remote_buffer *buffer)
{
	size_t bytes = 0;

	for (unsigned set = 0; set < HZ3_BUFFER_SETS; set++) {
		if ((buffer->used[set / 64] >> set % 64 & 1) == 0)
			continue;
		for (unsigned way = 0; way < HZ3_BUFFER_WAYS; way++) {
			const struct hz3_buffer_entry *entry = &buffer->entry[set][way];
			if (entry->slice)
				bytes += (size_t)(entry->capacity - entry->missing) * entry->block_bytes;
		}
	}
	return bytes;
}

size_t hz3_buffer_cap(void)
{
	size_t fixed = hz3_read_once(&hz3_options.remote_cap), active;

	if (fixed)
		return fixed;
	active = hz3_arenas_active();
	return hz3_max(hz3_max(CAP_MIN, active >> CAP_LARGE_SHIFT), hz3_min(CAP_SMALL_MAX, active >> CAP_SMALL_SHIFT));
}

/* Take bytes from the cap if there are as many left. */
static bool grant(size_t bytes, size_t cap)
{
	size_t now = hz3_atomic_load(&granted, relaxed);

	do {
		if (now + bytes > cap)
			return false;
	} while (!hz3_atomic_cas_weak(&granted, &now, now + bytes, relaxed, relaxed));
	size_t peak = hz3_atomic_load(&granted_peak, relaxed);
	while (now + bytes > peak &&
	       !hz3_atomic_cas_weak(&granted_peak, &peak, now + bytes, relaxed, relaxed))
		;
	return true;
}

static void give_back(struct hz3_remote_buffer *buffer, size_t keep)
{
	if (buffer->budget <= keep)
		return;
	size_t surplus = buffer->budget - keep;
	/* In this order, as below: what a fork cuts may leave the account too high in the child, never too low. */
	buffer->budget = keep;
	atomic_signal_fence(memory_order_seq_cst);
	hz3_atomic_fetch_sub(&granted, surplus, relaxed);
}

/*
 * Budgets grow by doubling, so that a thread which frees little holds little, up to a fair share of the cap.  A thread that
 * has more than its share, because others came, gives the difference back.
 */
bool hz3_buffer_raise_budget(struct hz3_remote_buffer *buffer)
{
	size_t cap = hz3_buffer_cap();

	/* Counted before it has anything: or those who came first would never see that they hold more than their share. */
	if (!buffer->shares) {
		hz3_atomic_fetch_add(&sharers, 1, relaxed);
		atomic_signal_fence(memory_order_seq_cst);
		buffer->shares = true;
	}
	/* None: in the child of a fork in a signal handler this one was taken off the account. */
	size_t sharing = hz3_max(hz3_atomic_load(&sharers, relaxed), 1);
	size_t share = hz3_min(hz3_read_once(&hz3_options.remote_budget), cap / sharing);
	if (buffer->budget >= share) {
		if (share < hz3_read_once(&hz3_options.remote_budget))
			hz3_count(&buffer->refused, 1);
		give_back(buffer, share);
		return false;
	}
	size_t step = hz3_min(hz3_max(buffer->budget, BUDGET_STEP_MIN), share - buffer->budget);
	if (!grant(step, cap)) {
		hz3_count(&buffer->refused, 1);
		return false;
	}
	buffer->budget += step;
	return true;
}

void hz3_buffer_return_budget(struct hz3_remote_buffer *buffer)
{
	give_back(buffer, 0);
	bool shared = buffer->shares;
	buffer->shares = false;
	atomic_signal_fence(memory_order_seq_cst);
	if (shared)
		hz3_atomic_fetch_sub(&sharers, 1, relaxed);
}

size_t hz3_buffer_granted(void)
{
	return hz3_atomic_load(&granted, relaxed);
}

size_t hz3_buffer_granted_peak(void)
{
	return hz3_atomic_load(&granted_peak, relaxed);
}
