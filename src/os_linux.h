/*
 * What the headers of the system may lack, being older or another libc's.
 *
 * For the files os_*.c.  They have no preprocessor conditionals: those are here.
 */
#ifndef HZ3_OS_LINUX_H
#define HZ3_OS_LINUX_H

#include "base.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif
#ifndef PR_SET_VMA_ANON_NAME
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef GRND_NONBLOCK
#define GRND_NONBLOCK 1
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1u
#endif
#ifndef MFD_ALLOW_SEALING
#define MFD_ALLOW_SEALING 2u
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_SEAL_SEAL 1
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

/* From linux/membarrier.h, which not every system has. */
#define HZ3_BARRIER_PRIVATE_EXPEDITED 8
#define HZ3_BARRIER_REGISTER_PRIVATE_EXPEDITED 16

/* 1 if libc gives constructors the environment.  Other libcs have it by then, and give constructors no arguments. */
#ifdef __GLIBC__
#define HZ3_CONSTRUCTORS_GET_ENVIRONMENT 1
#else
#define HZ3_CONSTRUCTORS_GET_ENVIRONMENT 0
#endif

#endif
