"""`server.blocking`, and a server shared by threads and event loops."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from reality import Limits, RealityServer, SyncResponse
from reality.errors import BlockingInLoop, InvalidKey, LimitExceeded, NotReady
from reality.server.blocking import BlockingServer
from tests.server.asking import LONG_WAIT_MS, PATIENCE_S, Asker, answered, holding, until

THREADS = 16


@pytest.fixture
def server() -> RealityServer:
    return RealityServer("alpha")


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool


# ---- the verbs -----------------------------------------------------------------------------------


def test_the_verbs_without_a_loop(server: RealityServer) -> None:
    """Without an event loop every verb works, with the results of the asynchronous ones."""
    blocking = server.blocking
    versions = blocking.invalidate("a", ["b"], "c:*")
    more = blocking.invalidate_many(name for name in ("a",))
    updated = blocking.update_node("a", "h")
    deleted = blocking.delete_node("b")
    page = blocking.list_changed_since(0, limit=2)
    response = blocking.sync(
        {"known": {"a": 0}, "clientId": "c", "mode": "native", "hint": "mount", "wait": 5_000}
    )

    assert {"a": versions["a"] + 1} == more
    assert (more["a"] + 1, "h") == (updated.version, updated.hash)
    assert deleted == blocking.get_node("b")
    assert ["c:*", "a"] == [node.key for node in page.changed]
    assert updated.version == response.changed["a"].version
    assert 4 == blocking.stats().invalidations


def test_errors_are_the_same(server: RealityServer) -> None:
    """What a verb raises, its blocking form raises in the caller."""
    with pytest.raises(InvalidKey):
        server.blocking.invalidate("a", "")
    with pytest.raises(LimitExceeded):
        server.blocking.get_node("k" * 513)


def test_start_and_stop(server: RealityServer) -> None:
    """A server is stopped and started from blocking code too."""
    server.blocking.stop()
    with pytest.raises(NotReady):
        server.blocking.sync(Asker(server, "a").request())
    server.blocking.start()

    assert "a" in server.blocking.sync(Asker(server, "a").request()).changed


def test_every_verb_has_a_blocking_form() -> None:
    """The asynchronous and the blocking server have the same verbs with the same parameters."""

    def verbs(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in vars(kind).items()
            if inspect.isfunction(member) and not name.startswith("_")
        }

    # `hidden` and `disconnected` are for whoever translates requests, and those have a loop.
    asynchronous = verbs(RealityServer) | {"sync": ["self", "request"]}
    blocking = verbs(BlockingServer)
    awaited = {
        name for name in asynchronous if inspect.iscoroutinefunction(getattr(RealityServer, name))
    }

    assert awaited | {"stats"} == blocking.keys()
    assert {name: asynchronous[name] for name in blocking} == blocking


async def test_in_a_loop_it_is_refused(server: RealityServer) -> None:
    """In a running loop's thread a blocking call is an error that says what to write instead."""
    with pytest.raises(BlockingInLoop, match=r"await server\.invalidate"):
        server.blocking.invalidate("a")

    assert await server.get_node("a") is None
    assert 0 == server.blocking.stats().invalidations


# ---- many threads, many loops --------------------------------------------------------------------


def test_many_threads_at_once(server: RealityServer, threads: ThreadPoolExecutor) -> None:
    """No touch of many threads is lost, and no two of them are told the same version."""
    go = threading.Barrier(THREADS)

    def work(_: int) -> list[int]:
        go.wait()
        return [server.blocking.invalidate("a")["a"] for _ in range(50)]

    versions = sorted(version for each in threads.map(work, range(THREADS)) for version in each)

    assert list(range(versions[0], versions[0] + THREADS * 50)) == versions
    assert THREADS * 50 == server.stats().invalidations


def test_one_loop_serves_all_threads(server: RealityServer, threads: ThreadPoolExecutor) -> None:
    """However many threads call first, one daemon loop thread serves them."""
    go = threading.Barrier(THREADS)
    before = {thread.ident for thread in threading.enumerate()}

    def work(_: int) -> None:
        go.wait()
        server.blocking.invalidate("a")

    list(threads.map(work, range(THREADS)))

    mine = [
        thread
        for thread in threading.enumerate()
        if thread.name == "reality-blocking" and thread.ident not in before
    ]
    assert 1 == len(mine)
    assert mine[0].daemon


def test_a_loop_thread_that_cannot_start_is_no_hang(
    server: RealityServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the machine has no thread to give, the call fails, and the next one tries again."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    # Nothing real makes a process run out of threads that does not also break the test run.
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="thread"):
            server.blocking.invalidate("a")

    done = threading.Event()

    def call_again() -> None:
        server.blocking.invalidate("a")
        done.set()

    threading.Thread(target=call_again, daemon=True).start()
    assert done.wait(PATIENCE_S), "the call after the failed one hangs"


async def test_a_touch_in_a_thread_wakes_the_loop(
    server: RealityServer, threads: ThreadPoolExecutor
) -> None:
    """A blocking invalidation in any thread wakes what is held in this loop."""
    async with holding(
        Asker(server, "a", client_id="1"), Asker(server, "b", client_id="2")
    ) as held:
        await asyncio.wrap_future(threads.submit(server.blocking.invalidate, "a"))
        assert ["a"] == list((await answered(held[0])).changed)
        assert not held[1].done()
        await asyncio.wrap_future(threads.submit(server.blocking.invalidate, "*"))
        assert ["b"] == list((await answered(held[1])).changed)


async def test_a_touch_in_another_loop_wakes_this_one(
    server: RealityServer, threads: ThreadPoolExecutor
) -> None:
    """Loops of several threads share a server: each wakes what is held in the others."""

    async def touch() -> None:
        await server.invalidate("a")

    async with holding(Asker(server, "a")) as (held,):
        await asyncio.wrap_future(threads.submit(asyncio.run, touch()))

        assert ["a"] == list((await answered(held)).changed)


async def test_a_touch_here_wakes_a_blocked_thread(
    server: RealityServer, threads: ThreadPoolExecutor
) -> None:
    """A thread that is held in `server.blocking.sync` is answered by a touch of this loop."""
    asker = await Asker(server, "a").caught_up()
    held = threads.submit(server.blocking.sync, asker.request(wait=LONG_WAIT_MS))
    await until(lambda: server.stats().waiters == 1)
    await server.invalidate("a")

    response = await asyncio.wait_for(asyncio.wrap_future(held), PATIENCE_S)
    assert ["a"] == list(response.changed)


async def test_ending_waits_from_a_thread(
    server: RealityServer, threads: ThreadPoolExecutor
) -> None:
    """`end_waits` may be called from any thread."""
    async with holding(Asker(server, "a")) as (held,):
        await asyncio.wrap_future(threads.submit(server.end_waits))

        assert {} == (await answered(held)).changed


async def test_no_wake_up_is_lost_between_threads(threads: ThreadPoolExecutor) -> None:
    """I1: while threads touch at full speed, no held sync ever misses the last touch before it."""
    server = RealityServer("alpha", limits=Limits(waiters_per_client_max=1_000))
    rounds = 300
    turn = threading.Semaphore(0)

    def touch() -> None:
        for _ in range(rounds):
            turn.acquire()
            server.blocking.invalidate("a")

    touching = threads.submit(touch)
    asker = await Asker(server, "a").caught_up()
    for _ in range(rounds):
        turn.release()  # the touch now races with the sync that follows
        response = await asyncio.wait_for(asker.ask(wait=LONG_WAIT_MS), PATIENCE_S)
        assert ["a"] == list(response.changed)
    await asyncio.wrap_future(touching)

    assert {} == (await asker.ask()).changed


# ---- loops that end ------------------------------------------------------------------------------


async def left_held(server: RealityServer) -> asyncio.Task[SyncResponse]:
    """A held sync that nobody will run or await again, as when a program just drops its loop."""
    asker = await Asker(server, "a").caught_up()
    task = asyncio.create_task(asker.ask(wait=LONG_WAIT_MS))
    await until(lambda: server.stats().waiters == 1)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    return task


def test_a_closed_loop_does_not_stop_a_touch(server: RealityServer) -> None:
    """A loop that was closed while it held syncs harms neither touches nor other waiters."""
    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(left_held(server))
    loop.close()

    async def touched() -> None:
        async with holding(Asker(server, "a", client_id="other")) as (held,):
            await server.invalidate("a")
            assert ["a"] == list((await answered(held)).changed)

    asyncio.run(touched())
    assert not task.done()


class LoopBeingClosed(asyncio.SelectorEventLoop):
    """May say once that it is open when it no longer is, as one of another thread might."""

    is_late = False

    def is_closed(self) -> bool:
        """As of a moment ago, if it is late."""
        late, self.is_late = self.is_late, False
        return not late and super().is_closed()


def test_a_loop_that_closes_meanwhile_does_not_stop_a_touch(server: RealityServer) -> None:
    """I1: a loop that closes just as its waiter is being woken keeps nobody else asleep."""
    loop = LoopBeingClosed()
    task = loop.run_until_complete(left_held(server))
    loop.close()

    async def touched() -> None:
        others = [Asker(server, "a", client_id=f"other {each}") for each in range(8)]
        async with holding(*others) as held:
            loop.is_late = True
            await server.invalidate("a")
            for each in held:
                assert ["a"] == list((await answered(each)).changed)

    asyncio.run(touched())
    loop.is_late = False
    assert not task.done()
