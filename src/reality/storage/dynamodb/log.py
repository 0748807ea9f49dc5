"""The change log in the table: read, committed to by one conditional Put, and trimmed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from reality.core.changelog import Logged
from reality.errors import StorageBusy, StorageFull
from reality.storage.dynamodb.failures import Refused
from reality.storage.dynamodb.items import (
    SPREAD,
    Group,
    decode_batches,
    log_key,
    log_sort_key,
    part_keys,
)
from reality.storage.dynamodb.table import Table

# An item has at most 400 KB, its tags and names included.
_PART_BYTES = 350_000
_INLINE_BYTES_MAX = 300_000
# Bounds the memory of everybody who reads it.
_APPEND_BYTES_MAX = 64_000_000
_TAGS_MAX = 20_000
_WITHOUT_DATA = "sk, id, tags, touches, parts"


class Gone(StorageBusy):
    """A part of the log was trimmed while it was read."""


class Log:
    """The log items of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def newest(self, upto: int | None = None) -> Group | None:
        """The last item; of those that begin at `upto` or before, if that is given."""
        condition, values = "", {}
        if upto is not None:
            condition, values = "sk <= :upto", {"upto": log_sort_key(upto)}
        items = self._table.query("log", condition, values, backwards=True, page=1)
        async with aclosing(items):
            return Group.of(item) if (item := await anext(items, None)) is not None else None

    async def groups(
        self, first: int, last: int | None = None, *, page: int | None = None
    ) -> AsyncGenerator[Group, None]:
        """The items that begin from `first` on, up to `last` (included)."""
        condition, values = "sk >= :first", {"first": log_sort_key(first)}
        if last is not None:
            condition = "sk BETWEEN :first AND :last"
            values["last"] = log_sort_key(last)
        items = self._table.query("log", condition, values, page=page)
        async with aclosing(items):
            async for item in items:
                yield Group.of(item)

    async def groups_backwards(self) -> AsyncGenerator[Group, None]:
        """All items, the last one first, without their data."""
        items = self._table.query("log", backwards=True, only=_WITHOUT_DATA)
        async with aclosing(items):
            async for item in items:
                yield Group.of(item)

    async def batches(self, group: Group) -> tuple[Logged, ...]:
        """What an item holds, in itself or in its parts.

        Raises:
            Gone: it was trimmed meanwhile.
        """
        data = group.data
        if group.parts:
            keys = part_keys(group)
            found = {each["sk"]: each["data"] for each in await self._table.get_many(keys)}
            if len(found) < group.parts:
                raise Gone(f"{self._table.name}: the log was trimmed while it was read. Try again")
            data = b"".join(found[key["sk"]] for key in keys)
        return decode_batches(group, data)

    async def commit(self, group: Group) -> Group | None:
        """Put an item where there is none: None, or else the item that is there."""
        item = await self._write_parts(group)
        try:
            await self._table.put(item.item(), when="attribute_not_exists(pk)")
        except Refused as refused:
            found = refused.item or await self._table.get(log_key(group.first))
            if found is None:
                raise Gone(
                    f"{self._table.name}: the log has moved on by more than it keeps. Try again"
                ) from refused
            # The answer to an earlier attempt of this very Put may have been lost.
            return None if found["id"] == group.id else Group.of(found)
        return None

    async def trim(self, upto: int) -> None:
        """Delete the items that begin at `upto` or before, and all parts made for those places."""
        bound = {"upto": log_sort_key(upto) + "/"}  # "/" sorts behind the "." of parts
        for partition in ("log", *(f"part#{number}" for number in range(SPREAD))):
            items = self._table.query(partition, "sk <= :upto", bound, only="pk, sk")
            await self._table.delete_many([{**item} async for item in items])

    async def _write_parts(self, group: Group) -> Group:
        size = len(group.data)
        if size > _APPEND_BYTES_MAX or len(group.tags) > _TAGS_MAX:
            raise StorageFull(
                f"{self._table.name} takes at most {_TAGS_MAX} batches and {_APPEND_BYTES_MAX} "
                f"bytes in one append, this one has {len(group.tags)} and {size}. Append fewer at "
                "once"
            )
        if size <= _INLINE_BYTES_MAX:
            return group
        pieces = [group.data[start : start + _PART_BYTES] for start in range(0, size, _PART_BYTES)]
        group = group._replace(parts=len(pieces), data=b"")
        items = [
            {**key, "data": piece} for key, piece in zip(part_keys(group), pieces, strict=True)
        ]
        await self._table.each(items, self._table.put)
        return group
