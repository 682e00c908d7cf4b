/*
 * A process in a memory cgroup of 128 MiB, as in a container: with 64 MiB live at most, in blocks of ever other sizes that
 * threads free for each other, it is not killed; and when it falls idle, its memory goes back by itself.
 *
 * The long form is fifteen times as long, and then needs to be told of the limit: without memory_limit_soft it is killed after 4 s.
 *
 * Makes a cgroup (version 1 or 2) of its own, and removes it.  Skipped where that is not allowed.
 */
#include "../stress/stress.h"

#include <sys/stat.h>

#define LIMIT (128 * MIB)
#define LIVE (64 * MIB)
#define THREADS 4
#define PER_THREAD (LIVE / THREADS)
#define BLOCKS_MAX (PER_THREAD / 256)

static char group[256];	/* its directory */
static bool version_2;
static pid_t child;

/* ---- The cgroup ---- */

static bool write_to(const char *file, const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", group, file);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? write(fd, text, strlen(text)) : -1;
	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text);
}

static size_t used(void)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", group, version_2 ? "memory.current" : "memory.usage_in_bytes");
	return stress_read_number(path, NULL, 0);
}

static void remove_group(void)
{
	/* A process that has ended may take a moment to leave. */
	for (unsigned i = 0; i < 100 && rmdir(group) != 0 && errno == EBUSY; i++)
		stress_sleep_ms(20);
}

static _Noreturn void skip(const char *why)
{
	printf("SKIP: %s\n", why);
	if (group[0] != '\0')
		remove_group();
	exit(SKIPPED);
}

static void make_group(void)
{
	char limit[32];
	const char *root = NULL;

	if (access("/sys/fs/cgroup/cgroup.subtree_control", F_OK) == 0) {
		version_2 = true;
		root = "/sys/fs/cgroup";
	} else if (access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK) == 0 ||
		   access("/sys/fs/cgroup/memory/cgroup.procs", F_OK) == 0) {
		root = "/sys/fs/cgroup/memory";
	}
	if (root == NULL)
		skip("there is no memory cgroup");
	snprintf(group, sizeof(group), "%s/hz3-test-%d", root, (int)getpid());
	if (mkdir(group, 0755) != 0) {
		group[0] = '\0';
		skip("a cgroup may not be made (it takes root)");
	}
	snprintf(limit, sizeof(limit), "%zu", LIMIT);
	if (!write_to(version_2 ? "memory.max" : "memory.limit_in_bytes", limit))
		skip("the memory of a cgroup can't be limited");
	/* Swap would hide what is not given back; where there is none the file may be missing. */
	(void)write_to(version_2 ? "memory.swap.max" : "memory.swappiness", "0");
}

static void end_child(int signal)
{
	if (child > 0)
		kill(child, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	remove_group();
	_exit(128 + signal);
}

/* ---- In it ---- */

static void *blocks[THREADS][BLOCKS_MAX];
static pthread_barrier_t gate;
static unsigned rounds;

static void *work(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	uint64_t state = stress_state(me);

	for (unsigned round = 0; round < rounds; round++) {
		/* All of about one size in one round, and another in the next. */
		size_t size = (size_t)256 << (round * 5 % 13), n = 0;
		for (size_t bytes = 0; bytes + 2 * size <= PER_THREAD; n++) {
			size_t this_size = size + stress_below(&state, size);
			blocks[me][n] = malloc(this_size);
			CHECK(blocks[me][n] != NULL, "no memory for %zu bytes", this_size);
			memset(blocks[me][n], 1, this_size);
			bytes += this_size;
		}
		pthread_barrier_wait(&gate);
		unsigned other = (me + 1) % THREADS;
		for (size_t i = 0; i < BLOCKS_MAX && blocks[other][i] != NULL; i++) {
			free(blocks[other][i]);
			blocks[other][i] = NULL;
		}
		pthread_barrier_wait(&gate);
	}
	/* And falls asleep. */
	pthread_barrier_wait(&gate);
	return NULL;
}

static void live_in_group(void)
{
	pthread_t thread[THREADS];
	size_t peak = 0, now = 0;

	stress_limit(stress_long ? 600 : 60);
	rounds = stress_long ? 400 : 26;
	pthread_barrier_init(&gate, NULL, THREADS);
	size_t before = used();
	for (uintptr_t i = 0; i < THREADS; i++)
		thread[i] = stress_thread(work, (void *)i);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	peak = used();
	/* Nobody calls malloc or free from here on. */
	for (unsigned i = 0; i < 200 && (now = used()) > before + 16 * MIB; i++)
		stress_sleep_ms(100);
	printf("%zu MiB at first, %zu MiB in the end, %zu MiB when idle\n", before / MIB, peak / MIB, now / MIB);
	CHECK(now <= before + 16 * MIB, "%zu MiB stay in use by an idle process, of %zu MiB at first", now / MIB, before / MIB);
}

static void body(void)
{
	int status;

	make_group();
	signal(SIGTERM, end_child);
	signal(SIGINT, end_child);
	signal(SIGALRM, end_child);
	fflush(stdout);
	child = fork();
	CHECK(child >= 0, "fork: %s", strerror(errno));
	if (child == 0) {
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		if (!write_to("cgroup.procs", "0"))
			_exit(SKIPPED);
		if (stress_long)
			stress_add_conf("memory_limit_soft:112m");
		setenv("HZ3_FAULT_CASE", group, 1);
		setenv("HZ3_FAULT_SYSTEM", version_2 ? "2" : "1", 1);
		execl("/proc/self/exe", "cgroup", (char *)NULL);
		_exit(98);
	}
	waitpid(child, &status, 0);
	remove_group();
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
		group[0] = '\0';
		skip("a process may not be put into a cgroup");
	}
	CHECK(!WIFSIGNALED(status), "killed by signal %d with %zu MiB live of %zu MiB", WTERMSIG(status), LIVE / MIB, LIMIT / MIB);
	CHECK(status == 0, "status %#x", (unsigned)status);
}

int main(void)
{
	static const char *const variants[] = {"sink:page", "sink:central", NULL};
	const char *in_group = getenv("HZ3_FAULT_CASE"), *version = getenv("HZ3_FAULT_SYSTEM");

	if (in_group == NULL)
		return stress_main(variants, 60, body);
	stress_find_hz3();
	snprintf(group, sizeof(group), "%s", in_group);
	version_2 = version != NULL && *version == '2';
	stress_long = getenv("HZ3_STRESS") != NULL;
	live_in_group();
	return 0;
}
