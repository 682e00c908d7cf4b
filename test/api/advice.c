/*
 * For every rule of advice a program that earns it, and one like it that doesn't.
 *
 * Each case is a process of its own: it does something, and then looks for the rule in the statistics.
 */
#include "again.h"

#define N 200000			/* blocks of 100 bytes: 340 pages, more than a buffer has entries */
#define ROUNDS 3

static void *blocks[N];
static _Atomic int stage;

static void reach(int n)
{
	stage = n;
}

static void wait_for(int n)
{
	while (stage != n)
		nap(1);
}

static void name_thread(const void *name)
{
	if (name != NULL)
		pthread_setname_np(pthread_self(), name);
}

/* ---- one thread makes, another frees ---- */

static size_t block_bytes = 100;

static void *producer(void *name)
{
	name_thread(name);
	for (int round = 0; round < ROUNDS; round++) {
		wait_for(2 * round);
		for (int i = 0; i < N; i++)
			blocks[i] = allocate(block_bytes);
		reach(2 * round + 1);
	}
	wait_for(2 * ROUNDS);
	return NULL;
}

static void shuffle(void)
{
	unsigned random = 12345;

	for (int i = N - 1; i > 0; i--) {
		random = random * 1103515245u + 12345u;
		int j = (int)((random >> 4) % (unsigned)(i + 1));
		void *p = blocks[i];
		blocks[i] = blocks[j];
		blocks[j] = p;
	}
}

static void consume(const char *producer_name, const char *name, bool shuffled)
{
	pthread_t thread = start(producer, producer_name);

	name_thread(name);
	for (int round = 0; round < ROUNDS; round++) {
		wait_for(2 * round + 1);
		if (shuffled)
			shuffle();
		for (int i = 0; i < N; i++)
			free(blocks[i]);
		reach(2 * round + 2);
	}
	pthread_join(thread, NULL);
}

static void shuffled_consumer(void)
{
	consume("maker", "logger", true);
}

static void orderly_consumer(void)
{
	consume("maker", "logger", false);
}

static void nameless(void)
{
	consume(NULL, NULL, false);
}

/* ---- two threads, question and answer ---- */

#define QUESTIONS 40000
#define AT_ONCE 100

static void *mail[AT_ONCE];
static bool answers_in_new_blocks;

static void *answering(void *name)
{
	name_thread(name);
	for (int n = 0; n < QUESTIONS / AT_ONCE; n++) {
		wait_for(2 * n + 1);
		for (int i = 0; i < AT_ONCE; i++) {
			if (!answers_in_new_blocks)
				continue;
			free(mail[i]);
			mail[i] = allocate(100);
		}
		reach(2 * n + 2);
	}
	return NULL;
}

static void ask(void)
{
	pthread_t thread = start(answering, "answers");

	name_thread("asks");
	for (int n = 0; n < QUESTIONS / AT_ONCE; n++) {
		for (int i = 0; i < AT_ONCE; i++)
			mail[i] = allocate(100);
		reach(2 * n + 1);
		wait_for(2 * n + 2);
		for (int i = 0; i < AT_ONCE; i++)
			free(mail[i]);
	}
	pthread_join(thread, NULL);
}

static void answers_new(void)
{
	answers_in_new_blocks = true;
	ask();
}

static void answers_in_place(void)
{
	ask();
}

/* ---- an owner that sleeps ---- */

static bool owner_is_idle;
static _Atomic int64_t idle_ms;	/* when it was idle last */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *sleeping_owner(void *name)
{
	void (*idle)(void) = (void (*)(void))find("hz3_thread_idle");

	name_thread(name);
	for (int i = 0; i < N; i++)
		blocks[i] = allocate(block_bytes);
	reach(1);
	while (stage != 2) {
		nap(20);
		if (owner_is_idle && idle != NULL)
			idle();
		idle_ms = now_ms();
	}
	return NULL;
}

/* Looks at the statistics while the owner sleeps. */
static bool has_rule_while_asleep(const char *rule)
{
	pthread_t thread = start(sleeping_owner, "sleeper");
	bool seen = false;

	wait_for(1);
	/* Every second one, so that no page is whole. */
	for (int i = 0; i < N; i += 2)
		free(blocks[i]);
	((void (*)(void))find("hz3_thread_flush"))();
	/* It has to wait for a second; when it should not be seen, two of them are enough. */
	for (int i = 0; i < (owner_is_idle ? 20 : 200) && !seen; i++) {
		nap(100);
		int64_t idle_before = idle_ms;
		seen = strstr(statistics("j"), rule) != NULL;
		/* Whom a busy machine keeps from running for a second does sleep. */
		if (owner_is_idle && now_ms() - idle_before >= 1000)
			seen = false;
	}
	reach(2);
	pthread_join(thread, NULL);
	return seen;
}

/* ---- memory that stays ---- */

static void one_of_so_many_lives(int n)
{
	for (int i = 0; i < N; i++)
		blocks[i] = allocate(block_bytes);
	for (int i = 0; i < N; i++)
		if (n == 0 || i % n != 0)
			free(blocks[i]);
}

static void one_in_each_page_lives(void)
{
	one_of_so_many_lives(400);
}

static void all_live_or_none(void)
{
	one_of_so_many_lives(0);
	for (int i = 0; i < N / 2; i++)
		blocks[i] = allocate(block_bytes);
}

static void nothing_lives(void)
{
	one_of_so_many_lives(0);
}

/* ---- bounds ---- */

static void *free_and_wait(void *name)
{
	name_thread(name);
	for (int i = 0; i < N; i++)
		free(blocks[i]);
	return NULL;
}

static int owners;

static void *owner_of_few(void *arg)
{
	int i = (int)(uintptr_t)arg;

	for (int j = 0; j < 10; j++)
		blocks[10 * i + j] = allocate(100);
	stage++;
	while (stage >= 0)
		nap(5);
	return NULL;
}

static void frees_of_many(void)
{
	static pthread_t thread[100];

	for (int i = 0; i < owners; i++)
		if (pthread_create(&thread[i], NULL, owner_of_few, (void *)(uintptr_t)i) != 0)
			abort();
	wait_for(owners);
	pthread_join(start(free_and_wait, "freer"), NULL);
	stage = -1;
	for (int i = 0; i < owners; i++)
		pthread_join(thread[i], NULL);
}

static void more_owners_than_rows(void)
{
	owners = 90;
	frees_of_many();
}

static void fewer_owners_than_rows(void)
{
	owners = 30;
	frees_of_many();
}

static int names;

static void many_names(void)
{
	static char name[16];

	for (int i = 0; i < N / 1000; i++)
		blocks[i] = allocate(100);
	for (int i = 0; i < names; i++) {
		snprintf(name, sizeof(name), "name-%hd-x", (short)i);
		for (int j = 0; j < 100; j++)
			blocks[j] = allocate(100);
		pthread_join(start(free_and_wait, name), NULL);
		memset(blocks, 0, sizeof(blocks));
	}
}

static void more_names(void)
{
	names = 400;
	many_names();
}

static void fewer_names(void)
{
	names = 50;
	many_names();
}

/* ---- all cases ---- */

static const struct test {
	const char *rule;
	void (*run)(void);	/* NULL: an owner that sleeps */
	const char *conf;
	bool earns;
} tests[] = {
	{"short_chains", shuffled_consumer, "", true},
	{"short_chains", orderly_consumer, "", false},
	{"unbatched", orderly_consumer, "remote_batch:0", true},
	{"unbatched", orderly_consumer, "", false},
	{"small_buffers", shuffled_consumer, "remote_budget:16K", true},
	{"small_buffers", shuffled_consumer, "", false},
	{"ping_pong", answers_new, "", true},
	{"ping_pong", answers_in_place, "", false},
	{"unnamed", nameless, "", true},
	{"unnamed", orderly_consumer, "", false},
	{"sleeping_owner", NULL, "", true},
	{"sleeping_owner", NULL, "handover:1", false},
	{"never_purged", nothing_lives, "dirty_decay_ms:-1", true},
	{"never_purged", nothing_lives, "dirty_decay_ms:0", false},
	{"pinned", one_in_each_page_lives, "", true},
	{"pinned", all_live_or_none, "", false},
	{"bound_rows", more_owners_than_rows, "", true},
	{"bound_rows", fewer_owners_than_rows, "", false},
	{"bound_names", more_names, "", true},
	{"bound_names", fewer_names, "", false},
	{"bound_held", shuffled_consumer, "remote_cap:64K", true},
	{"bound_held", orderly_consumer, "remote_cap:64M", false},
};

#define TESTS (sizeof(tests) / sizeof(tests[0]))

static int run_test(const struct test *test)
{
	char quoted[64];
	bool seen;

	snprintf(quoted, sizeof(quoted), "\"rule\": \"%s\"", test->rule);
	if (test->run == NULL) {
		owner_is_idle = !test->earns;
		seen = has_rule_while_asleep(quoted);
	} else {
		test->run();
		seen = strstr(statistics("j"), quoted) != NULL;
	}
	if (seen == test->earns)
		return EXIT_SUCCESS;
	fprintf(stderr, "%s\n", strstr(again_text, "\"memory\"") ? strstr(again_text, "\"memory\"") : again_text);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	char number[16];

	if (!on_hz3_with_statistics()) {
		printf("SKIP: not hz3, or without statistics\n");
		return SKIPPED;
	}
	if (argc > 1)
		return run_test(&tests[atoi(argv[1])]);
	for (size_t i = 0; i < TESTS; i++) {
		/* It is given for a third of the resident memory, most of which is valgrind's own there. */
		if (getenv("HZ3_EMULATOR") != NULL && tests[i].run == one_in_each_page_lives && tests[i].earns)
			continue;
		snprintf(number, sizeof(number), "%zu", i);
		CHECK(again(number, tests[i].conf) == EXIT_SUCCESS, "%s: %s, with \"%s\"", tests[i].rule,
		      tests[i].earns ? "not given where it was earned" : "given where it was not earned", tests[i].conf);
	}
	return finish();
}
