"""The page of one or more runs: what to do about it, who frees whose memory, where the memory is, how frees travel."""

from lab import page, run_charts as charts
from lab.run_charts import many, size

NAMES_MAX = 16      # rows and columns of a flow matrix; what is beyond is taken together
POINTS_MAX = 200    # of a curve
OTHERS = "(others)"

# The rows of the waterfall: key of "memory", name, colour, sign.
_MEMORY = (
    ("requested", "requested", "blue", 1), ("rounding", "rounding", "sky", 1), ("held", "held", "vermilion", 1),
    ("waiting", "waiting", "orange", 1), ("free_in_pages", "free in pages", "purple", 1), ("kept", "kept", "green", 1),
    ("dirty", "dirty", "yellow", 1), ("metadata", "metadata", "grey", 1), ("other", "other mappings", "grey", 1),
    ("untouched", "untouched", "grid", -1), ("unaccounted", "unaccounted", "bad", 1),
)
_CAUSES = (
    ("budget", "buffer full"), ("slow_path", "slow paths"), ("idle", "idle, purge"), ("exit", "thread end"),
    ("fork", "fork"), ("unbatched", "no batching"),
)
_SINK = (
    ("blocks", "blocks"), ("chains", "chains"), ("blocks_per_chain", "blocks a chain"), ("rmw_push", "RMW to send"),
    ("rmw_push_per_block", "RMW to send a block"), ("cas_retries", "retries"), ("drains", "drains"),
    ("page_drains", "page drains"), ("blocks_per_page_drain", "blocks a page drain"),
    ("rmw_drain_per_block", "RMW to take a block"),
)


def _count_or_ratio(value):
    return "-" if value is None else page.digits(value) if isinstance(value, float) else "{:,}".format(value)


def _remote_share(snap):
    freed, remote = snap.number("blocks_freed"), snap.number("remote", "blocks")
    return None if not freed or remote is None else min(100.0, 100.0 * remote / freed)


# ---- The head ----

def lead(runs):
    """The first words: what the runs did, in numbers."""
    found = []
    for run in runs:
        snap, words = run.last, []
        if snap.number("blocks_allocated") is not None:
            words.append("%s blocks allocated" % many(snap.number("blocks_allocated")))
        share = _remote_share(snap)
        if share is not None:
            words.append("%s %% of what was freed was freed by another thread" % page.percent(share))
        if snap.number("remote", "chains"):
            words.append("%s blocks a chain" % page.digits(snap.number("remote", "blocks_per_chain")))
        if snap.number("resident") is not None:
            words.append("%s resident" % size(snap.number("resident")))
        text = page.escape(", ".join(words) or "nothing was counted")
        found.append(text if len(runs) == 1 else "<strong>%s</strong>: %s" % (page.escape(run.name), text))
    return page.paragraph("%s." % found[0], "verdict") if len(runs) == 1 else page.items(found)


def advice(run):
    """What hz3 itself says."""
    rows = [row for row in run.last.rows("advice") if row.get("text")]
    if run.last.get("advice") is None:
        return ""
    if not rows:
        return page.paragraph("hz3 has no advice: nothing stands out.", "dim")
    return page.items(["%s <span class='dim'>(%s)</span>" % (page.escape(row["text"]), page.escape(row.get("rule", "")))
                       for row in rows])


# ---- Who frees whose memory ----

def _largest(flows):
    """The names to show, most blocks first, and the flows with all others taken together."""
    weight = {}
    for pair, flow in flows.items():
        for name in set(pair):
            weight[name] = weight.get(name, 0) + flow.blocks
    names = sorted(weight, key=lambda n: (-weight[n], n))
    if len(names) <= NAMES_MAX:
        return names, flows
    names = [n for n in names if n != OTHERS][:NAMES_MAX - 1]
    merged = {}
    for pair, flow in flows.items():
        pair = tuple(n if n in names else OTHERS for n in pair)
        merged.setdefault(pair, type(flow)()).add({"blocks": flow.blocks, "bytes": flow.bytes, "chains": flow.chains})
    return names + [OTHERS], merged


def _matrix(snap, key, caption):
    flows = snap.flows(key)
    return charts.heat(*_largest(flows), caption) if flows else ""


def _chain_lengths(snap):
    """A row for each doubling of sizes: how long the chains are."""
    groups = {}
    for row in snap.rows("flows_by_name") or snap.rows("flows"):
        if row.get("remote") and row.get("chains"):
            entry = groups.setdefault((row.get("size_from") or 0, row.get("size_to") or 0), [0, 0])
            entry[0] += row.get("blocks") or 0
            entry[1] += row["chains"]
    rows = [("%s to %s" % (low, high), [page.cell(many(b)), page.cell(many(c)), page.cell(page.digits(b / c))])
            for (low, high), (b, c) in sorted(groups.items())]
    return page.table(("bytes", "blocks", "chains", "blocks a chain"), rows, "Remote frees by size") if rows else ""


def _waiting(snap):
    rows = [(page.escape("%s #%s" % (row.get("owner", "?"), row.get("owner_heap", "?"))),
             [page.cell(size(row.get("bytes"))), page.cell("%s ms" % many(row.get("age_ms") or 0))])
            for row in snap.rows("waiting_for")[:NAMES_MAX]]
    return page.table(("owner", "bytes", "for"), rows, "Freed, and waiting for its owner to take it in") if rows else ""


def flows(run):
    """The heat maps, and what goes with them."""
    snap = run.last
    by_name = _matrix(snap, "flows_by_name", "Blocks by the name of the thread that owns them and of the one that frees them")
    by_heap = _matrix(snap, "flows", "The same, thread by thread (name and number of the heap)")
    if not by_name and not by_heap:
        return []
    how = page.paragraph("A row is a thread whose memory it was, a column a thread that freed it; the stronger the colour, the more blocks. "
                         "On the diagonal (dashed) are threads that free their own, or others of the same name.", "dim")
    more = "<details><summary>Thread by thread</summary>%s</details>" % by_heap if by_name and by_heap else by_heap
    return [charts.HEAT_CSS, how, by_name, more, page.side_by_side([_chain_lengths(snap), _waiting(snap)])]


# ---- Where the memory is ----

def _old_memory(snap):
    """Of versions without "memory": what there is, as a table."""
    keys = ("allocated", "active", "dirty", "mapped", "metadata", "resident", "purged_bytes")
    rows = [(key.replace("_", " "), [page.cell(size(snap.number(key)))]) for key in keys if snap.number(key) is not None]
    return page.table(("", "bytes"), rows, "Memory") if rows else ""


def memory(run):
    """The waterfall, and the totals."""
    snap = run.last
    values = snap.get("memory")
    if not isinstance(values, dict):
        return [_old_memory(snap)]
    rows = [(name, sign * (snap.number("memory", key) or 0), colour) for key, name, colour, sign in _MEMORY
            if snap.number("memory", key)]
    total = ("resident", snap.number("memory", "resident") or 0)
    known = {key for key, *_ in _MEMORY} | {"resident", "untouched_in_pages"}
    caption = ("Each bar begins where the one above ended; together they are what the system counts. "
               "doc/tuning.md says what to do about which.")
    more = ["%s: %s" % (page.escape(k), size(v)) for k, v in values.items() if k not in known and isinstance(v, int)]
    return [page.side_by_side([charts.figure(charts.waterfall(rows, total), "Resident memory, part by part", caption),
                               _old_memory(snap)]), page.items(more)]


# ---- How frees travel ----

def _causes(snap):
    rows = [(name, [snap.number("remote", "flush_causes", key) or 0]) for key, name in _CAUSES]
    if not sum(values[0] for _, values in rows):
        return ""
    return charts.figure(charts.bars("Why buffers were flushed", rows, [("", "blue")], many), "Why buffers were flushed",
                         "A buffer that is emptied because it is full has done its work; many other causes make chains short.")


def _sinks(snap):
    sinks = snap.get("remote", "sinks")
    names = list(sinks) if isinstance(sinks, dict) else []
    rows = [(word, [page.cell(_count_or_ratio(snap.number("remote", key)))]
             + [page.cell(_count_or_ratio(snap.number("remote", "sinks", n, key))) for n in names]) for key, word in _SINK]
    if not snap.number("remote", "blocks"):
        return page.paragraph("There were no remote frees.", "dim") if snap.get("remote") is not None else ""
    return page.table(["", "all"] + [page.escape(n) for n in names], rows,
                      "Sink in force: %s; batching %s" % (snap.get("remote", "sink"), "on" if snap.get("remote", "batch") else "off"))


def travel(run):
    """Sinks, causes, and the time from free to reusable."""
    snap = run.last
    cells = [("%s" % _duration(row.get("up_to_us")), row.get("samples") or 0)
             for row in snap.rows("free_to_reusable", "buckets")]
    histogram = ""
    if sum(value for _, value in cells):
        samples = snap.number("free_to_reusable", "samples") or 1
        mean = (snap.number("free_to_reusable", "sum_us") or 0) / samples
        histogram = charts.figure(charts.columns("From free to reusable", cells, "at most (sampled buffers)"),
                                  "From free to reusable", "The mean of %s samples is %s." % (many(samples), _duration(mean)))
    return [page.side_by_side([_sinks(snap), _causes(snap), histogram])]


def _duration(us):
    if us is None:
        return "more"
    for limit, unit, word in ((1e3, 1, "us"), (1e6, 1e3, "ms")):
        if us < limit:
            return "%s %s" % (page.digits(us / unit, 2), word)
    return "%s s" % page.digits(us / 1e6, 2)


# ---- Size classes ----

def classes(run):
    """Blocks and memory by size."""
    used = [row for row in run.last.rows("classes") if row.get("allocated") or row.get("pages")]
    if not used:
        return []
    used.sort(key=lambda row: row.get("size") or 0)

    def value(row, key):
        return row.get(key) if isinstance(row.get(key), int) else 0

    freed = [(many(value(row, "size")) + " B", [value(row, "freed_local"), value(row, "freed_remote"), value(row, "live")])
             for row in used]
    kinds = [("freed by the owner", "blue"), ("freed by others", "vermilion"), ("live", "green")]
    held = []
    for row in used:
        total = value(row, "pages") * value(row, "page_bytes")
        live = min(value(row, "live") * value(row, "size"), total)
        if total:
            held.append((many(value(row, "size")) + " B", [live, total - live]))
    parts = [charts.figure(charts.bars("Blocks by size", freed, kinds, many), "Blocks by size", "What became of them.", kinds)]
    if held:
        kinds = [("in live blocks", "green"), ("free in pages", "purple")]
        parts.append(charts.figure(charts.bars("Pages by size", held, kinds, size), "Pages by size",
                                   "What of the pages in use is in live blocks.", kinds))
    return [page.side_by_side(parts)]


# ---- Over time ----

def _thinned(values):
    step = max(1, -(-len(values) // POINTS_MAX))
    return values[::step] + ([values[-1]] if (len(values) - 1) % step else [])


def _rates(snapshots, xs, key):
    """Differences of a counter by time, for the moments from the second on."""
    found = [None]
    for (a, x), (b, y) in zip(zip(snapshots, xs), list(zip(snapshots, xs))[1:]):
        low, high = a.number(*key), b.number(*key)
        found.append(None if low is None or high is None or y <= x else max(0, high - low) / (y - x))
    return found


def over_time(run):
    """Curves, if there is more than one snapshot."""
    if len(run.snapshots) < 2:
        return []
    times = run.times()
    snapshots, xs = _thinned(run.snapshots), _thinned(times or list(range(1, len(run.snapshots) + 1)))
    label = "seconds since the first snapshot" if times else "snapshot"

    def curves(keys):
        drawn = [(name, colour, [s.number(*path) for s in snapshots]) for name, colour, path in keys]
        return [c for c in drawn if any(v is not None for v in c[2])]

    memory_curves = curves((("resident", "ink", ("resident",)), ("active", "blue", ("active",)),
                            ("in live blocks", "green", ("allocated",)), ("dirty", "orange", ("dirty",)),
                            ("held", "vermilion", ("remote", "held_bytes"))))
    unit = "a second" if times else "between two"
    rates = [(name, colour, _rates(snapshots, xs, key)) for name, colour, key in (
        ("allocated", "blue", ("blocks_allocated",)), ("freed by others", "vermilion", ("remote", "blocks")))]
    rates = [c for c in rates if any(v is not None for v in c[2])]
    parts = []
    for title, found, show, powers in (("Memory", memory_curves, size, True), ("Blocks, %s" % unit, rates, many, False)):
        if found:
            parts.append(charts.figure(charts.lines(title, xs, found, label, show, powers), title, "",
                                       [(name, colour) for name, colour, _ in found]))
    return [page.side_by_side(parts)]


# ---- The rest ----

def settings(run):
    """What ran, and how."""
    snap = run.last
    facts = [("hz3", snap.get("version")), ("library", snap.get("library")), ("default sink", snap.get("config", "default_sink")),
             ("debug build", "yes" if snap.get("config", "debug") else None), ("file", run.source),
             ("snapshots", len(run.snapshots) if len(run.snapshots) > 1 else None)]
    listed = "<dl>%s</dl>" % "".join("<dt>%s</dt><dd><code>%s</code></dd>" % (page.escape(k), page.escape(v))
                                     for k, v in facts if v)
    options = snap.get("options")
    if isinstance(options, dict):
        text = ",".join("%s:%s" % pair for pair in options.items() if pair[1] != "")
        listed += page.paragraph("<code>HZ3_CONF=%s</code>" % page.escape(text))
    return [listed]


def sections(runs):
    """(title, HTML) of all runs."""
    made = []
    for run in runs:
        of = "" if len(runs) == 1 else ": %s" % run.name
        for title, parts in (("What to do", [advice(run)]), ("Who frees whose memory", flows(run)),
                             ("Where the memory is", memory(run)), ("Over time", over_time(run)),
                             ("How remote frees travel", travel(run)), ("Size classes", classes(run)),
                             ("What ran", settings(run))):
            made.append((title + of, page.section(title + of, parts)))
    return made


def make(runs, title=None):
    """The whole page, in ASCII, readable whatever the locale's encoding is."""
    title = title or "hz3: %s" % (runs[0].name if len(runs) == 1 else "%d processes" % len(runs))
    made = page.document(title, lead(runs), sections(runs))
    return made.encode("ascii", "xmlcharrefreplace").decode("ascii")
