#!/bin/bash
# hz3 and the dynamic linker: loaded late, loaded where there is no static TLS left, beside plug-ins that go, under auditors.
#
# In the long form the library is also built with --disable-initial-exec-tls, and then static TLS does not matter.

set -u
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failures=0

fail() {
	echo "FAIL: $*"
	failures=$((failures + 1))
}

compile() {
	$CC -O1 -fno-builtin -pthread "$@" -ldl || exit 1
}

# Run a program, which names on standard error what it does not like.
check() {
	local what=$1
	shift
	timeout 110 env "$@" > "$dir/output" 2>&1 || fail "$what: status $?: $(head -c 600 "$dir/output")"
}

# ---- Late: by dlopen, after the process has used its own malloc; RTLD_LOCAL and RTLD_DEEPBIND; a second copy by dlmopen ----

cat > "$dir/late.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(c) do { if (!(c)) { fprintf(stderr, "line %d: %s\n", __LINE__, #c); exit(1); } } while (0)

static void *(*alloc)(size_t), *(*operator_malloc)(size_t);
static void (*release)(void *), (*operator_free)(void *);
static void *_Atomic shared[64];

static void *work(void *arg)
{
	for (unsigned i = 0; i < 20000; i++) {
		size_t size = 1 + (i * 2654435761u >> 12) % (i % 100 ? 3000 : 300000);
		char *p = alloc(size);
		CHECK(p != NULL);
		p[0] = p[size - 1] = 1;
		release(__atomic_exchange_n(&shared[i % 64], p, __ATOMIC_ACQ_REL));
	}
	return arg;
}

static void run(void)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, work, NULL) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

int main(int argc, char **argv)
{
	int status, flags = RTLD_NOW;
	void *before = malloc(1000);

	CHECK(argc == 3);
	alarm(100);
	if (strcmp(argv[2], "deep") == 0)
		flags |= RTLD_DEEPBIND;
	void *lib = strcmp(argv[2], "namespace") == 0 ? dlmopen(LM_ID_NEWLM, argv[1], RTLD_NOW) : dlopen(argv[1], flags);
	if (lib == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		return 2;
	}
	*(void **)&alloc = dlsym(lib, "hz3_malloc");
	*(void **)&release = dlsym(lib, "hz3_free");
	*(void **)&operator_malloc = dlsym(lib, "malloc");
	*(void **)&operator_free = dlsym(lib, "free");
	CHECK(alloc && release && operator_malloc && operator_free);
	run();
	/* malloc is still who it was, and the two don't meet. */
	operator_free(operator_malloc(100));
	before = realloc(before, 100000);
	CHECK(before != NULL);
	free(before);
	/* Its code outlives a dlclose, as its blocks do. */
	void *block = alloc(100);
	dlclose(lib);
	release(block);
	run();
	pid_t pid = fork();
	if (pid == 0) {
		run();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	/* A pointer of the other malloc's: one line that names it. */
	pid = fork();
	if (pid == 0) {
		CHECK(freopen("/dev/null", "w", stderr) != NULL);
		operator_free(malloc(100));
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	return 0;
}
END
compile "$dir/late.c" -o "$dir/late"
for how in local deep namespace; do
	check "late, $how" "$dir/late" "$HZ3_LIB" $how
done

# ---- Static TLS: as many libraries as there is room for, each with some, down to the last 8 bytes ----

for size in 512 64 8; do
	echo "__thread char block[$size] __attribute__((tls_model(\"initial-exec\"))); char *get(void) { return block; }" > "$dir/tls.c"
	compile -shared -fPIC "$dir/tls.c" -o "$dir/tls-$size.so"
done
cat > "$dir/full.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Copies, or the linker would take it for the same library. */
static int fill(const char *dir, int size)
{
	char command[4000], path[2000];
	int n = 0;

	for (;; n++) {
		snprintf(path, sizeof(path), "%s/copy-%d-%d.so", dir, size, n);
		snprintf(command, sizeof(command), "cp %s/tls-%d.so %s", dir, size, path);
		if (system(command) != 0)
			exit(5);
		if (dlopen(path, RTLD_NOW) == NULL)
			return n;
	}
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? fill(argv[1], 512) + fill(argv[1], 64) + fill(argv[1], 8) : 0;
	void *lib = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);

	if (n == 0)
		return 6;
	if (lib == NULL) {
		puts(dlerror());
		return 3;
	}
	void *(*alloc)(size_t) = (void *(*)(size_t))dlsym(lib, "hz3_malloc");
	void (*release)(void *) = (void (*)(void *))dlsym(lib, "hz3_free");
	for (int i = 0; i < 1000; i++) {
		char *p = alloc(100 + i);
		p[0] = 1;
		release(p);
	}
	return 0;
}
END
compile "$dir/full.c" -o "$dir/full"
output=$("$dir/full" "$dir" "$HZ3_LIB")
status=$?
rm -f "$dir"/copy-*
case $status:$output in
3:*"static TLS"*) ;;
*) fail "without static TLS: status $status, \"$output\"" ;;
esac
if [ "${HZ3_STRESS:-}" = long ]; then
	mkdir "$dir/build"
	(cd "$dir/build" && "$HZ3_SRCDIR/configure" --disable-initial-exec-tls -q && ${MAKE:-make} -s libhz3.la) > "$dir/log" 2>&1 ||
		fail "no build with --disable-initial-exec-tls: $(tail -n 5 "$dir/log")"
	"$dir/full" "$dir" "$dir/build/.libs/libhz3.so" || fail "--disable-initial-exec-tls, without static TLS: status $?"
	rm -f "$dir"/copy-*
	check "late, --disable-initial-exec-tls" "$dir/late" "$dir/build/.libs/libhz3.so" local
fi

# ---- Plug-ins that go while blocks of theirs live, and while threads have destructors of theirs to run ----

cat > "$dir/plugin.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
extern void *__dso_handle;
static __thread char big[3000];		/* grows the thread's vector of TLS blocks */

static void at_thread_exit(void *block)
{
	free(block);
	free(malloc(700));
}

/* An object with a destructor in this thread; the library stays until that has run. */
void attach(void)
{
	big[0] = 1;
	__cxa_thread_atexit_impl(at_thread_exit, malloc(300), __dso_handle);
}

void *give(int size)
{
	return malloc(size);
}

__attribute__((constructor)) static void begin(void)
{
	free(malloc(5000));
}

__attribute__((destructor)) static void end(void)
{
	free(malloc(50000));
}
END
compile -shared -fPIC "$dir/plugin.c" -o "$dir/plugin.so"
cat > "$dir/plugins.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *path;
static void *blocks[100];

static void *load_and_go(void *arg)
{
	void *lib = dlopen(path, RTLD_NOW);

	if (lib == NULL)
		_exit(4);
	((void (*)(void))dlsym(lib, "attach"))();
	for (int i = 0; i < 100; i++) {
		free(blocks[i]);
		blocks[i] = ((void *(*)(int))dlsym(lib, "give"))(100 * i + 1);
		memset(blocks[i], i, (size_t)(100 * i + 1));
	}
	dlclose(lib);
	return arg;
}

static size_t live(void)
{
	int (*control)(const char *, void *, size_t *, void *, size_t) =
		(int (*)(const char *, void *, size_t *, void *, size_t))dlsym(RTLD_DEFAULT, "hz3_control");
	size_t value = 0, bytes = sizeof(value);

	return control("stats.blocks_live", &value, &bytes, NULL, 0) == 0 ? value : (size_t)-1;
}

int main(int argc, char **argv)
{
	pthread_t t;
	size_t before = 0, after;

	path = argv[argc - 1];
	alarm(100);
	for (int i = 0; i < 200; i++) {
		if (pthread_create(&t, NULL, load_and_go, NULL) != 0)
			return 2;
		pthread_join(t, NULL);
		/* libc keeps it for the destructor, and forgets it only with the next dlclose. */
		void *lib = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
		if (lib != NULL)
			dlclose(lib);
		if (dlopen(path, RTLD_NOW | RTLD_NOLOAD) != NULL)
			return 3;
		for (int j = 0; j < 100; j++)
			if (((unsigned char *)blocks[j])[100 * j] != j)
				return 5;
		if (i == 20)
			before = live();
	}
	after = live();
	if (argc == 2 && after != before) {
		fprintf(stderr, "%zu blocks live, %zu before\n", after, before);
		return 6;
	}
	return 0;
}
END
compile "$dir/plugins.c" -o "$dir/plugins"
for sink in central page; do
	check "plug-ins, sink $sink" HZ3_CONF=background_thread:0,sink:$sink LD_PRELOAD="$HZ3_LIB" "$dir/plugins" "$dir/plugin.so"
done

# ---- Auditors: in a namespace of their own, with a libc of their own; one that allocates, and one that has an hz3 of its own ----
#
# Blocks aren't counted here: the dynamic linker keeps one for each dlopen, and the keys of pthread_key_create of two libcs get in each
# other's way, so that destructors of threads are not run.

cat > "$dir/audit.c" <<'END'
#define _GNU_SOURCE
#include <link.h>
#include <stdlib.h>
#include <string.h>

static void use(void)
{
	void *p = malloc(3000);

	memset(p, 1, 3000);
	p = realloc(p, 300000);
	free(p);
}

unsigned la_version(unsigned version)
{
	use();
	return version;
}

unsigned la_objopen(struct link_map *map, Lmid_t id, uintptr_t *cookie)
{
	use();
	*cookie = (uintptr_t)map + (unsigned)id;
	return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

uintptr_t la_symbind64(Elf64_Sym *sym, unsigned n, uintptr_t *from, uintptr_t *to, unsigned *flags, const char *name)
{
	use();
	(void)n, (void)from, (void)to, (void)flags, (void)name;
	return sym->st_value;
}

void la_preinit(uintptr_t *cookie)
{
	(void)cookie;
	use();
}

unsigned la_objclose(uintptr_t *cookie)
{
	(void)cookie;
	use();
	return 0;
}
END
compile -shared -fPIC "$dir/audit.c" -o "$dir/audit.so"
compile -shared -fPIC "$dir/audit.c" -o "$dir/audit-hz3.so" -Wl,--no-as-needed "$HZ3_LIB" -Wl,-rpath,"$(dirname "$HZ3_LIB")"
for audit in audit audit-hz3; do
	check "LD_AUDIT, $audit" HZ3_CONF=background_thread:0 LD_AUDIT="$dir/$audit.so" LD_PRELOAD="$HZ3_LIB" "$dir/plugins" audited "$dir/plugin.so"
	check "LD_AUDIT, $audit, a shell" LD_AUDIT="$dir/$audit.so" LD_PRELOAD="$HZ3_LIB" sh -c 'ls / | sort > /dev/null'
done

[ $failures -eq 0 ]
