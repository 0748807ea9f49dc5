"""The React example of the browser's client: built, served, and used as people would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.support.processes import free_port, serving
from tests.support.programs import REQUIRE_ALL, require_program

_BROWSER_CLIENT = Path(__file__).parents[2] / "clients" / "js"
_EXAMPLE = _BROWSER_CLIENT / "examples" / "react"
_VITE = _BROWSER_CLIENT / "node_modules" / "vite" / "bin" / "vite.js"
_BUILD_S_MAX = 120


def build() -> None:
    """Build the page with what is installed in `clients/js`; without it the test is skipped."""
    node = require_program("node", debian_package="nodejs")
    if not _VITE.exists():
        reason = "needs what clients/js/package.json lists: npm install in clients/js"
        if REQUIRE_ALL:
            pytest.fail(reason)
        pytest.skip(reason)
    command = [node, str(_VITE), "build", "--logLevel", "warn"]
    subprocess.run(command, cwd=_EXAMPLE, check=True, timeout=_BUILD_S_MAX)


@contextmanager
def serving_example() -> Iterator[str]:
    """The address of the example's server, in a process of its own, without any post."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    program = [sys.executable, "-m", "uvicorn", "server:app", "--app-dir", str(_EXAMPLE)]
    options = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    with serving([*program, *options], ready_url=address):
        yield address


def say(window: Page, text: str, *, author: str) -> None:
    """Write a post."""
    window.get_by_label("Your name").fill(author)
    window.get_by_label("Message").fill(text)
    window.get_by_role("button", name="Pin it up").click()
