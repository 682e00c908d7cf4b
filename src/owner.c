/* The part of a heap that other threads may touch: the table of owners. */
#include "owner.h"

#include "meta.h"
#include "page_map.h"

/* Two levels, so that ids are dense and lookups take no lock: a million owners at once. */
#define ROW_SHIFT 8
#define ROW_OWNERS (1u << ROW_SHIFT)
#define ROWS 4096u

typedef _Atomic(struct hz3_owner *) owner_cell;

static _Atomic(owner_cell *) rows[ROWS];	/* written once each, under hz3_window_lock */
static _Atomic uint32_t owner_count;		/* written under hz3_window_lock */

static owner_cell *row_for_locked(uint32_t id)
{
	uint32_t row = id >> ROW_SHIFT;

	if (row >= ROWS)
		return NULL;
	owner_cell *cells = hz3_atomic_load(&rows[row], relaxed);
	if (cells == NULL) {
		cells = hz3_meta_alloc(ROW_OWNERS * sizeof(*cells));
		/* release: pairs with the acquire in hz3_owner_by_id. */
		hz3_atomic_store(&rows[row], cells, release);
	}
	return cells;
}

bool hz3_owner_register(struct hz3_owner *owner)
{
	hz3_lock(&hz3_window_lock);
	uint32_t id = hz3_atomic_load(&owner_count, relaxed) + 1;
	owner_cell *cells = row_for_locked(id);
	if (cells) {
		owner->id = id;
		/* release, both: the owner is complete before anybody can find it. */
		hz3_atomic_store(&cells[id & (ROW_OWNERS - 1)], owner, release);
		hz3_atomic_store(&owner_count, id, release);
	}
	hz3_unlock(&hz3_window_lock);
	return cells != NULL;
}

uint32_t hz3_owner_count(void)
{
	/* acquire: ids up to the count can be looked up. */
	return hz3_atomic_load(&owner_count, acquire);
}

struct hz3_owner *hz3_owner_by_id(uint32_t id)
{
	/* acquire, both: pair with the releases in hz3_owner_register. */
	owner_cell *cells = hz3_atomic_load(&rows[id >> ROW_SHIFT], acquire);

	return hz3_atomic_load(&cells[id & (ROW_OWNERS - 1)], acquire);
}
