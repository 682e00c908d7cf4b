/*
 * The named control tree: one row per name; see control.h.
 *
 * Each read of a statistic collects afresh.  (Several that must belong together: hz3_stats_print.)
 */
#include "control.h"

#include "account.h"
#include "arena.h"
#include "atomic.h"
#include "decay.h"
#include "hz3/hz3.h"
#include "limit.h"
#include "options.h"
#include "os.h"
#include "pool.h"
#include "profile.h"
#include "report.h"
#include "sink.h"
#include "size_class.h"
#include "stats.h"
#include "thread.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* The C types that values have outside.  An action has no value: it happens when the name is called. */
enum type {
	STRING,		/* const char * */
	BOOL,		/* bool */
	UNSIGNED,	/* unsigned */
	SIZE,		/* size_t; uint64_t is the same to the caller */
	SIGNED,		/* int64_t */
	ACTION
};

union value {
	const char *string;
	bool flag;
	unsigned number;
	size_t size;
	int64_t signed_number;
};

static const size_t type_bytes[] = {
	[STRING] = sizeof(const char *), [BOOL] = sizeof(bool), [UNSIGNED] = sizeof(unsigned),
	[SIZE] = sizeof(size_t), [SIGNED] = sizeof(int64_t), [ACTION] = 0,
};

/* What a name stands for.  get and set are NULL where that is not allowed; set returns 0 or an error number. */
struct row {
	const char *name;
	enum type type;
	void (*get)(const struct row *row, size_t index, union value *value);
	int (*set)(const struct row *row, size_t index, const union value *value);
	size_t where;		/* byte offset of what get reads: meaning depends on get */
	size_t and_where;	/* the same, of what is to be added; 0: nothing */
	size_t count;		/* how many values "<i>" may have */
	bool (*has)(size_t index);	/* whether it is there, with this "<i>"; NULL: it is */
	bool bare;		/* may be called without a value, which is then where */
};

#define UNUSED __attribute__((unused))

/* ---- configuration ---- */

#if HZ3_HAS_PREFIX
#define QUOTE(token) #token
#define QUOTED(token) QUOTE(token)
#define PREFIX_TEXT QUOTED(HZ3_PREFIX)
#else
#define PREFIX_TEXT ""
#endif

static void
get_version(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->string = HZ3_VERSION;
}

/* What the library was built with: where is the answer itself. */
static void
get_built(const struct row *row, size_t index UNUSED, union value *value)
{
	value->flag = row->where != 0;
}

static void
get_malloc_conf(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->string = "";
}

static void
get_default_sink(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->string = hz3_report_sink_name(HZ3_DEFAULT_SINK);
}

static void
get_prefix(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->string = PREFIX_TEXT;
}

/* ---- options: where is the offset in struct hz3_options ---- */

static void *
option_address(size_t offset)
{
	return (char *)&hz3_options + offset;
}

static void
get_flag_option(const struct row *row, size_t index UNUSED, union value *value)
{
	value->flag = __atomic_load_n((bool *)option_address(row->where), __ATOMIC_RELAXED);
}

static void
get_int_option(const struct row *row, size_t index UNUSED, union value *value)
{
	value->signed_number = __atomic_load_n((int *)option_address(row->where), __ATOMIC_RELAXED);
}

/* jemalloc's type for this one. */
static void
get_opt_narenas(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->number = (unsigned)hz3_options.narenas;
}

static void
get_size_option(const struct row *row, size_t index UNUSED, union value *value)
{
	value->size = __atomic_load_n((size_t *)option_address(row->where), __ATOMIC_RELAXED);
}

static void
get_sink_option(const struct row *row, size_t index UNUSED, union value *value)
{
	value->string = hz3_report_sink_name((int)*(hz3_option_SINK *)option_address(row->where));
}

static void
get_path_option(const struct row *row, size_t index UNUSED, union value *value)
{
	value->string = option_address(row->where);
}

/* The range of an option that is set while the program runs is the one that HZ3_CONF has. */
static bool
in_range(size_t offset, int64_t value)
{
	const struct hz3_option_row *option;

	for (size_t i = 0; (option = hz3_option_row(i)) != NULL; i++) {
		if (option->offset == offset)
			return value >= option->min && value <= option->max;
	}
	return false;
}

static int
set_size_option(const struct row *row, size_t index UNUSED, const union value *value)
{
	if (value->size > INT64_MAX || !in_range(row->where, (int64_t)value->size))
		return EINVAL;
	__atomic_store_n((size_t *)option_address(row->where), value->size, __ATOMIC_RELAXED);
	return 0;
}

/* What is over the new limit already goes back now, as far as it is free. */
static int
set_limit(const struct row *row, size_t index, const union value *value)
{
	int error = set_size_option(row, index, value);

	if (error == 0 && hz3_limit_room() == 0)
		(void)hz3_decay_reclaim();
	if (error == 0) {
		hz3_limit_renew();
		hz3_decay_keep_soft_limit();
	}
	return error;
}

static void
get_limit_used(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->size = hz3_limit_used();
}

/* The row for "opt." and the name of an option. */
static void
option_row(const struct hz3_option_row *option, struct row *row)
{
	memset(row, 0, sizeof(*row));
	row->where = option->offset;
	switch (option->type) {
	case HZ3_OPTION_BOOL:
		row->type = BOOL;
		row->get = get_flag_option;
		break;
	case HZ3_OPTION_INT:
		row->type = SIGNED;
		row->get = get_int_option;
		break;
	case HZ3_OPTION_SIZE:
		row->type = SIZE;
		row->get = get_size_option;
		break;
	case HZ3_OPTION_SINK:
		row->type = STRING;
		row->get = get_sink_option;
		break;
	case HZ3_OPTION_SIGNAL:
		row->type = SIGNED;
		row->get = get_int_option;
		break;
	case HZ3_OPTION_PATH:
		row->type = STRING;
		row->get = get_path_option;
		break;
	}
}

/* ---- remote frees ---- */

static void
get_sink(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->string = hz3_report_sink_name((int)hz3_sink_mode());
}

static int
set_sink(const struct row *row UNUSED, size_t index UNUSED, const union value *value)
{
	for (int sink = 0; sink < 3; sink++) {
		if (value->string != NULL && strcmp(value->string, hz3_report_sink_name(sink)) == 0) {
			hz3_sink_set_mode(sink);
			return 0;
		}
	}
	return EINVAL;
}

static void
get_batch(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->flag = hz3_sink_batch();
}

static int
set_batch(const struct row *row UNUSED, size_t index UNUSED, const union value *value)
{
	hz3_sink_set_batch(value->flag);
	return 0;
}

/* ---- arenas and size classes ---- */

static void
get_narenas(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->number = hz3_arenas_count();
}

/* Of the program's own: they are not among narenas. */
static void
get_pools(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->number = hz3_pools_live();
}

static void
get_nbins(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->number = HZ3_CLASSES;
}

static void
get_bin_size(const struct row *row UNUSED, size_t index, union value *value)
{
	value->size = hz3_class_size((unsigned)index);
}

static void
get_bin_nregs(const struct row *row UNUSED, size_t index, union value *value)
{
	value->number = hz3_class_info[index].capacity;
}

static void
get_bin_slab_size(const struct row *row UNUSED, size_t index, union value *value)
{
	value->size = hz3_class_page_bytes((unsigned)index);
}

static void
get_quantum(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->size = HZ3_GRANULE;
}

static void
get_page(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->size = hz3_os_page_size;
}

/* ---- one arena, or all: "<i>" is ALL_ARENAS for that, as in jemalloc ---- */

#define ALL_ARENAS 4096u

static bool
has_arena(size_t index)
{
	return index < hz3_arenas_count() || index == ALL_ARENAS;
}

static unsigned
first_arena(size_t index)
{
	return index == ALL_ARENAS ? 0 : (unsigned)index;
}

static unsigned
end_of_arenas(size_t index)
{
	return index == ALL_ARENAS ? hz3_arenas_count() : (unsigned)index + 1;
}

static int
act_purge_arena(const struct row *row UNUSED, size_t index, const union value *value UNUSED)
{
	if (index == ALL_ARENAS)
		(void)hz3_decay_purge_all();
	else
		(void)hz3_arena_purge((unsigned)index, 0);
	return 0;
}

static int
act_decay_arena(const struct row *row UNUSED, size_t index, const union value *value UNUSED)
{
	for (unsigned i = first_arena(index); i < end_of_arenas(index); i++)
		(void)hz3_decay_arena(i);
	return 0;
}

/* Of all together: as arenas.dirty_decay_ms. */
static void
get_decay_ms(const struct row *row UNUSED, size_t index, union value *value)
{
	value->signed_number = index == ALL_ARENAS ? hz3_decay_ms() : hz3_decay_arena_ms((unsigned)index);
}

/* The same range as at start. */
static int
set_decay_ms(const struct row *row UNUSED, size_t index, const union value *value)
{
	if (!in_range(offsetof(struct hz3_options, dirty_decay_ms), value->signed_number))
		return EINVAL;
	if (index == ALL_ARENAS)
		hz3_decay_set_all_ms(value->signed_number);
	else
		hz3_decay_set_arena_ms((unsigned)index, value->signed_number);
	return 0;
}

static void
get_default_decay_ms(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->signed_number = hz3_decay_ms();
}

static int
set_default_decay_ms(const struct row *row UNUSED, size_t index UNUSED, const union value *value)
{
	if (!in_range(offsetof(struct hz3_options, dirty_decay_ms), value->signed_number))
		return EINVAL;
	hz3_decay_set_ms(value->signed_number);
	return 0;
}

/* Running threads that take their pages from there. */
static void
get_nthreads(const struct row *row UNUSED, size_t index, union value *value)
{
	value->number = 0;
	for (uint32_t id = 1; id <= hz3_owner_count(); id++) {
		const struct hz3_owner *owner = hz3_owner_by_id(id);

		/* relaxed, both: a count of what comes and goes. */
		if (hz3_atomic_load(&owner->state, relaxed) == HZ3_OWNER_RUNNING && owner->heap != hz3_thread_shared_heap())
			value->number += index == ALL_ARENAS || hz3_heap_arena_index(owner->heap) == index;
	}
}

/* A counter of arenas: where is its offset in struct hz3_arena_counters. */
static uint64_t
sum_of_arenas(size_t index, size_t where)
{
	uint64_t sum = 0;

	for (unsigned i = first_arena(index); i < end_of_arenas(index); i++) {
		const _Atomic size_t *counter = (const void *)((const char *)hz3_arena_counters(i) + where);
		/* relaxed: a statistic. */
		sum += hz3_atomic_load(counter, relaxed);
	}
	return sum;
}

static void
get_arena_count(const struct row *row, size_t index, union value *value)
{
	value->size = sum_of_arenas(index, row->where);
}

static void
get_arena_bytes(const struct row *row, size_t index, union value *value)
{
	value->size = sum_of_arenas(index, row->where) << HZ3_SLICE_SHIFT;
}

static void
get_arena_pages(const struct row *row, size_t index, union value *value)
{
	value->size = (sum_of_arenas(index, row->where) << HZ3_SLICE_SHIFT) / hz3_os_page_size;
}

/* ---- the calling thread ---- */

/* The string is the thread's own: it stays until the thread has another name. */
static void
get_thread_name(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	struct hz3_heap *heap = hz3_thread_begin();
	char name[HZ3_FLOW_NAME_BYTES];

	value->string = "";
	if (heap == NULL)
		return;
	if (heap != hz3_thread_shared_heap()) {
		hz3_os_get_thread_name(name);
		hz3_flow_name_set(&heap->owner->frees->name, name);
	}
	value->string = (const char *)&heap->owner->frees->name;
	hz3_thread_end(heap);
}

static int
set_thread_name(const struct row *row UNUSED, size_t index UNUSED, const union value *value)
{
	if (value->string == NULL || strlen(value->string) >= HZ3_FLOW_NAME_BYTES)
		return EINVAL;
	hz3_os_name_thread(value->string);
	return 0;
}

static void
get_thread_arena(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->number = hz3_thread_arena();
}

static int
set_thread_arena(const struct row *row UNUSED, size_t index UNUSED, const union value *value)
{
	return hz3_thread_set_arena(value->number) ? 0 : EINVAL;
}

static bool
has_counters(size_t index UNUSED)
{
	return HZ3_STATS;
}

static void
get_thread_allocated(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->size = hz3_account_read().allocated;
}

static void
get_thread_deallocated(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->size = hz3_account_read().freed;
}

static void
get_background_thread(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->flag = hz3_decay_thread_runs() != 0;
}

/* ---- statistics: where is the offset in struct hz3_stats, and index counts in steps of struct hz3_class_stats ---- */

static void
get_stat(const struct row *row, size_t index, union value *value)
{
	struct hz3_stats stats;
	const char *p = (const char *)&stats + index * sizeof(struct hz3_class_stats);
	uint64_t a, b = 0;

	hz3_stats_collect(&stats);
	memcpy(&a, p + row->where, sizeof(a));
	if (row->and_where != 0)
		memcpy(&b, p + row->and_where, sizeof(b));
	value->size = a + b;
}

static void
get_flushes(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	struct hz3_stats stats;

	hz3_stats_collect(&stats);
	value->size = 0;
	for (int i = 0; i < HZ3_FLUSH_CAUSES; i++)
		value->size += stats.sum.flushes[i];
}

/* As in jemalloc, where statistics stand still until the epoch is written.  Ours are always fresh. */
static _Atomic uint64_t epoch = 1;

static void
get_epoch(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->size = hz3_atomic_load(&epoch, relaxed);
}

static int
set_epoch(const struct row *row UNUSED, size_t index UNUSED, const union value *value UNUSED)
{
	hz3_atomic_fetch_add(&epoch, 1, relaxed);
	return 0;
}

/* ---- actions ---- */

static int
act_flush(const struct row *row UNUSED, size_t index UNUSED, const union value *value UNUSED)
{
	hz3_thread_flush_buffer();
	return 0;
}

static int
act_idle(const struct row *row UNUSED, size_t index UNUSED, const union value *value UNUSED)
{
	hz3_thread_go_idle();
	return 0;
}

static int
act_purge(const struct row *row UNUSED, size_t index UNUSED, const union value *value UNUSED)
{
	(void)hz3_decay_purge_all();
	return 0;
}

/* ---- the table ---- */

#define SIZE_OPTION(text, option)                                                                                    \
	{.name = text,                                                                                               \
	 .type = SIZE,                                                                                               \
	 .get = get_size_option,                                                                                     \
	 .set = set_size_option,                                                                                     \
	 .where = offsetof(struct hz3_options, option)}
#define LIMIT(text, option)                                                                                          \
	{.name = text,                                                                                               \
	 .type = SIZE,                                                                                               \
	 .get = get_size_option,                                                                                     \
	 .set = set_limit,                                                                                           \
	 .where = offsetof(struct hz3_options, option)}
#define BUILT(text, answer) {.name = text, .type = BOOL, .get = get_built, .where = (answer)}
#define OF_ARENA(text, kind, ...) {.name = text, .type = kind, .count = ALL_ARENAS + 1, .has = has_arena, __VA_ARGS__}
#define COUNTER(field) .where = offsetof(struct hz3_arena_counters, field)
#define STAT(text, field) {.name = text, .type = SIZE, .get = get_stat, .where = offsetof(struct hz3_stats, field)}
#define BIN_STAT(field)                                                                                              \
	{.name = "stats.bins.<i>." #field,                                                                           \
	 .type = SIZE,                                                                                               \
	 .get = get_stat,                                                                                            \
	 .where = offsetof(struct hz3_stats, class[0].field),                                                        \
	 .count = HZ3_CLASSES}

/* One counter of the sinks: the sum, central alone, page alone. */
#define SINK_STAT(field)                                                                                             \
	{.name = "stats.remote." #field,                                                                             \
	 .type = SIZE,                                                                                               \
	 .get = get_stat,                                                                                            \
	 .where = offsetof(struct hz3_stats, sum.sink[0].field),                                                     \
	 .and_where = offsetof(struct hz3_stats, sum.sink[1].field)},                                                \
	STAT("stats.remote.central." #field, sum.sink[0].field),                                                     \
	STAT("stats.remote.page." #field, sum.sink[1].field)

/* ---- the heap profile ---- */

static void
get_prof_active(const struct row *row UNUSED, size_t index UNUSED, union value *value)
{
	value->flag = hz3_profile_is_active();
}

static int
set_prof_active(const struct row *row UNUSED, size_t index UNUSED, const union value *value)
{
	return hz3_profile_set_active(value->flag) ? 0 : EPERM;
}

static int
dump_profile(const struct row *row UNUSED, size_t index UNUSED, const union value *value)
{
	return hz3_profile_dump(value->string);
}

#define KEEP_SAMPLE SIZE_MAX

/* The value is a new lg_prof_sample, if there is one. */
static int
reset_profile(const struct row *row UNUSED, size_t index UNUSED, const union value *value)
{
	if (!hz3_profile_on)
		return EPERM;
	if (value->size != KEEP_SAMPLE && (value->size > INT_MAX || !in_range(offsetof(struct hz3_options, lg_prof_sample), (int64_t)value->size)))
		return EINVAL;
	hz3_profile_reset(value->size == KEEP_SAMPLE ? hz3_options.lg_prof_sample : (int)value->size);
	return 0;
}

static const struct row rows[] = {
	{.name = "version", .type = STRING, .get = get_version},
	{.name = "epoch", .type = SIZE, .get = get_epoch, .set = set_epoch},
	{.name = "purge", .type = ACTION, .set = act_purge},
	{.name = "thread.flush", .type = ACTION, .set = act_flush},
	{.name = "thread.idle", .type = ACTION, .set = act_idle},
	{.name = "thread.name", .type = STRING, .get = get_thread_name, .set = set_thread_name},
	{.name = "thread.arena", .type = UNSIGNED, .get = get_thread_arena, .set = set_thread_arena},
	{.name = "thread.allocated", .type = SIZE, .get = get_thread_allocated, .has = has_counters},
	{.name = "thread.deallocated", .type = SIZE, .get = get_thread_deallocated, .has = has_counters},
	{.name = "background_thread", .type = BOOL, .get = get_background_thread},

	BUILT("config.debug", HZ3_DEBUG),
	BUILT("config.safety_checks", HZ3_SAFETY),
	BUILT("config.opt_safety_checks", HZ3_SAFETY),
	BUILT("config.stats", HZ3_STATS),
	BUILT("config.prof", true),
	BUILT("config.cache_oblivious", true),
	BUILT("config.fill", false),
	BUILT("config.lazy_lock", false),
	BUILT("config.utrace", false),
	BUILT("config.xmalloc", false),
	{.name = "config.malloc_conf", .type = STRING, .get = get_malloc_conf},
	{.name = "config.default_sink", .type = STRING, .get = get_default_sink},
	{.name = "config.prefix", .type = STRING, .get = get_prefix},

	{.name = "opt.narenas", .type = UNSIGNED, .get = get_opt_narenas},

	{.name = "remote.sink", .type = STRING, .get = get_sink, .set = set_sink},
	{.name = "remote.batch", .type = BOOL, .get = get_batch, .set = set_batch},
	SIZE_OPTION("remote.budget", remote_budget),
	SIZE_OPTION("remote.cap", remote_cap),

	LIMIT("limit.soft", memory_limit_soft),
	LIMIT("limit.hard", memory_limit_hard),
	{.name = "limit.used", .type = SIZE, .get = get_limit_used},

	{.name = "arenas.narenas", .type = UNSIGNED, .get = get_narenas},
	{.name = "arenas.dirty_decay_ms", .type = SIGNED, .get = get_default_decay_ms, .set = set_default_decay_ms},
	{.name = "arenas.quantum", .type = SIZE, .get = get_quantum},
	{.name = "arenas.page", .type = SIZE, .get = get_page},
	{.name = "arenas.created", .type = UNSIGNED, .get = get_pools},
	{.name = "arenas.nbins", .type = UNSIGNED, .get = get_nbins},
	{.name = "arenas.bin.<i>.size", .type = SIZE, .get = get_bin_size, .count = HZ3_CLASSES},
	{.name = "arenas.bin.<i>.nregs", .type = UNSIGNED, .get = get_bin_nregs, .count = HZ3_CLASSES},
	{.name = "arenas.bin.<i>.slab_size", .type = SIZE, .get = get_bin_slab_size, .count = HZ3_CLASSES},

	OF_ARENA("arena.<i>.initialized", BOOL, .get = get_built, .where = true),
	OF_ARENA("arena.<i>.purge", ACTION, .set = act_purge_arena),
	OF_ARENA("arena.<i>.decay", ACTION, .set = act_decay_arena),
	OF_ARENA("arena.<i>.dirty_decay_ms", SIGNED, .get = get_decay_ms, .set = set_decay_ms),

	{.name = "prof.active", .type = BOOL, .get = get_prof_active, .set = set_prof_active},
	{.name = "prof.lg_sample", .type = SIZE, .get = get_int_option, .where = offsetof(struct hz3_options, lg_prof_sample)},
	{.name = "prof.dump", .type = STRING, .set = dump_profile, .bare = true},
	{.name = "prof.reset", .type = SIZE, .set = reset_profile, .bare = true, .where = KEEP_SAMPLE},

	STAT("stats.allocated", allocated),
	STAT("stats.active", active),
	STAT("stats.dirty", dirty),
	STAT("stats.resident", resident),
	STAT("stats.mapped", mapped),
	STAT("stats.metadata", metadata),
	STAT("stats.blocks_allocated", blocks_allocated),
	STAT("stats.blocks_freed", blocks_freed),
	STAT("stats.blocks_live", blocks_live),
	STAT("stats.heaps", heaps),
	STAT("stats.heaps_parked", heaps_parked),
	STAT("stats.heaps_lost", heaps_lost),
	STAT("stats.lost_bytes", lost_bytes),
	STAT("stats.purges", purges),
	STAT("stats.purged_bytes", purged_bytes),
	STAT("stats.huge_mappings", huge_mappings),
	STAT("stats.limit.used", limit_used),
	STAT("stats.limit.soft_purges", limit_soft_purges),
	STAT("stats.limit.hard_purges", limit_hard_purges),
	STAT("stats.limit.refused", limit_refused),
	STAT("stats.slow_allocs", sum.slow_allocs),

	STAT("stats.large.allocated", large.allocated),
	STAT("stats.large.freed", large.freed),
	STAT("stats.large.live", large.live),
	STAT("stats.large.live_bytes", large.live_bytes),

	OF_ARENA("stats.arenas.<i>.dirty_decay_ms", SIGNED, .get = get_decay_ms),
	OF_ARENA("stats.arenas.<i>.nthreads", UNSIGNED, .get = get_nthreads),
	OF_ARENA("stats.arenas.<i>.pactive", SIZE, .get = get_arena_pages, COUNTER(active)),
	OF_ARENA("stats.arenas.<i>.pdirty", SIZE, .get = get_arena_pages, COUNTER(dirty)),
	OF_ARENA("stats.arenas.<i>.mapped", SIZE, .get = get_arena_bytes, COUNTER(committed)),
	OF_ARENA("stats.arenas.<i>.dirty_nmadvise", SIZE, .get = get_arena_count, COUNTER(purges)),
	OF_ARENA("stats.arenas.<i>.dirty_purged", SIZE, .get = get_arena_pages, COUNTER(purged_slices)),

	BIN_STAT(size),
	BIN_STAT(allocated),
	BIN_STAT(freed_local),
	BIN_STAT(freed_remote),
	BIN_STAT(live),
	BIN_STAT(pages),

	SINK_STAT(blocks),
	SINK_STAT(chains),
	SINK_STAT(rmw_push),
	SINK_STAT(rmw_queue_push),
	SINK_STAT(queued_pages),
	SINK_STAT(cas_retries),
	SINK_STAT(drains),
	SINK_STAT(page_drains),
	SINK_STAT(drained_blocks),
	SINK_STAT(rmw_drain),
	SINK_STAT(rmw_queue_drain),
	{.name = "stats.remote.flushes", .type = SIZE, .get = get_flushes},
	STAT("stats.remote.flush_causes.budget", sum.flushes[HZ3_FLUSH_BUDGET]),
	STAT("stats.remote.flush_causes.slow_path", sum.flushes[HZ3_FLUSH_SLOW_PATH]),
	STAT("stats.remote.flush_causes.idle", sum.flushes[HZ3_FLUSH_IDLE]),
	STAT("stats.remote.flush_causes.exit", sum.flushes[HZ3_FLUSH_EXIT]),
	STAT("stats.remote.flush_causes.fork", sum.flushes[HZ3_FLUSH_FORK]),
	STAT("stats.remote.flush_causes.unbatched", sum.flushes[HZ3_FLUSH_UNBATCHED]),
	STAT("stats.remote.held_bytes", held_bytes),
	STAT("stats.remote.held_bytes_peak", held_bytes_peak),
	STAT("stats.remote.held_bytes_cap", held_bytes_cap),
	STAT("stats.remote.held_refused", held_refused),
	STAT("stats.remote.handover_pages", sum.handover_pages),
	STAT("stats.remote.handover_blocks", sum.handover_blocks),
	STAT("stats.remote.forwarded_chains", sum.forwarded_chains),
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

const char *
hz3_control_name(size_t i)
{
	return i < ROWS ? rows[i].name : NULL;
}

/* ---- names ---- */

/* Reads an index without sign or leading zeros; what follows it, or NULL if there is none. */
static const char *
read_index(const char *text, size_t *index)
{
	const char *s = text;

	*index = 0;
	while (*s >= '0' && *s <= '9' && s - text < 9)
		*index = *index * 10 + (size_t)(*s++ - '0');
	if (s == text || (*text == '0' && s > text + 1))
		return NULL;
	return s;
}

/* Whether a name fits the row; "<i>" takes an index below the row's count. */
static bool
name_fits(const struct row *row, const char *name, size_t *index)
{
	const char *placeholder = strstr(row->name, "<i>");
	size_t length;

	*index = 0;
	if (placeholder == NULL)
		return strcmp(row->name, name) == 0;
	length = (size_t)(placeholder - row->name);
	if (strncmp(row->name, name, length) != 0)
		return false;
	name = read_index(name + length, index);
	return name != NULL && *index < row->count && strcmp(placeholder + 3, name) == 0;
}

static bool
is_there(const struct row *row, size_t index)
{
	return row->has == NULL || row->has(index);
}

static bool
find_row(const char *name, struct row *row, size_t *index)
{
	const struct hz3_option_row *option;

	for (size_t i = 0; i < ROWS; i++) {
		if (name_fits(&rows[i], name, index)) {
			*row = rows[i];
			return is_there(row, *index);
		}
	}
	*index = 0;
	option = strncmp(name, "opt.", 4) == 0 ? hz3_option_find(name + 4) : NULL;
	if (option != NULL)
		option_row(option, row);
	return option != NULL;
}

/* ---- the call ---- */

/* The error in how a name is to be used, or 0. */
static int
check_use(const struct row *row, const void *old, size_t *old_bytes, const void *new_, size_t new_bytes)
{
	size_t bytes = type_bytes[row->type];

	if (old != NULL && row->get == NULL)
		return EPERM;
	if (new_ != NULL && row->set == NULL)
		return EPERM;
	if (new_bytes != (new_ != NULL ? bytes : 0) || (new_ != NULL && row->type == ACTION))
		return EINVAL;
	if (old != NULL && (old_bytes == NULL || *old_bytes != bytes)) {
		if (old_bytes != NULL)
			*old_bytes = bytes;
		return EINVAL;
	}
	return 0;
}

static int
use_row(const struct row *row, size_t index, void *old, size_t *old_bytes, const void *new_, size_t new_bytes)
{
	size_t bytes = type_bytes[row->type];
	union value value = {0};

	if (old_bytes != NULL)
		*old_bytes = bytes;
	if (old != NULL) {
		row->get(row, index, &value);
		memcpy(old, &value, bytes);
	}
	if (new_ == NULL && row->type != ACTION && !row->bare)
		return 0;
	memset(&value, 0, sizeof(value));
	value.size = row->bare ? row->where : 0;
	if (new_ != NULL && row->type == BOOL && *(const unsigned char *)new_ > 1)
		return EINVAL;
	if (new_ != NULL)
		memcpy(&value, new_, new_bytes);
	return row->set(row, index, &value);
}

int
hz3_control(const char *name, void *old, size_t *old_bytes, void *new_, size_t new_bytes)
{
	int saved_errno = errno;
	struct row row;
	size_t index;
	int error;

	if (name == NULL)
		return EINVAL;
	hz3_thread_setup();
	if (!find_row(name, &row, &index))
		return ENOENT;
	error = check_use(&row, old, old_bytes, new_, new_bytes);
	if (error == 0)
		error = use_row(&row, index, old, old_bytes, new_, new_bytes);
	errno = saved_errno;
	return error;
}
