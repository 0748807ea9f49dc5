"""Held syncs: how long, how many, and what becomes of them when their askers or servers go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from reality import Limits, RealityServer, SyncResponse
from reality.errors import NotReady, TooManyWaiters
from reality.server.holding import Ticket
from tests.server.asking import LONG_WAIT_MS, PATIENCE_S, Asker, answered, holding, settle, until


@pytest.fixture
def server() -> RealityServer:
    return RealityServer("alpha")


# ---- how long ------------------------------------------------------------------------------------


async def timed(call: Awaitable[SyncResponse]) -> tuple[float, SyncResponse]:
    """The milliseconds that an answer takes, and the answer."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    response = await call
    return (loop.time() - begun) * 1000, response


async def test_an_untouched_key_waits_the_full_time(server: RealityServer) -> None:
    """I2: a wait waits, to its end, while other keys are touched all the time."""
    asker = await Asker(server, "a", "never:touched").caught_up()
    held = asyncio.create_task(timed(asker.ask(wait=400)))
    while not held.done():
        await server.invalidate("b", "a:b", "c:*")
        await asyncio.sleep(0.005)

    took_ms, response = await held
    assert took_ms >= 399
    assert {} == response.changed
    assert not response.reset
    assert {} == (await asker.ask()).changed


async def test_news_are_answered_without_waiting(server: RealityServer) -> None:
    """A sync that has news, or must reset, is not held."""
    asker = Asker(server, "a")

    took_ms, response = await timed(asker.ask(wait=LONG_WAIT_MS))
    asker.cursor = "no cursor at all"
    took_again_ms, again = await timed(asker.ask(wait=LONG_WAIT_MS))

    assert ["a"] == list(response.changed) == list(again.changed)
    assert again.reset
    assert max(took_ms, took_again_ms) < LONG_WAIT_MS / 2


async def test_a_wait_is_cut_with_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """I6: a wish of the limit or more ends at random in its last tenth; a shorter one is kept."""
    server = RealityServer("alpha", limits=Limits(wait_ms_max=400))
    asker = await Asker(server, "a").caught_up()
    waits_ms: list[float] = []

    async def noted(_: Ticket, seconds: float, __: object) -> None:
        waits_ms.append(seconds * 1000)

    # How long it would wait, rather than how long this machine takes to: that is the next test's.
    monkeypatch.setattr(Ticket, "wait", noted)
    for wish in (399, 1, 250):
        await asker.ask(wait=wish)
    assert waits_ms == pytest.approx([399, 1, 250])

    waits_ms.clear()
    for wish in (400, 401, LONG_WAIT_MS, 2**52 - 1) * 25:
        await asker.ask(wait=wish)
    assert all(360 <= wait <= 400 for wait in waits_ms)
    assert len(set(waits_ms)) > 90
    assert max(waits_ms) - min(waits_ms) > 20


async def test_a_wish_beyond_the_limit_ends() -> None:
    """I6: however long a client wishes to wait, the server's limit ends the wait."""
    server = RealityServer("alpha", limits=Limits(wait_ms_max=200))
    asker = await Asker(server, "a").caught_up()

    took_ms, response = await timed(asker.ask(wait=2**52 - 1))

    assert 179 <= took_ms < LONG_WAIT_MS
    assert {} == response.changed


# ---- how many ------------------------------------------------------------------------------------


async def test_held_syncs_are_limited() -> None:
    """I6: beyond `waiters_max` a sync that would be held is a retryable 503, until one ends."""
    server = RealityServer("alpha", limits=Limits(waiters_max=2))
    third = await Asker(server, "a", client_id="3").caught_up()
    first, second = (Asker(server, "a", client_id=each) for each in "12")
    async with holding(first, second) as held:
        with pytest.raises(TooManyWaiters, match="2") as caught:
            await third.ask(wait=LONG_WAIT_MS)
        await third.ask()  # not held: no matter
        held[0].cancel()
        await until(lambda: server.stats().waiters == 1)
        async with holding(third):
            assert 2 == server.stats().waiters

    assert (503, "too_many_waiters", True) == (
        caught.value.status,
        caught.value.code,
        caught.value.retryable,
    )
    assert 0 == server.stats().waiters


async def test_held_syncs_of_one_client_are_limited() -> None:
    """I6: beyond `waiters_per_client_max` one client is told 429; others are held."""
    server = RealityServer("alpha", limits=Limits(waiters_per_client_max=2))
    greedy = [Asker(server, "a", client_id="greedy") for _ in range(3)]
    await greedy[2].caught_up()
    async with holding(*greedy[:2]) as held, holding(Asker(server, "a", client_id="modest")):
        with pytest.raises(TooManyWaiters, match="clientId") as caught:
            await greedy[2].ask(wait=LONG_WAIT_MS)
        assert (429, "too_many_waiters_of_client") == (caught.value.status, caught.value.code)
        held[0].cancel()
        await until(lambda: server.stats().waiters == 2)
        async with holding(greedy[2]):
            assert 3 == server.stats().waiters


@pytest.mark.parametrize("limits", [Limits(waiters_max=1), Limits(waiters_per_client_max=1)])
async def test_a_full_server_still_tells_news(limits: Limits) -> None:
    """I1: only a sync that would have to be held is refused; one that has news is answered."""
    server = RealityServer("alpha", limits=limits)
    late = await Asker(server, "b").caught_up()
    async with holding(Asker(server, "a")):
        await server.invalidate("b")

        response = await late.ask(wait=LONG_WAIT_MS)

        assert ["b"] == list(response.changed)


# ---- who leaves ----------------------------------------------------------------------------------


async def test_a_cancelled_sync_gives_its_ticket_back(server: RealityServer) -> None:
    """A sync that is cancelled while held leaves nothing behind."""
    async with holding(Asker(server, "a:b", "c")) as (held,):
        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held

    assert 0 == server.stats().waiters
    assert 0 == len(server._state._holding._index)
    assert not server._state._holding._per_client


async def test_an_asker_that_leaves_is_not_held(server: RealityServer) -> None:
    """The wait ends when the asker has gone, and its ticket is free."""
    asker = await Asker(server, "a").caught_up()
    gone = asyncio.Event()
    held = asyncio.create_task(
        server.sync(asker.request(wait=LONG_WAIT_MS), disconnected=gone.wait)
    )
    await until(lambda: server.stats().waiters == 1)
    gone.set()

    assert {} == (await answered(held)).changed
    assert 0 == server.stats().waiters


@pytest.mark.filterwarnings("error")
async def test_watching_for_the_asker_ends_with_the_wait(server: RealityServer) -> None:
    """Nothing goes on watching for the asker once it was answered."""
    asker = await Asker(server, "a").caught_up()
    ended = asyncio.Event()

    async def disconnected() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    request = asker.request(wait=LONG_WAIT_MS)
    held = asyncio.create_task(server.sync(request, disconnected=disconnected))
    await until(lambda: server.stats().waiters == 1)
    await server.invalidate("a")

    assert ["a"] == list((await answered(held)).changed)
    await until(ended.is_set)


async def test_a_failing_watch_is_an_asker_that_left(server: RealityServer) -> None:
    """If the connection fails while it is watched, the sync ends and nothing is left unhandled."""
    asker = await Asker(server, "a").caught_up()
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def disconnected() -> None:
        raise ConnectionResetError

    request = asker.request(wait=LONG_WAIT_MS)
    response = await asyncio.wait_for(server.sync(request, disconnected=disconnected), PATIENCE_S)
    await settle()

    assert {} == response.changed
    assert [] == complaints
    assert 0 == server.stats().waiters


# ---- the end -------------------------------------------------------------------------------------


async def test_ending_waits_answers_all(server: RealityServer) -> None:
    """`end_waits` answers every held sync; until `start` syncs are answered, but not held."""
    askers = [Asker(server, f"k:{number}", client_id=str(number)) for number in range(20)]
    async with holding(*askers) as held:
        server.end_waits()
        responses = await asyncio.gather(*map(answered, held))
        took_ms, _ = await timed(askers[0].ask(wait=LONG_WAIT_MS))

    assert all({} == response.changed and not response.reset for response in responses)
    assert took_ms < LONG_WAIT_MS / 2
    assert (False, False) == (server.may_hold, server.is_ready)
    await server.start()
    assert (True, True) == (server.may_hold, server.is_ready)
    async with holding(askers[0]):
        assert 1 == server.stats().waiters


async def test_stopping_refuses_syncs_until_the_start(server: RealityServer) -> None:
    """`stop` answers what is held and refuses more; touches are still recorded; `start` goes on."""
    async with holding(asker := Asker(server, "a")) as (held,):
        await server.stop()
        assert {} == (await answered(held)).changed
    with pytest.raises(NotReady, match="alpha") as caught:
        await asker.ask()
    await server.invalidate("a")
    await server.start()
    response = await asker.ask()

    assert (503, True) == (caught.value.status, caught.value.retryable)
    assert ["a"] == list(response.changed)
    assert not response.reset


async def test_a_shutdown_between_registering_and_waiting_is_noticed(
    server: RealityServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shutdown that comes while the state is being read does not leave the sync held."""
    asker = await Asker(server, "a").caught_up()
    look = server._state.answer

    async def answer(*arguments: Any, **options: Any) -> Any:
        found = await look(*arguments, **options)
        server.end_waits()
        return found

    monkeypatch.setattr(server._state, "answer", answer)
    took_ms, _ = await timed(asker.ask(wait=LONG_WAIT_MS))

    assert took_ms < LONG_WAIT_MS / 2
