"""The page's plots: which figures of the results go into which, and the sections that they make."""

from lab import page
from lab.figures import Spread, blocks_per_chain, number, rmw_per_block
from lab.plots import Plot
from lab.report_data import series as series_of
from lab.report_text import group_title


class Figures:
    """Draws plots for a page and puts captions and legends to them."""

    def __init__(self, results, palette, gnuplot):
        self.results, self._palette, self._gnuplot = results, palette, gnuplot

    def figure(self, plot, caption):
        """A plot as a figure; empty if there is nothing in it, or no gnuplot."""
        svg = self._gnuplot.draw(plot, self._palette)
        return page.figure(svg, plot.title, caption, plot.names(self._palette.names), self._palette) if svg else ""

    def columns(self, figures):
        """Figures in columns where there is room."""
        figures = [f for f in figures if f]
        return "<div class='plots'>%s</div>" % "\n".join(figures) if figures else ""

    def rows(self, plot, variants, names, get, notes=None):
        """Fill a plot with a row for every workload that has dots or notes; get gives (middle, low, high) or None."""
        for variant in variants:
            dots = {n: get(variant, n) for n in names}
            dots = {n: d for n, d in dots.items() if d is not None and min(d) > 0}
            said = notes(variant) if notes else []
            if dots or said:
                plot.rows.append((variant.name, dots, said))
        return plot

    def complaints(self, variant):
        """What went wrong in a workload, one line for each kind."""
        kinds = {}
        for name in self.results.allocators:
            cell = self.results.cell(variant.name, name)
            if cell is not None and cell.bad:
                kinds.setdefault(cell.complaint, []).append(name)
        return ["%s: %s" % (kind, ", ".join(names)) for kind, names in kinds.items()]


def ends(spread):
    """A dot and its bar of a Spread or a list of numbers, or None."""
    if isinstance(spread, list):
        spread = Spread.of(spread)
    return None if spread is None else (spread.median, spread.low, spread.high)


def throughput(figures):
    """Ratios of speed to the reference, a plot for each group of workloads."""
    results = figures.results
    reference = results.reference
    made = []
    for group in results.groups():
        title = "%s: speed to %s" % (group_title(group), reference)
        plot = Plot(title, "times %s, more is better" % reference, log=2, at=1)
        figures.rows(plot, results.of_group(group), results.allocators,
                     lambda v, n: ends(results.speed_ratio(v, n)), figures.complaints)
        made.append(figures.figure(plot, "Dots: medians; bars: lowest to highest ratio within a round. Right of the "
                                         "broken line is faster than %s." % reference))
    return figures.columns(made)


def threads(figures):
    """Throughput over the number of threads, a plot for each series."""
    results = figures.results
    made = []
    for series in dict.fromkeys(v.series for v in results.variants.values() if v.series):
        variants = sorted((v for v in results.variants.values() if v.series == series and v.x), key=lambda v: v.x)
        seconds = any(v.seconds for v in variants)
        plot = Plot("%s: throughput and threads" % series, "seconds" if seconds else "million operations a second")
        plot.x_label, plot.x_log = "threads, or threads on each side", True
        for name in results.allocators:
            points = [_point(v, results.cell(v.name, name), 1 if seconds else 1e6) for v in variants]
            points = [p for p in points if p is not None]
            if points:
                plot.curves[name] = points
        values = [v for v in plot.values() if v > 0]
        if len({p[0] for c in plot.curves.values() for p in c}) < 2:
            continue
        if len(values) == len(plot.values()) and max(values) > 30 * min(values):
            plot.log = 10
        made.append(figures.figure(plot, "From “%s” to “%s”.%s" % (
            variants[0].title, variants[-1].title, " Logarithmic." if plot.log else "")))
    return figures.columns(made)


def _point(variant, cell, unit):
    """A point of a curve: (x, middle, low, high)."""
    dot = ends([m / unit for m in cell.measures()]) if cell is not None else None
    return None if dot is None else (variant.x,) + dot


def memory(figures):
    """Peak memory as a ratio, idle memory in MiB, and memory over time after a burst."""
    results = figures.results
    made = []
    for groups in (("remote",), tuple(g for g in results.groups() if g != "remote")):
        what = "Remote frees" if groups == ("remote",) else "Other workloads"
        plot = Plot("%s: peak memory to %s" % (what, results.reference),
                    "times %s, less is better" % results.reference, log=2, at=1)
        figures.rows(plot, results.of_group(*groups), results.allocators,
                     lambda v, n: ends(results.value_ratio(v, n, "rss_peak_kib")))
        made.append(figures.figure(plot, "Left of the broken line is less resident memory than %s."
                                   % results.reference))
    plot = Plot("Memory while idle", "MiB, less is better", log=10)
    idle = results.of_group(*(g for g in results.groups() if g != "local"))
    figures.rows(plot, idle, results.allocators, lambda v, n: _idle(results.cell(v.name, n)))
    made.append(figures.figure(plot, "Resident memory a while after the work has ended, the process still alive."))
    return figures.columns(made) + figures.columns(_over_time(figures))


def _idle(cell):
    """Idle memory in MiB."""
    if cell is None:
        return None
    return ends([kib / 1024 for kib in cell.of(lambda run: number(run, "rss_idle_kib"))])


def _over_time(figures):
    """Memory after a burst, of the first run that has it."""
    made = []
    for variant in figures.results.variants.values():
        plot = Plot("%s: memory over time" % variant.name, "MiB")
        plot.x_label = "seconds"
        for name in figures.results.allocators:
            cell = figures.results.cell(variant.name, name)
            series = next(filter(None, (series_of(r, "rss_series_kib") for r in cell.ok)), None) if cell else None
            if series:
                plot.curves[name] = [(x, y / 1024, y / 1024, y / 1024) for x, y in sorted(series)]
        if plot:
            made.append(figures.figure(plot, "Resident memory in the first round: %s." % variant.title))
    return made


def remote_frees(figures):
    """What hz3's statistics say: chains and read-modify-writes."""
    results = figures.results
    ours = [n for n in results.allocators if results.allocators[n].ours]
    chains = Plot("Blocks per chain", "blocks, more is better", log=10)
    rmw = Plot("Read-modify-writes per block", "atomic operations, push and drain; less is better", log=10, at=1)

    def get(figure, least):
        def dot(variant, name):
            cell = results.cell(variant.name, name)
            return ends([max(v, least) for v in cell.of(figure)]) if cell is not None else None
        return dot
    # A logarithmic axis has no zero: what is less than one in 100,000 is drawn as that.
    figures.rows(chains, results.variants.values(), ours, get(blocks_per_chain, 1))
    figures.rows(rmw, results.variants.values(), ours, get(rmw_per_block, 1e-5))
    return figures.columns([
        figures.figure(chains, "How many blocks travel home as one. Unbatched, every block is a chain of its own."),
        figures.figure(rmw, "What a remote free costs in shared memory. The broken line: one for every block. What "
                            "is less than 0.00001 is drawn as that.")])


def instructions(figures, counted):
    """Instructions per malloc and free."""
    plot = Plot("Instructions per malloc and free", "instructions, less is better", log=10)
    for pattern in counted.patterns:
        dots = {}
        for name in counted.allocators:
            found = counted.of(pattern, name)
            if found and found[0] and found[0] > 0:
                dots[name] = (found[0],) * 3
        if dots:
            plot.rows.append((pattern, dots, []))
    return figures.figure(plot, "Counted, not timed: the same in every run.")
