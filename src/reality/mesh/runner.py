"""Carries out what the node decides: calls, answers, the clock. One event loop, one process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

import msgspec

from reality.core.cursor import Position
from reality.core.limits import MESH_MESSAGE_BYTES_MAX
from reality.core.messages import Health
from reality.core.replica import FIRST_GENERATION, Generation
from reality.core.urls import shown_url
from reality.errors import (
    MeshUnauthorized,
    NotReady,
    ProtocolError,
    RealityError,
    RemoteError,
    StorageError,
)
from reality.mesh.log import Complaints
from reality.mesh.membership import Timing
from reality.mesh.messages import (
    Exchange,
    Kind,
    PeersResponse,
    decode_exchange,
    encode,
)
from reality.mesh.node import Answered, Call, Node
from reality.mesh.ports import Replicated, Taken, Transport

EXCHANGE_ROUTE = "/mesh/exchange"

_logger = logging.getLogger("reality.mesh")

# What the last page takes, beside its entries: names of 512 bytes, 64 positions.
_SPARE_BYTES = 4_096
# How long a server that starts waits for what its peers know.
JOIN_S = 10.0
# A clock of this process that is so late was kept from running: calls that failed meanwhile say
# nothing of their peers (Lifeguard: slow processing here is the main cause of false alarms).
_LATE_S = 0.25
_FAREWELL_ROUNDS = 3
# What a server says that is stopping, or whose store is away.
_AWAY_STATUS = 503
# A call's own deadline is the transport's; this is for one that does not keep it.
_DEADLINE_FACTOR = 2.0


class Runner:
    """The mesh of one server in one process. Lives in one event loop."""

    def __init__(
        self,
        node: Node,
        state: Replicated,
        transport: Transport,
        *,
        server_id: str,
        url: str,
        public_url: str,
        timing: Timing,
        on_health: Callable[[dict[str, Health]], None],
    ) -> None:
        self._node = node
        self._state = state
        self._transport = transport
        self._server_id = server_id
        self._url = url
        self._public_url = public_url
        self._timing = timing
        self._on_health = on_health
        self._health: dict[str, Health] = {}
        self._roused = asyncio.Event()
        self._taken = asyncio.Event()
        self._joined = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()
        self._has_ended = False
        self._late_at = float("-inf")
        self._learned_at = float("-inf")
        self.generation = FIRST_GENERATION
        self._complaints = Complaints(_logger)
        self._silent: set[str] = set()  # URLs whose failing was told
        self._gone: frozenset[str] = frozenset()
        self._clock = asyncio.create_task(self._run())
        self.exchanges = self.pushes = self.failures = self.refused = self.asked = 0
        self.peers = self.healthy = 0

    # ---- the server's own news -----------------------------------------------------------------

    def touched(self) -> None:
        """The server has news: tell all."""
        self._start(self._node.touched(_now_s()))
        self._roused.set()

    def hinted(self, server_id: str) -> None:
        """A server is said to have news; "" for any of them."""
        self._start(self._node.hinted(server_id, _now_s()))
        self._roused.set()

    @property
    def is_joined(self) -> bool:
        """Whether the server knows what its reachable peers know, or has waited long enough."""
        return self._joined.is_set()

    async def joined(self) -> None:
        """Return once the server knows what its reachable peers know, or has waited long enough."""
        here = await self._state.summary()
        self._note_generation(here.generation)
        while not self._joined.is_set():
            began = _now_s()
            try:
                async with asyncio.timeout(JOIN_S):
                    await self._joined.wait()
            except TimeoutError:
                if self._learned_at < began:
                    _logger.warning(
                        "%s serves without all that its peers know: for %.0f s none has sent it",
                        self._server_id,
                        JOIN_S,
                    )
                    self._joined.set()

    async def catch_up(self, wanted: Mapping[str, Position], *, timeout_s: float) -> None:
        """Ask peers for these positions, and return once they are held or there is no more hope."""
        try:
            async with asyncio.timeout(timeout_s):
                urls = self._node.may_know(wanted)
                self._start(self._node.wanted(urls, _now_s()))
                while True:
                    held = (await self._state.summary()).digest
                    if all(held.get(each, Position(0)) >= at for each, at in wanted.items()):
                        return
                    if not self._node.are_calling(urls):
                        return
                    self._taken.clear()
                    await self._taken.wait()
        except TimeoutError:
            return

    # ---- peers ---------------------------------------------------------------------------------

    async def answer(self, message: Exchange, taken: Taken | None = None) -> Exchange:
        """What a peer that has called is answered.

        Args:
            message: what it has sent.
            taken: what the server has made of it, if it was taken in already.

        Raises:
            ProtocolError: it claims what cannot be.
        """
        self.asked += 1
        self._note(message, taken or await self._state.take(message), url="")
        kind: Kind = "exchange" if message.kind == "exchange" else "push"
        answer = await self._message(kind, to_run=message.run)
        if message.kind != "exchange":
            return answer
        pages, more = await self._state.pages(message, bytes_max=_room(answer))
        return msgspec.structs.replace(answer, pages=pages, more=more)

    async def statuses(self) -> PeersResponse:
        """The table of peers."""
        here = await self._state.summary()
        return PeersResponse(
            server_id=self._server_id,
            run=here.run,
            generation=here.generation.number,
            peers=self._node.statuses(here.digest, _now_s()),
            is_removed=f"{self._server_id}!gone" in here.digest,
        )

    async def remove(self, server_id: str) -> str:
        """Remove a server for good, and tell all."""
        origin = await self._state.remove(server_id)
        self._note_removed(frozenset([server_id]))
        self.hinted("")
        return origin

    def add(self, url: str) -> None:
        """Call this server too."""
        self._node.add(url)
        self._roused.set()

    def forget(self, url: str) -> bool:
        """Call this server no more; whether it was called."""
        return self._node.forget(url)

    async def stop(self, *, farewell: bool) -> None:
        """End; with a farewell, once peers have the last news, or cannot be reached."""
        self._clock.cancel()
        if farewell:
            try:
                async with asyncio.timeout(self._timing.timeout_s):
                    await asyncio.gather(*map(self._part_from, self._node.reachable()))
            except TimeoutError:
                _logger.warning("%s ends before its peers have heard it all", self._server_id)
        self._has_ended = True
        for task in self._calls:
            task.cancel()
        await asyncio.gather(self._clock, *self._calls, return_exceptions=True)
        await self._transport.aclose()

    # ---- inside --------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._roused.clear()
            try:
                due_at = await self._tick()
            except Exception:
                # Not foreseen; without the clock nothing that was lost would ever be found.
                _logger.exception("the mesh of %s failed, and goes on", self._server_id)
                due_at = _now_s() + self._timing.interval_s
            try:
                async with asyncio.timeout(max(0.0, due_at - _now_s())):
                    await self._roused.wait()
            except TimeoutError:
                if _now_s() - due_at > _LATE_S:
                    self._late_at = _now_s()

    async def _tick(self) -> float:
        """Do what is due; when there will be more."""
        self._start(self._node.tick(_now_s()))
        for server_id in self._node.overdue(_now_s()):
            _logger.error("%s was out of contact for too long and is removed", server_id)
            await self.remove(server_id)
        if not self._joined.is_set() and self._node.is_caught_up():
            self._joined.set()
        self._say_health()
        return self._node.due_at()

    def _start(self, calls: list[Call]) -> None:
        for call in () if self._has_ended else calls:
            task = asyncio.create_task(self._carry_out(call))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _carry_out(self, call: Call) -> None:
        began = _now_s()
        try:
            async with asyncio.timeout(self._timing.timeout_s * _DEADLINE_FACTOR):
                answered = await self._call(call.url, call.kind)
        except RealityError as error:
            self._failed(call, error, began)
        except TimeoutError:
            self._failed(call, ProtocolError("no answer within twice the time"), began)
        except Exception as error:  # not foreseen, but the peer must not be given up for it
            _logger.exception("a call of %s failed in an unforeseen way", call.url)
            self._failed(call, error, began)
        else:
            if call.url in self._silent:
                self._silent.discard(call.url)
                _logger.warning("the peer %s answers again", shown_url(call.url))
            if call.kind == "exchange" and answered.learned:
                self._node.learned(answered.held, _now_s())
            self._start(self._node.answered(call.url, answered, _now_s()))
        if not self._joined.is_set() and self._node.is_caught_up():
            self._joined.set()
        self._taken.set()
        self._roused.set()
        self._say_health()

    async def _call(self, url: str, kind: Kind) -> Answered:
        peer = self._node.peer(url)
        message = await self._message(kind, to_run="" if peer is None else peer.run)
        sent_more = False
        if peer is not None and peer.last is not None:
            only = message.origin if kind != "exchange" else None
            pages, sent_more = await self._state.pages(
                peer.last, bytes_max=_room(message), only=only
            )
            message = msgspec.structs.replace(message, pages=pages, more=sent_more)
        if kind == "exchange":
            self.exchanges += 1
        else:
            self.pushes += 1
        body = await self._transport.post(
            url, EXCHANGE_ROUTE, encode(message), timeout_s=self._timing.timeout_s
        )
        answer = decode_exchange(body)
        taken = await self._state.take(answer)
        self._note(answer, taken, url=url)
        return Answered(answer, taken.held, taken.learned, sent_more)

    def _note(self, message: Exchange, taken: Taken, *, url: str) -> None:
        """A message was taken in."""
        self._note_removed(taken.removed)
        if message.server_id == self._server_id and message.run != self._node.run:
            self._complaints.say(
                "id",
                "another server calls itself %s, too: give each an id of its own (--server-id)",
                self._server_id,
            )
        self._node.heard(message, _now_s(), url=url, held=taken.held)
        if taken.learned:
            self._learned_at = _now_s()
        if not url and message.kind == "exchange" and taken.learned:
            self._node.learned(taken.held, _now_s())
        self._taken.set()
        self._roused.set()

    def _note_removed(self, gone: frozenset[str]) -> None:
        """These servers are gone for good; say so of those that are new."""
        for server_id in sorted(gone - self._gone):
            if server_id == self._server_id:
                _logger.error(
                    "%s was removed from its mesh and answers no more: start it under another id",
                    server_id,
                )
            else:
                _logger.warning("%s was removed from the mesh for good", server_id)
        self._gone |= gone
        self._node.removed(gone)

    async def _message(self, kind: Kind, *, to_run: str) -> Exchange:
        here = await self._state.summary()
        self._node.run, self._node.origin = here.run, here.origin
        self._note_generation(here.generation)
        partial, skip = self._state.partial(to_run)
        return Exchange(
            kind=kind,
            server_id=self._server_id,
            run=here.run,
            origin=here.origin,
            generation=here.generation,
            register=here.register,
            digest=dict(here.digest),
            url=self._url,
            public_url=self._public_url,
            members=self._node.members() if kind == "exchange" else [],
            partial=partial,
            skip=skip,
        )

    def _note_generation(self, generation: Generation) -> None:
        """In another one peers begin anew, too: wait, so that clients refetch once for all."""
        if generation != self.generation:
            self.generation = generation
            self._joined.clear()
            self._node.rejoin()
            self.hinted("")

    def _failed(self, call: Call, error: Exception, began: float) -> None:
        if isinstance(error, (StorageError, NotReady)):
            # This server's own trouble, and its log has it.
            self._node.failed(call.url, _now_s(), was_busy=True)
            return
        self.failures += 1
        shown = shown_url(call.url)
        self._node.failed(call.url, _now_s(), was_busy=self._late_at >= began)
        peer = self._node.peer(call.url)
        is_away = isinstance(error, RemoteError) and error.status == _AWAY_STATUS
        is_refused = isinstance(error, (RemoteError, ProtocolError, MeshUnauthorized))
        if is_refused and not is_away:
            self.refused += 1
            self._complaints.say(call.url, "the peer %s cannot be used: %s", shown, error)
            self._silent.add(call.url)
        elif peer is not None and peer.health == "unhealthy":
            # Not before: a server that starts calls others before it can be called.
            self._complaints.say(call.url, "the peer %s does not answer: %s", shown, error)
            self._silent.add(call.url)

    async def _part_from(self, url: str) -> None:
        for _ in range(_FAREWELL_ROUNDS):
            try:
                answered = await self._call(url, "goodbye")
            except RealityError as error:
                _logger.debug("%s was not told the end of %s: %s", url, self._server_id, error)
                return
            here = await self._state.summary()
            told = answered.message.digest.get(here.origin)
            if told is not None and told[0] >= here.digest[here.origin].sequence:
                return

    def _say_health(self) -> None:
        self.peers, self.healthy = self._node.counts()
        health = self._node.health()
        if health != self._health:
            self._health = health
            self._on_health(health)


def _room(message: Exchange) -> int:
    """The bytes that pages may take in a message."""
    return max(0, MESH_MESSAGE_BYTES_MAX - len(encode(message)) - _SPARE_BYTES)


def _now_s() -> float:
    return time.monotonic()
