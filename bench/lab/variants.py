"""What is measured: a variant is a workload with its arguments, and belongs to a group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Iterable, Optional

from lab.errors import LabError

GROUPS = {
    "remote": "blocks that one thread makes and another frees",
    "local": "blocks that their own thread frees",
    "life": "threads that are born and die",
    "memory": "memory that is used and given back",
    "programs": "real programs",
}


@dataclass(frozen=True)
class Variant:
    """series and x place it in a plot of threads against throughput; quick_args replace args in quick comparisons."""

    name: str
    workload: str
    args: tuple[str, ...]
    group: str
    title: str
    quick: bool = False
    quick_args: Optional[tuple[str, ...]] = None
    series: Optional[str] = None
    x: Optional[int] = None

    @property
    def unit(self) -> str:
        """What is compared: operations in a second, or the seconds that a fixed job takes."""
        return "s" if self.group == "programs" else "ops/s"

    def answers_to(self, name: str) -> bool:
        return name in (self.name, self.workload, self.group)


def _variant(name: str, args: str, group: str, title: str, **more) -> Variant:
    """A variant of the workload that its name begins with."""
    return Variant(name, name.split("-")[0], tuple(args.split()), group, title, **more)


def _remote() -> Iterable[Variant]:
    group = "remote"
    for n in (1, 2, 4, 8, 16, 32):
        yield _variant(f"xmalloc-64-{n}", f"-w {n} -s 64", group, f"producers and consumers, {n} of each, 64 bytes",
                       quick=n in (2, 16), series="xmalloc-64", x=n)
    for n in (2, 16):
        yield _variant(f"xmalloc-mixed-{n}", f"-w {n} -s mixed", group,
                       f"producers and consumers, {n} of each, 8 to 2048 bytes", quick=n == 16,
                       series="xmalloc-mixed", x=n)
    for n in (4, 8, 64):
        yield _variant(f"msgpass-mesh-{n}", f"-p mesh -w {n}", group, f"{n} threads, each sends messages to all others",
                       quick=n == 8, series="msgpass-mesh", x=n)
    yield _variant("msgpass-ring-8", "-p ring -w 8", group, "8 threads in a ring pass messages on")
    yield _variant("pipeline-4", "-k 4 -w 2", group, "blocks pass through 4 stages of 2 threads", quick=True)
    yield _variant("fanin-8", "-w 8", group, "8 threads make what one frees", quick=True)
    yield _variant("fanout-8", "-w 8", group, "one thread makes what 8 free", quick=True)
    yield _variant("allremote-4", "-w 4", group, "4 threads free only what others made", quick=True)
    yield _variant("freeonly-4", "-w 4", group, "4 threads free and never allocate", quick=True)
    yield _variant("idleowner-2", "-w 2 -m 32", group, "an owner sleeps while 2 threads free its 32 MiB")
    for r in (10, 50, 90, 100):
        yield _variant(f"mixed-r{r}", f"-w 4 -r {r} -s 16-2048", group, f"4 threads, {r} % of frees remote, to 2 KiB",
                       quick=r == 50)
    for kib in (32, 128):
        yield _variant(f"mixed-r50-{kib}k", f"-w 4 -r 50 -s 16-{kib * 1024}", group,
                       f"4 threads, 50 % of frees remote, to {kib} KiB")


def _local() -> Iterable[Variant]:
    group = "local"
    yield _variant("mixed-r0", "-w 4 -r 0 -s 16-2048", group, "4 threads, no remote frees, to 2 KiB")
    yield _variant("local-pairs-64", "-p pairs -s 64", group, "malloc, free at once, 64 bytes", quick=True)
    yield _variant("local-lifo-64", "-p lifo -s 64", group, "many blocks, the newest freed first, 64 bytes")
    yield _variant("local-fifo-mixed", "-p fifo -s mixed", group, "many blocks, the oldest freed first, 8 to 2048 bytes")
    yield _variant("local-random-mixed", "-p random -s mixed", group, "many blocks freed in random order, 8 to 2048 bytes",
                   quick=True)
    yield _variant("local-random-mixed-4", "-p random -s mixed -w 4", group, "the same in 4 threads", quick=True)
    yield _variant("local-realloc", "-p realloc", group, "blocks that grow")
    yield _variant("local-calloc", "-p calloc", group, "zeroed blocks")
    yield _variant("local-aligned", "-p aligned", group, "aligned blocks")
    yield _variant("local-buffers", "-p buffers", group, "buffers of 4 to 64 KiB")
    yield _variant("local-buffers-4", "-p buffers -w 4", group, "buffers of 4 to 64 KiB in 4 threads")
    yield _variant("local-large", "-p large", group, "large blocks")
    yield _variant("local-large-4", "-p large -w 4", group, "large blocks in 4 threads")


def _life() -> Iterable[Variant]:
    yield _variant("server-16", "-w 16", "life", "threads die, their successors free what they left", quick=True)
    yield _variant("churn-8", "-w 8", "life", "threads come and go, their blocks outlive them", quick=True)


def _memory() -> Iterable[Variant]:
    group = "memory"
    yield _variant("frag", "", group, "survivors between blocks of changing sizes", quick=True)
    yield _variant("burst", "-m 256", group, "many blocks are made, freed, and idle", quick=True, quick_args=("-m", "64"))
    yield _variant("burst-cross", "-m 256 -x 1", group, "many blocks are made, freed by another thread, and idle")


def _programs() -> Iterable[Variant]:
    titles = {
        "redis": "redis-server under redis-benchmark",
        "sqlite": "sqlite3 in memory: inserts, an index, queries",
        "lua": "lua: tables and strings",
        "python": "python3 with PYTHONMALLOC=malloc: dictionaries, lists and strings",
        "cc1": "gcc's cc1 -O2 on a large file",
        "sort": "sort --parallel=2",
        "xz": "xz -T2",
        "zstd": "zstd -T2",
    }
    for name, title in titles.items():
        yield Variant(name, "programs", (name,), "programs", title, quick=name in ("lua", "sqlite"))


VARIANTS = (*_remote(), *_local(), *_life(), *_memory(), *_programs())


def choose(names: list[str], quick: bool) -> list[Variant]:
    """
    The variants of these names (of variants, workloads or groups; none: all), in the table's order.

    A quick comparison takes of a workload or group the quick variants, if it has any.
    """
    chosen: set[str] = set()
    for name in names or list(GROUPS):
        answering = [v for v in VARIANTS if v.answers_to(name)]
        if not answering:
            raise LabError(f"there is no workload {name}; there are {', '.join(known_names())}")
        if quick:
            answering = [v for v in answering if v.quick] or answering
        chosen.update(v.name for v in answering)
    return [_for_quick(v) if quick else v for v in VARIANTS if v.name in chosen]


def known_names() -> list[str]:
    """Groups and workloads, without repeating a name; the real programs by theirs."""
    workloads = [v.name if v.group == "programs" else v.workload for v in VARIANTS]
    return list(dict.fromkeys([*GROUPS, *workloads]))


def _for_quick(variant: Variant) -> Variant:
    if variant.quick_args is None:
        return variant
    return replace(variant, args=variant.quick_args)
