#!/bin/bash
# php, whose extensions are opened with RTLD_DEEPBIND: strings, arrays, regular expressions, with its own allocator and with malloc alone.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need php
sinks=default

cat >"$work/program.php" <<'PHP'
<?php
mt_srand(7);
$words = [];
for ($i = 0; $i < 150000; $i++) {
	$words[$i % 5000] = str_repeat(chr(97 + mt_rand(0, 25)), mt_rand(0, 700)) . $i;
}
sort($words);
echo count($words), " ", md5(implode(",", $words)), "\n";
preg_match_all('/([a-z])\1{3,}(\d+)/', implode(" ", $words), $found);
echo count($found[0]), " ", array_sum($found[2]), "\n";
$tree = [];
foreach ($words as $w) {
	$tree[$w[0]][strlen($w)][] = ["text" => $w, "sum" => crc32($w)];
}
ksort($tree);
echo strlen(json_encode($tree)), " ", md5(serialize($tree)), "\n";
function letters($n) { for ($i = 0; $i < $n; $i++) yield str_pad(dechex($i * 2654435761 % 4294967296), 8, "0"); }
$h = hash_init("sha256");
foreach (letters(50000) as $l) hash_update($h, $l);
echo hash_final($h), "\n";
echo (new DateTime("2026-01-31"))->modify("+1 month")->format("c"), "\n";
echo "the end\n";
PHP

compare php php "$work/program.php"
expect_success php
grep -q '^the end' "$work/php/glibc/out" || fail "the script did not run to its end"
compare malloc env USE_ZEND_ALLOC=0 php "$work/program.php"
