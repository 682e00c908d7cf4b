/*
 * A system whose MADV_DONTNEED leaves the contents where they are, as some emulators': calloc gives zeroes all the same.
 *
 * Run as it is, it puts itself behind shim.c, which plays such a system.  With HZ3_FAULT_CASE it only does what it does, on
 * the system that there is: emulated.sh runs it so.
 */
#include "../stress/stress.h"
#include "shim.h"

#define BLOCKS 64

static uint64_t random_state;

static size_t some_size(unsigned i)
{
	return i % 4 == 0 ? 1 + stress_below(&random_state, 2 * KIB) : 1 + stress_below(&random_state, 3 * MIB);
}

static void check_zero(const unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		CHECK(p[i] == 0, "calloc(%zu): byte %zu is %#x", size, i, p[i]);
}

static void dirty_and_look(void)
{
	unsigned char *p[BLOCKS];

	for (unsigned round = 0; round < (stress_long ? 50 : 4); round++) {
		for (unsigned i = 0; i < BLOCKS; i++) {
			size_t size = some_size(i);
			p[i] = calloc(1, size);
			CHECK(p[i] != NULL, "no memory for %zu bytes", size);
			check_zero(p[i], size);
			memset(p[i], 0xa5, size);
		}
		for (unsigned i = 0; i < BLOCKS; i++)
			free(p[i]);
		stress_purge();
	}
}

static void *dirty_in_a_thread(void *arg)
{
	dirty_and_look();
	return arg;
}

static void look(void)
{
	struct faults *shim = dlsym(RTLD_DEFAULT, "faults");

	random_state = stress_state(1);
	dirty_and_look();
	pthread_join(stress_thread(dirty_in_a_thread, NULL), NULL);
	dirty_and_look();
	if (shim != NULL) {
		CHECK(shim->calls[FAULT_MADVISE] > 5, "nothing was purged");
		printf("%ld calls of madvise: nothing stale\n", shim->calls[FAULT_MADVISE]);
	}
}

int main(void)
{
	static char preload[8192];
	const char *form = getenv("HZ3_STRESS"), *lib = getenv("HZ3_LIB"), *build = getenv("HZ3_BUILDDIR");

	stress_find_hz3();
	stress_limit(100);
	stress_long = form != NULL && strcmp(form, "long") == 0;
	if (getenv("HZ3_FAULT_CASE") != NULL) {
		CHECK(on_hz3(), "hz3 is not there");
		look();
		return 0;
	}
	if (lib == NULL || build == NULL || !on_hz3()) {
		printf("SKIP: only libhz3.so is tested, as make check does it\n");
		return SKIPPED;
	}
	snprintf(preload, sizeof(preload), "%s/test/faults/.libs/libfaults.so %s", build, lib);
	setenv("LD_PRELOAD", preload, 1);
	setenv("HZ3_FAULT_CASE", "stale", 1);
	setenv("HZ3_FAULT_SYSTEM", "2", 1);
	execl("/proc/self/exe", "stale", (char *)NULL);
	FAIL("exec: %s", strerror(errno));
}
