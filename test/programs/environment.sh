#!/bin/bash
# Odd surroundings: settings that are wrong, an empty environment, closed descriptors, lazy and eager binding.

# Scripts in single quotes are for another shell.
# shellcheck disable=SC2016
# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need sort awk

awk 'BEGIN { for (i = 0; i < 20000; i++) print i * 7919 % 20011, "line", i }' >"$work/lines"
sort --parallel=2 "$work/lines" >"$work/expected"

# expect_sorted WHAT FILE
expect_sorted() {
	cmp "$2" "$work/expected" || fail "$1: the output differs from that with glibc"
}

# A wrong setting is one line of warning for the process, not for its forks, and the program works.
# warnings NAME COUNT HZ3_CONF
warnings() {
	env LD_PRELOAD="$HZ3_LIB" HZ3_CONF="$3" sort --parallel=2 "$work/lines" >"$work/out" 2>"$work/err" || fail "$1: status $?"
	expect_sorted "$1" "$work/out"
	if [ "$(wc -l <"$work/err")" != "$2" ] || [ "$(grep -c '^hz3: HZ3_CONF: ' "$work/err")" != "$2" ]; then
		head -c 2000 "$work/err"
		fail "$1: not $2 lines of warning"
	fi
	echo "$1: $2"
}

warnings "empty" 0 ""
warnings "good" 0 "sink:central,,remote_batch:0, dirty_decay_ms:-1 ,"
warnings "unknown option" 1 "no_such_option:1"
warnings "unknown option among good ones" 1 "sink:page,no_such_option:1,remote_batch:0"
warnings "bad value" 1 "sink:nowhere"
warnings "no value" 1 "sink"
warnings "bad number" 1 "remote_budget:12x"
warnings "number out of range" 1 "narenas:99999999999999999999999"
warnings "very long" 1 "$(printf '%60000s' x | tr ' ' y)"
warnings "control characters" 1 $'a\nb\e[1m:\r\n'
warnings "two wrong" 2 "one:1,two:2"
env LD_PRELOAD="$HZ3_LIB" HZ3_CONF=no_such_option:1 \
	bash -c '(:); x=$(echo a | while read -r y; do echo "$y$y"; done); echo "$x"' >"$work/out" 2>"$work/err"
[ "$(cat "$work/out")" = aa ] || fail "forks after a warning do not work"
[ "$(wc -l <"$work/err")" = 1 ] || fail "forks repeat the warning: $(cat "$work/err")"

# No environment but LD_PRELOAD, and none at all: the dynamic linker itself preloads.
env -i LD_PRELOAD="$HZ3_LIB" "$(command -v sort)" --parallel=2 "$work/lines" >"$work/out" 2>"$work/err" || fail "env -i: status $?"
expect_sorted "env -i" "$work/out"
[ ! -s "$work/err" ] || fail "env -i: $(cat "$work/err")"
linker=$(awk '$6 ~ "/ld[-.][^/]*$" || $6 ~ "/ld64[^/]*$" { print $6; exit }' /proc/self/maps)
if [ -n "$linker" ] && "$linker" --preload "$HZ3_LIB" "$(command -v true)" 2>/dev/null; then
	env -i "$linker" --preload "$HZ3_LIB" "$(command -v sort)" --parallel=2 "$work/lines" >"$work/out" 2>"$work/err" ||
		fail "no environment: status $?"
	expect_sorted "no environment" "$work/out"
	[ ! -s "$work/err" ] || fail "no environment: $(cat "$work/err")"
	env -i "$linker" --preload "$HZ3_LIB" "$(command -v awk)" '{ print FILENAME; exit }' /proc/self/maps >/dev/null ||
		fail "no environment: awk: status $?"
	echo "no environment: the same"
fi

# Closed descriptors: what hz3 has to say must not end up in a file that took the place of standard error.
for setting in "" no_such_option:1 banner:true; do
	for closed in '2>&-' '<&- >&- 2>&-' '<&-'; do
		rm -f "$work/out"
		# Standard error of the shell, for what goes wrong before it is closed.
		env LD_PRELOAD="$HZ3_LIB" HZ3_CONF="$setting" sh -c 'exec "$0" "$@" '"$closed" \
			sort --parallel=2 -S 1M -o "$work/out" "$work/lines" 2>/dev/null || fail "$closed, \"$setting\": status $?"
		expect_sorted "$closed, \"$setting\"" "$work/out"
	done
done
echo "closed descriptors: the same"

compare bind-now env LD_BIND_NOW=1 sort --parallel=4 "$work/lines"
! command -v iconv >/dev/null || compare modules iconv -f UTF-8 -t EUC-JP "$work/lines"
# A reader that leaves early, and a terminal that hangs up.
compare broken-pipe bash -c 'sort --parallel=2 "$1" | head -n 3; seq 100000 | sort -n | { read -r x; echo "$x"; }' bash "$work/lines"
compare signals bash -c 'for s in TERM INT HUP; do { sh -c "kill -$s \$\$; sleep 5"; } 2>/dev/null; echo $?; done'
