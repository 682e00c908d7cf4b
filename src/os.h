/*
 * Every system call: reserving, committing and purging memory, the clock, and what we need to know of the machine.
 *
 * Any thread may call these once hz3_os_init() has run; none allocates, takes a lock or is a cancellation point (but
 * hz3_os_sleep_ms).  errno may change: callers on the free path save it.  Addresses and sizes are multiples of
 * hz3_os_page_size and not 0.  Memory functions return 0 or -1, or an address or NULL.
 */
#ifndef HZ3_OS_H
#define HZ3_OS_H

#include "atomic.h"
#include "base.h"

#include <sys/types.h>

/* The memory calls, replaceable so that tests can fake them or make them fail.  Set before other threads exist. */
struct hz3_os_calls {
	void *(*mmap)(void *hint, size_t bytes, int prot, int flags, int fd, off_t offset);
	int (*munmap)(void *p, size_t bytes);
	int (*mprotect)(void *p, size_t bytes, int prot);
	int (*madvise)(void *p, size_t bytes, int advice);
	void *(*mremap)(void *p, size_t old_bytes, size_t new_bytes, int flags);
};
extern struct hz3_os_calls hz3_os_calls;

/* The page size of the running system; 4 KiB until hz3_os_init(). */
extern size_t hz3_os_page_size;

/* Whether purged memory reads as zeroes afterwards; some emulators ignore the request. */
extern bool hz3_os_purge_zeroes;

/* Milliseconds of a monotonic clock; replaceable by tests. */
extern uint64_t (*hz3_os_clock)(void);

/* Looks at the machine.  Idempotent; the first call comes before a second thread can call anything here. */
void hz3_os_init(void);

/*
 * Address space without memory, aligned to a power of 2.  The hint is tried first, but never at the cost of an existing
 * mapping.  A readable reservation reads as zeroes; like an unreadable one it costs no commit charge.
 */
void *hz3_os_reserve(void *hint, size_t bytes, size_t alignment, int readable);

/* Makes a part of a reservation readable and writable. */
int hz3_os_commit(void *p, size_t bytes);

/* A readable and writable mapping at exactly p; fails with EEXIST if anything is mapped there. */
int hz3_os_map_at(void *p, size_t bytes);

/* A readable and writable mapping, aligned to a power of 2 of at least a page; NULL also when the sum overflows. */
void *hz3_os_map(size_t bytes, size_t alignment);

/* Fresh readable and writable memory in the place of whatever is mapped there, in one step: nobody else gets the range in between. */
int hz3_os_map_over(void *p, size_t bytes);

/* Grows or shrinks a mapping, in place or elsewhere if it may move; NULL leaves it as it was. */
void *hz3_os_remap(void *p, size_t old_bytes, size_t new_bytes, bool may_move);

int hz3_os_unmap(void *p, size_t bytes);

/*
 * Unmap for good: what the system won't unmap now is kept, without its memory as far as possible, until it will, or until it is
 * of use.  For readable and writable mappings.
 */
void hz3_os_discard(void *p, size_t bytes);

/* Try again with all that is kept; a part of it, with any contents, or NULL; how many bytes there are. */
void hz3_os_retry_kept(void);
void *hz3_os_map_kept(size_t bytes, size_t alignment);
size_t hz3_os_kept(void);

/* Bytes mapped for what this layer itself remembers. */
size_t hz3_os_own_bytes(void);

/* Gives the memory back and keeps the mapping.  See hz3_os_purge_zeroes for what it reads as afterwards. */
int hz3_os_purge(void *p, size_t bytes);

/* Asks for huge pages in this range where they fit, or for none.  Only advice: there is no failure, and errno stays. */
void hz3_os_advise_thp(void *p, size_t bytes, bool wanted);

/* Makes a range inaccessible; it keeps its contents and its commit charge. */
int hz3_os_protect_none(void *p, size_t bytes);

uint64_t hz3_os_now_ms(void);

/* Microseconds of the same clock, read exactly: for measuring. */
uint64_t hz3_os_now_us(void);

/* Nanoseconds since 1970. */
uint64_t hz3_os_wall_ns(void);

void hz3_os_sleep_ms(unsigned ms);
void hz3_os_yield(void);

/* Sleep while the word has the value, for so many milliseconds at most; UINT32_MAX: for ever.  May also return for no reason. */
void hz3_os_wait(const _Atomic uint32_t *word, uint32_t value, unsigned ms);

/* End the sleep of whoever waits for the word to change.  Also in signal handlers. */
void hz3_os_wake(const _Atomic uint32_t *word);

/* The soft RLIMIT_AS in bytes; SIZE_MAX if there is none. */
size_t hz3_os_address_space_limit(void);

/* Whether what one mapping takes another can't have: RLIMIT_AS, RLIMIT_DATA, or vm.overcommit_memory=2. */
bool hz3_os_memory_is_limited(void);

/*
 * Is this another process than the one that was last called known?  Also after a fork of which no handler tells (_Fork, a bare
 * clone); not in the child of a vfork, which shares memory with its parent.  Kernels before 4.14 always say no.
 */
extern _Atomic uint32_t *hz3_os_process;	/* in memory that is 0 in a child */

static inline bool hz3_os_is_new_process(void)
{
	/* acquire: pairs with the release below. */
	return hz3_atomic_load(hz3_os_process, acquire) != 1;
}

/* True for one thread, which does what there is to do in a new process, and then says that it is known. */
static inline bool hz3_os_meet_process(void)
{
	uint32_t new = 0;

	return hz3_atomic_cas_strong(hz3_os_process, &new, 2, relaxed, relaxed);
}

static inline void hz3_os_process_is_known(void)
{
	/* release: pairs with the acquire above; what there was to do is done. */
	hz3_atomic_store(hz3_os_process, 1, release);
}

/* A full memory barrier on every processor that runs a thread of this process.  -1: the system has no such thing. */
int hz3_os_barrier_everywhere(void);

/* Gives the calling thread a name that ps and top show; at most 15 characters. */
void hz3_os_name_thread(const char *name);

/* The calling thread's name and number; another's name, false if there is no such thread of this process.  16 bytes. */
void hz3_os_get_thread_name(char *name);
uint32_t hz3_os_thread_id(void);
bool hz3_os_name_of_thread(uint32_t id, char *name);

/* Whether no thread of the process but the calling one lives: all others have ended, the first one too.  False if it can't be known. */
bool hz3_os_is_alone(void);

/* How many processors this process may run on, as of hz3_os_init(); at least 1. */
unsigned hz3_os_cpus(void);

/* Resident bytes of the process; 0 if the system does not say. */
size_t hz3_os_resident(void);

/* Of this range, bytes that have memory now.  Parts that are not mapped have none. */
size_t hz3_os_resident_of(const void *p, size_t bytes);

/*
 * Resident bytes of the process's mappings that lie inside and outside of a range, exactly; false if the system does not say.
 * Takes a walk over all of them.
 */
bool hz3_os_resident_split(uintptr_t from, uintptr_t to, uint64_t *inside, uint64_t *outside);

/* For placing mappings, not for secrets. */
uint64_t hz3_os_random(void);

/* Writes everything unless an error stops it; returns the bytes written, or -1 if none could be. */
ssize_t hz3_os_write(int fd, const void *data, size_t bytes);

/* At most bytes from a descriptor: how many, 0 at the end, or -1. */
ssize_t hz3_os_read(int fd, void *data, size_t bytes);
int hz3_os_open_input(const char *path);

/* Puts a file in the place of another, which may not exist; removes one.  0 or -1. */
int hz3_os_rename(const char *from, const char *to);
int hz3_os_remove(const char *path);

/*
 * A file in memory that other processes find by its name in /proc/PID/fd ("/memfd:NAME (deleted)"), and may read, but not change.  Its
 * mapping is this process's alone: the child of a fork inherits the descriptor, but not the memory.
 */
struct hz3_os_shared {
	void *memory;	/* zeroes at first; readable and writable */
	size_t bytes;
	int fd;
	dev_t device;
	ino_t inode;
};

/* False, with errno: it can't be had.  Any number of bytes. */
bool hz3_os_share(struct hz3_os_shared *shared, const char *name, size_t bytes);

/* Whether the descriptor is that file's still: the program may close what it does not know. */
bool hz3_os_is_shared(const struct hz3_os_shared *shared);

/* Close and unmap; inherited: in the child of a fork, where there is nothing to unmap. */
void hz3_os_unshare(struct hz3_os_shared *shared, bool inherited);

uint32_t hz3_os_process_id(void);

/* Creates or truncates a file (mode 0644, close-on-exec) and returns a descriptor for writing, or -1. */
int hz3_os_open_output(const char *path);

/* The same for a file that is not there yet, nor a link to one. */
int hz3_os_open_new_output(const char *path);

/* A file to be replaced: begin returns its descriptor, or -1; what was written takes its place at the end, if it is good. */
struct hz3_os_output {
	int fd;
	const char *path;
	char temporary[640];	/* empty: it is written in place */
};
int hz3_os_output_begin(struct hz3_os_output *output, const char *path);
bool hz3_os_output_end(struct hz3_os_output *output, bool good);

/* From a constructor, with its third argument: so that there is an environment, also before libc's own constructor has run. */
void hz3_os_meet_environment(char **envp);

/* The descriptor with a number out of the way of programs, if there is one. */
int hz3_os_move_up(int fd);

/* Standard error, kept for those who write when the program ends, and may have closed it. */
void hz3_os_keep_stderr(void);
int hz3_os_stderr(void);
void hz3_os_close(int fd);

#endif
