"""A whole store in dictionaries: the smallest that passes the contract, and the one to copy from.

Servers of one process may share it, which makes it handy in tests; `backup` and `restore` do to it
what an operator does to a database.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from itertools import groupby
from operator import attrgetter

from reality.core.changelog import (
    LOG_SEQUENCES_KEPT,
    Appended,
    Batch,
    Changes,
    Head,
    Listing,
    Logged,
    Opening,
)
from reality.core.cursor import Position
from reality.core.delta import Touched
from reality.storage.base import SHARED_AND_DURABLE, draw_lineage, draw_store_id, draw_tag


class DictStorage:
    """Keeps everything in this process. Needs no locks: none of its verbs waits."""

    name = "the dictionary store"
    capabilities = SHARED_AND_DURABLE
    feed_interval_s = 0.01

    def __init__(self) -> None:
        self._head = Head(draw_store_id(), draw_lineage(), Position(0), register=0, touches=0)
        self._nodes: dict[str, Touched] = {}
        self._log: dict[int, Logged] = {}

    async def open(self) -> Opening:
        """See `Storage.open`."""
        return Opening(self._head, tuple(logged.position for logged in self._log.values()))

    async def append(self, batches: Sequence[Batch]) -> Appended:
        """See `Storage.append`."""
        after = self._head.position
        appended = tuple(self._record(batch) for batch in batches)
        return Appended(self._head, after, appended)

    async def changes(self, after: int, *, limit: int) -> Changes:
        """See `Storage.changes`."""
        first, last = max(after, 1), min(after + limit, self._head.position.sequence)
        if first not in self._log:
            return Changes(self._head, ())
        return Changes(self._head, tuple(self._log[each] for each in range(first, last + 1)))

    async def read(self, names: Collection[str]) -> dict[str, Touched]:
        """See `Storage.read`."""
        return {name: self._nodes[name] for name in names if name in self._nodes}

    async def scan(self, after: int, *, limit: int) -> Listing:
        """See `Storage.scan`."""
        by_sequence = attrgetter("sequence")
        left = sorted((t for t in self._nodes.values() if t.sequence > after), key=by_sequence)
        found: list[Touched] = []
        for _, batch in groupby(left, key=by_sequence):
            if len(found) >= limit:
                return Listing(tuple(found), more=True)
            found += batch
        return Listing(tuple(found), more=False)

    async def rotate(self, expected: str, *, register: int) -> Head:
        """See `Storage.rotate`."""
        if self._head.origin == expected:
            register = max(register, self._head.register)
            self._head = self._head._replace(lineage=draw_lineage(), register=register)
        return self._head

    async def close(self) -> None:
        """See `Storage.close`."""

    def backup(self) -> DictStorage:
        """A copy of all that is kept now, its identity included."""
        return copy.deepcopy(self)

    def restore(self, backup: DictStorage) -> None:
        """Go back to what was kept when the backup was made."""
        self.__dict__.update(backup.backup().__dict__)

    def _record(self, batch: Batch) -> Logged:
        position = Position(self._head.position.sequence + 1, draw_tag())
        touches = self._head.touches
        for name in batch.names:
            held = self._nodes.get(name)
            before = 0 if held is None else held.touches
            now = max(before + 1, batch.touches_min)
            touches += now - before
            self._nodes[name] = Touched(
                name, position.sequence, now, batch.hash, batch.updated_at, batch.deleted
            )
        logged = Logged(position, tuple(self._nodes[name] for name in batch.names))
        self._log[position.sequence] = logged
        self._log.pop(position.sequence - LOG_SEQUENCES_KEPT, None)
        self._head = self._head._replace(position=position, touches=touches)
        return logged
