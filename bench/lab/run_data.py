"""The statistics of runs, as hz3 wrote them: what a page of one run needs to know, from files of any version.

A file holds one JSON document or several, one behind the other.  Documents of one process are its snapshots, in the
order given; a key that is not there is None or empty, so that a page leaves out what it can't show.
"""

import json
import os

from lab.errors import LabError

FORMAT = 1          # hz3_stats_version that we know


def number(value):
    """A number, or None for anything else."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


class Flow:
    """What one thread freed of another's blocks, of all sizes."""

    def __init__(self):
        self.blocks = self.bytes = self.chains = 0

    def add(self, row):
        """One element of "flows"."""
        self.blocks += number(row.get("blocks")) or 0
        self.bytes += number(row.get("bytes")) or 0
        self.chains += number(row.get("chains")) or 0


class Snapshot:
    """One JSON document."""

    def __init__(self, content):
        self.content = content

    def number(self, *path):
        """A number by its path of keys, or None."""
        return number(self.get(*path))

    def get(self, *path):
        """Anything by its path of keys, or None."""
        value = self.content
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def rows(self, *path):
        """The elements of an array that are objects."""
        value = self.get(*path)
        return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []

    @property
    def time(self):
        """Seconds since some moment, or None."""
        value = self.number("time_ms")
        return None if value is None else value / 1000

    def flows(self, key):
        """{(owner, freer): Flow} of "flows" or "flows_by_name"; in the first, threads are told apart by their heaps."""
        found = {}
        for row in self.rows(key):
            pair = tuple(_thread(row, who, key == "flows") for who in ("owner", "freer"))
            found.setdefault(pair, Flow()).add(row)
        return found


def _thread(row, who, with_heap):
    name = str(row.get(who) or "?")
    heap = row.get(who + "_heap")
    return "%s #%s" % (name, heap) if with_heap and heap else name


class Run:
    """All snapshots of one process."""

    def __init__(self, source):
        self.source = source        # the file's name without its directory and ending
        self.snapshots = []

    @property
    def last(self):
        """What the page is about, but for the plots over time."""
        return self.snapshots[-1]

    @property
    def name(self):
        """For people."""
        pid = self.last.get("pid")
        return "%s, process %s" % (self.source, pid) if pid is not None else self.source

    def times(self):
        """The snapshots' moments in seconds from the first, or None if they do not say."""
        times = [s.time for s in self.snapshots]
        if None in times or any(b < a for a, b in zip(times, times[1:])):
            return None
        return [t - times[0] for t in times]


def _documents(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError as error:
        raise LabError("cannot read %s: %s" % (path, error.strerror)) from error
    decoder, at = json.JSONDecoder(), 0
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if at == len(text):
            return
        try:
            content, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise LabError("%s is not what hz3 writes: %s" % (path, error)) from error
        yield content


def load(paths):
    """The runs in these files, in order."""
    runs = {}
    for path in paths:
        found = False
        for content in _documents(path):
            if not isinstance(content, dict) or number(content.get("hz3_stats_version")) is None:
                raise LabError("%s has no hz3_stats_version: not statistics of hz3" % path)
            if content["hz3_stats_version"] > FORMAT:
                raise LabError("%s is of a newer hz3 (statistics version %s)" % (path, content["hz3_stats_version"]))
            source = os.path.splitext(os.path.basename(path))[0]
            key = content.get("pid", path)
            key = key if isinstance(key, (int, str)) else path
            runs.setdefault(key, Run(source)).snapshots.append(Snapshot(content))
            found = True
        if not found:
            raise LabError("%s is empty" % path)
    return list(runs.values())
