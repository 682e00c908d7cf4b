/*
 * The operations: a record of 8 bytes is one call (or a run of them) on a table of blocks, with what must come of it.
 *
 * Any bytes are a record.  Which thread does what, and what forks, is up to the target.
 */
#ifndef HZ3_FUZZ_OPS_H
#define HZ3_FUZZ_OPS_H

#include "shadow.h"

#include <limits.h>

struct record {
	uint8_t op;	/* modulo OPS */
	uint8_t actor;
	uint16_t slot;
	uint16_t size;	/* see size_of() */
	uint8_t align;
	uint8_t extra;
};

_Static_assert(sizeof(struct record) == 8, "records are 8 bytes");

enum op {
	MALLOC, CALLOC, REALLOC, REALLOCARRAY, ALIGNED_ALLOC, POSIX_MEMALIGN, MEMALIGN, VALLOC, PVALLOC,
	FREE, FREE_SIZED, FREE_ALIGNED_SIZED, CFREE, NOTHING, LOOK, BURST, FREE_RUN,
	FLUSH, IDLE, PURGE, TRIM, SINK, BATCH, BUDGET, CAP, DECAY, STATISTICS,
	/* what the target does, if anything */
	SPAWN, EXIT, FORK, TICK, REFUSE, EXCHANGE,
	OPS
};

/* How often a seed makes each. */
static const unsigned char op_weight[OPS] = {
	[MALLOC] = 60, [CALLOC] = 20, [REALLOC] = 30, [REALLOCARRAY] = 6, [ALIGNED_ALLOC] = 8, [POSIX_MEMALIGN] = 8,
	[MEMALIGN] = 5, [VALLOC] = 2, [PVALLOC] = 2, [FREE] = 70, [FREE_SIZED] = 10, [FREE_ALIGNED_SIZED] = 5, [CFREE] = 2,
	[NOTHING] = 2, [LOOK] = 8, [BURST] = 14, [FREE_RUN] = 20, [FLUSH] = 3, [IDLE] = 3, [PURGE] = 1, [TRIM] = 1,
	[SINK] = 4, [BATCH] = 2, [BUDGET] = 2, [CAP] = 1, [DECAY] = 2, [STATISTICS] = 1, [SPAWN] = 6, [EXIT] = 3,
	[FORK] = 1, [TICK] = 8, [REFUSE] = 2, [EXCHANGE] = 60,
};

/* More than this is not held at a time. */
#define HELD_MAX (384 * MIB)
/* What any system refuses: more than there is of address space. */
#define ABSURD ((size_t)1 << 47)
/* What a call must not touch when it succeeds, and free never. */
#define ERRNO_BEFORE EXDEV

/* Whether a request may fail now that should not: the system is made to refuse. */
static bool requests_may_fail;

/* ---- Numbers in records ---- */

/* Next to a border between size classes: four of them to each doubling. */
static size_t edge_size(unsigned v)
{
	size_t base = (size_t)16 << v % 14;

	return base + base / 4 * (v / 14 % 4) + v / 56 % 5 - 2;
}

static size_t absurd_size(unsigned v)
{
	switch (v % 4) {
	case 0:
		return SIZE_MAX - v / 4;
	case 1:
		return (size_t)PTRDIFF_MAX - v / 4;
	case 2:
		return (size_t)PTRDIFF_MAX + v / 4;
	default:
		return ((size_t)1 << (30 + v / 4 % 34)) - v / 136;
	}
}

/* The upper 4 bits say what kind of size. */
static size_t size_of(unsigned size)
{
	unsigned v = size & 0xfff;

	switch (size >> 12) {
	case 0:
	case 1:
		return v % 64;
	case 2:
	case 3:
	case 4:
		return v % 1025;
	case 5:
	case 6:
	case 7:
		return edge_size(v);
	case 8:
		return v;
	case 9:
		return v * 16;
	case 10:
		return (1 + v % 32) * 64 * KIB + v / 32 - 64;
	case 11:
		return v * 257;
	case 12:
		return v * KIB;
	case 13:
		return v % 8 == 0 ? 32 * MIB + v * 8 - 16 * KIB : v * 8 * KIB;
	case 14:
		return v % 16 == 0 ? v * 80 * KIB : v * 3;
	default:
		return absurd_size(v);
	}
}

/* Powers of 2 up to 16 MiB, now and then more than there can be. */
static size_t alignment_of(unsigned align)
{
	return align < 248 ? (size_t)1 << align % 25 : (size_t)1 << (56 + align % 8);
}

/* ---- Forking ---- */

extern pid_t _Fork(void) __attribute__((weak));

/* As programs do it, or, where hz3 promises that too, without the handlers that make hz3 ready for it. */
static pid_t UNUSED fork_somehow(unsigned extra)
{
#if !defined(__SANITIZE_THREAD__) && !defined(FUZZ_LIBFUZZER)
	if (on_hz3() && _Fork != NULL && extra % 4 == 1)
		return _Fork();
#endif
	(void)extra;
	return fork();
}

/* ---- What a request may come to ---- */

static bool must_succeed(size_t size)
{
	return size <= 512 * MIB && !requests_may_fail;
}

static bool must_fail(size_t size)
{
	return size >= ABSURD;
}

/* Less than that, if the table is full of large blocks. */
static size_t modest(const struct table *t, size_t size)
{
	if (size < ABSURD / 4 && size > HELD_MAX - (t->bytes < HELD_MAX ? t->bytes : HELD_MAX))
		return size % (64 * KIB);
	return size;
}

/* The result of a call that got errno ERRNO_BEFORE; true if it is a block. */
static bool judge(const char *what, void *p, size_t size, size_t alignment)
{
	int error = errno;

	if (p == NULL) {
		/* glibc calls an alignment over half of the address space invalid. */
		FUZZ_CHECK(error == ENOMEM || (!on_hz3() && must_fail(alignment)), "%s of %zu bytes aligned to %zu: NULL, and errno %d", what, size, alignment, error);
		FUZZ_CHECK(!must_succeed(size) || alignment > 512 * MIB, "%s of %zu bytes aligned to %zu: no memory", what,
			   size, alignment);
		return false;
	}
	FUZZ_CHECK(!must_fail(size) && !must_fail(alignment), "%s of %zu bytes aligned to %zu gives %p", what, size,
		   alignment, p);
	FUZZ_CHECK(!on_hz3() || error == ERRNO_BEFORE, "%s sets errno to %d, and succeeds", what, error);
	return true;
}

/* ---- Freeing ---- */

static void free_slot(struct table *t, unsigned slot, enum op how)
{
	if (t->slot[slot].p == NULL)
		return;
	struct held h = let_go(t, slot);
	errno = ERRNO_BEFORE;
	switch (how) {
	case FREE_SIZED:
		call.free_sized(h.p, h.size);
		break;
	case FREE_ALIGNED_SIZED:
		call.free_aligned_sized(h.p, h.alignment, h.size);
		break;
	case CFREE:
		call.cfree(h.p);
		break;
	default:
		call.free(h.p);
	}
	FUZZ_CHECK(errno == ERRNO_BEFORE, "free sets errno to %d", errno);
}

/* From the slot on, so many: forwards, backwards, or every other. */
static void free_run(struct table *t, unsigned slot, unsigned n, unsigned how)
{
	for (unsigned i = 0; i < n; i++) {
		if (how % 4 != 2 || i % 2 == 0)
			free_slot(t, (slot + (how % 4 == 1 ? n - 1 - i : i)) % SLOTS, FREE);
	}
}

/* ---- Getting ---- */

/* Some blocks are sampled, and have pages of their own: more bytes for the profile, exactly the bytes for a guard. */
static bool some_are_sampled(void)
{
	bool prof = false;
	int64_t guard = 0;
	size_t bytes = sizeof(prof), guard_bytes = sizeof(guard);

	return stress_control != NULL && ((stress_control("opt.prof", &prof, &bytes, NULL, 0) == 0 && prof) ||
					  (stress_control("opt.guard_sample", &guard, &guard_bytes, NULL, 0) == 0 && guard != 0));
}

/* A block of so many bytes by malloc has the size that was foretold, unless it is a sample. */
static void check_good_size(size_t size, const void *p)
{
	size_t good, usable;

	if (call.good_size == NULL)
		return;
	good = call.good_size(size);
	usable = call.usable(p);
	FUZZ_CHECK(good == usable || some_are_sampled(), "hz3_good_size(%zu) is %zu, and malloc gives %zu", size, good,
		   usable);
}

static void do_malloc(struct table *t, unsigned slot, size_t size)
{
	size = modest(t, size);
	errno = ERRNO_BEFORE;
	void *p = call.malloc(size);
	if (!judge("malloc", p, size, 16))
		return;
	check_good_size(size, p);
	hold(t, slot, p, size, 16, false);
}

/* Bytes as a count of members.  Too many bytes may become a product that overflows, to something small. */
static size_t members(size_t size, unsigned extra, size_t *count)
{
	size_t n = 1 + extra % 16, member = size / n;

	if (must_fail(size) && n > 1)
		member = SIZE_MAX / n + extra;
	*count = extra & 16 ? n : member;
	return extra & 16 ? member : n;
}

static size_t product(size_t count, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(count, size, &bytes) ? SIZE_MAX : bytes;
}

static void do_calloc(struct table *t, unsigned slot, size_t size, unsigned extra)
{
	size_t count, member = members(modest(t, size), extra, &count), bytes = product(count, member);

	errno = ERRNO_BEFORE;
	void *p = call.calloc(count, member);
	if (judge("calloc", p, bytes, 16))
		hold(t, slot, p, bytes, 16, true);
}

/* As programs do it, three times of four: a little more or less, double, or a part of what it was. */
static size_t resized(const struct held *h, size_t size, unsigned extra)
{
	if (h->p == NULL)
		return size;
	switch (extra % 8) {
	case 0:
	case 1:
		return size;
	case 2:
		return h->size + extra;
	case 3:
		return h->size > extra ? h->size - extra : extra;
	case 4:
		return h->size + h->size / 2;
	case 5:
		return h->size * 2;
	case 6:
		return h->size - h->size / (1 + extra / 8);
	default:
		return h->usable + extra % 16 - 8 + (h->usable < 8 ? 8 : 0);
	}
}

/* Bytes that a block keeps, whatever the other end of it is filled with. */
static void check_kept(const struct held *before, void *p, size_t size)
{
	struct held now = *before;
	size_t kept = before->usable < size ? before->usable : size;

	now.p = p;
	each_range(&now, before->usable, kept, check_range);
}

static void do_realloc(struct table *t, unsigned slot, size_t count, size_t size, bool array)
{
	struct held before = t->slot[slot];
	size_t bytes = product(count, size);

	if (before.p != NULL)
		before = let_go(t, slot);
	else
		before.usable = 0;
	errno = ERRNO_BEFORE;
	void *p = array ? call.reallocarray(before.p, count, size) : call.realloc(before.p, bytes);
	if (bytes == 0 && before.p != NULL) {
		FUZZ_CHECK(p == NULL, "realloc to 0 bytes gives %p", p);
		FUZZ_CHECK(errno == ERRNO_BEFORE, "realloc to 0 bytes sets errno to %d", errno);
		return;
	}
	/* A block that is large enough may stay, so only growth may fail. */
	FUZZ_CHECK(p != NULL || bytes > before.usable, "realloc of %zu bytes to %zu: no memory", before.size, bytes);
	if (!judge("realloc", p, bytes, 16)) {
		if (before.p == NULL)
			return;
		check_contents(&before);
		t->slot[slot] = before;
		span_add(t, before.p, before.usable);
		t->bytes += before.size;
		return;
	}
	if (before.p != NULL)
		check_kept(&before, p, bytes);
	hold(t, slot, p, bytes, 16, false);
}

static void do_aligned_alloc(struct table *t, unsigned slot, size_t alignment, size_t size)
{
	size = modest(t, size);
	errno = ERRNO_BEFORE;
	void *p = call.aligned_alloc(alignment, size);
	if (judge("aligned_alloc", p, size, alignment))
		hold(t, slot, p, size, alignment, false);
	if (!on_hz3() || alignment < 4)
		return;
	errno = ERRNO_BEFORE;
	p = call.aligned_alloc(alignment - 1, size);
	FUZZ_CHECK(p == NULL && errno == EINVAL, "aligned_alloc(%zu, %zu): %p and errno %d", alignment - 1, size, p, errno);
}

static void do_posix_memalign(struct table *t, unsigned slot, size_t alignment, size_t size)
{
	static char mark;
	void *p = &mark;

	size = modest(t, size);
	errno = ERRNO_BEFORE;
	int error = call.posix_memalign(&p, alignment, size);
	FUZZ_CHECK(!on_hz3() || errno == ERRNO_BEFORE, "posix_memalign sets errno to %d", errno);
	if (error != 0)
		FUZZ_CHECK(!on_hz3() || p == &mark, "posix_memalign fails, and stores %p", p);
	if (alignment < sizeof(void *)) {
		FUZZ_CHECK(error == EINVAL, "posix_memalign with an alignment of %zu: %d", alignment, error);
		return;
	}
	errno = error == 0 ? ERRNO_BEFORE : error;
	if (judge("posix_memalign", error == 0 ? p : NULL, size, alignment))
		hold(t, slot, p, size, alignment, false);
}

/* Any alignment, rounded up to a power of 2. */
static void do_memalign(struct table *t, unsigned slot, size_t alignment, size_t size, unsigned extra)
{
	size_t odd = alignment > 16 && alignment <= MIB && extra % 4 == 0 ? alignment - alignment / 4 : alignment;

	size = modest(t, size);
	errno = ERRNO_BEFORE;
	void *p = call.memalign(odd, size);
	if (judge("memalign", p, size, alignment))
		hold(t, slot, p, size, alignment, false);
}

static void do_page_alloc(struct table *t, unsigned slot, size_t size, bool whole)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	size = modest(t, size);
	errno = ERRNO_BEFORE;
	void *p = whole ? call.pvalloc(size) : call.valloc(size);
	if (whole && size < ABSURD)
		size = (size + page - 1 + (size == 0 && on_hz3())) & ~(page - 1);
	if (judge("valloc", p, size, page))
		hold(t, slot, p, size, page, false);
}

/* Blocks of one size into the slots from this one on, so that pages fill up; seldom large ones, and mappings. */
static void do_burst(struct table *t, unsigned slot, size_t size, unsigned extra)
{
	unsigned n;

	if (extra % 32 == 1)
		size = MIB + size % MIB;
	else
		size = size % (extra % 16 == 0 ? 256 * KIB : 4 * KIB);
	n = size > MIB ? extra : size > 4 * KIB ? 8 + extra % 16 : 8 + extra * 4;

	for (unsigned i = 0; i < n; i++) {
		unsigned at = (slot + i) % SLOTS;
		free_slot(t, at, FREE);
		do_malloc(t, at, size);
	}
}

static void do_nothing(void)
{
	errno = ERRNO_BEFORE;
	call.free(NULL);
	call.cfree(NULL);
	call.free_sized(NULL, 0);
	FUZZ_CHECK(call.usable(NULL) == 0, "NULL has usable bytes");
	FUZZ_CHECK(errno == ERRNO_BEFORE, "free(NULL) sets errno to %d", errno);
}

static void get_block(struct table *t, const struct record *r, unsigned slot)
{
	size_t size = size_of(r->size), count;

	if (r->op % OPS == REALLOC || r->op % OPS == REALLOCARRAY)
		size = resized(&t->slot[slot], size, r->align);
	else
		free_slot(t, slot, FREE);
	switch (r->op % OPS) {
	case MALLOC:
		do_malloc(t, slot, size);
		break;
	case CALLOC:
		do_calloc(t, slot, size, r->extra);
		break;
	case REALLOC:
		do_realloc(t, slot, 1, modest(t, size), false);
		break;
	case REALLOCARRAY:
		size = members(modest(t, size), r->extra, &count);
		do_realloc(t, slot, count, size, true);
		break;
	case ALIGNED_ALLOC:
		do_aligned_alloc(t, slot, alignment_of(r->align), size);
		break;
	case POSIX_MEMALIGN:
		do_posix_memalign(t, slot, alignment_of(r->align), size);
		break;
	case MEMALIGN:
		do_memalign(t, slot, alignment_of(r->align), size, r->extra);
		break;
	default:
		do_page_alloc(t, slot, size, r->op % OPS == PVALLOC);
	}
}

/* ---- Settings ---- */

static const char *const sinks[] = {"central", "page", "auto"};

static void set_size(const char *name, size_t value)
{
	int error = stress_control != NULL ? stress_control(name, NULL, NULL, &value, sizeof(value)) : 0;

	FUZZ_CHECK(error == 0, "%s = %zu: %s", name, value, strerror(error));
}

static void set_decay(int64_t ms)
{
	int error = stress_control != NULL ? stress_control("arenas.dirty_decay_ms", NULL, NULL, &ms, sizeof(ms)) : 0;

	FUZZ_CHECK(error == 0, "arenas.dirty_decay_ms = %lld: %s", (long long)ms, strerror(error));
}

static void change_settings(const struct record *r)
{
	static const int64_t decays[] = {0, -1, 1, 100, 1000, 3600000};

	errno = ERRNO_BEFORE;
	switch (r->op % OPS) {
	case SINK:
		stress_set_sink(sinks[r->extra % 3]);
		break;
	case BATCH:
		stress_set_batch(r->extra % 4 != 0);
		break;
	case BUDGET:
		set_size("remote.budget", r->extra % 4 == 0 ? r->size % 64 : (size_t)r->size * 32);
		break;
	case CAP:
		set_size("remote.cap", r->extra % 2 == 0 ? 0 : (size_t)r->size * r->align);
		break;
	default:
		set_decay(decays[r->extra % 6]);
	}
	FUZZ_CHECK(errno == ERRNO_BEFORE, "hz3_control sets errno to %d", errno);
}

/* ---- Statistics: numbers that cannot be ---- */

static void count_piece(void *arg, const char *piece)
{
	*(size_t *)arg += strlen(piece);
}

static void do_statistics(const struct table *t, bool whole)
{
	size_t length = 0;

	if (stress_print == NULL)
		return;
	stress_print(count_piece, &length, "j");
	stress_print(count_piece, &length, NULL);
	FUZZ_CHECK(length > 1000, "the statistics are %zu bytes long", length);
	/* Guarded blocks are in no statistics. */
	if (whole && stress_counts() && !some_are_sampled())
		FUZZ_CHECK(stress_stat("stats.allocated") >= t->bytes, "%zu bytes are live, and the statistics say %zu",
			   t->bytes, stress_stat("stats.allocated"));
}

/* ---- All that a table alone is enough for; whole: the table has all blocks there are ---- */

static void do_op(struct table *t, const struct record *r, bool whole)
{
	unsigned slot = r->slot % SLOTS, op = r->op % OPS;

	if (op <= PVALLOC) {
		get_block(t, r, slot);
		return;
	}
	switch (op) {
	case FREE:
	case FREE_SIZED:
	case FREE_ALIGNED_SIZED:
	case CFREE:
		free_slot(t, slot, op);
		break;
	case NOTHING:
		do_nothing();
		break;
	case LOOK:
		for (unsigned i = 0; i < 16; i++)
			if (t->slot[(slot + i) % SLOTS].p != NULL)
				check_contents(&t->slot[(slot + i) % SLOTS]);
		break;
	case BURST:
		do_burst(t, slot, size_of(r->size), r->extra);
		break;
	case FREE_RUN:
		free_run(t, slot, 8 + r->extra * 4u, r->align);
		break;
	case FLUSH:
		if (call.flush != NULL)
			call.flush();
		break;
	case IDLE:
		if (call.idle != NULL)
			call.idle();
		break;
	case PURGE:
		stress_purge();
		break;
	case TRIM:
		call.trim(r->size);
		break;
	case SINK:
	case BATCH:
	case BUDGET:
	case CAP:
	case DECAY:
		change_settings(r);
		break;
	case STATISTICS:
		do_statistics(t, whole);
		break;
	}
}

static void free_all(struct table *t)
{
	for (unsigned i = 0; i < SLOTS; i++)
		free_slot(t, i, FREE);
	FUZZ_CHECK(t->spans == 0 && t->bytes == 0, "the oracle has %u blocks too many", t->spans);
}

/* What the next of libFuzzer's cases begins with. */
struct settings {
	const char *sink;
	bool batch;
	size_t budget, cap;
	int64_t decay;
};

static void get_setting(const char *name, void *value, size_t bytes)
{
	int error = stress_control(name, value, &bytes, NULL, 0);

	FUZZ_CHECK(error == 0, "%s: %s", name, strerror(error));
}

static void save_settings(struct settings *s)
{
	if (stress_control == NULL)
		return;
	get_setting("remote.sink", &s->sink, sizeof(s->sink));
	get_setting("remote.batch", &s->batch, sizeof(s->batch));
	get_setting("arenas.dirty_decay_ms", &s->decay, sizeof(s->decay));
	s->budget = stress_stat("remote.budget");
	s->cap = stress_stat("remote.cap");
}

static void restore_settings(const struct settings *s)
{
	if (stress_control == NULL)
		return;
	stress_set_sink(s->sink);
	stress_set_batch(s->batch);
	/* Of all arenas, also of those that have got their own. */
	stress_control("arena.4096.dirty_decay_ms", NULL, NULL, (void *)(uintptr_t)&s->decay, sizeof(s->decay));
	set_size("remote.budget", s->budget);
	set_size("remote.cap", s->cap);
}

/* ---- Records from a seed ---- */

/*
 * What a case is full of: some have all operations, some leave out a part; sizes and slots are drawn from wide or narrow
 * ranges, since much happens only where many blocks of few classes come and go.
 */
struct mix {
	unsigned weight[OPS], sum;
	unsigned sizes, size[4];	/* that many sizes only; 0: all */
	unsigned slots;
	unsigned actors;
};

static void UNUSED make_mix(uint64_t *random, struct mix *mix)
{
	mix->sum = 0;
	for (unsigned i = 0; i < OPS; i++) {
		mix->weight[i] = stress_below(random, 5) == 0 && i != MALLOC && i != FREE ? 0 : op_weight[i];
		mix->sum += mix->weight[i];
	}
	mix->sizes = stress_below(random, 2) == 0 ? 0 : 1 + (unsigned)stress_below(random, 4);
	for (unsigned i = 0; i < mix->sizes; i++)
		mix->size[i] = (unsigned)stress_below(random, stress_below(random, 4) == 0 ? 15 : 12) << 12 | (unsigned)stress_below(random, 4096);
	mix->slots = (unsigned)stress_size(random, SLOTS);
	mix->actors = 1 + (unsigned)stress_below(random, 8);
}

static struct record UNUSED make_record(uint64_t *random, const struct mix *mix)
{
	uint64_t bits = stress_random(random);
	struct record r;
	unsigned at = (unsigned)stress_below(random, mix->sum), op = 0;

	memcpy(&r, &bits, sizeof(r));
	for (; at >= mix->weight[op]; op++)
		at -= mix->weight[op];
	r.op = (uint8_t)op;
	r.actor = (uint8_t)stress_below(random, mix->actors);
	r.slot = (uint16_t)stress_below(random, mix->slots);
	if (mix->sizes > 0 && stress_below(random, 32) != 0)
		r.size = (uint16_t)mix->size[stress_below(random, mix->sizes)];
	else if (r.size >> 12 >= 12 && stress_below(random, 4) != 0)
		r.size &= 0x7fff;
	return r;
}

/* ---- HZ3_CONF ---- */

#define OPTION_OF_BOOL 1
#define OPTION_OF_INT 2
#define OPTION_OF_SIZE 3
#define OPTION_OF_SINK 4
#define OPTION_OF_PATH 0
#define OPTION_OF_SIGNAL OPTION_OF_PATH	/* not drawn either */
#define OPTION_OF_THP OPTION_OF_PATH

#define GIB ((size_t)1 << 30)
#define HZ3_OPTION_SIZE_MAX INT64_MAX

static const struct {
	const char *name;
	int type;
	int64_t min, max;
} options[] = {
#define OPTION(name, type, initial, min, max, doc) {#name, OPTION_OF_##type, min, (int64_t)(max)},
#include "options.def"
#undef OPTION
};

#define OPTIONS (sizeof(options) / sizeof(options[0]))

/* A value of a number: an end of its range, next to it, or anything that costs no memory to speak of. */
static int64_t make_number(uint64_t *random, int64_t min, int64_t max)
{
	int64_t highest = max < 64 * (int64_t)MIB ? max : 64 * (int64_t)MIB;

	switch (stress_below(random, 4)) {
	case 0:
		return min;
	case 1:
		return min < highest ? min + 1 : min;
	case 2:
		return highest;
	default:
		return min + (int64_t)stress_size(random, (size_t)(highest - min) + 1) - 1;
	}
}

/* What prints or writes files by itself, and what makes malloc fail. */
static bool is_left_out(const char *name)
{
	static const char *const names[] = {"stats_print", "banner", "prof_peak", "prof_leak", "memory_limit_hard"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

static void make_conf(uint64_t *random, char *conf)
{
	int used = snprintf(conf, FUZZ_CONF_BYTES, "sink:%s", sinks[stress_below(random, 3)]);

	for (unsigned i = 0; i < OPTIONS; i++) {
		if (options[i].type == OPTION_OF_PATH || options[i].type == OPTION_OF_SINK || stress_below(random, 3) != 0 ||
		    is_left_out(options[i].name))
			continue;
		used += snprintf(conf + used, (size_t)(FUZZ_CONF_BYTES - used), ",%s:%lld", options[i].name,
				 (long long)make_number(random, options[i].min, options[i].max));
	}
}

/*
 * First those that somebody has thought of; from then on every other is drawn.  The sanitizers don't bear our background thread: the
 * child of a fork while it starts has the address sanitizer's locks as they were, and the thread sanitizer takes the child's own for a
 * second of one that the parent had.  Nor does the thread sanitizer bear the profile: libunwind locks a mutex when a thread ends, after
 * the sanitizer has forgotten the thread.
 */
static void ops_variant(unsigned i, uint64_t *random, char *conf)
{
#if defined(__SANITIZE_THREAD__)
	static const char last[] = ",background_thread:0,top:0,prof:0";
#elif defined(__SANITIZE_ADDRESS__)
	static const char last[] = ",background_thread:0,top:0";
#else
	static const char last[] = "";
#endif
	static const char *const chosen[] = {
		"sink:central",
		"sink:page",
		"sink:auto,handover:0",
		"remote_batch:0",
		"sink:page,remote_budget:0,dirty_decay_ms:0,empty_pages_max:0",
		"sink:central,remote_budget:64,remote_cap:1,remote_flush_slow_paths:1,remote_drain_budget:4K",
		"sink:auto,huge_threshold:1M,narenas:3,dirty_max:0,prof:1,lg_prof_sample:10",
		"sink:page,dirty_decay_ms:-1,empty_pages_max:65536",
	};

	if (i % 2 == 1)
		make_conf(random, conf);
	else
		snprintf(conf, FUZZ_CONF_BYTES, "%s", chosen[i / 2 % (sizeof(chosen) / sizeof(chosen[0]))]);
	strcat(conf, last);
}

#endif
