"""Where the workloads' binaries and hz3's library are: in a build tree, next to the sources, or installed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterable, Optional

from lab.errors import LabError

SCRIPTS = Path(__file__).resolve().parent.parent

# Any of these in a directory says that it has the workloads.
_PROBES = ("local", "xmalloc")


def invoked_dir(argv0: str) -> Path:
    """The directory that a script was called in, which may hold a symbolic link to it."""
    return Path(os.path.abspath(argv0)).parent


def find_binaries(invoked: Path) -> Path:
    """The directory of the workloads' binaries."""
    given = os.environ.get("HZ3_BENCH_DIR")
    if given:
        return Path(given)
    for place in (invoked, invoked.parent / "build" / "bench", SCRIPTS):
        if any(_is_program(place / name) for name in _PROBES):
            return place
    raise LabError(f"there are no workloads in {invoked}: build hz3, or set HZ3_BENCH_DIR")


def binary(directory: Path, workload: str) -> Path:
    """A workload's program, which has to be there."""
    if workload == "programs":
        return SCRIPTS / "programs"
    path = directory / workload
    if not _is_program(path):
        raise LabError(f"there is no program {path} for the workload {workload}: build hz3, or set HZ3_BENCH_DIR")
    return path


def probe_binary(directory: Path) -> Path:
    """The program that finds out what an allocator is."""
    return next((directory / name for name in _PROBES if _is_program(directory / name)), binary(directory, _PROBES[0]))


def find_hz3(invoked: Path) -> Optional[str]:
    """hz3's library: what HZ3_LIB says, the build's, or the installed one nearest to the script."""
    given = os.environ.get("HZ3_LIB")
    if given:
        return os.path.abspath(given)
    return next((str(path) for path in _hz3_places(invoked) if path.is_file()), None)


def _hz3_places(invoked: Path) -> Iterable[Path]:
    # The workloads' own build first: another one may lie about, and be old.
    given = os.environ.get("HZ3_BENCH_DIR")
    if given:
        yield Path(given).absolute().parent / ".libs" / "libhz3.so"
    yield invoked.parent / ".libs" / "libhz3.so"
    yield invoked.parent / "build" / ".libs" / "libhz3.so"
    for root in SCRIPTS.parents:
        yield root / "lib" / "libhz3.so"
        yield from sorted(root.glob("lib/*/libhz3.so"))
        yield root / "lib64" / "libhz3.so"


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
