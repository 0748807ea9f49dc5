"""`DjangoStorage`: the contract on three databases, its migrations, and whose transaction it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from django.core.management import call_command
from django.db import connections, transaction
from django.test import override_settings

import reality.contrib.django
from reality.contrib.django.storage import DjangoStorage
from reality.core.changelog import Batch
from reality.errors import StorageBusy, StorageSchemaMissing
from reality.storage.base import Storage
from reality.storage.sql import SQLStorage, schema_statements
from reality.testing.storage import Load, StorageContract
from tests.contrib.django.conftest import MakeDatabase
from tests.support.daemons import DatabaseServer

BATCH = Batch(("a", "b"), 1)
Result = TypeVar("Result")


def alone(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run it in a loop of its own; Django's ORM refuses to work in the thread of another."""
    return asyncio.run(coroutine)


async def append_once(alias: str) -> int:
    storage = DjangoStorage(alias)
    try:
        await storage.open()
        return (await storage.append([BATCH])).head.position.sequence
    finally:
        await storage.close()


def in_thread(function: Callable[[], Result]) -> Result:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def names_kept(alias: str) -> set[str]:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT name FROM reality_nodes")
        return {name if isinstance(name, str) else name.decode() for (name,) in cursor.fetchall()}


def test_the_models_need_no_other_migration() -> None:
    """`makemigrations --check` finds nothing to do."""
    call_command("makemigrations", "reality", check_changes=True, dry_run=True, verbosity=0)


def test_migrations_come_and_go(make_database: MakeDatabase) -> None:
    """Migrating makes the three tables, and migrating back leaves nothing."""
    alias = make_database()
    tables = {"reality_store", "reality_log", "reality_nodes"}
    assert tables <= set(connections[alias].introspection.table_names())

    call_command("migrate", "reality", "zero", database=alias, verbosity=0)

    assert tables.isdisjoint(connections[alias].introspection.table_names())


def test_without_migrations_the_error_says_what_to_run(make_database: MakeDatabase) -> None:
    """Missing tables are StorageSchemaMissing, with the command that makes them."""
    with pytest.raises(StorageSchemaMissing, match=r"manage\.py migrate reality"):
        alone(append_once(make_database(migrate=False)))


def test_an_append_is_no_part_of_the_applications_transaction(make_database: MakeDatabase) -> None:
    """What is appended inside `atomic` is kept, though the application rolls back."""
    alias = make_database()
    connection = connections[alias]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":  # where readers block no writer, as elsewhere
            cursor.execute("PRAGMA journal_mode = WAL")

    with transaction.atomic(using=alias):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM reality_nodes")
        assert 1 == alone(append_once(alias))
        transaction.set_rollback(True, using=alias)

    assert {"a", "b"} == names_kept(alias)


def test_an_append_waits_for_no_other_tables(make_database: MakeDatabase) -> None:
    """An append inside a transaction that has written succeeds, but on SQLite: one writes there."""
    alias = make_database()
    connection = connections[alias]
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE posts (id INTEGER)")

    with transaction.atomic(using=alias):
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO posts VALUES (1)")
        if connection.vendor == "sqlite":
            with pytest.raises(StorageBusy):
                alone(append_once(alias))
        else:
            assert 1 == alone(append_once(alias))
        transaction.set_rollback(True, using=alias)

    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM posts")
        assert not cursor.fetchall()


def test_the_applications_connections_are_left_alone(make_database: MakeDatabase) -> None:
    """Neither does the store use Django's connection, nor are its statements in Django's log."""
    alias = make_database()

    with override_settings(DEBUG=True):
        assert 1 == alone(append_once(alias))

    assert connections[alias].connection is None
    assert not connections[alias].queries_log


def test_the_applications_pool_is_left_alone(make_postgres: MakeDatabase) -> None:
    """Where Django pools connections, the store's are none of them, and change none of them."""
    alias = make_postgres(pool={"min_size": 1, "max_size": 1})
    assert 1 == alone(append_once(alias))

    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        assert 2 == alone(append_once(alias))  # though this is the only connection of the pool
        cursor.execute("SHOW lock_timeout")
        assert ("0",) == cursor.fetchone()


def test_a_store_by_migrations_is_a_store_by_sql(make_postgres: MakeDatabase) -> None:
    """The tables are those that SQLStorage makes: either opens what the other has written."""
    alias = make_postgres()
    assert 1 == alone(append_once(alias))
    settings = connections[alias].settings_dict
    url = sa.URL.create(
        "postgresql",
        settings["USER"],
        settings["PASSWORD"],
        settings["HOST"],
        settings["PORT"],
        settings["NAME"],
    )

    async def append_by_sql() -> int:
        storage = SQLStorage(url=url.render_as_string(hide_password=False), create=False)
        try:
            await storage.open()
            return (await storage.append([BATCH])).head.position.sequence
        finally:
            await storage.close()

    assert 2 == alone(append_by_sql())
    assert 3 == alone(append_once(alias))


def test_migrations_make_the_tables_that_the_store_would(make_database: MakeDatabase) -> None:
    """Columns have the same types, whoever made them, and the index has the same name."""
    by_migrations, by_statements = make_database(), make_database(migrate=False)
    vendor = connections[by_statements].vendor
    with connections[by_statements].cursor() as cursor:
        for statement in schema_statements("postgres" if vendor == "postgresql" else vendor):
            cursor.execute(statement)

    assert described(by_statements) == described(by_migrations)


def described(alias: str) -> dict[str, Any]:
    introspection = connections[alias].introspection
    # MariaDB tells it where it is not the table's own, so that the same may look different.
    tells_collation = connections[alias].vendor == "postgresql"
    with connections[alias].cursor() as cursor:
        found: dict[str, Any] = {}
        for table in ("reality_store", "reality_log", "reality_nodes"):
            columns = introspection.get_table_description(cursor, table)
            constraints = introspection.get_constraints(cursor, table)
            found[table] = (
                # SQLite tells the declared type, in the case in which it was declared.
                [
                    (c.name, str(c.type_code).lower(), c.null_ok, tells_collation and c.collation)
                    for c in columns
                ],
                introspection.get_primary_key_columns(cursor, table),
                [name for name, about in constraints.items() if not about["primary_key"]],
            )
    return found


@pytest.mark.parametrize("server", ["postgres", "mariadb"])
def test_a_restart_in_between_is_not_noticed(request: pytest.FixtureRequest, server: str) -> None:
    """Connections that were lost while nobody used them fail neither reads nor appends."""
    alias = request.getfixturevalue(f"make_{server}")()
    running: DatabaseServer = request.getfixturevalue(server)

    async def use() -> None:
        storage = DjangoStorage(alias)
        await storage.open()
        await storage.append([BATCH])
        await storage.read(["a"])
        await asyncio.to_thread(running.restart, immediate=True)
        assert 1 == (await storage.read(["a"]))["a"].touches
        assert 2 == (await storage.append([BATCH])).head.position.sequence
        await storage.close()

    alone(use())


def test_an_unknown_alias_is_refused() -> None:
    """An alias that settings.DATABASES lacks is a ValueError that names those it has."""
    with pytest.raises(ValueError, match=r"no 'nowhere'.*'default'"):
        DjangoStorage("nowhere")


def test_a_database_in_memory_is_refused(
    make_sqlite: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread would see another database, and the error says so."""
    alias = make_sqlite()
    monkeypatch.setitem(connections.settings[alias], "NAME", ":memory:")

    with pytest.raises(ValueError, match="in memory"):
        DjangoStorage(alias)


def test_the_store_is_where_the_documents_say() -> None:
    """It can be imported from the app's package, which loads nothing of Django's models itself."""
    assert DjangoStorage is reality.contrib.django.DjangoStorage


class DjangoContract(StorageContract):
    """A migrated database for each store."""

    load = Load(appends=30, names=2_000)
    make: MakeDatabase

    def new_storage(self) -> Storage:
        # Django refuses to migrate in the thread of a running loop.
        alias = in_thread(self.make)
        return self._storage(alias)

    def same_storage(self, storage: Storage) -> Storage:
        return self._storage(self._aliases[storage])

    def _storage(self, alias: str) -> Storage:
        storage = DjangoStorage(alias)
        self._aliases[storage] = alias
        return storage

    @property
    def _aliases(self) -> dict[Storage, str]:
        aliases: dict[Storage, str] = self.__dict__.setdefault("_kept", {})
        return aliases


class TestSQLite(DjangoContract):
    @pytest.fixture(autouse=True)
    def _make(self, make_sqlite: MakeDatabase) -> None:
        self.make = make_sqlite


class TestPostgres(DjangoContract):
    @pytest.fixture(autouse=True)
    def _make(self, make_postgres: MakeDatabase) -> None:
        self.make = make_postgres
