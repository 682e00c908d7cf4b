"""The job of redis: a server, measured, under the load of redis-benchmark, which is not."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from lab import inputs
from lab.errors import LabError
from lab.jobs import find_program
from lab.measured import Child, Usage

_SOCKET = "redis.sock"
_SERVER = ("--port", "0", "--unixsocket", _SOCKET, "--save", "", "--appendonly", "no", "--daemonize", "no",
           "--logfile", "", "--loglevel", "warning", "--dir", ".")
_LOAD = ("-s", _SOCKET, "-q", "-c", "20", "-P", "16", "-d", "100", "-r", "20000",
         "-t", "set,get,lpush,rpush,lpop,sadd,hset,lrange_100")


def find() -> str:
    find_program("redis-benchmark")
    find_program("redis-cli")
    return find_program("redis-server")


def serve(server: str, env: dict[str, str], client_env: dict[str, str], preload: str, scale: float,
          scratch: Path, answers: Path) -> tuple[Usage, str]:
    """
    Run a server under load, with a name space of its own that is filled before and read, into answers, afterwards.

    Returns what the load cost, and the path of the library as the server has mapped it.
    """
    fill, read = inputs.redis_commands()
    with tempfile.TemporaryDirectory(prefix="redis.", dir=scratch) as directory:
        place = Path(directory)

        def cli(*command: str, stdin: str = "") -> str:
            return _client(["redis-cli", "-s", _SOCKET, *command], client_env, place, stdin)

        def is_ready() -> bool:
            try:
                return "PONG" in cli("ping")
            except LabError:
                return False

        with Child([server, *_SERVER], env, place, os.devnull, place / "out", place / "err") as child:
            lib = child.await_mapping(preload)
            child.wait_for(is_ready, 10)
            cli(stdin=fill)
            cpu, start = child.cpu_seconds(), time.monotonic()
            _client(["redis-benchmark", *_LOAD, "-n", str(max(1000, int(30000 * scale)))], client_env, place)
            seconds, cpu = time.monotonic() - start, child.cpu_seconds() - cpu
            answers.write_text(cli(stdin=read))
            peak = child.rss_peak_kib()
            cli("shutdown", "nosave")
            child.wait()
    return Usage(seconds, cpu, peak), lib


def _client(command: list[str], env: dict[str, str], directory: Path, stdin: str = "") -> str:
    done = subprocess.run(command, env=env, cwd=directory, input=stdin, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        raise LabError(f"{command[0]} ended with status {done.returncode}: {(done.stderr or done.stdout).strip()[:200]}")
    return done.stdout
