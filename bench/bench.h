/*
 * What benchmarks share: a clock, random numbers, how much memory we use, and whose malloc this is.
 *
 * Nothing here belongs to hz3: a benchmark runs on whatever malloc its process has, and says which that was.
 */
#ifndef BENCH_H
#define BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#if defined(__GLIBC__)
#include <gnu/libc-version.h>
#endif

/* Seconds of a clock that nobody sets. */
static inline double
bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline void
bench_sleep(double seconds)
{
	struct timespec t = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };

	while (nanosleep(&t, &t) != 0)
		;
}

/* Processor time of all threads so far, in seconds, user and system. */
static inline double
bench_cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* A line of /proc/self/status in KiB, "VmRSS:" now or "VmHWM:" at most so far; 0 if there is none. */
static inline long
bench_status_kib(const char *key)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = 0;

	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, key, strlen(key)) == 0) {
			kib = strtol(line + strlen(key), NULL, 10);
			break;
		}
	}
	fclose(f);
	return kib;
}

/* xorshift64*: fast, good enough to pick sizes, the same on every machine.  The state must not be 0. */
static inline uint64_t
bench_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* A state for the index-th user of a seed; neighbours have nothing in common. */
static inline uint64_t
bench_seed(uint64_t seed, uint64_t index)
{
	uint64_t z = seed + (index + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return z != 0 ? z : 1;
}

/* The file that malloc really comes from. */
static inline const char *
bench_malloc_path(void)
{
	void *address = dlsym(RTLD_DEFAULT, "malloc");
	Dl_info info;

	if (address == NULL || dladdr(address, &info) == 0 || info.dli_fname == NULL)
		return "unknown";
	return info.dli_fname;
}

/* What that library says its version is, as "name-version", without blanks. */
static inline const char *
bench_malloc_version(void)
{
	static char text[64];
	union {
		void *address;
		const char *(*hz3)(void);
		int (*mimalloc)(void);
		int (*mallctl)(const char *, void *, size_t *, void *, size_t);
	} f;
	const char *version = "unknown";
	size_t bytes = sizeof(version);

	if ((f.address = dlsym(RTLD_DEFAULT, "hz3_version")) != NULL) {
		snprintf(text, sizeof(text), "hz3-%s", f.hz3());
	} else if ((f.address = dlsym(RTLD_DEFAULT, "mi_version")) != NULL) {
		snprintf(text, sizeof(text), "mimalloc-%d", f.mimalloc());
	} else if ((f.address = dlsym(RTLD_DEFAULT, "mallctl")) != NULL) {
		f.mallctl("version", &version, &bytes, NULL, 0);
		snprintf(text, sizeof(text), "jemalloc-%.*s", (int)strcspn(version, "-"), version);
	} else {
#if defined(__GLIBC__)
		snprintf(text, sizeof(text), "glibc-%s", gnu_get_libc_version());
#else
		snprintf(text, sizeof(text), "libc");
#endif
	}
	return text;
}

#endif
