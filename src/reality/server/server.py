"""RealityServer: answers syncs, takes invalidations, and holds syncs until something changes."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from reality.core.codec import check_count, check_hash, sync_request
from reality.core.graph import Node
from reality.core.keys import check_name, is_pattern
from reality.core.limits import CURSOR_BYTES_MAX, Limits
from reality.core.messages import ChangedNode, MeshInfo, SyncRequest, SyncResponse, VersionsResponse
from reality.core.waiters import concerns
from reality.errors import InvalidKey, NotReady, StorageBusy, StorageUnavailable
from reality.server.access import Authorizer, Cors
from reality.server.parts import (
    acceleration_by,
    check_options,
    checked_server_id,
    mesh_of,
    state_on,
)
from reality.server.state import MemoryState
from reality.server.stats import Stats
from reality.server.workers import (
    SoleWorker,
    check_sole_worker,
    claim_at_start,
    release,
)
from reality.storage.base import BlockingStorage, Storage
from reality.storage.memory import MemoryStorage, wall_clock_ms

if TYPE_CHECKING:
    from reality.accelerators.base import Accelerator
    from reality.http.types import ASGIApplication
    from reality.mesh import Mesh
    from reality.server.blocking import BlockingServer

# A wait that the server cuts short ends at random within its last tenth, so that clients that came
# together do not come back together.
_WAIT_JITTER = 0.1


class RealityServer:
    """Keeps change metadata per key and tells clients what changed. Safe to share by threads.

    Args:
        server_id: names this server; 1 to 64 of letters, digits, dot, underscore and dash. By
            default the host's name and a random suffix.
        storage: where nodes live; by default in the memory of this process. A store, or a URL such
            as "sqlite:////var/lib/app/reality.db" (see `reality.storage.opening`); nothing is
            opened before the first use.
        mesh: the other servers that it exchanges with; without it, it is alone, or has a store in
            common with them.
        accelerator: a channel on which servers tell each other to look sooner than they would.
        token: the credential for invalidating over HTTP; without one that is off.
        authorizer: decides who may see which keys; without one everybody may see all.
        cors: origins of other pages that may call, or a `Cors`.
        base_path: where the HTTP routes are when the application is not mounted.
        limits: what the server accepts and keeps.

    Raises:
        ValueError: an argument cannot be; the text says which and what would do.
    """

    def __init__(
        self,
        server_id: str | None = None,
        *,
        storage: MemoryStorage | Storage | BlockingStorage | str | None = None,
        mesh: Mesh | None = None,
        accelerator: Accelerator | None = None,
        token: str | None = None,
        authorizer: Authorizer | None = None,
        cors: Cors | Sequence[str] | None = None,
        base_path: str = "/reality",
        limits: Limits | None = None,
    ) -> None:
        check_options(base_path=base_path, token=token, limits=limits, authorizer=authorizer)
        self.server_id = checked_server_id(server_id)
        self.limits = limits or Limits()
        self.token = token
        self.authorizer = authorizer
        self.cors = cors if isinstance(cors, Cors) or cors is None else Cors(cors)
        self.base_path = base_path
        self._state = state_on(storage, self.server_id, self.limits)
        self._has_own_nodes = isinstance(self._state, MemoryState)
        self._ready = self._holds = True
        self.mesh = mesh_of(mesh, self.server_id, self._state, self.limits)
        self._acceleration = acceleration_by(accelerator, self._state, self.mesh)
        self._state.after_touch = self._after_touch

    # ---- clients ask ---------------------------------------------------------------------------

    async def sync(
        self,
        request: SyncRequest | dict[str, Any],
        *,
        hidden: Collection[str] = frozenset(),
        disconnected: Callable[[], Awaitable[object]] | None = None,
    ) -> SyncResponse:
        """Answer a sync, holding it for `request.wait` milliseconds while nothing has changed.

        Args:
            request: a `SyncRequest`, or its wire members in a dict.
            hidden: keys the asker may not see; they are answered as if never touched.
            disconnected: makes an awaitable that is done once the asker has gone.

        Raises:
            InvalidRequest, LimitExceeded: the request is malformed or too large.
            TooManyWaiters: it would have to be held, and no more can be.
            NotReady: the server was stopped, or keeps nodes in memory beside another worker.
            StorageError: the store failed.
        """
        request = sync_request(request)
        check_count(len(request.known), self.limits, member="known")
        if self._has_own_nodes:
            check_sole_worker()
        if not self._ready:
            raise NotReady(f"the server {self.server_id} was stopped: ask another, or later")
        response = await self._response(request, hidden)
        # Most answers need no ticket; and news is told even where no more syncs can be held.
        if request.wait and not self._is_due(response):
            response = await self._held(request, hidden, disconnected)
        self._state.count_sync()
        return response

    async def get_node(self, key: str) -> Node | None:
        """The metadata of a key; None if neither it nor a pattern above it was ever touched."""
        return await self._state.node(key)

    async def list_changed_since(
        self, since: int, *, server_id: str | None = None, limit: int | None = None
    ) -> VersionsResponse:
        """Keys and patterns touched after a local apply position, oldest first, one page.

        Args:
            since: a position of this run, from an earlier answer; 0 for the whole list.
            server_id: where `since` came from, its id or (better: it tells runs apart) its origin.
            limit: how many at most; no more than `limits.page_nodes_max`.
        """
        most = self.limits.page_nodes_max
        page_max = most if limit is None else max(1, min(limit, most))
        return await self._state.listing(since, server_id, page_max)

    # ---- the application tells -----------------------------------------------------------------

    async def invalidate(self, *names: str | Iterable[str]) -> dict[str, int]:
        """Say that the data of these keys, and of all keys below these patterns, changed.

        One call is one batch. Call it after the write has been committed. Both
        `invalidate("posts", "chat:*")` and `invalidate(["posts", "chat:*"])` work.

        Returns:
            The new version of each key; patterns have none.

        Raises:
            InvalidKey, LimitExceeded: a name is malformed, or there are too many; none is touched.
            StorageError: the store failed. After `StorageUnavailable` nobody knows whether it has
                recorded the touch: invalidating again does no harm. After any other it has not, and
                this server tries again until it does.
            NotReady: the nodes are in memory, and another worker serves the same address.
        """
        return _versions(await self._touch(self._flattened(names)))

    async def invalidate_many(self, names: Iterable[str]) -> dict[str, int]:
        """`invalidate` for one iterable of keys and patterns."""
        return _versions(await self._touch(self._flattened((names,))))

    async def update_node(self, key: str, hash: str) -> Node:
        """Say that the data of a key changed and now has this hash.

        Clients that hold data with the same hash do not refetch. Where several writers can race,
        use `invalidate`: the last hash recorded need not be that of the last write.

        Raises:
            InvalidRequest: `hash` is empty or too long, or `key` is malformed or a pattern.
        """
        check_hash(hash)
        return await self._touch_key(key, hash=hash)

    async def delete_node(self, key: str) -> Node:
        """Say that the data of a key was deleted. A touch like any other: the record stays."""
        return await self._touch_key(key, deleted=True)

    # ---- life ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin (again) to answer and hold syncs. A new server has already begun.

        Raises:
            StorageError: the store refuses (credentials, permissions, schema). One that merely
                cannot be reached yet is waited for in the background; see `is_ready`.
            NotReady: the nodes are in memory, and another worker serves the same address.
        """
        if self._has_own_nodes:
            await claim_at_start()
        self._ready = self._holds = True
        await self._state.start()
        if self._acceleration is not None:
            self._acceleration.start()
        if self.mesh is not None:
            with suppress(StorageUnavailable, StorageBusy):  # waited for in the background
                await self.mesh.start()

    async def stop(self) -> None:
        """End every wait and answer no more syncs."""
        self._ready = False
        self.end_waits()
        if self._has_own_nodes:
            release()
        if self.mesh is not None:
            await self.mesh.stop()
        await self._state.stop()
        if self._acceleration is not None:
            await self._acceleration.stop()

    def end_waits(self) -> None:
        """Answer every held sync now, and hold none until `start`; may be called anywhere."""
        self._holds = False
        self._state.wake_all()

    def run(self, host: str = "127.0.0.1", port: int = 3456) -> None:
        """Serve over HTTP until SIGINT or SIGTERM. Blocks; needs the extra `cli` (granian).

        Raises:
            MissingDependency: granian is not installed.
        """
        from reality.http.serving import serve

        serve(self.asgi(), host=host, port=port)

    def asgi(self) -> ASGIApplication:
        """The server as an ASGI application, to be served alone or mounted in another."""
        from reality.http.asgi import RealityApplication

        application = RealityApplication(self)
        return SoleWorker(application) if self._has_own_nodes else application

    @cached_property
    def blocking(self) -> BlockingServer:
        """The same verbs for code without an event loop, from any thread."""
        from reality.server.blocking import BlockingServer

        return BlockingServer(self)

    @property
    def is_ready(self) -> bool:
        """Whether syncs are answered, and held where they ask for it."""
        try:
            self.check_ready()
        except NotReady:
            return False
        return True

    async def probe(self) -> None:
        """Try the store, if nobody has used it yet, for a second at most: see `is_ready` then."""
        await self._state.probe()

    def check_ready(self) -> None:
        """Raise unless syncs are answered, and held where they ask for it.

        Raises:
            NotReady: the text says why not; the store's name is left to the log.
        """
        if self._has_own_nodes:
            check_sole_worker()
        if self.mesh is not None:
            self.mesh.check_ready()
        reason = ""
        if not (self._ready and self._holds):
            reason = "it was stopped"
        elif not self._state.is_healthy:
            reason = "its store failed, as its log says"
        elif self.mesh is not None and not self.mesh.is_joined:
            reason = "it has yet to hear what its peers know"
        if reason:
            raise NotReady(f"the server {self.server_id} is not ready to answer syncs: {reason}")

    @property
    def may_hold(self) -> bool:
        """Whether syncs are held; false once a shutdown has begun."""
        return self._holds

    def stats(self) -> Stats:
        """What the server has done and holds."""
        return replace(
            self._state.stats(),
            mesh=None if self.mesh is None else self.mesh.stats(),
            accelerator=None if self._acceleration is None else self._acceleration.stats(),
        )

    # ---- inside --------------------------------------------------------------------------------

    def _after_touch(self, is_own: bool) -> None:
        """The own origin has moved on: tell other servers. Called under the state's lock."""
        if self.mesh is not None:
            self.mesh.touched()
        graph = self._state.graph
        if self._acceleration is not None and is_own and graph is not None:
            self._acceleration.touched(graph.own_origin, graph.own_position.sequence)

    async def _response(
        self, request: SyncRequest, hidden: Collection[str], *, spread_ms: int = 0
    ) -> SyncResponse:
        cursor = None if request.cursor is UNSET else request.cursor
        if cursor is not None and len(cursor) > CURSOR_BYTES_MAX:
            cursor = ""  # as one that cannot be parsed: `reset`
        if self.mesh is not None:
            await self.mesh.ready_for(cursor)
        if self._acceleration is not None:
            self._acceleration.start()
        answer, position = await self._state.answer(request.known, cursor, hidden)
        return SyncResponse(
            changed={
                key: ChangedNode(version=node.version, hash=node.hash, deleted=node.deleted)
                for key, node in answer.changed.items()
            },
            mesh=MeshInfo(
                peers={} if self.mesh is None else dict(self.mesh.health), server_version=position
            ),
            server_time=wall_clock_ms(),
            cursor=answer.cursor,
            reset=answer.reset,
            spread_ms=spread_ms,
        )

    async def _held(
        self,
        request: SyncRequest,
        hidden: Collection[str],
        disconnected: Callable[[], Awaitable[object]] | None,
    ) -> SyncResponse:
        names = concerns(request.known, hidden=hidden)
        ticket = self._state.take_ticket(request.client_id, names)
        try:
            # Read again: what was touched before the ticket was taken wakes nobody.
            response = await self._response(request, hidden)
            if self._is_due(response):
                return response
            await ticket.wait(self._wait_s(request.wait), disconnected)
        finally:
            self._state.give_back(ticket)
        return await self._response(request, hidden, spread_ms=ticket.spread_ms)

    def _is_due(self, response: SyncResponse) -> bool:
        """Whether an answer should go out now, however long it may be held."""
        return bool(response.changed) or response.reset or not self._holds

    def _wait_s(self, wish_ms: int) -> float:
        longest_ms = self.limits.wait_ms_max
        if wish_ms < longest_ms:
            return wish_ms / 1000
        return longest_ms * (1 - _WAIT_JITTER * random.random()) / 1000

    async def _touch(
        self, names: list[str], *, hash: str = "", deleted: bool = False
    ) -> dict[str, Node]:
        if not names:
            return {}
        if self._has_own_nodes:
            check_sole_worker()
        if self.mesh is not None:
            self.mesh.check_ready()
        return await self._state.touch(names, hash=hash, deleted=deleted)

    def _flattened(self, names: Iterable[str | Iterable[str]]) -> list[str]:
        """All names, checked; at most one more than allowed is drawn from an endless iterable."""
        drawn = chain.from_iterable([each] if isinstance(each, str) else each for each in names)
        flat = list(islice(drawn, self.limits.keys_max + 1))
        check_count(len(flat), self.limits, member="keys")
        for name in flat:
            check_name(name)
        return flat

    async def _touch_key(self, key: str, *, hash: str = "", deleted: bool = False) -> Node:
        check_name(key)
        if is_pattern(key):
            raise InvalidKey(f"{key!r} is a pattern; a hash or deletion needs a single key")
        return (await self._touch([key], hash=hash, deleted=deleted))[key]


def _versions(nodes: Mapping[str, Node]) -> dict[str, int]:
    return {key: node.version for key, node in nodes.items()}
