#!/bin/bash
# hz3-report: a page that stands by itself, of a real run, of one with everything in it, of snapshots, and of what is no run.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../programs/common.sh"
python3 -c 'import argparse, html, json' 2>/dev/null || skip "there is no Python 3 with its standard library"

report=(python3 "$HZ3_BUILDDIR/tools/hz3-report")
cd "$work"

# Every tag closed, nothing fetched, no script, all in ASCII; prints the titles of the sections and the numbers of plots.
cat >check.py <<'PYTHON'
import html.parser, sys

VOID = {"meta", "link", "br", "hr", "img", "input", "col"}

class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.titles, self.count, self.words = [], [], {}, []

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        assert tag not in ("script", "link", "img", "iframe", "object"), tag
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name in ("href", "src", "xlink:href"):
                assert value.startswith("#"), (tag, value)
            if "style" in name or "viewbox" in name:
                assert "nan" not in value and "inf" not in value, value
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        for name, value in attrs:
            if name in ("x", "y", "width", "height", "x1", "x2", "y1", "y2"):
                assert float(value) >= (0 if name in ("width", "height") else -1), (tag, name, value)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.titles.append(data)
        self.words.append(data)

text = open(sys.argv[1], "rb").read().decode("ascii")
page = Page()
page.feed(text)
page.close()
assert not page.open, page.open
assert "prefers-color-scheme: dark" in text and "width=device-width" in text
assert "url(" not in text and "@import" not in text
print("; ".join(page.titles), "|", page.count.get("figure", 0), "figures")
for word in sys.argv[2:]:
    assert word in " ".join(page.words), word
PYTHON

# shows FILE WORD...: makes the page of run.json and looks at it
shows() {
	local out
	out=$("${report[@]}" -o page.html run.json) || fail "$1: status $?"
	[ "$out" = page.html ] || fail "$1: says $out"
	python3 check.py page.html "${@:2}" || fail "$1: the page is not as it should be"
}

expect_error() {
	local pattern=$1 status=0
	shift
	"${report[@]}" "$@" >out 2>err || status=$?
	[ $status = 2 ] && [ "$(wc -l <err)" = 1 ] && [[ $(cat err) == hz3-report:\ $pattern ]] || fail "$*: status $status, $(cat err)"
	cat err
}

# ---- A real run ----

"$HZ3_BUILDDIR/tools/hz3run" -q --stats=json:run.json -- "$HZ3_BUILDDIR/bench/fanin" -t 0.2 -i 0 >/dev/null
cp run.json real.json
if grep -q '^#define HZ3_STATS 0' "$HZ3_BUILDDIR/config.h"; then
	shows real resident
else
	shows real resident "freed by another thread" "blocks a chain" "Blocks by size" "Why buffers were flushed"
fi
"${report[@]}" real.json >out && [ "$(cat out)" = real.html ] && [ -s real.html ] || fail "without -o it is not beside the file"

# ---- Snapshots of a server, each when the signal comes ----

start_server "$work/log" "$HZ3_BUILDDIR/tools/hz3run" --stats=json:now.json -c stats_signal:USR2 -- sleep 60
wait_until 60 grep -qsF -- "$(readlink -f "$HZ3_LIB")" "/proc/$server/maps" || fail "hz3 was not loaded"
: >run.json
for _ in 1 2 3; do
	# Nobody knows when hz3 has begun to listen; before that the signal is fatal, as ever.
	wait_until 60 grep -qsE '^SigCgt:.*[89a-f]..$' "/proc/$server/status" || fail "nobody listens to the signal"
	kill -USR2 "$server"
	wait_until 60 test -s now.json || fail "the signal brings no statistics"
	cat now.json >>run.json
	rm now.json
done
kill "$server"
shows signals "Over time" "seconds since the first snapshot"

# ---- One with everything, and with names that must not become HTML ----

cat >make.py <<'PYTHON'
import json, sys

def run(moment, scale):
    names = ["<script>alert(1)</script>", "worker-*", "a'\"b&c", "reader"]
    flows = [{"owner": a, "freer": b, "owner_heap": i + 1, "freer_heap": k + 1, "remote": a != b, "size_from": 1, "size_to": 64,
              "blocks": (i + 1) * 10 ** k * scale, "bytes": 64 * (i + 1) * 10 ** k, "chains": 3 * (a != b)}
             for i, a in enumerate(names) for k, b in enumerate(names) if i != 3]
    return {
        "hz3_stats_version": 1, "pid": 7, "time_ms": 1764000000000 + moment, "resident": 10 ** 7 * scale, "active": 5 * 10 ** 6, "dirty": 0,
        "blocks_allocated": 1000 * scale, "blocks_freed": 900 * scale, "flows": flows, "flows_by_name": flows,
        "remote": {"blocks": 500 * scale, "chains": 50, "blocks_per_chain": 10.0, "sink": "page", "batch": True,
                   "flush_causes": {"budget": 3, "exit": 1}, "sinks": {"page": {"blocks": 500}}},
        "memory": {"requested": 4 * 10 ** 6, "rounding": 10 ** 5, "dirty": 3 * 10 ** 6, "untouched": 10 ** 6, "other": 10 ** 6,
                   "unaccounted": -17, "resident": 7099983, "something_new": 5},
        "free_to_reusable": {"samples": 3, "sum_us": 3000, "buckets": [{"up_to_us": 4, "samples": 1}, {"samples": 2}]},
        "waiting_for": [{"owner": "worker-1", "owner_heap": 3, "bytes": 123456, "age_ms": 77}],
        "classes": [{"size": 16, "allocated": 5, "freed_local": 1, "freed_remote": 2, "live": 2, "pages": 1,
                     "page_bytes": 65536, "page_blocks": 4096}, {"size": "odd"}],
        "advice": [{"rule": "short_chains", "text": "be <b>bold</b>"}],
    }

for i in range(int(sys.argv[1])):
    print(json.dumps(run(i * 500, i + 1), indent=2))
PYTHON
python3 make.py 1 >run.json
shows everything "What to do" "Who frees whose memory" "Resident memory, part by part" "From free to reusable" \
	"something_new" "<script>alert(1)</script>" "be <b>bold</b>" "worker-1 #3" "-17 B"
python3 make.py 500 >run.json
shows snapshots "Over time" "seconds since the first snapshot" "Blocks, a second"
[ "$(wc -c <page.html)" -lt 45000 ] || fail "500 snapshots make $(wc -c <page.html) bytes"

# ---- What other versions and accidents leave ----

for content in '{"hz3_stats_version": 1}' \
	'{"hz3_stats_version": 1, "memory": 5, "flows": {}, "remote": [], "classes": [1, null], "advice": [{}], "pid": []}' \
	'{"hz3_stats_version": 1, "memory": {"resident": 0}, "free_to_reusable": {"buckets": [{}]}, "options": []}' \
	'{"hz3_stats_version": 1, "flows_by_name": [{}], "waiting_for": [{}], "classes": [{"allocated": 1}]}'; do
	echo "$content" >run.json
	shows "$content"
done
cp real.json run.json
sed 's/"pid": [0-9]*/"pid": 1/' real.json >second.json
"${report[@]}" -o page.html --title 'T & <b>' run.json second.json >/dev/null && python3 check.py page.html "T & <b>" "process 1" ||
	fail "two processes"

expect_error 'cannot read nowhere.json: *' nowhere.json
echo '{"hz3_stats_version": 1' >run.json
expect_error 'run.json is not what hz3 writes: *' run.json
echo '[1]' >run.json
expect_error 'run.json has no hz3_stats_version*' run.json
echo '{"hz3_stats_version": 99}' >run.json
expect_error 'run.json is of a newer hz3*' run.json
: >run.json
expect_error 'run.json is empty' run.json
cp real.json run.json
expect_error 'cannot write *' -o /nowhere/page.html run.json
expect_error 'run.json would be overwritten' -o run.json run.json
