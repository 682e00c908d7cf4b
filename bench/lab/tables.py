"""A comparison as text: a table for each variant, a summary, and where each malloc came from."""

from __future__ import annotations

from collections import Counter
from typing import Callable, Iterable, Optional

from lab import figures
from lab.allocators import Allocator
from lab.comparison import Comparison
from lab.figures import Spread
from lab.runs import GOOD, Run
from lab.variants import GROUPS, Variant

Figure = Callable[[Run], Optional[float]]

_HZ3_COLUMNS = (
    ("blocks/", "chain", figures.blocks_per_chain, ".1f"),
    ("blocks/", "page drain", figures.blocks_per_page_drain, ".1f"),
    ("RMW/", "block", figures.rmw_per_block, ".5f"),
    ("handed", "over %", figures.handed_over_percent, ".1f"),
)


def report(c: Comparison) -> Iterable[str]:
    """All lines of the report on what has run."""
    yield from _introduction(c)
    for variant in c.variants:
        if any(run.variant == variant.name for run in c.runs):
            yield ""
            yield f"{variant.name}: {variant.title} ({' '.join([variant.workload, *variant.args])})"
            missing = next((run.detail for run in c.runs if run.variant == variant.name and run.status == "unavailable"), "")
            yield from [f"not run: {missing}"] if missing else _variant_table(c, variant)
    yield ""
    yield from _summary(c)
    yield ""
    yield from _origins(c.allocators)


def layout(rows: list[list[str]]) -> Iterable[str]:
    """Cells under each other: the first and the last column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths)]
        cells[0], cells[-1] = row[0].ljust(widths[0]), row[-1]
        yield "  ".join(cells).rstrip()


def _introduction(c: Comparison) -> Iterable[str]:
    yield (f"{c.rounds} interleaved round{'s' * (c.rounds != 1)} of {c.settings.seconds:g} s; medians, lowest and highest.  "
           f"Ratio: times as fast as {c.reference},")
    yield "within rounds; a tie if not all rounds agree who is faster" + (
        "." if c.rounds >= figures.ROUNDS_FOR_VERDICT else ", and no verdict with so few rounds.")
    yield "idle: RSS a while after the end of the work.  remote: frees by another thread than the one that allocated."
    if any(run.hz3 for run in c.runs):
        yield "Of hz3: chain, blocks that travel together; page drain, what an owner takes of a page at once; RMW, atomic"
        yield "read-modify-writes of push and drain; handed over, blocks in whole pages that the freeing thread keeps."


def _variant_table(c: Comparison, variant: Variant) -> Iterable[str]:
    seconds = variant.unit == "s"
    columns = [
        ("CPU", "s" if seconds else "s/M ops", _cpu if seconds else figures.cpu_per_million, ".2f" if seconds else ".3f"),
        ("peak", "MiB", _mib("rss_peak_kib"), ".1f"),
        ("idle", "MiB", _mib("rss_idle_kib"), ".1f"),
        ("remote", "%", lambda run: figures.number(run, "remote_percent"), ".1f"),
    ]
    if c.settings.latency and not seconds:
        columns.append(("99.99 %", "us", _microseconds("latency_p9999_ns"), ".1f"))
        columns.append(("longest", "us", _microseconds("latency_max_ns"), ".0f"))
    if any(run.variant == variant.name and figures.blocks_per_chain(run) is not None for run in c.runs):
        columns += _HZ3_COLUMNS

    rows = [["", "s" if seconds else "M ops/s", "", "ratio", "", "", *(column[0] for column in columns), ""],
            ["", "median", "min-max", "median", "min-max", "", *(column[1] for column in columns), ""]]
    for allocator in c.allocators_of(variant):
        runs = c.runs_of(variant, allocator)
        if runs:
            good = [run for run in runs if run.status == "ok"]
            rows.append([allocator.name, *_speed_cells(good, variant), *_ratio_cells(c, variant, allocator),
                         *(_show(figures.middle(good, figure), form) for _, _, figure, form in columns),
                         _troubles(runs)])
    return layout(_without_empty_columns(rows))


def _without_empty_columns(rows: list[list[str]]) -> list[list[str]]:
    """Without the figures that no allocator has; the first two rows are headings."""
    kept = [i for i in range(len(rows[0])) if i == len(rows[0]) - 1 or any(row[i] != "-" for row in rows[2:])]
    return [[row[i] for i in kept] for row in rows]


def _speed_cells(good: list[Run], variant: Variant) -> list[str]:
    unit, form = (1, ".3f") if variant.unit == "s" else (1e6, ".2f")
    speeds = (figures.speed(run, variant) for run in good)
    return _spread_cells(Spread.of(speed / unit for speed in speeds if speed is not None), form)


def _ratio_cells(c: Comparison, variant: Variant, allocator: Allocator) -> list[str]:
    pairwise = c.ratios(variant, allocator)
    verdict = "reference" if allocator.name == c.reference else figures.verdict(pairwise)
    return [*_spread_cells(Spread.of(pairwise), ".2f"), verdict]


def _troubles(runs: list[Run]) -> str:
    """What was not ok and how often, with the first run's words on it."""
    details: dict[str, list[str]] = {}
    for run in runs:
        if run.status != "ok":
            details.setdefault(run.status, []).append(run.detail)
    return "; ".join(f"{status.upper()} in {len(words)} of {len(runs)} ({words[0]})" for status, words in details.items())


def _summary(c: Comparison) -> Iterable[str]:
    groups = [group for group in GROUPS if any(v.group == group for v in c.variants)]
    yield f"Geometric means of the ratios to {c.reference}, and how many variants were faster, ties and slower"
    rows = [["", *groups, "all", "faster/tie/slower", "not ok", ""]]
    for allocator in c.allocators:
        if not any(run.allocator == allocator.name for run in c.runs):
            continue
        means = [_mean(c, allocator, [v for v in c.variants if v.group == group]) for group in groups]
        verdicts = Counter(figures.verdict(c.ratios(v, allocator)) for v in c.variants)
        bad = sum(run.allocator == allocator.name and run.status not in GOOD for run in c.runs)
        rows.append([allocator.name, *means, _mean(c, allocator, c.variants),
                     "reference" if allocator.name == c.reference else
                     "/".join(str(verdicts[word]) for word in ("faster", "tie", "slower")), str(bad or ""), ""])
    yield from layout(rows)


def _mean(c: Comparison, allocator: Allocator, variants: list[Variant]) -> str:
    """Marked with * if not all variants gave a ratio: then it does not compare with others'."""
    spreads = [Spread.of(c.ratios(v, allocator)) for v in variants]
    known = [spread.median for spread in spreads if spread]
    return _show(figures.geometric_mean(known), ".3f") + ("*" if 0 < len(known) < len(spreads) else "")


def _origins(allocators: list[Allocator]) -> Iterable[str]:
    yield "Where malloc came from"
    yield from layout([[a.name, a.version.ljust(16), f"{a.lib}  {a.conf}"] for a in allocators])


def _spread_cells(spread: Optional[Spread], form: str) -> list[str]:
    if spread is None:
        return ["-", ""]
    return [f"{spread.median:{form}}", f"({spread.low:{form}}-{spread.high:{form}})"]


def _show(value: Optional[float], form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def _cpu(run: Run) -> Optional[float]:
    return figures.number(run, "cpu_seconds")


def _mib(key: str) -> Figure:
    return _scaled(key, 1024)


def _microseconds(key: str) -> Figure:
    return _scaled(key, 1000)


def _scaled(key: str, unit: float) -> Figure:
    def figure(run: Run) -> Optional[float]:
        value = figures.number(run, key)
        return None if value is None else value / unit
    return figure
