"""The page's tables: every figure that the results have."""

from lab import figures, page
from lab.report_data import cpu, rmw_push
from lab.report_text import group_title


def instructions(counted, palette):
    """Instructions per pair: a row for each allocator, a column for each pattern."""
    rows = [(page.name(n, palette), [_instruction(counted.of(p, n)) for p in counted.patterns])
            for n in counted.allocators]
    heads = ["allocator"] + ["<span title='%s'>%s</span>" % (page.escape(t), page.escape(p))
                    for p, t in counted.patterns.items()]
    if not rows or not counted.patterns:
        return ""
    titles = ["<code>%s</code>: %s" % (page.escape(p), page.escape(t)) for p, t in counted.patterns.items() if t != p]
    titles += ["<span class='bad'>not counted</span>: %s, %s: %s" % tuple(map(page.escape, (n, p, detail)))
               for (p, n), (value, detail) in counted.found.items() if value is None and detail]
    return "<div>%s%s</div>" % (page.table(heads, rows, "Instructions per pair of malloc and free"), page.items(titles))


def _instruction(found):
    """A cell of the table."""
    if found is None:
        return page.cell("-")
    value = found[0]
    return page.cell("%.1f" % value) if value is not None else page.cell("not counted", "bad")


def remote_frees(results, palette):
    """hz3's statistics of remote frees, a table for all workloads and configurations that have any."""
    rows = []
    for variant in results.variants.values():
        for name in results.allocators:
            cell = results.cell(variant.name, name)
            if cell is None or cell.median(figures.blocks_per_chain) is None:
                continue
            medians = [page.digits(cell.median(f), 4)
                       for f in (figures.blocks_per_chain, figures.blocks_per_page_drain)]
            medians += [page.decimals(cell.median(f), 5) for f in (figures.rmw_per_block, rmw_push)]
            medians.append(page.percent(cell.median(figures.handed_over_percent)))
            rows.append(("<code>%s</code>" % page.escape(variant.name),
                         [page.cell(page.name(name, palette), "text")] + [page.cell(m) for m in medians]))
    return "<details><summary>The same in numbers</summary>%s</details>" % page.table(
        ["workload", "allocator", "blocks a chain", "blocks per page drain", "RMW per block", "of these by push",
         "handed over, %"], rows, "Medians. RMW: atomic read-modify-writes of push and drain. Handed over: freed as "
                                  "whole pages, without a message", ("allocator",)) if rows else ""


def glance(results, palette):
    """Ratios to the reference of all workloads and allocators, a table for each group."""
    made = []
    for group in results.groups():
        rows = [("<code>%s</code>" % page.escape(v.name), [_glance(results, v, n) for n in results.allocators])
                for v in results.of_group(group)]
        heads = ["workload"] + [page.name(n, palette) for n in results.allocators]
        made.append(page.table(heads, rows, "%s: speed to %s (=: tie)" % (group_title(group), results.reference)))
    return "\n".join(made)


def _glance(results, variant, name):
    """A ratio, and a word for what went wrong."""
    cell = results.cell(variant.name, name)
    if cell is None:
        return page.cell("-")
    parts = []
    ratio = results.speed_ratio(variant, name)
    if ratio is not None and name == results.reference:
        parts.append("1.00")
    elif ratio is not None:
        tie = " =" if ratio.verdict == "tie" else ""
        parts.append("<span class='%s'>%s%s</span>" % (ratio.verdict, page.ratio(ratio.median), tie))
    elif cell.ok:
        parts.append("<span class='dim'>ran</span>")
    if cell.complaint:
        parts.append("<span class='%s'>%s</span>" % ("bad" if cell.bad else "dim", page.escape(cell.complaint)))
    return page.cell("<br>".join(parts) or "-")


def workloads(results, palette):
    """Everything, workload by workload; those with something wrong are unfolded."""
    made = []
    for group in results.groups():
        made.append("<h3>%s</h3>" % page.escape(group_title(group)))
        made += [_workload(results, v, palette) for v in results.of_group(group)]
    return "\n".join(made)


def _workload(results, variant, palette):
    """One workload's table, folded, with its best in the line that stays."""
    cells = {n: results.cell(variant.name, n) for n in results.allocators}
    cells = {n: c for n, c in cells.items() if c is not None}
    best = results.fastest(variant, cells)
    first = ("fastest: %s" % page.escape(best)) if best else "<span class='bad'>no run ended well</span>"
    broken = any(c.bad for c in cells.values())
    command = " ".join([variant.workload] + variant.args).strip()
    return ("<details id='w-%s'%s><summary><code>%s</code> %s <span class='dim'>(%s)</span></summary>%s%s</details>"
            % (page.slug(variant.name), " open" if broken else "", page.escape(variant.name),
               page.escape(variant.title), first,
               page.paragraph("<code>bench/%s</code>" % page.escape(command), "dim") if command else "",
               _table(results, variant, cells, palette)))


def _table(results, variant, cells, palette):
    """The table of a workload; columns that nobody has are left out."""
    unit = "seconds" if variant.seconds else "M ops/s"
    columns = [
        ("median, %s" % unit, lambda n, c: _measure(variant, c.median(lambda run: figures.speed(run, variant)))),
        ("lowest", lambda n, c: _measure(variant, min(c.measures(), default=None))),
        ("highest", lambda n, c: _measure(variant, max(c.measures(), default=None))),
        ("speed to %s" % page.escape(results.reference), lambda n, c: _ratio(results, variant, n)),
        ("verdict", lambda n, c: _verdict(results, variant, n)),
        ("CPU, s" if variant.seconds else "CPU, s per M ops", lambda n, c: page.digits(c.median(cpu(variant)))),
        ("peak RSS, MiB", lambda n, c: page.mebibytes(c.median("rss_peak_kib"))),
        ("RSS at the end, MiB", lambda n, c: page.mebibytes(c.median("rss_end_kib"))),
        ("idle RSS, MiB", lambda n, c: page.mebibytes(c.median("rss_idle_kib"))),
        ("harness, MiB", lambda n, c: page.mebibytes(c.median("harness_kib"))),
        ("remote, %", lambda n, c: page.percent(c.median("remote_percent"))),
        ("p99.99, µs", lambda n, c: _microseconds(c)),
        ("status", lambda n, c: _status(c)),
    ]
    columns = [(h, [f(n, c) for n, c in cells.items()]) for h, f in columns]
    columns = [(h, values) for h, values in columns if any(v not in ("-", "") for v in values)]
    rows = [(page.name(n, palette), [page.cell(values[i], "wide" if h == "status" else "") for h, values in columns])
            for i, n in enumerate(cells)]
    return page.table(["allocator"] + [h for h, _ in columns], rows, variant.title, ("status",))


def _measure(variant, value):
    return page.digits(value) if variant.seconds else page.rate(value)


def _ratio(results, variant, name):
    """The median ratio and its spread."""
    ratio = results.speed_ratio(variant, name)
    if ratio is None or name == results.reference:
        return "-" if ratio is None else "1.00"
    return "%s (%s–%s)" % tuple(map(page.ratio, (ratio.median, ratio.low, ratio.high)))


def _verdict(results, variant, name):
    """tie, faster or slower."""
    ratio = results.speed_ratio(variant, name)
    if ratio is None:
        return ""
    if name == results.reference:
        return "<span class='dim'>reference</span>"
    return "<span class='%s'>%s</span>" % (ratio.verdict, ratio.verdict)


def _microseconds(cell):
    value = cell.median("latency_p9999_ns")
    return "-" if value is None else page.digits(value / 1000)


def _status(cell):
    """A word for every cell, a loud one where something is wrong."""
    if not cell.complaint:
        return "ok"
    detail = " <span class='dim'>%s</span>" % page.escape(cell.detail) if cell.detail else ""
    return "<span class='%s'>%s</span>%s" % ("bad" if cell.bad else "dim", page.escape(cell.complaint), detail)
