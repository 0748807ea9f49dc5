"""Clients of a run: real ones, whose fetchers read the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import UNSET

from reality import AsyncRealityClient
from reality.client.resource import Resource, Subscription
from reality.client.state import Meta
from reality.core.freshness import Freshness
from reality.core.messages import SyncRequest
from reality.errors import RealityError
from reality.testing.hosts import Host
from tests.simulation.plan import ClientSetting

if TYPE_CHECKING:
    from tests.simulation.world import World

BALANCER = "balancer"
_FETCH_S = 0.3
_FAILING_FETCHES = 0.05


class HeldKey(NamedTuple):
    """What a client has of a key.

    Attributes:
        version: as last reported.
        data: of it; only with data does a client ever hold a key.
        is_due: whether it was to be fetched again.
    """

    version: int
    data: Any
    is_due: bool = False


class Held(NamedTuple):
    """What a client begins with: what it has written down, or what came with a page."""

    cursor: str | None
    keys: Mapping[str, HeldKey]


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

    def start(self, held: Held | None = None) -> None:
        """Switch it on: subscribed to its keys, and with no data or what it held."""
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
        if held is not None:
            host.call(self._put_back, held)

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

    # ---- what outlives it ----------------------------------------------------------------------

    def written(self) -> Held | None:
        """What it holds, all of it as it is at one moment."""
        if self.client is None or not self.client._shards:
            return None
        (shard,) = self.client._shards
        keys = {
            key: HeldKey(each.version, each.state.data, each._freshness is not Freshness.FRESH)
            for key, each in shard.resources.items()
            if each._has_data
        }
        return Held(shard._cursor, keys)

    async def page(self, server: int, rendering_s: float) -> Held | None:
        """What a page brings that a server renders for it; None if none does.

        The position is captured before the data is read: what is touched meanwhile is told later.
        """
        position = await self.position(server)
        await self._world.rest(rendering_s)
        return position and self.with_data(position)

    async def position(self, server: int) -> Held | None:
        """Where a server is, with the versions of all keys and no data."""
        name = self._world.live(server)
        if name is None:
            return None
        request = SyncRequest(
            known=dict.fromkeys(self.keys, 0),
            client_id=f"the page of {self.name}",
            mode="native",
            hint="mount",
            cursor="",
        )
        work = self._world.servers[name].sync(request)
        task = self._world.network.hosts[name].spawn(work)
        await asyncio.wait([task])
        if task.cancelled() or isinstance(task.exception(), RealityError):
            return None
        told = task.result()
        versions = {key: HeldKey(node.version, None) for key, node in told.changed.items()}
        return Held(None if told.cursor is UNSET else told.cursor, versions)

    def with_data(self, position: Held) -> Held:
        """The same position with the data that there is now."""
        truth = self._world.application.truth
        keys = {key: each._replace(data=truth[key]) for key, each in position.keys.items()}
        return position._replace(keys=keys)

    def _put_back(self, held: Held) -> None:
        # Before the loop's next turn, in which the first request is made.
        assert self.client is not None
        for shard in self.client._shards:
            shard._cursor = held.cursor
            for key, resource in shard.resources.items():
                if key in held.keys:
                    _fill(resource, held.keys[key])

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


def _fill(resource: Resource, held: HeldKey) -> None:
    resource.version, resource._has_data = held.version, True
    resource._freshness = Freshness.FRESH
    resource.state = replace(resource.state, data=held.data, status="idle")
    if held.is_due:
        resource.refetch()
