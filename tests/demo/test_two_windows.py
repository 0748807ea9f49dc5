"""The board in a real browser: two windows that share nothing but the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.chromium import OpenWindow
from tests.browser.playground import body_of, is_held, is_sync, set_visibility, wait_for
from tests.demo.served import serving_board
from tests.support.processes import free_port

pytestmark = pytest.mark.slow
_TIMEOUT_MS = 30_000


class Board:
    """A board's process, which can be killed and started again at the same address."""

    def __init__(self, database: Path) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}/"
        self._database = database
        self._running = ExitStack()
        self.start()

    def start(self) -> None:
        self._process = self._running.enter_context(serving_board(self._database, self.port))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self._running.close()


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    """An empty board."""
    board = Board(tmp_path / "board.db")
    yield board
    board.close()


def say(window: Page, text: str, *, author: str) -> None:
    """Write a post, as a person would."""
    window.get_by_label("as").fill(author)
    window.get_by_label("Message").fill(text)
    window.get_by_role("button", name="Post", exact=True).click()


def texts(window: Page) -> list[str]:
    return window.locator(".said").all_text_contents()


def expect_texts(window: Page, *expected: str) -> None:
    """Wait until the window shows these posts, the newest first."""
    expect(window.locator(".said")).to_have_text(list(expected), timeout=_TIMEOUT_MS)


def expect_live(window: Page) -> None:
    expect(window.locator("#status")).to_have_text("live", timeout=_TIMEOUT_MS)


def test_a_post_in_one_window_appears_in_the_other(board: Board, open_window: OpenWindow) -> None:
    """A post, and its deletion, reach the other window without a reload and without a WebSocket."""
    ada, grace = open_window(board.address), open_window(board.address)
    loads: list[str] = []
    sockets: list[str] = []
    for window in (ada, grace):
        expect(window.locator("#empty")).to_be_visible()
        window.on("websocket", lambda socket: sockets.append(socket.url))
        window.on("load", lambda page: loads.append(page.url))

    say(ada, "Can you see this?", author="Ada")
    expect_texts(grace, "Can you see this?")
    expect(grace.locator(".name")).to_have_text(["Ada"])
    say(grace, 'Yes. <b>Even</b> "this" & that.', author="Grace")
    expect_texts(ada, 'Yes. <b>Even</b> "this" & that.', "Can you see this?")
    assert ada.locator("#posts article b:not(.name)").count() == 0

    ada.get_by_role("button", name="Delete the post of Ada").click()
    expect_texts(grace, 'Yes. <b>Even</b> "this" & that.')
    expect_texts(ada, 'Yes. <b>Even</b> "this" & that.')
    expect(grace.locator("#connection")).to_contain_text("no WebSocket")

    assert (loads, sockets) == ([], [])


def test_a_refused_post_is_explained(board: Board, open_window: OpenWindow) -> None:
    """What the server refuses stays in the form, beside the reason."""
    window = open_window(board.address)

    say(window, " ", author="Ada")

    expect(window.locator("#refusal")).to_contain_text("`text` must have 1 to 500 characters")
    assert window.get_by_label("Message").input_value() == " "


def test_both_windows_recover_from_a_restart(board: Board, open_window: OpenWindow) -> None:
    """Windows notice that the server died, and after a restart show what they missed (I1)."""
    ada, grace = open_window(board.address), open_window(board.address)
    for window in (ada, grace):
        expect_live(window)
    say(ada, "before", author="Ada")
    expect_texts(grace, "before")

    board.kill()
    for window in (ada, grace):
        expect(window.locator("#status")).to_have_text("reconnecting", timeout=_TIMEOUT_MS)
    say(ada, "into the void", author="Ada")
    expect(ada.locator("#refusal")).to_contain_text("cannot be reached")
    board.start()
    for window in (ada, grace):
        expect_live(window)
    say(grace, "after", author="Grace")

    expect_texts(ada, "after", "before")
    expect_texts(grace, "after", "before")


def test_a_window_catches_up_after_having_been_offline(
    board: Board, open_window: OpenWindow
) -> None:
    """What was posted while a window had no network is there once it has (I1)."""
    ada, grace = open_window(board.address), open_window(board.address)
    for window in (ada, grace):
        expect_live(window)

    grace.context.set_offline(True)
    say(ada, "while you were away", author="Ada")
    expect_texts(ada, "while you were away")
    assert texts(grace) == []
    grace.context.set_offline(False)

    expect_texts(grace, "while you were away")


def test_a_hidden_window_holds_no_request(board: Board, open_window: OpenWindow) -> None:
    """A hidden window lets go of its request; shown again, it asks at once and catches up (I1)."""
    asked: list[Request] = []
    ada, grace = open_window(board.address), open_window(board.address, asked=asked)
    wait_for(grace, lambda: any(is_held(each, "posts") for each in asked))
    expect(grace.locator("#connection")).to_have_attribute("data-status", "idle")

    with grace.expect_event("requestfailed", is_sync):
        set_visibility(grace, "hidden")
    asked.clear()
    say(ada, "psst", author="Ada")
    expect_texts(ada, "psst")
    assert (asked, texts(grace)) == ([], [])

    with grace.expect_request(is_sync) as resumed:
        set_visibility(grace, "visible")
    assert body_of(resumed.value)["wait"] == 0
    expect_texts(grace, "psst")
