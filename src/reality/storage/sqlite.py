"""A store in one SQLite file: for several processes of one host, with nothing to install or run.

The operations are those of every SQL store (`reality.storage.sql`), on a file (`sqlite_file`).
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import NamedTuple

from reality.core.changelog import Changes, Opening
from reality.storage.sql.operations import Operations
from reality.storage.sql.runners import BlockingSQL
from reality.storage.sql.statements import DEFAULT_TABLE_NAME, Statements
from reality.storage.sqlite_file import SQLiteFile
from reality.storage.threads import ThreadedStorage


class SQLiteStorage(ThreadedStorage):
    """Keeps nodes in an SQLite file (WAL, `synchronous=FULL`).

    A file that is replaced while servers run is opened anew within seconds, and servers find out by
    themselves that it is older. First remove its `-wal` and `-shm` files, then at once move or copy
    the other file there; or restore into it (`sqlite3 FILE ".restore BACKUP"`). SQLite would apply
    an old `-wal` file to a new database. A file that is removed is not made again before `close`
    and `open`: until then, or until it is back, calls raise `StorageUnavailable`.

    Attributes:
        path: the file's absolute path.

    Args:
        path: the file; its folder must be there. Not on a network drive: WAL needs shared memory.
        table_name: what the names of its tables begin with, so that the file may hold others.
        busy_timeout_s: how long to wait for other processes' locks, in seconds.
        create: whether `open` makes the file and its tables if they are missing.

    Raises:
        ValueError: the path is empty or `:memory:`, or the table name is none.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        table_name: str = DEFAULT_TABLE_NAME,
        busy_timeout_s: float = 5.0,
        create: bool = True,
    ) -> None:
        text = os.fspath(path)
        if not text or text.startswith((":memory:", "file:")):
            raise ValueError(
                f"SQLiteStorage needs the path of a file, got {text!r}: to keep nodes in memory "
                "only, use MemoryStorage"
            )
        self.path = Path(text).absolute()
        file = SQLiteFile(self.path, busy_timeout_s=busy_timeout_s, create=create)
        operations = Operations(Statements("sqlite", table_name), name=file.name, may_create=create)
        super().__init__(_BlockingSQLite(file, operations))


class _BlockingSQLite(BlockingSQL):
    """`BlockingSQL` that knows when the file was opened, and when nothing has changed in it."""

    def __init__(self, file: SQLiteFile, operations: Operations) -> None:
        super().__init__(file, operations)
        self._file = file
        self._last: _Look | None = None

    def open(self) -> Opening:
        """See `Storage.open`."""
        opening = super().open()
        self._file.may_create = False
        return opening

    def changes(self, after: int, *, limit: int) -> Changes:
        """See `Storage.changes`; a look at a file in which nothing was committed costs no query."""
        try:
            version = self._file.version()
        except (sqlite3.Error, OSError) as error:
            raise self._mapped(error) from error
        last = self._last
        if last is not None and (last.version, last.after, last.limit) == (version, after, limit):
            return last.answer
        answer = super().changes(after, limit=limit)
        # Read before the answer: what was committed in between makes the next look query again.
        self._last = _Look(version, after, limit, answer)
        return answer

    def close(self) -> None:
        """See `Storage.close`."""
        self._file.close()


class _Look(NamedTuple):
    version: tuple[int, int]
    after: int
    limit: int
    answer: Changes
