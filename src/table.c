/* A hash table of items of one size. */
#include "table.h"

#include <string.h>

#include "os_memory.h"

#define CAPACITY_MIN 256u
#define CAPACITY_MAX (1u << 31)

static struct hz3_table_link *link_of(const struct hz3_table *table, uint32_t n)
{
	return hz3_table_item(table, n);
}

static size_t mapped(size_t bytes)
{
	return hz3_align_up(bytes, hz3_os_page_size);
}

static void enter(struct hz3_table *table, uint32_t n)
{
	struct hz3_table_link *link = link_of(table, n);
	uint32_t *bucket = &table->buckets[link->hash & (table->capacity - 1)];

	link->next = *bucket;
	*bucket = n;
}

/* Only when no number is free, so every item from 1 up is in a bucket. */
static bool grow(struct hz3_table *table)
{
	uint32_t old = table->capacity, new = old ? old * 2 : CAPACITY_MIN;

	if (old == CAPACITY_MAX)
		return false;
	char *items = hz3_os_map(mapped(new * table->item_bytes), hz3_os_page_size);
	uint32_t *buckets = items ? hz3_os_map(mapped(new * sizeof(*buckets)), hz3_os_page_size) : NULL;
	if (buckets == NULL) {
		if (items)
			hz3_os_unmap(items, mapped(new * table->item_bytes));
		return false;
	}
	if (old) {
		memcpy(items, table->items, old * table->item_bytes);
		hz3_os_unmap(table->items, mapped(old * table->item_bytes));
		hz3_os_unmap(table->buckets, mapped(old * sizeof(*buckets)));
	}
	table->items = items;
	table->buckets = buckets;
	table->capacity = new;
	for (uint32_t n = 1; n < table->end; n++)
		enter(table, n);
	return true;
}

static uint32_t new_number(struct hz3_table *table)
{
	uint32_t n = table->free;

	if (n) {
		table->free = link_of(table, n)->next;
		return n;
	}
	if (table->end >= table->capacity && !grow(table))
		return 0;
	if (table->end == 0)
		table->end = 1;
	return table->end++;
}

uint32_t hz3_table_add(struct hz3_table *table, uint32_t hash)
{
	uint32_t n = new_number(table);

	if (n == 0)
		return 0;
	memset(hz3_table_item(table, n), 0, table->item_bytes);
	link_of(table, n)->hash = hash;
	enter(table, n);
	return n;
}

void hz3_table_remove(struct hz3_table *table, uint32_t n)
{
	struct hz3_table_link *link = link_of(table, n);
	uint32_t *at = &table->buckets[link->hash & (table->capacity - 1)];

	while (*at != n)
		at = &link_of(table, *at)->next;
	*at = link->next;
	link->next = table->free;
	table->free = n;
}

/* n, or the next in its bucket that has the hash. */
static uint32_t with_hash(const struct hz3_table *table, uint32_t n, uint32_t hash)
{
	while (n && link_of(table, n)->hash != hash)
		n = link_of(table, n)->next;
	return n;
}

uint32_t hz3_table_first(const struct hz3_table *table, uint32_t hash)
{
	return table->capacity ? with_hash(table, table->buckets[hash & (table->capacity - 1)], hash) : 0;
}

uint32_t hz3_table_next(const struct hz3_table *table, uint32_t n)
{
	struct hz3_table_link *link = link_of(table, n);

	return with_hash(table, link->next, link->hash);
}

uint32_t hz3_hash_word(uint64_t word)
{
	word ^= word >> 31;
	word *= HZ3_HASH_FACTOR;
	return (uint32_t)(word >> 32);
}

uint32_t hz3_hash_bytes(const void *data, size_t bytes)
{
	const unsigned char *s = data;
	uint64_t hash = bytes;

	for (size_t i = 0; i < bytes; i++)
		hash = (hash ^ s[i]) * 0x100000001b3u;
	return hz3_hash_word(hash);
}

void hz3_table_clear(struct hz3_table *table)
{
	if (table->capacity == 0)
		return;
	hz3_os_unmap(table->items, mapped(table->capacity * table->item_bytes));
	hz3_os_unmap(table->buckets, mapped(table->capacity * sizeof(*table->buckets)));
	*table = (struct hz3_table){ .item_bytes = table->item_bytes };
}
