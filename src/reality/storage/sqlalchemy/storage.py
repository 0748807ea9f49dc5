"""`SQLAlchemyStorage`: a store in the application's own database."""

from __future__ import annotations

from sqlalchemy import URL

from reality.storage.sql.statements import DEFAULT_TABLE_NAME
from reality.storage.sql.storage import SQLStorage
from reality.storage.sqlalchemy.engines import Bound


class SQLAlchemyStorage(SQLStorage):
    """Keeps nodes in three tables beside the application's data.

    It connects as the application does, but never through its pool: neither the application's
    connections nor its transactions have anything to do with the store.

    Args:
        bound: the application's Engine or AsyncEngine, or a sessionmaker that is bound to one.
        table_name: what the names of the tables begin with; may have a schema, `schema.name`.
        create: whether `open` makes tables that are missing. False where Alembic makes them, from
            `reality_tables`.
        notify: see `SQLStorage`.

    Raises:
        ValueError: the engine is for another kind of database, its connections cannot be
            multiplied (SQLite in memory), no table name, or one that cannot `notify`.
    """

    def __init__(
        self,
        bound: Bound,
        *,
        table_name: str = DEFAULT_TABLE_NAME,
        create: bool = True,
        notify: bool = False,
    ) -> None:
        if bound is None or isinstance(bound, str | URL):
            raise ValueError(
                "SQLAlchemyStorage needs the application's Engine, AsyncEngine or sessionmaker, "
                f"got {'None' if bound is None else 'a URL'}: for a URL use SQLStorage(url=...)"
            )
        super().__init__(engine=bound, table_name=table_name, create=create, notify=notify)
