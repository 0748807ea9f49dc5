"""The tables that Alembic gets: the same as those that the store makes itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from reality.core.changelog import Batch
from reality.errors import StorageSchemaMissing
from reality.storage.sql import schema_statements
from reality.storage.sqlalchemy import SQLAlchemyStorage, reality_tables
from tests.support.mariadb import MariaDBServer
from tests.support.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """An empty database of each kind."""
    if request.param == "postgres":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        url = postgres.new_database().replace("postgresql:", "postgresql+psycopg:")
    elif request.param == "mysql":
        mariadb: MariaDBServer = request.getfixturevalue("mariadb")
        url = mariadb.new_database().replace("mysql:", "mysql+pymysql:")
    else:
        url = f"sqlite:///{tmp_path}/r.db"
    engine = sa.create_engine(url)
    yield engine
    engine.dispose()


async def test_tables_by_metadata_serve_a_store(database: sa.Engine) -> None:
    """A store opens on tables that were made from the metadata, and makes none itself."""
    storage = SQLAlchemyStorage(database, create=False)
    with pytest.raises(StorageSchemaMissing):
        await storage.open()

    reality_tables().create_all(database)

    await storage.open()
    names = ("a", "A", "a ", "😀", "k" * 512)
    await storage.append([Batch(names, 1)])
    assert set(names) == set(await storage.read(names))
    await storage.close()


async def test_alembic_finds_nothing_to_migrate(database: sa.Engine) -> None:
    """The tables that a store makes are those of the metadata."""
    storage = SQLAlchemyStorage(database)
    await storage.open()
    await storage.close()

    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert [] == compare_metadata(context, reality_tables())


def test_both_ways_make_the_same_tables(database: sa.Engine) -> None:
    """Columns, keys, indexes and collations are the same, whoever made the tables."""
    dialect = {"postgresql": "postgres"}.get(database.dialect.name, database.dialect.name)
    with database.begin() as connection:
        for statement in schema_statements(dialect):
            connection.exec_driver_sql(statement)
    by_the_store = described(database)
    with database.begin() as connection:
        for name in by_the_store:
            connection.exec_driver_sql(f"DROP TABLE {name}")

    reality_tables().create_all(database)

    assert by_the_store == described(database)


def described(engine: sa.Engine) -> dict[str, Any]:
    """What the database says of its tables; names of constraints aside, which are its own."""
    inspector = sa.inspect(engine)
    return {
        table: (
            sorted(
                (column["name"], repr(column["type"]), column["nullable"], column["default"])
                for column in inspector.get_columns(table)
            ),
            inspector.get_pk_constraint(table)["constrained_columns"],
            [(index["name"], index["column_names"]) for index in inspector.get_indexes(table)],
            inspector.get_table_options(table) if engine.dialect.name == "mysql" else (),
        )
        for table in inspector.get_table_names()
    }


def test_the_tables_join_the_applications_metadata() -> None:
    """They are added under the store's table name and schema to whatever metadata is given."""
    metadata = sa.MetaData()

    assert metadata is reality_tables(metadata, table_name="app.live")

    assert {"app.live_store", "app.live_log", "app.live_nodes"} == set(metadata.tables)
