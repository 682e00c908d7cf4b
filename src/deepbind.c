/*
 * dlopen, without RTLD_DEEPBIND.
 *
 * A library that is opened with this flag finds malloc and free in its libc first, and not in us, whom the whole program uses: blocks
 * cross, and the program crashes.  PHP opens its extensions so.  The flag is left out, unless the option deepbind is set; such a library
 * then finds the program's symbols before its own, as others do.
 *
 * The shared library alone has the name dlopen for it (Makefile.am).  A program without a dynamic linker has no other dlopen.
 */
#define _GNU_SOURCE
#include "deepbind.h"

#include <dlfcn.h>

#include "atomic.h"
#include "options.h"
#include "thread.h"

typedef void *dlopen_function(const char *file, int mode);

/* relaxed: every thread finds the same. */
static dlopen_function *find_next(void)
{
	static _Atomic(dlopen_function *) found;
	dlopen_function *next = hz3_atomic_load(&found, relaxed);

	if (next == NULL) {
		*(void **)&next = dlsym(RTLD_NEXT, "dlopen");
		hz3_atomic_store(&found, next, relaxed);
	}
	return next;
}

/*
 * The dynamic linker goes by who calls: that library's RUNPATH, its namespace.  So the true dlopen is called last, in our place: it
 * returns to our caller, and takes it for its own.
 */
HZ3_EXPORT void *hz3_deepbind_dlopen(const char *file, int mode)
{
	dlopen_function *next = find_next();

	if (hz3_thread_setup() && !hz3_options.deepbind)
		mode &= ~RTLD_DEEPBIND;
	return next(file, mode);
}
