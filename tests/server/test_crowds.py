"""Many held syncs: all are answered, at a cost that grows with those concerned, and spread."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reality import Limits, RealityServer
from reality.server.holding import Ticket
from tests.server.asking import Asker, answered, holding

CROWD = 2_000


def crowd(server: RealityServer, count: int, *, key: str) -> list[Asker]:
    """So many clients, asking for the same key, or with `{}` in it for one each."""
    return [
        Asker(server, key.format(number), client_id=f"client {number}") for number in range(count)
    ]


class CountingIndex(dict[str, dict[Ticket, None]]):
    """The index of the waiters, counting how often it is asked."""

    lookups = 0

    def get(self, name: str, default: Any = None) -> Any:
        """As a dict's."""
        self.lookups += 1
        return super().get(name, default)


@pytest.mark.parametrize("names", [["posts:*"], [f"posts:{number}" for number in range(CROWD)]])
async def test_one_invalidation_answers_2000_waiters(names: list[str]) -> None:
    """I1: 2,000 held syncs are all answered by one invalidation, by pattern or by their keys."""
    server = RealityServer("alpha")
    async with holding(*crowd(server, CROWD, key="posts:{}")) as held:
        await server.invalidate(names)
        responses = await asyncio.gather(*map(answered, held))

    keys = [next(iter(response.changed)) for response in responses]
    assert [f"posts:{number}" for number in range(CROWD)] == keys
    assert CROWD == server.stats().woken
    assert 0 == server.stats().waiters


@pytest.mark.parametrize(("waiters", "spread_ms"), [(99, 0), (100, 0), (101, 1_010), (250, 2_500)])
async def test_a_crowd_is_told_to_spread(waiters: int, spread_ms: int) -> None:
    """More waiters than `refetches_per_s` are told to spread over waiters / refetches_per_s s."""
    server = RealityServer("alpha", limits=Limits(refetches_per_s=100))
    late = await Asker(server, "posts").caught_up()
    async with holding(*crowd(server, waiters, key="posts")) as held:
        await server.invalidate("posts")
        responses = await asyncio.gather(*map(answered, held))
    alone = await late.ask(wait=1_000)

    assert {spread_ms} == {response.spread_ms for response in responses}
    assert ["posts"] == list(alone.changed)
    assert 0 == alone.spread_ms


async def test_a_second_touch_does_not_call_off_the_spread() -> None:
    """A smaller touch that comes before the crowd could be answered leaves its spread as it was."""
    server = RealityServer("alpha", limits=Limits(refetches_per_s=10))
    askers = crowd(server, 20, key="posts")
    for number, asker in enumerate(askers):
        asker.known["even" if number % 2 else "odd"] = 0
    async with holding(*askers) as held:
        await server.invalidate("posts")
        await server.invalidate("even")
        await server.invalidate("odd")
        responses = await asyncio.gather(*map(answered, held))

    assert {2_000} == {response.spread_ms for response in responses}


@pytest.mark.parametrize("waiters", [10, CROWD])
async def test_an_invalidation_costs_what_it_concerns(
    monkeypatch: pytest.MonkeyPatch, waiters: int
) -> None:
    """An invalidation takes one look a name, and four a waiter concerned, however many wait."""
    server = RealityServer("alpha")
    async with holding(*crowd(server, waiters, key="board:{}:posts")) as held:
        index = CountingIndex(server._state._holding._index._by_name)
        server._state._holding._index._by_name = index
        ended: list[Ticket] = []
        end = Ticket.end

        def counted_end(ticket: Ticket, running: asyncio.AbstractEventLoop | None) -> None:
            ended.append(ticket)
            end(ticket, running)

        monkeypatch.setattr(Ticket, "end", counted_end)

        await server.invalidate("board:7:posts:deeper", "board:7", "nobody:asks", "nobody:*")
        assert (4, 0) == (index.lookups, len(ended))

        # Each waiter is filed under its key and the three patterns above it.
        await server.invalidate("board:7:posts", "board:8:*")
        assert index.lookups <= 4 + 2 + 2 * 4
        assert {"client 7", "client 8"} == {ticket.client_id for ticket in ended}
        assert 2 == len(ended)
        await asyncio.gather(answered(held[7]), answered(held[8]))
        assert waiters - 2 == server.stats().waiters


async def test_the_index_forgets_who_left() -> None:
    """I6: what a crowd of held syncs took is given back when they end."""
    server = RealityServer("alpha")
    async with holding(*crowd(server, 500, key="a:{}:b")):
        # `*` and `a:*` for all; `a:7:*` and `a:7:b` for each.
        assert 2 + 2 * 500 == len(server._state._holding._index)

    assert 0 == len(server._state._holding._index)
    assert 0 == len(server._state._holding)
