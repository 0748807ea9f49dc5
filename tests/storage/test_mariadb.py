"""Stores in MariaDB: what a real server does to them, and the contract through its drivers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager

import pymysql
import pytest
from pymysql.cursors import Cursor

from reality.core.changelog import Batch
from reality.errors import (
    StorageBusy,
    StorageDenied,
    StorageSchemaMismatch,
    StorageSchemaMissing,
    StorageUnavailable,
)
from reality.storage.base import Storage
from reality.storage.sql import SQLStorage
from tests.storage.sharing import check_concurrent_writers, in_processes, open_store
from tests.storage.sql_contract import ContractByURL
from tests.support.mariadb import PASSWORD, USER, MariaDBServer

DRIVERS = ["pymysql", "asyncmy"]
BATCH = Batch(("a", "b"), 1)


def by(driver: str, url: str) -> str:
    return url.replace("mysql:", f"mysql+{driver}:")


@pytest.fixture
def url(mariadb: MariaDBServer) -> str:
    return mariadb.new_database()


@pytest.fixture(params=DRIVERS)
async def storage(request: pytest.FixtureRequest, url: str) -> AsyncIterator[SQLStorage]:
    storage = SQLStorage(url=by(request.param, url))
    await storage.open()
    yield storage
    await storage.close()


@pytest.fixture
def admin(mariadb: MariaDBServer, url: str) -> Iterator[Cursor]:
    """What an administrator, or another program, does in the store's database."""
    with closing(
        pymysql.connect(
            host="127.0.0.1",
            port=mariadb.port,
            user=USER,
            password=PASSWORD,
            database=url.rpartition("/")[2],
            autocommit=True,
        )
    ) as connection:
        with connection.cursor() as cursor:
            yield cursor


@pytest.fixture
async def limited(mariadb: MariaDBServer, url: str, admin: Cursor) -> AsyncIterator[SQLStorage]:
    """A store for the user `limited`, who may do nothing yet in this database."""
    admin.execute("CREATE USER IF NOT EXISTS 'limited'@'127.0.0.1' IDENTIFIED BY 'u'")
    admin.execute("REVOKE ALL, GRANT OPTION FROM 'limited'@'127.0.0.1'")
    database = url.rpartition("/")[2]
    storage = SQLStorage(url=f"mysql://limited:u@127.0.0.1:{mariadb.port}/{database}")
    yield storage
    await storage.close()


@contextmanager
def stopped(mariadb: MariaDBServer) -> Iterator[None]:
    mariadb.stop()
    try:
        yield
    finally:
        mariadb.start()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_wrong_password_is_denied(mariadb: MariaDBServer, driver: str) -> None:
    """Refused credentials are StorageDenied, with the store's name and without the password."""
    storage = SQLStorage(url=by(driver, mariadb.url(password="another-one")))

    with pytest.raises(StorageDenied) as caught:
        await storage.open()

    await storage.close()
    assert storage.name in str(caught.value)
    assert "another-one" not in str(caught.value)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_missing_database_is_named(mariadb: MariaDBServer, driver: str) -> None:
    """Without the database the error says which one is missing, and to make it."""
    storage = SQLStorage(url=by(driver, mariadb.url(database="nowhere")))

    with pytest.raises(StorageSchemaMissing, match=r"Unknown database 'nowhere'"):
        await storage.open()

    await storage.close()


async def test_four_processes_make_the_tables_at_once(url: str) -> None:
    """Processes that open an empty database at the same moment agree on one origin."""
    origins = await asyncio.to_thread(in_processes, open_store, by("pymysql", url))

    assert 4 == len(origins)
    assert 1 == len(set(origins))


async def test_writers_of_four_processes(storage: SQLStorage, url: str) -> None:
    """I1: sequences of concurrent writers have no gaps, and become visible in order."""
    await check_concurrent_writers(storage, by("pymysql", url))


async def test_a_server_that_stops_and_comes_back(
    storage: SQLStorage, mariadb: MariaDBServer
) -> None:
    """While the server is down every verb is StorageUnavailable; afterwards all of them work."""
    before = await storage.append([BATCH])

    with stopped(mariadb):
        for verb in (storage.append([BATCH]), storage.changes(0, limit=1), storage.read(["a"])):
            with pytest.raises(StorageUnavailable):
                await verb

    assert before.head == (await storage.changes(1, limit=1)).head
    assert 2 == (await storage.append([BATCH])).head.position.sequence


async def test_a_restart_in_between_is_not_noticed(
    storage: SQLStorage, mariadb: MariaDBServer
) -> None:
    """Connections that were lost while nobody used them fail neither reads nor appends."""
    await storage.append([BATCH])

    mariadb.restart(immediate=True)
    assert 1 == (await storage.read(["a"]))["a"].touches
    mariadb.restart(immediate=True)
    assert 2 == (await storage.append([BATCH])).head.position.sequence


async def test_a_lock_held_by_others(url: str, admin: Cursor) -> None:
    """Appends give up on a lock as StorageBusy after some seconds; reads do not wait for it."""
    stores = [SQLStorage(url=by(driver, url)) for driver in DRIVERS]
    for storage in stores:
        await storage.open()

    admin.execute("BEGIN")
    admin.execute("SELECT 1 FROM reality_store FOR UPDATE")
    failures = asyncio.gather(
        *(storage.append([BATCH]) for storage in stores), return_exceptions=True
    )
    for storage in stores:
        assert {} == await storage.read(["a"])
    assert [StorageBusy] * len(stores) == [type(failure) for failure in await failures]
    admin.execute("ROLLBACK")

    for storage in stores:
        await storage.append([BATCH])
        await storage.close()


async def test_a_table_locked_for_a_migration(url: str, admin: Cursor) -> None:
    """A lock on a whole table, of a migration say, is waited for as briefly as one on a row."""
    storage = SQLStorage(url=url)
    await storage.open()

    admin.execute("LOCK TABLES reality_nodes WRITE")
    with pytest.raises(StorageBusy):
        await storage.append([BATCH])
    admin.execute("UNLOCK TABLES")

    await storage.append([BATCH])
    await storage.close()


async def test_a_revoked_permission(limited: SQLStorage, url: str, admin: Cursor) -> None:
    """Who may not write is denied, and reads on; nothing needs a restart once it is granted."""
    owner = SQLStorage(url=url)
    await owner.open()
    await owner.close()
    for table in ("store", "log", "nodes"):
        grant = "GRANT SELECT, INSERT, UPDATE, DELETE ON"
        admin.execute(f"{grant} reality_{table} TO 'limited'@'127.0.0.1'")

    await limited.open()
    admin.execute("REVOKE INSERT ON reality_log FROM 'limited'@'127.0.0.1'")
    with pytest.raises(StorageDenied, match="GRANT"):
        await limited.append([BATCH])
    assert {} == await limited.read(["a"])

    admin.execute("GRANT INSERT ON reality_log TO 'limited'@'127.0.0.1'")
    assert 1 == (await limited.append([BATCH])).head.position.sequence


async def test_a_read_only_server(limited: SQLStorage, url: str, admin: Cursor) -> None:
    """On a server that is read-only reads work and appends are denied, until it is not."""
    admin.execute(f"GRANT ALL ON {url.rpartition('/')[2]}.* TO 'limited'@'127.0.0.1'")
    await limited.open()
    admin.execute("SET GLOBAL read_only = 1")
    try:
        assert {} == await limited.read(["a"])
        with pytest.raises(StorageDenied, match="read-only"):
            await limited.append([BATCH])
    finally:
        admin.execute("SET GLOBAL read_only = 0")

    assert 1 == (await limited.append([BATCH])).head.position.sequence


async def test_tables_that_may_not_be_made(limited: SQLStorage, url: str, admin: Cursor) -> None:
    """Who may not create tables is told which are missing, and how to see their statements."""
    database = url.rpartition("/")[2]
    admin.execute(f"GRANT SELECT, INSERT ON {database}.* TO 'limited'@'127.0.0.1'")

    with pytest.raises(StorageSchemaMissing, match="reality schema --dialect mysql"):
        await limited.open()


async def test_a_table_dropped_while_running(storage: SQLStorage, admin: Cursor) -> None:
    """A missing table is StorageSchemaMissing; `open` makes it, and everything works again."""
    await storage.append([BATCH])

    admin.execute("DROP TABLE reality_store, reality_log, reality_nodes")
    with pytest.raises(StorageSchemaMissing):
        await storage.append([BATCH])
    with pytest.raises(StorageSchemaMissing):
        await storage.changes(0, limit=100)

    assert 0 == (await storage.open()).head.position.sequence
    assert 1 == (await storage.append([BATCH])).head.position.sequence
    assert 1 == len((await storage.changes(0, limit=100)).batches)


async def test_a_newer_schema_is_refused(storage: SQLStorage, admin: Cursor) -> None:
    """A store that a newer release has changed is neither opened nor written."""
    admin.execute("UPDATE reality_store SET schema_version = schema_version + 1")

    with pytest.raises(StorageSchemaMismatch, match="upgrade"):
        await storage.open()
    with pytest.raises(StorageSchemaMismatch, match="upgrade"):
        await storage.append([BATCH])


async def test_old_habits_of_a_database(mariadb: MariaDBServer, url: str, admin: Cursor) -> None:
    """A database of Latin letters in a lenient mode keeps every name, whole and apart."""
    database = url.rpartition("/")[2]
    admin.execute(f"ALTER DATABASE {database} CHARACTER SET latin1 COLLATE latin1_swedish_ci")
    names = ("a", "A", "a ", "ä", "😀", "k" * 512)
    for driver in DRIVERS:
        storage = SQLStorage(url=by(driver, f"{url}?charset=latin1"))
        await storage.open()

        await storage.append([Batch(names, 1, hash="h")])

        assert set(names) == set(await storage.read(names))
        assert set(names) == {each.name for each in (await storage.scan(0, limit=9)).touched}
        logged = (await storage.changes(0, limit=9)).batches[-1]
        assert names == tuple(each.name for each in logged.touched)
        await storage.close()


class MariaDBContract(ContractByURL):
    """A database for each store, on the shared server."""

    driver = "pymysql"

    @pytest.fixture(autouse=True)
    def _server(self, mariadb: MariaDBServer) -> None:
        self.server = mariadb

    def new_url(self) -> str:
        return by(self.driver, self.server.new_database())

    @contextmanager
    def outage(self, storage: Storage) -> Iterator[None]:
        with stopped(self.server):
            yield


class TestPyMySQL(MariaDBContract):
    pass
