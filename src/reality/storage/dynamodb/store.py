"""`DynamoDBStorage`: the verbs of the port on one table. How they fit together: the package."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, TypeVar

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
from reality.errors import (
    StorageBusy,
    StorageError,
    StorageSchemaMissing,
    StorageUnavailable,
)
from reality.storage.base import SHARED_AND_DURABLE, draw_lineage
from reality.storage.dynamodb.clients import client_factory
from reality.storage.dynamodb.creation import create
from reality.storage.dynamodb.failures import Refused
from reality.storage.dynamodb.folding import follow
from reality.storage.dynamodb.items import (
    STORE_KEY,
    Group,
    Identity,
    head_of,
    newest_of,
)
from reality.storage.dynamodb.listing import cut, read_index
from reality.storage.dynamodb.log import Log
from reality.storage.dynamodb.reading import Reader
from reality.storage.dynamodb.table import Table
from reality.storage.process import renew_after_fork

_BUSY_AFTER_S = 10.0

Result = TypeVar("Result")


class DynamoDBStorage:
    """A shared, durable store in one DynamoDB table.

    The table and its index are made if they are missing (on-demand billing), which needs the
    permissions CreateTable and DescribeTable; with `create=False` they must have been made with
    `create_table`.

    Args:
        client: the application's client for DynamoDB (boto3, aioboto3 or aiobotocore); the store
            makes one of its own alike, and neither uses nor closes the application's. Or a factory:
            a callable without parameters that returns an asynchronous context manager with a client
            of aiobotocore, such as `lambda: session.client("dynamodb")` of aioboto3. It is needed
            where an asynchronous client has credentials that are refreshed: they belong to its
            event loop. Or nothing: then the parameters below hold, and the environment's settings.
        table_name: of the table, which holds one store.
        endpoint_url: for DynamoDB elsewhere than at AWS.
        region_name: of AWS.
        aws_access_key_id: with the secret, instead of what boto3 finds.
        aws_secret_access_key: see `aws_access_key_id`.
        aws_session_token: of temporary credentials.
        create: whether `open` makes a missing table.

    Raises:
        ValueError: the client is for another service, or its credentials cannot be shared.
    """

    capabilities = SHARED_AND_DURABLE
    feed_interval_s = 1.0

    def __init__(
        self,
        client: Any = None,
        *,
        table_name: str = "reality",
        endpoint_url: str | None = None,
        region_name: str | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        create: bool = True,
    ) -> None:
        factory = client_factory(
            client,
            endpoint_url=endpoint_url,
            region_name=region_name,
            aws_access_key_id=aws_access_key_id,
            aws_secret_access_key=aws_secret_access_key,
            aws_session_token=aws_session_token,
        )
        self._table = Table(factory, table_name, region_name)
        self._log = Log(self._table)
        self._reader = Reader(self._table, self._log)
        self._create = create
        # The last lineage that any verb has read.
        self._lineage: str | None = None
        self._renew()
        renew_after_fork(self, DynamoDBStorage._renew)

    @property
    def name(self) -> str:
        """What errors and logs call it."""
        return self._table.name

    async def open(self) -> Opening:
        """See `Storage.open`."""
        try:
            await self._reader.identity()
        except StorageSchemaMissing:
            if not self._create:
                raise
            await create(self._table)
        identity, groups = await self._steady(self._reader.recent)
        recent: list[Position] = []
        for group in reversed(groups):
            if recent and recent[-1].sequence + 1 != group.first:
                recent = []
            if group.first > identity.trimmed:
                recent += group.positions
        head = head_of(identity, groups[0] if groups else None)
        return Opening(head, tuple(recent[-LOG_SEQUENCES_KEPT:]))

    async def append(self, batches: Sequence[Batch]) -> Appended:
        """See `Storage.append`."""
        # One after the other in this process: fewer of them lose against each other.
        async with self._appending:
            names = {name for batch in batches for name in batch.names}
            state = await self._reader.state(names)
            give_up_at = time.monotonic() + _BUSY_AFTER_S
            while True:
                group, logged = state.next(batches)
                winner = await self._log.commit(group)
                if winner is None:
                    break
                if time.monotonic() > give_up_at:
                    raise StorageBusy(
                        f"{self.name}: other writers were faster for {_BUSY_AFTER_S:g} s. Try again"
                    )
                state.add(winner, await self._log.batches(winner), names)
            identity = await self._identity_after(state.identity, group)
            after, weight_before = state.position, state.weight
            state.add(group, logged, ())
            await follow(self._table, self._log, state, weight_before)
            return Appended(head_of(identity, group), after, logged)

    async def changes(self, after: int, *, limit: int) -> Changes:
        """See `Storage.changes`."""
        first = max(after, 1)

        async def read() -> tuple[Group | None, tuple[Logged, ...]]:
            newest = await self._log.newest()
            if newest is None or first > newest.last:
                return newest, ()
            if first == newest.last == after:
                return newest, (Logged(newest.positions[-1], ()),)
            return newest, await self._reader.piece(first, min(after + limit, newest.last), newest)

        identity, (newest, batches) = await self._steady(read)
        if first <= identity.trimmed:
            batches = ()
        return Changes(head_of(identity, newest), batches)

    async def read(self, names: Collection[str]) -> dict[str, Touched]:
        """See `Storage.read`."""
        return (await self._reader.state(names)).nodes

    async def scan(self, after: int, *, limit: int) -> Listing:
        """See `Storage.scan`.

        Names that are folded come from the index, the others from the tail, which is read last: a
        name that a fold moves away meanwhile is in it.
        """
        while True:
            identity = await self._reader.identity()
            found: list[Touched] = []
            more = False
            if after < identity.applied_to:
                found, more = await read_index(self._table, after, identity.applied_to, limit)
            state = await self._reader.with_tail(identity, {}, ())
            if state is None:
                continue
            tail = newest_of(state.tail)
            here = [each for each in found if each.name not in tail]
            if not more:
                here += (each for each in tail.values() if each.sequence > after)
                here, more = cut(here, limit)
            if here or not more:
                return Listing(tuple(here), more)
            after = found[-1].sequence  # all of this page have moved on

    async def rotate(self, expected: str, *, register: int) -> Head:
        """See `Storage.rotate`."""
        identity = await self._reader.identity()
        if f"{identity.store_id}@{identity.lineage}" == expected:
            # If another one is faster, or this one was done by an attempt whose answer was lost.
            with suppress(Refused):
                await self._table.update(
                    STORE_KEY,
                    when="lineage = :lineage AND store_id = :store_id",
                    values={"lineage": identity.lineage, "store_id": identity.store_id},
                    change={
                        "lineage": draw_lineage(),
                        "register": max(register, identity.register),
                    },
                )
        identity, newest = await self._after_writing(self._steady(self._log.newest))
        return head_of(identity, newest)

    async def close(self) -> None:
        """See `Storage.close`."""
        await self._table.close()

    async def _steady(self, read: Callable[[], Awaitable[Result]]) -> tuple[Identity, Result]:
        """What was read of the log while the lineage stayed the same, and the identity then."""
        while True:
            before = self._lineage
            result = await read()
            identity = await self._reader.identity()
            self._lineage = identity.lineage
            if before == identity.lineage:
                return identity, result

    async def _identity_after(self, before: Identity, group: Group) -> Identity:
        """Who the store is after this item was put, which must be where the log still is."""
        identity = await self._after_writing(self._reader.identity())
        if identity.store_id != before.store_id or identity.trimmed >= group.first:
            raise StorageUnavailable(
                f"{self.name} was replaced, or has moved on by more than its log keeps, while this "
                "was appended: it may or may not have been recorded. Append it again"
            )
        return identity

    async def _after_writing(self, reading: Awaitable[Result]) -> Result:
        """What is read once a write is done: no failure of it may say that nothing was."""
        try:
            return await reading
        except StorageError as error:
            raise StorageUnavailable(f"{error.message} (what was asked may be done)") from error

    def _renew(self) -> None:
        self._appending = asyncio.Lock()
