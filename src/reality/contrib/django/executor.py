"""What runs a store's statements on Django connections that belong to nobody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from reality.storage.process import renew_after_fork
from reality.storage.sql.executors import BlockingQuery, Rows
from reality.storage.sql.sessions import Session


class DjangoExecutor:
    """Runs statements in the thread that calls it, on that thread's own connection.

    The connection is made like Django's for the alias but is not one of `django.db.connections`: it
    outlives requests, and what is done on it is in no transaction of the application.

    Args:
        alias: the database in `settings.DATABASES`.
        session: how its connections are used.
    """

    paramstyle = "format"

    def __init__(self, alias: str, session: Session) -> None:
        self._alias = alias
        self._session = session
        self._own = threading.local()
        # Whatever is open. In a child these are its parent's, which must not even be closed as
        # garbage: some drivers would say goodbye to the server in the parent's name.
        self._open: list[BaseDatabaseWrapper] = []
        renew_after_fork(self, DjangoExecutor._abandon)

    def query(self, sql: str, params: Sequence[Any], /) -> Rows:
        """See `BlockingExecutor.query`."""
        with self._connected() as connection:
            return _run(connection, sql, params)

    @contextmanager
    def transaction(self) -> Iterator[BlockingQuery]:
        """See `BlockingExecutor.transaction`."""
        with self._connected() as connection:
            query = partial(_run, connection)
            query(self._session.begin, ())
            yield query
            query("COMMIT", ())

    def close(self) -> None:
        """Close the calling thread's connection."""
        connection: BaseDatabaseWrapper | None = self._own.__dict__.pop("connection", None)
        if connection is not None:
            self._open.remove(connection)
            _close(connection)

    @contextmanager
    def _connected(self) -> Iterator[BaseDatabaseWrapper]:
        connection = self._connection()
        try:
            connection.close_if_unusable_or_obsolete()
            if connection.connection is None:
                connection.connect()
                for statement in self._session.settings:
                    _run(connection, statement, ())
            yield connection
        except BaseException:
            # What had been begun is rolled back with it; the next statement connects anew.
            _close(connection)
            raise

    def _connection(self) -> BaseDatabaseWrapper:
        connection: BaseDatabaseWrapper | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = _copy(connections[self._alias])
            self._own.connection = connection
            self._open.append(connection)
        return connection

    def _abandon(self) -> None:
        """In a child: its threads have no connections yet."""
        self._own = threading.local()


def _copy(template: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """A connection like this one, not yet open, and in autocommit mode."""
    connection = template.copy()
    settings = connection.settings_dict
    # 0 means until the end of the request, and here are none.
    settings["CONN_MAX_AGE"] = settings["CONN_MAX_AGE"] or None
    settings["AUTOCOMMIT"] = True
    # A pool is shared with the application, which does not expect our settings on a connection.
    settings["OPTIONS"].pop("pool", None)
    # The log of queries that DEBUG keeps is the application's; every look at the feed would be in
    # it, and on SQLite each of its lines takes queries of its own.
    connection.make_debug_cursor = connection.make_cursor  # type: ignore[method-assign, assignment]
    return connection


def _run(connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any]) -> Rows:
    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)
        return cursor.fetchall() if cursor.description else ()


def _close(connection: BaseDatabaseWrapper) -> None:
    with suppress(Error):
        connection.close()
