/*
 * Tests of top.h, seqlock.h, and of what hz3top does with what it reads: the snapshot says what heaps and flows counted, within its
 * bounds; a copy is of one moment; whatever is in the file, nothing but a picture comes of it.
 */
#include "core.h"

#include "flow_map.h"
#include "seqlock.h"
#include "stats.h"
#include "thread.h"
#include "top.h"
#include "top_model.h"
#include "top_read.h"
#include "top_view.h"

#include <locale.h>
#include <wchar.h>

#define CLASS 3u			/* 64 bytes */
#define SIZE 64u

static struct hz3_top_snapshot snapshot;
static struct top_model model;

static void set_up(void)
{
	hz3_options.background_thread = false;
}

/* A heap that seems to have a thread. */
static struct hz3_heap *heap_of(const char *name, uint32_t tid)
{
	struct hz3_heap *heap = hz3_heap_new();

	ck_assert_ptr_nonnull(heap);
	heap->owner->frees->tid = tid;
	hz3_flow_name_set(&heap->owner->frees->name, name);
	return heap;
}

static const struct hz3_top_thread *thread_of(const struct hz3_heap *heap)
{
	for (unsigned i = 0; i < snapshot.thread_rows; i++) {
		if (snapshot.thread[i].heap == heap->owner->id)
			return &snapshot.thread[i];
	}
	ck_abort_msg("heap %u has no row", heap->owner->id);
	return NULL;
}

/* The owner allocates, the other frees so many. */
static void send_blocks(struct hz3_heap *owner, struct hz3_heap *freer, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		core_free(freer, core_alloc(owner, CLASS));
	hz3_heap_flush(freer, HZ3_FLUSH_IDLE);
}

/* ---- The snapshot ---- */

START_TEST(what_threads_did)
{
	core_set_up(1);
	hz3_sink_set_mode(HZ3_SINK_CENTRAL);
	struct hz3_heap *owner = heap_of("worker-1", 4000001), *freer = heap_of("logger", 4000002);

	send_blocks(owner, freer, 300);
	hz3_top_take(&snapshot);
	ck_assert_uint_eq(snapshot.number, 1);
	ck_assert_uint_eq(snapshot.thread_rows, 2);
	ck_assert_uint_eq(snapshot.others, 0);
	ck_assert_str_eq(thread_of(owner)->name, "worker-1");
	ck_assert_uint_eq(thread_of(owner)->tid, 4000001);
	ck_assert_uint_ge(thread_of(owner)->counts.allocated_blocks, 300);
	ck_assert_uint_eq(thread_of(owner)->counts.allocated_bytes, thread_of(owner)->counts.allocated_blocks * SIZE);
	ck_assert_uint_eq(thread_of(owner)->counts.waiting_bytes, 300 * SIZE);
	ck_assert_uint_eq(thread_of(owner)->counts.in_blocks, 0);
	ck_assert_uint_eq(thread_of(freer)->counts.out_blocks, 300);
	ck_assert_uint_eq(thread_of(freer)->counts.out_bytes, 300 * SIZE);
	ck_assert_uint_eq(thread_of(freer)->counts.out_chains, 1);
	ck_assert_uint_eq(snapshot.flow_rows, 1);
	ck_assert_str_eq(snapshot.flow[0].owner, "worker-1");
	ck_assert_str_eq(snapshot.flow[0].freer, "logger");
	ck_assert_uint_eq(snapshot.flow[0].blocks, 300);
	ck_assert_uint_eq(snapshot.flow[0].bytes, 300 * SIZE);
	ck_assert_uint_eq(snapshot.flow[0].chains, 1);
	/* What waits in a buffer, and what has come home. */
	hz3_heap_drain_all(owner, SIZE_MAX);
	core_free(freer, core_alloc(owner, CLASS));
	hz3_top_take(&snapshot);
	ck_assert_uint_eq(snapshot.number, 2);
	ck_assert_uint_eq(thread_of(owner)->counts.waiting_bytes, 0);
	ck_assert_uint_eq(thread_of(owner)->counts.in_blocks, 300);
	ck_assert_uint_eq(thread_of(owner)->counts.in_bytes, 300 * SIZE);
	ck_assert_uint_eq(thread_of(freer)->counts.held_bytes, SIZE);
	ck_assert_uint_eq(snapshot.total.held_bytes, SIZE);
	ck_assert_uint_eq(snapshot.total.out_blocks, 300);
}
END_TEST

/* A page that the freeing thread takes over: out, but never in. */
START_TEST(pages_taken_over)
{
	core_set_up(1);
	struct hz3_heap *owner = heap_of("owner", 4000001), *freer = heap_of("freer", 4000002);
	static void *blocks[1025];

	for (int i = 0; i < 1025; i++)
		blocks[i] = core_alloc(owner, CLASS);
	for (int i = 0; i < 1024; i++)
		core_free(freer, blocks[i]);
	hz3_top_take(&snapshot);
	ck_assert_uint_eq(thread_of(freer)->counts.out_blocks, 1024);
	ck_assert_uint_eq(thread_of(freer)->counts.taken_blocks, 1024);
	ck_assert_uint_eq(thread_of(freer)->counts.in_blocks, 0);
	ck_assert_uint_eq(thread_of(freer)->counts.in_bytes, 0);
	ck_assert_uint_eq(thread_of(owner)->counts.in_blocks, 0);
	ck_assert_uint_eq(thread_of(owner)->counts.waiting_bytes, 0);
}
END_TEST

/* Rows that are too few go to those who did most lately; all the rest is in one sum, and nothing is lost. */
START_TEST(more_threads_than_rows)
{
	enum { THREADS = HZ3_TOP_THREADS + 50 };
	static struct hz3_heap *heap[THREADS];
	struct hz3_top_counts sum = {0};
	char name[16];

	core_set_up(1);
	for (unsigned i = 0; i < THREADS; i++) {
		snprintf(name, sizeof(name), "thread-%u", i);
		heap[i] = heap_of(name, 4000000 + i);
	}
	/* The last fifty are the busy ones. */
	for (unsigned i = HZ3_TOP_THREADS; i < THREADS; i++)
		core_alloc(heap[i], CLASS);
	hz3_top_take(&snapshot);
	ck_assert_uint_eq(snapshot.thread_rows, HZ3_TOP_THREADS);
	ck_assert_uint_eq(snapshot.others, 50);
	for (unsigned i = HZ3_TOP_THREADS; i < THREADS; i++)
		ck_assert_uint_gt(thread_of(heap[i])->counts.allocated_blocks, 0);
	ck_assert_uint_eq(snapshot.other.allocated_blocks, 0);
	/* Then others are, and in time take the rows of those, whose past is forgotten. */
	for (int times = 0; times < 100; times++) {
		for (unsigned i = 0; i < HZ3_TOP_THREADS; i++)
			heap[i]->counters.class[CLASS].allocated++;
		hz3_top_take(&snapshot);
	}
	for (unsigned i = 0; i < HZ3_TOP_THREADS; i++)
		thread_of(heap[i]);
	for (unsigned i = 0; i < snapshot.thread_rows; i++)
		sum.allocated_blocks += snapshot.thread[i].counts.allocated_blocks;
	ck_assert_uint_gt(snapshot.other.allocated_blocks, 0);
	ck_assert_uint_eq(snapshot.total.allocated_blocks,
			  sum.allocated_blocks + snapshot.other.allocated_blocks + snapshot.end.allocated_blocks);
}
END_TEST

/* A thread that has ended, and the heap of those that are ending, have no row. */
START_TEST(heaps_without_threads)
{
	core_set_up(1);
	struct hz3_heap *one = heap_of("one", 4000001), *other = heap_of("other", 4000002);

	core_alloc(one, CLASS);
	core_alloc(other, CLASS);
	hz3_flow_end(one->owner->frees);
	hz3_top_take(&snapshot);
	ck_assert_uint_eq(snapshot.thread_rows, 1);
	ck_assert_str_eq(snapshot.thread[0].name, "other");
	ck_assert_uint_ge(snapshot.ended, 1);
	ck_assert_uint_eq(snapshot.end.allocated_blocks, one->counters.class[CLASS].allocated);
}
END_TEST

/* Of many workers and one logger, one flow; and of many flows, those with most blocks. */
START_TEST(flows_by_pattern)
{
	core_set_up(1);
	struct hz3_heap *logger = heap_of("logger", 4000001), *single = heap_of("single-7", 4000002), *printer = heap_of("printer", 4000003);
	char name[16];

	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "worker-%u", i);
		send_blocks(heap_of(name, 4100000 + i), logger, 10);
	}
	send_blocks(single, logger, 100);
	hz3_top_take(&snapshot);
	ck_assert_uint_eq(snapshot.flow_rows, 2);
	ck_assert_str_eq(snapshot.flow[0].owner, "worker-*");
	ck_assert_uint_eq(snapshot.flow[0].blocks, 400);
	ck_assert_str_eq(snapshot.flow[1].owner, "single-7");
	ck_assert_uint_eq(snapshot.flow[1].blocks, 100);
	ck_assert_uint_eq(snapshot.flags, HZ3_TOP_COUNTS);
	/* As many as one thread has rows for. */
	for (unsigned i = 0; i < 2 * HZ3_TOP_FLOWS; i++) {
		snprintf(name, sizeof(name), "n-%c%c", 'a' + i % 26, 'a' + i / 26);
		send_blocks(heap_of(name, 4200000 + i), printer, 1 + i % 50);
	}
	hz3_top_take(&snapshot);
	ck_assert_uint_eq(snapshot.flow_rows, HZ3_TOP_FLOWS);
	ck_assert_uint_eq(snapshot.flags, HZ3_TOP_COUNTS | HZ3_TOP_FLOWS_CUT);
	for (unsigned i = 1; i < HZ3_TOP_FLOWS; i++)
		ck_assert_uint_ge(snapshot.flow[i - 1].blocks, snapshot.flow[i].blocks);
	/* Of 66, the 32 largest: 400, 100, and from 50 down; 1 to 14 are there twice. */
	ck_assert_uint_eq(snapshot.flow[HZ3_TOP_FLOWS - 1].blocks, 21);
}
END_TEST

/* A name has in hz3top the pattern that it has in the report: here by a sibling that only frees its own. */
START_TEST(flows_as_in_the_report)
{
	core_set_up(1);
	struct hz3_heap *worker = heap_of("worker-1", 4000001), *sibling = heap_of("worker-2", 4000002);
	struct hz3_heap *logger = heap_of("logger-1", 4000003), *single = heap_of("single-7", 4000004);

	send_blocks(worker, logger, 30);
	send_blocks(single, logger, 20);
	sibling->counters.class[CLASS].freed_local++;
	hz3_top_take(&snapshot);
	struct hz3_flow_map *map = hz3_flow_map_take();
	hz3_flow_map_merge(map);
	ck_assert_uint_eq(snapshot.flow_rows, 2);
	for (unsigned i = 0; i < snapshot.flow_rows; i++) {
		ck_assert_str_eq(snapshot.flow[i].owner, map->row[i].owner);
		ck_assert_str_eq(snapshot.flow[i].freer, map->row[i].freer);
		ck_assert_uint_eq(snapshot.flow[i].blocks, hz3_flow_row_blocks(&map->row[i]));
	}
	hz3_flow_map_release(map);
	ck_assert_str_eq(snapshot.flow[0].owner, "worker-*");
	ck_assert_str_eq(snapshot.flow[0].freer, "logger-1");
	ck_assert_str_eq(snapshot.flow[1].owner, "single-7");
}
END_TEST

/* ---- The sequence lock ---- */

#define LOCK_WORDS 400
#define LOCK_ROUNDS 20000

static _Atomic uint64_t number, words[LOCK_WORDS];

/* All words of a write are the same. */
static void *write_rounds(void *arg)
{
	static uint64_t from[LOCK_WORDS];

	for (uint64_t round = 1; round <= LOCK_ROUNDS; round++) {
		for (unsigned i = 0; i < LOCK_WORDS; i++)
			from[i] = round;
		hz3_seqlock_write(&number, words, from, LOCK_WORDS);
		if (round % 64 == 0)
			sched_yield();
	}
	return arg;
}

static void *read_rounds(void *arg)
{
	uint64_t copy[LOCK_WORDS], last = 0, good = 0;

	while (last < LOCK_ROUNDS) {
		if (!hz3_seqlock_read(&number, words, copy, LOCK_WORDS))
			continue;
		good++;
		ck_assert_uint_ge(copy[0], last);
		last = copy[0];
		for (unsigned i = 1; i < LOCK_WORDS; i++)
			ck_assert_uint_eq(copy[i], last);
	}
	ck_assert_uint_gt(good, 0);
	return arg;
}

START_TEST(copies_are_whole)
{
	pthread_t writer, reader[2];
	uint64_t copy[LOCK_WORDS];

	ck_assert(!hz3_seqlock_read(&number, words, copy, LOCK_WORDS));
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&reader[i], NULL, read_rounds, NULL), 0);
	ck_assert_int_eq(pthread_create(&writer, NULL, write_rounds, NULL), 0);
	pthread_join(writer, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(reader[i], NULL);
	/* A writer that ended in the midst of it. */
	atomic_fetch_add(&number, 1);
	ck_assert(!hz3_seqlock_read(&number, words, copy, LOCK_WORDS));
}
END_TEST

/* ---- Reading ---- */

static struct hz3_top_file file;

static void fill_head(void)
{
	memset((void *)&file, 0, sizeof(file));
	file.head.format = HZ3_TOP_FORMAT;
	file.head.file_bytes = sizeof(file);
	file.head.pid = 77;
	file.head.period_ms = HZ3_TOP_PERIOD_MS;
	strcpy(file.head.version, "1.2.3");
	file.head.magic = HZ3_TOP_MAGIC;
}

START_TEST(files_that_are_none)
{
	for (size_t bytes = 0; bytes < sizeof(file.head); bytes++)
		ck_assert_ptr_nonnull(top_check(&file, bytes, 77));
	fill_head();
	ck_assert_ptr_null(top_check(&file, sizeof(file), 77));
	ck_assert_ptr_null(top_check(&file, sizeof(file) + 4096, 77));
	ck_assert_ptr_nonnull(top_check(&file, sizeof(file) - 1, 77));
	ck_assert_ptr_nonnull(top_check(&file, sizeof(file), 78));
	file.head.magic++;
	ck_assert_ptr_nonnull(strstr(top_check(&file, sizeof(file), 77), "not hz3's"));
	fill_head();
	file.head.format++;
	ck_assert_ptr_nonnull(strstr(top_check(&file, sizeof(file), 77), "another version"));
	fill_head();
	file.head.file_bytes++;
	ck_assert_ptr_nonnull(strstr(top_check(&file, sizeof(file), 77), "damaged"));
	fill_head();
	memset(file.head.version, 'x', sizeof(file.head.version));
	ck_assert_ptr_nonnull(strstr(top_check(&file, sizeof(file), 77), "damaged"));
	fill_head();
	file.head.period_ms = 0;
	ck_assert_ptr_nonnull(strstr(top_check(&file, sizeof(file), 77), "damaged"));
}
END_TEST

START_TEST(text_is_clean)
{
	static const char *const cases[][2] = {
		{"plain", "plain"}, {"a\033[2Jb", "a?[2Jb"}, {"tab\tnl\n", "tab?nl?"}, {"\xc3\xa4\xe6\x97\xa5", "\xc3\xa4\xe6\x97\xa5"},
		{"cut \xe6\x97", "cut ??"}, {"\xff\x80", "??"}, {"\xc0\x80", "??"}, {"\xed\xa0\x80", "???"}, {"\xc2\x9b", "??"}, {"\x7f", "?"}, {"", ""}};
	char text[32];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		strcpy(text, cases[i][0]);
		top_clean_text(text);
		ck_assert_str_eq(text, cases[i][1]);
	}
}
END_TEST

/* ---- The picture ---- */

static const struct top_process process = {.pid = 77, .name = "program", .command = "program --of tests"};
static unsigned lines_put, width_max;
static char picture[1 << 20];

static void put_line(void *arg, const char *text, enum top_style style)
{
	(void)arg, (void)style;
	wchar_t wide[2048];
	size_t n = mbstowcs(wide, text, 2048);

	ck_assert_uint_lt(n, 2048);
	ck_assert_int_le(wcswidth(wide, n), (int)width_max);
	ck_assert_int_ge(wcswidth(wide, n), 0);
	ck_assert_uint_lt(strlen(picture) + strlen(text) + 2, sizeof(picture));
	strcat(strcat(picture, text), "\n");
	lines_put++;
}

static void draw(unsigned width, unsigned height, unsigned scroll)
{
	struct top_view view = {.width = width, .height = height, .scroll = scroll, .keys = height != 0, .state = scroll % 2 ? "PAUSED" : NULL};

	lines_put = 0;
	width_max = width;
	picture[0] = '\0';
	top_view_draw(&model, &process, "1.2.3", &view, put_line, NULL);
	top_view_draw_help(&view, put_line, NULL);
}

/* Anything at all in the file, and any size of the terminal. */
START_TEST(garbage_makes_a_picture)
{
	unsigned long random = core_seed(4711);
	static uint64_t garbage[HZ3_TOP_WORDS];

	setlocale(LC_CTYPE, "C.UTF-8");
	for (int round = 0; round < 300; round++) {
		fill_head();
		for (size_t i = 0; i < HZ3_TOP_WORDS; i++) {
			garbage[i] = unit_random(&random);
			if (round % 3 == 1)
				garbage[i] &= 0x3f3f3f3f3f3f3f3f;
			if (round % 3 == 2 && garbage[i] % 2)
				garbage[i] = 0;
		}
		hz3_seqlock_write(&file.sequence, file.words, garbage, HZ3_TOP_WORDS);
		ck_assert(top_copy(&file, &snapshot));
		ck_assert_uint_le(snapshot.thread_rows, HZ3_TOP_THREADS);
		ck_assert_uint_le(snapshot.flow_rows, HZ3_TOP_FLOWS);
		for (unsigned i = 0; i < snapshot.thread_rows; i++)
			ck_assert_uint_lt(strnlen(snapshot.thread[i].name, HZ3_TOP_NAME_BYTES), HZ3_TOP_NAME_BYTES);
		top_model_put(&model, &snapshot);
		for (unsigned key = 0; key < TOP_KEYS; key++)
			top_model_sort(&model, (enum top_key)key, round % 2);
		draw(1 + unit_random(&random) % 250, unit_random(&random) % 70, unit_random(&random) % 300);
	}
	/* Never whole. */
	file.sequence = 3;
	ck_assert(!top_copy(&file, &snapshot));
}
END_TEST

static void set_thread(unsigned i, const char *name, uint32_t heap, uint64_t allocated, uint64_t out)
{
	struct hz3_top_thread *thread = &snapshot.thread[i];

	*thread = (struct hz3_top_thread){.tid = 1000 + heap, .heap = heap};
	strcpy(thread->name, name);
	thread->counts.allocated_blocks = allocated;
	thread->counts.out_blocks = out;
	thread->counts.waiting_bytes = 5;
	snapshot.thread_rows = i + 1;
}

static void begin_snapshot(uint64_t n, uint64_t seconds)
{
	memset(&snapshot, 0, sizeof(snapshot));
	snapshot.number = n;
	snapshot.time_us = seconds * 1000000;
	snapshot.flags = HZ3_TOP_COUNTS;
}

START_TEST(differences)
{
	begin_snapshot(5, 100);
	set_thread(0, "b", 2, 500, 0);
	set_thread(1, "a", 1, 1000, 50);
	snapshot.flow_rows = 1;
	snapshot.flow[0] = (struct hz3_top_flow){"worker-1", "logger", 100, 6400, 10};
	top_model_put(&model, &snapshot);
	ck_assert_uint_eq(model.interval_us, 0);
	ck_assert(!model.thread[0].known && !model.flow[0].known);

	/* Two seconds later: rows in another order, a thread on the heap of another, a new one, a renamed flow and a new one. */
	begin_snapshot(7, 102);
	set_thread(0, "c", 2, 700, 0);
	set_thread(1, "a", 1, 3000, 40);
	set_thread(2, "d", 3, 10, 0);
	snapshot.flow_rows = 2;
	snapshot.flow[0] = (struct hz3_top_flow){"worker-*", "logger", 160, 10240, 12};
	snapshot.flow[1] = (struct hz3_top_flow){"other", "logger", 80, 80, 1};
	top_model_put(&model, &snapshot);
	ck_assert_uint_eq(model.interval_us, 2000000);
	ck_assert(model.thread[0].known && model.thread[0].by.allocated_blocks == 200);
	ck_assert(model.thread[1].known && model.thread[1].by.allocated_blocks == 2000);
	/* What is less than before did not grow; what is said to be now has no difference. */
	ck_assert_uint_eq(model.thread[1].by.out_blocks, 0);
	ck_assert_uint_eq(model.thread[1].by.waiting_bytes, 0);
	ck_assert(!model.thread[2].known);
	ck_assert(model.flow[0].known && model.flow[0].blocks == 60 && model.flow[0].chains == 2);
	ck_assert(model.flow[1].known && model.flow[1].blocks == 80);
	/* Most in the interval first, not most ever. */
	ck_assert_uint_eq(model.flow_order[0], 1);

	top_model_sort(&model, TOP_ALLOCATED, false);
	ck_assert_uint_eq(model.thread_order[0], 1);
	top_model_sort(&model, TOP_ALLOCATED, true);
	ck_assert_uint_eq(model.thread_order[2], 1);
	top_model_sort(&model, TOP_NAME, false);
	ck_assert_uint_eq(model.thread_order[0], 1);
	ck_assert_uint_eq(model.thread_order[1], 0);

	/* Another publisher in its place. */
	begin_snapshot(1, 103);
	set_thread(0, "a", 1, 1, 0);
	top_model_put(&model, &snapshot);
	ck_assert_uint_eq(model.interval_us, 0);
	ck_assert(!model.thread[0].known);
}
END_TEST

START_TEST(columns_go_in_order)
{
	begin_snapshot(1, 100);
	set_thread(0, "a", 1, 0, 0);
	snapshot.thread[0].counts.kept_bytes = 3 << 20;
	top_model_put(&model, &snapshot);
	snapshot.number = 2;
	snapshot.time_us += 1000000;
	snapshot.thread[0].counts.allocated_blocks = 1234567;
	snapshot.thread[0].counts.out_blocks = 42;
	top_model_put(&model, &snapshot);
	top_model_sort(&model, TOP_ALLOCATED, false);
	draw(80, 24, 0);
	ck_assert_ptr_nonnull(strstr(picture, "THREAD          >ALLOC/s   FREE/s     IN/s    OUT/s  WAITING     HELD     KEPT"));
	ck_assert_ptr_nonnull(strstr(picture, "\na                  1.23M     42.0        0     42.0        5        0    3.00M\n"));
	ck_assert_ptr_nonnull(strstr(picture, "no thread frees another's memory"));
	ck_assert_ptr_null(strstr(picture, "TID "));
	draw(100, 24, 0);
	ck_assert_ptr_nonnull(strstr(picture, "BYTES/s      TID"));
	ck_assert_ptr_nonnull(strstr(picture, "1001\n"));
	draw(60, 24, 0);
	ck_assert_ptr_nonnull(strstr(picture, "THREAD          >ALLOC/s   FREE/s     IN/s    OUT/s  WAITING\n"));
	ck_assert_ptr_null(strstr(picture, "WAITING     HELD"));
	draw(24, 24, 0);
	ck_assert_ptr_nonnull(strstr(picture, "THREAD          >ALLOC/s\n"));
	/* Few lines: no flows. */
	draw(80, 10, 0);
	ck_assert_ptr_null(strstr(picture, "FLOWS"));
	ck_assert_ptr_nonnull(strstr(picture, "THREAD "));
}
END_TEST

/* So many lines as there are, whatever there is to show. */
START_TEST(lines_fit)
{
	char name[16];

	begin_snapshot(1, 100);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "t%u", i);
		set_thread(i, name, i + 1, i, i);
	}
	snapshot.flow_rows = 20;
	snapshot.others = 3;
	top_model_put(&model, &snapshot);
	for (unsigned height = 8; height < 70; height++) {
		struct top_view view = {.width = 80, .height = height, .keys = true, .scroll = 1000};

		lines_put = 0;
		width_max = 80;
		picture[0] = '\0';
		top_view_draw(&model, &process, "1.2.3", &view, put_line, NULL);
		ck_assert_uint_le(lines_put, height - 1);
		/* Scrolled as far as it goes: the last rows are there, and no more is left out than has to. */
		ck_assert_ptr_nonnull(strstr(picture, "(3 others)"));
		ck_assert_uint_eq(view.scroll, 201 - view.page);
	}
}
END_TEST

static Suite *top_suite(void)
{
	Suite *suite = suite_create("top");
	TCase *tcase = tcase_create("top");

	tcase_add_checked_fixture(tcase, set_up, NULL);
	tcase_set_timeout(tcase, 60);
	if (HZ3_STATS) {
		tcase_add_test(tcase, what_threads_did);
		tcase_add_test(tcase, pages_taken_over);
		tcase_add_test(tcase, more_threads_than_rows);
		tcase_add_test(tcase, heaps_without_threads);
		tcase_add_test(tcase, flows_by_pattern);
	tcase_add_test(tcase, flows_as_in_the_report);
	}
	tcase_add_test(tcase, copies_are_whole);
	tcase_add_test(tcase, files_that_are_none);
	tcase_add_test(tcase, text_is_clean);
	tcase_add_test(tcase, garbage_makes_a_picture);
	tcase_add_test(tcase, differences);
	tcase_add_test(tcase, columns_go_in_order);
	tcase_add_test(tcase, lines_fit);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(top_suite());
}
