/*
 * Publishing for hz3top, seen by the program: only if asked, in a file that nobody can change, of each process its own; also
 * when descriptors are closed behind its back, or it can't be had.
 */
#include "again.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#endif
#ifndef F_SEAL_WRITE
#define F_SEAL_WRITE 8
#endif

#define LINK "/memfd:hz3-top (deleted)"

/* Where things are in the file; src/top_format.h. */
#define PID_WORD 4
#define SEQUENCE_BYTE 40

/* The number of the descriptor of the published file of a process; -1: there is none. */
static int published(pid_t pid)
{
	char path[64], link[128];
	struct dirent *entry;
	int found = -1;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	directory = opendir(path);
	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		ssize_t n = readlinkat(dirfd(directory), entry->d_name, link, sizeof(link) - 1);

		link[n > 0 ? n : 0] = '\0';
		if (strcmp(link, LINK) == 0)
			found = atoi(entry->d_name);
	}
	if (directory != NULL)
		closedir(directory);
	return found;
}

/* An independent descriptor of it, for reading. */
static int open_published(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* How often it was written, twice; 0: it can't be read. */
static uint64_t writes(int fd)
{
	uint64_t sequence = 0;

	return pread(fd, &sequence, sizeof(sequence), SEQUENCE_BYTE) == sizeof(sequence) ? sequence : 0;
}

static uint32_t publisher(int fd)
{
	uint32_t word[PID_WORD + 1] = {0};

	return pread(fd, word, sizeof(word), 0) == sizeof(word) ? word[PID_WORD] : 0;
}

static bool is_renewed(int fd, uint64_t since)
{
	for (int i = 0; i < 3000; i++) {
		if (writes(fd) > since + 1)
			return true;
		nap(10);
	}
	return false;
}

static void nothing_asked(void)
{
	CHECK(published(getpid()) == -1, "published, and nobody asked");
}

/* Linux 5.1 and later. */
static bool kernel_seals_writing(void)
{
	struct utsname name;
	int major = 0, minor = 0;

	return uname(&name) == 0 && sscanf(name.release, "%d.%d", &major, &minor) == 2 && major * 1000 + minor >= 5001;
}

/* There from the start, renewed, and for reading only, whatever others try. */
static void is_sealed(void)
{
	int fd = published(getpid()), other;
	char path[64], byte = 1;
	struct stat status;

	CHECK(fd >= 100, "descriptor %d", fd);
	CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "it is inherited");
	other = open_published(fd);
	CHECK(other >= 0, "it can't be opened");
	CHECK(publisher(other) == (uint32_t)getpid(), "published by %u", publisher(other));
	CHECK(is_renewed(other, 2), "it is not renewed");
	CHECK(fstat(fd, &status) == 0 && ftruncate(fd, 0) != 0, "it can be cut");
	CHECK(ftruncate(fd, status.st_size + 4096) != 0, "it can grow");
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) != 0, "more seals can be set");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	close(other);
	other = open(path, O_RDWR | O_CLOEXEC);
	if (other < 0)
		return;
	if (!kernel_seals_writing()) {
		printf("(this kernel lets others write)\n");
	} else {
		CHECK(pwrite(other, &byte, 1, 0) == -1, "it can be written");
		CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0) == MAP_FAILED, "it can be mapped for writing");
	}
	close(other);
}

static bool has_mapping(void)
{
	static char line[1024];
	FILE *maps = fopen("/proc/self/maps", "re");
	bool found = false;

	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
		found = found || strstr(line, "memfd:hz3-top") != NULL;
	if (maps != NULL)
		fclose(maps);
	return found;
}

/* In the child: no mapping of the parent's, and after some slow paths a file of its own. */
static int child_publishes(int parents)
{
	uint32_t pid = 0;

	if (has_mapping())
		return 1;
	for (int i = 0; i < 3000 && pid != (uint32_t)getpid(); i++) {
		for (int n = 0; n < 200; n++)
			(void)allocate(5000);
		int fd = published(getpid()), other = fd >= 0 ? open_published(fd) : -1;
		pid = other >= 0 ? publisher(other) : 0;
		close(other);
		nap(10);
	}
	if (pid != (uint32_t)getpid())
		return 2;
	return publisher(parents) == (uint32_t)getppid() ? 0 : 3;
}

static void child_has_its_own(void)
{
	int fd = published(getpid()), status = -1, parents = open_published(fd);
	pid_t pid;

	CHECK(has_mapping(), "this test would not see a mapping");
	pid = fork();
	if (pid == 0)
		_exit(child_publishes(parents));
	waitpid(pid, &status, 0);
	CHECK(status == 0, "the child ended with %d", WEXITSTATUS(status));
	CHECK(published(getpid()) == fd, "the parent's is gone");
	CHECK(is_renewed(parents, writes(parents)), "the parent's is not renewed any more");
}

/* A program may close everything; what it opens in that place is its own. */
static void descriptors_are_closed(void)
{
	int fd = published(getpid()), own, found = -1;
	struct stat before, after;

	close(fd);
	own = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK(dup2(own, fd) == fd, "dup2");
	CHECK(fstat(fd, &before) == 0, "fstat");
	for (int i = 0; i < 3000 && (found == -1 || found == fd); i++) {
		nap(10);
		found = published(getpid());
	}
	CHECK(found != -1 && found != fd, "it is not published again, but %d", found);
	CHECK(fstat(fd, &after) == 0 && after.st_ino == before.st_ino, "what the program opened was closed");
	CHECK(is_renewed(open_published(found), 0), "what is published is not written");
}

static void limit_files(void)
{
	struct rlimit limit = {4096, 4096};

	setrlimit(RLIMIT_FSIZE, &limit);
}

/* Where no file may be so long: one line, and all else goes on. */
static void file_too_long(void)
{
	expect_complaint("live on", limit_files, "hz3: cannot publish for hz3top");
}

static void live_on(void)
{
	CHECK(published(getpid()) == -1, "published");
	nap(1200);
	CHECK(malloc(100) != NULL, "no memory");
}

static const struct again_case cases[] = {
	{"nothing asked", nothing_asked, ""},
	{"sealed", is_sealed, "top:true"},
	{"sealed, no thread for decay", is_sealed, "top:true,background_thread:false"},
	{"child", child_has_its_own, "top:true"},
	{"closed", descriptors_are_closed, "top:true"},
	{"too long", file_too_long, "top:true"},
	{"live on", live_on, NULL},
	{0},
};

int main(int argc, char **argv)
{
	if (!on_hz3()) {
		printf("SKIP: not hz3\n");
		return SKIPPED;
	}
	run_cases(cases, argc > 1 ? argv[1] : NULL, "");
	return finish();
}
