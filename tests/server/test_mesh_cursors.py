"""Clients that have seen more elsewhere: the server asks the others first, but not for long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from reality.core.cursor import Cursor, Position, decode_cursor, encode_cursor
from tests.server.asking import Asker
from tests.server.meshed import NEVER_S, Said, alike, digest_of, meshed


def slow(seconds: float) -> Callable[[Said], Awaitable[object]]:
    """Messages take so long."""

    async def wait(_: Said) -> None:
        await asyncio.sleep(seconds)

    return wait


async def test_a_client_that_knows_more_is_not_told_less() -> None:
    """I1: a server that is behind a client's cursor has caught up before it answers."""
    async with meshed() as wires:
        a, b, _ = await wires.started("a", "b", "c")
        asker = await Asker(a, "k", "m").caught_up()
        await a.invalidate("k")
        wires.loses = lambda said: said.message.kind == "push" and said.target == "b"
        for _ in range(5):
            await a.invalidate("m")
            await asker.ask()
            await a.invalidate("k")  # it has not heard of this one
            asker.server = b
            response = await asker.ask()
            assert list(response.changed) in (["k"], [])
            seen = decode_cursor(str(asker.cursor))
            assert seen is not None
            assert digest_of(b)[a.stats().origin] >= seen.positions[a.stats().origin]
            asker.server = a
            await asker.ask()


async def test_nobody_waits_long_for_a_server_that_is_slow() -> None:
    """A server whose peers do not answer at once answers after 200 ms with what it has."""
    async with meshed() as wires:
        a, b = await wires.started("a", "b", timeout=30)
        asker = await Asker(a, "k").caught_up()
        wires.loses = lambda said: said.message.kind == "push"
        wires.delay = slow(20)
        await a.invalidate("k")
        await asker.ask()
        asker.server = b
        began_s = time.monotonic()
        response = await asker.ask()

        assert time.monotonic() - began_s < 10
        assert response.changed == {}
        assert not response.reset


async def test_origins_that_nobody_knows_cost_nothing() -> None:
    """I2: a cursor from another mesh, or of the past, neither resets nor delays again and again."""
    async with meshed() as wires:
        _, b = await wires.started("a", "b", interval=NEVER_S)
        asker = await Asker(b, "k").caught_up()
        seen = decode_cursor(str(asker.cursor))
        assert seen is not None
        foreign = {f"gone{number}~1": Position(5) for number in range(10)}
        asker.cursor = encode_cursor(Cursor({**foreign, **seen.positions}))
        await asker.ask()
        wires.said.clear()
        wires.delay = slow(20)
        began_s = time.monotonic()
        for _ in range(50):
            response = await asker.ask()
            assert (response.changed, response.reset) == ({}, False)

        assert time.monotonic() - began_s < 5  # 200 ms each would be 10 s
        assert not [said for said in wires.said if said.source == "b"]


async def test_an_origin_that_only_a_peer_knows_is_asked_for() -> None:
    """I1: a client that comes from a server that this one has not heard of yet is not reset."""
    async with meshed() as wires:
        a, b = await wires.started("a", "b")
        await alike(a, b)
        wires.loses = lambda said: {said.source, said.target} == {"b", "c"}
        c = wires.server("c", peers=["a"])
        await c.start()
        asker = await Asker(c, "k").caught_up()
        await c.invalidate("k")
        await asker.ask()
        asker.server = b
        response = await asker.ask()
        await alike(a, c)

        assert response.changed == {}
        assert not response.reset
        assert not (await asker.ask()).reset
