/*
 * How many mappings hz3 makes, and what it does when there can be no more.  Each case is a process of its own:
 *
 *   live...    1 GiB of live blocks, what a random two of three leave, makes at most 200 mappings after a purge: of large and
 *              of mixed blocks; after the start of threads; in a forked child; under RLIMIT_AS; after a request that could
 *              not be met.
 *   exhausted  The program has as many mappings as it may have (vm.max_map_count).  What was free can be had again and
 *              again, the rest is NULL and ENOMEM; purges and frees work; what could not be unmapped then is unmapped when
 *              there is room again.
 */
#include "../stress/stress.h"

#include <sys/resource.h>

#define GIB ((size_t)1 << 30)
#define MAPPINGS_PER_GIB 200

static uint64_t random_state;

static size_t count_mappings(void)
{
	static char text[64 * 1024];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t lines = 0;
	ssize_t n;

	CHECK(fd >= 0, "/proc/self/maps: %s", strerror(errno));
	while ((n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += text[i] == '\n';
	close(fd);
	return lines;
}

/* ---- A hoard of blocks, found again by index ---- */

#define BLOCKS_MAX 400000

static struct {
	void *p[BLOCKS_MAX];
	uint32_t size[BLOCKS_MAX];
	size_t count, bytes;
} hoard;

static bool add(size_t size)
{
	CHECK(hoard.count < BLOCKS_MAX, "more than %d blocks", BLOCKS_MAX);
	errno = 0;
	void *p = stress_opaque(malloc(size));
	CHECK(p != NULL || errno == ENOMEM, "malloc(%zu): errno %d", size, errno);
	if (p == NULL)
		return false;
	stress_fill(p, size < 64 ? size : 64);
	hoard.p[hoard.count] = p;
	hoard.size[hoard.count++] = (uint32_t)size;
	hoard.bytes += size;
	return true;
}

static void forget(size_t i)
{
	stress_check(hoard.p[i]);
	free(hoard.p[i]);
	hoard.bytes -= hoard.size[i];
	hoard.count--;
	hoard.p[i] = hoard.p[hoard.count];
	hoard.size[i] = hoard.size[hoard.count];
}

static size_t low, high;

static size_t some_size(void)
{
	size_t size = 0;

	while (size < low)
		size = stress_size(&random_state, high);
	return size;
}

/* Blocks of three times as many bytes, of which a random two thirds go. */
static void make_live(size_t bytes)
{
	while (hoard.bytes < 3 * bytes)
		CHECK(add(some_size()), "no memory after %zu MiB", hoard.bytes / MIB);
	while (hoard.bytes > bytes)
		forget(stress_below(&random_state, hoard.count));
}

static void drop_all(void)
{
	while (hoard.count > 0)
		forget(hoard.count - 1);
}

static void check_mappings(const char *when, size_t before)
{
	stress_purge();
	size_t now = count_mappings();
	printf("  %s: %zu MiB live in %zu blocks, %zu mappings more\n", when, hoard.bytes / MIB, hoard.count, now - before);
	CHECK(now <= before + MAPPINGS_PER_GIB, "%s: %zu mappings before, %zu with 1 GiB of live blocks", when, before, now);
}

static void live(void)
{
	size_t before = count_mappings();

	make_live(GIB);
	check_mappings("at first", before);
	/* Blocks come and go: the holes are not those of the beginning. */
	for (unsigned round = 0; round < 3; round++) {
		size_t n = hoard.count / 2;
		while (n-- > 0)
			forget(stress_below(&random_state, hoard.count));
		make_live(GIB);
		stress_purge();
	}
	check_mappings("after changes", before);
	drop_all();
	check_mappings("in the end", before);
}

static void live_large(void)
{
	low = 33 * KIB;
	high = 512 * KIB;
	live();
}

static void live_mixed(void)
{
	low = 2 * KIB;
	high = 60 * MIB;
	live();
}

/* Runs of just the length that a purge gives up where address space is scarce. */
static void live_scarce(void)
{
	low = MIB / 2;
	high = 3 * MIB;
	live();
}

static void live_after_failure(void)
{
	low = 33 * KIB;
	high = 4 * MIB;
	size_t before = count_mappings();

	make_live(GIB);
	errno = 0;
	CHECK(stress_opaque(malloc((size_t)1 << 46)) == NULL && errno == ENOMEM, "64 TiB can be had");
	check_mappings("after a request that is too large", before);
	drop_all();
}

static void live_in_a_child(void)
{
	low = 33 * KIB;
	high = 8 * MIB;
	make_live(GIB / 4);
	fflush(stdout);
	pid_t pid = fork();
	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		stress_limit(60);
		drop_all();
		live();
		fflush(stdout);
		_exit(0);
	}
	stress_wait_for(pid, 0, "child");
	drop_all();
}

/* ---- No more mappings ---- */

#define EXHAUSTED_ROUNDS 4

static char *filler;
static size_t filler_pages;

static size_t max_map_count(void)
{
	return stress_read_number("/proc/sys/vm/max_map_count", NULL, 0);
}

/* Of one reservation, every other page is readable: each is a mapping.  Until there can be no more. */
static void use_up_mappings(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	filler_pages = 2 * max_map_count();
	filler = mmap(NULL, filler_pages * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(filler != MAP_FAILED, "mmap: %s", strerror(errno));
	for (size_t i = 1; i < filler_pages; i += 2)
		if (mprotect(filler + i * page, page, PROT_READ) != 0)
			break;
	/* And the one that may be left. */
	while (mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED)
		;
}

static void give_mappings_back(void)
{
	CHECK(munmap(filler, filler_pages * (size_t)sysconf(_SC_PAGESIZE)) == 0, "munmap: %s", strerror(errno));
}

static size_t fill_up(size_t limit)
{
	while (hoard.bytes < limit && add(some_size()))
		;
	return hoard.bytes;
}

static void exhausted(void)
{
	static const struct { size_t low, high; } sizes[] = {{16, KIB}, {KIB, 32 * KIB}, {33 * KIB, MIB}};
	size_t mapped_before = stress_stat("stats.mapped");

	/* What is free before must be of use then. */
	low = 16;
	high = 4 * MIB;
	fill_up(256 * MIB);
	/* Huge blocks that lie side by side are one mapping: the middle of it can't be unmapped. */
	char *huge[8];
	for (unsigned i = 0; i < 8; i++)
		huge[i] = malloc(40 * MIB);
	while (hoard.bytes > 128 * MIB)
		forget(stress_below(&random_state, hoard.count));
	use_up_mappings();
	size_t kept = hoard.bytes, got[EXHAUSTED_ROUNDS][3], last = EXHAUSTED_ROUNDS - 1;

	for (unsigned i = 0; i < 8; i++)
		memset(huge[i], 1, 64 * KIB);
	for (unsigned i = 1; i < 8; i += 2)
		free(huge[i]);
	stress_purge();
	/* If one can be had at all, it is one of those. */
	char *again = calloc(1, 40 * MIB);
	for (size_t i = 0; again != NULL && i < 64 * KIB; i++)
		CHECK(again[i] == 0, "calloc: byte %zu is %#x", i, (unsigned char)again[i]);
	printf("  40 MiB, where what munmap refused is: %s\n", again != NULL ? "to be had" : "ENOMEM");
	free(again);

	for (unsigned round = 0; round < EXHAUSTED_ROUNDS; round++)
		for (unsigned i = 0; i < 3; i++) {
			low = sizes[i].low;
			high = sizes[i].high;
			got[round][i] = fill_up(kept + 64 * MIB) - kept;
			while (hoard.bytes > kept)
				forget(hoard.count - 1);
			if (i % 2)
				stress_purge();
		}
	for (unsigned i = 0; i < 3; i++) {
		printf("  blocks of %zu to %zu: %zu KiB, then %zu KiB\n", sizes[i].low, sizes[i].high, got[0][i] / KIB,
		       got[last][i] / KIB);
		CHECK(got[last][i] + 8 * MIB >= got[0][i] / 10 * 9, "%zu KiB in blocks of %zu to %zu at first, then %zu KiB",
		      got[0][i] / KIB, sizes[i].low, sizes[i].high, got[last][i] / KIB);
		CHECK(got[0][i] >= 32 * MIB, "of 128 MiB that are free, %zu KiB can be had in blocks of %zu to %zu",
		      got[0][i] / KIB, sizes[i].low, sizes[i].high);
	}

	give_mappings_back();
	low = 33 * KIB;
	high = 40 * MIB;
	fill_up(kept + 256 * MIB);
	CHECK(hoard.bytes >= kept + 256 * MIB, "with mappings to be had again, malloc still fails");
	drop_all();
	for (unsigned i = 0; i < 8; i += 2)
		free(huge[i]);
	stress_purge();
	CHECK(stress_live() < 100, "%zu blocks live in the end", stress_live());
	/* Free runs stay mapped where address space is not limited: now it is, and runs out. */
	struct rlimit limit = {64 * GIB, RLIM_INFINITY};
	CHECK(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit: %s", strerror(errno));
	CHECK(stress_opaque(malloc((size_t)1 << 46)) == NULL, "64 TiB can be had");
	CHECK(stress_stat("stats.mapped") <= mapped_before + 32 * MIB, "%zu MiB stay mapped, %zu MiB were before",
	      stress_stat("stats.mapped") / MIB, mapped_before / MIB);
	CHECK(stress_stat("stats.huge_mappings") == 0, "huge mappings are left");
}

/* ---- One process a case ---- */

static const struct {
	const char *name;
	void (*run)(void);
	size_t address_space;	/* RLIMIT_AS */
	bool only_long;
} cases[] = {
	{"live, large blocks", live_large, 0, false},
	{"live, mixed blocks", live_mixed, 0, true},
	{"live, in a child", live_in_a_child, 0, true},
	{"live, after a failure", live_after_failure, 0, false},
	{"live, limited", live_scarce, 8 * GIB, false},
	{"live, large blocks, limited", live_large, 8 * GIB, true},
	{"exhausted", exhausted, 0, false},
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

static void start_case(unsigned i)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", i);
	fflush(stdout);
	pid_t pid = fork();
	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		struct rlimit limit = {cases[i].address_space, cases[i].address_space};
		char seed[32];
		snprintf(seed, sizeof(seed), "%llu", (unsigned long long)stress_seed);
		setenv("HZ3_STRESS_SEED", seed, 1);
		setenv("HZ3_FAULT_CASE", number, 1);
		if (limit.rlim_cur != 0)
			CHECK(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit: %s", strerror(errno));
		execl("/proc/self/exe", "mappings", (char *)NULL);
		FAIL("exec: %s", strerror(errno));
	}
	stress_wait_for(pid, 0, cases[i].name);
}

static void body(void)
{
	const char *number = getenv("HZ3_FAULT_CASE");

	if (number != NULL) {
		unsigned i = (unsigned)atoi(number);
		random_state = stress_state(i);
		printf("%s:\n", cases[i].name);
		cases[i].run();
		return;
	}
	printf("seed %llu\n", (unsigned long long)stress_seed);
	if (!on_hz3()) {
		printf("SKIP: how many mappings are made is only promised of hz3\n");
		exit(SKIPPED);
	}
	for (unsigned i = 0; i < CASES; i++)
		if (stress_long || !cases[i].only_long)
			start_case(i);
}

int main(void)
{
	static const char *const variants[] = {"sink:page", NULL};

	return stress_main(variants, 60, body);
}
