/* The heap profile: a sample of the blocks, and what is known of them. */
#include "profile.h"

#include <errno.h>
#include <string.h>

#include "atomic.h"
#include "backtrace.h"
#include "leak.h"
#include "options.h"
#include "os_clock.h"
#include "os_memory.h"
#include "os_process.h"
#include "pprof.h"
#include "table.h"
#include "usdt.h"

struct name {
	struct hz3_table_link link;
	char text[HZ3_OS_THREAD_NAME_BYTES];
};

struct pc {
	struct hz3_table_link link;
	uintptr_t pc;
};

struct stack {
	struct hz3_table_link link;
	uint32_t depth;
	uint32_t pc[HZ3_BACKTRACE_DEPTH];
};

struct row {
	struct hz3_table_link link;
	struct hz3_profile_row row;
};

/* A sampled block that lives. */
struct sample {
	struct hz3_table_link link;
	uintptr_t address;
	size_t size;
	uint32_t row;
	uint32_t owner;
};

bool hz3_profile_on;
static void mend(struct hz3_lock *lock);

struct hz3_lock hz3_profile_lock = HZ3_LOCK_INIT(HZ3_RANK_PROFILE, "profile", mend);
static _Atomic bool active;			/* relaxed: a wish */

/* Under the lock. */
static struct hz3_table names = HZ3_TABLE_INIT(struct name);
static struct hz3_table pcs = HZ3_TABLE_INIT(struct pc);
static struct hz3_table stacks = HZ3_TABLE_INIT(struct stack);
static struct hz3_table rows = HZ3_TABLE_INIT(struct row);
static struct hz3_table samples = HZ3_TABLE_INIT(struct sample);
static uint64_t lost;
static uint64_t start_ns;
static double live_bytes, peak_bytes;		/* estimates: now, and when the peak was written */

/* ---- when ---- */

/* ln(x) for 0 < x <= 1: the exponent, and a series for the rest, which is good to 9 digits. */
static double natural_log(double x)
{
	union { double d; uint64_t bits; } u = { x };
	int exponent = (int)(u.bits >> 52) - 1022;

	u.bits = (u.bits & 0xfffffffffffffu) | (uint64_t)1022 << 52;	/* 1/2 to 1 */
	double t = (u.d - 1) / (u.d + 1), square = t * t, power = t, sum = 0;
	for (int i = 1; i < 18; i += 2, power *= square)
		sum += power / i;
	return 2 * sum + exponent * 0.6931471805599453;
}

/* exp(-x) for x >= 0: a series for x / 2^10, squared 10 times. */
static double exp_minus(double x)
{
	if (x > 40)
		return 0;
	x /= 1024;
	double e = 1 - x * (1 - x / 2 * (1 - x / 3 * (1 - x / 4)));
	for (int i = 0; i < 10; i++)
		e *= e;
	return e;
}

static double mean_bytes(void)
{
	/* relaxed: a setting; a thread that is on its way to a sample arrives by the old one. */
	return (double)((uint64_t)1 << hz3_read_once(&hz3_options.lg_prof_sample));
}

/* Bytes until the next sample: exponentially distributed. */
static uint64_t interval(struct hz3_profile_turn *turn)
{
	turn->random ^= turn->random << 13;
	turn->random ^= turn->random >> 7;
	turn->random ^= turn->random << 17;
	return (uint64_t)(-natural_log(((double)(turn->random >> 11) + 1) / 0x1p53) * mean_bytes()) + 1;
}

/* How many blocks of this size one that was sampled stands for. */
static double weight(size_t size)
{
	double missed = exp_minus((double)size / mean_bytes());

	return missed < 1 ? 1 / (1 - missed) : mean_bytes();
}

bool hz3_profile_is_due(struct hz3_profile_turn *turn, size_t size)
{
	if (turn->random == 0) {
		turn->random = hz3_os_random() | 1;
		turn->left = interval(turn);
	}
	if (hz3_profile_pass(turn, size))
		return false;
	turn->left = interval(turn);
	return !turn->busy && hz3_atomic_load(&active, relaxed);
}

/* ---- what ---- */

/* Each finds the number of an equal item, or adds it; 0: no memory. */

static uint32_t find_name_locked(const char text[HZ3_OS_THREAD_NAME_BYTES])
{
	uint32_t hash = hz3_hash_bytes(text, HZ3_OS_THREAD_NAME_BYTES), n;

	for (n = hz3_table_first(&names, hash); n; n = hz3_table_next(&names, n))
		if (memcmp(((struct name *)hz3_table_item(&names, n))->text, text, HZ3_OS_THREAD_NAME_BYTES) == 0)
			return n;
	n = hz3_table_add(&names, hash);
	if (n)
		memcpy(((struct name *)hz3_table_item(&names, n))->text, text, HZ3_OS_THREAD_NAME_BYTES);
	return n;
}

static uint32_t find_pc_locked(uintptr_t pc)
{
	uint32_t hash = hz3_hash_word(pc), n;

	for (n = hz3_table_first(&pcs, hash); n; n = hz3_table_next(&pcs, n))
		if (((struct pc *)hz3_table_item(&pcs, n))->pc == pc)
			return n;
	n = hz3_table_add(&pcs, hash);
	if (n)
		((struct pc *)hz3_table_item(&pcs, n))->pc = pc;
	return n;
}

static uint32_t find_stack_locked(const uintptr_t *pc, size_t depth)
{
	uint32_t ids[HZ3_BACKTRACE_DEPTH], n;

	for (size_t i = 0; i < depth; i++)
		if ((ids[i] = find_pc_locked(pc[i])) == 0)
			return 0;
	uint32_t hash = hz3_hash_bytes(ids, depth * sizeof(*ids));
	for (n = hz3_table_first(&stacks, hash); n; n = hz3_table_next(&stacks, n)) {
		struct stack *stack = hz3_table_item(&stacks, n);
		if (stack->depth == depth && memcmp(stack->pc, ids, depth * sizeof(*ids)) == 0)
			return n;
	}
	n = hz3_table_add(&stacks, hash);
	if (n) {
		struct stack *stack = hz3_table_item(&stacks, n);
		stack->depth = (uint32_t)depth;
		memcpy(stack->pc, ids, depth * sizeof(*ids));
	}
	return n;
}

static uint32_t find_row_locked(uint32_t stack, uint32_t thread, uint32_t freer, bool remote)
{
	const uint32_t key[] = { stack, thread, freer, remote };
	uint32_t hash = hz3_hash_bytes(key, sizeof(key)), n;

	for (n = hz3_table_first(&rows, hash); n; n = hz3_table_next(&rows, n)) {
		const struct hz3_profile_row *row = hz3_profile_row(n);
		if (row->stack == stack && row->thread == thread && row->freer == freer && row->remote == remote)
			return n;
	}
	n = hz3_table_add(&rows, hash);
	if (n)
		((struct row *)hz3_table_item(&rows, n))->row =
			(struct hz3_profile_row){ .stack = stack, .thread = thread, .freer = freer, .remote = remote };
	return n;
}

static struct hz3_profile_row *row_at(uint32_t n)
{
	return &((struct row *)hz3_table_item(&rows, n))->row;
}

static struct sample *sample_at(uint32_t n)
{
	return hz3_table_item(&samples, n);
}

/* The blocks that a sample stands for live in a row, or, with sign -1, no more. */
static void count_live_locked(uint32_t row, size_t size, int sign)
{
	double objects = sign * weight(size), bytes = objects * (double)size;

	row_at(row)->live_objects += objects;
	row_at(row)->live_bytes += bytes;
	row_at(row)->total_objects += objects;
	row_at(row)->total_bytes += bytes;
	live_bytes += bytes;
}

static void count_freed_locked(uint32_t row, size_t size)
{
	row_at(row)->total_objects += weight(size);
	row_at(row)->total_bytes += weight(size) * (double)size;
}

static uint32_t find_sample_locked(const void *p)
{
	uint32_t n = hz3_table_first(&samples, hz3_hash_word((uintptr_t)p));

	while (n && sample_at(n)->address != (uintptr_t)p)
		n = hz3_table_next(&samples, n);
	return n;
}

static bool add_sample_locked(const void *p, size_t size, uint32_t owner, uint32_t row)
{
	uint32_t n = row ? hz3_table_add(&samples, hz3_hash_word((uintptr_t)p)) : 0;

	if (n == 0)
		return false;
	sample_at(n)->address = (uintptr_t)p;
	sample_at(n)->size = size;
	sample_at(n)->owner = owner;
	sample_at(n)->row = row;
	count_live_locked(row, size, 1);
	return true;
}

/* Has memory in use grown by a tenth, and 1 MiB, since its highest point was written? */
static bool is_peak_locked(void)
{
	if (!hz3_options.prof_peak || live_bytes < peak_bytes * 1.1 + 0x1p20)
		return false;
	peak_bytes = live_bytes;
	return true;
}

static void dump_peak(void);

void hz3_profile_add(struct hz3_profile_turn *turn, const void *p, size_t size, uint32_t owner)
{
	uintptr_t pc[HZ3_BACKTRACE_DEPTH];
	char thread[HZ3_OS_THREAD_NAME_BYTES] = { 0 };
	int saved_errno = errno;

	turn->busy = true;
	size_t depth = hz3_backtrace(pc, HZ3_BACKTRACE_DEPTH);
	hz3_os_get_thread_name(thread);

	hz3_lock(&hz3_profile_lock);
	uint32_t stack = find_stack_locked(pc, depth), name = find_name_locked(thread);
	uint32_t row = stack && name ? find_row_locked(stack, name, 0, false) : 0;
	if (add_sample_locked(p, size, owner, row))
		HZ3_USDT3(otel_memory, alloc, p, size, (uint64_t)(weight(size) * (double)size));
	else
		lost++;
	bool peak = is_peak_locked();
	hz3_unlock(&hz3_profile_lock);
	if (peak)
		dump_peak();
	turn->busy = false;
	errno = saved_errno;
}

void hz3_profile_remove(const void *p, uint32_t owner)
{
	char thread[HZ3_OS_THREAD_NAME_BYTES] = { 0 };

	hz3_lock(&hz3_profile_lock);
	uint32_t n = find_sample_locked(p);
	if (n) {
		struct sample sample = *sample_at(n);
		HZ3_USDT1(otel_memory, free, p);
		hz3_os_get_thread_name(thread);
		hz3_table_remove(&samples, n);
		count_live_locked(sample.row, sample.size, -1);
		uint32_t freer = find_name_locked(thread);
		const struct hz3_profile_row *live = row_at(sample.row);
		uint32_t freed = freer ? find_row_locked(live->stack, live->thread, freer, owner != sample.owner) : 0;
		if (freed)
			count_freed_locked(freed, sample.size);
		else
			lost++;
	}
	hz3_unlock(&hz3_profile_lock);
}

/* After a fork in a signal handler that had interrupted one of the above: the child forgets, and its tables' old memory is lost. */
static void mend(struct hz3_lock *lock)
{
	struct hz3_table *const tables[] = { &names, &pcs, &stacks, &rows, &samples };

	(void)lock;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		*tables[i] = (struct hz3_table){ .item_bytes = tables[i]->item_bytes };
	live_bytes = peak_bytes = 0;
}

/* ---- begin and end ---- */

void hz3_profile_begin(void)
{
	if (!hz3_options.prof || start_ns)
		return;
	hz3_backtrace_init();
	start_ns = hz3_os_wall_ns();
	hz3_profile_on = true;
	hz3_profile_set_active(true);
}

bool hz3_profile_set_active(bool wanted)
{
	hz3_atomic_store(&active, wanted && hz3_profile_on, relaxed);
	return hz3_profile_on;
}

bool hz3_profile_is_active(void)
{
	return hz3_atomic_load(&active, relaxed);
}

/* Samples that live go too: when they are freed, nobody knows them. */
void hz3_profile_reset(int lg_sample)
{
	hz3_lock(&hz3_profile_lock);
	hz3_write_once(&hz3_options.lg_prof_sample, lg_sample);
	hz3_table_clear(&samples);
	hz3_table_clear(&rows);
	hz3_table_clear(&stacks);
	hz3_table_clear(&pcs);
	live_bytes = peak_bytes = 0;
	lost = 0;
	start_ns = hz3_os_wall_ns();
	hz3_unlock(&hz3_profile_lock);
}

#define PROFILE_FILE "hz3.%p.pb.gz"

static int dump(const char *path, const char *suffix)
{
	char pattern[HZ3_OPTION_PATH_BYTES + 16], file[sizeof(pattern) + 64];

	if (path == NULL || path[0] == '\0')
		path = hz3_options.prof_file[0] ? hz3_options.prof_file : PROFILE_FILE;
	hz3_format(pattern, sizeof(pattern), "%s%s", path, suffix);
	if (strlen(path) >= HZ3_OPTION_PATH_BYTES || !hz3_option_expand_path(file, sizeof(file), pattern))
		return ENAMETOOLONG;
	struct hz3_pprof_buffer buffer = { 0 }, maps = { 0 };
	hz3_pprof_read_maps(&maps);
	hz3_lock(&hz3_profile_lock);
	hz3_pprof_encode(&buffer, &maps);
	hz3_unlock(&hz3_profile_lock);
	hz3_pprof_free(&maps);
	return hz3_pprof_write(&buffer, file);
}

int hz3_profile_dump(const char *path)
{
	return hz3_profile_on ? dump(path, "") : EPERM;
}

static void dump_or_warn(const char *suffix)
{
	int error = dump(NULL, suffix);

	if (error)
		hz3_warn("prof: no profile written: error %d (see errno(3))", error);
}

static void dump_peak(void)
{
	dump_or_warn(".peak");
}

void hz3_profile_on_signal(void)
{
	if (hz3_profile_on)
		dump_or_warn("");
}

void hz3_profile_end(void)
{
	if (!hz3_profile_on)
		return;
	hz3_profile_set_active(false);
	dump_or_warn("");
	if (hz3_options.prof_leak)
		hz3_leak_report();
}

/* ---- for pprof.c ---- */

static uint32_t end_of(const struct hz3_table *table)
{
	return table->end ? table->end : 1;
}

uint32_t hz3_profile_rows(void)
{
	return end_of(&rows);
}

const struct hz3_profile_row *hz3_profile_row(uint32_t n)
{
	return row_at(n);
}

uint32_t hz3_profile_pcs(void)
{
	return end_of(&pcs);
}

uintptr_t hz3_profile_pc(uint32_t n)
{
	return ((struct pc *)hz3_table_item(&pcs, n))->pc;
}

const uint32_t *hz3_profile_stack(uint32_t n, size_t *depth)
{
	const struct stack *stack = hz3_table_item(&stacks, n);

	*depth = stack->depth;
	return stack->pc;
}

uint32_t hz3_profile_names(void)
{
	return end_of(&names);
}

const char *hz3_profile_name(uint32_t n)
{
	return ((struct name *)hz3_table_item(&names, n))->text;
}

uint64_t hz3_profile_start_ns(void)
{
	return start_ns;
}

uint64_t hz3_profile_lost(void)
{
	return lost;
}
