"""Stores whose `append` breaks a promise each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from reality.core.changelog import Appended, Batch, Logged
from reality.core.cursor import Position
from reality.storage.base import Storage
from reality.testing.dictionary import DictStorage
from tests.testing.broken import Broken, changed


class LeavesAGap(
    Broken,
    found_by="batches_get_the_next_sequences concurrent_appends_leave_no_gaps",
):
    def _record(self, batch: Batch) -> Logged:
        if self._head.position.sequence == 2:
            super()._record(batch)
        return super()._record(batch)


class StandsElsewhere(Broken, found_by="an_append_tells_where_the_store_stood_and_stands"):
    async def append(self, batches: Sequence[Batch]) -> Appended:
        head, after, appended = await super().append(batches)
        return Appended(head, Position(after.sequence), appended)


class TellsNoNames(Broken, found_by="an_append_tells_what_became_of_its_names"):
    async def append(self, batches: Sequence[Batch]) -> Appended:
        head, after, appended = await super().append(batches)
        return Appended(head, after, tuple(Logged(each.position, ()) for each in appended))


class KeepsTheLatestTime(
    Broken,
    found_by="an_append_tells_what_became_of_its_names a_batch_becomes_the_last_of_its_names",
):
    def misread(self, batch: Batch) -> Batch:
        held = [self._nodes[name].updated_at for name in batch.names if name in self._nodes]
        return changed(batch, updated_at=max([batch.updated_at, *held]))


class CountsANameOnce(Broken, found_by="batches_of_one_append_share_names"):
    async def append(self, batches: Sequence[Batch]) -> Appended:
        before = {name: each.touches for name, each in self._nodes.items()}
        appended = await super().append(batches)
        for name, node in self._nodes.items():
            touches = min(node.touches, before.get(name, 0) + 1)
            self._nodes[name] = changed(node, touches=touches)
        return appended


class KeepsTheOldHash(Broken, found_by="a_batch_becomes_the_last_of_its_names"):
    def misread(self, batch: Batch) -> Batch:
        held = [self._nodes[name].hash for name in batch.names if name in self._nodes]
        return changed(batch, hash=batch.hash or max(held, default=""))


class ForgetsTheLeast(
    Broken,
    found_by="touches_grow_by_one_or_to_the_least touches_grow_for_each_name_alone "
    "the_head_counts_all_touches numbers_up_to_the_greatest_version_are_exact",
):
    def misread(self, batch: Batch) -> Batch:
        return changed(batch, touches_min=1)


class CountsTwice(
    Broken, found_by="touches_grow_by_one_or_to_the_least concurrent_appends_leave_no_gaps"
):
    def misread(self, batch: Batch) -> Batch:
        held = [self._nodes[name].touches for name in batch.names if name in self._nodes]
        return changed(batch, touches_min=2 + max(held, default=0))


class RaisesNamesTogether(Broken, found_by="touches_grow_for_each_name_alone"):
    def misread(self, batch: Batch) -> Batch:
        held = [self._nodes[name].touches + 1 for name in batch.names if name in self._nodes]
        return changed(batch, touches_min=max([batch.touches_min, *held]))


class CountsBatches(Broken, found_by="the_head_counts_all_touches"):
    def _record(self, batch: Batch) -> Logged:
        logged = super()._record(batch)
        self._head = self._head._replace(touches=logged.position.sequence)
        return logged


class TagsBySequence(Broken, found_by="tags_are_random"):
    def _tag(self, sequence: int) -> int:
        return sequence

    def _record(self, batch: Batch) -> Logged:
        logged = super()._record(batch)
        sequence = logged.position.sequence
        position = Position(sequence, self._tag(sequence))
        self._log[sequence] = Logged(position, logged.touched)
        self._head = self._head._replace(position=position)
        return self._log[sequence]


class ForgetsTags(TagsBySequence, found_by="tags_are_random"):
    def _tag(self, sequence: int) -> int:
        return 0


class TagsInFewBits(TagsBySequence, found_by="tags_are_random"):
    def _tag(self, sequence: int) -> int:
        return 1 + hash(str(sequence)) % 2**16


class TagsInManyBits(TagsBySequence, found_by="tags_are_random"):
    def _tag(self, sequence: int) -> int:
        return 2**32 + hash(str(sequence)) % 2**16


class CutsBatches(Broken, found_by="a_batch_may_hold_ten_thousand_names"):
    def misread(self, batch: Batch) -> Batch:
        return changed(batch, names=batch.names[:500])


class ReadsThenWrites(
    Broken,
    found_by="concurrent_appends_leave_no_gaps concurrent_appends_follow_each_other "
    "a_rotation_beside_appends_loses_none",
):
    async def append(self, batches: Sequence[Batch]) -> Appended:
        head = self._head
        await asyncio.sleep(0)
        self._head = head
        return await super().append(batches)


class LooksTooEarly(Broken, found_by="concurrent_appends_follow_each_other"):
    async def append(self, batches: Sequence[Batch]) -> Appended:
        after = self._head.position
        await asyncio.sleep(0)
        head, _, appended = await super().append(batches)
        return Appended(head, after, appended)


class SplitsAppends(
    Broken,
    found_by="readers_beside_writers_see_whole_batches_in_order "
    "a_cancelled_append_is_whole_or_nothing",
):
    async def append(self, batches: Sequence[Batch]) -> Appended:
        parts = []
        for each in batches:
            parts.append(await super().append([each]))
            await asyncio.sleep(0)
        return Appended(parts[-1].head, parts[0].after, tuple(each.batches[0] for each in parts))


class ShowsHalfABatch(Broken, found_by="readers_beside_writers_see_whole_batches_in_order"):
    async def append(self, batches: Sequence[Batch]) -> Appended:
        before = dict(self._nodes)
        appended = await super().append(batches)
        after, self._nodes = self._nodes, before
        for name in batches[-1].names:
            await asyncio.sleep(0)
            self._nodes[name] = after[name]
        self._nodes |= {name: after[name] for each in batches for name in each.names}
        return appended


class KeepsToItself(
    Broken,
    found_by="what_was_appended_does_not_depend_on_the_writer "
    "a_read_tells_all_that_was_appended_before",
):
    """What one instance appends, others never see."""

    def another(self) -> Storage:
        return Apart(self)


class Apart(DictStorage):
    def __init__(self, storage: DictStorage) -> None:
        self.__dict__ |= storage.backup().__dict__
