"""`server.mesh`: a server's part in its mesh, for callers of any thread and event loop.

All of it is done in one thread with an event loop of its own, so it goes on while the application's
loop is busy. It is started at the first use in a process, so never before a fork.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from reality.core.cursor import Position, decode_cursor, gone_origin, is_server_id
from reality.core.limits import Limits
from reality.core.messages import Health
from reality.errors import InvalidRequest, MeshUnauthorized, NotFound, NotReady, ProtocolError
from reality.mesh.config import Mesh, checked_url
from reality.mesh.log import Complaints
from reality.mesh.messages import (
    PeersResponse,
    PeerStatus,
    RemoveResponse,
    decode_exchange,
    decode_remove,
    encode,
)
from reality.mesh.node import Node
from reality.mesh.ports import Transport
from reality.mesh.runner import EXCHANGE_ROUTE, Runner
from reality.mesh.signing import Signer, Verifier
from reality.server.loop_thread import LoopThread
from reality.server.sharing import Sharing, logger
from reality.server.state import State
from reality.storage.memory import wall_clock_ms
from reality.storage.process import renew_after_fork

Result = TypeVar("Result")

PEERS_ROUTE = "/mesh/peers"
REMOVE_ROUTE = "/mesh/remove"
# How long an answer is put off for what the asker has seen of others and this server has not.
_CATCH_UP_S = 0.2
# Larger messages would keep the loop that they came to from other work.
_NEWS_BYTES_MAX = 8 * 1024
# Origins that no peer had either: of other meshes, or of the past.
_UNKNOWN_AGAIN_S = 30.0
_UNKNOWN_MAX = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshStats:
    """What a server has done in its mesh.

    Attributes:
        peers: how many it knows.
        healthy: how many of them are.
        origins: whose touches it knows of.
        generation: its generation's number.
        is_joined: whether it has what its reachable peers know.
        is_removed: whether it was removed for good.
        pushes: calls that brought peers its own news.
        exchanges: calls that exchanged digests.
        asked: calls of peers.
        failures: calls that failed.
        refused: messages of peers, or of others in their name, that could not be.
    """

    peers: int
    healthy: int
    origins: int
    generation: int
    is_joined: bool
    is_removed: bool
    pushes: int
    exchanges: int
    asked: int
    failures: int
    refused: int


class ServerMesh:
    """One server among others. Safe to share by threads."""

    _runner: Runner | None = None
    _is_stopped = False

    def __init__(self, server_id: str, config: Mesh, state: State, limits: Limits) -> None:
        self._server_id = server_id
        self._config = config
        self._state = state
        self._sharing = Sharing(server_id, state, limits)
        self._signer = Signer(config.secrets)
        self._complaints = Complaints(logger)
        self._urls = dict.fromkeys(config.peers)
        self.health: Mapping[str, Health] = {}
        self._refused = 0
        self._after_fork()
        renew_after_fork(self, ServerMesh._after_fork)
        self._thread = LoopThread("reality-mesh")
        self.make_transport: Callable[[], Transport] = self._http_transport

    # ---- peers, for the application ------------------------------------------------------------

    async def peers(self) -> list[PeerStatus]:
        """What is known of each other server.

        Raises:
            StorageError: the store failed.
        """
        return (await self._call(lambda runner: runner.statuses())).peers

    def add_peer(self, url: str) -> None:
        """Exchange with this server too, from now on.

        Raises:
            ValueError: it is not the URL of a server.
        """
        url = checked_url(url)
        self._urls[url] = None
        if (runner := self._runner) is not None:
            self._thread.soon(lambda: runner.add(url))

    def remove_peer(self, url: str) -> None:
        """Call this URL no more. The server behind it stays a member: others may tell of it again.

        For one that is gone for good there is `remove_server`.
        """
        url = checked_url(url)
        self._urls.pop(url, None)
        if (runner := self._runner) is not None:
            self._thread.soon(lambda: runner.forget(url))

    async def remove_server(self, server_id: str) -> str:
        """Say that a server is gone for good, with what only it may have known.

        Every client of every server refetches once. The id can never be used again.

        Returns:
            The origin that stands for the removed server.

        Raises:
            ValueError: it is not the id of another server.
        """
        if not is_server_id(server_id) or server_id == self._server_id:
            raise ValueError(f"{server_id!r} is not the id of another server")
        return await self._call(lambda runner: runner.remove(server_id))

    # ---- the server ----------------------------------------------------------------------------

    async def start(self) -> None:
        """Return once the server knows what its reachable peers know.

        Raises:
            StorageError: the store failed.
        """
        self._is_stopped = False
        await self._call(lambda runner: runner.joined())

    async def stop(self) -> None:
        """Bring the peers the last news, say goodbye, and end."""
        self._is_stopped = True
        runner, self._runner = self._runner, None
        if runner is not None:
            await self._thread.call(self._end(runner))
            self._thread.stop()

    def touched(self) -> None:
        """The server has news. Does not wait; may be called under the state's lock."""
        if (runner := self._runner) is not None:
            self._thread.soon(runner.touched)
        elif not self._is_stopped:
            self._thread.spawn(self._started())

    def hinted(self, server_id: str) -> None:
        """A server is said to have news; "" for any. Does not wait."""
        if (runner := self._runner) is not None:
            self._thread.soon(lambda: runner.hinted(server_id))

    async def ready_for(self, cursor: str | None) -> None:
        """Return once an asker with this cursor can be answered.

        Where the asker has seen more of others than this server has, they are asked first, for at
        most 200 ms.

        Raises:
            NotReady: the server was removed from the mesh, or cannot take in what others know.
            StorageError: the store failed.
        """
        if self._is_stopped:
            return  # whoever was held until now is told what is known
        self.check_ready()
        if not self.is_joined:
            await self.start()
            self.check_ready()
        if cursor is not None and (wanted := self._seen_elsewhere(cursor)):
            await self._call(lambda runner: runner.catch_up(wanted, timeout_s=_CATCH_UP_S))
            self._note_unknown(wanted)

    @property
    def is_joined(self) -> bool:
        """Whether the server has what its reachable peers know."""
        runner, graph = self._runner, self._state.graph
        if runner is None or graph is None:
            return False
        return runner.is_joined and runner.generation == graph.generation

    def check_ready(self) -> None:
        """Raise unless the server may answer as a member of its mesh.

        Raises:
            NotReady: the text says why not, and what to do.
        """
        if self._is_removed():
            raise NotReady(
                f"the server {self._server_id} was removed from its mesh: start it under another id"
            )
        if self._sharing.trouble:
            raise NotReady(f"the server {self._server_id} lacks nodes: {self._sharing.trouble}")

    def stats(self) -> MeshStats:
        """What the server has done in its mesh."""
        runner = self._runner
        with self._state.lock:
            graph = self._state.graph
            origins = 0 if graph is None else len(graph.digest)
            generation = 0 if graph is None else graph.generation.number
        return MeshStats(
            peers=0 if runner is None else runner.peers,
            healthy=0 if runner is None else runner.healthy,
            origins=origins,
            generation=generation,
            is_joined=self.is_joined,
            is_removed=self._is_removed(),
            pushes=0 if runner is None else runner.pushes,
            exchanges=0 if runner is None else runner.exchanges,
            asked=0 if runner is None else runner.asked,
            failures=0 if runner is None else runner.failures,
            refused=self._refused + (0 if runner is None else runner.refused),
        )

    # ---- peers call ----------------------------------------------------------------------------

    def authenticate(self, route: str, headers: Mapping[str, str], body: bytes) -> str:
        """The nonce of a request that a peer has signed.

        Raises:
            MeshUnauthorized: it has not.
        """
        try:
            with self._verifying:
                return self._verifier.check("POST", route, headers, body, now_ms=wall_clock_ms())
        except MeshUnauthorized as error:
            self._refused += 1
            self._complaints.say(error.code, "a message was refused: %s", error)
            raise

    def signed(self, nonce: str, status: int, body: bytes) -> dict[str, str]:
        """The headers that sign an answer."""
        return self._signer.answer_headers(nonce, status, body, now_ms=wall_clock_ms())

    async def answer(self, route: str, body: bytes) -> bytes:
        """What an authentic message is answered.

        Raises:
            InvalidRequest: it is malformed, or claims what cannot be.
            NotReady: the server was stopped.
            StorageError: the store failed.
        """
        if self._is_stopped:
            raise self._stopped()
        try:
            if route == EXCHANGE_ROUTE:
                return await self._exchanged(body)
            return await self._call(lambda runner: self._answer(runner, route, body))
        except ProtocolError as error:
            self._refused += 1
            self._complaints.say("message", "a message was refused: %s", error)
            raise InvalidRequest(str(error)) from error

    # ---- inside --------------------------------------------------------------------------------

    async def _exchanged(self, body: bytes) -> bytes:
        message = decode_exchange(body)
        # News is taken in where it came, so that who waits for it is not told by a detour.
        taken = await self._sharing.take(message) if len(body) <= _NEWS_BYTES_MAX else None

        async def answer(runner: Runner) -> bytes:
            return encode(await runner.answer(message, taken))

        return await self._call(answer)

    async def _answer(self, runner: Runner, route: str, body: bytes) -> bytes:
        if route == REMOVE_ROUTE:
            server_id = decode_remove(body).server_id
            if server_id == self._server_id:
                raise ProtocolError("a server cannot be asked to remove itself: ask another")
            return encode(RemoveResponse(origin=await runner.remove(server_id)))
        if route == PEERS_ROUTE:
            statuses: PeersResponse = await runner.statuses()
            return encode(statuses)
        raise NotFound(f"there is nothing at {route!a}")

    async def _call(self, act: Callable[[Runner], Coroutine[Any, Any, Result]]) -> Result:
        """Have something done by the runner, in its thread."""

        async def call() -> Result:
            task = asyncio.current_task()
            assert task is not None, "it runs in the thread's loop"
            self._calls.add(task)
            try:
                return await act(await self._started())
            except asyncio.CancelledError:  # by `_end`, and by nobody else
                raise self._stopped() from None
            finally:
                self._calls.discard(task)

        if self._is_stopped:
            raise self._stopped()
        return await self._thread.call(call())

    async def _end(self, runner: Runner) -> None:
        """Stop, and leave nobody waiting for what will not come any more."""
        await runner.stop(farewell=True)
        for task in self._calls:
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    def _stopped(self) -> NotReady:
        return NotReady(f"the server {self._server_id} was stopped: ask another, or later")

    async def _started(self) -> Runner:
        if self._runner is None and self._is_stopped:
            raise self._stopped()
        if self._runner is None:
            seed = random.Random(secrets.randbits(64))
            config = self._config
            node = Node(self._server_id, self._urls, timing=config.timing, seed=seed)
            self._runner = Runner(
                node,
                self._sharing,
                self.make_transport(),
                server_id=self._server_id,
                url=config.advertise,
                public_url=config.public_url,
                timing=config.timing,
                on_health=self._take_health,
            )
        return self._runner

    def _http_transport(self) -> Transport:
        from reality.mesh.transport import HttpMeshTransport

        return HttpMeshTransport(self._config.secrets, http=self._config.http)

    def _take_health(self, health: dict[str, Health]) -> None:
        self.health = health

    def _is_removed(self) -> bool:
        with self._state.lock:
            graph = self._state.graph
            return graph is not None and graph.holds(gone_origin(self._server_id))

    def _seen_elsewhere(self, cursor: str) -> dict[str, Position]:
        """What an asker has seen of others that this server has not."""
        with self._state.lock:
            graph = self._state.graph
            if graph is None or cursor == graph.cursor:
                return {}
            digest, own = graph.digest, graph.own_origin
        seen = decode_cursor(cursor)
        now_s = time.monotonic()
        return {
            origin: position
            for origin, position in ({} if seen is None else seen.positions).items()
            if origin != own
            and position.sequence > digest.get(origin, Position(-1)).sequence
            and self._unknown.get(origin, float("-inf")) < now_s
        }

    def _note_unknown(self, wanted: Mapping[str, Position]) -> None:
        """Do not wait for what nobody has again and again."""
        with self._state.lock:
            graph = self._state.graph
            unknown = [each for each in wanted if graph is None or not graph.holds(each)]
            for origin in unknown:
                self._unknown.pop(origin, None)
                self._unknown[origin] = time.monotonic() + _UNKNOWN_AGAIN_S
            while len(self._unknown) > _UNKNOWN_MAX:
                del self._unknown[next(iter(self._unknown))]

    def _after_fork(self) -> None:
        """In a child: another run, whose peers have yet to hear of it."""
        self._runner = None
        self._calls: set[asyncio.Task[Any]] = set()
        self._verifying = threading.Lock()
        self._verifier = Verifier(self._config.secrets)
        self._unknown: dict[str, float] = {}
        self.health = {}
