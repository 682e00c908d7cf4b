/*
 * hz3run: run a program on hz3.  It finds the library, puts it in front of LD_PRELOAD and the settings behind HZ3_CONF,
 * says in one line why a program will not run on hz3 if that can be told beforehand, and becomes the program.
 */
#include "options.h"
#include "program.h"

#include <errno.h>
#include <getopt.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Statuses as of env(1), nohup(1) and timeout(1). */
enum {
	STATUS_OURS = 125,
	STATUS_NOT_RUN = 126,
	STATUS_NOT_FOUND = 127
};

#define LIBRARY "libhz3.so." HZ3_LIBRARY_MAJOR
#define BUILT_LIBRARY "../.libs/libhz3.so"

#define CONF_BYTES 8192

static struct {
	char conf[CONF_BYTES];   /* what goes behind HZ3_CONF */
	const char *library;     /* as given */
	bool verify, print, quiet;
} given;

HZ3_PRINTF(1, 2) static void say(const char *format, ...)
{
	va_list list;

	fputs("hz3run: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
}

#define die(...) (say(__VA_ARGS__), exit(STATUS_OURS))

/* ---- Settings ---- */

static void add_conf(const char *name, const char *value)
{
	size_t used = strlen(given.conf);
	size_t room = sizeof(given.conf) - used;

	if ((size_t)snprintf(given.conf + used, room, "%s%s:%s", used != 0 ? "," : "", name, value) >= room)
		die("too many settings");
}

/* A setting that the library will take: whatever is wrong with it is said before the program starts. */
static void set(const char *name, const char *value, const char *option)
{
	const struct hz3_option_row *row = hz3_option_find(name);
	char phrase[128];

	if (row == NULL)
		die("there is no setting \"%s\"; hz3run --settings lists them", name);
	if (strchr(value, ',') != NULL || !hz3_option_set(row, value)) {
		hz3_option_describe(row, phrase, sizeof(phrase));
		die("%s takes %s%s, not \"%s\"", option, phrase,
		    row->type == HZ3_OPTION_PATH ? " without a comma" : "", value);
	}
	add_conf(name, value);
}

/* "KEY:VALUE", or several of them with commas between. */
static void set_pairs(char *pairs)
{
	char *rest = pairs, *pair;

	while ((pair = strsep(&rest, ",")) != NULL) {
		char *value = pair + strcspn(pair, ":=");

		if (*pair == '\0')
			continue;
		if (*value == '\0')
			die("--conf takes KEY:VALUE, not \"%s\"", pair);
		*value++ = '\0';
		set(pair, value, pair);
	}
}

/* The program may change its directory before it ends. */
static const char *absolute(char *path, const char *file)
{
	char directory[PATH_MAX];

	if (*file == '/')
		return file;
	if (getcwd(directory, sizeof(directory)) == NULL)
		die("there is no working directory to put %s in: %s", file, strerror(errno));
	if (snprintf(path, PATH_MAX, "%s/%s", directory, file) >= PATH_MAX)
		die("the path of %s is too long", file);
	return path;
}

/* --stats[=text], --stats=json[:FILE] */
static void set_stats(const char *what)
{
	char path[PATH_MAX];

	if (what == NULL || strcmp(what, "text") == 0)
		set("stats_print", "true", "--stats");
	else if (strcmp(what, "json") == 0)
		set("stats_file", absolute(path, "hz3-%p.json"), "--stats=json:FILE");
	else if (strncmp(what, "json:", 5) == 0 && what[5] != '\0')
		set("stats_file", absolute(path, what + 5), "--stats=json:FILE");
	else
		die("--stats takes text (to standard error), json or json:FILE, not \"%s\"", what);
}

static const char *const type_names[] = {
	[HZ3_OPTION_BOOL] = "bool",
	[HZ3_OPTION_INT] = "number",
	[HZ3_OPTION_SIZE] = "size",
	[HZ3_OPTION_SINK] = "sink",
	[HZ3_OPTION_THP] = "thp",
	[HZ3_OPTION_SIGNAL] = "signal",
	[HZ3_OPTION_PATH] = "path",
};

/* One to a line, tabs between: name, type, default, form of values, meaning.  The completion for bash reads it. */
static void print_settings(void)
{
	char initial[HZ3_OPTION_PATH_BYTES], phrase[128];

	for (size_t i = 0; i < hz3_option_count(); i++) {
		const struct hz3_option_row *row = hz3_option_row(i);

		hz3_option_get_text(row->name, initial, sizeof(initial));
		hz3_option_describe(row, phrase, sizeof(phrase));
		printf("%s\t%s\t%s\t%s\t%s\n", row->name, type_names[row->type], initial, phrase, row->doc);
	}
}

/* ---- The library ---- */

/* The directory of this program. */
static void own_directory(char *path)
{
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);

	if (length < 0) {
		strcpy(path, HZ3_BINDIR);
		return;
	}
	path[length] = '\0';
	*strrchr(path, '/') = '\0';
}

/*
 * Where the library is if the whole tree was moved: from HZ3_BINDIR and HZ3_LIBDIR what they have in common is taken
 * away, then the rest of the first from the end of our own directory; what is left is where the tree is.
 */
static bool moved_library(char *path, const char *directory)
{
	const char *bin = HZ3_BINDIR, *lib = HZ3_LIBDIR;
	size_t common = 0, length = strlen(directory), rest;

	for (size_t i = 0; bin[i] != '\0' && bin[i] == lib[i]; i++) {
		if (bin[i] == '/')
			common = i;
	}
	rest = strlen(bin + common);
	if (rest > length || strcmp(directory + length - rest, bin + common) != 0)
		return false;
	return snprintf(path, PATH_MAX, "%.*s%s/%s", (int)(length - rest), directory, lib + common, LIBRARY) < PATH_MAX &&
	       access(path, R_OK) == 0;
}

/* What stands in LD_PRELOAD is split at these, and "$" begins a token of ld.so(8). */
static void check_path(const char *path)
{
	if (strpbrk(path, " :\t\n$") != NULL)
		die("the loader cannot preload a file whose path has blanks, colons or dollars: %s", path);
}

static void find_library(char *path)
{
	char directory[PATH_MAX], candidate[PATH_MAX + sizeof(BUILT_LIBRARY)];

	if (HZ3_HAS_PREFIX)
		die("this hz3 was configured with a prefix: it has no malloc to preload");
	if (given.library != NULL) {
		if (realpath(given.library, path) == NULL)
			die("there is no library %s: %s", given.library, strerror(errno));
		check_path(path);
		return;
	}
	own_directory(directory);
	snprintf(candidate, sizeof(candidate), "%s/%s", directory, BUILT_LIBRARY);
	if (strcmp(basename(directory), "tools") == 0 && realpath(candidate, path) != NULL) {
		check_path(path);
		return;
	}
	if (!moved_library(path, directory)) {
		strcpy(path, HZ3_LIBDIR "/" LIBRARY);
		if (access(path, R_OK) != 0)
			die("there is no library %s; is hz3 installed?  (--library=FILE names another)", path);
	}
	check_path(path);
}

/* ---- The environment ---- */

/* Whether a list that blanks or colons separate begins with this path. */
static bool begins_with(const char *list, const char *path)
{
	size_t length = strcspn(list, " :");

	return strlen(path) == length && strncmp(list, path, length) == 0;
}

/* In front of the variable or behind it; nothing is lost of what was there. */
static void join(const char *variable, const char *before, const char *separator, const char *after)
{
	char *text;

	if (asprintf(&text, "%s%s%s", before, *before != '\0' && *after != '\0' ? separator : "", after) < 0 ||
	    setenv(variable, text, 1) != 0)
		die("out of memory");
	free(text);
}

static const char *old_value(const char *variable)
{
	const char *value = getenv(variable);

	return value != NULL ? value : "";
}

static void set_environment(const char *library)
{
	const char *preload = old_value("LD_PRELOAD");

	/* In front: of two mallocs the loader takes the first. */
	if (!begins_with(preload, library))
		join("LD_PRELOAD", library, ":", preload);
	/* Behind: of two values for one setting hz3 takes the last. */
	if (given.conf[0] != '\0')
		join("HZ3_CONF", old_value("HZ3_CONF"), ",", given.conf);
}

/* A line of a shell's input. */
static void print_variable(const char *variable)
{
	const char *value = getenv(variable);

	if (value == NULL)
		return;
	printf("export %s='", variable);
	for (; *value != '\0'; value++) {
		if (*value == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*value);
	}
	puts("'");
}

/* ---- Verification ---- */

/* Starts "LOADER --list BINARY", which loads all libraries as for a run and then prints them; returns where. */
static FILE *list_libraries(struct program *program, pid_t *pid)
{
	char list[] = "--list";
	char *const arguments[] = {program->loader, list, program->binary, NULL};
	posix_spawn_file_actions_t actions;
	int ends[2], error;

	if (pipe(ends) != 0 || posix_spawn_file_actions_init(&actions) != 0)
		die("%s", strerror(errno));
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclose(&actions, ends[0]);
	posix_spawn_file_actions_addclose(&actions, ends[1]);
	error = posix_spawn(pid, program->loader, &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (error != 0)
		die("cannot run %s: %s", program->loader, strerror(error));
	return fdopen(ends[0], "r");
}

/* With the environment set: asks the program's own loader what it would load. */
static void verify(struct program *program, const char *library)
{
	char *line = NULL;
	size_t cap = 0, length = strlen(library);
	bool found = false;
	pid_t pid;
	FILE *lines;

	if (program->verdict != PROGRAM_GOOD)
		die("not verified: %s %s", program->binary, program->why);
	lines = list_libraries(program, &pid);
	while (lines != NULL && getline(&line, &cap, lines) > 0) {
		const char *name = line + strspn(line, " \t");

		found = found || (strncmp(name, library, length) == 0 && name[length] == ' ');
	}
	free(line);
	if (lines != NULL)
		fclose(lines);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (!found)
		die("not verified: %s does not load %s into %s", program->loader, library, program->binary);
	if (!given.quiet)
		say("verified: %s is loaded into %s", library, program->binary);
}

/* ---- The command line ---- */

static const char usage[] =
	"usage: hz3run [OPTION...] [--] PROGRAM [ARGUMENT...]\n"
	"\n"
	"  -s, --sink=NAME         how remote frees travel: central, page or auto\n"
	"  -S, --stats[=text]      print statistics to standard error when the program ends\n"
	"      --stats=json[:FILE] write them as JSON; %p in FILE is the process id [hz3-%p.json]\n"
	"  -t, --top               let hz3top look at it while it runs\n"
	"  -c, --conf=KEY:VALUE    any other setting of hz3(3)\n"
	"  -v, --verify            do not start a program that will not run on hz3\n"
	"  -q, --quiet             no warning if it will not\n"
	"  -p, --print             start nothing; print the variables for a shell, a unit file or a container\n"
	"      --library=FILE      preload this libhz3.so\n"
	"      --settings          list all settings: name, type, default, values, meaning\n"
	"  -h, --help              print this\n"
	"  -V, --version           print the version\n";

enum {
	OPTION_LIBRARY = 256,
	OPTION_SETTINGS
};

static const struct option options[] = {
	{"sink", required_argument, NULL, 's'},
	{"stats", optional_argument, NULL, 'S'},
	{"top", no_argument, NULL, 't'},
	{"conf", required_argument, NULL, 'c'},
	{"verify", no_argument, NULL, 'v'},
	{"quiet", no_argument, NULL, 'q'},
	{"print", no_argument, NULL, 'p'},
	{"library", required_argument, NULL, OPTION_LIBRARY},
	{"settings", no_argument, NULL, OPTION_SETTINGS},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{0},
};

static void print_and_exit(const char *text)
{
	fputs(text, stdout);
	exit(fflush(stdout) == 0 ? 0 : STATUS_OURS);
}

static void take_option(int option)
{
	switch (option) {
	case 's':
		set("sink", optarg, "--sink");
		break;
	case 'S':
		set_stats(optarg);
		break;
	case 't':
		set("top", "true", "--top");
		break;
	case 'c':
		set_pairs(optarg);
		break;
	case 'v':
		given.verify = true;
		break;
	case 'q':
		given.quiet = true;
		break;
	case 'p':
		given.print = true;
		break;
	case OPTION_LIBRARY:
		given.library = optarg;
		break;
	case OPTION_SETTINGS:
		print_settings();
		print_and_exit("");
		break;
	case 'h':
		print_and_exit(usage);
		break;
	case 'V':
		print_and_exit("hz3run " PACKAGE_VERSION "\n");
		break;
	default: /* getopt has said what is wrong */
		fputs("Try hz3run --help.\n", stderr);
		exit(STATUS_OURS);
	}
}

static _Noreturn void run(char **arguments)
{
	execvp(arguments[0], arguments);
	say("cannot run %s: %s", arguments[0], strerror(errno));
	exit(errno == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUN);
}

int main(int argc, char **argv)
{
	static struct program program;
	char library[PATH_MAX];
	int option, error;

	/* "+": what follows the program's name is the program's. */
	while ((option = getopt_long(argc, argv, "+s:S::tc:vqphV", options, NULL)) != -1)
		take_option(option);
	find_library(library);
	if (given.print) {
		set_environment(library);
		print_variable("LD_PRELOAD");
		print_variable("HZ3_CONF");
		print_and_exit("");
	}
	if (optind == argc)
		die("which program?  Try hz3run --help");
	error = program_examine(&program, argv[optind]);
	if (error != 0) {
		say("cannot run %s: %s", argv[optind], strerror(error));
		return error == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUN;
	}
	set_environment(library);
	if (given.verify)
		verify(&program, library);
	else if (program.verdict != PROGRAM_GOOD && program.verdict != PROGRAM_UNKNOWN && !given.quiet)
		say("warning: %s %s", program.binary, program.why);
	run(argv + optind);
}
