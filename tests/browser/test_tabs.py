"""One held request per browser: tabs of one browser, real locks and channels, a real server."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, Request
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reality import RealityServer
from tests.browser.playground import set_visibility
from tests.browser.served import counting, serving_application
from tests.support.processes import free_port
from tests.support.programs import require_program

pytestmark = pytest.mark.slow

_CLIENT = Path(__file__).parents[2] / "clients" / "js"
_TIMEOUT_S = 20
_REPLACED_S_MAX = 2.0
# A busy machine starts requests late.
_ROOM_S = 1.0
_SUBSCRIBE = """(options) => {
    window.reality = Reality.createReality(options);
    window.told = {};
    window.subscribe = (key) => reality.subscribe(key, (state) => { told[key] = state }, {
        fetcher: async () => (await (await fetch(`/api/${key}`)).json()).count,
    });
    subscribe("posts");
}"""


class Held:
    """ASGI middleware: counts the syncs that the server holds."""

    def __init__(self, app: ASGIApp) -> None:
        self.count = 0
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        messages: list[Message] = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        body = json.loads(b"".join(each.get("body", b"") for each in messages))
        is_held = bool(body.get("wait"))

        async def again() -> Message:
            return messages.pop(0) if messages else await receive()

        self.count += is_held
        try:
            await self._app(scope, again, send)
        finally:
            self.count -= is_held


def application() -> Starlette:
    """Counts by key, tells how often it was counted, and how many requests are held."""
    reality = RealityServer("tabs")
    held = Held(reality.asgi())
    _, routes = counting(reality)
    return Starlette(
        routes=[
            Route("/", lambda _: HTMLResponse("<!doctype html><title>Tab</title>")),
            Route("/favicon.ico", lambda _: Response(status_code=204)),
            *routes,
            Route("/held", lambda _: JSONResponse(held.count)),
            Mount("/reality", app=held),
        ]
    )


class Tabs:
    """The tabs of one browser."""

    def __init__(self, context: BrowserContext, origin: str, script: str) -> None:
        self.context = context
        self.origin = origin
        self.pages: list[Page] = []
        self._script = script
        self._holding: dict[Page, set[Request]] = {}

    def open(self, before: str = "", **options: object) -> Page:
        """Open a tab whose client is subscribed to `posts`, and wait for the data."""
        page = self.context.new_page()
        self.pages.append(page)
        holding = self._holding[page] = set()
        page.on("request", lambda each: holding.add(each) if _is_held(each) else None)
        page.on("requestfinished", _discarding(holding))
        page.on("requestfailed", _discarding(holding))
        page.goto(self.origin)
        page.evaluate(f"() => {{ {before} }}")
        page.add_script_tag(content=self._script)
        page.evaluate(_SUBSCRIBE, options)
        page.wait_for_function("() => told.posts?.status === 'idle'")
        return page

    def leaders(self) -> list[Page]:
        """Those whose requests are held."""
        return [page for page in self.pages if self._holding[page]]

    def wait_for_leader(self, *, among: list[Page] | None = None) -> Page:
        """Wait until exactly one request is held, by one of these tabs."""
        pages = self.pages if among is None else among
        self.wait_for(lambda: len([each for each in pages if self._holding[each]]) == 1)
        return next(each for each in pages if self._holding[each])

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Let events come in until this holds."""
        deadline = time.monotonic() + _TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            self.pages[-1].wait_for_timeout(10)  # the pace of asking

    def held(self) -> int:
        """How many requests the server holds."""
        count: int = httpx2.get(f"{self.origin}/held").json()
        return count

    def touch(self, key: str = "posts") -> int:
        """Count one up; the count."""
        httpx2.post(f"{self.origin}/touch/{key}").raise_for_status()
        count: int = httpx2.get(f"{self.origin}/api/{key}").json()["count"]
        return count

    def leave(self, page: Page) -> None:
        """Count no more on a tab that was closed."""
        self.pages.remove(page)


def _discarding(holding: set[Request]) -> Callable[[Request], None]:
    # Playwright marks the handlers it is given, which a built-in method does not allow.
    def discard(request: Request) -> None:
        holding.discard(request)

    return discard


def _is_held(request: Request) -> bool:
    return request.url.endswith("/sync") and bool(json.loads(request.post_data or "{}")["wait"])


@pytest.fixture(scope="module")
def script() -> str:
    """The client as one script."""
    require_program("node", debian_package="nodejs")
    bundling = [str(_CLIENT / "node_modules/.bin/esbuild"), "src/index.ts", "--bundle"]
    options = ["--format=iife", "--global-name=Reality", "--target=es2022", "--log-level=error"]
    return subprocess.run(
        [*bundling, *options], cwd=_CLIENT, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Where the application is served."""
    port = free_port()
    with serving_application(f"{__name__}:application", port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def tabs(browser: Browser, origin: str, script: str) -> Iterator[Tabs]:
    """A browser that has no tab yet."""
    context = browser.new_context()
    context.set_default_timeout(_TIMEOUT_S * 1_000)
    yield Tabs(context, origin, script)
    context.close()


def _expect_count(pages: list[Page], count: int) -> None:
    for page in pages:
        page.wait_for_function("(count) => told.posts.data === count", arg=count)


def _say_how_long(what: str, since: float) -> None:
    took_s = time.monotonic() - since
    print(f"{what}: replaced after {took_s:.2f} s")
    assert took_s < _REPLACED_S_MAX + _ROOM_S


def test_seven_tabs_hold_one_request_and_all_update(tabs: Tabs) -> None:
    """HTTP/1.1 has six connections: seven held requests would leave none for the data."""
    pages = [tabs.open() for _ in range(7)]
    tabs.wait_for(lambda: tabs.held() == 1)

    _expect_count(pages, tabs.touch())
    tabs.wait_for(lambda: tabs.held() == 1)
    _expect_count(pages, tabs.touch())


def test_a_leader_that_is_closed_is_replaced(tabs: Tabs) -> None:
    """The lock goes to the next tab."""
    for _ in range(3):
        tabs.open()
    leader = tabs.wait_for_leader()

    leader.close()
    since = time.monotonic()
    tabs.leave(leader)
    tabs.wait_for_leader()
    _say_how_long("closed", since)
    _expect_count(tabs.pages, tabs.touch())
    tabs.wait_for(lambda: tabs.held() == 1)


def test_a_leader_that_crashes_is_replaced(tabs: Tabs) -> None:
    """What was touched while nobody led is not lost (I1)."""
    for _ in range(3):
        tabs.open()
    leader = tabs.wait_for_leader()

    session = tabs.context.new_cdp_session(leader)
    since = time.monotonic()
    with pytest.raises(Error):  # who crashes does not answer
        session.send("Page.crash", timeout=100)
    tabs.leave(leader)
    count = tabs.touch()
    tabs.wait_for_leader()
    _say_how_long("crashed", since)
    _expect_count(tabs.pages, count)
    _expect_count(tabs.pages, tabs.touch())


def test_a_leader_that_is_stuck_is_replaced_and_follows_later(tabs: Tabs) -> None:
    """One that a debugger holds keeps the lock, and beats no more: another one takes it away."""
    for _ in range(3):
        tabs.open()
    leader = tabs.wait_for_leader()
    others = [each for each in tabs.pages if each is not leader]
    debugger = tabs.context.new_cdp_session(leader)

    debugger.send("Debugger.enable")
    debugger.send("Debugger.pause")
    since = time.monotonic()
    tabs.wait_for_leader(among=others)
    _say_how_long("stuck", since)
    _expect_count(others, tabs.touch())
    debugger.send("Debugger.resume")
    # It has missed nothing, and holds nothing.
    _expect_count([leader], tabs.touch())
    tabs.wait_for(lambda: tabs.held() == 1)
    assert tabs.wait_for_leader() is not leader


def test_a_leader_that_is_hidden_hands_over(tabs: Tabs) -> None:
    """Hidden tabs hold nothing and follow nobody; shown again, they ask and follow."""
    for _ in range(2):
        tabs.open()
    leader = tabs.wait_for_leader()
    others = [each for each in tabs.pages if each is not leader]

    set_visibility(leader, "hidden")
    tabs.wait_for(lambda: tabs.leaders() == others)
    count = tabs.touch()
    _expect_count(others, count)
    assert leader.evaluate("() => told.posts.data") != count
    set_visibility(leader, "visible")
    _expect_count([leader], count)
    _expect_count(tabs.pages, tabs.touch())
    tabs.wait_for(lambda: tabs.held() == 1)


def test_tabs_may_hold_different_keys(tabs: Tabs) -> None:
    """The leader asks for keys that none but another tab has."""
    pages = [tabs.open(), tabs.open()]
    leader = tabs.wait_for_leader()
    other = next(each for each in pages if each is not leader)
    other.evaluate("() => { subscribe('chat') }")
    other.wait_for_function("() => told.chat?.status === 'idle'")
    tabs.wait_for(lambda: tabs.held() == 1)

    count = tabs.touch("chat")
    other.wait_for_function("(count) => told.chat.data === count", arg=count)
    assert leader.evaluate("() => reality.getState('chat')") is None


def test_two_browsers_share_nothing(tabs: Tabs, browser: Browser, script: str) -> None:
    """Each has its own cookies, locks and held request."""
    other = Tabs(browser.new_context(), tabs.origin, script)
    try:
        pages = [tabs.open(), tabs.open(), other.open()]
        tabs.wait_for(lambda: tabs.held() == 2)
        _expect_count(pages, tabs.touch())
    finally:
        other.context.close()


@pytest.mark.parametrize(
    "before",
    [
        "Object.defineProperty(navigator, 'locks', { value: undefined })",
        "delete window.BroadcastChannel",
        "navigator.locks.request = () => Promise.reject(new DOMException('no', 'SecurityError'))",
        "window.BroadcastChannel = class { constructor() { throw new Error('insecure') } }",
    ],
    ids=["no-locks", "no-channel", "refused-locks", "refused-channel"],
)
def test_a_page_without_locks_or_channels_works_alone(tabs: Tabs, before: str) -> None:
    """It holds a request of its own, and says nothing about it."""
    alone = tabs.open(before)
    errors: list[str] = []
    alone.on("console", lambda each: errors.append(each.text))
    alone.on("pageerror", lambda each: errors.append(str(each)))
    tabs.wait_for(lambda: tabs.held() == 1)
    _expect_count([alone], tabs.touch())
    _expect_count([alone], tabs.touch())
    assert errors == []
