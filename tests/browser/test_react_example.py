from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.chromium import OpenWindow
from tests.browser.react_example import build, say, serving_example

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
_TIMEOUT_MS = 30_000


@pytest.fixture(scope="module")
def built() -> None:
    """The page, built once for all tests."""
    build()


@pytest.fixture
def windows(built: None, open_window: OpenWindow) -> Iterator[tuple[Page, Page]]:
    """Ada's window and Grace's, of an empty board."""
    with serving_example() as address:
        windows = open_window(address), open_window(address)
        for window in windows:
            expect(window.get_by_text("Nothing here yet.")).to_be_visible(timeout=_TIMEOUT_MS)
        yield windows


def expect_texts(window: Page, *expected: str) -> None:
    """Wait until the window shows these posts, the newest first."""
    expect(window.locator("li .text")).to_have_text(list(expected), timeout=_TIMEOUT_MS)


def test_a_post_in_one_window_appears_in_the_other(windows: tuple[Page, Page]) -> None:
    """A post, its answer and a like reach the other window without a reload."""
    ada, grace = windows
    loads: list[str] = []
    for window in windows:
        window.on("load", lambda page: loads.append(page.url))

    say(ada, "Can you see this?", author="Ada")
    expect_texts(grace, "Can you see this?")
    say(grace, 'Yes. <b>Even</b> "this" & that.', author="Grace")
    for window in windows:
        expect_texts(window, 'Yes. <b>Even</b> "this" & that.', "Can you see this?")
        expect(window.locator("li.pending")).to_have_count(0)
        expect(window.get_by_role("status")).to_have_text("live")

    ada.get_by_role("button", name="like the post of Grace").click()
    expect(grace.locator("li").first.locator(".count")).to_have_text("1")
    assert loads == []


def test_ones_own_post_shows_at_once(windows: tuple[Page, Page]) -> None:
    """A post shows before the server has it, and is the same entry when the server does."""
    ada, grace = windows
    held: list[Route] = []
    ada.route("**/api/posts", lambda route: _hold_posts(route, held))

    say(ada, "On its way", author="Ada")
    expect_texts(ada, "On its way")
    expect(ada.locator("li.pending time")).to_have_text("sending…")
    expect(ada.get_by_label("Message")).to_have_value("")
    expect_texts(grace)
    ada.locator("li").evaluate("item => { item.dataset.mark = 'the same' }")

    (route,) = held
    route.continue_()
    expect_texts(grace, "On its way")
    expect(ada.locator("li:not(.pending)")).to_have_attribute("data-mark", "the same")
    expect_texts(ada, "On its way")


def test_a_post_that_is_refused_is_taken_back(windows: tuple[Page, Page]) -> None:
    """What the server does not take disappears, and its text is back in the form."""
    ada, grace = windows
    say(grace, "Here before", author="Grace")
    expect_texts(ada, "Here before")
    held: list[Route] = []
    ada.route("**/api/posts", lambda route: _hold_posts(route, held))

    say(ada, "Too much", author="Ada")
    expect_texts(ada, "Too much", "Here before")
    held[0].fulfill(status=503, body="")
    expect_texts(ada, "Here before")
    expect(ada.get_by_role("alert")).to_contain_text("503")
    expect(ada.get_by_label("Message")).to_have_value("Too much")
    expect_texts(grace, "Here before")


def _hold_posts(route: Route, held: list[Route]) -> None:
    if route.request.method == "POST":
        held.append(route)
    else:
        route.continue_()
