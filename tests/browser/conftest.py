"""The browser of this folder's tests, and the playground in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Request

from tests.browser.chromium import browser, open_window, page, shared_page
from tests.browser.playground import Playground
from tests.browser.served import serving_playground
from tests.browser.site import Site, serving_site
from tests.support.processes import free_port

__all__ = [
    "Play",
    "asked",
    "browser",
    "open_window",
    "page",
    "play",
    "playground_port",
    "shared_page",
    "site",
]

Play = Callable[..., Playground]


@pytest.fixture(scope="module")
def playground_port() -> Iterator[int]:
    """Where a playground is served, for all tests of a module."""
    port = free_port()
    with serving_playground(port):
        yield port


@pytest.fixture
def play(playground_port: int, page: Page) -> Play:
    """Loads the playground, with one client that is made with these options."""

    def play(host: str = "127.0.0.1", *, is_patient: bool = True, **options: object) -> Playground:
        page.goto(f"http://{host}:{playground_port}/")
        return Playground(page, is_patient=is_patient, **options)

    return play


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One small application for the tests of a module, which count on where others stopped."""
    port = free_port()
    with serving_site(port):
        yield Site(port)


@pytest.fixture
def asked(page: Page) -> Iterator[list[Request]]:
    """All that the window asks for, in order."""
    asked: list[Request] = []

    def note(request: Request) -> None:
        asked.append(request)

    page.on("request", note)
    yield asked
    page.remove_listener("request", note)
    page.goto("about:blank")
