"""The slope of a noisy series, and how sure it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, median

_BLOCKS_MAX = 200   # of averaged samples: all pairs of them are looked at
_SURE = 2.576       # standard deviations either way: 99 %


@dataclass(frozen=True)
class Slope:
    """Per unit of time; low and high enclose the true one with a probability of 99 %."""

    middle: float
    low: float
    high: float


def blocks(samples: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means of neighbours, few enough to compare each with each, and less dependent on each other than single samples."""
    size = max(1, math.ceil(len(samples) / _BLOCKS_MAX))
    parts = [samples[i:i + size] for i in range(0, len(samples) - size + 1, size)]
    return [(fmean(t for t, _ in part), fmean(y for _, y in part)) for part in parts]


def theil_sen(samples: list[tuple[float, float]]) -> Slope:
    """
    The median of the slopes of all pairs, which outliers don't move, with Sen's bounds: the ranks around the middle
    that Kendall's statistic allows if there is no trend but this one.
    """
    points = blocks(samples)
    n = len(points)
    if n < 8:
        raise ValueError(f"{n} points are too few for a slope")
    slopes = sorted((y2 - y1) / (t2 - t1) for i, (t1, y1) in enumerate(points) for t2, y2 in points[i + 1:])
    reach = _SURE * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(0, int((len(slopes) - reach) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + reach) / 2))
    return Slope(median(slopes), slopes[low], slopes[high])
