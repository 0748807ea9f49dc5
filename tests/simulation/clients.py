"""Clients of a run: real ones, whose fetchers read the truth."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

from reality import AsyncRealityClient
from reality.client.resource import Subscription
from reality.client.state import Meta
from reality.errors import RealityError
from reality.testing.hosts import Host
from tests.simulation.plan import ClientSetting

if TYPE_CHECKING:
    from tests.simulation.world import World

BALANCER = "balancer"
_FETCH_S = 0.3
_FAILING_FETCHES = 0.05


class SimClient:
    """A machine with one client on it; it may be switched off and on.

    Attributes:
        keys: what it is subscribed to, also while it is switched off.
        setting: how it is.
        fetches: how many fetches have begun.
        requests: how many syncs its servers have answered.
    """

    def __init__(self, world: World, number: int, setting: ClientSetting) -> None:
        self.name = f"c{number}"
        self.keys: dict[str, Subscription | None] = dict.fromkeys(setting.keys)
        self.fetches = 0
        self.requests = 0
        self.client: AsyncRealityClient | None = None
        self._world = world
        self.setting = setting
        self._random = Random(f"{world.plan.seed} {self.name}")

    @property
    def host(self) -> Host:
        """The present run of its machine."""
        return self._world.network.hosts[self.name]

    def start(self) -> None:
        """Switch it on: with no data, and subscribed to its keys."""
        host = self._world.network.start(self.name)
        setting = self.setting
        self.client = host.call(
            AsyncRealityClient,
            self._servers(),
            live=setting.live,
            wait=setting.wait_s,
            timeout=setting.timeout_s,
            http=self._world.network.http(self.name),
        )
        for key in self.keys:
            self._subscribe(key)

    async def stop(self) -> None:
        """Switch it off, without notice."""
        self.client = None
        await self._world.network.kill(self.name)

    def subscribe(self, key: str) -> None:
        """Be interested in one more key."""
        if key not in self.keys:
            self.keys[key] = None
            if self.client is not None:
                self._subscribe(key)

    def unsubscribe(self, key: str) -> None:
        """Be interested no more."""
        subscription = self.keys.pop(key, None)
        if subscription is not None and self.client is not None:
            self.host.call(subscription)

    async def sync(self, keys: list[str] | None = None) -> dict[str, Meta] | None:
        """What one sync told; None if nobody answered it."""
        client = self.client
        if client is None:
            return None
        work = client.sync_all() if keys is None else client.sync_keys(keys)
        task = self.host.spawn(work)
        await asyncio.wait([task])
        if task.cancelled() or isinstance(task.exception(), RealityError):
            return None
        return task.result()

    def stale(self) -> dict[str, str]:
        """Its keys that have not the data there is, or do not know that they have."""
        found = {}
        for key in self.keys:
            state = None if self.client is None else self.client.get_state(key)
            truth = self._world.application.truth[key]
            if state is None or state.status != "idle" or state.data != truth:
                found[key] = f"{truth}, not {state}"
        return found

    # ---- inside --------------------------------------------------------------------------------

    def _servers(self) -> list[str]:
        if self.setting.is_balanced:
            return [f"http://{BALANCER}"]
        names = [f"http://s{number}" for number in range(self._world.plan.setting.servers)]
        self._random.shuffle(names)
        return names

    def _subscribe(self, key: str) -> None:
        assert self.client is not None
        self.keys[key] = self.host.call(self.client.subscribe, key, fetcher=self._fetch)

    async def _fetch(self, key: str) -> Any:
        """The data of a key as it is at some moment of the fetch."""
        self.fetches += 1
        self._world.trace(f"{self.name} fetches {key}")
        total_s = self._random.uniform(0, _FETCH_S)
        before_s = self._random.uniform(0, total_s)
        await asyncio.sleep(before_s)
        data = self._world.application.truth[key]
        await asyncio.sleep(total_s - before_s)
        if not self._world.is_settling and self._random.random() < _FAILING_FETCHES:
            raise ConnectionError("the application failed")
        return data
