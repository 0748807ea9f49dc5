"""Promises of `open` and `close`, of how a store fails, and of verbs called at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Awaitable, Callable

from reality.core.cursor import Position, is_durable, is_server_id
from reality.errors import StorageError
from reality.storage.base import Storage
from reality.testing.model import Model, batch
from reality.testing.promises.bench import Stores, Suite, promise, walk, whole_log

_CHILD_PATIENCE_S = 30


class OpenPromises(Suite):
    """What a store is, and what `open` and `close` promise."""

    @promise()
    async def test_a_store_says_what_it_is(self, stores: Stores) -> None:
        """It has a name, the announced abilities, and if it is shared, an interval in seconds."""
        storage = await stores.new()

        assert storage.name
        assert storage.name.isprintable()
        assert self.capabilities == storage.capabilities
        assert 0 <= storage.feed_interval_s < 3_600
        assert storage.feed_interval_s or not storage.capabilities.is_shared

    @promise("durable")
    async def test_a_new_store_draws_its_identity(self, stores: Stores) -> None:
        """Its store id and lineage are its own; position, touches and register are 0."""
        one, two = stores.unopened(), stores.unopened()

        opened, other = (await one.open()).head, (await two.open()).head

        assert {opened.store_id, opened.lineage}.isdisjoint({other.store_id, other.lineage})
        assert (Position(0), 0, 0) == (opened.position, opened.register, opened.touches)
        assert is_durable(opened.origin)
        assert is_server_id(opened.store_id)
        assert opened.lineage.isalnum()

    @promise("shared", "durable")
    async def test_first_opens_at_once_agree(self, stores: Stores) -> None:
        """Of several first openings of one state at once, one draws the identity for all."""
        first = stores.unopened()
        every = [first, *(stores.unopened_same(first) for _ in range(4))]

        heads = [opening.head for opening in await asyncio.gather(*(s.open() for s in every))]

        assert 1 == len(set(heads))
        appended = [await storage.append([batch("a")]) for storage in every]
        assert [1, 2, 3, 4, 5] == [each.head.position.sequence for each in appended]

    @promise()
    async def test_a_store_may_be_opened_again_and_again(self, stores: Stores) -> None:
        """Opening changes nothing, whatever runs beside it, and tells where the store stands."""
        storage = await stores.new()
        first = (await storage.open()).head

        opening, appended, again = await asyncio.gather(
            storage.open(), storage.append([batch("a")]), storage.open()
        )

        for head in (opening.head, again.head):
            assert first.origin == head.origin
            assert head.position in (first.position, appended.head.position)
        assert appended.head == (await storage.open()).head
        assert Model([batch("a")]).nodes == await storage.read(["a"])

    @promise("durable")
    async def test_recent_is_empty_before_the_first_batch(self, stores: Stores) -> None:
        """`recent` is empty first, and then ends with the head's position."""
        storage = stores.unopened()
        assert () == (await storage.open()).recent

        appended = await storage.append([batch("a"), batch("b")])

        opening = await storage.open()
        assert tuple(each.position for each in appended.batches) == opening.recent
        assert opening.head == appended.head

    @promise("shared", "durable")
    async def test_every_instance_opens_the_same_store(self, stores: Stores) -> None:
        """Opened elsewhere, a store has the same identity, position, nodes and log."""
        storage = await stores.new()
        head = (await storage.append([batch("a", "b"), batch("a")])).head
        nodes = await storage.read(["a", "b"])

        other = stores.unopened_same(storage)
        opening = await other.open()

        assert head == opening.head
        assert nodes == await other.read(["a", "b"])
        assert await whole_log(storage) == await whole_log(other)

    @promise()
    async def test_closing_twice_does_no_harm(self, stores: Stores) -> None:
        """`close` never raises: not the second time, not before `open`, not beside another."""
        storage = stores.unopened()
        await storage.close()
        await storage.open()
        await storage.append([batch("a")])

        await storage.close()
        await storage.close()
        await asyncio.gather(storage.close(), storage.close())

    @promise()
    async def test_open_opens_a_closed_store_again(self, stores: Stores) -> None:
        """After `close` and `open` everything works; a durable store has kept all it had."""
        storage = await stores.new()
        before = await storage.append([batch("a"), batch("b")])
        nodes = await storage.read(["a", "b"])
        await storage.close()

        opening = await storage.open()

        if self.capabilities.is_durable:
            assert before.head == opening.head
            assert nodes == await storage.read(["a", "b"])
            assert before.batches[1].position == opening.recent[-1]
        appended = await storage.append([batch("c")])
        assert opening.head.position == appended.after

    @promise("fork")
    async def test_a_child_after_a_fork_opens_connections_of_its_own(self, stores: Stores) -> None:
        """What a forked child does with the store it inherited leaves its parent's in order."""
        storage = await stores.new()
        before = await storage.append([batch("a")])

        await _run_in_child(storage)

        assert {"a"} == (await storage.read(["a"])).keys()
        appended = await storage.append([batch("a")])
        grown = appended.after.sequence - before.head.position.sequence
        expected = 1 if self.capabilities.is_durable and not self.in_one_process else 0
        # The child ended without closing: what it appended is there all the same.
        assert expected == grown

    @promise()
    async def test_verbs_may_be_called_at_once(self, stores: Stores) -> None:
        """Calls of all verbs at once do not disturb each other."""
        storage = await stores.new()
        await storage.append([batch("a"), batch("b")])
        for _ in range(3):
            appended, changes, read, listing, opening = await asyncio.gather(
                storage.append([batch("a")]),
                storage.changes(2, limit=10),
                storage.read(["a", "b"]),
                storage.scan(0, limit=10),
                storage.open(),
            )

            assert changes.batches[0].position.sequence == 2
            assert {"a", "b"} == read.keys() == {each.name for each in listing.touched}
            assert opening.head.position in (appended.after, appended.head.position)

    @promise("outage")
    async def test_failures_name_the_store_and_pass(self, stores: Stores) -> None:
        """In an outage each verb raises an error of the store's name; afterwards each works."""
        storage = await stores.new()
        origin = (await storage.append([batch("a")])).head.origin
        with stores.outage(storage):
            verbs: tuple[Callable[[], Awaitable[object]], ...] = (
                lambda: storage.append([batch("b")]),
                lambda: storage.changes(0, limit=1),
                lambda: storage.read(["a"]),
                lambda: storage.scan(0, limit=1),
                lambda: storage.rotate("nobody@nothing", register=1),
                storage.open,
            )
            for verb in verbs:
                assert storage.name in str(await _error_of(verb()))

        assert {"a"} == (await storage.read(["a"])).keys()
        assert 1 == (await storage.changes(1, limit=1)).batches[0].position.sequence
        assert {"a"} <= {each.name for each in await walk(storage, limit=10)}
        assert origin == (await storage.rotate("nobody@nothing", register=1)).origin
        await storage.append([batch("a")])
        assert origin == (await storage.open()).head.origin


async def _error_of(verb: Awaitable[object]) -> StorageError:
    """The error that a verb raises."""
    try:
        result = await verb
    except StorageError as error:
        return error
    raise AssertionError(f"a store that cannot work has answered {result!r}")


async def _run_in_child(storage: Storage) -> None:
    """Fork; the child opens the store that it inherited, appends to it, and ends abruptly."""
    with warnings.catch_warnings():
        # From Python 3.12 on, a fork beside threads warns: servers of several processes do it too.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _live_as_child(storage)
    waiting = asyncio.create_task(asyncio.to_thread(os.waitpid, child, 0))
    ended, _ = await asyncio.wait([waiting], timeout=_CHILD_PATIENCE_S)
    if not ended:
        os.kill(child, signal.SIGKILL)
    _, status = await waiting
    assert ended, "a forked child hangs in the store that it inherited"
    assert 0 == os.waitstatus_to_exitcode(status), "a forked child could not use the store"


def _live_as_child(storage: Storage) -> None:
    """Use the store in this process, which then ends without closing anything."""

    async def use() -> None:
        opening = await storage.open()
        appended = await storage.append([batch("a")])
        read = await storage.read(["a"])
        assert opening.head.position == appended.after
        assert read["a"].sequence == appended.head.position.sequence

    status = 1
    try:
        asyncio.run(use())
        status = 0
    except BaseException:  # noqa: BLE001  # whatever it is: this process must not go on as a test
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)
