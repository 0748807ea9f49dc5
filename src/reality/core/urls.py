"""Where a server is: its base URL, and how to show a URL without what must not be shown."""

from __future__ import annotations

from urllib.parse import urlsplit

DEFAULT_BASE_PATH = "/reality"


def base_url(url: str) -> str:
    """The URL that routes are below: as given, or with `/reality` where it has no path.

    Raises:
        ValueError: it is not an http or https URL.
    """
    try:
        parts = urlsplit(url)
        is_plain = not (parts.query or parts.fragment or url != url.strip())
        is_good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except (ValueError, AttributeError, TypeError):
        is_good = is_plain = False
    if not (is_good and is_plain):
        raise ValueError(
            f"{shown_url(str(url))!r} is not the URL of a server; it should look like http://localhost:3456"
        )
    return url.rstrip("/") + ("" if parts.path.strip("/") else DEFAULT_BASE_PATH)


def shown_url(url: str) -> str:
    """The URL for logs and tables: without the name and password that it may carry."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return scheme + separator + authority.rpartition("@")[2] + slash + path
