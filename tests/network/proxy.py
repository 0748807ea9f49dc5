"""A TCP proxy that does to connections what networks do: lose, delay, fall silent, refuse, reset.

The kernel's own way of doing so (netem) is missing on many machines.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, fields

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_CHUNK_BYTES = 65_536
_REQUEST_LINE_END = b" HTTP/1.1\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What connections suffer on their way.

    Attributes:
        delay_s: each chunk takes up to so long.
        loss: the chance of each chunk to be lost, its connection reset.
        is_silent: chunks vanish, and nobody is told. A connection that lost one so stays half open
            for good: both ends think that it is there, and neither hears of the other again.
        is_refusing: new connections are reset at once.
    """

    delay_s: float = 0.0
    loss: float = 0.0
    is_silent: bool = False
    is_refusing: bool = False

    def __str__(self) -> str:
        names = [field.name for field in fields(self) if getattr(self, field.name)]
        return ", ".join(f"{name} {getattr(self, name):.2g}" for name in names) or "reset"


CALM = Trouble()


class Proxy:
    """Carries connections on to one place, in the trouble that their callers are in.

    Args:
        connect: opens a connection to the place.
        draw: decides what is lost, and how long what is delayed takes.

    Attributes:
        troubles: by the caller's address; changes at once, for open connections too.
        requests: how many HTTP requests each caller's address has sent.
    """

    def __init__(self, connect: Callable[[], Awaitable[Streams]], draw: random.Random) -> None:
        self.troubles: dict[str, Trouble] = {}
        self.requests: Counter[str] = Counter()
        self._connect = connect
        self._draw = draw
        self._servers: list[asyncio.Server] = []
        self._carried: dict[asyncio.Task[None], str] = {}

    async def listen(self, listening: socket.socket) -> None:
        """Take the connections of a socket, which becomes the proxy's own."""
        self._servers.append(await asyncio.start_server(self._accept, sock=listening))

    async def close(self) -> None:
        """Take no more connections, and reset those that there are."""
        for server in self._servers:
            server.close()
        await self._end(list(self._carried))
        for server in self._servers:
            await server.wait_closed()

    async def reset(self, caller: str) -> None:
        """Reset all connections of one caller."""
        await self._end([task for task, each in self._carried.items() if each == caller])

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = str(writer.get_extra_info("peername", ("gone already",))[0])
        task = asyncio.create_task(self._carry_both_ways(caller, (reader, writer)))
        self._carried[task] = caller
        task.add_done_callback(self._carried.pop)

    async def _carry_both_ways(self, caller: str, near: Streams) -> None:
        connection = _Connection(caller, [near[1]])
        try:
            if self._trouble(caller).is_refusing:
                return
            with suppress(OSError):  # nobody may be there
                far = await self._connect()
                connection.writers.append(far[1])
                there = self._carry(connection, near[0], far[1], is_request=True)
                back = self._carry(connection, far[0], near[1])
                await connection.until_over(there, back)
        finally:
            await connection.end()

    async def _carry(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        is_request: bool = False,
    ) -> None:
        """Carry what one end sends, until it has no more to send."""
        tail = b""
        while True:
            chunk = await reader.read(_CHUNK_BYTES)
            trouble = self._trouble(connection.caller)
            connection.is_silent |= trouble.is_silent  # a goodbye vanishes too
            if not chunk:
                return
            if is_request:
                tail += chunk
                self.requests[connection.caller] += tail.count(_REQUEST_LINE_END)
                tail = tail[-len(_REQUEST_LINE_END) + 1 :]
            if self._draw.random() < trouble.loss:
                raise ConnectionResetError
            if trouble.delay_s:
                await asyncio.sleep(self._draw.uniform(0, trouble.delay_s))
            if not connection.is_silent:
                writer.write(chunk)
                await writer.drain()

    def _trouble(self, caller: str) -> Trouble:
        return self.troubles.get(caller, CALM)


class _Connection:
    """One connection of a caller, and its other half to where it is carried."""

    def __init__(self, caller: str, writers: list[asyncio.StreamWriter]) -> None:
        self.caller = caller
        self.writers = writers
        self.is_silent = False
        self._is_over = False

    async def until_over(self, *directions: Coroutine[None, None, None]) -> None:
        """Carry both ways until one end leaves; if it is half open, until both have left."""
        tasks = [asyncio.create_task(each) for each in directions]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self.is_silent:
                await asyncio.wait(tasks)
            self._is_over = not any(task.exception() for task in ended)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def end(self) -> None:
        """Close both halves: with a goodbye if one end has said it, else with a reset."""
        for writer in self.writers:
            if not self._is_over:
                raw = writer.get_extra_info("socket")
                with suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            writer.close()
        for writer in self.writers:
            with suppress(OSError):
                await writer.wait_closed()
