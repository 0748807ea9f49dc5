"""Hints through PostgreSQL: the contract with both drivers, and what spares the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from urllib.parse import urlsplit

import psycopg
import pytest

from reality import PostgresAccelerator
from reality.accelerators.base import Accelerator
from reality.errors import AcceleratorUnavailable
from tests.accelerators.contract import AcceleratorContract, Outage
from tests.accelerators.observing import eventually, watching
from tests.support.postgres import PostgresServer

_numbers = count()


@pytest.fixture
def server(postgres: PostgresServer) -> PostgresServer:
    return postgres


@pytest.fixture(params=["psycopg", "asyncpg"])
def url(request: pytest.FixtureRequest, database: str) -> str:
    return database.replace("postgresql:", f"postgresql+{request.param}:")


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    url = postgres.new_database()
    yield url
    postgres.recycle(url)


@pytest.fixture
def channel_name() -> str:
    return f"Reality_test_{next(_numbers)}"


@pytest.fixture
def new(url: str, channel_name: str) -> Callable[[], Accelerator]:
    return lambda: PostgresAccelerator(url, channel_name)


class Closed(Outage):
    """A database that ends its connections and takes no more; a restart would take seconds."""

    def __init__(self, server: PostgresServer, database: str) -> None:
        super().__init__(server)
        self.postgres = server
        self.name = urlsplit(database).path[1:]

    def begin(self) -> None:
        self.postgres.execute(
            f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS false",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "  # noqa: S608
            f"'{self.name}'",
        )

    def end(self) -> None:
        self.postgres.execute(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS true")


class TestPostgres(AcceleratorContract):
    @pytest.fixture
    def outage(self, postgres: PostgresServer, database: str) -> Iterator[Closed]:
        outage = Closed(postgres, database)
        yield outage
        outage.end()


async def test_a_connection_that_an_administrator_ends(
    database: str, new: Callable[[], Accelerator]
) -> None:
    """I5: it is made anew, one per server, and all look for what they have missed."""
    mine = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    async with watching(new(), new()) as (one, other):
        with psycopg.connect(database, autocommit=True) as admin:
            assert (2,) == admin.execute(f"SELECT count(*) {mine}").fetchone()
            admin.execute(f"SELECT pg_terminate_backend(pid) {mine}")
            await eventually(lambda: one.rechecks == other.rechecks == 2)
            one.acceleration.touched("store@a", 1)
            await eventually(lambda: other.told == [("store@a", 1)])
            assert (2,) == admin.execute(f"SELECT count(*) {mine}").fetchone()
    with psycopg.connect(database, autocommit=True) as admin:
        assert (0,) == admin.execute(f"SELECT count(*) {mine}").fetchone()


async def test_many_touches_send_few(new: Callable[[], Accelerator]) -> None:
    """There is one NOTIFY in 50 ms at most, and the last touch is told."""
    loop = asyncio.get_running_loop()
    async with watching(new(), new()) as (one, other):
        began = loop.time()
        for sequence in range(1, 301):
            one.acceleration.touched("store@a", sequence)
            await asyncio.sleep(0.001)
        await eventually(lambda: other.told[-1:] == [("store@a", 300)])
        took_s = loop.time() - began

        assert 1 < len(other.told) <= 2 + took_s / 0.05


@pytest.mark.parametrize("kind", ["psycopg", "asyncpg"])
async def test_a_wrong_password_is_told_without_it(postgres: PostgresServer, kind: str) -> None:
    """A refusal names the channel and the address, never the password."""
    postgres.start()
    url = f"postgresql+{kind}://postgres:secret@127.0.0.1:{postgres.port}/postgres"
    accelerator = PostgresAccelerator(url)

    with pytest.raises(AcceleratorUnavailable, match="credentials") as refused:
        await accelerator.connect()
    assert "secret" not in str(refused.value) + accelerator.name


def test_words_of_libpq_will_do() -> None:
    """A DSN of words names its host too."""
    accelerator = PostgresAccelerator("host=db.example port=5433 password=secret dbname=app")

    assert "the PostgreSQL channel 'reality_updates' at db.example:5433" == accelerator.name


@pytest.mark.parametrize(
    ("given", "channel", "message"),
    [
        ("http://h:1", "c", "must be postgresql://"),
        ("postgresql+pg8000://h", "c", "psycopg .3. or asyncpg"),
        ("postgresql://u:secret@x@h", "c", "ambiguous"),
        ("secret", "c", "must be postgresql://"),
        (object(), "c", "a DSN, got a object"),
        ("postgresql://h", 'a"b', "channel must be a name"),
        ("postgresql://h", "x" * 64, "channel must be a name"),
    ],
)
def test_what_cannot_be_is_refused(given: str, channel: str, message: str) -> None:
    """A malformed DSN or channel is a ValueError that shows no password."""
    with pytest.raises(ValueError, match=message) as refused:
        PostgresAccelerator(given, channel)

    assert "secret" not in str(refused.value)
