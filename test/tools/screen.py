"""hz3top on a terminal: "screen.py HZ3TOP PID MODE", where MODE is "live" (the process lives on) or "dies" (it is killed).

The terminal is a small one of our own, with as much of a VT100 as curses asks of it; so sizes, keys and what is on the screen are exact, and
nothing has to be installed.  Nothing waits for a time: only until something is on the screen, or for long.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

PATIENCE = 60
TOKEN = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z@])|\x1b[()][A-Z0-9]|\x1b[=>78M]|[\x00-\x1f\x7f]|[^\x00-\x1f\x7f\x1b]")

# The beginning of a sequence: the rest of it comes with what is read next.
PART = re.compile(r"\x1b(\[[?0-9;]*|[()])?")


class Terminal:
    def __init__(self, command, columns, lines):
        self.columns, self.lines = columns, lines
        self.clear()
        self.rest = ""
        self.status = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="vt100", LC_ALL="C.UTF-8")
            os.environ.pop("COLUMNS", None)
            os.environ.pop("LINES", None)
            # The size must be there before curses asks.
            self.set_size(0)
            os.execv(command[0], command)

    def set_size(self, fd):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", self.lines, self.columns, 0, 0))

    def resize(self, columns, lines):
        self.columns, self.lines = columns, lines
        self.clear()
        self.set_size(self.fd)

    def clear(self):
        self.cells = [[" "] * self.columns for _ in range(self.lines)]
        self.x = self.y = 0
        # The lines that scroll.
        self.top, self.bottom = 0, self.lines - 1

    def text(self):
        return "\n".join("".join(line).rstrip() for line in self.cells)

    # ---- what the program sends ----

    def move(self, y, x):
        self.y, self.x = max(0, min(y, self.lines - 1)), max(0, min(x, self.columns - 1))

    def line_down(self):
        if self.y != self.bottom:
            self.move(self.y + 1, self.x)
        else:
            del self.cells[self.top]
            self.cells.insert(self.bottom, [" "] * self.columns)

    def line_up(self):
        if self.y != self.top:
            self.move(self.y - 1, self.x)
        else:
            del self.cells[self.bottom]
            self.cells.insert(self.top, [" "] * self.columns)

    def control(self, parameters, letter):
        numbers = [int(n) if n.isdigit() else 0 for n in parameters.split(";")]
        first = numbers[0] or 1
        if letter in "Hf":
            self.move(first - 1, (numbers[1] if len(numbers) > 1 and numbers[1] else 1) - 1)
        elif letter == "A":
            self.move(self.y - first, self.x)
        elif letter == "B":
            self.move(self.y + first, self.x)
        elif letter == "C":
            self.move(self.y, self.x + first)
        elif letter == "D":
            self.move(self.y, self.x - first)
        elif letter == "K":
            start, end = {0: (self.x, self.columns), 1: (0, self.x + 1), 2: (0, self.columns)}[numbers[0]]
            self.cells[self.y][start:end] = [" "] * (end - start)
        elif letter == "J":
            assert numbers[0] in (0, 2), parameters
            whole = numbers[0] == 2
            self.cells[self.y][0 if whole else self.x:] = [" "] * (self.columns if whole else self.columns - self.x)
            for y in range(0 if whole else self.y + 1, self.lines):
                self.cells[y] = [" "] * self.columns
        elif letter == "r":
            self.top = min(first, self.lines) - 1
            self.bottom = min(numbers[1] if len(numbers) > 1 and numbers[1] else self.lines, self.lines) - 1
            self.move(0, 0)
        else:
            assert letter in "mhl", f"the program sends ESC[{parameters}{letter}"

    def put(self, token):
        if token.startswith("\x1b["):
            match = TOKEN.match(token)
            self.control(match.group(1), match.group(2))
        elif token == "\r":
            self.x = 0
        elif token == "\n":
            self.line_down()
        elif token == "\b":
            self.move(self.y, self.x - 1)
        elif token == "\t":
            self.move(self.y, (self.x // 8 + 1) * 8)
        elif token == "\x1bM":
            self.line_up()
        elif token >= " " and not token.startswith("\x1b"):
            # At the end of a line the next character goes to the next line.
            if self.x >= self.columns:
                self.x = 0
                self.line_down()
            self.cells[self.y][self.x] = token
            self.x += 1

    def feed(self, data):
        self.rest += data.decode("utf-8", "replace")
        while self.rest:
            if PART.fullmatch(self.rest):
                return
            match = TOKEN.match(self.rest)
            self.rest = self.rest[match.end():]
            self.put(match.group(0))

    def read(self, seconds):
        """Take what there is to read; False: the program has ended."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.feed(data)
        return bool(data)

    # ---- what a test does ----

    def key(self, text):
        os.write(self.fd, text.encode())

    def until(self, condition, what):
        """What is on the screen may be half drawn: a condition may become true with what comes next."""
        deadline = time.monotonic() + PATIENCE
        while not condition(self.text()):
            alive = self.read(0.2)
            if not alive or time.monotonic() > deadline:
                raise SystemExit(f"FAIL: {what} on a screen of {self.columns} x {self.lines}"
                                 f"{'' if alive else ', the program has ended'}:\n{self.text()}")
        return self

    def wait(self, pattern):
        return self.until(lambda text: re.search(pattern, text, re.M), f"{pattern!r} never came")

    def wait_gone(self, pattern):
        return self.until(lambda text: not re.search(pattern, text, re.M), f"{pattern!r} stays")

    def end(self):
        deadline = time.monotonic() + PATIENCE
        while self.read(0.2) and time.monotonic() < deadline:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def check(condition, what, terminal):
    if not condition:
        raise SystemExit(f"FAIL: {what}:\n{terminal.text()}")


THREAD_ROW = re.compile(r"(worker-\d|logger) ")


def whole_rows(columns):
    """Whether nothing is broken over two lines: every thread's row begins a line and has all its columns."""
    def condition(text):
        rows = [line for line in text.splitlines() if THREAD_ROW.match(line)]
        return rows and all(len(row.split()) == columns for row in rows)
    return condition


def sorted_by_name(text):
    names = [line.split()[0] for line in text.splitlines() if THREAD_ROW.match(line)]
    return names == ["logger", "worker-1", "worker-2", "worker-3"]


def live(hz3top, pid):
    t = Terminal([hz3top, pid], 80, 24)
    t.wait(r"^worker-1 ").wait(r"^worker-\* <- logger").wait(r"^q quit")
    t.wait(r"^THREAD +>ALLOC/s +FREE/s +IN/s +OUT/s +WAITING +HELD +KEPT$")
    t.until(whole_rows(8), "not eight columns")
    t.wait(r"^logger +[0-9.kM]+ ")          # rates, when there is a second snapshot
    print(t.text())
    t.resize(60, 10)
    t.wait(r"^THREAD +>ALLOC/s +FREE/s +IN/s +OUT/s +WAITING$").wait(r"^q quit")
    t.until(whole_rows(6), "not six columns").wait_gone("FLOWS")
    t.resize(200, 50)
    t.wait(r"BYTES/s +TID$").wait(r"^FLOWS: OWNER <- FREED BY").wait(r"^worker-\* <- logger")
    t.resize(20, 5)
    t.wait(r"^q quit")
    t.resize(1, 1)
    t.read(0.5)
    t.resize(80, 24)
    t.wait(r"^worker-1 ")
    t.key("1")
    t.wait(r"^>THREAD ")
    t.until(sorted_by_name, "not sorted by name")
    t.key("r")
    t.wait(r"^<THREAD ")
    t.key("s")
    t.wait(r">ALLOC/s")
    t.key("h")
    t.wait(r"^A CHAIN +blocks that travel").wait(r"^q +quit")
    t.key("h")
    t.wait(r"^worker-1 ")
    t.key("p")
    t.wait(r"^PAUSED: ")
    t.key("p")
    t.wait_gone(r"^PAUSED: ")
    os.kill(int(pid), signal.SIGSTOP)
    try:
        t.wait(r"^NO NEWS: ").wait(r"^worker-1 ")
    finally:
        os.kill(int(pid), signal.SIGCONT)
    t.wait_gone(r"^NO NEWS: ")
    t.key("q")
    status = t.end()
    check(status == 0, f"q ends with status {status}", t)


def dies(hz3top, pid):
    t = Terminal([hz3top, pid], 80, 24)
    t.wait(r"^worker-1 ")
    os.kill(int(pid), signal.SIGKILL)
    t.wait(r"^PROCESS ENDED: ").wait(r"^worker-1 ").wait(r"^worker-\* <- logger")
    t.resize(100, 30)
    t.wait(r"^PROCESS ENDED: ").wait(r"^worker-1 ")
    t.key("q")
    status = t.end()
    check(status == 3, f"status {status} after the process has ended", t)


if __name__ == "__main__":
    {"live": live, "dies": dies}[sys.argv[3]](sys.argv[1], sys.argv[2])
