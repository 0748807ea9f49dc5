"""What a server does with its accelerator, on a channel that does as the tests say."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from reality.accelerators.base import Hint, decode_hint
from reality.core.limits import ORIGINS_MAX
from reality.server import acceleration as module
from tests.accelerators.loopback import Loopback
from tests.accelerators.observing import (
    Patient,
    Watched,
    accelerated,
    acceleration,
    connected,
    eventually,
    watching,
)
from tests.server.asking import Asker, answered, holding
from tests.support.redis_server import RedisServer


def hints(loopback: Loopback) -> list[Hint]:
    """What was sent, without the signs of life."""
    decoded = [decode_hint(payload) for payload in loopback.payloads]
    return [hint for hint in decoded if hint is not None and hint.origin]


# ---- sending -------------------------------------------------------------------------------------


async def test_of_many_touches_the_last_is_told() -> None:
    """While one hint is being sent, of all that is touched only the greatest sequence is kept."""
    loopback = Loopback()
    async with watching(loopback, loopback) as (one, other):
        await eventually(lambda: len(loopback.payloads) == 2)  # the first signs of life
        loopback.is_stuck = True
        one.acceleration.touched("store@a", 1)
        await eventually(lambda: loopback.stuck == 1)
        for sequence in (2, 3, 1_000, 999):
            one.acceleration.touched("store@a", sequence)
        loopback.is_stuck = False
        await eventually(lambda: len(other.told) == 2)
        await eventually(lambda: one.acceleration.stats().sent == 2)

        assert [("store@a", 1), ("store@a", 1_000)] == other.told


async def test_what_waits_to_be_told_is_bounded() -> None:
    """I6: while there is no channel, the latest origins are kept, and told when there is one."""
    loopback = Loopback()
    loopback.refuses = True
    one = Watched(loopback, "one")
    for number in range(ORIGINS_MAX + 6):
        one.acceleration.touched(f"store@{number}", 1)
    loopback.refuses = False
    await eventually(lambda: one.acceleration.stats().sent == ORIGINS_MAX)
    await one.acceleration.stop()

    assert {f"store@{number}" for number in range(6, ORIGINS_MAX + 6)} == {
        hint.origin for hint in hints(loopback)
    }
    assert 6 == one.acceleration.stats().dropped


async def test_a_hint_that_takes_too_long_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """I5: it is counted, and the channel is made anew."""
    monkeypatch.setattr(module, "_PUBLISH_S", 0.05)
    loopback = Loopback()
    async with watching(loopback) as (one,):
        loopback.is_stuck = True
        one.acceleration.touched("store@a", 1)
        await eventually(lambda: one.acceleration.stats().dropped == 1)
        loopback.is_stuck = False
        await eventually(lambda: one.rechecks >= 2)

    assert [] == hints(loopback)


async def test_touching_from_many_threads() -> None:
    """Any thread may tell of touches; the greatest sequence of each origin is told in the end."""
    loopback = Loopback()
    async with watching(loopback, loopback) as (one, other):

        def touch(origin: str) -> None:
            for sequence in range(1, 301):
                one.acceleration.touched(origin, sequence)

        threads = [Thread(target=touch, args=(f"store@{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        last = {(f"store@{number}", 300) for number in range(8)}
        await eventually(lambda: last <= set(other.told))


async def test_stopping_tells_what_is_owed() -> None:
    """A hint that is owed is sent before the channel is closed; `start` begins again."""
    loopback = Loopback()
    async with watching(loopback) as (other,):
        one = Watched(loopback, "one")
        for sequence in (1, 2):
            one.acceleration.touched("store@a", sequence)
            await one.acceleration.stop()
            await eventually(lambda sequence=sequence: other.told[-1:] == [("store@a", sequence)])  # type: ignore[misc]
            assert not one.acceleration.stats().is_connected
    assert set() == loopback.channels


async def test_stopping_does_not_wait_for_what_cannot_be_told() -> None:
    """Without a channel `stop` returns; what is owed stays untold."""
    loopback = Loopback()
    loopback.refuses = True
    one = Watched(loopback, "one")
    one.acceleration.touched("store@a", 1)

    await asyncio.wait_for(one.acceleration.stop(), 5)
    await one.acceleration.stop()


async def test_a_process_that_just_ends_has_told(redis_server: RedisServer, tmp_path: Path) -> None:
    """A script that tells of a change and ends has sent its hint."""
    from reality import RedisAccelerator

    redis_server.start()
    script = f"""
from reality import RealityServer, RedisAccelerator
server = RealityServer(
    "script",
    storage="sqlite:///{tmp_path}/reality.db",
    accelerator=RedisAccelerator("{redis_server.url}"),
)
server.blocking.invalidate("posts")
"""
    async with watching(RedisAccelerator(redis_server.url)) as (other,):
        run = [sys.executable, "-c", script]
        done = await asyncio.to_thread(subprocess.run, run, capture_output=True, check=False)
        assert (0, b"", b"") == (done.returncode, done.stdout, done.stderr)
        await eventually(lambda: other.hints)

    assert [("script", 1)] == [(hint.server_id, hint.sequence) for hint in other.hints]


# ---- the channel ---------------------------------------------------------------------------------


async def test_a_channel_that_brings_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """I5: one that takes all and gives nothing is noticed, made anew, and followed by a recheck."""
    loopback = Loopback()
    monkeypatch.setattr(module, "_HEARTBEAT_S", 0.02)
    monkeypatch.setattr(module, "_SILENCE_S", 0.1)
    async with watching(loopback) as (one,):
        loopback.is_deaf = True
        await eventually(lambda: one.rechecks >= 3)
        loopback.is_deaf = False
        await eventually(lambda: one.acceleration.stats().is_connected)

    assert one.acceleration.stats().reconnects >= 2


async def test_a_quiet_channel_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody touches anything, signs of life show that the channel stands."""
    loopback = Loopback()
    monkeypatch.setattr(module, "_HEARTBEAT_S", 0.02)
    async with watching(loopback, loopback) as (one, other):
        before = len(loopback.payloads)
        await eventually(lambda: len(loopback.payloads) >= before + 10)

        assert 0 == one.acceleration.stats().reconnects
        assert [] == one.hints == other.hints


async def test_failures_are_told_seldom(caplog: pytest.LogCaptureFixture) -> None:
    """A channel that cannot be made is tried again and again, and complained about once."""
    loopback = Loopback()
    loopback.refuses = True
    one = Watched(loopback, "one")
    with caplog.at_level(logging.INFO, logger="reality.server"):
        one.acceleration.start()
        await eventually(lambda: loopback.attempts >= 3)
        loopback.refuses = False
        await eventually(lambda: "the loopback works again" in caplog.messages)
    await one.acceleration.stop()

    assert ["working without hints for now: the loopback refuses"] == [
        record.message for record in caplog.records if record.levelno >= logging.WARNING
    ]


async def test_a_target_that_fails_does_not_end_it() -> None:
    """Whatever raises, the channel is made anew."""
    loopback = Loopback()
    async with watching(loopback, loopback) as (one, other):
        other.fails = True
        one.acceleration.touched("store@a", 1)
        await eventually(lambda: other.rechecks == 2)
        other.fails = False
        one.acceleration.touched("store@a", 2)
        await eventually(lambda: other.told[-1:] == [("store@a", 2)])


# ---- servers on one file -------------------------------------------------------------------------


async def test_after_a_reconnect_the_next_answer_looks_first(tmp_path: Path) -> None:
    """I5, I1: whatever was missed, a sync that comes after the channel was made anew reports it."""
    loopback = Loopback()
    files = [Patient(tmp_path / "reality.db") for _ in range(2)]
    async with accelerated(*files, accelerator=lambda: loopback) as (one, other):
        await connected(one, other)
        asker = await Asker(other, "posts").caught_up()
        loopback.is_deaf = True
        await one.invalidate("posts")
        await eventually(lambda: acceleration(one).stats().sent == 1)
        assert {} == (await asker.ask()).changed
        loopback.is_deaf = False
        before = acceleration(other).stats().reconnects
        loopback.send(None)
        await eventually(lambda: acceleration(other).stats().reconnects > before)
        await eventually(lambda: acceleration(other).stats().is_connected)

        async with asyncio.timeout(5):
            while not (await asker.ask()).changed:
                await asyncio.sleep(0.001)


async def test_hints_that_say_nothing_true(tmp_path: Path) -> None:
    """I5: whoever forges hints makes servers look, and nothing else."""
    loopback = Loopback()
    async with accelerated(Patient(tmp_path / "reality.db"), accelerator=lambda: loopback) as (
        one,
    ):
        await connected(one)
        async with holding(Asker(one, "posts")) as [held]:
            for number in range(100):
                loopback.send(b'{"serverId":"x","run":"x~1","origin":"y@1","sequence":%d}' % number)
            await eventually(lambda: acceleration(one).stats().received == 100)
            assert not held.done()
            await one.invalidate("posts")
            assert {"posts"} == set((await answered(held)).changed)
