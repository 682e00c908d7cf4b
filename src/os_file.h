/*
 * Files and their descriptors.  The rules of os.h hold.
 */
#ifndef HZ3_OS_FILE_H
#define HZ3_OS_FILE_H

#include "base.h"

#include <sys/types.h>

/* Writes everything unless an error stops it; returns the bytes written, or -1 if none could be. */
ssize_t hz3_os_write(int fd, const void *data, size_t bytes);

/* At most bytes from a descriptor: how many, 0 at the end, or -1. */
ssize_t hz3_os_read(int fd, void *data, size_t bytes);
int hz3_os_open_input(const char *path);

/* Creates or truncates a file (mode 0644, close-on-exec) and returns a descriptor for writing, or -1; also of a FIFO that nobody reads. */
int hz3_os_open_output(const char *path);

/* The same for a file that is not there yet, nor a link to one. */
int hz3_os_open_new_output(const char *path);

void hz3_os_close(int fd);

/* The beginning of a small file, as a string; "" if it can't be read. */
void hz3_os_read_text(const char *path, char *text, size_t bytes);

/* Puts a file in the place of another, which may not exist; removes one.  0 or -1. */
int hz3_os_rename(const char *from, const char *to);
int hz3_os_remove(const char *path);

/* A copy of a descriptor, with a number out of the way of programs; -1 if there is none. */
int hz3_os_copy_up(int fd);

/* The descriptor with a number out of the way of programs, if there is one. */
int hz3_os_move_up(int fd);

#endif
