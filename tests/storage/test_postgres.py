"""Stores in PostgreSQL: what a real server does to them, and the contract through its drivers."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psycopg
import pytest

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
from tests.support.postgres import PostgresServer

DRIVERS = ["psycopg", "psycopg_async", "asyncpg"]
BATCH = Batch(("a", "b"), 1)


def by(driver: str, url: str) -> str:
    return url.replace("postgresql:", f"postgresql+{driver}:")


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    url = postgres.new_database()
    yield url
    postgres.recycle(url)


@pytest.fixture(params=DRIVERS)
async def storage(request: pytest.FixtureRequest, url: str) -> AsyncIterator[SQLStorage]:
    storage = SQLStorage(url=by(request.param, url))
    await storage.open()
    yield storage
    await storage.close()


@pytest.fixture
def admin(url: str) -> Iterator[psycopg.Connection]:
    """What an administrator, or another program, does in the store's database."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def limited(postgres: PostgresServer, admin: psycopg.Connection) -> AsyncIterator[SQLStorage]:
    """A store for the user `limited`, who may do nothing yet in this database."""
    admin.execute("DROP ROLE IF EXISTS limited")
    admin.execute("CREATE ROLE limited LOGIN PASSWORD 'u'")
    url = postgres.url(user="limited", password="u", database=admin.info.dbname)
    storage = SQLStorage(url=url)
    yield storage
    await storage.close()
    admin.execute("DROP OWNED BY limited")
    admin.execute("DROP ROLE limited")


@contextmanager
def stopped(postgres: PostgresServer) -> Iterator[None]:
    postgres.stop()
    try:
        yield
    finally:
        postgres.start()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_wrong_password_is_denied(postgres: PostgresServer, driver: str) -> None:
    """Refused credentials are StorageDenied, with the store's name and without the password."""
    storage = SQLStorage(url=by(driver, postgres.url(password="another-one")))

    with pytest.raises(StorageDenied) as caught:
        await storage.open()

    await storage.close()
    assert storage.name in str(caught.value)
    assert "another-one" not in str(caught.value)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_missing_database_is_named(postgres: PostgresServer, driver: str) -> None:
    """Without the database the error says which one is missing, and to make it."""
    storage = SQLStorage(url=by(driver, postgres.url(database="nowhere")))

    with pytest.raises(StorageSchemaMissing, match=r"nowhere.*does not exist"):
        await storage.open()

    await storage.close()


async def test_four_processes_make_the_tables_at_once(url: str) -> None:
    """Processes that open an empty database at the same moment agree on one origin."""
    origins = await asyncio.to_thread(in_processes, open_store, by("psycopg", url))

    assert 4 == len(origins)
    assert 1 == len(set(origins))


async def test_writers_of_four_processes(storage: SQLStorage, url: str) -> None:
    """I1: sequences of concurrent writers have no gaps, and become visible in order."""
    await check_concurrent_writers(storage, by("psycopg", url))


async def test_a_server_that_stops_and_comes_back(
    storage: SQLStorage, postgres: PostgresServer
) -> None:
    """While the server is down every verb is StorageUnavailable; afterwards all of them work."""
    before = await storage.append([BATCH])

    with stopped(postgres):
        for verb in (storage.append([BATCH]), storage.changes(0, limit=1), storage.read(["a"])):
            with pytest.raises(StorageUnavailable):
                await verb

    assert before.head == (await storage.changes(1, limit=1)).head
    assert 2 == (await storage.append([BATCH])).head.position.sequence


async def test_a_restart_in_between_is_not_noticed(
    storage: SQLStorage, postgres: PostgresServer
) -> None:
    """Connections that were lost while nobody used them fail neither reads nor appends."""
    await storage.append([BATCH])

    postgres.restart(immediate=True)
    assert 1 == (await storage.read(["a"]))["a"].touches
    postgres.restart(immediate=True)
    assert 2 == (await storage.append([BATCH])).head.position.sequence


async def test_a_restart_under_load(storage: SQLStorage, postgres: PostgresServer) -> None:
    """I1: appends that a restart met fail as unavailable; what succeeded is kept, in order."""
    restart = asyncio.create_task(asyncio.to_thread(postgres.restart, immediate=True))
    appended: list[int] = []
    after = 0
    while after < 5:
        try:
            result = await storage.append([BATCH])
        except StorageUnavailable:
            await asyncio.sleep(0.02)
            continue
        appended.append(result.head.position.sequence)
        after += restart.done()
    await restart

    assert appended == sorted(set(appended))
    log = await storage.changes(0, limit=10_000)
    assert list(range(1, appended[-1] + 1)) == [each.position.sequence for each in log.batches]


async def test_a_lock_held_by_others(url: str, admin: psycopg.Connection) -> None:
    """Appends give up on a lock as StorageBusy after some seconds; reads do not wait for it."""
    stores = [SQLStorage(url=by(driver, url)) for driver in DRIVERS]
    for storage in stores:
        await storage.open()

    with admin.transaction():
        admin.execute("SELECT 1 FROM reality_store FOR UPDATE")
        failures = asyncio.gather(
            *(storage.append([BATCH]) for storage in stores), return_exceptions=True
        )
        for storage in stores:
            assert {} == await storage.read(["a"])
        assert [StorageBusy] * len(stores) == [type(failure) for failure in await failures]

    for storage in stores:
        await storage.append([BATCH])
        await storage.close()


async def test_a_revoked_permission(
    limited: SQLStorage, url: str, admin: psycopg.Connection
) -> None:
    """Who may not write is denied, and reads on; nothing needs a restart once it is granted."""
    owner = SQLStorage(url=url)
    await owner.open()
    await owner.close()
    for table in ("reality_store", "reality_log", "reality_nodes"):
        admin.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO limited".encode())

    await limited.open()
    admin.execute("REVOKE INSERT ON reality_log FROM limited")
    with pytest.raises(StorageDenied, match="GRANT"):
        await limited.append([BATCH])
    assert {} == await limited.read(["a"])

    admin.execute("GRANT INSERT ON reality_log TO limited")
    assert 1 == (await limited.append([BATCH])).head.position.sequence


async def test_a_standby_may_only_be_read(storage: SQLStorage, postgres: PostgresServer) -> None:
    """On a server that is a standby reads work and appends are denied, until it is promoted."""
    await storage.append([BATCH])
    postgres.stop()
    signal = postgres.data / "standby.signal"
    signal.touch()
    shutil.chown(signal, postgres.data.owner())
    postgres.start()
    try:
        assert {"a"} == set(await storage.read(["a"]))
        with pytest.raises(StorageDenied, match="read-only"):
            await storage.append([BATCH])
    finally:
        postgres.execute("SELECT pg_promote()")

    assert 2 == (await storage.append([BATCH])).head.position.sequence


async def test_tables_that_may_not_be_made(limited: SQLStorage) -> None:
    """Who may not create tables is told which are missing, and how to see their statements."""
    with pytest.raises(StorageSchemaMissing, match="reality schema --dialect postgres"):
        await limited.open()


async def test_a_table_dropped_while_running(
    storage: SQLStorage, admin: psycopg.Connection
) -> None:
    """A missing table is StorageSchemaMissing; `open` makes it, and everything works again."""
    for _ in range(10):  # drivers prepare what they see often
        await storage.append([BATCH])
        await storage.changes(0, limit=100)

    admin.execute("DROP TABLE reality_store, reality_log, reality_nodes")
    with pytest.raises(StorageSchemaMissing):
        await storage.append([BATCH])
    with pytest.raises(StorageSchemaMissing):
        await storage.changes(0, limit=100)

    assert 0 == (await storage.open()).head.position.sequence
    assert 1 == (await storage.append([BATCH])).head.position.sequence
    assert 1 == len((await storage.changes(0, limit=100)).batches)


async def test_a_newer_schema_is_refused(storage: SQLStorage, admin: psycopg.Connection) -> None:
    """A store that a newer release has changed is neither opened nor written."""
    admin.execute("UPDATE reality_store SET schema_version = schema_version + 1")

    with pytest.raises(StorageSchemaMismatch, match="upgrade"):
        await storage.open()
    with pytest.raises(StorageSchemaMismatch, match="upgrade"):
        await storage.append([BATCH])


@pytest.mark.parametrize("driver", DRIVERS)
async def test_the_databases_default_isolation_does_not_matter(
    url: str, admin: psycopg.Connection, driver: str
) -> None:
    """Where transactions are serializable by default, concurrent appends succeed all the same."""
    admin.execute(
        f"ALTER DATABASE {admin.info.dbname} "
        "SET default_transaction_isolation TO 'serializable'".encode()
    )
    storage = SQLStorage(url=by(driver, url))
    await storage.open()

    results = await asyncio.gather(*(storage.append([BATCH]) for _ in range(8)))

    assert set(range(1, 9)) == {result.head.position.sequence for result in results}
    await storage.close()


class PostgresContract(ContractByURL):
    """A database for each store, on the shared server."""

    driver = "psycopg"

    @pytest.fixture(autouse=True)
    def _server(self, postgres: PostgresServer) -> None:
        self.server = postgres

    def new_url(self) -> str:
        return by(self.driver, self.server.new_database())

    @contextmanager
    def outage(self, storage: Storage) -> Iterator[None]:
        with stopped(self.server):
            yield

    async def dispose(self, storage: Storage) -> None:
        url = self.urls.pop(storage)
        if url not in self.urls.values():
            self.server.recycle(url)


class TestPsycopg(PostgresContract):
    pass


class TestAsyncpg(PostgresContract):
    driver = "asyncpg"
