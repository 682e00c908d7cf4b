/*
 * With zero_on_free, nothing of what a block held can be read once it is freed, from whichever thread and in whatever way: the program
 * writes a secret, frees it, and looks where it was.  (The first bytes belong to the allocator then, and memory may be gone.)
 */
#include "again.h"

#include <malloc.h>

#define SECRET 0xa5
#define FOR_LINKS 16
#define CHUNK 4096	/* a pipe takes so much */

static const size_t sizes[] = {24, 200, 3000, 9000, 20000, 60000, 100000, 1 << 20, 40 << 20};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static int mirror[2];

/* Memory as the kernel sees it, which doesn't mind if it isn't there. */
static size_t secrets_in(uintptr_t address, size_t bytes)
{
	unsigned char chunk[CHUNK];
	size_t found = 0;

	for (size_t at = 0; at < bytes; at += CHUNK) {
		size_t n = bytes - at < CHUNK ? bytes - at : CHUNK;
		ssize_t written = write(mirror[1], (void *)(address + at), n);
		if (written <= 0)
			continue;
		if (read(mirror[0], chunk, (size_t)written) != written)
			abort();
		for (ssize_t i = 0; i < written; i++)
			found += chunk[i] == SECRET;
	}
	return found;
}

static void expect_nothing(const char *how, uintptr_t address, size_t from, size_t to)
{
	size_t found = secrets_in(address + from, to - from);

	CHECK(found == 0, "%s, a block of %zu bytes: %zu of the secret can still be read", how, to, found);
}

static void *secret(size_t size)
{
	void *p = malloc(size);

	if (p == NULL)
		abort();
	memset(p, SECRET, size);
	return opaque(p);
}

static void lose(const char *how, void *p, size_t size)
{
	uintptr_t address = (uintptr_t)p;

	free(p);
	expect_nothing(how, address, FOR_LINKS, size);
}

static void lose_own(const char *how)
{
	for (unsigned i = 0; i < SIZES; i++)
		lose(how, secret(sizes[i]), sizes[i]);
}

static void *loses_own(void *how)
{
	lose_own(how);
	return NULL;
}

/* What proves that there is something to see. */
static void is_seen(void)
{
	void *p = secret(3000);

	CHECK(secrets_in((uintptr_t)p, 3000) == 3000, "the secret cannot be seen while it is there");
	free(p);
}

static void *held[SIZES];

static void *hold(void *arg)
{
	for (unsigned i = 0; i < SIZES; i++)
		held[i] = secret(sizes[i]);
	return arg;
}

static void lose_held(const char *how)
{
	for (unsigned i = 0; i < SIZES; i++)
		lose(how, held[i], sizes[i]);
}

static void *loses_held(void *how)
{
	lose_held(how);
	return NULL;
}

static void own(void)
{
	is_seen();
	lose_own("by its own thread");
}

static void others(void)
{
	hold(NULL);
	pthread_join(start(loses_held, "by another thread"), NULL);
	pthread_join(start(hold, NULL), NULL);
	lose_held("of a thread that has ended");
}

/* A heap that is used again knows where pages are from before. */
static void heirs(void)
{
	for (unsigned i = 0; i < 4; i++)
		pthread_join(start(loses_own, "by a thread with the heap of another"), NULL);
}

static void in_child(void)
{
	int status;

	hold(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		lose_held("in the child of a fork");
		_exit(finish());
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0, "the child's status is %#x", (unsigned)status);
	lose_held("after a fork");
}

static void late(void *p)
{
	lose("by a destructor of the thread's", p, 3000);
}

static void *has_destructor(void *key)
{
	pthread_setspecific(*(pthread_key_t *)key, secret(3000));
	return NULL;
}

static void destructors(void)
{
	pthread_key_t key;

	pthread_key_create(&key, late);
	pthread_join(start(has_destructor, (const char *)&key), NULL);
}

/* Another block, or the same without its end. */
static void resized(void)
{
	for (unsigned i = 0; i < SIZES; i++)
		for (size_t divisor = 2; divisor < 8; divisor += 3) {
			size_t size = sizes[i] / divisor;
			void *p = secret(sizes[i]);
			uintptr_t address = (uintptr_t)p;
			p = realloc(p, size);
			if ((uintptr_t)p != address)
				expect_nothing("moved by realloc", address, FOR_LINKS, sizes[i]);
			else if (malloc_usable_size(p) < sizes[i])
				expect_nothing("cut by realloc", address, malloc_usable_size(p), sizes[i]);
			free(p);
		}
}

static void sized(void)
{
	void (*free_sized)(void *, size_t) = (void (*)(void *, size_t))find("free_sized");
	void *(*new)(size_t) = (void *(*)(size_t))find("_Znwm");
	void (*delete)(void *, size_t) = (void (*)(void *, size_t))find("_ZdlPvm");

	for (unsigned i = 0; i < SIZES; i++) {
		uintptr_t address = (uintptr_t)secret(sizes[i]);
		free_sized((void *)address, sizes[i]);
		expect_nothing("by free_sized", address, FOR_LINKS, sizes[i]);
		address = (uintptr_t)memset(new(sizes[i]), SECRET, sizes[i]);
		delete((void *)address, sizes[i]);
		expect_nothing("by operator delete", address, FOR_LINKS, sizes[i]);
	}
}

static const struct again_case cases[] = {
	{"own", own, "zero_on_free:1"},
	{"own, profiled", own, "zero_on_free:1,prof:1,lg_prof_sample:10,prof_file:/dev/null"},
	{"others, page", others, "zero_on_free:1,sink:page"},
	{"others, central", others, "zero_on_free:1,sink:central"},
	{"others, unbatched", others, "zero_on_free:1,remote_batch:0"},
	{"heirs", heirs, "zero_on_free:1"},
	{"child", in_child, "zero_on_free:1"},
	{"destructors", destructors, "zero_on_free:1"},
	{"resized", resized, "zero_on_free:1"},
	{"sized", sized, "zero_on_free:1"},
	{0},
};

int main(int argc, char **argv)
{
	if (!on_hz3()) {
		puts("SKIP: zero_on_free is hz3's");
		return SKIPPED;
	}
	if (pipe(mirror) != 0)
		abort();
	run_cases(cases, argc > 1 ? argv[1] : NULL, "");
	return finish();
}
