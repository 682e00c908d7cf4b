/* What hz3top knows, and how much it has changed. */
#include "top_model.h"

#include <stdlib.h>
#include <string.h>

#define COUNTS (sizeof(struct hz3_top_counts) / sizeof(uint64_t))
#define GROWING (offsetof(struct hz3_top_counts, waiting_bytes) / sizeof(uint64_t))

/* What is summed over threads that come and go may also fall. */
static uint64_t growth(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static struct top_change change(const struct hz3_top_counts *now, const struct hz3_top_counts *before)
{
	struct top_change change = {.known = before != NULL};
	uint64_t *by = (uint64_t *)&change.by;

	for (size_t i = 0; before != NULL && i < GROWING; i++)
		by[i] = growth(((const uint64_t *)now)[i], ((const uint64_t *)before)[i]);
	return change;
}

/* ---- What was before ---- */

static const struct hz3_top_counts *find_heap(const struct hz3_top_snapshot *snapshot, uint32_t heap)
{
	for (unsigned i = 0; i < snapshot->thread_rows; i++) {
		if (snapshot->thread[i].heap == heap)
			return &snapshot->thread[i].counts;
	}
	return NULL;
}

/* "worker-1" has become "worker-*" when there was a second one. */
static bool is_same_name(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	if (strcmp(a, b) == 0)
		return true;
	while (n > 0 && (a[n - 1] == '*' || (a[n - 1] >= '0' && a[n - 1] <= '9')))
		n--;
	while (m > 0 && (b[m - 1] == '*' || (b[m - 1] >= '0' && b[m - 1] <= '9')))
		m--;
	return n == m && memcmp(a, b, n) == 0 && (a[n] == '*' || b[m] == '*');
}

static const struct hz3_top_flow *find_flow(const struct hz3_top_snapshot *snapshot, const struct hz3_top_flow *flow)
{
	for (unsigned i = 0; i < snapshot->flow_rows; i++) {
		if (is_same_name(snapshot->flow[i].owner, flow->owner) && is_same_name(snapshot->flow[i].freer, flow->freer))
			return &snapshot->flow[i];
	}
	return NULL;
}

static void change_flow(struct top_model *model, unsigned i, const struct hz3_top_snapshot *before)
{
	static const struct hz3_top_flow nothing;
	const struct hz3_top_flow *flow = &model->now.flow[i], *old = NULL;

	if (before != NULL)
		old = find_flow(before, flow);
	/* If all were there, and this one was not, it began since. */
	if (before != NULL && old == NULL && (before->flags & HZ3_TOP_FLOWS_CUT) == 0)
		old = &nothing;
	model->flow[i].known = old != NULL;
	if (old == NULL)
		old = flow;
	model->flow[i].blocks = growth(flow->blocks, old->blocks);
	model->flow[i].bytes = growth(flow->bytes, old->bytes);
	model->flow[i].chains = growth(flow->chains, old->chains);
}

/* ---- Order ---- */

static const struct top_model *sorted;	/* qsort has no argument for it */

bool top_model_value(const struct hz3_top_counts *now, const struct top_change *row, enum top_key key, uint64_t *value)
{
	switch (key) {
	case TOP_WAITING:
		*value = now->waiting_bytes;
		return true;
	case TOP_HELD:
		*value = now->held_bytes;
		return true;
	case TOP_KEPT:
		*value = now->kept_bytes;
		return true;
	case TOP_ALLOCATED:
		*value = row->by.allocated_blocks;
		break;
	case TOP_FREED:
		*value = row->by.freed_local_blocks + row->by.out_blocks;
		break;
	case TOP_IN:
		*value = row->by.in_blocks;
		break;
	case TOP_OUT:
		*value = row->by.out_blocks;
		break;
	case TOP_BYTES:
		*value = row->by.allocated_bytes;
		break;
	default:
		*value = 0;
	}
	return row->known;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? 1 : a > b ? -1 : 0;
}

static int compare_threads(const void *a, const void *b)
{
	unsigned i = *(const unsigned *)a, k = *(const unsigned *)b;
	const struct hz3_top_thread *one = &sorted->now.thread[i], *other = &sorted->now.thread[k];
	uint64_t first = one->tid, second = other->tid;
	int order;

	if (sorted->key == TOP_NAME) {
		order = strcmp(one->name, other->name);
	} else {
		if (sorted->key != TOP_TID) {
			top_model_value(&one->counts, &sorted->thread[i], sorted->key, &first);
			top_model_value(&other->counts, &sorted->thread[k], sorted->key, &second);
		}
		order = compare_numbers(first, second);
	}
	if (sorted->reversed)
		order = -order;
	return order != 0 ? order : compare_numbers(other->heap, one->heap);
}

static int compare_flows(const void *a, const void *b)
{
	unsigned i = *(const unsigned *)a, k = *(const unsigned *)b;
	int order = compare_numbers(sorted->flow[i].blocks, sorted->flow[k].blocks);

	/* In the snapshot: most blocks ever first. */
	return order != 0 ? order : compare_numbers(k, i);
}

void top_model_sort(struct top_model *model, enum top_key key, bool reversed)
{
	model->key = key;
	model->reversed = reversed;
	sorted = model;
	qsort(model->thread_order, model->now.thread_rows, sizeof(model->thread_order[0]), compare_threads);
	qsort(model->flow_order, model->now.flow_rows, sizeof(model->flow_order[0]), compare_flows);
}

/* ---- The whole ---- */

void top_model_put(struct top_model *model, const struct hz3_top_snapshot *snapshot)
{
	static struct hz3_top_snapshot last;
	const struct hz3_top_snapshot *before = NULL;

	if (model->has_now && snapshot->number > model->now.number && snapshot->time_us > model->now.time_us) {
		last = model->now;
		before = &last;
	}
	model->now = *snapshot;
	model->has_now = true;
	model->interval_us = before != NULL ? snapshot->time_us - before->time_us : 0;
	model->total = change(&snapshot->total, before != NULL ? &before->total : NULL);
	model->other = change(&snapshot->other, before != NULL ? &before->other : NULL);
	model->end = change(&snapshot->end, before != NULL ? &before->end : NULL);
	for (unsigned i = 0; i < snapshot->thread_rows; i++) {
		const struct hz3_top_thread *thread = &snapshot->thread[i];

		model->thread[i] = change(&thread->counts, before != NULL ? find_heap(before, thread->heap) : NULL);
		model->thread_order[i] = i;
	}
	for (unsigned i = 0; i < snapshot->flow_rows; i++) {
		change_flow(model, i, before);
		model->flow_order[i] = i;
	}
	top_model_sort(model, model->key, model->reversed);
}

unsigned top_model_threads(const struct top_model *model)
{
	return model->now.thread_rows + model->now.others;
}
