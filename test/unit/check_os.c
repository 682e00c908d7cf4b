/*
 * Tests of os.h and os_*.h: against the real system, and against a faked one that refuses, misplaces and miscounts.
 *
 * Every test runs in a process of its own (Check's default), so each may leave its fakes in place.
 */
#include "unit.h"

#include "os.h"
#include "os_clock.h"
#include "os_file.h"
#include "os_memory.h"
#include "os_process.h"
#include "os_resident.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>

#define BIG ((size_t)1 << 20)

/* The system as it was, for the fakes to call. */
static struct hz3_os_calls system_calls;

/* What the fakes saw, and the errors they are to give. */
static struct {
	int mmaps, munmaps, madvises;
	size_t mapped, unmapped;
	int fail_mmap_from; /* fail the nth mmap and all later ones; 0 fails none */
	int fail_madvise;   /* fail so many madvise calls... */
	int madvise_error;  /* ...with this */
	bool fail_munmap;
	bool ignore_hints;
	bool misalign;
} fake;

static void *fake_mmap(void *hint, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	char *p;

	ck_assert_uint_le(bytes, PTRDIFF_MAX);
	fake.mmaps++;
	if (fake.fail_mmap_from != 0 && fake.mmaps >= fake.fail_mmap_from) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	if (fake.ignore_hints) {
		hint = NULL;
		flags &= ~0x100000; /* MAP_FIXED_NOREPLACE */
	}
	if (!fake.misalign) {
		p = system_calls.mmap(hint, bytes, prot, flags, fd, offset);
	} else {
		/* One page past a multiple of 1 MiB, so that no larger alignment comes by luck. */
		size_t extra = BIG + hz3_os_page_size;

		p = system_calls.mmap(NULL, bytes + extra, prot, flags, fd, offset);
		if (p != MAP_FAILED)
			p = (char *)hz3_align_up((uintptr_t)p, BIG) + hz3_os_page_size;
	}
	if (p != MAP_FAILED)
		fake.mapped += bytes;
	return p;
}

static int fake_munmap(void *p, size_t bytes)
{
	fake.munmaps++;
	if (fake.fail_munmap) {
		errno = ENOMEM;
		return -1;
	}
	fake.unmapped += bytes;
	return system_calls.munmap(p, bytes);
}

static int fake_madvise(void *p, size_t bytes, int advice)
{
	fake.madvises++;
	ck_assert_int_eq(advice, MADV_DONTNEED);
	if (fake.fail_madvise > 0) {
		fake.fail_madvise--;
		errno = fake.madvise_error;
		return -1;
	}
	return system_calls.madvise(p, bytes, advice);
}

/* As some emulators do. */
static int lazy_madvise(void *p, size_t bytes, int advice)
{
	(void)p, (void)bytes, (void)advice;
	return 0;
}

static int refuse_mprotect(void *p, size_t bytes, int prot)
{
	(void)p, (void)bytes, (void)prot;
	errno = ENOMEM;
	return -1;
}

static void *refuse_mremap(void *p, size_t old_bytes, size_t new_bytes, int flags)
{
	(void)p, (void)old_bytes, (void)new_bytes, (void)flags;
	errno = ENOMEM;
	return MAP_FAILED;
}

static void install_fakes(void)
{
	hz3_os_init();
	hz3_os_calls.mmap = fake_mmap;
	hz3_os_calls.munmap = fake_munmap;
	hz3_os_calls.madvise = fake_madvise;
	memset(&fake, 0, sizeof(fake));
}

/* What may be done at an address, found out by asking the kernel to do it: a refusal is EFAULT, not a signal. */
static int probe_pipe[2];

static bool can_read(const void *p)
{
	char c;

	if (write(probe_pipe[1], p, 1) != 1)
		return false;
	ck_assert_int_eq(read(probe_pipe[0], &c, 1), 1);
	return true;
}

/* Overwrites the byte if it can. */
static bool can_write(void *p)
{
	char c;

	ck_assert_int_eq(write(probe_pipe[1], "", 1), 1);
	if (read(probe_pipe[0], p, 1) == 1)
		return true;
	ck_assert_int_eq(read(probe_pipe[0], &c, 1), 1);
	return false;
}

static bool is_mapped(void *p)
{
	unsigned char in_core;

	return mincore(p, 1, &in_core) == 0;
}

static void setup(void)
{
	system_calls = hz3_os_calls;
	ck_assert_int_eq(pipe(probe_pipe), 0);
}

START_TEST(init_looks_at_the_machine)
{
	cpu_set_t set;

	hz3_os_init();
	ck_assert_uint_eq(hz3_os_page_size, (size_t)sysconf(_SC_PAGESIZE));
	ck_assert(hz3_os_purge_zeroes);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	ck_assert_uint_eq(hz3_os_cpus(), (unsigned)CPU_COUNT(&set));
}
END_TEST

START_TEST(init_once)
{
	hz3_os_init();
	hz3_os_page_size = 65536;
	hz3_os_purge_zeroes = false;
	hz3_os_init();
	ck_assert_uint_eq(hz3_os_page_size, 65536);
	ck_assert(!hz3_os_purge_zeroes);
}
END_TEST

START_TEST(init_counts_its_own_cpus)
{
	cpu_set_t set;
	int cpu = 0;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(set), &set), 0);
	ck_assert_uint_eq(hz3_os_cpus(), 1);
	hz3_os_init();
	ck_assert_uint_eq(hz3_os_cpus(), 1);
}
END_TEST

START_TEST(init_distrusts_purging)
{
	hz3_os_calls.madvise = lazy_madvise;
	hz3_os_init();
	ck_assert(!hz3_os_purge_zeroes);
}
END_TEST

START_TEST(init_without_memory)
{
	hz3_os_calls.mmap = fake_mmap;
	fake.fail_mmap_from = 1;
	hz3_os_init();
	ck_assert(!hz3_os_purge_zeroes);
	ck_assert_uint_ge(hz3_os_cpus(), 1);
}
END_TEST

START_TEST(init_without_purging)
{
	hz3_os_calls.madvise = fake_madvise;
	fake.fail_madvise = 1000;
	fake.madvise_error = EINVAL;
	hz3_os_init();
	ck_assert(!hz3_os_purge_zeroes);
}
END_TEST

/* Aligned, zeroed, writable to both ends, and nothing else stays mapped. */
START_TEST(maps_aligned)
{
	install_fakes();
	fake.misalign = _i > 0;
	for (size_t alignment = hz3_os_page_size; alignment <= 64 * BIG; alignment *= 2) {
		for (size_t bytes = hz3_os_page_size; bytes <= 2 * BIG; bytes = bytes * 3 + hz3_os_page_size) {
			char *p;

			fake.mapped = fake.unmapped = 0;
			p = hz3_os_map(bytes, alignment);
			ck_assert_ptr_nonnull(p);
			ck_assert_uint_eq((uintptr_t)p & (alignment - 1), 0);
			ck_assert_uint_eq(fake.mapped - fake.unmapped, bytes);
			ck_assert_int_eq(p[0] | p[bytes / 2] | p[bytes - 1], 0);
			p[0] = p[bytes - 1] = 1;
			ck_assert_int_eq(hz3_os_unmap(p, bytes), 0);
			ck_assert(!is_mapped(p));
			ck_assert(!is_mapped(p + bytes - hz3_os_page_size));
		}
	}
}
END_TEST

static const struct {
	size_t bytes, alignment;
} impossible[] = {
	{0, 4096},
	{4096, 0},
	{4096, 3 * 4096},
	{4096, (size_t)1 << 63},
	{4096, (size_t)1 << 62},
	{SIZE_MAX - 4095, 4096},
	{SIZE_MAX - 4095, (size_t)1 << 63},
	{(size_t)1 << 63, (size_t)1 << 63},
	{((size_t)1 << 63) - 4096, (size_t)1 << 63},
	{((size_t)1 << 63) - 4096, 8192},
	{((size_t)1 << 62), (size_t)1 << 62},
};

/* Also when the kernel is of no help: the over-large request must be refused before its sum wraps. */
START_TEST(refuses_the_impossible)
{
	install_fakes();
	ck_assert_ptr_null(hz3_os_map(impossible[_i].bytes, impossible[_i].alignment));
	ck_assert_ptr_null(hz3_os_reserve(impossible[_i].bytes, impossible[_i].alignment));
	ck_assert_uint_eq(fake.mapped, fake.unmapped);
}
END_TEST

START_TEST(maps_fail)
{
	install_fakes();
	fake.fail_mmap_from = 1;
	ck_assert_ptr_null(hz3_os_map(BIG, BIG));
	ck_assert_ptr_null(hz3_os_reserve(BIG, BIG));
	ck_assert_int_eq(hz3_os_map_at((void *)((size_t)1 << 40), BIG), -1);
	ck_assert_int_eq(fake.munmaps, 0);

	/* The second try, for more than was asked, fails: the first has been undone. */
	install_fakes();
	fake.misalign = true;
	fake.fail_mmap_from = 2;
	ck_assert_ptr_null(hz3_os_map(BIG, BIG));
	ck_assert_int_eq(fake.mmaps, 2);
	ck_assert_uint_eq(fake.mapped, fake.unmapped);
}
END_TEST

/* What can't be cut off stays mapped, but the block in the middle is good. */
START_TEST(maps_without_trimming)
{
	char *p;

	install_fakes();
	fake.misalign = true;
	fake.fail_munmap = true;
	p = hz3_os_map(BIG, 2 * BIG);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq((uintptr_t)p & (2 * BIG - 1), 0);
	memset(p, 1, BIG);
	ck_assert_int_eq(hz3_os_unmap(p, BIG), -1);
	ck_assert_int_eq(p[BIG - 1], 1);
}
END_TEST

START_TEST(reserves)
{
	size_t page, bytes = 64 * BIG;
	char *p;

	hz3_os_init();
	page = hz3_os_page_size;
	p = hz3_os_reserve(bytes, BIG);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq((uintptr_t)p & (BIG - 1), 0);
	ck_assert(!can_read(p));
	ck_assert(!can_read(p + bytes - 1));
	ck_assert(!can_write(p));

	ck_assert_int_eq(hz3_os_commit(p + BIG, BIG), 0);
	memset(p + BIG, 1, BIG);
	ck_assert(!can_write(p + BIG - page));
	ck_assert(!can_write(p + 2 * BIG));

	ck_assert_int_eq(hz3_os_protect_none(p + BIG, page), 0);
	ck_assert(!can_read(p + BIG));
	ck_assert(can_read(p + BIG + page));
	ck_assert_int_eq(hz3_os_commit(p + BIG, page), 0);
	ck_assert_int_eq(p[BIG], 1);
	ck_assert_int_eq(hz3_os_unmap(p, bytes), 0);
	ck_assert(!is_mapped(p + BIG));
}
END_TEST

/* Much more than there is memory; no memory is used. */
START_TEST(reserves_a_lot)
{
	size_t before, bytes = (size_t)1 << 40;
	char *p;

	hz3_os_init();
	before = hz3_os_resident();
	p = hz3_os_reserve(bytes, 65536);
	if (p == NULL)
		return; /* an address space limit, which is not what is tested */
	ck_assert_int_eq(hz3_os_commit(p + bytes - BIG, BIG), 0);
	p[bytes - 1] = 1;
	ck_assert_uint_lt(hz3_os_resident(), before + 16 * BIG);
	ck_assert_int_eq(hz3_os_unmap(p, bytes), 0);
}
END_TEST

START_TEST(commits_fail)
{
	char *p;

	hz3_os_init();
	p = hz3_os_reserve(BIG, BIG);
	ck_assert_ptr_nonnull(p);
	hz3_os_calls.mprotect = refuse_mprotect;
	ck_assert_int_eq(hz3_os_commit(p, BIG), -1);
	ck_assert_int_eq(hz3_os_protect_none(p, BIG), -1);
	ck_assert(!can_write(p));
}
END_TEST

START_TEST(maps_at)
{
	char *p;

	hz3_os_init();
	p = hz3_os_map(2 * BIG, BIG);
	ck_assert_ptr_nonnull(p);
	p[0] = 7;
	p[BIG] = 8;
	/* Occupied, in whole or in part. */
	ck_assert_int_eq(hz3_os_map_at(p, BIG), -1);
	ck_assert_int_eq(hz3_os_unmap(p, BIG), 0);
	ck_assert_int_eq(hz3_os_map_at(p, 2 * BIG), -1);
	ck_assert_int_eq(p[BIG], 8);
	/* Free. */
	ck_assert(!is_mapped(p));
	ck_assert_int_eq(hz3_os_map_at(p, BIG), 0);
	ck_assert_int_eq(p[0], 0);
	memset(p, 1, BIG);
	ck_assert_int_eq(p[BIG], 8);
}
END_TEST

/* An old kernel takes the address for a hint, and maps elsewhere: that must be undone. */
START_TEST(maps_at_on_an_old_kernel)
{
	char *p;

	install_fakes();
	p = hz3_os_map(BIG, BIG);
	ck_assert_ptr_nonnull(p);
	p[0] = 7;
	fake.mapped = fake.unmapped = 0;
	fake.ignore_hints = true;
	ck_assert_int_eq(hz3_os_map_at(p, BIG), -1);
	ck_assert_uint_eq(fake.mapped, BIG);
	ck_assert_uint_eq(fake.unmapped, BIG);
	ck_assert_int_eq(p[0], 7);
}
END_TEST

static void fill(char *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 512)
		p[i] = (char)(i / 512 % 101);
}

static bool is_filled(const char *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 512) {
		if (p[i] != (char)(i / 512 % 101))
			return false;
	}
	return true;
}

START_TEST(remaps)
{
	char *p, *q;

	hz3_os_init();
	p = hz3_os_map(4 * BIG, BIG);
	ck_assert_ptr_nonnull(p);
	fill(p, 4 * BIG);
	/* Shrink in place, and grow into what that made free. */
	ck_assert_ptr_eq(hz3_os_remap(p, 4 * BIG, BIG, false), p);
	ck_assert(!is_mapped(p + BIG));
	ck_assert_ptr_eq(hz3_os_remap(p, BIG, 2 * BIG, false), p);
	ck_assert(is_filled(p, BIG));
	ck_assert_int_eq(p[2 * BIG - 1], 0);
	/* A neighbour in the way: only by moving. */
	ck_assert_int_eq(hz3_os_map_at(p + 2 * BIG, BIG), 0);
	ck_assert_ptr_null(hz3_os_remap(p, 2 * BIG, 8 * BIG, false));
	ck_assert(is_filled(p, BIG));
	q = hz3_os_remap(p, 2 * BIG, 8 * BIG, true);
	ck_assert_ptr_nonnull(q);
	ck_assert_ptr_ne(q, p);
	ck_assert(is_filled(q, BIG));
	ck_assert(!is_mapped(p));
	q[8 * BIG - 1] = 1;
	/* More than there can be, and a system that refuses. */
	ck_assert_ptr_null(hz3_os_remap(q, 8 * BIG, (size_t)1 << 62, true));
	hz3_os_calls.mremap = refuse_mremap;
	ck_assert_ptr_null(hz3_os_remap(q, 8 * BIG, BIG, true));
	ck_assert(is_filled(q, BIG));
}
END_TEST

START_TEST(purges)
{
	size_t bytes = 32 * BIG, before, full;
	char *p;

	hz3_os_init();
	p = hz3_os_map(bytes, BIG);
	ck_assert_ptr_nonnull(p);
	before = hz3_os_resident();
	memset(p, 1, bytes);
	full = hz3_os_resident();
	ck_assert_uint_ge(full, before + bytes * 3 / 4);
	ck_assert_int_eq(hz3_os_purge(p + BIG, bytes - BIG), 0);
	/* Compared with the full state, because ThreadSanitizer's shadow of it stays. */
	ck_assert_uint_le(hz3_os_resident(), full - bytes * 3 / 4);
	ck_assert_int_eq(p[BIG - 1], 1);
	ck_assert_int_eq(p[BIG], 0);
	ck_assert_int_eq(p[bytes - 1], 0);
	p[bytes - 1] = 1;
	ck_assert_int_eq(hz3_os_unmap(p, bytes), 0);
	ck_assert_int_eq(hz3_os_purge(p, bytes), -1);
}
END_TEST

START_TEST(purges_again)
{
	char *p;

	install_fakes();
	p = hz3_os_map(BIG, BIG);
	ck_assert_ptr_nonnull(p);
	p[0] = 1;
	/* A shortage that passes... */
	fake.fail_madvise = 2;
	fake.madvise_error = EAGAIN;
	ck_assert_int_eq(hz3_os_purge(p, BIG), 0);
	ck_assert_int_eq(fake.madvises, 3);
	ck_assert_int_eq(p[0], 0);
	/* ...one that lasts... */
	fake.madvises = 0;
	fake.fail_madvise = 1000000;
	ck_assert_int_eq(hz3_os_purge(p, BIG), -1);
	ck_assert_int_ge(fake.madvises, 2);
	ck_assert_int_le(fake.madvises, 10);
	/* ...and what no repetition cures (locked memory). */
	fake.madvises = 0;
	fake.madvise_error = EINVAL;
	ck_assert_int_eq(hz3_os_purge(p, BIG), -1);
	ck_assert_int_eq(fake.madvises, 1);
}
END_TEST

static uint64_t fake_clock(void)
{
	return 12345;
}

START_TEST(clock_ticks)
{
	uint64_t start = hz3_os_now_ms(), now;

	for (int i = 0; i < 100; i++) {
		now = hz3_os_now_ms();
		ck_assert_uint_ge(now, start);
	}
	hz3_os_sleep_ms(0);
	hz3_os_sleep_ms(60);
	now = hz3_os_now_ms();
	/* The coarse clock lags by up to 10 ms at either end. */
	ck_assert_uint_ge(now - start, 40);
	ck_assert_uint_lt(now - start, 10000);
	hz3_os_clock = fake_clock;
	ck_assert_uint_eq(hz3_os_now_ms(), 12345);
}
END_TEST

static void on_alarm(int signal)
{
	(void)signal;
}

static void interrupt_often(void)
{
	const struct itimerval often = {{0, 2000}, {0, 2000}};
	struct sigaction action = {.sa_handler = on_alarm};

	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
}

START_TEST(sleeps_through_signals)
{
	uint64_t start = hz3_os_now_ms();

	interrupt_often();
	hz3_os_sleep_ms(100);
	ck_assert_uint_ge(hz3_os_now_ms() - start, 80);
}
END_TEST

START_TEST(knows_the_address_space_limit)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_AS, &limit), 0);
	if (limit.rlim_cur == RLIM_INFINITY)
		ck_assert_uint_eq(hz3_os_address_space_limit(), SIZE_MAX);
	limit.rlim_cur = (rlim_t)1 << 47;
	if (limit.rlim_cur <= limit.rlim_max && setrlimit(RLIMIT_AS, &limit) == 0)
		ck_assert_uint_eq(hz3_os_address_space_limit(), (size_t)1 << 47);
}
END_TEST

START_TEST(knows_resident_memory)
{
	struct rlimit limit, none;
	size_t resident;

	hz3_os_init();
	resident = hz3_os_resident();
	ck_assert_uint_ge(resident, 64 << 10);
	ck_assert_uint_lt(resident, (size_t)1 << 34);
	ck_assert_uint_eq(resident % hz3_os_page_size, 0);
	/* No descriptor to be had: unknown. */
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	resident = hz3_os_resident();
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_eq(resident, 0);
}
END_TEST

START_TEST(random_numbers_differ)
{
	uint64_t seen_or = 0, seen_and = UINT64_MAX, last = 0;

	for (int i = 0; i < 64; i++) {
		uint64_t value = hz3_os_random();

		ck_assert_uint_ne(value, last);
		last = value;
		seen_or |= value;
		seen_and &= value;
	}
	ck_assert_uint_eq(seen_or, UINT64_MAX);
	ck_assert_uint_eq(seen_and, 0);
}
END_TEST

static unsigned long sum(const unsigned char *p, size_t bytes)
{
	unsigned long total = 0;

	while (bytes-- > 0)
		total = total * 31 + *p++;
	return total;
}

struct reader {
	int fd;
	size_t bytes;
	unsigned char *data;
};

static void *read_slowly(void *arg)
{
	struct reader *reader = arg;
	size_t got = 0;

	while (got < reader->bytes) {
		ssize_t n = read(reader->fd, reader->data + got, hz3_min(reader->bytes - got, 20000));

		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		if (n > 0)
			got += (size_t)n;
	}
	reader->bytes = got;
	return NULL;
}

/* More than a pipe holds, with signals in between. */
START_TEST(writes_all)
{
	static unsigned char data[4 << 20], copy[sizeof(data)];
	struct reader reader = {.bytes = sizeof(copy), .data = copy};
	pthread_t thread;
	int fds[2];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 7 + i / 256);
	ck_assert_int_eq(pipe(fds), 0);
	reader.fd = fds[0];
	ck_assert_int_eq(pthread_create(&thread, NULL, read_slowly, &reader), 0);
	interrupt_often();
	ck_assert_int_eq(hz3_os_write(fds[1], data, sizeof(data)), sizeof(data));
	pthread_join(thread, NULL);
	ck_assert_uint_eq(reader.bytes, sizeof(data));
	ck_assert_uint_eq(sum(copy, sizeof(copy)), sum(data, sizeof(data)));
}
END_TEST

START_TEST(writes_what_it_can)
{
	char data[100000] = {0};
	int fds[2];

	ck_assert_int_eq(hz3_os_write(-1, data, 1), -1);
	ck_assert_int_eq(hz3_os_write(-1, data, 0), 0);
	ck_assert_int_eq(pipe2(fds, O_NONBLOCK), 0);
	ck_assert_int_eq(fcntl(fds[1], F_SETPIPE_SZ, 65536), 65536);
	ck_assert_int_eq(hz3_os_write(fds[1], data, sizeof(data)), 65536);
	ck_assert_int_eq(hz3_os_write(fds[1], data, sizeof(data)), -1);
}
END_TEST

START_TEST(opens_output)
{
	char path[] = "/tmp/check_os.XXXXXX";
	struct stat status;
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "old contents", 12), 12);
	close(fd);
	fd = hz3_os_open_output(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(hz3_os_write(fd, "new", 3), 3);
	hz3_os_close(fd);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_int_eq(status.st_size, 3);
	unlink(path);

	umask(0);
	fd = hz3_os_open_output(path);
	ck_assert_int_ge(fd, 0);
	hz3_os_close(fd);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0644);
	unlink(path);

	ck_assert_int_eq(hz3_os_open_output("/tmp"), -1);
	ck_assert_int_eq(hz3_os_open_output("/nonexistent/file"), -1);
	ck_assert_int_eq(hz3_os_open_output(""), -1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("os");
	TCase *tc = tcase_create("init");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, init_looks_at_the_machine);
	tcase_add_test(tc, init_once);
	tcase_add_test(tc, init_counts_its_own_cpus);
	tcase_add_test(tc, init_distrusts_purging);
	tcase_add_test(tc, init_without_memory);
	tcase_add_test(tc, init_without_purging);
	suite_add_tcase(suite, tc);

	tc = tcase_create("memory");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, maps_aligned, 0, 2);
	tcase_add_loop_test(tc, refuses_the_impossible, 0, sizeof(impossible) / sizeof(impossible[0]));
	tcase_add_test(tc, maps_fail);
	tcase_add_test(tc, maps_without_trimming);
	tcase_add_test(tc, reserves);
	tcase_add_test(tc, reserves_a_lot);
	tcase_add_test(tc, commits_fail);
	tcase_add_test(tc, maps_at);
	tcase_add_test(tc, maps_at_on_an_old_kernel);
	tcase_add_test(tc, remaps);
	tcase_add_test(tc, purges);
	tcase_add_test(tc, purges_again);
	tcase_set_timeout(tc, 30);
	suite_add_tcase(suite, tc);

	tc = tcase_create("system");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, clock_ticks);
	tcase_add_test(tc, sleeps_through_signals);
	tcase_add_test(tc, knows_the_address_space_limit);
	tcase_add_test(tc, knows_resident_memory);
	tcase_add_test(tc, random_numbers_differ);
	tcase_add_test(tc, writes_all);
	tcase_add_test(tc, writes_what_it_can);
	tcase_add_test(tc, opens_output);
	tcase_set_timeout(tc, 30);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
