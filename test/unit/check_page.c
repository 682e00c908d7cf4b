/*
 * Tests of page.h: pages of every class, made, carved, spliced, wiped and validated; lists of pages.
 */
#include "core.h"

#define OWNER 7u

static char text[1024];

static void set_up(void)
{
	core_set_up(1);
}

static struct hz3_page *new_page(unsigned class)
{
	bool zero;
	size_t slice = hz3_arena_alloc(hz3_arena_for(0), hz3_class_info[class].slices, 1, &zero);

	ck_assert_uint_ne(slice, 0);
	hz3_page_format(hz3_page_at(slice), class, OWNER);
	return hz3_page_at(slice);
}

static void check_routes(const struct hz3_page *page, bool in_use)
{
	size_t slice = hz3_page_slice(page);

	for (unsigned i = 0; i < page->slices; i++)
		ck_assert_uint_eq(hz3_route_of(slice + i), in_use ? hz3_route_page(OWNER, page->class, i) : 0);
}

START_TEST(formats)
{
	struct hz3_page *page = new_page((unsigned)_i);

	ck_assert_ptr_null(page->free);
	ck_assert_uint_eq(page->carved, 0);
	ck_assert_uint_eq(page->capacity, hz3_class_info[_i].capacity);
	ck_assert_uint_eq(page->slices, hz3_class_info[_i].slices);
	ck_assert_uint_eq(page->class, (unsigned)_i);
	ck_assert_uint_eq(page->state, HZ3_PAGE_CURRENT);
	ck_assert_uint_eq(page->countdown, page->local_base);
	ck_assert_ptr_eq(hz3_page_start(page), hz3_slice_address(hz3_page_slice(page)));
	check_routes(page, true);
	hz3_page_validate(page, OWNER);
}
END_TEST

/* Blocks come in address order, a few KiB at a time, each exactly once, none across the end of the page. */
START_TEST(carves)
{
	unsigned class = (unsigned)_i, total = 0, n;
	struct hz3_page *page = new_page(class);
	const struct hz3_class_info *info = &hz3_class_info[class];
	char *start = hz3_page_start(page);

	while ((n = hz3_page_carve(page)) > 0) {
		ck_assert_uint_le(n, info->extend);
		ck_assert(n == info->extend || total + n == info->capacity);
		ck_assert_uint_eq(hz3_page_count_free(page), n);
		ck_assert_uint_eq(page->carved, total + n);
		hz3_page_validate(page, OWNER);
		/* Blocks are linked, or fresh and untouched: the window reads as zeroes. */
		ck_assert_uint_eq(page->fresh, info->size <= 256 ? 0 : n);
		for (unsigned i = 0; i < n; i++) {
			bool zero = page->fresh != 0;
			struct hz3_block *block = hz3_page_take(page);
			ck_assert_ptr_eq(block, start + (total + i) * hz3_class_size(class));
			if (zero)
				ck_assert_ptr_null(block->next);
			memset(block, 0xa5, hz3_class_size(class));
		}
		ck_assert_ptr_null(hz3_page_take(page));
		total += n;
		page->free = NULL;
	}
	ck_assert_uint_eq(total, info->capacity);
	ck_assert_uint_le(total * hz3_class_size(class), hz3_class_page_bytes(class));
	ck_assert_ptr_null(page->free);
}
END_TEST

START_TEST(splices)
{
	struct hz3_page *page = new_page((unsigned)_i);
	unsigned capacity = page->capacity, n = 0;

	/* The whole page, one carving after the other, as one chain each; what was spliced before is put aside meanwhile. */
	struct hz3_block *before = NULL;
	while (hz3_page_carve(page)) {
		struct hz3_chain chain = { .first = hz3_page_take(page), .count = 1 };

		chain.last = chain.first;
		for (struct hz3_block *block; (block = hz3_page_take(page)); chain.count++) {
			hz3_block_link(chain.last, block);
			chain.last = block;
		}
		hz3_block_link(chain.last, NULL);
		page->free = before;
		hz3_page_splice(page, chain);
		n += chain.count;
		ck_assert_uint_eq(hz3_page_count_free(page), n);
		ck_assert_ptr_eq(page->free, chain.first);
		before = page->free;
		page->free = NULL;
	}
	page->free = before;
	ck_assert_uint_eq(hz3_page_count_free(page), capacity);
	hz3_page_validate(page, OWNER);
}
END_TEST

START_TEST(wipes)
{
	struct hz3_page *page = new_page((unsigned)_i);

	hz3_page_carve(page);
	hz3_remote_set_asleep(hz3_page_remote(page), true);
	hz3_page_wipe(page);
	check_routes(page, false);
	ck_assert_uint_eq(page->state, HZ3_PAGE_EMPTY);
	ck_assert_uint_eq(page->carved, 0);
	ck_assert_ptr_null(page->free);
	ck_assert(!hz3_remote_is_asleep(hz3_page_remote(page)));
	hz3_arena_free(hz3_page_slice(page), page->slices);
	hz3_arenas_validate();
}
END_TEST

/* ---- What validation finds ---- */

static struct hz3_page *damaged;

static void validate(void *arg)
{
	(void)arg;
	hz3_page_validate(damaged, OWNER);
}

static void finds(const char *message)
{
	ck_assert(unit_dies(validate, NULL, text, sizeof(text)));
	ck_assert_msg(strstr(text, message) != NULL, "%s", text);
}

START_TEST(validation_finds_damage)
{
	struct hz3_page *page = damaged = new_page(3);

	while (page->carved < page->capacity) {
		while (hz3_page_take(page))
			;
		hz3_page_carve(page);
	}
	unsigned free = hz3_page_count_free(page);
	page->state = HZ3_PAGE_AWAKE;
	page->countdown = page->capacity - free;
	hz3_page_validate(page, OWNER);
	switch (_i) {
	case 0:
		page->countdown++;
		finds("free blocks and countdown");
		break;
	case 1:
		hz3_block_link(page->free, (struct hz3_block *)((char *)page->free->next + 16));
		finds("no block of it");
		break;
	case 2:
		hz3_block_link(page->free, hz3_slice_address(hz3_page_slice(page) + 1));
		finds("no block of it");
		break;
	case 3: /* a loop */
		hz3_block_link(page->free->next, page->free);
		finds("longer than the page");
		break;
	case 4:
		hz3_route_set(hz3_page_slice(page), hz3_route_page(OWNER + 1, 3, 0));
		finds("foreign route");
		break;
	case 5:
		page->carved = (uint16_t)(page->capacity + 1);
		finds("blocks carved");
		break;
	case 6:
		page->state = HZ3_PAGE_ASLEEP;
		finds("free blocks and countdown");
		break;
	}
}
END_TEST

/* ---- Lists ---- */

START_TEST(lists)
{
	enum { PAGES = 8, STEPS = 20000 };
	struct hz3_page pages[PAGES] = { 0 };
	struct hz3_page_list list = { NULL, NULL };
	int order[PAGES], n = 0;
	unsigned long seed = core_seed(11);

	for (int step = 0; step < STEPS; step++) {
		int i = (int)core_pick(&seed, PAGES), at = -1;

		for (int j = 0; j < n; j++)
			if (order[j] == i)
				at = j;
		if (at >= 0) {
			hz3_page_list_remove(&list, &pages[i]);
			memmove(&order[at], &order[at + 1], (size_t)(--n - at) * sizeof(order[0]));
		} else if (core_pick(&seed, 2)) {
			hz3_page_list_append(&list, &pages[i]);
			order[n++] = i;
		} else {
			hz3_page_list_prepend(&list, &pages[i]);
			memmove(&order[1], &order[0], (size_t)n++ * sizeof(order[0]));
			order[0] = i;
		}
		struct hz3_page *page = list.first, *before = NULL;
		for (int j = 0; j < n; j++, before = page, page = page->next) {
			ck_assert_ptr_eq(page, &pages[order[j]]);
			ck_assert_ptr_eq(page->prev, before);
		}
		ck_assert_ptr_null(page);
		ck_assert_ptr_eq(list.last, before);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("page");
	TCase *tc = tcase_create("pages");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_loop_test(tc, formats, 0, HZ3_CLASSES);
	tcase_add_loop_test(tc, carves, 0, HZ3_CLASSES);
	tcase_add_loop_test(tc, splices, 0, HZ3_CLASSES);
	tcase_add_loop_test(tc, wipes, 0, HZ3_CLASSES);
	tcase_add_loop_test(tc, validation_finds_damage, 0, 7);
	suite_add_tcase(suite, tc);

	tc = tcase_create("lists");
	tcase_add_test(tc, lists);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
