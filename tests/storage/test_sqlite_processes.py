"""Several processes on one SQLite file: writers, one that is killed, and children of a fork."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sqlite3
import traceback
from collections.abc import Sequence
from contextlib import closing
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from reality.core.changelog import Batch
from reality.core.cursor import Position
from reality.storage.base import Storage
from reality.storage.sqlite import SQLiteStorage

BATCH = Batch(("a", "b"), 5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "r.db"


class Writer:
    """A process of its own that appends until it is told to stop, and tells what it got."""

    def __init__(self, path: Path, number: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_write, args=(theirs, path, number))
        self.process.start()
        theirs.close()

    def told(self) -> list[Any]:
        """All that it has told until it ended."""
        found = []
        try:
            while True:
                found.append(self.pipe.recv())
        except (EOFError, ConnectionResetError):
            return found
        finally:
            self.pipe.close()
            self.process.join(20)
            self.process.close()


def _write(pipe: Connection, path: Path, number: int) -> None:
    async def write() -> None:
        storage = SQLiteStorage(path)
        pipe.send("ready")
        pipe.recv()
        pipe.send((await storage.open()).head.origin)
        batch = Batch(("everybody's", f"writer:{number}"), 0)
        while not pipe.poll():
            appended = await storage.append([batch, batch])
            pipe.send([logged.position for logged in appended.batches])
        await storage.close()

    asyncio.run(write())


async def test_processes_share_a_file(path: Path) -> None:
    """I1, I4: of four writers one is killed: no gap is ever seen, none lost, none counted twice."""
    writers = [Writer(path, number) for number in range(4)]
    for writer in writers:
        assert "ready" == await asyncio.to_thread(writer.pipe.recv)
    for writer in writers:  # all make the file at once
        writer.pipe.send("go")
    for writer in writers:
        await asyncio.to_thread(writer.pipe.poll, 20)
    reader = SQLiteStorage(path)
    opening = await reader.open()
    seen = await follow(reader, upto=40)
    writers[0].process.kill()
    seen = await follow(reader, seen, upto=len(seen) + 40)
    for writer in writers[1:]:
        writer.pipe.send("stop")
    told = await asyncio.gather(*(asyncio.to_thread(writer.told) for writer in writers))
    seen = await follow(reader, seen)
    head = (await reader.changes(0, limit=1)).head
    nodes = await reader.read(["everybody's", *(f"writer:{number}" for number in range(4))])
    await reader.close()

    assert {opening.head.origin} == {origin for origin, *_ in told}
    acknowledged = [each for _, *appends in told for positions in appends for each in positions]
    assert list(range(1, head.position.sequence + 1)) == [each.sequence for each in seen]
    assert set(acknowledged) <= set(seen)
    # The killed one may have had an append of two batches on its way.
    assert len(seen) - len(acknowledged) in (0, 2)
    assert len(seen) == nodes.pop("everybody's").touches
    assert len(seen) == sum(node.touches for node in nodes.values())
    assert 2 * len(seen) == head.touches


async def follow(reader: Storage, seen: Sequence[Position] = (), upto: int = 0) -> list[Position]:
    """Look as a server does until so many and the last are seen; each answer goes on whole."""
    seen = list(seen)
    while True:
        answer = await reader.changes(len(seen), limit=10)
        positions = [logged.position for logged in answer.batches]
        first = max(len(seen), 1)
        assert list(range(first, first + len(positions))) == [each.sequence for each in positions]
        assert not seen or seen[-1] == positions[0]
        seen += positions[1:] if seen else positions
        if len(seen) >= upto and len(seen) == answer.head.position.sequence:
            return seen
        await asyncio.sleep(0)


async def test_a_fork_among_writes_disturbs_nobody(path: Path) -> None:
    """Children that use the store, while the parent writes, and end, leave it whole."""
    storage = SQLiteStorage(path, busy_timeout_s=20)
    await storage.open()

    async def append() -> None:
        for _ in range(50):
            await storage.append([BATCH])

    writing = asyncio.create_task(append())
    children = []
    for _ in range(5):
        await storage.append([BATCH])
        child = os.fork()
        if child == 0:
            os._exit(_in_child(storage))
        children.append(child)
    statuses = [(await asyncio.to_thread(os.waitpid, child, 0))[1] for child in children]
    await writing

    assert [0] * 5 == statuses
    assert 60 == (await storage.read(["a"]))["a"].touches
    await storage.close()
    with closing(sqlite3.connect(path)) as connection:
        assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()


def _in_child(storage: Storage) -> int:
    async def use() -> None:
        await storage.open()
        await storage.append([BATCH])
        await storage.close()

    asyncio.events._set_running_loop(None)  # the parent's
    try:
        asyncio.run(use())
    except BaseException:  # noqa: BLE001  # the child must not go on as another pytest
        traceback.print_exc()
        return 1
    return 0
