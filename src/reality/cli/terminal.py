"""What commands say to whoever runs them."""

from __future__ import annotations

import sys
from typing import NoReturn


def say(text: str) -> None:
    """A line of the command's result."""
    print(printable(text))


def note(text: str) -> None:
    """A line about the command, on standard error."""
    print(printable(" ".join(text.split())), file=sys.stderr, flush=True)


def fail(reason: str) -> NoReturn:
    """End with the status 1 and one line that says why."""
    sys.exit(f"reality: {printable(' '.join(reason.split()))}")


def printable(text: str) -> str:
    """Text of a server without what a terminal would take for commands."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
