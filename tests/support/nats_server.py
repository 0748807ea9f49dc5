"""A private NATS server, and the fixture `nats_server` that shares one among all tests."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemons import DatabaseServer
from tests.support.programs import require_program

# Debian keeps it out of the PATH of users.
_PROGRAM = "/usr/sbin/nats-server"


class NatsServer(DatabaseServer):
    """NATS as it is installed, over TCP, without persistence."""

    users = ("nats",)

    def __init__(self) -> None:
        name = _PROGRAM if Path(_PROGRAM).exists() else "nats-server"
        self.program = require_program(name, debian_package="nats-server")
        super().__init__()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def make(self) -> None:
        """It keeps nothing."""

    def command(self) -> list[str]:
        return [self.program, "--addr", "127.0.0.1", "--port", str(self.port)]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False

    def new_database(self) -> str:
        """There are no databases: tests take a subject of their own."""
        self.start()
        return self.url


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NatsServer]:
    """A running NATS server. A test that ends it starts it again, by `start`."""
    with NatsServer() as server:
        yield server
