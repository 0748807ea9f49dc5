"""DynamoDB for tests: moto's server, a process of its own, spoken to over real HTTP.

Where it differs from AWS, as far as the store can tell: every request takes 5 to 10 ms, since it
closes each connection and serves one at a time; it never throttles, leaves nothing unprocessed and
checks no signature; tables are there at once; a missing index is a missing resource.
"""

from __future__ import annotations

import itertools
import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest
from aiobotocore.config import AioConfig  # type: ignore[import-untyped]
from aiobotocore.session import AioSession  # type: ignore[import-untyped]

from reality.storage.dynamodb import DynamoDBStorage
from tests.support.processes import free_port, serving

REGION = "eu-west-1"
CREDENTIALS = {"aws_access_key_id": "an-invented-key-id", "aws_secret_access_key": "invented"}
_CHUNK_BYTES = 65_536

_numbers = itertools.count(1)


class DynamoDBServer:
    """A running server. `url` is its endpoint."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = AioSession()

    def factory(self, url: str | None = None) -> Any:
        """What makes clients, quickly: they share what botocore reads from files."""
        return lambda: self._session.create_client(
            "dynamodb",
            endpoint_url=url or self.url,
            region_name=REGION,
            config=AioConfig(retries={"mode": "standard", "total_max_attempts": 1}),
            **CREDENTIALS,
        )

    def storage(self, table_name: str | None = None, *, url: str | None = None) -> DynamoDBStorage:
        """A store, not opened, in this table or in a new one."""
        name = table_name or new_table_name()
        return DynamoDBStorage(self.factory(url), table_name=name, region_name=REGION)

    def parameters(
        self, table_name: str | None = None, *, url: str | None = None
    ) -> dict[str, Any]:
        """What `DynamoDBStorage` is given for a table: a new one unless it is named."""
        return {
            "table_name": table_name or new_table_name(),
            "endpoint_url": url or self.url,
            "region_name": REGION,
            **CREDENTIALS,
        }


def new_table_name() -> str:
    """A name that no table of this run has."""
    return f"test-{next(_numbers)}"


@contextmanager
def moto_server() -> Iterator[DynamoDBServer]:
    """A server with no tables, which ends with the block and takes all tables with it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = [sys.executable, "-m", "moto.server", "-p", str(port)]
    with serving(arguments, ready_url=f"{url}/moto-api/"):
        yield DynamoDBServer(url)


@pytest.fixture(scope="session")
def dynamodb() -> Iterator[DynamoDBServer]:
    """One server for all tests; each makes tables of its own."""
    with moto_server() as server:
        yield server


class Line:
    """A TCP line to a server that can be cut, and that can lose the answer to a request.

    Attributes:
        url: what to use instead of the server's.
        is_cut: whether connections are closed at once, and nothing is passed on.
    """

    def __init__(self, server: DynamoDBServer) -> None:
        self._port = int(server.url.rpartition(":")[2])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.is_cut = False
        self._losing: bytes | None = None
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take it down."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        self._thread.join()

    def lose_answer(self, part: bytes) -> None:
        """Pass on the next request that contains this part, but not its answer."""
        self._losing = part

    def has_lost(self) -> bool:
        """Whether that has happened."""
        return self._losing is None

    @contextmanager
    def cut(self) -> Iterator[None]:
        """While the block runs, nobody gets through."""
        self.is_cut = True
        try:
            yield
        finally:
            self.is_cut = False

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if self.is_cut:
                return
            with socket.create_connection(("127.0.0.1", self._port)) as server:
                is_lost = threading.Event()
                up = threading.Thread(target=self._send, args=(client, server, is_lost))
                up.start()
                while data := server.recv(_CHUNK_BYTES):
                    if not is_lost.is_set():
                        client.sendall(data)
                client.shutdown(socket.SHUT_RDWR)
                up.join()

    def _send(self, client: socket.socket, server: socket.socket, is_lost: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(_CHUNK_BYTES):
                if self._losing is not None and self._losing in data:
                    self._losing = None
                    is_lost.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)


class Answers:
    """An endpoint that answers requests as it is told, in order, and with the last one for ever.

    Attributes:
        url: of the endpoint.
        left: for each answer the status and the code of the error; None hangs up.
    """

    def __init__(self, *answers: tuple[int, str] | None) -> None:
        self.left = list(answers)
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                left = endpoint.left
                answer = left.pop(0) if len(left) > 1 else left[0]
                if answer is None:
                    self.close_connection = True
                    return
                status, code = answer
                body = json.dumps({"__type": f"com.amazon#{code}", "message": "as told"}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def line(dynamodb: DynamoDBServer) -> Iterator[Line]:
    """A line to the server, for one test."""
    line = Line(dynamodb)
    yield line
    line.close()
