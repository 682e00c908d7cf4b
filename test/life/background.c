/*
 * hz3's own thread: the child of a vfork, which is in the parent's memory, doesn't start it, and so can't take it along; and it is an ordinary
 * thread, whoever has started it. The status of a bare clone's child, which ends as no thread of libc's does, is not lost for it.
 */
#include "../stress/stress.h"

#include <dirent.h>
#include <sched.h>
#include <sys/syscall.h>

#define PIECES 20000
#define PIECE 1000
#define CHILD_STATUS 7

static pthread_barrier_t gate;

static void *have_heap(void *arg)
{
	stress_discard(stress_new(100));
	stress_wait_at(&gate);
	pause();
	return arg;
}

/* Of the thread with this name, 0 if there is none (yet). */
static pid_t find_thread(const char *name)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	pid_t found = 0;

	CHECK(tasks != NULL, "no /proc");
	while (found == 0 && (entry = readdir(tasks)) != NULL) {
		char path[300], text[64] = "";
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		FILE *file = fopen(path, "r");
		if (file == NULL)
			continue;
		if (fgets(text, sizeof(text), file) != NULL && strncmp(text, name, strlen(name)) == 0)
			found = atoi(entry->d_name);
		fclose(file);
	}
	closedir(tasks);
	return found;
}

static void *pieces[PIECES];

static void fill(void)
{
	for (unsigned i = 0; i < PIECES; i++)
		pieces[i] = stress_new(PIECE);
}

static void drop(void)
{
	for (unsigned i = 0; i < PIECES; i++)
		stress_discard(pieces[i]);
}

/* Enough slow paths for the thread to be started, if it is to be.  A real-time thread's processor is not given to others before it sleeps. */
static pid_t make_it_start(bool by_real_time)
{
	struct timespec moment = {.tv_nsec = 1000000};
	pid_t thread;

	for (unsigned i = 0; (thread = find_thread("hz3-background")) == 0 && i < 5000; i++) {
		stress_discard(stress_new(2 * MIB));
		if (by_real_time)
			nanosleep(&moment, NULL);
	}
	CHECK(thread != 0, "there is no thread");
	return thread;
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static void child_of_vfork(void)
{
	struct timespec moment = {.tv_nsec = 10000000};

	fill();
	pid_t pid = vfork();
	if (pid == 0) {
		drop();
		for (unsigned i = 0; i < 2000; i++)
			stress_discard(stress_new(2 * MIB));
		_exit(0);
	}
	stress_wait_for(pid, 0, "a child of vfork");
	CHECK(find_thread("hz3-background") == 0, "there is a thread already");
	fill();
	drop();
	make_it_start(false);
	for (unsigned i = 0; i < 1000 && stress_stat("stats.dirty") > MIB; i++)
		nanosleep(&moment, NULL);
	CHECK(stress_stat("stats.dirty") <= MIB, "%zu bytes stay dirty", stress_stat("stats.dirty"));
}

/* ---- From a thread that is not ordinary ---- */

static void *start_it(void *arg)
{
	struct sched_param first = {.sched_priority = 1};
	cpu_set_t one;
	int cpu = sched_getcpu();

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	CHECK(sched_setaffinity(0, sizeof(one), &one) == 0, "sched_setaffinity");
	/* If it may. */
	(void)sched_setscheduler(0, SCHED_FIFO, &first);
	fill();
	drop();
	make_it_start(true);
	return arg;
}

static void thread_is_ordinary(void)
{
	struct timespec moment = {.tv_nsec = 10000000};
	cpu_set_t ours, its;
	pid_t thread;

	pthread_join(stress_thread(start_it, NULL), NULL);
	thread = find_thread("hz3-background");
	sched_getaffinity(0, sizeof(ours), &ours);
	/* It has a name before the rest. */
	for (unsigned i = 0; i < 500; i++) {
		CHECK(sched_getaffinity(thread, sizeof(its), &its) == 0, "sched_getaffinity");
		if (CPU_EQUAL(&ours, &its))
			break;
		nanosleep(&moment, NULL);
	}
	CHECK(CPU_EQUAL(&ours, &its), "the thread has the processors of the one that started it");
	CHECK(sched_getscheduler(thread) == SCHED_OTHER, "the thread has policy %d", sched_getscheduler(thread));
}

/* ---- A bare clone ---- */

static void child_of_clone(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0) {
		fill();
		drop();
		/* As when a function returns that clone() has called: this thread ends, and not the process. */
		syscall(SYS_exit, CHILD_STATUS);
	}
	stress_wait_for(pid, CHILD_STATUS, "a child of clone");
}

static void body(void)
{
	if (!on_hz3())
		return;
	if (strstr(stress_variant, "stats_signal") != NULL) {
		child_of_clone();
		return;
	}
	pthread_barrier_init(&gate, NULL, 2);
	stress_thread(have_heap, NULL);
	stress_wait_at(&gate);
	if (strstr(stress_variant, "sink:page") != NULL)
		thread_is_ordinary();
	else
		child_of_vfork();
}

int main(void)
{
	static const char *const variants[] = {"sink:central,dirty_decay_ms:100", "sink:page,dirty_decay_ms:100", "stats_signal:USR2", NULL};

	return stress_main(variants, 60, body);
}
