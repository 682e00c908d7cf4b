/*
 * What hz3 does about misuse: each kind in a process of its own, against what the table below says of the build at hand.
 *
 *   misuse            every row: without options beyond the row's own, and with guarded samples of every allocation
 *   misuse --table    the table as text, of which doc/misuse.md is made (misuse_table.sh)
 *   misuse --run ROW  what the processes do: name the pointer on standard output, then misuse it
 */
#define _GNU_SOURCE
#include "api_test.h"

#include <fnmatch.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../self.h"

#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wuse-after-free"
#pragma GCC diagnostic ignored "-Wfree-nonheap-object"

/* What the line is to name; told before the misuse. */
static void *name(void *p)
{
	char line[40];
	int length = snprintf(line, sizeof(line), "%p\n", p);

	/* Not by a stream, which would allocate. */
	if (write(STDOUT_FILENO, line, (size_t)length) != length)
		exit(SKIPPED);
	return opaque(p);
}

static void call(const char *function)
{
	void (*f)(void) = (void (*)(void))find(function);

	f();
}

static void flush(void)
{
	call("hz3_thread_flush");
}

static void idle(void)
{
	call("hz3_thread_idle");
}

/* Run by another thread, to its end. */
static void elsewhere(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, arg) != 0)
		exit(SKIPPED);
	pthread_join(thread, NULL);
}

/* ---- What is no block ---- */

static void free_static(void)
{
	static long long memory[100];

	free(name(&memory[2]));
}

static void free_stack(void)
{
	_Alignas(16) char memory[100];

	free(name(memory));
}

static void free_code(void)
{
	free(name((void *)((uintptr_t)free_code & ~(uintptr_t)15)));
}

static void free_low_address(void)
{
	free(name((void *)(uintptr_t)0x1230));
}

static void free_high_address(void)
{
	free(name((void *)(UINTPTR_MAX & ~(uintptr_t)0xfff)));
}

static void free_unmapped(void)
{
	char *p = mmap(NULL, 1 << 16, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(p, 1 << 16);
	free(name(p));
}

static void free_mapped(void)
{
	free(name(mmap(NULL, 1 << 16, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
}

static void free_misaligned(void)
{
	char *p = malloc(100);

	free(name(p + 8));
}

static void free_misaligned_large(void)
{
	char *p = malloc(1 << 20);

	free(name(p + 1));
}

static void free_interior_of_small(void)
{
	char *p = malloc(100);

	free(name(p + 32));
}

/* A block's place, in a page that has others which were handed out. */
static void free_never_allocated(void)
{
	char *p = malloc(20000), *q = malloc(20000);

	free(name(p < q ? q + (q - p) : q + 2 * (p - q)));
}

static void free_unused_page(void)
{
	char *p = malloc(4 << 20);

	free(opaque(p));
	free(name(p + (1 << 20)));
}

static void free_interior_of_large(void)
{
	char *p = malloc(4 << 20);

	free(name(p + (1 << 20)));
}

static void free_near_start_of_large(void)
{
	char *p = malloc(4 << 20);

	free(name(p + 4096));
}

static void free_interior_of_huge(void)
{
	char *p = malloc(100 << 20);

	free(name(p + (1 << 20)));
}

/* ---- Double free ---- */

static void twice_at_once(void)
{
	void *p = malloc(100), *q = malloc(100);

	free(opaque(p));
	free(name(p));
	free(opaque(q));
}

static void twice_later(void)
{
	void *p = malloc(100), *q = malloc(100);

	free(opaque(p));
	free(opaque(q));
	free(name(p));
}

static void *free_both_and_again(void *arg)
{
	void **blocks = arg;

	free(opaque(blocks[0]));
	free(opaque(blocks[1]));
	free(name(blocks[0]));
	return NULL;
}

static void twice_in_buffer(void)
{
	void *blocks[2] = {malloc(100), malloc(100)};

	elsewhere(free_both_and_again, blocks);
	idle();
}

static void *free_flush_and_again(void *arg)
{
	void **blocks = arg;

	free(opaque(blocks[0]));
	flush();
	free(opaque(blocks[1]));
	free(name(blocks[0]));
	return NULL;
}

static void twice_in_sink(void)
{
	void *blocks[2] = {malloc(100), malloc(100)};

	elsewhere(free_flush_and_again, blocks);
}

static void *free_it(void *arg)
{
	free(opaque(arg));
	return NULL;
}

/* By its owner, after another thread has sent it on its way. */
static void twice_here_and_there(void)
{
	void *p = malloc(100);

	elsewhere(free_it, p);
	free(name(p));
}

static pthread_barrier_t gate;

static void *meet_and_free(void *arg)
{
	pthread_barrier_wait(&gate);
	free(opaque(arg));
	return NULL;
}

static void twice_together(void)
{
	pthread_t thread;
	void *p = malloc(100);

	pthread_barrier_init(&gate, NULL, 2);
	if (pthread_create(&thread, NULL, meet_and_free, name(p)) != 0)
		exit(SKIPPED);
	meet_and_free(p);
	pthread_join(thread, NULL);
}

/* In between, its place was another block's. */
static void twice_after_reuse(void)
{
	void *p = malloc(100);

	free(opaque(p));
	for (int i = 0; i < 100; i++)
		if (opaque(malloc(100)) == p)
			break;
	free(name(p));
}

typedef struct hz3_pool arena;

static arena *arena_new(void)
{
	arena *(*create)(const void *hooks, void *context) = (arena *(*)(const void *, void *))find("hz3_arena_create");

	return create(NULL, NULL);
}

static void *arena_block(arena *from)
{
	void *(*get)(arena *from, size_t size) = (void *(*)(arena *, size_t))find("hz3_arena_malloc");

	return get(from, 100);
}

static void arena_call(const char *function, arena *of)
{
	void (*f)(arena *of) = (void (*)(arena *))find(function);

	f(of);
}

static void arena_reset(void)
{
	arena *of = arena_new();
	void *p = arena_block(of);

	arena_call("hz3_arena_reset", of);
	free(name(p));
}

static void arena_destroyed(void)
{
	arena *of = arena_new();
	void *p = arena_block(of);

	arena_call("hz3_arena_destroy", of);
	free(name(p));
}

static void arena_twice(void)
{
	void *p = arena_block(arena_new());

	free(opaque(p));
	free(name(p));
}

static void arena_twice_elsewhere(void)
{
	void *p = arena_block(arena_new());

	elsewhere(free_it, opaque(p));
	free(name(p));
}

static void arena_inside(void)
{
	free(name((char *)arena_block(arena_new()) + 16));
}

static void twice_large(void)
{
	void *p = malloc(1 << 20);

	free(opaque(p));
	free(name(p));
}

static void twice_huge(void)
{
	void *p = malloc(100 << 20);

	free(opaque(p));
	free(name(p));
}

/* ---- Other calls that take a block ---- */

static void realloc_foreign(void)
{
	static long long memory[100];

	(void)!opaque(realloc(name(memory), 1000));
}

static void realloc_interior(void)
{
	char *p = malloc(100);

	(void)!opaque(realloc(name(p + 32), 1000));
}

static void realloc_freed(void)
{
	void *p = malloc(100), *q = malloc(100);

	free(opaque(p));
	free(opaque(q));
	(void)!opaque(realloc(name(p), 1000));
}

static void realloc_freed_huge(void)
{
	void *p = malloc(100 << 20);

	free(opaque(p));
	(void)!opaque(realloc(name(p), 1000));
}

static void size_of_foreign(void)
{
	static long long memory[100];

	(void)!malloc_usable_size(name(memory));
}

static void size_of_interior(void)
{
	char *p = malloc(100);

	(void)!malloc_usable_size(name(p + 32));
}

static void size_of_freed(void)
{
	void *p = malloc(100);

	free(opaque(p));
	(void)!malloc_usable_size(name(p));
}

static void sized(const char *function, size_t size)
{
	void (*f)(void *, size_t) = (void (*)(void *, size_t))find(function);

	f(name(malloc(100)), size);
}

static void sized_too_large(void)
{
	sized("free_sized", 100000);
}

static void sized_wrong(void)
{
	sized("free_sized", 101);
}

static void aligned_sized_wrong(void)
{
	void (*f)(void *, size_t, size_t) = (void (*)(void *, size_t, size_t))find("free_aligned_sized");
	char *p = malloc(100), *q = malloc(100);

	f(name((uintptr_t)p % 64 ? p : q), 64, 100);
}

static void delete_wrong(void)
{
	sized("_ZdlPvm", 50);
}

/* ---- Writes past the ends ---- */

static void overflow_at_free(void)
{
	char *p = malloc(100);

	memset(name(p), 0, 101);
	free(opaque(p));
}

/* No gap for rounding: the next byte is not the block's. */
static void overflow_without_gap(void)
{
	char *p = malloc(96), *volatile q = malloc(96);

	memset(name(p), 0, 97);
	free(opaque(p));
	free(q);
}

static void overflow_at_realloc(void)
{
	char *p = malloc(100);

	memset(name(p), 'x', 101);
	(void)!opaque(realloc(p, 1000));
}

static void overflow_of_large(void)
{
	char *p = malloc((1 << 20) - 100);

	memset(name(p), 0, (1 << 20) - 99);
	free(opaque(p));
}

static void overflow_of_huge(void)
{
	char *p = malloc((100 << 20) - 100);

	((volatile char *)name(p))[(100 << 20) - 100] = 0;
	free(opaque(p));
}

/* By more than there is before the next block. */
static void overflow_by_far(void)
{
	char *p = malloc(1000), *volatile q = malloc(1000);

	((volatile char *)name(p))[1040] = 1;
	free(opaque(p));
	free(q);
}

static void underflow(void)
{
	char *p = malloc(4096), *q = malloc(4096), *first = p < q ? p : q, *second = p < q ? q : p;

	name(first);
	((volatile char *)opaque(second))[-1] = 1;
	free(opaque(second));
	free(opaque(first));
}

static void underflow_small(void)
{
	char *p = malloc(112), *q = malloc(112), *first = p < q ? p : q, *second = p < q ? q : p;

	name(first);
	((volatile char *)opaque(second))[-1] = 1;
	free(opaque(second));
	free(opaque(first));
}

/* ---- Use after free ---- */

static void read_freed(void)
{
	volatile char *p = name(malloc(100));

	free(opaque((void *)p));
	(void)p[50];
}

/* The link is what a free block begins with. */
static void allocate_all(size_t size)
{
	for (int i = 0; i < 5000; i++)
		(void)!opaque(malloc(size));
}

static void write_link(void)
{
	char *p = malloc(1000);

	free(opaque(p));
	memset(name(p), 0xee, 8);
	allocate_all(1000);
}

static void write_zero_link(void)
{
	char *p = malloc(1000), *q = malloc(1000);

	free(opaque(q));
	free(opaque(p));
	memset(name(p), 0, 8);
	allocate_all(1000);
}

static void write_inside(void)
{
	char *p = malloc(1000);

	free(opaque(p));
	((volatile char *)name(p))[500] = 1;
	allocate_all(1000);
}

/* In a page that was full, and is taken again when the current one is full as well. */
static void write_link_in_awake_page(void)
{
	enum { N = 3000 };
	static char *p[N];
	char *last = NULL;

	for (int i = 0; i < N; i++)
		p[i] = malloc(1000);
	for (int i = 0; i < N / 2; i++)
		free(opaque(last = p[i]));
	memset(name(last), 0xee, 8);
	allocate_all(1000);
}

static void *free_and_flush(void *arg)
{
	free(opaque(arg));
	flush();
	return NULL;
}

/* Of a block that another thread has freed, and that waits for its owner. */
static void write_in_sink(void)
{
	char *p = malloc(1000);

	elsewhere(free_and_flush, name(p));
	memset(p, 0xee, 16);
	idle();
	allocate_all(1000);
}

static void write_zero_in_sink(void)
{
	char *p = malloc(1000);

	elsewhere(free_and_flush, name(p));
	memset(p, 0, 16);
	idle();
	allocate_all(1000);
}

/* ---- The table ---- */

enum how {
	UNDETECTED,		/* the program goes on; or, if there is a line, it dies: as threads take their turns */
	DIES,			/* one line, SIGABRT */
	CRASHES,		/* SIGSEGV somewhere in malloc, no line */
	FAULTS			/* one line and the stacks, SIGSEGV at the access */
};

/* The line after "hz3: "; %p stands for the pointer, * for anything. */
struct outcome {
	enum how how;
	const char *line;
};

#define NOTHING {UNDETECTED, NULL}
#define NOTHING_OR(line) {UNDETECTED, line}
#define DIE(line) {DIES, line}
#define CRASH {CRASHES, NULL}
#define FAULT(line) {FAULTS, line}

#define FOREIGN DIE("free: %p is a foreign pointer*")
#define MISALIGNED DIE("free: %p is misaligned*")
#define NOT_IN_USE DIE("free: %p is in memory that is not in use, or inside a large block*")
#define FREED_TWICE DIE("free: %p was freed twice")
#define NOT_LIVE DIE("free: %p was freed before, or *")
#define INSIDE DIE("free: %p is inside a page, and not the start of a block")
#define DAMAGE "free block %p is damaged: it was freed twice, or written to after it was freed"
#define DAMAGED DIE(DAMAGE)
#define OVERRUN(call) DIE(call ": block %p was written to behind its end*")
#define GUARDED(call, what) DIE(call ": %p " what ": *")
#define ACCESS(where) FAULT("bad access to *: " where)
#define ALL(outcome) outcome, outcome, outcome

static const struct row {
	const char *what;
	void (*misuse)(void);
	const char *conf;
	struct outcome normal, debug, safety;
	struct outcome guarded;		/* with guard_sample:1; if it is NOTHING, as without */
} rows[] = {
	{"free of static memory", free_static, "", ALL(FOREIGN), NOTHING},
	{"free of a local variable", free_stack, "", ALL(FOREIGN), NOTHING},
	{"free of a function", free_code, "", ALL(FOREIGN), NOTHING},
	{"free of a low address", free_low_address, "", ALL(FOREIGN), NOTHING},
	{"free of a high address", free_high_address, "", ALL(FOREIGN), NOTHING},
	{"free of unmapped memory", free_unmapped, "", ALL(FOREIGN), NOTHING},
	{"free of a mapping of the program's", free_mapped, "", ALL(FOREIGN), NOTHING},
	{"free of a misaligned pointer", free_misaligned, "", ALL(MISALIGNED), GUARDED("free", "is not the start of a block")},
	{"free of a misaligned pointer into a large block", free_misaligned_large, "", ALL(MISALIGNED), NOTHING},
	{"free of the inside of a small block", free_interior_of_small, "", NOTHING, NOT_LIVE, INSIDE,
	 GUARDED("free", "is not the start of a block")},
	{"free of a place where a block could be, but never was", free_never_allocated, "", NOTHING, NOT_LIVE, NOT_LIVE,
	 GUARDED("free", "is not the start of a block")},
	{"free of a pointer into memory that is not in use", free_unused_page, "", ALL(NOT_IN_USE), NOTHING},
	{"free of the inside of a large block", free_interior_of_large, "", ALL(NOT_IN_USE), NOTHING},
	{"free of the first page of a large block", free_near_start_of_large, "", ALL(NOT_IN_USE), NOTHING},
	{"free of the inside of a huge block", free_interior_of_huge, "", ALL(FOREIGN), NOTHING},

	{"double free, nothing in between", twice_at_once, "", FREED_TWICE, NOT_LIVE, NOT_LIVE,
	 GUARDED("free", "was freed before")},
	{"double free, later", twice_later, "", NOTHING, NOT_LIVE, NOT_LIVE, GUARDED("free", "was freed before")},
	{"double free by another thread, the first still in its buffer", twice_in_buffer, "", DAMAGED, NOT_LIVE, NOT_LIVE,
	 GUARDED("free", "was freed before")},
	{"double free by another thread, the first on its way to the owner", twice_in_sink, "", NOTHING, NOT_LIVE, NOT_LIVE,
	 GUARDED("free", "was freed before")},
	{"double free by another thread, then by the owner", twice_here_and_there, "", NOTHING, NOT_LIVE, NOT_LIVE,
	 GUARDED("free", "was freed before")},
	{"double free by two threads at once", twice_together, "", NOTHING_OR(DAMAGE), NOT_LIVE, NOT_LIVE,
	 GUARDED("free", "was freed before")},
	{"double free, another block having been there in between", twice_after_reuse, "", ALL(NOTHING),
	 GUARDED("free", "was freed before")},
	{"the same with delayed_reuse", twice_after_reuse, "delayed_reuse:1M", NOTHING, NOTHING, NOT_LIVE, NOTHING},
	{"double free of a large block", twice_large, "", ALL(NOT_IN_USE), NOTHING},
	{"double free of a huge block", twice_huge, "", ALL(FOREIGN), NOTHING},

	{"free of a block of an arena of the program's own, after its reset", arena_reset, "", ALL(NOT_IN_USE), NOTHING},
	{"free of a block of such an arena that was destroyed", arena_destroyed, "", ALL(NOT_IN_USE), NOTHING},
	{"double free of a block of such an arena, nothing in between", arena_twice, "", FREED_TWICE, NOT_LIVE, NOT_LIVE, NOTHING},
	{"the same, the first by another thread", arena_twice_elsewhere, "", FREED_TWICE, NOT_LIVE, NOT_LIVE, NOTHING},
	{"free of the inside of a block of such an arena", arena_inside, "", INSIDE, NOT_LIVE, INSIDE, NOTHING},

	{"realloc of static memory", realloc_foreign, "", ALL(DIE("realloc: %p is a foreign pointer*")), NOTHING},
	{"realloc of the inside of a small block", realloc_interior, "",
	 ALL(DIE("realloc: %p is inside a page, and not the start of a block")), GUARDED("realloc", "is not the start of a block")},
	{"realloc of a small block that was freed", realloc_freed, "", NOTHING, NOT_LIVE,
	 DIE("realloc: %p was freed before, or never handed out"), GUARDED("realloc", "was freed before")},
	{"realloc of a huge block that was freed", realloc_freed_huge, "", ALL(DIE("realloc: %p is a foreign pointer*")),
	 NOTHING},
	{"malloc_usable_size of static memory", size_of_foreign, "", ALL(DIE("malloc_usable_size: %p is a foreign pointer*")),
	 NOTHING},
	{"malloc_usable_size of the inside of a small block", size_of_interior, "",
	 ALL(DIE("malloc_usable_size: %p is inside a page, and not the start of a block")),
	 GUARDED("malloc_usable_size", "is not the start of a block")},
	{"malloc_usable_size of a block that was freed", size_of_freed, "", NOTHING, NOTHING,
	 DIE("malloc_usable_size: %p was freed before, or never handed out"), GUARDED("malloc_usable_size", "was freed before")},

	{"free_sized with a size that does not fit", sized_too_large, "", ALL(DIE("free_sized: block %p has *bytes, not 100000")),
	 DIE("free_sized: block %p has 100 bytes, not 100000")},
	{"free_sized with a size that was not asked for", sized_wrong, "", NOTHING, NOTHING,
	 DIE("free_sized: block %p has 100 bytes, not 101"), DIE("free_sized: block %p has 100 bytes, not 101")},
	{"free_aligned_sized with an alignment that the block has not", aligned_sized_wrong, "",
	 ALL(DIE("free_aligned_sized: %p is not aligned to 64")), NOTHING},
	{"operator delete with a size that was not asked for", delete_wrong, "", NOTHING, NOTHING,
	 DIE("operator delete: block %p has 100 bytes, not 50"), NOTHING},

	{"one byte written behind the end, then free", overflow_at_free, "", NOTHING, NOTHING, OVERRUN("free"),
	 DIE("free: * was written to: *")},
	{"the same, no rounding in between", overflow_without_gap, "", NOTHING, NOTHING, OVERRUN("free"),
	 ACCESS("0 bytes behind the end of a live block of 96 bytes")},
	{"one byte written behind the end, then realloc", overflow_at_realloc, "", NOTHING, NOTHING, OVERRUN("realloc"),
	 DIE("free: * was written to: *")},
	{"one byte written behind the end of a large block, then free", overflow_of_large, "", NOTHING, NOTHING, OVERRUN("free"),
	 NOTHING},
	{"one byte written behind the end of a huge block, then free", overflow_of_huge, "", NOTHING, NOTHING, OVERRUN("free"),
	 NOTHING},
	{"one byte written 40 bytes behind the end", overflow_by_far, "", ALL(NOTHING),
	 ACCESS("40 bytes behind the end of a live block of 1000 bytes")},
	{"one byte written before the start, then free of the block before it", underflow, "", NOTHING, NOTHING, OVERRUN("free"),
	 ACCESS("1 bytes before a live block of 4096 bytes")},
	{"the same with small blocks", underflow_small, "", NOTHING, NOTHING, OVERRUN("free"),
	 DIE("free: * was written to: 1 bytes before a live block of 112 bytes")},

	{"read after free", read_freed, "", ALL(NOTHING), ACCESS("byte 50 of a freed block of 100 bytes")},
	{"link overwritten after free, then malloc", write_link, "", CRASH, CRASH, DAMAGED,
	 ACCESS("byte 0 of a freed block of 1000 bytes")},
	{"link zeroed after free, then malloc", write_zero_link, "", NOTHING, NOTHING, DAMAGED,
	 ACCESS("byte 0 of a freed block of 1000 bytes")},
	{"one byte overwritten after free, then malloc", write_inside, "", NOTHING, NOTHING, DAMAGED,
	 ACCESS("byte 500 of a freed block of 1000 bytes")},
	{"the same with delayed_reuse", write_inside, "delayed_reuse:100K", NOTHING, NOTHING, NOTHING, NOTHING},
	{"link overwritten in a page that is taken up again", write_link_in_awake_page, "", ALL(DAMAGED), NOTHING},
	{"overwritten on its way to the owner (central sink)", write_in_sink, "sink:central", ALL(DAMAGED),
	 ACCESS("byte 0 of a freed block of 1000 bytes")},
	{"zeroed on its way to the owner (central sink)", write_zero_in_sink, "sink:central", ALL(DAMAGED),
	 ACCESS("byte 0 of a freed block of 1000 bytes")},
	{"overwritten on its way to the owner (page sink)", write_in_sink, "sink:page", CRASH, CRASH, DAMAGED,
	 ACCESS("byte 0 of a freed block of 1000 bytes")},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* ---- As text ---- */

static void print_outcome(const struct outcome *outcome)
{
	static const char *const word[] = {"-", "", "crash", "SIGSEGV, "};

	printf(" | %s", word[outcome->how]);
	if (outcome->line == NULL)
		return;
	fputs(outcome->how == UNDETECTED ? ", or `" : "`", stdout);
	for (const char *s = outcome->line; *s; s++) {
		if (s[0] == '%' && s[1] == 'p')
			putchar('P'), s++;
		else if (*s == '*')
			fputs("...", stdout);
		else
			putchar(*s);
	}
	putchar('`');
}

static void print_table(void)
{
	puts("| misuse | every build | `--enable-debug` | `--enable-safety-checks` | `guard_sample:1`, if sampled |");
	puts("| --- | --- | --- | --- | --- |");
	for (size_t i = 0; i < ROWS; i++) {
		printf("| %s", rows[i].what);
		if (*rows[i].conf)
			printf(" (`%s`)", rows[i].conf);
		print_outcome(&rows[i].normal);
		print_outcome(&rows[i].debug);
		print_outcome(&rows[i].safety);
		if (rows[i].guarded.how == UNDETECTED)
			fputs(" | as without", stdout);
		else
			print_outcome(&rows[i].guarded);
		puts(" |");
	}
}

/* ---- As tests ---- */

/* What a process wrote, of one of its streams. */
struct text {
	int ends[2];
	size_t used;
	char buf[4000];
};

static void collect(struct text *text)
{
	ssize_t n;

	close(text->ends[1]);
	while (text->used < sizeof(text->buf) - 1 &&
	       (n = read(text->ends[0], text->buf + text->used, sizeof(text->buf) - 1 - text->used)) > 0)
		text->used += (size_t)n;
	text->buf[text->used] = '\0';
	close(text->ends[0]);
	/* An emulator adds lines of its own behind the program's, if there are any. */
	char *added = strncmp(text->buf, "qemu: ", 6) == 0 ? text->buf : strstr(text->buf, "\nqemu: ");
	if (added != NULL)
		added[added != text->buf] = '\0';
}

/* The row in a process of its own, with these options; its status, what it named, what it wrote. */
static int run(size_t row, const char *conf, struct text *named, struct text *lines)
{
	char number[16], *args[] = {(char *)"--run", number, NULL};
	int status = -1;

	snprintf(number, sizeof(number), "%zu", row);
	named->used = lines->used = 0;
	if (pipe(named->ends) != 0 || pipe(lines->ends) != 0)
		exit(SKIPPED);
	pid_t pid = fork();
	if (pid == 0) {
		const struct rlimit no_core = {0, 0};

		setrlimit(RLIMIT_CORE, &no_core);
		dup2(named->ends[1], STDOUT_FILENO);
		dup2(lines->ends[1], STDERR_FILENO);
		for (int fd = 3; fd < 20; fd++)
			close(fd);
		setenv("HZ3_CONF", conf, 1);
		alarm(100);
		self_exec(args);
		_exit(SKIPPED);
	}
	collect(named);
	collect(lines);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		exit(SKIPPED);
	return status;
}

/* The first line after "hz3: " matches, with the pointer that was named for %p. */
static bool matches(const char *line, const char *wanted, const char *pointer)
{
	char pattern[300], *end = pattern;
	const char *newline = strchr(line, '\n');
	char first[600];

	if (newline == NULL || (size_t)(newline - line) >= sizeof(first))
		return false;
	memcpy(first, line, (size_t)(newline - line));
	first[newline - line] = '\0';
	end += sprintf(end, "hz3: ");
	for (; *wanted; wanted++) {
		if (wanted[0] == '%')
			end += sprintf(end, "%s", pointer), wanted++;
		else
			*end++ = *wanted;
	}
	*end = '\0';
	return fnmatch(pattern, first, 0) == 0;
}

static unsigned count_lines(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static bool ended_by(int status, int signal)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == signal;
}

static void check(size_t row, const char *conf, const struct outcome *wanted, bool stacks)
{
	static struct text named, lines;
	const char *what = rows[row].what;
	int status = run(row, conf, &named, &lines);

	named.buf[strcspn(named.buf, "\n")] = '\0';
	/* An option that this build has not says so; that is no part of it. */
	char *text = lines.buf;
	if (strncmp(text, "hz3: HZ3_CONF: delayed_reuse", 28) == 0)
		text = strchr(text, '\n') + 1;
	switch (wanted->how) {
	case UNDETECTED:
		if (wanted->line && ended_by(status, SIGABRT) && matches(text, wanted->line, named.buf))
			return;
		CHECK(status == 0 && *text == '\0', "%s (%s): status %#x: %s", what, conf, (unsigned)status, text);
		return;
	case CRASHES:
		CHECK(ended_by(status, SIGSEGV) && *text == '\0', "%s (%s): status %#x: %s", what, conf, (unsigned)status, text);
		return;
	case DIES:
	case FAULTS:
		CHECK(ended_by(status, wanted->how == DIES ? SIGABRT : SIGSEGV), "%s (%s): status %#x: %s", what, conf,
		      (unsigned)status, text);
		CHECK(matches(text, wanted->line, named.buf), "%s (%s) of %s: %s", what, conf, named.buf, text);
		CHECK(stacks || count_lines(text) == 1, "%s (%s): not one line: %s", what, conf, text);
		CHECK(!stacks || wanted->how == DIES || strstr(text, "\nhz3: allocated by thread "), "%s (%s): %s", what, conf, text);
	}
}

/* Guarded in a build with safety checks: whichever sees it first. */
static void check_caught(size_t row, const char *conf)
{
	static struct text named, lines;
	int status = run(row, conf, &named, &lines);

	CHECK((ended_by(status, SIGABRT) || ended_by(status, SIGSEGV)) && strncmp(lines.buf, "hz3: ", 5) == 0,
	      "%s (%s): status %#x: %s", rows[row].what, conf, (unsigned)status, lines.buf);
}

static void check_row(size_t row)
{
	const struct outcome *wanted = on_hz3_with("config.safety_checks") ? &rows[row].safety :
				       on_hz3_with("config.debug")	  ? &rows[row].debug :
									    &rows[row].normal;
	char conf[64];

	check(row, rows[row].conf, wanted, false);
	/* A byte before a block is inaccessible if the block fills its pages, and the one of this row has 4 KiB. */
	if (rows[row].guarded.how == UNDETECTED || (rows[row].misuse == underflow && sysconf(_SC_PAGESIZE) != 4096))
		return;
	snprintf(conf, sizeof(conf), "guard_sample:1%s%s", *rows[row].conf ? "," : "", rows[row].conf);
	if (on_hz3_with("config.safety_checks"))
		check_caught(row, conf);
	else
		check(row, conf, &rows[row].guarded, true);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--table") == 0) {
		print_table();
		return 0;
	}
	if (!on_hz3()) {
		puts("this malloc is not hz3");
		return SKIPPED;
	}
	if (argc == 3 && strcmp(argv[1], "--run") == 0) {
		rows[atoi(argv[2])].misuse();
		_exit(0);
	}
	for (size_t i = 0; i < ROWS; i++)
		check_row(i);
	return finish();
}
