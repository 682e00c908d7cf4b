/* Processes that publish: how hz3top finds them, and what it reads of one. */
#include "top_attach.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What the link of a memfd says. */
#define LINK "/memfd:" HZ3_TOP_NAME " (deleted)"

/* A process is silent when so many periods have brought nothing. */
#define SILENT_PERIODS 3

/* Newer than some of the headers we may meet. */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef F_GET_SEALS
#define F_GET_SEALS 1034
#define F_SEAL_SHRINK 2
#endif

uint64_t top_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- /proc ---- */

/* The beginning of /proc/PID/FILE, as a string; its length, 0 if it can't be read. */
static size_t read_proc(pid_t pid, const char *file, char *text, size_t bytes)
{
	char path[64];
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, bytes - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

static void read_identity(struct top_process *process, pid_t pid)
{
	size_t length;

	process->pid = pid;
	read_proc(pid, "comm", process->name, sizeof(process->name));
	process->name[strcspn(process->name, "\n")] = '\0';
	length = read_proc(pid, "cmdline", process->command, sizeof(process->command));
	for (size_t i = 0; i + 1 < length; i++) {
		if (process->command[i] == '\0')
			process->command[i] = ' ';
	}
	top_clean_text(process->name);
	top_clean_text(process->command);
}

/* The process's own number: in a container, not the one that we know it by. */
static uint32_t own_number(pid_t pid)
{
	char text[4096], *line, *end;

	read_proc(pid, "status", text, sizeof(text));
	line = strstr(text, "\nNSpid:");
	if (line == NULL)
		return (uint32_t)pid;
	end = strchr(line + 1, '\n');
	if (end != NULL)
		*end = '\0';
	line = strrchr(line + 1, '\t');
	return line != NULL ? (uint32_t)strtoul(line, NULL, 10) : (uint32_t)pid;
}

/* ---- Files ---- */

/* Maps a file that is as it has to be, so that no page of it can vanish while we read; else says why not. */
static const struct hz3_top_file *map_file(int fd, uint32_t pid, ino_t *inode, const char **why)
{
	const struct hz3_top_file *file;
	struct stat status;
	int seals = fcntl(fd, F_GET_SEALS);

	if (fstat(fd, &status) != 0 || seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
		*why = "publishes a file that is not hz3's, or not complete yet";
		return NULL;
	}
	if ((size_t)status.st_size < sizeof(*file)) {
		*why = "publishes a file that is too short";
		return NULL;
	}
	file = mmap(NULL, sizeof(*file), PROT_READ, MAP_SHARED, fd, 0);
	if (file == MAP_FAILED) {
		*why = "publishes a file that cannot be mapped";
		return NULL;
	}
	*why = top_check(file, (size_t)status.st_size, pid);
	if (*why == NULL) {
		*inode = status.st_ino;
		return file;
	}
	munmap((void *)(uintptr_t)file, sizeof(*file));
	return NULL;
}

/* The process's file; else says why there is none. */
static const struct hz3_top_file *find_file(pid_t pid, ino_t *inode, const char **why)
{
	const struct hz3_top_file *file = NULL;
	char path[64], link[sizeof(LINK) + 1];
	const struct dirent *entry;
	uint32_t own = own_number(pid);
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	directory = opendir(path);
	if (directory == NULL) {
		*why = errno == ENOENT || errno == ESRCH ? "is not there" : "may not be looked into by you";
		return NULL;
	}
	*why = "does not publish: start it with HZ3_CONF=top:true, or with hz3run --top";
	while (file == NULL && (entry = readdir(directory)) != NULL) {
		ssize_t length = readlinkat(dirfd(directory), entry->d_name, link, sizeof(link));
		int fd;

		if (length != sizeof(LINK) - 1 || memcmp(link, LINK, sizeof(LINK) - 1) != 0)
			continue;
		/* By now it may be anything: do not wait for the other end of a pipe. */
		fd = openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd < 0) {
			*why = "may not be looked into by you";
			continue;
		}
		file = map_file(fd, own, inode, why);
		close(fd);
	}
	closedir(directory);
	return file;
}

static void forget_file(struct top_target *target)
{
	if (target->file != NULL)
		munmap((void *)(uintptr_t)target->file, sizeof(*target->file));
	target->file = NULL;
}

/* ---- One process ---- */

static bool has_ended(const struct top_target *target)
{
	struct pollfd poll_fd = {.fd = target->pidfd, .events = POLLIN};
	char text[16];

	return target->pidfd >= 0 ? poll(&poll_fd, 1, 0) > 0 : read_proc(target->process.pid, "comm", text, sizeof(text)) == 0;
}

const char *top_attach(struct top_target *target, pid_t pid)
{
	const char *why;

	*target = (struct top_target){.pidfd = (int)syscall(SYS_pidfd_open, pid, 0)};
	read_identity(&target->process, pid);
	target->file = find_file(pid, &target->inode, &why);
	if (target->file == NULL) {
		top_detach(target);
		return why;
	}
	target->last_news_ms = top_now_ms();
	return NULL;
}

void top_detach(struct top_target *target)
{
	forget_file(target);
	if (target->pidfd >= 0)
		close(target->pidfd);
	target->pidfd = -1;
}

/* There was nothing new for long: perhaps there is another file by now, or none. */
static enum top_news look_again(struct top_target *target)
{
	const struct hz3_top_file *file;
	const char *why;
	ino_t inode = 0;

	file = find_file(target->process.pid, &inode, &why);
	if (file == NULL)
		return has_ended(target) ? TOP_ENDED : TOP_GONE;
	if (inode == target->inode) {
		munmap((void *)(uintptr_t)file, sizeof(*file));
		return TOP_SILENT;
	}
	forget_file(target);
	target->file = file;
	target->inode = inode;
	target->last_number = 0;
	read_identity(&target->process, target->process.pid);
	return TOP_NO_NEWS;
}

static enum top_news look(struct top_target *target, struct hz3_top_snapshot *snapshot)
{
	static struct hz3_top_snapshot copy;
	uint64_t now = top_now_ms();

	if (top_copy(target->file, &copy) && copy.number != target->last_number) {
		*snapshot = copy;
		target->last_number = copy.number;
		target->last_news_ms = now;
		return TOP_NEWS;
	}
	if (has_ended(target))
		return TOP_ENDED;
	if (now - target->last_news_ms < (uint64_t)SILENT_PERIODS * target->file->head.period_ms)
		return TOP_NO_NEWS;
	return look_again(target);
}

enum top_news top_look(struct top_target *target, struct hz3_top_snapshot *snapshot)
{
	target->last_look = look(target, snapshot);
	return target->last_look;
}

const char *top_state_text(enum top_news news)
{
	switch (news) {
	case TOP_ENDED:
		return "PROCESS ENDED";
	case TOP_GONE:
		return "PUBLISHES NO MORE";
	case TOP_SILENT:
		return "NO NEWS";
	default:
		return NULL;
	}
}

/* ---- All of them ---- */

static int is_process(const struct dirent *entry)
{
	return entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
	return atoi((*a)->d_name) - atoi((*b)->d_name);
}

void top_visit_all(top_visit *visit, void *arg)
{
	struct dirent **entries;
	int n = scandir("/proc", &entries, is_process, by_number);

	for (int i = 0; i < n; i++) {
		pid_t pid = (pid_t)atoi(entries[i]->d_name);
		const char *why;
		ino_t inode;
		const struct hz3_top_file *file = find_file(pid, &inode, &why);

		if (file != NULL) {
			struct top_process process;

			read_identity(&process, pid);
			visit(arg, &process, file);
			munmap((void *)(uintptr_t)file, sizeof(*file));
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

bool top_has_name(const struct top_process *process, const char *name)
{
	size_t length = strcspn(process->command, " ");
	const char *base = process->command;

	for (size_t i = 0; i < length; i++) {
		if (process->command[i] == '/')
			base = process->command + i + 1;
	}
	length = (size_t)(process->command + length - base);
	return strcmp(process->name, name) == 0 || (strlen(name) == length && strncmp(base, name, length) == 0);
}
