"""A private PostgreSQL server, and the fixture `postgres` that shares one among all tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import pytest

from tests.support.daemons import DatabaseServer
from tests.support.programs import require_program

USER = "postgres"
PASSWORD = "the tests' own"


class PostgresServer(DatabaseServer):
    """PostgreSQL as it is installed: durable, with passwords, over TCP only."""

    users = ("postgres",)
    stop_signal = signal.SIGINT  # "fast": SIGTERM would wait for the clients to leave
    immediate_signal = signal.SIGQUIT

    def __init__(self) -> None:
        self.programs = _find_programs()
        self._recycled: list[str] = []
        super().__init__()

    def make(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(PASSWORD)
        password_file.chmod(0o644)
        initdb = [str(self.programs / "initdb"), f"--pgdata={self.data}", f"--username={USER}"]
        options = ["--auth=scram-sha-256", f"--pwfile={password_file}"]
        options += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        self.run(initdb + options)

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "shared_buffers": "32MB",
        }
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        return [str(self.programs / "postgres"), "-D", str(self.data), *arguments]

    def answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def new_database(self) -> str:
        self.start()
        if self._recycled:
            return self._recycled.pop()
        self._databases += 1
        name = f"test_{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(database=name)

    def recycle(self, url: str) -> None:
        """Empty a database that nobody uses any more, and give it out again as a new one.

        Each takes some megabytes: where many are made, disks and restarts feel it.
        """
        database = urlsplit(url).path[1:]
        self.execute(
            "DROP SCHEMA public CASCADE",
            "CREATE SCHEMA public AUTHORIZATION pg_database_owner",
            "GRANT USAGE ON SCHEMA public TO PUBLIC",
            f"ALTER DATABASE {database} RESET ALL",
            database=database,
        )
        self._recycled.append(self.url(database=database))

    def url(
        self,
        *,
        user: str = USER,
        password: str = PASSWORD,
        database: str = "postgres",
        driver: str = "",
    ) -> str:
        """A URL for this server; `driver` is SQLAlchemy's, such as `+asyncpg`."""
        credentials = f"{quote(user)}:{quote(password)}"
        return f"postgresql{driver}://{credentials}@127.0.0.1:{self.port}/{quote(database)}"

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser, each in a transaction of its own."""
        with psycopg.connect(
            self.url(database=database), autocommit=True, connect_timeout=5
        ) as connection:
            for statement in statements:
                connection.execute(statement.encode())


def _find_programs() -> Path:
    """The folder of the server's programs, which Debian keeps out of PATH."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    found = sorted(versions, key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    return Path(require_program("postgres", debian_package="postgresql")).parent


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL server. Tests take a `new_database()` each."""
    with PostgresServer() as server:
        yield server
