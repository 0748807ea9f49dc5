"""Requests to the table: consistent reads, conditional writes, and what to do if they fail."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from reality.core.backoff import full_jitter
from reality.errors import StorageBusy, StorageError, StorageUnavailable
from reality.storage.dynamodb.clients import CONNECTIONS_MAX, ClientFactory
from reality.storage.dynamodb.failures import RAISED, Exists, Refused, translated
from reality.storage.dynamodb.items import INDEX, Item, from_wire, to_wire
from reality.storage.process import renew_after_fork

_ATTEMPTS = 4
_BACKOFF_BASE_S, _BACKOFF_CAP_S = 0.05, 1.0
# DynamoDB's own limits of one request.
_BATCH_GET_MAX, _BATCH_WRITE_MAX = 100, 25

_log = logging.getLogger("reality.storage")
Thing = TypeVar("Thing")


class Table:
    """One table, through a client of its own that is made at the first request."""

    def __init__(self, factory: ClientFactory, table_name: str, region: str | None) -> None:
        self._factory = factory
        self.table_name = table_name
        self._region = region
        # A child of a fork shares its parent's sockets and selector: it must not even close them.
        self._inherited: list[Any] = []
        self._client: Any = None
        self._stack = AsyncExitStack()
        self._connecting = asyncio.Lock()
        renew_after_fork(self, Table._renew)

    @property
    def name(self) -> str:
        """What errors call it."""
        region = f" ({self._region})" if self._region else ""
        return f"DynamoDB table {self.table_name!r}{region}"

    async def get(self, key: Item) -> Mapping[str, Any] | None:
        """The item at this place."""
        answer = await self.request("get_item", Key=to_wire(key), ConsistentRead=True)
        return from_wire(answer["Item"]) if "Item" in answer else None

    async def put(self, item: Item, *, when: str = "", values: Item | None = None) -> None:
        """Write an item, if the condition holds of what is there.

        Raises:
            Refused: it does not hold.
        """
        await self.request("put_item", Item=to_wire(item), **_condition(when, values or {}))

    async def update(self, key: Item, *, when: str, values: Item, change: Item) -> None:
        """Set attributes of an item, if the condition holds of it.

        Raises:
            Refused: it does not hold.
        """
        await self.request(
            "update_item",
            Key=to_wire(key),
            UpdateExpression="SET " + ", ".join(f"{name} = :new_{name}" for name in change),
            **_condition(when, {**values, **{f"new_{name}": change[name] for name in change}}),
        )

    async def query(
        self,
        partition: str,
        condition: str = "",
        values: Item | None = None,
        *,
        backwards: bool = False,
        page: int | None = None,
        only: str | None = None,
        by_sequence: bool = False,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The items of a partition, in order; read page by page, as they are asked for.

        Args:
            partition: which.
            condition: on the sort key.
            values: what the condition refers to.
            backwards: whether the last is first.
            page: how many items a request should read; else as many as make 1 MB.
            only: the attributes to tell.
            by_sequence: whether they are sorted by sequence instead of the sort key.
        """
        parameters: dict[str, Any] = {
            "KeyConditionExpression": f"pk = :pk AND {condition}" if condition else "pk = :pk",
            "ExpressionAttributeValues": _values({"pk": partition, **(values or {})}),
            "ScanIndexForward": not backwards,
            "ConsistentRead": True,
        }
        if page is not None:
            parameters["Limit"] = page
        if only is not None:
            parameters["ProjectionExpression"] = only
        if by_sequence:
            parameters["IndexName"] = INDEX
        if "#sequence" in condition:
            parameters["ExpressionAttributeNames"] = {"#sequence": "sequence"}
        while True:
            answer = await self.request("query", **parameters)
            for item in answer["Items"]:
                yield from_wire(item)
            if "LastEvaluatedKey" not in answer:
                return
            parameters["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    async def get_many(self, keys: Sequence[Item]) -> list[Mapping[str, Any]]:
        """The items at these places, in no order; those that are not there are left out."""
        found: list[Mapping[str, Any]] = []

        async def get(chunk: Sequence[Item]) -> None:
            left = {self.table_name: {"Keys": [*map(to_wire, chunk)], "ConsistentRead": True}}
            for attempt in range(2 * _ATTEMPTS):
                answer = await self.request("batch_get_item", RequestItems=left)
                found.extend(map(from_wire, answer["Responses"].get(self.table_name, ())))
                left = answer.get("UnprocessedKeys")
                if not left:
                    return
                await _pause(attempt)
            raise self._too_busy()

        await self.each(_chunks(keys, _BATCH_GET_MAX), get)
        return found

    async def delete_many(self, keys: Sequence[Item]) -> None:
        """Delete the items at these places."""

        async def delete(chunk: Sequence[Item]) -> None:
            left = {self.table_name: [{"DeleteRequest": {"Key": to_wire(key)}} for key in chunk]}
            for attempt in range(2 * _ATTEMPTS):
                answer = await self.request("batch_write_item", RequestItems=left)
                left = answer.get("UnprocessedItems")
                if not left:
                    return
                await _pause(attempt)
            raise self._too_busy()

        await self.each(_chunks(keys, _BATCH_WRITE_MAX), delete)

    async def each(
        self, things: Collection[Thing], work: Callable[[Thing], Awaitable[None]]
    ) -> None:
        """Do the work for every thing, some of them at once; the first failure ends it."""
        left = iter(things)

        async def work_on() -> None:
            for thing in left:
                await work(thing)

        count = min(CONNECTIONS_MAX, len(things))
        tasks = [asyncio.create_task(work_on()) for _ in range(count)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Let go of the client."""
        stack = self._stack
        self._reset()
        try:
            await stack.aclose()
        except Exception:  # noqa: BLE001 - `close` never raises
            _log.warning("closing the client of %s failed", self.name, exc_info=True)

    async def request(self, operation: str, **parameters: Any) -> Any:
        """Ask; where it may help, again. A failure says truly whether it may have been done."""
        if "RequestItems" not in parameters:
            parameters["TableName"] = self.table_name
        may_be_done = False
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                client = await self.connected()
                return await getattr(client, operation)(**parameters)
            except RAISED as error:
                failure = self._failure(error)
                # The application's factory may have made a client that tries again itself.
                may_be_done |= isinstance(failure, StorageUnavailable) or _tried_again(error)
                is_passing = isinstance(failure, StorageBusy | StorageUnavailable)
                if attempt == _ATTEMPTS or not is_passing:
                    if may_be_done and isinstance(failure, StorageError):
                        failure = StorageUnavailable(failure.message)
                    raise failure from error
            await _pause(attempt)
        raise AssertionError("the last attempt returns or raises")

    def _failure(self, error: BaseException) -> Exception:
        if isinstance(error, ClientError):
            code = error.response.get("Error", {}).get("Code")
            if code == "ConditionalCheckFailedException":
                item = error.response.get("Item")
                return Refused(from_wire(item) if item else None)
            if code == "ResourceInUseException":
                return Exists()
        return translated(error, self.name)

    async def connected(self) -> Any:
        """The client."""
        if self._client is None:
            async with self._connecting:
                if self._client is None:
                    self._client = await self._stack.enter_async_context(self._factory())
                    self._region = self._client.meta.region_name
        return self._client

    def _too_busy(self) -> StorageError:
        return StorageBusy(f"{self.name} leaves a part of each request undone. Try again later")

    def _reset(self) -> None:
        self._client = None
        self._stack = AsyncExitStack()
        self._connecting = asyncio.Lock()

    def _renew(self) -> None:
        self._inherited += (self._client, self._stack)
        self._reset()


def _condition(when: str, values: Item) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    if when:
        parameters["ConditionExpression"] = when
        parameters["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    if values:
        parameters["ExpressionAttributeValues"] = _values(values)
    return parameters


def _values(values: Item) -> dict[str, Any]:
    return to_wire({f":{name}": value for name, value in values.items()})


def _tried_again(error: BaseException) -> bool:
    if not isinstance(error, ClientError):
        return False
    return bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts"))


def _chunks(things: Sequence[Thing], size: int) -> list[Sequence[Thing]]:
    return [things[start : start + size] for start in range(0, len(things), size)]


async def _pause(attempt: int) -> None:
    await asyncio.sleep(
        full_jitter(attempt, base=_BACKOFF_BASE_S, cap=_BACKOFF_CAP_S, random=random.random())
    )
