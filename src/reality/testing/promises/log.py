"""Promises of `changes`: where an answer begins and ends, and how much of the log is kept."""

from __future__ import annotations

from reality.core.changelog import LOG_SEQUENCES_KEPT
from reality.core.cursor import Position
from reality.storage.base import Storage
from reality.testing.model import Model, batch, fold, positions_of
from reality.testing.promises.bench import Stores, Suite, promise, whole_log

_FEW = [batch("a", "b"), batch("b", hash="h"), batch("c"), batch("a"), batch("d", deleted=True)]


class LogPromises(Suite):
    """What `changes` promises."""

    @promise()
    async def test_an_empty_store_has_no_changes(self, stores: Stores) -> None:
        """Before the first batch the head is at 0 and there is nothing to tell, wherever asked."""
        storage = await stores.new()
        for after in (0, 1, 5):
            answer = await storage.changes(after, limit=10)

            assert (Position(0), ()) == (answer.head.position, answer.batches)

    @promise()
    async def test_changes_begin_with_the_batch_asked_for(self, stores: Stores) -> None:
        """The first batch told is `after` itself, with its tag; after 0 it is sequence 1."""
        storage = await stores.new()
        positions = positions_of((await storage.append(_FEW)).batches)
        for after in range(6):
            answer = await storage.changes(after, limit=10)

            assert positions[max(after - 1, 0) :] == positions_of(answer.batches)
            Model(_FEW).check_log(answer.batches, first=max(after, 1), is_first_known=after > 0)

    @promise()
    async def test_changes_begin_nowhere_beyond_the_head(self, stores: Stores) -> None:
        """A batch that does not exist yet is answered with none, and with the head."""
        storage = await stores.new()
        head = (await storage.append(_FEW)).head
        for after in (6, 7, 2**40):
            answer = await storage.changes(after, limit=10)

            assert (head, ()) == (answer.head, answer.batches)

    @promise()
    async def test_changes_go_on_however_small_the_limit(self, stores: Stores) -> None:
        """An answer has at least the next batch, and leaves out only what it tells later."""
        storage = await stores.new()
        await storage.append(_FEW)
        for after in range(5):
            for limit in (1, 2):
                answer = await storage.changes(after, limit=limit)

                assert after + 1 <= answer.batches[-1].position.sequence
                Model(_FEW).check_log(answer.batches, first=max(after, 1), is_first_known=after > 0)

    @promise("durable")
    async def test_changes_end_about_where_the_limit_says(self, stores: Stores) -> None:
        """An answer is not the whole log if a few batches were asked for."""
        storage = await stores.new()
        await storage.append([batch(f"name:{number}") for number in range(100)])

        answer = await storage.changes(0, limit=2)

        assert 1 <= len(answer.batches) <= 50
        assert 100 == answer.head.position.sequence

    @promise()
    async def test_the_head_is_of_the_same_state(self, stores: Stores) -> None:
        """An answer with room for all ends at the very head that it tells."""
        storage, other = await stores.several(2)
        for number in range(10):
            await (storage if number % 2 else other).append([batch("a")])
            answer = await other.changes(max(number - 2, 0), limit=1_000)

            assert answer.head.position == answer.batches[-1].position
            assert number + 1 == answer.head.position.sequence

    @promise()
    async def test_changes_together_are_what_is_read(self, stores: Stores) -> None:
        """The last that the log tells of each name is what `read` tells, however it is paged."""
        storage = await stores.new()
        given = [
            batch(*{f"n:{number % each}" for each in (3, 7, 11)}, hash=str(number))
            for number in range(60)
        ]
        await storage.append(given)
        expected = await storage.read([f"n:{number}" for number in range(11)])

        assert Model(given).nodes == expected
        for limit in (1, 4, 1_000):
            assert expected == fold(await whole_log(storage, limit=limit))

    @promise()
    async def test_the_log_keeps_the_last_ten_thousand(self, stores: Stores) -> None:
        """The last 10,000 batches stay; an older one is told of, or there is no answer at all."""
        storage = await stores.new()
        head = await _fill(storage, stores)
        kept = min(LOG_SEQUENCES_KEPT, head)
        first_kept = head - kept + 1

        answer = await storage.changes(first_kept, limit=3)
        assert first_kept == answer.batches[0].position.sequence
        if first_kept > 1:
            gone = await storage.changes(0, limit=3)
            assert gone.batches == () or gone.batches[0].position.sequence == 1
        last = await storage.changes(head, limit=3)
        assert [head] == [each.sequence for each in positions_of(last.batches)]

    @promise("durable")
    async def test_opening_tells_the_recent_positions(self, stores: Stores) -> None:
        """`recent` holds the log's positions, at most 10,000, without gaps, up to the head's."""
        storage = await stores.new()
        head = await _fill(storage, stores)

        opening = await (await stores.same(storage)).open()

        recent = opening.recent
        assert opening.head.position == recent[-1]
        assert len(recent) <= LOG_SEQUENCES_KEPT
        assert list(range(head - len(recent) + 1, head + 1)) == [each.sequence for each in recent]
        answer = await storage.changes(head - 20, limit=100)
        assert list(recent[-21:]) == positions_of(answer.batches)


async def _fill(storage: Storage, stores: Stores) -> int:
    """Write more batches than the log has to keep; the last sequence."""
    left, head = stores.load.log, 0
    while left > 0:
        several = min(left, stores.load.batches)
        appended = await storage.append([batch(f"name:{each % 50}") for each in range(several)])
        head = appended.head.position.sequence
        left -= several
    return head
