/* Guarded samples: some allocations get pages of their own, with inaccessible ones before and behind them. */
#include "guard.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "meta.h"
#include "options.h"
#include "os_memory.h"
#include "os_process.h"
#include "size_class.h"

#define SLOTS 512u
#define FRAMES 16
#define SLACK_BYTE 0xc7

/* Frames further apart than this are no frames. */
#define FRAME_BYTES_MAX ((size_t)1 << 20)

enum slot_state { SLOT_UNUSED, SLOT_LIVE, SLOT_FREED };

struct stack {
	uint32_t thread;
	void *pc[FRAMES];		/* ends with NULL, or is full */
};

struct slot {
	enum slot_state state;
	uint32_t next_freed;
	char *block;
	size_t size;			/* as asked for */
	struct stack allocated, freed;
};

uint32_t hz3_guard_every;
struct hz3_guard_region hz3_guard_region;
static void mend(struct hz3_lock *lock);

struct hz3_lock hz3_guard_lock = HZ3_LOCK_INIT(HZ3_RANK_GUARD, "guard", mend);

/* Under the lock, all of it; but for the handler, which reads, when it is too late for more. */
static struct slot *slots;
static uint32_t fresh_slots;		/* that were never used, from the end */
static uint32_t oldest_freed, newest_freed;
static uint32_t freed_slots;

static size_t data_bytes;		/* of a slot; as many inaccessible ones go before */
static struct sigaction previous;

static char *slot_end(uint32_t i)
{
	return (char *)hz3_guard_region.start + (i + 1) * 2 * data_bytes;
}

static struct slot *slot_of(const void *p)
{
	return &slots[hz3_min(((uintptr_t)p - hz3_guard_region.start) / (2 * data_bytes), SLOTS - 1)];
}

static size_t rounded(size_t size)
{
	return hz3_align_up(hz3_max(size, 1), 16);
}

/* ---- Stacks ---- */

/* Two words at any address, or false: what looks like a frame may be none. */
static bool read_frame(uintptr_t address, uintptr_t frame[2])
{
	struct iovec to = { frame, 2 * sizeof(*frame) }, from = { (void *)address, 2 * sizeof(*frame) };

	return syscall(SYS_process_vm_readv, hz3_os_process_id(), &to, 1L, &from, 1L, 0L) == (long)to.iov_len;
}

/* By frame pointers.  Where a caller has none, the walk ends; the address of the call itself is always there. */
static void walk(struct stack *stack, void *frame_address)
{
	uintptr_t at = (uintptr_t)frame_address, frame[2];
	unsigned n = 0;

	stack->thread = hz3_os_thread_id();
	while (n < FRAMES && read_frame(at, frame) && frame[1] > 4096) {
		stack->pc[n++] = (void *)frame[1];
		if (frame[0] % sizeof(void *) != 0 || frame[0] <= at || frame[0] - at > FRAME_BYTES_MAX)
			break;
		at = frame[0];
	}
	if (n < FRAMES)
		stack->pc[n] = NULL;
}

/* A line like "allocated by thread 17: prog+0x1234 libc.so.6+0x5678". */
static void print_stack(const char *what, const struct stack *stack)
{
	char line[400];
	size_t used = 0;

	line[0] = '\0';
	for (unsigned i = 0; i < FRAMES && stack->pc[i]; i++) {
		Dl_info info;
		/* What is in no module was no frame. */
		if (!dladdr(stack->pc[i], &info) || info.dli_fname == NULL)
			break;
		const char *name = strrchr(info.dli_fname, '/');
		used += hz3_format(line + used, sizeof(line) - used, " %s+0x%lx", name ? name + 1 : info.dli_fname,
				   (unsigned long)((uintptr_t)stack->pc[i] - (uintptr_t)info.dli_fbase));
	}
	hz3_warn("%s by thread %u:%s", what, stack->thread, line);
}

static void print_stacks(const struct slot *slot)
{
	if (slot->state != SLOT_UNUSED)
		print_stack("allocated", &slot->allocated);
	if (slot->state == SLOT_FREED)
		print_stack("freed", &slot->freed);
}

/* ---- Misuse ---- */

/* Where p is, seen from the block: "16 bytes behind a block of 100 bytes". */
static void describe(char *buf, size_t cap, const struct slot *slot, const void *p)
{
	const char *at = p, *end = slot->block + slot->size, *state = slot->state == SLOT_FREED ? "freed" : "live";

	if (slot->state == SLOT_UNUSED)
		hz3_format(buf, cap, "no block was there");
	else if (at < slot->block)
		hz3_format(buf, cap, "%zu bytes before a %s block of %zu bytes", (size_t)(slot->block - at), state, slot->size);
	else if (at >= end)
		hz3_format(buf, cap, "%zu bytes behind the end of a %s block of %zu bytes", (size_t)(at - end), state, slot->size);
	else
		hz3_format(buf, cap, "byte %zu of a %s block of %zu bytes", (size_t)(at - slot->block), state, slot->size);
}

/* The block that a pointer is about: the nearer of two neighbours, for the inaccessible memory between them. */
static struct slot *nearest(const void *p)
{
	struct slot *slot = slot_of(p);
	size_t offset = (uintptr_t)p - hz3_guard_region.start, into = offset % (2 * data_bytes);

	/* Behind the last there is none. */
	if (offset >= SLOTS * 2 * data_bytes)
		return slot;
	if (slot > slots && (slot->state == SLOT_UNUSED || (into < data_bytes / 2 && slot[-1].state != SLOT_UNUSED)))
		return slot - 1;
	return slot;
}

static _Noreturn void die(const char *call, const void *p, const char *what)
{
	struct slot slot = *nearest(p);
	char where[128];

	/* To print stacks takes locks of the dynamic linker, which somebody may have who waits for ours. */
	if (hz3_lock_held(&hz3_guard_lock))
		hz3_unlock(&hz3_guard_lock);
	describe(where, sizeof(where), &slot, p);
	hz3_warn("%s: %p %s: %s", call, p, what, where);
	print_stacks(&slot);
	abort();
}

/* SIGSEGV.  Not ours: as if this handler were not there. */
static void on_fault(int signal, siginfo_t *info, void *context)
{
	/* Sent by a process, it is about no address. */
	bool sent = info->si_code <= 0;

	if (!sent && hz3_guard_owns(info->si_addr)) {
		struct slot *slot = nearest(info->si_addr);
		char where[128];

		describe(where, sizeof(where), slot, info->si_addr);
		hz3_warn("bad access to %p: %s", info->si_addr, where);
		print_stacks(slot);
	} else if (previous.sa_flags & SA_SIGINFO) {
		previous.sa_sigaction(signal, info, context);
		return;
	} else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
		previous.sa_handler(signal);
		return;
	}
	if (sent && !(previous.sa_flags & SA_SIGINFO) && previous.sa_handler == SIG_IGN)
		return;
	/* Back to the instruction, which faults again, for whoever would have got the signal without us. */
	sigaction(signal, &previous, NULL);
	if (sent)
		raise(signal);
}

/* ---- Slots ---- */

static bool install(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigemptyset(&action.sa_mask);
	return sigaction(SIGSEGV, &action, &previous) == 0;
}

void hz3_guard_init(void)
{
	if (hz3_options.guard_sample == 0 || hz3_guard_every != 0)
		return;
	data_bytes = hz3_max(HZ3_CLASS_SIZE_MAX, hz3_os_page_size);
	size_t bytes = SLOTS * 2 * data_bytes;
	void *start = hz3_os_reserve(bytes + data_bytes, 2 * data_bytes);

	slots = hz3_meta_alloc(SLOTS * sizeof(*slots));
	if (start == NULL || slots == NULL || !install()) {
		hz3_warn("no guarded samples: no memory for them");
		return;
	}
	fresh_slots = SLOTS;
	hz3_guard_region = (struct hz3_guard_region){ (uintptr_t)start, bytes + data_bytes };
	hz3_guard_every = (uint32_t)hz3_options.guard_sample;
}

/* From 1 to 2n - 1: n on average. */
static uint32_t interval(struct hz3_guard_turn *turn)
{
	if (turn->random == 0)
		turn->random = (uint32_t)hz3_os_random() | 1;
	turn->random ^= turn->random << 13;
	turn->random ^= turn->random >> 17;
	turn->random ^= turn->random << 5;
	return 1 + turn->random % (2 * hz3_guard_every - 1);
}

bool hz3_guard_is_due(struct hz3_guard_turn *turn)
{
	if (turn->left == 0)
		turn->left = interval(turn);
	return --turn->left == 0;
}

/* A slot that no block lives in: new ones first, then the one whose block was freed longest ago. */
static struct slot *take_slot_locked(void)
{
	if (fresh_slots)
		return &slots[SLOTS - fresh_slots--];
	if (freed_slots == 0)
		return NULL;
	struct slot *slot = &slots[oldest_freed];
	oldest_freed = slot->next_freed;
	freed_slots--;
	return slot;
}

static void give_slot_locked(struct slot *slot)
{
	uint32_t i = (uint32_t)(slot - slots);

	if (freed_slots++)
		slots[newest_freed].next_freed = i;
	else
		oldest_freed = i;
	newest_freed = i;
}

/* The queue again, from what the slots say; in another order, which is no matter. */
static void mend(struct hz3_lock *lock)
{
	(void)lock;
	freed_slots = 0;
	for (uint32_t i = 0; i < SLOTS - fresh_slots; i++)
		if (slots[i].state != SLOT_LIVE)
			give_slot_locked(&slots[i]);
}

static void *place_locked(struct slot *slot, size_t size)
{
	char *end = slot_end((uint32_t)(slot - slots)), *block = end - rounded(size);
	char *first = (char *)hz3_align_down((uintptr_t)block, hz3_os_page_size);

	if (hz3_os_commit(first, (size_t)(end - first)) != 0)
		return NULL;
	memset(first, SLACK_BYTE, (size_t)(block - first));
	memset(block + size, SLACK_BYTE, rounded(size) - size);
	slot->block = block;
	slot->size = size;
	atomic_signal_fence(memory_order_release);
	slot->state = SLOT_LIVE;
	return block;
}

void *hz3_guard_alloc(size_t size, void *frame)
{
	int saved_errno = errno;
	void *p = NULL;

	hz3_lock(&hz3_guard_lock);
	struct slot *slot = take_slot_locked();
	if (slot) {
		walk(&slot->allocated, frame);
		p = place_locked(slot, size);
		if (p == NULL)
			give_slot_locked(slot);
	}
	hz3_unlock(&hz3_guard_lock);
	errno = saved_errno;
	return p;
}

/* The slot of the live block at p. */
static struct slot *find_locked(const char *call, const void *p)
{
	struct slot *slot = slot_of(p);

	if (slot->state == SLOT_FREED && p == slot->block)
		die(call, p, "was freed before");
	if (slot->state != SLOT_LIVE || p != slot->block)
		die(call, p, "is not the start of a block");
	return slot;
}

/* What is accessible before and behind the block is as it was. */
static void check_slack_locked(const char *from, const char *to)
{
	for (; from < to; from++)
		if ((unsigned char)*from != SLACK_BYTE)
			die("free", from, "was written to");
}

void hz3_guard_free(void *p, void *frame)
{
	int saved_errno = errno;

	hz3_lock(&hz3_guard_lock);
	struct slot *slot = find_locked("free", p);
	char *end = slot_end((uint32_t)(slot - slots));
	char *first = (char *)hz3_align_down((uintptr_t)p, hz3_os_page_size);
	check_slack_locked(first, slot->block);
	check_slack_locked(slot->block + slot->size, end);
	walk(&slot->freed, frame);
	slot->state = SLOT_FREED;
	hz3_os_purge(first, (size_t)(end - first));
	hz3_os_protect_none(first, (size_t)(end - first));
	give_slot_locked(slot);
	hz3_unlock(&hz3_guard_lock);
	errno = saved_errno;
}

size_t hz3_guard_size(const char *call, const void *p)
{
	hz3_lock(&hz3_guard_lock);
	size_t size = find_locked(call, p)->size;
	hz3_unlock(&hz3_guard_lock);
	return size;
}
