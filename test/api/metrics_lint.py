"""A strict reading of a file of metrics: "metrics_lint.py FILE...".

The text format of Prometheus, and on top of it what "promtool check metrics" and OpenMetrics ask of names: HELP and TYPE before
the samples of each family, families together and once, no sample twice, counters (and nothing else) end in _total, base
units in full at the end of the name, histograms complete and rising.
"""

import math
import re
import sys

NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)$")
LABEL = re.compile(rf'({NAME})="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
TYPES = {"counter", "gauge", "histogram"}
NO_UNITS = {"milliseconds", "ms", "us", "microseconds", "minutes", "hours", "kilobytes", "kib", "mib", "megabytes", "percent"}


class Lint:
    def __init__(self, path):
        self.path, self.line, self.found = path, 0, []
        self.help, self.type, self.closed, self.samples, self.current = {}, {}, set(), {}, None

    def say(self, text):
        self.found.append(f"{self.path}:{self.line}: {text}")

    def family_of(self, name):
        """A histogram's samples have endings of their own."""
        for ending in ("_bucket", "_sum", "_count"):
            base = name.removesuffix(ending)
            if base != name and self.type.get(base) == "histogram":
                return base
        return name

    def enter(self, name):
        if name == self.current:
            return
        if name in self.closed:
            self.say(f"{name} comes a second time")
        if self.current:
            self.closed.add(self.current)
        self.current = name

    def comment(self, text):
        match = re.match(rf"# (HELP|TYPE) ({NAME}) (.+)$", text)
        if not match:
            self.say(f"neither HELP nor TYPE: {text}")
            return
        kind, name, rest = match.groups()
        self.enter(name)
        table = self.help if kind == "HELP" else self.type
        if name in table:
            self.say(f"{kind} of {name} a second time")
        table[name] = rest
        if kind == "TYPE":
            self.check_family(name, rest)

    def check_family(self, name, kind):
        if kind not in TYPES:
            self.say(f"{name} is a {kind}")
        if (kind == "counter") != name.endswith("_total"):
            self.say(f"{name} is a {kind}: counters end in _total, and nothing else does")
        if not name.startswith("hz3_"):
            self.say(f"{name} does not begin with hz3_")
        if re.search("[A-Z]|__", name):
            self.say(f"{name} is not in snake_case")
        words = name.removesuffix("_total").split("_")
        if set(words) & NO_UNITS:
            self.say(f"{name}: not a base unit")
        for unit in ("seconds", "bytes"):
            if unit in words[:-1]:
                self.say(f"{name}: the unit has to stand at the end")
        if kind in words:
            self.say(f"{name} has its type in its name")

    def sample(self, text):
        match = SAMPLE.match(text)
        if not match:
            self.say(f"not a sample: {text}")
            return
        name, labels, value = match.groups()
        family = self.family_of(name)
        self.enter(family)
        if family not in self.help or family not in self.type:
            self.say(f"{name} has no HELP and TYPE before it")
        pairs = self.labels(labels or "")
        key = (name, tuple(sorted(pairs.items())))
        if key in self.samples:
            self.say(f"{name} with the same labels a second time")
        try:
            self.samples[key] = float(value)
        except ValueError:
            self.say(f"{value} is not a number")
            return
        if self.type.get(family) in ("counter", "histogram") and not self.samples[key] >= 0:
            self.say(f"{name} is {value}")

    def labels(self, text):
        pairs, rest = {}, text
        while rest:
            match = LABEL.match(rest)
            if not match:
                self.say(f"not a label: {rest}")
                break
            if match[1] in pairs or match[1].startswith("__"):
                self.say(f"label {match[1]}")
            pairs[match[1]] = match[2]
            rest = rest[match.end():]
        return pairs

    def check_histogram(self, name):
        buckets = []
        for (sample, labels), value in self.samples.items():
            if sample == name + "_bucket":
                bound = dict(labels).get("le", "")
                buckets.append((math.inf if bound == "+Inf" else float(bound or "nan"), value))
        count = self.samples.get((name + "_count", ()))
        if (name + "_sum", ()) not in self.samples or count is None:
            self.say(f"{name} has no sum or no count")
        if buckets != sorted(buckets) or [v for _, v in buckets] != sorted(v for _, v in buckets):
            self.say(f"{name}: its buckets do not rise")
        if not buckets or buckets[-1] != (math.inf, count):
            self.say(f"{name}: its last bucket is not +Inf with the count")

    def read(self, text):
        if not text.endswith("\n"):
            self.say("the last line has no end")
        for line in text.splitlines():
            self.line += 1
            if line.startswith("#"):
                self.comment(line)
            else:
                self.sample(line)
        for name, kind in self.type.items():
            if kind == "histogram":
                self.check_histogram(name)
        return self.found


def main():
    status = 0
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            found = Lint(path).read(file.read())
        print("\n".join(found[:20]), end="\n" if found else "")
        status |= bool(found)
    return status


if __name__ == "__main__":
    sys.exit(main())
