"""One SQLite file as an executor: two connections, of which one writes, and what may befall them.

The file may be replaced, removed or write-protected while servers run: connections are made anew
whenever another file is at the path, when their log (`-wal`) or its index (`-shm`) was removed, and
after any failure. None is carried across a fork, because SQLite forbids even closing it in the
child.

All connections of a process to one file share what SQLite has mapped of the index, for as long as
one of them is open. So none is made before all that are outdated, whosever they are, were closed.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote
from weakref import WeakValueDictionary

from reality.errors import StorageDenied, StorageError, StorageUnavailable
from reality.storage.sql.executors import BlockingQuery, Rows

_RETRY_INTERVAL_S = 0.01
# The statements of one batch differ by its size, and the module keeps them compiled.
_CACHED_STATEMENTS = 128
# Between the removal of a log and the copy over its file; opened meanwhile, the file would be
# changed under the new connections.
_SETTLING_S = 1.0
# Where SQLite's readers lock a database: https://www.sqlite.org/fileformat.html#the_lock_byte_page
_LOCKS_START, _LOCKS_LENGTH = 0x40000000, 512
# What keeps a connection from being closed; the next use tries again.
_UNCLOSED = (OSError, StorageError)


class SQLiteFile:
    """An executor (see `sql.executors`); usable from any thread.

    Attributes:
        name: what errors call it.
        may_create: whether a missing file is made by the next connection.
        failures: how many there were, also of this process's other connections to the path.

    Args:
        path: the file, absolute.
        busy_timeout_s: how long to wait for other connections' locks, in seconds.
        create: whether a missing file is made.
    """

    paramstyle = "qmark"

    def __init__(self, path: Path, *, busy_timeout_s: float, create: bool) -> None:
        self.name = f"the SQLite store {path}"
        self.may_create = create
        self.failures = 0
        self._create = create
        self._path = path
        self._real_path = str(path)
        self._busy_timeout_s = busy_timeout_s
        self._settled_at_s = 0.0
        self._reader = _Connection(self)
        self._writer = _Connection(self)
        _files[id(self)] = self

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
        for connection in self.connections():
            with connection.lock, suppress(*_UNCLOSED):
                connection.close()
        self.may_create = self._create

    def connections(self) -> tuple[_Connection, _Connection]:
        """Both, open or not."""
        return self._reader, self._writer

    def failed(self) -> None:
        """Let every connection of this process to the path be made anew at its next use."""
        for file in _all_files():
            if file.name == self.name:
                file.failures += 1

    def settle(self) -> None:
        """Make no connection for a while: its log was removed, so the file may be next."""
        self._settled_at_s = time.monotonic() + _SETTLING_S

    def before_fork(self) -> None:
        """Close the connections, and let no other be made until the fork is over."""
        for connection in self.connections():
            connection.lock.acquire()
            with suppress(*_UNCLOSED):
                connection.close()

    def after_fork(self) -> None:
        """In the parent and in the child: go on, with new connections."""
        for connection in self.connections():
            connection.lock.release()

    def identity(self) -> _Identity:
        """Which files are at the path now.

        As long as one connection of any process is open, SQLite keeps the log and its index: a
        checkpoint may empty the log, and never removes it.
        """
        return _Identity(
            _inode(self._path), _inode(f"{self._real_path}-wal"), _inode(f"{self._real_path}-shm")
        )

    def connect(self) -> sqlite3.Connection:
        """A new connection, in WAL mode and outside of any transaction; it has log and index."""
        if time.monotonic() < self._settled_at_s:
            raise StorageUnavailable(
                f"{self.name} has lost its -wal or -shm file, and is perhaps being replaced: it is "
                f"opened anew {_SETTLING_S:g} s after that, there is nothing else to do"
            )
        # SQLite puts them beside the file that a link leads to.
        self._real_path = os.path.realpath(self._path)
        if not self.may_create and not self._path.exists():
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
            connection.execute("PRAGMA schema_version").fetchone()
        except BaseException as error:
            if connection is not None:
                connection.close()
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
                raise self._cannot_open(error) from error
            raise
        return connection

    @contextmanager
    def unwritten(self) -> Iterator[None]:
        """Keep closing connections from writing into the file.

        They do not if anybody else reads it. So that this process counts as somebody else, it takes
        a reader's lock that belongs to an open file, not to the process.
        """
        if not hasattr(fcntl, "F_OFD_SETLK"):
            raise StorageUnavailable(
                f"{self.name} has lost its -wal or -shm file, and this system cannot let go of it "
                "unharmed: kill this process (SIGKILL) and start it again"
            )
        lock = struct.pack("hhqqi", fcntl.F_RDLCK, os.SEEK_SET, _LOCKS_START, _LOCKS_LENGTH, 0)
        with self._path.open("rb") as file:
            # Whoever has a lock that rules this one out keeps SQLite from writing as well.
            with suppress(BlockingIOError):
                fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
            yield

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


class _Identity(NamedTuple):
    """Device and inode of each file; None for one that is missing, or cannot be looked at."""

    database: tuple[int, int] | None
    wal: tuple[int, int] | None
    shm: tuple[int, int] | None


def _inode(path: str | Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116  # at every use, and a Path is slower
    except OSError:
        return None
    return status.st_dev, status.st_ino


class _Connection:
    """A connection that is made when it is needed, and again when it is outdated.

    Attributes:
        lock: held while it is used, made or closed.
        number: of the connections made here; the newest one's.
    """

    def __init__(self, file: SQLiteFile) -> None:
        self.lock = threading.Lock()
        self.number = 0
        self._file = file
        self._connection: sqlite3.Connection | None = None
        self._identity = _Identity(None, None, None)
        self._failures = 0

    @contextmanager
    def borrowed(self) -> Iterator[sqlite3.Connection]:
        connection = self._acquire()
        try:
            yield connection
        except BaseException:
            # Some failures stay with a connection: it was opened read-only, or read nonsense.
            self._file.failed()
            with suppress(*_UNCLOSED):
                self.close()
            raise
        finally:
            self.lock.release()

    def is_outdated(self) -> bool:
        """Whether it is open, and must not be used any more."""
        return self._connection is not None and (
            self._failures != self._file.failures
            or None in self._identity
            or self._identity != self._file.identity()
        )

    def close(self) -> None:
        """With the lock held; if this fails, the connection is still there, and outdated.

        SQLite ends a log by writing it into the database, unless another file is at the path. Where
        log or index were removed, the database may hold other content in the same file, which that
        would destroy: then nothing is written.
        """
        if self._connection is None:
            return
        with ExitStack() as unwritten:
            if self._has_lost_its_log():
                self._file.settle()
                unwritten.enter_context(self._file.unwritten())
            connection, self._connection = self._connection, None
            connection.close()

    def _acquire(self) -> sqlite3.Connection:
        """Take the lock, and keep it if there is a connection."""
        self.lock.acquire()
        try:
            while self._connection is None or self.is_outdated():
                if not _outdated():
                    return self._connect()
                self.lock.release()
                try:
                    _close_outdated()
                finally:
                    self.lock.acquire()
        except BaseException:
            self.lock.release()
            raise
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        failures, before = self._file.failures, self._file.identity()
        self._connection = connection = self._file.connect()
        # If files were replaced meanwhile, the next use finds others than these.
        after = self._file.identity()
        self._identity = after._replace(database=before.database or after.database)
        self._failures = failures
        self.number += 1
        return connection

    def _has_lost_its_log(self) -> bool:
        now = self._file.identity()
        own = self._identity
        return now.database == own.database and (now != own or None in own)


_EFFECTIVE = os.access in os.supports_effective_ids
_files: WeakValueDictionary[int, SQLiteFile] = WeakValueDictionary()
_one_fork = threading.Lock()
_forking: list[SQLiteFile] = []


def _all_files() -> list[SQLiteFile]:
    # Unlike iteration, `valuerefs` does not mind that another thread makes a store meanwhile.
    return [file for reference in _files.valuerefs() if (file := reference()) is not None]


def _outdated() -> list[_Connection]:
    """Of all stores of this process; without locks, so to be asked again with each one's."""
    connections = (each for file in _all_files() for each in file.connections())
    return [each for each in connections if each.is_outdated()]


def _close_outdated() -> None:
    """Called with no connection's lock held; one fork at a time, since that takes several too."""
    with _one_fork, ExitStack() as locks:
        connections = _outdated()
        for each in connections:
            locks.enter_context(each.lock)
        for each in connections:
            if each.is_outdated():
                each.close()


def _before_fork() -> None:
    _one_fork.acquire()
    _forking.extend(_all_files())
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
