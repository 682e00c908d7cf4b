/*
 * Misuse that is detected ends the program with one line that names the pointer.  Each kind in a child of its own; the
 * table is the one in hz3(3), section DIAGNOSTICS.
 */
#define _GNU_SOURCE
#include "api_test.h"

#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wuse-after-free"
#pragma GCC diagnostic ignored "-Wfree-nonheap-object"

/* What the line is to name; told before the misuse, through memory that parent and child share. */
static void *volatile *named;

static void *
name(void *p)
{
	*named = p;
	return opaque(p);
}

static void
free_static(void)
{
	static long long memory[100];

	free(name(&memory[2]));
}

static void
free_stack(void)
{
	_Alignas(16) char memory[100];

	free(name(memory));
}

static void
free_code(void)
{
	free(name((void *)((uintptr_t)free_code & ~(uintptr_t)15)));
}

static void
free_low_address(void)
{
	free(name((void *)(uintptr_t)0x1230));
}

static void
free_high_address(void)
{
	free(name((void *)(UINTPTR_MAX & ~(uintptr_t)0xfff)));
}

static void
free_misaligned(void)
{
	char *p = malloc(100);

	free(name(p + 8));
}

static void
free_misaligned_large(void)
{
	char *p = malloc(1 << 20);

	free(name(p + 1));
}

static void
free_unused_page(void)
{
	char *p = malloc(4 << 20);

	free(opaque(p));
	free(name(p + (1 << 20)));
}

static void
free_interior_of_large(void)
{
	char *p = malloc(4 << 20);

	free(name(p + (1 << 20)));
}

static void
free_near_start_of_large(void)
{
	char *p = malloc(4 << 20);

	free(name(p + 4096));
}

static void
free_interior_of_huge(void)
{
	char *p = malloc(100 << 20);

	free(name(p + (1 << 20)));
}

static void
free_large_twice(void)
{
	void *p = malloc(1 << 20);

	free(opaque(p));
	free(name(p));
}

static void
free_huge_twice(void)
{
	void *p = malloc(100 << 20);

	free(opaque(p));
	free(name(p));
}

static void
free_small_twice_at_once(void)
{
	void *p = malloc(100), *q = malloc(100);

	free(opaque(p));
	free(name(p));
	free(opaque(q));
}

static void
free_small_twice_later(void)
{
	void *p = malloc(100), *q = malloc(100);

	free(opaque(p));
	free(opaque(q));
	free(name(p));
}

static void
free_interior_of_small(void)
{
	char *p = malloc(100);

	free(name(p + 32));
}

static void
realloc_foreign(void)
{
	static long long memory[100];

	(void)!opaque(realloc(name(memory), 1000));
}

static void
realloc_interior(void)
{
	char *p = malloc(100);

	(void)!opaque(realloc(name(p + 32), 1000));
}

static void
realloc_freed_huge(void)
{
	void *p = malloc(100 << 20);

	free(opaque(p));
	(void)!opaque(realloc(name(p), 1000));
}

static void
usable_size_of_foreign(void)
{
	static long long memory[100];

	(void)!malloc_usable_size(name(memory));
}

static void
usable_size_of_interior(void)
{
	char *p = malloc(100);

	(void)!malloc_usable_size(name(p + 32));
}

static void
wrong_size(void)
{
	void (*free_sized_)(void *, size_t) = (void (*)(void *, size_t))find("free_sized");

	free_sized_(name(malloc(100)), 100000);
}

/* When a kind is detected. */
enum when { ALWAYS, DEBUG };

static const struct {
	const char *what;
	void (*misuse)(void);
	enum when when;
} kinds[] = {
	{"free of static memory", free_static, ALWAYS},
	{"free of a local variable", free_stack, ALWAYS},
	{"free of a function", free_code, ALWAYS},
	{"free of a low address", free_low_address, ALWAYS},
	{"free of a high address", free_high_address, ALWAYS},
	{"free of a misaligned pointer", free_misaligned, ALWAYS},
	{"free of a misaligned pointer into a large block", free_misaligned_large, ALWAYS},
	{"free of a pointer into unused memory", free_unused_page, ALWAYS},
	{"free of the interior of a large block", free_interior_of_large, ALWAYS},
	{"free of the first page of a large block", free_near_start_of_large, ALWAYS},
	{"free of the interior of a huge block", free_interior_of_huge, ALWAYS},
	{"double free of a large block", free_large_twice, ALWAYS},
	{"double free of a huge block", free_huge_twice, ALWAYS},
	{"double free of a small block at once", free_small_twice_at_once, ALWAYS},
	{"double free of a small block later", free_small_twice_later, DEBUG},
	{"free of the interior of a small block", free_interior_of_small, DEBUG},
	{"realloc of static memory", realloc_foreign, ALWAYS},
	{"realloc of the interior of a small block", realloc_interior, ALWAYS},
	{"realloc of a huge block that was freed", realloc_freed_huge, ALWAYS},
	{"usable size of static memory", usable_size_of_foreign, ALWAYS},
	{"usable size of the interior of a small block", usable_size_of_interior, ALWAYS},
	{"free_sized with too large a size", wrong_size, DEBUG},
};

static bool
debug_build(void)
{
	int (*control)(const char *, void *, size_t *, void *, size_t) =
		(int (*)(const char *, void *, size_t *, void *, size_t))find("hz3_control");
	bool debug = false;
	size_t bytes = sizeof(debug);

	return control("config.debug", &debug, &bytes, NULL, 0) == 0 && debug;
}

static size_t
run(void (*misuse)(void), char *line, size_t cap, int *status)
{
	int ends[2];
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(ends) != 0 || (pid = fork()) < 0)
		exit(SKIPPED);
	if (pid == 0) {
		const struct rlimit no_core = {0, 0};

		setrlimit(RLIMIT_CORE, &no_core);
		dup2(ends[1], STDERR_FILENO);
		misuse();
		_exit(0);
	}
	close(ends[1]);
	while (used < cap - 1 && (n = read(ends[0], line + used, cap - 1 - used)) > 0)
		used += (size_t)n;
	line[used] = '\0';
	close(ends[0]);
	waitpid(pid, status, 0);
	/* An emulator adds lines of its own behind the program's. */
	char *added = strstr(line, "\nqemu: ");
	if (added != NULL) {
		added[1] = '\0';
		used = strlen(line);
	}
	return used;
}

static void
check_kind(const char *what, void (*misuse)(void))
{
	char line[2000], pointer[32];
	int status;
	size_t n = run(misuse, line, sizeof(line), &status);

	snprintf(pointer, sizeof(pointer), "%p", *named);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s: status %#x: %s", what, (unsigned)status, line);
	CHECK(strncmp(line, "hz3: ", 5) == 0, "%s: %s", what, line);
	CHECK(n > 0 && strchr(line, '\n') == line + n - 1, "%s: not one line: %s", what, line);
	CHECK(strstr(line, pointer) != NULL || misuse == wrong_size, "%s: %s is not in: %s", what, pointer, line);
}

int
main(void)
{
	if (!on_hz3()) {
		puts("this malloc is not hz3");
		return SKIPPED;
	}
	named = mmap(NULL, sizeof(*named), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (named == MAP_FAILED)
		return SKIPPED;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].when == ALWAYS || debug_build())
			check_kind(kinds[i].what, kinds[i].misuse);
	}
	return finish();
}
