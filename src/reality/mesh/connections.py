"""Requests to peers over kept connections: each is one write, and its answer is read to the end.

A general client takes several times as long to send a small message, and news is sent to every peer
at once. What HTTP/1.1 is, h11 knows; this has the sockets. One event loop.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from reality.core.limits import MESH_MESSAGE_BYTES_MAX
from reality.errors import MissingDependency, ProtocolError

try:
    import h11
except ImportError as error:
    raise MissingDependency("h11", extra="mesh", needed_for="the mesh") from error

_KEEPALIVE_S = 60.0
_READ_BYTES = 64 * 1024


class Reply(NamedTuple):
    """An answer as it came; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ClosedMeanwhile(Exception):
    """A kept connection had been closed by the peer before anything was answered on it."""


class Connections:
    """Connections to any number of peers; each carries one request at a time."""

    def __init__(self) -> None:
        self._idle: dict[str, list[_Connection]] = {}
        self._looked_at_s = time.monotonic()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send a request, and read its answer. If cancelled, the connection is closed.

        Raises:
            ClosedMeanwhile: a kept connection had ended; another try uses another.
            OSError: the peer cannot be reached, or has left.
            ProtocolError: what came is no HTTP, or too large.
        """
        parts = urlsplit(url)
        place = f"{parts.scheme}://{parts.netloc}"
        connection = self._kept(place) or await _Connection.opened(url)
        try:
            reply = await connection.post(parts.path, headers, body)
        except h11.RemoteProtocolError as error:
            connection.close()
            raise ProtocolError(f"it answered with broken HTTP: {error}") from error
        except BaseException:
            connection.close()
            raise
        if connection.is_reusable():
            self._idle.setdefault(place, []).append(connection)
        else:
            connection.close()
        self._close_old()
        return reply

    async def aclose(self) -> None:
        """Close all that are idle."""
        for kept in self._idle.values():
            for connection in kept:
                connection.close()
        self._idle.clear()

    def _kept(self, place: str) -> _Connection | None:
        """The connection that was used last, if it is still open."""
        kept = self._idle.get(place, [])
        while kept:
            connection = kept.pop()
            if connection.is_open():
                return connection
            connection.close()
        return None

    def _close_old(self) -> None:
        """Now and then, close what was not used for long: that of peers that are no more."""
        now_s = time.monotonic()
        if now_s - self._looked_at_s < _KEEPALIVE_S:
            return
        self._looked_at_s = now_s
        for place, kept in list(self._idle.items()):
            still = [each for each in kept if each.is_open()]
            for connection in set(kept) - set(still):
                connection.close()
            self._idle[place] = still
            if not still:
                del self._idle[place]


class _Connection:
    """One connection, and how far HTTP has come on it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: dict[str, str]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._headers = headers
        self._http = h11.Connection(h11.CLIENT)
        self._is_kept = self._has_begun = False
        self._used_at_s = 0.0

    @classmethod
    async def opened(cls, url: str) -> _Connection:
        """A new connection."""
        parts = urlsplit(url)
        headers = {"host": parts.netloc.rpartition("@")[2]}
        if parts.username is not None:
            credential = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["authorization"] = f"Basic {b64encode(credential.encode()).decode()}"
        is_secure = parts.scheme == "https"
        port = parts.port or (443 if is_secure else 80)
        try:
            reader, writer = await asyncio.open_connection(
                parts.hostname, port, ssl=True if is_secure else None
            )
        except UnicodeError as error:
            raise OSError(f"{parts.hostname!a} is no name of a host") from error
        return cls(reader, writer, headers)

    def is_open(self) -> bool:
        """Whether, as far as can be seen, the peer still reads."""
        is_fresh = time.monotonic() - self._used_at_s < _KEEPALIVE_S
        return is_fresh and not (self._reader.at_eof() or self._writer.is_closing())

    def is_reusable(self) -> bool:
        """Whether another request can follow; makes it ready for that."""
        http = self._http
        if http.their_state is not h11.DONE or http.our_state is not h11.DONE:
            return False
        http.start_next_cycle()
        self._is_kept, self._has_begun, self._used_at_s = True, False, time.monotonic()
        return not http.trailing_data[0]

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """See `Connections.post`."""
        fields = [*(self._headers | dict(headers)).items(), ("content-length", str(len(body)))]
        request = h11.Request(method="POST", target=path, headers=fields)
        parts = [self._http.send(each) for each in (request, h11.Data(body), h11.EndOfMessage())]
        try:
            self._writer.write(b"".join(each for each in parts if each))
            await self._writer.drain()
            return await self._read()
        except (OSError, EOFError) as error:
            if self._is_kept and not self._has_begun:
                raise ClosedMeanwhile from error
            raise OSError(str(error) or "the connection broke") from error

    def close(self) -> None:
        """Close it, without waiting."""
        with suppress(RuntimeError):  # the loop has ended
            self._writer.close()

    async def _read(self) -> Reply:
        status, headers, body = 0, dict[str, str](), bytearray()
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                status = event.status_code
                headers = {
                    name.decode("latin-1"): at.decode("latin-1") for name, at in event.headers
                }
            elif isinstance(event, h11.Data):
                body += event.data
                check_size(len(body))
            elif isinstance(event, h11.EndOfMessage):
                return Reply(status, headers, bytes(body))
            elif not isinstance(event, h11.InformationalResponse):
                raise ProtocolError("it answered with broken HTTP")

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await self._reader.read(_READ_BYTES)
            if not data and not self._has_begun:
                raise EOFError("the peer has closed the connection")
            self._has_begun = True
            self._http.receive_data(data)
        return event


def check_size(size: int) -> None:
    """Raise if an answer is larger than a message may be.

    Raises:
        ProtocolError: it is.
    """
    if size > MESH_MESSAGE_BYTES_MAX:
        raise ProtocolError(f"the answer is larger than {MESH_MESSAGE_BYTES_MAX} bytes")
