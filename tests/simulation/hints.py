"""The accelerator that simulated servers share: hints that are late, lost, or cannot be sent."""

from __future__ import annotations

import asyncio
from contextvars import Context
from random import Random

from reality.accelerators.base import unavailable

_DELAY_S = 0.02


class Hub:
    """Where all channels end. Implements `reality.accelerators.base.Accelerator`."""

    kind = "simulated"
    name = "the simulated accelerator"

    def __init__(self, random: Random) -> None:
        self._random = random
        self._channels: dict[HubChannel, None] = {}
        self.heal()

    async def connect(self) -> HubChannel:
        """See `Accelerator.connect`."""
        await self._travel()
        if self._is_down:
            raise unavailable(self.name)
        channel = HubChannel(self)
        self._channels[channel] = None
        return channel

    def disturb(self, *, loss: float, is_down: bool) -> None:
        """Lose so many of the hints, from 0 to 1; or break all channels, and let nobody in."""
        self._loss, self._is_down = loss, is_down
        if is_down:
            for channel in list(self._channels):
                channel.end()

    def heal(self) -> None:
        """Let all hints through. Channels that were broken are not mended."""
        self._loss, self._is_down = 0.0, False

    # ---- for channels --------------------------------------------------------------------------

    async def send(self, payload: bytes) -> None:
        """Bring a hint to every channel that is there when it arrives, each in its time."""
        await self._travel()
        loop = asyncio.get_running_loop()
        for channel in self._channels:
            if self._random.random() >= self._loss:
                # In a context of nobody's: it is on its way, whatever becomes of the sender.
                later_s = self._random.uniform(0, _DELAY_S)
                loop.call_later(later_s, channel.hear, payload, context=Context())

    def leave(self, channel: HubChannel) -> None:
        """A channel has ended."""
        self._channels.pop(channel, None)

    async def _travel(self) -> None:
        await asyncio.sleep(self._random.uniform(0, _DELAY_S))


class HubChannel:
    """One server's connection. Implements `reality.accelerators.base.Channel`."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._heard: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._has_ended = False

    async def publish(self, payload: bytes) -> None:
        """See `Channel.publish`."""
        if self._has_ended:
            raise unavailable(self._hub.name)
        await self._hub.send(payload)

    async def receive(self) -> bytes:
        """See `Channel.receive`."""
        heard = await self._heard.get()
        if heard is None:
            raise unavailable(self._hub.name)
        return heard

    async def close(self) -> None:
        """See `Channel.close`."""
        self.end()

    def hear(self, payload: bytes) -> None:
        """A hint arrives."""
        if not self._has_ended:
            self._heard.put_nowait(payload)

    def end(self) -> None:
        """The connection is gone."""
        self._has_ended = True
        self._hub.leave(self)
        self._heard.put_nowait(None)
