#!/bin/bash
# The protocol models of doc/model pass, and every negative control that a model names is rejected.
#
# A model's head lists its runs: lines of "spin [-DX] -run FILE" with "must pass" or "must fail" behind them.

set -u
models=$HZ3_SRCDIR/doc/model

command -v spin >/dev/null 2>&1 || {
	echo "SKIP: there is no spin"
	exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0

# One run: the file, the verdict that is wanted, and spin's options.
check() {
	local file=$1 want=$2 errors
	shift 2
	# What must fail does so soon: the compiler would take longer.
	[ "$want" = pass ] || set -- "$@" -run -O0
	[ "$want" = fail ] || set -- "$@" -run
	spin "$@" "$models/$file" >log 2>&1
	errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' log)
	case $want:$errors in
	pass:0 | fail:[1-9]*) echo "ok: spin $* $file must $want" ;;
	*)
		echo "FAIL: spin $* $file must $want"
		cat log
		failed=1
		;;
	esac
}

runs=0
while read -r file want option; do
	check "$file" "$want" ${option:+"$option"}
	runs=$((runs + 1))
done < <(sed -nE 's/^ \* +spin (-D[A-Z_]+ )?-run ([a-z]+\.pml) +must (pass|fail).*/\2 \3 \1/p' "$models"/*.pml)
[ "$runs" -ge 32 ] || {
	echo "FAIL: only $runs runs are named in the models"
	failed=1
}
exit $failed
