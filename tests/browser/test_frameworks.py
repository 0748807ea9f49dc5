"""Pages without a build step in a real browser: htmx 2 and 4, Alpine, and no framework at all."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Request

from tests.browser.playground import expect_text, fragments, wait_until_held
from tests.browser.site import SCRIPTS, Site

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not SCRIPTS["alpine"].exists(),
        reason="htmx and Alpine are not installed (`make test` does it where there is npm)",
    ),
]


@pytest.mark.parametrize("order", ["client+{}", "{}+client", "client+async-{}"])
@pytest.mark.parametrize("htmx", ["htmx2", "htmx4"])
def test_htmx_is_triggered(
    site: Site, page: Page, asked: list[Request], htmx: str, order: str
) -> None:
    """`hx-trigger="reality:KEY from:body"` loads once and after each touch, in any order."""
    page.goto(f"{site.origin}/htmx/{order.format(htmx)}")
    expect_text(page, "#posts", f"posts: {site.count('posts')}")
    expect_text(page, "#room", f"chat:room:7: {site.count('chat:room:7')}")
    wait_until_held(page, asked, "posts", "chat:room:7")
    assert (fragments(asked, "posts"), fragments(asked, "chat:room:7")) == (1, 1)

    site.touch("chat:room:7")
    expect_text(page, "#room", f"chat:room:7: {site.count('chat:room:7')}")
    site.touch("posts")
    expect_text(page, "#posts", f"posts: {site.count('posts')}")
    assert (fragments(asked, "posts"), fragments(asked, "chat:room:7")) == (2, 2)


@pytest.mark.parametrize("htmx", ["htmx2", "htmx4"])
def test_what_htmx_puts_into_the_page_is_triggered(
    site: Site, page: Page, asked: list[Request], htmx: str
) -> None:
    """Keys that are named by what came later are announced, too."""
    page.goto(f"{site.origin}/htmx/{htmx}+client")
    wait_until_held(page, asked, "posts", "chat:room:7")
    page.get_by_role("button", name="More").click()
    wait_until_held(page, asked, "posts", "chat:room:7", "later")
    site.touch("later")
    expect_text(page, "#later", f"later: {site.count('later')}")


@pytest.mark.parametrize("htmx", ["htmx2", "htmx4"])
def test_htmx_works_in_live_elements(site: Site, page: Page, htmx: str) -> None:
    """What a live element shows is known to htmx."""
    page.goto(f"{site.origin}/htmx/{htmx}+client")
    page.evaluate(
        """() => {
            document.body.innerHTML = "<p id=live data-reality=posts data-src=/more></p>";
        }"""
    )
    expect_text(page, "#later", f"later: {site.count('later')}")


def test_alpine_is_told(site: Site, page: Page, asked: list[Request]) -> None:
    """An element's `reality:change`, and events on the window for keys that a script listens to."""
    page.goto(f"{site.origin}/pages/alpine.html")
    expect_text(page, "#posts", str(site.count("posts")))
    wait_until_held(page, asked, "posts", "chat:room:7")
    site.touch("posts")
    expect_text(page, "#posts", str(site.count("posts")))
    before = int(page.locator("#room").inner_text())
    assert before > 0
    site.touch("chat:room:7")
    expect_text(page, "#room", str(before + 1))


def test_a_page_without_a_framework_is_told(site: Site, page: Page, asked: list[Request]) -> None:
    """The data of a key for a script, and events on an element for another."""
    page.goto(f"{site.origin}/pages/vanilla.html")
    for _ in range(3):
        expect_text(page, "#posts", f"posts: {site.count('posts')}")
        expect_text(page, "#room", f"room: {site.count('chat:room:7')}")
        wait_until_held(page, asked, "posts", "chat:room:7")
        site.touch("posts")
        site.touch("chat:room:7")
