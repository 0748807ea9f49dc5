"""What a server shares with its peers: its side of every exchange, on whatever state it has.

A peer is believed what it says of origins that are not this server's own, as far as it fits. What
cannot be is refused: positions of this run that it has not reached. Where two histories of one
store have met, whoever is on it gives it a new lineage, and others open a new generation; so does
whoever has no room for another origin.
"""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

from reality.core.cursor import Position, gone_origin, is_durable
from reality.core.delta import Mark
from reality.core.graph import Graph
from reality.core.limits import Limits
from reality.core.replica import Generation
from reality.errors import NotReady, ProtocolError, TooManyOrigins
from reality.mesh.log import Complaints
from reality.mesh.messages import (
    Exchange,
    Page,
    Partial,
    delta_of,
    digest_of,
    encode,
    generation_of,
    page_of,
)
from reality.mesh.ports import Summary, Taken
from reality.server.state import State

logger = logging.getLogger("reality.mesh")

# A peer that has begun to send an origin and sent no page for so long is not waited for.
_PAGE_S = 2.0
# How often a store gets another lineage because peers have seen another history of it.
_RENEW_AGAIN_S = 10.0
# Below that no page is worth its message.
_PAGE_BYTES_MIN = 1_024
# Generations that a peer may be ahead.
_GENERATIONS_AHEAD_MAX = 10_000


class _Source(NamedTuple):
    """Who is sending an origin, and when its last page came."""

    run: str
    at_s: float


class Sharing:
    """Implements `reality.mesh.runner.Replicated` on the state of a server."""

    def __init__(self, server_id: str, state: State, limits: Limits) -> None:
        self._server_id = server_id
        self._state = state
        self._limits = limits
        self._sources: dict[str, _Source] = {}
        self._renewed_at_s = float("-inf")
        self._complaints = Complaints(logger)
        self.trouble = ""
        self.generations = 0
        state.exchange()

    async def summary(self) -> Summary:
        """See `Replicated`."""
        await self._state.opened()
        with self._state.lock:
            graph = self._graph()
            return Summary(
                self._state.run, graph.own_origin, graph.generation, graph.register, graph.digest
            )

    async def take(self, message: Exchange) -> Taken:
        """See `Replicated`."""
        graph = await self._state.opened()
        claimed = message.digest.get(graph.own_origin, (0, 0))
        if claimed[0] > graph.digest[graph.own_origin].sequence:
            await self._state.look()
        with self._state.lock:
            graph = self._graph()
            learned = is_clash = False
            theirs = generation_of(message)
            if theirs > graph.generation:
                self._enter(theirs, graph.generation)
                graph = self._graph()
            if theirs == graph.generation:
                is_clash = self._is_clash(graph, message)
                if not is_clash:
                    learned = self._take_pages(graph, message)
            graph = self._graph()
            taken = Taken(graph.digest, learned, frozenset(map(_server_id, graph.gone)))
        if is_clash:
            await self._renew_lineage(message)
        return taken

    async def pages(
        self, message: Exchange, *, bytes_max: int, only: str | None = None
    ) -> tuple[list[Page], bool]:
        """See `Replicated`."""
        found: list[Page] = []
        left = bytes_max
        for origin, since, begins in await self._lacking(message, only):
            if left < _PAGE_BYTES_MIN:
                return found, True
            delta = await self._state.page(origin, since, begins, bytes_max=left)
            if delta is None:
                continue
            page = page_of(delta)
            found.append(page)
            left -= len(encode(page)) + 1
            if not delta.last:
                return found, True
        return found, False

    def partial(self, run: str) -> tuple[dict[str, Partial], list[str]]:
        """See `Replicated`."""
        partial: dict[str, Partial] = {}
        skip: list[str] = []
        now_s = time.monotonic()
        with self._state.lock:
            graph = self._state.graph
            for origin, source in self._sources.items():
                page = None if graph is None else graph.progress(origin)
                if page is None or now_s - source.at_s > _PAGE_S:
                    continue
                if source.run == run:
                    partial[origin] = Partial(since=(page.since, page.since_tag), ends=page.ends)
                else:
                    skip.append(origin)
        return partial, skip

    async def remove(self, server_id: str) -> str:
        """See `Replicated`."""
        await self._state.opened()
        with self._state.lock:
            graph = self._graph()
            try:
                is_new = graph.remove(server_id)
            except TooManyOrigins:
                self._open_generation(f"there is no room to remove {server_id}")
                is_new = self._graph().remove(server_id)
            if is_new:
                self._state.took_in(None)
        return gone_origin(server_id)

    # ---- inside, under the lock ----------------------------------------------------------------

    def _graph(self) -> Graph:
        graph = self._state.graph
        if graph is None:
            raise NotReady(f"the server {self._server_id} was stopped")
        return graph

    def _enter(self, theirs: Generation, ours: Generation) -> None:
        if theirs.number > ours.number + _GENERATIONS_AHEAD_MAX:
            raise ProtocolError(f"a peer claims generation {theirs.number}, this is {ours.number}")
        logger.warning(
            "%s begins generation %d, which %s has opened; all clients refetch once",
            self._server_id,
            *theirs,
        )
        self.generations += 1
        self._sources.clear()
        self._state.begin_generation(theirs)

    def _open_generation(self, reason: str) -> None:
        generation = self._graph().generation.next(self._server_id)
        logger.warning(
            "%s opens generation %d, because %s; all clients of all servers refetch once",
            self._server_id,
            generation.number,
            reason,
        )
        self.generations += 1
        self._sources.clear()
        self._state.begin_generation(generation)

    def _is_clash(self, graph: Graph, message: Exchange) -> bool:
        """Whether a peer holds another history of the own store; another store's is settled here.

        Raises:
            ProtocolError: it holds of this run what cannot be.
        """
        for origin, position in digest_of(message).items():
            if origin == graph.own_origin:
                is_ahead = position.sequence > graph.own_position.sequence
                if is_ahead and not is_durable(origin):
                    raise ProtocolError(_never_did(message))
                if is_ahead or graph.knows(origin, position) is False:
                    return True
            elif origin in graph.digest and graph.knows(origin, position) is False:
                self._open_generation(f"there are two histories of {origin}")
                return False
        return False

    def _take_pages(self, graph: Graph, message: Exchange) -> bool:
        before = graph.register
        names: list[str] = []
        learned = is_new = False
        try:
            for page in message.pages:
                if self._would_break_off(graph, page, message.run):
                    continue
                if self.trouble and is_durable(page.origin):
                    continue
                merged = graph.merge(delta_of(page, message.run))
                names += merged.touched
                is_new |= merged.new_origin
                learned |= merged.applied or graph.progress(page.origin) is not None
                self._note_source(graph, page, message.run)
        except TooManyOrigins:
            self._open_generation("there is no room for another origin")
            return True
        if digest_of(message) == graph.digest:
            graph.raise_register(message.register)
        if is_new or graph.register != before:
            self._state.took_in(None)
        elif names:
            self._state.took_in(names)
        self._check_room(graph)
        return learned and not self.trouble

    def _would_break_off(self, graph: Graph, page: Page, run: str) -> bool:
        """Whether a page would end what is just being sent: it comes twice, or from another peer.

        Two that call each other at the same time both send the next page.
        """
        source, held = self._sources.get(page.origin), graph.progress(page.origin)
        is_whole = page.last and page.begins[0] == page.since[0] and not page.begins[1]
        if source is None or held is None or is_whole:
            return False
        is_next = source.run == run and page.begins == held.ends
        return not is_next and time.monotonic() - source.at_s <= _PAGE_S

    def _note_source(self, graph: Graph, page: Page, run: str) -> None:
        progress = graph.progress(page.origin)
        if progress is None:
            self._sources.pop(page.origin, None)
        elif progress.sender == run:
            self._sources[page.origin] = _Source(run, time.monotonic())
            if graph.pages_names(page.origin) > self._limits.nodes_max:
                graph.drop_pages(page.origin)
                self._has_no_room()

    def _check_room(self, graph: Graph) -> None:
        # What its own store has does not count: it is read again when it is dropped.
        nodes_max = self._limits.nodes_max
        if graph.durable_names() > nodes_max:
            self._has_no_room()
        elif not is_durable(graph.own_origin) and len(graph) > nodes_max:
            self._open_generation(f"it passed its limit of {nodes_max} nodes")

    def _has_no_room(self) -> None:
        """Stores of others have more than fits here, so this server cannot answer for them."""
        self.trouble = (
            f"the stores of its peers have more than {self._limits.nodes_max} keys and patterns: "
            "raise Limits.nodes_max"
        )
        self._complaints.say("room", "%s lacks nodes: %s", self._server_id, self.trouble)

    # ---- inside --------------------------------------------------------------------------------

    async def _lacking(
        self, message: Exchange, only: str | None
    ) -> list[tuple[str, Position, Mark]]:
        """The origins that the sender of a message lacks something of, and from where on."""
        await self._state.opened()
        theirs = digest_of(message)
        found = []
        with self._state.lock:
            graph = self._graph()
            if generation_of(message) != graph.generation:
                return []
            is_removed = graph.holds(gone_origin(self._server_id))
            for origin, held in graph.digest.items():
                if is_removed and origin == graph.own_origin and held.sequence == 0:
                    continue  # a run that may do nothing is nobody's news
                is_shared = origin == message.origin  # its own, or its store's
                if is_shared or origin in message.skip or only not in (None, origin):
                    continue
                since = theirs.get(origin, Position(0))
                if origin in theirs and since.sequence >= held.sequence:
                    continue
                begins = Mark(since.sequence)
                partial = message.partial.get(origin)
                if partial is not None:
                    since, begins = Position(*partial.since), Mark(*partial.ends)
                elif graph.knows(origin, since) is not True:
                    since, begins = Position(0), Mark(0)
                found.append((origin, since, begins))
        return found

    async def _renew_lineage(self, message: Exchange) -> None:
        """A peer has seen of the own store what that never had: give it another lineage.

        Raises:
            ProtocolError: that was done a short time ago, so it is the peer that is wrong.
        """
        now_s = time.monotonic()
        if now_s - self._renewed_at_s < _RENEW_AGAIN_S:
            raise ProtocolError(_never_did(message))
        self._renewed_at_s = now_s
        logger.error(
            "%s has seen of the store of %s what it does not have: it was restored or cloned, and "
            "gets a new lineage",
            message.server_id,
            self._server_id,
        )
        await self._state.renew_lineage()


def _never_did(message: Exchange) -> str:
    return (
        f"{message.server_id} claims to have seen of this server what it never did (if a copy of "
        "its machine runs, restart one of the two)"
    )


def _server_id(gone: str) -> str:
    return gone.removesuffix("!gone")
