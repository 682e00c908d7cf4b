"""The allocators side by side: which there are, which are asked for, and whether they load."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

from lab.errors import LabError
from lab.lines import Line
from lab.limits import time_limit

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Allocator:
    """
    A malloc and how to get it: preload is a library, or "" for the system's own; conf is what HZ3_CONF gets.

    family is "hz3" for the built-in kinds of hz3, "debian" for what may be missing.  With only_group the allocator
    runs in that group alone.  A probe fills in lib and version: which malloc it really was.
    """

    name: str
    preload: str
    conf: str = ""
    family: str = ""
    only_group: str = ""
    lib: str = ""
    version: str = "unknown"

    def answers_to(self, name: str) -> bool:
        return name == self.name or name == self.family == "hz3"

    def settings(self, extra: str = "") -> str:
        """HZ3_CONF: the user's, this allocator's, and what else is given."""
        return ",".join(part for part in (os.environ.get("HZ3_CONF"), self.conf, extra) if part)


BUILT_IN = (
    Allocator("glibc", ""),
    Allocator("jemalloc", "libjemalloc.so.2", family="debian"),
    Allocator("mimalloc", "libmimalloc.so.2", family="debian"),
    Allocator("tcmalloc", "libtcmalloc_minimal.so.4", family="debian"),
    Allocator("tbbmalloc", "libtbbmalloc_proxy.so.2", family="debian"),
    Allocator("hz3-page", "", "sink:page", "hz3"),
    Allocator("hz3-central", "", "sink:central", "hz3"),
    Allocator("hz3-auto", "", "sink:auto", "hz3"),
    Allocator("hz3-page-unbatched", "", "sink:page,remote_batch:0", "hz3", "remote"),
    Allocator("hz3-central-unbatched", "", "sink:central,remote_batch:0", "hz3", "remote"),
)
_QUICK_HZ3 = ("hz3-page", "hz3-central", "hz3-page-unbatched")


def parse(text: str) -> Allocator:
    """NAME=/path/lib.so of --alloc; options of hz3 may follow behind a comma."""
    name, equals, rest = text.partition("=")
    path, _, conf = rest.partition(",")
    if not equals or not path or not _NAME.fullmatch(name):
        raise LabError(f"--alloc wants NAME=/path/lib.so, not {text}")
    if any(a.answers_to(name) for a in BUILT_IN):
        raise LabError(f"--alloc {text}: {name} is the name of another allocator")
    if "/" in path or os.path.exists(path):
        path = os.path.abspath(path)
    return Allocator(name, path, conf)


def choose(given: list[Allocator], only: list[str], without: list[str], quick: bool) -> list[Allocator]:
    """
    Those to run.  "only" picks among the built-in ones, "without" among all; naming one of hz3's that runs
    in one group or not in quick comparisons lets it run in all.
    """
    everyone = [*BUILT_IN, *given]
    names = [a.name for a in everyone]
    for name in names:
        if names.count(name) > 1:
            raise LabError(f"there is more than one allocator {name}")
    for name in [*only, *without]:
        if not any(a.answers_to(name) for a in everyone):
            raise LabError(f"there is no allocator {name}; there are {', '.join(names)}")
    chosen = []
    for a in everyone:
        if a.name in only:
            a = replace(a, only_group="")
        elif quick and a.family == "hz3" and a.name not in _QUICK_HZ3:
            continue
        asked = not only or a in given or any(a.answers_to(name) for name in only)
        if asked and not any(a.answers_to(name) for name in without):
            chosen.append(a)
    if not chosen:
        raise LabError("no allocator is left to run")
    return chosen


def load(chosen: list[Allocator], binary: Path, hz3: Optional[str]) -> tuple[list[Allocator], list[str]]:
    """The allocators as the probe finds them, and a line on each of Debian's that is left out."""
    loaded, notes = [], []
    for a in chosen:
        if a.family == "debian":
            found, problem = probe(a, binary)
            if problem:
                notes.append(f"{a.name} is left out: {a.preload} does not load: {problem}")
                continue
        elif a.family == "hz3":
            if hz3 is None:
                raise LabError("there is no libhz3.so: build hz3, set HZ3_LIB, or say --without hz3")
            found = _load(replace(a, preload=hz3), binary)
        else:
            found = _load(a, binary)
        loaded.append(found)
    return loaded, notes


def probe(allocator: Allocator, binary: Path) -> tuple[Allocator, str]:
    """
    Run a moment's work under an allocator, and see which malloc it was.

    Returns the allocator with lib and version, and what is wrong with loading it, or "".  That it crashes or hangs is
    no such thing: it is a result, which the runs will show.
    """
    problem = _cannot_load(allocator.preload)
    if problem:
        return allocator, problem
    env = environment(allocator.preload, allocator.settings())
    try:
        done = subprocess.run([str(binary), "-t", "0.001", "-i", "0"], env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, errors="replace", timeout=min(5.0, time_limit(0)))
    except subprocess.TimeoutExpired:
        return replace(allocator, lib=allocator.preload), ""
    refused = re.search(r"LD_PRELOAD cannot be preloaded \((.*?)\)", done.stderr)
    if refused:
        return allocator, refused.group(1)
    line = Line.parse(done.stdout)
    if line is None:
        return replace(allocator, lib=allocator.preload), ""
    if not is_wanted(allocator.preload, line.lib):
        return allocator, f"malloc is still that of {line.lib}"
    return replace(allocator, preload=allocator.preload and line.lib, lib=os.path.realpath(line.lib), version=line.version), ""


def is_wanted(preload: str, lib: str) -> bool:
    """Whether malloc came from the library that was preloaded; one without a directory is found by ld.so."""
    if not preload:
        return True
    if "/" not in preload:
        return os.path.basename(lib) == preload
    return os.path.realpath(lib) == os.path.realpath(preload)


def environment(preload: str, conf: str, variable: str = "LD_PRELOAD") -> dict[str, str]:
    """Ours, without what the user preloads, and with the library and HZ3_CONF."""
    env = {key: value for key, value in os.environ.items() if key not in ("LD_PRELOAD", "BENCH_PRELOAD", "HZ3_CONF")}
    if preload:
        env[variable] = preload
    if conf:
        env["HZ3_CONF"] = conf
    return env


def runs_in(allocator: Allocator, group: str) -> bool:
    return allocator.only_group in ("", group)


def _load(allocator: Allocator, binary: Path) -> Allocator:
    found, problem = probe(allocator, binary)
    if problem:
        raise LabError(f"{allocator.preload} does not load: {problem}")
    return found


def _cannot_load(preload: str) -> str:
    """What can be seen without trying."""
    if re.search(r"[\s:]", preload):
        return "LD_PRELOAD cannot have a path with a blank or a colon"
    if "/" in preload and not os.path.exists(preload):
        return "no such file"
    return ""
