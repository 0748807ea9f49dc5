"""The command `reality` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

COMMAND = [sys.executable, "-m", "reality"]
TOKEN = "correct-horse-battery"


def run(
    *arguments: str, stdin: int = subprocess.DEVNULL, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, with these variables beside those of the tests."""
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        stdin=stdin,
        text=True,
        timeout=30,
        check=False,
        env=variables(**environment),
    )


def variables(**environment: str) -> dict[str, str]:
    """The environment of a command: nothing of whoever runs the tests decides what it does."""
    inherited = {name: text for name, text in os.environ.items() if name != "REALITY_STORE"}
    return {**inherited, "NO_COLOR": "1", "COLUMNS": "100", **environment}


def is_refused(result: subprocess.CompletedProcess[str], *words: str) -> bool:
    """Whether a command failed with exactly one line that has these words, and printed nothing."""
    line = result.stderr.strip()
    return (
        result.returncode == 1
        and not result.stdout
        and line.startswith("reality: ")
        and "\n" not in line
        and all(word in line for word in words)
    )
