"""Stores that fail or wait when they are told to."""

from __future__ import annotations

import asyncio

import pytest

from reality.errors import StorageError, StorageFull, StorageUnavailable
from reality.storage.base import Hinting, Storage
from reality.testing.dictionary import DictStorage
from reality.testing.faults import VERBS, FaultyStorage, SlowStorage
from reality.testing.model import batch


class HintingStorage(DictStorage):
    async def hinted(self) -> None:
        """See `Hinting`."""


async def call_every_verb(storage: Storage) -> list[object]:
    return [
        await storage.open(),
        await storage.append([batch("a")]),
        await storage.changes(0, limit=5),
        await storage.read(["a"]),
        await storage.scan(0, limit=5),
        await storage.rotate("nobody", register=5),
    ]


@pytest.mark.parametrize("kind", [FaultyStorage, SlowStorage])
async def test_a_wrapper_left_alone_is_the_store_itself(
    kind: type[FaultyStorage | SlowStorage],
) -> None:
    """Every verb passes its arguments on, and the answer back; so do name and abilities."""
    inner = DictStorage()
    storage = kind(inner)
    origin = (await storage.open()).head.origin

    assert (inner.name, inner.capabilities, inner.feed_interval_s) == (
        storage.name,
        storage.capabilities,
        storage.feed_interval_s,
    )
    appended = await storage.append([batch("a"), batch("b", "c")])
    assert appended.batches == (await inner.changes(0, limit=2)).batches
    assert await storage.changes(1, limit=1) == await inner.changes(1, limit=1)
    assert await storage.read(["a"]) == await inner.read(["a"])
    assert await storage.scan(1, limit=1) == await inner.scan(1, limit=1)
    assert (await storage.rotate(origin, register=7)).register == 7
    assert (await storage.open()) == await inner.open()
    await storage.close()


@pytest.mark.parametrize("kind", [FaultyStorage, SlowStorage])
async def test_a_wrapper_gives_hints_only_if_its_store_does(
    kind: type[FaultyStorage | SlowStorage],
) -> None:
    """Asked whether it gives hints, a wrapper answers as its store would."""
    assert not isinstance(kind(DictStorage()), Hinting)
    hinting = kind(HintingStorage())
    assert isinstance(hinting, Hinting)
    await hinting.hinted()


async def test_a_failing_store_fails_until_it_does_not() -> None:
    """While `failing` is set every verb raises it, and does nothing; `close` never does."""
    inner = HintingStorage()
    storage = FaultyStorage(inner)
    storage.failing = StorageFull("the disk is full; make room")
    for verb in (
        storage.open(),
        storage.append([batch("a")]),
        storage.changes(0, limit=1),
        storage.read(["a"]),
        storage.scan(0, limit=1),
        storage.rotate((await inner.open()).head.origin, register=1),
        storage.hinted(),
    ):
        with pytest.raises(StorageFull, match="the disk is full") as caught:
            await verb
        assert caught.value is not storage.failing
    await storage.close()

    storage.failing = None
    assert len(VERBS) == storage.faults
    assert (await storage.open()).head == (await inner.open()).head
    assert (0, 0) == (await storage.open()).head.position


@pytest.mark.parametrize("after", [False, True])
async def test_the_next_call_fails_before_or_after_its_work(after: bool) -> None:
    """`fail_next` makes one call of one verb fail; with `after`, its work is done all the same."""
    storage = FaultyStorage(DictStorage())
    storage.fail_next("append", after=after)

    await storage.read(["a"])
    with pytest.raises(StorageUnavailable, match=storage.name):
        await storage.append([batch("a")])

    assert int(after) == (await storage.open()).head.position.sequence
    await storage.append([batch("a")])
    assert 1 == storage.faults


async def test_planned_failures_come_in_order() -> None:
    """Each `fail_next` counts for one call, with the error it was given."""
    storage = FaultyStorage(DictStorage())
    storage.fail_next("read", StorageFull("first"))
    storage.fail_next("read", StorageUnavailable("second"), after=True)

    for message in ("first", "second"):
        with pytest.raises(StorageError, match=message):
            await storage.read(["a"])
    assert {} == await storage.read(["a"])


def test_impossible_failures_are_refused() -> None:
    """What no store would do is not simulated: other verbs, or a full disk after the work."""
    storage = FaultyStorage(DictStorage())

    with pytest.raises(ValueError, match=r"no verb 'close' that fails; it has open, append"):
        storage.fail_next("close")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="StorageFull has done nothing"):
        storage.fail_next("append", StorageFull("full"), after=True)


async def test_a_seed_fails_the_same_calls_again() -> None:
    """With a rate, calls fail now and then, some after their work; the same seed, the same ones."""

    async def run(seed: int) -> tuple[list[bool], int]:
        storage = FaultyStorage(DictStorage(), rate=0.5, seed=seed)
        failed = []
        for _ in range(60):
            try:
                await storage.append([batch("a")])
                failed.append(False)
            except StorageUnavailable:
                failed.append(True)
        assert sum(failed) == storage.faults
        storage.rate = 0.0
        return failed, (await storage.open()).head.position.sequence

    (failed, done), again, other = await run(1), await run(1), await run(2)

    assert (failed, done) == again != other
    assert 10 < sum(failed) < 50
    assert 60 - sum(failed) < done < 60


@pytest.mark.parametrize("after", [False, True])
async def test_a_held_verb_waits_until_it_is_released(after: bool) -> None:
    """A held call waits before, or after, its work; other verbs go on."""
    storage = SlowStorage(DictStorage())
    storage.hold("append", after=after)
    calls = [asyncio.create_task(storage.append([batch("a")])) for _ in range(2)]

    await storage.holding(2)
    assert 2 == storage.held
    assert 2 * after == (await storage.open()).head.position.sequence
    assert not any(call.done() for call in calls)
    await storage.release()

    assert {1, 2} == {each.head.position.sequence for each in await asyncio.gather(*calls)}
    assert 0 == storage.held
    await storage.append([batch("a")])


async def test_a_held_call_may_be_cancelled() -> None:
    """Whoever gives up a held call is not counted any longer, and its work is not done."""
    storage = SlowStorage(DictStorage())
    storage.hold()
    call = asyncio.create_task(storage.append([batch("a")]))
    await storage.holding()
    call.cancel()
    await asyncio.wait([call])

    assert (True, 0) == (call.cancelled(), storage.held)
    await storage.release()
    assert 0 == (await storage.open()).head.position.sequence


async def test_a_slow_store_takes_its_time() -> None:
    """With a delay, every verb takes that much longer, and is right in the end."""
    storage = SlowStorage(DictStorage(), delay_s=0.01)
    begin = asyncio.get_running_loop().time()

    answers = await call_every_verb(storage)

    assert asyncio.get_running_loop().time() - begin >= 0.05
    assert {"a"} == answers[3].keys()  # type: ignore[attr-defined]
