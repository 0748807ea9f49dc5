"""The rules of Reality, each to be switched off, to show that the simulator finds what is lost.

Every context manager here breaks the real classes for as long as its block lasts, and says in its
first line what they do wrong then. Nothing but tests may use them. `tests.core.broken` has the same
for the pure core.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

import msgspec

from reality import Mesh, RealityServer
from reality.client.resource import Resource
from reality.core import replica
from reality.core.cursor import Cursor, Position, is_durable
from reality.core.delta import Delta, Touched
from reality.core.graph import Graph
from reality.core.ledger import Ledger
from reality.core.messages import SyncRequest, SyncResponse
from reality.core.replica import Merged, Replica
from reality.core.store_graph import StoreGraph, Told, Verdict
from reality.core.tags import Tags
from reality.core.waiters import concerns
from reality.mesh.membership import Timing
from reality.server.feed import Feed
from reality.server.holding import Ticket
from reality.server.store_state import StoreState
from reality.storage.memory import MemoryStorage
from tests.simulation.clients import Held, SimClient
from tests.simulation.world import World

_SUSPICIOUS_S = 3.0

# ---- servers that come and go --------------------------------------------------------------------


@contextmanager
def removal_by_suspicion() -> Iterator[None]:
    """A server that is out of contact for a moment is removed for good, though it is alive."""
    make = Mesh.__init__

    def hasty(mesh: Mesh, *args: Any, **options: Any) -> None:
        make(mesh, *args, **options)
        mesh.timing = Timing(remove_after_s=_SUSPICIOUS_S)

    with mock.patch.object(Mesh, "__init__", hasty):
        yield


@contextmanager
def nobody_removes() -> Iterator[None]:
    """A server that is gone for good is just not there any more."""

    async def remove_server(world: World, name: str) -> None:
        """Nobody does."""

    with mock.patch.object(World, "remove_server", remove_server):
        yield


@contextmanager
def shared_nonce() -> Iterator[None]:
    """A forked process goes on under its parent's origin."""
    with mock.patch.object(MemoryStorage, "_after_fork"):
        yield


# ---- stores --------------------------------------------------------------------------------------


@contextmanager
def restore_unnoticed() -> Iterator[None]:
    """Nobody asks whether a store still has what was seen of it."""
    with (
        mock.patch.object(Told, "allows", return_value=True),
        mock.patch.object(StoreGraph, "judge", return_value=Verdict.FITS),
        mock.patch.object(Tags, "knows", return_value=True),
    ):
        yield


@contextmanager
def eviction_is_no_record() -> Iterator[None]:
    """What was dropped from memory counts as never touched."""
    with mock.patch.object(StoreGraph, "lacks", return_value=frozenset()):
        yield


@contextmanager
def absent_is_zero() -> Iterator[None]:
    """A durable origin that the cursor lacks counts as accounted for up to 0: no reset."""
    check = Graph._checked

    def checked(graph: Graph, seen: Cursor | None) -> tuple[Cursor, bool]:
        if seen is not None:
            absent = {each: Position(0) for each in graph.digest if is_durable(each)}
            seen = seen._replace(positions={**absent, **seen.positions})
        return check(graph, seen)

    with mock.patch.object(Graph, "_checked", checked):
        yield


@contextmanager
def accelerator_trusted() -> Iterator[None]:
    """Who has an accelerator looks at the store only when there is a hint."""

    def is_fresh(state: StoreState) -> bool:
        return state._failure is None

    async def pause(feed: Feed) -> None:
        await feed._roused.wait()

    with (
        mock.patch.object(StoreState, "_is_fresh", is_fresh),
        mock.patch.object(Feed, "_pause", pause),
    ):
        yield


# ---- what is told --------------------------------------------------------------------------------


@contextmanager
def record_deleted() -> Iterator[None]:
    """A deletion takes the record away instead of marking it."""
    touch = Graph.touch

    def touch_or_forget(graph: Graph, names: Iterable[str], **options: Any) -> int:
        names = tuple(names)
        sequence = touch(graph, names, **options)
        if options.get("deleted"):
            for name in names:
                graph._ledger._unlink(name, graph.own_origin)
        return sequence

    with mock.patch.object(Graph, "touch", touch_or_forget):
        yield


@contextmanager
def waiter_late() -> Iterator[None]:
    """A sync is registered as waiting after the state was read, and that is not read again."""

    async def held(
        server: RealityServer,
        request: SyncRequest,
        hidden: Collection[str],
        disconnected: Callable[[], Awaitable[object]] | None,
    ) -> SyncResponse:
        names = concerns(request.known, hidden=hidden)
        ticket: Ticket = server._state.take_ticket(request.client_id, names)
        try:
            await ticket.wait(server._wait_s(request.wait), disconnected)
        finally:
            server._state.give_back(ticket)
        return await server._response(request, hidden, spread_ms=ticket.spread_ms)

    with mock.patch.object(RealityServer, "_held", held):
        yield


# ---- deltas --------------------------------------------------------------------------------------


@contextmanager
def every_page_counts() -> Iterator[None]:
    """Each page counts as soon as it comes, as if it were all up to where it ends."""
    merge = Replica.merge

    def merge_page(graph: Replica, page: Delta) -> Merged:
        begins = page.after
        whole = msgspec.structs.replace(page, since=begins, after_name="", upto_name="", last=True)
        return merge(graph, whole)

    with mock.patch.object(Replica, "merge", merge_page):
        yield


@contextmanager
def gap_unchecked() -> Iterator[None]:
    """A delta is applied though it begins after the end of what this server knows."""
    with mock.patch.object(replica, "_fits", return_value=True):
        yield


@contextmanager
def applied_twice() -> Iterator[None]:
    """What comes again is counted again."""
    put = Ledger.put

    def put_again(ledger: Ledger, origin: str, touched: Touched) -> None:
        entry = ledger.entry(touched.name, origin)
        if entry is not None and touched.sequence <= entry.sequence:
            entry.touches += touched.touches
            ledger.touches += touched.touches
        put(ledger, origin, touched)

    with mock.patch.object(Ledger, "put", put_again):
        yield


# ---- clients -------------------------------------------------------------------------------------


@contextmanager
def told_hash_trusted() -> Iterator[None]:
    """A client compares an announced hash with the one it was told before, not with its data's."""

    def hash_told(resource: Resource) -> str:
        return "" if resource.state.meta is None else resource.state.meta.hash

    with mock.patch.object(Resource, "_hash_held", hash_told):
        yield


@contextmanager
def position_after_data() -> Iterator[None]:
    """A page captures its position after it has read the data."""

    async def page(client: SimClient, server: int, rendering_s: float) -> Held | None:
        truth = dict(client._world.application.truth)
        await client._world.rest(rendering_s)
        position = await client.position(server)
        if position is None:
            return None
        keys = {key: each._replace(data=truth[key]) for key, each in position.keys.items()}
        return position._replace(keys=keys)

    with mock.patch.object(SimClient, "page", page):
        yield


@contextmanager
def cursor_kept_apart() -> Iterator[None]:
    """A client writes cursor and versions down all the time, and its data only now and then."""
    stop, start = SimClient.stop, SimClient.start
    last: dict[str, Held | None] = {}

    async def stop_and_write(client: SimClient) -> None:
        last[client.name] = client.written()
        await stop(client)

    def start_with_both(client: SimClient, held: Held | None = None) -> None:
        at_end = last.get(client.name)
        if held is not None and at_end is not None:
            versions: Mapping[str, Any] = at_end.keys
            keys = {
                key: each._replace(version=versions[key].version) if key in versions else each
                for key, each in held.keys.items()
            }
            held = Held(at_end.cursor, keys)
        start(client, held)

    with mock.patch.multiple(SimClient, stop=stop_and_write, start=start_with_both):
        yield
