#!/bin/bash
# dlopen with RTLD_DEEPBIND, which would give a plug-in libc's malloc: blocks cross all the same, and the dynamic linker takes our
# caller for its own (RUNPATH).  With deepbind:true the same program ends badly, as with other allocators: the control.

set -u
if ! nm -D "$HZ3_LIB" | grep -q ' T dlopen$'; then
	echo "SKIP: this libhz3.so leaves dlopen alone"
	exit 77
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

fail() {
	echo "FAIL: $*"
	exit 1
}

cat > "$dir/plugin.c" <<'END'
#include <stdlib.h>
#include <string.h>

char *give(void) { return strdup("from the plug-in"); }
void take(char *p) { free(p); }
char *grow(char *p, size_t size) { return realloc(p, size); }
END

# Opens by a name without a slash, which is found by the RUNPATH of this library only.
cat > "$dir/opener.c" <<'END'
#include <dlfcn.h>

void *open_plugin(const char *name, int flags) { return dlopen(name, flags); }
END

cat > "$dir/program.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(c) do { if (!(c)) { fprintf(stderr, "line %d: %s\n", __LINE__, #c); exit(1); } } while (0)

void *open_plugin(const char *name, int flags);

int main(void)
{
	CHECK(dlopen("plugin.so", RTLD_NOW) == NULL && strstr(dlerror(), "plugin.so") != NULL);
	CHECK(dlopen(NULL, RTLD_NOW) != NULL);
	void *lib = open_plugin("plugin.so", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
	CHECK(lib != NULL);
	char *(*give)(void), *(*grow)(char *, size_t);
	void (*take)(char *);
	*(void **)&give = dlsym(lib, "give");
	*(void **)&take = dlsym(lib, "take");
	*(void **)&grow = dlsym(lib, "grow");
	for (unsigned i = 0; i < 1000; i++) {
		char *p = malloc(1 + i);
		CHECK(p != NULL);
		memset(p, 'x', 1 + i);
		p = grow(p, 3 * i + 2);
		CHECK(p != NULL && p[i] == 'x');
		take(p);
		p = give();
		CHECK(p != NULL && strcmp(p, "from the plug-in") == 0);
		free(p);
	}
	CHECK(dlclose(lib) == 0);
	puts("blocks have crossed");
	return 0;
}
END

mkdir "$dir/plugins"
$CC -O1 -fno-builtin -fPIC -shared -o "$dir/plugins/plugin.so" "$dir/plugin.c" || exit 1
$CC -O1 -fPIC -shared -o "$dir/libopener.so" "$dir/opener.c" -Wl,--enable-new-dtags "-Wl,-rpath,\$ORIGIN/plugins" -ldl || exit 1
$CC -O1 -fno-builtin -o "$dir/program" "$dir/program.c" -L"$dir" -lopener "-Wl,-rpath,$dir" -ldl || exit 1

run() {
	LD_PRELOAD=$HZ3_LIB HZ3_CONF=${HZ3_CONF:+$HZ3_CONF,}$1 timeout 60 "$dir/program" > "$dir/output" 2>&1
}

run banner:false || fail "status $?: $(head -c 600 "$dir/output")"
[ "$(cat "$dir/output")" = "blocks have crossed" ] || fail "it says: $(head -c 600 "$dir/output")"
(run deepbind:true) 2> /dev/null && fail "RTLD_DEEPBIND does no harm: this test says nothing"
[ "$(grep -c crossed "$dir/output")" = 0 ] || fail "blocks have crossed with deepbind:true"
echo "blocks cross; with deepbind:true they don't"
