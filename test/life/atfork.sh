#!/bin/bash
# A library whose constructor registers fork handlers before anybody has called malloc, and whose prepare handler waits for a mutex under which
# other threads allocate: its handlers run before hz3's, which takes all of its locks.

set -u
echo '#include <features.h>' | ${CC} -E -dM -x c - 2>/dev/null | grep -q '#define __GLIBC__' || {
	echo "SKIP: only glibc runs a library's constructor first if it asks for that"
	exit 77
}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

cat > "$dir/library.c" <<'END'
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void prepare(void) { pthread_mutex_lock(&mutex); free(malloc(70000)); }
static void after(void) { free(malloc(100)); pthread_mutex_unlock(&mutex); }

__attribute__((constructor)) static void begin(void) { pthread_atfork(prepare, after, after); }

void *locked_malloc(size_t size)
{
	pthread_mutex_lock(&mutex);
	free(malloc(size * 7));
	void *p = malloc(size);
	pthread_mutex_unlock(&mutex);
	return p;
}
END

cat > "$dir/program.c" <<'END'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

void *locked_malloc(size_t size);
static volatile int stop;

static void *work(void *arg)
{
	unsigned state = (unsigned)(size_t)arg;

	while (!stop) {
		state = state * 1103515245 + 12345;
		free(locked_malloc(1 + (state >> 8) % 40000));
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[3];
	int status, bad = 0;

	for (size_t i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, work, (void *)(i + 1));
	for (int i = 0; i < 300; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			for (size_t k = 0; k < 50; k++)
				free(locked_malloc(k * 1000 + 1));
			_exit(0);
		}
		bad += pid < 0 || waitpid(pid, &status, 0) != pid || status != 0;
	}
	stop = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	printf("%d children were not well\n", bad);
	return bad != 0;
}
END

$CC -O1 -shared -fPIC -pthread "$dir/library.c" -o "$dir/library.so" &&
	$CC -O1 -pthread "$dir/program.c" "$dir/library.so" -Wl,-rpath,"$dir" -o "$dir/program" || exit 1
for sink in page central; do
	if ! HZ3_CONF=sink:$sink LD_PRELOAD=$HZ3_LIB timeout -s KILL 100 "$dir/program"; then
		echo "FAIL: sink $sink"
		exit 1
	fi
done
