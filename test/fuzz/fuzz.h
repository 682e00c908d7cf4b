/*
 * What the fuzz targets share: failing, cases made from a seed, one process per case, replay, and a minimizer.
 *
 * A target turns bytes into calls and checks what comes back (struct fuzz_target).  Its source ends in FUZZ_MAIN, which
 * is a program of its own, or with FUZZ_LIBFUZZER defined the entry that clang's libFuzzer calls.  The program:
 *
 *   TARGET [-t SECONDS] [-s SEED]        makes cases from the seed (printed) for so long, under one HZ3_CONF after another
 *   TARGET -s SEED -k CASE [-o FILE]     runs one of them again; with -o, writes it to FILE instead
 *   TARGET FILE...                       runs the cases in the files
 *   TARGET ... -m OUT                    makes the one case that fails smaller, and writes what is left to OUT
 *   TARGET ... -n                        in this process, for a debugger
 *
 *   HZ3_FUZZ_SECONDS=N   instead of -t        HZ3_FUZZ_SEED=N   instead of -s
 *
 * Every case runs in a child of a process that has done nothing yet, so that nothing but the seed, the number of the
 * case and HZ3_CONF decides what happens in it.  A failure is one line that ends with the command to see it again.
 */
#ifndef HZ3_FUZZ_H
#define HZ3_FUZZ_H

#include "../stress/stress.h"

#include <stdarg.h>

/* The status of a child that has said itself what is wrong. */
#define FUZZ_SAID 3
#define FUZZ_CASE_BYTES (256 * KIB)
/* What takes seconds takes minutes under the thread sanitizer. */
#if defined(__SANITIZE_THREAD__)
#define FUZZ_CASE_SECONDS 600
#else
#define FUZZ_CASE_SECONDS 60
#endif
#define FUZZ_CONF_BYTES 1024
#define FUZZ_TEXT_BYTES 4096

struct fuzz_target {
	const char *name;
	size_t record;		/* bytes that belong together, for the minimizer */
	unsigned long batch;	/* so many cases share a process, as they leave nothing behind; 0 is 1 */
	double seconds;		/* how long, if nobody says */
	/* Makes a case; returns its bytes, at most FUZZ_CASE_BYTES. */
	size_t (*make)(uint64_t *random, uint8_t *data);
	/* Runs a case.  Ends the process if something is wrong. */
	void (*run)(const uint8_t *data, size_t bytes);
	/* Puts a HZ3_CONF to run cases under into conf: the i-th of a series without end.  NULL: there is only one. */
	void (*variant)(unsigned i, uint64_t *random, char *conf);
};

static const struct fuzz_target *fuzz_target;
static uint64_t fuzz_seed;
static unsigned long *fuzz_case;	/* the number of the case; children tell it their parent */
static const char *fuzz_file;		/* where the case is from, if not from the seed */
static int fuzz_stderr = STDERR_FILENO;
static const char *fuzz_minimized;	/* where what is left goes */

/* ---- Failing ---- */

static const char *UNUSED fuzz_environment(const char *name)
{
	const char *value = getenv(name);

	return value != NULL ? value : "";
}

/* The command that runs the present case again. */
static void UNUSED fuzz_command(char *out, size_t cap)
{
	const char *conf = fuzz_environment("HZ3_CONF"), *preload = fuzz_environment("LD_PRELOAD");
	char program[512], broken[64] = "", input[512];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	program[n > 0 ? n : 0] = '\0';
	if (getenv("BROKEN") != NULL)
		snprintf(broken, sizeof(broken), "BROKEN=%s ", getenv("BROKEN"));
	if (fuzz_file != NULL)
		snprintf(input, sizeof(input), "%s", fuzz_file);
	else
		snprintf(input, sizeof(input), "-s %llu -k %lu", (unsigned long long)fuzz_seed, *fuzz_case);
	snprintf(out, cap, "%s%s%s%s HZ3_CONF='%s' %s %s", broken, *preload != '\0' ? "LD_PRELOAD='" : "", preload,
		 *preload != '\0' ? "'" : "", conf, program, input);
}

/* One line: what is wrong, and how to see it again.  No allocation and no lock: the heap may be damaged. */
static void UNUSED fuzz_say(const char *what)
{
	char line[FUZZ_TEXT_BYTES], command[FUZZ_TEXT_BYTES / 2];
	int n;

	fuzz_command(command, sizeof(command));
	n = snprintf(line, sizeof(line), "%s: %s; to repeat: %s\n", fuzz_target->name, what, command);
	n = (int)((size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
	/* Cases are made of anything; the line stays one, and legible. */
	for (int i = 0; i < n - 1; i++)
		line[i] = line[i] >= ' ' && line[i] < 0x7f ? line[i] : '?';
	if (write(fuzz_stderr, line, (size_t)n) < 0)
		abort();
}

static _Noreturn void UNUSED __attribute__((format(printf, 1, 2)))
fuzz_fail(const char *format, ...)
{
	static atomic_flag begun = ATOMIC_FLAG_INIT;
	char what[FUZZ_TEXT_BYTES / 4];
	va_list args;

	/* Of two threads that notice at once, the first has its say, and ends both. */
	while (atomic_flag_test_and_set(&begun))
		pause();
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	fuzz_say(what);
	if (getenv("HZ3_STRESS_ABORT") != NULL)
		abort();
	_exit(FUZZ_SAID);
}

#define FUZZ_CHECK(cond, ...)                                                                                        \
	do {                                                                                                         \
		if (!(cond))                                                                                         \
			fuzz_fail(__VA_ARGS__);                                                                      \
	} while (0)

/* A sanitizer's first complaint ends the case, whose process leaves by _exit(). */
const char *__tsan_default_options(void) __attribute__((visibility("default")));
const char *__tsan_default_options(void)
{
	return "halt_on_error=1:die_after_fork=0";
}

#ifndef FUZZ_LIBFUZZER

/* ---- One case, in a process of its own ---- */

static void fuzz_alarm(int signal UNUSED)
{
	fuzz_fail("it hangs, or is far too slow");
}

/* The calling process, a child made by a case too, has so long from now. */
static void fuzz_limit(void)
{
	signal(SIGALRM, fuzz_alarm);
	alarm(FUZZ_CASE_SECONDS);
}

/* Does what f says in a child; its wait status. */
static int fuzz_in_child(void (*f)(const void *, size_t), const void *data, size_t n)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	FUZZ_CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		fuzz_limit();
		f(data, n);
		_exit(0);
	}
	FUZZ_CHECK(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
	return status;
}

static void fuzz_run(const void *data, size_t bytes)
{
	fuzz_target->run(data, bytes);
}

/* Whether the child has ended well; says so if not, and the child hasn't. */
static bool fuzz_ended_well(int status)
{
	char what[128];

	if (WIFSIGNALED(status))
		snprintf(what, sizeof(what), "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(what, sizeof(what), "exit status %d", WEXITSTATUS(status));
	if (status != 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == FUZZ_SAID))
		fuzz_say(what);
	return status == 0;
}

/* ---- The minimizer: leave out records, fewer and fewer at a time, as long as the case still fails ---- */

static void fuzz_write(const char *path, const uint8_t *data, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	FUZZ_CHECK(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes, "cannot write %s", path);
	close(fd);
}

static size_t fuzz_without(const uint8_t *data, size_t bytes, size_t from, size_t n, uint8_t *out)
{
	n = from + n > bytes ? bytes - from : n;
	memcpy(out, data, from);
	memcpy(out + from, data + from + n, bytes - from - n);
	return bytes - n;
}

static bool fuzz_fails_quietly(const uint8_t *data, size_t bytes)
{
	int saved = fuzz_stderr, null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	fuzz_stderr = null;
	bool fails = fuzz_in_child(fuzz_run, data, bytes) != 0;
	fuzz_stderr = saved;
	close(null);
	return fails;
}

/* In place; the bytes that are left. */
static size_t fuzz_minimize(uint8_t *data, size_t bytes)
{
	static uint8_t fewer[FUZZ_CASE_BYTES];
	size_t record = fuzz_target->record, n = bytes / record;

	for (n = (n + 1) / 2 * record; n >= record; n = n / record / 2 * record) {
		for (size_t from = 0; from < bytes;) {
			size_t left = fuzz_without(data, bytes, from, n, fewer);
			if (fuzz_fails_quietly(fewer, left)) {
				memcpy(data, fewer, left);
				bytes = left;
			} else {
				from += n;
			}
		}
	}
	return bytes;
}

/* Runs the case here or in a child; if it fails and that was asked for, makes it smaller. */
static bool fuzz_try(uint8_t *data, size_t bytes, bool here)
{
	if (here) {
		fuzz_target->run(data, bytes);
		return true;
	}
	if (fuzz_ended_well(fuzz_in_child(fuzz_run, data, bytes)))
		return true;
	if (fuzz_minimized == NULL)
		return false;
	size_t left = fuzz_minimize(data, bytes);
	fuzz_write(fuzz_minimized, data, left);
	printf("%s: %zu of %zu records are left, in %s\n", fuzz_target->name, left / fuzz_target->record,
	       bytes / fuzz_target->record, fuzz_minimized);
	return false;
}

/* ---- Cases from the seed ---- */

static uint8_t fuzz_data[FUZZ_CASE_BYTES];

static size_t fuzz_make_case(unsigned long number)
{
	stress_seed = fuzz_seed;
	uint64_t random = stress_state(number);
	return fuzz_target->make(&random, fuzz_data);
}

/* The next n cases. */
static void fuzz_run_batch(const void *unused UNUSED, size_t n)
{
	for (; n > 0; n--, ++*fuzz_case)
		fuzz_target->run(fuzz_data, fuzz_make_case(*fuzz_case));
}

static int fuzz_for(double seconds)
{
	double end = stress_now() + seconds;
	unsigned long batch = fuzz_target->batch > 0 ? fuzz_target->batch : 1;

	while (*fuzz_case == 0 || stress_now() < end) {
		if (!fuzz_ended_well(fuzz_in_child(fuzz_run_batch, NULL, batch)))
			return 1;
	}
	printf("%s: seed %llu, %lu cases under \"%s\"\n", fuzz_target->name, (unsigned long long)fuzz_seed, *fuzz_case,
	       fuzz_environment("HZ3_CONF"));
	return 0;
}

/* This program again, for a while under another HZ3_CONF; what the user has set comes first. */
static int fuzz_run_variant(unsigned i, double seconds)
{
	char conf[2 * FUZZ_CONF_BYTES], seed[32], time[32];
	const char *given = fuzz_environment("HZ3_CONF");
	uint64_t random = stress_state(i);
	int n = snprintf(conf, FUZZ_CONF_BYTES, "%s%s", given, *given != '\0' ? "," : ""), status;

	fuzz_target->variant(i, &random, conf + n);
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)fuzz_seed + i);
	snprintf(time, sizeof(time), "%.3f", seconds);
	fflush(NULL);
	pid_t pid = fork();
	FUZZ_CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		setenv("HZ3_CONF", conf, 1);
		setenv("HZ3_FUZZ_VARIANT", conf, 1);
		execl("/proc/self/exe", fuzz_target->name, "-s", seed, "-t", time, (char *)NULL);
		fuzz_fail("exec: %s", strerror(errno));
	}
	FUZZ_CHECK(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
	return status == 0 ? 0 : 1;
}

/* A dozen variants in a short run; a long one stays with each a little. */
static int fuzz_variants(double seconds)
{
	double end = stress_now() + seconds, slice = seconds / 12 < 10 ? seconds / 12 : 10;
	int status = 0;

	for (unsigned i = 0; status == 0 && (i == 0 || stress_now() < end); i++) {
		stress_seed = fuzz_seed;
		status = fuzz_run_variant(i, slice);
	}
	return status;
}

/* ---- Cases from files ---- */

static size_t fuzz_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, fuzz_data, sizeof(fuzz_data)) : -1;

	if (n < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	close(fd);
	return (size_t)n;
}

static int fuzz_files(char **files, bool here)
{
	int failures = 0;

	for (; *files != NULL; files++) {
		fuzz_file = *files;
		failures += !fuzz_try(fuzz_data, fuzz_read(*files), here);
	}
	return failures == 0 ? 0 : 1;
}

/* ---- The program ---- */

static _Noreturn void fuzz_usage(void)
{
	fprintf(stderr, "usage: %s [-t SECONDS] [-s SEED [-k CASE [-o FILE]]] [-m OUT] [-n] [FILE...]\n", fuzz_target->name);
	exit(2);
}

static int fuzz_one(unsigned long number, const char *out, bool here)
{
	size_t bytes = fuzz_make_case(number);

	*fuzz_case = number;
	if (out != NULL) {
		fuzz_write(out, fuzz_data, bytes);
		return 0;
	}
	return fuzz_try(fuzz_data, bytes, here) ? 0 : 1;
}

static int UNUSED fuzz_main(const struct fuzz_target *target, int argc, char **argv)
{
	const char *limit = getenv("HZ3_FUZZ_SECONDS"), *seed = getenv("HZ3_FUZZ_SEED"), *out = NULL, *one = NULL;
	double seconds = limit != NULL ? strtod(limit, NULL) : target->seconds;
	bool here = false;
	int option;

	fuzz_target = target;
	stress_find_hz3();
	fuzz_case = mmap(NULL, sizeof(*fuzz_case), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fuzz_case == MAP_FAILED)
		return 2;
	fuzz_seed = seed != NULL ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) * 1000003u % 1000000007u;
	while ((option = getopt(argc, argv, "t:s:k:o:m:n")) != -1) {
		switch (option) {
		case 't':
			seconds = strtod(optarg, NULL);
			break;
		case 's':
			fuzz_seed = strtoull(optarg, NULL, 0);
			break;
		case 'k':
			one = optarg;
			break;
		case 'o':
			out = optarg;
			break;
		case 'm':
			fuzz_minimized = optarg;
			break;
		case 'n':
			here = true;
			break;
		default:
			fuzz_usage();
		}
	}
	if (optind < argc)
		return fuzz_files(argv + optind, here);
	if (one != NULL)
		return fuzz_one(strtoul(one, NULL, 0), out, here);
	if (target->variant != NULL && on_hz3() && getenv("HZ3_FUZZ_VARIANT") == NULL)
		return fuzz_variants(seconds);
	int status = fuzz_for(seconds);
	fflush(NULL);
	/* Without what a variant makes hz3 do at exit, such as writing a profile. */
	_exit(status);
}

#define FUZZ_MAIN(target)                                                                                            \
	int main(int argc, char **argv)                                                                              \
	{                                                                                                            \
		return fuzz_main(&(target), argc, argv);                                                             \
	}

#else

/* ---- libFuzzer, which runs all cases in one process and tells itself how to repeat one ---- */

static void fuzz_limit(void)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define FUZZ_MAIN(target)                                                                                            \
	int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)                                                \
	{                                                                                                            \
		if (fuzz_target == NULL) {                                                                           \
			static unsigned long number;                                                                 \
			fuzz_case = &number;                                                                         \
			fuzz_target = &(target);                                                                     \
			stress_find_hz3();                                                                           \
			setenv("HZ3_STRESS_ABORT", "1", 1);                                                          \
		}                                                                                                    \
		fuzz_target->run(data, bytes);                                                                       \
		return 0;                                                                                            \
	}

#endif

#endif
