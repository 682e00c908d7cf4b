/*
 * A C program that loads the C++ runtime late and privately: when operator new runs out of memory, std::bad_alloc is
 * thrown all the same.  C cannot catch it, so std::terminate is called, and its handler ends the test well.
 */
#define _GNU_SOURCE
#include "api_test.h"

#include <unistd.h>

static void terminated(void)
{
	_exit(EXIT_SUCCESS);
}

static void call(void *function, size_t size)
{
	CHECK(((void *(*)(size_t))function)(opaque_size(size)) == NULL, "memory that no machine has");
}

int main(void)
{
	void *runtime = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_LOCAL);
	void *(*set_terminate)(void (*)(void));
	void *(*nothrow_new)(size_t, const void *);
	void *operator_new = find("_Znwm");

	if (runtime == NULL || operator_new == NULL) {
		puts("no libstdc++.so.6, or this malloc has no operator new");
		return SKIPPED;
	}
	nothrow_new = (void *(*)(size_t, const void *))find("_ZnwmRKSt9nothrow_t");
	CHECK(nothrow_new(opaque_size(SIZE_MAX), "") == NULL, "nothrow new");
	set_terminate = (void *(*)(void (*)(void)))dlsym(runtime, "_ZSt13set_terminatePFvvE");
	set_terminate(terminated);
	call(operator_new, SIZE_MAX);
	CHECK(false, "operator new of SIZE_MAX bytes returned");
	return finish();
}
