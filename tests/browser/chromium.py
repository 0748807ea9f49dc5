"""Debian's Chromium, and windows in it that share nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

from tests.support.programs import require_program

_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A name that is not this machine's: pages there have no secure context.
    "--host-resolver-rules=MAP insecure.test 127.0.0.1",
]
_TIMEOUT_MS = 30_000

# A page that has no data waits 150 ms for the first answer before it fetches all the same. Those
# here wait however long it takes, unless they say otherwise: a machine under load must not change
# what is fetched, and how often.
_PATIENCE = """{
    const { setTimeout } = window;
    window.isPatient = true;
    window.setTimeout = (act, ms) => (isPatient && ms === 150 ? 0 : setTimeout(act, ms));
}"""


class OpenWindow(Protocol):
    """What the fixture `open_window` gives."""

    def __call__(self, address: str, *, asked: list[Request] | None = None) -> Page:
        """Open an address, and append every request of the page to `asked`."""
        ...


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module, with an empty profile. Ends before other modules' event loops."""
    executable = require_program("chromium", debian_package="chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_window(browser: Browser) -> Iterator[OpenWindow]:
    """Opens an address as a new person would: no cookies, storage or cache of other windows."""
    contexts = []

    def open_window(address: str, *, asked: list[Request] | None = None) -> Page:
        page = _new_page(browser)
        contexts.append(page.context)
        # Playwright marks the handlers it is given, which a built-in method does not allow.
        page.on("request", lambda request: None if asked is None else asked.append(request))
        page.goto(address)
        return page

    yield open_window
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def shared_page(browser: Browser) -> Iterator[Page]:
    """One window for the tests of a module that load a page anew: opening one takes long."""
    page = _new_page(browser)
    yield page
    page.context.close()


@pytest.fixture
def page(shared_page: Page) -> Iterator[Page]:
    """A window as if it were new."""
    yield shared_page
    shared_page.unroute_all()
    shared_page.context.set_offline(False)


def _new_page(browser: Browser) -> Page:
    page = browser.new_context(viewport={"width": 640, "height": 720}).new_page()
    page.set_default_timeout(_TIMEOUT_MS)
    page.add_init_script(_PATIENCE)
    return page
