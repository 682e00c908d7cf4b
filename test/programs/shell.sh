#!/bin/bash
# bash itself: many forks, pipes and substitutions; jobs that are killed; arrays and strings that grow.

# Scripts in single quotes are for another shell.
# shellcheck disable=SC2016
# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

cat >"$work/script" <<'SCRIPT'
declare -A count
declare -a list
for ((i = 0; i < 6000; i++)); do
	key=k$((i * 7919 % 503))
	count[$key]=$((${count[$key]:-0} + 1))
	list+=("$key:$i")
	text+="$key,"
done
echo "${#count[@]} ${#list[@]} ${#text} ${list[*]:100:5}"
unset 'list[50]' 'list[51]'
IFS=, read -ra parts <<<"$text"
echo "${#parts[@]} ${parts[77]} ${text//k1/K-} " | cksum

depth() {
	if [ "$1" = 0 ]; then
		echo bottom
	else
		echo "$1 $(depth $(($1 - 1)))"
	fi
}
depth 15
for ((i = 0; i < 100; i++)); do
	value=$(echo "${list[i]}" | { read -r line; echo "got $line"; })
	[ "$((i % 10))" != 0 ] || echo "$value"
done
for ((i = 0; i < 30; i++)); do
	(sum=0; for ((k = 0; k < 100; k++)); do sum=$((sum + k * i)); done; exit $((sum % 200))) &
	pids[i]=$!
done
for ((i = 0; i < 30; i++)); do
	wait "${pids[i]}"
	statuses+=" $?"
done
echo "$statuses"
seq 1000 | while read -r n; do [ $((n % 100)) != 0 ] || echo "$n"; done | tr '\n' ' ' | rev
paste <(seq 5) <(seq 6 10) <(printf '%s\n' {a..e})
coproc back { while read -r l; do echo "<$l>"; done; }
for word in a b c; do
	echo "$word" >&"${back[1]}"
	read -r answer <&"${back[0]}"
	echo "$answer"
done
exec {back[1]}>&-
wait
sleep 100 &
kill -TERM $!
wait $!
echo "killed: $?"
trap 'echo caught' USR1
kill -USR1 $$
mapfile -t lines < <(seq 20000)
echo "${#lines[@]} ${lines[@]: -3}"
cat <<-END | md5sum
	${text}${text}
	$(printf '%5000s' x)
END
printf -v padded '%100000s' end
echo "${#padded}"
[[ $text =~ (k[0-9]+),(k[0-9]+) ]] && echo "${BASH_REMATCH[@]}"
eval "$(for i in {1..300}; do echo "f$i() { echo f$i; }"; done)"
f17; f300
ls /no/such/file
env -i /bin/sh -c 'echo "nested: $LD_PRELOAD"'
exit 42
SCRIPT

compare bash bash "$work/script"
[ "$(cat "$work/bash/glibc/status")" = 42 ] || fail "the script did not run to its end"
! command -v dash >/dev/null || compare dash dash -c '
	i=0
	while [ $i -lt 300 ]; do i=$((i + 1)); x=$(echo $i $x | cut -c1-500); done; echo "$x"
	for i in 1 2 3 4 5 6 7 8; do (sleep 0.0$i; exit $i) & done; wait; echo $?'
