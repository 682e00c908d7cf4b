/*
 * No more memory.  Each case is a process of its own, whose address space (RLIMIT_AS) or data (RLIMIT_DATA) is limited
 * before it starts:
 *
 *   fill      all there is, in blocks of one size; free it; all there is again, of the same and of other sizes.
 *   threads   the same by four threads, which free each other's blocks.
 *   too_big   thousands of requests that cannot be met, and what can be had after them.
 *   programs  python3, sort and xz with 200 MiB, those that there are.
 *
 * NULL comes with ENOMEM, nothing is lost by it, and the heap works afterwards.
 */
#include "stress.h"

#include <sys/resource.h>

#define THREADS 4

/* ---- A hoard: a list of blocks through their first words ---- */

struct link {
	struct link *next;
	uint64_t mark;
};

struct hoard {
	struct link *first;
	size_t count;
};

static uint64_t mark_of(const struct link *link)
{
	return stress_mix((uintptr_t)link);
}

/* Up to so many blocks, or until there is no memory. */
static void fill(struct hoard *hoard, size_t size, size_t limit)
{
	while (hoard->count < limit) {
		errno = 0;
		struct link *link = stress_opaque(malloc(size));
		if (link == NULL) {
			CHECK(errno == ENOMEM, "malloc(%zu) gives NULL, and errno %d", size, errno);
			return;
		}
		link->next = hoard->first;
		link->mark = mark_of(link);
		if (size > 2 * sizeof(*link))
			((unsigned char *)link)[size - 1] = (unsigned char)link->mark;
		hoard->first = link;
		hoard->count++;
	}
}

static void drop(struct hoard *hoard, size_t size)
{
	for (struct link *link = hoard->first, *next; link != NULL; link = next) {
		next = link->next;
		CHECK(link->mark == mark_of(link), "block %p of %zu bytes was overwritten", (void *)link, size);
		CHECK(size <= 2 * sizeof(*link) || ((unsigned char *)link)[size - 1] == (unsigned char)link->mark,
		      "the end of block %p of %zu bytes was overwritten", (void *)link, size);
		hoard->count--;
		errno = 4321;
		free(link);
		CHECK(errno == 4321, "free sets errno to %d", errno);
	}
	CHECK(hoard->count == 0, "%zu blocks of %zu bytes are gone", hoard->count, size);
	hoard->first = NULL;
}

/* The rest of the family, with what is left of memory: nothing, mostly. */
static void try_everything(size_t size)
{
	char *p, *q;

	errno = 0;
	p = stress_opaque(calloc(size, 3));
	CHECK(p != NULL || errno == ENOMEM, "calloc: errno %d", errno);
	free(p);
	p = malloc(24);
	if (p != NULL) {
		memset(p, 'x', 24);
		errno = 0;
		q = stress_opaque(realloc(p, size + 100000));
		CHECK(q != NULL || errno == ENOMEM, "realloc: errno %d", errno);
		q = q != NULL ? q : p;
		for (unsigned i = 0; i < 24; i++)
			CHECK(q[i] == 'x', "realloc lost contents");
		free(q);
	}
	errno = 99;
	void *r = p;
	int error = posix_memalign(&r, 4096, size + 100000);
	CHECK((error == 0 || (error == ENOMEM && r == p)) && errno == 99, "posix_memalign: %d, errno %d", error, errno);
	if (error == 0)
		free(r);
	errno = 0;
	p = stress_opaque(aligned_alloc(64 * KIB, size + 100000));
	CHECK(p != NULL || errno == ENOMEM, "aligned_alloc: errno %d", errno);
	free(p);
}

static void use_heap(void)
{
	uint64_t random = stress_state(7);
	void *p[64];

	for (unsigned i = 0; i < 64; i++) {
		size_t size = 8 + stress_size(&random, 30 * KIB);
		p[i] = i % 2 ? malloc(size) : calloc(1, size);
		CHECK(p[i] != NULL, "no memory for %zu bytes, with everything freed", size);
		stress_fill(p[i], size);
	}
	for (unsigned i = 0; i < 64; i++) {
		stress_check(p[i]);
		free(p[i]);
	}
}

/* Nine tenths of it, or one block less. */
static void check_again(const char *what, size_t size, size_t first, size_t again)
{
	CHECK(again >= first - first / 10 || again + 1 >= first, "%s: %zu blocks of %zu bytes at first, then %zu", what,
	      first, size, again);
}

/* ---- Cases ---- */

static size_t limit_bytes;

static size_t address_space(void)
{
	return stress_read_number("/proc/self/status", "\nVmSize:", 0) * KIB;
}

static void case_fill(void)
{
	static const size_t sizes[] = {64 * MIB, 33 * MIB, 5 * MIB, MIB, 100000, 30000, 4000, 1000, 100, 16};
	enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
	size_t first[SIZES], room = limit_bytes - address_space();
	struct hoard hoard = {NULL, 0};

	/* The smallest blocks take long, and are the same with more memory. */
	unsigned n = limit_bytes > 100 * MIB && !stress_long ? SIZES - 2 : SIZES;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < n; i++) {
			fill(&hoard, sizes[i], SIZE_MAX);
			size_t count = hoard.count;
			try_everything(sizes[i]);
			drop(&hoard, sizes[i]);
			use_heap();
			if (round == 0)
				first[i] = count;
			/* Small ones: metadata, the waste of classes, and what libc needs. */
			size_t takes = stress_has_safety_checks() ? sizes[i] + 16 : sizes[i];
			CHECK(!on_hz3() || sizes[i] > MIB || count * takes > room / 10 * 7,
			      "%zu blocks of %zu bytes are all that fits into %zu KiB", count, sizes[i], room / KIB);
			check_again("fill", sizes[i], first[i], count);
		}
	}
	printf("of %zu MiB of room: %zu MiB in blocks of %zu\n", room / MIB, first[n - 1] * sizes[n - 1] / MIB,
	       sizes[n - 1]);
}

static struct hoard hoards[THREADS];
static pthread_barrier_t gate;
static size_t thread_size;
static _Atomic size_t got[3];

/* Fill, free what another has filled, fill again. */
static void *fill_and_drop(void *arg)
{
	uintptr_t me = (uintptr_t)arg;

	for (unsigned round = 0; round < 3; round++) {
		pthread_barrier_wait(&gate);
		fill(&hoards[me], thread_size, SIZE_MAX);
		atomic_fetch_add(&got[round], hoards[me].count);
		pthread_barrier_wait(&gate);
		drop(&hoards[(me + 1 + round) % THREADS], thread_size);
	}
	return NULL;
}

static void case_threads(void)
{
	static const size_t sizes[] = {MIB, 30000, 4000, 200};
	pthread_t thread[THREADS];

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		thread_size = sizes[i];
		pthread_barrier_init(&gate, NULL, THREADS);
		for (unsigned round = 0; round < 3; round++)
			atomic_store(&got[round], 0);
		for (uintptr_t j = 0; j < THREADS; j++)
			thread[j] = stress_thread(fill_and_drop, (void *)j);
		for (unsigned j = 0; j < THREADS; j++)
			pthread_join(thread[j], NULL);
		pthread_barrier_destroy(&gate);
		check_again("threads", sizes[i], got[0], got[1]);
		check_again("threads", sizes[i], got[0], got[2]);
		use_heap();
	}
	printf("threads: %zu, %zu, %zu blocks of %zu\n", got[0], got[1], got[2], thread_size);
}

static void case_too_big(void)
{
	uint64_t random = stress_state(3);
	struct hoard hoard = {NULL, 0};

	fill(&hoard, 2000, SIZE_MAX);
	size_t first = hoard.count;
	drop(&hoard, 2000);
	for (unsigned i = 0; i < 3000; i++) {
		/* From what barely does not fit, also as a run of an arena, to what no machine has. */
		size_t size = limit_bytes + stress_size(&random, (size_t)1 << 46);
		errno = 0;
		void *p = stress_opaque(i % 2 ? malloc(size) : aligned_alloc(2 * MIB, size));
		CHECK(p == NULL && errno == ENOMEM, "malloc(%zu): %p, errno %d", size, p, errno);
		if (i % 10 == 0) {
			p = stress_opaque(malloc(16 * MIB + stress_below(&random, 16 * MIB)));
			free(p);
		}
	}
	fill(&hoard, 2000, SIZE_MAX);
	size_t again = hoard.count;
	drop(&hoard, 2000);
	check_again("too_big", 2000, first, again);

	/* With little memory left, as runs of an arena and as mappings: what failed must leave nothing behind. */
	fill(&hoard, 2000, first - 12 * MIB / 2000);
	for (unsigned i = 0; i < 1000; i++) {
		size_t size = 20 * MIB + stress_below(&random, 20 * MIB);
		errno = 0;
		void *p = stress_opaque(malloc(size));
		CHECK(p == NULL && errno == ENOMEM, "malloc(%zu): %p, errno %d, with 12 MiB left", size, p, errno);
	}
	fill(&hoard, 2000, SIZE_MAX);
	check_again("too_big, nearly full", 2000, first, hoard.count);
	drop(&hoard, 2000);
	fill(&hoard, 2000, SIZE_MAX);
	again = hoard.count;
	drop(&hoard, 2000);
	check_again("too_big, full", 2000, first, again);
	printf("too_big: %zu blocks, then %zu\n", first, again);
}

/* ---- Programs ---- */

static void run_program(const char *program, const char *command)
{
	char text[1024];

	snprintf(text, sizeof(text), "command -v %s >/dev/null || exit 77; ulimit -v 204800; set -e; %s", program,
		 command);
	fflush(stdout);
	int status = system(text);
	CHECK(WIFEXITED(status), "%s: status %#x", program, (unsigned)status);
	if (WEXITSTATUS(status) == 77)
		printf("there is no %s\n", program);
	else
		CHECK(WEXITSTATUS(status) == 0, "%s with 200 MiB of address space: status %d", program,
		      WEXITSTATUS(status));
}

static void programs(void)
{
	run_program("python3", "PYTHONMALLOC=malloc python3 -S -c '\n"
			       "for size in 10000000, 30000, 100:\n"
			       "    hoard = []\n"
			       "    try:\n"
			       "        while True: hoard.append(bytearray(size))\n"
			       "    except MemoryError:\n"
			       "        hoard.clear()\n"
			       "assert sum(len(str(i)) for i in range(10000)) == 38890'");
	run_program("sort", "test \"$(seq 200000 | sort -r -S 60M --parallel=2 | sort -n -S 60M --parallel=2 | cksum)\""
			    " = \"$(seq 200000 | cksum)\"");
	run_program("xz", "test \"$(seq 200000 | xz -1 -T2 | xz -dc | cksum)\" = \"$(seq 200000 | cksum)\"");
}

/* ---- One process a case ---- */

static const struct {
	const char *name;
	void (*run)(void);
	int resource;
	unsigned mib;
} cases[] = {
	{"fill, 32 MiB", case_fill, RLIMIT_AS, 32},
	{"fill, 64 MiB", case_fill, RLIMIT_AS, 64},
	{"fill, 200 MiB", case_fill, RLIMIT_AS, 200},
	{"fill, 400 MiB", case_fill, RLIMIT_AS, 400},
	{"fill, 64 MiB of data", case_fill, RLIMIT_DATA, 64},
	{"threads, 64 MiB", case_threads, RLIMIT_AS, 64},
	{"threads, 200 MiB", case_threads, RLIMIT_AS, 200},
	{"threads, 64 MiB of data", case_threads, RLIMIT_DATA, 64},
	{"too_big, 64 MiB", case_too_big, RLIMIT_AS, 64},
	{"too_big, 200 MiB", case_too_big, RLIMIT_AS, 200},
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
		struct rlimit limit = {(rlim_t)cases[i].mib * MIB, (rlim_t)cases[i].mib * MIB};
		char seed[32];
		snprintf(seed, sizeof(seed), "%llu", (unsigned long long)stress_seed);
		setenv("HZ3_STRESS_SEED", seed, 1);
		setenv("HZ3_STRESS_OOM", number, 1);
		CHECK(setrlimit(cases[i].resource, &limit) == 0, "setrlimit: %s", strerror(errno));
		stress_exec_self(NULL);
	}
	stress_wait_for(pid, 0, cases[i].name);
}

static void body(void)
{
	const char *number = getenv("HZ3_STRESS_OOM");

	if (number != NULL) {
		unsigned i = (unsigned)atoi(number);
		limit_bytes = cases[i].mib * MIB;
		printf("%s: ", cases[i].name);
		cases[i].run();
		return;
	}
	printf("seed %llu, variant \"%s\"\n", (unsigned long long)stress_seed, stress_variant);
	if (!on_hz3()) {
		printf("what fits under a limit is only known of hz3\n");
		exit(SKIPPED);
	}
	if (stress_is_emulated()) {
		printf("an emulator does not limit the memory of what it runs\n");
		exit(SKIPPED);
	}
	/* The sinks differ where threads free each other's blocks. */
	for (unsigned i = 0; i < CASES; i++)
		if (strstr(stress_variant, "page") != NULL || cases[i].run == case_threads || stress_long)
			start_case(i);
	if (strstr(stress_variant, "page") != NULL && !self_is_foreign())
		programs();
}

int main(void)
{
	static const char *const variants[] = {"sink:page", "sink:central", NULL};

	return stress_main(variants, 60, body);
}
