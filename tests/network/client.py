"""A client as small as the protocol allows, which may ask any server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from tests.network.application import Data
from tests.network.calling import CallFailed, Calling

SYNC_TIMEOUT_S = 1.5
WAIT_MS = 3_000


class Client:
    """Holds all keys of the application: versions and cursor as told, data as fetched.

    Args:
        name: its id.
        calling: its way to the servers.
        data: the application's, from which it fetches.

    Attributes:
        held: what it fetched last, by key.
        cursor: of the last answer that it adopted one from; None before.
        syncs: how many answers it had.
        resets: how many of those that it had adopted a cursor from said so.
        fetches: how many values it fetched.
        complaints: what no server may do.
    """

    def __init__(self, name: str, calling: Calling, data: Data) -> None:
        self.name = name
        self.held = dict(data.now)
        self.cursor: str | None = None
        self.syncs = self.resets = self.fetches = 0
        self.complaints: list[str] = []
        self._calling = calling
        self._data = data
        self._known = dict.fromkeys(data.keys, 0)
        self._told: dict[object, dict[str, int]] = {}

    async def sync(
        self,
        server: int,
        *,
        keys: Collection[str] | None = None,
        wait_ms: int = 0,
        run: Callable[[], object] = lambda: None,
    ) -> dict[str, Any]:
        """Ask one server, for all keys or for some, and fetch what it says has changed.

        Args:
            server: its number.
            keys: those to ask for; all if None.
            wait_ms: how long the answer may be held.
            run: what tells the server's runs apart.

        Raises:
            CallFailed: there was no answer; the client is as before.
        """
        asked = self._known if keys is None else {key: self._known[key] for key in keys}
        message = {
            "known": dict(asked),
            "clientId": self.name,
            "mode": "native",
            "hint": "interaction",
            "wait": wait_ms,
        }
        if self.cursor is not None:
            message["cursor"] = self.cursor
        before = run()
        timeout_s = wait_ms / 1_000 + SYNC_TIMEOUT_S
        answer: dict[str, Any] = await self._calling.post(
            server, "/reality/sync", message, timeout_s=timeout_s
        )
        if run() == before:
            self._check(answer, (server, before))
        self.take(answer, is_whole=keys is None)
        return answer

    def take(self, answer: dict[str, Any], *, is_whole: bool) -> None:
        """Take an answer in: its versions, its cursor if it was asked for all, and fresh data."""
        self.syncs += 1
        self._known |= {key: node["version"] for key, node in answer["changed"].items()}
        if is_whole:
            self.resets += answer.get("reset", False)
            self.cursor = answer["cursor"]
        self.fetch(answer["changed"])

    def fetch(self, keys: Collection[str]) -> None:
        """Fetch what the application has now."""
        self.fetches += len(keys)
        self.held |= {key: self._data.now[key] for key in keys}

    def behind(self, expected: dict[str, int]) -> list[str]:
        """The keys whose changes it missed, each with what it holds and what it should at least."""
        return [
            f"{key}: {self.held[key]} of {value}"
            for key, value in expected.items()
            if self.held[key] < value
        ]

    def _check(self, answer: dict[str, Any], run: object) -> None:
        """I4: one run of one server never tells a smaller version after a greater one."""
        told = self._told.setdefault(run, {})
        for key, node in answer["changed"].items():
            if node["version"] < told.get(key, 0):
                self.complaints.append(
                    f"I4: client {self.name} was told {key} at {told[key]}, then at "
                    f"{node['version']}, by {run}"
                )
            told[key] = node["version"]


async def live(
    client: Client,
    servers: Sequence[int],
    draw: random.Random,
    run: Callable[[int], object],
) -> None:
    """Stay with one server for a few syncs, mostly held ones, then hop to another; until cancelled.

    Some syncs are for a part of the keys. Whoever gets no answer goes elsewhere.
    """
    keys = list(client.held)
    while True:
        server = draw.choice(servers)
        for _ in range(draw.randint(1, 8)):
            some = draw.sample(keys, 10) if draw.random() < 0.2 else None
            wait_ms = WAIT_MS if draw.random() < 0.7 else 0
            try:
                await client.sync(server, keys=some, wait_ms=wait_ms, run=partial(run, server))
            except CallFailed:
                break
            finally:
                await asyncio.sleep(draw.uniform(0.05, 0.25))
