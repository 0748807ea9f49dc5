"""Consistent reads of the store item and the log, in the orders that make one state of them."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import aclosing, suppress

from reality.core.changelog import LOG_SEQUENCES_KEPT, Logged
from reality.core.delta import Touched
from reality.errors import StorageSchemaMismatch
from reality.storage.base import draw_lineage, draw_store_id
from reality.storage.dynamodb.failures import Refused
from reality.storage.dynamodb.folding import set_back
from reality.storage.dynamodb.items import STORE_KEY, Group, Identity, node_key, node_of
from reality.storage.dynamodb.log import Gone, Log
from reality.storage.dynamodb.state import State
from reality.storage.dynamodb.table import Table

SCHEMA = 1


class Reader:
    """Reads one table."""

    def __init__(self, table: Table, log: Log) -> None:
        self._table = table
        self._log = log

    async def identity(self) -> Identity:
        """The store item; drawn if it is missing, as in a new table."""
        item = await self._table.get(STORE_KEY)
        if item is None:
            drawn = Identity(draw_store_id(), draw_lineage(), 0, 0, 0, 0, SCHEMA)
            with suppress(Refused):
                new = {**STORE_KEY, **drawn._asdict()}
                await self._table.put(new, when="attribute_not_exists(pk)")
            item = await self._table.get(STORE_KEY)
        schema = item.get("schema", 0) if item is not None else 0
        if schema > SCHEMA:
            raise StorageSchemaMismatch(
                f"{self._table.name} was made by a newer release: its schema is {schema}, this one "
                f"knows {SCHEMA}. Upgrade reality-sync"
            )
        if item is None or schema < SCHEMA:
            raise StorageSchemaMismatch(
                f"{self._table.name} holds something else than a store. Choose another table name"
            )
        return Identity(**{field: item[field] for field in Identity._fields})

    async def state(self, names: Collection[str]) -> State:
        """What is kept of these names, as of the log's end. The order of the reads matters."""
        while True:
            identity = await self.identity()
            items = await self._table.get_many([node_key(name) for name in dict.fromkeys(names)])
            nodes = {touched.name: touched for touched in map(node_of, items)}
            state = await self.with_tail(identity, nodes, names)
            if state is not None:
                return state

    async def with_tail(
        self, identity: Identity, nodes: dict[str, Touched], names: Collection[str]
    ) -> State | None:
        """The state that follows from these nodes, read before, and the tail of the log.

        None if the log is not as far as the nodes are said to be: a torn backup was restored. That
        is then put right, and everything to be read again.
        """
        first = identity.applied_from
        state = State(identity, None, nodes)
        async with aclosing(self._log.groups(max(first, 1))) as groups:
            if first:
                applied = await anext(groups, None)
                if applied is None or applied.first != first:
                    await set_back(self._table, self._log, identity)
                    return None
                state = State(identity, applied, nodes)
            async for group in groups:
                state.add(group, await self._log.batches(group), names)
        return state

    async def recent(self) -> list[Group]:
        """The last items of the log, the newest first, with as many batches as are kept."""
        groups: list[Group] = []
        left = LOG_SEQUENCES_KEPT
        async with aclosing(self._log.groups_backwards()) as walk:
            async for group in walk:
                groups.append(group)
                left -= len(group.tags)
                if left <= 0:
                    break
        return groups

    async def piece(self, first: int, last: int, newest: Group) -> tuple[Logged, ...]:
        """The batches from `first` to `last`; none if the log has not all of them."""
        start = newest if first >= newest.first else await self._log.newest(first)
        if start is None or start.last < first:
            return ()
        groups = [start]
        rest = self._log.groups(start.last + 1, newest.first, page=last - start.last or 1)
        async with aclosing(rest) as walk:
            while groups[-1].last < last:
                group = await anext(walk, None)
                if group is None or group.first != groups[-1].last + 1:
                    return ()
                groups.append(group)
        try:
            batches = [each for group in groups for each in await self._log.batches(group)]
        except Gone:
            return ()
        return tuple(each for each in batches if first <= each.position.sequence <= last)
