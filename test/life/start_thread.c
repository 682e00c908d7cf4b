/*
 * hz3 starts its thread when malloc is called, and not from within the next best free: libc frees with the lock of its thread stacks in hand,
 * which pthread_create takes too, so that pthread_join would wait for itself.
 */
#include "../stress/stress.h"

/* Enough slow paths of free for a thread to be wanted, and fewer than those after which it is started there all the same (decay.h). */
#define BLOCKS 1600
#define BLOCK_BYTES 1000
#define DIRTY_BYTES (16 * MIB)

static _Thread_local bool in_free;
static unsigned started;	/* by the main thread, from the library */
static bool from_library;

/* hz3's call finds this one, before libc's. */
__attribute__((visibility("default"))) int
pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*f)(void *), void *arg)
{
	int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	CHECK(!in_free, "pthread_create is called from within free");
	*(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
	started += from_library;
	return next(thread, attr, f, arg);
}

static void *have_heap(void *arg)
{
	stress_discard(stress_new(100));
	stress_wait_at(arg);
	pause();
	return NULL;
}

static void body(void)
{
	static void *small[BLOCKS];
	pthread_barrier_t there;

	pthread_barrier_init(&there, NULL, 2);
	stress_thread(have_heap, &there);
	stress_wait_at(&there);
	from_library = true;
	for (unsigned i = 0; i < BLOCKS; i++)
		small[i] = stress_new(BLOCK_BYTES);
	void *dirty = stress_new(DIRTY_BYTES);
	CHECK(started == 0, "hz3 has started its thread already");

	in_free = true;
	stress_discard(dirty);
	for (unsigned i = 0; i < BLOCKS; i++)
		stress_discard(small[i]);
	in_free = false;

	/* What free could not do is not forgotten. */
	void *another = stress_new(MIB);
	CHECK(started == 1 || !on_hz3(), "hz3 has not started its thread, with %zu MiB that are free", DIRTY_BYTES / MIB);
	stress_discard(another);
}

int main(void)
{
	static const char *const variants[] = {"dirty_decay_ms:3600000", NULL};

	return stress_main(variants, 30, body);
}
