"""Stores that go back, come back empty, or are cloned, while servers and clients go on.

Whatever an operator does to a store, a client is told of every key that was touched since it last
fetched it (I1), versions do not fall within a server's run (I4), and then there is quiet (I2).
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from reality import RealityServer, SyncResponse
from reality.errors import RealityError
from tests.server.asking import LONG_WAIT_MS, PATIENCE_S, Asker
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@asynccontextmanager
async def two_servers(url: str) -> AsyncIterator[list[RealityServer]]:
    """Two servers on one store, stopped at the end."""
    servers = [RealityServer(f"server-{number}", storage=url) for number in range(2)]
    try:
        yield servers
    finally:
        for server in servers:
            await server.stop()


async def persistently(asker: Asker, *, wait: int = 0) -> SyncResponse:
    """Sync, over and over while the store fails."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await asker.ask(wait=wait)
            except RealityError:
                await asyncio.sleep(0.05)


async def go_back(
    servers: list[RealityServer], back_up: Callable[[], None], restore: Callable[[], None]
) -> None:
    """Touch, back up, touch again, restore: both servers' clients are to be reset, once."""
    one, other = servers
    await one.invalidate("posts", "a:*")
    await asyncio.to_thread(back_up)
    await one.invalidate("posts")
    await other.invalidate("lost")
    keys = ("posts", "lost", "a:1", "untouched")
    askers = [await Asker(server, *keys).caught_up() for server in servers]
    before = [dict(asker.known) for asker in askers]
    held = [asyncio.create_task(persistently(asker, wait=LONG_WAIT_MS)) for asker in askers]
    while not all(server.stats().waiters == 1 for server in servers):
        await asyncio.sleep(0.001)

    await asyncio.to_thread(restore)
    responses = await asyncio.wait_for(asyncio.gather(*held), PATIENCE_S)
    for response in responses:
        assert response.reset
        assert set(keys) == response.changed.keys()

    versions = await one.invalidate("posts")
    for asker, earlier in zip(askers, before, strict=True):
        while asker.known["posts"] < versions["posts"]:
            await persistently(asker, wait=LONG_WAIT_MS)
        assert all(asker.known[key] >= earlier[key] for key in keys), "I4: a version fell"
        again = await persistently(asker)
        assert ({}, False) == (again.changed, again.reset)
    assert one.stats().origin == other.stats().origin


# ---- SQLite --------------------------------------------------------------------------------------


def copy_database(source: Path, target: Path) -> None:
    """As `sqlite3 SOURCE ".backup TARGET"` does, also into a file that is in use."""
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


async def test_a_file_is_restored_in_place(tmp_path: Path) -> None:
    """I1: no connection is seen to drop."""
    file, backup = tmp_path / "reality.db", tmp_path / "backup.db"
    async with two_servers(f"sqlite:///{file}") as servers:
        await go_back(
            servers, lambda: copy_database(file, backup), lambda: copy_database(backup, file)
        )


async def test_a_file_is_replaced(tmp_path: Path) -> None:
    """I1: another file is put under the name, without the log of the one before."""
    file, backup = tmp_path / "reality.db", tmp_path / "backup.db"

    def replace() -> None:
        for suffix in ("-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        backup.replace(file)

    async with two_servers(f"sqlite:///{file}") as servers:
        await go_back(servers, lambda: copy_database(file, backup), replace)


async def test_a_file_is_overwritten(tmp_path: Path) -> None:
    """I1: a copy is written into the file, whose log and index were removed."""
    file, backup = tmp_path / "reality.db", tmp_path / "backup.db"

    def overwrite() -> None:
        for suffix in ("-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(backup, file)

    async with two_servers(f"sqlite:///{file}") as servers:
        await go_back(servers, lambda: copy_database(file, backup), overwrite)

    with closing(sqlite3.connect(file)) as connection:
        assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()


async def test_a_copied_file_is_another_deployment(tmp_path: Path) -> None:
    """I1: a client that goes from one to the other and back is reset each time."""
    file, clone = tmp_path / "reality.db", tmp_path / "clone.db"
    async with two_servers(f"sqlite:///{file}") as (one, _):
        await one.invalidate("posts")
        copy_database(file, clone)
        async with two_servers(f"sqlite:///{clone}") as (other, _):
            asker = Asker(one, "posts", "a")
            for _ in range(3):
                await one.invalidate("posts")
                await other.invalidate("a")
                await asker.ask()
                for server in (other, one):
                    asker.server = server
                    response = await asker.ask()
                    assert response.reset
                    assert {"posts", "a"} == response.changed.keys()
                    assert {} == (await asker.ask()).changed
            assert one.stats().origin == other.stats().origin, "no client rotates a store"


# ---- PostgreSQL ----------------------------------------------------------------------------------

TABLES = ("reality_store", "reality_log", "reality_nodes")


async def test_tables_are_restored(postgres: PostgresServer) -> None:
    """I1: the server and all connections stay."""
    url = postgres.new_database()
    database = url.rpartition("/")[2]

    def back_up() -> None:
        statements = [f"CREATE TABLE backup_{each} AS TABLE {each}" for each in TABLES]
        postgres.execute(*statements, database=database)

    def restore() -> None:
        back = [f"INSERT INTO {each} TABLE backup_{each}" for each in TABLES]
        script = "; ".join(["BEGIN", f"TRUNCATE {', '.join(TABLES)}", *back, "COMMIT"])
        postgres.execute(script, database=database)

    async with two_servers(url) as servers:
        await go_back(servers, back_up, restore)


async def test_a_server_comes_back_with_an_earlier_state() -> None:
    """I1: a failover that lost writes, or a restored volume; a pool may hide that it dropped."""
    with PostgresServer() as postgres:
        url = postgres.new_database()
        backup = postgres.folder / "backup"

        def back_up() -> None:
            postgres.stop()
            shutil.copytree(postgres.data, backup, copy_function=shutil.copy2)
            _own(backup, postgres.data)
            postgres.start()

        def restore() -> None:
            postgres.stop(immediate=True)
            shutil.rmtree(postgres.data)
            backup.rename(postgres.data)
            postgres.start()

        async with two_servers(url) as servers:
            await go_back(servers, back_up, restore)


def _own(copied: Path, original: Path) -> None:
    """Give copied files to whom the originals belong."""
    for path in (copied, *copied.rglob("*")):
        source = (original / path.relative_to(copied)).stat()
        shutil.chown(path, source.st_uid, source.st_gid)


async def test_a_writer_notices_before_its_feed_does(postgres: PostgresServer) -> None:
    """I1: an append to another history than the server's own is not taken for its next batch."""
    url = postgres.new_database()
    database = url.rpartition("/")[2]
    async with two_servers(url) as (one, other):
        for _ in range(3):
            await one.invalidate("posts")
        asker = await Asker(one, "posts", "lost").caught_up()
        # One batch is lost, and another server's takes its place: the sequences still fit.
        postgres.execute(
            "UPDATE reality_store SET sequence = 2, tag = (SELECT tag FROM reality_log WHERE "
            "sequence = 2); DELETE FROM reality_log WHERE sequence = 3",
            database=database,
        )
        await other.invalidate("other")
        await one.invalidate("lost")
        response = await asker.ask()

    assert response.reset
    assert {"posts", "lost"} == response.changed.keys()


# ---- Redis ---------------------------------------------------------------------------------------


async def test_redis_comes_back_empty() -> None:
    """I1, I4: nothing was kept, so everything is new, and above what it was."""
    with RedisServer() as redis:
        async with two_servers(redis.url) as servers:
            await go_back(servers, lambda: None, redis.restart)


async def test_redis_is_flushed(private_redis: RedisServer) -> None:
    """I1, I4: as above, and no connection drops."""
    import redis

    def flush() -> None:
        with redis.Redis.from_url(private_redis.url) as client:
            client.flushall()

    async with two_servers(private_redis.url) as servers:
        await go_back(servers, lambda: None, flush)
