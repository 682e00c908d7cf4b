"""The page's building blocks: escaped text, numbers as people read them, tables, figures, and the frame round all.

Everything is one file: the style sheet is inside, nothing is fetched, and no script is needed.
"""

import html
import math

from lab import plots

_CSS = """
:root { color-scheme: light dark; --back: #fff; --card: #fff; --text: #1d1f21; --dim: #5a5d61; --line: #d9d9d4;
  --soft: #f3f3ef; --good: #006b4f; --less: #8a4b00; %(light)s }
@media (prefers-color-scheme: dark) { :root { --back: #15181b; --card: #1a1e22; --text: #e8e8e3; --dim: #a4a9af;
  --line: #3a3f45; --soft: #22262b; --good: #5fd3a8; --less: #e8b06a; %(dark)s } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 0 1.2rem 4rem; max-width: 92rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, "DejaVu Sans", "Liberation Sans", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 1.6rem 0 .6rem; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.4rem 0 .4rem; }
p, ul, dl { max-width: 52rem; margin: .5rem 0; }
ul { padding-left: 1.3rem; }
a { color: inherit; }
code { font: .875em ui-monospace, "DejaVu Sans Mono", "Liberation Mono", monospace; overflow-wrap: anywhere; }
nav { margin: 1rem 0; }
nav a { display: inline-block; margin: 0 1rem .3rem 0; }
dl { display: grid; grid-template-columns: fit-content(11rem) 1fr; gap: .3rem 1.2rem; }
dt { font-weight: 600; }
dd { margin: 0; min-width: 0; }
.verdict { font-size: 1.15rem; max-width: 60rem; }
.columns { columns: 2 24rem; column-gap: 2rem; max-width: none; }
.columns li { break-inside: avoid; }
.dim { color: var(--dim); }
.bad { color: var(--bad); font-weight: 700; }
.faster { color: var(--good); }
.slower { color: var(--less); }
.plots { columns: 27rem; column-gap: 1.2rem; }
figure { margin: 0 0 1.2rem; padding: .6rem .8rem; max-width: 42rem; background: var(--card);
  border: 1px solid var(--line);
  border-radius: .4rem; break-inside: avoid; }
figure svg { display: block; width: 100%%; height: auto; color: var(--text); }
figure svg text { font-family: system-ui, "DejaVu Sans", "Liberation Sans", sans-serif; }
figcaption { font-size: .875rem; margin-bottom: .4rem; }
figcaption strong { display: block; font-size: 1rem; }
.symbols { position: absolute; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; margin: .4rem 0 0; padding: 0; list-style: none;
  font-size: .8125rem; }
.who { display: inline-flex; align-items: baseline; white-space: nowrap; }
.mark, figure svg.mark { display: inline-block; width: .8em; height: .8em; margin-right: .35em; overflow: visible;
  flex: none; }
.side { display: flex; flex-wrap: wrap; gap: 0 3rem; align-items: start; }
.side > * { min-width: 0; }
.side > figure { flex: 1 1 22rem; max-width: 32rem; }
.table { overflow-x: auto; max-width: 100%%; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; color: var(--dim); }
th, td { padding: .22rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
thead th, thead .who { white-space: normal; }
thead .who { display: inline; }
thead th { background: var(--soft); vertical-align: bottom; }
th[scope=row], th:first-child { text-align: left; }
th.text, td.text { text-align: left; }
td.wide { text-align: left; white-space: normal; min-width: 12rem; max-width: 30rem; }
tbody th { position: sticky; left: 0; background: var(--back); }
details { margin: .3rem 0; border-bottom: 1px solid var(--line); }
summary { cursor: pointer; padding: .2rem 0; }
@media (max-width: 40rem) { body { padding: 0 .7rem 3rem; } figure { padding: .5rem .4rem; }
  th, td { padding: .2rem .4rem; } tbody th { min-width: 7rem; max-width: 9rem; }
  tbody th, tbody th .who { white-space: normal; } .columns .dim { display: none; } h1 { font-size: 1.4rem; }
  dl { display: block; } dt { margin-top: .4rem; } }
@media print { figure, tr { break-inside: avoid; } }
"""


def escape(value):
    """Text for HTML."""
    return html.escape(str(value), quote=True)


def _variables(which):
    return " ".join("--%s: %s;" % (name, pair[which]) for name, pair in plots.COLOURS.items())


def slug(value):
    """An id from a name."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in value.lower())


# ---- numbers ----

def digits(value, places=3):
    """A number with so many significant digits, without an exponent; "-" for None."""
    if value is None:
        return "-"
    if value and abs(value) < 10.0 ** -(places + 2):
        return "%.*e" % (places - 1, value)
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    return decimals(value, max(places - 1 - magnitude, 0))


def decimals(value, places):
    """A number with so many decimals."""
    return "-" if value is None else "%.*f" % (places, value)


def ratio(value):
    """A ratio: two decimals, fewer where it is large; more where it would be zero."""
    if value is None:
        return "-"
    if value < 0.095:
        return digits(value, 2)
    return "%.*f" % (0 if value >= 100 else 1 if value >= 10 else 2, value)


def rate(value):
    """Operations per second, in millions."""
    return digits(None if value is None else value / 1e6)


def mebibytes(kib):
    """MiB from KiB."""
    return "-" if kib is None else "%.*f" % (1 if kib < 10240 else 0, kib / 1024)


def percent(value):
    """A percentage."""
    return "-" if value is None else "%.*f" % (1 if value < 99.95 else 0, value)


def count(n, word):
    """A number and its noun."""
    return "%d %s%s" % (n, word, "" if n == 1 else "s")


# ---- pieces ----

def paragraph(content, kind=""):
    """A paragraph of HTML."""
    return "<p%s>%s</p>" % (" class='%s'" % kind if kind else "", content)


def items(contents, kind=""):
    """A list of HTML."""
    return "<ul%s>%s</ul>" % (" class='%s'" % kind if kind else "",
                              "".join("<li>%s</li>" % c for c in contents)) if contents else ""


def name(allocator, palette):
    """An allocator's name with its marker before it."""
    return ("<span class='who'><svg class='mark' viewBox='-1.5 -1.5 3 3' aria-hidden='true' style='color:%s'>"
            "<use href='#gpPt%d'/></svg>%s</span>"
            % (palette.colour(allocator), palette.point(allocator) - 1, escape(allocator)))


def cell(content, kind=""):
    """A cell of a table, of HTML; kind is a class or empty."""
    return "<td%s>%s</td>" % (" class='%s'" % kind if kind else "", content)


def table(heads, rows, caption="", words=()):
    """
    A table in a container of its own; rows are (HTML of the row's head, [cells]).

    "words" names the columns that hold words, which start at the left.
    """
    head = "".join("<th scope='col'%s>%s</th>" % (" class='text'" if h in words else "", h) for h in heads)
    body = "\n".join("<tr><th scope='row'>%s</th>%s</tr>" % (first, "".join(cells)) for first, cells in rows)
    return ("<div class='table' tabindex='0' role='region' aria-label='%s'><table>%s<thead><tr>%s</tr></thead>\n"
            "<tbody>%s</tbody></table></div>"
            % (escape(caption) or "table", "<caption>%s</caption>" % escape(caption) if caption else "", head, body))


def side_by_side(parts):
    """Parts in a row, where there is room."""
    parts = [p for p in parts if p]
    return "<div class='side'>%s</div>" % "".join(parts) if parts else ""


def figure(svg, title, caption, names, palette):
    """A plot with its caption and the legend of who is in it."""
    legend = items([name(n, palette) for n in names], "legend")
    return ("<figure><figcaption><strong>%s</strong>%s</figcaption>%s%s</figure>"
            % (escape(title), escape(caption), svg, legend))


def section(title, parts):
    """A section with an id, from those parts that are there; nothing if there is none."""
    parts = [p for p in parts if p]
    if not parts:
        return ""
    return "<section id='%s'><h2>%s</h2>\n%s\n</section>" % (slug(title), escape(title), "\n".join(parts))


def document(title, lead, sections):
    """The whole page; sections are (title, HTML), and the empty ones are left out."""
    sections = [s for s in sections if s[1]]
    links = "".join("<a href='#%s'>%s</a>" % (slug(t), escape(t)) for t, _ in sections)
    css = _CSS % {"light": _variables(0), "dark": _variables(1)}
    return ("<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
            "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
            "<meta name='color-scheme' content='light dark'>\n<title>%s</title>\n<style>%s</style>\n</head>\n<body>\n"
            "%s\n<header>\n<h1>%s</h1>\n%s\n<nav aria-label='Sections'>%s</nav>\n</header>\n<main>\n%s\n</main>\n"
            "</body>\n</html>\n"
            % (escape(title), css, plots.SYMBOLS, escape(title), lead, links, "\n".join(h for _, h in sections)))
