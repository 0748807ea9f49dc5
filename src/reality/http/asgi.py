"""The ASGI application: from ASGI's events to a `Request`, and a `Response` to ASGI's events."""

from __future__ import annotations

import asyncio
from functools import lru_cache

from reality.core.limits import MESH_MESSAGE_BYTES_MAX
from reality.errors import BodyTooLarge, InvalidRequest, RealityError
from reality.http import cors
from reality.http.mesh import MESH_PREFIX
from reality.http.problems import problem
from reality.http.routes import respond
from reality.http.shutdown import end_waits_on_signal
from reality.http.types import Message, Receive, Request, Response, Scope, Send
from reality.server.server import RealityServer

_DIGITS_MAX = 19
_ROUTES_CACHED_MAX = 256


class RealityApplication:
    """`server.asgi()`: serve it alone, or mount it anywhere in another application."""

    def __init__(self, server: RealityServer) -> None:
        self._server = server
        self._base_path = server.base_path
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry point."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "no WebSocket here"})
        else:
            raise RuntimeError(f"unknown ASGI scope type {scope['type']!r}")

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            end_waits_on_signal(self._server)
        headers = dict(scope["headers"])
        path = route(scope["path"], scope.get("root_path", ""), self._base_path)
        is_peer = path.startswith(MESH_PREFIX)
        body_bytes_max = MESH_MESSAGE_BYTES_MAX if is_peer else self._server.limits.body_bytes_max
        try:
            body = await _body(headers, receive, body_bytes_max)
            answer = await respond(
                self._server,
                Request(
                    method=scope["method"],
                    path=path,
                    query=scope.get("query_string", b""),
                    headers=headers,
                    body=body,
                    receive=receive,
                ),
            )
        except RealityError as error:
            answer = problem(error)
        await send(self._start(answer, headers))
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body})

    def _start(self, answer: Response, headers: dict[bytes, bytes]) -> Message:
        """The event that begins an answer: its status and headers."""
        start: Message = {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [
                (b"content-type", answer.content_type),
                (b"content-length", b"%d" % len(answer.body)),
                (b"cache-control", answer.cache_control),
                *answer.headers,
            ],
        }
        if answer.status in (204, 304):
            del start["headers"][:2]
        if self._server.cors is not None:
            origin = headers.get(b"origin")
            text = None if origin is None else origin.decode("latin-1")
            start["headers"] += cors.headers(self._server.cors, text)
        return start

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self._server.start()
                except RealityError as error:
                    # Of an exception servers make that the application knows no lifespan.
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._server.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _body(headers: dict[bytes, bytes], receive: Receive, body_bytes_max: int) -> bytes:
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit():
        raise InvalidRequest("the header `Content-Length` is not a number")
    # Refused before it is read, where the asker says how much it will be.
    if len(declared) > _DIGITS_MAX or int(declared) > body_bytes_max:
        raise _too_large(body_bytes_max)
    chunks: list[bytes] = []
    received, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            # Nobody reads the answer, but a middleware in between may insist on one.
            raise InvalidRequest("the asker went before the body had come")
        chunks.append(message.get("body", b""))
        received += len(chunks[-1])
        if received > body_bytes_max:
            raise _too_large(body_bytes_max)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(body_bytes_max: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {body_bytes_max} bytes: send less at once")


@lru_cache(maxsize=_ROUTES_CACHED_MAX)
def route(path: str, root_path: str, base_path: str) -> str:
    """The path below the mount point and the base path, whichever of them it carries.

    `path` begins with `root_path` (ASGI 3 since 2023), or does not (older servers and frameworks,
    or a proxy that strips the prefix).
    """
    for prefix in (root_path, base_path):
        if prefix and path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
            path = path[len(prefix) :]
    return path or "/"
