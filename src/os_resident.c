/* How much memory there really is behind addresses: what mincore, statm and smaps say. */
#include "os_resident.h"

#include <string.h>
#include <sys/mman.h>

#include "os_file.h"
#include "os_memory.h"

/* The second number of "size resident shared ..."; 0 if there is none. */
static size_t second_number(const char *s)
{
	size_t value = 0;

	while (*s >= '0' && *s <= '9')
		s++;
	if (*s++ != ' ')
		return 0;
	for (; *s >= '0' && *s <= '9'; s++)
		value = value * 10 + (size_t)(*s - '0');
	return value;
}

size_t hz3_os_resident(void)
{
	char text[128];

	hz3_os_read_text("/proc/self/statm", text, sizeof(text));
	return second_number(text) * hz3_os_page_size;
}

/* The kernel writes a byte for each page of its own, of which an emulator that pretends larger ones knows nothing: of 4 KiB, then. */
#define LOOK_PAGES ((size_t)4096)
#define LOOK_BYTES (LOOK_PAGES * 4096)

/* Some pages, all of them mapped or none. */
static size_t count_resident(const char *p, size_t pages)
{
	unsigned char there[LOOK_PAGES];
	size_t count = 0;

	if (mincore((void *)(uintptr_t)p, pages * hz3_os_page_size, there) != 0) {
		if (pages == 1)
			return 0;
		/* A hole somewhere: halves, down to a page. */
		return count_resident(p, pages / 2) + count_resident(p + pages / 2 * hz3_os_page_size, pages - pages / 2);
	}
	for (size_t i = 0; i < pages; i++)
		count += there[i] & 1;
	return count;
}

size_t hz3_os_resident_of(const void *p, size_t bytes)
{
	size_t pages = bytes / hz3_os_page_size, step = LOOK_BYTES / hz3_os_page_size, count = 0;

	for (size_t i = 0; i < pages; i += step)
		count += count_resident((const char *)p + i * hz3_os_page_size, hz3_min(pages - i, step));
	return count * hz3_os_page_size;
}

/* /proc/self/smaps, a line at a time. */
struct smaps {
	uintptr_t from, to;	/* the range that is asked for */
	bool is_inside;		/* the mapping that is being read */
	uint64_t inside, outside;
};

/* "7f0000000000-7f0000021000 rw-p ..." begins a mapping, "Rss:   132 kB" is what we look for in it. */
static void read_smaps_line(struct smaps *smaps, const char *line)
{
	uintptr_t start = 0;
	uint64_t kilobytes = 0;
	const char *s = line;

	if (strncmp(line, "Rss:", 4) == 0) {
		for (s += 4 + strspn(line + 4, " "); *s >= '0' && *s <= '9'; s++)
			kilobytes = kilobytes * 10 + (uint64_t)(*s - '0');
		*(smaps->is_inside ? &smaps->inside : &smaps->outside) += kilobytes * 1024;
		return;
	}
	for (; (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f'); s++)
		start = start * 16 + (uintptr_t)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
	if (*s == '-' && s > line)
		smaps->is_inside = start >= smaps->from && start < smaps->to;
}

bool hz3_os_resident_split(uintptr_t from, uintptr_t to, uint64_t *inside, uint64_t *outside)
{
	struct smaps smaps = {.from = from, .to = to};
	char text[1024], line[64];
	size_t length = 0;
	int fd = hz3_os_open_input("/proc/self/smaps");
	ssize_t n;

	if (fd < 0)
		return false;
	while ((n = hz3_os_read(fd, text, sizeof(text))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			/* Of a long line, the beginning. */
			if (text[i] != '\n') {
				line[hz3_min(length, sizeof(line) - 1)] = text[i];
				length++;
				continue;
			}
			line[hz3_min(length, sizeof(line) - 1)] = '\0';
			read_smaps_line(&smaps, line);
			length = 0;
		}
	}
	hz3_os_close(fd);
	*inside = smaps.inside;
	*outside = smaps.outside;
	return n == 0 && smaps.inside + smaps.outside > 0;
}
