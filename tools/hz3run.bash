# shellcheck shell=bash
#
# bash completion for hz3run, hz3top, hz3-config and hz3-report.  The settings and their values come from hz3run --settings, and so
# from the library's own table; what follows the program's name is completed as for that program.

# Candidates that begin with a word, into COMPREPLY.
_hz3_offer() {
	local word=$1 candidate
	shift
	COMPREPLY=()
	for candidate; do
		[[ $candidate != "$word"* ]] || COMPREPLY+=("$candidate")
	done
}

_hz3_files() {
	mapfile -t COMPREPLY < <(compgen -f -- "$1")
	compopt -o filenames 2>/dev/null
}

# hz3run --settings, by the hz3run of the command line.
_hz3_settings() {
	"$1" --settings 2>/dev/null
}

# KEY: or KEY:VALUE, of which bash has split off what is before the last colon if COMP_WORDBREAKS has it.
_hz3_setting() {
	local hz3run=$1 text=$2 split=$3 key name type form values
	if [[ $text != *:* ]]; then
		local keys=()
		while IFS=$'\t' read -r name _; do
			keys+=("$name:")
		done < <(_hz3_settings "$hz3run")
		_hz3_offer "$text" "${keys[@]}"
		compopt -o nospace 2>/dev/null
		return
	fi
	key=${text%%:*}
	while IFS=$'\t' read -r name type _; do
		[ "$name" = "$key" ] || continue
		case $type in
		bool) values=(true false) ;;
		sink) values=(central page auto) ;;
		thp) values=(default always never) ;;
		signal) values=(none HUP QUIT USR1 USR2 ALRM PROF URG WINCH IO PWR) ;;
		path)
			_hz3_files "${text#*:}"
			return
			;;
		*) values=() ;;
		esac
		[ "$split" = yes ] || values=("${values[@]/#/$key:}")
		_hz3_offer "$([ "$split" = yes ] && echo "${text#*:}" || echo "$text")" "${values[@]}"
	done < <(_hz3_settings "$hz3run")
}

# The words of the line with "=" and ":" put back together, up to the cursor: a value after "=" is one word to us.
_hz3_words() {
	local line=${COMP_LINE:0:COMP_POINT} word
	_hz3_word=()
	while read -r word; do
		_hz3_word+=("$word")
	done < <(xargs -n 1 printf '%s\n' <<<"$line" 2>/dev/null || tr ' ' '\n' <<<"$line")
	[[ $line != *[[:space:]] ]] || _hz3_word+=("")
}

_hz3run() {
	local _hz3_word i last text previous split
	_hz3_words
	last=$((${#_hz3_word[@]} - 1))

	# Where the program's name is, if it is there already.
	for ((i = 1; i < last; i++)); do
		case ${_hz3_word[i]} in
		-s | -c | --sink | --conf | --library) i=$((i + 1)) ;;
		--)
			i=$((i + 1))
			break
			;;
		-*) ;;
		*) break ;;
		esac
	done
	if ((i < last)); then
		if declare -F _command_offset >/dev/null; then
			# Counted in bash's words, which are as many up to a program that has none of its separators.
			local offset
			for ((offset = 1; offset < COMP_CWORD; offset++)); do
				[[ ${COMP_WORDS[offset]} != "${_hz3_word[i]}" ]] || break
			done
			_command_offset "$offset"
		else
			_hz3_files "${_hz3_word[last]}"
		fi
		return
	fi

	text=${_hz3_word[last]}
	previous=${_hz3_word[last - 1]}
	split=no
	[[ $COMP_WORDBREAKS != *:* ]] || split=yes
	case $previous in
	-s | --sink) _hz3_offer "$text" central page auto && return ;;
	-c | --conf) _hz3_setting "$1" "$text" $split && return ;;
	--library) _hz3_files "$text" && return ;;
	esac
	case $text in
	--sink=*) _hz3_offer "${text#*=}" central page auto ;;
	--stats=json:*) _hz3_files "${text#*:}" ;;
	--stats=*) _hz3_offer "${text#*=}" text json json: ;;
	--conf=*) _hz3_setting "$1" "${text#*=}" $split ;;
	--library=*) _hz3_files "${text#*=}" ;;
	-*)
		_hz3_offer "$text" --sink= --stats --stats= --top --conf= --verify --quiet --print --library= --settings --help --version --
		[[ ${COMPREPLY[*]} != *= ]] || compopt -o nospace 2>/dev/null
		;;
	*)
		mapfile -t COMPREPLY < <(compgen -c -- "$text" | sort -u)
		[[ $text != */* ]] || _hz3_files "$text"
		;;
	esac
}

_hz3_config() {
	_hz3_offer "$2" --prefix --bindir --libdir --includedir --mandir --docdir --version --config --cc --malloc-prefix --cflags \
		--cppflags --cxxflags --libs --ldflags --static --root= --help
}

_hz3_report() {
	case $2 in
	-*) _hz3_offer "$2" -o --output --title --help --version ;;
	*) _hz3_files "$2" ;;
	esac
}

# The processes that publish: their numbers and names.
_hz3top_processes() {
	mapfile -t COMPREPLY < <("$1" 2>/dev/null | awk '
		NR > 1 { print $1; if ($3 !~ /[^-a-zA-Z0-9_.]/) print $3 }' | sort -u | awk -v word="$2" 'index($0, word) == 1')
}

_hz3top() {
	local columns="name alloc free in out waiting held kept bytes tid" _hz3_word last
	_hz3_words
	last=$((${#_hz3_word[@]} - 1))
	# shellcheck disable=SC2086
	case ${_hz3_word[last - 1]} in
	-s | --sort) _hz3_offer "${_hz3_word[last]}" $columns && return ;;
	-p | --pid) _hz3top_processes "$1" "${_hz3_word[last]}" && return ;;
	-d | --delay | -n | --count) return ;;
	esac
	# shellcheck disable=SC2086
	case ${_hz3_word[last]} in
	--sort=*) _hz3_offer "${_hz3_word[last]#*=}" $columns ;;
	--pid=*) _hz3top_processes "$1" "${_hz3_word[last]#*=}" ;;
	--delay=* | --count=*) ;;
	-*)
		_hz3_offer "${_hz3_word[last]}" --delay= --count= --once --batch --json --sort= --pid= --help --version
		[[ ${COMPREPLY[*]} != *= ]] || compopt -o nospace 2>/dev/null
		;;
	*) _hz3top_processes "$1" "${_hz3_word[last]}" ;;
	esac
}

complete -F _hz3run hz3run
complete -F _hz3top hz3top
complete -F _hz3_config hz3-config
complete -F _hz3_report hz3-report
