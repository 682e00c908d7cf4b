/* The interleaver: all orders of a program's atomic operations, and all values that its loads may return. */
#include "interleave.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define OBJECTS_MAX 64
#define VALUES_MAX 64		/* in the history of an object */
#define OPERATIONS_MAX 2000	/* of one run: more is a loop that does not end */
#define DECISIONS_MAX 4096
#define REGIONS_MAX 8
#define CELLS_MAX 4096		/* of 4 bytes, in all shared plain memory */
#define STACK_BYTES (256 << 10)
#define STATES_MAX ((size_t)1 << 23)

typedef uint16_t clocks[IL_THREADS];	/* of each thread, how far its operations come before */

/* What has been seen: of each object the oldest value that may still be read, and of each thread its clock. */
struct view {
	uint8_t oldest[OBJECTS_MAX];
	clocks clock;
};

struct object {
	const volatile void *address;
	unsigned values;
	uint8_t seq_cst;			/* the newest value that a seq_cst operation has read or written */
	struct {
		uint64_t value;
		struct view view;		/* what an acquire load of it joins */
	} history[VALUES_MAX];
};

enum wait { RUNS, WAITS_FOR_STORE, WAITS_FOR_LOCK, SLEEPS, ENDED };

struct thread {
	jmp_buf base, here;
	ucontext_t start;
	void *stack;
	struct view view;
	uint64_t past;				/* hash of everything that it did and saw */
	enum wait wait;
	unsigned lock;
	volatile uint32_t *futex;
	bool begun;
};

struct cell {
	uint8_t writer;
	uint16_t written;			/* the writer's clock, or 0 */
	clocks read;
};

struct operation {
	uint8_t thread;
	bool old;				/* a load that did not return the newest value */
	const char *what;
	uint64_t value;
};

static const struct il_program *program;
static struct thread threads[IL_THREADS];
static unsigned thread_count;
static int current = -1;			/* -1: set-up, scheduler, finish */
static jmp_buf scheduler;

static struct object objects[OBJECTS_MAX];
static unsigned object_count;
static struct { struct view view; bool taken; uint32_t times; } locks[IL_LOCKS];

static struct { uintptr_t start; size_t bytes; unsigned cell; } regions[REGIONS_MAX];
static unsigned region_count, cell_count;
static struct cell cells[CELLS_MAX];

static struct operation operations[OPERATIONS_MAX];
static unsigned operation_count, outside;

static struct { uint16_t taken, of; } decisions[DECISIONS_MAX];
static unsigned decision_count, decision_at, replayed;
static bool by_chance;
static uint64_t seed, chance;

static uint64_t *seen;
static size_t seen_cells, seen_count;

/* ---- Failing ---- */

static void print_run(void)
{
	for (unsigned i = 0; i < operation_count; i++)
		fprintf(stderr, "  %*s%u: %s = %llx%s\n", operations[i].thread * 4, "", operations[i].thread,
			operations[i].what, (unsigned long long)operations[i].value, operations[i].old ? " (old)" : "");
}

_Noreturn void hz3_die(const char *format, ...);

/* What the sources call when a check of theirs fails. */
_Noreturn void hz3_die(const char *format, ...)
{
	il_fail("src", 0, "dies: %s", format);
}

_Noreturn void il_fail(const char *file, int line, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "%s: after these steps", program->name);
	if (by_chance)
		fprintf(stderr, " (seed %llu)", (unsigned long long)seed);
	fprintf(stderr, ":\n");
	print_run();
	fprintf(stderr, "FAILED: %s: %s:%d: ", program->name, file, line);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(1);
}

static void note(const char *what, uint64_t value, bool old)
{
	if (operation_count == OPERATIONS_MAX)
		il_fail(__FILE__, __LINE__, "more than %d operations: this does not end", OPERATIONS_MAX);
	operations[operation_count++] = (struct operation){ (uint8_t)current, old, what, value };
}

/* ---- Decisions ---- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
	return x ^ x >> 32;
}

static unsigned decide(unsigned of)
{
	if (of == 1)
		return 0;
	if (by_chance) {
		chance = mix(chance + 0x9e3779b97f4a7c15u);
		return (unsigned)(chance >> 33) % of;
	}
	if (decision_at == decision_count) {
		if (decision_count == DECISIONS_MAX)
			il_fail(__FILE__, __LINE__, "more than %d decisions in a run", DECISIONS_MAX);
		decisions[decision_count].taken = 0;
		decisions[decision_count++].of = (uint16_t)of;
	}
	if (decisions[decision_at].of != of)
		il_fail(__FILE__, __LINE__, "the program does not do the same thing twice");
	return decisions[decision_at++].taken;
}

/* The next sequence of decisions, depth first.  False: that was the last. */
static bool next_decisions(void)
{
	while (decision_count && decisions[decision_count - 1].taken + 1 == decisions[decision_count - 1].of)
		decision_count--;
	if (decision_count == 0)
		return false;
	decisions[decision_count - 1].taken++;
	replayed = decision_count;
	return true;
}

/* ---- Fibers ---- */

static void to_scheduler(void)
{
	struct thread *me = &threads[current];

	if (_setjmp(me->here) == 0)
		_longjmp(scheduler, 1);
}

/* Before an operation: others may go first. */
static struct thread *step(void)
{
	if (current < 0) {
		if (++outside == OPERATIONS_MAX)
			il_fail(__FILE__, __LINE__, "more than %d operations outside of threads: this does not end", OPERATIONS_MAX);
		return NULL;
	}
	to_scheduler();
	return &threads[current];
}

static void fiber(void)
{
	struct thread *me = &threads[current];

	/* A run that is given up leaves the fiber where it is; the next one starts it from here again. */
	_setjmp(me->base);
	me = &threads[current];
	program->thread[current]();
	me->wait = ENDED;
	_longjmp(scheduler, 1);
}

/* Let a thread do its next operation, and what follows up to the one after that; at first, what comes before its first one. */
static void run_thread(unsigned i)
{
	struct thread *t = &threads[i];

	current = (int)i;
	if (_setjmp(scheduler) == 0) {
		if (t->begun)
			_longjmp(t->here, 1);
		t->begun = true;
		if (t->stack)
			_longjmp(t->base, 1);
		t->stack = malloc(STACK_BYTES);
		getcontext(&t->start);
		t->start.uc_stack.ss_sp = t->stack;
		t->start.uc_stack.ss_size = STACK_BYTES;
		makecontext(&t->start, fiber, 0);
		setcontext(&t->start);
	}
	current = -1;
}

/* ---- Memory ---- */

static void remember(struct thread *t, uint64_t what)
{
	t->past = mix(t->past ^ what * 0x9e3779b97f4a7c15u) + 1;
}

static void join(struct view *into, const struct view *from)
{
	for (unsigned i = 0; i < object_count; i++)
		if (into->oldest[i] < from->oldest[i])
			into->oldest[i] = from->oldest[i];
	for (unsigned i = 0; i < IL_THREADS; i++)
		if (into->clock[i] < from->clock[i])
			into->clock[i] = from->clock[i];
}

static uint64_t read_memory(const volatile void *address, size_t bytes)
{
	switch (bytes) {
	case 1:
		return *(const volatile uint8_t *)address;
	case 4:
		return *(const volatile uint32_t *)address;
	default:
		return *(const volatile uint64_t *)address;
	}
}

static void write_memory(volatile void *address, size_t bytes, uint64_t value)
{
	switch (bytes) {
	case 1:
		*(volatile uint8_t *)address = (uint8_t)value;
		break;
	case 4:
		*(volatile uint32_t *)address = (uint32_t)value;
		break;
	default:
		*(volatile uint64_t *)address = value;
	}
}

static struct object *object_at(const volatile void *address, size_t bytes)
{
	for (unsigned i = 0; i < object_count; i++)
		if (objects[i].address == address)
			return &objects[i];
	if (object_count == OBJECTS_MAX)
		il_fail(__FILE__, __LINE__, "more than %d objects", OBJECTS_MAX);
	struct object *o = &objects[object_count];
	/* As it was set up, which everybody has seen. */
	memset(o, 0, offsetof(struct object, history) + sizeof(o->history[0]));
	o->address = address;
	o->values = 1;
	o->history[0].value = read_memory(address, bytes);
	/* Of an object that nobody had touched, views knew nothing. */
	for (unsigned t = 0; t < IL_THREADS; t++)
		threads[t].view.oldest[object_count] = 0;
	for (unsigned i = 0; i < object_count; i++)
		for (unsigned v = 0; v < objects[i].values; v++)
			objects[i].history[v].view.oldest[object_count] = 0;
	for (unsigned i = 0; i < IL_LOCKS; i++)
		locks[i].view.oldest[object_count] = 0;
	object_count++;
	return o;
}

static bool acquires(memory_order order)
{
	return order == memory_order_acquire || order == memory_order_acq_rel || order == memory_order_seq_cst;
}

static bool releases(memory_order order)
{
	return order == memory_order_release || order == memory_order_acq_rel || order == memory_order_seq_cst;
}

static void saw(struct thread *t, struct object *o, unsigned value, memory_order order)
{
	unsigned i = (unsigned)(o - objects);

	t->view.oldest[i] = (uint8_t)value;
	if (acquires(order))
		join(&t->view, &o->history[value].view);
	if (order == memory_order_seq_cst && o->seq_cst < value)
		o->seq_cst = (uint8_t)value;
	remember(t, (uintptr_t)o->address * 64 + value);
}

/* A new value; after a read-modify-write it also carries what the one before carried. */
static void append(struct thread *t, struct object *o, uint64_t value, memory_order order, const struct view *carried)
{
	unsigned i = (unsigned)(o - objects), v = o->values;

	if (v == VALUES_MAX)
		il_fail(__FILE__, __LINE__, "more than %d values of an object", VALUES_MAX);
	o->values++;
	o->history[v].value = value;
	memset(&o->history[v].view, 0, sizeof(struct view));
	if (carried)
		join(&o->history[v].view, carried);
	t->view.oldest[i] = (uint8_t)v;
	if (releases(order))
		join(&o->history[v].view, &t->view);
	o->history[v].view.oldest[i] = (uint8_t)v;
	if (order == memory_order_seq_cst)
		o->seq_cst = (uint8_t)v;
	remember(t, (uintptr_t)o->address * 64 + v + 32);
	t->view.clock[t - threads]++;
	for (unsigned other = 0; other < thread_count; other++)
		if (threads[other].wait == WAITS_FOR_STORE && &threads[other] != t)
			threads[other].wait = RUNS;
}

uint64_t il_load(const volatile void *address, size_t bytes, memory_order order, const char *what)
{
	struct thread *t = step();

	if (t == NULL)
		return read_memory(address, bytes);
	struct object *o = object_at(address, bytes);
	unsigned oldest = t->view.oldest[o - objects];
	if (order == memory_order_seq_cst && oldest < o->seq_cst)
		oldest = o->seq_cst;
	unsigned v = o->values - 1 - decide(o->values - oldest);
	saw(t, o, v, order);
	note(what, o->history[v].value, v != o->values - 1);
	return o->history[v].value;
}

void il_store(volatile void *address, size_t bytes, uint64_t value, memory_order order, const char *what)
{
	struct thread *t = step();

	if (t) {
		append(t, object_at(address, bytes), value, order, NULL);
		note(what, value, false);
	}
	write_memory(address, bytes, value);
}

/* A read-modify-write reads the newest value. */
static uint64_t replace(struct thread *t, struct object *o, uint64_t value, memory_order order)
{
	unsigned v = o->values - 1;
	struct view carried = o->history[v].view;

	saw(t, o, v, order);
	append(t, o, value, order, &carried);
	return o->history[v].value;
}

uint64_t il_change(volatile void *address, size_t bytes, enum il_change change, uint64_t value, memory_order order,
		   const char *what)
{
	struct thread *t = step();
	uint64_t old = read_memory(address, bytes), new = value;

	switch (change) {
	case IL_EXCHANGE:
		break;
	case IL_ADD:
		new = old + value;
		break;
	case IL_SUB:
		new = old - value;
		break;
	case IL_OR:
		new = old | value;
		break;
	case IL_AND:
		new = old & value;
		break;
	}
	if (t) {
		/* Before the memory changes: it may be the first look at it. */
		struct object *o = object_at(address, bytes);
		replace(t, o, new, order);
		note(what, old, false);
	}
	write_memory(address, bytes, new);
	return old;
}

bool il_cas(volatile void *address, size_t bytes, void *expected, uint64_t value, memory_order order,
	    memory_order failure, const char *what)
{
	struct thread *t = step();
	uint64_t old = read_memory(address, bytes);
	bool same = old == read_memory(expected, bytes);

	if (t) {
		struct object *o = object_at(address, bytes);
		if (same)
			replace(t, o, value, order);
		else
			saw(t, o, o->values - 1, failure);
		note(what, same ? value : old, !same);
	}
	if (same)
		write_memory(address, bytes, value);
	else
		write_memory(expected, bytes, old);
	return same;
}

unsigned il_choose(unsigned n)
{
	if (current < 0)
		return 0;
	unsigned choice = decide(n);
	remember(&threads[current], choice + 1);
	note("chooses", choice, false);
	return choice;
}

void il_yield(void)
{
	struct thread *t = current < 0 ? NULL : &threads[current];

	if (t == NULL)
		return;
	t->wait = WAITS_FOR_STORE;
	for (unsigned i = 0; i < object_count; i++)
		if (t->view.oldest[i] != objects[i].values - 1u)
			t->wait = RUNS;
	to_scheduler();
	for (unsigned i = 0; i < object_count; i++) {
		t->view.oldest[i] = (uint8_t)(objects[i].values - 1);
		remember(t, (uintptr_t)objects[i].address * 64 + objects[i].values);
	}
	note("goes on", 0, false);
}

void il_lock(unsigned lock)
{
	struct thread *t = current < 0 ? NULL : &threads[current];

	if (t == NULL)
		return;
	t->wait = WAITS_FOR_LOCK;
	t->lock = lock;
	to_scheduler();
	t->wait = RUNS;
	locks[lock].taken = true;
	join(&t->view, &locks[lock].view);
	remember(t, 1000 + lock + 16 * locks[lock].times++);
	note("locks", lock, false);
}

void il_unlock(unsigned lock)
{
	struct thread *t = step();

	if (t == NULL)
		return;
	locks[lock].taken = false;
	join(&locks[lock].view, &t->view);
	t->view.clock[t - threads]++;
	remember(t, 3000 + lock);
	note("unlocks", lock, false);
}

int il_thread(void)
{
	return current;
}

void il_futex_wait(volatile uint32_t *number, uint32_t value)
{
	struct thread *t = step();

	if (t == NULL)
		return;
	/* The system looks at what is there now, half of an object, and puts the thread to sleep in the same moment. */
	uint32_t now = *number;
	struct object *o = object_at((const volatile void *)((uintptr_t)number & ~(uintptr_t)7), sizeof(uint64_t));
	saw(t, o, o->values - 1, memory_order_relaxed);
	note("futex: wait", now, false);
	if (now != value)
		return;
	t->wait = SLEEPS;
	t->futex = number;
	to_scheduler();
	note("wakes up", 0, false);
}

void il_futex_wake(volatile uint32_t *number)
{
	struct thread *t = step();
	unsigned sleepers[IL_THREADS], n = 0;

	if (t == NULL)
		return;
	for (unsigned i = 0; i < thread_count; i++)
		if (threads[i].wait == SLEEPS && threads[i].futex == number)
			sleepers[n++] = i;
	unsigned woken = n ? sleepers[decide(n)] : IL_THREADS;
	if (n)
		threads[woken].wait = RUNS;
	remember(t, 5000 + woken);
	note("futex: wake", woken, false);
}

void il_barrier_everywhere(void)
{
	struct thread *t = step();

	if (t == NULL)
		return;
	struct view before = t->view;
	for (unsigned i = 0; i < thread_count; i++) {
		/* Orders atomic operations only: what is plain needs a release and an acquire all the same. */
		struct view theirs = threads[i].view;
		memset(&theirs.clock, 0, sizeof(theirs.clock));
		join(&t->view, &theirs);
		memset(&theirs, 0, sizeof(theirs));
		memcpy(&theirs.oldest, &before.oldest, sizeof(theirs.oldest));
		join(&threads[i].view, &theirs);
		remember(&threads[i], 2000 + (unsigned)current);
	}
	note("barrier on all processors", 0, false);
}

/* ---- Plain memory ---- */

void il_share(void *start, size_t bytes)
{
	if (region_count == REGIONS_MAX || cell_count + bytes / 4 + 1 > CELLS_MAX)
		il_fail(__FILE__, __LINE__, "too much shared memory");
	regions[region_count].start = (uintptr_t)start;
	regions[region_count].bytes = bytes;
	regions[region_count++].cell = cell_count;
	cell_count += (unsigned)(bytes / 4 + 1);
}

static void touch(uintptr_t address, size_t bytes, bool writes)
{
	if (current < 0)
		return;
	for (unsigned r = 0; r < region_count; r++) {
		uintptr_t offset = address - regions[r].start;
		if (offset >= regions[r].bytes)
			continue;
		const uint16_t *known = threads[current].view.clock;
		for (uintptr_t at = offset / 4; at <= (offset + bytes - 1) / 4; at++) {
			struct cell *cell = &cells[regions[r].cell + at];
			if (cell->written > known[cell->writer])
				il_fail(__FILE__, __LINE__, "a race: thread %d %s at offset %zu what thread %u wrote",
					current, writes ? "writes" : "reads", (size_t)offset, cell->writer);
			for (unsigned t = 0; t < thread_count && writes; t++)
				if (cell->read[t] > known[t])
					il_fail(__FILE__, __LINE__, "a race: thread %d writes at offset %zu what thread %u read",
						current, (size_t)offset, t);
			if (writes) {
				cell->writer = (uint8_t)current;
				cell->written = known[current];
			} else {
				cell->read[current] = known[current];
			}
		}
		return;
	}
}

/* What -fsanitize=thread calls. */
#define WATCH(name, bytes, writes)                                                                                   \
	void name(void *address);                                                                                    \
	void name(void *address)                                                                                     \
	{                                                                                                            \
		touch((uintptr_t)address, bytes, writes);                                                            \
	}
WATCH(__tsan_read1, 1, false)
WATCH(__tsan_read2, 2, false)
WATCH(__tsan_read4, 4, false)
WATCH(__tsan_read8, 8, false)
WATCH(__tsan_read16, 16, false)
WATCH(__tsan_unaligned_read4, 4, false)
WATCH(__tsan_unaligned_read8, 8, false)
WATCH(__tsan_unaligned_read16, 16, false)
WATCH(__tsan_write1, 1, true)
WATCH(__tsan_write2, 2, true)
WATCH(__tsan_write4, 4, true)
WATCH(__tsan_write8, 8, true)
WATCH(__tsan_write16, 16, true)
WATCH(__tsan_unaligned_write4, 4, true)
WATCH(__tsan_unaligned_write8, 8, true)
WATCH(__tsan_unaligned_write16, 16, true)

void __tsan_read_range(void *address, size_t bytes);
void __tsan_read_range(void *address, size_t bytes)
{
	touch((uintptr_t)address, bytes, false);
}

void __tsan_write_range(void *address, size_t bytes);
void __tsan_write_range(void *address, size_t bytes)
{
	touch((uintptr_t)address, bytes, true);
}

void *__tsan_memset(void *to, int value, size_t bytes);
void *__tsan_memset(void *to, int value, size_t bytes)
{
	touch((uintptr_t)to, bytes, true);
	return memset(to, value, bytes);
}

void *__tsan_memcpy(void *to, const void *from, size_t bytes);
void *__tsan_memcpy(void *to, const void *from, size_t bytes)
{
	touch((uintptr_t)from, bytes, false);
	touch((uintptr_t)to, bytes, true);
	return memcpy(to, from, bytes);
}

/* Binds the compiler only. */
void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(int order)
{
	(void)order;
}

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller)
{
	(void)caller;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

/* ---- Runs ---- */

static void grow_seen(void)
{
	uint64_t *old = seen;
	size_t old_cells = seen_cells;

	seen_cells = old_cells ? 2 * old_cells : (size_t)1 << 16;
	seen = calloc(seen_cells, sizeof(*seen));
	for (size_t i = 0; i < old_cells; i++)
		if (old[i]) {
			size_t at = old[i] & (seen_cells - 1);
			while (seen[at])
				at = (at + 1) & (seen_cells - 1);
			seen[at] = old[i];
		}
	free(old);
}

/*
 * The state: what every thread has done and seen.  As all of the program follows from that, nothing else needs to be
 * looked at.  False: it was seen before.
 */
static bool is_new_state(void)
{
	uint64_t hash = 1;

	for (unsigned i = 0; i < thread_count; i++)
		hash = mix(hash ^ threads[i].past) + threads[i].wait;
	hash |= 1;
	if (2 * seen_count >= seen_cells)
		grow_seen();
	size_t at = hash & (seen_cells - 1);
	for (; seen[at]; at = (at + 1) & (seen_cells - 1))
		if (seen[at] == hash)
			return false;
	seen[at] = hash;
	if (++seen_count == STATES_MAX)
		il_fail(__FILE__, __LINE__, "more than %zu states: make the program smaller", STATES_MAX);
	return true;
}

static bool can_go_on(const struct thread *t)
{
	return t->wait == RUNS || (t->wait == WAITS_FOR_LOCK && !locks[t->lock].taken);
}

/* The threads that can go on, the one that went last first. */
static unsigned ready(unsigned *list, unsigned last)
{
	unsigned n = 0;

	for (unsigned i = 0; i < thread_count; i++) {
		unsigned t = (last + i) % thread_count;
		if (can_go_on(&threads[t]))
			list[n++] = t;
	}
	return n;
}

static void prepare(void)
{
	object_count = operation_count = outside = region_count = cell_count = decision_at = 0;
	memset(cells, 0, sizeof(cells));
	memset(locks, 0, sizeof(locks));
	for (unsigned i = 0; i < thread_count; i++) {
		memset(&threads[i].view, 0, sizeof(struct view));
		threads[i].view.clock[i] = 1;
		threads[i].past = i + 1;
		threads[i].wait = RUNS;
		threads[i].begun = false;
	}
	program->set_up();
	for (unsigned i = 0; i < thread_count; i++)
		run_thread(i);
}

/* One run; false: it was cut short, as what follows is known. */
static bool run(void)
{
	unsigned list[IL_THREADS], n, last = 0;
	bool all = true;

	prepare();
	while ((n = ready(list, last)) != 0) {
		if (!by_chance && decision_at >= replayed && !is_new_state())
			return false;
		last = list[decide(n)];
		run_thread(last);
	}
	for (unsigned i = 0; i < thread_count; i++)
		all = all && threads[i].wait == ENDED;
	if (!all)
		il_fail(__FILE__, __LINE__, "nobody can go on, and not all have ended");
	if (program->finish)
		program->finish();
	return true;
}

static void run_all(void)
{
	size_t runs = 0, ends = 0;
	unsigned longest = 0;

	by_chance = false;
	decision_count = replayed = 0;
	seen_count = 0;
	if (seen)
		memset(seen, 0, seen_cells * sizeof(*seen));
	do {
		runs++;
		ends += run();
		longest = operation_count > longest ? operation_count : longest;
	} while (next_decisions());
	if (ends == 0)
		il_fail(__FILE__, __LINE__, "no run came to its end");
	printf("%s: %zu states, %zu runs, %zu ends, up to %u operations\n", program->name, seen_count, runs, ends, longest);
}

static void run_by_chance(size_t runs, uint64_t first_seed)
{
	by_chance = true;
	for (size_t i = 0; i < runs; i++) {
		seed = first_seed + i;
		chance = mix(seed + 1);
		run();
	}
	printf("%s: %zu random runs, seeds from %llu\n", program->name, runs, (unsigned long long)first_seed);
}

static bool wanted(const char *name, char **names, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return n == 0;
}

int il_main(int argc, char **argv, const struct il_program *programs, size_t n)
{
	size_t runs = 0, done = 0;
	uint64_t first_seed = 1;
	bool large = false;
	int option;

	while ((option = getopt(argc, argv, "lr:s:")) != -1) {
		if (option == 'l')
			large = true;
		else if (option == 'r')
			runs = strtoul(optarg, NULL, 10);
		else if (option == 's')
			first_seed = strtoull(optarg, NULL, 10);
		else
			return 2;
	}
	argc -= optind;
	argv += optind;
	for (size_t i = 0; i < n; i++) {
		if (!wanted(programs[i].name, argv, argc))
			continue;
		program = &programs[i];
		for (thread_count = 0; thread_count < IL_THREADS && program->thread[thread_count]; thread_count++)
			;
		if (large || !program->large)
			run_all();
		if (runs)
			run_by_chance(runs, first_seed);
		done++;
	}
	if (done == 0)
		fprintf(stderr, "no such program\n");
	return done == 0;
}
