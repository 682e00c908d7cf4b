/* The model as JSON. */
#include "top_json.h"

#include "out.h"

#include <stdio.h>

static const char *const sink_names[] = {"central", "page", "auto"};

static void write_text(void *arg, const char *text)
{
	(void)arg;
	fputs(text, stdout);
}

static void per_second(struct hz3_out *o, const struct top_model *model, const char *key, uint64_t growth)
{
	hz3_json_ratio(o, key, growth * 1000000, model->interval_us);
}

/* Keys of an object that is open; no rates where there is nothing to compare with. */
static void put_counts(struct hz3_out *o, const struct top_model *model, const struct hz3_top_counts *now, const struct top_change *change)
{
	hz3_json_count(o, "allocated_blocks", now->allocated_blocks);
	hz3_json_count(o, "allocated_bytes", now->allocated_bytes);
	hz3_json_count(o, "freed_local_blocks", now->freed_local_blocks);
	hz3_json_count(o, "freed_local_bytes", now->freed_local_bytes);
	hz3_json_count(o, "in_blocks", now->in_blocks);
	hz3_json_count(o, "in_bytes", now->in_bytes);
	hz3_json_count(o, "out_blocks", now->out_blocks);
	hz3_json_count(o, "out_bytes", now->out_bytes);
	hz3_json_count(o, "out_chains", now->out_chains);
	hz3_json_count(o, "taken_blocks", now->taken_blocks);
	hz3_json_count(o, "slow_paths", now->slow_paths);
	hz3_json_count(o, "waiting_bytes", now->waiting_bytes);
	hz3_json_count(o, "held_bytes", now->held_bytes);
	hz3_json_count(o, "kept_bytes", now->kept_bytes);
	if (!change->known || model->interval_us == 0)
		return;
	hz3_json_open(o, "per_second", '{');
	per_second(o, model, "allocated_blocks", change->by.allocated_blocks);
	per_second(o, model, "allocated_bytes", change->by.allocated_bytes);
	per_second(o, model, "freed_local_blocks", change->by.freed_local_blocks);
	per_second(o, model, "in_blocks", change->by.in_blocks);
	per_second(o, model, "out_blocks", change->by.out_blocks);
	per_second(o, model, "out_chains", change->by.out_chains);
	per_second(o, model, "taken_blocks", change->by.taken_blocks);
	per_second(o, model, "slow_paths", change->by.slow_paths);
	hz3_json_close(o, '}');
}

static void put_memory(struct hz3_out *o, const struct hz3_top_memory *memory)
{
	hz3_json_open(o, "memory", '{');
	hz3_json_count(o, "resident", memory->resident);
	hz3_json_count(o, "live_bytes", memory->live_bytes);
	hz3_json_count(o, "live_blocks", memory->live_blocks);
	hz3_json_count(o, "active", memory->active);
	hz3_json_count(o, "dirty", memory->dirty);
	hz3_json_count(o, "mapped", memory->mapped);
	hz3_json_count(o, "metadata", memory->metadata);
	hz3_json_count(o, "purged", memory->purged);
	hz3_json_count(o, "held_limit", memory->held_limit);
	hz3_json_close(o, '}');
}

static void put_sum(struct hz3_out *o, const struct top_model *model, const char *key, uint32_t heaps, const struct hz3_top_counts *now,
		    const struct top_change *change)
{
	hz3_json_open(o, key, '{');
	hz3_json_count(o, "heaps", heaps);
	put_counts(o, model, now, change);
	hz3_json_close(o, '}');
}

static void put_threads(struct hz3_out *o, const struct top_model *model)
{
	hz3_json_open(o, "threads", '[');
	for (unsigned i = 0; i < model->now.thread_rows; i++) {
		unsigned at = model->thread_order[i];
		const struct hz3_top_thread *thread = &model->now.thread[at];

		hz3_json_open(o, NULL, '{');
		hz3_json_string(o, "name", thread->name);
		hz3_json_count(o, "tid", thread->tid);
		hz3_json_count(o, "heap", thread->heap);
		put_counts(o, model, &thread->counts, &model->thread[at]);
		hz3_json_close(o, '}');
	}
	hz3_json_close(o, ']');
}

static void put_flows(struct hz3_out *o, const struct top_model *model)
{
	hz3_json_open(o, "flows", '[');
	for (unsigned i = 0; i < model->now.flow_rows; i++) {
		unsigned at = model->flow_order[i];
		const struct hz3_top_flow *flow = &model->now.flow[at];

		hz3_json_open(o, NULL, '{');
		hz3_json_string(o, "owner", flow->owner);
		hz3_json_string(o, "freer", flow->freer);
		hz3_json_count(o, "blocks", flow->blocks);
		hz3_json_count(o, "bytes", flow->bytes);
		hz3_json_count(o, "chains", flow->chains);
		if (model->flow[at].known && model->interval_us != 0) {
			hz3_json_open(o, "per_second", '{');
			per_second(o, model, "blocks", model->flow[at].blocks);
			per_second(o, model, "bytes", model->flow[at].bytes);
			per_second(o, model, "chains", model->flow[at].chains);
			hz3_json_close(o, '}');
		}
		hz3_json_close(o, '}');
	}
	hz3_json_close(o, ']');
}

bool top_json_print(const struct top_model *model, const struct top_process *process, const char *version, const char *state)
{
	const struct hz3_top_snapshot *now = &model->now;
	struct hz3_out o;

	hz3_out_begin(&o, write_text, NULL);
	o.first = true;
	hz3_out_char(&o, '{');
	o.depth = 1;
	hz3_json_count(&o, "hz3top_version", TOP_JSON_VERSION);
	hz3_json_count(&o, "pid", (uint64_t)process->pid);
	hz3_json_string(&o, "name", process->name);
	hz3_json_string(&o, "command", process->command);
	hz3_json_string(&o, "hz3", version);
	hz3_json_string(&o, "state", state);
	hz3_json_string(&o, "sink", now->sink < 3 ? sink_names[now->sink] : "unknown");
	hz3_json_bool(&o, "statistics", (now->flags & HZ3_TOP_COUNTS) != 0);
	hz3_json_count(&o, "snapshot", now->number);
	hz3_json_ratio(&o, "time", now->wall_ns / 1000, 1000000);
	hz3_json_ratio(&o, "interval", model->interval_us, 1000000);
	put_memory(&o, &now->memory);
	put_sum(&o, model, "total", now->thread_rows + now->others + now->ended, &now->total, &model->total);
	put_threads(&o, model);
	put_sum(&o, model, "other_threads", now->others, &now->other, &model->other);
	put_sum(&o, model, "no_thread", now->ended, &now->end, &model->end);
	put_flows(&o, model);
	hz3_json_bool(&o, "flows_complete", (now->flags & HZ3_TOP_FLOWS_CUT) == 0);
	hz3_json_close(&o, '}');
	hz3_out_char(&o, '\n');
	hz3_out_flush(&o);
	return fflush(stdout) == 0;
}
