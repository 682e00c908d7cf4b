"""A comparison: its rounds, in which every variant runs under every allocator, and all that they gave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterator

from lab import figures
from lab.allocators import Allocator, runs_in
from lab.progress import Progress
from lab.runs import GOOD, Run, Settings, expected_seconds, run
from lab.variants import Variant


@dataclass
class Comparison:
    settings: Settings
    rounds: int
    quick: bool
    reference: str
    allocators: list[Allocator]
    variants: list[Variant]
    runs: list[Run] = field(default_factory=list)

    def execute(self) -> None:
        """
        Run everything.  Rounds are interleaved, and the allocators take turns in being first, so that a change of the
        machine's mood hits all alike.  Runs are kept as they come, for whoever is interrupted.
        """
        expected = [expected_seconds(v, self.settings, r) for r, v in self._rows() for _ in self.allocators_of(v)]
        progress = Progress(len(expected), sum(expected))
        try:
            for round_number, variant in self._rows():
                row = []
                for allocator in _rotated(self.allocators_of(variant), round_number - 1):
                    progress.begin(round_number, self.rounds_of(variant), variant.name, allocator.name)
                    row.append(run(variant, allocator, self.settings, round_number))
                    self.runs.append(row[-1])
                    progress.end(expected_seconds(variant, self.settings, round_number))
                progress.row(round_number, self.rounds_of(variant), variant, row)
        finally:
            progress.finish()

    def allocators_of(self, variant: Variant) -> list[Allocator]:
        return [a for a in self.allocators if runs_in(a, variant.group)]

    def rounds_of(self, variant: Variant) -> int:
        """Real programs take too long for more than one round of a quick comparison."""
        return 1 if self.quick and variant.workload == "programs" else self.rounds

    def runs_of(self, variant: Variant, allocator: Allocator) -> list[Run]:
        return [r for r in self.runs if (r.variant, r.allocator) == (variant.name, allocator.name)]

    def ratios(self, variant: Variant, allocator: Allocator) -> list[float]:
        """How many times as fast as the reference, round by round."""
        return figures.ratios(self._speeds(variant, allocator.name), self._speeds(variant, self.reference),
                              variant.unit == "s")

    def all_good(self) -> bool:
        return all(r.status in GOOD for r in self.runs)

    def _speeds(self, variant: Variant, allocator: str) -> dict[int, float]:
        found = ((r.round, figures.speed(r, variant)) for r in self.runs
                 if (r.variant, r.allocator) == (variant.name, allocator))
        return {number: speed for number, speed in found if speed is not None}

    def _rows(self) -> Iterator[tuple[int, Variant]]:
        for round_number in range(1, self.rounds + 1):
            for variant in self.variants:
                if round_number <= self.rounds_of(variant):
                    yield round_number, variant


def _rotated(allocators: list[Allocator], by: int) -> list[Allocator]:
    by %= len(allocators) or 1
    return allocators[by:] + allocators[:by]
