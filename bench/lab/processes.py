"""Child processes in groups of their own, of which none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterator, Optional

from lab.errors import Interrupted


@dataclass(frozen=True)
class Outcome:
    """status as subprocess has it, negative for a signal; None: the time was over."""

    status: Optional[int]
    stdout: str
    stderr: str


class Signals:
    """
    Turns the first signal that asks to end into Interrupted, and ignores more until restore().

    What is ignored already (nohup, a job in the background) stays so.  While held() a signal waits, so that it can't
    come between the start of a child and its being known.
    """

    def __init__(self) -> None:
        self._numbers: list[signal.Signals] = []
        self._held = False
        self._pending = 0

    def install(self) -> None:
        self._numbers = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
        for number in self._numbers:
            signal.signal(number, self._arrived)

    def restore(self) -> None:
        """From now on signals end the process."""
        for number in self._numbers:
            signal.signal(number, signal.SIG_DFL)

    @contextmanager
    def held(self) -> Iterator[None]:
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._pending:
            number, self._pending = self._pending, 0
            raise Interrupted(number)

    def _arrived(self, number: int, _frame: object) -> None:
        for other in self._numbers:
            signal.signal(other, signal.SIG_IGN)
        if self._held:
            self._pending = number
        else:
            raise Interrupted(number)


SIGNALS = Signals()


def run_group(command: list[str], env: dict[str, str], limit: float) -> Outcome:
    """Run a command to its end or to the limit in seconds; on any way out its whole group is gone."""
    child = None
    try:
        with SIGNALS.held():
            child = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True)
        stdout, stderr = child.communicate(timeout=limit)
        return Outcome(child.returncode, stdout, stderr)
    except subprocess.TimeoutExpired:
        return Outcome(None, "", "")
    finally:
        if child is not None:
            _end(child)


def _end(child: subprocess.Popen) -> None:
    if child.returncode is None:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()
    child.stdout.close()
    child.stderr.close()
