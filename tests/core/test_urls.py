"""`core.urls`: how a URL is shown."""

from __future__ import annotations

import pytest

from reality.core.urls import base_url, shown_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://localhost:3456/reality", "http://localhost:3456/reality"),
        ("http://me:hunter2@host:3456/live", "http://host:3456/live"),
        ("https://me:a@b@host", "https://host"),
        ("redis://:hunter2@[::1]:6379/0", "redis://[::1]:6379/0"),
        ("http://host/a@b", "http://host/a@b"),
        ("localhost", "localhost"),
    ],
)
def test_a_url_is_shown_without_its_credentials(url: str, shown: str) -> None:
    """The name and password of a URL are in no log, table or error."""
    assert shown_url(url) == shown


def test_a_refused_url_is_shown_without_its_credentials() -> None:
    """What cannot be asked is shown all the same, but for its password."""
    with pytest.raises(ValueError, match="'http://host\\?x=1' is not the URL") as caught:
        base_url("http://me:hunter2@host?x=1")
    assert "hunter2" not in str(caught.value)
