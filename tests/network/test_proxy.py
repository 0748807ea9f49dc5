from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.http.raw import request
from tests.network.proxy import CALM, Proxy, Trouble

HOST = "127.0.0.1"
# Longer than anything but a lost byte takes; and long enough for a byte that is not lost.
PATIENCE_S = 10.0
NOTHING_S = 0.1


def listening() -> socket.socket:
    made = socket.create_server((HOST, 0))
    made.setblocking(False)
    return made


class Echo:
    """Says everything again; knows how many connections it has."""

    def __init__(self) -> None:
        self.open = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        with suppress(OSError):
            while data := await reader.read(1_000):
                writer.write(data)
        writer.close()
        self.open -= 1


class Way:
    """A proxy before an echo."""

    def __init__(self, proxy: Proxy, port: int, echo: Echo) -> None:
        self.proxy = proxy
        self.port = port
        self.echo = echo

    def trouble(self, trouble: Trouble) -> None:
        self.proxy.troubles[HOST] = trouble

    async def open(self) -> Talk:
        return Talk(*await asyncio.open_connection(HOST, self.port))


class Talk:
    """A caller's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, data: bytes) -> bytes:
        """What comes back; nothing if the other end has left."""
        self.writer.write(data)
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.read(1_000)

    async def is_silent(self) -> bool:
        """Whether there is no answer, and no end either."""
        try:
            async with asyncio.timeout(NOTHING_S):
                await self.say(b"anybody?")
        except TimeoutError:
            return True
        return False

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


@pytest.fixture
async def way() -> AsyncIterator[Way]:
    echo = Echo()
    server = await asyncio.start_server(echo, sock=listening())
    target = server.sockets[0].getsockname()[1]
    proxy = Proxy(lambda: asyncio.open_connection(HOST, target), random.Random(1))
    front = listening()
    port = front.getsockname()[1]
    await proxy.listen(front)
    yield Way(proxy, port, echo)
    await proxy.close()
    async with asyncio.timeout(PATIENCE_S):
        while echo.open:
            await asyncio.sleep(0.001)
    server.close()
    await server.wait_closed()


async def test_it_carries_bytes_and_goodbyes_both_ways(way: Way) -> None:
    """Without trouble nobody notices the proxy; many bytes pass unchanged."""
    talk = await way.open()
    sent = random.Random(2).randbytes(1_000_000)
    talk.writer.write(sent)
    async with asyncio.timeout(PATIENCE_S):
        assert sent == await talk.reader.readexactly(len(sent))
        await talk.close()
        while way.echo.open:
            await asyncio.sleep(0.001)


async def test_silence_is_half_open_for_good(way: Way) -> None:
    """A connection that lost bytes in silence stays there and says nothing; a new one works."""
    caught, idle = await way.open(), await way.open()
    assert b"1" == await caught.say(b"1")
    assert b"1" == await idle.say(b"1")
    way.trouble(Trouble(is_silent=True))
    assert await caught.is_silent()
    way.trouble(CALM)

    assert await caught.is_silent()
    assert b"2" == await idle.say(b"2")
    fresh = await way.open()
    assert b"3" == await fresh.say(b"3")
    await asyncio.gather(caught.close(), idle.close(), fresh.close())


async def test_a_goodbye_vanishes_in_silence(way: Way) -> None:
    """What the caller leaves in silence is never told: the other end keeps its half."""
    talk = await way.open()
    assert b"1" == await talk.say(b"1")
    way.trouble(Trouble(is_silent=True))
    await talk.close()
    await asyncio.sleep(NOTHING_S)  # which is what the other end hears
    way.trouble(CALM)

    assert 1 == way.echo.open


async def test_refusing_and_resetting(way: Way) -> None:
    """A refused connection ends at once, as does an open one that is reset; others do not."""
    before = await way.open()
    assert b"1" == await before.say(b"1")
    way.trouble(Trouble(is_refusing=True))
    refused = await way.open()
    with pytest.raises(ConnectionResetError):
        await refused.say(b"2")
    assert b"3" == await before.say(b"3")

    await way.proxy.reset("another caller")
    assert b"4" == await before.say(b"4")
    await way.proxy.reset(HOST)
    with pytest.raises(ConnectionResetError):
        await before.say(b"5")
    await asyncio.gather(before.close(), refused.close())


async def test_losing_resets_some(way: Way) -> None:
    """So many of a hundred exchanges fail as chance has it: there and back are a chunk each."""
    way.trouble(Trouble(loss=0.3))
    failed = 0
    for _ in range(100):
        talk = await way.open()
        try:
            await talk.say(b"x")
        except ConnectionResetError:
            failed += 1
        await talk.close()

    assert 35 <= failed <= 67  # 51 expected


async def test_delaying_keeps_the_order(way: Way) -> None:
    """What is delayed comes later, complete and in order."""
    way.trouble(Trouble(delay_s=0.05))
    talk = await way.open()
    began = asyncio.get_running_loop().time()
    for number in range(20):
        assert b"%d" % number == await talk.say(b"%d" % number)

    assert 0.5 < asyncio.get_running_loop().time() - began  # 1.0 expected
    await talk.close()


async def test_trouble_is_of_one_caller_only(way: Way) -> None:
    """The trouble of another address does not concern this one."""
    way.proxy.troubles["127.0.0.2"] = Trouble(is_silent=True)
    talk = await way.open()

    assert b"1" == await talk.say(b"1")
    await talk.close()


async def test_nobody_behind_it() -> None:
    """If the place is not there, callers are reset."""
    with listening() as gone:
        port = gone.getsockname()[1]
    proxy = Proxy(lambda: asyncio.open_connection(HOST, port), random.Random(1))
    front = listening()
    port_of_proxy = front.getsockname()[1]
    await proxy.listen(front)
    talk = Talk(*await asyncio.open_connection(HOST, port_of_proxy))

    with pytest.raises(ConnectionResetError):
        await talk.say(b"1")
    await talk.close()
    await proxy.close()


async def test_it_counts_requests(way: Way) -> None:
    """Every request of a connection counts once, however its bytes are cut."""
    talk = await way.open()
    body = b'{"text":" HTTP/1.1 is no request"}'
    whole = request("POST", "/a", body) + request("GET", "/b") + request("POST", "/c", body)
    for start in range(0, len(whole), 7):
        talk.writer.write(whole[start : start + 7])
        await talk.writer.drain()
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        await talk.reader.readexactly(len(whole))

    assert {HOST: 3} == way.proxy.requests
    await talk.close()
