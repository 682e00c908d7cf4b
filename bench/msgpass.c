/*
 * msgpass: threads that send each other messages; who receives one frees it.
 *
 * Mesh: every thread sends to all others in turn, each pair through a ring of its own, so that what a thread frees
 * belongs to many owners in a mixed order.  Ring: thread i sends to thread i + 1 only, so that it belongs to one.
 * A single thread sends to itself.  An operation is one message received and freed.
 *
 * A sender that finds a ring full receives meanwhile, and a thread that has ended sending receives until all have:
 * so every message finds its receiver, and the last one is freed by another thread as all before it were.
 */
#include "bench.h"

#define MESH_MAX 256		/* threads: their rings are as many squared */
#define PLACES_MAX 64
#define IN_FLIGHT_MAX 16384	/* messages, over all rings */
#define BURST 32		/* messages sent before a thread looks for some to receive */

static bool mesh = true;
static unsigned peers;			/* that each thread sends to: those at a distance of 1 .. peers after it */
static struct bench_ring *rings;	/* [to * peers + distance - 1] */

/* Threads that still send.  Decremented after the last put (release), read before the last take (acquire). */
static _Atomic unsigned senders;

/* Free what was sent to the thread.  False: nothing. */
static bool receive(struct bench_thread *t)
{
	return bench_free_arrived(t, rings + (size_t)t->index * peers, peers);
}

static void send(struct bench_thread *t, unsigned distance)
{
	unsigned to = t->index + distance;
	void *block = bench_malloc(t, bench_size(t));
	struct bench_ring *ring;

	to -= to >= bench.workers ? bench.workers : 0;
	ring = &rings[(size_t)to * peers + distance - 1];
	while (!bench_put(ring, block)) {
		if (!receive(t))
			bench_pause();
	}
}

static void work(struct bench_thread *t)
{
	unsigned distance = 1, sent = 0;

	while (!bench_stopping()) {
		send(t, distance);
		distance = distance < peers ? distance + 1 : 1;
		if (++sent % BURST == 0)
			receive(t);
	}
	atomic_fetch_sub_explicit(&senders, 1, memory_order_release);
	while (atomic_load_explicit(&senders, memory_order_acquire) != 0) {
		if (!receive(t))
			bench_pause();
	}
	receive(t);
}

static void make_rings(void)
{
	size_t count;

	peers = mesh && bench.workers > 1 ? bench.workers - 1 : 1;
	count = (size_t)bench.workers * peers;
	rings = bench_rings(count, bench_places(count, PLACES_MAX, IN_FLIGHT_MAX));
}

static bool option(int letter, const char *text)
{
	(void)letter;
	mesh = strcmp(text, "mesh") == 0;
	return mesh || strcmp(text, "ring") == 0;
}

int main(int argc, char **argv)
{
	static const struct bench_spec spec = {
		.name = "msgpass", .workers = 4, .size = "16-4096", .seconds = 1, .letters = "p:", .option = option,
		.usage = "  -p PATTERN  mesh: each sends to all others (-w 256 at most); ring: to the next (mesh)\n",
	};

	bench_begin(argc, argv, &spec);
	if (mesh && bench.workers > MESH_MAX) {
		fprintf(stderr, "msgpass: a mesh is of at most %d workers (-w)\n", MESH_MAX);
		return 2;
	}
	make_rings();
	bench_threads(bench.workers);
	senders = bench.workers;
	bench_run(bench.workers, work);
	return bench_end(mesh ? "pattern=mesh" : "pattern=ring");
}
