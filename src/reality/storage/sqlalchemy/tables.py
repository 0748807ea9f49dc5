"""The tables of a store as SQLAlchemy knows tables, for Alembic and `MetaData.create_all`.

They are those that the store makes itself (`reality.storage.sql.statements`), column by column.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects import mysql

from reality.storage.sql.statements import DEFAULT_TABLE_NAME

_WORD_CHARS_MAX = 64
_NAME_BYTES_MAX = 512
_MYSQL = ("mysql", "mariadb")
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
}

_Integer = BigInteger().with_variant(Integer(), "sqlite")
_Text = Text().with_variant(mysql.LONGTEXT(), *_MYSQL)
_Word = String(_WORD_CHARS_MAX)
# Compared byte for byte everywhere.
_Name = (
    Text()
    .with_variant(Text(collation="C"), "postgresql")
    .with_variant(mysql.VARBINARY(_NAME_BYTES_MAX), *_MYSQL)
)


def reality_tables(
    metadata: MetaData | None = None, *, table_name: str = DEFAULT_TABLE_NAME
) -> MetaData:
    """Add the tables of a store to the application's metadata.

    With them in Alembic's `target_metadata` the tables come and go by migrations, and the store is
    opened with `create=False`.

    Args:
        metadata: where to add them; by default a new one.
        table_name: the store's; may have a schema, `schema.name`.

    Returns:
        The metadata.
    """
    metadata = MetaData() if metadata is None else metadata
    schema, _, prefix = table_name.rpartition(".")
    options = {**_OPTIONS, "schema": schema or None}
    Table(
        f"{prefix}_nodes",
        metadata,
        Column("name", _Name, primary_key=True),
        *_integers("sequence", "touches"),
        Column("hash", _Text, nullable=False),
        *_integers("updated_at", "deleted"),
        Index(f"{prefix}_nodes_sequence", "sequence"),
        sqlite_with_rowid=False,
        **options,
    )
    Table(
        f"{prefix}_log",
        metadata,
        _number("sequence"),
        *_integers("tag"),
        Column("touched", _Text, nullable=False),
        Column("hash", _Text, nullable=False),
        *_integers("updated_at", "deleted"),
        **options,
    )
    Table(
        f"{prefix}_store",
        metadata,
        _number("id"),
        *_integers("schema_version"),
        Column("store_id", _Word, nullable=False),
        Column("lineage", _Word, nullable=False),
        *_integers("sequence", "tag", "register", "touches"),
        **options,
    )
    return metadata


def _integers(*names: str) -> list[Column[int]]:
    return [Column(name, _Integer, nullable=False) for name in names]


def _number(name: str) -> Column[int]:
    """A key that the store assigns, never the database."""
    return Column(name, _Integer, primary_key=True, autoincrement=False)
