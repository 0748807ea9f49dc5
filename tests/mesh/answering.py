"""What a transport meets on real sockets: a peer, and whatever else a test writes down."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import pytest

from reality.core.codec import encode
from reality.core.messages import Problem
from reality.errors import MeshUnauthorized, ProtocolError, RemoteError, ServerUnavailable
from reality.mesh.signing import Signer, Verifier
from reality.mesh.transport import HttpMeshTransport

SECRET = "correct-horse-battery-staple"
ROUTE = "/mesh/exchange"
# Longer than any exchange takes that succeeds; those that stall get SOON_S.
ENOUGH_S, SOON_S = 20.0, 0.2

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Request(NamedTuple):
    """A request as a peer reads it: names of headers in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


async def received(reader: asyncio.StreamReader) -> Request:
    """The next request of a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers["content-length"]))
    return Request(first.split(" ")[1], headers, body)


def http(status: int, body: bytes, **headers: str) -> bytes:
    """An answer as it is sent."""
    lines = {"content-length": str(len(body)), **headers}
    text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Words\r\n{text}\r\n".encode() + body


def problem(status: int, code: str, detail: str = "no") -> bytes:
    """The body of a refusal."""
    return encode(Problem(title="No", status=status, detail=detail, code=code, error=detail))


def signed(request: Request, status: int, body: bytes, *, now_ms: int = 0, **headers: str) -> bytes:
    """An answer that a server of the mesh has signed."""
    nonce = request.headers["reality-nonce"]
    return http(
        status, body, **Signer(SECRET).answer_headers(nonce, status, body, now_ms=now_ms), **headers
    )


class Peer:
    """A server of the mesh that answers with what it was sent, on any number of connections."""

    def __init__(self, *, ahead_ms: int = 0) -> None:
        self.ahead_ms = ahead_ms
        self.verifier = Verifier(SECRET)
        self.requests: list[Request] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the asker leaves."""
        self.connections += 1
        while True:
            request = await received(reader)
            self.requests.append(request)
            await self.answer(request, writer)

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Check the request, and say the same."""
        now_ms = time.time_ns() // 1_000_000 + self.ahead_ms
        status, body = 200, request.body
        try:
            self.verifier.check("POST", ROUTE, request.headers, request.body, now_ms=now_ms)
        except MeshUnauthorized as error:
            status, body = error.status, problem(error.status, error.code, error.message)
        writer.write(signed(request, status, body, now_ms=now_ms))
        await writer.drain()


def answering(make: Callable[[Request], bytes]) -> Handler:
    """What answers one request of a connection and then closes it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(make(await received(reader)))
        await writer.drain()

    return handle


def reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection, as a host does that has forgotten it."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[str]:
    """The base URL of what handles connections, each of which is closed when it has."""
    tasks = set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handler(reader, writer)
        writer.close()
        tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks)


async def failure(
    transport: HttpMeshTransport, handler: Handler, *, timeout_s: float = ENOUGH_S
) -> Exception:
    """How an exchange fails with what answers like this: in time, and with one line."""
    begun_s = time.monotonic()
    async with listening(handler) as url:
        with pytest.raises((ServerUnavailable, RemoteError, ProtocolError)) as caught:
            await transport.post(url, ROUTE, b"{}", timeout_s=timeout_s)

    assert time.monotonic() - begun_s < timeout_s + 5
    text = str(caught.value)
    assert url in text
    assert text.isprintable()
    assert len(text) < 500
    return caught.value
