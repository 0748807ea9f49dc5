"""HTTP/1.1 over bare sockets: what no client library would send, and when it would not."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

from tests.http.calling import Answer
from tests.server.asking import PATIENCE_S


def request(
    method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """The bytes of a request; with a length if it has a body."""
    given = {"host": "127.0.0.1", **(headers or {})}
    if body is not None:
        given.setdefault("content-length", str(len(body)))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunked(method: str, path: str, *chunks: bytes) -> bytes:
    """The bytes of a request whose body comes in chunks, its length unknown."""
    head = request(method, path, headers={"transfer-encoding": "chunked"})
    return head + b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in [*chunks, b""])


class Connection:
    """One connection to a server of this machine."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        """A new connection."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, *, is_abrupt: bool = False) -> None:
        """Leave, without waiting for an answer; abruptly, with a reset instead of a goodbye."""
        with suppress(OSError):  # the server may have closed before
            if is_abrupt:
                connection = self._writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._writer.transport.abort()
            self._writer.close()
            await self._writer.wait_closed()

    async def send(self, data: bytes) -> None:
        """Send bytes, as far as the server takes them."""
        self._writer.write(data)
        with suppress(OSError):  # it may have answered and closed before it had read all
            await self._writer.drain()

    async def status(self) -> int:
        """The status of the next answer, whatever its form."""
        async with asyncio.timeout(PATIENCE_S):
            return int((await self._reader.readuntil(b"\r\n")).split(b" ")[1])

    async def answer(self, method: str = "POST") -> Answer:
        """The next answer."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            while head.startswith(b"HTTP/1.1 100"):
                head = await self._reader.readuntil(b"\r\n\r\n")
            status_line, *lines = head.decode("latin-1").split("\r\n")[:-2]
            headers = {}
            for line in lines:
                name, _, value = line.partition(":")
                assert name.lower() not in headers or name.lower() != "content-length"
                headers[name.lower()] = value.strip()
            status = int(status_line.split(" ")[1])
            body = b""
            if method != "HEAD" and status not in (204, 304):
                body = await self._reader.readexactly(int(headers["content-length"]))
        return Answer(status, headers, body)

    async def call(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> Answer:
        """The answer to a request; names of headers with underscores."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.send(request(method, path, body, given))
        return await self.answer(method)

    async def post(self, path: str, message: object, **headers: str) -> Answer:
        """The answer to a POST of JSON."""
        headers.setdefault("content_type", "application/json")
        return await self.call("POST", path, json.dumps(message).encode(), **headers)


async def call(
    port: int, method: str, path: str, body: bytes | None = None, **headers: str
) -> Answer:
    """The answer to one request on a connection of its own."""
    async with await Connection.open(port) as connection:
        return await connection.call(method, path, body, **headers)


async def post(port: int, path: str, message: Any, **headers: str) -> Answer:
    """The answer to one POST of JSON on a connection of its own."""
    async with await Connection.open(port) as connection:
        return await connection.post(path, message, **headers)


async def waiters(port: int, base_path: str = "/reality") -> int:
    """How many syncs a server of `tests.http.apps` holds."""
    count: int = (await call(port, "GET", f"{base_path}/test/waiters")).json()
    return count


async def until_waiters(port: int, count: int, base_path: str = "/reality") -> None:
    """Wait until the server holds so many syncs."""
    async with asyncio.timeout(PATIENCE_S), await Connection.open(port) as connection:
        path = f"{base_path}/test/waiters"
        while (await connection.call("GET", path)).json() != count:
            await asyncio.sleep(0.005)
