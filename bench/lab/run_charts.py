"""The plots of a page of one run, as SVG without any program's help; colours are the page's CSS variables.

All are 460 of their own pixels wide and grow with the page, so that they can be read on a phone.
"""

import math

from lab import page

WIDTH = 460
ROW = 28
FONT = 14
LABELS = 146        # pixels for the names of rows
VALUES = 86         # and for the numbers behind them


def _text(x, y, content, anchor="start", size=FONT, colour="currentColor"):
    return ("<text x='%.1f' y='%.1f' text-anchor='%s' font-size='%d' fill='%s'>%s</text>"
            % (x, y, anchor, size, colour, page.escape(content)))


def _rect(x, y, width, height, colour, title):
    return ("<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' fill='var(--%s)'><title>%s</title></rect>"
            % (x, y, max(width, 0.5), height, colour, page.escape(title)))


def _svg(height, title, parts):
    return ("<svg role='img' viewBox='0 0 %d %d'><title>%s</title>%s</svg>"
            % (WIDTH, height, page.escape(title), "".join(parts)))


def size(value):
    """Bytes for people; negative ones too."""
    if value is None:
        return "-"
    sign, value = "-" if value < 0 else "", abs(value)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            return "%s%s %s" % (sign, page.digits(value) if unit != "B" else "%d" % value, unit)
        value /= 1024
    return ""


def many(value):
    """A count for people: exact when small."""
    if value is None:
        return "-"
    if value < 100000:
        return "{:,}".format(int(value))
    for unit, word in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return "%s %s" % (page.digits(value / unit), word)
    return ""


def waterfall(rows, total):
    """Bars that begin where the one before ended; rows are (name, bytes, colour), total is (name, bytes)."""
    level, lowest, highest, spans = 0, 0, max(total[1], 1), []
    for name, value, colour in rows:
        spans.append((name, value, colour, min(level, level + value), max(level, level + value)))
        level += value
        lowest, highest = min(lowest, level), max(highest, level)
    spans.append((total[0], total[1], "ink", 0, total[1]))
    scale = (WIDTH - LABELS - VALUES) / (highest - lowest)
    parts = []
    for i, (name, value, colour, low, high) in enumerate(spans):
        y = i * ROW
        parts.append(_text(LABELS - 6, y + 19, name, "end"))
        parts.append(_rect(LABELS + (low - lowest) * scale, y + 4, (high - low) * scale, ROW - 8, colour,
                           "%s: %s" % (name, size(value))))
        parts.append(_text(WIDTH - VALUES + 6, y + 19, size(value)))
        if i + 1 < len(spans):
            end = LABELS + ((high if value >= 0 else low) - lowest) * scale
            parts.append("<line x1='%.1f' x2='%.1f' y1='%d' y2='%d' stroke='var(--grid)'/>"
                         % (end, end, y + ROW - 4, y + ROW + 4))
    return _svg(len(spans) * ROW + 4, "Where the resident memory is", parts)


def bars(title, rows, parts_of, show):
    """Horizontal stacked bars: rows are (name, [values]), parts_of [(meaning, colour)]."""
    highest = max((sum(values) for _, values in rows), default=0) or 1
    scale = (WIDTH - LABELS - VALUES) / highest
    parts = []
    for i, (name, values) in enumerate(rows):
        y, x = i * ROW, LABELS
        parts.append(_text(LABELS - 6, y + 19, name, "end"))
        for value, (meaning, colour) in zip(values, parts_of):
            if value > 0:
                parts.append(_rect(x, y + 4, value * scale, ROW - 8, colour,
                                   "%s%s: %s" % (name, ", " + meaning if meaning else "", show(value))))
                x += value * scale
        parts.append(_text(WIDTH - VALUES + 6, y + 19, show(sum(values))))
    return _svg(len(rows) * ROW + 4, title, parts)


def columns(title, cells, label):
    """A histogram: cells are (label below, value), drawn as columns side by side."""
    height, top, bottom = 200, 18, 46
    highest = max((value for _, value in cells), default=0) or 1
    step = (WIDTH - 20) / max(len(cells), 1)
    parts = ["<line x1='10' x2='%d' y1='%d' y2='%d' stroke='currentColor'/>" % (WIDTH - 10, height - bottom,
                                                                              height - bottom)]
    for i, (name, value) in enumerate(cells):
        x = 10 + i * step
        tall = (height - top - bottom) * value / highest
        if value > 0:
            parts.append(_rect(x + 2, height - bottom - tall, step - 4, tall, "blue", "%s: %s" % (name, many(value))))
        if value == highest and value > 0:
            parts.append(_text(x + step / 2, height - bottom - tall - 4, many(value), "middle", 12))
        if i % max(1, math.ceil(len(cells) / 8)) == 0:
            parts.append(_text(x + step / 2, height - bottom + 16, name, "middle", 12))
    parts.append(_text(WIDTH / 2, height - 8, label, "middle"))
    return _svg(height, title, parts)


def _nice(highest, powers):
    """A round number at or over the highest, and the distance of lines below it."""
    if highest <= 0:
        return 1, 1
    base = 1024.0 ** int(math.log(highest, 1024)) if powers and highest >= 1 else 1.0
    value = highest / base
    step = 10.0 ** math.floor(math.log10(value / 4))
    for factor in (1, 2, 5, 10):
        if step * factor * 4 >= value:
            step *= factor
            break
    return math.ceil(value / step) * step * base, step * base


def lines(title, xs, curves, label, show, powers=False):
    """Curves over a common axis; curves are (name, colour, values), of which None is a gap."""
    left, right, top, bottom, height = 76, 12, 10, 42, 250
    highest = max((v for _, _, values in curves for v in values if v is not None), default=0)
    ceiling, step = _nice(highest, powers)
    span = (xs[-1] - xs[0]) or 1

    def across(x):
        return left + (x - xs[0]) / span * (WIDTH - left - right)

    def up(y):
        return height - bottom - y / ceiling * (height - top - bottom)

    parts = []
    for i in range(int(round(ceiling / step)) + 1):
        y = up(i * step)
        parts.append("<line x1='%d' x2='%d' y1='%.1f' y2='%.1f' stroke='var(--grid)'/>" % (left, WIDTH - right, y, y))
        parts.append(_text(left - 6, y + 4, show(i * step), "end", 12))
    for i in range(5):
        x = xs[0] + span * i / 4
        parts.append(_text(across(x), height - bottom + 16, page.digits(x) if x else "0",
                           "start" if i == 0 else "end" if i == 4 else "middle", 12))
    parts.append(_text((left + WIDTH - right) / 2, height - 8, label, "middle"))
    for name, colour, values in curves:
        pieces, last = [], None
        for x, y in zip(xs, values):
            if y is not None:
                pieces.append("%s%.1f,%.1f" % ("M" if last is None else "L", across(x), up(y)))
            last = y
        parts.append("<path d='%s' fill='none' stroke='var(--%s)' stroke-width='2'><title>%s</title></path>"
                     % (" ".join(pieces), colour, page.escape(name)))
    return _svg(height, title, parts)


def figure(svg, title, caption, legend=()):
    """A plot with its caption and what its colours mean: (meaning, colour)."""
    marks = page.items(["<span class='who'><span class='mark' style='background:var(--%s)'></span>%s</span>"
                        % (colour, page.escape(meaning)) for meaning, colour in legend], "legend")
    return ("<figure><figcaption><strong>%s</strong>%s</figcaption>%s%s</figure>"
            % (page.escape(title), page.escape(caption), svg, marks))


# ---- The flow matrix ----

HEAT_CSS = """<style>
.heat td { min-width: 4.2rem; }
.heat tbody td { border: 1px solid var(--line); }
.heat thead th { max-width: 7rem; overflow-wrap: anywhere; text-align: right; }
.heat tbody th { max-width: 11rem; white-space: normal; overflow-wrap: anywhere; }
.heat small { display: block; color: var(--dim); }
.heat td.own { outline: 2px dashed var(--line); outline-offset: -3px; }
</style>"""


def heat(names, flows, caption):
    """A table of owners by freers whose colours go by the logarithm of the blocks; flows as of Snapshot.flows()."""
    top = max((f.blocks for f in flows.values()), default=0)
    rows = []
    for owner in names:
        cells = []
        for freer in names:
            flow = flows.get((owner, freer))
            kind = " class='own'" if owner == freer else ""
            if flow is None or not flow.blocks:
                cells.append("<td%s>&middot;</td>" % kind)
                continue
            strength = 0.06 + 0.5 * (math.log1p(flow.blocks) / math.log1p(top)) ** 3
            chain = "%s a chain" % page.digits(flow.blocks / flow.chains) if flow.chains else "not sent"
            cells.append("<td%s style='background:rgba(213,94,0,%.2f)' title='%s frees of %s: %s blocks, %s, %s'>%s"
                         "<small>%s</small></td>"
                         % (kind, strength, page.escape(freer), page.escape(owner), "{:,}".format(flow.blocks),
                            size(flow.bytes), chain, many(flow.blocks), size(flow.bytes)))
        rows.append("<tr><th scope='row'>%s</th>%s</tr>" % (page.escape(owner), "".join(cells)))
    head = "".join("<th scope='col'>%s</th>" % page.escape(n) for n in names)
    return ("<div class='table' tabindex='0' role='region' aria-label='%s'><table class='heat'><caption>%s</caption>"
            "<thead><tr><th scope='col'>owner \\ freed by</th>%s</tr></thead><tbody>%s</tbody></table></div>"
            % (page.escape(caption), page.escape(caption), head, "\n".join(rows)))
