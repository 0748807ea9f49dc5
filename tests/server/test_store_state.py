"""A server on a shared store: what it shares, what it holds in memory, what it does on faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import pytest

from reality import Limits, RealityServer
from reality.core.changelog import Appended, Batch
from reality.errors import (
    NotReady,
    StorageBusy,
    StorageDenied,
    StorageError,
    StorageFull,
    StorageSchemaMismatch,
    StorageUnavailable,
)
from reality.server.store_state import StoreState
from reality.testing.dictionary import DictStorage
from reality.testing.faults import FaultyStorage, SlowStorage
from tests.server.asking import LONG_WAIT_MS, PATIENCE_S, Asker, answered, holding


@asynccontextmanager
async def servers(
    *storages: DictStorage | FaultyStorage | SlowStorage,
) -> AsyncIterator[list[RealityServer]]:
    """A server on each of these, stopped at the end."""
    async with AsyncExitStack() as stack:
        made = []
        for number, storage in enumerate(storages):
            server = RealityServer(f"server-{number}", storage=storage)
            stack.push_async_callback(server.stop)
            made.append(server)
        yield made


async def eventually(condition: object) -> None:
    """Wait until a condition holds that another thread brings about."""
    assert callable(condition)
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)


# ---- sharing -------------------------------------------------------------------------------------


async def test_a_touch_at_one_server_wakes_the_waiters_of_another() -> None:
    """I1: whoever waits anywhere hears of it."""
    store = DictStorage()
    async with servers(store, store) as (one, other):
        async with holding(Asker(one, "posts")) as (held,):
            versions = await other.invalidate("posts")
            response = await answered(held)

    assert {"posts": 1} == versions
    assert {"posts": 1} == {key: node.version for key, node in response.changed.items()}


async def test_servers_of_one_store_give_one_answer() -> None:
    """I8: a client that goes from one to another is told nothing twice, and misses nothing."""
    store = DictStorage()
    async with servers(store, store) as (one, other):
        asker = await Asker(one, "posts", "a:1").caught_up()
        await one.invalidate("posts", "a:*")
        asker.server = other
        told = await asker.ask()
        asker.server = one
        again = await asker.ask()

    assert {"posts", "a:1"} == told.changed.keys()
    assert ({}, False) == (again.changed, again.reset)


async def test_a_server_behind_the_askers_cursor_looks_first() -> None:
    """I1, I2: a client that has seen more than the server is no client of another history."""
    store = DictStorage()
    store.feed_interval_s = 1_000.0  # nobody looks unless he has to
    async with servers(store, store) as (one, other):
        asker = await Asker(one, "posts", "other").caught_up()
        await Asker(other, "posts", "other").caught_up()
        await one.invalidate("posts")
        await asker.ask()
        await one.invalidate("other")
        asker.server = other
        response = await asker.ask()

    assert not response.reset
    assert {"other"} == response.changed.keys()


async def test_hash_and_deletion_are_shared() -> None:
    """What one server is told of a key, another knows."""
    store = DictStorage()
    async with servers(store, store) as (one, other):
        updated = await one.update_node("post", "h1")
        found = await other.get_node("post")
        await one.delete_node("post")
        asker = Asker(other, "post")
        while (await asker.ask(wait=LONG_WAIT_MS)).changed["post"].version < 2:
            pass
        deleted = await other.get_node("post")

    assert updated == found
    assert deleted is not None
    assert (2, "", True) == (deleted.version, deleted.hash, deleted.deleted)


async def test_a_server_that_was_never_asked_opens_nothing() -> None:
    """Making a server costs nothing and needs no store: a fork may follow."""
    faulty = FaultyStorage(DictStorage(), rate=1.0)
    server = RealityServer(storage=faulty)
    await server.stop()

    assert 0 == faulty.faults
    assert "" == server.stats().origin


async def test_a_stopped_server_starts_again() -> None:
    """I4: it goes on where it was."""
    store = DictStorage()
    async with servers(store) as (server,):
        await server.invalidate("posts")
        await server.stop()
        with pytest.raises(NotReady):
            await Asker(server, "posts").ask()
        await server.start()
        assert {"posts": 2} == await server.invalidate("posts")


def test_blocking_callers_share_the_store() -> None:
    """`server.blocking` works on the store from any thread."""
    store = DictStorage()
    one, other = (RealityServer(name, storage=store) for name in ("one", "other"))
    try:
        assert {"posts": 1} == one.blocking.invalidate("posts")
        assert {"posts": 2} == other.blocking.invalidate("posts")
    finally:
        one.blocking.stop()
        other.blocking.stop()


# ---- listing -------------------------------------------------------------------------------------


async def test_the_list_is_the_stores() -> None:
    """A server that has nothing in memory lists all, oldest first, page by page."""
    store = DictStorage()
    async with servers(store, store) as (one, other):
        for name in ("a", "b", "a:*", "a:1"):
            await one.invalidate(name)
        first = await other.list_changed_since(0, limit=3)
        rest = await other.list_changed_since(first.since, server_id=first.origin, limit=3)
        strange = await other.list_changed_since(1, server_id="another")

    assert ["a", "b", "a:*"] == [node.key for node in first.changed]
    assert (True, False) == (first.more, first.reset)
    assert [("a:1", 2)] == [(node.key, node.version) for node in rest.changed]
    assert not rest.more
    assert strange.reset
    assert 4 == len(strange.changed)


# ---- memory --------------------------------------------------------------------------------------


async def test_what_does_not_fit_into_memory_is_read_again() -> None:
    """I1, I6: a server holds a few nodes and answers for all."""
    store = DictStorage()
    limits = Limits(nodes_max=10)
    one = RealityServer("one", storage=store, limits=limits)
    keys = [f"key-{number}" for number in range(200)]
    try:
        asker = await Asker(one, *keys).caught_up()
        for key in keys:
            await one.invalidate(key)
        response = await asker.ask()

        assert set(keys) == response.changed.keys()
        assert one.stats().nodes <= 10
        assert {} == (await asker.ask()).changed
    finally:
        await one.stop()


async def test_a_request_for_more_than_memory_holds_is_answered() -> None:
    """I6: the limit of nodes bounds what is kept, not what may be asked for."""
    server = RealityServer(storage=DictStorage(), limits=Limits(nodes_max=1))
    try:
        await server.invalidate("a:1", "b:*")
        asker = Asker(server, "a:1", "b:1", "c:1")
        first, again = await asker.ask(), await asker.ask()
    finally:
        await server.stop()

    assert {"a:1", "b:1"} == first.changed.keys()
    assert {} == again.changed


async def test_touches_that_come_together_are_recorded_together() -> None:
    """While one append is under way the others wait, and then share the next."""
    appends = 0

    class Counting(DictStorage):
        async def append(self, batches: Sequence[Batch]) -> Appended:
            nonlocal appends
            appends += 1
            return await super().append(batches)

    slow = SlowStorage(Counting())
    server = RealityServer(storage=slow)
    try:
        await server.invalidate("first")
        slow.hold("append")
        calls = [asyncio.create_task(server.invalidate("under way"))]
        await eventually(lambda: slow.held == 1)
        calls += [asyncio.create_task(server.invalidate(f"key-{each}")) for each in range(20)]
        state = server._state
        assert isinstance(state, StoreState)
        await eventually(lambda: state._work and len(state._work[1]._queue) == 20)
        await state._thread.call(slow.release())
        versions = await asyncio.gather(*calls)
    finally:
        await server.stop()

    assert all(1 in each.values() for each in versions)
    assert 22 == server.stats().invalidations
    assert 3 == appends


async def test_too_many_waiting_touches_are_refused() -> None:
    """I6: a store that does not answer does not fill the memory."""
    slow = SlowStorage(DictStorage())
    server = RealityServer(storage=slow, limits=Limits(queued_names_max=3))
    state = server._state
    assert isinstance(state, StoreState)
    try:
        await server.invalidate("first")
        slow.hold("append")
        calls = [asyncio.create_task(server.invalidate("under way"))]
        await eventually(lambda: slow.held == 1)
        calls.append(asyncio.create_task(server.invalidate("a", "b", "c")))
        await eventually(lambda: state._work and len(state._work[1]._queue) == 1)
        with pytest.raises(StorageBusy, match="wait to be recorded"):
            await server.invalidate("d")
        await state._thread.call(slow.release())
        await asyncio.gather(*calls)
    finally:
        await server.stop()


# ---- faults --------------------------------------------------------------------------------------


@contextmanager
def broken(faulty: FaultyStorage, error: StorageError) -> Iterator[None]:
    """A store that fails in the block, and works again afterwards."""
    faulty.failing = error
    try:
        yield
    finally:
        faulty.failing = None


@pytest.mark.parametrize("kind", [StorageUnavailable, StorageDenied, StorageBusy])
async def test_a_failing_store_is_said_and_got_over(kind: type[StorageError]) -> None:
    """Waiters are answered with the error, the server is not ready, and recovers by itself."""
    faulty = FaultyStorage(DictStorage())
    async with servers(faulty) as (server,):
        asker = await Asker(server, "posts").caught_up()
        held = asyncio.create_task(asker.ask(wait=LONG_WAIT_MS))
        await eventually(lambda: server.stats().waiters == 1)

        with broken(faulty, kind("the store fails: a test wants it so")):
            with pytest.raises(kind):
                await asyncio.wait_for(held, PATIENCE_S)
            assert not server.is_ready
            with pytest.raises(kind):
                await server.invalidate("posts")
            with pytest.raises(kind):
                await asker.ask()

        await eventually(lambda: server.is_ready)
        await server.invalidate("posts")
        assert {"posts"} == (await asker.ask()).changed.keys()


async def test_a_store_that_cannot_be_written_is_said_and_got_over() -> None:
    """Waits are ended and no more are begun, reading goes on, and the touch is made up for."""
    faulty = FaultyStorage(DictStorage())
    async with servers(faulty, faulty) as (server, other):
        asker = await Asker(server, "posts").caught_up()
        held = asyncio.create_task(asker.ask(wait=LONG_WAIT_MS))
        await eventually(lambda: server.stats().waiters == 1)
        for _ in range(3):
            faulty.fail_next("append", StorageFull("no room, a test wants it so"))

        with pytest.raises(StorageFull):
            await server.invalidate("posts")
        assert {} == (await asyncio.wait_for(held, PATIENCE_S)).changed
        assert not server.is_ready
        with pytest.raises(StorageFull):
            await asker.ask(wait=LONG_WAIT_MS)
        assert {} == (await asker.ask()).changed

        await eventually(lambda: server.is_ready)
        assert {"posts"} == (await asker.ask()).changed.keys()
        other_asker = Asker(other, "posts")
        await other_asker.ask()
        assert asker.known == other_asker.known


async def test_a_store_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A touch, a wait and a probe end although the store never answers."""
    monkeypatch.setattr("reality.server.feed.DEADLINE_S", 0.2)
    monkeypatch.setattr("reality.server.writer.DEADLINE_S", 0.2)
    slow = SlowStorage(DictStorage())
    async with servers(slow) as (server,):
        asker = await Asker(server, "posts").caught_up()
        held = asyncio.create_task(asker.ask(wait=LONG_WAIT_MS))
        await eventually(lambda: server.stats().waiters == 1)
        slow.hold()

        with pytest.raises(StorageUnavailable, match="has not answered"):
            await asyncio.wait_for(server.invalidate("posts"), PATIENCE_S)
        with pytest.raises(StorageUnavailable, match="has not answered"):
            await asyncio.wait_for(held, PATIENCE_S)
        assert not server.is_ready

        state = server._state
        assert isinstance(state, StoreState)
        await state._thread.call(slow.release())
        await eventually(lambda: server.is_ready)


async def test_a_server_is_ready_once_its_store_was_opened() -> None:
    """Whoever asks for a server's health before anything else gets the truth."""
    faulty = FaultyStorage(DictStorage())
    async with servers(faulty) as (server,):
        with broken(faulty, StorageUnavailable("the store is not there yet")):
            await server.probe()
            assert not server.is_ready
        await eventually(lambda: server.is_ready)
    async with servers(DictStorage()) as (server,):
        assert not server.is_ready
        await server.probe()
        assert server.is_ready


async def test_an_append_whose_answer_was_lost_loses_nothing() -> None:
    """I1: the caller is told that nobody knows; whoever waits is told of the touch."""
    store = DictStorage()
    faulty = FaultyStorage(store)
    async with servers(faulty) as (server,):
        async with holding(Asker(server, "posts")) as (held,):
            faulty.fail_next("append", after=True)
            with pytest.raises(StorageUnavailable):
                await server.invalidate("posts")
            assert {"posts"} == (await answered(held)).changed.keys()


async def test_a_store_that_cannot_be_reached_yet_is_waited_for() -> None:
    """A server that starts before its database is not ready, and becomes so."""
    faulty = FaultyStorage(DictStorage())
    async with servers(faulty) as (server,):
        with broken(faulty, StorageUnavailable("the store is not there yet")):
            await server.start()
            assert not server.is_ready
        await eventually(lambda: server.is_ready)


async def test_a_store_that_refuses_ends_the_start() -> None:
    """What waiting will not mend is said at once."""
    faulty = FaultyStorage(DictStorage())
    async with servers(faulty) as (server,):
        with (
            broken(faulty, StorageSchemaMismatch("made by a newer release")),
            pytest.raises(StorageSchemaMismatch),
        ):
            await server.start()


async def test_an_unforeseen_failure_hangs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """A store of a third party may raise anything; it is logged, and told as a `StorageError`."""

    class Odd(DictStorage):
        is_odd = False

        async def changes(self, after: int, *, limit: int) -> object:  # type: ignore[override]
            if self.is_odd:
                raise ZeroDivisionError("odd")
            return await super().changes(after, limit=limit)

    odd = Odd()
    async with servers(odd) as (server,):
        asker = await Asker(server, "posts").caught_up()
        held = asyncio.create_task(asker.ask(wait=LONG_WAIT_MS))
        await eventually(lambda: server.stats().waiters == 1)
        odd.is_odd = True
        with pytest.raises(StorageError, match="unforeseen"):
            await asyncio.wait_for(held, PATIENCE_S)
        odd.is_odd = False
        await eventually(lambda: server.is_ready)

    assert "odd" in caplog.text


# ---- another history -----------------------------------------------------------------------------


async def test_a_restored_backup_resets_every_client() -> None:
    """I1, I4: the touches that it has lost are told, and versions go on above all that were."""
    store = DictStorage()
    async with servers(store, store) as (one, other):
        askers = [Asker(one, "posts", client_id="a"), Asker(other, "posts", client_id="b")]
        await one.invalidate("posts")
        backup = store.backup()
        await one.invalidate("posts")
        async with holding(*askers[:1]) as (first,), holding(*askers[1:]) as (second,):
            store.restore(backup)
            responses = [await answered(first), await answered(second)]
        again = [await asker.ask() for asker in askers]

    assert all(response.reset for response in responses)
    assert all(response.changed["posts"].version > 2 for response in responses)
    assert [({}, False)] * 2 == [(each.changed, each.reset) for each in again]


async def test_a_clone_resets_whoever_comes_from_the_other() -> None:
    """I1: two stores that go on under one identity are told apart by their tags."""
    store = DictStorage()
    await store.open()
    async with servers(store) as (one,):
        await one.invalidate("posts")
        clone = store.backup()
        async with servers(clone) as (other,):
            await one.invalidate("posts")
            await other.invalidate("posts")
            asker = await Asker(one, "posts").caught_up()
            asker.server = other
            response = await asker.ask()
            again = await asker.ask()
            origin = (await clone.open()).head.origin

    assert response.reset
    assert ({}, False) == (again.changed, again.reset)
    assert (await store.open()).head.origin == origin, "a client alone never rotates a store"


async def test_a_new_lineage_wakes_everybody() -> None:
    """The operator's command is heard by all servers at once."""
    store = DictStorage()
    async with servers(store) as (server,):
        async with holding(Asker(server, "posts")) as (held,):
            head = (await store.open()).head
            await store.rotate(head.origin, register=1_000)
            response = await answered(held)

    assert response.reset
    assert 1_000 == response.changed["posts"].version


async def test_a_server_that_was_away_longer_than_the_log_reads_anew() -> None:
    """I1: its clients fetch once where cursors are too old to compare; nobody else is disturbed."""
    store = DictStorage()
    slow = SlowStorage(store)
    async with servers(store, slow) as (one, other):
        here, there = Asker(one, "posts"), Asker(other, "posts")
        await one.invalidate("posts")
        await there.ask(wait=LONG_WAIT_MS)
        origin = one.stats().origin
        slow.hold()
        await eventually(lambda: slow.held)
        for _ in range(101):
            await store.append([Batch(("other",), 0)] * 100)
            await here.ask()
        await one.invalidate("posts")
        state = other._state
        assert isinstance(state, StoreState)
        await state._thread.call(slow.release())
        response = await there.ask(wait=LONG_WAIT_MS)

        assert response.reset
        assert 2 == response.changed["posts"].version
        assert not (await here.ask()).reset
        assert origin == other.stats().origin == one.stats().origin
