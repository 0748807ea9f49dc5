"""Blocking stores in threads: who calls what from where, and that no thread outlives its use."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence

import pytest

from reality.core.changelog import Appended, Batch, Changes, Head, Listing, Opening
from reality.core.cursor import Position
from reality.core.delta import Touched
from reality.errors import StorageFull, StorageUnavailable
from reality.storage.base import SHARED_AND_DURABLE
from reality.storage.threads import ThreadedStorage

HEAD = Head("store", "lineage", Position(0), register=0, touches=0)
BATCH = Batch(("a",), 0)


class Recording:
    """A blocking store that keeps nothing, and tells which thread called which verb."""

    name = "the recording store"
    capabilities = SHARED_AND_DURABLE
    feed_interval_s = 1.5

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.may_append = threading.Event()
        self.may_append.set()
        self.appending = threading.Event()

    def open(self) -> Opening:
        self._called("open")
        return Opening(HEAD, ())

    def append(self, batches: Sequence[Batch]) -> Appended:
        self._called("append")
        self.appending.set()
        self.may_append.wait()
        if not batches:
            raise StorageFull("no room")
        return Appended(HEAD, HEAD.position, ())

    def changes(self, after: int, *, limit: int) -> Changes:
        self._called("changes")
        return Changes(HEAD, ())

    def read(self, names: Collection[str]) -> dict[str, Touched]:
        self._called("read")
        return {}

    def scan(self, after: int, *, limit: int) -> Listing:
        self._called("scan")
        return Listing((), more=False)

    def rotate(self, expected: str, *, register: int) -> Head:
        self._called("rotate")
        return HEAD

    def close(self) -> None:
        self._called("close")

    def _called(self, verb: str) -> None:
        self.calls.append((verb, threading.current_thread().name))


@pytest.fixture
def blocking() -> Iterator[Recording]:
    recording = Recording()
    yield recording
    recording.may_append.set()


def lanes(before: set[threading.Thread]) -> list[str]:
    """The threads that were started since; those of other tests may end at any time."""
    return sorted(each.name for each in threading.enumerate() if each not in before)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


async def test_one_thread_writes_and_one_reads(blocking: Recording) -> None:
    """Each verb is called in its thread, `close` in both, and the results come back."""
    storage = ThreadedStorage(blocking)

    assert Opening(HEAD, ()) == await storage.open()
    assert Appended(HEAD, HEAD.position, ()) == await storage.append([BATCH])
    assert Changes(HEAD, ()) == await storage.changes(0, limit=1)
    assert {} == await storage.read(["a"])
    assert Listing((), more=False) == await storage.scan(0, limit=1)
    assert HEAD == await storage.rotate("", register=0)
    await storage.close()

    writes = [verb for verb, thread in blocking.calls if thread == "reality-write"]
    reads = [verb for verb, thread in blocking.calls if thread == "reality-read"]
    assert ["open", "append", "rotate", "close"] == writes
    assert ["changes", "read", "scan", "close"] == reads
    assert (blocking.name, 1.5) == (storage.name, storage.feed_interval_s)
    assert SHARED_AND_DURABLE == storage.capabilities


async def test_a_long_write_holds_up_no_read(blocking: Recording) -> None:
    """While an append waits for its lock, reads are answered."""
    storage = ThreadedStorage(blocking)
    await storage.open()
    blocking.may_append.clear()
    append = asyncio.create_task(storage.append([BATCH]))
    await asyncio.to_thread(blocking.appending.wait)

    assert {} == await storage.read(["a"])

    assert not append.done()
    blocking.may_append.set()
    await append
    await storage.close()


async def test_errors_come_back(blocking: Recording) -> None:
    """What the store raises, the caller gets; the thread goes on."""
    storage = ThreadedStorage(blocking)
    await storage.open()

    with pytest.raises(StorageFull):
        await storage.append([])

    assert await storage.append([BATCH])
    await storage.close()


async def test_a_cancelled_call_that_has_not_begun_is_not_made(blocking: Recording) -> None:
    """Cancelling drops what still waits for the thread, and leaves what it does alone."""
    storage = ThreadedStorage(blocking)
    await storage.open()
    blocking.may_append.clear()
    begun = asyncio.create_task(storage.append([BATCH]))
    await asyncio.to_thread(blocking.appending.wait)
    waiting = asyncio.create_task(storage.rotate("", register=0))
    await asyncio.sleep(0)

    for task in (begun, waiting):
        task.cancel()
    results = await asyncio.gather(begun, waiting, return_exceptions=True)
    blocking.may_append.set()
    await storage.close()

    assert [asyncio.CancelledError] * 2 == [type(each) for each in results]
    assert ["open", "append", "close"] == [
        verb for verb, thread in blocking.calls if thread == "reality-write"
    ]


async def test_threads_live_from_open_to_close(blocking: Recording) -> None:
    """No thread is started before `open`, and none is left after `close`, which may come twice."""
    before = set(threading.enumerate())
    storage = ThreadedStorage(blocking)
    assert [] == lanes(before)

    for _ in range(2):
        await storage.open()
        await storage.open()
        assert ["reality-read", "reality-write"] == lanes(before)
        await storage.close()
        await storage.close()
        wait_until(lambda: lanes(before) == [])


async def test_a_store_that_is_not_open_says_so(blocking: Recording) -> None:
    """Before `open` and after `close` verbs raise, naming the store, instead of connecting."""
    storage = ThreadedStorage(blocking)
    with pytest.raises(StorageUnavailable, match="the recording store is not open"):
        await storage.read(["a"])
    await storage.open()
    await storage.close()
    with pytest.raises(StorageUnavailable, match="the recording store is not open"):
        await storage.append([BATCH])


async def test_a_dropped_store_leaves_no_thread(blocking: Recording) -> None:
    """A store that nobody has closed ends its threads when it is collected."""
    before = set(threading.enumerate())
    storage = ThreadedStorage(blocking)
    await storage.open()
    assert await storage.append([BATCH])

    del storage
    gc.collect()

    wait_until(lambda: lanes(before) == [])


def test_a_call_that_never_returns_does_not_keep_the_process() -> None:
    """A process ends at once although its database does not answer."""
    program = """
import asyncio, threading
from tests.storage.test_threads import BATCH, Recording
from reality.storage.threads import ThreadedStorage

async def main():
    blocking = Recording()
    blocking.may_append.clear()
    storage = ThreadedStorage(blocking)
    await storage.open()
    append = asyncio.create_task(storage.append([BATCH]))
    await asyncio.to_thread(blocking.appending.wait)

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
