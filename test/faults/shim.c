/*
 * A library to preload before libhz3.so: the Nth call of a kind that hz3 makes to the system fails; see shim.h.
 *
 * The real calls are made bare, so that the shim works before anything else does.  Nothing here allocates.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct faults faults = {.call = -1};

/* Where the code of hz3 is; set by the first call, which comes from there, while there is one thread. */
static uintptr_t hz3_start, hz3_end;

/* What hz3 has reserved only: counted as far as it is made writable. */
static uintptr_t reserved_start, reserved_end;
static size_t reserved_used;

static bool is_reserved(const void *p)
{
	return (uintptr_t)p >= reserved_start && (uintptr_t)p < reserved_end;
}

/* After an end was cut off, or all of it was. */
static void cut_reserved(const void *p, size_t bytes)
{
	uintptr_t from = (uintptr_t)p, to = from + bytes;

	if (from > reserved_start) {
		reserved_end = from;
	} else if (to < reserved_end) {
		reserved_start = to;
	} else {
		faults.mapped -= reserved_used;
		reserved_start = reserved_end = 0;
	}
}

static int note_hz3(struct dl_phdr_info *info, size_t bytes, void *arg)
{
	(void)bytes;
	(void)arg;
	if (strstr(info->dlpi_name, "libhz3.so") == NULL)
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];

		if (part->p_type != PT_LOAD || !(part->p_flags & PF_X))
			continue;
		hz3_start = info->dlpi_addr + part->p_vaddr;
		hz3_end = hz3_start + part->p_memsz;
	}
	return 1;
}

/* "CALL:NTH:COUNT:ERRNO", and what the system is like. */
static void read_environment(void)
{
	const char *fault = getenv("HZ3_FAULT"), *system = getenv("HZ3_FAULT_SYSTEM");
	long number[4] = {-1, 0, 0, 0};
	char *end;

	for (int i = 0; fault != NULL && i < 4; i++) {
		number[i] = strtol(fault, &end, 10);
		fault = *end == ':' ? end + 1 : NULL;
	}
	faults.nth = number[1];
	faults.count = number[2];
	faults.error = (int)number[3];
	faults.call = (int)number[0];
	if (system != NULL)
		faults.system = atoi(system);
}

static bool from_hz3(const void *caller)
{
	if (hz3_start == 0) {
		dl_iterate_phdr(note_hz3, NULL);
		read_environment();
	}
	return (uintptr_t)caller >= hz3_start && (uintptr_t)caller < hz3_end;
}

/* Count a call, and say whether it is to fail. */
static bool fails(enum fault_call call)
{
	faults.calls[call]++;
	if (faults.call != (int)call)
		return false;
	long past = ++faults.since - faults.nth;
	if (past < 0 || past >= faults.count)
		return false;
	faults.hits++;
	return true;
}

#define FAILS(call) (from_hz3(__builtin_return_address(0)) && fails(call))

static bool system_is(int bit)
{
	return (faults.system & bit) != 0;
}

static void *real_mmap(void *hint, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, hint, bytes, prot, flags, fd, offset);
}

static void *refused(void)
{
	errno = faults.error;
	return MAP_FAILED;
}

void *mmap(void *hint, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	if (!from_hz3(__builtin_return_address(0)))
		return real_mmap(hint, bytes, prot, flags, fd, offset);
	if (fails(FAULT_MMAP))
		return refused();
	if (system_is(FAULT_SYSTEM_NO_HINTS) && !(flags & MAP_FIXED))
		hint = NULL;
	void *p = real_mmap(hint, bytes, prot, flags, fd, offset);
	if (p != MAP_FAILED && prot == PROT_NONE) {
		reserved_start = (uintptr_t)p;
		reserved_end = (uintptr_t)p + bytes;
		reserved_used = 0;
	} else if (p != MAP_FAILED) {
		faults.mapped += bytes;
	}
	return p;
}

int munmap(void *p, size_t bytes)
{
	bool ours = from_hz3(__builtin_return_address(0));

	if (ours && fails(FAULT_MUNMAP)) {
		errno = faults.error;
		return -1;
	}
	int error = (int)syscall(SYS_munmap, p, bytes);
	if (ours && error == 0 && is_reserved(p))
		cut_reserved(p, bytes);
	else if (ours && error == 0)
		faults.mapped -= bytes;
	return error;
}

void *mremap(void *p, size_t old_bytes, size_t new_bytes, int flags, ...)
{
	void *place = NULL;
	va_list args;

	va_start(args, flags);
	if (flags & MREMAP_FIXED)
		place = va_arg(args, void *);
	va_end(args);
	bool ours = from_hz3(__builtin_return_address(0));
	if (ours && fails(FAULT_MREMAP))
		return refused();
	void *q = (void *)syscall(SYS_mremap, p, old_bytes, new_bytes, flags, place);
	if (ours && q != MAP_FAILED)
		faults.mapped += new_bytes - old_bytes;
	return q;
}

int mprotect(void *p, size_t bytes, int prot)
{
	bool ours = from_hz3(__builtin_return_address(0));

	if (ours && fails(FAULT_MPROTECT)) {
		errno = faults.error;
		return -1;
	}
	int error = (int)syscall(SYS_mprotect, p, bytes, prot);
	if (ours && error == 0 && is_reserved(p)) {
		size_t more = prot == PROT_NONE ? -bytes : bytes;
		faults.mapped += more;
		reserved_used += more;
	}
	return error;
}

int madvise(void *p, size_t bytes, int advice)
{
	bool ours = from_hz3(__builtin_return_address(0));

	if (ours && fails(FAULT_MADVISE)) {
		errno = faults.error;
		return -1;
	}
	if (ours && advice == MADV_DONTNEED && system_is(FAULT_SYSTEM_LAZY_MADVISE))
		return 0;
	return (int)syscall(SYS_madvise, p, bytes, advice);
}

/* The next definition of a function.  ISO C has no cast from data to functions; POSIX promises that they are alike. */
#define NEXT(function)                                                                                               \
	static __typeof__(&function) next;                                                                           \
	if (next == NULL)                                                                                            \
		*(void **)&next = dlsym(RTLD_NEXT, #function)

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*f)(void *), void *arg)
{
	NEXT(pthread_create);
	return FAILS(FAULT_PTHREAD_CREATE) ? faults.error : next(thread, attr, f, arg);
}

int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
	NEXT(pthread_key_create);
	return FAILS(FAULT_PTHREAD_KEY_CREATE) ? faults.error : next(key, destructor);
}

int pthread_setspecific(pthread_key_t key, const void *value)
{
	NEXT(pthread_setspecific);
	return FAILS(FAULT_PTHREAD_SETSPECIFIC) ? faults.error : next(key, value);
}

/* What pthread_atfork, which every library has a copy of, calls. */
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *library);

int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *library)
{
	NEXT(__register_atfork);
	return FAILS(FAULT_PTHREAD_ATFORK) ? faults.error : next(prepare, parent, child, library);
}
