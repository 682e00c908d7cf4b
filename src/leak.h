/* The report of leaks: the stacks whose blocks were never freed, by the heap profile.  For people, on standard error, at exit. */
#ifndef HZ3_LEAK_H
#define HZ3_LEAK_H

/* With the profile's lock not held.  A line for each of the largest, indented lines for its stack. */
void hz3_leak_report(void);

#endif
