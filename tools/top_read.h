/*
 * What hz3top believes of what it finds in another process's file: nothing that could do harm.  Only memory is looked at here,
 * no process and no terminal.
 */
#ifndef HZ3_TOP_READ_H
#define HZ3_TOP_READ_H

#include "base.h"
#include "top_format.h"

/* Is this a file of our format, of this publisher?  NULL, or why not, as a phrase about the process ("it ..."). */
const char *top_check(const struct hz3_top_file *file, size_t bytes, uint32_t pid);

/*
 * A copy of the snapshot, of one moment, with all numbers of rows in their bounds, and names of printable characters that end.  False: there is none
 * yet, or it was being written at each of several tries; try later.  The file was checked.
 */
bool top_copy(const struct hz3_top_file *file, struct hz3_top_snapshot *out);

/* Printable and valid UTF-8, or '?' in its place. */
void top_clean_text(char *text);

#endif
