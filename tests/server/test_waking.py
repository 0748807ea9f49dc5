"""What wakes a held sync, what does not, and that no touch falls between look and wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reality import RealityServer
from reality.server.holding import Ticket
from reality.server.state import State
from tests.server.asking import LONG_WAIT_MS, Asker, answered, holding, settle


@pytest.fixture
def server() -> RealityServer:
    return RealityServer("alpha")


# ---- what wakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a:b:c", "*", "a:*", "a:b:*"])
async def test_a_touch_of_the_key_or_above_it_wakes(server: RealityServer, name: str) -> None:
    """A held sync ends when its key, or a pattern above it, is touched, and reports the key."""
    async with holding(Asker(server, "a:b:c", "z")) as (held,):
        before = server.stats().woken
        await server.invalidate("unrelated", name)

        response = await answered(held)
        assert {"a:b:c"} <= response.changed.keys()
        assert ("z" in response.changed) == (name == "*")
        assert before + 1 == server.stats().woken
        assert 0 == server.stats().waiters


@pytest.mark.parametrize(
    "name",
    ["a", "a:b:c", "a:b:*", "a:c", "a:bb", "a:", ":a:b", "A:b", "ab:*", "a:b:c:*", "b:*", "a: b"],
)
async def test_other_touches_do_not_wake(server: RealityServer, name: str) -> None:
    """Descendants, siblings, parents, look-alikes and patterns beside the key leave it held."""
    async with holding(Asker(server, "a:b")) as (held,):
        await server.invalidate(name)
        await settle()

        assert not held.done()
        assert 0 == server.stats().woken


@pytest.mark.parametrize("verb", ["invalidate", "invalidate_many", "update_node", "delete_node"])
async def test_every_verb_wakes(server: RealityServer, verb: str) -> None:
    """Whichever verb touches a key, its waiters are answered."""
    arguments: dict[str, tuple[Any, ...]] = {
        "invalidate_many": (["a"],),
        "update_node": ("a", "h"),
    }
    async with holding(Asker(server, "a")) as (held,):
        await getattr(server, verb)(*arguments.get(verb, ("a",)))

        assert ["a"] == list((await answered(held)).changed)


async def test_a_batch_wakes_a_waiter_once(server: RealityServer) -> None:
    """A batch that concerns a waiter many times over is one answer with all its news."""
    async with holding(Asker(server, "a", "b", "c:d")) as (held,):
        await server.invalidate("a", "b", "c:d", "c:*", "*")

        assert {"a", "b", "c:d"} == (await answered(held)).changed.keys()
        assert 1 == server.stats().woken


async def test_a_waiter_is_woken_once(server: RealityServer) -> None:
    """`Stats.woken` counts held syncs, not the touches that came before they could be answered."""
    async with holding(Asker(server, "a")) as (held,):
        await server.invalidate("a")
        await server.invalidate("a")
        await answered(held)

        assert 1 == server.stats().woken


# ---- no lost wake-up -----------------------------------------------------------------------------


def touch_at_look(
    server: RealityServer, monkeypatch: pytest.MonkeyPatch, number: int, *, before: bool
) -> None:
    """Let a touch happen right before or right after the n-th time that a sync looks."""
    look, touch = server._state.answer, server._state.touch
    looks = 0

    async def answer(*arguments: Any, **options: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks == number and before:
            await touch(["a"])
        found = await look(*arguments, **options)
        if looks == number and not before:
            await touch(["a"])
        return found

    monkeypatch.setattr(server._state, "answer", answer)


# A sync looks, takes its ticket, and looks again: news is told even where no ticket can be had.
LOOKS_BEFORE_THE_WAIT = 2


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, LOOKS_BEFORE_THE_WAIT + 1))
async def test_a_touch_at_any_look_is_told(
    server: RealityServer, monkeypatch: pytest.MonkeyPatch, number: int, before: bool
) -> None:
    """I1: a touch that comes while the state is being read ends the wait; none is lost."""
    asker = await Asker(server, "a").caught_up()
    touch_at_look(server, monkeypatch, number, before=before)

    held = asyncio.create_task(asker.ask(wait=LONG_WAIT_MS))

    assert ["a"] == list((await answered(held)).changed)


async def test_registering_after_the_look_would_lose_a_touch(
    server: RealityServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I1: with the rule off (the ticket is filed after the look) the same touch is lost."""
    asker = await Asker(server, "a").caught_up()
    touch_at_look(server, monkeypatch, LOOKS_BEFORE_THE_WAIT, before=False)
    file, wait = State.take_ticket, Ticket.wait
    monkeypatch.setattr(State, "take_ticket", lambda _, *arguments: Ticket(*arguments))

    async def wait_late(ticket: Ticket, *arguments: Any) -> None:
        filed = file(server._state, ticket.client_id, ticket.names)
        await wait(filed, *arguments)

    monkeypatch.setattr(Ticket, "wait", wait_late)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asker.ask(wait=LONG_WAIT_MS), timeout=0.3)
