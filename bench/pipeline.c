/*
 * pipeline: a block is made by the first stage, read by all, and freed by the last, each stage a thread of its own.
 *
 * Several pipelines run side by side and share nothing but malloc.  An operation is one block that left the last stage.
 *
 * A stage ends when the one before it has ended and nothing is left between the two.  So the first stage may wait for
 * room even when the time is over: whoever follows still takes.
 */
#include "bench.h"

#define STAGES_MAX 64
#define PLACES_MAX 256
#define IN_FLIGHT_MAX 16384	/* blocks, over all rings */

/* Between two stages. */
struct link {
	struct bench_ring *ring;
	_Atomic bool ended;	/* set after the last put (release), read before the last take (acquire) */
};

static unsigned stages = 4;
static struct link *links;	/* [pipeline * (stages - 1) + stage before it] */

static void put(struct link *to, void *block)
{
	while (!bench_put(to->ring, block))
		bench_pause();
}

static void end(struct link *to)
{
	atomic_store_explicit(&to->ended, true, memory_order_release);
}

/* The next block, or NULL when no more will come. */
static void *take(struct link *from)
{
	void *block;

	while ((block = bench_take(from->ring)) == NULL) {
		if (atomic_load_explicit(&from->ended, memory_order_acquire))
			return bench_take(from->ring);
		bench_pause();
	}
	return block;
}

static void first_stage(struct bench_thread *t, struct link *to)
{
	while (!bench_stopping())
		put(to, bench_malloc(t, bench_size(t)));
	end(to);
}

static void middle_stage(struct bench_thread *t, struct link *from, struct link *to)
{
	void *block;

	while ((block = take(from)) != NULL) {
		bench_check(t, block);
		put(to, block);
	}
	end(to);
}

static void last_stage(struct bench_thread *t, struct link *from)
{
	void *block;

	while ((block = take(from)) != NULL) {
		bench_free(t, block);
		bench_did(t, 1);
	}
}

static void work(struct bench_thread *t)
{
	unsigned stage = t->index % stages;
	struct link *to = links + (size_t)(t->index / stages) * (stages - 1) + stage;

	if (stage == 0)
		first_stage(t, to);
	else if (stage < stages - 1)
		middle_stage(t, to - 1, to);
	else
		last_stage(t, to - 1);
}

static void make_links(void)
{
	size_t count = (size_t)bench.workers * (stages - 1);
	struct bench_ring *rings = bench_rings(count, bench_places(count, PLACES_MAX, IN_FLIGHT_MAX));

	links = bench_map(count * sizeof(*links));
	for (size_t i = 0; i < count; i++)
		links[i].ring = &rings[i];
}

static bool option(int letter, const char *text)
{
	(void)letter;
	stages = (unsigned)bench_number(text, 2, STAGES_MAX);
	return true;
}

int main(int argc, char **argv)
{
	static const struct bench_spec spec = {
		.name = "pipeline", .workers = 2, .size = "64-1024", .seconds = 1, .letters = "k:", .option = option,
		.usage = "              workers are pipelines, each of as many threads as it has stages\n"
		    "  -k STAGES   of a pipeline, at least 2 (4; at most 64)\n",
	};
	char more[32];

	bench_begin(argc, argv, &spec);
	if (bench.workers * stages > BENCH_THREADS_MAX) {
		fprintf(stderr, "pipeline: pipelines times stages (-w, -k) is at most %d\n", BENCH_THREADS_MAX);
		return 2;
	}
	make_links();
	bench_threads(bench.workers * stages);
	bench_run(bench.workers * stages, work);
	snprintf(more, sizeof(more), "stages=%u", stages);
	return bench_end(more);
}
