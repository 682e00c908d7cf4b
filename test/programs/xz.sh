#!/bin/bash
# xz with two threads: the same bytes compressed, and the original back.

# Scripts in single quotes are for another shell.
# shellcheck disable=SC2016
# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need xz awk

awk 'BEGIN { for (i = 0; i < 200000; i++) print i * 7919 % 65537, "text of line", i, i % 1000 * i }' >"$work/data"

compare compress xz -2 -T2 --block-size=1MiB -c "$work/data"
expect_success compress
mv "$work/compress/glibc/out" "$work/data.xz"
compare decompress xz -dc -T2 "$work/data.xz"
cmp "$work/decompress/glibc/out" "$work/data" || fail "the data changed"
compare test-and-list sh -c 'xz -tv -T2 "$1" 2>/dev/null && xz --robot -l "$1"' sh "$work/data.xz"
head -c 100000 "$work/data.xz" >"$work/cut.xz"
compare truncated xz -dc -T2 "$work/cut.xz"
