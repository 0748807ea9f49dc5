"""An accelerator within this process, to which tests can do what networks do."""

from __future__ import annotations

import asyncio

from reality.accelerators.base import Channel
from reality.errors import AcceleratorUnavailable


class Loopback:
    """Servers that are given the same one hear each other; it may be used from any event loop.

    Attributes:
        refuses: whether connecting fails.
        is_deaf: whether what is sent gets lost.
        is_stuck: whether sending takes until it is no longer set.
        stuck: how many are being sent.
        attempts: how often a connection was asked for.
        payloads: what was sent, lost or not.
    """

    kind = "loopback"
    name = "the loopback"

    def __init__(self) -> None:
        self.refuses = self.is_deaf = self.is_stuck = False
        self.attempts = self.stuck = 0
        self.payloads: list[bytes] = []
        self.channels: set[LoopbackChannel] = set()

    async def connect(self) -> Channel:
        self.attempts += 1
        if self.refuses:
            raise AcceleratorUnavailable(f"{self.name} refuses")
        channel = LoopbackChannel(self)
        self.channels.add(channel)
        return channel

    def send(self, payload: bytes | None) -> None:
        """Have every channel hear this; None ends them."""
        self.payloads += [] if payload is None else [payload]
        for channel in set() if self.is_deaf else set(self.channels):
            channel.loop.call_soon_threadsafe(channel.heard.put_nowait, payload)


class LoopbackChannel:
    def __init__(self, owner: Loopback) -> None:
        self.owner = owner
        self.loop = asyncio.get_running_loop()
        self.heard: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def publish(self, payload: bytes) -> None:
        self.owner.stuck += 1
        try:
            while self.owner.is_stuck:
                await asyncio.sleep(0.001)
        finally:
            self.owner.stuck -= 1
        self.owner.send(payload)

    async def receive(self) -> bytes:
        payload = await self.heard.get()
        if payload is None:
            raise AcceleratorUnavailable(f"{self.owner.name} has ended")
        return payload

    async def close(self) -> None:
        self.owner.channels.discard(self)
