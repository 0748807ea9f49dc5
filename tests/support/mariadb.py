"""A private MariaDB server, and the fixture `mariadb` that shares one among all tests."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pymysql
import pytest

from tests.support.daemons import DatabaseServer
from tests.support.programs import require_program

USER = "reality"
PASSWORD = "the tests' own"


class MariaDBServer(DatabaseServer):
    """MariaDB as it is installed: durable, with passwords, over TCP."""

    users = ("mysql",)

    def __init__(self) -> None:
        package = "mariadb-server"
        self.daemon = require_program("mariadbd", debian_package=package)
        self.installer = require_program("mariadb-install-db", debian_package=package)
        super().__init__()

    def make(self) -> None:
        self.run(
            [
                self.installer,
                "--no-defaults",
                f"--datadir={self.data}",
                f"--tmpdir={self.folder}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
                "--innodb-flush-log-at-trx-commit=0",  # of the installation, not of the server
            ]
        )
        init_file = self.folder / "users.sql"
        init_file.write_text(
            f"CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1' IDENTIFIED BY \"{PASSWORD}\";\n"
            f"GRANT ALL ON *.* TO '{USER}'@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        init_file.chmod(0o644)

    def command(self) -> list[str]:
        return [
            self.daemon,
            "--no-defaults",
            f"--datadir={self.data}",
            f"--tmpdir={self.folder}",
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            f"--init-file={self.folder}/users.sql",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=64M",
            "--max-connections=200",
        ]

    def answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except pymysql.OperationalError:
            return False
        return True

    def new_database(self) -> str:
        self.start()
        self._databases += 1
        name = f"test_{self._databases}"
        self.execute(f"CREATE DATABASE `{name}`")
        return self.url(database=name)

    def url(
        self,
        *,
        user: str = USER,
        password: str = PASSWORD,
        database: str = "",
        driver: str = "",
    ) -> str:
        """A URL for this server; `driver` is SQLAlchemy's, such as `+asyncmy`."""
        credentials = f"{quote(user)}:{quote(password)}"
        return f"mysql{driver}://{credentials}@127.0.0.1:{self.port}/{quote(database)}"

    def execute(self, *statements: str, database: str | None = None) -> None:
        """Run statements as the user that may do everything, each in a transaction of its own."""
        with pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=PASSWORD,
            database=database,
            autocommit=True,
            connect_timeout=5,
        ) as connection:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDBServer]:
    """A running MariaDB server. Tests take a `new_database()` each."""
    with MariaDBServer() as server:
        yield server
