"""A measured child process: started with a library preloaded, seen to have mapped it, and its use of resources."""

from __future__ import annotations

import os
import resource
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from lab.errors import LabError

_LOOK_SECONDS = 0.02
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Crashed(Exception):
    """The program ended by a signal."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


@dataclass(frozen=True)
class Usage:
    seconds: float
    cpu_seconds: float
    rss_peak_kib: int


class Child:
    """Use as a context: at its end the process is gone."""

    def __init__(self, command: list[str], env: dict[str, str], directory: Path, stdin: str, stdout: Path, stderr: Path):
        self._stderr = stderr
        self._program = os.path.basename(command[0])
        with (directory / stdin).open("rb") as source, stdout.open("wb") as output, stderr.open("wb") as complaints:
            self._started = time.monotonic()
            self._process = subprocess.Popen(command, env=env, cwd=directory, stdin=source, stdout=output, stderr=complaints)
        self.pid = self._process.pid

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()

    def await_mapping(self, preload: str) -> str:
        """
        The path at which the preloaded library is mapped, or the C library if there is none.  That is looked at
        while the program starts; one that ends without having mapped it is an error.
        """
        wanted = os.path.realpath(preload) if preload else None

        def is_it(path: str) -> bool:
            return os.path.realpath(path) == wanted if wanted else os.path.basename(path).startswith(("libc.", "ld-musl"))

        while True:
            found = next(filter(is_it, self._mappings()), None)
            if found:
                return found
            if not self.runs():
                raise LabError(f"{self._program} did not load {preload or 'a C library'}: {self.complaint()}")
            time.sleep(0.001)

    def wait(self) -> Usage:
        """
        Until the program ends, which has to be with status 0.

        What the system says of its peak begins with the peak of this process, which forked it: if it is no more than
        that, the last look at the program itself is nearer to the truth.
        """
        peak = self.rss_peak_kib()
        end = os.pidfd_open(self.pid)
        try:
            while not select.select([end], [], [], _LOOK_SECONDS)[0]:
                peak = self.rss_peak_kib() or peak
        finally:
            os.close(end)
        _, status, used = os.wait4(self.pid, 0)
        seconds = time.monotonic() - self._started
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._judge()
        if used.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
            peak = used.ru_maxrss
        return Usage(seconds, used.ru_utime + used.ru_stime, peak)

    def runs(self) -> bool:
        """False if the program has ended well; raises if badly."""
        if self._process.poll() is None:
            return True
        self._judge()
        return False

    def wait_for(self, what: Callable[[], bool], limit: float) -> None:
        """Until something is so, while the program runs."""
        end = time.monotonic() + limit
        while not what():
            if not self.runs() or time.monotonic() > end:
                raise LabError(f"{self._program} did not get ready: {self.complaint()}")
            time.sleep(0.005)

    def cpu_seconds(self) -> float:
        """So far, while the program runs."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS

    def rss_peak_kib(self) -> int:
        """So far; 0 if the program has just ended."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(iter(status.partition("VmHWM:")[2].split()), 0))

    def complaint(self) -> str:
        return next(iter(self._stderr.read_text(errors="replace").splitlines()), "without a word")

    def _judge(self) -> None:
        status = self._process.returncode
        if status < 0:
            raise Crashed(-status)
        if status > 0:
            raise LabError(f"{self._program} ended with status {status}: {self.complaint()}")

    def _mappings(self) -> set[str]:
        try:
            lines = Path(f"/proc/{self.pid}/maps").read_text(errors="replace").splitlines()
        except OSError:
            return set()
        return {line.split(None, 5)[5] for line in lines if "/" in line}


def no_core_dumps() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
