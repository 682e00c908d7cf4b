"""The jobs of real programs: what a program is called, what it reads and what it has to write."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

from lab import inputs


class Unavailable(Exception):
    """The program is not installed."""


@dataclass(frozen=True)
class Job:
    """
    A program that reads files and writes its results to standard output, which only depend on what it read.

    prepare(directory, scale) makes its input; arguments name it, relative to the directory, or it is standard input.
    """

    programs: tuple[str, ...]
    prepare: Callable[[Path, float], None]
    arguments: tuple[str, ...]
    stdin: Optional[str] = None
    environment: dict[str, str] = field(default_factory=dict)

    def find(self) -> str:
        return find_program(*self.programs)


def find_program(*names: str) -> str:
    """The path of the first of these programs that is installed."""
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    raise Unavailable(names[0])


def checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 16):
            digest.update(piece)
    return digest.hexdigest()


class _Compiler(Job):
    """gcc's proper compiler, without the driver that starts it."""

    def find(self) -> str:
        gcc = find_program("gcc")
        path = subprocess.run([gcc, "-print-prog-name=cc1"], capture_output=True, text=True, check=True).stdout.strip()
        return find_program(path)


def _file(make: Callable[..., None], name: str, **more: float) -> Callable[[Path, float], None]:
    def prepare(directory: Path, scale: float) -> None:
        make(directory / name, scale, **more)
    return prepare


def _preprocessed(directory: Path, scale: float) -> None:
    inputs.make_c(directory / "unit.c", scale)
    subprocess.run([find_program("gcc"), "-E", "-P", "unit.c", "-o", "unit.i"], cwd=directory, check=True)


JOBS = {
    "sqlite": Job(("sqlite3",), _file(inputs.make_sqlite, "script.sql"), ("-batch", "-init", "/dev/null", ":memory:"),
                  stdin="script.sql"),
    "lua": Job(("lua5.4", "lua"), _file(inputs.make_lua, "script.lua"), ("script.lua",)),
    "python": Job(("/usr/bin/python3", "python3"), _file(inputs.make_python, "script.py"), ("-S", "-B", "script.py"),
                  environment={"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"}),
    "cc1": _Compiler(("cc1",), _preprocessed, ("-quiet", "-O2", "-w", "-fpreprocessed", "unit.i", "-o", "-")),
    "sort": Job(("sort",), _file(inputs.make_lines, "lines"), ("--parallel=2", "lines"), environment={"LC_ALL": "C"}),
    "xz": Job(("xz",), _file(inputs.make_text, "text", mib=5), ("-T2", "-4", "--block-size=1MiB", "-c", "text")),
    "zstd": Job(("zstd",), _file(inputs.make_text, "text", mib=40), ("-T2", "-9", "-q", "-c", "text")),
}
