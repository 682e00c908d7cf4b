/*
 * Tests of flow.h and flow_map.h: every remote free is in the map once, under the right names, whoever has ended meanwhile, and
 * within the bounds; what waits is what was sent and not taken in.
 */
#include "core.h"

#include "alloc.h"
#include "flow_map.h"
#include "meta.h"
#include "probe.h"
#include "stats.h"
#include "thread.h"

#define CLASS 3u			/* 64 bytes, in group 0 */
#define SIZE 64u

static void set_up(void)
{
	hz3_options.background_thread = false;
}

/* ---- names ---- */

START_TEST(patterns)
{
	static const char *const cases[][2] = {
		{"worker-12", "worker-*"}, {"worker", "worker"}, {"7", "*"}, {"a1b", "a1b"}, {"", ""}, {"fifteen-letter9", "fifteen-letter*"}};
	char pattern[HZ3_FLOW_NAME_BYTES];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		hz3_flow_pattern(pattern, cases[i][0]);
		ck_assert_str_eq(pattern, cases[i][1]);
	}
}
END_TEST

START_TEST(groups_cover_all_sizes)
{
	size_t next = 1;

	for (unsigned group = 0; group < HZ3_FLOW_GROUPS; group++) {
		ck_assert_uint_eq(hz3_flow_group_from(group), next);
		ck_assert_uint_eq(hz3_flow_group(hz3_size_class(next)), group);
		ck_assert_uint_eq(hz3_flow_group(hz3_size_class(hz3_flow_group_to(group))), group);
		next = hz3_flow_group_to(group) + 1;
	}
	ck_assert_uint_eq(next, HZ3_CLASS_SIZE_MAX + 1);
}
END_TEST

/* ---- counting, by hand, on each sink ---- */

START_TEST(counts_blocks_and_chains)
{
	core_set_up(1);
	hz3_sink_set_mode(_i);
	struct hz3_heap *owner = hz3_heap_new(), *freer = hz3_heap_new();
	struct hz3_flows *flows = &freer->buffer.outbox.flows;
	static void *blocks[3000];

	for (int i = 0; i < 3000; i++)
		ck_assert_ptr_nonnull(blocks[i] = core_alloc(owner, CLASS));
	/* 100 of each of the first two pages; 1024 to a page. */
	for (int i = 0; i < 100; i++) {
		core_free(freer, blocks[i]);
		core_free(freer, blocks[1024 + i]);
	}
	ck_assert_uint_eq(flows->used, 0);
	hz3_heap_flush(freer, HZ3_FLUSH_IDLE);
	ck_assert_uint_eq(flows->used, 1);
	struct hz3_flow *flow = hz3_flow_to(flows, owner->owner->id);
	ck_assert_uint_eq(flow->owner, owner->owner->id);
	ck_assert_uint_eq(flow->counts.blocks[CLASS], 200);
	ck_assert_uint_eq(flow->counts.chains[0], 2);
	ck_assert_ptr_eq(owner->owner->freed_by, flow);
	ck_assert_ptr_null(freer->owner->freed_by);
	/* The rest of the first page, at once: taken over or sent, but counted. */
	for (int i = 100; i < 1024; i++)
		core_free(freer, blocks[i]);
	hz3_heap_flush(freer, HZ3_FLUSH_IDLE);
	ck_assert_uint_eq(flow->counts.blocks[CLASS], 1124);
	hz3_heap_drain_all(owner, SIZE_MAX);
	hz3_heap_trim(owner);
	uint64_t delivered = owner->counters.class[CLASS].freed_remote + freer->counters.class[CLASS].freed_remote;
	ck_assert_uint_eq(delivered, 1124 - core_in_words());
}
END_TEST

/* A page whose blocks all come into the buffer never travels: it counts as freed, and not as waiting. */
START_TEST(counts_handed_over_pages)
{
	core_set_up(1);
	hz3_sink_set_mode(_i);
	struct hz3_heap *owner = hz3_heap_new(), *freer = hz3_heap_new();
	static void *blocks[1025];

	for (int i = 0; i < 1025; i++)
		ck_assert_ptr_nonnull(blocks[i] = core_alloc(owner, CLASS));
	for (int i = 0; i < 1024; i++)
		core_free(freer, blocks[i]);
	struct hz3_flow *flow = hz3_flow_to(&freer->buffer.outbox.flows, owner->owner->id);
	ck_assert_uint_eq(freer->counters.handover_pages, 1);
	ck_assert_uint_eq(flow->counts.blocks[CLASS], 1024);
	ck_assert_uint_eq(flow->counts.chains[0], 1);
	ck_assert_uint_eq(flow->handed_bytes, 1024 * SIZE);
	struct hz3_flow_map *map = hz3_flow_map_take();
	ck_assert_uint_eq(map->waiting_bytes, 0);
	ck_assert_uint_eq(map->sent_blocks, 1024);
	hz3_flow_map_release(map);
}
END_TEST

START_TEST(what_waits)
{
	core_set_up(1);
	hz3_sink_set_mode(_i);
	struct hz3_heap *owner = hz3_heap_new(), *freer = hz3_heap_new();
	static void *blocks[2000];

	for (int i = 0; i < 2000; i++)
		ck_assert_ptr_nonnull(blocks[i] = core_alloc(owner, CLASS));
	for (int i = 0; i < 700; i++)
		core_free(freer, blocks[i]);
	struct hz3_flow_map *map = hz3_flow_map_take();
	ck_assert_uint_eq(map->waiting_bytes, 0);
	hz3_flow_map_release(map);
	hz3_heap_flush(freer, HZ3_FLUSH_IDLE);
	core_now += 5000;
	map = hz3_flow_map_take();
	ck_assert_uint_eq(map->waiting_bytes, 700 * SIZE);
	ck_assert_uint_eq(map->waiting_rows, 1);
	ck_assert_uint_eq(map->waiting[0].heap, owner->owner->id);
	ck_assert_uint_eq(map->waiting[0].bytes, 700 * SIZE);
	ck_assert_uint_eq(map->waiting[0].age_ms, 5000);
	hz3_flow_map_release(map);
	hz3_heap_drain_all(owner, SIZE_MAX);
	map = hz3_flow_map_take();
	ck_assert_uint_eq(map->waiting_bytes, 0);
	ck_assert_uint_eq(map->waiting_rows, 0);
	hz3_flow_map_release(map);
}
END_TEST

/* More owners than a thread has rows for. */
START_TEST(many_owners)
{
	enum { OWNERS = HZ3_FLOW_ROWS + 20, EACH = 10 };

	core_set_up(1);
	struct hz3_heap *freer = hz3_heap_new();
	for (int i = 0; i < OWNERS; i++) {
		struct hz3_heap *owner = hz3_heap_new();
		for (int j = 0; j < EACH; j++)
			core_free(freer, core_alloc(owner, CLASS));
	}
	hz3_heap_flush(freer, HZ3_FLUSH_IDLE);
	ck_assert_uint_eq(freer->buffer.outbox.flows.used, HZ3_FLOW_ROWS);
	ck_assert_uint_eq(freer->buffer.outbox.flows.others.counts.blocks[CLASS], 20 * EACH);
	struct hz3_flow_map *map = hz3_flow_map_take();
	ck_assert(map->rows_full);
	ck_assert_uint_eq(map->sent_blocks, OWNERS * EACH);
	ck_assert_uint_eq(map->rows, HZ3_FLOW_ROWS + 1);
	ck_assert_str_eq(map->row[0].owner, "(others)");
	hz3_flow_map_release(map);
}
END_TEST

/* A heap goes from thread to thread, each of which frees of others: its rows do not add up, and what they said is not lost. */
START_TEST(rows_are_used_again)
{
	enum { ROUNDS = 5, OWNERS = 40, EACH = 10 };

	core_set_up(1);
	hz3_sink_set_mode(_i);
	struct hz3_heap *freer = hz3_heap_new(), *always = hz3_heap_new();
	struct hz3_flows *flows = &freer->buffer.outbox.flows;
	uint64_t sent = 0;

	for (int round = 0; round < ROUNDS; round++) {
		hz3_flow_begin(freer->owner, &freer->counters);
		/* The first to be asked for: that row stays. */
		hz3_flow_to(flows, always->owner->id);
		for (int i = 0; i < OWNERS; i++) {
			struct hz3_heap *owner = i == 0 ? always : hz3_heap_new();
			for (int j = 0; j < EACH; j++)
				core_free(freer, core_alloc(owner, CLASS));
			sent += EACH;
		}
		hz3_heap_flush(freer, HZ3_FLUSH_IDLE);
		ck_assert_uint_eq(flows->used, OWNERS);
		ck_assert_uint_eq(hz3_flow_to(flows, always->owner->id)->counts.blocks[CLASS], (round + 1) * EACH);
		ck_assert_uint_eq(hz3_flow_bytes(flows), sent * SIZE);
		struct hz3_flow_map *map = hz3_flow_map_take();
		ck_assert(!map->rows_full);
		ck_assert_uint_eq(map->sent_blocks, sent);
		ck_assert_uint_eq(map->waiting_bytes, sent * SIZE);
		hz3_flow_map_release(map);
	}
	hz3_heap_drain_all(always, SIZE_MAX);
	struct hz3_flow_map *map = hz3_flow_map_take();
	ck_assert_uint_eq(map->waiting_bytes, (sent - ROUNDS * EACH) * SIZE);
	hz3_flow_map_release(map);
}
END_TEST

/* No memory for a row: the count goes to "others", and nothing else happens. */
START_TEST(no_memory_for_rows)
{
	core_set_up(1);
	struct hz3_heap *owner = hz3_heap_new(), *freer = hz3_heap_new();
	void *p = core_alloc(owner, CLASS), *q;

	/* The rest of the chunk. */
	while (core_os.mmaps < 1000 && (core_refuse_mmap(1, true), hz3_meta_alloc(64) != NULL))
		;
	core_free(freer, p);
	hz3_heap_flush(freer, HZ3_FLUSH_IDLE);
	core_refuse_mmap(0, false);
	ck_assert_uint_eq(freer->buffer.outbox.flows.used, 0);
	ck_assert_uint_eq(freer->buffer.outbox.flows.others.counts.blocks[CLASS], 1);
	/* Later there is some. */
	q = core_alloc(owner, CLASS);
	core_free(freer, q);
	hz3_heap_flush(freer, HZ3_FLUSH_IDLE);
	ck_assert_uint_eq(freer->buffer.outbox.flows.used, 1);
}
END_TEST

/* ---- threads with names ---- */

#define EACH 500

struct task {
	char name[HZ3_FLOW_NAME_BYTES];
	void *blocks[EACH];
	size_t bytes;
};

static void *make(void *arg)
{
	struct task *task = arg;

	pthread_setname_np(pthread_self(), task->name);
	for (int i = 0; i < EACH; i++)
		ck_assert_ptr_nonnull(task->blocks[i] = hz3_alloc(task->bytes));
	return NULL;
}

static void *release(void *arg)
{
	struct task *task = arg;

	pthread_setname_np(pthread_self(), task->name);
	for (int i = 0; i < EACH; i++)
		hz3_alloc_free(task->blocks[i]);
	return NULL;
}

static void run(void *(*f)(void *), struct task *task, const char *name)
{
	strcpy(task->name, name);
	core_run(f, task);
}

static uint64_t found(const struct hz3_flow_map *map, const char *owner, const char *freer, unsigned group)
{
	uint64_t blocks = 0;

	for (unsigned i = 0; i < map->rows; i++) {
		const struct hz3_flow_row *row = &map->row[i];
		if (strcmp(row->owner, owner) == 0 && strcmp(row->freer, freer) == 0) {
			ck_assert_uint_le(row->bytes[group], row->blocks[group] * hz3_flow_group_to(group));
			ck_assert_uint_ge(row->bytes[group], row->blocks[group] * hz3_flow_group_from(group));
			blocks += row->blocks[group];
		}
	}
	return blocks;
}

static _Atomic int stage;

/* Keeps a heap busy, so that the next thread gets another one. */
static void *hold_heap(void *arg)
{
	void *p = hz3_alloc(100);

	pthread_setname_np(pthread_self(), arg);
	stage = 1;
	while (stage != 2)
		sched_yield();
	hz3_alloc_free(p);
	return NULL;
}

/* The heap of the first is the second's: who frees of it frees of whoever has it at the time. */
START_TEST(heaps_change_threads)
{
	static struct task a, b;
	char mine[16];

	pthread_getname_np(pthread_self(), mine, sizeof(mine));
	a.bytes = 64;
	b.bytes = 1000;
	run(make, &a, "first");
	for (int i = 0; i < EACH / 2; i++)
		hz3_alloc_free(a.blocks[i]);
	hz3_thread_flush_buffer();
	run(make, &b, "second");
	for (int i = EACH / 2; i < EACH; i++)
		hz3_alloc_free(a.blocks[i]);
	for (int i = 0; i < EACH; i++)
		hz3_alloc_free(b.blocks[i]);
	hz3_thread_flush_buffer();
	pthread_setname_np(pthread_self(), "main-thread");
	struct hz3_flow_map *map = hz3_flow_map_take();
	ck_assert_uint_eq(map->sent_blocks, EACH + EACH);
	/* Folded when the second came, under the name that this thread had then. */
	ck_assert_uint_eq(found(map, "first", mine, 0), EACH / 2);
	ck_assert_uint_eq(found(map, "second", "main-thread", 0), EACH / 2);
	ck_assert_uint_eq(found(map, "second", "main-thread", 4), EACH);
	hz3_flow_map_release(map);
}
END_TEST

START_TEST(sums_of_threads_that_ended)
{
	static struct task task;
	pthread_t holder;

	for (int round = 0; round < 20; round++) {
		task.bytes = round % 2 ? 64 : 300;
		run(make, &task, round % 2 ? "maker-1" : "maker-2");
		/* The heap of the maker is taken: another heap frees. */
		stage = 0;
		holder = core_start(hold_heap, (void *)(uintptr_t)"holder");
		while (stage != 1)
			sched_yield();
		run(release, &task, "freer");
		stage = 2;
		pthread_join(holder, NULL);
	}
	struct hz3_flow_map *map = hz3_flow_map_take();
	ck_assert_uint_eq(map->sent_blocks, 20 * EACH);
	ck_assert(!map->rows_full && !map->names_full);
	/* The makers' heap is the holder's by the time; what was freed since is in its name. */
	uint64_t small = found(map, "maker-1", "freer", 0) + found(map, "holder", "freer", 0);
	uint64_t large = found(map, "maker-2", "freer", 3) + found(map, "holder", "freer", 3);
	ck_assert_uint_eq(small, 10 * EACH);
	ck_assert_uint_eq(large, 10 * EACH);
	hz3_flow_map_release(map);
}
END_TEST

/* The owner still lives. */
static void *make_and_wait(void *arg)
{
	make(arg);
	stage = 1;
	while (stage != 2)
		sched_yield();
	return NULL;
}

START_TEST(many_names)
{
	enum { FREERS = 600 };
	static struct task task;
	char name[HZ3_FLOW_NAME_BYTES];
	uint64_t meta;

	task.bytes = 64;
	for (int i = 0; i < FREERS; i++) {
		stage = 0;
		strcpy(task.name, "owner");
		pthread_t owner = core_start(make_and_wait, &task);
		while (stage != 1)
			sched_yield();
		snprintf(name, sizeof(name), i % 2 ? "t%d" : "t%d-x", i);
		run(release, &task, name);
		stage = 2;
		pthread_join(owner, NULL);
		if (i == FREERS / 2)
			meta = hz3_meta_bytes();
	}
	ck_assert_uint_le(hz3_meta_bytes(), meta + 65536);
	struct hz3_flow_map *map = hz3_flow_map_take();
	ck_assert(map->names_full);
	ck_assert_uint_eq(map->sent_blocks, FREERS * EACH);
	ck_assert_uint_gt(found(map, "owner", "t*", 0), 0);
	ck_assert_uint_le(map->rows, HZ3_FLOW_SUMS + 10);
	hz3_flow_map_merge(map);
	uint64_t blocks = 0;
	for (unsigned i = 0; i < map->rows; i++)
		blocks += map->row[i].local ? 0 : hz3_flow_row_blocks(&map->row[i]);
	ck_assert_uint_eq(blocks, FREERS * EACH);
	hz3_flow_map_release(map);
}
END_TEST

START_TEST(merges_and_ranks)
{
	static struct hz3_flow_map map = {.rows = 6};
	static const struct {
		const char *owner, *freer;
		uint64_t blocks;
	} rows[] = {{"worker-1", "logger", 10}, {"worker-2", "logger", 20}, {"db", "logger", 25},
		    {"worker-1", "", 1000}, {"worker-2", "worker-1", 7}, {"only-1", "db", 1}};

	for (int i = 0; i < 6; i++) {
		strcpy(map.row[i].owner, rows[i].owner);
		strcpy(map.row[i].freer, rows[i].freer);
		map.row[i].local = rows[i].freer[0] == '\0';
		map.row[i].blocks[2] = rows[i].blocks;
	}
	hz3_flow_map_merge(&map);
	ck_assert_uint_eq(map.rows, 5);
	ck_assert_str_eq(map.row[0].owner, "worker-*");
	ck_assert_str_eq(map.row[0].freer, "logger");
	ck_assert_uint_eq(map.row[0].blocks[2], 30);
	ck_assert_str_eq(map.row[1].owner, "db");
	ck_assert_str_eq(map.row[2].freer, "worker-*");
	ck_assert_str_eq(map.row[3].owner, "only-1");
	ck_assert(map.row[4].local);
	ck_assert_uint_eq(hz3_flow_map_freed(&map, "worker-*", 2), 1037);
}
END_TEST

/* ---- the rule for patterns ---- */

static struct hz3_flow_map rule;

static struct hz3_flow_row *put(const char *owner, const char *freer, uint64_t blocks)
{
	struct hz3_flow_row *row = &rule.row[rule.rows++];

	memset(row, 0, sizeof(*row));
	strcpy(row->owner, owner);
	strcpy(row->freer, freer ? freer : "");
	row->local = freer == NULL;
	row->blocks[0] = row->bytes[0] = blocks;
	return row;
}

/* A name becomes its pattern if there is another name of that pattern anywhere, and only then, in any order of rows. */
START_TEST(names_become_patterns)
{
	static const char *const rows[][2] = {
		{"alone-1", "sink"}, {"alone-1", "other"},		/* one name, twice */
		{"maker-1", "taker-1"}, {"maker-2", "taker-1"},
		{"both-1", "sink"}, {"sink", "both-2"},			/* as owner and freer */
		{"home-1", "sink"}, {"home-2", NULL},			/* who frees its own only */
		{"zero-1", "sink"}, {"zero-01", "sink"},
		{"folded-*", "sink"}, {"folded-7", "sink"},		/* a sum of names that were taken together */
		{"1", "sink"}, {"22", "sink"},
		{"x1", "sink"}, {"x-1", "sink"}, {"x", "sink"}, {"x-1-y", "sink"}, {"x-2-y", "sink"},	/* none of them */
	};
	static const char *const expected[][2] = {
		{"alone-1", "sink"}, {"alone-1", "other"}, {"maker-*", "taker-1"}, {"both-*", "sink"}, {"sink", "both-*"},
		{"home-*", "sink"}, {"home-*", ""}, {"zero-*", "sink"}, {"folded-*", "sink"}, {"*", "sink"},
		{"x1", "sink"}, {"x-1", "sink"}, {"x", "sink"}, {"x-1-y", "sink"}, {"x-2-y", "sink"},
	};
	enum { ROWS = sizeof(rows) / sizeof(rows[0]), EXPECTED = sizeof(expected) / sizeof(expected[0]) };

	for (unsigned start = 0; start < 2 * ROWS; start++) {
		uint64_t blocks = 0;
		rule.rows = 0;
		for (unsigned i = 0; i < ROWS; i++) {
			unsigned from = ((start < ROWS ? i : ROWS - 1 - i) + start) % ROWS;
			put(rows[from][0], rows[from][1], 1)->owner_heap = 1 + from;
		}
		/* And once more, which changes nothing. */
		for (int times = 0; times < 2; times++) {
			hz3_flow_map_merge(&rule);
			ck_assert_uint_eq(rule.rows, EXPECTED);
		}
		for (unsigned i = 0; i < EXPECTED; i++)
			ck_assert_msg(found(&rule, expected[i][0], expected[i][1], 0) > 0, "no %s <- %s", expected[i][0],
				      expected[i][1]);
		for (unsigned i = 0; i < EXPECTED; i++) {
			blocks += rule.row[i].blocks[0];
			ck_assert_int_eq(rule.row[i].owner_heap == 0, rule.row[i].blocks[0] > 1);
		}
		ck_assert_uint_eq(blocks, ROWS);
	}
}
END_TEST

/* Names of two kinds: none has another of its pattern; each has, and a few rows are left. */
static void fill_rows(unsigned rows, bool alone)
{
	char owner[HZ3_FLOW_NAME_BYTES], freer[HZ3_FLOW_NAME_BYTES];

	rule.rows = 0;
	for (unsigned i = 0; i < rows; i++) {
		snprintf(owner, sizeof(owner), alone ? "own%04u-%u" : "worker-%u", i, i);
		snprintf(freer, sizeof(freer), alone ? "free%04u-%u" : "logger%c%u", alone ? i : 'a' + i % 4, i);
		put(owner, freer, 1 + rows - i);
	}
}

/* Of the processor, the least of some times. */
static uint64_t merge_ns(unsigned rows, bool alone)
{
	uint64_t least = UINT64_MAX;

	for (int times = 0; times < 20; times++) {
		struct timespec from, to;
		fill_rows(rows, alone);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
		hz3_flow_map_merge(&rule);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
		int64_t ns = (to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec;
		least = hz3_min(least, (uint64_t)ns);
	}
	ck_assert_uint_eq(rule.rows, alone ? rows : 4);
	return least;
}

/* Sixteen times as many rows take about sixteen times as long; where each is compared with each, 256 times. */
START_TEST(merges_full_maps)
{
	for (int alone = 0; alone < 2; alone++) {
		unsigned long few = merge_ns(HZ3_FLOW_MAP_ROWS / 16, alone), all = merge_ns(HZ3_FLOW_MAP_ROWS, alone);
		printf("%u rows: %lu us, a sixteenth: %lu us\n", HZ3_FLOW_MAP_ROWS, all / 1000, few / 1000);
		ck_assert_msg(all < 64 * few, "%lu us, a sixteenth %lu us", all / 1000, few / 1000);
	}
}
END_TEST

/* ---- free to reusable ---- */

START_TEST(delays)
{
	core_set_up(1);
	hz3_sink_set_mode(_i);
	struct hz3_heap *owner = hz3_heap_new(), *freer = hz3_heap_new();
	uint64_t samples = 0;

	/* The first filling of a buffer has a probe. */
	core_free(freer, core_alloc(owner, CLASS));
	ck_assert_uint_ne(freer->buffer.probe, 0);
	hz3_heap_flush(freer, HZ3_FLUSH_IDLE);
	ck_assert_uint_eq(freer->buffer.probe, 0);
	ck_assert_uint_ne(owner->owner->probe, 0);
	usleep(20000);
	hz3_heap_drain_all(owner, SIZE_MAX);
	hz3_heap_trim(owner);
	ck_assert_uint_eq(owner->owner->probe, 0);
	for (unsigned i = 0; i < HZ3_DELAYS; i++) {
		samples += owner->counters.delays[i];
		if (owner->counters.delays[i])
			ck_assert_uint_ge(hz3_probe_bound_us(i), 20000);
	}
	ck_assert_uint_eq(samples, 1);
	ck_assert_uint_ge(owner->counters.delay_us, 20000);
	/* The next ones have none. */
	core_free(freer, core_alloc(owner, CLASS));
	ck_assert_uint_eq(freer->buffer.probe, 0);
}
END_TEST

static Suite *flow_suite(void)
{
	Suite *suite = suite_create("flow");
	TCase *tcase = tcase_create("flow");

	if (!HZ3_STATS)
		return suite;
	tcase_add_checked_fixture(tcase, set_up, NULL);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, patterns);
	tcase_add_test(tcase, groups_cover_all_sizes);
	tcase_add_loop_test(tcase, counts_blocks_and_chains, 0, 3);
	tcase_add_loop_test(tcase, counts_handed_over_pages, 0, 3);
	tcase_add_loop_test(tcase, what_waits, 0, 2);
	tcase_add_test(tcase, many_owners);
	tcase_add_loop_test(tcase, rows_are_used_again, 0, HZ3_SINKS);
	tcase_add_test(tcase, no_memory_for_rows);
	tcase_add_test(tcase, heaps_change_threads);
	tcase_add_test(tcase, sums_of_threads_that_ended);
	tcase_add_test(tcase, many_names);
	tcase_add_test(tcase, merges_and_ranks);
	tcase_add_test(tcase, names_become_patterns);
	tcase_add_test(tcase, merges_full_maps);
	tcase_add_loop_test(tcase, delays, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(flow_suite());
}
