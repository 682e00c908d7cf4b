/*
 * Two pools of threads and a slow logger: whose memory is freed by whom?
 *
 *   cc -O2 -pthread -o logger logger.c
 *   HZ3_CONF=stats_print:true LD_PRELOAD=libhz3.so ./logger
 *
 * Four workers make messages and hand them to one logger, which writes them out in another order than they came (by
 * "severity") and frees them.  Two readers make requests for the workers, which free those themselves, in order.
 * With the argument "in-order" the logger frees in the order of arrival; the advice is gone then.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 4
#define READERS 2
#define MESSAGES 100000		/* a worker's */
#define MESSAGE_BYTES 112
#define REQUEST_BYTES 200
#define QUEUE_SLOTS 4096
#define SORTED 200000		/* messages that the logger looks at together: it is slow */

struct message {
	unsigned severity;
	char text[MESSAGE_BYTES - sizeof(unsigned)];
};

/* A bounded queue of pointers. */
struct queue {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	void *slot[QUEUE_SLOTS];
	unsigned head, used;
	unsigned writers;	/* when there is none left, the queue ends */
};

#define QUEUE(n) {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .writers = (n)}

static struct queue log_queue = QUEUE(WORKERS);
static struct queue request_queue = QUEUE(READERS);
static int in_order;

static void put(struct queue *q, void *p)
{
	pthread_mutex_lock(&q->lock);
	while (q->used == QUEUE_SLOTS)
		pthread_cond_wait(&q->changed, &q->lock);
	q->slot[(q->head + q->used++) % QUEUE_SLOTS] = p;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
}

/* NULL: all writers have left. */
static void *take(struct queue *q)
{
	void *p = NULL;

	pthread_mutex_lock(&q->lock);
	while (q->used == 0 && q->writers > 0)
		pthread_cond_wait(&q->changed, &q->lock);
	if (q->used > 0) {
		p = q->slot[q->head];
		q->head = (q->head + 1) % QUEUE_SLOTS;
		q->used--;
	}
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
	return p;
}

static void leave(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->writers--;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
}

static void *allocate(size_t bytes)
{
	void *p = malloc(bytes);

	if (p == NULL)
		abort();
	return p;
}

static void *reader(void *arg)
{
	char name[16];

	snprintf(name, sizeof(name), "reader-%d", (int)(size_t)arg);
	pthread_setname_np(pthread_self(), name);
	for (int i = 0; i < WORKERS * MESSAGES / READERS; i++)
		put(&request_queue, memset(allocate(REQUEST_BYTES), 1, REQUEST_BYTES));
	leave(&request_queue);
	return NULL;
}

static void *worker(void *arg)
{
	unsigned random = (unsigned)(size_t)arg + 1;
	char name[16];
	void *request;

	snprintf(name, sizeof(name), "worker-%d", (int)(size_t)arg);
	pthread_setname_np(pthread_self(), name);
	while ((request = take(&request_queue)) != NULL) {
		struct message *m = allocate(sizeof(*m));

		random = random * 1103515245u + 12345u;
		m->severity = random >> 8;
		memcpy(m->text, request, sizeof(m->text));
		free(request);
		put(&log_queue, m);
	}
	leave(&log_queue);
	return NULL;
}

static int by_severity(const void *a, const void *b)
{
	unsigned x = (*(struct message *const *)a)->severity, y = (*(struct message *const *)b)->severity;

	return x < y ? -1 : x > y;
}

static void *logger(void *arg)
{
	static struct message *batch[SORTED];
	size_t n;

	pthread_setname_np(pthread_self(), "logger");
	do {
		for (n = 0; n < SORTED && (batch[n] = take(&log_queue)) != NULL; n++)
			;
		if (!in_order)
			qsort(batch, n, sizeof(batch[0]), by_severity);
		for (size_t i = 0; i < n; i++)
			free(batch[i]);
	} while (n > 0);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t thread[WORKERS + READERS + 1];
	int n = 0;

	in_order = argc > 1 && strcmp(argv[1], "in-order") == 0;
	for (size_t i = 0; i < WORKERS; i++)
		pthread_create(&thread[n++], NULL, worker, (void *)i);
	for (size_t i = 0; i < READERS; i++)
		pthread_create(&thread[n++], NULL, reader, (void *)i);
	pthread_create(&thread[n++], NULL, logger, NULL);
	while (n > 0)
		pthread_join(thread[--n], NULL);
	return 0;
}
