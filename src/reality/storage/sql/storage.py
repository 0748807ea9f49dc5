"""`SQLStorage`: a store in a database that an application has, by engine, by URL or by executor."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, cast

from reality.core.changelog import Appended, Batch, Changes, Head, Listing, Opening
from reality.core.delta import Touched
from reality.storage.base import Capabilities, Storage
from reality.storage.sql.executors import (
    AsyncExecutor,
    BlockingExecutor,
    is_async,
)
from reality.storage.sql.notify import Hints
from reality.storage.sql.operations import Operations
from reality.storage.sql.runners import AsyncSQL, BlockingSQL
from reality.storage.sql.statements import DEFAULT_TABLE_NAME, Statements
from reality.storage.threads import ThreadedStorage

if TYPE_CHECKING:
    from reality.storage.sqlalchemy import Bound
    from reality.storage.sqlalchemy.engines import AnyEngine


class SQLStorage:
    """Keeps nodes in three tables of PostgreSQL, MySQL, MariaDB or SQLite.

    It needs exactly one of `engine`, `url` and `executor`. With an engine or a URL it makes
    connections of its own through SQLAlchemy; an executor stays the application's: it is not
    closed, and after a fork it is up to its owner to connect anew.

    Args:
        engine: a SQLAlchemy engine or sessionmaker, sync or async.
        url: as SQLAlchemy writes it, `postgresql://user:password@host/database`.
        executor: a bare executor (see `reality.storage.sql.executors`), blocking or async.
        dialect: "postgres", "mysql" (also for MariaDB) or "sqlite"; with an executor only.
        table_name: what the names of the tables begin with; may have a schema, `schema.name`.
        create: whether `open` makes tables that are missing.
        notify: whether this store, in PostgreSQL, tells the others by NOTIFY when it has appended,
            and hears of them; not with an executor. It then is a `Hinting` too.

    Raises:
        ValueError: none or several of the three, a missing or unknown dialect, no table name, a
            database of another kind, or `notify` where that cannot be.
        MissingDependency: SQLAlchemy or the driver is not installed.
    """

    hinted: Callable[[], Coroutine[Any, Any, None]]

    def __init__(
        self,
        *,
        engine: Bound | None = None,
        url: str | None = None,
        executor: BlockingExecutor | AsyncExecutor | None = None,
        dialect: str | None = None,
        table_name: str = DEFAULT_TABLE_NAME,
        create: bool = True,
        notify: bool = False,
    ) -> None:
        bound = url if engine is None else engine
        if sum(each is not None for each in (engine, url, executor)) != 1:
            raise ValueError("SQLStorage needs exactly one of engine=, url= and executor=")
        if executor is not None:
            if dialect is None:
                raise ValueError("an executor= needs a dialect=: 'postgres', 'mysql' or 'sqlite'")
            if notify:
                raise ValueError(
                    "notify=True needs engine= or url=: an executor runs statements, but cannot "
                    "wait for notifications"
                )
            name = f"the {dialect} store {table_name!r}"
            new_engine = None
        else:
            if dialect is not None:
                raise ValueError("dialect= goes with executor=: an engine or a URL has its own")
            from reality.storage.sqlalchemy import engine_executor

            assert bound is not None
            executor, dialect, where, new_engine = engine_executor(bound)
            name = f"the store {where} ({table_name})"
        statements = Statements(dialect, table_name)
        operations = Operations(statements, name=name, may_create=create)
        self._storage = _storage(executor, operations, owns=bound is not None)
        self._hints: Hints | None = None
        if notify:
            assert new_engine is not None
            self._hints = _hints(new_engine, statements, name)
            # An attribute of this one object: that is how `isinstance(…, Hinting)` finds out.
            self.hinted = self._hints.hinted

    @property
    def name(self) -> str:
        """See `Storage`."""
        return self._storage.name

    @property
    def capabilities(self) -> Capabilities:
        """See `Storage`."""
        return self._storage.capabilities

    @property
    def feed_interval_s(self) -> float:
        """See `Storage`."""
        return self._storage.feed_interval_s

    async def open(self) -> Opening:
        """See `Storage.open`."""
        return await self._storage.open()

    async def append(self, batches: Sequence[Batch]) -> Appended:
        """See `Storage.append`."""
        appended = await self._storage.append(batches)
        if self._hints is not None:
            self._hints.send()
        return appended

    async def changes(self, after: int, *, limit: int) -> Changes:
        """See `Storage.changes`."""
        return await self._storage.changes(after, limit=limit)

    async def read(self, names: Collection[str]) -> dict[str, Touched]:
        """See `Storage.read`."""
        return await self._storage.read(names)

    async def scan(self, after: int, *, limit: int) -> Listing:
        """See `Storage.scan`."""
        return await self._storage.scan(after, limit=limit)

    async def rotate(self, expected: str, *, register: int) -> Head:
        """See `Storage.rotate`."""
        return await self._storage.rotate(expected, register=register)

    async def close(self) -> None:
        """See `Storage.close`."""
        if self._hints is not None:
            await self._hints.close()
        await self._storage.close()


def _storage(
    executor: BlockingExecutor | AsyncExecutor, operations: Operations, *, owns: bool
) -> Storage:
    if is_async(executor):
        return AsyncSQL(cast("AsyncExecutor", executor), operations, owns=owns)
    blocking = BlockingSQL(cast("BlockingExecutor", executor), operations, owns=owns)
    return ThreadedStorage(blocking)


def _hints(new_engine: Callable[[], AnyEngine], statements: Statements, name: str) -> Hints:
    if statements.dialect.name != "postgres":
        raise ValueError(
            f"notify=True needs PostgreSQL, and {name} is in {statements.dialect.name}: leave "
            "notify= out, as the feed does without"
        )
    from reality.storage.sqlalchemy.lines import line_opener

    return Hints(line_opener(new_engine), statements, name)
