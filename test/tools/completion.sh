#!/bin/bash
# The completion for bash: every option of the tools' help, every setting and its values, and nothing of the program's.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../programs/common.sh"

# shellcheck source=tools/hz3run.bash
. "$HZ3_SRCDIR/tools/hz3run.bash"
cd "$work"
touch run.json
PATH=$HZ3_BUILDDIR/tools:$PATH

# What bash would offer behind LINE: complete_line LINE
complete_line() {
	local line=$1 function
	# As readline splits it, into words and the separators between them.
	mapfile -t COMP_WORDS < <(awk '{
		n = length($0); word = ""
		for (i = 1; i <= n; i++) {
			c = substr($0, i, 1)
			if (c == " ") { if (word != "") print word; word = "" }
			else if (c == "=" || c == ":") { if (word != "") print word; print c; word = "" }
			else word = word c
		}
		print word
	}' <<<"$line")
	COMP_LINE=$line
	COMP_POINT=${#line}
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
	COMPREPLY=()
	function=$(complete -p "${COMP_WORDS[0]}" | sed 's/.* -F \([^ ]*\) .*/\1/')
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	case $current in [=:]) current= ;; esac
	"$function" "${COMP_WORDS[0]}" "$current" "$previous" || :
}

# offers LINE WORD...: exactly these
offers() {
	local line=$1
	shift
	complete_line "$line"
	[ "$(printf '%s\n' "${COMPREPLY[@]}" | sort)" = "$(printf '%s\n' "$@" | sort)" ] ||
		fail "\"$line\": ${COMPREPLY[*]:-nothing} instead of $*"
	echo "\"$line\": ${COMPREPLY[*]}"
}

# includes LINE WORD
includes() {
	complete_line "$1"
	printf '%s\n' "${COMPREPLY[@]}" | grep -xF -- "$2" >/dev/null || fail "\"$1\": $2 is not offered, but ${COMPREPLY[*]:0:20}"
}

offers "hz3run --sink=" central page auto
offers "hz3run --sink=p" page
offers "hz3run -s c" central
offers "hz3run --t" --top
offers "hz3top --sort=b" bytes
offers "hz3top -s w" waiting
offers "hz3top --on" --once
offers "hz3run --ve" --verify --version
offers "hz3run --stats=" text json json:
offers "hz3run --stats=json:ru" run.json
offers "hz3run --conf=remote_ba" remote_batch:
offers "hz3run --conf=remote_batch:" true false
offers "hz3run -c sink:a" auto
offers "hz3run -c stats_signal:U" USR1 USR2 URG
offers "hz3run -c narenas:"
offers "hz3run --conf=stats_file:run" run.json
includes "hz3run --sink=page gre" grep
includes "hz3run -c sink:page -- gre" grep
# What comes behind the program is not ours.
offers "hz3run grep --sink"
offers "hz3run -- grep run" run.json

complete_line "hz3run --conf="
[ "$(printf '%s\n' "${COMPREPLY[@]}")" = "$(sed -n 's/^OPTION(\([a-z_]*\),.*/\1:/p' "$HZ3_SRCDIR/src/options.def")" ] ||
	fail "--conf= offers other settings than there are"
for option in $(hz3run --help | grep -oE -- '--[a-z]+' | sort -u); do
	complete_line "hz3run $option"
	[ ${#COMPREPLY[@]} != 0 ] || fail "hz3run $option is not offered"
done
for tool in hz3-config hz3-report hz3top; do
	command -v $tool >/dev/null || continue
	for option in $($tool --help | grep -E '^ +-' | grep -oE -- '--[a-z-]+' | sort -u); do
		includes "$tool $option" "$($tool --help | grep -E -- "$option=" >/dev/null && echo "$option=" || echo "$option")"
	done
done
