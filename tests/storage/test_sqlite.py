"""The SQLite store: the contract, how it is made, and what happens to files."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest

from reality.core.changelog import Batch
from reality.errors import (
    StorageBusy,
    StorageDenied,
    StorageError,
    StorageFull,
    StorageSchemaMismatch,
    StorageSchemaMissing,
    StorageUnavailable,
)
from reality.storage.base import Storage
from reality.storage.sql import schema_statements
from reality.storage.sqlite import SQLiteStorage
from reality.storage.sqlite_file import SQLiteFile
from reality.testing.storage import StorageContract

BATCH = Batch(("a", "b"), 5)
NOBODY = 65_534


class TestSQLite(StorageContract):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.paths = (tmp_path / f"{number}.db" for number in range(100))

    def new_storage(self) -> Storage:
        return SQLiteStorage(next(self.paths))

    def same_storage(self, storage: Storage) -> Storage:
        assert isinstance(storage, SQLiteStorage)
        return SQLiteStorage(storage.path)

    @contextmanager
    def outage(self, storage: Storage) -> Iterator[None]:
        assert isinstance(storage, SQLiteStorage)
        aside = storage.path.rename(storage.path.with_suffix(".aside"))
        yield
        aside.rename(storage.path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "r.db"


@pytest.fixture
async def storage(path: Path) -> AsyncIterator[SQLiteStorage]:
    storage = SQLiteStorage(path, busy_timeout_s=0.1)
    await storage.open()
    yield storage
    await storage.close()


@contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """What another program does to the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


# ---- what it is made with ------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["", ":memory:", "file:r.db?mode=memory"])
def test_a_store_needs_a_file(wrong: str) -> None:
    """A database in memory is refused, with the store that is meant for that."""
    with pytest.raises(ValueError, match="MemoryStorage"):
        SQLiteStorage(wrong)


@pytest.mark.parametrize("wrong", ["", "a b", "a;", "1a", "main.reality", "é", "a" * 41, "a\n"])
def test_a_table_name_is_checked(path: Path, wrong: str) -> None:
    """Only letters, digits and underscores get into statements."""
    with pytest.raises(ValueError, match="table name"):
        SQLiteStorage(path, table_name=wrong)


async def test_several_stores_share_a_file(path: Path, storage: SQLiteStorage) -> None:
    """Each table name is a store of its own."""
    other = SQLiteStorage(path, table_name="other")
    await storage.append([BATCH])
    opening = await other.open()
    await other.close()

    assert 0 == opening.head.position.sequence
    assert opening.head.origin != (await storage.changes(0, limit=1)).head.origin


async def test_nothing_is_made_before_open(path: Path) -> None:
    """Making a store touches no file."""
    SQLiteStorage(path)

    assert not path.exists()


async def test_a_relative_path_does_not_follow_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path is what it was when the store was made."""
    monkeypatch.chdir(tmp_path)
    storage = SQLiteStorage("r.db")
    monkeypatch.chdir("/")
    await storage.open()
    await storage.close()

    assert (tmp_path / "r.db").exists()


async def test_commits_are_durable(storage: SQLiteStorage, path: Path) -> None:
    """The file is in WAL mode, and both connections wait for the disk at each commit."""
    await storage.append([BATCH])
    file: Any = storage._blocking._file  # type: ignore[attr-defined]
    for connection in (file._writer, file._reader):
        with connection.borrowed() as each:
            assert [(2,)] == each.execute("PRAGMA synchronous").fetchall()
    with raw(path) as connection:
        assert [("wal",)] == connection.execute("PRAGMA journal_mode").fetchall()


async def test_create_false_makes_nothing(path: Path) -> None:
    """With create=False a missing file and missing tables are errors; what is there is used."""
    storage = SQLiteStorage(path, create=False)
    with pytest.raises(StorageUnavailable, match="put the file back"):
        await storage.open()
    assert not path.exists()

    with raw(path) as connection:
        with pytest.raises(StorageSchemaMissing, match="reality schema --dialect sqlite"):
            await storage.open()
        connection.execute("CREATE TABLE theirs (id)")
        for statement in schema_statements("sqlite"):
            connection.execute(statement)
    await storage.open()
    assert 1 == (await storage.append([BATCH])).head.position.sequence
    await storage.close()


async def test_tables_of_a_newer_release_are_refused(path: Path, storage: SQLiteStorage) -> None:
    """A newer schema version is a mismatch that names both, for every verb."""
    with raw(path) as connection:
        connection.execute("UPDATE reality_store SET schema_version = 7")

    for verb in (storage.open, lambda: storage.append([BATCH])):
        with pytest.raises(StorageSchemaMismatch, match=r"version 7.*version 1.*upgrade"):
            await verb()


async def test_foreign_tables_are_refused(path: Path) -> None:
    """Tables of the same name that somebody else made are a mismatch."""
    with raw(path) as connection:
        for table in ("store", "log", "nodes"):
            connection.execute(f"CREATE TABLE reality_{table} (id, mine)")
    storage = SQLiteStorage(path)
    with pytest.raises(StorageSchemaMismatch, match="another table name"):
        await storage.open()
    await storage.close()


# ---- the short cut -------------------------------------------------------------------------------


async def test_a_look_at_an_unchanged_file_is_no_query(storage: SQLiteStorage, path: Path) -> None:
    """`changes` gives the same answer until anybody commits, this store or another."""
    await storage.append([BATCH])
    first = await storage.changes(1, limit=10)
    assert first is await storage.changes(1, limit=10)
    assert first is not await storage.changes(0, limit=10)

    await storage.append([BATCH])
    second = await storage.changes(1, limit=10)
    assert 2 == second.head.position.sequence

    other = SQLiteStorage(path)
    await other.open()
    await other.append([BATCH])
    assert 3 == (await storage.changes(1, limit=10)).head.position.sequence
    await other.rotate(second.head.origin, register=9)
    assert 9 == (await storage.changes(1, limit=10)).head.register
    await other.close()


# ---- what happens to files -----------------------------------------------------------------------


async def fails_then_works(
    storage: Storage, error: type[StorageError], match: str, mend: Callable[[], object]
) -> None:
    """An append fails with this error, naming the store, and works as soon as that is mended."""
    with pytest.raises(error, match=match) as caught:
        await storage.append([BATCH])
    assert storage.name in str(caught.value)
    mend()
    assert (await storage.append([BATCH])).batches


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A missing folder is no reason to make one; once it is there, `open` works."""
    folder = tmp_path / "missing"
    storage = SQLiteStorage(folder / "r.db")
    with pytest.raises(StorageUnavailable, match=f"make {folder} first"):
        await storage.open()
    folder.mkdir()
    await storage.open()
    await storage.close()


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """The path of a folder is refused by name."""
    storage = SQLiteStorage(tmp_path)
    with pytest.raises(StorageUnavailable, match="is a folder"):
        await storage.open()
    await storage.close()


async def test_a_file_of_another_kind_is_refused(path: Path) -> None:
    """What is no database is left as it is; once it is moved away, `open` works."""
    path.write_text("not a database, and precious\n" * 100)
    storage = SQLiteStorage(path)
    with pytest.raises(StorageSchemaMismatch, match="not a database"):
        await storage.open()
    assert path.read_text().startswith("not a database")
    path.unlink()
    await storage.open()
    await storage.close()


async def test_a_locked_file_is_busy(storage: SQLiteStorage, path: Path) -> None:
    """After the timeout a lock is StorageBusy; reads do not wait for it, and it goes by itself."""
    await storage.append([BATCH])
    with raw(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert {"a"} == (await storage.read(["a"])).keys()
        await fails_then_works(
            storage, StorageBusy, "locked", lambda: connection.execute("ROLLBACK")
        )


async def test_a_full_disk_is_named(
    storage: SQLiteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room an append is StorageFull and leaves nothing; with room it works again."""
    connect = SQLiteFile.connect

    def limited(file: SQLiteFile) -> sqlite3.Connection:
        connection = connect(file)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        return connection

    await storage.append([BATCH])
    await storage.close()
    with monkeypatch.context() as patch:
        patch.setattr(SQLiteFile, "connect", limited)
        await storage.open()
        with pytest.raises(StorageFull, match="free disk space"):
            await storage.append([Batch(tuple(f"name:{n:0500}" for n in range(100)), 5)])
        assert 1 == (await storage.changes(0, limit=1)).head.position.sequence
    assert 2 == (await storage.append([BATCH])).head.position.sequence


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="reality-tests-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may write everything, so for a while the process is somebody else."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


async def test_a_read_only_file_is_denied(open_folder: Path) -> None:
    """A file that must not be written can be read; once it may be, appends work."""
    path = open_folder / "r.db"
    maker = SQLiteStorage(path)
    await maker.open()
    await maker.append([BATCH])
    await maker.close()
    path.chmod(0o444)
    storage = SQLiteStorage(path)

    with without_privileges():
        await storage.open()
        assert {"a"} == (await storage.read(["a"])).keys()
        with pytest.raises(StorageDenied, match="let this process write"):
            await storage.append([BATCH])
    for each in open_folder.iterdir():
        each.chmod(0o666)
    with without_privileges():
        assert 2 == (await storage.append([BATCH])).head.position.sequence
    await storage.close()


@contextmanager
def held_open(path: Path) -> Iterator[None]:
    """Another process has the file open, so that its log and index stay where they are."""
    script = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "connection.execute('SELECT * FROM reality_store').fetchall()\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with Popen([sys.executable, "-c", script, path], stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        assert b"open\n" == process.stdout.readline()
        yield


async def test_a_file_that_was_read_only_may_be_given_away(open_folder: Path) -> None:
    """What a process has mapped read-only is mapped anew, by all of its stores."""
    path = open_folder / "r.db"
    maker = SQLiteStorage(path)
    await maker.open()
    await maker.append([BATCH])
    with held_open(path):
        await maker.close()
        for each in open_folder.iterdir():
            each.chmod(0o444)
        storages = [SQLiteStorage(path), SQLiteStorage(path)]
        with without_privileges():
            for storage in storages:
                await storage.open()
                assert {"a"} == (await storage.read(["a"])).keys()
                with pytest.raises(StorageDenied, match="let this process write"):
                    await storage.append([BATCH])
                assert {"a"} == (await storage.read(["a"])).keys()
        for each in open_folder.iterdir():
            each.chmod(0o666)
        with without_privileges():
            for sequence, storage in enumerate(storages, start=2):
                # One failure may be needed to find out.
                with suppress(StorageDenied):
                    await storage.append([BATCH])
                head = (await storage.append([BATCH])).head
                assert head.position.sequence >= sequence
        for storage in storages:
            await storage.close()


async def test_a_folder_without_permission_is_denied(open_folder: Path) -> None:
    """Where no file may be made, `open` says whom to let in; after that it works."""
    closed = open_folder / "closed"
    closed.mkdir(mode=0o555)
    storage = SQLiteStorage(closed / "r.db")

    with without_privileges():
        with pytest.raises(StorageDenied, match=f"the folder {closed}"):
            await storage.open()
    closed.chmod(0o777)
    with without_privileges():
        await storage.open()
    await storage.close()


async def test_a_removed_file_is_not_made_again(storage: SQLiteStorage, path: Path) -> None:
    """I1: a store whose file is gone fails, even to open, until the file is back."""
    await storage.append([BATCH])
    aside = path.rename(path.with_suffix(".aside"))

    for verb in (lambda: storage.changes(0, limit=1), storage.open, lambda: storage.read(["a"])):
        with pytest.raises(StorageUnavailable, match="is gone"):
            await verb()
    assert not path.exists()
    await fails_then_works(storage, StorageUnavailable, "is gone", lambda: aside.rename(path))

    assert 2 == (await storage.changes(0, limit=1)).head.position.sequence


async def test_after_close_a_removed_file_is_made_again(storage: SQLiteStorage, path: Path) -> None:
    """An operator who has removed the file and opens the store anew gets an empty one."""
    before = (await storage.append([BATCH])).head
    await storage.close()
    remove(path)

    opening = await storage.open()

    assert (0, ()) == (opening.head.position.sequence, opening.recent)
    assert before.store_id != opening.head.store_id


@pytest.mark.parametrize("way", ["moved over it", "restored into it"])
async def test_a_restored_backup_is_seen(storage: SQLiteStorage, path: Path, way: str) -> None:
    """I1: the next look after a backup was restored tells where the backup stands."""
    old = (await storage.append([BATCH])).head
    backup = path.with_suffix(".backup")
    with raw(path) as source, raw(backup) as target:
        source.backup(target)
    await storage.append([BATCH, BATCH])
    assert 3 == (await storage.changes(1, limit=10)).head.position.sequence

    if way == "moved over it":
        remove(path)
        backup.replace(path)
    else:
        with raw(backup) as source, raw(path) as target:
            source.backup(target)

    answer = await storage.changes(1, limit=10)
    assert (old, [old.position]) == (answer.head, [each.position for each in answer.batches])
    assert old.position == (await storage.append([BATCH])).after


@pytest.mark.parametrize("way", ["used", "closed", "forked"])
async def test_an_overwritten_file_stays_whole(
    storage: SQLiteStorage, path: Path, way: str
) -> None:
    """I1: a log that was removed is not written into the backup that was copied over its file."""
    old = (await storage.append([BATCH])).head
    backup = path.with_suffix(".backup")
    with raw(path) as source, raw(backup) as target:
        source.backup(target)
    await storage.append([Batch(tuple(f"lost:{n}" for n in range(400)), 5)])
    inode = path.stat().st_ino
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()
    shutil.copyfile(backup, path)
    assert inode == path.stat().st_ino

    if way == "closed":
        await storage.close()
    if way == "forked":
        child = os.fork()
        if child == 0:
            os._exit(0)
        await asyncio.to_thread(os.waitpid, child, 0)
    if way == "used":
        with pytest.raises(StorageUnavailable, match="-wal or -shm"):
            await storage.read(["a"])
    assert backup.read_bytes() == path.read_bytes()

    async with asyncio.timeout(10):
        while True:
            try:
                opening = await storage.open()
                break
            except StorageUnavailable:
                await asyncio.sleep(0.05)
    assert old == opening.head
    assert not await storage.read(["lost:1"])
    assert old.position == (await storage.append([BATCH])).after
    with raw(path) as connection:
        assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()


async def test_the_log_stays_as_long_as_anybody_has_the_file_open(
    storage: SQLiteStorage, path: Path
) -> None:
    """Checkpoints, and others that come and go, cost no connection."""
    file: Any = storage._blocking._file  # type: ignore[attr-defined]
    await storage.append([BATCH])
    await storage.read(["a"])
    before = file.identity(), file._reader.number, file._writer.number
    assert None not in before[0]
    for _ in range(3):
        other = SQLiteStorage(path)
        await other.open()
        await other.append([BATCH])
        await other.close()
        with held_open(path), raw(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await storage.append([BATCH])
        await storage.read(["a"])

    assert before == (file.identity(), file._reader.number, file._writer.number)
