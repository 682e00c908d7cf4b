/*
 * Limits of address space (RLIMIT_AS) and of data (RLIMIT_DATA) from 16 MiB up to 4 GiB, rung by rung.  On each
 *
 *   fill       a program takes all there is, frees it, does the same from four threads that free each other's blocks, and then
 *              has as much again as at first.  What fails is NULL with ENOMEM, or a thread that does not start.
 *   programs   what starts and works with the C library's malloc in 4 MiB less does with hz3.
 */
#include "../stress/stress.h"

#include <sys/resource.h>

#define THREADS 4
#define MORE_MIB 4	/* hz3's own code, tables, and the first MiB of blocks */
#define THREADS_MIB 32		/* a program with threads is asked for from here */
#define FILL_MAX (64 * MIB)	/* in blocks so small that their number would take long */

struct link {
	struct link *next;
	size_t check;
};

/* A list of blocks until there is no memory; how many. */
static size_t fill(struct link **list, size_t size, size_t most)
{
	size_t n = 0;

	for (; n * size < most; n++) {
		errno = 0;
		struct link *link = stress_opaque(n % 2 ? malloc(size) : calloc(1, size));
		if (link == NULL) {
			CHECK(errno == ENOMEM, "NULL comes with errno %d", errno);
			break;
		}
		CHECK(n % 2 || link->check == 0, "calloc gives what is not zero");
		link->next = *list;
		link->check = stress_mix((uintptr_t)link);
		*list = link;
	}
	return n;
}

static void drop(struct link **list)
{
	for (struct link *link = *list, *next; link != NULL; link = next) {
		next = link->next;
		CHECK(link->check == stress_mix((uintptr_t)link), "block %p was overwritten", (void *)link);
		link->check = 1;
		free(link);
	}
	*list = NULL;
}

static struct link *lists[THREADS];
static size_t thread_size;
static _Atomic unsigned filled, started;

static void *fill_and_drop(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	fill(&lists[me], thread_size, thread_size < 32 * KIB ? FILL_MAX / THREADS : SIZE_MAX);
	atomic_fetch_add(&filled, 1);
	while (atomic_load(&filled) < atomic_load(&started))
		sched_yield();
	drop(&lists[(me + 1) % THREADS]);
	return NULL;
}

/* As many as can be started; the list of one that could not is empty. */
static unsigned run_threads(size_t size)
{
	pthread_t thread[THREADS];
	pthread_attr_t attr;
	unsigned n = 0;

	thread_size = size;
	atomic_store(&filled, 0);
	atomic_store(&started, THREADS);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STRESS_STACK);
	for (unsigned i = 0; i < THREADS; i++) {
		int error = pthread_create(&thread[n], &attr, fill_and_drop, (void *)(uintptr_t)i);
		CHECK(error == 0 || error == EAGAIN || error == ENOMEM, "pthread_create: %s", strerror(error));
		if (error == 0)
			n++;
		else
			atomic_fetch_sub(&started, 1);
	}
	for (unsigned i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < THREADS; i++)
		drop(&lists[i]);
	pthread_attr_destroy(&attr);
	return n;
}

static void fill_all(void)
{
	static const size_t sizes[] = {40 * MIB, MIB, 100000, 3000, 200};
	enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
	struct link *list = NULL;
	size_t first[SIZES];
	unsigned n = 0;

	for (unsigned i = 0; i < SIZES; i++) {
		first[i] = fill(&list, sizes[i], sizes[i] < 32 * KIB ? FILL_MAX : SIZE_MAX);
		drop(&list);
	}
	for (unsigned i = 1; i < SIZES; i++)
		n += run_threads(sizes[i]);
	for (unsigned i = 1; i < SIZES; i++) {
		size_t again = fill(&list, sizes[i], sizes[i] < 32 * KIB ? FILL_MAX : SIZE_MAX);
		drop(&list);
		/* The C library keeps the stacks of threads, which are limited as well. */
		size_t stacks = (THREADS + 1) * (STRESS_STACK + 4 * KIB);
		CHECK(again + stacks / sizes[i] + 2 >= first[i] / 10 * 9, "%zu blocks of %zu at first, then %zu", first[i], sizes[i],
		      again);
	}
	printf("%zu, %zu, %zu, %zu, %zu blocks; %u threads\n", first[0], first[1], first[2], first[3], first[4], n);
}

/* ---- Rungs ---- */

static const char *const programs[] = {
	"true",
	"ls / >/dev/null",
	"test \"$(seq 20000 | sort -n -S 4M | tail -n 1)\" = 20000",
	"test \"$(seq 20000 | xz -0 | xz -dc | tail -n 1)\" = 20000",
	"python3 -S -c 'assert sum(len(str(i)) for i in range(10000)) == 38890'",
	"python3 -S -c 'import threading\nthreading.stack_size(131072)\nfor i in range(4): threading.Thread(target=lambda: [str(i) * 9 for i in range(5000)]).start()'",
	"perl -e 'my %h; $h{$_} = \"x\" x ($_ % 100) for 1 .. 5000; exit(keys(%h) != 5000)'",
};

#define PROGRAMS (sizeof(programs) / sizeof(programs[0]))

static const struct {
	unsigned mib;
	bool in_short;
} rungs[] = {
	{16, true},   {24, true},   {32, false},   {48, true},	  {64, false},	 {96, false},
	{128, false}, {192, true},  {256, false},  {384, false},  {512, false},  {768, false},
	{1024, true}, {1536, false}, {2048, false}, {3072, false}, {4096, true},
};

#define RUNGS (sizeof(rungs) / sizeof(rungs[0]))

static const struct {
	const char *name;
	int resource;
} limits[] = {{"address space", RLIMIT_AS}, {"data", RLIMIT_DATA}};

/* The status of a shell command, or of ourselves, under the limit, with or without hz3. */
static int run_limited(int resource, unsigned mib, const char *command, const char *lib)
{
	int status;

	fflush(stdout);
	pid_t pid = fork();
	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		struct rlimit limit = {mib * MIB, mib * MIB};
		if (lib != NULL)
			setenv("LD_PRELOAD", lib, 1);
		else
			unsetenv("LD_PRELOAD");
		if (command != NULL && (dup2(open("/dev/null", O_WRONLY), STDERR_FILENO) < 0))
			_exit(99);
		if (command == NULL)
			setenv("HZ3_FAULT_CASE", "fill", 1);
		CHECK(setrlimit(resource, &limit) == 0, "setrlimit: %s", strerror(errno));
		if (command != NULL)
			execl("/bin/bash", "bash", "-c", command, (char *)NULL);
		else
			execl("/proc/self/exe", "ladder", (char *)NULL);
		_exit(98);
	}
	CHECK(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
	return status;
}

static bool climb(int resource, unsigned mib, const char *lib)
{
	bool fine = true;
	unsigned work = 0;

	/* To programs, the larger rungs are like one another. */
	for (unsigned i = 0; i < PROGRAMS && (mib <= 64 || stress_long); i++) {
		/* How many of its threads are there at once is up to the machine, and each has pages of its own. */
		if (mib < THREADS_MIB && strstr(programs[i], "threading") != NULL)
			continue;
		if (run_limited(resource, mib - MORE_MIB, programs[i], NULL) != 0)
			continue;
		int status = run_limited(resource, mib, programs[i], lib);
		work++;
		if (status != 0) {
			printf("%s\n  ends with status %#x; with the C library's malloc it works in %u MiB less\n", programs[i],
			       (unsigned)status, MORE_MIB);
			fine = false;
		}
	}
	printf("%u programs; ", work);
	int status = run_limited(resource, mib, NULL, lib);
	if (status != 0) {
		printf("fill ends with status %#x\n", (unsigned)status);
		fine = false;
	}
	return fine;
}

static void body(void)
{
	bool fine = true;
	const char *lib = getenv("LD_PRELOAD");

	if (getenv("HZ3_FAULT_CASE") != NULL) {
		fill_all();
		return;
	}
	printf("seed %llu\n", (unsigned long long)stress_seed);
	if (!on_hz3() || lib == NULL) {
		printf("SKIP: what fits under a limit is only known of hz3\n");
		exit(SKIPPED);
	}
	for (unsigned i = 0; i < 2; i++)
		for (unsigned j = 0; j < RUNGS; j++) {
			if (!stress_long && !rungs[j].in_short)
				continue;
			printf("%u MiB of %s: ", rungs[j].mib, limits[i].name);
			fine &= climb(limits[i].resource, rungs[j].mib, lib);
		}
	CHECK(fine, "see above");
}

int main(void)
{
	static const char *const variants[] = {"sink:page", NULL};

	return stress_main(variants, 100, body);
}
