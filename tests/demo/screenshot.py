"""Makes docs/images/two-windows.png: `python -m tests.demo.screenshot` in the checkout's root."""

from __future__ import annotations

import base64
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.demo.served import serving_board
from tests.support.processes import free_port
from tests.support.programs import require_program

_IMAGE = Path(__file__).parents[2] / "docs" / "images" / "two-windows.png"
_SIZE: ViewportSize = {"width": 560, "height": 590}
_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_SHARPNESS = 1.5  # pixels of the image for one of the page

_TALK = [
    (0, "Ada", "Good morning! One SQLite file, one Python process."),
    (1, "Grace", "And two windows. Mine is the dark one."),
    (0, "Barbara", "The release notes are ready. Who reads them?"),
    (0, "Ada", "Before lunch, if you can."),
    (1, "Grace", "I will. Watch this space, no need to reload."),
]
_DRAFT = "Thanks, Grace"

_FRAMES = """<!doctype html>
<style>
  body { margin: 0; padding: 36px; display: flex; gap: 32px; width: max-content;
         background: #d3ded8; }
  figure { margin: 0; overflow: hidden; border-radius: 12px;
           box-shadow: 0 0 0 1px rgb(20 40 32 / 14%), 0 8px 20px rgb(20 40 32 / 22%); }
  figcaption { display: flex; align-items: center; gap: 7px; height: 38px; padding: 0 14px;
               background: #eae8e0; color: #6f7368; font: 13px Arial, sans-serif; }
  .dark figcaption { background: #262b2f; color: #959c96; }
  i { width: 11px; height: 11px; border-radius: 50%; background: currentColor; opacity: .35; }
  span { flex: 1; margin-right: 47px; text-align: center; }
  img { display: block; }
</style>
"""


def _window(browser: Browser, address: str, scheme: Literal["light", "dark"]) -> Page:
    page = browser.new_page(
        viewport=_SIZE, color_scheme=scheme, device_scale_factor=_SHARPNESS, locale="en-GB"
    )
    page.goto(address)
    return page


def _say(windows: list[Page]) -> None:
    for number, (place, author, text) in enumerate(_TALK, start=1):
        windows[place].get_by_label("as").fill(author)
        windows[place].get_by_label("Message").fill(text)
        windows[place].get_by_role("button", name="Post", exact=True).click()
        for window in windows:
            expect(window.locator(".said")).to_have_count(number)
    for window in windows:
        # As if all but the last had been there for a while, and that one had just come.
        window.locator("#posts li + li").evaluate_all(
            "(items) => { for (const each of items) each.classList.remove('arrived') }"
        )
    windows[0].get_by_label("as").fill("Ada")
    windows[0].get_by_label("Message").fill(_DRAFT)
    windows[1].locator(":focus").blur()


def _framed(browser: Browser, windows: list[Page], address: str) -> bytes:
    frames = browser.new_page(
        viewport={"width": 1300, "height": 400}, device_scale_factor=_SHARPNESS
    )
    width = _SIZE["width"]
    figures = []
    for scheme, window in zip(_SCHEMES, windows, strict=True):
        image = base64.b64encode(window.screenshot()).decode()
        figures.append(
            f'<figure class="{scheme}"><figcaption><i></i><i></i><i></i><span>{address}</span>'
            f'</figcaption><img width="{width}" src="data:image/png;base64,{image}"></figure>'
        )
    frames.set_content(_FRAMES + "".join(figures))
    return frames.locator("body").screenshot()


def main() -> None:
    """Serve a board, talk in two windows of it, and keep the picture."""
    executable = require_program("chromium", debian_package="chromium")
    port = free_port()
    with (
        TemporaryDirectory() as directory,
        serving_board(Path(directory, "board.db"), port),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        address = f"http://127.0.0.1:{port}/"
        windows = [_window(browser, address, scheme) for scheme in _SCHEMES]
        _say(windows)
        _IMAGE.write_bytes(_framed(browser, windows, "127.0.0.1:8000"))
        browser.close()


if __name__ == "__main__":
    main()
