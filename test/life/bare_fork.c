/*
 * Children of which no handler tells, _Fork's and a bare clone's: the first of their threads that has a slow path need not be the one that forked.
 * And children of fork where the system doesn't say that a process is new.
 */
#include "../stress/stress.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define BLOCKS 2000
#define ROUNDS 4000
#define BATCH 8
#define BATCH_WORDS 38
#define CHILDREN 4
#define HELD_BYTES (64 * MIB)
#define PIECE 1000
#define WIPE_ON_FORK 18

static pthread_barrier_t together;

/* Two threads that had the same heap would find each other's numbers. */
static void *use_blocks(void *number)
{
	stress_wait_at(&together);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uintptr_t *block[BATCH];
		for (unsigned i = 0; i < BATCH; i++) {
			block[i] = malloc(BATCH_WORDS * sizeof(uintptr_t));
			for (unsigned j = 0; j < BATCH_WORDS; j++)
				block[i][j] = (uintptr_t)number;
		}
		for (unsigned i = 0; i < BATCH; i++) {
			for (unsigned j = 0; j < BATCH_WORDS; j++)
				CHECK(block[i][j] == (uintptr_t)number, "a block is written to by another thread");
			free(block[i]);
		}
	}
	return NULL;
}

static void child_of_bare_fork(void)
{
	static char one, two;
	pthread_t other;

	alarm(20);
	/* With a stack that is there already: nothing asks for memory before the new thread does. */
	if (pthread_create(&other, NULL, use_blocks, &one) != 0)
		_exit(1);
	use_blocks(&two);
	pthread_join(other, NULL);
	_exit(0);
}

static pid_t bare_clone(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void *nothing(void *arg)
{
	return arg;
}

static void threads_of_bare_children(void)
{
	static void *kept[BLOCKS];
	pid_t (*bare_fork)(void);

	*(void **)&bare_fork = stress_lookup(_Fork);
	pthread_barrier_init(&together, NULL, 2);
	/* Pages with room, and a stack to be used again. */
	for (unsigned i = 0; i < BLOCKS; i++)
		kept[i] = stress_new(16 + i % 3000);
	for (unsigned i = 0; i < BLOCKS; i++)
		stress_discard(kept[i]);
	pthread_join(stress_thread(nothing, NULL), NULL);
	for (unsigned i = 0; i < CHILDREN; i++) {
		pid_t pid = bare_clone();
		if (pid == 0)
			child_of_bare_fork();
		stress_wait_for(pid, 0, "a bare clone");
		pid = bare_fork != NULL ? bare_fork() : 0;
		if (pid == 0 && bare_fork != NULL)
			child_of_bare_fork();
		if (bare_fork != NULL)
			stress_wait_for(pid, 0, "_Fork");
	}
}

/* ---- Where MADV_WIPEONFORK is refused ---- */

static void *pieces[HELD_BYTES / PIECE];

static void *fill(void *gate)
{
	for (size_t i = 0; i < HELD_BYTES / PIECE; i++)
		pieces[i] = stress_new(PIECE);
	stress_wait_at(gate);
	stress_wait_at(gate);
	return NULL;
}

static void child_frees_all(void)
{
	alarm(20);
	CHECK(stress_stat("stats.heaps_parked") >= 1, "the heap of the thread that isn't there is nobody's");
	for (size_t i = 0; i < HELD_BYTES / PIECE; i++)
		stress_discard(pieces[i]);
	stress_purge();
	_exit(stress_stat("stats.active") < HELD_BYTES / 8 ? 0 : 1);
}

static void stock_of_children(void)
{
	pthread_barrier_t gate;

	if (!on_hz3())
		return;
	pthread_barrier_init(&gate, NULL, 2);
	pthread_t thread = stress_thread(fill, &gate);
	stress_wait_at(&gate);
	pid_t pid = fork();
	if (pid == 0)
		child_frees_all();
	stress_wait_for(pid, 0, "a child that frees what another thread had");
	stress_wait_at(&gate);
	pthread_join(thread, NULL);
}

/* What this process becomes afterwards is told that there is no such advice. */
static bool refuse_wipe_on_fork(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WIPE_ON_FORK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void body(void)
{
	threads_of_bare_children();
	stock_of_children();
	if (!on_hz3())
		return;
	pid_t pid = fork();
	if (pid == 0) {
		if (!refuse_wipe_on_fork())
			_exit(0);
		static char refused[] = "refused";
		stress_exec_self(refused);
	}
	stress_wait_for(pid, 0, "the same where the system doesn't tell");
}

int main(int argc, char **argv)
{
	static const char *const variants[] = {"sink:central", "sink:page", NULL};
	bool refused = argc > 1 && strcmp(argv[1], "refused") == 0;

	return stress_main(variants, 60, refused ? stock_of_children : body);
}
