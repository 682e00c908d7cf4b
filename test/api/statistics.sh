#!/bin/bash
# What the statistics say of a program whose flows are known, examples/c/logger.c: names, counts, advice where there is something to do
# and none where not; and that JSON and metrics are what they should be, by a schema and a lint which must refuse what is not.

set -u
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
tests=$HZ3_SRCDIR/test/api
schema=$HZ3_SRCDIR/doc/stats.schema.json
failed=0

fail() {
	echo "FAIL: $1"
	failed=1
}

command -v python3 >/dev/null || {
	echo "SKIP: no python3"
	exit 77
}

$CC -O2 -pthread -o "$dir/logger" "$HZ3_SRCDIR/examples/c/logger.c" || exit 1

run() { # NAME ARGUMENT...
	local name=$1
	shift
	HZ3_CONF=stats_file:$dir/$name.json,stats_print:true,metrics_file:$dir/$name.prom LD_PRELOAD=$HZ3_LIB \
		"$dir/logger" "$@" 2>"$dir/$name.text" || fail "$name: status $?"
	python3 "$tests/stats_schema.py" "$schema" "$dir/$name.json" || fail "$name.json does not fit the schema"
	python3 "$tests/metrics_lint.py" "$dir/$name.prom" || fail "$name.prom is not what it should be"
	if command -v promtool >/dev/null; then
		promtool check metrics <"$dir/$name.prom" || fail "promtool has something against $name.prom"
	fi
}

run sorted
run in-order in-order

# A file that can't be written in full does not take the place of the one before.
echo complete >"$dir/kept.prom"
(
	trap '' XFSZ
	ulimit -f 1
	HZ3_CONF=metrics_file:$dir/kept.prom LD_PRELOAD=$HZ3_LIB "$dir/logger" >/dev/null 2>&1
)
[ "$(cat "$dir/kept.prom")" = complete ] || fail "half a file took the place of a whole one"
[ -z "$(find "$dir" -name 'kept.prom.*')" ] || fail "half a file is left"
command -v promtool >/dev/null || echo "(no promtool: by the lint alone)"
HZ3_CONF=stats_file:$dir/small.json LD_PRELOAD=$HZ3_LIB /bin/true
python3 "$tests/stats_schema.py" "$schema" "$dir/small.json" || fail "the JSON of a small program does not fit the schema"

grep -q '^#define HZ3_STATS 0' "$HZ3_BUILDDIR/config.h" && {
	echo "(without statistics there are no flows)"
	exit $failed
}

# Who frees whose, to the block.
python3 - "$dir" <<'PYTHON' || fail "the flows are not those of the program"
import json, sys
for name, advised in (("sorted", True), ("in-order", False)):
    d = json.load(open(f"{sys.argv[1]}/{name}.json"))
    flows = {(f["owner"], f["freer"], f["size_to"]): f for f in d["flows_by_name"] if f["remote"]}
    logger = flows[("worker-*", "logger", 128)]
    worker = flows[("reader-*", "worker-*", 256)]
    assert logger["blocks"] == 400000 and worker["blocks"] == 400000, (name, flows)
    assert logger["bytes"] == 400000 * 112 and worker["bytes"] == 400000 * 224, (name, flows)
    assert set(flows) == {("worker-*", "logger", 128), ("reader-*", "worker-*", 256)}, (name, set(flows))
    chain = logger["blocks"] / logger["chains"]
    rules = [a["text"] for a in d["advice"] if a["rule"] == "short_chains"]
    print(f"{name}: {chain:.1f} blocks a chain from logger, advice: {rules}")
    if advised:
        assert chain < 4 and len(rules) == 1, (chain, d["advice"])
        assert rules[0].startswith("`logger` frees 100 % of the 65..128 byte blocks of `worker-*`; mean chain "), rules
    else:
        assert chain > 50 and not rules, (chain, d["advice"])
PYTHON
grep -q '^ *400,000 *100 .* 65..128  worker-\* <- logger$' "$dir/sorted.text" || fail "the text does not say it: $(cat "$dir/sorted.text")"
grep -q '^  short_chains: `logger` frees' "$dir/sorted.text" || fail "no advice in the text"
grep -q '^  short_chains' "$dir/in-order.text" && fail "advice where there is nothing to do"
grep -q '^hz3_flow_blocks_total{owner="worker-\*",freer="logger",size_to="128"} 400000$' "$dir/sorted.prom" ||
	fail "no such flow in the metrics"

# What is wrong is refused: by the schema ...
spoil() { # EXPRESSION
	python3 - "$dir" "$1" <<-'PYTHON'
		import json, sys
		d = json.load(open(f"{sys.argv[1]}/sorted.json"))
		exec(sys.argv[2])
		json.dump(d, open(f"{sys.argv[1]}/spoilt.json", "w"))
	PYTHON
	python3 "$tests/stats_schema.py" "$schema" "$dir/spoilt.json" >/dev/null && fail "the schema takes $1"
}
spoil 'd["hz3_stats_version"] = 2'
spoil 'del d["memory"]["dirty"]'
spoil 'd["flows"][0]["blocks"] = -1'
spoil 'd["flows"][0]["owner"] = 7'
spoil 'd["advice"][0]["rule"] = "more_ram"'
spoil 'd["new"] = 1'
spoil 'd["remote"]["batch"] = 1'

# ... and by the lint.
spoil_metrics() { # SED-EXPRESSION
	sed "$1" "$dir/sorted.prom" >"$dir/spoilt.prom"
	cmp -s "$dir/sorted.prom" "$dir/spoilt.prom" && fail "nothing is spoilt by $1"
	python3 "$tests/metrics_lint.py" "$dir/spoilt.prom" >/dev/null && fail "the lint takes $1"
}
spoil_metrics 's/freed_blocks_total/freed_blocks/'
spoil_metrics 's/hz3_live_bytes/hz3_live_kilobytes/'
spoil_metrics '/^# HELP hz3_live_blocks/d'
spoil_metrics 's/^hz3_live_blocks .*/&\n&/'
spoil_metrics 's/\(_bucket{le="+Inf"}\) .*/\1 999999/'
spoil_metrics 's/owner="worker-\*"/owner=worker/'
spoil_metrics 's/^\(hz3_live_blocks\) .*/\1 many/'
spoil_metrics '$s/$/\nhz3_live_blocks{again="1"} 1/'

exit $failed
