/*
 * Operations in one order: several threads, of which only the one that has the turn runs.
 *
 * All share one table, so what one has got any other frees.  Threads begin and end in the sequence, with blocks left live
 * and others' blocks in their buffers; a fork gives the next operations to a child too, which ends alone.  Linked with
 * libhz3core, time and the system's refusals are operations as well: then nothing but the case and HZ3_CONF decides
 * what happens.  At the end everything is freed, nothing is live, and every list of the heap is in order.
 */
#include "ops.h"

#include <semaphore.h>

#ifdef STRESS_CORE
#include "arena.h"
#include "heap.h"
#include "os_clock.h"
#include "os_memory.h"
#include "thread.h"
#endif

#define ACTORS 8
#define FORKS_DEEP 2
#define OPS_MAX 3000u

struct actor {
	pthread_t thread;
	sem_t go, done;
	bool lives;
	size_t job;		/* the number of the record that it has the turn for */
	unsigned calls_of_destructor;
};

static const struct record *records;
static size_t n_records;
static struct table table;
static struct actor actors[ACTORS];	/* the first is the thread that the case begins with */
static unsigned conductor;		/* the actor that says who has the turn */
static unsigned depth;			/* of forks */
static pthread_key_t key;

/* ---- The system and the clock, where they can be replaced ---- */

#ifdef STRESS_CORE

static struct hz3_os_calls system_calls;
static uint64_t clock_ms;
static struct {
	unsigned left;		/* so many requests more are refused */
	unsigned which;		/* a bit for each kind */
	unsigned ops;		/* until then */
} refusal;

static uint64_t own_clock(void)
{
	return clock_ms;
}

static bool is_refused(unsigned kind)
{
	if (refusal.left == 0 || (refusal.which >> kind & 1) == 0)
		return false;
	refusal.left--;
	errno = ENOMEM;
	return true;
}

static void *refusing_mmap(void *hint, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	return is_refused(0) ? MAP_FAILED : system_calls.mmap(hint, bytes, prot, flags, fd, offset);
}

static int refusing_mprotect(void *p, size_t bytes, int prot)
{
	return is_refused(1) ? -1 : system_calls.mprotect(p, bytes, prot);
}

static void *refusing_mremap(void *p, size_t old_bytes, size_t new_bytes, int flags)
{
	return is_refused(2) ? MAP_FAILED : system_calls.mremap(p, old_bytes, new_bytes, flags);
}

static int refusing_madvise(void *p, size_t bytes, int advice)
{
	return is_refused(3) ? -1 : system_calls.madvise(p, bytes, advice);
}

static int refusing_munmap(void *p, size_t bytes)
{
	return is_refused(4) ? -1 : system_calls.munmap(p, bytes);
}

static void replace_system(void)
{
	if (system_calls.mmap != NULL)
		return;
	system_calls = hz3_os_calls;
	clock_ms = hz3_os_now_ms();
	hz3_os_calls = (struct hz3_os_calls){.mmap = refusing_mmap, .munmap = refusing_munmap,
					     .mprotect = refusing_mprotect, .madvise = refusing_madvise,
					     .mremap = refusing_mremap};
	hz3_os_clock = own_clock;
}

static void refuse(const struct record *r)
{
	refusal.left = 1 + r->extra % 8;
	refusal.which = r->align;
	refusal.ops = r->slot % 32;
	requests_may_fail = true;
}

/* Before each operation: refusals come to an end. */
static void time_goes_on(void)
{
	if (refusal.ops > 0 && --refusal.ops == 0)
		refusal.left = 0;
	requests_may_fail = refusal.left > 0;
}

static void tick(const struct record *r)
{
	clock_ms += r->extra * (r->align % 4 == 0 ? 64u : 1u);
}

static void heal(void)
{
	refusal.left = 0;
	requests_may_fail = false;
}

static void validate(void)
{
	hz3_arenas_validate();
	if (hz3_thread_heap->owner != NULL)
		hz3_heap_validate(hz3_thread_heap);
}

#else

static void replace_system(void)
{
}

static void refuse(const struct record *r UNUSED)
{
}

static void time_goes_on(void)
{
}

static void tick(const struct record *r UNUSED)
{
}

static void heal(void)
{
}

static void validate(void)
{
}

#endif

/* ---- Actors ---- */

/* Runs when the thread ends; from its second call on after hz3's own, so that what it does is done without a heap. */
static void end_of_actor(void *arg)
{
	struct actor *actor = arg;
	struct record r = actor->job < n_records ? records[actor->job] : (struct record){0};

	if (++actor->calls_of_destructor < 3)
		pthread_setspecific(key, actor);
	if (r.extra % 4 == 0)
		return;
	free_run(&table, r.slot + actor->calls_of_destructor * 64u, r.align, r.extra);
	r.op = r.extra % 3 == 0 ? CALLOC : r.extra % 3 == 1 ? MALLOC : REALLOC;
	do_op(&table, &r, false);
}

static void fork_here(size_t i, unsigned me);

static void *act(void *arg)
{
	struct actor *actor = arg;

	actor->calls_of_destructor = 0;
	pthread_setspecific(key, actor);
	for (;;) {
		while (sem_wait(&actor->go) != 0)
			;
		if (actor->job >= n_records || records[actor->job].op % OPS == EXIT)
			return NULL;
		if (records[actor->job].op % OPS == FORK)
			fork_here(actor->job, (unsigned)(actor - actors));
		else
			do_op(&table, &records[actor->job], false);
		sem_post(&actor->done);
	}
}

/* A child of a process with threads must not make any under the thread sanitizer. */
static bool may_spawn(void)
{
#if defined(__SANITIZE_THREAD__)
	return depth == 0;
#else
	return true;
#endif
}

static void spawn(unsigned i)
{
	struct actor *actor = &actors[i];

	if (i == conductor || i == 0 || actor->lives || !may_spawn())
		return;
	sem_init(&actor->go, 0, 0);
	sem_init(&actor->done, 0, 0);
	actor->thread = stress_thread(act, actor);
	actor->lives = true;
}

/* By the record i, or by none. */
static void end(unsigned who, size_t i)
{
	struct actor *actor = &actors[who];

	if (who == conductor || !actor->lives)
		return;
	actor->job = i;
	sem_post(&actor->go);
	pthread_join(actor->thread, NULL);
	actor->lives = false;
}

static void run_op(size_t i);

/* The child has one thread, this one; it does the next operations too, frees everything and ends. */
static _Noreturn void be_child(size_t i, unsigned me)
{
	size_t last = i + 1 + records[i].extra % 64;

	fuzz_limit();
	depth++;
	conductor = me;
	for (unsigned other = 0; other < ACTORS; other++)
		actors[other].lives = false;
	for (i++; i < n_records && i < last; i++)
		run_op(i);
	heal();
	check_all(&table);
	free_all(&table);
	validate();
	_exit(0);
}

static void fork_here(size_t i, unsigned me)
{
	int status;

	if (depth >= FORKS_DEEP)
		return;
	pid_t pid = fork_somehow(records[i].extra / 64);
	FUZZ_CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0)
		be_child(i, me);
	FUZZ_CHECK(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == FUZZ_SAID)
		_exit(FUZZ_SAID);
	FUZZ_CHECK(status == 0, "the child forked by operation %zu ended with wait status %x", i, (unsigned)status);
}

/* ---- The sequence ---- */

/* The actor whose turn it is; one that is not there leaves its operations to the conductor. */
static void give_turn(unsigned who, size_t i)
{
	struct actor *actor = &actors[who];

	if (who == conductor || !actor->lives) {
		if (records[i].op % OPS == FORK)
			fork_here(i, conductor);
		else
			do_op(&table, &records[i], depth == 0);
		return;
	}
	actor->job = i;
	sem_post(&actor->go);
	while (sem_wait(&actor->done) != 0)
		;
}

static void run_op(size_t i)
{
	const struct record *r = &records[i];
	unsigned who = r->actor % ACTORS;

	time_goes_on();
	switch (r->op % OPS) {
	case SPAWN:
		spawn(who);
		break;
	case EXIT:
		end(who, i);
		break;
	case TICK:
		tick(r);
		break;
	case REFUSE:
		refuse(r);
		break;
	default:
		give_turn(who, i);
	}
}

#ifdef STRESS_CORE
static const bool count_at_end = true;
#else
static const bool count_at_end = false;	/* libc and what it keeps for threads are in the same heap */
#endif

static void run(const uint8_t *data, size_t bytes)
{
	struct settings before;

	records = (const struct record *)data;
	n_records = bytes / sizeof(*records) < OPS_MAX ? bytes / sizeof(*records) : OPS_MAX;
	if (call.free == NULL) {
		find_calls();
		pthread_key_create(&key, end_of_actor);
	}
	replace_system();
	save_settings(&before);
	size_t live = count_at_end ? stress_live() : 0;
	for (size_t i = 0; i < n_records; i++)
		run_op(i);
	heal();
	check_all(&table);
	for (unsigned i = 0; i < ACTORS; i++)
		end(i, SIZE_MAX);
	free_all(&table);
	restore_settings(&before);
	size_t left = count_at_end ? stress_live() : 0;
	FUZZ_CHECK(left == live, "%zu blocks are live at the end, and %zu were before", left, live);
	validate();
}

static size_t make(uint64_t *random, uint8_t *data)
{
	size_t n = stress_size(random, OPS_MAX);
	struct mix mix;

	make_mix(random, &mix);
	for (size_t i = 0; i < n; i++) {
		struct record r = make_record(random, &mix);
		memcpy(data + i * sizeof(r), &r, sizeof(r));
	}
	return n * sizeof(struct record);
}

/* Alone: hz3's own thread would do what it does in its own time. */
static void variant(unsigned i, uint64_t *random, char *conf)
{
	ops_variant(i, random, conf);
	strcat(conf, ",background_thread:0");
}

static const struct fuzz_target target = {
	.name = "ops",
	.record = sizeof(struct record),
	.seconds = 3,
	.make = make,
	.run = run,
	.variant = variant,
};

FUZZ_MAIN(target)
