"""Stores in a database that SQLAlchemy reaches: through the application's engine, or by URL."""

from __future__ import annotations

from reality.errors import MissingDependency

try:
    import sqlalchemy as _installed  # noqa: F401 - whether it is
except ImportError as error:
    raise MissingDependency(
        "sqlalchemy", extra="sqlalchemy", needed_for="a store in a SQL database"
    ) from error

from reality.storage.sqlalchemy.engines import Bound, Connected, engine_executor
from reality.storage.sqlalchemy.storage import SQLAlchemyStorage
from reality.storage.sqlalchemy.tables import reality_tables

__all__ = ("Bound", "Connected", "SQLAlchemyStorage", "engine_executor", "reality_tables")
