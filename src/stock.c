/* The stock of a heap: free runs that its thread keeps. */
#include "stock.h"

#include "arena.h"
#include "options.h"

/* One writer at a time: two relaxed steps lose nothing. */
static void count(struct hz3_stock *stock, int slices)
{
	uint32_t now = hz3_stock_slices(stock) + (uint32_t)slices;

	hz3_atomic_store(&stock->slices, now, relaxed);
}

static void take(struct hz3_stock *stock, struct hz3_page *page)
{
	hz3_page_list_remove(&stock->runs[page->slices - 1], page);
	count(stock, -page->slices);
}

static void give_back(struct hz3_stock *stock, struct hz3_page *page)
{
	take(stock, page);
	hz3_arena_free(hz3_page_slice(page), page->slices);
}

/* Keep it within bounds: longer runs go first, of each length the longest unused; the newest only if nothing else is left. */
static void trim(struct hz3_stock *stock, uint32_t slices_max, const struct hz3_page *newest)
{
	for (unsigned i = HZ3_STOCK_SLICES_MAX; i-- > 0 && hz3_stock_slices(stock) > slices_max;)
		for (struct hz3_page *page; (page = stock->runs[i].last) && hz3_stock_slices(stock) > slices_max;) {
			if (page == newest)
				break;
			give_back(stock, page);
		}
}

static bool is_aligned(const struct hz3_page *page, size_t align)
{
	return align == 1 || (uintptr_t)hz3_page_start(page) % (align << HZ3_SLICE_SHIFT) == 0;
}

size_t hz3_stock_take(struct hz3_stock *stock, size_t n, size_t align)
{
	struct hz3_page *page = n <= HZ3_STOCK_SLICES_MAX ? stock->runs[n - 1].first : NULL;

	if (page == NULL || !is_aligned(page, align))
		return 0;
	take(stock, page);
	return hz3_page_slice(page);
}

bool hz3_stock_has_room(const struct hz3_stock *stock, size_t n)
{
	return hz3_stock_slices(stock) + n <= (size_t)hz3_options.empty_pages_max;
}

void hz3_stock_add(struct hz3_stock *stock, struct hz3_page *page)
{
	uint32_t slices_max = (uint32_t)hz3_options.empty_pages_max;

	hz3_page_list_prepend(&stock->runs[page->slices - 1], page);
	count(stock, page->slices);
	trim(stock, slices_max, page);
	if (hz3_stock_slices(stock) > slices_max)
		give_back(stock, page);
}

void hz3_stock_trim(struct hz3_stock *stock)
{
	trim(stock, 0, NULL);
}

void hz3_stock_mend(struct hz3_stock *stock)
{
	for (unsigned i = 0; i < HZ3_STOCK_SLICES_MAX; i++)
		stock->runs[i] = (struct hz3_page_list){ NULL, NULL };
	hz3_atomic_store(&stock->slices, 0, relaxed);
}
