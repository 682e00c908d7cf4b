/*
 * A hash table of items of one size, for what is kept beside the blocks (profiles): chained, in mapped memory, growing.
 *
 * Items are numbered from 1, and keep their numbers; their addresses change when the table grows.  Each begins with a struct
 * hz3_table_link.  The caller protects a table, and compares keys:
 *
 *	for (n = hz3_table_first(t, hash); n; n = hz3_table_next(t, n))
 *		if (the item hz3_table_item(t, n) is the one)
 */
#ifndef HZ3_TABLE_H
#define HZ3_TABLE_H

#include "base.h"

struct hz3_table_link {
	uint32_t next;		/* in its bucket, or in the list of free numbers */
	uint32_t hash;
};

struct hz3_table {
	size_t item_bytes;
	char *items;		/* capacity of them; number 0 is unused */
	uint32_t *buckets;	/* as many as capacity */
	uint32_t capacity;	/* a power of 2, or 0 */
	uint32_t end;		/* numbers from here up were never used; 0 while the table is empty */
	uint32_t free;		/* numbers that were removed */
};

#define HZ3_TABLE_INIT(type) { .item_bytes = sizeof(type) }

static inline void *hz3_table_item(const struct hz3_table *table, uint32_t n)
{
	return table->items + (size_t)n * table->item_bytes;
}

/* A new zeroed item, and its number; 0: no memory, or 2^31 items. */
uint32_t hz3_table_add(struct hz3_table *table, uint32_t hash);
void hz3_table_remove(struct hz3_table *table, uint32_t n);

/* Remove all, and give the memory back. */
void hz3_table_clear(struct hz3_table *table);

/* The first number with this hash, and the next after n. */
uint32_t hz3_table_first(const struct hz3_table *table, uint32_t hash);
uint32_t hz3_table_next(const struct hz3_table *table, uint32_t n);

/* Of bytes; of one word. */
uint32_t hz3_hash_bytes(const void *data, size_t bytes);
uint32_t hz3_hash_word(uint64_t word);

#endif
