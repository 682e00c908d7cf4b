/* The report of leaks. */
#include "leak.h"

#include "backtrace.h"
#include "base.h"
#include "os_stderr.h"
#include "profile.h"

#define LEAKS_MAX 20		/* rows that are printed */
#define FRAMES_MAX 12

struct leak {
	double objects, bytes;
	size_t depth;
	uintptr_t pc[FRAMES_MAX];
};

struct total {
	double objects, bytes;
	uint32_t rows;
};

static struct total total_locked(void)
{
	struct total total = { 0, 0, 0 };

	for (uint32_t n = 1; n < hz3_profile_rows(); n++) {
		const struct hz3_profile_row *row = hz3_profile_row(n);
		if (row->live_bytes < 0.5)
			continue;
		total.objects += row->live_objects;
		total.bytes += row->live_bytes;
		total.rows++;
	}
	return total;
}

/* The row with the most bytes among those with fewer than the row "after" (0: of all); equal ones go by number. */
static uint32_t next_largest_locked(uint32_t after)
{
	uint32_t best = 0;

	/* The rows may have been made anew since then. */
	if (after >= hz3_profile_rows())
		after = 0;
	for (uint32_t n = 1; n < hz3_profile_rows(); n++) {
		double bytes = hz3_profile_row(n)->live_bytes;
		if (bytes < 0.5 || (after && (bytes > hz3_profile_row(after)->live_bytes ||
					      (bytes >= hz3_profile_row(after)->live_bytes && n <= after))))
			continue;
		if (best == 0 || bytes > hz3_profile_row(best)->live_bytes)
			best = n;
	}
	return best;
}

static void read_leak_locked(struct leak *leak, uint32_t n)
{
	const struct hz3_profile_row *row = hz3_profile_row(n);
	const uint32_t *pcs = hz3_profile_stack(row->stack, &leak->depth);

	leak->objects = row->live_objects;
	leak->bytes = row->live_bytes;
	leak->depth = hz3_min(leak->depth, FRAMES_MAX);
	for (size_t i = 0; i < leak->depth; i++)
		leak->pc[i] = hz3_profile_pc(pcs[i]);
}

static void print_leak(const struct leak *leak)
{
	char frame[256];

	hz3_warn_to(hz3_os_stderr(), "leak: about %lu bytes in %lu blocks, allocated by", (unsigned long)(leak->bytes + 0.5),
		 (unsigned long)(leak->objects + 0.5));
	for (size_t i = 0; i < leak->depth; i++) {
		hz3_backtrace_describe(frame, sizeof(frame), leak->pc[i]);
		hz3_warn_to(hz3_os_stderr(), "leak:     %s", frame);
	}
}

void hz3_leak_report(void)
{
	struct leak leak;
	uint32_t row = 0;

	hz3_lock(&hz3_profile_lock);
	struct total total = total_locked();
	hz3_unlock(&hz3_profile_lock);
	hz3_warn_to(hz3_os_stderr(), "leak: about %lu bytes in %lu blocks were never freed, from %u places", (unsigned long)(total.bytes + 0.5),
		 (unsigned long)(total.objects + 0.5), total.rows);
	for (unsigned i = 0; i < LEAKS_MAX; i++) {
		hz3_lock(&hz3_profile_lock);
		row = next_largest_locked(row);
		if (row)
			read_leak_locked(&leak, row);
		hz3_unlock(&hz3_profile_lock);
		if (row == 0)
			return;
		print_leak(&leak);
	}
}
