/* Who frees whose memory: counting. */
#include "flow.h"

#include <errno.h>
#include <string.h>

#include "meta.h"
#include "os_process.h"

#define SUM_CELLS (2 * HZ3_FLOW_SUMS)
#define SUMS_EXACT (HZ3_FLOW_SUMS / 4 * 3)	/* from here on, names that end in digits are taken together */

/*
 * Nothing to mend in the child of a fork: rows and sums are complete before they are published, and what a cut can do is to count
 * something twice.
 */
struct hz3_lock hz3_flow_lock = HZ3_LOCK_INIT(HZ3_RANK_FLOW, "flow", NULL);

/* All under hz3_flow_lock. */
static struct hz3_flow_sum *sum_cell[SUM_CELLS];	/* open addressing by names */
static unsigned sums;
static bool sums_full;

/* ---- names ---- */

void hz3_flow_name_get(const struct hz3_flow_name *name, char text[HZ3_FLOW_NAME_BYTES])
{
	for (unsigned i = 0; i < HZ3_FLOW_NAME_BYTES / 8; i++) {
		/* relaxed: see flow.h. */
		uint64_t word = hz3_read_once(&name->word[i]);
		memcpy(text + 8 * i, &word, 8);
	}
	text[HZ3_FLOW_NAME_BYTES - 1] = '\0';
}

void hz3_flow_name_set(struct hz3_flow_name *name, const char *text)
{
	char padded[HZ3_FLOW_NAME_BYTES] = { 0 };

	memcpy(padded, text, strnlen(text, HZ3_FLOW_NAME_BYTES - 1));
	for (unsigned i = 0; i < HZ3_FLOW_NAME_BYTES / 8; i++) {
		uint64_t word;
		memcpy(&word, padded + 8 * i, 8);
		/* relaxed: as above. */
		if (hz3_read_once(&name->word[i]) != word)
			hz3_write_once(&name->word[i], word);
	}
}

void hz3_flow_pattern(char pattern[HZ3_FLOW_NAME_BYTES], const char *name)
{
	size_t length = strlen(name), stem = length;

	while (stem > 0 && name[stem - 1] >= '0' && name[stem - 1] <= '9')
		stem--;
	memset(pattern, 0, HZ3_FLOW_NAME_BYTES);
	memcpy(pattern, name, stem);
	if (stem < length)
		pattern[stem] = '*';
}

static struct hz3_flow_name pattern_of(struct hz3_flow_name name)
{
	char text[HZ3_FLOW_NAME_BYTES], pattern[HZ3_FLOW_NAME_BYTES];
	struct hz3_flow_name out = { { 0 } };

	hz3_flow_name_get(&name, text);
	hz3_flow_pattern(pattern, text);
	hz3_flow_name_set(&out, pattern);
	return out;
}

struct hz3_flow_name hz3_flow_name_of(const struct hz3_flows *flows)
{
	struct hz3_flow_name name;

	for (unsigned i = 0; i < HZ3_FLOW_NAME_BYTES / 8; i++)
		/* relaxed: see flow.h. */
		name.word[i] = hz3_read_once(&flows->name.word[i]);
	return name;
}

static bool same_name(struct hz3_flow_name a, struct hz3_flow_name b)
{
	return a.word[0] == b.word[0] && a.word[1] == b.word[1];
}

/* ---- sums by name ---- */

static unsigned sum_place_locked(struct hz3_flow_name owner, struct hz3_flow_name freer, bool local)
{
	uint64_t hash = ((owner.word[0] * 31 + owner.word[1]) * 31 + freer.word[0]) * 31 + freer.word[1];
	unsigned i = (unsigned)(hash * HZ3_HASH_FACTOR >> 40) % SUM_CELLS;

	while (sum_cell[i] && !(same_name(sum_cell[i]->owner, owner) && same_name(sum_cell[i]->freer, freer) &&
				sum_cell[i]->local == local))
		i = (i + 1) % SUM_CELLS;
	return i;
}

/* The sum of these names if it is there or may be made; limit is how many there may be with it. */
static struct hz3_flow_sum *sum_locked(struct hz3_flow_name owner, struct hz3_flow_name freer, bool local, unsigned limit)
{
	unsigned i = sum_place_locked(owner, freer, local);

	if (sum_cell[i] || sums >= limit)
		return sum_cell[i];
	struct hz3_flow_sum *sum = hz3_meta_alloc(sizeof(*sum));
	if (sum == NULL)
		return NULL;
	sum->owner = owner;
	sum->freer = freer;
	sum->local = local;
	sums++;
	atomic_signal_fence(memory_order_release);
	sum_cell[i] = sum;
	return sum;
}

/* What does not find room otherwise; static, since it must not fail. */
static struct hz3_flow_sum *last_sum_locked(bool local)
{
	static struct hz3_flow_sum last[2];

	hz3_flow_name_set(&last[local].owner, "(others)");
	hz3_flow_name_set(&last[local].freer, "(others)");
	last[local].local = local;
	return &last[local];
}

static struct hz3_flow_sum *sum_for_locked(struct hz3_flow_name owner, struct hz3_flow_name freer, bool local)
{
	struct hz3_flow_sum *sum = sum_locked(owner, freer, local, SUMS_EXACT);

	if (sum)
		return sum;
	sums_full = true;
	sum = sum_locked(pattern_of(owner), pattern_of(freer), local, HZ3_FLOW_SUMS);
	return sum ? sum : last_sum_locked(local);
}

const struct hz3_flow_sum *hz3_flow_sum_locked(unsigned i)
{
	for (unsigned cell = 0; cell < SUM_CELLS; cell++)
		if (sum_cell[cell] && i-- == 0)
			return sum_cell[cell];
	return i < 2 ? last_sum_locked(i) : NULL;
}

bool hz3_flow_sums_full_locked(void)
{
	return sums_full;
}

void hz3_flow_add_locked(struct hz3_flow_sum *sum, const struct hz3_flow_counts *counts, const struct hz3_flow_counts *folded)
{
	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		uint64_t blocks = hz3_read_once(&counts->blocks[class]) - folded->blocks[class];
		sum->blocks[hz3_flow_group(class)] += blocks;
		sum->bytes[hz3_flow_group(class)] += blocks * hz3_class_size(class);
	}
	for (unsigned group = 0; group < HZ3_FLOW_GROUPS; group++)
		sum->chains[group] += hz3_read_once(&counts->chains[group]) - folded->chains[group];
}

static bool is_new_locked(const struct hz3_flow *flow)
{
	for (unsigned group = 0; group < HZ3_FLOW_GROUPS; group++)
		if (hz3_read_once(&flow->counts.chains[group]) != flow->folded.chains[group])
			return true;
	return false;
}

/* The thread goes on counting: what is added and what is remembered as added must be the same numbers. */
static void fold_row_locked(struct hz3_flow *flow, struct hz3_flow_name owner, struct hz3_flow_name freer)
{
	struct hz3_flow_counts now;

	if (!is_new_locked(flow))
		return;
	for (unsigned class = 0; class < HZ3_CLASSES; class++)
		now.blocks[class] = hz3_read_once(&flow->counts.blocks[class]);
	for (unsigned group = 0; group < HZ3_FLOW_GROUPS; group++)
		now.chains[group] = hz3_read_once(&flow->counts.chains[group]);
	hz3_flow_add_locked(sum_for_locked(owner, freer, false), &now, &flow->folded);
	flow->folded = now;
}

static void fold_local_locked(struct hz3_flows *flows, const struct hz3_counters *counters)
{
	struct hz3_flow_sum *sum = NULL;

	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		uint64_t now = hz3_read_once(&counters->class[class].freed_local), blocks = now - flows->local_folded[class];
		if (blocks == 0)
			continue;
		if (sum == NULL)
			sum = sum_for_locked(hz3_flow_name_of(flows), (struct hz3_flow_name){ { 0 } }, true);
		sum->blocks[hz3_flow_group(class)] += blocks;
		sum->bytes[hz3_flow_group(class)] += blocks * hz3_class_size(class);
		flows->local_folded[class] = now;
	}
}

/* ---- rows ---- */

static unsigned first_cell(uint32_t owner)
{
	return owner % HZ3_FLOW_CELLS;
}

uint64_t hz3_flow_counts_bytes(const struct hz3_flow_counts *counts)
{
	uint64_t bytes = 0;

	for (unsigned class = 0; class < HZ3_CLASSES; class++)
		bytes += hz3_read_once(&counts->blocks[class]) * hz3_class_size(class);
	return bytes;
}

/* Where the owner's row is, or would go: at most half of the cells are in use. */
static unsigned cell_for(const struct hz3_flows *flows, uint32_t owner)
{
	unsigned i = first_cell(owner);
	const struct hz3_flow *flow;

	/* relaxed: this thread wrote it. */
	while ((flow = hz3_atomic_load(&flows->cell[i], relaxed)) != NULL && flow->owner != owner)
		i = (i + 1) % HZ3_FLOW_CELLS;
	return i;
}

/* relaxed: as all counters. */
static void move(uint64_t *to, uint64_t *from)
{
	hz3_count(to, *from);
	hz3_write_once(from, 0);
}

/* What the row says becomes a part of "others", of which as much is folded. */
static void empty_row_locked(struct hz3_flow *flow, struct hz3_flow *others)
{
	struct hz3_owner *owner = hz3_owner_by_id(flow->owner);

	owner->frees->sent_before += hz3_flow_counts_bytes(&flow->counts) - flow->handed_bytes;
	for (unsigned class = 0; class < HZ3_CLASSES; class++) {
		move(&others->counts.blocks[class], &flow->counts.blocks[class]);
		move(&others->folded.blocks[class], &flow->folded.blocks[class]);
	}
	for (unsigned group = 0; group < HZ3_FLOW_GROUPS; group++) {
		move(&others->counts.chains[group], &flow->counts.chains[group]);
		move(&others->folded.chains[group], &flow->folded.chains[group]);
	}
	move(&others->handed_bytes, &flow->handed_bytes);
}

static void unlink_row_locked(const struct hz3_flow *flow)
{
	struct hz3_flow **link = &hz3_owner_by_id(flow->owner)->freed_by;

	while (*link && *link != flow)
		link = &(*link)->next;
	if (*link)
		*link = flow->next;
}

/* A stale row, out of the table, which has no gap where it was; NULL: there is none. */
static struct hz3_flow *take_stale_locked(struct hz3_flows *flows)
{
	struct hz3_flow *rows[HZ3_FLOW_ROWS], *stale = NULL;
	unsigned n = 0;

	if (flows->stale == 0)
		return NULL;
	for (unsigned i = 0; i < HZ3_FLOW_CELLS; i++) {
		struct hz3_flow *flow = hz3_atomic_load(&flows->cell[i], relaxed);
		if (flow && flow->stale && stale == NULL)
			stale = flow;
		else if (flow && n < HZ3_FLOW_ROWS)
			rows[n++] = flow;
		hz3_atomic_store(&flows->cell[i], NULL, relaxed);
	}
	for (unsigned i = 0; i < n; i++)
		hz3_atomic_store(&flows->cell[cell_for(flows, rows[i]->owner)], rows[i], relaxed);
	flows->used = n;
	/* In the child of a fork that has cut this the count may be wrong. */
	if (stale == NULL) {
		flows->stale = 0;
		return NULL;
	}
	flows->stale--;
	fold_row_locked(stale, hz3_flow_name_of(hz3_owner_by_id(stale->owner)->frees), hz3_flow_name_of(flows));
	unlink_row_locked(stale);
	empty_row_locked(stale, &flows->others);
	return stale;
}

static HZ3_NOINLINE struct hz3_flow *make_row(struct hz3_flows *flows, uint32_t owner)
{
	int saved_errno = errno;

	if (flows->tid && flows->tid == hz3_os_thread_id())
		hz3_flow_refresh(flows);
	hz3_lock(&hz3_flow_lock);
	struct hz3_flow *flow = take_stale_locked(flows);
	if (flow == NULL && flows->used < HZ3_FLOW_ROWS)
		flow = hz3_meta_alloc(sizeof(*flow));
	if (flow) {
		flow->owner = owner;
		flow->stale = false;
		flow->freer = flows;
		flow->next = hz3_owner_by_id(owner)->freed_by;
		atomic_signal_fence(memory_order_release);
		hz3_owner_by_id(owner)->freed_by = flow;
		hz3_atomic_store(&flows->cell[cell_for(flows, owner)], flow, relaxed);
		flows->used++;
	}
	hz3_unlock(&hz3_flow_lock);
	errno = saved_errno;
	return flow;
}

struct hz3_flow *hz3_flow_find(struct hz3_flows *flows, uint32_t owner)
{
	struct hz3_flow *flow = hz3_atomic_load(&flows->cell[cell_for(flows, owner)], relaxed);

	if (flow == NULL && (flows->used < HZ3_FLOW_ROWS || flows->stale > 0))
		flow = make_row(flows, owner);
	if (flow == NULL) {
		hz3_write_once(&flows->full, true);
		return &flows->others;
	}
	if (hz3_unlikely(flow->stale)) {
		flow->stale = false;
		flows->stale--;
	}
	return flow;
}

uint64_t hz3_flow_bytes(const struct hz3_flows *flows)
{
	uint64_t bytes = hz3_flow_counts_bytes(&flows->others.counts);

	for (unsigned i = 0; i < HZ3_FLOW_CELLS; i++) {
		/* relaxed: this thread wrote it. */
		const struct hz3_flow *flow = hz3_atomic_load(&flows->cell[i], relaxed);
		if (flow)
			bytes += hz3_flow_counts_bytes(&flow->counts);
	}
	return bytes;
}

/* ---- threads come and go ---- */

static void fold_rows_locked(struct hz3_flows *flows, const struct hz3_owner *owner)
{
	struct hz3_flow_name name = hz3_flow_name_of(flows), others = { { 0 } };

	for (struct hz3_flow *flow = owner->freed_by; flow; flow = flow->next)
		fold_row_locked(flow, name, hz3_flow_name_of(flow->freer));
	for (unsigned i = 0; i < HZ3_FLOW_CELLS; i++) {
		struct hz3_flow *flow = hz3_atomic_load(&flows->cell[i], relaxed);
		if (flow && is_new_locked(flow))
			fold_row_locked(flow, hz3_flow_name_of(hz3_owner_by_id(flow->owner)->frees), name);
	}
	hz3_flow_name_set(&others, "(others)");
	fold_row_locked(&flows->others, others, name);
}

/* The outbox, which refers to some, is empty. */
static void mark_stale(struct hz3_flows *flows)
{
	flows->stale = 0;
	for (unsigned i = 0; i < HZ3_FLOW_CELLS; i++) {
		struct hz3_flow *flow = hz3_atomic_load(&flows->cell[i], relaxed);
		if (flow == NULL)
			continue;
		flow->stale = true;
		flows->stale++;
	}
}

/*
 * Can a thread of this name go on with the counts of the last one?  If the name is the same, the sums are.  Threads that come and go by
 * the thousand are like that, and are spared the additions; a row is added to the sums when it is taken for another owner.
 */
static bool goes_on(const struct hz3_flows *flows, const char *name)
{
	struct hz3_flow_name mine = { { 0 } };

	hz3_flow_name_set(&mine, name);
	return same_name(hz3_flow_name_of(flows), mine);
}

static void claim(struct hz3_flows *flows, const char *name)
{
	flows->had_thread = true;
	/* relaxed, as in the next two: whom to ask for a name. */
	hz3_write_once(&flows->tid, hz3_os_thread_id());
	hz3_flow_name_set(&flows->name, name);
}

void hz3_flow_begin(struct hz3_owner *owner, const struct hz3_counters *counters)
{
	struct hz3_flows *flows = owner->frees;
	char name[HZ3_FLOW_NAME_BYTES];

	if (!HZ3_STATS)
		return;
	hz3_os_get_thread_name(name);
	if (flows->had_thread) {
		hz3_lock(&hz3_flow_lock);
		if (!goes_on(flows, name)) {
			fold_rows_locked(flows, owner);
			fold_local_locked(flows, counters);
		}
		mark_stale(flows);
		hz3_unlock(&hz3_flow_lock);
	}
	claim(flows, name);
}

void hz3_flow_claim(struct hz3_flows *flows)
{
	char name[HZ3_FLOW_NAME_BYTES];

	if (!HZ3_STATS)
		return;
	hz3_os_get_thread_name(name);
	claim(flows, name);
}

void hz3_flow_refresh(struct hz3_flows *flows)
{
	char name[HZ3_FLOW_NAME_BYTES];

	/* Not of the heap that ending threads share. */
	if (!HZ3_STATS || hz3_read_once(&flows->tid) == 0)
		return;
	hz3_os_get_thread_name(name);
	hz3_flow_name_set(&flows->name, name);
}

void hz3_flow_end(struct hz3_flows *flows)
{
	hz3_write_once(&flows->tid, 0);
}
