"""2,000 held HTTP connections on one process, answered by one invalidation."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Iterator

import pytest

from tests.http import raw
from tests.http.calling import BEARER, following, message
from tests.http.raw import Connection
from tests.http.served import live

CROWD = 2_000
# Both ends of every connection are on this machine, each in a process of its own.
FILES = CROWD + 500


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process, and those that it starts, open as many files as the crowd needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def held(port: int, number: int) -> Connection:
    """A connection of its own, whose client knows all and waits."""
    known = message("board:1", f"mine:{number}", clientId=f"client {number}")
    connection = await Connection.open(port)
    answer = await connection.post("/reality/sync", known)
    request = following(known, answer.json()) | {"wait": 25_000}
    await connection.send(raw.request("POST", "/reality/sync", json.dumps(request).encode()))
    return connection


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["uvicorn, httptools, uvloop", "server.run"])
async def test_one_invalidation_answers_2000_connections(many_files: None, kind: str) -> None:
    """I1: 2,000 clients that wait over HTTP are all told by one invalidation, and none twice."""
    with live(kind, "alone") as server:
        connections: list[Connection] = []
        for start in range(0, CROWD, 200):  # as many at once as the queue of new ones may hold
            batch = (held(server.port, number) for number in range(start, start + 200))
            connections += await asyncio.gather(*batch)
        await raw.until_waiters(server.port, CROWD)

        told = await raw.post(server.port, "/reality/invalidate", {"keys": ["board:*"]}, **BEARER)
        answers = await asyncio.gather(*(connection.answer() for connection in connections))

        assert 200 == told.status
        assert {200} == {answer.status for answer in answers}
        assert [["board:1"]] * CROWD == [list(answer.json()["changed"]) for answer in answers]
        # The application's own API should see no more than 1,000 of them a second.
        assert {2_000} == {answer.json()["spreadMs"] for answer in answers}
        assert 0 == await raw.waiters(server.port)
        await asyncio.gather(*(connection.close() for connection in connections))
