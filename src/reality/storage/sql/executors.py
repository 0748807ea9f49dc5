"""What runs SQL for a store: a few lines around whatever the application has connected.

A *bare executor* declares how its driver writes parameters, runs one statement by itself, and opens
transactions. Rows are sequences in the order of the columns (tuples; no dictionaries), and a
statement without rows gives an empty one. `params` is a tuple, or a dictionary where the paramstyle
names its parameters. Whatever the driver raises is passed on: the store maps it.

    class Psycopg:
        paramstyle = "format"

        def __init__(self, pool: ConnectionPool) -> None:
            self._pool = pool                           # its connections are in autocommit mode

        def query(self, sql, params):
            with self._pool.connection() as connection:
                return _rows(connection.execute(sql, params))

        @contextmanager
        def transaction(self):
            with self._pool.connection() as connection, connection.transaction():
                yield lambda sql, params: _rows(connection.execute(sql, params))

    def _rows(cursor):
        return cursor.fetchall() if cursor.description else ()

Transactions want READ COMMITTED, or MySQL's REPEATABLE READ; on SQLite BEGIN IMMEDIATE is best. A
connection must be alive or new when it is lent: one that was lost while idle is tried only twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import lru_cache
from typing import Any, Literal, Protocol, get_args

# As PEP 249 names them; `numeric` is `:1`, and asyncpg's `$1` is called what SQLAlchemy calls it.
Paramstyle = Literal["qmark", "format", "pyformat", "numeric", "numeric_dollar", "named"]
PARAMSTYLES: tuple[Paramstyle, ...] = get_args(Paramstyle)

Rows = Sequence[Sequence[Any]]
Params = Sequence[Any] | Mapping[str, Any]

_PLACEHOLDERS: dict[Paramstyle, str] = {
    "qmark": "?",
    "format": "%s",
    "pyformat": "%(p{})s",
    "numeric": ":{}",
    "numeric_dollar": "${}",
    "named": ":p{}",
}
# A statement's text depends on how many rows it has, and the longest take some 20 kB.
_CACHED_TEXTS_MAX = 256


class BlockingQuery(Protocol):
    """Runs one statement and returns its rows, if it has any."""

    def __call__(self, sql: str, params: Any, /) -> Rows:
        """Run it."""
        ...


class AsyncQuery(Protocol):
    """The async twin of `BlockingQuery`."""

    async def __call__(self, sql: str, params: Any, /) -> Rows:
        """Run it."""
        ...


class BlockingExecutor(Protocol):
    """Runs statements, from two threads at once: each call needs a connection of its own.

    An executor that the store makes itself (from an engine or a URL) has a `close()` too, which may
    be called twice, and from both threads.
    """

    @property
    def paramstyle(self) -> str:
        """How parameters are written; one of `PARAMSTYLES`."""
        ...

    def query(self, sql: str, params: Any, /) -> Rows:
        """Run one statement by itself, committed before this returns."""
        ...

    def transaction(self) -> AbstractContextManager[BlockingQuery]:
        """Commit at the end of the block what was queried inside, or roll back if it raises."""
        ...


class AsyncExecutor(Protocol):
    """The async twin of `BlockingExecutor`; its calls come from one event loop."""

    @property
    def paramstyle(self) -> str:
        """See `BlockingExecutor.paramstyle`."""
        ...

    async def query(self, sql: str, params: Any, /) -> Rows:
        """See `BlockingExecutor.query`."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[AsyncQuery]:
        """See `BlockingExecutor.transaction`."""
        ...


def is_async(executor: BlockingExecutor | AsyncExecutor) -> bool:
    """Whether the executor is driven by `await`."""
    return inspect.iscoroutinefunction(executor.query)


def checked_paramstyle(executor: BlockingExecutor | AsyncExecutor) -> Paramstyle:
    """What the executor declares.

    Raises:
        ValueError: it declares none of `PARAMSTYLES`.
    """
    declared = getattr(executor, "paramstyle", None)
    for known in PARAMSTYLES:
        if declared == known:
            return known
    raise ValueError(
        f"an executor must declare its paramstyle as one of {', '.join(PARAMSTYLES)}; "
        f"{type(executor).__name__} has {declared!r}"
    )


def rendered(
    sql: str, params: Sequence[Any], paramstyle: Paramstyle
) -> tuple[str, Sequence[Any] | Mapping[str, Any]]:
    """A statement written with `?` as the executor's driver wants it."""
    if paramstyle == "qmark":
        return sql, params
    text = _rendered_text(sql, paramstyle)
    if paramstyle in ("pyformat", "named"):
        return text, {f"p{number}": value for number, value in enumerate(params, 1)}
    return text, params


@lru_cache(maxsize=_CACHED_TEXTS_MAX)
def _rendered_text(sql: str, paramstyle: Paramstyle) -> str:
    """The statements of this package have no `?` and no `%` but those of their parameters."""
    first, *others = sql.split("?")
    placeholder = _PLACEHOLDERS[paramstyle]
    pieces = [first]
    for number, other in enumerate(others, 1):
        pieces += (placeholder.format(number), other)
    return "".join(pieces)
