/*
 * A malloc that is broken on purpose, to see that the workloads of bench/ notice.  For LD_PRELOAD, over glibc's own.
 *
 * The environment variable BROKEN says how:
 *
 *   none      it works
 *   overlap   every hundredth block is handed out once more while it is live
 *   shift     every hundredth block overlaps the end of another
 *   lose      the first or the last 8 bytes of every hundredth block become 0 while it is live
 *   crash     abort() in the 5000th call
 *   hang      no return from the 5000th call
 *   dirty     the last byte of every hundredth block of calloc is not 0
 *   cut       every hundredth realloc forgets the last byte that was to be kept
 *   misalign  every tenth block that is to be aligned to more than 16 bytes is not
 *   small     every hundredth block has fewer bytes than were asked for, as malloc_usable_size says
 *   errno     every hundredth free sets errno
 *   refuse    every hundredth block is NULL, and errno is kept
 *
 * The last six are for test/fuzz: no workload looks at all of that.
 *
 * Only the program itself sees that, not the C library, whose files and threads have to work for the program to tell
 * of its errors.  Each of the first three takes a victim, a block from a pool whose memory is never used again: what
 * is wrong with a block stays so until it is checked, and a second free does no harm.  What is done to the victim is
 * done in a later call of the same thread, which has written its marks by then, if it has not freed the block.  (If
 * another thread has, nothing goes wrong.)  What is written over marks is 0, as no mark is: a check of 18 bits alone
 * would take anything else for good now and then.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VICTIM_EVERY 100
#define LAST_CALL 5000
#define POOL_BYTES ((size_t)256 << 20)

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static enum {
	NONE, OVERLAP, SHIFT, LOSE, CRASH, HANG, DIRTY, CUT, MISALIGN, SMALL, BAD_ERRNO, REFUSE
} fault;

static uintptr_t program_start, program_end;
static _Atomic uint64_t calls;			/* of the program, so far */

static char pool[POOL_BYTES] __attribute__((aligned(4096)));
static _Atomic size_t pool_used;
static uint32_t pool_size[POOL_BYTES / 8];	/* of the block that was last made at that place */

static size_t (*next_usable_size)(void *);

/* The present victim of this thread. */
static __thread struct {
	char *block;	/* or NULL */
	size_t size;
} victim __attribute__((tls_model("initial-exec")));

/* ---- at first ---- */

static int find_program(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size, (void)unused;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X) != 0) {
			program_start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
			program_end = program_start + info->dlpi_phdr[i].p_memsz;
		}
	}
	return 1;	/* the first is the program */
}

static __attribute__((constructor)) void
begin(void)
{
	static const char *const names[] = { "none", "overlap", "shift", "lose", "crash", "hang",
					     "dirty", "cut", "misalign", "small", "errno", "refuse" };
	static const char complaint[] = "broken: BROKEN has to be none, overlap, shift, lose, crash, hang, dirty, cut, "
					"misalign, small, errno or refuse\n";
	const char *name = getenv("BROKEN");

	*(void **)&next_usable_size = dlsym(RTLD_NEXT, "malloc_usable_size");
	dl_iterate_phdr(find_program, NULL);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (name != NULL && strcmp(name, names[i]) == 0) {
			fault = i;
			return;
		}
	}
	(void)!write(STDERR_FILENO, complaint, sizeof(complaint) - 1);
	_exit(3);
}

/* ---- what is wrong ---- */

static bool in_pool(const void *block)
{
	return (uintptr_t)block - (uintptr_t)pool < POOL_BYTES;
}

/* A block with as much room behind it, zeroed; NULL: no more. */
static void *take_victim(size_t size, size_t alignment)
{
	size_t need = 2 * size + alignment, used = atomic_load(&pool_used);

	do {
		if (size > POOL_BYTES / 4 || alignment > 4096 || need > POOL_BYTES - used)
			return NULL;
	} while (!atomic_compare_exchange_weak(&pool_used, &used, used + need));
	victim.block = pool + ((used + alignment - 1) & ~(alignment - 1));
	victim.size = size;
	pool_size[(victim.block - pool) / 8] = (uint32_t)size;
	return victim.block;
}

/* Do to the victim what is to be done, in a call for so many bytes; NULL: this call is served as it should be. */
static void *hurt_victim(size_t size, size_t alignment, uint64_t call)
{
	char *block = victim.block, *end = block + victim.size;

	switch (fault) {
	case OVERLAP:
		if (size > victim.size || (uintptr_t)block % alignment != 0)
			return NULL;
		victim.block = NULL;
		return block;
	case SHIFT:
		/* Its last 8 bytes are the first of the new block, or some of them, if its size is odd. */
		if (size > victim.size || victim.size < 32)
			return NULL;
		victim.block = NULL;
		end -= 8 + (uintptr_t)end % 8;
		pool_size[(end - pool) / 8] = (uint32_t)size;
		return end;
	default:
		memset(call / VICTIM_EVERY % 2 == 0 ? block : end - 8, 0, 8);
		victim.block = NULL;
		return NULL;
	}
}

static bool from_program(const void *caller)
{
	return (uintptr_t)caller - program_start < program_end - program_start;
}

/* Whether this call of the program is one of those that go wrong in this way, so many of a thousand. */
static bool goes_wrong(int how, unsigned of_1000, const void *caller)
{
	if ((int)fault != how || !from_program(caller))
		return false;
	return atomic_fetch_add_explicit(&calls, of_1000, memory_order_relaxed) % 1000 < of_1000;
}

/* A bad block for the program, or NULL: it gets a good one. */
static void *make_badly(size_t size, size_t alignment, const void *caller)
{
	uint64_t call;

	if (fault == NONE || fault > HANG || !from_program(caller) || size < 8)
		return NULL;
	call = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) + 1;
	if (fault == CRASH || fault == HANG) {
		if (call >= LAST_CALL && fault == CRASH)
			abort();
		while (call >= LAST_CALL)
			pause();
		return NULL;
	}
	if (call % VICTIM_EVERY == 0)
		return take_victim(size, alignment);
	return victim.block != NULL ? hurt_victim(size, alignment, call) : NULL;
}

/* ---- malloc and friends ---- */

#define CALLER __builtin_return_address(0)

static void *make(size_t size, size_t alignment, const void *caller)
{
	void *block = make_badly(size, alignment, caller);

	if (block != NULL)
		return block;
	if (size < PTRDIFF_MAX / 2 && goes_wrong(REFUSE, 10, caller))
		return NULL;
	if (size > 64 && alignment <= 16 && goes_wrong(SMALL, 10, caller))
		return __libc_malloc(size - 40);
	if (alignment > 16 && size < PTRDIFF_MAX / 2 && goes_wrong(MISALIGN, 100, caller))
		return (char *)__libc_memalign(alignment, size + alignment) + 16;
	return alignment <= 16 ? __libc_malloc(size) : __libc_memalign(alignment, size);
}

void *malloc(size_t size)
{
	return make(size, 16, CALLER);
}

/* As many an allocator does, it writes to what is freed: whoever else has that block finds no mark there. */
void free(void *block)
{
	if (goes_wrong(BAD_ERRNO, 10, CALLER))
		errno = EBADF;
	if (!in_pool(block)) {
		__libc_free(block);
		return;
	}
	if (block == victim.block)
		victim.block = NULL;
	memset(block, 0, 8);
}

void *calloc(size_t count, size_t size)
{
	size_t bytes;
	void *block = NULL;

	if (!__builtin_mul_overflow(count, size, &bytes))
		block = make_badly(bytes, 16, CALLER);
	if (block != NULL)
		return memset(block, 0, bytes);
	block = __libc_calloc(count, size);
	if (block != NULL && bytes > 0 && goes_wrong(DIRTY, 10, CALLER))
		((char *)block)[bytes - 1] = 1;
	return block;
}

size_t malloc_usable_size(void *block)
{
	return in_pool(block) ? pool_size[((char *)block - pool) / 8] : next_usable_size(block);
}

void *realloc(void *block, size_t size)
{
	size_t bytes = malloc_usable_size(block);
	void *moved;

	if (block != NULL && block == victim.block)
		victim.block = NULL;
	moved = make_badly(size, 16, CALLER);
	if (moved == NULL && !in_pool(block)) {
		moved = __libc_realloc(block, size);
		if (moved != NULL && bytes > 0 && size > 0 && goes_wrong(CUT, 10, CALLER))
			((char *)moved)[(bytes < size ? bytes : size) - 1] ^= 1;
		return moved;
	}
	if (moved == NULL && (moved = __libc_malloc(size)) == NULL)
		return NULL;
	if (block != NULL)
		memmove(moved, block, bytes < size ? bytes : size);
	free(block);
	return moved;
}

void *memalign(size_t alignment, size_t size)
{
	return make(size, alignment < 16 ? 16 : alignment, CALLER);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return make(size, alignment < 16 ? 16 : alignment, CALLER);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
	void *made;

	if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0)
		return EINVAL;
	made = make(size, alignment < 16 ? 16 : alignment, CALLER);
	if (made == NULL)
		return ENOMEM;
	*block = made;
	return 0;
}
