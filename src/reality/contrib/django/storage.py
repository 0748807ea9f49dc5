"""`DjangoStorage`: a store in a database of `settings.DATABASES`."""

from __future__ import annotations

from django.db import connections
from django.utils.connection import ConnectionDoesNotExist

from reality.contrib.django.executor import DjangoExecutor
from reality.contrib.django.fields import DIALECTS
from reality.errors import StorageError, StorageSchemaMissing
from reality.storage.sql.operations import Operations
from reality.storage.sql.runners import BlockingSQL
from reality.storage.sql.sessions import SESSIONS
from reality.storage.sql.statements import Statements
from reality.storage.threads import ThreadedStorage


class DjangoStorage(ThreadedStorage):
    """Keeps nodes in the tables of `reality.contrib.django`, in any database that Django has.

    It works in threads of its own, on connections of their own: what is appended during a request
    is committed at once, whatever becomes of the request's transaction. On SQLite one connection
    writes at a time: an append in a transaction that has written, or but read unless the file is in
    WAL mode, waits for its own end and fails. Append after commit there.

    Args:
        alias: the database in `settings.DATABASES`. Its migrations must have been run.

    Raises:
        ValueError: there is no such alias, or its database is of another kind than PostgreSQL,
            MySQL, MariaDB and SQLite, or in memory.
    """

    def __init__(self, alias: str = "default") -> None:
        try:
            connection = connections[alias]
        except ConnectionDoesNotExist as error:
            raise ValueError(
                f"settings.DATABASES has no {alias!r}: DjangoStorage(alias) needs one of "
                f"{', '.join(map(repr, connections))}"
            ) from error
        dialect = DIALECTS.get(connection.vendor)
        if dialect is None:
            raise ValueError(
                "DjangoStorage needs PostgreSQL, MySQL, MariaDB or SQLite, and the database "
                f"{alias!r} is {connection.display_name}"
            )
        # The tests of Django have a shared cache in memory, which is one database for all threads.
        if connection.settings_dict["NAME"] == ":memory:":
            raise ValueError(
                f"the database {alias!r} is in memory, where each thread has a database of its "
                "own: use a file, or MemoryStorage"
            )
        name = f"the store in Django's database {alias!r}"
        operations = Operations(Statements(dialect), name=name, may_create=False)
        executor = DjangoExecutor(alias, SESSIONS[dialect])
        super().__init__(_DjangoSQL(executor, operations, owns=True))


class _DjangoSQL(BlockingSQL):
    """Missing tables are made by a command of Django's."""

    def _mapped(self, error: Exception) -> StorageError:
        mapped = super()._mapped(error)
        if not isinstance(mapped, StorageSchemaMissing):
            return mapped
        missing = StorageSchemaMissing(
            f"{self.name} lacks one of its tables: add 'reality.contrib.django' to INSTALLED_APPS "
            "and run `manage.py migrate reality`, with --database=ALIAS if it is not the default"
        )
        missing.__cause__ = error
        return missing
