/* dlopen, without RTLD_DEEPBIND. */
#ifndef HZ3_DEEPBIND_H
#define HZ3_DEEPBIND_H

/* As dlopen(3); any thread. */
void *hz3_deepbind_dlopen(const char *file, int mode);

#endif
