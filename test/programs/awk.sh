#!/bin/bash
# awk, sed, grep and others of a shell script's tools.

# Scripts in single quotes are for another shell.
# shellcheck disable=SC2016
# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need awk sed grep tr cut join paste uniq od find xargs
sinks=default

compare awk awk 'BEGIN {
	seed = 1
	for (i = 0; i < 60000; i++) {
		seed = (seed * 16807) % 2147483647
		word = substr("abcdefghijklmnopqrstuvwxyz", seed % 20 + 1, seed % 7 + 1) seed % 9000
		count[word]++
		text = text (i % 100 == 0 ? word " " : "")
		if (seed % 5 == 0)
			delete count[word]
		if (i % 300 == 0)
			print i, word, count[word] + 0, toupper(word)
	}
	n = split(text, part, / /)
	gsub(/[aeiou]/, "<&>", text)
	print n, length(text), substr(text, 1, 100)
	for (i = 0; i < 100000; i++)
		long = long "z"
	print length(long)
	for (i = 0; i < 60; i++)
		print sprintf("%*d|%s", i, i * i, substr(text, i * 5, 70))
}'
expect_success awk
awk 'BEGIN { for (i = 0; i < 30000; i++) print i % 7919, "line " i, i * i % 1009 }' >"$work/data"

compare tools bash -c '
	sed -E "s/([0-9]+) line ([0-9]+)/\2:\1/; /99/d; y/abc/xyz/" "$1" | tail -n 100
	grep -nE "(1|2)3+ line [0-9]*7" "$1" | tail -n 100
	grep -c -F -f <(cut -d" " -f1 "$1" | tail -n 300) "$1"
	tr " " "\n" <"$1" | sort | uniq -c | sort -k1nr -k2 | head -n 50
	join <(sort -k1,1 "$1" | head -n 3000) <(cut -d" " -f1,4 "$1" | sort -u -k1,1) | tail -n 50
	paste -d, "$1" "$1" | tail -n 20
	od -An -tx1 "$1" | tail -n 20
	tac "$1" | head -n 20
	seq 2000 | xargs -n 100 -P 2 echo | sort
	find "$2" -name "*.c" -printf "%f %s\n" | sort
	nl -ba "$1" | expand | fmt -w 60 | head -n 50
	expr 1 + 2; factor 123456789; numfmt --to=iec 123456789
	date -d @1700000000; printf "%s\n" "$1" | wc -l; md5sum <"$1"; diff <(head -n 50 "$1") <(head -n 60 "$1")
	' bash "$work/data" "$HZ3_SRCDIR/src"
