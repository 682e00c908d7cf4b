"""Plots by gnuplot, as SVG that lives inside a page: its colours are the page's CSS variables.

gnuplot draws every colour as a fixed marker, #0102NN, and the SVG that comes back has NN replaced by the variable
with that number.  Points are <use> of the symbols in SYMBOLS, which a page holds once and its legends use as well.
"""

import re
import shutil
import subprocess

WIDTH = 460         # of every plot, in its own pixels: readable on a phone, side by side on a wide screen
FONT = 12
LABEL_MAX = 26      # letters of a row's label; longer ones are cut

# Okabe and Ito's palette, (light, dark): a colour and a point per allocator, the same everywhere.
COLOURS = {
    "grid": ("#d4d4d0", "#43474d"), "band": ("#f3f3ef", "#22262b"), "bad": ("#b3140c", "#ff8a80"),
    "grey": ("#767676", "#a6a6a6"), "orange": ("#d08700", "#e69f00"), "sky": ("#45a5e0", "#7cc9f5"),
    "green": ("#009e73", "#2fc79a"), "ink": ("#1d1f21", "#f2f2ee"), "vermilion": ("#d55e00", "#ff7f35"),
    "blue": ("#00568f", "#5a94f2"), "purple": ("#b5588f", "#e08fc0"), "yellow": ("#9a8600", "#f0e442"),
}
_NUMBERS = list(COLOURS)
_STYLES = {
    "glibc": ("grey", 1), "jemalloc": ("orange", 9), "mimalloc": ("sky", 13), "tcmalloc": ("green", 11),
    "tbbmalloc": ("ink", 15), "hz3-page": ("vermilion", 7), "hz3-central": ("blue", 5), "hz3-auto": ("purple", 3),
    "hz3-page-unbatched": ("vermilion", 6), "hz3-central-unbatched": ("blue", 4),
}
_OTHER_STYLES = [(c, p) for p in (2, 8, 10, 12, 14) for c in ("yellow", "purple", "green", "ink")]

_STROKE = "fill='none' stroke='currentColor' stroke-width='0.4'"
_FILL = "fill='currentColor' stroke='none'"
_TRIANGLE = "M0,-1.33 L-1.33,0.67 L1.33,0.67 z"
_TRIANGLE_DOWN = "M0,1.33 L-1.33,-0.67 L1.33,-0.67 z"
_DIAMOND = "M0,-1.35 L1.35,0 L0,1.35 L-1.35,0 z"
_PENTAGON = "M0,-1.33 L-1.265,-0.411 L-0.782,1.067 L0.782,1.067 L1.265,-0.411 z"
# gnuplot's point types by their number less one.
_SHAPES = {
    0: (_STROKE, "M-1.2,0 h2.4 M0,-1.2 v2.4"), 1: (_STROKE, "M-1,-1 L1,1 M1,-1 L-1,1"),
    2: (_STROKE, "M-1.2,0 h2.4 M0,-1.2 v2.4 M-0.9,-0.9 L0.9,0.9 M-0.9,0.9 L0.9,-0.9"),
    3: (_STROKE, "M-1,-1 h2 v2 h-2 z"), 4: (_FILL, "M-1,-1 h2 v2 h-2 z"),
    5: (_STROKE, "M-1,0 a1,1 0 1,0 2,0 a1,1 0 1,0 -2,0 z"), 6: (_FILL,
        "M-1.1,0 a1.1,1.1 0 1,0 2.2,0 a1.1,1.1 0 1,0 -2.2,0 z"),
    7: (_STROKE, _TRIANGLE), 8: (_FILL, _TRIANGLE), 9: (_STROKE, _TRIANGLE_DOWN), 10: (_FILL, _TRIANGLE_DOWN),
    11: (_STROKE, _DIAMOND), 12: (_FILL, _DIAMOND), 13: (_STROKE, _PENTAGON), 14: (_FILL, _PENTAGON),
}
SYMBOLS = "<svg class='symbols' width='0' height='0' aria-hidden='true'><defs>%s</defs></svg>" % "".join(
    "<path id='gpPt%d' %s d='%s'/>" % (n, style, path) for n, (style, path) in _SHAPES.items())


class Palette:
    """The colour and the point of every allocator, and their order."""

    def __init__(self, names):
        self.names = list(names)
        others = [n for n in names if n not in _STYLES]
        self._styles = dict(_STYLES)
        self._styles.update((n, _OTHER_STYLES[i % len(_OTHER_STYLES)]) for i, n in enumerate(others))

    def colour(self, name):
        """Its CSS variable."""
        return "var(--%s)" % self._styles[name][0]

    def marker(self, name):
        """The same as gnuplot has to be told it."""
        return _marker(self._styles[name][0])

    def point(self, name):
        """gnuplot's point type."""
        return self._styles[name][1]


class Plot:
    """What is drawn, before it is: rows of dots, or curves."""

    def __init__(self, title, label, log=None, at=None):
        self.title = title      # for those who can't see it
        self.label = label      # of the axis of values
        self.log = log          # its base, if it is logarithmic
        self.at = at            # a value with a line through it
        self.rows = []          # (label, {name: (middle, low, high)}, [notes])
        self.curves = {}        # name: [(x, middle, low, high)]
        self.x_label = ""
        self.x_log = False

    def names(self, order):
        """Who is in it, in some order."""
        return [n for n in order if n in self.curves or any(n in dots for _, dots, _ in self.rows)]

    def values(self):
        """All ends of all bars."""
        dots = [d for _, row, _ in self.rows for d in row.values()]
        return [v for d in dots + [p[1:] for c in self.curves.values() for p in c] for v in d]

    def __bool__(self):
        return bool(self.values())


class Gnuplot:
    """Runs gnuplot; where there is none, or it fails, says so once and draws nothing."""

    def __init__(self, warn):
        self._warn = warn
        self._command = shutil.which("gnuplot")
        if self._command is None:
            warn("gnuplot is not installed; the page has tables only")

    def draw(self, plot, palette):
        """A plot's SVG, or None."""
        if self._command is None or not plot:
            return None
        script = _rows_script(plot, palette) if plot.rows else _curves_script(plot, palette)
        try:
            # -d: nobody's own settings.
            done = subprocess.run([self._command, "-d"], input=script.encode(), capture_output=True, timeout=60,
                                  check=False)
            error = done.stderr.decode(errors="replace").strip()
        except (OSError, subprocess.SubprocessError) as failure:
            done, error = None, str(failure)
        if done is None or done.returncode != 0 or b"</svg>" not in done.stdout:
            self._command = None
            reason = [line for line in error.split("\n") if line.strip(" ^")]
            self._warn("gnuplot failed (%s); the page has tables only" % (reason[-1].strip() if reason else "no SVG"))
            return None
        return _inline(done.stdout.decode(errors="replace"), plot.title, plot.names(palette.names))


def _marker(name):
    """The colour that stands for a CSS variable until the SVG is there."""
    return "#0102%02x" % _NUMBERS.index(name)


def _quoted(text):
    """A string for gnuplot, on one line."""
    return "'%s'" % re.sub(r"[\x00-\x1f\x7f]", " ", text).replace("'", "''")


def _cut(text, length):
    return text if len(text) <= length else text[:length - 1] + "…"


def _frame(plot, height, left, top, bottom):
    """The settings that all plots share; margins in pixels."""
    return [
        "set encoding utf8",
        "set terminal svg size %d,%d dynamic noenhanced font 'sans-serif,%d'" % (WIDTH, height, FONT),
        "set lmargin at screen %.5f; set rmargin at screen %.5f" % (left / WIDTH, 1 - 14 / WIDTH),
        "set tmargin at screen %.5f; set bmargin at screen %.5f" % (1 - top / height, bottom / height),
        "unset key; set errorbars 0; set tics scale 0.4; set xtics offset 0,0.2",
        "set border lc rgb '%s'" % _marker("grid"),
    ]


def _limits(values, log, at):
    """The range of an axis that has all values inside, and nice ends when it is not logarithmic."""
    values = values + ([at] if at else [])
    low, high = min(values), max(values)
    if not log:
        return 0, high * 1.08 or 1
    room = (high / low) ** 0.06 if high > low else 1.5
    return low / max(room, 1.08), high * max(room, 1.08)


# Steps of logarithmic axes whose powers alone would be too few.
_FINER = ((1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.1, 1.2, 1.4, 1.6, 2, 3, 5, 7, 8, 9))


def _ticks(low, high, log):
    """gnuplot's words for the ticks of an axis."""
    if not log:
        return ""
    steps = [log ** e for e in range(-12, 40) if low <= log ** e <= high]
    for fine in _FINER:
        if len(steps) < 4:
            steps = [m * 10.0 ** e for e in range(-12, 15) for m in fine if low <= m * 10.0 ** e <= high]
    while len(steps) > 8:
        steps = steps[::2] if 1 not in steps or steps.index(1) % 2 == 0 else steps[1::2]
    return "(%s)" % ", ".join("'%s' %.9g" % (_short(s), s) for s in steps)


_FRACTIONS = [2.0 ** -e for e in range(3, 12)]


def _short(value):
    """A number on an axis."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return "%.4g%s" % (value / limit, letter)
    if value in _FRACTIONS:
        return "1/%d" % (1 / value)
    return "%.4g" % value if value >= 1e-4 else ("%.12f" % value).rstrip("0")


def _data(lines):
    return ["\n".join(" ".join("%.9g" % v for v in line) for line in lines) + "\ne"]


def _rows_script(plot, palette):
    """Horizontal dots with bars from the lowest to the highest; one band a row, one line in it per allocator."""
    names = plot.names(palette.names)
    step = 5 if len(names) > 5 else 8
    left = 16 + 6.4 * max(len(_cut(label, LABEL_MAX)) for label, _, _ in plot.rows)
    tall = len(plot.rows) > 6
    body, y, ticks = [], 0, []
    points = {n: [] for n in names}
    for i, (label, dots, notes) in enumerate(plot.rows):
        end = y + max(20, step * len(names) + 8) + 14 * len(notes)
        if i % 2 == 0:
            body.append("set object rect from graph 0,first %d to graph 1,first %d fc rgb '%s' fs solid noborder behind"
                        % (y, end, _marker("band")))
        for j, name in enumerate(names):
            if name in dots:
                points[name].append((dots[name][0], y + 4 + step * (j + 0.5)) + tuple(dots[name][1:]))
        for k, note in enumerate(reversed(notes)):
            body.append("set label %s at graph 0.99,first %d right tc rgb '%s' font ',%d'"
                        % (_quoted(_cut(note, 50)), end - 8 - 14 * k, _marker("bad"), FONT - 1))
        ticks.append("%s %g" % (_quoted(_cut(label, LABEL_MAX)), (y + end) / 2))
        y = end
    low, high = _limits(plot.values(), plot.log, plot.at)
    ticks_x = _ticks(low, high, plot.log)
    top, bottom = 24 if tall else 8, 46
    script = _frame(plot, y + top + bottom, left, top, bottom) + body + [
        "set xrange [%.9g:%.9g]; set yrange [%d:0]" % (low, high, y),
        "set logscale x %g" % plot.log if plot.log else "",
        "set ytics (%s) scale 0 tc rgb 'black'" % ", ".join(ticks),
        "set xtics nomirror %s tc rgb 'black'" % ticks_x, "set border 1",
        "set grid x lt 1 lw 0.6 lc rgb '%s'" % _marker("grid"),
        "set xlabel %s offset 0,0.5" % _quoted(plot.label),
    ]
    if tall:
        script += ["set x2range [%.9g:%.9g]" % (low, high), "set logscale x2 %g" % plot.log if plot.log else "",
                   "set x2tics %s tc rgb 'black'" % ticks_x, "set border 3+2"]
    if plot.at:
        script.append("set arrow from %g,graph 0 to %g,graph 1 nohead lw 1.4 dt 2 lc rgb 'black'" % (plot.at, plot.at))
    return _finish(script, names, points, palette, "using 1:2:3:4 with xerrorbars")


def _curves_script(plot, palette):
    """Lines over a common x axis, with bars from the lowest to the highest where they differ."""
    low, high = _limits(plot.values(), plot.log, plot.at)
    xs = sorted({p[0] for c in plot.curves.values() for p in c})
    script = _frame(plot, 300, 58, 10, 46) + [
        "set yrange [%.9g:%.9g]" % (low, high), "set logscale y %g" % plot.log if plot.log else "",
        "set ytics nomirror %s tc rgb 'black'" % _ticks(low, high, plot.log), "set border 3",
        "set grid y lt 1 lw 0.6 lc rgb '%s'" % _marker("grid"),
        "set xlabel %s offset 0,0.5" % _quoted(plot.x_label), "set ylabel %s offset 1,0" % _quoted(plot.label),
    ]
    if plot.x_log:
        script += ["set logscale x 2", "set xrange [%.9g:%.9g]" % (xs[0] / 1.15, xs[-1] * 1.15),
                   "set xtics nomirror (%s) tc rgb 'black'" % ", ".join("'%g' %g" % (x, x) for x in xs)]
    else:
        script += ["set xrange [%.9g:%.9g]" % (min(xs[0], 0), xs[-1] * 1.02 or 1), "set xtics nomirror tc rgb 'black'"]
    long = max(map(len, plot.curves.values())) > 20
    how = "using 1:2 with linespoints pi %d" % (len(xs) // 8 + 1) if long else "using 1:2:3:4 with yerrorlines"
    return _finish(script, plot.names(palette.names), plot.curves, palette, how)


def _finish(script, names, points, palette, how):
    """Add the command that draws, and its data: one plot for each name."""
    parts = ["'-' %s lw 1.6 ps 0.7 pt %d lc rgb '%s'" % (how, palette.point(n), palette.marker(n)) for n in names]
    script.append("plot " + ", ".join(parts))
    for name in names:
        script += _data(points[name])
    return "\n".join(script) + "\n"


def _inline(svg, title, names):
    """What a page can hold: no prologue, no addresses, colours of the page, a title for all and one for each name."""
    body = svg[svg.index('<g id="gnuplot_canvas">'):svg.rindex("</svg>")]
    body = re.sub(r"<defs>.*?</defs>", "", body, flags=re.S)
    body = re.sub(r' (id="[^"]*"|font-family="[^"]*"|class="[^"]*")', "", body)
    body = body.replace("xlink:href", "href")
    body = re.sub(r"<title>gnuplot_plot_(\d+)</title>",
                  lambda m: "<title>%s</title>" % _escaped(names[int(m.group(1)) - 1]), body)
    body = re.sub(r"rgb\(\s*1,\s*2,\s*(\d+)\)|#0102([0-9a-fA-F]{2})",
                  lambda m: "var(--%s)" % _NUMBERS[int(m.group(1)) if m.group(1) else int(m.group(2), 16)], body)
    body = re.sub(r"""(["'])(black|gray|rgb\(\s*0,\s*0,\s*0\))\1""", "'currentColor'", body)
    body = body.replace(" color='currentColor'", "")
    while re.search(r"<g\b[^>]*>\s*</g>", body):
        body = re.sub(r"<g\b[^>]*>\s*</g>", "", body)
    size = re.search(r'viewBox="([^"]*)"', svg)
    return "<svg role='img' viewBox='%s'><title>%s</title>\n%s</svg>" % (
        size.group(1) if size else "0 0 %d 300" % WIDTH, _escaped(title), re.sub(r"\n\s*\n+", "\n", body))


def _escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
