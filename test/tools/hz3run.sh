#!/bin/bash
# hz3run: programs run on hz3 with what was set before them kept, and what cannot be is said in one line.

# Scripts in single quotes are for another shell.
# shellcheck disable=SC2016
# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../programs/common.sh"

hz3run=$HZ3_BUILDDIR/tools/hz3run
library=$(readlink -f "$HZ3_LIB")
cd "$work"

# What a command prints: expect WHAT TEXT COMMAND...
expect() {
	local what=$1 text=$2 out status=0
	shift 2
	out=$("$@" 2>&1) || status=$?
	[ "$out" = "$text" ] && [ $status = 0 ] || fail "$what: status $status, \"$out\" instead of \"$text\""
	echo "$what"
}

# That it fails with one line: expect_error STATUS PATTERN COMMAND...
expect_error() {
	local wanted=$1 pattern=$2 out status=0
	shift 2
	out=$("$@" 2>&1) || status=$?
	[ $status = "$wanted" ] || fail "$*: status $status instead of $wanted: $out"
	[ "$(wc -l <<<"$out")" = 1 ] || fail "$*: not one line: $out"
	[[ $out == hz3run:\ $pattern ]] || fail "$*: \"$out\" instead of \"hz3run: $pattern\""
	echo "$out"
}

# What is in the memory of a cat that is started so: is_mapped COMMAND...
is_mapped() {
	"$@" /proc/self/maps 2>/dev/null | grep -F -- "$library" >/dev/null
}

# ---- The program gets hz3, its arguments, its environment, and gives back its status ----

is_mapped "$hz3run" cat || fail "hz3 is not in the program's memory"
! is_mapped cat || fail "hz3 is everywhere, and this test proves nothing"
expect "arguments" "<a b><--stats><><-->" "$hz3run" -- printf '<%s>' "a b" --stats "" --
expect "no --" "<-v>" "$hz3run" --sink=page printf '<%s>' -v
expect "nothing set" "$library|" env -u HZ3_CONF "$hz3run" sh -c 'echo "$LD_PRELOAD|$HZ3_CONF"'
expect "settings" "sink:auto,remote_batch:0,narenas:2,stats_file:$work/x.json" \
	"$hz3run" --sink=auto -c remote_batch:0,narenas:2 --stats=json:x.json sh -c 'unset LD_PRELOAD; echo "$HZ3_CONF"'
expect "kept" "$library:libm.so.6|banner:false,sink:page" \
	env LD_PRELOAD=libm.so.6 HZ3_CONF=banner:false "$hz3run" --sink page sh -c 'echo "$LD_PRELOAD|$HZ3_CONF"'
expect "top" "sink:page,top:true" env -u HZ3_CONF "$hz3run" --sink=page --top sh -c 'unset LD_PRELOAD; echo "$HZ3_CONF"'
expect "twice" "$library" "$hz3run" "$hz3run" sh -c 'echo "$LD_PRELOAD"'
expect "print" "$library|sink:page" sh -c "eval \"\$($hz3run --print --sink=page)\""'; echo "$LD_PRELOAD|$HZ3_CONF"'
expect "quoted" "it's" sh -c "eval \"\$(HZ3_CONF=\"it's\" $hz3run --print)\""'; unset LD_PRELOAD; echo "$HZ3_CONF"'
status=0
"$hz3run" sh -c 'exit 43' || status=$?
[ $status = 43 ] || fail "the program's status became $status"
status=0
"$hz3run" sh -c 'kill -TERM $$' || status=$?
[ $status = 143 ] || fail "the program's signal became status $status"

# ---- Statistics ----

(cd / && "$hz3run" --stats true 2>"$work/text")
grep -q '^---- hz3 .* process ' text || fail "--stats prints nothing"
"$hz3run" --stats=json sh -c 'cd /; exec true'
"$hz3run" --stats=json:named.json sh -c 'cd /; exec true'
[ "$(echo hz3-[0-9]*.json)" != 'hz3-[0-9]*.json' ] || fail "--stats=json writes nothing here"
grep -q '"hz3_stats_version"' named.json || fail "--stats=json:FILE writes no statistics"

# ---- The list of settings, and what is no setting ----

"$hz3run" --settings >settings
[ "$(cut -f1 settings)" = "$(sed -n 's/^OPTION(\([a-z_]*\),.*/\1/p' "$HZ3_SRCDIR/src/options.def")" ] ||
	fail "--settings does not list the options of options.def"
[ "$(awk -F '\t' 'NF != 5' settings)" = "" ] || fail "--settings: not five columns"
expect_error 125 '--sink takes central, page or auto, not "x"' "$hz3run" --sink=x true
expect_error 125 'there is no setting "nothing"*' "$hz3run" -c nothing:1 true
expect_error 125 'narenas takes a number from 0 to 64, not "65"' "$hz3run" -c narenas:65 true
expect_error 125 '--conf takes KEY:VALUE, not "sink"' "$hz3run" -c sink true
expect_error 125 '--stats takes *' "$hz3run" --stats=xml true
expect_error 125 '*without a comma*' "$hz3run" --stats=json:a,b true
expect_error 125 'which program?*' "$hz3run" --sink=page
expect_error 125 'there is no library /nowhere/x.so: *' "$hz3run" --library=/nowhere/x.so true
mkdir "a b" && cp "$library" "a b/"
expect_error 125 'the loader cannot preload *' "$hz3run" --library="a b/${library##*/}" true
expect_error 127 'cannot run no-such-program: *' env PATH=/usr/bin "$hz3run" no-such-program
expect_error 127 'cannot run ./no-such-program: *' "$hz3run" ./no-such-program
expect_error 126 'cannot run ./settings: *' "$hz3run" ./settings
expect_error 126 'cannot run /: *' "$hz3run" /
mkdir hidden && cp settings hidden/cat
expect "PATH" hello env PATH="$work/hidden:$PATH" "$hz3run" cat <<<hello

# ---- Programs that cannot run on hz3 are told apart from those that can ----

# refuses PATTERN PROGRAM: a warning, and an error with --verify.  What the program does then is its own affair.
refuses() {
	local pattern=$1 program=$2 out
	expect_error 125 "not verified: *$program $pattern" "$hz3run" --verify "$program"
	out=$("$hz3run" "$program" 2>&1 </dev/null | tr -d '\0' | head -n 1) || :
	[[ $out == "hz3run: warning: "*"$program "$pattern ]] || fail "$program: no warning, but \"$out\""
	out=$("$hz3run" -q "$program" 2>&1 </dev/null | tr -d '\0') || :
	[[ $out != *hz3run:\ warning* ]] || fail "$program: a warning in spite of -q"
}

accepts() {
	local out
	out=$("$hz3run" --verify "$@" 2>&1) || fail "$*: $out"
	[[ $out == "hz3run: verified: $library is loaded into "* ]] || fail "$*: $out"
}

accepts cat /dev/null
printf '#!/bin/sh\necho\n' >script
printf '#!/usr/bin/env -S A=1 sh\necho\n' >env-script
chmod +x script env-script
accepts ./script
accepts ./env-script
status=0
"$hz3run" --library=settings --verify true 2>err || status=$?
[ $status = 125 ] && grep -q '^hz3run: not verified: .* does not load ' err || fail "a text file is a library: $(cat err)"

echo 'int main(void) { return 0; }' >main.c
if $CC -static -o static main.c 2>/dev/null; then
	refuses "is statically linked*" "$work/static"
	printf '#!%s\n' "$work/static" >static-script
	chmod +x static-script
	expect_error 125 "not verified: $work/static is statically linked*" "$hz3run" --verify ./static-script
fi

cat >own.c <<'PROGRAM'
#include <stdlib.h>
#include <string.h>
static char pool[1 << 20];
static size_t used;
void *malloc(size_t n) { void *p = pool + used; used += (n + 31) & ~(size_t)15; return used < sizeof(pool) ? p : 0; }
void *calloc(size_t n, size_t m) { return malloc(n * m); }
void *realloc(void *p, size_t n) { void *q = malloc(n); return p && q ? memcpy(q, p, n) : q; }
void free(void *p) { (void)p; }
int main(void) { char *p = malloc(10); return p >= pool && p < pool + sizeof(pool) ? 0 : 1; }
PROGRAM
$CC -fno-builtin -o own own.c
refuses "has a malloc of its own*" "$work/own"
"$hz3run" -q ./own || fail "a program with its own malloc does not work"

# Headers are all that is looked at.
head -c 64 "$library" >header
printf '%4096s' '' >>header
{ printf '\177ELF\1\1\1'; printf '%99s' ''; } >bits32
{ head -c 18 header; printf '\377\0'; tail -c +21 header; } >machine
{ head -c 32 header; printf '\377\377\377\377\377\377\377\177%.0s' 1 2; tail -c +49 header; } >wild
printf 'x' >tiny
: >empty
chmod +x bits32 machine tiny empty wild
refuses "is a 32-bit program*" "$work/bits32"
refuses "is of another processor*" "$work/machine"
for file in tiny empty wild; do
	status=0
	"$hz3run" --verify "./$file" 2>err || status=$?
	[ $status = 125 ] && grep -q '^hz3run: not verified: ' err || fail "$file: status $status, $(cat err)"
done

# ---- Set-user-ID ----

if [ "$(id -u)" = 0 ] && chown 65534 "$(cp "$(command -v cat)" setuid && echo setuid)" && chmod 4755 setuid &&
	chmod 711 "$work" && cp "$(command -v cat)" own-setuid && chmod 4755 own-setuid; then
	accepts ./own-setuid /dev/null
	is_mapped "$hz3run" ./own-setuid || fail "hz3 is not in a set-user-ID program of our own"
	if [ "$(./setuid /proc/self/status | awk '$1 == "Uid:" { print $3 }')" = 65534 ]; then
		refuses "is set-user-ID*" ./setuid
		! is_mapped "$hz3run" ./setuid || fail "the loader does preload into set-user-ID programs: what hz3run says is not so"
		"$hz3run" -S ./setuid /proc/self/status >out 2>err || fail "a set-user-ID program does not run"
		! grep -q '^---- hz3' err || fail "a set-user-ID program heeds HZ3_CONF"
		if command -v setpriv >/dev/null; then
			setpriv --no-new-privs "$hz3run" --verify ./setuid /proc/self/maps 2>err >out || fail "no_new_privs: $(cat err)"
			grep -qF -- "$library" out || fail "hz3 is not in a set-user-ID program that gains nothing"
		fi
	else
		echo "(this file system is mounted nosuid)"
		accepts ./setuid /dev/null
	fi
elif [ -u /bin/su ]; then
	expect_error 125 "not verified: *su is set-user-ID*" "$hz3run" --verify /bin/su
fi
