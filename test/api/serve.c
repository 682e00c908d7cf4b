/*
 * Reports that nobody calls for: on a signal, at intervals, at exit; in processes without threads, without decay, and in
 * forked children; while malloc is interrupted by the signal; and not where the program has its own use for the signal.
 */
#include "again.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>

static char directory[] = "/tmp/hz3-serve-XXXXXX";

/* ---- looking at files ---- */

static char contents[512 * 1024];

/* The whole file; 0: there is none. */
static size_t read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n;

	contents[0] = '\0';
	if (fd < 0)
		return 0;
	while ((n = read(fd, contents + used, sizeof(contents) - 1 - used)) > 0)
		used += (size_t)n;
	close(fd);
	contents[used] = '\0';
	return used;
}

/* Wait until the file is there and has the text; false after some seconds. */
static bool comes(const char *path, const char *text)
{
	for (int i = 0; i < 3000; i++) {
		if (read_file(path) > 0 && strstr(contents, text) != NULL)
			return true;
		nap(10);
	}
	return false;
}

/* The value of an item of HZ3_CONF, for what a case writes to. */
static const char *setting(const char *name)
{
	static char value[256];
	const char *at = strstr(getenv("HZ3_CONF"), name);

	snprintf(value, sizeof(value), "%s", at != NULL ? at + strlen(name) + 1 : "");
	value[strcspn(value, ",")] = '\0';
	return value;
}

/* ---- cases ---- */

/* A process with one thread that does nothing any more. */
static void signal_in_idle_process(void)
{
	CHECK(kill(getpid(), SIGUSR2) == 0, "kill");
	CHECK(comes(setting("stats_file"), "\"hz3_stats_version\": 1,"), "no statistics came");
	CHECK(strcmp(contents + strlen(contents) - 2, "}\n") == 0, "not the whole of it");
	/* And again. */
	unlink(setting("stats_file"));
	CHECK(kill(getpid(), SIGUSR2) == 0, "kill");
	CHECK(comes(setting("stats_file"), "\"hz3_stats_version\": 1,"), "no second statistics came");
	unlink(setting("stats_file"));
}

/* As text, where standard error was when the program began. */
static void signal_as_text(void)
{
	int pair[2];
	size_t used = 0;
	ssize_t n = 1;

	CHECK(pipe(pair) == 0, "pipe");
	pid_t pid = fork();
	if (pid == 0) {
		dup2(pair[1], STDERR_FILENO);
		close(pair[0]);
		become("wait_for_signal");
	}
	close(pair[1]);
	/* It says when it is ready. */
	CHECK(read(pair[0], contents, 1) == 1, "it did not start");
	kill(pid, SIGUSR1);
	contents[0] = '\0';
	while (strstr(contents, "\n----\n") == NULL && n > 0) {
		n = read(pair[0], contents + used, sizeof(contents) - 1 - used);
		used += n > 0 ? (size_t)n : 0;
		contents[used] = '\0';
	}
	CHECK(strstr(contents, "Where the memory is") != NULL, "no text came, but: %s", contents);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void wait_for_signal(void)
{
	if (write(STDERR_FILENO, ".", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

/* In the child of a fork there is no thread at first. */
static void signal_in_child(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		for (int i = 0; i < 200; i++)
			free(allocate(100000));
		kill(getpid(), SIGUSR2);
		for (int i = 0; i < 20000; i++)
			(void)allocate(300);
		_exit(comes(setting("stats_file"), "\"hz3_stats_version\": 1,") ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	CHECK(status == 0, "no statistics of the child");
	/* That those are the child's, and not the parent's. */
	char expected[64];
	snprintf(expected, sizeof(expected), "\"pid\": %d,", (int)pid);
	CHECK(strstr((read_file(setting("stats_file")), contents), expected) != NULL, "not of process %d", (int)pid);
	unlink(setting("stats_file"));
}

static void *churn(void *arg)
{
	static _Atomic(void *) slots[64];

	for (int i = 0; i < 300000; i++)
		free(atomic_exchange(&slots[i % 64], malloc((size_t)(i % 700) + 1)));
	return arg;
}

static _Atomic bool done;

static void *shoot(void *arg)
{
	while (!done) {
		kill(getpid(), SIGUSR2);
		nap(1);
	}
	return arg;
}

/* Whatever is interrupted: the handler touches nothing of it. */
static void signals_while_allocating(void)
{
	pthread_t shooter = start(shoot, ""), other = start(churn, "");

	churn(NULL);
	pthread_join(other, NULL);
	done = true;
	pthread_join(shooter, NULL);
	CHECK(comes(setting("stats_file"), "\"hz3_stats_version\": 1,"), "no statistics came");
	unlink(setting("stats_file"));
}

static volatile sig_atomic_t own_handler;

static void handle(int number)
{
	own_handler = number;
}

static void program_has_a_handler(void)
{
	signal(SIGUSR2, handle);
	raise(SIGUSR2);
	CHECK(own_handler == SIGUSR2, "the program's handler was not called");
	nap(200);
	CHECK(read_file(setting("stats_file")) == 0, "statistics all the same");
	signal(SIGUSR2, SIG_DFL);
	unlink(setting("stats_file"));
}

/* No thread, no handler, where nothing was asked for. */
static void nothing_asked(void)
{
	struct sigaction action;
	struct stat tasks;

	sigaction(SIGUSR2, NULL, &action);
	CHECK(action.sa_handler == SIG_DFL, "a handler that nobody asked for");
	CHECK(stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink == 3, "a thread that nobody asked for");
}

/* Renewed as one: whoever reads sees one file or the next. */
static void metrics_are_renewed(void)
{
	ino_t seen = 0;
	int files = 0;

	/* It is another thread that writes them, perhaps, and that has to have its turn. */
	for (int i = 0; i < 30000 && files < 3; i++) {
		struct stat status;

		nap(1);
		free(allocate(50000));
		if (stat(setting("metrics_file"), &status) != 0)
			continue;
		if (status.st_ino != seen)
			files++;
		seen = status.st_ino;
		CHECK(read_file(setting("metrics_file")) > 0, "an empty file");
		CHECK(strncmp(contents, "# HELP hz3_build_info", 21) == 0, "no beginning");
		CHECK(strstr(contents, "# TYPE hz3_waiting_age_seconds gauge\n") != NULL, "no end");
		CHECK(contents[strlen(contents) - 1] == '\n', "the last line has no end");
	}
	CHECK(files == 3, "only %d files", files);
}

/* It can't be written: one line, and nothing else. */
static void metrics_cannot_be_written(void)
{
	expect_complaint("nap", NULL, "hz3: cannot write metrics_file /no/");
}

static void nap_a_second(void)
{
	nap(1200);
}

static const struct again_case cases[] = {
	{"signal", signal_in_idle_process, "stats_signal:USR2,stats_file:%s/a.json"},
	{"signal, nothing decays", signal_in_idle_process, "stats_signal:SIGUSR2,dirty_decay_ms:-1,stats_file:%s/b.json"},
	{"signal, no thread for decay", signal_in_idle_process, "stats_signal:USR2,background_thread:0,stats_file:%s/c.json"},
	{"signal as text", signal_as_text, "stats_signal:USR1"},
	{"wait_for_signal", wait_for_signal, NULL},
	{"signal in a child", signal_in_child, "stats_signal:USR2,stats_file:%s/d.json"},
	{"signals while allocating", signals_while_allocating, "stats_signal:USR2,stats_file:%s/e.json"},
	{"program has a handler", program_has_a_handler, "stats_signal:USR2,stats_file:%s/f.json"},
	{"nothing asked", nothing_asked, "background_thread:1"},
	{"metrics", metrics_are_renewed, "metrics_interval:1,metrics_file:%s/m.prom"},
	{"metrics, no threads", metrics_are_renewed, "background_thread:0,metrics_interval:1,metrics_file:%s/n.prom"},
	{"metrics that can't be", metrics_cannot_be_written, "metrics_interval:1,metrics_file:/no/such/directory"},
	{"nap", nap_a_second, NULL},
	{0},
};

int main(int argc, char **argv)
{
	char leftover[300];

	if (!on_hz3_with_statistics()) {
		printf("SKIP: not hz3, or without statistics\n");
		return SKIPPED;
	}
	if (argc > 1) {
		run_cases(cases, argv[1], "");
		return finish();
	}
	if (mkdtemp(directory) == NULL)
		abort();
	run_cases(cases, NULL, directory);
	/* Nothing but what was asked for is left behind. */
	snprintf(leftover, sizeof(leftover), "rm -f %s/?.json %s/?.prom; rmdir %s", directory, directory, directory);
	CHECK(system(leftover) == 0, "files are left in %s", directory);
	return finish();
}
