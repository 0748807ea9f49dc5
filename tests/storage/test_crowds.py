"""Four writers and four servers, each a process, on one store: what they agree on in the end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

import pytest

from reality.storage.opening import open_storage
from tests.storage.crowd import CONCURRENCY, KEYS
from tests.support.daemons import DatabaseServer
from tests.support.dynamodb import CREDENTIALS, REGION, DynamoDBServer, new_table_name
from tests.support.mariadb import MariaDBServer
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
WRITERS = READERS = 4
TIMEOUT_S = 100.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@dataclass
class Place:
    """A store: its URL, how many touches it is put to, and its server, if it has one."""

    url: str
    touches: int = 10_000
    server: DatabaseServer | None = None


@pytest.fixture(params=["sqlite", "postgres", "mariadb", "redis", "dynamodb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Every kind of store, fresh and empty."""
    yield from make_place(request.param, request.getfixturevalue, tmp_path)


def make_place(kind: str, fixture: Callable[[str], Any], folder: Path) -> Iterator[Place]:
    if kind == "sqlite":
        yield Place(f"sqlite:///{folder / 'reality.db'}")
    elif kind == "postgres":
        postgres: PostgresServer = fixture("postgres")
        yield Place(postgres.new_database(), server=postgres)
    elif kind == "mariadb":
        mariadb: MariaDBServer = fixture("mariadb")
        yield Place(mariadb.new_database(), server=mariadb)
    elif kind == "redis":
        with RedisServer(appendonly=True) as redis:
            yield Place(redis.url, server=redis)
    else:
        dynamodb: DynamoDBServer = fixture("dynamodb")
        query = f"endpoint={dynamodb.url}&region={REGION}"
        yield Place(f"dynamodb://{new_table_name()}?{query}", touches=200)


class Crowd:
    """The processes at one store; all are ended with the block."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.recorded: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """One more process."""
        environment = {**os.environ, **{name.upper(): value for name, value in CREDENTIALS.items()}}
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.storage.crowd", *arguments],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._stack.callback(self._end, process)
        return process

    def readers(self, number: int = 2) -> list[subprocess.Popen[str]]:
        """Servers with a waiting client each, once they are ready."""
        started = [self.start("read", self.url) for _ in range(number)]
        for process in started:
            assert "ready\n" == output(process).readline()
        return started

    def writers(self, touches: int) -> list[subprocess.Popen[str]]:
        """Writers, each of which does its share of the touches."""
        return [
            self.start("write", self.url, str(touches // WRITERS), str(seed))
            for seed in range(WRITERS)
        ]

    def count(self, writer: subprocess.Popen[str], *, at: int = 0, act: Any = None) -> None:
        """Count what a writer says until it ends; `act` after so many touches."""
        for number, line in enumerate(output(writer), start=1):
            key = line.strip()
            if key.startswith("?"):
                self.unknown[key[1:]] += 1
            else:
                self.recorded[key] += 1
            if number == at:
                act()
        writer.wait(TIMEOUT_S)

    def finish(
        self, readers: list[subprocess.Popen[str]], expected: dict[str, int]
    ) -> list[dict[str, Any]]:
        """What the readers' clients have been through, once all hold these versions."""
        for reader in readers:
            assert reader.stdin is not None
            reader.stdin.write(json.dumps(expected) + "\n")
            reader.stdin.flush()
        lines = [output(reader).readline() for reader in readers]
        assert all(lines), f"a reader failed; {expected}"
        return [json.loads(line) for line in lines]

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        process.kill()
        process.communicate()


def output(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def together(*works: Callable[[], None]) -> None:
    """Run all of them at once, each in a thread."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()


def stored(url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The versions that the store itself has."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name.upper(), value)

    async def ask() -> dict[str, int]:
        storage = open_storage(url)
        try:
            register = (await storage.open()).head.register
            found = await storage.read(KEYS)
        finally:
            await storage.close()
        return {key: register + (found[key].touches if key in found else 0) for key in KEYS}

    return asyncio.run(ask())


def test_writers_and_servers_agree(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """I1, I4, I5: nothing is lost, nothing counted twice, no sequence seen before a smaller one."""
    with Crowd(place.url) as crowd:
        readers = crowd.readers(READERS)
        writers = crowd.writers(place.touches)
        together(*(partial(crowd.count, writer) for writer in writers))

        expected = {key: crowd.recorded[key] for key in KEYS}
        assert place.touches == sum(expected.values())
        assert not crowd.unknown
        assert expected == stored(place.url, monkeypatch)
        for outcome in crowd.finish(readers, expected):
            assert (0, 0, 0) == (outcome["resets"], outcome["failures"], outcome["fallen"])
            assert 0 < outcome["logged"] <= place.touches


def test_a_killed_writer_disturbs_nobody(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """I1: what it was told is recorded is recorded, what it had begun is recorded or not."""
    touches = max(place.touches // 10, 100)
    with Crowd(place.url) as crowd:
        readers = crowd.readers()
        victim, *others = crowd.writers(touches)
        together(
            partial(crowd.count, victim, at=touches // WRITERS // 3, act=victim.kill),
            *(partial(crowd.count, writer) for writer in others),
        )
        assert -signal.SIGKILL == victim.returncode

        versions = stored(place.url, monkeypatch)
        surplus = {key: versions[key] - crowd.recorded[key] for key in KEYS}
        assert all(each >= 0 for each in surplus.values()), "a recorded touch is missing"
        assert sum(surplus.values()) <= CONCURRENCY
        for outcome in crowd.finish(readers, versions):
            assert (0, 0, 0) == (outcome["resets"], outcome["failures"], outcome["fallen"])


@pytest.mark.parametrize("kind", ["postgres", "mariadb", "redis"])
def test_a_restarted_database_loses_nothing(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """I1: writers try again, servers recover by themselves, and no client fetches for nothing."""
    for place in make_place(kind, request.getfixturevalue, tmp_path):
        server = place.server
        assert server is not None
        with Crowd(place.url) as crowd:
            readers = crowd.readers()
            first, *others = crowd.writers(2_000)
            together(
                partial(crowd.count, first, at=150, act=server.restart),
                *(partial(crowd.count, writer) for writer in others),
            )
            versions = stored(place.url, monkeypatch)
            assert 2_000 == sum(crowd.recorded.values())
            for key in KEYS:
                surplus = versions[key] - crowd.recorded[key]
                assert 0 <= surplus <= crowd.unknown[key]
            for outcome in crowd.finish(readers, versions):
                assert (0, 0) == (outcome["resets"], outcome["fallen"])
