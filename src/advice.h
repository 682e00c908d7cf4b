/*
 * What the numbers say about the program: a line of advice where there is something to do.
 *
 * Each rule is a function of a view whose flow map has been merged; it says nothing about programs that do little.  For each
 * there are programs in test/api/advice.c that earn it, and that don't.
 */
#ifndef HZ3_ADVICE_H
#define HZ3_ADVICE_H

#include "view.h"

/* A line, without an end, under the rule's name, which is for programs. */
typedef void hz3_advice_say(void *arg, const char *rule, const char *text);

/* At most HZ3_ADVICE_MAX lines. */
#define HZ3_ADVICE_MAX 16
void hz3_advise(const struct hz3_view *view, hz3_advice_say *listener, void *arg);

#endif
