"""What the counts say of machines with more processors than this one (bench/s121 scale)."""

from __future__ import annotations

from typing import Iterable, Optional

from lab import figures
from lab.allocators import Allocator
from lab.builds import Build
from lab.comparison import Comparison
from lab.experiment import Bench, median, show, table
from lab.variants import Variant

THREADS = (4, 16, 64, 256)
WORKLOADS = (
    ("xmalloc 64 B", "xmalloc", "-w {half} -s 64"),
    ("xmalloc mixed", "xmalloc", "-w {half} -s mixed"),
    ("mixed R50", "mixed", "-w {all} -r 50 -s 16-2048"),
    ("msgpass NxN", "msgpass", "-p mesh -w {all}"),
)
SINKS = ("central", "page")

# Nanoseconds for a modified line to reach another core: between cores of one die, of one socket, of two sockets.  Rounded from
# published measurements of server processors; doc/s121.md names them.
LATENCY = {16: 50, 64: 100, 256: 200}

# Nanoseconds of one malloc and free whose lines are in the cache, per block; and of a locked instruction itself.
WORK = 8
LOCKED = 6

# Lines that move from core to core for every block, whatever the allocator does: the block's own, from the thread that
# fills it to the one that frees it (the workload's doing), and back to the one that allocates it again.
BLOCK_LINES = 1

# What the question pack's design pays per block: 3 read-modify-writes on a push (2 to 4), all on lines that move.
PACK_RMW = 3


def variants(quick: bool) -> list[Variant]:
    threads = THREADS[:2] if quick else THREADS
    return [Variant(f"{name}, {n}", workload, tuple(args.format(half=n // 2, all=n).split()), "remote", name, x=n)
            for name, workload, args in WORKLOADS for n in threads]


def allocators(bench: Bench) -> list[Allocator]:
    return [bench.built(sink, Build("stats-on"), f"sink:{sink}") for sink in SINKS]


def report(c: Comparison) -> Iterable[str]:
    yield "\n### Counts by threads\n"
    yield from _counts(c)
    yield "\n### Predicted nanoseconds a block, for its thread\n"
    yield from _predictions(c)


def line_hand_overs(rmw: float) -> float:
    """
    Lines that the allocator moves between cores for a block: the block's own, back to its owner, and the shared word of every
    read-modify-write, which another core had last.
    """
    return BLOCK_LINES + rmw


def nanoseconds(rmw: float, latency: float) -> float:
    return WORK + line_hand_overs(rmw) * latency + rmw * LOCKED


def _counts(c: Comparison) -> Iterable[str]:
    threads = sorted({v.x for v in c.variants})
    rows = []
    for (name, _, _), a in ((w, a) for w in WORKLOADS for a in c.allocators):
        rmw = [_rmw(c, name, a, n) for n in threads]
        rows.append([name, a.name, *(show(x, ".4f") for x in rmw),
                     *(show(None if x is None else line_hand_overs(x), ".3f") for x in rmw)])
    return table(["", "sink", *(f"RMW per block, {n} threads" for n in threads),
                  *(f"lines per block, {n}" for n in threads)], rows, 2)


def _predictions(c: Comparison) -> Iterable[str]:
    most = max(v.x for v in c.variants)
    rows = []
    for (name, _, _), a in ((w, a) for w in WORKLOADS for a in c.allocators):
        rmw = _rmw(c, name, a, most)
        rows.append([name, a.name, show(rmw, ".4f"),
                     *(show(None if rmw is None else nanoseconds(rmw, ns)) for ns in LATENCY.values()),
                     *(show(_saturation(rmw, ns), ".0f") for ns in LATENCY.values())])
    rows.append(["any", "the pack's", show(PACK_RMW, ".4f"), *(show(nanoseconds(PACK_RMW, ns)) for ns in LATENCY.values()),
                 *(show(_saturation(PACK_RMW, ns), ".0f") for ns in LATENCY.values())])
    head = ["", "sink", "RMW per block", *(f"ns, {n} cores" for n in LATENCY),
            *(f"M frees/s into one owner at most, {n} cores" for n in LATENCY)]
    return table(head, rows, 2)


def _saturation(rmw: Optional[float], latency: float) -> Optional[float]:
    """
    Where frees into a single owner would queue up: all its read-modify-writes on one word, one after the other.  In millions
    a second.
    """
    return None if not rmw else 1e3 / (rmw * latency)


def _rmw(c: Comparison, name: str, a: Allocator, threads: int) -> Optional[float]:
    v = next(v for v in c.variants if v.title == name and v.x == threads)
    return median(c, v, a, figures.rmw_per_block)
