"""The example on TanStack Start: rendered by Node, live in browsers, for either server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import ConsoleMessage, Request, expect

from tests.browser.chromium import OpenWindow
from tests.browser.playground import wait_until_held
from tests.browser.served import TOKEN, serving_playground
from tests.support.processes import free_port, serving
from tests.support.programs import REQUIRE_ALL, require_program

_EXAMPLE = Path(__file__).parents[2] / "clients" / "js" / "examples" / "tanstack"
_STAMP = _EXAMPLE / "node_modules" / "made"
_INSTALL = "install --loglevel=error --no-audit --no-fund --no-package-lock --ignore-scripts"
_INSTALL_S_MAX, _BUILD_S_MAX, _SHOW_MS_MAX = 300, 120, 30_000
_FIRST = "This page was rendered on the server."

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not _EXAMPLE.exists(), reason="the source archive of the Python package has no clients/js"
    ),
]


class Window:
    """The board in a window of its own, and what it asked for and complained about."""

    def __init__(self, open_window: OpenWindow, address: str, html: str | None = None) -> None:
        self.asked: list[Request] = []
        self.complaints: list[str] = []
        self.page = open_window("about:blank", asked=self.asked)
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        if html is not None:
            self.page.route(address, lambda route: route.fulfill(body=html, content_type=_HTML))
        self.page.goto(address)
        wait_until_held(self.page, self.asked, "posts")

    @property
    def calls(self) -> list[str]:
        """The calls of the application's functions: a GET read all posts, a POST added one."""
        return [each.method for each in self.asked if "/_serverFn/" in each.url]

    def add(self, title: str) -> None:
        """Add a post, as a person does."""
        self.page.get_by_label("Title").fill(title)
        self.page.get_by_role("button", name="Post").click()

    def expect_last(self, title: str) -> None:
        """Wait until this is the last post."""
        expect(self.page.locator("li").last).to_have_text(title, timeout=_SHOW_MS_MAX)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("warning", "error"):
            self.complaints.append(message.text)


_HTML = "text/html; charset=utf-8"


class Board:
    """The example, served; and the Reality server that it asks."""

    def __init__(self, port: int, reality_port: int) -> None:
        self.address = f"http://127.0.0.1:{port}/"
        self.reality = f"http://127.0.0.1:{reality_port}/reality"

    def html(self) -> str:
        """The page as it is rendered at this moment."""
        return httpx2.get(self.address).raise_for_status().text

    def version(self) -> int:
        """The version of `posts` at the server that keeps it."""
        asked = {"known": {"posts": 0}, "clientId": "test", "mode": "native", "hint": "mount"}
        changed = httpx2.post(f"{self.reality}/sync", json=asked).json()["changed"]
        version: int = changed["posts"]["version"] if changed else 0
        return version


@pytest.fixture(scope="module")
def built() -> None:
    """The example as it is served in production. It is installed, if it was not before."""
    npm = require_program("npm", debian_package="npm")
    if not _is_installed():
        installed = _run(npm, *_INSTALL.split(), timeout_s=_INSTALL_S_MAX)
        if installed.returncode != 0:
            reason = f"npm could not install {_EXAMPLE.name}: {installed.stderr}"
            if REQUIRE_ALL:
                pytest.fail(reason)
            pytest.skip(reason)
        _STAMP.touch()
    build = _run(npm, "run", "build", timeout_s=_BUILD_S_MAX)
    assert build.returncode == 0, build.stdout + build.stderr


@pytest.fixture(scope="module", params=["embedded", "python"])
def board(built: None, request: pytest.FixtureRequest) -> Iterator[Board]:
    """The board with a server embedded in its process, and with the Python server beside it."""
    port = free_port()
    package = json.loads((_EXAMPLE / "package.json").read_text(encoding="utf-8"))
    # `npm start`, without npm: that would keep signals from it.
    _, *options = package["scripts"]["start"].split()
    program = ["node", str(_EXAMPLE / "node_modules" / "srvx" / "bin" / "srvx.mjs"), *options]
    program += ["--dir", str(_EXAMPLE), "--port", str(port)]
    # A server whose address is in the environment is asked; otherwise there is one within.
    environment = {"REALITY_URL": "", "REALITY_TOKEN": ""}
    with ExitStack() as ending:
        reality_port = port
        if request.param == "python":
            reality_port = free_port()
            url = f"http://127.0.0.1:{reality_port}"
            environment = {"REALITY_URL": url, "REALITY_TOKEN": TOKEN}
            ending.enter_context(serving_playground(reality_port))
        ready_url = f"http://127.0.0.1:{port}/"
        ending.enter_context(serving(program, ready_url=ready_url, environment=environment))
        yield Board(port, reality_port)


def test_the_page_is_rendered_with_its_posts(board: Board) -> None:
    """The posts are in the markup; where they stand in time is in what the page hydrates from."""
    html = board.html()

    assert f"<li>{_FIRST}</li>" in html
    assert "realityState" in html
    assert "cursor" in html


def test_nothing_is_fetched_again_after_hydration(board: Board, open_window: OpenWindow) -> None:
    """The page shows what it was rendered with, and asks only what changed since then."""
    window = Window(open_window, board.address)

    expect(window.page.locator("li").first).to_have_text(_FIRST)
    assert window.calls == []
    assert window.complaints == []


def test_a_post_appears_in_the_other_window(board: Board, open_window: OpenWindow) -> None:
    """The action invalidates at the server that keeps `posts`, and every window follows (I1)."""
    writer, reader = (Window(open_window, board.address) for _ in range(2))
    before = board.version()

    writer.add("From one window")

    for window in (writer, reader):
        window.expect_last("From one window")
    assert board.version() > before
    assert reader.calls == ["GET"]
    assert "<li>From one window</li>" in board.html()

    reader.add("From the other")
    for window in (writer, reader):
        window.expect_last("From the other")
    assert writer.complaints + reader.complaints == []


def test_a_post_that_the_rendered_page_missed_is_fetched(
    board: Board, open_window: OpenWindow
) -> None:
    """The position was taken before the posts: a page that travelled long catches up (I1)."""
    writer = Window(open_window, board.address)
    old = board.html()
    writer.add("While the page travelled")
    writer.expect_last("While the page travelled")
    assert "While the page travelled" not in old

    late = Window(open_window, board.address, html=old)

    late.expect_last("While the page travelled")
    assert late.calls == ["GET"]
    assert late.complaints == []


def _is_installed() -> bool:
    """Whether what package.json lists now is there; the Makefile goes by the same file."""
    package = _EXAMPLE / "package.json"
    return _STAMP.exists() and _STAMP.stat().st_mtime >= package.stat().st_mtime


def _run(*command: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=_EXAMPLE, capture_output=True, text=True, check=False, timeout=timeout_s
    )
