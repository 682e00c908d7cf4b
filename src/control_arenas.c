/*
 * The control tree's arenas.*, arena.<i>.* and stats.arenas.<i>.*: what all arenas have in common, and each by itself.
 */
#include "control_row.h"

#include "arena.h"
#include "atomic.h"
#include "decay.h"
#include "options.h"
#include "os_memory.h"
#include "pool.h"
#include "size_class.h"
#include "thread.h"

#include <errno.h>

/* ---- all of them, and the size classes ---- */

static void get_narenas(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->number = hz3_arenas_count();
}

/* Of the program's own: they are not among narenas. */
static void get_pools(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->number = hz3_pools_live();
}

static void get_nbins(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->number = HZ3_CLASSES;
}

static void get_bin_size(const struct hz3_control_row *row HZ3_UNUSED, size_t index, union hz3_control_value *value)
{
	value->size = hz3_class_size((unsigned)index);
}

static void get_bin_nregs(const struct hz3_control_row *row HZ3_UNUSED, size_t index, union hz3_control_value *value)
{
	value->number = hz3_class_info[index].capacity;
}

static void get_bin_slab_size(const struct hz3_control_row *row HZ3_UNUSED, size_t index, union hz3_control_value *value)
{
	value->size = hz3_class_page_bytes((unsigned)index);
}

static void get_quantum(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->size = HZ3_GRANULE;
}

static void get_page(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->size = hz3_os_page_size;
}

static void get_default_decay_ms(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED,
				 union hz3_control_value *value)
{
	value->signed_number = hz3_decay_ms();
}

static int set_default_decay_ms(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED,
				const union hz3_control_value *value)
{
	if (!hz3_control_opt_in_range(offsetof(struct hz3_options, dirty_decay_ms), value->signed_number))
		return EINVAL;
	hz3_decay_set_ms(value->signed_number);
	return 0;
}

/* ---- one arena, or all: "<i>" is ALL_ARENAS for that, as in jemalloc ---- */

#define ALL_ARENAS 4096u

static bool has_arena(size_t index)
{
	return index < hz3_arenas_count() || index == ALL_ARENAS;
}

static unsigned first_arena(size_t index)
{
	return index == ALL_ARENAS ? 0 : (unsigned)index;
}

static unsigned end_of_arenas(size_t index)
{
	return index == ALL_ARENAS ? hz3_arenas_count() : (unsigned)index + 1;
}

/* Whoever asks has asked of an arena that is there. */
static void get_initialized(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->flag = true;
}

static int act_purge_arena(const struct hz3_control_row *row HZ3_UNUSED, size_t index,
			   const union hz3_control_value *value HZ3_UNUSED)
{
	if (index == ALL_ARENAS)
		(void)hz3_decay_purge_all();
	else
		(void)hz3_arena_purge((unsigned)index, 0);
	return 0;
}

static int act_decay_arena(const struct hz3_control_row *row HZ3_UNUSED, size_t index,
			   const union hz3_control_value *value HZ3_UNUSED)
{
	for (unsigned i = first_arena(index); i < end_of_arenas(index); i++)
		(void)hz3_decay_arena(i);
	return 0;
}

/* Of all together: as arenas.dirty_decay_ms. */
static void get_decay_ms(const struct hz3_control_row *row HZ3_UNUSED, size_t index, union hz3_control_value *value)
{
	value->signed_number = index == ALL_ARENAS ? hz3_decay_ms() : hz3_decay_arena_ms((unsigned)index);
}

/* The same range as at start. */
static int set_decay_ms(const struct hz3_control_row *row HZ3_UNUSED, size_t index, const union hz3_control_value *value)
{
	if (!hz3_control_opt_in_range(offsetof(struct hz3_options, dirty_decay_ms), value->signed_number))
		return EINVAL;
	if (index == ALL_ARENAS)
		hz3_decay_set_all_ms(value->signed_number);
	else
		hz3_decay_set_arena_ms((unsigned)index, value->signed_number);
	return 0;
}

/* Running threads that take their pages from there. */
static void get_nthreads(const struct hz3_control_row *row HZ3_UNUSED, size_t index, union hz3_control_value *value)
{
	value->number = 0;
	for (uint32_t id = 1; id <= hz3_owner_count(); id++) {
		const struct hz3_owner *owner = hz3_owner_by_id(id);

		/* relaxed, both: a count of what comes and goes. */
		if (hz3_atomic_load(&owner->state, relaxed) == HZ3_OWNER_RUNNING && owner->heap != hz3_thread_shared_heap())
			value->number += index == ALL_ARENAS || hz3_heap_arena_index(owner->heap) == index;
	}
}

static size_t sum_of_arenas(size_t index, size_t where)
{
	return hz3_arenas_sum(first_arena(index), end_of_arenas(index), where);
}

static void get_arena_count(const struct hz3_control_row *row, size_t index, union hz3_control_value *value)
{
	value->size = sum_of_arenas(index, row->where);
}

static void get_arena_bytes(const struct hz3_control_row *row, size_t index, union hz3_control_value *value)
{
	value->size = sum_of_arenas(index, row->where) << HZ3_SLICE_SHIFT;
}

static void get_arena_pages(const struct hz3_control_row *row, size_t index, union hz3_control_value *value)
{
	value->size = (sum_of_arenas(index, row->where) << HZ3_SLICE_SHIFT) / hz3_os_page_size;
}

#define OF_ARENA(text, kind, ...) {.name = text, .type = kind, .count = ALL_ARENAS + 1, .has = has_arena, __VA_ARGS__}
#define COUNTER(field) .where = offsetof(struct hz3_arena_counters, field)

static const struct hz3_control_row rows[] = {
	{.name = "arenas.narenas", .type = HZ3_CONTROL_UNSIGNED, .get = get_narenas},
	{.name = "arenas.dirty_decay_ms", .type = HZ3_CONTROL_SIGNED, .get = get_default_decay_ms, .set = set_default_decay_ms},
	{.name = "arenas.quantum", .type = HZ3_CONTROL_SIZE, .get = get_quantum},
	{.name = "arenas.page", .type = HZ3_CONTROL_SIZE, .get = get_page},
	{.name = "arenas.created", .type = HZ3_CONTROL_UNSIGNED, .get = get_pools},
	{.name = "arenas.nbins", .type = HZ3_CONTROL_UNSIGNED, .get = get_nbins},
	{.name = "arenas.bin.<i>.size", .type = HZ3_CONTROL_SIZE, .get = get_bin_size, .count = HZ3_CLASSES},
	{.name = "arenas.bin.<i>.nregs", .type = HZ3_CONTROL_UNSIGNED, .get = get_bin_nregs, .count = HZ3_CLASSES},
	{.name = "arenas.bin.<i>.slab_size", .type = HZ3_CONTROL_SIZE, .get = get_bin_slab_size, .count = HZ3_CLASSES},

	OF_ARENA("arena.<i>.initialized", HZ3_CONTROL_BOOL, .get = get_initialized),
	OF_ARENA("arena.<i>.purge", HZ3_CONTROL_ACTION, .set = act_purge_arena),
	OF_ARENA("arena.<i>.decay", HZ3_CONTROL_ACTION, .set = act_decay_arena),
	OF_ARENA("arena.<i>.dirty_decay_ms", HZ3_CONTROL_SIGNED, .get = get_decay_ms, .set = set_decay_ms),

	OF_ARENA("stats.arenas.<i>.dirty_decay_ms", HZ3_CONTROL_SIGNED, .get = get_decay_ms),
	OF_ARENA("stats.arenas.<i>.nthreads", HZ3_CONTROL_UNSIGNED, .get = get_nthreads),
	OF_ARENA("stats.arenas.<i>.pactive", HZ3_CONTROL_SIZE, .get = get_arena_pages, COUNTER(active)),
	OF_ARENA("stats.arenas.<i>.pdirty", HZ3_CONTROL_SIZE, .get = get_arena_pages, COUNTER(dirty)),
	OF_ARENA("stats.arenas.<i>.mapped", HZ3_CONTROL_SIZE, .get = get_arena_bytes, COUNTER(committed)),
	OF_ARENA("stats.arenas.<i>.dirty_nmadvise", HZ3_CONTROL_SIZE, .get = get_arena_count, COUNTER(purges)),
	OF_ARENA("stats.arenas.<i>.dirty_purged", HZ3_CONTROL_SIZE, .get = get_arena_pages, COUNTER(purged_slices)),
};

const struct hz3_control_table hz3_control_arenas = HZ3_CONTROL_TABLE(rows);
