/*
 * Prints the statistics as XML: as glibc's malloc_info does.
 */
#include "report.h"

#include "stats.h"

/* glibc lists free chunks by size; ours are the free blocks of the pages in use.  Returns their bytes. */
static uint64_t xml_sizes(struct hz3_out *o, const struct hz3_stats *stats, uint64_t *count)
{
	uint64_t bytes = 0, below = 0;

	*count = 0;
	hz3_out_text(o, "<sizes>\n");
	for (unsigned i = 0; i < HZ3_CLASSES; i++) {
		const struct hz3_class_stats *class = &stats->class[i];
		uint64_t blocks = class->pages * hz3_class_info[i].capacity;
		uint64_t unused = blocks > class->live ? blocks - class->live : 0;

		if (unused != 0) {
			hz3_out_put(o, "  <size from=\"%lu\" to=\"%lu\" ", (unsigned long)below + 1,
			    (unsigned long)hz3_class_size(i));
			hz3_out_put(o, "total=\"%lu\" count=\"%lu\"/>\n", (unsigned long)(unused * hz3_class_size(i)),
			    (unsigned long)unused);
		}
		below = hz3_class_size(i);
		bytes += unused * below;
		*count += unused;
	}
	hz3_out_text(o, "</sizes>\n");
	return bytes;
}

static void xml_totals(struct hz3_out *o, const struct hz3_stats *stats, uint64_t count, uint64_t bytes)
{
	unsigned long mapped = (unsigned long)stats->mapped;

	hz3_out_text(o, "<total type=\"fast\" count=\"0\" size=\"0\"/>\n");
	hz3_out_put(o, "<total type=\"rest\" count=\"%lu\" size=\"%lu\"/>\n", (unsigned long)count, (unsigned long)bytes);
	if (o->depth == 0)
		hz3_out_put(o, "<total type=\"mmap\" count=\"%lu\" size=\"%lu\"/>\n", (unsigned long)stats->large.live,
		    (unsigned long)stats->large.live_bytes);
	hz3_out_put(o, "<system type=\"current\" size=\"%lu\"/>\n<system type=\"max\" size=\"%lu\"/>\n", mapped, mapped);
	hz3_out_put(o, "<aspace type=\"total\" size=\"%lu\"/>\n<aspace type=\"mprotect\" size=\"%lu\"/>\n", mapped, mapped);
}

void hz3_report_xml(hz3_report_write *write, void *arg, const struct hz3_stats *stats)
{
	uint64_t count, bytes;
	struct hz3_out o;

	hz3_out_begin(&o, write, arg);
	hz3_out_text(&o, "<malloc version=\"1\">\n<heap nr=\"0\">\n");
	bytes = xml_sizes(&o, stats, &count);
	o.depth = 1;
	xml_totals(&o, stats, count, bytes);
	o.depth = 0;
	hz3_out_text(&o, "</heap>\n");
	xml_totals(&o, stats, count, bytes);
	hz3_out_text(&o, "</malloc>\n");
	hz3_out_flush(&o);
}
