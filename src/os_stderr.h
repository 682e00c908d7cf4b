/*
 * Standard error, of a program that may have closed it.  The rules of os.h hold.
 */
#ifndef HZ3_OS_STDERR_H
#define HZ3_OS_STDERR_H

#include "base.h"

/* Standard error, kept for those who write when the program ends, and may have closed it. */
void hz3_os_keep_stderr(void);
int hz3_os_stderr(void);

/* In the child of a fork, which may live on as a daemon while somebody waits for all to end who have it: no longer. */
void hz3_os_let_go_of_stderr(void);

#endif
