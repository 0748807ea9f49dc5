"""The operations, driven by an executor: `BlockingSQL` blocks, `AsyncSQL` is async.

An operation whose connection was found lost is begun once more, if it had done nothing yet or only
reads. An append or rotation that had begun is not: it may have been committed.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Generic, TypeVar

from reality.core.changelog import Appended, Batch, Changes, Head, Listing, Opening
from reality.core.delta import Touched
from reality.errors import StorageError, StorageUnavailable
from reality.storage.base import SHARED_AND_DURABLE
from reality.storage.sql.executors import (
    AsyncExecutor,
    AsyncQuery,
    BlockingExecutor,
    BlockingQuery,
    Paramstyle,
    Rows,
    checked_paramstyle,
    rendered,
)
from reality.storage.sql.failures import storage_error
from reality.storage.sql.operations import Operation, Operations, Steps

_logger = logging.getLogger("reality.storage")

Result = TypeVar("Result")
Rendered = tuple[str, Sequence[Any] | Mapping[str, Any]]


class _Run(Generic[Result]):
    """One run of an operation: the statement that comes next, and in the end the result."""

    result: Result

    def __init__(self, operation: Operation[Result], paramstyle: Paramstyle) -> None:
        self._steps: Steps[Result] = operation.start()
        self._is_atomic = operation.is_atomic
        self._paramstyle = paramstyle
        self._answers = 0

    @property
    def may_repeat(self) -> bool:
        """Whether nothing was done that must not be done twice."""
        return not self._is_atomic or self._answers == 0

    def first(self) -> Rendered | None:
        return self._next(None)

    def answer(self, rows: Rows) -> Rendered | None:
        self._answers += 1
        return self._next(rows)

    def fail(self, error: StorageError) -> Rendered | None:
        try:
            return self._rendered(*self._steps.throw(error))
        except StopIteration as done:
            self.result = done.value
            return None

    def _next(self, rows: Rows | None) -> Rendered | None:
        try:
            return self._rendered(*(next(self._steps) if rows is None else self._steps.send(rows)))
        except StopIteration as done:
            self.result = done.value
            return None

    def _rendered(self, sql: str, params: Sequence[Any]) -> Rendered:
        return rendered(sql, params, self._paramstyle)


class _SQL:
    """What both flavours have: their name, and how they tell what a driver raised."""

    capabilities = SHARED_AND_DURABLE

    def __init__(self, executor: BlockingExecutor | AsyncExecutor, operations: Operations) -> None:
        self._operations = operations
        self._paramstyle = checked_paramstyle(executor)
        self.name = operations.name
        self.feed_interval_s = operations.statements.dialect.feed_interval_s

    def _mapped(self, error: Exception) -> StorageError:
        """The error of the store; anything that is no database's failure goes on as it is."""
        statements = self._operations.statements
        mapped = storage_error(error, name=self.name, statements=statements)
        if mapped is None:
            raise error
        if mapped is not error:
            mapped.__cause__ = error
        return mapped


class BlockingSQL(_SQL):
    """The verbs of `BlockingStorage`, on an executor that blocks.

    Args:
        executor: runs the statements.
        operations: what they are.
        owns: whether `close` closes the executor.
    """

    def __init__(
        self, executor: BlockingExecutor, operations: Operations, *, owns: bool = False
    ) -> None:
        super().__init__(executor, operations)
        self._executor = executor
        self._owns = owns

    def open(self) -> Opening:
        """See `Storage.open`."""
        return self._run(self._operations.open())

    def append(self, batches: Sequence[Batch]) -> Appended:
        """See `Storage.append`."""
        return self._run(self._operations.append(batches))

    def changes(self, after: int, *, limit: int) -> Changes:
        """See `Storage.changes`."""
        return self._run(self._operations.changes(after, limit=limit))

    def read(self, names: Collection[str]) -> dict[str, Touched]:
        """See `Storage.read`."""
        return self._run(self._operations.read(names))

    def scan(self, after: int, *, limit: int) -> Listing:
        """See `Storage.scan`."""
        return self._run(self._operations.scan(after, limit=limit))

    def rotate(self, expected: str, *, register: int) -> Head:
        """See `Storage.rotate`."""
        return self._run(self._operations.rotate(expected, register=register))

    def close(self) -> None:
        """See `Storage.close`."""
        if self._owns:
            try:
                self._executor.close()  # type: ignore[attr-defined]  # the store made it
            except Exception as error:  # noqa: BLE001  # closing never raises
                _logger.warning("%s could not be closed: %s", self.name, error)

    def _run(self, operation: Operation[Result]) -> Result:
        run = _Run(operation, self._paramstyle)
        try:
            return self._attempt(run, operation.is_atomic)
        except StorageUnavailable:
            if not run.may_repeat:
                raise
        return self._attempt(_Run(operation, self._paramstyle), operation.is_atomic)

    def _attempt(self, run: _Run[Result], is_atomic: bool) -> Result:
        try:
            if is_atomic:
                with self._executor.transaction() as query:
                    self._drive(run, query)
            else:
                self._drive(run, self._executor.query)
        except StorageError:
            raise
        except Exception as error:
            raise self._mapped(error) from error
        return run.result

    def _drive(self, run: _Run[Result], query: BlockingQuery) -> None:
        statement = run.first()
        while statement is not None:
            try:
                rows = query(*statement)
            except Exception as error:  # noqa: BLE001  # anything unknown is raised again
                statement = run.fail(self._mapped(error))
            else:
                statement = run.answer(rows)


class AsyncSQL(_SQL):
    """The verbs of `Storage`, on an async executor.

    Args:
        executor: runs the statements.
        operations: what they are.
        owns: whether `close` closes the executor.
    """

    def __init__(
        self, executor: AsyncExecutor, operations: Operations, *, owns: bool = False
    ) -> None:
        super().__init__(executor, operations)
        self._executor = executor
        self._owns = owns

    async def open(self) -> Opening:
        """See `Storage.open`."""
        return await self._run(self._operations.open())

    async def append(self, batches: Sequence[Batch]) -> Appended:
        """See `Storage.append`."""
        return await self._run(self._operations.append(batches))

    async def changes(self, after: int, *, limit: int) -> Changes:
        """See `Storage.changes`."""
        return await self._run(self._operations.changes(after, limit=limit))

    async def read(self, names: Collection[str]) -> dict[str, Touched]:
        """See `Storage.read`."""
        return await self._run(self._operations.read(names))

    async def scan(self, after: int, *, limit: int) -> Listing:
        """See `Storage.scan`."""
        return await self._run(self._operations.scan(after, limit=limit))

    async def rotate(self, expected: str, *, register: int) -> Head:
        """See `Storage.rotate`."""
        return await self._run(self._operations.rotate(expected, register=register))

    async def close(self) -> None:
        """See `Storage.close`."""
        if self._owns:
            try:
                await self._executor.close()  # type: ignore[attr-defined]  # the store made it
            except Exception as error:  # noqa: BLE001  # closing never raises
                _logger.warning("%s could not be closed: %s", self.name, error)

    async def _run(self, operation: Operation[Result]) -> Result:
        run = _Run(operation, self._paramstyle)
        try:
            return await self._attempt(run, operation.is_atomic)
        except StorageUnavailable:
            if not run.may_repeat:
                raise
        return await self._attempt(_Run(operation, self._paramstyle), operation.is_atomic)

    async def _attempt(self, run: _Run[Result], is_atomic: bool) -> Result:
        try:
            if is_atomic:
                async with self._executor.transaction() as query:
                    await self._drive(run, query)
            else:
                await self._drive(run, self._executor.query)
        except StorageError:
            raise
        except Exception as error:
            raise self._mapped(error) from error
        return run.result

    async def _drive(self, run: _Run[Result], query: AsyncQuery) -> None:
        statement = run.first()
        while statement is not None:
            try:
                rows = await query(*statement)
            except Exception as error:  # noqa: BLE001  # anything unknown is raised again
                statement = run.fail(self._mapped(error))
            else:
                statement = run.answer(rows)
