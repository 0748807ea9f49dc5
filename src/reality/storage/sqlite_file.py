"""One SQLite file as an executor: two connections, of which one writes, and what may befall them.

The file may be replaced, removed or write-protected while servers run: connections are made anew
whenever another file is at the path, and after any failure. None is carried across a fork, because
SQLite forbids even closing it in the child.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from weakref import WeakSet

from reality.errors import StorageDenied, StorageError, StorageUnavailable
from reality.storage.sql.executors import BlockingQuery, Rows

_RETRY_INTERVAL_S = 0.01
# The statements of one batch differ by its size, and the module keeps them compiled.
_CACHED_STATEMENTS = 128


class SQLiteFile:
    """An executor (see `sql.executors`); usable from any thread.

    Attributes:
        name: what errors call it.
        may_create: whether a missing file is made by the next connection.

    Args:
        path: the file, absolute.
        busy_timeout_s: how long to wait for other connections' locks, in seconds.
        create: whether a missing file is made.
    """

    paramstyle = "qmark"

    def __init__(self, path: Path, *, busy_timeout_s: float, create: bool) -> None:
        self.name = f"the SQLite store {path}"
        self.may_create = create
        self._create = create
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._reader = _Connection(self)
        self._writer = _Connection(self)
        _files.add(self)

    def query(self, sql: str, params: Any) -> Rows:
        """Run one statement by itself."""
        with self._reader.borrowed() as connection:
            return connection.execute(sql, params).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[BlockingQuery]:
        """Hold the file's write lock from the beginning to the end."""
        with self._writer.borrowed() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield lambda sql, params: connection.execute(sql, params).fetchall()
                connection.execute("COMMIT")
            finally:
                # After a full disk SQLite may have rolled back by itself.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def version(self) -> tuple[int, int]:
        """Changes if anybody, or the other connection, has committed something."""
        with self._reader.borrowed() as connection:
            (version,) = connection.execute("PRAGMA data_version").fetchone()
            return self._reader.number, version

    def close(self) -> None:
        """Close both connections; the file may be made again by the next `open`."""
        for connection in (self._reader, self._writer):
            with connection.lock:
                connection.close()
        self.may_create = self._create

    def before_fork(self) -> None:
        """Close the connections, and let no other be made until the fork is over."""
        for connection in (self._reader, self._writer):
            connection.lock.acquire()
            connection.close()

    def after_fork(self) -> None:
        """In the parent and in the child: go on, with new connections."""
        for connection in (self._reader, self._writer):
            connection.lock.release()

    def identity(self) -> tuple[int, int] | None:
        """Which file is at the path now; None if there is none."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def connect(self) -> sqlite3.Connection:
        """A new connection, in WAL mode and outside of any transaction."""
        if not self.may_create and self.identity() is None:
            raise StorageUnavailable(
                f"{self.name} is gone, or was never made: put the file back, or restart with "
                "create=True to begin with an empty one"
            )
        mode = "rwc" if self.may_create else "rw"
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(self._path))}?mode={mode}",
                uri=True,
                timeout=self._busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,  # each connection has a lock
                cached_statements=_CACHED_STATEMENTS,
            )
            self._switch_to_wal(connection)
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException as error:
            if connection is not None:
                connection.close()
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
                raise self._cannot_open(error) from error
            raise
        return connection

    def _switch_to_wal(self, connection: sqlite3.Connection) -> None:
        """Where several processes do this to a new file, SQLite lets some fail without waiting."""
        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() > deadline:
                    raise
            time.sleep(_RETRY_INTERVAL_S)
        if mode != "wal":
            raise StorageUnavailable(
                f"{self.name} cannot be shared, SQLite has no WAL mode there (it answers {mode!r}):"
                " put it on a local disk"
            )

    def _cannot_open(self, error: BaseException) -> StorageError:
        folder = self._path.parent
        if not folder.is_dir():
            return StorageUnavailable(f"{self.name} has no folder: make {folder} first")
        if self._path.is_dir():
            return StorageUnavailable(f"{self.name} is a folder: name a file in it")
        is_there = self._path.exists()
        needed = [(folder, os.W_OK | os.X_OK), *([(self._path, os.R_OK | os.W_OK)] * is_there)]
        if all(os.access(path, mode, effective_ids=_EFFECTIVE) for path, mode in needed):
            return StorageUnavailable(
                f"{self.name} cannot be opened ({error}): look for too many open files, or a "
                "broken disk"
            )
        return StorageDenied(
            f"{self.name} cannot be opened ({error}): let this process read and write the file "
            f"and the folder {folder}"
        )


class _Connection:
    """A connection that is made when it is needed, and again when another file is at the path.

    Attributes:
        lock: held while it is used, made or closed.
        number: of the connections made here; the newest one's.
    """

    def __init__(self, file: SQLiteFile) -> None:
        self.lock = threading.Lock()
        self.number = 0
        self._file = file
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    @contextmanager
    def borrowed(self) -> Iterator[sqlite3.Connection]:
        with self.lock:
            identity = self._file.identity()
            if self._connection is None or identity is None or identity != self._identity:
                self.close()
                self._connection = self._file.connect()
                # If the file was replaced meanwhile, the next use finds another identity.
                self._identity = identity or self._file.identity()
                self.number += 1
            try:
                yield self._connection
            except BaseException:
                # Some failures stay with a connection: it was opened read-only, or read nonsense.
                self.close()
                raise

    def close(self) -> None:
        """With the lock held."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


_EFFECTIVE = os.access in os.supports_effective_ids
_files: WeakSet[SQLiteFile] = WeakSet()
_one_fork = threading.Lock()
_forking: list[SQLiteFile] = []


def _before_fork() -> None:
    _one_fork.acquire()
    _forking.extend(_files)
    for file in _forking:
        file.before_fork()


def _after_fork() -> None:
    while _forking:
        _forking.pop().after_fork()
    _one_fork.release()


# Locks of a process are not its children's, but what SQLite remembers of them is: a child that went
# on beside its parent would believe in locks that nobody holds. With no connection there is nothing
# to remember.
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
