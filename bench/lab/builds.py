"""Builds of hz3 that differ from the usual one: made from a copy of the sources, one directory each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import LabError
from lab.places import SCRIPTS

SOURCES = SCRIPTS.parent

# What a build leaves in the source tree, and what no build needs.
_LEFT_BEHIND = shutil.ignore_patterns("bench-*", ".git", "autom4te.cache", "Makefile", "config.status", "config.h",
                                      "config.log", ".libs", ".deps", "*.o", "*.lo", "*.la", "hz3-*")


@dataclass(frozen=True)
class Build:
    """A build by name: options of configure, and #define lines of the sources that get another value."""

    name: str
    configure: tuple[str, ...] = ()
    defines: dict[str, str] = field(default_factory=dict)


def make(build: Build, directory: Path) -> str:
    """Build the library in a directory of its own, and return its path; a build that is there and newer is kept."""
    tree = directory / build.name
    library = tree / ".libs" / "libhz3.so"
    recipe = repr((build.configure, sorted(build.defines.items())))
    if library.is_file() and (tree / "recipe").read_text() == recipe and library.stat().st_mtime > _newest_source():
        return str(library)
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(SOURCES, tree, ignore=_without_builds)
    for name, value in build.defines.items():
        _define(tree / "src", name, value)
    if not (tree / "configure").exists():
        _run(["autoreconf", "-i"], tree)
    _run(["./configure", "--enable-s121", "--disable-static", *build.configure], tree)
    _run(["make", f"-j{os.cpu_count() or 1}", "libhz3.la"], tree)
    (tree / "recipe").write_text(recipe)
    return str(library)


def check_sources() -> None:
    """An installed copy of the lab has none."""
    if not (SOURCES / "configure.ac").is_file():
        raise LabError("this needs hz3's sources: run it from the source tree or a build tree")


def _without_builds(directory: str, names: list[str]) -> set[str]:
    """What not to copy: leftovers, and directories of other builds."""
    builds = {name for name in names if os.path.exists(os.path.join(directory, name, "config.status"))}
    return builds | set(_LEFT_BEHIND(directory, names))


def _newest_source() -> float:
    files = [*(SOURCES / "src").iterdir(), *(SOURCES / "include" / "hz3").iterdir(), SOURCES / "configure.ac"]
    return max(file.stat().st_mtime for file in files)


def _define(sources: Path, name: str, value: str) -> None:
    """Change the one "#define NAME value" that there is; what stands behind the value stays."""
    line = re.compile(rf"^(#define {name}) \S+", re.MULTILINE)
    changed = 0
    for file in sorted(sources.glob("*.[ch]")):
        text, n = line.subn(rf"\g<1> {value}", file.read_text())
        if n:
            file.write_text(text)
            changed += n
    if changed != 1:
        raise LabError(f"there are {changed} definitions of {name} in {sources}, not one")


def _run(command: list[str], directory: Path) -> None:
    try:
        done = subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace")
    except OSError as problem:
        raise LabError(f"cannot run {command[0]}: {problem.strerror}") from problem
    if done.returncode:
        words = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        error = next((line for line in words if "error" in line), words[-1] if words else "no output")
        raise LabError(f"{' '.join(command)} failed in {directory}: {error.strip()}")
