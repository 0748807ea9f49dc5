"""Hints by PostgreSQL's NOTIFY: what they make faster, and that nothing depends on them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from threading import Thread
from types import SimpleNamespace
from typing import Any, NoReturn

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from reality import RealityServer
from reality.core.changelog import Batch
from reality.errors import StorageUnavailable
from reality.storage.base import Hinting
from reality.storage.sql import SQLStorage, notify
from reality.storage.sqlalchemy import SQLAlchemyStorage
from tests.server.asking import PATIENCE_S, Asker, answered, holding
from tests.support.postgres import PostgresServer

DRIVERS = ["psycopg", "psycopg_async", "asyncpg"]
BATCH = Batch(("a", "b"), 1)
# The connections of lines are told by what they ran last.
LINES = ("LISTEN%", "NOTIFY%", "SELECT 1")
ALL = ("%",)


class Patient(SQLStorage):
    """A store that a server never looks at by itself within a test: only hints wake it."""

    @property
    def feed_interval_s(self) -> float:
        return 3_600.0


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    url = postgres.new_database()
    yield url
    postgres.recycle(url)


@pytest.fixture
def admin(url: str) -> Iterator[psycopg.Connection]:
    """What an administrator does and sees in the store's database."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture(params=DRIVERS)
def new_store(request: pytest.FixtureRequest, url: str) -> Callable[[], SQLStorage]:
    """Makes another store over the same state, with hints, through one of the drivers."""
    by_driver = url.replace("postgresql:", f"postgresql+{request.param}:")
    return lambda: Patient(url=by_driver, notify=True)


@pytest.fixture
async def storage(new_store: Callable[[], SQLStorage]) -> AsyncIterator[SQLStorage]:
    async with opened(new_store()) as storage:
        yield storage


@pytest.fixture
async def other(
    new_store: Callable[[], SQLStorage], storage: SQLStorage
) -> AsyncIterator[SQLStorage]:
    """What another process has: on the same state, opened after the first."""
    assert storage.name
    async with opened(new_store()) as other:
        yield other


@asynccontextmanager
async def opened(storage: SQLStorage) -> AsyncIterator[SQLStorage]:
    await storage.open()
    try:
        yield storage
    finally:
        await storage.close()


@asynccontextmanager
async def serving(storage: SQLStorage) -> AsyncIterator[RealityServer]:
    server = RealityServer(storage=storage)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def until_count(
    admin: psycopg.Connection, count: int, last_ran: Sequence[str] = LINES
) -> list[int]:
    """The stores' backends that ran one of these statements last, once there are so many."""
    query = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid != pg_backend_pid() AND query LIKE ANY(%s)"
    )
    async with asyncio.timeout(PATIENCE_S):
        while True:
            pids = [pid for (pid,) in admin.execute(query, [list(last_ran)])]
            if len(pids) == count:
                return pids
            await asyncio.sleep(0.01)


async def soon(storage: SQLStorage) -> None:
    """The next hint, which must come."""
    await asyncio.wait_for(storage.hinted(), PATIENCE_S)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A backend that neither answers nor ends, as one at the other end of a broken network."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# ---- what may notify -----------------------------------------------------------------------------


async def test_only_a_store_that_notifies_gives_hints(url: str) -> None:
    """`notify=True` makes a store `Hinting`, by URL and by engine; without it, it is not."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    async_engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))

    assert isinstance(SQLStorage(url=url, notify=True), Hinting)
    assert isinstance(SQLStorage(engine=engine, notify=True), Hinting)
    assert isinstance(SQLAlchemyStorage(async_engine, notify=True), Hinting)
    assert not isinstance(SQLStorage(url=url), Hinting)
    assert not isinstance(SQLAlchemyStorage(engine), Hinting)


class Executor:
    """A bare executor, which is never used."""

    paramstyle = "format"

    def query(self, sql: str, params: Any, /) -> Any:
        raise NotImplementedError

    def transaction(self) -> Any:
        raise NotImplementedError


def engine_of_another_driver() -> sa.Engine:
    """As pg8000 has it, which need not be installed for it."""
    driver = SimpleNamespace(paramstyle="format", __version__="1.31.0")
    return sa.create_engine("postgresql+pg8000://u:secret@localhost/d", module=driver)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"url": "sqlite:////tmp/never.db"}, "needs PostgreSQL"),
        ({"url": "mysql://u:secret@localhost/d"}, "needs PostgreSQL"),
        ({"engine": engine_of_another_driver()}, "psycopg .3. or asyncpg"),
        ({"executor": Executor(), "dialect": "postgres"}, "cannot wait for notifications"),
    ],
)
def test_where_it_cannot_be_it_is_refused(given: dict[str, Any], message: str) -> None:
    """Another database, another driver or a bare executor with `notify=True` is a ValueError."""
    with pytest.raises(ValueError, match=message) as refused:
        SQLStorage(**given, notify=True)

    assert "secret" not in str(refused.value)


# ---- hints ---------------------------------------------------------------------------------------


async def test_another_process_is_heard(storage: SQLStorage, other: SQLStorage) -> None:
    """I5: `hinted` returns once when it listens, then after appends of another store."""
    await soon(storage)
    for _ in range(3):
        waiting = asyncio.create_task(storage.hinted())
        await asyncio.sleep(0)
        assert not waiting.done()
        await other.append([BATCH])
        await asyncio.wait_for(waiting, PATIENCE_S)


async def test_a_store_gives_itself_no_hint(storage: SQLStorage, other: SQLStorage) -> None:
    """What a store has appended itself is no news to it."""
    await soon(storage)
    await soon(other)
    await storage.append([BATCH])
    await soon(other)  # it has been sent

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(storage.hinted(), 0.1)


async def test_many_appends_send_few(
    storage: SQLStorage, url: str, admin: psycopg.Connection
) -> None:
    """Appends of some moments are told by one NOTIFY, without a payload; the last one is told."""
    admin.execute("LISTEN reality")
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(60):
        await storage.append([BATCH])
    took = loop.time() - began
    await storage.close()  # which sends what is owed

    heard = list(admin.notifies(timeout=0.5))
    assert {""} == {notification.payload for notification in heard}
    # One at once, one in 50 ms, one in the end.
    assert 1 <= len(heard) <= 2 + took / 0.05


async def test_a_script_that_ends_at_once_has_told(
    storage: SQLStorage, other: SQLStorage, admin: psycopg.Connection
) -> None:
    """A store that is closed right after its first append has sent the hint, and disconnected."""
    await soon(storage)
    await other.append([BATCH])
    await other.close()

    await soon(storage)
    await asyncio.sleep(0.1)
    await until_count(admin, 1)


async def test_a_cancelled_wait_keeps_the_line(
    storage: SQLStorage, other: SQLStorage, admin: psycopg.Connection
) -> None:
    """I5: what is appended between two waits is told by the second, on the same connection."""
    await soon(storage)
    await soon(other)
    before = await until_count(admin, 2)
    for _ in range(3):
        waiting = asyncio.create_task(storage.hinted())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await other.append([BATCH])
        await soon(storage)

    assert set(before) == set(await until_count(admin, 2))


async def test_waits_cancelled_while_connecting_share_one_line(
    storage: SQLStorage, admin: psycopg.Connection
) -> None:
    """However often a first wait is given up, one connection is made, and it is closed."""
    for _ in range(5):
        waiting = asyncio.create_task(storage.hinted())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await soon(storage)

    await until_count(admin, 1)
    await storage.close()
    await until_count(admin, 0)


async def test_closing_while_connecting(storage: SQLStorage, admin: psycopg.Connection) -> None:
    """A store that is closed while its line is being made leaves no connection behind."""
    waiting = asyncio.create_task(storage.hinted())
    await asyncio.sleep(0)
    await storage.close()

    await asyncio.wait([waiting])
    await until_count(admin, 0, ALL)


async def test_closing_ends_a_wait(storage: SQLStorage) -> None:
    """A wait that `close` overtakes ends as `StorageUnavailable`."""
    await soon(storage)
    waiting = asyncio.create_task(storage.hinted())
    await asyncio.sleep(0)
    await storage.close()

    with pytest.raises(StorageUnavailable, match="closed"):
        await asyncio.wait_for(waiting, PATIENCE_S)


# ---- failures ------------------------------------------------------------------------------------


async def test_a_killed_line_is_told_and_made_anew(
    storage: SQLStorage, other: SQLStorage, admin: psycopg.Connection
) -> None:
    """I5: its loss raises `StorageUnavailable`; connected again, `hinted` returns at once."""
    await soon(storage)
    waiting = asyncio.create_task(storage.hinted())
    [line] = await until_count(admin, 1)
    admin.execute("SELECT pg_terminate_backend(%s)", [line])
    with pytest.raises(StorageUnavailable):
        await asyncio.wait_for(waiting, PATIENCE_S)

    await soon(storage)
    waiting = asyncio.create_task(storage.hinted())
    await other.append([BATCH])
    await asyncio.wait_for(waiting, PATIENCE_S)


async def test_appends_do_not_mind_a_lost_line(
    storage: SQLStorage, other: SQLStorage, admin: psycopg.Connection
) -> None:
    """I5: an append whose NOTIFY fails has succeeded; the next ones are told again."""
    await soon(storage)
    await other.append([BATCH])
    await soon(storage)
    for pid in await until_count(admin, 2):
        admin.execute("SELECT pg_terminate_backend(%s)", [pid])
    await until_count(admin, 0)

    assert 2 == (await other.append([BATCH])).head.position.sequence
    await asyncio.sleep(0.1)
    assert 3 == (await other.append([BATCH])).head.position.sequence
    await until_count(admin, 1)


async def test_appends_do_not_wait_for_a_line_that_hangs(
    storage: SQLStorage, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I5: while NOTIFY gets no answer, appends go on as ever, and the store can be closed."""
    monkeypatch.setattr(notify, "_ANSWER_S", 3_600.0)
    await soon(storage)
    [line] = await until_count(admin, 1)
    with frozen(line):
        waiting = asyncio.create_task(storage.hinted())
        for sequence in range(1, 20):
            assert sequence == (await storage.append([BATCH])).head.position.sequence
        assert not waiting.done()
        await storage.close()
        with pytest.raises(StorageUnavailable):
            await asyncio.wait_for(waiting, PATIENCE_S)


async def test_a_line_that_is_cut_off_is_noticed(
    storage: SQLStorage,
    other: SQLStorage,
    admin: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """I5: one that heard nothing for long is tried; if it does not answer, it is made anew."""
    await soon(storage)
    monkeypatch.setattr(notify, "_SILENCE_S", 0.01)
    await soon(storage)  # it answers
    monkeypatch.setattr(notify, "_ANSWER_S", 0.1)
    [line] = await until_count(admin, 1)
    with frozen(line):
        with pytest.raises(StorageUnavailable):
            await soon(storage)
        monkeypatch.undo()
        await soon(storage)
        waiting = asyncio.create_task(storage.hinted())
        await other.append([BATCH])
        await asyncio.wait_for(waiting, PATIENCE_S)


async def test_a_fork_leaves_the_line_to_its_parent(
    storage: SQLStorage, other: SQLStorage, admin: psycopg.Connection
) -> None:
    """I5: a child of a fork neither uses nor closes its parent's line, and has one of its own."""
    await soon(storage)
    parents = await until_count(admin, 1)
    child = os.fork()
    if child == 0:
        use_in_child(storage)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert 0 == status

    await soon(storage)  # the child's append was told, and its end has not ended this line
    assert parents == await until_count(admin, 1)
    await other.append([BATCH])
    await soon(storage)


def use_in_child(storage: SQLStorage) -> NoReturn:
    """Open, listen, append and close in a thread and loop of the child's, and end it."""
    done = []

    async def use() -> None:
        async with opened(storage):
            await soon(storage)
            await storage.append([BATCH])
        done.append(True)

    # The parent's loop is still the running one of this thread.
    thread = Thread(target=lambda: asyncio.run(use()))
    thread.start()
    thread.join()
    os._exit(0 if done else 1)


# ---- servers -------------------------------------------------------------------------------------


async def test_a_held_sync_is_answered_by_a_hint(new_store: Callable[[], SQLStorage]) -> None:
    """A touch written by one server wakes the other's waiters long before its next look."""
    async with serving(new_store()) as first, serving(new_store()) as second:
        for _ in range(3):
            async with holding(Asker(first, "posts")) as [held]:
                told = await second.invalidate("posts")
                assert told["posts"] == (await answered(held)).changed["posts"].version


async def test_a_change_that_nobody_heard_is_not_lost(
    new_store: Callable[[], SQLStorage], url: str, admin: psycopg.Connection
) -> None:
    """I5: what was touched while the line was lost is told as soon as it stands again."""
    async with serving(new_store()) as first, opened(SQLStorage(url=url)) as silent:
        async with holding(Asker(first, "posts")) as [held]:
            [line] = await until_count(admin, 1)
            admin.execute("SELECT pg_terminate_backend(%s)", [line])
            # Told before the line stands again, by a writer that sends no hint.
            await silent.append([Batch(("posts",), 1)])
            assert {"posts"} == set((await answered(held)).changed)


async def test_a_stopped_server_leaves_no_connection(
    new_store: Callable[[], SQLStorage], admin: psycopg.Connection
) -> None:
    """After `stop` the database has no connection of the server's left, and it starts again."""
    server = RealityServer(storage=new_store())
    for _ in range(2):
        await server.start()
        await server.invalidate("posts")
        await until_count(admin, 1)
        await server.stop()
        await until_count(admin, 0, ALL)
