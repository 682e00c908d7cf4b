"""One run: a variant under an allocator, and what came of it."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Optional

from lab import places
from lab.allocators import Allocator, environment, is_wanted
from lab.errors import LabError
from lab.limits import time_limit
from lab.lines import Line, Value
from lab.processes import Outcome, run_group
from lab.variants import Variant

GOOD = ("ok", "unavailable")

# The duration at which a real program's job has the size that is asked of it by default.
_USUAL_SECONDS = 0.4


@dataclass(frozen=True)
class Settings:
    """What all runs have in common."""

    binaries: Path
    scratch: Path
    seconds: float
    idle: float
    idle_rounds: int
    seed: int
    latency: bool

    def idle_in(self, round_number: int) -> float:
        """The time between the end of the work and the last look at memory, in a round counted from 1."""
        return self.idle if round_number <= self.idle_rounds else 0

    def scale(self) -> float:
        """How large the jobs of real programs are."""
        return self.seconds / _USUAL_SECONDS


@dataclass(frozen=True)
class Run:
    """status is ok, crash, timeout, wrong, failed or unavailable; hz3 is the section "remote" of hz3's statistics."""

    variant: str
    allocator: str
    round: int
    status: str
    detail: str = ""
    values: dict[str, Value] = field(default_factory=dict)
    hz3: Optional[dict] = None


def expected_seconds(variant: Variant, settings: Settings, round_number: int) -> float:
    """About what a run takes."""
    if variant.workload == "programs":
        return 1.2 * settings.scale()
    return 1.1 * settings.seconds + settings.idle_in(round_number) + 0.05


def run(variant: Variant, allocator: Allocator, settings: Settings, round_number: int) -> Run:
    with TemporaryDirectory(dir=settings.scratch) as directory:
        outcome = run_group(_command(variant, settings, round_number),
                            _environment(variant, allocator, settings, directory),
                            time_limit(expected_seconds(variant, settings, round_number)))
        statistics = _hz3_statistics(Path(directory))
    if os.strerror(errno.ENOSPC) in outcome.stderr:
        raise LabError(_first_line(outcome.stderr))
    line = Line.parse(outcome.stdout)
    status, detail = judge(outcome, line, allocator.lib)
    # Links resolved: ld.so has several names for a file.
    values = {**line.values, "lib": os.path.realpath(line.lib)} if line else {}
    return Run(variant.name, allocator.name, round_number, status, detail, values, statistics)


def judge(outcome: Outcome, line: Optional[Line], lib: str) -> tuple[str, str]:
    """The status of a run that should have had its malloc from lib, and a few words on it."""
    complaint = _first_line(outcome.stderr)
    if outcome.status is None:
        return "timeout", "it did not end in time"
    if outcome.status < 0:
        return "crash", ": ".join(filter(None, (signal_name(-outcome.status), complaint)))
    if line is None or outcome.status not in (0, 1):
        if "unavailable" in complaint:
            return "unavailable", complaint
        return "failed", complaint or f"exit status {outcome.status} without a word"
    if not is_wanted(lib, line.lib):
        return "failed", f"malloc came from {line.lib}"
    if line.errors or outcome.status != 0:
        return "wrong", f"{line.errors} errors"
    if line.values.get("ops") == 0:
        return "failed", "not one operation in its time: the machine is too busy"
    return "ok", ""


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _command(variant: Variant, settings: Settings, round_number: int) -> list[str]:
    program = str(places.binary(settings.binaries, variant.workload))
    if variant.workload == "programs":
        return [sys.executable, program, *variant.args, "-t", f"{settings.scale():g}"]
    return [program, *variant.args, "-t", f"{settings.seconds:g}", "-i", f"{settings.idle_in(round_number):g}",
            "-S", str(settings.seed), *(["-l"] if settings.latency else [])]


def _environment(variant: Variant, allocator: Allocator, settings: Settings, directory: str) -> dict[str, str]:
    """The driver of real programs is not measured itself, and is told what to preload."""
    conf = allocator.settings(f"stats_file:{directory}/%p.json")
    if variant.workload != "programs":
        return environment(allocator.preload, conf)
    # A program may bring a malloc of its own (redis: jemalloc), so that glibc's, too, has to be preloaded.
    env = environment(allocator.lib, conf, "BENCH_PRELOAD")
    env.update(HZ3_BENCH_DIR=str(settings.binaries), BENCH_DATA=str(settings.scratch / "data"))
    return env


def _hz3_statistics(directory: Path) -> Optional[dict]:
    """Of the process that freed the most blocks remotely, if hz3 wrote any statistics."""
    found = []
    for path in directory.glob("*.json"):
        try:
            found.append(json.loads(path.read_text())["remote"])
        except (OSError, ValueError, KeyError):
            pass
    return max(found, key=lambda remote: remote.get("blocks", 0), default=None)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
