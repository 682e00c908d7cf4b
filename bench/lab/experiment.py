"""What the experiments of bench/s121 share: how they are run, and tables in Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Callable, Iterable, Optional

from lab import builds, figures, places
from lab.allocators import Allocator, probe
from lab.comparison import Comparison
from lab.errors import LabError
from lab.figures import Spread
from lab.runs import Run, Settings
from lab.variants import Variant


@dataclass(frozen=True)
class Bench:
    """Where things are and how long they take."""

    binaries: Path
    workdir: Path
    rounds: int
    seconds: float

    def loaded(self, allocator: Allocator) -> Allocator:
        found, problem = probe(allocator, places.probe_binary(self.binaries))
        if problem:
            raise LabError(f"{allocator.preload} does not load: {problem}")
        return found

    def built(self, name: str, build: builds.Build, conf: str = "") -> Allocator:
        """An allocator that is a build of hz3."""
        return self.loaded(Allocator(name, builds.make(build, self.workdir), conf))

    def compare(self, variants: list[Variant], allocators: list[Allocator], reference: str) -> Comparison:
        with TemporaryDirectory() as scratch:
            settings = Settings(self.binaries, Path(scratch), self.seconds, idle=0, idle_rounds=0, seed=1, latency=False)
            comparison = Comparison(settings, self.rounds, False, reference, allocators, variants)
            comparison.execute()
        return comparison


Figure = Callable[[Run], Optional[float]]


def per_block(*keys: str) -> Figure:
    """The sum of some of hz3's counters per remote block; a key with a minus before it is taken off."""
    def figure(run: Run) -> Optional[float]:
        if not run.hz3 or not run.hz3.get("blocks"):
            return None
        counters = ((-1, key[1:]) if key.startswith("-") else (1, key) for key in keys)
        return sum(sign * run.hz3.get(key, 0) for sign, key in counters) / run.hz3["blocks"]
    return figure


def median(comparison: Comparison, variant: Variant, allocator: Allocator, figure: Figure) -> Optional[float]:
    return figures.middle((run for run in comparison.runs_of(variant, allocator) if run.status == "ok"), figure)


def speed(variant: Variant) -> Figure:
    """Millions of operations in a second."""
    def figure(run: Run) -> Optional[float]:
        value = figures.speed(run, variant)
        return None if value is None else value / 1e6
    return figure


def ratio(comparison: Comparison, variant: Variant, allocator: Allocator) -> str:
    """The median ratio to the reference with its spread, "=" if it is a tie; what went wrong if anything did."""
    bad = sorted({run.status for run in comparison.runs_of(variant, allocator) if run.status != "ok"})
    if bad:
        return ", ".join(bad)
    pairwise = comparison.ratios(variant, allocator)
    spread = Spread.of(pairwise)
    if spread is None:
        return "-"
    if allocator.name == comparison.reference:
        return "1"
    tie = " =" if figures.verdict(pairwise) == "tie" else ""
    return f"{spread.median:.2f} ({spread.low:.2f}-{spread.high:.2f}){tie}"


def show(value: Optional[float], form: str = ".1f") -> str:
    return "-" if value is None else f"{value:{form}}"


def table(head: list[str], rows: Iterable[list[str]], words: int = 1) -> Iterable[str]:
    """In Markdown; the first columns hold words, the others numbers."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "|".join("---" if i < words else "--:" for i in range(len(head))) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"
