/* A page of equal blocks, as its owner sees it. */
#include "page.h"

void hz3_page_list_prepend(struct hz3_page_list *list, struct hz3_page *page)
{
	page->prev = NULL;
	page->next = list->first;
	if (list->first)
		list->first->prev = page;
	else
		list->last = page;
	list->first = page;
}

void hz3_page_list_append(struct hz3_page_list *list, struct hz3_page *page)
{
	page->next = NULL;
	page->prev = list->last;
	if (list->last)
		list->last->next = page;
	else
		list->first = page;
	list->last = page;
}

void hz3_page_list_remove(struct hz3_page_list *list, struct hz3_page *page)
{
	if (page->prev)
		page->prev->next = page->next;
	else
		list->first = page->next;
	if (page->next)
		page->next->prev = page->prev;
	else
		list->last = page->prev;
}

void hz3_page_format(struct hz3_page *page, unsigned class, uint32_t tag)
{
	size_t slice = hz3_page_slice(page);

	page->free = NULL;
	page->countdown = page->local_base = HZ3_COUNTDOWN_NEVER;
	page->next = page->prev = NULL;
	page->carved = page->fresh = 0;
	page->capacity = hz3_class_info[class].capacity;
	page->class = (uint8_t)class;
	page->state = HZ3_PAGE_CURRENT;
	page->slices = (uint8_t)hz3_class_info[class].slices;
	hz3_remote_reset(hz3_page_remote(page));
	for (unsigned i = 0; i < page->slices; i++)
		hz3_route_set(slice + i, hz3_route_page(tag, class, i));
}

void hz3_page_wipe(struct hz3_page *page)
{
	size_t slice = hz3_page_slice(page);

	for (unsigned i = 0; i < page->slices; i++)
		hz3_route_set(slice + i, 0);
	hz3_remote_set_asleep(hz3_page_remote(page), false);
	hz3_page_begin(page, page->slices);
}

void hz3_page_begin(struct hz3_page *page, unsigned slices)
{
	page->slices = (uint8_t)slices;
	page->free = NULL;
	page->carved = page->fresh = 0;
	page->state = HZ3_PAGE_EMPTY;
}

/* The next n blocks, in the order of their addresses. */
static void link_blocks(struct hz3_page *page, char *block, unsigned n, size_t size)
{
	if (n == 0)
		return;
	struct hz3_block *first = (struct hz3_block *)(void *)block;
	for (; n > 1; n--, block += size)
		hz3_block_link((struct hz3_block *)(void *)block, (struct hz3_block *)(void *)(block + size));
	hz3_block_link((struct hz3_block *)(void *)block, NULL);
	/* The links before the head: a fork between them must not leave a list that leads astray. */
	atomic_signal_fence(memory_order_release);
	page->free = first;
}

/* With safety checks, a block that is handed out is filled as one that was freed: it makes no difference whether it was used. */
static void fill_blocks(char *block, unsigned n, size_t size)
{
	for (; n > 0; n--, block += size)
		hz3_seal_fill(block, size);
}

unsigned hz3_page_carve(struct hz3_page *page)
{
	const struct hz3_class_info *info = &hz3_class_info[page->class];
	unsigned n = (unsigned)hz3_min(info->extend, (size_t)(page->capacity - page->carved));

	hz3_assert(page->free == NULL && page->fresh == 0);
	char *first = (char *)hz3_page_start(page) + (size_t)page->carved * info->size;
	if (HZ3_SAFETY)
		fill_blocks(first, n, info->size);
	page->carved = (uint16_t)(page->carved + n);
	/* Carved before free: a fork between the two must not leave blocks that will be carved again. */
	atomic_signal_fence(memory_order_release);
	if (info->size <= HZ3_CLASS_LINKED_MAX)
		link_blocks(page, first, n, info->size);
	else
		page->fresh = (uint16_t)n;
	return n;
}

unsigned hz3_page_count_free(const struct hz3_page *page)
{
	unsigned n = page->fresh;

	for (const struct hz3_block *block = page->free; block; block = hz3_block_next(block))
		n++;
	return n;
}

static void validate_links(const struct hz3_page *page)
{
	uintptr_t start = (uintptr_t)hz3_page_start(page);
	unsigned n = page->fresh;

	for (const struct hz3_block *block = page->free; block; block = hz3_block_next(block)) {
		uintptr_t offset = (uintptr_t)block - start;
		hz3_check(hz3_class_has_block(page->class, offset),
			  "page %p: free list leads to %p, which is no block of it", (void *)start,
			  (const void *)block);
		hz3_check(++n <= page->carved, "page %p: free list is longer than the page", (void *)start);
	}
}

void hz3_page_validate(const struct hz3_page *page, uint32_t tag)
{
	size_t slice = hz3_page_slice(page);
	void *start = hz3_page_start(page);

	hz3_check(page->carved <= page->capacity, "page %p: %u of %u blocks carved", start, page->carved,
		  page->capacity);
	for (unsigned i = 0; i < page->slices; i++)
		hz3_check(hz3_route_of(slice + i) == hz3_route_page(tag, page->class, i),
			  "page %p: slice %u has a foreign route", start, i);
	validate_links(page);
	if (page->state == HZ3_PAGE_CURRENT)
		return;
	unsigned free = hz3_page_count_free(page);
	unsigned want = page->state == HZ3_PAGE_AWAKE ? page->capacity : hz3_class_info[page->class].wake;
	hz3_check(page->carved == page->capacity && page->countdown + free == want,
		  "page %p: %u free blocks and countdown %u in state %u", start, free, page->countdown, page->state);
}
