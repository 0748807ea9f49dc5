"""Stores in a SQL database: one set of operations, three dialects, any driver.

    dialects     what PostgreSQL, MySQL/MariaDB and SQLite write differently, as data
    statements   the texts of all statements, for one dialect and one table name
    operations   what the verbs of a store do, as generators: they yield statements, and get rows
    executors    what runs a statement: the protocol that applications and adapters implement
    failures     which `StorageError` a driver's exception is
    runners      the generators driven by a blocking or by an async executor: two small stores
    storage      `SQLStorage`, which picks among them

Read `operations` first.
"""

from __future__ import annotations

from reality.storage.sql.statements import schema_statements
from reality.storage.sql.storage import SQLStorage

__all__ = ["SQLStorage", "schema_statements"]
