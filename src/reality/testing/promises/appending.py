"""Promises of `append`: sequences, tags, touches, and that batches are whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from reality.core.changelog import TAG_MAX, Appended, Batch
from reality.core.cursor import Position
from reality.storage.base import Storage
from reality.testing.model import Model, batch, positions_of
from reality.testing.promises.bench import Stores, Suite, promise, whole_log


class AppendPromises(Suite):
    """What `append` promises, to one writer."""

    @promise()
    async def test_batches_get_the_next_sequences(self, stores: Stores) -> None:
        """Each batch gets the next sequence: 1, 2, 3 and so on, whatever an append holds."""
        storage = await stores.new()

        first = await storage.append([batch("a")])
        second = await storage.append([batch("a"), batch("b", "c"), batch("d")])

        assert [1] == [each.position.sequence for each in first.batches]
        assert [2, 3, 4] == [each.position.sequence for each in second.batches]

    @promise()
    async def test_an_append_tells_where_the_store_stood_and_stands(self, stores: Stores) -> None:
        """`after` is the position before, `head` the one after: that of the last batch."""
        storage = await stores.new()

        first = await storage.append([batch("a")])
        second = await storage.append([batch("b"), batch("c")])

        assert Position(0) == first.after
        assert first.batches[-1].position == first.head.position == second.after
        assert second.batches[-1].position == second.head.position
        assert second.head == (await storage.changes(0, limit=1)).head

    @promise()
    async def test_an_append_tells_what_became_of_its_names(self, stores: Stores) -> None:
        """For each name, sequence, touches, hash, time and deletion are as of the batch."""
        storage = await stores.new()
        given = [
            batch("a", "b", updated_at=7, hash="x"),
            batch("b", "c", updated_at=6, deleted=True),
            batch("c", "a", updated_at=9, hash="y"),
        ]

        appended = await storage.append(given)

        Model(given).check_log(appended.batches, first=1)
        assert 3 == len(appended.batches)

    @promise()
    async def test_batches_of_one_append_share_names(self, stores: Stores) -> None:
        """A name that several batches of one append hold is touched by each of them."""
        storage = await stores.new()
        given = [batch("a", "b"), batch("a"), batch("b", "a"), batch("a", hash="last")]
        appended = await storage.append(given)
        await storage.append(given)
        model = Model(given + given)

        Model(given).check_log(appended.batches, first=1)
        assert model.nodes == await storage.read(["a", "b"])

    @promise()
    async def test_a_batch_becomes_the_last_of_its_names(self, stores: Stores) -> None:
        """`sequence`, `hash`, `updated_at` and `deleted` become the batch's, and no name's else."""
        storage = await stores.new()
        model = Model()
        for each in (
            batch("a", "other", updated_at=5, hash="x", deleted=True),
            batch("a", updated_at=3),  # an unknown hash, an earlier clock, alive again
            batch("a", updated_at=3, hash="y"),
            batch("a", updated_at=4, hash="y", deleted=True),
        ):
            await storage.append([each])
            model.append(each)

            assert model.nodes == await storage.read(["a", "other"])

    @promise()
    async def test_touches_grow_by_one_or_to_the_least(self, stores: Stores) -> None:
        """`touches` grows by one, and to `touches_min` if that is more."""
        storage = await stores.new()
        steps = [(1, 1), (1, 2), (7, 7), (3, 8), (8, 9), (9, 10), (11, 11), (13, 13), (1, 14)]
        for least, expected in steps:
            await storage.append([batch("a", "each:*", touches_min=least)])
            read = await storage.read(["a", "each:*"])

            assert [expected, expected] == [read[name].touches for name in ("a", "each:*")]

    @promise()
    async def test_touches_grow_for_each_name_alone(self, stores: Stores) -> None:
        """A batch with `touches_min` raises each of its names from where that name stood."""
        storage = await stores.new()
        given = [batch("old"), *[batch("busy")] * 4, batch("old", "busy", "new", touches_min=3)]

        await storage.append(given)

        read = await storage.read(["old", "busy", "new"])
        assert {"old": 3, "busy": 5, "new": 3} == {
            each.name: each.touches for each in read.values()
        }

    @promise()
    async def test_the_head_counts_all_touches(self, stores: Stores) -> None:
        """`Head.touches` is at least that of all names together, and never falls."""
        storage = await stores.new()
        before = (await storage.open()).head.touches
        model = Model()
        for each in (batch("a", "b"), batch("a", touches_min=50), batch("c", deleted=True)):
            head = (await storage.append([each])).head
            model.append(each)

            assert max(before, model.touches) <= head.touches
            before = head.touches

    @promise("durable")
    async def test_tags_are_random(self, stores: Stores) -> None:
        """Every sequence has a tag of its own, drawn at random from 1 to 2**32 - 1."""
        drawn = []
        for _ in range(2):
            storage = await stores.new()
            appended = await storage.append([batch("a") for _ in range(40)])
            appended_later = await storage.append([batch("a")])
            drawn += [each.tag for each in positions_of(appended.batches + appended_later.batches)]

        assert all(1 <= tag <= TAG_MAX for tag in drawn)
        # Honest tags fail these about once in a million runs, or less.
        assert len(drawn) - 1 <= len(set(drawn))
        assert TAG_MAX // 2**8 < max(drawn)
        assert drawn != sorted(drawn)
        assert 2 < len({tag % 8 for tag in drawn})

    @promise()
    async def test_a_batch_may_hold_ten_thousand_names(self, stores: Stores) -> None:
        """The largest batch is recorded, read, logged and listed whole."""
        storage = await stores.new()
        names = [f"name:{number}" for number in range(stores.load.names)]
        given = [batch("before"), batch(*names, hash="h"), batch(names[0], "after")]
        for each in given:
            await storage.append([each])
        model = Model(given)

        assert model.nodes == await storage.read(model.nodes)
        model.check_log((await storage.changes(0, limit=10)).batches, first=1)
        listing = await storage.scan(1, limit=1)
        assert set(names[1:]) == {each.name for each in listing.touched}
        assert listing.more


class WriterPromises(Suite):
    """What `append` promises to several writers, and to those who read beside them."""

    @promise()
    async def test_concurrent_appends_leave_no_gaps(self, stores: Stores) -> None:
        """Concurrent appends get different sequences without gaps, and each name every touch."""
        writers = await stores.several()

        done = await _write_at_once(writers, stores.load.appends)

        model = Model.of(done)
        assert sum(len(given) for _, given in done) == model.sequence
        for appended, _ in done:
            model.check_log(appended.batches, first=appended.after.sequence + 1)
        for storage in writers:
            assert model.nodes == await storage.read(model.nodes)
            model.check_log(await whole_log(storage), first=1)

    @promise()
    async def test_concurrent_appends_follow_each_other(self, stores: Stores) -> None:
        """Each append stands `after` where another one, or the empty store, had ended."""
        writers = await stores.several()

        done = [each for each, _ in await _write_at_once(writers, stores.load.appends)]

        done.sort(key=lambda each: each.after.sequence)
        ends = [Position(0), *(each.head.position for each in done)]
        assert ends[:-1] == [each.after for each in done]
        assert [each.batches[-1].position for each in done] == ends[1:]

    @promise()
    async def test_readers_beside_writers_see_whole_batches_in_order(self, stores: Stores) -> None:
        """No reader sees a sequence before a smaller one, part of a batch, or of an append."""
        *writers, reader = await stores.several()
        trio = batch("a", "b", "c")
        share = max(1, stores.load.appends // 9)

        async def write(storage: Storage) -> None:
            for _ in range(share):
                await storage.append([trio] * 3)

        writing = asyncio.gather(*map(write, writers))
        seen = 0
        while not writing.done():
            await asyncio.sleep(0)  # a store that never waits must let the writers go on
            seen = await _look(reader, seen, trio)
        await writing
        assert 3 * share * len(writers) == await _look(reader, seen, trio)

    @promise()
    async def test_a_cancelled_append_is_whole_or_nothing(self, stores: Stores) -> None:
        """An append whose caller gave up is recorded whole or not at all, and the store goes on."""
        storage = await stores.new()
        for steps in range(12):
            task = asyncio.create_task(storage.append([batch("a"), batch("b"), batch("c")]))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            answer = await storage.changes(0, limit=1_000)

            assert answer.head.position.sequence % 3 == 0
        await storage.append([batch("d")])
        read = await storage.read(["a", "b", "c", "d"])
        assert len({read[name].touches for name in ("a", "b", "c") if name in read}) <= 1
        assert "d" in read

    @promise("shared")
    async def test_what_was_appended_does_not_depend_on_the_writer(self, stores: Stores) -> None:
        """Once an append returns, its batches are there for others, whatever becomes of it."""
        writer, reader = await stores.several(2)
        done = await writer.append([batch("a")])

        assert Model([batch("a")]).nodes == await reader.read(["a"])
        assert done.head == (await reader.changes(0, limit=1)).head

        await writer.close()
        following = await reader.append([batch("a")])
        assert done.head.position == following.after


async def _look(reader: Storage, seen: int, trio: Batch) -> int:
    """Read all there is to a store whose every append holds this batch three times; its head."""
    answer = await reader.changes(seen, limit=1_000)
    head = answer.head.position.sequence
    assert head >= seen, "the head has gone back"
    assert head % 3 == 0, "a part of an append is seen"
    Model([trio] * head).check_log(answer.batches, first=max(seen, 1), is_first_known=seen > 0)
    read = list((await reader.read(trio.names)).values())
    listed = (await reader.scan(0, limit=1)).touched
    for nodes in (read, listed):
        assert len(nodes) in (0, 3), "a part of a batch is seen"
        assert len({(each.sequence, each.touches) for each in nodes}) <= 1
    return head


async def _write_at_once(
    writers: Sequence[Storage], appends: int
) -> list[tuple[Appended, Sequence[Batch]]]:
    """Some appends by each writer, all begun at once; what each did, and what it was given."""
    given = [
        [batch("all", f"own:{number}"), batch("all", "many:*")][: 1 + number % 2]
        for number in range(appends)
    ]
    done = await asyncio.gather(
        *(writers[number % len(writers)].append(batches) for number, batches in enumerate(given))
    )
    return list(zip(done, given, strict=True))
