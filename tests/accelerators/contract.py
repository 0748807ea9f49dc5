"""What every accelerator has to do, and what a server does with it, with the real thing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reality.accelerators.base import HINT_BYTES_MAX, Accelerator
from reality.errors import AcceleratorUnavailable
from reality.storage.sqlite import SQLiteStorage
from tests.accelerators.observing import (
    Often,
    Patient,
    Seldom,
    accelerated,
    acceleration,
    connected,
    eventually,
    frozen,
    watching,
)
from tests.server.asking import PATIENCE_S, Asker, answered, holding
from tests.support.daemons import DatabaseServer

PROGRAM = Path(__file__).parent / "programs" / "fork.py"
GARBAGE = [b"garbage", b"{}", b"[]", b'{"serverId": 1}', b'"' + b"x" * 2_000 + b'"']

New = Callable[[], Accelerator]


class Outage:
    """How a server comes to be unreachable, and reachable again; by default it ends."""

    def __init__(self, server: DatabaseServer) -> None:
        self.server = server

    def begin(self) -> None:
        self.server.stop(immediate=True)

    def end(self) -> None:
        self.server.start()


class AcceleratorContract:
    """A subclass gives the fixtures `server`, `url`, and `new`.

    `new` makes accelerators on a channel of the test's own; `url` names them on the usual one.
    """

    @pytest.fixture
    def outage(self, server: DatabaseServer) -> Iterator[Outage]:
        outage = Outage(server)
        yield outage
        outage.end()

    # ---- channels --------------------------------------------------------------------------------

    async def test_what_one_sends_all_hear(self, new: New) -> None:
        """Every channel that stands hears what is sent, the sender's too, in order."""
        one, other = await new().connect(), await new().connect()
        largest = b'"' + b"x" * (HINT_BYTES_MAX - 2) + b'"'
        for payload in (b"1", b"2", largest):
            await one.publish(payload)
        for channel in (one, other):
            heard = [await asyncio.wait_for(channel.receive(), PATIENCE_S) for _ in range(3)]
            assert [b"1", b"2", largest] == heard
            await channel.close()

    async def test_a_closed_channel_is_of_no_use(self, new: New) -> None:
        """After `close`, which may be called twice, publishing and receiving raise."""
        channel = await new().connect()
        await channel.close()
        await channel.close()

        with pytest.raises(AcceleratorUnavailable):
            await channel.publish(b"1")
        with pytest.raises(AcceleratorUnavailable):
            await channel.receive()

    async def test_a_lost_channel_ends_and_another_is_made(
        self, new: New, server: DatabaseServer
    ) -> None:
        """A channel whose server has died raises, and does not come back by itself."""
        channel = await new().connect()
        waiting = asyncio.create_task(channel.receive())
        server.restart(immediate=True)
        with pytest.raises(AcceleratorUnavailable):
            await asyncio.wait_for(waiting, PATIENCE_S)
        with pytest.raises(AcceleratorUnavailable):
            await channel.publish(b"1")
        await channel.close()

        another = await new().connect()
        await another.publish(b"2")
        assert b"2" == await asyncio.wait_for(another.receive(), PATIENCE_S)
        await another.close()

    async def test_a_server_that_is_not_there(self, new: New, outage: Outage) -> None:
        """Making an accelerator connects nothing; connecting says what cannot be reached."""
        outage.begin()
        accelerator = new()

        with pytest.raises(AcceleratorUnavailable, match="cannot be reached") as refused:
            await accelerator.connect()
        assert accelerator.name in str(refused.value)

    # ---- what a server does with it --------------------------------------------------------------

    async def test_a_hint_arrives_at_the_others(self, new: New) -> None:
        """I5: a hint published by one arrives at others, and is not acted on by itself."""
        async with watching(new(), new(), new()) as (one, *others):
            one.acceleration.touched("store@a", 7)
            await eventually(lambda: all(other.told == [("store@a", 7)] for other in others))
            for other in others:
                assert [(one.run, "server-0")] == [(h.run, h.server_id) for h in other.hints]
            others[0].acceleration.touched("store@a", 8)
            await eventually(lambda: one.told)
            await eventually(lambda: one.acceleration.stats().sent == 1)

            assert [("store@a", 8)] == one.told
            assert 1 == one.acceleration.stats().received

    async def test_garbage_is_ignored(self, new: New) -> None:
        """I5, I6: what is no hint is counted, and the hints after it are heard."""
        async with watching(new(), new()) as (one, other):
            channel = await new().connect()
            for payload in GARBAGE:
                await channel.publish(payload)
            await channel.close()
            await eventually(lambda: one.acceleration.stats().ignored == len(GARBAGE))
            other.acceleration.touched("store@a", 1)
            await eventually(lambda: one.told == [("store@a", 1)])

            assert 0 == one.acceleration.stats().reconnects

    async def test_an_outage_is_followed_by_a_recheck(self, new: New, outage: Outage) -> None:
        """I5: while the server is down `touched` neither waits nor raises; then all look anew."""
        async with watching(new(), new()) as (one, other):
            outage.begin()
            await eventually(lambda: not one.acceleration.stats().is_connected)
            began = time.monotonic()
            for sequence in range(1_000):
                one.acceleration.touched("store@a", sequence)
            took_s = time.monotonic() - began
            outage.end()
            await eventually(lambda: min(one.rechecks, other.rechecks) >= 2)
            one.acceleration.touched("store@a", 5_000)
            await eventually(lambda: ("store@a", 5_000) in other.told)

            assert took_s < 0.5
            assert one.acceleration.stats().reconnects >= 1

    async def test_a_server_that_hangs(self, new: New, server: DatabaseServer) -> None:
        """I5: a hint that is not taken for a second is dropped; once it answers, all look anew."""
        async with watching(new()) as (one,):
            with frozen(server):
                one.acceleration.touched("store@a", 1)
                await eventually(lambda: one.acceleration.stats().dropped >= 1)
            await eventually(lambda: one.rechecks >= 2 and one.acceleration.stats().is_connected)

    def test_a_child_of_a_fork_has_a_channel_of_its_own(self, url: str) -> None:
        """Parent and child hear each other, and the child's end leaves the parent's channel."""
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", PROGRAM, url],
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        assert 0 == done.returncode, done.stderr
        told = json.loads(done.stdout)

        assert {"status": 0, "parent": [["child", 2]], "reconnects": 0} == told, done.stderr

    # ---- servers on one file ---------------------------------------------------------------------

    async def test_a_touch_wakes_the_waiters_elsewhere(self, new: New, tmp_path: Path) -> None:
        """A touch at one server wakes the other's waiters long before its next look."""
        files = [Seldom(tmp_path / "reality.db") for _ in range(2)]
        took_s = []
        async with accelerated(*files, accelerator=new) as (one, other):
            await connected(one, other)
            for _ in range(5):
                async with holding(Asker(other, "posts")) as [held]:
                    began = time.monotonic()
                    told = await one.invalidate("posts")
                    assert told["posts"] == (await answered(held)).changed["posts"].version
                    took_s.append(time.monotonic() - began)

        assert sorted(took_s)[2] < Seldom.feed_interval_s / 10

    async def test_a_touch_that_nobody_was_told_of(
        self, new: New, outage: Outage, tmp_path: Path
    ) -> None:
        """I5: what was touched while the accelerator was lost is found once it is back."""
        files = [Patient(tmp_path / "reality.db") for _ in range(2)]
        async with accelerated(*files, accelerator=new) as (one, other):
            await connected(one, other)
            async with holding(Asker(other, "posts")) as [held]:
                outage.begin()
                await eventually(lambda: not acceleration(other).stats().is_connected)
                await one.invalidate("posts")
                assert not held.done()
                outage.end()
                assert {"posts"} == set((await answered(held)).changed)

    async def test_without_it_the_feed_is_enough(
        self, new: New, outage: Outage, tmp_path: Path
    ) -> None:
        """I5, I1: with the accelerator down, a touch wakes the waiters elsewhere all the same."""
        outage.begin()
        files = [Often(tmp_path / "reality.db") for _ in range(2)]
        async with accelerated(*files, accelerator=new) as (one, other):
            async with holding(Asker(other, "posts")) as [held]:
                await one.invalidate("posts")
                assert {"posts"} == set((await answered(held)).changed)
            assert not acceleration(one).stats().is_connected

    async def test_a_slow_server_delays_nobody(
        self, new: New, server: DatabaseServer, tmp_path: Path
    ) -> None:
        """I5: for two seconds without an answer of the accelerator, touches are as fast as ever."""
        files = [SQLiteStorage(tmp_path / "reality.db") for _ in range(2)]
        took_s = []
        async with accelerated(*files, accelerator=new) as (one, other):
            await connected(one, other)
            asker = await Asker(other, "posts").caught_up()
            with frozen(server):
                began = time.monotonic()
                while time.monotonic() < began + 2:
                    at = time.monotonic()
                    await one.invalidate("posts")
                    response = await asker.ask(wait=5_000)
                    took_s.append(time.monotonic() - at)
                    assert {"posts"} == set(response.changed)

        assert sorted(took_s)[len(took_s) // 2] < 0.1
        assert max(took_s) < 1.5
