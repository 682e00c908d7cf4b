/*
 * The Nth call that hz3 makes to the system fails, for every N until the scenario ends without the fault.
 *
 * A scenario is a process of its own, with shim.c between hz3 and the C library.  It takes its steps with the fault armed, then
 * again with all well, frees everything and purges.  Meanwhile
 *
 *   - what fails is NULL with ENOMEM, and changes neither the block given to realloc nor anything else;
 *   - every block keeps its contents;
 *   - once the fault is over nothing fails any more;
 *
 * and at the end no block is live, what hz3 says it has mapped is to the byte what it got from the system, less what it gave
 * back, and it holds no more memory than the same scenario without a fault leaves.  Then faults of a kind come again and again
 * in one process, which must not grow by it.
 *
 * The short form takes all N of what fails once, and of what fails from then on the first, and some later ones.
 *
 * By hand: HZ3_FAULT_CASE=NAME HZ3_FAULT_LATER=CALL:NTH:COUNT:ERRNO LD_PRELOAD="libfaults.so libhz3.so" inject
 */
#include "../stress/stress.h"
#include "shim.h"

#include <limits.h>
#include <sys/resource.h>

static struct faults *shim;

/* ---- Blocks ---- */

#define SLOTS 400

struct slot {
	void *p;
	size_t size;
};

static struct slot slots[SLOTS];
static bool may_fail;	/* the fault is armed */
static uint64_t random_state;

/* Called after a call that has returned p: NULL is allowed while the fault lasts, with ENOMEM; else errno is what it was. */
static void judge(const char *call, size_t size, const void *p)
{
	int error = errno;

	if (p == NULL)
		CHECK(may_fail, "%s(%zu) fails (errno %d) though nothing is wrong with the system any more", call, size, error);
	CHECK(error == (p == NULL ? ENOMEM : 4321), "%s(%zu) = %p leaves errno %d", call, size, p, error);
}

static void drop(struct slot *slot)
{
	if (slot->p == NULL)
		return;
	CHECK(stress_check(slot->p) == slot->size, "block %p is not the one of %zu bytes", slot->p, slot->size);
	errno = 4321;
	free(slot->p);
	CHECK(errno == 4321, "free leaves errno %d", errno);
	slot->p = NULL;
}

static void keep(struct slot *slot, void *p, size_t size)
{
	slot->p = p;
	slot->size = size;
	if (p != NULL)
		stress_fill(p, size);
}

static void take(struct slot *slot, size_t size)
{
	errno = 4321;
	void *p = stress_opaque(malloc(size));
	judge("malloc", size, p);
	keep(slot, p, size);
}

static void take_zeroed(struct slot *slot, size_t size)
{
	errno = 4321;
	char *p = stress_opaque(calloc(1, size));
	judge("calloc", size, p);
	/* Both ends, and some of what is between. */
	for (size_t i = 0; p != NULL && i < size; i += i < 4096 || i > size - 4096 ? 1 : 509)
		CHECK(p[i] == 0, "calloc(%zu): byte %zu is %#x", size, i, (unsigned char)p[i]);
	keep(slot, p, size);
}

static void take_aligned(struct slot *slot, size_t alignment, size_t size)
{
	void *p = &slot;
	errno = 4321;
	int error = posix_memalign(&p, alignment, size);

	CHECK(errno == 4321, "posix_memalign leaves errno %d", errno);
	CHECK(error == 0 || (error == ENOMEM && may_fail && p == &slot), "posix_memalign(%zu, %zu): %d", alignment, size, error);
	CHECK(error != 0 || ((uintptr_t)p & (alignment - 1)) == 0, "%p is not aligned to %zu", p, alignment);
	keep(slot, error == 0 ? p : NULL, size);
}

/* To another size: what both have is kept; if there is no memory, all of it. */
static void change(struct slot *slot, size_t size)
{
	size_t before = stress_check(slot->p), same = (before < size ? before : size) & ~(size_t)7;
	char head[64], *p;

	same = same > sizeof(head) ? sizeof(head) : same;
	memcpy(head, slot->p, same);
	errno = 4321;
	p = stress_opaque(realloc(slot->p, size));
	judge("realloc", size, p);
	if (p == NULL) {
		CHECK(stress_check(slot->p) == before, "realloc failed, and changed the block");
		return;
	}
	CHECK(memcmp(p, head, same) == 0, "realloc from %zu to %zu lost contents", before, size);
	keep(slot, p, size);
}

static void drop_all(void)
{
	for (unsigned i = 0; i < SLOTS; i++)
		drop(&slots[i]);
}

static struct slot *any_slot(unsigned n)
{
	return &slots[stress_below(&random_state, n)];
}

static size_t size_between(size_t low, size_t high)
{
	size_t size = 0;

	while (size < low)
		size = stress_size(&random_state, high);
	return size;
}

/* ---- Scenarios: each takes its steps once, and leaves some blocks ---- */

static void blocks(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct slot *slot = any_slot(SLOTS);
		size_t size = size_between(16, 32 * KIB);

		drop(slot);
		if (i % 4 == 0)
			take_zeroed(slot, size);
		else
			take(slot, size);
	}
}

static void small(void)
{
	blocks(1500);
}

/* Each that fails tries to set hz3 up, which takes many calls. */
static void few(void)
{
	blocks(150);
}

static void large(void)
{
	for (unsigned i = 0; i < 60; i++) {
		struct slot *slot = any_slot(20);
		size_t size = size_between(33 * KIB, 2 * MIB);

		drop(slot);
		if (i % 4 == 0)
			take_zeroed(slot, size);
		else
			take(slot, size);
		if (i % 20 == 19)
			stress_purge();
	}
}

/* Mappings of their own: enough of them for their table to grow. */
static void huge(void)
{
	for (unsigned i = 0; i < 140; i++) {
		drop(&slots[i]);
		take(&slots[i], MIB + 1 + stress_below(&random_state, MIB));
	}
	for (unsigned i = 0; i < 60; i++)
		drop(any_slot(140));
}

static void aligned(void)
{
	for (unsigned i = 0; i < 60; i++) {
		struct slot *slot = any_slot(30);
		size_t alignment = (size_t)16 << stress_below(&random_state, 20);

		drop(slot);
		take_aligned(slot, alignment, size_between(16, i % 8 == 0 ? 8 * MIB : 256 * KIB));
	}
}

static void resize(void)
{
	for (unsigned i = 0; i < 120; i++) {
		struct slot *slot = any_slot(12);

		if (slot->p == NULL)
			take(slot, size_between(16, 64 * KIB));
		else
			change(slot, size_between(16, i % 3 == 0 ? 64 * KIB : 6 * MIB));
	}
}

static void nothing_written(void *arg, const char *text)
{
	*(size_t *)arg += strlen(text);
}

/* Looks at the statistics while there is little memory. */
static void statistics(void)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < 6; i++) {
		take(&slots[i], size_between(16, 8 * MIB));
		stress_print(nothing_written, &bytes, i % 2 ? "j" : "");
		CHECK(stress_stat("stats.resident") > 0 && bytes > 100, "the statistics are empty");
		struct mallinfo2 info = mallinfo2();
		CHECK(info.uordblks <= info.arena, "mallinfo2: %zu bytes of %zu", info.uordblks, info.arena);
		drop(&slots[i]);
		malloc_trim(0);
	}
}

/* ---- Scenarios with threads ---- */

#define WORKERS 3
#define EACH (SLOTS / 4)

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static unsigned arrived, phase;	/* under gate */

static void wait_for_phase(unsigned n)
{
	pthread_mutex_lock(&gate);
	arrived++;
	pthread_cond_broadcast(&moved);
	while (phase < n)
		pthread_cond_wait(&moved, &gate);
	pthread_mutex_unlock(&gate);
}

/* By the thread that started the others: until all have come as far. */
static void wait_for_workers(unsigned workers, unsigned n)
{
	pthread_mutex_lock(&gate);
	while (arrived < workers * n)
		pthread_cond_wait(&moved, &gate);
	pthread_mutex_unlock(&gate);
}

/* And then, the next phase. */
static void let_go(unsigned workers, unsigned n)
{
	wait_for_workers(workers, n);
	pthread_mutex_lock(&gate);
	phase = n;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&gate);
}

static void fill_part(unsigned part, uint64_t *state)
{
	for (unsigned i = part * EACH; i < (part + 1) * EACH; i++)
		if (slots[i].p == NULL)
			take(&slots[i], 16 + stress_size(state, i % 16 == 0 ? 256 * KIB : 2 * KIB));
}

static void drop_part(unsigned part)
{
	for (unsigned i = part * EACH; i < (part + 1) * EACH; i += 1 + i % 2)
		drop(&slots[i]);
}

/* Gets blocks, frees those of the next thread, gets more, and ends with another's still in its buffer. */
static void *work(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	uint64_t state = stress_state(me);

	fill_part(me, &state);
	wait_for_phase(1);
	drop_part((me + 1) % (WORKERS + 1));
	wait_for_phase(2);
	fill_part(me, &state);
	wait_for_phase(3);
	drop_part((me + 2) % (WORKERS + 1));
	return NULL;
}

static unsigned start_workers(pthread_t *threads)
{
	pthread_attr_t attr;
	unsigned n = 0;

	arrived = phase = 0;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STRESS_STACK);
	/* A thread's start takes memory as well. */
	for (unsigned i = 0; i < WORKERS; i++) {
		int error = pthread_create(&threads[n], &attr, work, (void *)(uintptr_t)i);
		CHECK(error == 0 || may_fail, "pthread_create: %s", strerror(error));
		n += error == 0;
	}
	pthread_attr_destroy(&attr);
	return n;
}

static void join_workers(pthread_t *threads, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static void threads(void)
{
	pthread_t workers[WORKERS];
	unsigned n = start_workers(workers);

	fill_part(WORKERS, &random_state);
	let_go(n, 1);
	let_go(n, 2);
	fill_part(WORKERS, &random_state);
	let_go(n, 3);
	join_workers(workers, n);
	drop_part(0);
}

static void end_steps(void);

/* In the child: everything is there, and works; the threads are gone. */
static _Noreturn void live_as_a_child(void)
{
	stress_limit(20);
	for (unsigned i = 0; i < SLOTS; i++)
		if (slots[i].p != NULL)
			stress_check(slots[i].p);
	fill_part(0, &random_state);
	fill_part(1, &random_state);
	shim->call = -1;
	may_fail = false;
	fill_part(2, &random_state);
	end_steps();
	stress_live();
	_exit(0);
}

/* While others wait in the middle of their work. */
static void forks(void)
{
	pthread_t workers[WORKERS];
	unsigned n = start_workers(workers);
	int status = 0;

	fill_part(WORKERS, &random_state);
	let_go(n, 1);
	wait_for_workers(n, 2);
	pid_t pid = fork();
	if (pid == 0)
		live_as_a_child();
	CHECK(pid > 0 || may_fail, "fork: %s", strerror(errno));
	CHECK(pid < 0 || waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
	CHECK(status == 0, "the child's status is %#x", (unsigned)status);
	let_go(n, 2);
	let_go(n, 3);
	join_workers(workers, n);
}

/* Enough of threads and dirty memory for the background thread to start. */
static void background(void)
{
	pthread_t workers[WORKERS];
	unsigned n = start_workers(workers);
	struct slot own = {NULL, 0};

	let_go(n, 1);
	for (unsigned i = 0; i < 100; i++) {
		take(&own, 2 * MIB);
		drop(&own);
	}
	let_go(n, 2);
	let_go(n, 3);
	join_workers(workers, n);
}

static const struct scenario {
	const char *name;
	void (*steps)(void);
	const char *conf;
	size_t address_space;	/* RLIMIT_AS in MiB, so that free runs are unmapped; 0: none */
	int system;
	bool from_start;	/* armed before the first call of all */
	bool threads;		/* what is called when is not the same in each run */
} scenarios[] = {
	{"small", small, "", 0, 0, false, false},
	{"large", large, "", 0, 0, false, false},
	{"large, limited", large, "", 4096, 0, false, false},
	{"large, hard limit", large, "memory_limit_hard:40M", 0, 0, false, false},
	{"huge", huge, "huge_threshold:1048576", 0, 0, false, false},
	{"aligned", aligned, "huge_threshold:4194304", 0, 0, false, false},
	{"resize", resize, "huge_threshold:1048576", 0, 0, false, false},
	{"resize, limited", resize, "", 4096, 0, false, false},
	{"statistics", statistics, "", 0, 0, false, false},
	{"first", few, "", 0, 0, true, false},
	{"first, reserved", few, "", 0, FAULT_SYSTEM_NO_HINTS, true, false},
	{"large, reserved", large, "", 0, FAULT_SYSTEM_NO_HINTS, false, false},
	{"first, threads", threads, "", 0, 0, true, true},
	{"threads, page", threads, "sink:page", 0, 0, false, true},
	{"threads, central", threads, "sink:central", 0, 0, false, true},
	{"threads, limited", threads, "", 4096, 0, false, true},
	{"fork", forks, "", 0, 0, false, true},
	{"background", background, "dirty_decay_ms:1", 0, 0, false, true},
};

#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

static const struct scenario *scenario;

static void end_steps(void)
{
	drop_all();
	stress_purge();
}

/* ---- What is left ---- */

#define ROUNDS (stress_long ? 60 : 12)

/* Seconds, at most: on a busy machine the background thread may have to wait for its turn. */
#define BALANCED_AFTER 40

struct tally {
	long calls[FAULT_CALLS];	/* while armed */
	long hits;
	size_t live, active, dirty, mapped, metadata, limited, shim_mapped, resident, mappings;
};

static size_t count_mappings(void)
{
	static char text[64 * 1024];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t lines = 0;
	ssize_t n;

	while ((n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += text[i] == '\n';
	close(fd);
	return lines;
}

/*
 * Not the pages of programs and libraries: which of those are there is the system's choice.  Counted page by page, where the system does
 * that: the numbers in status are sums of what each processor counts for itself, and off by hundreds of pages where there are many.
 */
static size_t anonymous_bytes(void)
{
	size_t kib = stress_read_number("/proc/self/smaps_rollup", "\nAnonymous:", 0);

	return (kib != 0 ? kib : stress_read_number("/proc/self/status", "\nRssAnon:", 0)) * KIB;
}

static struct tally look(void)
{
	struct tally t = {.hits = shim->hits};

	stress_purge();
	stress_purge();
	t.live = stress_live();
	t.active = stress_stat("stats.active");
	t.dirty = stress_stat("stats.dirty");
	t.mapped = stress_stat("stats.mapped");
	t.metadata = stress_stat("stats.metadata");
	t.limited = stress_stat("limit.used");
	t.shim_mapped = shim->mapped;
	t.resident = anonymous_bytes();
	t.mappings = count_mappings();
	return t;
}

static bool is_balanced(const struct tally *t)
{
	return t->dirty == 0 && t->mapped + t->metadata == t->shim_mapped && t->limited == t->active + t->dirty + t->metadata;
}

/*
 * The background thread may be in the midst of a round, and on a busy machine stay there for a while: a page that it has emptied is
 * dirty, and what it is giving back is so for the system and not yet for the statistics.  Nobody gives it more to do, so the books
 * balance when it has done; what is lost never comes back.
 */
static struct tally tally(void)
{
	double until = stress_now() + BALANCED_AFTER;
	struct tally t = look();

	while (!is_balanced(&t) && stress_threads() > 1 && stress_now() < until) {
		stress_sleep_ms(10);
		t = look();
	}
	return t;
}

/* ---- One run, in a process of its own ---- */

static void arm(long call, long nth, long count, int error)
{
	shim->call = -1;
	shim->nth = nth;
	shim->count = count;
	shim->error = error;
	shim->since = 0;
	shim->hits = 0;
	shim->call = (int)call;
}

static void all_steps(void)
{
	random_state = stress_state(1);
	scenario->steps();
}

/* Again and again: what one failure loses may be too little to be seen. */
static void run_rounds(long *fault)
{
	struct tally early = {0}, late;

	unsigned rounds = ROUNDS;

	for (unsigned i = 1; i <= rounds; i++) {
		arm(fault[0], 1 + i * 7 % 20, i % 3 == 0 ? LONG_MAX : 1 + i % 3, (int)fault[3]);
		may_fail = true;
		all_steps();
		shim->call = -1;
		may_fail = false;
		end_steps();
		if (i == rounds / 3)
			early = tally();
	}
	late = tally();
	CHECK(late.mapped + late.metadata == late.shim_mapped, "%zu + %zu bytes mapped, of the system %zu", late.mapped,
	      late.metadata, late.shim_mapped);
	CHECK(late.metadata <= early.metadata + 64 * KIB, "metadata grows from %zu to %zu", early.metadata, late.metadata);
	/* In a short run the early rounds may not have met what makes the largest block (8 MiB) look for another place, once.  Long runs level off. */
	size_t once = stress_long ? 2 * MIB : 8 * MIB, places = stress_long ? 4 : 8;
	CHECK(late.mapped <= early.mapped + early.mapped / 4 + once, "what is mapped grows from %zu to %zu", early.mapped, late.mapped);
	CHECK(late.mappings <= early.mappings + places, "mappings grow from %zu to %zu", early.mappings, late.mappings);
	CHECK(late.live <= early.live + 8, "live blocks grow from %zu to %zu", early.live, late.live);
}

/* Ends with a tally on the descriptor that it was given. */
static void run(void)
{
	const char *later = getenv("HZ3_FAULT_LATER"), *out = getenv("HZ3_FAULT_OUT");
	long fault[4] = {-1, 0, 0, 0}, calls[FAULT_CALLS];

	stress_limit(100);
	if (later != NULL)
		sscanf(later, "%ld:%ld:%ld:%ld", &fault[0], &fault[1], &fault[2], &fault[3]);
	if (fault[1] == 0 && fault[0] >= 0) {
		run_rounds(fault);
		fault[0] = -1;
	}
	if (!scenario->from_start) {
		stress_live();
		arm(fault[0], fault[1], fault[2], (int)fault[3]);
	}
	may_fail = true;
	for (unsigned i = 0; i < FAULT_CALLS; i++)
		calls[i] = scenario->from_start ? 0 : shim->calls[i];
	all_steps();
	for (unsigned i = 0; i < FAULT_CALLS; i++)
		calls[i] = shim->calls[i] - calls[i];

	shim->call = -1;
	may_fail = false;
	all_steps();
	end_steps();

	struct tally t = tally();
	memcpy(t.calls, calls, sizeof(calls));
	if (out != NULL)
		CHECK(write(atoi(out), &t, sizeof(t)) == sizeof(t), "write: %s", strerror(errno));
	else
		printf("hits %ld, live %zu, active %zu, dirty %zu, mapped %zu + %zu of %zu, resident %zu, %zu mappings\n", t.hits,
		       t.live, t.active, t.dirty, t.mapped, t.metadata, t.shim_mapped, t.resident, t.mappings);
}

/* ---- Every N ---- */

static char preload[8192];

static void start_run(const struct scenario *s, const char *fault, int out)
{
	char text[32];

	setenv("LD_PRELOAD", preload, 1);
	setenv("HZ3_CONF", s->conf, 1);
	setenv("HZ3_FAULT_CASE", s->name, 1);
	setenv(s->from_start ? "HZ3_FAULT" : "HZ3_FAULT_LATER", fault, 1);
	snprintf(text, sizeof(text), "%d", s->system);
	setenv("HZ3_FAULT_SYSTEM", text, 1);
	snprintf(text, sizeof(text), "%d", out);
	setenv("HZ3_FAULT_OUT", text, 1);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)stress_seed);
	setenv("HZ3_STRESS_SEED", text, 1);
	if (s->address_space != 0) {
		struct rlimit limit = {s->address_space * MIB, s->address_space * MIB};
		CHECK(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit: %s", strerror(errno));
	}
	execl("/proc/self/exe", "inject", (char *)NULL);
	FAIL("exec: %s", strerror(errno));
}

/* False: the run has failed. */
static bool run_with(const struct scenario *s, const char *fault, struct tally *t)
{
	int out[2], status;

	CHECK(pipe(out) == 0, "pipe: %s", strerror(errno));
	fflush(stdout);
	pid_t pid = fork();
	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		close(out[0]);
		start_run(s, fault, out[1]);
	}
	close(out[1]);
	ssize_t n = read(out[0], t, sizeof(*t));
	close(out[0]);
	CHECK(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
	if (status == 0 && n == sizeof(*t))
		return true;
	printf("%s, fault %s: status %#x%s\n", s->name, fault, (unsigned)status, n == sizeof(*t) ? "" : ", no tally");
	return false;
}

/* The run with a fault holds no more than the one without, and all that it holds is known. */
static bool accounted(const struct scenario *s, const char *fault, const struct tally *t, const struct tally *plain)
{
	/* Which of several threads gets which page is chance. */
	size_t slack = s->threads ? 2 * MIB : 128 * KIB;
	const char *what = NULL;

	if (t->live != plain->live && !s->threads)
		what = "blocks live";
	else if (t->live > plain->live + 40)
		what = "blocks live";
	else if (t->mapped + t->metadata != t->shim_mapped)
		what = "bytes mapped";
	else if (t->limited != t->active + t->dirty + t->metadata)
		what = "bytes on the account of the limits";
	else if (t->dirty != 0)
		what = "dirty bytes";
	else if (t->active > plain->active + slack)
		what = "bytes active";
	else if (t->shim_mapped > plain->shim_mapped + plain->shim_mapped / 4 + 16 * MIB)
		what = "bytes mapped in the end";
	else if (t->resident > plain->resident + slack + MIB)
		what = "bytes resident";
	else if (t->mappings > plain->mappings + 8)
		what = "mappings";
	if (what == NULL)
		return true;
	printf("%s, fault %s: wrong: %s\n", s->name, fault, what);
	for (unsigned i = 0; i < 2; i++) {
		const struct tally *x = i == 0 ? t : plain;
		printf("  %-8s live %zu, active %zu, dirty %zu, limited %zu, mapped %zu + %zu of %zu, resident %zu, %zu mappings\n",
		       i == 0 ? "with" : "without", x->live, x->active, x->dirty, x->limited, x->mapped, x->metadata, x->shim_mapped,
		       x->resident, x->mappings);
	}
	return false;
}

static const struct fault {
	enum fault_call call;
	int error;
	long count;
} kinds[] = {
	{FAULT_MMAP, ENOMEM, 1},
	{FAULT_MMAP, ENOMEM, 5},
	{FAULT_MMAP, ENOMEM, LONG_MAX},
	{FAULT_MUNMAP, ENOMEM, 1},
	{FAULT_MUNMAP, ENOMEM, LONG_MAX},
	{FAULT_MREMAP, ENOMEM, 1},
	{FAULT_MREMAP, ENOMEM, LONG_MAX},
	{FAULT_MPROTECT, ENOMEM, 1},
	{FAULT_MPROTECT, ENOMEM, LONG_MAX},
	{FAULT_MADVISE, EAGAIN, 1},
	{FAULT_MADVISE, EAGAIN, LONG_MAX},
	{FAULT_MADVISE, EINVAL, 1},
	{FAULT_MADVISE, EPERM, LONG_MAX},
	{FAULT_PTHREAD_CREATE, EAGAIN, 1},
	{FAULT_PTHREAD_CREATE, EPERM, LONG_MAX},
	{FAULT_PTHREAD_KEY_CREATE, EAGAIN, 1},
	{FAULT_PTHREAD_KEY_CREATE, ENOMEM, LONG_MAX},
	{FAULT_PTHREAD_SETSPECIFIC, ENOMEM, 1},
	{FAULT_PTHREAD_SETSPECIFIC, ENOMEM, LONG_MAX},
	{FAULT_PTHREAD_ATFORK, ENOMEM, 1},
	{FAULT_PTHREAD_ATFORK, ENOMEM, LONG_MAX},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static unsigned runs, failures;

static long next_n(long n, const struct fault *kind)
{
	return stress_long || kind->count == 1 || n < 6 ? n + 1 : n + 7;
}

static void again_and_again(const struct scenario *s, const struct fault *kind)
{
	struct tally t;
	char fault[64];

	snprintf(fault, sizeof(fault), "%d:0:0:%d", (int)kind->call, kind->error);
	runs++;
	if (!run_with(s, fault, &t))
		failures++;
}

static void every_n(const struct scenario *s, const struct fault *kind, const struct tally *plain)
{
	struct tally t;
	char fault[64];

	for (long n = 1;; n = next_n(n, kind)) {
		snprintf(fault, sizeof(fault), "%d:%ld:%ld:%d", (int)kind->call, n, kind->count, kind->error);
		runs++;
		if (!run_with(s, fault, &t)) {
			failures++;
			printf("  (%s fails with %s at the %ldth call, %s)\n", fault_names[kind->call], strerror(kind->error), n,
			       kind->count == 1 ? "once" : "and after it");
		} else if (t.hits == 0) {
			if (n > plain->calls[kind->call])
				return;
		} else if (!accounted(s, fault, &t, plain)) {
			failures++;
		}
		if (failures >= 5)
			return;
	}
}

static void try_scenario(const struct scenario *s)
{
	double started = stress_now();
	unsigned runs_before = runs;
	struct tally plain;

	if (!run_with(s, "-1:0:0:0", &plain) || !accounted(s, "none", &plain, &plain)) {
		failures++;
		return;
	}
	for (unsigned i = 0; i < KINDS && failures < 5; i++)
		if (plain.calls[kinds[i].call] != 0) {
			every_n(s, &kinds[i], &plain);
			if (kinds[i].count == 1 && !s->from_start)
				again_and_again(s, &kinds[i]);
		}
	printf("%-18s", s->name);
	for (unsigned i = 0; i < FAULT_CALLS; i++)
		if (plain.calls[i] != 0)
			printf(" %s %ld", fault_names[i], plain.calls[i]);
	printf(": %u runs, %.1f s\n", runs - runs_before, stress_now() - started);
}

int main(int argc, char **argv)
{
	const char *name = getenv("HZ3_FAULT_CASE"), *seed = getenv("HZ3_STRESS_SEED");
	const char *form = getenv("HZ3_STRESS"), *lib = getenv("HZ3_LIB"), *build = getenv("HZ3_BUILDDIR");

	stress_find_hz3();
	stress_long = form != NULL && strcmp(form, "long") == 0;
	shim = dlsym(RTLD_DEFAULT, "faults");
	stress_seed = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) * 1000003u % 1000000007u;
	if (shim != NULL && name != NULL) {
		for (scenario = scenarios; strcmp(scenario->name, name) != 0; scenario++)
			;
		stress_variant = name;
		run();
		return 0;
	}
	if (lib == NULL || build == NULL || !on_hz3()) {
		printf("SKIP: only libhz3.so is tested, as make check does it\n");
		return SKIPPED;
	}
	printf("seed %llu\n", (unsigned long long)stress_seed);
	snprintf(preload, sizeof(preload), "%s/test/faults/.libs/libfaults.so %s", build, lib);
	for (unsigned i = 0; i < SCENARIOS && failures < 5; i++)
		if (argc < 2 || strcmp(argv[1], scenarios[i].name) == 0)
			try_scenario(&scenarios[i]);
	printf("%u runs, %u failures\n", runs, failures);
	return failures == 0 ? 0 : 1;
}
