#!/usr/bin/python3
"""
Runs programs on hz3 for a long time, all at once, and watches their memory.

After a warm-up (a fifth of the time) RSS must not grow, and at every sample it must stay within a bound of the bytes that
are live.  Growth is Theil and Sen's slope with 99 % bounds.  A run of an hour and more fails if the slope is over 1 % of
RSS an hour, by its lower bound or by itself; a shorter one, which cannot see that, if the lower bound says that RSS grew by
more than a quarter in the time that was measured.

Samples, a report and, if there is gnuplot, a plot are left in the directory of results.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(os.environ["HZ3_SRCDIR"], "bench")))

from jobs import CONTROLS, JOBS, Job, Place
from lab.errors import LabError
from lab.measured import Crashed, no_core_dumps
from slope import Slope, theil_sen

WARM_UP = 0.2
HOUR = 3600.0
LONG = HOUR             # from here on the promise is tested as it is given
PER_HOUR = 0.01
GROWTH = 0.25           # in all, of a run that is too short for that

# RSS may be so much over what the program had at its start: RATIO times the most that was live in the last LOOK_BACK
# seconds (free memory stays for a second: dirty_decay_ms), PER_HEAP for the pages that a heap has begun in each class, and
# SLACK for 16 MiB of free memory that are kept (dirty_max) and 8 MiB in remote buffers.  Heaps are bounded in turn, by the
# most threads that there were at once.
RATIO = 1.5
LOOK_BACK = 5.0
PER_HEAP = 2 << 20
SLACK = 24 << 20
HEAPS_PER_THREAD = 3
HEAPS_MORE = 8


@dataclass(frozen=True)
class Sample:
    seconds: float
    rss: int
    allocated: int
    active: int
    metadata: int
    heaps: int
    threads: int


@dataclass(frozen=True)
class Verdict:
    job: str
    problems: list[str]
    text: str


def read(path: Path) -> list[Sample]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [Sample(float(fields[0]), *map(int, fields[1:])) for fields in map(str.split, lines) if len(fields) == 7]


def steady(samples: list[Sample]) -> list[Sample]:
    """Without the warm-up, and without the very end, when workloads give their memory back."""
    last = samples[-1].seconds
    return [s for s in samples if last * WARM_UP <= s.seconds <= last * 0.98]


def growth(samples: list[Sample]) -> tuple[list[str], str]:
    hours = (samples[-1].seconds - samples[0].seconds) / HOUR
    level = median(s.rss for s in samples)
    slope = theil_sen([(s.seconds / HOUR, s.rss / level) for s in samples])
    text = f"{100 * slope.middle:+.2f} % an hour ({100 * slope.low:+.2f} to {100 * slope.high:+.2f})"
    return _too_steep(slope, hours, text), text


def _too_steep(slope: Slope, hours: float, text: str) -> list[str]:
    if hours * HOUR >= LONG * (1 - WARM_UP) * 0.97:
        return [f"RSS grows by {text}"] if max(slope.low, slope.middle) > PER_HOUR else []
    if slope.low * hours > GROWTH:
        return [f"RSS grew by {100 * slope.middle * hours:.0f} % (at least {100 * slope.low * hours:.0f}) in {hours * HOUR:.0f} s"]
    return []


def bound(samples: list[Sample], i: int, base: int) -> float:
    now = samples[i]
    live = now.allocated
    while i > 0 and samples[i - 1].seconds >= now.seconds - LOOK_BACK:
        i -= 1
        live = max(live, samples[i].allocated)
    return base + RATIO * live + PER_HEAP * now.heaps + SLACK


def beyond_bound(samples: list[Sample]) -> list[str]:
    base = samples[0].rss
    worst = max(range(len(samples)), key=lambda i: samples[i].rss - bound(samples, i, base))
    s, limit = samples[worst], bound(samples, worst, base)
    if s.rss <= limit:
        return []
    return [f"at {s.seconds:.0f} s RSS is {s.rss / 2**20:.1f} MiB, over the bound of {limit / 2**20:.1f} MiB "
            f"({s.allocated / 2**20:.1f} MiB live)"]


def too_many_heaps(samples: list[Sample]) -> list[str]:
    threads, heaps = max(s.threads for s in samples), samples[-1].heaps
    if heaps <= HEAPS_PER_THREAD * threads + HEAPS_MORE:
        return []
    return [f"{heaps} heaps for at most {threads} threads at a time"]


def judge(job: Job, place: Place, error: str) -> Verdict:
    samples = read(job.samples(place))
    problems = [error] if error else []
    if len(samples) < 12:
        return Verdict(job.name, problems + [f"only {len(samples)} samples"], "")
    middle = steady(samples)
    grown, text = growth(middle)
    rss, live = median(s.rss for s in middle), median(s.allocated for s in middle)
    text = (f"RSS {rss / 2**20:.1f} MiB (at most {max(s.rss for s in samples) / 2**20:.1f}), "
            f"{live / 2**20:.1f} MiB live, {samples[-1].heaps} heaps, {len(samples)} samples, {text}")
    return Verdict(job.name, problems + grown + beyond_bound(samples) + too_many_heaps(samples), text)


def run_all(jobs: list[Job], place: Place) -> list[Verdict]:
    errors = {job.name: "" for job in jobs}

    def one(job: Job) -> None:
        try:
            job.run(place)
        except Crashed as crash:
            errors[job.name] = f"killed by signal {crash.number}"
        except (LabError, OSError) as error:
            errors[job.name] = str(error)

    threads = [threading.Thread(target=one, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [judge(job, place, errors[job.name]) for job in jobs]


def plot(jobs: list[Job], place: Place) -> None:
    if shutil.which("gnuplot") is None:
        return
    curves = ", ".join(f"'{job.samples(place).name}' using ($1/60):(${column}/2**20) with lines lc {i + 1} dt {dash} "
                       f"title '{job.name}, {what}'" for i, job in enumerate(jobs)
                       for column, dash, what in ((2, 1, "RSS"), (3, 2, "live")))
    script = ("set terminal svg size 1000,600 background 'white'\nset output 'soak.svg'\nset key outside\n"
              "set xlabel 'minutes'\nset ylabel 'MiB'\nset yrange [0:]\nset grid\nplot " + curves + "\n")
    subprocess.run(["gnuplot"], input=script, text=True, cwd=place.results, stderr=subprocess.DEVNULL, check=False)


def parse_options() -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-t", dest="seconds", type=float, default=7200, help="how long (7200)")
    p.add_argument("-o", dest="results", type=Path, default=Path("soak-results"), help="a directory, which must not be there")
    p.add_argument("-c", dest="controls", action="store_true", help="also the negative controls, which must be found out")
    p.add_argument("names", nargs="*", help="jobs (all): " + " ".join(job.name for job in JOBS))
    options = p.parse_args()
    for name in options.names:
        if name not in [job.name for job in JOBS]:
            p.error(f"there is no job {name}")
    return options


def main() -> int:
    options = parse_options()
    build, lib = Path(os.environ["HZ3_BUILDDIR"]), os.environ["HZ3_LIB"]
    no_core_dumps()
    options.results.mkdir()
    place = Place(build, f"{build}/test/soak/.libs/libprobe.so:{lib}", lib, os.environ.get("HZ3_CONF", ""),
                  options.results, options.seconds, 100 if options.seconds < 300 else 500 if options.seconds < LONG else 2000)
    jobs = [job for job in JOBS if not options.names or job.name in options.names]
    controls = CONTROLS if options.controls else []
    for job in jobs:
        if job.missing():
            print(f"{job.name}: not run, there is no {job.missing()}")
    jobs = [job for job in jobs if not job.missing()]
    verdicts = run_all(jobs + controls, place)
    plot(jobs, place)

    failed = 0
    for job, verdict in zip(jobs + controls, verdicts):
        print(f"{verdict.job}: {verdict.text}")
        expected = [p for p in verdict.problems if job.found_by and job.found_by in p]
        unexpected = [p for p in verdict.problems if p not in expected and not (job.found_by and p.startswith("RSS gr"))]
        for problem in expected:
            print(f"  as it should be: {problem}")
        for problem in unexpected:
            print(f"  FAIL: {problem}")
        if job.found_by and not expected:
            unexpected.append("nothing is said of a program that misbehaves on purpose")
            print(f"  FAIL: {unexpected[-1]}")
        failed += bool(unexpected)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
