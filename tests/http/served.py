"""The real servers that the tests run: what starts each, and how each ends when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.http.apps import BASE_PATHS
from tests.support.processes import free_port, serving

ROOT = Path(__file__).parents[2]

_UVICORN = ["-m", "uvicorn", "--log-level", "warning", "--port", "{port}"]
COMMANDS: Mapping[str, list[str]] = {
    "uvicorn, httptools, uvloop": [
        *_UVICORN,
        "--http",
        "httptools",
        "--loop",
        "uvloop",
        "tests.http.apps:{form}",
    ],
    "uvicorn, h11, asyncio": [
        *_UVICORN,
        "--http",
        "h11",
        "--loop",
        "asyncio",
        "tests.http.apps:{form}",
    ],
    "granian": [
        "-m",
        "granian",
        "--interface",
        "asgi",
        "--port",
        "{port}",
        "tests.http.apps:{form}",
    ],
    "hypercorn": ["-m", "hypercorn", "--bind", "127.0.0.1:{port}", "tests.http.apps:{form}"],
    "server.run": ["-m", "tests.http.apps", "{form}", "{port}"],
}


@dataclass(frozen=True)
class Live:
    """A server that is running."""

    kind: str
    form: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def base_paths(self) -> list[str]:
        """Where Reality's routes are."""
        return BASE_PATHS[self.form]


@contextmanager
def live(kind: str, form: str) -> Iterator[Live]:
    """Run a server of a kind (see `COMMANDS`), with Reality `alone` or `mounted`."""
    port = free_port()
    arguments = [each.format(form=form, port=port) for each in COMMANDS[kind]]
    path = os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    with serving(
        [sys.executable, *arguments],
        ready_url=f"http://127.0.0.1:{port}/reality/ready",
        environment={"PYTHONPATH": path},
    ) as process:
        yield Live(kind, form, port, process)


def usual_status(kind: str, number: signal.Signals) -> int:
    """The exit status that a server has after this signal whatever it serves."""
    # Uvicorn lets SIGTERM take its usual course once it has shut down.
    return -number if kind.startswith("uvicorn") and number == signal.SIGTERM else 0
