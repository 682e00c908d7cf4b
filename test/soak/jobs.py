"""What the soak runs: workloads of bench/ and real programs, each with samples of its memory written by the probe."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from lab.allocators import environment
from lab.errors import LabError
from lab.measured import Child


@dataclass(frozen=True)
class Place:
    """Where things are, and what all jobs have in common."""

    build: Path
    preload: str        # the probe and libhz3.so, for LD_PRELOAD
    lib: str            # libhz3.so
    conf: str
    results: Path
    seconds: float
    sample_ms: int


@dataclass(frozen=True)
class Job:
    """command is what is watched; load, if any, keeps it busy, from the outside, until it is told to stop."""

    name: str
    command: Callable[[Place, Path], list[str]]
    needs: tuple[str, ...] = ()
    load: Optional[Callable[[Path, threading.Event], None]] = None
    probe: tuple[tuple[str, str], ...] = ()
    ends_by_itself: bool = False
    found_by: str = ""      # of a negative control: what must be said of it

    def missing(self) -> Optional[str]:
        return next((program for program in self.needs if shutil.which(program) is None), None)

    def samples(self, place: Place) -> Path:
        return place.results / f"{self.name}.samples"

    def run(self, place: Place) -> None:
        """To the end of the time; raises LabError or Crashed if the program ends badly, or does not know hz3."""
        directory = place.results / f"{self.name}.d"
        directory.mkdir()
        env = environment(place.preload, place.conf)
        env.update(HZ3_SOAK_FILE=str(self.samples(place).absolute()), HZ3_SOAK_MS=str(place.sample_ms), **dict(self.probe))
        with ExitStack() as stack:
            child = stack.enter_context(Child(self.command(place, directory), env, directory, os.devnull,
                                              directory / "out", directory / "err"))
            child.await_mapping(place.lib)
            end = time.monotonic() + place.seconds
            stop = threading.Event()
            failures: list[Exception] = []
            if self.load:
                load = threading.Thread(target=_keep, args=(self.load, directory, stop, failures))
                load.start()
                stack.callback(load.join)
                stack.callback(stop.set)
            while (runs := child.runs()) and time.monotonic() < end and not failures:
                time.sleep(0.1)
            if failures:
                raise LabError(f"the load of {self.name}: {failures[0]}")
            if self.ends_by_itself and runs:
                # A workload checks its blocks once more at its end.
                child.wait()


def _keep(load: Callable[[Path, threading.Event], None], directory: Path, stop: threading.Event, failures: list) -> None:
    try:
        load(directory, stop)
    except Exception as error:
        if not stop.is_set():
            failures.append(error)


def workload(name: str, *args: str) -> Callable[[Place, Path], list[str]]:
    # Its own warm-up is a tenth of the time.
    return lambda place, _: [str(place.build / "bench" / name), *args, "-t", f"{place.seconds / 1.1:g}", "-i", "0"]


# ---- redis ----

def _redis(_place: Place, _directory: Path) -> list[str]:
    return ["redis-server", "--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "no",
            "--io-threads", "2", "--activedefrag", "no"]


def _load_redis(directory: Path, stop: threading.Event) -> None:
    _await(directory / "redis.sock", stop)
    while not stop.is_set():
        client = subprocess.Popen(["redis-benchmark", "-s", "redis.sock", "-q", "-c", "20", "-P", "8", "-d", "200", "-r", "5000",
                                   "-n", "40000", "-t", "set,get,sadd,hset,zadd"], cwd=directory, env=environment("", ""),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while client.poll() is None and not stop.wait(0.1):
            pass
        if client.poll() is None:
            client.kill()
        client.wait()
        client.stderr.close()
        if client.returncode > 0 and not stop.is_set():
            raise LabError(f"redis-benchmark ended with status {client.returncode}")


# ---- memcached ----

def _memcached(_place: Place, _directory: Path) -> list[str]:
    return ["memcached", "-s", "memcached.sock", "-m", "32", "-t", "4",
            "-u", "root"]


# Few, so that memcached's own classes have soon all the memory that they want.
_SIZES = (10, 150, 700, 3000, 9000)


def _load_memcached(directory: Path, stop: threading.Event) -> None:
    """Connections that come and go; values of any size, replaced, read back and deleted."""
    path = directory / "memcached.sock"
    _await(path, stop)
    r = random.Random(1)
    while not stop.is_set():
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(str(path))
            stream = s.makefile("rwb")
            for _ in range(500):
                key, value = b"key%d" % r.randrange(1000), b"v" * r.choice(_SIZES)
                stream.write(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))
                stream.flush()
                _expect(stream.readline(), b"STORED")
                stream.write(b"get %s\r\n" % key)
                stream.flush()
                _expect(stream.readline(), b"VALUE")
                _expect(stream.readline(), b"v")
                _expect(stream.readline(), b"END")
                if r.randrange(4) == 0:
                    stream.write(b"delete %s\r\n" % key)
                    stream.flush()
                    _expect(stream.readline(), b"DELETED")
            stream.close()


def _expect(line: bytes, start: bytes) -> None:
    if not line.startswith(start):
        raise LabError(f"memcached says {line[:60]!r}")


def _await(path: Path, stop: threading.Event) -> None:
    while not path.exists() and not stop.wait(0.02):
        pass


def _python(place: Place, _directory: Path) -> list[str]:
    return [sys.executable, "-S", str(Path(__file__).with_name("worker.py").absolute()), f"{place.seconds:g}"]


JOBS = [
    Job("msgpass", workload("msgpass", "-w", "4", "-s", "mixed"), ends_by_itself=True),
    Job("server", workload("server", "-w", "8", "-s", "mixed", "-n", "4000"), ends_by_itself=True),
    Job("churn", workload("churn", "-w", "4", "-s", "mixed", "-n", "2000"), ends_by_itself=True),
    Job("redis", _redis, ("redis-server", "redis-benchmark"), _load_redis),
    Job("memcached", _memcached, ("memcached",), _load_memcached),
    Job("python", _python, ends_by_itself=True),
]

# What must be found out: a program that leaks, and memory that hz3 can't account for.
CONTROLS = [
    Job("leak", workload("server", "-w", "2", "-s", "mixed", "-n", "4000"), probe=(("HZ3_SOAK_LEAK", "500000"),), ends_by_itself=True,
        found_by="RSS gr"),
    Job("hoard", workload("server", "-w", "2", "-s", "mixed", "-n", "4000"), probe=(("HZ3_SOAK_HOARD", "6000000"),), ends_by_itself=True,
        found_by="over the bound"),
]
