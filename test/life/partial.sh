#!/bin/bash
# Programs that have some of malloc's functions themselves, hz3 preloaded: whoever defines a name gets its calls, and what comes of it is
# defined.  Pointers from elsewhere: one line that names them, and abort.

set -u
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failures=0

fail() {
	echo "FAIL: $*"
	failures=$((failures + 1))
}

cat > "$dir/common.h" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(c) do { if (!(c)) { fprintf(stderr, "line %d: %s\n", __LINE__, #c); exit(1); } } while (0)

static void *hide(void *p)
{
	__asm__ volatile("" : "+r"(p));
	return p;
}

/* The program's own memory. */
static char heap[1 << 22];
static size_t used;

static void *own(size_t size)
{
	size_t at = __atomic_fetch_add(&used, (size + 31) & ~(size_t)15, __ATOMIC_RELAXED);

	if (at + size + 16 > sizeof(heap))
		return NULL;
	memcpy(heap + at, &size, sizeof(size));
	return heap + at + 16;
}

static int is_own(const void *p)
{
	return (const char *)p >= heap && (const char *)p < heap + sizeof(heap);
}
END

# name, what to expect ("ok", or a text of the message), program
try() {
	local name=$1 want=$2 status
	{ echo '#include "common.h"'; cat; } > "$dir/$name.c"
	$CC -O1 -w -fno-builtin -pthread -I"$dir" "$dir/$name.c" -o "$dir/$name" -ldl || { fail "$name does not compile"; return; }
	(ulimit -c 0; LD_PRELOAD=$HZ3_LIB timeout 110 "$dir/$name" > "$dir/output" 2>&1) 2> "$dir/log"
	status=$?
	if [ "$want" = ok ]; then
		[ $status = 0 ] || fail "$name: status $status: $(head -c 300 "$dir/output")"
	elif [ $status != 134 ] || ! grep -q "^hz3: .*$want" "$dir/output" || [ "$(wc -l < "$dir/output")" != 1 ]; then
		fail "$name: status $status, not a message of \"$want\": $(head -c 300 "$dir/output")"
	fi
}

# A whole malloc of its own: hz3 is not asked, not even by libc.
try whole ok <<'END'
static int frees;
void *malloc(size_t n) { return own(n); }
void *calloc(size_t n, size_t m) { return own(n * m); }
void *realloc(void *p, size_t n) { void *q = own(n); if (p) memcpy(q, p, n < *((size_t *)p - 2) ? n : *((size_t *)p - 2)); return q; }
void free(void *p) { CHECK(p == NULL || is_own(p)); frees++; }
static void *thread(void *arg) { free(malloc(10)); return strdup(arg); }
int main(void)
{
	pthread_t t;
	void *text;
	pthread_create(&t, NULL, thread, "text");
	pthread_join(t, &text);
	CHECK(is_own(text) && frees > 0);
	free(text);
	/* What it has not got is hz3's, and hz3's alone can free it. */
	void *p = hide(aligned_alloc(64, 100));
	CHECK(p && !is_own(p));
	((void (*)(void *))dlsym(RTLD_DEFAULT, "hz3_free"))(p);
	return 0;
}
END

# malloc, calloc, realloc and free that hand on to the next, or to glibc's internal names: counters, tracers.
try wrapper_next ok <<'END'
static int calls;
void *malloc(size_t n) { static void *(*next)(size_t); calls++; if (!next) next = dlsym(RTLD_NEXT, "malloc"); return next(n); }
void free(void *p) { static void (*next)(void *); calls++; if (!next) next = dlsym(RTLD_NEXT, "free"); next(p); }
int main(void)
{
	free(hide(malloc(100)));
	free(hide(calloc(10, 10)));
	free(hide(aligned_alloc(64, 100)));
	free(hide(realloc(malloc(10), 1000)));
	free(hide(strdup("text")));
	CHECK(calls >= 8);
	return 0;
}
END
try wrapper_libc ok <<'END'
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);
static int calls;
void *malloc(size_t n) { calls++; return __libc_malloc(n); }
void free(void *p) { calls++; __libc_free(p); }
int main(void)
{
	free(hide(malloc(100)));
	free(hide(calloc(10, 10)));
	free(hide(aligned_alloc(64, 100)));
	free(hide(__libc_memalign(64, 100)));
	free(hide(__libc_realloc(malloc(10), 1000)));
	CHECK(calls >= 6);
	CHECK(malloc_usable_size(hide(__libc_malloc(1000))) >= 1000);
	return 0;
}
END

# free alone, which does nothing; memalign alone, from hz3's own malloc.
try free_only ok <<'END'
static int frees;
void free(void *p) { frees++; }
int main(void)
{
	for (int i = 0; i < 1000; i++)
		free(hide(malloc(100)));
	CHECK(frees >= 1000);
	return 0;
}
END
try memalign_only ok <<'END'
static int calls;
void *memalign(size_t a, size_t n) { calls++; return aligned_alloc(a, n); }
int main(void)
{
	void *p = hide(memalign(128, 100));
	CHECK(calls == 1 && (size_t)p % 128 == 0);
	free(p);
	return 0;
}
END

# malloc alone: what it gave is not hz3's to free, and hz3 says so.
try malloc_only "foreign pointer" <<'END'
void *malloc(size_t n) { return own(n); }
int main(void)
{
	free(hide(malloc(100)));
	return 0;
}
END
try malloc_and_realloc_of_hz3 "foreign pointer" <<'END'
void *malloc(size_t n) { return own(n); }
int main(void)
{
	return realloc(hide(malloc(100)), 200) == NULL;
}
END

# ---- From elsewhere ----

# ld.so has allocated before there was a malloc, and frees and grows some of it later: vectors of TLS blocks, search paths.
cat > "$dir/tls.c" <<'END'
__thread char block[100];
char *get(void) { return block; }
END
$CC -shared -fPIC "$dir/tls.c" -o "$dir/tls.so" || exit 1
for i in $(seq 100); do
	cp "$dir/tls.so" "$dir/tls-$i.so"
done
try from_the_linker ok <<END
static void *thread(void *arg)
{
	char path[1000];
	void *lib[101];
	for (int i = 1; i <= 100; i++) {
		snprintf(path, sizeof(path), "$dir/tls-%d.so", i);
		CHECK((lib[i] = dlopen(path, RTLD_NOW)) != NULL);
		((char *(*)(void))dlsym(lib[i], "get"))()[0] = 1;
	}
	for (int i = 1; i <= 100; i++)
		dlclose(lib[i]);
	return arg;
}
int main(void)
{
	pthread_t t[4];
	thread(NULL);
	for (int i = 0; i < 4; i++) {
		pthread_create(&t[i], NULL, thread, NULL);
		pthread_join(t[i], NULL);
	}
	CHECK(dlopen("/nowhere/at/all", RTLD_NOW) == NULL && dlerror() != NULL);
	setenv("A", "b", 1);
	putenv("C=d");
	return 0;
}
END
# glibc's own malloc, by way of a second libc.
try from_another_libc "foreign pointer" <<'END'
int main(void)
{
	void *libc = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
	void *(*other)(size_t) = (void *(*)(size_t))dlsym(libc, "malloc");
	free(hide(other(100)));
	return 0;
}
END

[ $failures -eq 0 ]
