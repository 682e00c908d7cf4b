/*
 * Processes that publish: how hz3top finds them, and what it reads of one.  Nothing here stops a process or writes to it.
 */
#ifndef HZ3_TOP_ATTACH_H
#define HZ3_TOP_ATTACH_H

#include "top_read.h"

#include <sys/types.h>

#define TOP_COMMAND_BYTES 256

/* Who a process is, in printable characters. */
struct top_process {
	pid_t pid;
	char name[HZ3_TOP_NAME_BYTES];
	char command[TOP_COMMAND_BYTES];	/* with its arguments; clipped */
};

enum top_news {
	TOP_NEWS,	/* a snapshot that was not read before */
	TOP_NO_NEWS,
	TOP_SILENT,	/* none for some periods: the process is stopped, or has no time for it */
	TOP_GONE,	/* it publishes no more, though it lives: another program has taken its place */
	TOP_ENDED
};

struct top_target {
	struct top_process process;
	int pidfd;				/* -1: the kernel has none (before 5.3) */
	const struct hz3_top_file *file;	/* NULL: not attached */
	ino_t inode;
	uint64_t last_number;			/* of the snapshot that was read last */
	uint64_t last_news_ms;			/* when that came, by our clock */
	enum top_news last_look;		/* what top_look() said last */
};

/* NULL, or why it can't be, as a phrase about the process: "is not there". */
const char *top_attach(struct top_target *target, pid_t pid);
void top_detach(struct top_target *target);

/* What there is new; the snapshot is as it was unless that is TOP_NEWS. */
enum top_news top_look(struct top_target *target, struct hz3_top_snapshot *snapshot);

/* What is unusual about it, for the picture; NULL: nothing. */
const char *top_state_text(enum top_news news);

/* Every process that publishes and may be read, by rising number; the file is good during the call only. */
typedef void top_visit(void *arg, const struct top_process *process, const struct hz3_top_file *file);
void top_visit_all(top_visit *visit, void *arg);

/* Whether the process goes by this name: its own, or that of its program. */
bool top_has_name(const struct top_process *process, const char *name);

uint64_t top_now_ms(void);

#endif
