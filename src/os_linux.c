/*
 * The system calls of Linux.  What os.h promises; nothing here knows what the memory is for.
 *
 * The globals are written by hz3_os_init() (and by tests) while there is one thread, and only read afterwards.
 */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Newer than some of the headers we may meet. */
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif
#ifndef PR_SET_VMA_ANON_NAME
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef GRND_NONBLOCK
#define GRND_NONBLOCK 1
#endif

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

#define RW (PROT_READ | PROT_WRITE)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)

/* madvise says EAGAIN when the kernel is short of memory for its own structures, which passes. */
#define PURGE_TRIES 4

/* Machines have fewer processors than this; the kernel refuses a mask that is too short for it. */
#define CPUS_MAX 8192

static void *
real_mremap(void *p, size_t old_bytes, size_t new_bytes, int flags)
{
	return mremap(p, old_bytes, new_bytes, flags);
}

static uint64_t
monotonic_ms(void)
{
	struct timespec now;

	/* Coarse costs no hardware access, and is a few milliseconds off, which decay does not feel. */
	if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) != 0)
		return 0;
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct hz3_os_calls hz3_os_calls = {
	.mmap = mmap, .munmap = munmap, .mprotect = mprotect, .madvise = madvise, .mremap = real_mremap};

size_t hz3_os_page_size = 4096;
bool hz3_os_purge_zeroes;
uint64_t (*hz3_os_clock)(void) = monotonic_ms;

static _Atomic uint32_t one_process = 1;	/* where the system can't tell */
_Atomic uint32_t *hz3_os_process = &one_process;

static unsigned cpus = 1;
static bool initialised;

static void *
map(void *hint, size_t bytes, int prot, int flags)
{
	void *p = hz3_os_calls.mmap(hint, bytes, prot, flags, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static bool
is_aligned(const void *p, size_t alignment)
{
	return ((uintptr_t)p & (alignment - 1)) == 0;
}

/* What of a reservation can't be unmapped is address space lost, not memory. */
static void
give_up(void *p, size_t bytes, int prot)
{
	if (prot == RW)
		hz3_os_discard(p, bytes);
	else
		(void)hz3_os_calls.munmap(p, bytes);
}

/* Maps more than asked and cuts off both ends. */
static void *
map_and_trim(size_t bytes, size_t alignment, int prot, int flags)
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
static void *
map_aligned(void *hint, size_t bytes, size_t alignment, int prot, int flags)
{
	void *p;

	if (bytes == 0 || bytes > PTRDIFF_MAX || !hz3_is_pow2(alignment))
		return NULL;
	p = map(hint, bytes, prot, flags);
	if (p == NULL || is_aligned(p, alignment))
		return p;
	give_up(p, bytes, prot);
	return map_and_trim(bytes, alignment, prot, flags);
}

/* Shown in /proc/PID/maps by kernels that can.  Only for what is mapped rarely: it is one more system call. */
static void
name_mapping(void *p, size_t bytes)
{
	(void)prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, (unsigned long)p, bytes, "hz3");
}

void *
hz3_os_reserve(void *hint, size_t bytes, size_t alignment, int readable)
{
	int prot = readable ? PROT_READ : PROT_NONE;
	void *p = map_aligned(hint, bytes, alignment, prot, ANONYMOUS | MAP_NORESERVE);

	if (p != NULL)
		name_mapping(p, bytes);
	return p;
}

int
hz3_os_commit(void *p, size_t bytes)
{
	return hz3_os_calls.mprotect(p, bytes, RW);
}

int
hz3_os_map_at(void *p, size_t bytes)
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

void *
hz3_os_map(size_t bytes, size_t alignment)
{
	return map_aligned(NULL, bytes, alignment, RW, ANONYMOUS);
}

int
hz3_os_map_over(void *p, size_t bytes)
{
	return map(p, bytes, RW, ANONYMOUS | MAP_FIXED) == p ? 0 : -1;
}

void *
hz3_os_remap(void *p, size_t old_bytes, size_t new_bytes, bool may_move)
{
	void *q = hz3_os_calls.mremap(p, old_bytes, new_bytes, may_move ? MREMAP_MAYMOVE : 0);

	return q == MAP_FAILED ? NULL : q;
}

int
hz3_os_unmap(void *p, size_t bytes)
{
	return hz3_os_calls.munmap(p, bytes);
}

int
hz3_os_purge(void *p, size_t bytes)
{
	for (int i = 0; i < PURGE_TRIES; i++) {
		if (hz3_os_calls.madvise(p, bytes, MADV_DONTNEED) == 0)
			return 0;
		if (errno != EAGAIN)
			break;
	}
	return -1;
}

void
hz3_os_advise_thp(void *p, size_t bytes, bool wanted)
{
	int saved_errno = errno;

	(void)hz3_os_calls.madvise(p, bytes, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	errno = saved_errno;
}

int
hz3_os_protect_none(void *p, size_t bytes)
{
	return hz3_os_calls.mprotect(p, bytes, PROT_NONE);
}

static bool
probe_purge(void)
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

static void
watch_for_new_process(void)
{
	void *p = map(NULL, hz3_os_page_size, RW, ANONYMOUS);

	if (p == NULL)
		return;
	if (madvise(p, hz3_os_page_size, MADV_WIPEONFORK) != 0) {
		hz3_os_discard(p, hz3_os_page_size);
		return;
	}
	hz3_os_process = p;
	hz3_os_process_is_known();
}

size_t
hz3_os_own_bytes(void)
{
	return hz3_os_process == &one_process ? 0 : hz3_os_page_size;
}

static unsigned
count_cpus(void)
{
	unsigned long mask[CPUS_MAX / (8 * sizeof(unsigned long))] = {0};
	unsigned count = 0;

	if (sched_getaffinity(0, sizeof(mask), (cpu_set_t *)mask) != 0)
		return 1;
	for (size_t i = 0; i < sizeof(mask) / sizeof(mask[0]); i++)
		count += (unsigned)__builtin_popcountl(mask[i]);
	return count > 0 ? count : 1;
}

void
hz3_os_init(void)
{
	long page_size;

	if (initialised)
		return;
	initialised = true;
	page_size = sysconf(_SC_PAGESIZE);
	if (page_size > 0 && hz3_is_pow2((size_t)page_size))
		hz3_os_page_size = (size_t)page_size;
	cpus = count_cpus();
	hz3_os_purge_zeroes = probe_purge();
	watch_for_new_process();
}

uint64_t
hz3_os_now_ms(void)
{
	return hz3_os_clock();
}

uint64_t
hz3_os_now_us(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
		return 0;
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t
hz3_os_wall_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void
hz3_os_sleep_ms(unsigned ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	/* Not libc's, at which a thread may be cancelled: malloc is no such point. */
	while (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &left, &left) != 0 && errno == EINTR)
		;
}

size_t
hz3_os_address_space_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	return limit.rlim_cur;
}

unsigned
hz3_os_cpus(void)
{
	return cpus;
}

/* Opened, read and written by bare system calls, because libc's functions are cancellation points. */
static int
open_file(const char *path, int flags)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0644);
}

void
hz3_os_close(int fd)
{
	(void)syscall(SYS_close, fd);
}

/* The second number of "size resident shared ..."; 0 if there is none. */
static size_t
second_number(const char *s)
{
	size_t value = 0;

	while (*s >= '0' && *s <= '9')
		s++;
	if (*s++ != ' ')
		return 0;
	for (; *s >= '0' && *s <= '9'; s++)
		value = value * 10 + (size_t)(*s - '0');
	return value;
}

/* The beginning of a small file, as a string; "" if it can't be read. */
static void
read_text(const char *path, char *text, size_t bytes)
{
	int fd = open_file(path, O_RDONLY);
	long n = 0;

	if (fd >= 0) {
		n = syscall(SYS_read, fd, text, bytes - 1);
		hz3_os_close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
}

size_t
hz3_os_resident(void)
{
	char text[128];

	read_text("/proc/self/statm", text, sizeof(text));
	return second_number(text) * hz3_os_page_size;
}

/* The kernel writes a byte for each page of its own, of which an emulator that pretends larger ones knows nothing: of 4 KiB, then. */
#define LOOK_PAGES ((size_t)4096)
#define LOOK_BYTES (LOOK_PAGES * 4096)

/* Some pages, all of them mapped or none. */
static size_t
count_resident(const char *p, size_t pages)
{
	unsigned char there[LOOK_PAGES];
	size_t count = 0;

	if (mincore((void *)(uintptr_t)p, pages * hz3_os_page_size, there) != 0) {
		if (pages == 1)
			return 0;
		/* A hole somewhere: halves, down to a page. */
		return count_resident(p, pages / 2) + count_resident(p + pages / 2 * hz3_os_page_size, pages - pages / 2);
	}
	for (size_t i = 0; i < pages; i++)
		count += there[i] & 1;
	return count;
}

size_t
hz3_os_resident_of(const void *p, size_t bytes)
{
	size_t pages = bytes / hz3_os_page_size, step = LOOK_BYTES / hz3_os_page_size, count = 0;

	for (size_t i = 0; i < pages; i += step)
		count += count_resident((const char *)p + i * hz3_os_page_size, hz3_min(pages - i, step));
	return count * hz3_os_page_size;
}

/* /proc/self/smaps, a line at a time. */
struct smaps {
	uintptr_t from, to;	/* the range that is asked for */
	bool is_inside;		/* the mapping that is being read */
	uint64_t inside, outside;
};

/* "7f0000000000-7f0000021000 rw-p ..." begins a mapping, "Rss:   132 kB" is what we look for in it. */
static void
read_smaps_line(struct smaps *smaps, const char *line)
{
	uintptr_t start = 0;
	uint64_t kilobytes = 0;
	const char *s = line;

	if (strncmp(line, "Rss:", 4) == 0) {
		for (s += 4 + strspn(line + 4, " "); *s >= '0' && *s <= '9'; s++)
			kilobytes = kilobytes * 10 + (uint64_t)(*s - '0');
		*(smaps->is_inside ? &smaps->inside : &smaps->outside) += kilobytes * 1024;
		return;
	}
	for (; (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f'); s++)
		start = start * 16 + (uintptr_t)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
	if (*s == '-' && s > line)
		smaps->is_inside = start >= smaps->from && start < smaps->to;
}

bool
hz3_os_resident_split(uintptr_t from, uintptr_t to, uint64_t *inside, uint64_t *outside)
{
	struct smaps smaps = {.from = from, .to = to};
	char text[1024], line[64];
	size_t length = 0;
	int fd = open_file("/proc/self/smaps", O_RDONLY);
	long n;

	if (fd < 0)
		return false;
	while ((n = syscall(SYS_read, fd, text, sizeof(text))) > 0) {
		for (long i = 0; i < n; i++) {
			/* Of a long line, the beginning. */
			if (text[i] != '\n') {
				line[hz3_min(length, sizeof(line) - 1)] = text[i];
				length++;
				continue;
			}
			line[hz3_min(length, sizeof(line) - 1)] = '\0';
			read_smaps_line(&smaps, line);
			length = 0;
		}
	}
	hz3_os_close(fd);
	*inside = smaps.inside;
	*outside = smaps.outside;
	return n == 0 && smaps.inside + smaps.outside > 0;
}

/* A first thread that has ended stays, as a zombie, as long as others live: it shows as the state of the process. */
static bool
first_thread_has_ended(void)
{
	char text[256], *end;

	/* "pid (name) state ...", and a name may have parentheses. */
	read_text("/proc/self/stat", text, sizeof(text));
	end = strrchr(text, ')');
	return end != NULL && strncmp(end, ") Z", 3) == 0;
}

bool
hz3_os_is_alone(void)
{
	struct stat tasks;

	/* Links: "." and "..", and one for each thread. */
	return stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink == 4 && first_thread_has_ended();
}

bool
hz3_os_memory_is_limited(void)
{
	struct rlimit data;
	char text[16];

	if (hz3_os_address_space_limit() != SIZE_MAX)
		return true;
	if (getrlimit(RLIMIT_DATA, &data) == 0 && data.rlim_cur != RLIM_INFINITY)
		return true;
	/* Without /proc it may be. */
	read_text("/proc/sys/vm/overcommit_memory", text, sizeof(text));
	return *text == '2' || *text == '\0';
}

uint64_t
hz3_os_random(void)
{
	uint64_t value, seed[2] = {0};
	const void *given;

	if (syscall(SYS_getrandom, &value, sizeof(value), GRND_NONBLOCK) == (long)sizeof(value))
		return value;
	/* Early in the boot, or an old kernel: 16 random bytes per process, and the time to tell calls apart. */
	given = (const void *)getauxval(AT_RANDOM);
	if (given != NULL)
		memcpy(seed, given, sizeof(seed));
	return seed[0] ^ seed[1] ^ (hz3_os_clock() + (uintptr_t)&value) * 0x9e3779b97f4a7c15u;
}

ssize_t
hz3_os_write(int fd, const void *data, size_t bytes)
{
	const char *p = data;
	size_t done = 0;

	while (done < bytes) {
		long n = syscall(SYS_write, fd, p + done, bytes - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			return done > 0 ? (ssize_t)done : -1;
	}
	return (ssize_t)done;
}

ssize_t
hz3_os_read(int fd, void *data, size_t bytes)
{
	return syscall(SYS_read, fd, data, bytes);
}

int
hz3_os_open_input(const char *path)
{
	return open_file(path, O_RDONLY);
}

int
hz3_os_rename(const char *from, const char *to)
{
	return rename(from, to);
}

int
hz3_os_remove(const char *path)
{
	return unlink(path);
}

int
hz3_os_open_output(const char *path)
{
	return open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
}

int
hz3_os_open_new_output(const char *path)
{
	return open_file(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
}

extern char **environ;

void
hz3_os_meet_environment(char **envp)
{
	/* Other libcs have it by then, and give constructors no arguments. */
#ifdef __GLIBC__
	if (environ == NULL)
		environ = envp;
#else
	(void)envp;
#endif
}

void
hz3_os_name_thread(const char *name)
{
	(void)prctl(PR_SET_NAME, (unsigned long)name);
}

#define THREAD_NAME_BYTES 16

void
hz3_os_get_thread_name(char *name)
{
	memset(name, 0, THREAD_NAME_BYTES);
	(void)prctl(PR_GET_NAME, (unsigned long)name);
}

uint32_t
hz3_os_thread_id(void)
{
	return (uint32_t)syscall(SYS_gettid);
}

bool
hz3_os_name_of_thread(uint32_t id, char *name)
{
	char path[64], text[THREAD_NAME_BYTES + 1];
	size_t length;

	hz3_format(path, sizeof(path), "/proc/self/task/%u/comm", id);
	read_text(path, text, sizeof(text));
	length = strcspn(text, "\n");
	if (text[0] == '\0')
		return false;
	memset(name, 0, THREAD_NAME_BYTES);
	memcpy(name, text, hz3_min(length, THREAD_NAME_BYTES - 1));
	return true;
}

void
hz3_os_wait(const _Atomic uint32_t *word, uint32_t value, unsigned ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	(void)syscall(SYS_futex, word, HZ3_FUTEX_WAIT, value, ms == UINT32_MAX ? NULL : &time, NULL, 0);
}

void
hz3_os_wake(const _Atomic uint32_t *word)
{
	(void)syscall(SYS_futex, word, HZ3_FUTEX_WAKE, 1, NULL, NULL, 0);
}

void
hz3_os_yield(void)
{
	(void)sched_yield();
}

/* From linux/membarrier.h, which not every system has. */
#define BARRIER_PRIVATE_EXPEDITED 8
#define BARRIER_REGISTER_PRIVATE_EXPEDITED 16

int
hz3_os_barrier_everywhere(void)
{
	if (syscall(SYS_membarrier, BARRIER_PRIVATE_EXPEDITED, 0, 0) == 0)
		return 0;
	/* The first time: the process has to register. */
	if (errno != EPERM || syscall(SYS_membarrier, BARRIER_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0)
		return -1;
	return (int)syscall(SYS_membarrier, BARRIER_PRIVATE_EXPEDITED, 0, 0);
}
