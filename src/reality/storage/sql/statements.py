"""The texts of all statements, written once for every dialect, with `?` for parameters.

Three tables share a prefix, the `table_name`:

    <t>_store   one row: the identity, and where the store stands
    <t>_log     one row a batch: its tag, and as JSON what each of its names had become by it
    <t>_nodes   one row a name: the last batch that touched it, and how many have
"""

# Values are parameters, always; the table name is checked, and all else is written here.
# ruff: noqa: S608

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from reality.core.changelog import LOG_SEQUENCES_KEPT, Batch
from reality.storage.sql.dialects import dialect_named

# A text, and its parameters.
Statement = tuple[str, Sequence[Any]]

DEFAULT_TABLE_NAME = "reality"
SCHEMA_VERSION = 1
SEQUENCE_MAX = 2**63 - 1

# With the longest suffix it stays below the 63 bytes that PostgreSQL allows.
_TABLE_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,62}\.)?([A-Za-z_][A-Za-z0-9_]{0,39})", re.ASCII)
_STORE = ("schema_version", "store_id", "lineage", "sequence", "tag", "register", "touches")
_NODE = ("name", "sequence", "touches", "hash", "updated_at", "deleted")
_LOGGED = ("sequence", "tag", "touched", "hash", "updated_at", "deleted")


class Statements:
    """The statements for one dialect and one table name.

    Args:
        dialect: "sqlite", "postgres" or "mysql".
        table_name: what the names of the tables begin with; may have a schema, `schema.name`.

    Raises:
        ValueError: no such dialect, or not a table name.
    """

    def __init__(self, dialect: str, table_name: str = DEFAULT_TABLE_NAME) -> None:
        self.dialect = dialect_named(dialect)
        self.table_name = table_name
        match = _TABLE_NAME.fullmatch(table_name)
        if match is None or (match[1] and not self.dialect.has_schemas):
            may = "with or without `schema.`" if self.dialect.has_schemas else "without a schema"
            raise ValueError(
                "a table name must be 1 to 40 letters, digits and underscores, not beginning with "
                f"a digit, {may}; got {table_name!r}"
            )
        self._index = f"{match[2]}_nodes_sequence"
        store, log, nodes = (f"{table_name}_{each}" for each in ("store", "log", "nodes"))
        self.tables = (store, log, nodes)
        self._nodes, self._log = nodes, log
        # By the number of rows, which is at most that of a chunk.
        self._upserts: dict[int, str] = {}

        head = ", ".join(f"s.{column}" for column in _STORE)
        self.opening = (
            f"SELECT {head}, l.sequence, l.tag FROM {store} s LEFT JOIN {log} l "
            f"ON l.sequence > s.sequence - {LOG_SEQUENCES_KEPT} AND l.sequence <= s.sequence "
            "WHERE s.id = 1 ORDER BY l.sequence"
        )
        self.changes = (
            f"SELECT {head}, l.sequence, l.tag, "
            # The batch that the asker has already is asked for its tag only.
            "CASE WHEN l.sequence = ? THEN '' ELSE l.touched END, "
            f"l.hash, l.updated_at, l.deleted FROM {store} s LEFT JOIN {log} l "
            "ON l.sequence >= ? AND l.sequence <= ? WHERE s.id = 1 ORDER BY l.sequence"
        )
        self.make_store = (
            f"INSERT INTO {store} (id, {', '.join(_STORE)}) "
            f"VALUES (1, {SCHEMA_VERSION}, ?, ?, 0, 0, 0, 0) "
            + self.dialect.keep_existing.format(key="id")
        )
        self.lock = f"UPDATE {store} SET sequence = sequence WHERE id = 1"
        self.locked = f"SELECT {head} FROM {store} s WHERE s.id = 1{self.dialect.for_update}"
        self.advance = f"UPDATE {store} SET sequence = ?, tag = ?, touches = ? WHERE id = 1"
        self.rotate = f"UPDATE {store} SET lineage = ?, register = ? WHERE id = 1"
        self.trim = f"DELETE FROM {log} WHERE sequence <= ?"
        self.scan = (
            f"SELECT {', '.join(_NODE)}, (SELECT MAX(sequence) FROM {nodes}) FROM {nodes} "
            "WHERE sequence > ? AND sequence <= COALESCE("
            f"(SELECT sequence FROM {nodes} WHERE sequence > ? ORDER BY sequence LIMIT 1 OFFSET ?)"
            f", {SEQUENCE_MAX}) ORDER BY sequence"
        )

    def schema(self) -> tuple[str, ...]:
        """What makes the tables; the store's comes last, so that where it is, all are."""
        d = self.dialect
        integer = f"{d.integer_type} NOT NULL"
        text = f"{d.text_type} NOT NULL"
        word = "VARCHAR(64) NOT NULL"
        inline = f", KEY {self._index} (sequence)" if d.has_inline_indexes else ""
        nodes = (
            f"CREATE TABLE IF NOT EXISTS {self._nodes} (name {d.name_type} NOT NULL PRIMARY KEY, "
            f"sequence {integer}, touches {integer}, hash {text}, updated_at {integer}, "
            f"deleted {integer}{inline}){d.nodes_options}"
        )
        index = f"CREATE INDEX IF NOT EXISTS {self._index} ON {self._nodes} (sequence)"
        log = (
            f"CREATE TABLE IF NOT EXISTS {self._log} (sequence {integer} PRIMARY KEY, "
            f"tag {integer}, touched {text}, hash {text}, updated_at {integer}, "
            f"deleted {integer}){d.table_options}"
        )
        store = (
            f"CREATE TABLE IF NOT EXISTS {self.tables[0]} (id {integer} PRIMARY KEY, "
            f"schema_version {integer}, store_id {word}, lineage {word}, sequence {integer}, "
            f"tag {integer}, register {integer}, touches {integer}){d.table_options}"
        )
        return (nodes, log, store) if d.has_inline_indexes else (nodes, index, log, store)

    def read(self, names: Sequence[str]) -> Statement:
        """All columns of these nodes."""
        return self._select(", ".join(_NODE), names)

    def touches(self, names: Sequence[str]) -> Statement:
        """How often these names were touched."""
        return self._select("name, touches", names)

    def upsert(self, touches: Mapping[str, int], sequence: int, batch: Batch) -> Statement:
        """Make these nodes, or replace what is kept of them: one batch has touched them all."""
        rest = batch.hash, batch.updated_at, int(batch.deleted)
        if self.dialect.insert_in_json:
            return self._upsert(1), (sequence, *rest, json.dumps(touches))
        rows = ((self._stored(name), sequence, times, *rest) for name, times in touches.items())
        return self._upsert(len(touches)), tuple(chain.from_iterable(rows))

    def log(self, rows: Sequence[Sequence[Any]]) -> Statement:
        """Add rows to the log."""
        values = _list(_row(_LOGGED), len(rows))
        sql = f"INSERT INTO {self._log} ({', '.join(_LOGGED)}) VALUES {values}"
        return sql, tuple(chain.from_iterable(rows))

    def _select(self, columns: str, names: Sequence[str]) -> Statement:
        if in_json := self.dialect.select_in_json:
            return in_json.format(columns=columns, nodes=self._nodes), (json.dumps(names),)
        params = tuple(self._stored(name) for name in names)
        among = _list("?", len(params))
        return f"SELECT {columns} FROM {self._nodes} WHERE name IN ({among})", params

    def _upsert(self, rows: int) -> str:
        if rows not in self._upserts:
            d = self.dialect
            source = d.insert_in_json or f"VALUES {_list(_row(_NODE), rows)}"
            replaced = (f"{each} = {d.incoming.format(column=each)}" for each in _NODE[1:])
            self._upserts[rows] = (
                f"INSERT INTO {self._nodes} ({', '.join(_NODE)}) {source} "
                f"{d.on_conflict.format(key='name')} {', '.join(replaced)}"
            )
        return self._upserts[rows]

    def _stored(self, name: str) -> str | bytes:
        return name.encode() if self.dialect.are_names_bytes else name


def _row(columns: tuple[str, ...]) -> str:
    return f"({_list('?', len(columns))})"


def _list(item: str, count: int) -> str:
    return ", ".join([item] * count)


def schema_statements(dialect: str, table_name: str = DEFAULT_TABLE_NAME) -> tuple[str, ...]:
    """The statements that make a store's tables, for an administrator to run.

    Args:
        dialect: "sqlite", "postgres" or "mysql".
        table_name: what the names of the tables begin with.

    Raises:
        ValueError: no such dialect, or not a table name.
    """
    return Statements(dialect, table_name).schema()
