#!/bin/bash
# zstd with two threads: the same bytes compressed, and the original back.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need zstd awk

awk 'BEGIN { for (i = 0; i < 300000; i++) print i * 7919 % 65537, "text of line", i, i % 1000 * i }' >"$work/data"

compare fast zstd -q -3 -T2 -c "$work/data"
expect_success fast
compare blocks zstd -q -7 -T2 -B1MiB --long=22 -c "$work/data"
mv "$work/blocks/glibc/out" "$work/data.zst"
compare decompress zstd -q -dc "$work/data.zst"
cmp "$work/decompress/glibc/out" "$work/data" || fail "the data changed"
split -b 40000 -a 3 "$work/data" "$work/sample."
compare dictionary zstd -q -T2 --train --maxdict=20000 -o dictionary "$work"/sample.*
expect_success dictionary
