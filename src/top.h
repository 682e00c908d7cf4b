/*
 * Publishing for hz3top: with the option top, the background thread renews a snapshot (top_format.h) once a second, in a file in memory
 * that others can find and read, but not change.
 *
 * Nothing is counted for it: it adds up what heaps and flows count anyway, as the statistics do.  Nobody who reads can hold anybody up.
 *
 * A forked child has none until its background thread runs, and then its own.  If the program closes the file's descriptor, which it may
 * do with what it does not know, the next second brings another file.
 */
#ifndef HZ3_TOP_H
#define HZ3_TOP_H

#include "top_format.h"

/* At start, once the options are known, and after the set-up of whatever reports (the thread is started here or there). */
void hz3_top_setup(void);

/* A snapshot of now, into memory of all zeroes or the one before.  One thread at a time, with no lock held. */
void hz3_top_take(struct hz3_top_snapshot *out);

#endif
