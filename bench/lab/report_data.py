"""What bench/report reads: files of results and of instructions, checked once and turned into figures.

A *cell* is one allocator on one workload: all its runs.  Nothing here knows how a page or a plot looks.  Whatever is
missing from a file is None or empty from here on; only what makes a file unusable raises LabError.
"""

import json

from lab import figures
from lab.errors import LabError
from lab.results import FORMAT as RESULTS_FORMAT
from lab.runs import Run

INSTRUCTIONS_FORMAT = "hz3-instructions-1"

# Groups in the order of the page.
GROUPS = {"remote": "Remote frees", "local": "Local frees", "life": "Lives of threads", "memory": "Memory",
          "programs": "Programs"}

# What a run can end as, best first; "ok" is the only one that has figures.
STATUSES = ("ok", "unavailable", "failed", "timeout", "wrong", "crash")
STATUS_WORDS = {"unavailable": "not available", "failed": "failed", "timeout": "time-out",
                "wrong": "wrong contents", "crash": "crash"}


def number(value):
    """The value as a float, or None if it is no number, or one so large that nothing here can have measured it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < 1e30 else None


def text(value):
    """The value as a string; an empty one for None."""
    return "" if value is None else str(value)


def objects(parent, key):
    """The objects in the list under a key: anything else in it is passed over."""
    found = parent.get(key, [])
    if not isinstance(found, list):
        raise ValueError("'%s' is not a list" % key)
    return [item for item in found if isinstance(item, dict)]


def members(parent, key):
    """The object under a key, or an empty one."""
    found = parent.get(key)
    return found if isinstance(found, dict) else {}


def load(path, wanted, maker):
    """Read a JSON file of the wanted format and make something of it."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except OSError as error:
        raise LabError("cannot read %s: %s" % (path, error.strerror)) from None
    except (ValueError, RecursionError) as error:
        raise LabError("%s is not JSON: %s" % (path, str(error).split("\n")[0])) from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != wanted:
        raise LabError("%s is not of the format %s%s" % (
            path, wanted, " but of %s" % found if isinstance(found, str) else ""))
    try:
        return maker(content)
    except ValueError as error:
        raise LabError("%s: %s" % (path, error)) from None


class Allocator:
    """A malloc that was run."""

    def __init__(self, content):
        self.name = text(content.get("name"))
        self.lib = text(content.get("lib"))
        self.version = text(content.get("version"))
        self.conf = text(content.get("conf"))
        self.ours = is_ours(self.name)


def is_ours(name):
    """True for a configuration of hz3."""
    return name == "hz3" or name.startswith("hz3-")


class Variant:
    """A workload with its arguments: what a row of the page is about."""

    def __init__(self, content):
        self.name = text(content.get("name"))
        self.workload = text(content.get("workload"))
        args = content.get("args")
        self.args = [text(a) for a in args] if isinstance(args, list) else []
        self.group = text(content.get("group")) or "remote"
        self.title = text(content.get("title")) or self.name
        self.unit = "s" if content.get("unit") == "s" else "ops/s"
        self.series = text(content.get("series"))
        self.x = number(content.get("x"))

    @property
    def seconds(self):
        """Whether seconds are measured, of which less is better."""
        return self.unit == "s"


def run_of(content):
    """A Run that has nothing in it but text and finite numbers."""
    status = text(content.get("status"))
    values = members(content, "values")
    values = {k: v for k, v in values.items() if isinstance(v, str) or number(v) is not None}
    counts = {k: v for k, v in members(content, "hz3").items() if number(v) is not None}
    return Run(text(content.get("variant")), text(content.get("allocator")), number(content.get("round")) or 0,
               status if status in STATUSES else "failed", text(content.get("detail")), values, counts or None)


def series(run, key):
    """A list of pairs from a value like "0.0:123,0.1:120,..."."""
    pairs = []
    for item in text(run.values.get(key)).split(","):
        x, _, y = item.partition(":")
        try:
            pairs.append((float(x), float(y)))
        except ValueError:
            continue
    return [(x, y) for x, y in pairs if number(x) is not None and number(y) is not None]


def cpu(variant):
    """What gives a run's processor seconds: for a program all, else for a million operations."""
    return (lambda run: figures.number(run, "cpu_seconds")) if variant.seconds else figures.cpu_per_million


def rmw_push(run):
    """Atomic read-modify-writes per block on its way to its owner."""
    counts = run.hz3 or {}
    return counts.get("rmw_push", 0) / counts["blocks"] if counts.get("blocks") else None


class Cell:
    """All runs of an allocator on a workload."""

    def __init__(self, variant):
        self.variant = variant
        self.runs = []

    @property
    def ok(self):
        """The runs that ended well."""
        return [r for r in self.runs if r.status == "ok"]

    @property
    def bad(self):
        """The runs that didn't, the worst first; not being available is no fault."""
        bad = [r for r in self.runs if r.status not in ("ok", "unavailable")]
        return sorted(bad, key=lambda r: -STATUSES.index(r.status))

    @property
    def complaint(self):
        """What went wrong, as in "crash (1 of 5)"; empty if nothing did."""
        worst = (self.bad or [r for r in self.runs if r.status != "ok"] or [None])[0]
        if worst is None:
            return ""
        same = sum(r.status == worst.status for r in self.runs)
        share = "" if same == len(self.runs) else " (%d of %d)" % (same, len(self.runs))
        return STATUS_WORDS[worst.status] + share

    @property
    def detail(self):
        """What the worst run said of its end."""
        return next((r.detail for r in self.bad + self.runs if r.status != "ok" and r.detail), "")

    def of(self, figure):
        """A figure of every good run that has it."""
        return [v for v in map(figure, self.ok) if v is not None]

    def median(self, figure):
        """The median of a figure, or of a value by its name; or None."""
        if isinstance(figure, str):
            return figures.middle(self.ok, lambda run: figures.number(run, figure))
        return figures.middle(self.ok, figure)

    def measures(self):
        """Operations per second or seconds of every good run."""
        return self.of(lambda run: figures.speed(run, self.variant))

    def by_round(self, figure):
        """A figure by round, where it is more than zero."""
        return {run.round: figure(run) for run in self.ok if (figure(run) or 0) > 0}


class Ratio(figures.Spread):
    """How one cell compares with another, pair by pair within rounds."""

    verdict = "-"

    @classmethod
    def between(cls, cell, reference, figure, lower_is_better=False):
        """Of a figure of two cells, in the rounds in which both have it; or None."""
        if cell is None or reference is None:
            return None
        pairs = figures.ratios(cell.by_round(figure), reference.by_round(figure), lower_is_better)
        made = cls.of(pairs)
        if made is not None:
            object.__setattr__(made, "verdict", figures.verdict(pairs))
        return made


class Results:
    """A file of results."""

    def __init__(self, content):
        self.command, self.date = text(content.get("command")), text(content.get("date"))
        self.host = members(content, "host")
        self.quick = content.get("quick") is True
        self.rounds, self.seconds = number(content.get("rounds")), number(content.get("seconds"))
        self.allocators = named(map(Allocator, objects(content, "allocators")))
        self.variants = named(map(Variant, objects(content, "variants")))
        self.cells = {}
        for run in objects(content, "runs"):
            self._add(run_of(run))
        self.reference = self._reference(text(content.get("reference")))

    def _add(self, run):
        """Put a run where it belongs; one of an unlisted workload or allocator is not lost, one of none is."""
        if not run.variant or not run.allocator:
            return
        variant = self.variants.setdefault(run.variant, Variant({"name": run.variant, "group": "other"}))
        self.allocators.setdefault(run.allocator, Allocator({"name": run.allocator}))
        self.cells.setdefault((run.variant, run.allocator), Cell(variant)).runs.append(run)

    def _reference(self, wanted):
        """The allocator that ratios are to: the wanted one, or else the one with most good cells."""
        def good(name):
            return sum(bool(self.cell(v, name) and self.cell(v, name).ok) for v in self.variants)
        if good(wanted) or not self.allocators:
            return wanted
        return max(self.allocators, key=good)

    def cell(self, variant, allocator):
        """The cell by its names, or None."""
        return self.cells.get((variant, allocator))

    def groups(self):
        """Names of the groups that have workloads, in order."""
        found = {v.group for v in self.variants.values()}
        return [g for g in GROUPS if g in found] + sorted(found - set(GROUPS))

    def of_group(self, *groups):
        """The workloads of some groups."""
        return [v for v in self.variants.values() if v.group in groups]

    def speed_ratio(self, variant, allocator, reference=None):
        """The ratio of speeds to the reference or another allocator, or None."""
        return Ratio.between(self.cell(variant.name, allocator), self.cell(variant.name, reference or self.reference),
                             lambda run: figures.speed(run, variant), variant.seconds)

    def value_ratio(self, variant, allocator, key):
        """The ratio of any other value, or None."""
        return Ratio.between(self.cell(variant.name, allocator), self.cell(variant.name, self.reference),
                             lambda run: figures.number(run, key))

    def fastest(self, variant, allocators):
        """The one with the best median among some allocators, or None."""
        medians = {}
        for name in allocators:
            cell = self.cell(variant.name, name)
            if cell is not None and cell.measures():
                medians[name] = figures.Spread.of(cell.measures()).median
        return (min if variant.seconds else max)(medians, key=medians.get) if medians else None

    def best_peer(self, variant):
        """The fastest allocator that is not ours, or None."""
        return self.fastest(variant, [n for n, a in self.allocators.items() if not a.ours])

    def standing(self, variant, allocator):
        """
        How one of ours stands against the best peer: (word, peer, Ratio), or None where there is nothing to compare.

        The word is a verdict, or "failed" if any of its runs went wrong.
        """
        cell, peer = self.cell(variant.name, allocator), self.best_peer(variant)
        if cell is not None and cell.bad:
            return "failed", peer, None
        ratio = self.speed_ratio(variant, allocator, peer) if peer else None
        return None if ratio is None else (ratio.verdict, peer, ratio)


def named(items):
    """A dictionary by name; things without one are passed over."""
    return {item.name: item for item in items if item.name}


class Instructions:
    """A file of instructions per malloc and free."""

    def __init__(self, content):
        self.command, self.date = text(content.get("command")), text(content.get("date"))
        self.allocators = named(map(Allocator, objects(content, "allocators")))
        self.patterns = {text(p.get("name")): text(p.get("title")) or text(p.get("name"))
                         for p in objects(content, "patterns") if p.get("name")}
        self.found = {}
        for result in objects(content, "results"):
            key = text(result.get("pattern")), text(result.get("allocator"))
            self.patterns.setdefault(key[0], key[0])
            self.allocators.setdefault(key[1], Allocator({"name": key[1]}))
            self.found[key] = number(result.get("instructions")), text(result.get("detail"))

    def of(self, pattern, allocator):
        """(instructions or None, detail), or None if it was not measured."""
        return self.found.get((pattern, allocator))
