"""What each part of the design contributes, one factor at a time (bench/s121 ablation)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterable

from lab import figures
from lab.allocators import Allocator
from lab.builds import Build
from lab.comparison import Comparison
from lab.experiment import Bench, median, ratio, show, speed, table
from lab.figures import Spread
from lab.variants import Variant


@dataclass(frozen=True)
class Factor:
    """A change to hz3 as it is: #define lines of its sources, or settings."""

    group: str
    name: str
    defines: dict[str, str] = field(default_factory=dict)
    conf: str = ""


FACTORS = (
    Factor("page size", "16 KiB", {"HZ3_SLICE_SHIFT": "14"}),
    Factor("page size", "32 KiB", {"HZ3_SLICE_SHIFT": "15"}),
    Factor("page size", "128 KiB", {"PAGE_SLICES": "2"}),
    Factor("page size", "256 KiB", {"PAGE_SLICES": "4"}),
    Factor("wake threshold", "1 block", {"WAKE_MAX": "1"}),
    Factor("wake threshold", "at most 8", {"WAKE_MAX": "8"}),
    Factor("wake threshold", "a quarter of the page", {"WAKE_MAX": "65535"}),
    Factor("buffer entries", "16", {"HZ3_BUFFER_SETS": "8"}),
    Factor("buffer entries", "64", {"HZ3_BUFFER_SETS": "32"}),
    Factor("buffer entries", "1024", {"HZ3_BUFFER_SETS": "512"}),
    Factor("buffer bytes", "32 KiB", conf="remote_budget:32K"),
    Factor("buffer bytes", "128 KiB", conf="remote_budget:128K"),
    Factor("buffer bytes", "2 MiB", conf="remote_budget:2M,remote_cap:64M"),
    Factor("no batching", "each block by itself", conf="remote_batch:0"),
    Factor("no handover", "whole pages travel as chains", conf="handover:0"),
)

_WORKLOADS = (
    ("xmalloc 64 B", "xmalloc", "-w 16 -s 64"),
    ("xmalloc mixed", "xmalloc", "-w 16 -s mixed"),
    ("mixed R50", "mixed", "-w 8 -r 50 -s 16-2048"),
    ("msgpass 8x8", "msgpass", "-p mesh -w 8"),
)
BASE = "as it is"

# Blocks that are handed out page by page come back page by page: here the order is destroyed between the two.
_ORDER = (
    ("xmalloc 64 B, batches of 4096", "-w 16 -s 64 -b 4096"),
    ("xmalloc 64 B, batches of 65536", "-w 4 -s 64 -b 65536"),
    ("xmalloc mixed, batches of 4096", "-w 16 -s mixed -b 4096"),
)


def variants() -> list[Variant]:
    kinds = [Variant(name, workload, tuple(args.split()), "remote", name) for name, workload, args in _WORKLOADS]
    for name, args in _ORDER:
        for order, more in (("in order", ""), ("shuffled", " -r")):
            kinds.append(Variant(f"{name}, {order}", "xmalloc", tuple((args + more).split()), "order", name))
    return kinds


def allocators(bench: Bench, sink: str) -> list[Allocator]:
    """hz3 as it is in all workloads, what is changed only in the four."""
    base = bench.built(BASE, Build("stats-on"), f"sink:{sink}")
    changed = []
    for f in FACTORS:
        build = Build("-".join(["stats-on", *(f"{k}-{v}" for k, v in f.defines.items())]), (), f.defines)
        made = bench.built(f"{f.group}: {f.name}", build, ",".join(filter(None, (f"sink:{sink}", f.conf))))
        changed.append(Allocator(**{**made.__dict__, "only_group": "remote"}))
    return [base, *changed]


def report(c: Comparison) -> Iterable[str]:
    yield from _factors(c)
    yield "\n### Page-ordered allocation\n"
    yield from _orders(c)


def _factors(c: Comparison) -> Iterable[str]:
    for v in c.variants:
        if v.group != "remote":
            continue
        yield f"\n### {v.name} ({v.workload} {' '.join(v.args)})\n"
        rows = []
        for a in c.allocators:
            rows.append([a.name, show(median(c, v, a, speed(v))), ratio(c, v, a),
                         show(median(c, v, a, figures.rmw_per_block), ".4f"),
                         show(median(c, v, a, figures.blocks_per_chain)),
                         show(median(c, v, a, figures.blocks_per_page_drain)),
                         show(median(c, v, a, figures.handed_over_percent)),
                         show(median(c, v, a, _peak_mib), ".0f")])
        yield from table(["", "M frees/s", f'to "{BASE}"', "RMW per block", "blocks per chain", "blocks per page drain",
                          "handed over, %", "peak RSS, MiB"], rows)


def _orders(c: Comparison) -> Iterable[str]:
    """The same batches freed in the order of allocation, and shuffled: pairs of variants that follow each other."""
    base = c.allocators[0]
    pairs = [v for v in c.variants if v.group == "order"]
    rows = []
    for ordered, shuffled in zip(pairs[::2], pairs[1::2]):
        # Both are of the same allocator: the ratio within a round is that of the two variants.
        speeds = [{run.round: figures.speed(run, v) for run in c.runs_of(v, base) if run.status == "ok"}
                  for v in (ordered, shuffled)]
        spread = Spread.of(figures.ratios(*speeds, False))
        for v, told in ((ordered, spread and f"{spread.median:.2f} ({spread.low:.2f}-{spread.high:.2f})"), (shuffled, "1")):
            rows.append([v.name, show(median(c, v, base, speed(v))), told or "-",
                         show(median(c, v, base, figures.rmw_per_block), ".4f"),
                         show(median(c, v, base, figures.blocks_per_chain)),
                         show(median(c, v, base, figures.blocks_per_page_drain)),
                         show(median(c, v, base, figures.handed_over_percent))])
    return table(["", "M frees/s", "to shuffled", "RMW per block", "blocks per chain", "blocks per page drain",
                  "handed over, %"], rows)


def _peak_mib(run):
    value = figures.number(run, "rss_peak_kib")
    return None if value is None else value / 1024
