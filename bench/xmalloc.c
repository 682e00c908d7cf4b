/*
 * xmalloc-testN: producers allocate batches of blocks, consumers free them, so that every free is a remote one.
 *
 * The shape is that of the xmalloc-test of Lever and Boreham as it is used today: batches of 4096 pointers go through
 * one bounded stack (last in, first out, at most 100 batches) under a mutex.  The arrays of pointers are recycled, so
 * that every malloc and free is a measured one.  An operation is one free of a consumer.
 *
 * With -r the blocks of a batch are freed in random order: what page-ordered allocation gives to the freeing side is
 * then lost, as if the allocator had mixed its pages.
 */
#include "bench.h"

#define BATCH_MAX 65536
#define STACK_MAX 100

struct batch {
	struct batch *next;
	size_t count;
	void **block;
};

static size_t batch_size = 4096;
static bool shuffled;

/* All of this under the mutex. */
static struct {
	pthread_mutex_t mutex;
	pthread_cond_t not_empty, not_full, has_spare;
	struct batch *full;	/* batches with blocks in them, newest first */
	struct batch *spare;	/* batches without */
	unsigned full_count;
	unsigned producers;	/* that still run */
} stack = {
	.mutex = PTHREAD_MUTEX_INITIALIZER,
	.not_empty = PTHREAD_COND_INITIALIZER,
	.not_full = PTHREAD_COND_INITIALIZER,
	.has_spare = PTHREAD_COND_INITIALIZER,
};

static struct batch *take_spare(void)
{
	struct batch *b;

	pthread_mutex_lock(&stack.mutex);
	while (stack.spare == NULL)
		pthread_cond_wait(&stack.has_spare, &stack.mutex);
	b = stack.spare;
	stack.spare = b->next;
	pthread_mutex_unlock(&stack.mutex);
	return b;
}

static void give_spare(struct batch *b)
{
	pthread_mutex_lock(&stack.mutex);
	b->next = stack.spare;
	stack.spare = b;
	pthread_cond_signal(&stack.has_spare);
	pthread_mutex_unlock(&stack.mutex);
}

static void put(struct batch *b)
{
	pthread_mutex_lock(&stack.mutex);
	while (stack.full_count >= STACK_MAX)
		pthread_cond_wait(&stack.not_full, &stack.mutex);
	b->next = stack.full;
	stack.full = b;
	stack.full_count++;
	pthread_cond_signal(&stack.not_empty);
	pthread_mutex_unlock(&stack.mutex);
}

/* The next batch, or NULL when all producers have ended and nothing is left. */
static struct batch *get(void)
{
	struct batch *b;

	pthread_mutex_lock(&stack.mutex);
	while (stack.full == NULL && stack.producers > 0)
		pthread_cond_wait(&stack.not_empty, &stack.mutex);
	b = stack.full;
	if (b != NULL) {
		stack.full = b->next;
		stack.full_count--;
		pthread_cond_signal(&stack.not_full);
	}
	pthread_mutex_unlock(&stack.mutex);
	return b;
}

static void produce(struct bench_thread *t)
{
	while (!bench_stopping()) {
		struct batch *b = take_spare();

		for (b->count = 0; b->count < batch_size; b->count++)
			b->block[b->count] = bench_malloc(t, bench_size(t));
		if (shuffled)
			bench_shuffle(t, b->block, b->count);
		put(b);
	}

	pthread_mutex_lock(&stack.mutex);
	stack.producers--;
	pthread_cond_broadcast(&stack.not_empty);
	pthread_mutex_unlock(&stack.mutex);
}

static void consume(struct bench_thread *t)
{
	struct batch *b;

	while ((b = get()) != NULL) {
		for (size_t i = 0; i < b->count; i++)
			bench_free(t, b->block[i]);
		bench_did(t, b->count);
		give_spare(b);
	}
}

static void work(struct bench_thread *t)
{
	if (t->index % 2 == 0)
		consume(t);
	else
		produce(t);
}

/* A spare for each place in the stack and each hand. */
static void make_batches(unsigned count)
{
	struct batch *batches = bench_map(count * sizeof(*batches));
	void **blocks = bench_map(count * batch_size * sizeof(*blocks));

	for (unsigned i = 0; i < count; i++) {
		batches[i].block = blocks + i * batch_size;
		batches[i].next = stack.spare;
		stack.spare = &batches[i];
	}
}

static bool option(int letter, const char *text)
{
	switch (letter) {
	case 'b':
		batch_size = bench_number(text, 1, BATCH_MAX);
		return true;
	case 'r':
		shuffled = true;
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	static const struct bench_spec spec = {
		.name = "xmalloc", .workers = 16, .size = "64", .seconds = 1, .letters = "b:r", .option = option,
		.usage = "              as many producers as consumers\n"
		    "  -b BATCH    blocks in a batch (4096; at most 65536)\n"
		    "  -r          blocks of a batch are freed in random order\n",
	};

	bench_begin(argc, argv, &spec);
	make_batches(STACK_MAX + 2 * bench.workers);
	bench_threads(2 * bench.workers);
	stack.producers = bench.workers;
	bench_run(2 * bench.workers, work);
	return bench_end("");
}
