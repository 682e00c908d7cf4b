/*
 * Tests of the control tree: every name reads, sizes and permissions are checked, writing has effect and range.
 */
#include "../self.h"
#include "unit.h"

#include "alloc.h"
#include "control.h"
#include "hz3/hz3.h"
#include "options.h"
#include "size_class.h"

#include <errno.h>
#include <pthread.h>

/* Reads with whatever size the value has, which is asked for first. */
static int read_any(const char *name, void *value, size_t *bytes)
{
	int error;

	*bytes = 0;
	error = hz3_control(name, NULL, bytes, NULL, 0);
	if (error != 0)
		return error;
	return hz3_control(name, value, bytes, NULL, 0);
}

static uint64_t read_number(const char *name)
{
	uint64_t value = 0;
	size_t bytes;

	ck_assert_msg(read_any(name, &value, &bytes) == 0, "%s", name);
	ck_assert_uint_le(bytes, sizeof(value));
	return value;
}

static const char *read_string(const char *name)
{
	const char *value = NULL;
	size_t bytes = sizeof(value);

	ck_assert_int_eq(hz3_control(name, &value, &bytes, NULL, 0), 0);
	ck_assert_ptr_nonnull(value);
	return value;
}

/* "<i>" in a name, replaced. */
static void with_index(char *out, size_t cap, const char *name, const char *index)
{
	const char *at = strstr(name, "<i>");

	if (at == NULL)
		snprintf(out, cap, "%s", name);
	else
		snprintf(out, cap, "%.*s%s%s", (int)(at - name), name, index, at + 3);
}

START_TEST(test_every_name)
{
	char full[128];
	uint64_t value[4];
	size_t bytes;

	for (size_t i = 0; hz3_control_name(i) != NULL; i++) {
		with_index(full, sizeof(full), hz3_control_name(i), "0");
		bytes = 77;
		/* There is no profile that could be written or forgotten. */
		if (strcmp(full, "prof.dump") == 0 || strcmp(full, "prof.reset") == 0) {
			ck_assert_msg(hz3_control(full, NULL, &bytes, NULL, 0) == EPERM, "%s", full);
			continue;
		}
		ck_assert_msg(hz3_control(full, NULL, &bytes, NULL, 0) == 0, "%s", full);
		if (bytes == 0)
			continue;
		memset(value, 0xee, sizeof(value));
		ck_assert_msg(hz3_control(full, value, &bytes, NULL, 0) == 0, "%s", full);
		ck_assert_msg(value[1] == 0xeeeeeeeeeeeeeeee, "%s wrote over its %zu bytes", full, bytes);
		bytes++;
		ck_assert_msg(hz3_control(full, value, &bytes, NULL, 0) == EINVAL, "%s with another size", full);
		ck_assert_msg(hz3_control(full, value, NULL, NULL, 0) == EINVAL, "%s without a size", full);
	}
}
END_TEST

START_TEST(test_every_option)
{
	const struct hz3_option_row *row;
	uint64_t value;
	char name[64];
	size_t bytes;

	for (size_t i = 0; (row = hz3_option_row(i)) != NULL; i++) {
		snprintf(name, sizeof(name), "opt.%s", row->name);
		ck_assert_msg(read_any(name, &value, &bytes) == 0, "%s", name);
		ck_assert_msg(hz3_control(name, NULL, NULL, &value, bytes) == EPERM, "%s", name);
	}
	ck_assert_uint_eq(read_number("opt.remote_budget"), 512 * 1024);
	ck_assert_uint_eq(read_number("opt.dirty_decay_ms"), (uint64_t)hz3_options.dirty_decay_ms);
	ck_assert_str_eq(read_string("opt.stats_file"), "");
	ck_assert_int_eq(hz3_control("opt.", NULL, NULL, NULL, 0), ENOENT);
	/* As in jemalloc. */
	bytes = sizeof(unsigned);
	ck_assert_int_eq(hz3_control("opt.narenas", &value, &bytes, NULL, 0), 0);
	ck_assert_int_eq(hz3_control("opt.nothing", NULL, NULL, NULL, 0), ENOENT);
}
END_TEST

START_TEST(test_names_that_are_not_there)
{
	static const char *const names[] = {"", ".", "versio", "version.", "versionx", "stats", "stats.", "remote",
					    "arenas.bin.<i>.size", "arenas.bin..size", "arenas.bin.44.size",
					    "arenas.bin.-1.size", "arenas.bin.01.size", "arenas.bin.3", "arenas.bin.3.",
					    "arenas.bin.3.sizes", "arenas.bin.99999999999999999999.size",
					    "stats.bins.44.live", "stats.remote.both.blocks", "arena.64.purge",
					    "arena.4095.purge", "arena.4097.decay", "arena.00.decay", "stats.arenas.4097.pdirty",
					    "thread.allocatedp"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_msg(hz3_control(names[i], NULL, NULL, NULL, 0) == ENOENT, "%s", names[i]);
	ck_assert_int_eq(hz3_control(NULL, NULL, NULL, NULL, 0), EINVAL);
}
END_TEST

START_TEST(test_read_only)
{
	uint64_t value = 1;
	const char *text = "2";

	ck_assert_int_eq(hz3_control("version", NULL, NULL, &text, sizeof(text)), EPERM);
	ck_assert_int_eq(hz3_control("stats.allocated", NULL, NULL, &value, sizeof(value)), EPERM);
	ck_assert_int_eq(hz3_control("config.debug", NULL, NULL, &value, 1), EPERM);
}
END_TEST

START_TEST(test_wrong_size_of_the_new_value)
{
	uint64_t value = 1;

	ck_assert_int_eq(hz3_control("remote.batch", NULL, NULL, &value, sizeof(value)), EINVAL);
	ck_assert_int_eq(hz3_control("remote.budget", NULL, NULL, &value, 4), EINVAL);
	ck_assert_int_eq(hz3_control("remote.budget", NULL, NULL, &value, 0), EINVAL);
	ck_assert_int_eq(hz3_control("remote.budget", NULL, NULL, NULL, 8), EINVAL);
	ck_assert_uint_eq(read_number("remote.budget"), 512 * 1024);
}
END_TEST

START_TEST(test_sink)
{
	static const char *const sinks[] = {"page", "auto", "central"};

	for (int i = 0; i < 3; i++) {
		const char *text = sinks[i];
		char copy[16];

		/* Copied when written. */
		strcpy(copy, text);
		text = copy;
		ck_assert_int_eq(hz3_control("remote.sink", NULL, NULL, &text, sizeof(text)), 0);
		memset(copy, 'x', sizeof(copy));
		ck_assert_str_eq(read_string("remote.sink"), sinks[i]);
	}
	const char *bad[] = {"", "Page", "pages", "2", NULL};
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(hz3_control("remote.sink", NULL, NULL, &bad[i], sizeof(bad[i])), EINVAL);
	ck_assert_str_eq(read_string("remote.sink"), "central");
}
END_TEST

START_TEST(test_old_value_is_the_one_before)
{
	size_t before = 0, bytes = sizeof(before), after = 123456;

	ck_assert_int_eq(hz3_control("remote.budget", &before, &bytes, &after, sizeof(after)), 0);
	ck_assert_uint_eq(before, 512 * 1024);
	ck_assert_uint_eq(read_number("remote.budget"), 123456);
	ck_assert_uint_eq(hz3_options.remote_budget, 123456);
	hz3_options_reset();
}
END_TEST

START_TEST(test_ranges)
{
	size_t size = (size_t)65 << 20;
	int64_t ms;
	unsigned char flag = 2;

	ck_assert_int_eq(hz3_control("remote.budget", NULL, NULL, &size, sizeof(size)), EINVAL);
	size = SIZE_MAX;
	ck_assert_int_eq(hz3_control("remote.cap", NULL, NULL, &size, sizeof(size)), EINVAL);
	ms = -2;
	ck_assert_int_eq(hz3_control("arenas.dirty_decay_ms", NULL, NULL, &ms, sizeof(ms)), EINVAL);
	ms = (int64_t)1 << 32;
	ck_assert_int_eq(hz3_control("arenas.dirty_decay_ms", NULL, NULL, &ms, sizeof(ms)), EINVAL);
	ms = -1;
	ck_assert_int_eq(hz3_control("arenas.dirty_decay_ms", NULL, NULL, &ms, sizeof(ms)), 0);
	ck_assert_int_eq((int64_t)read_number("arenas.dirty_decay_ms"), -1);
	ck_assert_int_eq(hz3_control("remote.batch", NULL, NULL, &flag, 1), EINVAL);
}
END_TEST

START_TEST(test_batch)
{
	bool off = false, before = false;
	size_t bytes = sizeof(before);

	ck_assert_int_eq(hz3_control("remote.batch", &before, &bytes, &off, sizeof(off)), 0);
	ck_assert(before);
	ck_assert_uint_eq(read_number("remote.batch"), 0);
}
END_TEST

START_TEST(test_calls)
{
	static const char *const names[] = {"purge", "thread.flush", "thread.idle", "arena.0.purge", "arena.0.decay", "arena.4096.purge",
					    "arena.4096.decay"};
	uint64_t value;
	size_t bytes = sizeof(value);

	for (int i = 0; i < 7; i++) {
		ck_assert_int_eq(hz3_control(names[i], NULL, NULL, NULL, 0), 0);
		ck_assert_int_eq(hz3_control(names[i], &value, &bytes, NULL, 0), EPERM);
		ck_assert_int_eq(hz3_control(names[i], NULL, NULL, &value, sizeof(value)), EINVAL);
	}
}
END_TEST

START_TEST(test_epoch)
{
	uint64_t before = read_number("epoch"), any = 1;

	ck_assert_int_eq(hz3_control("epoch", NULL, NULL, &any, sizeof(any)), 0);
	ck_assert_uint_eq(read_number("epoch"), before + 1);
}
END_TEST

START_TEST(test_size_classes)
{
	char name[64];

	ck_assert_uint_eq(read_number("arenas.nbins"), HZ3_CLASSES);
	for (unsigned i = 0; i < HZ3_CLASSES; i++) {
		snprintf(name, sizeof(name), "arenas.bin.%u.size", i);
		ck_assert_uint_eq(read_number(name), hz3_class_size(i));
		snprintf(name, sizeof(name), "stats.bins.%u.size", i);
		ck_assert_uint_eq(read_number(name), hz3_class_size(i));
		snprintf(name, sizeof(name), "arenas.bin.%u.nregs", i);
		ck_assert_uint_eq(read_number(name), hz3_class_info[i].capacity);
	}
	ck_assert_uint_ge(read_number("arenas.narenas"), 1);
	ck_assert_uint_eq(read_number("arenas.quantum"), 16);
	ck_assert_uint_eq(read_number("arenas.page"), (uint64_t)sysconf(_SC_PAGESIZE));
}
END_TEST

START_TEST(test_configuration)
{
	ck_assert_str_eq(read_string("version"), HZ3_VERSION);
	ck_assert_str_eq(read_string("version"), hz3_version());
	ck_assert_uint_eq(read_number("config.debug"), HZ3_DEBUG);
	ck_assert_uint_eq(read_number("config.stats"), HZ3_STATS);
}
END_TEST

/* ---- arenas ---- */

static void set_number(const char *name, int64_t value, size_t bytes)
{
	ck_assert_msg(hz3_control(name, NULL, NULL, &value, bytes) == 0, "%s", name);
}

static int64_t read_ms(const char *name)
{
	return (int64_t)read_number(name);
}

/* So many bytes of dirty memory in an arena. */
static void make_dirty(unsigned arena, size_t bytes)
{
	void *p;

	set_number("thread.arena", arena, sizeof(unsigned));
	p = hz3_malloc(bytes);
	ck_assert_ptr_nonnull(p);
	memset(p, 1, bytes);
	hz3_free(p);
}

static size_t dirty_of(unsigned arena)
{
	char name[64];

	snprintf(name, sizeof(name), "stats.arenas.%u.pdirty", arena);
	return read_number(name) * read_number("arenas.page");
}

START_TEST(test_arenas_are_purged_one_by_one)
{
	size_t bytes = (size_t)4 << 20;

	ck_assert_uint_eq(read_number("arenas.narenas"), 4);
	set_number("arenas.dirty_decay_ms", -1, 8);
	for (unsigned i = 0; i < 4; i++) {
		make_dirty(i, bytes);
		ck_assert_uint_eq(read_number("thread.arena"), i);
		ck_assert_uint_ge(dirty_of(i), bytes);
	}
	ck_assert_uint_ge(read_number("stats.arenas.4096.pdirty"), 4 * bytes / read_number("arenas.page"));
	ck_assert_uint_eq(read_number("stats.arenas.3.nthreads"), 1);
	ck_assert_uint_eq(read_number("stats.arenas.4096.nthreads"), 1);
	ck_assert_uint_eq(read_number("stats.arenas.2.nthreads"), 0);
	ck_assert_int_eq(hz3_control("arena.1.purge", NULL, NULL, NULL, 0), 0);
	ck_assert_uint_eq(dirty_of(1), 0);
	ck_assert_uint_ge(read_number("stats.arenas.1.dirty_nmadvise"), 1);
	ck_assert_uint_ge(read_number("stats.arenas.1.dirty_purged"), bytes / read_number("arenas.page"));
	ck_assert_uint_eq(read_number("stats.arenas.0.dirty_purged"), 0);
	ck_assert_uint_ge(dirty_of(0), bytes);
	ck_assert_uint_ge(dirty_of(2), bytes);
	ck_assert_int_eq(hz3_control("arena.4096.purge", NULL, NULL, NULL, 0), 0);
	ck_assert_uint_eq(read_number("stats.arenas.4096.pdirty"), 0);
	ck_assert_uint_eq(read_number("stats.arenas.4096.dirty_purged") * read_number("arenas.page"),
			  read_number("stats.purged_bytes"));
	ck_assert_uint_ge(read_number("stats.arenas.2.mapped"), bytes);
}
END_TEST

START_TEST(test_arenas_have_their_own_decay)
{
	int64_t ms = -2;

	set_number("arenas.dirty_decay_ms", 3000000, 8);
	set_number("arena.1.dirty_decay_ms", -1, 8);
	set_number("arena.2.dirty_decay_ms", 0, 8);
	ck_assert_int_eq(read_ms("arena.0.dirty_decay_ms"), 3000000);
	ck_assert_int_eq(read_ms("arena.1.dirty_decay_ms"), -1);
	ck_assert_int_eq(read_ms("stats.arenas.2.dirty_decay_ms"), 0);
	ck_assert_int_eq(read_ms("arena.4096.dirty_decay_ms"), 3000000);
	ck_assert_int_eq(hz3_control("arena.1.dirty_decay_ms", NULL, NULL, &ms, sizeof(ms)), EINVAL);
	ck_assert_int_eq(read_ms("arena.1.dirty_decay_ms"), -1);

	/* What is due, by each one's own time. */
	for (unsigned i = 0; i < 3; i++)
		make_dirty(i, (size_t)4 << 20);
	ck_assert_int_eq(hz3_control("arena.4096.decay", NULL, NULL, NULL, 0), 0);
	ck_assert_uint_gt(dirty_of(0), 0);
	ck_assert_uint_gt(dirty_of(1), 0);
	ck_assert_uint_eq(dirty_of(2), 0);

	/* For all that have none of their own; and for all. */
	set_number("arenas.dirty_decay_ms", 6000, 8);
	ck_assert_int_eq(read_ms("arena.0.dirty_decay_ms"), 6000);
	ck_assert_int_eq(read_ms("arena.1.dirty_decay_ms"), -1);
	set_number("arena.4096.dirty_decay_ms", 7000, 8);
	for (unsigned i = 0; i < 4; i++) {
		char name[64];
		snprintf(name, sizeof(name), "arena.%u.dirty_decay_ms", i);
		ck_assert_int_eq(read_ms(name), 7000);
	}
	ck_assert_int_eq(read_ms("arenas.dirty_decay_ms"), 7000);
}
END_TEST

/* ---- the calling thread ---- */

static void *own_thread(void *arg)
{
	const char *name = "sixteen letters!";
	unsigned arena = 4;

	ck_assert_int_eq(hz3_control("thread.name", NULL, NULL, &name, sizeof(name)), EINVAL);
	ck_assert_str_eq(read_string("thread.name"), "first");
	name = "fifteen letters";
	ck_assert_int_eq(hz3_control("thread.name", NULL, NULL, &name, sizeof(name)), 0);
	ck_assert_str_eq(read_string("thread.name"), name);
	*(unsigned *)arg = (unsigned)read_number("thread.arena");
	ck_assert_int_eq(hz3_control("thread.arena", NULL, NULL, &arena, sizeof(arena)), EINVAL);
	arena = 3 - *(unsigned *)arg;
	ck_assert_int_eq(hz3_control("thread.arena", NULL, NULL, &arena, sizeof(arena)), 0);
	ck_assert_uint_eq(read_number("thread.arena"), arena);
	if (HZ3_STATS)
		ck_assert_uint_eq(read_number("thread.allocated") + read_number("thread.deallocated"), 0);
	return NULL;
}

/* Name and arena are the thread's own: the next one that gets its heap has neither. */
START_TEST(test_threads)
{
	const char *first = "first", *none = NULL;
	unsigned arena[2];
	pthread_t thread;

	ck_assert_int_eq(hz3_control("thread.name", NULL, NULL, &none, sizeof(none)), EINVAL);
	ck_assert_int_eq(hz3_control("thread.name", NULL, NULL, &first, sizeof(first)), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(pthread_create(&thread, NULL, own_thread, &arena[i]), 0);
		pthread_join(thread, NULL);
	}
	ck_assert_uint_eq(arena[0], arena[1]);
	ck_assert_str_eq(read_string("thread.name"), "first");
}
END_TEST

START_TEST(test_thread_bytes)
{
	uint64_t allocated, freed;
	size_t bytes = sizeof(allocated);
	void *p;

	if (!HZ3_STATS) {
		ck_assert_int_eq(hz3_control("thread.allocated", NULL, &bytes, NULL, 0), ENOENT);
		return;
	}
	allocated = read_number("thread.allocated");
	freed = read_number("thread.deallocated");
	p = hz3_alloc(10000);
	ck_assert_uint_eq(read_number("thread.allocated"), allocated + hz3_alloc_usable_size(p));
	freed += hz3_alloc_usable_size(p);
	hz3_alloc_free(p);
	ck_assert_uint_eq(read_number("thread.deallocated"), freed);
	ck_assert_int_eq(hz3_control("thread.allocated", NULL, NULL, &freed, sizeof(freed)), EPERM);
}
END_TEST

/* Statistics follow what happens, without any epoch. */
START_TEST(test_statistics_are_fresh)
{
	uint64_t live = read_number("stats.blocks_live"), bytes = read_number("stats.allocated");
	uint64_t large = read_number("stats.large.live");
	void *p, *q;

	if (!HZ3_STATS)
		return;
	p = hz3_malloc(1000);
	q = hz3_malloc(1 << 20);
	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_nonnull(q);
	ck_assert_uint_eq(read_number("stats.blocks_live"), live + 2);
	ck_assert_uint_eq(read_number("stats.allocated"),
			  bytes + hz3_alloc_usable_size(p) + hz3_alloc_usable_size(q));
	ck_assert_uint_eq(read_number("stats.large.live"), large + 1);
	hz3_free(p);
	hz3_free(q);
	ck_assert_uint_eq(read_number("stats.blocks_live"), live);
	ck_assert_uint_eq(read_number("stats.allocated"), bytes);
}
END_TEST

START_TEST(test_errno_is_kept)
{
	uint64_t value;
	size_t bytes = sizeof(value);

	errno = 321;
	hz3_control("nothing", NULL, NULL, NULL, 0);
	hz3_control("stats.resident", &value, &bytes, NULL, 0);
	hz3_control("purge", NULL, NULL, NULL, 0);
	ck_assert_int_eq(errno, 321);
}
END_TEST

/* Several arenas, whatever the machine. */
int main(void)
{
	if (getenv("HZ3_CONF") == NULL) {
		setenv("HZ3_CONF", "narenas:4", 1);
		self_exec((char *[]){NULL});
	}
	Suite *suite = suite_create("control");
	TCase *tcase = tcase_create("control");

	tcase_add_test(tcase, test_every_name);
	tcase_add_test(tcase, test_every_option);
	tcase_add_test(tcase, test_names_that_are_not_there);
	tcase_add_test(tcase, test_read_only);
	tcase_add_test(tcase, test_wrong_size_of_the_new_value);
	tcase_add_test(tcase, test_sink);
	tcase_add_test(tcase, test_old_value_is_the_one_before);
	tcase_add_test(tcase, test_ranges);
	tcase_add_test(tcase, test_batch);
	tcase_add_test(tcase, test_calls);
	tcase_add_test(tcase, test_epoch);
	tcase_add_test(tcase, test_size_classes);
	tcase_add_test(tcase, test_configuration);
	tcase_add_test(tcase, test_arenas_are_purged_one_by_one);
	tcase_add_test(tcase, test_arenas_have_their_own_decay);
	tcase_add_test(tcase, test_threads);
	tcase_add_test(tcase, test_thread_bytes);
	tcase_add_test(tcase, test_statistics_are_fresh);
	tcase_add_test(tcase, test_errno_is_kept);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
