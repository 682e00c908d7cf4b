/*
 * What the numbers say about the program: a line of advice where there is something to do.
 *
 * Each rule is a function of a view whose flow map has been merged; it says nothing about programs that do little.  For each
 * there are programs in test/api/advice.c that earn it, and that don't.
 */
#ifndef HZ3_ADVICE_H
#define HZ3_ADVICE_H

#include "view.h"

#define HZ3_ADVICE_MAX 16
#define HZ3_ADVICE_BYTES 400

struct hz3_advice {
	const char *rule;		/* its name, for programs */
	char text[HZ3_ADVICE_BYTES];
};

struct hz3_advices {
	unsigned count;
	struct hz3_advice advice[HZ3_ADVICE_MAX];
};

void hz3_advise(const struct hz3_view *view, struct hz3_advices *out);

#endif
