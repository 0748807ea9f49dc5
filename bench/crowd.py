"""Many clients in one process, each with a sync held by one server; one invalidation ends them all.

`python -m bench.crowd PORT PROCESS_ID CLIENTS ROUNDS` prints JSON: of each round the milliseconds
from the sending of the invalidation to each client's answer, and what a held sync costs the server.
It speaks HTTP by hand, so that what it needs for itself is as little as can be.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, NamedTuple

from bench.apps import WAITERS_PATH
from bench.processes import TOKEN, memory_bytes
from bench.traffic import BASE_PATH

KEY = "posts"
WAIT_MS = 25_000
_CONNECTING_AT_ONCE = 200


class Crowd(NamedTuple):
    """What was found."""

    latencies_ms: list[list[float]]
    held_bytes: float


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection: one request at a time, and when its answer was whole."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._received = b""
        self.answered_s = 0.0
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's call."""
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """Asyncio's call."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        """Asyncio's call."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) == _content_length(head):
            self.answered_s = time.perf_counter()
            assert self._answer is not None, "an answer without a request"
            self._answer.set_result(body)

    def ask(self, method: str, path: str, members: dict[str, Any] | None = None) -> Any:
        """Send a request; its body's future."""
        body = b"" if members is None else json.dumps(members).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._received = b""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(head.encode() + body)
        return self._answer

    def close(self) -> None:
        """Hang up."""
        self._transport.close()


class Client:
    """A client that wants to hear of one key."""

    def __init__(self, number: int, connection: Connection) -> None:
        self.connection = connection
        self._members: dict[str, Any] = {
            "known": {KEY: 0},
            "clientId": f"client-{number}",
            "mode": "native",
            "hint": "poll",
        }
        self.answer: asyncio.Future[bytes] | None = None

    def ask(self, *, wait_ms: int) -> None:
        """Send a sync that is held for so long."""
        self.answer = self.connection.ask(
            "POST", f"{BASE_PATH}/sync", self._members | {"wait": wait_ms}
        )

    async def hear(self) -> None:
        """Take the answer in."""
        assert self.answer is not None, "hear follows ask"
        answer = json.loads(await self.answer)
        self._members["cursor"] = answer["cursor"]
        self._members["known"] = {KEY: answer["changed"][KEY]["version"]}


async def gather(port: int, process_id: int, count: int, rounds: int) -> Crowd:
    """Hold `count` syncs, end them by one invalidation, so many times."""
    teller = await _connected(port)
    # Whatever the server needs once, it has before its memory is looked at.
    await teller.ask("POST", f"{BASE_PATH}/invalidate", {"keys": [KEY]})
    before = memory_bytes(process_id)
    clients = await _clients(port, count)
    latencies: list[list[float]] = []
    held_bytes = 0.0
    for number in range(rounds):
        for client in clients:
            client.ask(wait_ms=WAIT_MS)
        held = 0
        while held < count:
            held = int(await teller.ask("GET", WAITERS_PATH))
        if number == 0:
            held_bytes = (memory_bytes(process_id) - before) / count
        told_s = time.perf_counter()
        await teller.ask("POST", f"{BASE_PATH}/invalidate", {"keys": [KEY]})
        for client in clients:
            await client.hear()
        latencies.append([(each.connection.answered_s - told_s) * 1000 for each in clients])
    for client in clients:
        client.connection.close()
    teller.close()
    return Crowd(latencies, held_bytes)


async def _clients(port: int, count: int) -> list[Client]:
    """Clients that are connected and know the key."""
    clients: list[Client] = []
    while len(clients) < count:
        some = min(_CONNECTING_AT_ONCE, count - len(clients))
        connections = await asyncio.gather(*(_connected(port) for _ in range(some)))
        clients += [Client(len(clients) + index, each) for index, each in enumerate(connections)]
    for client in clients:
        client.ask(wait_ms=0)
    for client in clients:
        await client.hear()
    return clients


async def _connected(port: int) -> Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
    return connection


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise ValueError(f"an answer without a length: {head!r}")


def main() -> None:
    """The command line."""
    port, process_id, count, rounds = map(int, sys.argv[1:])
    crowd = asyncio.run(gather(port, process_id, count, rounds))
    sys.stdout.write(json.dumps(crowd._asdict()))


if __name__ == "__main__":
    main()
