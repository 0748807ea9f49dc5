"""ASGI's calling convention, and the values that the routes work on.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON = b"application/json"


class Request(msgspec.Struct, frozen=True):
    """One request: the path below the base path, names of headers in lower case."""

    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    body: bytes
    receive: Receive

    async def disconnected(self) -> None:
        """Return once the asker has gone. The body must have been read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def header(self, name: bytes) -> str | None:
        """A header's value, or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


class Response(msgspec.Struct):
    """One answer. Its length and the headers for other origins are added when it is sent."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    cache_control: bytes = b"no-store"
    headers: list[tuple[bytes, bytes]] = msgspec.field(default_factory=list)
