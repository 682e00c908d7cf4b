"""Numbers from runs: medians, ratios within rounds, verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import Callable, Iterable, Optional

from lab.runs import Run
from lab.variants import Variant

ROUNDS_FOR_VERDICT = 3


@dataclass(frozen=True)
class Spread:
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Optional[Spread]:
        known = sorted(values)
        return cls(median(known), known[0], known[-1]) if known else None


def speed(run: Run, variant: Variant) -> Optional[float]:
    """What is shown and compared: operations in a second, or seconds; None if the run gave none."""
    value = run.values.get("seconds" if variant.unit == "s" else "ops_per_second")
    return value if run.status == "ok" and isinstance(value, (int, float)) and value > 0 else None


def ratios(own: dict[int, float], reference: dict[int, float], lower_is_better: bool) -> list[float]:
    """How many times as fast as the reference, in each round that has both; the keys are rounds."""
    pairs = [(own[r], reference[r]) for r in sorted(own) if r in reference]
    return [b / a if lower_is_better else a / b for a, b in pairs]


def verdict(pairwise: list[float]) -> str:
    """Whether all rounds agree on who is faster; "-" with too few rounds to tell."""
    if len(pairwise) < ROUNDS_FOR_VERDICT:
        return "-"
    if min(pairwise) > 1:
        return "faster"
    return "slower" if max(pairwise) < 1 else "tie"


def geometric_mean(values: list[float]) -> Optional[float]:
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if values else None


def middle(runs: Iterable[Run], figure: Callable[[Run], Optional[float]]) -> Optional[float]:
    """The median of a figure over the runs that have it."""
    known = [value for value in map(figure, runs) if value is not None]
    return median(known) if known else None


def number(run: Run, key: str) -> Optional[float]:
    value = run.values.get(key)
    return value if isinstance(value, (int, float)) else None


def cpu_per_million(run: Run) -> Optional[float]:
    """Processor seconds for a million operations."""
    cpu, ops = number(run, "cpu_seconds"), number(run, "ops")
    return cpu / ops * 1e6 if cpu is not None and ops else None


def blocks_per_chain(run: Run) -> Optional[float]:
    return _share(run, "blocks", "chains")


def blocks_per_page_drain(run: Run) -> Optional[float]:
    return _share(run, "drained_blocks", "page_drains")


def rmw_per_block(run: Run) -> Optional[float]:
    """Read-modify-writes: those of pushing per block sent, and those of draining per block received."""
    push, drain = _share(run, "rmw_push", "blocks"), _share(run, "rmw_drain", "drained_blocks")
    return None if push is None else push + (drain or 0)


def handed_over_percent(run: Run) -> Optional[float]:
    """The part of remotely freed blocks that changed hands as whole pages, without a message."""
    share = _share(run, "handover_blocks", "blocks")
    return None if share is None else 100 * share


def _share(run: Run, part: str, whole: str) -> Optional[float]:
    if not run.hz3 or not run.hz3.get(whole):
        return None
    return run.hz3.get(part, 0) / run.hz3[whole]
