/* The stack of the calling thread, as return addresses. */
#define _GNU_SOURCE
#include "backtrace.h"

#include <dlfcn.h>
#include <elf.h>
#include <sys/auxv.h>
#include <unwind.h>

#include "atomic.h"
#include "lock.h"
#include "os_clock.h"
#include "os_process.h"

/* As unw_backtrace() of libunwind has it. */
typedef int unw_function(void **pc, int max);

/* Frames of our own that may be on top. */
#define OWN_FRAMES 16

/* How long a fork waits: a thread that walks may need a lock that the forking thread has, of the dynamic linker for one. */
#define FORK_WAIT_MS 1000

static unw_function *unw_backtrace;
static __typeof__(_Unwind_Backtrace) *unwind_backtrace;
static __typeof__(_Unwind_GetIP) *unwind_ip;

/* Where this library's code is; an empty range if we are part of the program, whose frames are what is asked for. */
extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));
static uintptr_t own_start, own_end;

static void find_own_code(void)
{
	uintptr_t start = (uintptr_t)&__ehdr_start;
	const Elf64_Phdr *header = (const void *)(start + __ehdr_start.e_phoff);

	if ((uintptr_t)header == getauxval(AT_PHDR))
		return;
	own_start = start;
	for (unsigned i = 0; i < __ehdr_start.e_phnum; i++)
		if (header[i].p_type == PT_LOAD)
			own_end = hz3_max(own_end, start + header[i].p_vaddr + header[i].p_memsz);
}

void hz3_backtrace_init(void)
{
	void *handle = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);

	find_own_code();
	if (handle)
		unw_backtrace = (unw_function *)dlsym(handle, "unw_backtrace");
	if (unw_backtrace)
		return;
	handle = dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL)
		return;
	unwind_ip = (__typeof__(unwind_ip))dlsym(handle, "_Unwind_GetIP");
	unwind_backtrace = (__typeof__(unwind_backtrace))dlsym(handle, "_Unwind_Backtrace");
}

struct frames {
	uintptr_t *pc;
	size_t max, depth;
};

static _Unwind_Reason_Code take_frame(struct _Unwind_Context *context, void *arg)
{
	struct frames *frames = arg;
	uintptr_t pc = unwind_ip(context);

	if (frames->depth == frames->max || pc == 0)
		return _URC_END_OF_STACK;
	frames->pc[frames->depth++] = pc;
	return _URC_NO_REASON;
}

static size_t walk(uintptr_t *pc, size_t max)
{
	struct frames frames = { pc, max, 0 };

	if (unw_backtrace) {
		int depth = unw_backtrace((void **)pc, (int)max);
		return depth < 0 ? 0 : (size_t)depth;
	}
	if (unwind_backtrace && unwind_ip)
		(void)unwind_backtrace(take_frame, &frames);
	return frames.depth;
}

/*
 * Threads inside of walk(), or about to see that they must not go there.  An unwinder has locks of its own, which the child of a fork would find
 * held for ever by a thread that is not there; so a fork waits until nobody is inside.
 *
 * seq_cst: who walks counts itself and then looks at "closed"; who forks closes and then looks at the count.  One sees the other.
 */
static _Atomic int walkers;
static _Atomic bool closed;	/* by the forking thread, from before it takes locks until it has released them */
static bool drained;		/* the forking thread's, while it is closed: nobody is inside */
static _Atomic bool torn;	/* relaxed; in a child whose fork could not wait */

static bool enter(void)
{
	if (hz3_lock_is_forking())
		return drained;
	/* The child of _Fork, before it has looked at who was inside: not every call of ours comes by there first. */
	if (hz3_unlikely(hz3_os_is_new_process()))
		return false;
	hz3_atomic_fetch_add(&walkers, 1, seq_cst);
	if (hz3_likely(!hz3_atomic_load(&closed, seq_cst) && !hz3_atomic_load(&torn, relaxed)))
		return true;
	hz3_atomic_fetch_sub(&walkers, 1, release);
	return false;
}

static void leave(void)
{
	/* release: pairs with the look of hz3_backtrace_fork_prepare(); the unwinder's locks are free. */
	if (!hz3_lock_is_forking())
		hz3_atomic_fetch_sub(&walkers, 1, release);
}

void hz3_backtrace_fork_prepare(bool wait)
{
	uint64_t give_up_ms = hz3_os_now_ms() + FORK_WAIT_MS;

	hz3_atomic_store(&closed, true, seq_cst);
	for (;;) {
		drained = hz3_atomic_load(&walkers, seq_cst) == 0;
		if (drained || !wait || hz3_atomic_load(&torn, relaxed) || hz3_os_now_ms() > give_up_ms)
			return;
		hz3_os_yield();
	}
}

void hz3_backtrace_fork_parent(void)
{
	drained = false;
	hz3_atomic_store(&closed, false, relaxed);
}

void hz3_backtrace_fork_child(void)
{
	if (!drained && hz3_atomic_load(&walkers, relaxed) != 0)
		hz3_atomic_store(&torn, true, relaxed);
	hz3_atomic_store(&walkers, 0, relaxed);
	hz3_backtrace_fork_parent();
}

size_t hz3_backtrace(uintptr_t *pc, size_t max)
{
	uintptr_t all[HZ3_BACKTRACE_DEPTH + OWN_FRAMES];
	size_t depth, first = 0, n = 0;

	if (!enter())
		return 0;
	depth = walk(all, sizeof(all) / sizeof(all[0]));
	leave();
	while (first < depth && all[first] - own_start < own_end - own_start)
		first++;
	while (first < depth && n < max)
		pc[n++] = all[first++];
	return n;
}

void hz3_backtrace_describe(char *text, size_t cap, uintptr_t pc)
{
	Dl_info info;

	if (dladdr((const void *)(pc - 1), &info) == 0 || info.dli_fname == NULL)
		hz3_format(text, cap, "0x%lx", (unsigned long)pc);
	else if (info.dli_sname)
		hz3_format(text, cap, "%s+0x%lx (%s+0x%lx)", info.dli_sname, (unsigned long)(pc - (uintptr_t)info.dli_saddr),
			   info.dli_fname, (unsigned long)(pc - (uintptr_t)info.dli_fbase));
	else
		hz3_format(text, cap, "%s+0x%lx", info.dli_fname, (unsigned long)(pc - (uintptr_t)info.dli_fbase));
}

const char *hz3_backtrace_name(void)
{
	if (unw_backtrace)
		return "libunwind";
	return unwind_backtrace && unwind_ip ? "libgcc" : "none";
}
