/* hz3_control and its neighbours as a program finds them that is not linked with hz3. */
#define _GNU_SOURCE
#include "api_test.h"

#include <pthread.h>

static int (*control)(const char *, void *, size_t *, void *, size_t);

static size_t read_size(const char *name)
{
	size_t value = 0, bytes = sizeof(value);
	int error = control(name, &value, &bytes, NULL, 0);

	CHECK(error == 0, "%s: error %d", name, error);
	return value;
}

static const char *read_string(const char *name)
{
	const char *value = NULL;
	size_t bytes = sizeof(value);
	int error = control(name, &value, &bytes, NULL, 0);

	CHECK(error == 0 && value != NULL, "%s: error %d", name, error);
	return value != NULL ? value : "";
}

static int write_string(const char *name, const char *value)
{
	return control(name, NULL, NULL, &value, sizeof(value));
}

static void test_errors(void)
{
	size_t value, bytes = sizeof(value);
	char small;

	errno = 17;
	CHECK(control("no.such.name", NULL, NULL, NULL, 0) == ENOENT, "unknown name");
	CHECK(control("", NULL, NULL, NULL, 0) == ENOENT, "empty name");
	CHECK(control(NULL, NULL, NULL, NULL, 0) == EINVAL, "no name");
	CHECK(control("version", NULL, NULL, &value, sizeof(value)) == EPERM, "version is read-only");
	CHECK(control("purge", &value, &bytes, NULL, 0) == EPERM, "purge has no value");
	bytes = 1;
	CHECK(control("stats.allocated", &small, &bytes, NULL, 0) == EINVAL, "wrong size");
	CHECK(bytes == sizeof(size_t), "the right size is told: %zu", bytes);
	CHECK(write_string("remote.sink", "drain") == EINVAL, "no such sink");
	CHECK(write_string("remote.sink", NULL) == EINVAL, "no string");
	CHECK(errno == 17, "errno became %d", errno);
}

static void test_sink(void)
{
	const char *before = read_string("remote.sink"), *old = "page";
	size_t bytes = sizeof(old);
	static const char *const names[] = {"page", "auto", "central"};

	for (int i = 0; i < 3; i++) {
		CHECK(write_string("remote.sink", names[i]) == 0, "%s", names[i]);
		CHECK(strcmp(read_string("remote.sink"), names[i]) == 0, "%s", read_string("remote.sink"));
	}
	/* Both at once: the old value is the one before. */
	CHECK(control("remote.sink", &old, &bytes, &before, sizeof(before)) == 0, "exchange");
	CHECK(strcmp(old, "central") == 0, "old value is %s", old);
	CHECK(strcmp(read_string("remote.sink"), before) == 0, "%s", read_string("remote.sink"));
}

static void *remote_free(void *arg)
{
	void **blocks = arg;

	for (int i = 0; i < 10000; i++)
		free(blocks[i]);
	CHECK(control("thread.flush", NULL, NULL, NULL, 0) == 0, "thread.flush");
	return NULL;
}

static void test_statistics(void)
{
	static void *blocks[10000];
	size_t allocated = read_size("stats.allocated"), freed = read_size("stats.blocks_freed");
	size_t before, live, sent = read_size("stats.remote.blocks") + read_size("stats.remote.handover_blocks");
	pthread_t thread;

	if (!on_hz3_with_statistics())
		return;
	for (int i = 0; i < 10000; i++)
		blocks[i] = opaque(malloc(100));
	CHECK(read_size("stats.allocated") >= allocated + 1000000, "%zu, then %zu", allocated,
	      read_size("stats.allocated"));
	CHECK(pthread_create(&thread, NULL, remote_free, blocks) == 0, "no thread");
	pthread_join(thread, NULL);
	CHECK(control("thread.idle", NULL, NULL, NULL, 0) == 0, "thread.idle");
	sent = read_size("stats.remote.blocks") + read_size("stats.remote.handover_blocks") - sent;
	CHECK(sent >= 10000, "remote blocks: %zu", sent);
	allocated = read_size("stats.blocks_allocated");
	live = read_size("stats.blocks_live");
	before = freed;
	freed = read_size("stats.blocks_freed");
	CHECK(freed - before >= 10000, "%zu, then %zu", before, freed);
	CHECK(allocated == freed + live, "allocated %zu, freed %zu, live %zu", allocated, freed, live);
	CHECK(read_size("stats.resident") > 0, "resident");
	CHECK(read_size("stats.mapped") >= read_size("stats.active"), "mapped and active");
}

static void test_calls(void)
{
	size_t (*good_size)(size_t) = (size_t(*)(size_t))find("hz3_good_size");
	size_t (*purge)(void) = (size_t(*)(void))find("hz3_purge");
	void (*flush)(void) = (void (*)(void))find("hz3_thread_flush");
	void (*idle)(void) = (void (*)(void))find("hz3_thread_idle");
	const char *(*version)(void) = (const char *(*)(void))find("hz3_version");
	void *p = opaque(malloc(10 << 20));

	CHECK(good_size && purge && flush && idle && version, "a function is missing");
	CHECK(good_size(100) >= 100, "%zu", good_size(100));
	CHECK(strcmp(version(), read_string("version")) == 0, "%s and %s", version(), read_string("version"));
	memset(p, 1, 10 << 20);
	free(p);
	CHECK(purge() > 0, "10 MiB were free");
	flush();
	idle();
	CHECK(control("purge", NULL, NULL, NULL, 0) == 0, "purge");
}

/* What hz3_stats_print hands over, joined. */
static char report[200000];

static void collect(void *arg, const char *text)
{
	size_t used = strlen(report);

	CHECK(arg == report, "the argument is %p", arg);
	if (used + strlen(text) < sizeof(report))
		memcpy(report + used, text, strlen(text) + 1);
}

static void test_stats_print(void)
{
	void (*print)(void (*)(void *, const char *), void *, const char *) =
		(void (*)(void (*)(void *, const char *), void *, const char *))find("hz3_stats_print");

	print(collect, report, "j");
	CHECK(report[0] == '{' && strstr(report, "\"hz3_stats_version\": 1,") != NULL, "%s", report);
	CHECK(strstr(report, "\"remote\": {") != NULL, "%s", report);
	report[0] = '\0';
	print(collect, report, NULL);
	CHECK(strstr(report, "mapped") != NULL && strstr(report, "Memory") != NULL, "%s", report);
}

int main(void)
{
	control = (int (*)(const char *, void *, size_t *, void *, size_t))find("hz3_control");
	if (control == NULL) {
		puts("this malloc is not hz3");
		return SKIPPED;
	}
	test_errors();
	test_sink();
	test_statistics();
	test_calls();
	test_stats_print();
	return finish();
}
