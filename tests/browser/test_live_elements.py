"""Pages whose markup is kept fresh: `data-reality` elements and plain scripts in a real browser."""

from __future__ import annotations

import httpx2
import pytest
from playwright.sync_api import Page, Request, Route

from tests.browser.chromium import OpenWindow
from tests.browser.playground import (
    body_of,
    expect_no_sync,
    expect_text,
    fragments,
    is_sync,
    set_visibility,
    syncs,
    wait_for,
    wait_until_held,
)
from tests.browser.site import Site, serving_site
from tests.support.processes import free_port

pytestmark = pytest.mark.slow


def test_live_elements_follow_in_two_browsers(site: Site, open_window: OpenWindow) -> None:
    """Content comes once, and again after each touch of one of its keys, in every window."""
    requests: list[Request] = []
    windows = [
        open_window(f"{site.origin}/pages/live.html", asked=requests),
        open_window(f"{site.origin}/pages/live.html"),
    ]
    count = site.count("posts")
    room = site.count("chat:room:7")
    for window in windows:
        expect_text(window, "#posts", f"posts: {count}")
    wait_until_held(windows[0], requests, "posts", "chat:room:7")
    assert (fragments(requests, "posts"), fragments(requests, "both")) == (1, 1)

    site.touch("posts")
    site.touch("chat:room:7")
    for window in windows:
        expect_text(window, "#posts", f"posts: {count + 1}")
        expect_text(window, "#both", f"both: {count + room + 2}")


def test_elements_come_and_go(site: Site, page: Page, asked: list[Request]) -> None:
    """What is put into the page later is live; what is taken out is asked for no more."""
    page.goto(f"{site.origin}/pages/live.html")
    wait_until_held(page, asked, "posts", "chat:room:7")
    page.evaluate("document.body.innerHTML = '<p id=new data-reality=new data-src=/fragments/new>'")
    expect_text(page, "#new", f"new: {site.count('new')}")
    asked.clear()
    # The former keys are asked for some seconds longer.
    page.wait_for_function("reality.client.getStats().keys === 1")
    site.touch("new")
    expect_text(page, "#new", f"new: {site.count('new')}")
    wait_until_held(page, asked, "new")
    assert fragments(asked) == 1


def test_an_element_catches_up_after_having_been_offline(
    site: Site, page: Page, asked: list[Request]
) -> None:
    """Without a network the old content stays; with it, what was missed is there (I1)."""
    page.goto(f"{site.origin}/pages/live.html")
    before = site.count("posts")
    expect_text(page, "#posts", f"posts: {before}")
    wait_until_held(page, asked, "posts", "chat:room:7")
    page.context.set_offline(True)
    site.touch("posts")
    page.evaluate("dispatchEvent(new Event('focus'))")
    page.wait_for_function("reality.client.getState('posts').error !== null")
    expect_text(page, "#posts", f"posts: {before}")

    page.context.set_offline(False)
    expect_text(page, "#posts", f"posts: {before + 1}")


def test_a_hidden_page_holds_nothing_and_catches_up(
    site: Site, page: Page, asked: list[Request]
) -> None:
    """A hidden page lets go of its request; a frozen one that goes on shows what it missed (I1)."""
    page.goto(f"{site.origin}/pages/live.html")
    before = site.count("posts")
    wait_until_held(page, asked, "posts", "chat:room:7")
    expect_text(page, "#posts", f"posts: {before}")
    control = page.context.new_cdp_session(page)

    with page.expect_event("requestfailed", is_sync):
        set_visibility(page, "hidden")
    control.send("Page.setWebLifecycleState", {"state": "frozen"})
    asked.clear()
    site.touch("posts")
    expect_no_sync(page, for_ms=300)
    assert asked == []

    control.send("Page.setWebLifecycleState", {"state": "active"})
    with page.expect_request(is_sync) as resumed:
        set_visibility(page, "visible")
    assert body_of(resumed.value)["wait"] == 0
    expect_text(page, "#posts", f"posts: {before + 1}")


def test_a_restarted_server_leads_to_one_request_for_each_element(open_window: OpenWindow) -> None:
    """While the server is gone the old content stays; then each is asked for once (I1)."""
    port = free_port()
    asked: list[Request] = []
    with serving_site(port) as process:
        site = Site(port)
        site.touch("posts")
        window = open_window(f"{site.origin}/pages/live.html", asked=asked)
        expect_text(window, "#posts", "posts: 1")
        wait_until_held(window, asked, "posts", "chat:room:7")
        process.kill()
        process.wait()
        window.wait_for_function("reality.client.getState('posts').error !== null")
        expect_text(window, "#posts", "posts: 1")
        asked.clear()
    with serving_site(port):
        expect_text(window, "#posts", "posts: 0")
        expect_text(window, "#both", "both: 0")
        assert (fragments(asked, "posts"), fragments(asked, "both")) == (1, 1)


def test_a_page_moves_to_another_server_of_the_mesh(site: Site, open_window: OpenWindow) -> None:
    """When the server that a page asks is killed, it asks another and misses nothing (I1)."""
    ports = [free_port(), free_port()]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    asked: list[Request] = []
    with (
        serving_site(ports[0], server_id="s1", peers=urls, cors=site.origin) as first,
        serving_site(ports[1], server_id="s2", peers=urls, cors=site.origin) as second,
    ):
        window = open_window(
            f"{site.origin}/elsewhere?server={urls[0]}&server={urls[1]}", asked=asked
        )
        expect_text(window, "#posts", f"posts: {site.count('posts')}")
        wait_until_held(window, asked, "posts")
        is_first = syncs(asked)[-1].url.startswith(urls[0])
        killed, other = (first, 1) if is_first else (second, 0)
        killed.kill()
        killed.wait()
        site.touch("posts")  # the data of the page; the servers of its Reality are others
        httpx2.post(f"{urls[other]}/touch/posts").raise_for_status()

        expect_text(window, "#posts", f"posts: {site.count('posts')}")
        wait_until_held(window, asked, "posts")
        assert syncs(asked)[-1].url.startswith(urls[other])


def test_a_rendered_page_is_not_asked_for_again(
    site: Site, page: Page, asked: list[Request]
) -> None:
    """What the server rendered, with the position from before it read the data, is fresh (I1)."""
    page.goto(f"{site.origin}/rendered")
    wait_until_held(page, asked, "posts")
    expect_no_sync(page, for_ms=300)
    assert fragments(asked) == 0
    first = body_of(syncs(asked)[0])
    assert first["cursor"]
    assert first["known"]["posts"] > 0

    site.touch("posts")
    expect_text(page, "#posts", f"posts: {site.count('posts')}")
    assert fragments(asked) == 1


def test_a_touch_after_the_rendering_is_not_missed(
    site: Site, page: Page, asked: list[Request]
) -> None:
    """What changed between the rendering and the first request is asked for, once (I1)."""

    def touch_first(route: Route) -> None:
        site.touch("posts")
        route.continue_()

    page.route("**/client.js", touch_first, times=1)
    page.goto(f"{site.origin}/rendered")
    expect_text(page, "#posts", f"posts: {site.count('posts')}")
    wait_until_held(page, asked, "posts")
    assert fragments(asked) == 1


def test_many_elements_ask_once_each(site: Site, page: Page, asked: list[Request]) -> None:
    """500 elements are loaded once each; a touch of one key leads to exactly one request (I2)."""
    page.goto(f"{site.origin}/many/500")
    page.wait_for_function("document.body.innerText.trim().split(/\\n+/).length === 500")
    wait_for(page, lambda: body_of(syncs(asked)[-1])["wait"] > 0)
    assert fragments(asked) == len({each.url for each in asked if "/fragments/" in each.url}) == 500
    assert len(syncs(asked)) == 2

    asked.clear()
    site.touch("key:77")
    expect_text(page, "[data-reality='key:77']", f"key:77: {site.count('key:77')}")
    wait_for(page, lambda: len(syncs(asked)) == 1)
    others = [each.url for each in asked if not is_sync(each)]
    assert others == [f"{site.origin}/fragments/key:77"]


def test_a_change_of_one_key_calls_its_subscriber_only(site: Site, page: Page) -> None:
    """Of 1,000 subscribers exactly one is called; `pytest -s` shows how long the page takes."""
    page.goto(f"{site.origin}/")
    page.evaluate(
        """async () => {
            const { createReality } = await import("/reality/client.js");
            const parse = JSON.parse;
            window.told = [];
            for (const name of ["json", "text"]) {
                const read = Response.prototype[name];
                Response.prototype[name] = async function () {
                    const body = await read.call(this);
                    window.readAt = performance.now();
                    return body;
                };
            }
            window.client = createReality();
            for (let number = 0; number < 1000; number += 1) {
                const key = `key:${number}`;
                client.subscribe(key, () => told.push([key, performance.now() - readAt]));
            }
        }"""
    )
    page.wait_for_function("told.length >= 1000 && client.getStats().syncs > 0")
    times: list[float] = []
    for number in range(20):
        page.wait_for_function("client.getState('key:0').status === 'idle'")
        page.evaluate("told.length = 0")
        site.touch(f"key:{number}")
        page.wait_for_function("told.length > 0")
        page.wait_for_timeout(20)  # in which others would be told
        told: list[tuple[str, float]] = page.evaluate("told")
        assert [key for key, _ in told] == [f"key:{number}"]
        times.append(told[0][1])
    times.sort()
    print(f"from the answer to the subscriber: median {times[10]:.2f} ms, most {times[-1]:.2f} ms")


def test_a_part_of_the_client_that_could_not_be_loaded_is_loaded_later(
    site: Site, page: Page
) -> None:
    """What makes elements live is asked for until it is there; then nothing was missed (I1)."""
    page.route("**/client-fragment-*.js", lambda route: route.abort(), times=1)
    with page.expect_console_message(lambda each: "could not be loaded" in each.text):
        page.goto(f"{site.origin}/pages/live.html")
    site.touch("posts")
    expect_text(page, "#posts", f"posts: {site.count('posts')}")


def test_a_page_without_tls_is_live(site: Site, page: Page, asked: list[Request]) -> None:
    """A page that is no secure context lacks locks and UUIDs, and is live all the same."""
    page.goto(f"{site.origin.replace('127.0.0.1', 'insecure.test')}/pages/live.html")
    assert not page.evaluate("isSecureContext")
    expect_text(page, "#posts", f"posts: {site.count('posts')}")
    wait_until_held(page, asked, "posts", "chat:room:7")
    site.touch("posts")
    expect_text(page, "#posts", f"posts: {site.count('posts')}")


def test_the_client_asks_where_it_came_from(site: Site, page: Page, asked: list[Request]) -> None:
    """The default server of a page is the folder of the script, wherever it is mounted."""
    page.goto(f"{site.origin}/")
    page.evaluate(
        """async () => {
            document.body.innerHTML = "<p id=p data-reality=posts data-src=/fragments/posts></p>";
            await import("/deep/down/client.js");
        }"""
    )
    expect_text(page, "#p", f"posts: {site.count('posts')}")
    wait_until_held(page, asked, "posts")
    assert {each.url for each in syncs(asked)} == {f"{site.origin}/deep/down/sync"}
