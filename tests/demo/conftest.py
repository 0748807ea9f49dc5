"""The browser of the board's tests."""

from __future__ import annotations

from tests.browser.chromium import browser, open_window

__all__ = ["browser", "open_window"]
