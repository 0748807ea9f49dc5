"""Columns typed as the store types them, in each kind of database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

from reality.storage.sql.dialects import Dialect, dialect_named

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    _Field = models.Field[Any, Any]
else:
    _Field = models.Field

# What the store calls what Django calls so; MariaDB is "mysql" to both.
DIALECTS = {"postgresql": "postgres", "mysql": "mysql", "sqlite": "sqlite"}


class NumberField(_Field):
    """A whole number up to 2**63 - 1."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """What the column is declared as."""
        return _dialect(connection).integer_type


class NameField(_Field):
    """A key or pattern, compared byte for byte, up to 512 bytes."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """What the column is declared as."""
        return _dialect(connection).name_type


class LongTextField(_Field):
    """Text of any length, whatever character set the database has."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """What the column is declared as."""
        dialect = _dialect(connection)
        return dialect.text_type + (" CHARACTER SET utf8mb4" if dialect.name == "mysql" else "")


def _dialect(connection: BaseDatabaseWrapper) -> Dialect:
    return dialect_named(DIALECTS.get(connection.vendor, connection.vendor))
