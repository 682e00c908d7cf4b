"""A comparison as data, for bench/report and others: JSON or TSV in a file."""

from __future__ import annotations

import json
import os
import platform
import stat
import sys
from datetime import datetime
from pathlib import Path
from typing import Callable, Iterable

from lab.comparison import Comparison
from lab.errors import LabError

FORMAT = "hz3-bench-1"


def as_json(c: Comparison, command: str) -> str:
    document = {
        "format": FORMAT,
        "command": command,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "host": host(),
        "quick": c.quick,
        "rounds": c.rounds,
        "seconds": c.settings.seconds,
        "reference": c.reference,
        "allocators": [{"name": a.name, "lib": a.lib, "version": a.version, "conf": a.settings()} for a in c.allocators],
        "variants": [{"name": v.name, "workload": v.workload, "args": list(v.args), "group": v.group, "title": v.title,
                      "unit": v.unit, "series": v.series, "x": v.x} for v in c.variants],
        "runs": [{"variant": r.variant, "allocator": r.allocator, "round": r.round, "status": r.status,
                  "detail": r.detail, "values": r.values, "hz3": r.hz3} for r in c.runs],
    }
    return json.dumps(document, indent=1) + "\n"


def as_tsv(c: Comparison, _command: str) -> str:
    """A line a run.  Columns: what ran and how it went, the line's values, hz3's numbers as hz3_NAME."""
    keys = list(dict.fromkeys(key for r in c.runs for key in r.values))
    hz3_keys = list(dict.fromkeys(key for r in c.runs for key, value in (r.hz3 or {}).items()
                                  if not isinstance(value, dict)))
    rows = [["variant", "allocator", "round", "status", "detail", *keys, *(f"hz3_{key}" for key in hz3_keys)]]
    for r in c.runs:
        rows.append([r.variant, r.allocator, r.round, r.status, r.detail, *(r.values.get(key, "") for key in keys),
                     *((r.hz3 or {}).get(key, "") for key in hz3_keys)])
    return "".join("\t".join(" ".join(str(cell).split()) for cell in row) + "\n" for row in rows)


def writer(path: str) -> Callable[[Comparison, str], str]:
    """What makes the contents of a file of this name; complains at once of one that can't be written."""
    endings = {".json": as_json, ".tsv": as_tsv}
    if _is_special(path):
        return as_json
    target = Path(os.path.realpath(path))
    if target.suffix not in endings:
        raise LabError(f"--output wants a file that ends in .json or .tsv, not {path}")
    if target.is_dir():
        raise LabError(f"cannot write {path}: it is a directory")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise LabError(f"cannot write {path}: {target.parent} is not there or not to be written to")
    return endings[target.suffix]


def write(path: str, text: str) -> None:
    """All or nothing, unless the file is a pipe or device."""
    try:
        if _is_special(path):
            with open(path, "a") as file:
                file.write(text)
        else:
            _replace(Path(os.path.realpath(path)), text)
    except OSError as error:
        raise LabError(f"cannot write {path}: {error.strerror}") from error


def _replace(target: Path, text: str) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def host() -> dict[str, object]:
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "model": _proc_value("/proc/cpuinfo", "model name", ":") or platform.machine(),
        "kernel": platform.release(),
        "memory_kib": int((_proc_value("/proc/meminfo", "MemTotal", ":") or "0").split()[0]),
        "system": _proc_value("/etc/os-release", "PRETTY_NAME", "=").strip('"') or platform.system(),
    }


def _proc_value(path: str, key: str, separator: str) -> str:
    """What a file of lines "key: value" says of a key, or ""."""
    try:
        lines = Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(separator) for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == key), "")


def _is_special(path: str) -> bool:
    """Whether a file is a pipe, device or open descriptor, which nothing may replace."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return path in ("/dev/stdout", "/dev/stderr") or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def show(lines: Iterable[str]) -> None:
    """On standard output."""
    try:
        print("\n".join(lines), flush=True)
    except OSError as error:
        # Python would try again at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise LabError(f"cannot write to standard output: {error.strerror}") from error
