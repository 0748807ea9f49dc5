"""A window with the browser's client in it, and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, Request, expect
from playwright.sync_api import TimeoutError as NothingHappened

from tests.browser.served import TOKEN

_TIMEOUT_S = 30

# In the page: `states` and `fetches` are lists by key. A fetch waits until it is told its result,
# except for keys that begin with `quick`.
_SETUP = """async ({ isPatient, ...options }) => {
    window.isPatient = isPatient;
    const { createReality } = await import("/reality/client.js");
    [window.reality, window.states, window.fetches] = [createReality(options), {}, {}];
    const fetcher = (key, meta, { signal }) => {
        const fetching = { meta, signal };
        (fetches[key] ??= []).push(fetching);
        if (key.startsWith("quick")) return { count: fetches[key].length };
        return new Promise((resolve, reject) => Object.assign(fetching, { resolve, reject }));
    };
    window.subscribe = (key) => {
        states[key] ??= [];
        return reality.subscribe(key, (state) => states[key].push(state), { fetcher });
    };
}"""


class Playground:
    """A page with one client. Keys are subscribed to with a fetcher that the test controls.

    A patient client waits for the server's first answer however long it takes.
    """

    def __init__(self, page: Page, *, is_patient: bool = True, **options: object) -> None:
        self.page = page
        self.syncs: list[Request] = []
        page.on("request", lambda each: self.syncs.append(each) if is_sync(each) else None)
        page.evaluate(_SETUP, {**options, "isPatient": is_patient})

    def subscribe(self, *keys: str) -> None:
        """Subscribe to these keys in one step."""
        self.page.evaluate("(keys) => { for (const key of keys) subscribe(key) }", list(keys))

    def state(self, key: str) -> dict[str, Any]:
        """The state last told."""
        state: dict[str, Any] = self.page.evaluate(
            "(key) => ({ ...states[key].at(-1), error: states[key].at(-1).error?.message })", key
        )
        return state

    def fetch_count(self, key: str) -> int:
        """How often the data of a key was asked for."""
        count: int = self.page.evaluate("(key) => fetches[key]?.length ?? 0", key)
        return count

    def wait_for_fetch(self, key: str, number: int) -> None:
        """Wait until the data of a key has been asked for so often."""
        self.page.wait_for_function("([key, n]) => fetches[key]?.length >= n", arg=[key, number])

    def wait_for_state(self, key: str, condition: str) -> None:
        """Wait until this JavaScript holds of the state last told."""
        self.page.wait_for_function(
            f"(key) => {{ const state = states[key].at(-1); return state && ({condition}) }}",
            arg=key,
        )

    def finish(self, key: str, number: int, data: object) -> None:
        """Give a fetch its data; fetches count from 1."""
        self.page.evaluate(
            "([key, n, data]) => { fetches[key][n - 1].resolve(data) }", [key, number, data]
        )

    def wait_until_held(self, *keys: str) -> None:
        """Wait until all have their data, and a request for exactly these keys is held."""
        for key in keys:
            self.wait_for_state(key, "state.status === 'idle'")
        wait_for(self.page, lambda: is_held(self.syncs[-1], *keys))

    def gaps_ms(self, count: int) -> list[float]:
        """Wait for so many answered syncs; the times from the answer to one to the next one."""
        self.page.wait_for_function(f"({_TIMES})().length >= {count}")
        times: list[list[float]] = self.page.evaluate(_TIMES)
        return [round(after[0] - before[1]) for before, after in pairwise(times[:count])]


_TIMES = """() => performance.getEntriesByType("resource")
    .filter((each) => each.name.endsWith("/sync") && each.responseEnd)
    .map((each) => [each.startTime, each.responseEnd])"""


def invalidate(page: Page, *names: str) -> None:
    """Touch keys or patterns at the server of this page."""
    httpx2.post(
        f"{page.url}reality/invalidate",
        json={"keys": names},
        headers={"Authorization": f"Bearer {TOKEN}"},
    ).raise_for_status()


def set_visibility(page: Page, state: str) -> None:
    """Headless windows are never hidden: say it in the browser's stead."""
    page.evaluate(
        """(state) => {
            const property = { value: state, configurable: true };
            Object.defineProperty(document, "visibilityState", property);
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        state,
    )


def wait_for(page: Page, condition: Callable[[], bool]) -> None:
    """Let the page's events come in until this holds of them."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        page.wait_for_timeout(10)  # the pace of asking


def expect_no_sync(page: Page, *, for_ms: float) -> None:
    """Observe that no sync is asked for a while."""
    with pytest.raises(NothingHappened), page.expect_request(is_sync, timeout=for_ms):
        pass


def is_sync(request: Request) -> bool:
    """Whether this asks the server what changed."""
    return request.url.endswith("/sync")


def is_held(request: Request, *keys: str) -> bool:
    """Whether this asks the server to wait until one of exactly these keys changes."""
    if not is_sync(request):
        return False
    body = body_of(request)
    return bool(body["wait"]) and set(body["known"]) == set(keys)


def body_of(request: Request) -> dict[str, Any]:
    """The message that a sync sends."""
    body: dict[str, Any] = json.loads(request.post_data or "{}")
    return body


def wait_until_held(page: Page, asked: list[Request], *keys: str) -> None:
    """Wait until a request for exactly these keys is held."""
    wait_for(page, lambda: any(is_held(each, *keys) for each in syncs(asked)[-1:]))


def syncs(asked: list[Request]) -> list[Request]:
    """Those that asked the server what changed."""
    return [each for each in asked if is_sync(each)]


def fragments(asked: list[Request], path: str = "") -> int:
    """How many fragments were asked for."""
    return sum(f"/fragments/{path}" in each.url for each in asked)


def expect_text(page: Page, selector: str, text: str) -> None:
    """Wait until the element has this text."""
    expect(page.locator(selector)).to_have_text(text, timeout=_TIMEOUT_S * 1_000)
