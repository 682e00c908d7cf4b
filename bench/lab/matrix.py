"""The question pack's table, whole: sinks, batching, statistics, threads, workloads (bench/s121 matrix)."""

from __future__ import annotations

from itertools import product
from typing import Iterable

from lab import figures
from lab.allocators import Allocator
from lab.builds import Build
from lab.comparison import Comparison
from lab.experiment import Bench, median, per_block, ratio, show, speed, table
from lab.variants import Variant

SINKS = ("central", "page", "auto")
BATCHING = ("off", "on")
STATISTICS = {
    "on": Build("stats-on"),
    "off": Build("stats-off", ("--disable-stats",)),
    "shared": Build("stats-shared", ("--enable-stats=shared",)),
}
THREADS = (1, 2, 4, 8, 16, 32)
QUICK_THREADS = (2, 16)
WORKLOADS = {
    "xmalloc 64 B": ("xmalloc", "-w {} -s 64"),
    "xmalloc mixed": ("xmalloc", "-w {} -s mixed"),
    "mixed R50": ("mixed", "-w {} -r 50 -s 16-2048"),
    "mixed R90": ("mixed", "-w {} -r 90 -s 16-2048"),
    "msgpass NxN": ("msgpass", "-p mesh -w {}"),
}
FULL_THREADS = 16  # the number of threads whose table has all columns

_COLUMNS = (
    ("blocks per page drain", figures.blocks_per_page_drain, ".1f"),
    ("blocks per chain", figures.blocks_per_chain, ".1f"),
    ("pages queued per 1000 blocks", lambda run: _thousand(per_block("queued_pages")(run)), ".3f"),
    ("queue operations per 1000 blocks", lambda run: _thousand(per_block("rmw_queue_push", "rmw_queue_drain")(run)), ".3f"),
    ("RMW push", per_block("rmw_push", "-rmw_queue_push"), ".4f"),
    ("RMW queue", per_block("rmw_queue_push", "rmw_queue_drain"), ".4f"),
    ("RMW drain", per_block("rmw_drain", "-rmw_queue_drain"), ".4f"),
)


def variants(quick: bool) -> list[Variant]:
    threads = QUICK_THREADS if quick else THREADS
    return [Variant(f"{name}, {n}", workload, tuple(args.format(n).split()), "remote", name, x=n)
            for (name, (workload, args)), n in product(WORKLOADS.items(), threads)]


def allocators(bench: Bench, peer: Allocator) -> list[Allocator]:
    """The peer, and hz3 in every kind; the labels are in the names: sink, batching, statistics."""
    kinds = [bench.built(f"{sink} {batch} {statistics}", build, f"sink:{sink},remote_batch:{int(batch == 'on')}")
             for (statistics, build), sink, batch in product(STATISTICS.items(), SINKS, BATCHING)]
    return [peer, *kinds]


def report(c: Comparison) -> Iterable[str]:
    threads = sorted({v.x for v in c.variants})
    full = FULL_THREADS if FULL_THREADS in threads else threads[-1]
    for name in WORKLOADS:
        own = [v for v in c.variants if v.title == name]
        yield f"\n### {name}, by threads: millions of frees a second\n"
        yield from _by_threads(c, own)
        yield f"\n### {name}, {full} threads\n"
        yield from _all_columns(c, next(v for v in own if v.x == full))


def _by_threads(c: Comparison, own: list[Variant]) -> Iterable[str]:
    rows = []
    for a in c.allocators:
        best = [median(c, v, a, speed(v)) for v in own]
        rows.append([*_labels(c, a), *(show(value) for value in best)])
    return table(["sink", "batching", "statistics", *(str(v.x) for v in own)], rows, 3)


def _all_columns(c: Comparison, v: Variant) -> Iterable[str]:
    head = ["sink", "batching", "statistics", "M frees/s", f"to {c.reference}", *(title for title, _, _ in _COLUMNS)]
    rows = []
    for a in c.allocators:
        cells = [show(median(c, v, a, figure), form) for _, figure, form in _COLUMNS]
        rows.append([*_labels(c, a), show(median(c, v, a, speed(v))), ratio(c, v, a), *cells])
    return table(head, rows, 3)


def _labels(c: Comparison, a: Allocator) -> list[str]:
    return [f"({a.name})", "", ""] if a.name == c.reference else a.name.split(" ")


def _thousand(value):
    return None if value is None else 1000 * value
