"""What a comparison says while it runs, on standard error."""

from __future__ import annotations

import shutil
import sys
import time

from lab.runs import Run
from lab.variants import Variant


class Progress:
    """One line that is rewritten on a terminal; else a line for each round of a variant."""

    def __init__(self, runs: int, seconds: float):
        self._live = sys.stderr.isatty()
        self._runs = runs
        self._done = 0
        self._expected = seconds
        self._expected_done = 0.0
        self._start = time.monotonic()

    def begin(self, round_number: int, rounds: int, variant: str, allocator: str) -> None:
        if self._live:
            self._rewrite(f"[{self._done + 1}/{self._runs}] round {round_number} of {rounds}: "
                          f"{variant} under {allocator}, {self._left()}")

    def end(self, expected: float) -> None:
        """A run is over that was expected to take so long."""
        self._done += 1
        self._expected_done += expected

    def row(self, round_number: int, rounds: int, variant: Variant, runs: list[Run]) -> None:
        """A variant has run under all allocators in this round."""
        if not self._live:
            told = ", ".join(f"{run.allocator} {_told(run, variant)}" for run in runs)
            print(f"round {round_number} of {rounds}: {variant.name}: {told}; {self._left()}", file=sys.stderr, flush=True)

    def finish(self) -> None:
        if self._live:
            self._rewrite("")

    def _rewrite(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{text[:width]}\033[K", end="", file=sys.stderr, flush=True)

    def _left(self) -> str:
        if not self._done:
            return f"about {_duration(self._expected)} left"
        mean = (time.monotonic() - self._start) / self._expected_done
        return f"{_duration(mean * (self._expected - self._expected_done))} left"


def _told(run: Run, variant: Variant) -> str:
    if run.status != "ok":
        return run.status
    if variant.unit == "s":
        return f"{run.values.get('seconds', 0):.2f} s"
    return f"{run.values.get('ops_per_second', 0) / 1e6:.1f}"


def _duration(seconds: float) -> str:
    seconds = max(0, round(seconds))
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"
