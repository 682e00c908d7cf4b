/*
 * The named control tree behind hz3_control(), in the manner of jemalloc's mallctl.
 *
 * Any thread may call it, with no lock held.  Values that several threads write are single words, stored and loaded
 * relaxed: they are settings, and order nothing.  hz3_control() itself is declared in hz3.h.
 */
#ifndef HZ3_CONTROL_H
#define HZ3_CONTROL_H

#include "base.h"

/*
 * The names, for tests and for the manual; NULL past the end.  "<i>" in a name stands for an index.  The names
 * "opt.<option>" are not among them: they follow from options.def.
 */
const char *hz3_control_name(size_t i);

#endif
