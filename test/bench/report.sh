#!/bin/bash
# bench/report makes a page of any results: whole, on its own, with nothing that went wrong hidden; and gives one line,
# and no traceback, for what is no results.

set -u
report=$HZ3_SRCDIR/bench/report
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE

command -v python3 >/dev/null 2>&1 || {
	echo "SKIP: there is no python3"
	exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0

fail() {
	echo "FAIL: $*"
	failed=1
}

# Files of results: full.json has every status, group and figure; the others are what a page must do with less.
python3 - <<'END' || exit 1
import json

NAMES = ["glibc", "jemalloc", "mimalloc", "hz3-page", "hz3-central", "hz3-page-unbatched", "mine <&'\"> ü"]
VARIANTS = [("xmalloc-1", "remote", "xmalloc 64", 1), ("xmalloc-16", "remote", "xmalloc 64", 16),
            ("fanin-8", "remote", None, None), ("local-pairs", "local", None, None),
            ("churn-8", "life", None, None), ("burst", "memory", None, None),
            ("lua", "programs", None, None), ("odd name: 'x' \"y\" <z>", "strange", None, None)]
BAD = {("fanin-8", "jemalloc"): ("crash", "SIGSEGV"), ("churn-8", "mimalloc"): ("timeout", "it did not end in time"),
       ("xmalloc-1", "glibc"): ("wrong", "3 errors"), ("burst", "hz3-central"): ("failed", "exit status 2 <b>"),
       ("lua", "hz3-page-unbatched"): ("unavailable", "no lua")}


def run(v, variant, group, a, name, n):
    status, detail = BAD.get((variant, name), ("ok", ""))
    if status == "wrong" and n > 1:
        status, detail = "ok", ""
    speed = 1e6 * (10 + 7 * a + v) * (1 + n / 100)
    values = {"ops_per_second": speed, "ops": int(speed), "seconds": 1.0 if group != "programs" else 1e7 / speed,
              "cpu_seconds": 1.9, "rss_peak_kib": 10000 + 1000 * a, "rss_end_kib": 9000, "remote_percent": 99.5,
              "version": "1.2.3", "lib": "/lib/lib%d.so" % a}
    if n == 1:
        values["rss_idle_kib"] = 5000 + a
    if variant == "burst":
        values["rss_series_kib"] = "0.0:100,0.1:%d,0.2:300" % (200 * a + 1)
    hz3 = {"blocks": 1000, "chains": 10 * a, "drained_blocks": 900, "page_drains": 9, "rmw_push": 12, "rmw_drain": 3,
           "handover_blocks": 100} if name.startswith("hz3") and group == "remote" else None
    return {"variant": variant, "allocator": name, "round": n, "status": status, "detail": detail,
            "values": values if status == "ok" else {}, "hz3": hz3 if status == "ok" else None}


def write(name, content):
    with open(name, "w") as file:
        json.dump(content, file)


full = {
    "format": "hz3-bench-1", "command": "bench/compare -o 'a' <b>", "date": "2024-11-24T12:00:00+00:00",
    "host": {"cpus": 2, "model": "A CPU", "kernel": "6.1", "memory_kib": 8000000, "system": "Debian"},
    "quick": False, "rounds": 3, "seconds": 1.0, "reference": "mimalloc",
    "allocators": [{"name": n, "lib": "/lib/lib%d.so" % a,
                    "version": "1.2.3", "conf": ""} for a, n in enumerate(NAMES)],
    "variants": [{"name": v, "workload": v.split("-")[0], "args": ["-w", "1"], "group": g, "title": "what %s does" % v,
                  "unit": "s" if g == "programs" else "ops/s", "series": s, "x": x} for v, g, s, x in VARIANTS],
    "runs": [run(v, variant, group, a, name, n) for n in (1, 2, 3) for v, (variant, group, _, _) in enumerate(VARIANTS)
             for a, name in enumerate(NAMES)],
}
write("full.json", full)
write("none.json", dict(full, runs=[dict(r, status="crash", values={}, hz3=None) for r in full["runs"]]))
write("empty.json", {"format": "hz3-bench-1"})
write("peers.json", dict(full, reference="gone",
                         runs=[r for r in full["runs"] if not r["allocator"].startswith("hz3")]))
write("once.json", dict(full, runs=[r for r in full["runs"] if r["round"] == 1]))
write("odd.json", dict(full, host=[], rounds="x", reference=None, runs=full["runs"] + [
    {"variant": "unlisted", "allocator": "unlisted", "round": [], "status": "ok",
     "values": {"ops_per_second": "fast", "rss_peak_kib": True, "seconds": 0, "cpu_seconds": 1e400, "ops": 10**400},
     "hz3": {"blocks": 0, "chains": {}}},
    {"variant": "unlisted", "allocator": "mimalloc", "round": 1, "status": "ok",
     "values": {"ops_per_second": float("nan")}},
    {"variant": "unlisted", "allocator": "glibc", "round": 1, "status": "ok",
     "values": {"ops_per_second": 1e-300, "seconds": 1e29}},
    {}, 7]))
write("lists.json", {"format": "hz3-bench-1", "runs": 7})
write("other.json", {"format": "hz3-bench-0"})
write("list.json", [1, 2])
write("count.json", {
    "format": "hz3-instructions-1", "command": "bench/instructions", "date": "",
    "patterns": [{"name": "local-hot", "title": "hot"}],
    "allocators": [{"name": n, "lib": "", "version": ""} for n in NAMES],
    "results": [{"allocator": n, "pattern": "local-hot", "instructions": 20.5 + a if a else None,
                 "detail": "no valgrind <here>"} for a, n in enumerate(NAMES)]})
END
echo "not JSON" >text.json

# A page is well-formed and stands alone, and has every text that is named.
cat >check.py <<'END'
import sys
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Checker(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.bad, self.text, self.ids, self.uses, self.red = [], [], [], set(), set(), ""

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self.open.append((tag, dict(attributes).get("class") == "bad"))

    def handle_startendtag(self, tag, attributes):
        if tag in ("script", "link", "img", "iframe", "object"):
            self.bad.append("a <%s>" % tag)
        for key, value in attributes:
            if key == "id":
                if value in self.ids:
                    self.bad.append("the id %s twice" % value)
                self.ids.add(value)
            if key in ("href", "src", "xlink:href", "data"):
                self.uses.add(value)
            if key.startswith("on") or "url(" in (value or ""):
                self.bad.append("%s=%s" % (key, value))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop()[0] != tag:
            self.bad.append("</%s> in line %d" % (tag, self.getpos()[0]))

    def handle_data(self, data):
        self.text.append(data)
        if any(bad for _, bad in self.open):
            self.red += data + "\n"


file, texts = sys.argv[1], sys.argv[2:]
checker = Checker()
page = open(file).read()
checker.feed(page)
checker.close()
bad = checker.bad + ["<%s> left open" % tag for tag, _ in checker.open]
bad += ["a reference to %s" % use for use in checker.uses if use[:1] != "#" or use[1:] not in checker.ids]
bad += ["the address in " + page[max(0, i - 20):i + 60] for i in [page.find("://")] if i >= 0]
bad += ["@import" for _ in [0] if "@import" in page]
text = "".join(checker.text)
for wanted in texts:
    if wanted.startswith("red:"):
        if wanted[4:] not in checker.red:
            bad.append("no red " + wanted[4:])
    elif wanted not in text:
        bad.append("no text " + wanted)
bad += ["no " + piece for piece in ("<!DOCTYPE html>", "<html lang='en'>", "<title>", "prefers-color-scheme", "<h1>")
        if piece not in page]
for line in bad[:10]:
    print("  " + line)
sys.exit(bool(bad))
END

# A page of these files, without a word, with these texts.
page() {
	local name=$1 files=$2
	shift 2
	# shellcheck disable=SC2086
	if ! python3 "$report" -o "$name.html" $files >log 2>&1 || [ -s log ]; then
		fail "a page of $files: $(cat log)"
	elif ! python3 check.py "$name.html" "$@" >log; then
		fail "the page of $files has, or lacks:"
		cat log
	else
		echo "ok: the page of $files"
	fi
}

# A failure: exit status 2 and one line, with this in it.
refused() {
	local want=$1 status
	shift
	python3 "$report" "$@" >out 2>log
	status=$?
	if [ "$status" != 2 ] || [ -s out ] || [ "$(wc -l <log)" != 1 ] || ! grep -qF "report: $want" log; then
		fail "report $* gave $status and: $(cat out log)"
	else
		echo "ok: $(cat log)"
	fi
}

everyone=(glibc jemalloc mimalloc hz3-page hz3-central hz3-page-unbatched "mine <&'\"> ü")
everything=(xmalloc-1 xmalloc-16 fanin-8 local-pairs churn-8 burst lua "odd name: 'x' \"y\" <z>")

if command -v gnuplot >/dev/null 2>&1; then
	page full "full.json count.json" "${everyone[@]}" "${everything[@]}" red:crash red:time-out \
		"red:wrong contents (1 of 3)" red:failed "red:not counted" "not available" "SIGSEGV" "exit status 2 <b>" \
		"no valgrind <here>" "A CPU" "bench/compare -o 'a' <b>" \
		"/lib/lib3.so" "On this machine hz3's page sink" "Slower than the best peer" "Blocks per chain" "memory over time"
	[ "$(grep -c "<svg role='img'" full.html)" -ge 10 ] || fail "there are few plots in the page"
	! grep -qE "rgb\(|#0102|gnuplot_" full.html || fail "there are colours or names of gnuplot's in the page"
	page none "none.json count.json" "${everyone[@]}" "${everything[@]}" "red:No run ended well" red:crash
	page empty empty.json "there is nothing to compare"
	page peers peers.json "No configuration of hz3 ended a run" "speed to"
	page once once.json "too few rounds"
	page odd odd.json unlisted "${everything[@]}"
else
	echo "note: there is no gnuplot: pages with plots are not tested"
fi

# Without gnuplot: a warning, and the tables.
mkdir bin
ln -s "$(command -v python3)" bin/python3
python=$(python3 -c 'import sys; print(sys.executable)')
PATH=$work/bin "$python" "$report" -o bare.html full.json count.json 2>log || fail "a page without gnuplot: $(cat log)"
[ "$(cat log)" = "report: gnuplot is not installed; the page has tables only" ] || fail "without gnuplot: $(cat log)"
"$python" check.py bare.html "${everyone[@]}" "${everything[@]}" red:crash || fail "the page without gnuplot"

# The standings: a row for every workload, the first kind of hz3 beside the others, what went wrong in its place.
python3 "$report" --standings full.json >standings.md || fail "--standings: status $?"
for line in "| workload | best peer | hz3-page / best | hz3-central / best |" "| xmalloc-1 | mine" "| burst | mine" \
	" failed |" "Geometric means of speed, hz3-page = 1: "; do
	grep -qF "$line" standings.md || fail "the standings lack '$line': $(cat standings.md)"
done
[ "$(grep -c '^| ' standings.md)" -ge 10 ] || fail "the standings are short"
[ -z "$(awk -F'|' '/^\|/ { print NF }' standings.md | sort -u | sed 1d)" ] || fail "the standings' rows differ in length"

# Without -o the page is beside the results.
python3 "$report" empty.json
[ -s empty.html ] || fail "there is no empty.html"

refused "there is no hz3 in these results" --standings empty.json
refused "cannot read gone.json: No such file or directory" gone.json
refused "cannot read .: Is a directory" -o x.html .
refused "text.json is not JSON" text.json
refused "other.json is not of the format hz3-bench-1 but of hz3-bench-0" other.json
refused "list.json is not of the format hz3-bench-1" list.json
refused "lists.json: 'runs' is not a list" lists.json
refused "full.json is not of the format hz3-instructions-1 but of hz3-bench-1" empty.json full.json
refused "cannot write $work/no/x.html: No such file or directory" -o "$work/no/x.html" empty.json
refused "cannot write /dev/full: No space left on device" -o /dev/full empty.json
[ -z "$(find "$HZ3_SRCDIR/bench/" -name __pycache__ -newer check.py)" ] || fail "byte code was left in the sources"
exit $failed
