/*
 * A system with larger pages, pretended: preloaded before libhz3.so, or into a test that links the core.
 *
 *   HZ3_TEST_PAGE_SIZE=16384    (or 65536) what sysconf and getauxval say, and what the memory calls keep to
 *
 * Addresses that are not on a page boundary get EINVAL; lengths are rounded up, so that unmapping a little too much takes
 * what follows with it; mappings lie on page boundaries.  If hz3 itself passes such an address or length, that is a bug,
 * and ends the process.  Memory is still counted in the real pages.  For glibc only.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern long __sysconf(int name);
extern char **environ;

/* Called before constructors have run, and by malloc: no library call that may allocate. */
static size_t page_size(void)
{
	static const char name[] = "HZ3_TEST_PAGE_SIZE=";
	static size_t size;

	if (size != 0 || environ == NULL)
		return size != 0 ? size : 4096;
	for (char **entry = environ; *entry != NULL; entry++) {
		if (strncmp(*entry, name, sizeof(name) - 1) == 0)
			size = (size_t)strtoul(*entry + sizeof(name) - 1, NULL, 10);
	}
	if (size < 4096 || (size & (size - 1)) != 0)
		size = 4096;
	return size;
}

static size_t up(size_t n)
{
	return (n + page_size() - 1) & ~(page_size() - 1);
}

static bool on_boundary(uintptr_t n)
{
	return (n & (page_size() - 1)) == 0;
}

/* Whether the call may go on; a call of hz3's with a bad argument ends here. */
static bool judge(const char *call, void *address, size_t bytes, const void *caller)
{
	Dl_info info;
	char line[200];

	if (on_boundary((uintptr_t)address) && on_boundary(bytes))
		return true;
	if (dladdr(caller, &info) != 0 && info.dli_fname != NULL && strstr(info.dli_fname, "libhz3") != NULL) {
		int n = snprintf(line, sizeof(line), "pages: %s(%p, %zu) with pages of %zu bytes, called from %s+%#zx\n",
				 call, address, bytes, page_size(), "libhz3",
				 (size_t)((uintptr_t)caller - (uintptr_t)info.dli_fbase));
		if (write(STDERR_FILENO, line, (size_t)n) != n)
			_exit(1);
		abort();
	}
	if (on_boundary((uintptr_t)address))
		return true;
	errno = EINVAL;
	return false;
}

static void *real_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, address, bytes, protection, flags, fd, offset);
}

static void real_munmap(void *address, size_t bytes)
{
	if (bytes > 0)
		(void)syscall(SYS_munmap, address, bytes);
}

long sysconf(int name)
{
	return name == _SC_PAGESIZE ? (long)page_size() : __sysconf(name);
}

int getpagesize(void)
{
	return (int)page_size();
}

void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	size_t spare = page_size() - 4096;

	if (!(flags & MAP_ANONYMOUS))
		return real_mmap(address, bytes, protection, flags, fd, offset);
	if (!judge("mmap", flags & MAP_FIXED ? address : NULL, bytes, __builtin_return_address(0)))
		return MAP_FAILED;
	if (bytes == 0 || bytes > SIZE_MAX - page_size()) {
		errno = bytes == 0 ? EINVAL : ENOMEM;
		return MAP_FAILED;
	}
	bytes = up(bytes);
	address = (void *)((uintptr_t)address & ~(page_size() - 1));
	char *p = real_mmap(address, bytes, protection, flags, fd, offset);
	if (p == MAP_FAILED || on_boundary((uintptr_t)p))
		return p;
	real_munmap(p, bytes);
	p = real_mmap(NULL, bytes + spare, protection, flags, fd, offset);
	if (p == MAP_FAILED)
		return p;
	size_t head = up((uintptr_t)p) - (uintptr_t)p;
	real_munmap(p, head);
	real_munmap(p + head + bytes, spare - head);
	return p + head;
}

int munmap(void *address, size_t bytes)
{
	return judge("munmap", address, bytes, __builtin_return_address(0)) ? (int)syscall(SYS_munmap, address, up(bytes)) : -1;
}

int mprotect(void *address, size_t bytes, int protection)
{
	return judge("mprotect", address, bytes, __builtin_return_address(0))
		       ? (int)syscall(SYS_mprotect, address, up(bytes), protection)
		       : -1;
}

int madvise(void *address, size_t bytes, int advice)
{
	return judge("madvise", address, bytes, __builtin_return_address(0))
		       ? (int)syscall(SYS_madvise, address, up(bytes), advice)
		       : -1;
}

void *mremap(void *address, size_t old_bytes, size_t new_bytes, int flags, ...)
{
	const void *caller = __builtin_return_address(0);
	va_list arguments;
	void *place, *p;

	va_start(arguments, flags);
	place = flags & MREMAP_FIXED ? va_arg(arguments, void *) : NULL;
	va_end(arguments);
	if (!judge("mremap", address, old_bytes, caller) || !judge("mremap", place, new_bytes, caller))
		return MAP_FAILED;
	old_bytes = up(old_bytes);
	new_bytes = up(new_bytes);
	if (flags & MREMAP_FIXED)
		return (void *)syscall(SYS_mremap, address, old_bytes, new_bytes, flags, place);
	p = (void *)syscall(SYS_mremap, address, old_bytes, new_bytes, 0);
	if (p != MAP_FAILED || !(flags & MREMAP_MAYMOVE))
		return p;
	/* It has to move, to a page boundary. */
	place = mmap(NULL, new_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (place == MAP_FAILED)
		return place;
	p = (void *)syscall(SYS_mremap, address, old_bytes, new_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place);
	if (p == MAP_FAILED)
		real_munmap(place, new_bytes);
	return p;
}
