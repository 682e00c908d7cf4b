"""How long a run may take."""

from __future__ import annotations

import os

from lab.errors import LabError


def time_limit(expected: float) -> float:
    """Seconds until a run that should take so many is stopped; HZ3_BENCH_TIMEOUT replaces the rule."""
    given = os.environ.get("HZ3_BENCH_TIMEOUT")
    if not given:
        return 20 + 10 * expected
    try:
        limit = float(given)
    except ValueError:
        limit = 0
    if not 0 < limit <= 86400:
        raise LabError(f"HZ3_BENCH_TIMEOUT wants a number of seconds, not {given}")
    return limit
