"""Several nodes that exchange in memory, under a clock that jumps: no threads, no I/O.

What a server holds is a number per origin. Messages take time; which of them get lost, a test says.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from reality.core.cursor import Position
from reality.mesh.membership import Timing
from reality.mesh.messages import Exchange, Kind
from reality.mesh.node import Answered, Call, Node
from tests.mesh.exchanging import exchange

LATENCY_S = 0.002


class Sent(NamedTuple):
    """A call that was made."""

    at_s: float
    source: str
    target: str
    kind: Kind


class Parcel(NamedTuple):
    """A message, and instead of pages the positions that it brings its receiver up to."""

    message: Exchange
    brings: dict[str, Position]


@dataclass
class Server:
    """A node, and what its server holds."""

    name: str
    node: Node
    held: dict[str, Position]
    has_url: bool = True

    def message(self, kind: Kind) -> Exchange:
        self.node.run = self.node.origin = f"{self.name}~1"
        return exchange(
            self.name,
            kind=kind,
            digest=dict(self.held),
            members=self.node.members() if kind == "exchange" else [],
            url=url_of(self.name) if self.has_url else "",
        )

    def lacking(self, digest: dict[str, Position]) -> dict[str, Position]:
        """What whoever has come so far lacks of what this one holds."""
        return {
            origin: at for origin, at in self.held.items() if digest.get(origin, Position(-1)) < at
        }

    def take(self, parcel: Parcel) -> bool:
        """Take in what came; whether it was of use."""
        news = {
            origin: at
            for origin, at in parcel.brings.items()
            if self.held.get(origin, Position(-1)) < at
        }
        self.held |= news
        return bool(news)


@dataclass
class Group:
    """Servers and the time that they live in."""

    seed: random.Random
    servers: dict[str, Server] = field(default_factory=dict)
    now_s: float = 0.0
    sent: list[Sent] = field(default_factory=list)
    # What becomes of a call: lost calls fail at once, or after so many seconds.
    loses: Callable[[Sent], float | None] = lambda _: None
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _due_at: dict[str, float] = field(default_factory=dict)
    _number: itertools.count[int] = field(default_factory=itertools.count)

    def add(self, name: str, *peers: str, has_url: bool = True, **timing: float) -> Server:
        """A server that starts now and has these peers."""
        node = Node(
            name,
            [url_of(each) for each in peers],
            timing=Timing(**timing),
            seed=random.Random(self.seed.random()),
        )
        server = Server(name, node, {f"{name}~1": Position(0)}, has_url)
        self.servers[name] = server
        self._note_due(server)
        return server

    def touch(self, name: str, *, tells: bool = True) -> Position:
        """A touch on a server, which pushes it unless told not to."""
        server = self.servers[name]
        origin = f"{name}~1"
        at = server.held[origin] = Position(server.held[origin].sequence + 1)
        if tells:
            self._make(server, server.node.touched(self.now_s))
            self._note_due(server)
        return at

    def run(self, until_s: float, *, done: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, until then or until something holds."""
        while not done():
            name = min(self._due_at, key=self._due_at.__getitem__)
            due_s, server = self._due_at[name], self.servers[name]
            next_s = self._events[0][0] if self._events else float("inf")
            if min(due_s, next_s) > until_s:
                self.now_s = until_s
                return
            self.now_s = max(self.now_s, min(due_s, next_s))
            if next_s <= due_s:
                heapq.heappop(self._events)[2]()
            else:
                self._make(server, server.node.tick(self.now_s))
                self._note_due(server)

    @property
    def is_alike(self) -> bool:
        """Whether all hold the same."""
        first, *others = (server.held for server in self.servers.values())
        return all(held == first for held in others)

    def _note_due(self, server: Server) -> None:
        self._due_at[server.name] = server.node.due_at()

    def _later(self, delay_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_s + delay_s, next(self._number), act))

    def _make(self, server: Server, calls: list[Call]) -> None:
        for call in calls:
            self._begin(server, call)

    def _begin(self, source: Server, call: Call) -> None:
        sent = Sent(self.now_s, source.name, name_of(call.url), call.kind)
        self.sent.append(sent)
        target = self.servers.get(sent.target)
        peer = source.node.peer(call.url)
        message = source.message(call.kind)
        brings = {}
        if peer is not None and peer.last is not None:
            there = {origin: Position(*at) for origin, at in peer.last.digest.items()}
            brings = source.lacking(there)
            if call.kind != "exchange":
                brings = {origin: at for origin, at in brings.items() if origin == message.origin}
        fails_after_s = self.loses(sent) if target is not None else LATENCY_S
        if target is None or fails_after_s is not None:
            self._later(fails_after_s or 0.0, lambda: self._fail(source, call))
        else:
            self._later(
                LATENCY_S, lambda: self._answer(source, target, call, Parcel(message, brings))
            )

    def _answer(self, source: Server, target: Server, call: Call, parcel: Parcel) -> None:
        is_exchange = parcel.message.kind == "exchange"
        learned = target.take(parcel)
        target.node.heard(parcel.message, self.now_s)
        if is_exchange and learned:
            target.node.learned(target.held, self.now_s)
        self._note_due(target)
        there = {origin: Position(*at) for origin, at in parcel.message.digest.items()}
        brings = target.lacking(there) if is_exchange else {}
        answer = Parcel(target.message("exchange" if is_exchange else "push"), brings)
        self._later(LATENCY_S, lambda: self._end(source, call, answer))

    def _end(self, source: Server, call: Call, answer: Parcel) -> None:
        learned = source.take(answer)
        source.node.heard(answer.message, self.now_s, url=call.url)
        if call.kind == "exchange" and learned:
            source.node.learned(source.held, self.now_s)
        answered = Answered(answer.message, source.held, learned, sent_more=False)
        self._make(source, source.node.answered(call.url, answered, self.now_s))
        self._note_due(source)

    def _fail(self, source: Server, call: Call) -> None:
        source.node.failed(call.url, self.now_s, was_busy=False)
        self._note_due(source)


def url_of(name: str) -> str:
    """Where a server is called."""
    return f"http://{name}/reality"


def name_of(url: str) -> str:
    """Which server is called there."""
    return url.split("/")[2]


def full_mesh(count: int, seed: random.Random, **timing: Any) -> Group:
    """A group in which each has all others as peers, and has exchanged with them for a while."""
    group = Group(seed)
    names = [f"s{number}" for number in range(count)]
    for name in names:
        group.add(name, *names, **timing)
        group.now_s += seed.random() * 0.3
        group.run(group.now_s)
    group.run(group.now_s + 2 + seed.random())
    return group
