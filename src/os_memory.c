/* Memory mappings of Linux, and what limits them. */
#include "os_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os_clock.h"
#include "os_file.h"
#include "os_kept.h"
#include "os_linux.h"

#define RW (PROT_READ | PROT_WRITE)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)

/* madvise says EAGAIN when the kernel is short of memory for its own structures, which passes. */
#define PURGE_TRIES 4

static void *real_mremap(void *p, size_t old_bytes, size_t new_bytes, int flags)
{
	return mremap(p, old_bytes, new_bytes, flags);
}

struct hz3_os_calls hz3_os_calls = {
	.mmap = mmap, .munmap = munmap, .mprotect = mprotect, .madvise = madvise, .mremap = real_mremap};

size_t hz3_os_page_size = 4096;
bool hz3_os_purge_zeroes;

static void *map(void *hint, size_t bytes, int prot, int flags)
{
	void *p = hz3_os_calls.mmap(hint, bytes, prot, flags, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static bool is_aligned(const void *p, size_t alignment)
{
	return ((uintptr_t)p & (alignment - 1)) == 0;
}

/* What of a reservation can't be unmapped is address space lost, not memory. */
static void give_up(void *p, size_t bytes, int prot)
{
	if (prot == RW)
		hz3_os_discard(p, bytes);
	else
		(void)hz3_os_calls.munmap(p, bytes);
}

/* Maps more than asked and cuts off both ends. */
static void *map_and_trim(size_t bytes, size_t alignment, int prot, int flags)
{
	size_t spare = alignment - hz3_os_page_size;
	size_t total = bytes + spare; /* does not wrap: each is less than 2^63 */
	size_t head;
	char *p;

	if (total > PTRDIFF_MAX)
		return NULL;
	p = map(NULL, total, prot, flags);
	if (p == NULL)
		return NULL;
	head = -(uintptr_t)p & (alignment - 1);
	if (head > 0)
		give_up(p, head, prot);
	if (spare > head)
		give_up(p + head + bytes, spare - head, prot);
	return p + head;
}

/* The kernel often aligns by itself, and where address space is limited there may be no room for more than asked. */
static void *map_aligned(size_t bytes, size_t alignment, int prot, int flags)
{
	void *p;

	if (bytes == 0 || bytes > PTRDIFF_MAX || !hz3_is_pow2(alignment))
		return NULL;
	p = map(NULL, bytes, prot, flags);
	if (p == NULL || is_aligned(p, alignment))
		return p;
	give_up(p, bytes, prot);
	return map_and_trim(bytes, alignment, prot, flags);
}

/* Shown in /proc/PID/maps by kernels that can.  Only for what is mapped rarely: it is one more system call. */
static void name_mapping(void *p, size_t bytes)
{
	(void)prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, (unsigned long)p, bytes, "hz3");
}

void *hz3_os_reserve(size_t bytes, size_t alignment)
{
	void *p = map_aligned(bytes, alignment, PROT_NONE, ANONYMOUS | MAP_NORESERVE);

	if (p != NULL)
		name_mapping(p, bytes);
	return p;
}

int hz3_os_commit(void *p, size_t bytes)
{
	return hz3_os_calls.mprotect(p, bytes, RW);
}

int hz3_os_map_at(void *p, size_t bytes)
{
	/*
	 * A hint never replaces a mapping, and is taken if it can be.  No MAP_FIXED_NOREPLACE: old kernels ignore it, and
	 * the thread sanitizer makes of an address that it does not like the fixed address 0.
	 */
	void *q = map(p, bytes, RW, ANONYMOUS);

	if (q == p)
		return 0;
	if (q != NULL) {
		hz3_os_discard(q, bytes);
		errno = EEXIST;
	}
	return -1;
}

void *hz3_os_map(size_t bytes, size_t alignment)
{
	return map_aligned(bytes, alignment, RW, ANONYMOUS);
}

int hz3_os_map_over(void *p, size_t bytes)
{
	return map(p, bytes, RW, ANONYMOUS | MAP_FIXED) == p ? 0 : -1;
}

void *hz3_os_remap(void *p, size_t old_bytes, size_t new_bytes, bool may_move)
{
	void *q = hz3_os_calls.mremap(p, old_bytes, new_bytes, may_move ? MREMAP_MAYMOVE : 0);

	return q == MAP_FAILED ? NULL : q;
}

int hz3_os_unmap(void *p, size_t bytes)
{
	return hz3_os_calls.munmap(p, bytes);
}

int hz3_os_purge(void *p, size_t bytes)
{
	for (int i = 0; i < PURGE_TRIES; i++) {
		if (hz3_os_calls.madvise(p, bytes, MADV_DONTNEED) == 0)
			return 0;
		if (errno != EAGAIN)
			break;
	}
	return -1;
}

void hz3_os_advise_thp(void *p, size_t bytes, bool wanted)
{
	int saved_errno = errno;

	(void)hz3_os_calls.madvise(p, bytes, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	errno = saved_errno;
}

int hz3_os_protect_none(void *p, size_t bytes)
{
	return hz3_os_calls.mprotect(p, bytes, PROT_NONE);
}

static bool probe_purge(void)
{
	volatile char *p = map(NULL, hz3_os_page_size, RW, ANONYMOUS);
	bool zeroes = false;

	if (p == NULL)
		return false;
	*p = 1;
	if (hz3_os_purge((void *)p, hz3_os_page_size) == 0)
		zeroes = *p == 0;
	hz3_os_discard((void *)p, hz3_os_page_size);
	return zeroes;
}

void hz3_os_meet_memory(void)
{
	long page_size = sysconf(_SC_PAGESIZE);

	if (page_size > 0 && hz3_is_pow2((size_t)page_size))
		hz3_os_page_size = (size_t)page_size;
	hz3_os_purge_zeroes = probe_purge();
}

size_t hz3_os_address_space_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	return limit.rlim_cur;
}

bool hz3_os_memory_is_limited(void)
{
	struct rlimit data;
	char text[16];

	if (hz3_os_address_space_limit() != SIZE_MAX)
		return true;
	if (getrlimit(RLIMIT_DATA, &data) == 0 && data.rlim_cur != RLIM_INFINITY)
		return true;
	/* Without /proc it may be. */
	hz3_os_read_text("/proc/sys/vm/overcommit_memory", text, sizeof(text));
	return *text == '2' || *text == '\0';
}

uint64_t hz3_os_random(void)
{
	uint64_t value, seed[2] = {0};
	const void *given;

	if (syscall(SYS_getrandom, &value, sizeof(value), GRND_NONBLOCK) == (long)sizeof(value))
		return value;
	/* Early in the boot, or an old kernel: 16 random bytes per process, and the time to tell calls apart. */
	given = (const void *)getauxval(AT_RANDOM);
	if (given != NULL)
		memcpy(seed, given, sizeof(seed));
	return seed[0] ^ seed[1] ^ (hz3_os_clock() + (uintptr_t)&value) * HZ3_HASH_FACTOR;
}
