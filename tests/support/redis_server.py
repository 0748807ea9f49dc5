"""A private Redis server; fixtures share one among all tests, or give one to a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest
import redis

from reality.storage.redis import RedisStorage
from tests.support.daemons import DatabaseServer
from tests.support.programs import require_program

# As many as there may be tests that want a database of their own.
_DATABASES = 10_000


class RedisServer(DatabaseServer):
    """Redis as it is installed, without a configuration file, over TCP and a Unix socket.

    Args:
        appendonly: whether what it holds survives a restart.
        settings: more of its settings, as in its configuration file.
    """

    users = ("redis",)

    def __init__(
        self, *, appendonly: bool = False, settings: Mapping[str, str] | None = None
    ) -> None:
        self.program = require_program("redis-server", debian_package="redis-server")
        self._settings = {"appendonly": "yes" if appendonly else "no", **(settings or {})}
        self._prefixes = 0
        super().__init__()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def unix_url(self) -> str:
        return f"unix://{quote(str(self.folder / 'socket'))}"

    def make(self) -> None:
        self.data.mkdir()
        self.data.chmod(0o777)  # whoever runs the server

    def command(self) -> list[str]:
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "unixsocket": str(self.folder / "socket"),
            "unixsocketperm": "777",
            "dir": str(self.data),
            "save": "",
            "databases": str(_DATABASES),
            **self._settings,
        }
        pairs = ((f"--{name}", value) for name, value in settings.items())
        return [self.program, *(text for pair in pairs for text in pair)]

    def answers(self) -> bool:
        try:
            return bool(self.execute("PING"))
        except redis.exceptions.ConnectionError:
            return False

    def new_database(self) -> str:
        self.start()
        self._databases += 1
        return f"{self.url}/{self._databases}"

    def new_prefix(self) -> str:
        """A prefix that no test has used yet."""
        self._prefixes += 1
        return f"test-{self._prefixes}"

    def restart(self, *, immediate: bool = False, empty: bool = False) -> None:
        """`stop`, then `start`, on the same port; `empty` loses all that it held."""
        self.stop(immediate=immediate)
        if empty:
            for path in sorted(self.data.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
        self.start()

    def execute(self, *command: str | bytes | int) -> Any:
        """Run one command in database 0, as the default user."""
        with redis.Redis(port=self.port, socket_timeout=10) as client:
            return client.execute_command(*command)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A running Redis server that keeps what it has when restarted; see `redis_prefix`."""
    with RedisServer(appendonly=True) as server:
        yield server


@pytest.fixture
def redis_prefix(redis_server: RedisServer) -> str:
    """A prefix of the test's own."""
    redis_server.start()
    return redis_server.new_prefix()


@pytest.fixture
def private_redis() -> Iterator[RedisServer]:
    """A server of the test's own, which forgets all when it ends."""
    with RedisServer() as server:
        yield server


@asynccontextmanager
async def opened(client_or_url: Any, prefix: str) -> AsyncIterator[RedisStorage]:
    """A store, open until the block ends."""
    storage = RedisStorage(client_or_url, prefix=prefix)
    try:
        await storage.open()
        yield storage
    finally:
        await storage.close()
