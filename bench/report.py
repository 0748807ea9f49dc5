"""Tables of measurements: as text for people, as plain values for a JSON file."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("msgspec", "uvicorn", "granian", "uvloop", "httptools", "sqlalchemy", "redis")
Value = float | int | str | None
_BAR_CHARS = 40


class CannotMeasure(Exception):
    """Something that a measurement needs is missing or went wrong; the text says what to do."""


@dataclass
class Table:
    """What one measurement found.

    Attributes:
        title: what was measured, and how.
        columns: what each value of a row is; the unit is in its name.
        rows: a name and its values; None is shown as a dash.
        notes: what a reader has to know, one line each.
    """

    title: str
    columns: Sequence[str]
    rows: list[tuple[str, Sequence[Value]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The table as lines of text, its columns aligned."""
        cells = [["", *self.columns], *([name, *map(_shown, row)] for name, row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if index else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in cells
        ]
        return "\n".join([self.title, *(f"  {line}" for line in [*lines, *self.notes])])

    def values(self) -> dict[str, Any]:
        """The table for JSON: numbers as they were measured, not rounded."""
        rows = {name: dict(zip(self.columns, row, strict=True)) for name, row in self.rows}
        return {"title": self.title, "rows": rows, "notes": self.notes}


def machine() -> dict[str, str]:
    """What the numbers depend on: the processor, the interpreter, and the versions of packages."""
    found = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    found["node"] = _printed(["node", "--version"])
    return found


def machine_line() -> str:
    """`machine()` in one line."""
    found = machine()
    head = f"{found.pop('processor')}, {found.pop('cores')} cores, {found.pop('system')}"
    return ", ".join([head, *(f"{name} {value}" for name, value in found.items())])


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest of the values that at least so many per cent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def span(values: Sequence[float]) -> str | None:
    """From the least to the greatest of the values; None where there is but one."""
    if len(values) < 2:
        return None
    return f"{_shown(min(values))} – {_shown(max(values))}"


def plot(title: str, names: Sequence[object], values: Sequence[float]) -> list[str]:
    """A bar for each value, as lines of text."""
    most = max(values)
    bars = ("█" * max(1, round(each / most * _BAR_CHARS)) for each in values)
    rows = zip(names, bars, values, strict=True)
    return ["", title, *(f"{name:>4}  {bar}  {_shown(value)}" for name, bar, value in rows)]


def _shown(value: Value) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    # Three digits that count: what lies beyond is noise.
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _printed(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "absent"
    return done.stdout.strip()
