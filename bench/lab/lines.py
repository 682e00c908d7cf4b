"""The line of results that a workload prints: its name and key=value pairs, lib= the last."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional, Union

Value = Union[int, float, str]


@dataclass(frozen=True)
class Line:
    values: dict[str, Value]

    @classmethod
    def parse(cls, text: str) -> Optional[Line]:
        """The first line with an end that is a line of results; None if there is none."""
        for line in text.splitlines():
            head, found, lib = line.partition(" lib=")
            if found and "=" in head:
                pairs = (word.split("=", 1) for word in head.split() if "=" in word)
                return cls({**{key: _value(value) for key, value in pairs}, "lib": lib})
        return None

    @property
    def lib(self) -> str:
        return str(self.values["lib"])

    @property
    def version(self) -> str:
        return str(self.values.get("version", "unknown"))

    @property
    def errors(self) -> int:
        errors = self.values.get("errors", 0)
        return errors if isinstance(errors, int) else 1


def _value(text: str) -> Value:
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if re.fullmatch(r"-?\d+\.\d+", text):
        return float(text)
    return text
