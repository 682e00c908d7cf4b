/*
 * The process, its threads and the processors it runs on, as Linux tells.
 *
 * What hz3_os_init() finds out is written while there is one thread, and only read afterwards.
 */
#include "os_process.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os_file.h"
#include "os_kept.h"
#include "os_linux.h"
#include "os_memory.h"

/* Machines have fewer processors than this; the kernel refuses a mask that is too short for it. */
#define CPUS_MAX 8192

static _Atomic uint32_t one_process = HZ3_PROCESS_KNOWN;	/* where the system can't tell */
_Atomic uint32_t *hz3_os_process = &one_process;

static _Atomic uint32_t our_id;	/* relaxed: it changes while a new process has nothing else to do */

static unsigned cpus = 1;

static void watch_for_new_process(void)
{
	void *p = hz3_os_map(hz3_os_page_size, hz3_os_page_size);

	if (p == NULL)
		return;
	if (madvise(p, hz3_os_page_size, MADV_WIPEONFORK) != 0) {
		hz3_os_discard(p, hz3_os_page_size);
		return;
	}
	hz3_os_process = p;
	hz3_os_process_is(HZ3_PROCESS_KNOWN);
}

size_t hz3_os_own_bytes(void)
{
	return hz3_os_process == &one_process ? 0 : hz3_os_page_size;
}

static unsigned count_cpus(void)
{
	unsigned long mask[CPUS_MAX / (8 * sizeof(unsigned long))] = {0};
	unsigned count = 0;

	if (sched_getaffinity(0, sizeof(mask), (cpu_set_t *)mask) != 0)
		return 1;
	for (size_t i = 0; i < sizeof(mask) / sizeof(mask[0]); i++)
		count += (unsigned)__builtin_popcountl(mask[i]);
	return count > 0 ? count : 1;
}

void hz3_os_meet_machine(void)
{
	cpus = count_cpus();
	hz3_os_process_is_ours();
	watch_for_new_process();
}

unsigned hz3_os_cpus(void)
{
	return cpus;
}

uint32_t hz3_os_process_id(void)
{
	return (uint32_t)syscall(SYS_getpid);
}

void hz3_os_process_is_ours(void)
{
	hz3_atomic_store(&our_id, hz3_os_process_id(), relaxed);
}

bool hz3_os_is_our_process(void)
{
	return hz3_os_process_id() == hz3_atomic_load(&our_id, relaxed);
}

extern char **environ;

void hz3_os_meet_environment(char **envp)
{
	if (HZ3_CONSTRUCTORS_GET_ENVIRONMENT && environ == NULL)
		environ = envp;
}

int hz3_os_barrier_everywhere(void)
{
	if (syscall(SYS_membarrier, HZ3_BARRIER_PRIVATE_EXPEDITED, 0, 0) == 0)
		return 0;
	/* The first time: the process has to register. */
	if (errno != EPERM || syscall(SYS_membarrier, HZ3_BARRIER_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0)
		return -1;
	return (int)syscall(SYS_membarrier, HZ3_BARRIER_PRIVATE_EXPEDITED, 0, 0);
}

void hz3_os_be_ordinary_thread(void)
{
	unsigned long mask[CPUS_MAX / (8 * sizeof(unsigned long))] = {0};
	struct sched_param none = {0};
	int policy = sched_getscheduler(0);

	if (policy == SCHED_FIFO || policy == SCHED_RR)
		(void)sched_setscheduler(0, SCHED_OTHER, &none);
	if (sched_getaffinity((pid_t)hz3_os_process_id(), sizeof(mask), (cpu_set_t *)mask) == 0)
		(void)sched_setaffinity(0, sizeof(mask), (cpu_set_t *)mask);
}

void hz3_os_name_thread(const char *name)
{
	(void)prctl(PR_SET_NAME, (unsigned long)name);
}

void hz3_os_get_thread_name(char name[HZ3_OS_THREAD_NAME_BYTES])
{
	memset(name, 0, HZ3_OS_THREAD_NAME_BYTES);
	(void)prctl(PR_GET_NAME, (unsigned long)name);
}

uint32_t hz3_os_thread_id(void)
{
	return (uint32_t)syscall(SYS_gettid);
}

bool hz3_os_name_of_thread(uint32_t id, char name[HZ3_OS_THREAD_NAME_BYTES])
{
	char path[64], text[HZ3_OS_THREAD_NAME_BYTES + 1];
	size_t length;

	hz3_format(path, sizeof(path), "/proc/self/task/%u/comm", id);
	hz3_os_read_text(path, text, sizeof(text));
	length = strcspn(text, "\n");
	if (text[0] == '\0')
		return false;
	memset(name, 0, HZ3_OS_THREAD_NAME_BYTES);
	memcpy(name, text, hz3_min(length, HZ3_OS_THREAD_NAME_BYTES - 1));
	return true;
}

/* A first thread that has ended stays, as a zombie, as long as others live: it shows as the state of the process. */
static bool first_thread_has_ended(void)
{
	char text[256], *end;

	/* "pid (name) state ...", and a name may have parentheses. */
	hz3_os_read_text("/proc/self/stat", text, sizeof(text));
	end = strrchr(text, ')');
	return end != NULL && strncmp(end, ") Z", 3) == 0;
}

bool hz3_os_is_alone(void)
{
	struct stat tasks;

	/* Links: "." and "..", and one for each thread. */
	return stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink == 4 && first_thread_has_ended();
}
