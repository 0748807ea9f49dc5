"""`server.sharing`: what fits into a message, and which messages are believed."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from reality import Limits, MemoryStorage
from reality.core.cursor import Position
from reality.core.delta import Delta, Touched
from reality.core.limits import MESH_MESSAGE_BYTES_MAX
from reality.errors import ProtocolError
from reality.mesh.messages import Exchange, Page, decode_exchange, encode, page_of
from reality.mesh.runner import _room
from reality.server.sharing import Sharing
from reality.server.state import MemoryState
from tests.mesh.exchanging import exchange, largest_exchange


class Sharer:
    """A server's state and its side of exchanges, without a server."""

    def __init__(self, server_id: str, **limits: int) -> None:
        bounds = Limits(**limits)
        self.server_id = server_id
        self.state = MemoryState(server_id, MemoryStorage(), bounds)
        self.sharing = Sharing(server_id, self.state, bounds)

    @property
    def graph(self) -> Any:
        return self.state.graph

    async def touch(self, *names: str, hash: str = "") -> None:
        await self.state.touch(names, hash=hash)

    async def message(self, *, to: str = "", **members: Any) -> Exchange:
        """What it would say to a run of a peer, without pages."""
        run, origin, generation, register, digest = await self.sharing.summary()
        partial, skip = self.sharing.partial(to)
        return exchange(
            self.server_id,
            **{
                "run": run,
                "origin": origin,
                "generation": tuple(generation),
                "register": register,
                "digest": dict(digest),
                "partial": partial,
                "skip": skip,
            }
            | members,
        )

    async def pull(self, other: Sharer, *, bytes_max: int = 60_000) -> bool:
        """Exchange once, one way; whether there is more."""
        asked = await self.message(to=(await other.sharing.summary()).run)
        pages, more = await other.sharing.pages(asked, bytes_max=bytes_max)
        told = await other.message(to=asked.run, pages=pages, more=more)
        await self.sharing.take(decode_exchange(encode(told)))
        return more


def _origin_pages(number: int, names: Iterable[str], *, past: int = 0) -> Page:
    """All of a foreign origin, whole."""
    touched = tuple(
        Touched(name, sequence, 1, "", 0, False) for sequence, name in enumerate(names, 1)
    )
    upto = Position(len(touched), 9)
    return page_of(
        Delta(
            origin=f"store{number}@one",
            sender="b~1",
            position=1,
            register=1,
            since=0,
            after=0,
            upto=upto,
            last=True,
            touched=touched,
            past=tuple(
                Position(at, 2**32 - 1) for at in range(max(1, upto.sequence - past), upto.sequence)
            ),
        )
    )


@pytest.mark.parametrize("seed", range(20))
async def test_what_is_sent_fits(seed: int) -> None:
    """I6: whatever names and origins there are, a message with pages is at most 64 KiB."""
    draw = random.Random(seed)
    sharer = Sharer("a")
    character = draw.choice(['"', "x", "é", "\\", "🙂"])
    long = character * draw.choice([1, 20, 512 // len(character.encode()) - 7])
    for number in range(draw.choice([1, 5, 60])):
        names = [f"{number}:{at:03}{long}"[:500] for at in range(draw.choice([1, 20, 60]))]
        message = exchange(
            digest={}, pages=[_origin_pages(number, names, past=draw.choice([0, 64]))]
        )
        await sharer.sharing.take(message)
    for size in (len(encode(exchange())), len(encode(largest_exchange()))):
        asked = exchange("c", generation=tuple(sharer.graph.generation))
        base = largest_exchange() if size > 1_000 else exchange()
        pages, more = await sharer.sharing.pages(asked, bytes_max=_room(base))
        body = encode(msgspec.structs.replace(base, pages=pages, more=more))

        assert pages
        assert len(body) <= MESH_MESSAGE_BYTES_MAX


@pytest.mark.parametrize("seed", range(10))
async def test_pages_bring_all_while_names_are_touched(seed: int) -> None:
    """I1, I8: pulled page by page, while it is touched between them, an origin arrives whole."""
    draw = random.Random(seed)
    sender, receiver = Sharer("a"), Sharer("b")
    names = [f"key:{number:03}:{'x' * draw.choice([10, 300])}" for number in range(300)]
    await sender.touch(*names)
    pulls = 0
    while await receiver.pull(sender, bytes_max=draw.randint(2_000, 8_000)):
        pulls += 1
        if pulls < 60 and draw.random() < 0.7:
            await sender.touch(*draw.sample(names, draw.choice([1, 3, 100])))
    assert pulls > 3
    own = sender.graph.own_origin

    assert receiver.graph.digest[own] == sender.graph.digest[own]
    for name in names:
        theirs, ours = sender.graph.node(name), receiver.graph.node(name)
        touches = ours.version - receiver.graph.version("none")
        assert touches == theirs.version - sender.graph.version("none")


async def test_an_origin_is_pulled_from_one_at_a_time() -> None:
    """Pages of an origin come from one peer; of another, only what is whole by itself is taken."""
    first, second, receiver = Sharer("a"), Sharer("b"), Sharer("c")
    await first.touch(*(f"k:{number:03}" for number in range(200)))
    await second.pull(first)
    assert await receiver.pull(first, bytes_max=4_000)
    origin = first.graph.own_origin
    assert (await receiver.message(to=first.graph.own_origin)).partial[origin].ends[0] == 1
    message = await receiver.message(to=second.graph.own_origin)

    assert message.skip == [origin]
    while await receiver.pull(second, bytes_max=4_000):
        pass
    assert receiver.graph.digest.get(origin) is None
    while await receiver.pull(first, bytes_max=4_000):
        pass
    assert receiver.graph.digest[origin] == Position(1)


async def test_pages_that_come_twice_do_no_harm() -> None:
    """I1: where both call each other, the copy of a page neither counts nor ends what is held."""
    sender, receiver = Sharer("a"), Sharer("b")
    await sender.touch(*(f"k:{number:03}" for number in range(200)))
    run = sender.graph.own_origin
    copies: list[Exchange] = []
    pulls = 0
    more = True
    while more:
        asked = await receiver.message(to=run)
        pages, more = await sender.sharing.pages(asked, bytes_max=2_000)
        copies.append(await sender.message(pages=pages, more=more))
        await receiver.sharing.take(copies[-1])
        if more:
            for copy in copies:
                assert not (await receiver.sharing.take(copy)).learned
        pulls += 1

    assert pulls == len(copies) < 15
    assert receiver.graph.digest[run] == sender.graph.digest[run]


# ---- what is believed ----------------------------------------------------------------------------


async def test_a_peer_that_knows_more_of_this_run_is_refused() -> None:
    """Nobody but this process can have touched anything under its run."""
    sharer = Sharer("a")
    await sharer.touch("k")
    own = sharer.graph.own_origin

    with pytest.raises(ProtocolError, match="claims to have seen of this server what it never did"):
        await sharer.sharing.take(exchange(digest={own: (2, 0)}))
    assert sharer.graph.digest == {own: Position(1)}


async def test_a_generation_far_ahead_is_refused() -> None:
    """I6: nobody makes the number of generations run out at once."""
    sharer = Sharer("a")
    with pytest.raises(ProtocolError, match="claims generation 99999999"):
        await sharer.sharing.take(exchange(generation=(99_999_999, "b")))
    assert sharer.graph.generation == (0, "")


async def test_pages_of_another_generation_are_not_taken() -> None:
    """I1: what was said in an earlier generation is not merged; a later one is entered first."""
    sharer = Sharer("a")
    await sharer.sharing.take(exchange(generation=(2, "b")))
    assert sharer.graph.generation == (2, "b")
    page = _origin_pages(1, ["k"])
    await sharer.sharing.take(exchange(generation=(1, "b"), pages=[page]))
    assert not sharer.graph.holds(page.origin)
    await sharer.sharing.take(exchange(generation=(3, "b"), pages=[page]))
    assert sharer.graph.holds(page.origin)


async def test_two_histories_of_one_store_open_a_generation() -> None:
    """I1: where peers hold different batches of one store, all begin anew, above all versions."""
    sharer = Sharer("a")
    await sharer.sharing.take(exchange(pages=[_origin_pages(1, ["k", "m"])], digest={}))
    version = sharer.graph.version("k")
    await sharer.sharing.take(exchange("c", digest={"store1@one": (2, 8)}))

    assert sharer.graph.generation == (1, "a")
    assert sharer.graph.version("none") > version


async def test_versions_agree_where_digests_do() -> None:
    """I8: the register of a peer counts once both know the same, and not before."""
    sharer = Sharer("a")
    register = sharer.graph.register
    digest = {origin: tuple(position) for origin, position in sharer.graph.digest.items()}
    await sharer.sharing.take(exchange(register=register + 5, digest={"x~1": (0, 0)}))
    assert sharer.graph.register == register
    await sharer.sharing.take(exchange(register=register + 5, digest=digest))
    assert sharer.graph.register == register + 5


async def test_an_origin_with_too_many_names_is_trouble() -> None:
    """I6: what does not fit into memory is not taken in, and the server says that it lacks it."""
    sender, receiver = Sharer("a"), Sharer("b", nodes_max=100)
    await sender.touch(*(f"k:{number:03}" for number in range(200)))
    for _ in range(8):
        await receiver.pull(sender, bytes_max=4_000)

    assert "raise Limits.nodes_max" in receiver.sharing.trouble
    assert len(receiver.graph) == 0
