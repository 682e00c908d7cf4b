/*
 * A server that gives each request an arena, and forgets the request by one reset.
 *
 *   cc -O2 -o requests requests.c -lhz3
 *   ./requests            the memory is the system's
 *   ./requests huge       pages of 2 MiB, where the system has some (sysctl vm.nr_hugepages), else ordinary ones
 *   ./requests FILE       the memory is a file's: what is in it can be larger than the machine's memory
 *
 * The request's data, however they are spread over lists and strings, are never freed one by one.  What outlives the request is
 * allocated as always.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <hz3/hz3.h>

#define REQUESTS 1000
#define HEADERS 200

struct header {
	struct header *next;
	char *name, *value;
};

static char *copy(hz3_arena_t *arena, const char *text, unsigned n)
{
	size_t bytes = strlen(text) + 12;
	char *p = hz3_arena_malloc(arena, bytes);

	if (p == NULL) {
		perror("requests");
		exit(EXIT_FAILURE);
	}
	snprintf(p, bytes, "%s%u", text, n);
	return p;
}

/* Returns the length of what it found: something that outlives the request. */
static size_t serve(hz3_arena_t *arena, unsigned request)
{
	struct header *headers = NULL;
	size_t length = 0;

	for (unsigned i = 0; i < HEADERS; i++) {
		struct header *header = hz3_arena_calloc(arena, 1, sizeof(*header));
		if (header == NULL) {
			perror("requests");
			exit(EXIT_FAILURE);
		}
		header->name = copy(arena, "X-Header-", i);
		header->value = copy(arena, "a value of request ", request);
		header->next = headers;
		headers = header;
	}
	for (struct header *header = headers; header != NULL; header = header->next)
		length += strlen(header->name) + strlen(header->value);
	return length;
}

/* ---- hooks ---- */

struct place {
	int fd;			/* -1: huge pages */
	off_t end;
	size_t parts, ordinary;
};

/* hz3 has put ordinary memory there: if there is nothing better, it can stay. */
static int map(void *address, size_t bytes, void *context)
{
	struct place *place = context;
	void *p;

	place->parts++;
	if (place->fd < 0) {
		p = mmap(address, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB, -1, 0);
		if (p != address) {
			/* A failed mmap may have taken away what was there. */
			p = mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			place->ordinary++;
		}
		return p == address ? 0 : -1;
	}
	if (ftruncate(place->fd, place->end + (off_t)bytes) != 0)
		return -1;
	p = mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, place->fd, place->end);
	if (p != address)
		return -1;
	place->end += (off_t)bytes;
	return 0;
}

/* The contents are not needed; the place in the file is. */
static void purge(void *address, size_t bytes, void *context)
{
	(void)context;
	(void)madvise(address, bytes, MADV_REMOVE);
}

int main(int argc, char **argv)
{
	static const struct hz3_os_hooks hooks = {.map = map, .purge = purge};
	struct place place = {.fd = -1};
	struct hz3_arena_stats stats;
	size_t length = 0;

	if (argc > 1 && strcmp(argv[1], "huge") != 0) {
		place.fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (place.fd < 0) {
			perror(argv[1]);
			return EXIT_FAILURE;
		}
	}
	hz3_arena_t *arena = hz3_arena_create(argc > 1 ? &hooks : NULL, &place);
	if (arena == NULL) {
		perror("requests");
		return EXIT_FAILURE;
	}
	for (unsigned i = 0; i < REQUESTS; i++) {
		length += serve(arena, i);
		if (i == REQUESTS - 1)
			hz3_arena_stats(arena, &stats);
		hz3_arena_reset(arena);
	}
	printf("%d requests of %zu blocks in %zu KiB; %zu bytes of text\n", REQUESTS, stats.blocks, stats.mapped >> 10, length);
	hz3_arena_destroy(arena);
	if (argc > 1)
		printf("%zu parts were mapped, %zu of them as ordinary memory\n", place.parts, place.ordinary);
	return EXIT_SUCCESS;
}
