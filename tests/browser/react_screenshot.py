"""Makes docs/images/react-example.png: `python -m tests.browser.react_screenshot` in the root."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, Route, expect, sync_playwright

from tests.browser.react_example import build, say, serving_example
from tests.demo.screenshot import _SCHEMES, _framed, _window
from tests.support.programs import require_program

_IMAGE = Path(__file__).parents[2] / "docs" / "images" / "react-example.png"
_TALK = [
    (0, "Ada", "React here, FastAPI there, and no socket."),
    (1, "Grace", "How did this get here? I never reloaded."),
    (0, "Ada", "Your browser asked what changed. This did."),
    (1, "Barbara", "And my own API still brings the data. I like it."),
]
_LIKES = {"Barbara": 3, "Grace": 1}
_PENDING = "Mine shows before the server even has it."
_DRAFT = "Even the likes arrive at once"


def _talk(windows: list[Page]) -> None:
    for number, (place, author, text) in enumerate(_TALK, start=1):
        say(windows[place], text, author=author)
        for window in windows:
            expect(window.locator("li:not(.pending)")).to_have_count(number)
    for author, likes in _LIKES.items():
        for _ in range(likes):
            windows[0].get_by_role("button", name=f"like the post of {author}").click()
        like = windows[1].get_by_role("button", name=f"like the post of {author}")
        expect(like.locator(".count")).to_have_text(str(likes))


def _leave_one_pending(window: Page) -> None:
    def hold(route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()

    window.route("**/api/posts", hold)
    say(window, _PENDING, author="Grace")
    expect(window.locator("li.pending")).to_have_count(1)
    window.evaluate("document.activeElement.blur()")


def main() -> None:
    """Build and serve the example, talk in two windows of it, and keep the picture."""
    executable = require_program("chromium", debian_package="chromium")
    build()
    with serving_example() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        windows = [_window(browser, address, scheme) for scheme in _SCHEMES]
        for window in windows:
            window.emulate_media(reduced_motion="reduce")
        _talk(windows)
        windows[0].get_by_label("Your name").fill("Ada")
        windows[0].get_by_label("Message").fill(_DRAFT)
        _leave_one_pending(windows[1])
        for window in windows:
            expect(window.get_by_role("status")).to_have_text("live")
        _IMAGE.write_bytes(_framed(browser, windows, "127.0.0.1:8000"))
        browser.close()


if __name__ == "__main__":
    main()
